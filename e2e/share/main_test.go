// Package share_test shows, with real writers against a real API server, that no tenant takes more than its share: its
// quota holds whatever its writers race for, and its flood leaves the API server to others.
package share_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/desired"
	"github.com/bulkhead-dev/bulkhead/internal/run"
	"github.com/bulkhead-dev/bulkhead/internal/testcluster"
)

// What all tests of this package share.
var (
	cluster *testcluster.Cluster
	admin   client.WithWatch
)

// seats of the API server: what it works on at the same time. Priority and fairness divides seats, so their number must
// fit the processors, or a flood has its fill of those before seats run out. Of these, two are for tenants' short
// requests and one is for their lists: what the two processors on which tests run have work for.
var seats = []string{"max-requests-inflight=4", "max-mutating-requests-inflight=2"}

func TestMain(m *testing.M) {
	if os.Getenv(floodVariable) != "" {
		os.Exit(floodMain(os.Stdin, os.Stdout))
	}
	os.Exit(testMain(m))
}

func testMain(m *testing.M) (code int) {
	ctx, cancel := context.WithCancel(context.Background())
	ctrl.SetLogger(logr.Discard())
	var err error
	if cluster, err = testcluster.Start(seats...); err != nil {
		cancel()
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	ended := make(chan error, 1)
	if err = prepare(ctx, ended); err == nil {
		code = m.Run()
	}
	cancel()
	if ran := <-ended; err == nil {
		err = ran
	}
	if err = errors.Join(err, cluster.Stop()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// prepare starts Kubernetes' controllers and Bulkhead's. What the latter end with is sent to ended.
func prepare(ctx context.Context, ended chan<- error) error {
	started := false
	defer func() {
		if !started {
			ended <- nil
		}
	}()
	if err := cluster.StartControllerManager(ctx); err != nil {
		return err
	}
	cluster.Config.WarningHandler = rest.NoWarnings{}
	var err error
	if admin, err = client.NewWithWatch(cluster.Config, client.Options{Scheme: run.Scheme()}); err != nil {
		return err
	}
	bulkhead, err := cluster.User(desired.ControllerUser, desired.ControllerGroup)
	if err != nil {
		return err
	}
	objects := []client.Object{&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: v1alpha1.SystemNamespace}}}
	for _, o := range run.RBAC() {
		objects = append(objects, o)
	}
	objects = append(objects, &v1alpha1.Platform{
		ObjectMeta: metav1.ObjectMeta{Name: v1alpha1.PlatformName},
		Spec: v1alpha1.PlatformSpec{
			Environment: "Production", Registries: []string{"registry.example.com"},
			ProofFreshness: metav1.Duration{Duration: time.Hour},
			Network:        v1alpha1.PlatformNetwork{PodCIDRs: []string{"10.244.0.0/16"}, ServiceCIDRs: []string{"10.0.0.0/24"}},
		},
	})
	for _, o := range objects {
		if err := admin.Create(ctx, o); err != nil {
			return fmt.Errorf("create %T %s: %w", o, o.GetName(), err)
		}
	}
	started = true
	go func() {
		err := run.Run(ctx, &run.Options{Config: bulkhead, MetricsAddress: run.Off, HealthAddress: run.Off, PprofAddress: run.Off, Log: logr.Discard()})
		if errors.Is(err, context.Canceled) {
			err = nil
		}
		ended <- err
	}()
	return nil
}

// tenantWith makes a tenant with so many Spaces, owned by the user NAME-owner, and waits until all are ready.
func tenantWith(tb testing.TB, name string, spaces int, quota corev1.ResourceList) (*v1alpha1.Tenant, []*v1alpha1.Space) {
	tb.Helper()
	tenant := &v1alpha1.Tenant{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: v1alpha1.TenantSpec{
			Owners:   []v1alpha1.Owner{{Kind: "User", Name: name + "-owner"}},
			Boundary: "Inside", Quota: quota,
			Workloads: []v1alpha1.Workload{{Name: "web", Code: "Audited", Environment: "Production", APIAccess: "OwnNamespaces"}},
		},
	}
	must(tb, admin.Create(tb.Context(), tenant))
	waitReady(tb, tenant, func() []metav1.Condition { return tenant.Status.Conditions })
	list := make([]*v1alpha1.Space, spaces)
	for i := range list {
		list[i] = &v1alpha1.Space{
			ObjectMeta: metav1.ObjectMeta{Namespace: v1alpha1.HomeNamespace(name), Name: fmt.Sprintf("s%d", i)},
			Spec:       v1alpha1.SpaceSpec{Workload: "web"},
		}
		must(tb, admin.Create(tb.Context(), list[i]))
	}
	for _, s := range list {
		waitReady(tb, s, func() []metav1.Condition { return s.Status.Conditions })
	}
	return tenant, list
}

func waitReady(tb testing.TB, o client.Object, conditions func() []metav1.Condition) {
	tb.Helper()
	const patience = 2 * time.Minute
	deadline := time.Now().Add(patience)
	for !meta.IsStatusConditionTrue(conditions(), v1alpha1.ConditionReady) {
		if time.Now().After(deadline) {
			tb.Fatalf("%T %s is not ready after %s: %+v", o, o.GetName(), patience, conditions())
		}
		time.Sleep(50 * time.Millisecond)
		must(tb, admin.Get(tb.Context(), client.ObjectKeyFromObject(o), o))
	}
}

// as returns a client of a user with a certificate of its own.
func as(tb testing.TB, user string, groups ...string) client.Client {
	tb.Helper()
	config, err := cluster.User(user, groups...)
	must(tb, err)
	config.WarningHandler = rest.NoWarnings{}
	c, err := client.New(config, client.Options{Scheme: run.Scheme()})
	must(tb, err)
	return c
}

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

func amount(text string) resource.Quantity { return resource.MustParse(text) }
