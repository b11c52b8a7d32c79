package controller_test

import (
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/guardrail"
	"github.com/bulkhead-dev/bulkhead/hostile"
	"github.com/bulkhead-dev/bulkhead/internal/removal"
	"github.com/bulkhead-dev/bulkhead/internal/run"
)

// laterClock is the machine's, and as much later as the test says.
type laterClock struct{ later atomic.Int64 }

func (c *laterClock) Now() time.Time                  { return time.Now().Add(time.Duration(c.later.Load())) }
func (c *laterClock) Since(t time.Time) time.Duration { return c.Now().Sub(t) }

// keep is a finalizer that nobody takes off. Only who may write in all namespaces can still add it.
const keep = "example.com/keep"

// holding makes what would hold a Space's namespace for ever, and returns the pod among it, which is on a node without a kubelet.
func holding(t *testing.T, tenant *v1alpha1.Tenant, space *v1alpha1.Space) *corev1.Pod {
	t.Helper()
	ns := v1alpha1.SpaceNamespace(tenant.Name, space.Name)
	pod, err := hostile.Pod(hostile.Scene{Platform: platform(), Tenant: tenant, Space: space})
	if err != nil {
		t.Fatal(err)
	}
	pod.Name, pod.GenerateName, pod.Labels, pod.Spec.TerminationGracePeriodSeconds = "stays", "", nil, new(int64(120))
	create(t, pod,
		&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "kept", Finalizers: []string{keep}}},
		&rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "shared", Finalizers: []string{keep}},
			RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "view"}, Subjects: []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: "User", Name: "friend"}}})
	bind := &corev1.Binding{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: pod.Name}, Target: corev1.ObjectReference{Kind: "Node", Name: "node-pool-a"}}
	if err := admin.SubResource("binding").Create(t.Context(), pod, bind); err != nil {
		t.Fatal(err)
	}
	before := space.DeepCopy()
	controllerutil.AddFinalizer(space, keep)
	if err := admin.Patch(t.Context(), space, client.MergeFrom(before)); err != nil {
		t.Fatal(err)
	}
	return pod
}

// remains waits until the Space's status names all of what as left.
func remains(t *testing.T, space *v1alpha1.Space, what ...string) {
	t.Helper()
	eventually(t, patience, "status.remaining names "+strings.Join(what, ", "), func() string {
		if err := admin.Get(t.Context(), client.ObjectKeyFromObject(space), space); err != nil {
			return err.Error()
		}
		left := strings.Join(space.Status.Remaining, "\n")
		if slices.ContainsFunc(what, func(w string) bool { return !strings.Contains(left, w) }) {
			return "it names " + left
		}
		return ""
	})
}

// Promise: an off-boarding ends. Rights go first, also those that the tenant gave, with what keeps them; the policies that confine pods stay
// until the last pod is gone; by the deadline pods get no more time, and by the next one finalizers that nobody took off are, and stand in
// the record.
func TestOffboardingEnds(t *testing.T) { // not next to others: these controllers, with their clock, see the tenants of all
	clock := &laterClock{}
	start(t, func(o *run.Options) { o.Clock = clock })
	tenant, space := newTenant("leaving"), newSpace("leaving", "shop")
	create(t, tenant)
	conditionIs(t, tenant, v1alpha1.ConditionEnforced, "True", v1alpha1.ReasonEnforced)
	create(t, space)
	conditionIs(t, space, v1alpha1.ConditionEnforced, "True", v1alpha1.ReasonEnforced)
	pod := holding(t, tenant, space)
	ns := pod.Namespace
	if err := admin.Delete(t.Context(), space); err != nil {
		t.Fatal(err)
	}
	remains(t, space, "Pod "+ns+"/stays", "ConfigMap "+ns+"/kept: held by finalizer "+keep)
	bindings := &rbacv1.RoleBindingList{}
	if err := admin.List(t.Context(), bindings, client.InNamespace(ns)); err != nil {
		t.Fatal(err)
	}
	for i := range bindings.Items {
		if bindings.Items[i].Name != guardrail.OffboardingBinding {
			t.Errorf("RoleBinding %s is left", bindings.Items[i].Name)
		}
	}
	if _, err := get(t, &networkingv1.NetworkPolicy{}, ns, v1alpha1.NetworkDefaultName); err != nil {
		t.Errorf("the pod has outlived the policy that confines it: %v", err)
	}
	hurried := func() string {
		p, err := get(t, &corev1.Pod{}, ns, pod.Name)
		if err != nil {
			return err.Error()
		}
		if s := p.DeletionGracePeriodSeconds; s == nil || *s != 1 {
			return "the pod has more time left than a second"
		}
		return ""
	}
	if hurried() == "" {
		t.Error("the pod had no time to end")
	}
	clock.later.Store(int64(11 * time.Minute))
	eventually(t, patience, "pods get no more time", hurried)
	if err := admin.Delete(t.Context(), pod, client.GracePeriodSeconds(0)); err != nil { // as the kubelet does
		t.Fatal(err)
	}
	eventually(t, patience, "the rest goes", func() string {
		if _, err := get(t, &networkingv1.NetworkPolicy{}, ns, v1alpha1.NetworkDefaultName); client.IgnoreNotFound(err) != nil || err == nil {
			return "the network policy is there"
		}
		return ""
	})
	if kept, err := get(t, &corev1.ConfigMap{}, ns, "kept"); err != nil || !slices.Contains(kept.Finalizers, keep) {
		t.Errorf("before its time: %v, %v", err, kept.Finalizers)
	}
	clock.later.Store(int64(21 * time.Minute))
	gone(t, space)
	gone(t, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: ns}})
	record, err := get(t, &corev1.ConfigMap{}, v1alpha1.SystemNamespace, removal.RecordName(ns, space))
	if err != nil {
		t.Fatal(err)
	}
	if want := "ConfigMap " + ns + "/kept: " + keep + "\nSpace tenant-leaving/shop: " + keep; record.Data[removal.RecordStripped] != want {
		t.Errorf("the record says\n%s\nwant\n%s", record.Data[removal.RecordStripped], want)
	}
}
