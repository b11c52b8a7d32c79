package policy_test

import (
	"context"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Promise: a budget as charts ship it cannot stop a drain: one pod goes while all are healthy. The next goes only when all are again. Of a budget that
// the disruption controller cannot compute, one goes each time that it tries.
func TestNoBudgetStopsADrain(t *testing.T) {
	owner, ns := newSpace(t, "drained", nil, nil)
	if err := admin.Create(t.Context(), &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "drained"}}); err != nil {
		t.Fatal(err)
	}
	selects := func(app string) *metav1.LabelSelector {
		return &metav1.LabelSelector{MatchLabels: map[string]string{"app": app}}
	}
	for app, spec := range map[string]policyv1.PodDisruptionBudgetSpec{
		"single": {MinAvailable: ptr(intstr.FromInt32(1))},
		"pair":   {MinAvailable: ptr(intstr.FromInt32(2))},
		"share":  {MinAvailable: ptr(intstr.FromString("99%"))},
		"wanted": {MinAvailable: ptr(intstr.FromInt32(1 << 20))},
		"lonely": {MaxUnavailable: ptr(intstr.FromInt32(1))}, // pods of no controller
		"shrunk": {MinAvailable: ptr(intstr.FromInt32(3))},
		"owned":  {MaxUnavailable: ptr(intstr.FromInt32(1))}, // pods of what has no scale
	} {
		spec.Selector = selects(app)
		if err := owner.Create(t.Context(), &policyv1.PodDisruptionBudget{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: app}, Spec: spec}); err != nil {
			t.Fatalf("%s: %v", app, err)
		}
	}
	for app, replicas := range map[string]int32{"single": 1, "pair": 2, "share": 2, "wanted": 1, "shrunk": 3} {
		d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: app}, Spec: appsv1.DeploymentSpec{Replicas: &replicas, Selector: selects(app),
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": app}}, Spec: bare(ns, nil).Spec}}}
		if err := owner.Create(t.Context(), d); err != nil {
			t.Fatalf("%s: %v", app, err)
		}
	}
	lonely, owned := bare(ns, nil), bare(ns, nil)
	lonely.Name, lonely.Labels = "lonely", map[string]string{"app": "lonely"}
	owned.Name, owned.Labels = "owned", map[string]string{"app": "owned"}
	config := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "owner"}}
	if err := owner.Create(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	owned.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: "ConfigMap", Name: config.Name, UID: config.UID, Controller: ptr(true)}}
	for _, pod := range []*corev1.Pod{lonely, owned} {
		if err := owner.Create(t.Context(), pod); err != nil {
			t.Fatal(err)
		}
	}
	evict := func(p *corev1.Pod) error { // with a precondition, as the platform's autoscalers have it
		return admin.SubResource("eviction").Create(t.Context(), p, &policyv1.Eviction{DeleteOptions: &metav1.DeleteOptions{Preconditions: metav1.NewUIDPreconditions(string(p.UID))}})
	}
	for app, replicas := range map[string]int{"single": 1, "pair": 2, "share": 2, "wanted": 1, "lonely": 1, "owned": 1} {
		t.Run(app, func(t *testing.T) {
			pods := running(t, ns, app, replicas)
			var last error
			err := wait.PollUntilContextTimeout(t.Context(), 50*time.Millisecond, 30*time.Second, true, func(context.Context) (bool, error) {
				last = evict(&pods[0])
				return last == nil, nil
			})
			if err != nil {
				b := &policyv1.PodDisruptionBudget{}
				_ = admin.Get(t.Context(), client.ObjectKey{Namespace: ns, Name: app}, b)
				t.Fatalf("no pod goes: %v; the budget's status is %+v", last, b.Status)
			}
			if replicas == 1 {
				return
			}
			if err := evict(&pods[1]); !apierrors.IsTooManyRequests(err) {
				t.Errorf("the second pod goes while the first is not back: %v", err)
			}
			if err := admin.Delete(t.Context(), &pods[0], client.GracePeriodSeconds(0)); err != nil { // as a kubelet does in the end
				t.Fatal(err)
			}
			running(t, ns, app, replicas)
			err = wait.PollUntilContextTimeout(t.Context(), 50*time.Millisecond, 30*time.Second, true, func(context.Context) (bool, error) {
				return evict(&pods[1]) == nil, nil
			})
			if err != nil {
				t.Errorf("the second pod does not go when the first is back: %v", err)
			}
		})
	}
	t.Run("made smaller", func(t *testing.T) {
		running(t, ns, "shrunk", 3)
		d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "shrunk"}}
		if err := owner.Patch(t.Context(), d, client.RawPatch(types.MergePatchType, []byte(`{"spec": {"replicas": 2}}`))); err != nil {
			t.Fatal(err)
		}
		var last error
		err := wait.PollUntilContextTimeout(t.Context(), 50*time.Millisecond, 30*time.Second, true, func(ctx context.Context) (bool, error) {
			left := &corev1.PodList{}
			if err := admin.List(ctx, left, client.InNamespace(ns), client.MatchingLabels{"app": "shrunk"}); err != nil {
				return false, err
			}
			if len(left.Items) == 2 {
				last = evict(&left.Items[0])
				return last == nil, nil
			}
			for i := range left.Items {
				if left.Items[i].DeletionTimestamp != nil {
					_ = admin.Delete(ctx, &left.Items[i], client.GracePeriodSeconds(0)) // as a kubelet does in the end
				}
			}
			return false, nil
		})
		if err != nil {
			t.Errorf("no pod goes: %v", last)
		}
	})
}

// Promise: no pod falls under two budgets, since none of two can be evicted: who makes the second is told of the first, at a change too.
func TestBudgetsAreApart(t *testing.T) {
	owner, ns := newSpace(t, "apart", nil, nil)
	budget := func(name string, labels map[string]string) *policyv1.PodDisruptionBudget {
		return &policyv1.PodDisruptionBudget{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name}, Spec: policyv1.PodDisruptionBudgetSpec{
			MaxUnavailable: ptr(intstr.FromInt32(1)), Selector: &metav1.LabelSelector{MatchLabels: labels},
		}}
	}
	first := budget("first", map[string]string{"app": "web", "part": "front"})
	if err := owner.Create(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	refused := func(what string, err error) {
		t.Helper()
		if err == nil || !strings.Contains(err.Error(), "a pod could fall under this budget and under first") {
			t.Errorf("%s: %v", what, err)
		}
	}
	var last error
	_ = wait.PollUntilContextTimeout(t.Context(), 50*time.Millisecond, 10*time.Second, true, func(ctx context.Context) (bool, error) {
		last = owner.Create(ctx, budget("same", map[string]string{"app": "web"}), client.DryRunAll) // until the API server has seen the first
		return last != nil, nil
	})
	refused("the same label", last)
	refused("other labels", owner.Create(t.Context(), budget("other", map[string]string{"tier": "web"})))
	second := budget("second", map[string]string{"app": "web", "part": "back"})
	if err := owner.Create(t.Context(), second); err != nil {
		t.Fatalf("a budget of other pods: %v", err)
	}
	was := second.DeepCopy()
	second.Spec.Selector.MatchLabels["part"] = "front"
	refused("by a change", owner.Patch(t.Context(), second, client.MergeFrom(was)))
	was = first.DeepCopy()
	first.Spec.MaxUnavailable = ptr(intstr.FromInt32(2))
	if err := owner.Patch(t.Context(), first, client.MergeFrom(was)); err != nil {
		t.Errorf("a budget is held against itself: %v", err)
	}
}

// running waits until a workload has its pods, and says of each, as a kubelet would, that it is ready.
func running(t *testing.T, ns, app string, replicas int) []corev1.Pod {
	t.Helper()
	pods := &corev1.PodList{}
	err := wait.PollUntilContextTimeout(t.Context(), 50*time.Millisecond, 30*time.Second, true, func(ctx context.Context) (bool, error) {
		err := admin.List(ctx, pods, client.InNamespace(ns), client.MatchingLabels{"app": app})
		return len(pods.Items) == replicas, err
	})
	if err != nil {
		t.Fatalf("%s has %d pods, want %d: %v", app, len(pods.Items), replicas, err)
	}
	for i := range pods.Items {
		p := &pods.Items[i]
		if p.Spec.NodeName == "" { // so that it ends in its time, next to the one that is made for it
			bind := &corev1.Binding{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: p.Name}, Target: corev1.ObjectReference{Kind: "Node", Name: "drained"}}
			if err := admin.SubResource("binding").Create(t.Context(), p, bind); err != nil {
				t.Fatal(err)
			}
			if err := admin.Get(t.Context(), client.ObjectKeyFromObject(p), p); err != nil {
				t.Fatal(err)
			}
		}
		p.Status.Phase, p.Status.Conditions = corev1.PodRunning, []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
		if err := admin.Status().Update(t.Context(), p); err != nil {
			t.Fatal(err)
		}
	}
	return pods.Items
}
