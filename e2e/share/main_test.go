// Package share_test shows, with real writers against a real API server, that no tenant takes more than its share: its
// quota holds whatever its writers race for, and its flood leaves the API server to others.
package share_test

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

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

// What all tests of this package share.
var (
	cluster *testcluster.Cluster
	admin   client.WithWatch
)

// serverFlags: the API server's seats are what it works on at the same time. Priority and fairness divides seats, so their number must
// fit the processors, or a flood has its fill of those before seats run out. These are what `bulkhead check` asks for the
// two processors on which tests run: one seat for the short requests of a tenant's priority level, and one for lists.
// Nothing is compressed, as it asks for too (BHC208): that is work, and on behalf of whoever asks for most.
var serverFlags = []string{"max-requests-inflight=6", "max-mutating-requests-inflight=4", "feature-gates=APIResponseCompression=false"}

// serverSettings are for what is started from here, the API server and etcd (docs/performance.md). Lists of large objects
// are mostly garbage, and to collect it takes processors from everybody; to do it less often costs memory, up to five
// times what is live. With more threads than processors it is the kernel that divides those, and it takes one from a long
// list sooner than Go does.
var serverSettings = map[string]string{"GOGC": "400", "GOMAXPROCS": "8"}

func TestMain(m *testing.M) {
	if os.Getenv(floodVariable) != "" {
		os.Exit(floodMain(os.Stdin, os.Stdout))
	}
	for name, value := range serverSettings {
		if err := os.Setenv(name, value); err != nil {
			panic(err)
		}
	}
	os.Exit(testcluster.Main(m, serverFlags, prepare))
}

// prepare starts Bulkhead's controllers on a platform.
func prepare(ctx context.Context, c *testcluster.Cluster) (err error) {
	cluster = c
	if admin, err = client.NewWithWatch(cluster.Config, client.Options{Scheme: run.Scheme()}); err != nil {
		return err
	}
	if err := testbulkhead.Install(ctx, admin, &v1alpha1.Platform{
		ObjectMeta: metav1.ObjectMeta{Name: v1alpha1.PlatformName},
		Spec: v1alpha1.PlatformSpec{
			Environment: "Production", Registries: []string{"registry.example.com"},
			ProofFreshness: metav1.Duration{Duration: time.Hour},
			Network:        v1alpha1.PlatformNetwork{PodCIDRs: []string{"10.244.0.0/16"}, ServiceCIDRs: []string{"10.0.0.0/24"}},
		},
	}); err != nil {
		return err
	}
	_, err = testbulkhead.Start(ctx, cluster)
	return err
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
