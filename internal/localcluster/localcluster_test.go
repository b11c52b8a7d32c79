package localcluster_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
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

	start(t, dir)
	got, err := client(t, saved).CoreV1().ConfigMaps("default").Get(ctx, "note", metav1.GetOptions{})
	if err != nil || got.Data["a"] != "b" {
		t.Errorf("ConfigMap of before the restart, with the kubeconfig of before: %v, %v", got, err)
	}
	eventually(t, "node-1 is ready again", func() error { return nodeReady(ctx, adminClient, "node-1") })
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
