package controller_test

import (
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
)

// Promise: what is declared while no controller runs waits visibly, from its first moment on; once a controller runs, its
// conditions are judged, and have the time at which they came to be.
func TestWhatIsMadeWithoutControllerWaitsVisibly(t *testing.T) {
	pending := func(o client.Object, conditions *[]metav1.Condition) {
		t.Helper()
		if err := admin.Get(t.Context(), client.ObjectKeyFromObject(o), o); err != nil {
			t.Fatal(err)
		}
		ready := meta.FindStatusCondition(*conditions, v1alpha1.ConditionReady)
		if ready == nil || ready.Status != metav1.ConditionUnknown || ready.Reason != v1alpha1.ReasonPending || ready.Message != "waiting for Bulkhead's controller" {
			t.Errorf("%T %s does not show that it waits: %+v", o, o.GetName(), *conditions)
		}
	}
	judged := func(o client.Object, since time.Time, conditions *[]metav1.Condition) {
		t.Helper()
		ready(t, o)
		for _, c := range *conditions {
			if c.Reason == v1alpha1.ReasonPending || c.LastTransitionTime.Time.Before(since.Truncate(time.Second)) || c.ObservedGeneration != o.GetGeneration() {
				t.Errorf("%T %s: a condition of nobody's: %+v", o, o.GetName(), c)
			}
		}
	}
	tenant, space := newTenant("waiting"), newSpace("waiting", "web")
	began := time.Now()
	create(t, tenant)
	pending(tenant, &tenant.Status.Conditions)
	stop := start(t, nil)
	conditionIs(t, tenant, v1alpha1.ConditionEnforced, "True", v1alpha1.ReasonEnforced)
	stop()
	create(t, space)
	pending(space, &space.Status.Conditions)
	start(t, nil)
	judged(space, began, &space.Status.Conditions)
	judged(tenant, began, &tenant.Status.Conditions)
}
