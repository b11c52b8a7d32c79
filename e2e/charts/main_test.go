// Package charts_test shows that popular applications, in the shape in which their charts ship, run in a Space: as they are, or after
// the values that the refusals name. The fixtures are written after the charts' defaults, in own words.
package charts_test

import (
	"context"
	"os"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
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

// tenantName is the one tenant, whose owner applies every chart into a Space of its own.
const tenantName = "apps"

// Clients of the control plane that all tests share.
var admin, owner client.Client

func TestMain(m *testing.M) { os.Exit(testcluster.Main(m, nil, prepare)) }

// prepare starts Bulkhead on a platform of a kind that many have: public registries, one StorageClass, scraped metrics.
func prepare(ctx context.Context, c *testcluster.Cluster) (err error) {
	if admin, err = client.New(c.Config, client.Options{Scheme: run.Scheme()}); err != nil {
		return err
	}
	config, err := c.User("owner@" + tenantName)
	if err != nil {
		return err
	}
	config.WarningHandler = rest.NoWarnings{}
	if owner, err = client.New(config, client.Options{Scheme: run.Scheme()}); err != nil {
		return err
	}
	standard := &storagev1.StorageClass{ObjectMeta: metav1.ObjectMeta{Name: "standard", Annotations: map[string]string{"storageclass.kubernetes.io/is-default-class": "true"}},
		Provisioner: "csi.example.com"}
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "node"}}
	platform := &v1alpha1.Platform{ObjectMeta: metav1.ObjectMeta{Name: v1alpha1.PlatformName}, Spec: v1alpha1.PlatformSpec{
		Environment: "Production", Registries: []string{"docker.io", "quay.io", "public.ecr.aws", "us-docker.pkg.dev"},
		StorageClasses: []string{"standard"}, Annotations: []string{"prometheus.io", "helm.sh"}, ProofFreshness: metav1.Duration{Duration: time.Hour},
		Network:         v1alpha1.PlatformNetwork{PodCIDRs: []string{"10.244.0.0/16"}, ServiceCIDRs: []string{"10.0.0.0/24"}},
		TenantResources: []v1alpha1.TenantResource{{Group: "argoproj.io", Resources: []string{"workflows", "workflowtemplates", "cronworkflows", "workflowtasksets"}}},
	}}
	if err := testbulkhead.Install(ctx, admin, standard, node, platform); err != nil {
		return err
	}
	_, err = testbulkhead.Start(ctx, c)
	return err
}

// makeSpaces makes the tenant, and a Space for each shape, and waits until all are ready.
func makeSpaces(t *testing.T, shapes []shape) {
	t.Helper()
	amounts := corev1.ResourceList{}
	for name, amount := range map[corev1.ResourceName]string{"requests.cpu": "120", "limits.cpu": "240", "requests.memory": "240Gi", "limits.memory": "480Gi",
		"requests.storage": "1200Gi", "requests.ephemeral-storage": "240Gi", "limits.ephemeral-storage": "480Gi", "pods": "480", "services.loadbalancers": "24"} {
		amounts[name] = resource.MustParse(amount)
	}
	workload := func(name string, access v1alpha1.APIAccess) v1alpha1.Workload {
		return v1alpha1.Workload{Name: name, Code: "Audited", Environment: "Production", APIAccess: access}
	}
	tenant := &v1alpha1.Tenant{ObjectMeta: metav1.ObjectMeta{Name: tenantName}, Spec: v1alpha1.TenantSpec{
		Owners: []v1alpha1.Owner{{Kind: "User", Name: "owner@" + tenantName}}, Boundary: "Inside", Quota: amounts,
		Workloads: []v1alpha1.Workload{workload("plain", "None"), workload("calling", "OwnNamespaces")},
	}}
	if err := admin.Create(t.Context(), tenant); err != nil {
		t.Fatal(err)
	}
	ready(t, tenant, func() []metav1.Condition { return tenant.Status.Conditions })
	for _, s := range shapes {
		space := &v1alpha1.Space{ObjectMeta: metav1.ObjectMeta{Namespace: v1alpha1.HomeNamespace(tenantName), Name: s.name}, Spec: v1alpha1.SpaceSpec{Workload: "plain"}}
		if s.callsAPI {
			space.Spec.Workload = "calling"
		}
		if err := owner.Create(t.Context(), space); err != nil {
			t.Fatal(err)
		}
	}
	for _, s := range shapes {
		space := &v1alpha1.Space{ObjectMeta: metav1.ObjectMeta{Namespace: v1alpha1.HomeNamespace(tenantName), Name: s.name}}
		ready(t, space, func() []metav1.Condition { return space.Status.Conditions })
	}
}

func ready(t *testing.T, o client.Object, conditions func() []metav1.Condition) {
	t.Helper()
	err := wait.PollUntilContextTimeout(t.Context(), 100*time.Millisecond, 2*time.Minute, true, func(ctx context.Context) (bool, error) {
		err := admin.Get(ctx, client.ObjectKeyFromObject(o), o)
		return meta.IsStatusConditionTrue(conditions(), v1alpha1.ConditionReady), err
	})
	if err != nil {
		t.Fatalf("%T %s is not ready: %v %+v", o, o.GetName(), err, conditions())
	}
}
