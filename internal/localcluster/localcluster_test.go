package localcluster_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/bulkhead-dev/bulkhead/internal/localcluster"
)

func start(t *testing.T, dir string) *localcluster.Cluster {
	t.Helper()
	kube, err := localcluster.FindKube(filepath.Join("..", "..", "bin", "kube"))
	if err != nil {
		t.Fatalf("run `make kube` first: %v", err)
	}
	began := time.Now()
	cluster, err := localcluster.Start(t.Context(), localcluster.Options{
		Dir: dir, Kube: kube, Notice: t.Logf,
		Step: func(name string) { t.Logf("%v %s", time.Since(began).Round(time.Millisecond), name) },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("started after %v", time.Since(began).Round(time.Millisecond))
	t.Cleanup(cluster.Stop)
	return cluster
}

func client(t *testing.T, kubeconfig string) *kubernetes.Clientset {
	t.Helper()
	config, err := localcluster.Client(kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// eventually polls until check succeeds, and fails the test when it does not.
func eventually(t *testing.T, what string, check func() error) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("not within a minute: %s: %v", what, err)
		}
		<-ticker.C
	}
}

// Promise: a cluster serves; a certificate is worth what RBAC says; simulated nodes get ready; the folder admits one
// cluster at a time and says who has it; after Stop, a start in the same folder has the same state, and a kubeconfig
// of before still works.
func TestClusterServesAndResumes(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	ctx := t.Context()
	cluster := start(t, dir)
	adminKubeconfig := localcluster.AdminKubeconfig(dir)
	adminClient := client(t, adminKubeconfig)
	saved := filepath.Join(t.TempDir(), "saved.kubeconfig")
	data, err := os.ReadFile(adminKubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(saved, data, 0o600); err != nil {
		t.Fatal(err)
	}

	owner, err := cluster.Kubeconfig("somebody", localcluster.Identity{User: "somebody", Groups: []string{"team"}}, "default")
	if err != nil {
		t.Fatal(err)
	}
	_, err = client(t, owner).CoreV1().Namespaces().List(ctx, metav1.ListOptions{})
	if !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), `User "somebody" cannot list`) {
		t.Errorf("list of namespaces by somebody: want it forbidden by RBAC, got %v", err)
	}

	if err := cluster.EnsureNodes(ctx, []localcluster.Node{{Name: "node-1", Labels: map[string]string{"a": "b"}}}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "node-1 is ready", func() error { return nodeReady(ctx, adminClient, "node-1") })

	_, err = localcluster.Start(ctx, localcluster.Options{Dir: dir, Kube: "unused"})
	var running *localcluster.RunningError
	if !errors.As(err, &running) || running.PID != os.Getpid() {
		t.Errorf("second start in the same folder: want a RunningError with this process, got %v", err)
	}

	note := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "note"}, Data: map[string]string{"a": "b"}}
	if _, err := adminClient.CoreV1().ConfigMaps("default").Create(ctx, note, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	cluster.Stop()
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("stopping took %v, which is more than ten seconds", took)
	}

	resumed := start(t, dir)
	testCrash(t, dir, resumed)
	got, err := client(t, saved).CoreV1().ConfigMaps("default").Get(ctx, "note", metav1.GetOptions{})
	if err != nil || got.Data["a"] != "b" {
		t.Errorf("ConfigMap of before the restart, with the kubeconfig of before: %v, %v", got, err)
	}
	eventually(t, "node-1 is ready again", func() error { return nodeReady(ctx, adminClient, "node-1") })
}

// Promise: a program that crashes is started again; one that cannot run ends the cluster, with its last words.
func testCrash(t *testing.T, dir string, cluster *localcluster.Cluster) {
	t.Helper()
	record := filepath.Join(dir, "run", "kube-apiserver.pid")
	before, err := os.ReadFile(record)
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.Fields(string(before))[0])
	if err != nil {
		t.Fatal(err)
	}
	process, err := os.FindProcess(pid)
	if err != nil {
		t.Fatal(err)
	}
	if err := process.Kill(); err != nil {
		t.Fatal(err)
	}
	adminClient := client(t, localcluster.AdminKubeconfig(dir))
	eventually(t, "the API server serves again, as another process", func() error {
		now, err := os.ReadFile(record)
		if err != nil {
			return err
		}
		if string(now) == string(before) {
			return errors.New("no other process yet")
		}
		_, err = adminClient.CoreV1().Namespaces().Get(t.Context(), "default", metav1.GetOptions{})
		return err
	})
	hopeless := &localcluster.Program{Name: "hopeless", Path: "/bin/sh", Args: []string{"-c", "echo these are my last words; exit 7"}}
	if err := cluster.Run(t.Context(), hopeless); err != nil {
		t.Fatal(err)
	}
	select {
	case <-cluster.Failed():
	case <-time.After(time.Minute):
		t.Fatal("a program that ends again and again does not end the cluster")
	}
	for _, part := range []string{"hopeless", "exit status 7", "these are my last words"} {
		if !strings.Contains(cluster.Err().Error(), part) {
			t.Errorf("the error should contain %q: %v", part, cluster.Err())
		}
	}
}

func nodeReady(ctx context.Context, client kubernetes.Interface, name string) error {
	node, err := client.CoreV1().Nodes().Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return err
	}
	for _, condition := range node.Status.Conditions {
		if condition.Type == corev1.NodeReady && condition.Status == corev1.ConditionTrue {
			return nil
		}
	}
	return errors.New("it is not Ready")
}
