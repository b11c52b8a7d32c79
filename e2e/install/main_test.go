// Package install_test follows tenants' pods through Bulkhead's whole life on a cluster: installed, upgraded, taken off
// and installed again, on a real control plane with simulated nodes.
package install_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/internal/cli"
	"github.com/bulkhead-dev/bulkhead/internal/install"
	"github.com/bulkhead-dev/bulkhead/internal/run"
	"github.com/bulkhead-dev/bulkhead/internal/testcluster"
)

var (
	cluster *testcluster.Cluster
	admin   client.Client
)

func TestMain(m *testing.M) { os.Exit(suite(m)) }

func suite(m *testing.M) int {
	log.SetLogger(logr.Discard())
	var err error
	if cluster, err = testcluster.Start(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	ctx, cancel := context.WithCancel(context.Background())
	stop, err := prepare(ctx)
	code := 1
	if err == nil {
		code = m.Run()
	} else {
		fmt.Fprintln(os.Stderr, err)
	}
	stop()
	cancel()
	if err := cluster.Stop(); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	return code
}

// prepare adds to the control plane what makes pods run: controllers, scheduler, and two simulated nodes.
func prepare(ctx context.Context) (stop func(), err error) {
	var parts []*exec.Cmd
	stop = func() {
		for _, part := range parts {
			_ = part.Process.Kill() // already ended is fine
			_ = part.Wait()         // killed is what we asked for
		}
	}
	if admin, err = install.NewClient(cluster.Config); err != nil {
		return stop, err
	}
	if err := cluster.StartControllerManager(ctx); err != nil {
		return stop, err
	}
	kube, err := filepath.Abs(filepath.Join("..", "..", "bin", "kube"))
	if err != nil {
		return stop, err
	}
	for _, args := range [][]string{
		{"kube-scheduler", "--kubeconfig=" + cluster.Kubeconfig, "--leader-elect=false", "--secure-port=0"},
		{"kwok", "--kubeconfig=" + cluster.Kubeconfig},
	} {
		part := exec.CommandContext(ctx, kube, args...)
		if err := part.Start(); err != nil {
			return stop, fmt.Errorf("start %s: %w: run `make kube` first", args[0], err)
		}
		parts = append(parts, part)
	}
	for _, name := range []string{"node-1", "node-2"} {
		node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{
			Name: name, Annotations: map[string]string{"kwok.x-k8s.io/node": "fake"}, Labels: map[string]string{corev1.LabelHostname: name},
		}}
		node.Status.Allocatable = corev1.ResourceList{
			corev1.ResourceCPU: resource.MustParse("32"), corev1.ResourceMemory: resource.MustParse("64Gi"),
			corev1.ResourceEphemeralStorage: resource.MustParse("100Gi"), corev1.ResourcePods: resource.MustParse("110"),
		}
		node.Status.Capacity = node.Status.Allocatable
		if err := admin.Create(ctx, node); err != nil {
			return stop, err
		}
	}
	return stop, nil
}

// bulkhead runs the command line and returns what it wrote; it must exit with code.
func bulkhead(t *testing.T, code int, args ...string) string {
	t.Helper()
	var out, errOut bytes.Buffer
	args = append(args, "--kubeconfig", cluster.Kubeconfig)
	if got := cli.Main(args, bytes.NewReader(nil), &out, &errOut); got != code {
		t.Fatalf("bulkhead %v: exit %d, want %d\n%s%s", args, got, code, &out, &errOut)
	}
	return out.String()
}

// tryBulkhead runs the command line and returns its exit code and what it wrote.
func tryBulkhead(args ...string) string {
	var out bytes.Buffer
	code := cli.Main(append(args, "--kubeconfig", cluster.Kubeconfig), bytes.NewReader(nil), &out, &out)
	return fmt.Sprintf("exit %d\n%s", code, &out)
}

// controllers run for real, outside of the cluster, with Bulkhead's rights and no others; the Deployment's simulated pods do nothing.
func controllers(t *testing.T) (stop func()) {
	t.Helper()
	config, err := cluster.User("bulkhead", v1alpha1.ControllerGroup)
	if err != nil {
		t.Fatal(err)
	}
	config.WarningHandler = rest.NoWarnings{}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- run.Run(ctx, &run.Options{
			Config: config, LeaderElect: true, MetricsAddress: run.Off, HealthAddress: run.Off, PprofAddress: run.Off, Log: logr.Discard(),
		})
	}()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil && !errors.Is(err, context.Canceled) {
			t.Errorf("the controllers ended with: %v", err)
		}
	}
	t.Cleanup(stop)
	return stop
}

// patience is for one step on a machine that does much else, not the usual time.
const patience = 6 * time.Minute

// eventually polls until check returns "", and fails with what it returned last.
func eventually(t *testing.T, what string, check func() string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for {
		complaint := check()
		if complaint == "" {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%s: after %s still: %s", what, patience, complaint)
		case <-ticker.C:
		}
	}
}
