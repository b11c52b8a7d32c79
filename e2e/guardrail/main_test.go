// Package desired shows on a real API server that what package guardrail renders is accepted, complete and of effect.
package guardrail_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/wait"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/decision/tenancy"
	"github.com/bulkhead-dev/bulkhead/guardrail"
	"github.com/bulkhead-dev/bulkhead/guardrail/quota"
	"github.com/bulkhead-dev/bulkhead/internal/testcluster"
)

var (
	config *rest.Config
	admin  client.Client
	scheme = runtime.NewScheme()
)

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	ctrllog.SetLogger(logr.Discard())
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	cluster, err := testcluster.Start()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() {
		if err := cluster.Stop(); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
	}()
	if err := cluster.StartControllerManager(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	config = cluster.Config
	if admin, err = client.New(config, client.Options{Scheme: scheme}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// as somebody else: a user with the groups that authentication would give.
func as(t *testing.T, user string, groups ...string) client.Client {
	t.Helper()
	c := rest.CopyConfig(config)
	c.Impersonate = rest.ImpersonationConfig{UserName: user, Groups: append(groups, "system:authenticated")}
	cl, err := client.New(c, client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	return cl
}

func list(pairs ...string) corev1.ResourceList {
	l := corev1.ResourceList{}
	for i := 0; i < len(pairs); i += 2 {
		l[corev1.ResourceName(pairs[i])] = resource.MustParse(pairs[i+1])
	}
	return l
}

func platform() *v1alpha1.Platform {
	return &v1alpha1.Platform{
		ObjectMeta: metav1.ObjectMeta{Name: v1alpha1.PlatformName},
		Spec: v1alpha1.PlatformSpec{
			Environment:     "Production",
			Registries:      []string{"registry.example.com"},
			StorageClasses:  []string{"fast"},
			PriorityClasses: []string{"business"},
			SchedulerNames:  []string{"default-scheduler"},
			SandboxRuntimes: []string{"gvisor"},
			Network: v1alpha1.PlatformNetwork{
				PodCIDRs:      []string{"10.244.0.0/16", "fd00:10:244::/56"},
				ServiceCIDRs:  []string{"10.0.0.0/24", "fd00:10:96::/112"},
				ExternalCIDRs: []string{"0.0.0.0/0", "::/0"},
			},
			Services: []v1alpha1.PlatformService{
				{Name: "bus", Namespace: "messaging", PodLabels: map[string]string{"app": "nats"}},
			},
			Flows:           []v1alpha1.TenantFlow{{From: "shop", To: "payments"}},
			TenantResources: []v1alpha1.TenantResource{{Group: "acid.zalan.do", Resources: []string{"postgresqls"}}},
		},
	}
}

func tenant(name string, quota corev1.ResourceList) *v1alpha1.Tenant {
	return &v1alpha1.Tenant{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: v1alpha1.TenantSpec{
			Owners: []v1alpha1.Owner{
				{Kind: "User", Name: "ann@" + name}, {Kind: "Group", Name: name + "-developers"},
				{Kind: "ServiceAccount", Name: "deployer", Namespace: name + "--ci"},
			},
			Boundary: "Inside", Quota: quota, IngressHosts: []string{"www." + name + ".example"},
			Workloads: []v1alpha1.Workload{{Name: "web", Code: "Audited", Environment: "Production"}},
		},
	}
}

func space(t *v1alpha1.Tenant, name string) guardrail.SpaceInput {
	p := platform()
	return guardrail.SpaceInput{
		Platform: p, Tenant: t, Decision: tenancy.Outcome{Pattern: tenancy.PatternSoft},
		Space: &v1alpha1.Space{
			ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: v1alpha1.HomeNamespace(t.Name)},
			Spec:       v1alpha1.SpaceSpec{Workload: "web"},
		},
		Quota: quota.Split(guardrail.TenantQuota(p, t), nil, []quota.Share{{Space: name}}).Grants[0].Hard,
	}
}

// everything of a Space at once: flows of each kind, waivers, a sandbox.
func fullSpace() guardrail.SpaceInput {
	t := tenant("shop", list("requests.cpu", "8", "limits.cpu", "16", "requests.memory", "16Gi", "limits.memory", "32Gi",
		"requests.storage", "100Gi", "requests.ephemeral-storage", "10Gi", "pods", "33"))
	in := space(t, "front")
	in.Decision = tenancy.Outcome{Pattern: tenancy.PatternSoftAffinity, Sandboxed: true, RuntimeClass: "gvisor"}
	end := int32(9010)
	ports := []v1alpha1.FlowPort{
		{Protocol: "TCP", Port: intstr.FromInt32(443)}, {Protocol: "TCP", Port: intstr.FromInt32(9000), EndPort: &end},
		{Protocol: "UDP", Port: intstr.FromString("metrics")},
	}
	in.Space.Spec.To = []v1alpha1.Flow{
		{Space: "back", Ports: ports}, {Space: "back", Pods: map[string]string{"app": "admin"}},
		{Tenant: "payments", Space: "api", Ports: ports}, {Service: "bus"}, {CIDR: "0.0.0.0/0", Ports: ports},
		{CIDR: "::/0"}, {CIDR: "203.0.113.9/24"},
	}
	in.Space.Spec.From = []v1alpha1.Flow{{Service: "bus", Pods: map[string]string{"app": "web"}}}
	back := in.Space.DeepCopy()
	back.Name, back.Spec.From = "back", nil
	api := &v1alpha1.Space{
		ObjectMeta: metav1.ObjectMeta{Name: "api", Namespace: "tenant-payments"},
		Spec:       v1alpha1.SpaceSpec{From: []v1alpha1.Flow{{Tenant: "shop", Space: "front"}}},
	}
	in.Peers = []*v1alpha1.Space{back, api}
	expires := metav1.NewTime(time.Date(2031, 1, 1, 0, 0, 0, 0, time.UTC))
	in.Waivers = []guardrail.ActiveWaiver{
		{Control: "pod-security", Name: "legacy", Expires: expires},
		{Control: "images", Name: strings.Repeat("long.name.", 20) + "x", Expires: expires},
	}
	return in
}

// content of an object as it is written: without what the API server or others keep in it.
func content(t *testing.T, o guardrail.Object) *unstructured.Unstructured {
	t.Helper()
	raw, err := runtime.DefaultUnstructuredConverter.ToUnstructured(o)
	if err != nil {
		t.Fatal(err)
	}
	u := &unstructured.Unstructured{Object: raw}
	unstructured.RemoveNestedField(u.Object, "status")
	unstructured.RemoveNestedField(u.Object, "metadata", "creationTimestamp")
	return u
}

func apply(t *testing.T, objects []guardrail.Object) {
	t.Helper()
	for _, o := range objects {
		u := content(t, o)
		if err := write(u); err != nil {
			t.Fatalf("%s %s/%s: %v", u.GetKind(), u.GetNamespace(), u.GetName(), err)
		}
	}
}

func write(u *unstructured.Unstructured) error {
	return admin.Apply(context.Background(), client.ApplyConfigurationFromUnstructured(u), client.ForceOwnership,
		client.FieldOwner(v1alpha1.ManagedBy))
}

// eventually polls until f is content, and reports its last word if it never is.
func eventually(t *testing.T, f func(context.Context) error) {
	t.Helper()
	var last error
	err := wait.PollUntilContextTimeout(context.Background(), 50*time.Millisecond, 30*time.Second, true,
		func(ctx context.Context) (bool, error) {
			last = f(ctx)
			return last == nil, nil
		})
	if err != nil {
		t.Fatalf("%v: %v", err, last)
	}
}
