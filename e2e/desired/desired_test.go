// Package desired shows on a real API server that what package desired renders is accepted, complete and of effect.
package desired_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/decision"
	"github.com/bulkhead-dev/bulkhead/desired"
	"github.com/bulkhead-dev/bulkhead/internal/testcluster"
)

var (
	config *rest.Config
	admin  client.Client
)

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
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
	if admin, err = client.New(config, client.Options{}); err != nil {
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
	cl, err := client.New(c, client.Options{})
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

func space(t *v1alpha1.Tenant, name string) desired.SpaceInput {
	p := platform()
	return desired.SpaceInput{
		Platform: p, Tenant: t, Decision: decision.TenancyDecision{Pattern: decision.PatternSoft},
		Space: &v1alpha1.Space{
			ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: v1alpha1.HomeNamespace(t.Name)},
			Spec:       v1alpha1.SpaceSpec{Workload: "web"},
		},
		Quota: desired.Split(desired.TenantQuota(p, t), nil, []desired.SpaceShare{{Space: name}}).Grants[0].Hard,
	}
}

// everything of a Space at once: flows of each kind, waivers, a sandbox.
func fullSpace() desired.SpaceInput {
	t := tenant("shop", list("requests.cpu", "8", "limits.cpu", "16", "requests.memory", "16Gi", "limits.memory", "32Gi",
		"requests.storage", "100Gi", "requests.ephemeral-storage", "10Gi", "pods", "33"))
	in := space(t, "front")
	in.Decision = decision.TenancyDecision{Pattern: decision.PatternSoftAffinity, Sandboxed: true, RuntimeClass: "gvisor"}
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
	in.Waivers = []desired.ActiveWaiver{
		{Control: "pod-security", Name: "legacy", Expires: expires},
		{Control: "images", Name: strings.Repeat("long.name.", 20) + "x", Expires: expires},
	}
	return in
}

// content of an object as it is written: without what the API server or others keep in it.
func content(t *testing.T, o desired.Object) *unstructured.Unstructured {
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

func apply(t *testing.T, objects []desired.Object) {
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

// Promise: every rendered object is accepted as it is, comes back exactly as rendered, so that any difference is
// somebody's change, and is not written again by being applied again.
func TestRenderedObjectsAreComplete(t *testing.T) {
	full := fullSpace()
	plain := space(tenant("plain", list("pods", "3", "limits.memory", "64Mi", "requests.cpu", "0")), "only")
	plain.Space.Spec.Internal = "Closed"
	fullObjects, closed := desired.Space(full)
	if len(closed) > 0 {
		t.Errorf("closed: %v", closed)
	}
	plainObjects, _ := desired.Space(plain)
	objects := desired.Cluster(platform())
	objects = append(objects, desired.Tenant(full.Tenant, []string{"shop--front", "shop--back"})...)
	objects = append(objects, fullObjects...)
	objects = append(objects, desired.Tenant(plain.Tenant, nil)...)
	objects = append(objects, plainObjects...)
	apply(t, objects)
	for _, o := range objects {
		want := content(t, o)
		name := fmt.Sprintf("%s %s/%s", want.GetKind(), want.GetNamespace(), want.GetName())
		live := &unstructured.Unstructured{}
		live.SetGroupVersionKind(want.GroupVersionKind())
		if err := admin.Get(context.Background(), client.ObjectKeyFromObject(want), live); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for key, value := range want.GetLabels() {
			if live.GetLabels()[key] != value {
				t.Errorf("%s: label %s is %q, want %q", name, key, live.GetLabels()[key], value)
			}
		}
		for key, value := range want.GetAnnotations() {
			if live.GetAnnotations()[key] != value {
				t.Errorf("%s: annotation %s is %q, want %q", name, key, live.GetAnnotations()[key], value)
			}
		}
		unstructured.RemoveNestedField(live.Object, "metadata")
		unstructured.RemoveNestedField(live.Object, "status")
		unstructured.RemoveNestedField(want.Object, "metadata")
		if diff := cmp.Diff(want.Object, live.Object); diff != "" {
			t.Errorf("%s (-rendered +live)\n%s", name, diff)
		}
		eventually(t, func(ctx context.Context) error { // others may write its status in between
			live := &unstructured.Unstructured{}
			live.SetGroupVersionKind(want.GroupVersionKind())
			if err := admin.Get(ctx, client.ObjectKeyFromObject(o), live); err != nil {
				return err
			}
			again := content(t, o)
			if err := write(again); err != nil {
				return err
			}
			if again.GetResourceVersion() != live.GetResourceVersion() {
				return fmt.Errorf("%s: applying it again wrote it again", name)
			}
			return nil
		})
	}
}

func pod(namespace, name string, resources corev1.ResourceRequirements) *corev1.Pod {
	yes, no := true, false
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec: corev1.PodSpec{
			AutomountServiceAccountToken: &no,
			SecurityContext: &corev1.PodSecurityContext{
				RunAsNonRoot: &yes, SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
			},
			Containers: []corev1.Container{{
				Name: "web", Image: "registry.example.com/web:1", ImagePullPolicy: corev1.PullAlways, Resources: resources,
				SecurityContext: &corev1.SecurityContext{
					AllowPrivilegeEscalation: &no, Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
				},
			}},
		},
	}
}

// ready waits until the quota binds and pods can be created at all.
func ready(t *testing.T, namespace string) {
	t.Helper()
	eventually(t, func(ctx context.Context) error {
		var q corev1.ResourceQuota
		if err := admin.Get(ctx, client.ObjectKey{Namespace: namespace, Name: desired.QuotaName}, &q); err != nil {
			return err
		}
		if len(q.Status.Hard) != len(q.Spec.Hard) {
			return fmt.Errorf("status.hard has %d of %d", len(q.Status.Hard), len(q.Spec.Hard))
		}
		return admin.Get(ctx, client.ObjectKey{Namespace: namespace, Name: "default"}, &corev1.ServiceAccount{})
	})
}

// Promise: in a small quota, an owner runs as many pods without requests as the quota counts, and no more; and a limit or
// a request of 0, which would cost nothing and mean no limit, is refused by the LimitRange.
func TestQuotaAndLimitsHold(t *testing.T) {
	ten := tenant("small", list("requests.cpu", "100m", "limits.cpu", "200m", "limits.memory", "64Mi", "pods", "4"))
	objects, _ := desired.Space(space(ten, "web"))
	apply(t, desired.Cluster(platform()))
	apply(t, objects)
	const namespace = "small--web"
	ready(t, namespace)
	owner := as(t, "ann@small")
	zero := resource.MustParse("0")
	for _, name := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory} {
		for _, r := range []corev1.ResourceRequirements{
			{Limits: corev1.ResourceList{name: zero}}, {Requests: corev1.ResourceList{name: zero}},
		} {
			err := owner.Create(context.Background(), pod(namespace, "free", r))
			if !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "minimum "+string(name)+" usage per Container") {
				t.Errorf("%v: %v", r, err)
			}
		}
	}
	for says, level := range map[string]corev1.ResourceRequirements{ // of the pod as a whole
		"must be less than or equal to memory limit of 0": {Limits: list("memory", "0")},
		"aggregate container requests":                    {Requests: list("cpu", "0")},
		"exceeded quota: bulkhead":                        {Limits: list("memory", "100Gi")},
	} {
		whole := pod(namespace, "free", corev1.ResourceRequirements{})
		whole.Spec.Resources = &level
		if err := owner.Create(context.Background(), whole); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%v for the whole pod: %v", level, err)
		}
	}
	for i := range 4 {
		if err := owner.Create(context.Background(), pod(namespace, fmt.Sprintf("p%d", i), corev1.ResourceRequirements{})); err != nil {
			t.Fatalf("pod %d of 4: %v", i, err)
		}
	}
	running := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "p0"}}
	err := owner.SubResource("resize").Patch(context.Background(), running, client.RawPatch(types.StrategicMergePatchType,
		[]byte(`{"spec":{"containers":[{"name":"web","resources":{"requests":{"cpu":"0"},"limits":{"cpu":"0"}}}]}}`)))
	if !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "minimum cpu usage per Container") {
		t.Errorf("resize to 0: %v", err)
	}
	err = owner.Create(context.Background(), pod(namespace, "p4", corev1.ResourceRequirements{}))
	if !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "exceeded quota: bulkhead") {
		t.Errorf("the fifth pod of four: %v", err)
	}
}

// Promise: an owner reads its own namespace's object and no other's, and lists none.
func TestOwnersSeeTheirOwnNamespaceOnly(t *testing.T) {
	for _, name := range []string{"left", "right"} {
		objects, _ := desired.Space(space(tenant(name, list("pods", "3")), "web"))
		apply(t, desired.Cluster(platform()))
		apply(t, objects)
	}
	owner := as(t, "somebody", "left-developers")
	get := func(name string) error {
		return owner.Get(context.Background(), client.ObjectKey{Name: name}, &corev1.Namespace{})
	}
	eventually(t, func(context.Context) error { return get("left--web") }) // rights take a moment to be seen
	for _, name := range []string{"right--web", "tenant-left", "default"} {
		if err := get(name); !apierrors.IsForbidden(err) {
			t.Errorf("get namespace %s: %v", name, err)
		}
	}
	if err := owner.List(context.Background(), &corev1.NamespaceList{}); !apierrors.IsForbidden(err) {
		t.Errorf("list namespaces: %v", err)
	}
	err := owner.Delete(context.Background(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "left--web"}})
	if !apierrors.IsForbidden(err) {
		t.Errorf("delete one's own namespace: %v", err)
	}
}
