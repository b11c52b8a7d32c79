// Package agreement_test has the prover and the attacker judge the same platform, after mistakes were made on it: whatever one of
// them sees, the other must.
package agreement_test

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	nodev1 "k8s.io/api/node/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/internal/run"
	"github.com/bulkhead-dev/bulkhead/internal/testbulkhead"
	"github.com/bulkhead-dev/bulkhead/internal/testcluster"
)

var (
	cluster *testcluster.Cluster
	// admin makes the mistakes: with every right.
	admin client.Client
)

func TestMain(m *testing.M) { os.Exit(testcluster.Main(m, nil, prepare)) }

// prepare has Bulkhead enforce a platform with a tenant of each pattern that shares a cluster, and stops it: what is changed then
// stays changed.
func prepare(ctx context.Context, c *testcluster.Cluster) error {
	cluster = c
	config, err := cluster.User("careless", "system:masters")
	if err != nil {
		return err
	}
	config.WarningHandler = rest.NoWarnings{}
	if admin, err = client.New(config, client.Options{Scheme: run.Scheme()}); err != nil {
		return err
	}
	ci := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "ci"}}
	if err := testbulkhead.Install(ctx, admin, append([]client.Object{ci}, declared()...)...); err != nil {
		return err
	}
	enforcing, stop := context.WithCancel(ctx)
	defer stop()
	ended, err := testbulkhead.Start(enforcing, cluster)
	if err != nil {
		return err
	}
	for _, tenant := range []string{"newsroom", "press", "archive"} {
		if err := makeSpace(ctx, tenant); err != nil {
			return err
		}
	}
	stop()
	return ended()
}

func declared() []client.Object {
	platform := &v1alpha1.Platform{
		ObjectMeta: metav1.ObjectMeta{Name: v1alpha1.PlatformName},
		Spec: v1alpha1.PlatformSpec{
			Environment: "Production", Registries: []string{"registry.example.com"}, StorageClasses: []string{"fast"}, SandboxRuntimes: []string{"gvisor"},
			SchedulerNames: []string{"default-scheduler"}, PriorityClasses: []string{"business"}, ProofFreshness: metav1.Duration{Duration: time.Hour},
			Network:    v1alpha1.PlatformNetwork{PodCIDRs: []string{"10.244.0.0/16"}, ServiceCIDRs: []string{"10.0.0.0/24"}},
			NodeGroups: []v1alpha1.NodeGroup{{Name: "press", NodeLabels: map[string]string{"pool": "press"}, Tenant: "press"}},
		},
	}
	node := func(name, pool string) client.Object {
		return &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{corev1.LabelHostname: name, "pool": pool}}}
	}
	tenant := func(name string, workload v1alpha1.Workload, owners ...v1alpha1.Owner) client.Object {
		workload.Name, workload.Environment = "web", "Production"
		return &v1alpha1.Tenant{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: v1alpha1.TenantSpec{
			Owners: owners, Boundary: "Inside", Workloads: []v1alpha1.Workload{workload}, IngressHosts: []string{name + ".example.com"},
			Quota: corev1.ResourceList{corev1.ResourceRequestsCPU: resource.MustParse("4"), corev1.ResourceRequestsMemory: resource.MustParse("8Gi"),
				corev1.ResourcePods: resource.MustParse("20"), corev1.ResourceRequestsStorage: resource.MustParse("10Gi")},
		}}
	}
	deleted := corev1.PersistentVolumeReclaimDelete
	return []client.Object{
		platform, node("shared", "shared"), node("dedicated", "press"),
		&nodev1.RuntimeClass{ObjectMeta: metav1.ObjectMeta{Name: "gvisor"}, Handler: "runsc"},
		&nodev1.RuntimeClass{ObjectMeta: metav1.ObjectMeta{Name: "native"}, Handler: "runc"},
		&schedulingv1.PriorityClass{ObjectMeta: metav1.ObjectMeta{Name: "business"}, Value: 1000, PreemptionPolicy: new(corev1.PreemptNever)},
		&storagev1.StorageClass{ObjectMeta: metav1.ObjectMeta{Name: "fast"}, Provisioner: "example.invalid/none", ReclaimPolicy: &deleted},
		tenant("newsroom", v1alpha1.Workload{Code: "Audited"}, v1alpha1.Owner{Kind: "User", Name: "jane"}, v1alpha1.Owner{Kind: "Group", Name: "newsroom"}),
		tenant("press", v1alpha1.Workload{Code: "ThirdParty", Performance: "Guaranteed", APIAccess: "OwnNamespaces"}, v1alpha1.Owner{Kind: "User", Name: "joe"}),
		tenant("archive", v1alpha1.Workload{Code: "Audited"}, v1alpha1.Owner{Kind: "ServiceAccount", Namespace: "ci", Name: "deployer"}),
	}
}

// makeSpace asks for the tenant's Space and waits until it is enforced.
func makeSpace(ctx context.Context, tenant string) error {
	space := &v1alpha1.Space{ObjectMeta: metav1.ObjectMeta{Namespace: v1alpha1.HomeNamespace(tenant), Name: "web"}, Spec: v1alpha1.SpaceSpec{Workload: "web"}}
	var last error
	err := wait.PollUntilContextTimeout(ctx, 100*time.Millisecond, 2*time.Minute, true, func(ctx context.Context) (bool, error) {
		if space.UID == "" {
			last = admin.Create(ctx, space) // as soon as the home namespace is there
			return false, nil
		}
		last = admin.Get(ctx, client.ObjectKeyFromObject(space), space)
		return last == nil && meta.IsStatusConditionTrue(space.Status.Conditions, v1alpha1.ConditionEnforced), nil
	})
	if err != nil {
		return fmt.Errorf("wait for the Space of %s: %w (%w): %+v", tenant, err, last, space.Status.Conditions)
	}
	return nil
}
