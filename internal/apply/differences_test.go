package apply

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/decision/tenancy"
	"github.com/bulkhead-dev/bulkhead/guardrail"
)

func quota(change ...func(*corev1.ResourceQuota)) client.Object {
	q := &corev1.ResourceQuota{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "ResourceQuota"},
		ObjectMeta: metav1.ObjectMeta{
			Name: "q", Namespace: "n", Labels: map[string]string{v1alpha1.LabelManagedBy: v1alpha1.ManagedBy, v1alpha1.LabelTenant: "t"},
		},
		Spec: corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{"pods": resource.MustParse("10"), "requests.memory": resource.MustParse("1Gi")}},
	}
	for _, c := range change {
		c(q)
	}
	return q
}

func namespace(change ...func(*corev1.Namespace)) client.Object {
	n := &corev1.Namespace{
		ObjectMeta: metav1.ObjectMeta{Name: "n", Labels: map[string]string{v1alpha1.LabelTenant: "t", "pod-security.kubernetes.io/enforce": "restricted"}},
		Spec:       corev1.NamespaceSpec{Finalizers: []corev1.FinalizerName{"kubernetes"}},
	}
	for _, c := range change {
		c(n)
	}
	return n
}

// Promise: every departure from the rendering is seen and named, and what others may add is left alone. overwrite puts
// right exactly what compare sees.
func TestCompare(t *testing.T) {
	binding := func(role string) client.Object {
		return &rbacv1.RoleBinding{RoleRef: rbacv1.RoleRef{Kind: "ClusterRole", Name: role}, Subjects: []rbacv1.Subject{{Kind: "User", Name: "u"}}}
	}
	for _, c := range []struct {
		name       string
		want, have client.Object
		fields     []string
		extra      bool
		immutable  bool
	}{
		{name: "equal", want: quota(), have: quota()},
		{name: "another way to write an amount", want: quota(), have: quota(func(q *corev1.ResourceQuota) {
			q.Spec.Hard["requests.memory"] = resource.MustParse("1024Mi")
		})},
		{name: "status is the API server's", want: quota(), have: quota(func(q *corev1.ResourceQuota) {
			q.Status.Hard = corev1.ResourceList{"pods": resource.MustParse("3")}
		})},
		{name: "labels, annotations and finalizers of others", want: quota(), have: quota(func(q *corev1.ResourceQuota) {
			q.Labels["team"], q.Annotations, q.Finalizers = "x", map[string]string{"note": "x"}, []string{"example.com/x"}
		})},
		{name: "empty and absent lists are the same",
			want: &networkingv1.NetworkPolicy{Spec: networkingv1.NetworkPolicySpec{Ingress: []networkingv1.NetworkPolicyIngressRule{}}},
			have: &networkingv1.NetworkPolicy{}},
		{name: "amount raised", want: quota(), have: quota(func(q *corev1.ResourceQuota) { q.Spec.Hard["pods"] = resource.MustParse("11") }),
			fields: []string{"spec.hard[pods]"}},
		{name: "amount removed", want: quota(), have: quota(func(q *corev1.ResourceQuota) { delete(q.Spec.Hard, "pods") }),
			fields: []string{"spec.hard[pods]"}},
		{name: "amount added", want: quota(), have: quota(func(q *corev1.ResourceQuota) { q.Spec.Hard["services"] = resource.MustParse("1") }),
			fields: []string{"spec.hard[services]"}, extra: true},
		{name: "scope added", want: quota(), have: quota(func(q *corev1.ResourceQuota) { q.Spec.Scopes = []corev1.ResourceQuotaScope{"BestEffort"} }),
			fields: []string{"spec.scopes"}, extra: true},
		{name: "mark removed", want: quota(), have: quota(func(q *corev1.ResourceQuota) { delete(q.Labels, v1alpha1.LabelTenant) }),
			fields: []string{"metadata.labels[bulkhead.dev/tenant]"}},
		{name: "mark added", want: quota(), have: quota(func(q *corev1.ResourceQuota) { q.Labels[v1alpha1.WaiverPrefix+"images"] = "w" }),
			fields: []string{"metadata.labels[waiver.bulkhead.dev/images]"}, extra: true},
		{name: "owner reference added", want: quota(), have: quota(func(q *corev1.ResourceQuota) { q.OwnerReferences = []metav1.OwnerReference{{Name: "x"}} }),
			fields: []string{"metadata.ownerReferences"}, extra: true},
		{name: "pod security of a namespace", want: namespace(), have: namespace(func(n *corev1.Namespace) {
			n.Labels["pod-security.kubernetes.io/enforce"], n.Labels["pod-security.kubernetes.io/warn"] = "privileged", "baseline"
		}), fields: []string{"metadata.labels[pod-security.kubernetes.io/enforce]", "metadata.labels[pod-security.kubernetes.io/warn]"}, extra: true},
		{name: "rule opened",
			want: &networkingv1.NetworkPolicy{}, have: &networkingv1.NetworkPolicy{Spec: networkingv1.NetworkPolicySpec{Ingress: []networkingv1.NetworkPolicyIngressRule{{}}}},
			fields: []string{"spec.ingress"}, extra: true},
		{name: "role replaced", want: binding("a"), have: binding("b"), fields: []string{"roleRef.name"}, immutable: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := compare(c.want, c.have)
			if !slices.Equal(d.fields, c.fields) || d.extra != c.extra || d.immutable != c.immutable {
				t.Errorf("got %+v, want fields %v, extra %v, immutable %v", d, c.fields, c.extra, c.immutable)
			}
			fixed := overwrite(c.want, c.have)
			if d := compare(c.want, fixed); !d.none() {
				t.Errorf("overwritten, it still differs in %v", d.fields)
			}
			for key, value := range c.have.GetLabels() {
				if !isReserved(key, reservedOnNamespaces) && fixed.GetLabels()[key] != value {
					t.Errorf("label %s of others is lost", key)
				}
			}
			if !slices.Equal(fixed.GetFinalizers(), c.have.GetFinalizers()) {
				t.Errorf("finalizers %v became %v", c.have.GetFinalizers(), fixed.GetFinalizers())
			}
		})
	}
}

// Promise: any writer may set what the rendering leaves unset, down to the items of lists; every field that it sets is compared.
func TestPartialDifferences(t *testing.T) {
	pod := func(change ...func(*corev1.PodSpec)) client.Object {
		p := &corev1.Pod{Spec: corev1.PodSpec{
			NodeSelector: map[string]string{"a": "b"},
			Containers: []corev1.Container{{
				Name: "c", Args: []string{"run"},
				Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{"cpu": resource.MustParse("1000m")}},
			}},
		}}
		for _, c := range change {
			c(&p.Spec)
		}
		return p
	}
	for _, c := range []struct {
		name   string
		have   client.Object
		fields []string
	}{
		{name: "equal", have: pod()},
		{name: "defaulted and extended", have: pod(func(s *corev1.PodSpec) {
			s.RestartPolicy, s.NodeSelector["x"], s.Containers[0].ImagePullPolicy = "Always", "y", "Always"
			s.Containers[0].Resources.Requests = corev1.ResourceList{"cpu": resource.MustParse("1"), "memory": resource.MustParse("1Gi")}
		})},
		{name: "changed in an item", have: pod(func(s *corev1.PodSpec) { s.Containers[0].Args = []string{"stop"} }), fields: []string{"spec.containers[0].args[0]"}},
		{name: "an item more", have: pod(func(s *corev1.PodSpec) { s.Containers = append(s.Containers, corev1.Container{Name: "d"}) }), fields: []string{"spec.containers"}},
		{name: "a key less", have: pod(func(s *corev1.PodSpec) { s.NodeSelector = nil }), fields: []string{"spec.nodeSelector[a]"}},
		{name: "a field less", have: pod(func(s *corev1.PodSpec) { s.Containers[0].Name = "" }), fields: []string{"spec.containers[0].name"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := PartialDifferences(pod(), c.have); !slices.Equal(got, c.fields) {
				t.Errorf("got %v, want %v", got, c.fields)
			}
		})
	}
}

// Promise: the user who changed an object is that of the API server's note, else by the last field manager that is not Bulkhead.
func TestLastForeignWriter(t *testing.T) {
	at := func(second int64) *metav1.Time { return &metav1.Time{Time: time.Unix(second, 0)} }
	for _, c := range []struct {
		name    string
		note    string
		entries []metav1.ManagedFieldsEntry
		want    string
	}{
		{name: "no writer"},
		{name: "Bulkhead alone", entries: []metav1.ManagedFieldsEntry{{Manager: "bulkhead", Time: at(1)}}},
		{name: "a later one", entries: []metav1.ManagedFieldsEntry{{Manager: "kubectl", Time: at(2)}, {Manager: "bulkhead", Time: at(1)}}, want: "kubectl"},
		{name: "an earlier one", entries: []metav1.ManagedFieldsEntry{{Manager: "kubectl", Time: at(1)}, {Manager: "bulkhead", Time: at(2)}}},
		{name: "in the same second", entries: []metav1.ManagedFieldsEntry{{Manager: "kubectl", Time: at(1)}, {Manager: "bulkhead", Time: at(1)}}, want: "kubectl"},
		{name: "in the status only", entries: []metav1.ManagedFieldsEntry{{Manager: "kcm", Subresource: "status", Time: at(2)}, {Manager: "bulkhead", Time: at(1)}}},
		{name: "the note knows best", note: "carol", entries: []metav1.ManagedFieldsEntry{{Manager: "kubectl", Time: at(2)}}, want: "carol"},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := quota()
			o.SetManagedFields(c.entries)
			if c.note != "" {
				o.SetAnnotations(map[string]string{v1alpha1.AnnotationChangedBy: c.note})
			}
			if got := LastOtherWriter(o); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

// Promise: what this process made of an object distinguishes tampering from a change of the rendering, and the cache is not
// believed right after a write.
func TestMemory(t *testing.T) {
	clock := clocktesting.NewFakePassiveClock(time.Unix(0, 0))
	m := newMemory(clock)
	other := quota(func(q *corev1.ResourceQuota) { q.Spec.Hard["pods"] = resource.MustParse("11") })
	if m.same(quota()) || m.fresh(quota()) {
		t.Error("it knows an object that it never saw")
	}
	m.remember(quota(), true)
	if !m.same(quota()) || m.same(other) || !m.fresh(quota()) {
		t.Error("after a write it must know this rendering, and that the cache may lag")
	}
	clock.SetTime(clock.Now().Add(settle))
	if m.fresh(quota()) || !m.same(quota()) {
		t.Error("later the cache is to be believed, and the rendering still known")
	}
	m.forget(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "n"}})
	if m.same(quota()) || len(m.byNamespace) != 0 {
		t.Error("a namespace that went must be forgotten with all that was in it")
	}
}

// Promise: the kinds that are watched and searched include each kind once.
func TestKinds(t *testing.T) {
	seen := map[string]bool{}
	for _, kind := range Kinds() {
		name := kindOf(kind.Object)
		if seen[name] || !strings.HasSuffix(fmt.Sprintf("%T", kind.List), "."+name+"List") {
			t.Errorf("kind %s twice, or with list %T", name, kind.List)
		}
		seen[name] = true
	}
	if len(seen) < 12 {
		t.Errorf("only %v", slices.Sorted(maps.Keys(seen)))
	}
}

// Promise: nothing is rendered that would be neither repaired nor removed because its kind is not listed.
func TestKindsAreAllThatIsRendered(t *testing.T) {
	listed := map[string]bool{}
	for _, kind := range Kinds() {
		listed[kindOf(kind.Object)] = true
	}
	tenant := &v1alpha1.Tenant{ObjectMeta: metav1.ObjectMeta{Name: "t"}}
	spaceObjects, _ := guardrail.Space(guardrail.SpaceInput{
		Platform: &v1alpha1.Platform{}, Tenant: tenant, Space: &v1alpha1.Space{ObjectMeta: metav1.ObjectMeta{Name: "s"}},
		Decision: tenancy.Outcome{Pattern: tenancy.PatternSoft},
	})
	rendered := map[string]bool{}
	for _, o := range slices.Concat(guardrail.Cluster(&v1alpha1.Platform{}), guardrail.Tenant(tenant, nil), spaceObjects) {
		rendered[kindOf(o)] = true
		if o.GetLabels()[v1alpha1.LabelManagedBy] != v1alpha1.ManagedBy {
			t.Errorf("%s lacks the label by which it is watched", RefOf(o))
		}
	}
	if !maps.Equal(listed, rendered) {
		t.Errorf("listed %v, rendered %v", slices.Sorted(maps.Keys(listed)), slices.Sorted(maps.Keys(rendered)))
	}
}
