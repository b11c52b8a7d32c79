package guardrail_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/guardrail"
)

// Promise: every rendered object is accepted as it is, comes back exactly as rendered, so that any difference is
// somebody's change, and is not written again by being applied again.
func TestRenderedObjectsAreComplete(t *testing.T) {
	full := fullSpace()
	plain := space(tenant("plain", list("pods", "3", "limits.memory", "64Mi", "requests.cpu", "0")), "only")
	plain.Space.Spec.Internal = "Closed"
	fullObjects, closed := guardrail.Space(full)
	if len(closed) > 0 {
		t.Errorf("closed: %v", closed)
	}
	plainObjects, _ := guardrail.Space(plain)
	objects := guardrail.Cluster(platform())
	objects = append(objects, guardrail.Tenant(full.Tenant, []string{"shop--front", "shop--back"})...)
	objects = append(objects, fullObjects...)
	objects = append(objects, guardrail.Tenant(plain.Tenant, nil)...)
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
		if err := admin.Get(ctx, client.ObjectKey{Namespace: namespace, Name: v1alpha1.QuotaName}, &q); err != nil {
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
	objects, _ := guardrail.Space(space(ten, "web"))
	apply(t, guardrail.Cluster(platform()))
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
		objects, _ := guardrail.Space(space(tenant(name, list("pods", "3")), "web"))
		apply(t, guardrail.Cluster(platform()))
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

// Promise: owners make Spaces in their home namespace up to the tenant's number of them, and nothing else there.
func TestHomeIsForSpacesOnly(t *testing.T) {
	ten := tenant("homely", list("pods", "3", string(v1alpha1.CountSpaces), "1"))
	apply(t, guardrail.Cluster(platform()))
	apply(t, guardrail.Tenant(ten, nil))
	const home = "tenant-homely"
	ready(t, home)
	owner := as(t, "ann@homely")
	one := func(name string) *v1alpha1.Space {
		return &v1alpha1.Space{
			ObjectMeta: metav1.ObjectMeta{Namespace: home, Name: name}, Spec: v1alpha1.SpaceSpec{Workload: "web"},
		}
	}
	eventually(t, func(ctx context.Context) error { // the quota counts Spaces once it has seen their definition
		err := owner.Create(ctx, one("first"))
		if apierrors.IsAlreadyExists(err) {
			return nil
		}
		return err
	})
	eventually(t, func(ctx context.Context) error {
		err := owner.Create(ctx, one("second"), client.DryRunAll)
		if !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "exceeded quota: bulkhead") {
			return fmt.Errorf("the second Space of one: %w", err)
		}
		return nil
	})
	err := owner.Create(context.Background(), pod(home, "p", corev1.ResourceRequirements{}))
	if !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "cannot create resource") {
		t.Errorf("a pod in the home namespace: %v", err)
	}
	err = admin.Create(context.Background(), pod(home, "p", corev1.ResourceRequirements{}))
	if !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "exceeded quota: bulkhead") {
		t.Errorf("a pod of the administrator's in the home namespace: %v", err)
	}
}

// Promise: each subject that acts for a tenant, user, group or what runs in its Spaces, is in its one flow, with lists in their own. Of others only
// what they ask in its namespaces is, but of the cluster's own components.
func TestRequestsAreInTheTenantsFlow(t *testing.T) {
	apply(t, guardrail.Cluster(platform()))
	apply(t, guardrail.Tenant(tenant("flow", list("pods", "3")), []string{"flow--web"}))
	schemas := map[string]string{
		"/version": v1alpha1.FlowSchemaName("flow"), "/api/v1/namespaces/flow--web/pods/none": v1alpha1.FlowSchemaName("flow"),
		"/api/v1/namespaces/flow--web/pods": v1alpha1.ListsFlowSchemaName("flow"), "/api/v1/nodes?watch=1&timeoutSeconds=1": v1alpha1.ListsFlowSchemaName("flow"),
	}
	for path, name := range schemas {
		schema := &flowcontrolv1.FlowSchema{}
		if err := admin.Get(context.Background(), client.ObjectKey{Name: name}, schema); err != nil {
			t.Fatal(err)
		}
		schemas[path] = string(schema.UID)
	}
	for _, c := range []struct {
		user, group    string
		inside, beyond bool // the tenant's namespaces
	}{
		{"ann@flow", "", true, true},
		{"anybody", "flow-developers", true, true},
		{"system:serviceaccount:flow--web:default", "system:serviceaccounts:flow--web", true, true},
		{"system:serviceaccount:tenant-flow:default", "system:serviceaccounts", true, true},
		{"ann@other", "", true, false},
		{"system:serviceaccount:flow--other:default", "system:serviceaccounts", true, false},
		{"system:serviceaccount:kube-system:flow--web", "system:serviceaccounts:kube-system", false, false},
	} {
		for path, want := range schemas {
			eventually(t, func(ctx context.Context) error { // the API server takes a moment to see new FlowSchemas
				uid, err := flowOf(ctx, c.user, c.group, path)
				if err != nil {
					return err
				}
				belongs := c.beyond
				if strings.Contains(path, "/namespaces/") {
					belongs = c.inside
				}
				if (uid == want) != belongs {
					return fmt.Errorf("%s of %s is in flow %s, the tenant's is %s", path, c.user, uid, want)
				}
				return nil
			})
		}
	}
}

// flowOf a request: the FlowSchema that the API server says it has put it into.
func flowOf(ctx context.Context, user, group, path string) (string, error) {
	c := rest.CopyConfig(config)
	c.Impersonate = rest.ImpersonationConfig{UserName: user, Groups: []string{"system:authenticated", group}}
	if group == "" {
		c.Impersonate.Groups = c.Impersonate.Groups[:1]
	}
	transport, err := rest.TransportFor(c)
	if err != nil {
		return "", err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(c.Host, "/")+path, nil)
	if err != nil {
		return "", err
	}
	response, err := transport.RoundTrip(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	return response.Header.Get(flowcontrolv1.ResponseHeaderMatchedFlowSchemaUID), nil
}
