// Package controller_test runs Bulkhead's controllers, with exactly the rights that they say they need, against a real
// API server: the life of tenants and Spaces, tampering, waivers, flows, off-boarding, and death at any write.
package controller_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/funcr"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/internal/run"
	"github.com/bulkhead-dev/bulkhead/internal/testbulkhead"
	"github.com/bulkhead-dev/bulkhead/internal/testcluster"
)

// The control plane that all tests of this package share. Tests keep apart by tenants of their own.
var (
	cluster  *testcluster.Cluster
	admin    client.WithWatch
	bulkhead *rest.Config
	auditLog string
)

func TestMain(m *testing.M) {
	// Parallel tests here mostly wait for Kubernetes' own controllers, so their number is not that of the processors.
	flag.Parse()
	if err := flag.Set("test.parallel", "16"); err != nil {
		panic(err)
	}
	os.Exit(testMain(m))
}

func testMain(m *testing.M) (code int) {
	dir, err := os.MkdirTemp("", "bulkhead-audit-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	auditLog = filepath.Join(dir, "audit.log")
	return testcluster.Main(m, []string{"audit-log-path=" + auditLog, "audit-policy-file=../../internal/localcluster/audit-policy.yaml"}, prepare)
}

func prepare(ctx context.Context, c *testcluster.Cluster) (err error) {
	cluster = c
	if admin, err = client.NewWithWatch(cluster.Config, client.Options{Scheme: run.Scheme()}); err != nil {
		return err
	}
	if bulkhead, err = testbulkhead.Config(cluster); err != nil {
		return err
	}
	objects := []client.Object{platform()}
	for _, name := range []string{"pool-a", "pool-b"} {
		objects = append(objects, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "node-" + name, Labels: map[string]string{"pool": name}}})
	}
	return testbulkhead.Install(ctx, admin, objects...)
}

func platform() *v1alpha1.Platform {
	return &v1alpha1.Platform{
		ObjectMeta: metav1.ObjectMeta{Name: v1alpha1.PlatformName},
		Spec: v1alpha1.PlatformSpec{
			Environment:    "Production",
			Registries:     []string{"registry.example.com"},
			ProofFreshness: metav1.Duration{Duration: 10 * time.Minute},
			Network:        v1alpha1.PlatformNetwork{PodCIDRs: []string{"10.244.0.0/16"}, ServiceCIDRs: []string{"10.0.0.0/24"}},
			NodeGroups: []v1alpha1.NodeGroup{
				{Name: "a", NodeLabels: map[string]string{"pool": "pool-a"}},
				{Name: "b", NodeLabels: map[string]string{"pool": "pool-b"}, Tenant: "reserved"},
			},
		},
	}
}

// start runs the controllers until the test ends or the returned function is called.
func start(t *testing.T, change func(*run.Options)) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	o := &run.Options{Config: bulkhead, Read: notRead, MetricsAddress: run.Off, HealthAddress: run.Off, PprofAddress: run.Off, Log: logFor(t)}
	if change != nil {
		change(o)
	}
	done := make(chan error, 1)
	go func() { done <- run.Run(ctx, o) }()
	stop = func() {
		cancel()
		if err := <-done; err != nil && !errors.Is(err, context.Canceled) {
			t.Errorf("the controllers ended with: %v", err)
		}
		done <- nil
	}
	t.Cleanup(stop)
	return stop
}

// logFor shows errors of the controllers when BULKHEAD_TEST_LOG is set.
func logFor(t *testing.T) logr.Logger {
	if os.Getenv("BULKHEAD_TEST_LOG") == "" {
		return logr.Discard()
	}
	return funcr.New(func(prefix, args string) { fmt.Fprintln(os.Stderr, t.Name(), prefix, args) }, funcr.Options{})
}

const patience = 60 * time.Second

// eventually polls until check returns "", and fails with what it returned last.
func eventually(t *testing.T, within time.Duration, what string, check func() string) {
	t.Helper()
	deadline := time.Now().Add(within)
	for {
		complaint := check()
		if complaint == "" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: after %s still: %s", what, within, complaint)
		}
		if within > patience {
			time.Sleep(250 * time.Millisecond) // one of many that wait at the same time
			continue
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func get[T client.Object](t *testing.T, o T, namespace, name string) (T, error) {
	t.Helper()
	return o, admin.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: name}, o)
}

func create(t *testing.T, objects ...client.Object) {
	t.Helper()
	for _, o := range objects {
		if err := admin.Create(t.Context(), o); err != nil {
			t.Fatalf("create %T %s: %v", o, o.GetName(), err)
		}
	}
}

// newTenant is trusted and has one audited workload "web", decided Soft, owned by user NAME-owner.
func newTenant(name string, change ...func(*v1alpha1.TenantSpec)) *v1alpha1.Tenant {
	t := &v1alpha1.Tenant{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: v1alpha1.TenantSpec{
			Owners:   []v1alpha1.Owner{{Kind: "User", Name: name + "-owner"}},
			Boundary: "Inside",
			Quota: corev1.ResourceList{
				"requests.cpu": resource.MustParse("10"), "requests.memory": resource.MustParse("20Gi"),
				"limits.cpu": resource.MustParse("20"), "limits.memory": resource.MustParse("40Gi"), "pods": resource.MustParse("100"),
			},
			Workloads: []v1alpha1.Workload{{Name: "web", Code: "Audited", Environment: "Production"}},
		},
	}
	for _, c := range change {
		c(&t.Spec)
	}
	return t
}

func newSpace(tenant, name string, change ...func(*v1alpha1.SpaceSpec)) *v1alpha1.Space {
	s := &v1alpha1.Space{
		ObjectMeta: metav1.ObjectMeta{Namespace: v1alpha1.HomeNamespace(tenant), Name: name},
		Spec:       v1alpha1.SpaceSpec{Workload: "web"},
	}
	for _, c := range change {
		c(&s.Spec)
	}
	return s
}

// conditionIs waits for a condition to have a status and a reason on the present generation.
func conditionIs(t *testing.T, o client.Object, condition string, status metav1.ConditionStatus, reason string) {
	t.Helper()
	eventually(t, patience, fmt.Sprintf("%T %s: %s=%s (%s)", o, o.GetName(), condition, status, reason), func() string {
		if err := admin.Get(t.Context(), client.ObjectKeyFromObject(o), o); err != nil {
			return err.Error()
		}
		var conditions []metav1.Condition
		switch o := o.(type) {
		case *v1alpha1.Platform:
			conditions = o.Status.Conditions
		case *v1alpha1.Tenant:
			conditions = o.Status.Conditions
		case *v1alpha1.Space:
			conditions = o.Status.Conditions
		case *v1alpha1.Waiver:
			conditions = o.Status.Conditions
		}
		c := meta.FindStatusCondition(conditions, condition)
		if c == nil || c.Status != status || c.Reason != reason || c.ObservedGeneration != o.GetGeneration() {
			return fmt.Sprintf("%+v", conditions)
		}
		return ""
	})
}

func ready(t *testing.T, objects ...client.Object) {
	t.Helper()
	for _, o := range objects {
		conditionIs(t, o, v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonReady)
	}
}

func gone(t *testing.T, o client.Object) {
	t.Helper()
	eventually(t, patience, fmt.Sprintf("%T %s is gone", o, o.GetName()), func() string {
		err := admin.Get(t.Context(), client.ObjectKeyFromObject(o), o)
		if client.IgnoreNotFound(err) != nil {
			return err.Error()
		}
		if err == nil {
			return fmt.Sprintf("it exists: deleted %v, finalizers %v", o.GetDeletionTimestamp(), o.GetFinalizers())
		}
		return ""
	})
}

// events about an object, as "reason: note".
func eventsAbout(t *testing.T, o client.Object) []string {
	t.Helper()
	list := &corev1.EventList{} // of events.k8s.io, the API server selects none by what they are about
	if err := admin.List(t.Context(), list, client.MatchingFields{"involvedObject.uid": string(o.GetUID())}); err != nil {
		t.Fatal(err)
	}
	notes := make([]string, 0, len(list.Items))
	for _, e := range list.Items {
		notes = append(notes, e.Reason+": "+e.Message)
	}
	return notes
}
