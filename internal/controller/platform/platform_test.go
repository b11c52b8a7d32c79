package platform

import (
	"errors"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/scheme"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/guardrail"
	"github.com/bulkhead-dev/bulkhead/internal/apply"
	"github.com/bulkhead-dev/bulkhead/internal/status"
)

// Promise: the wait for new admission policies to reach every API server survives a restart, and no clock that is set
// wrong makes it longer.
func TestPropagationIsAwaitedAfterARestart(t *testing.T) {
	now := time.Unix(1000, 0)
	for _, c := range []struct {
		name string
		age  time.Duration
		wait bool
	}{
		{"made long ago", time.Hour, false},
		{"made by the process before", time.Second, true},
		{"made in the future", -time.Hour, true},
	} {
		p := &pass{platform: &v1alpha1.Platform{}}
		var policies []client.Object
		for _, object := range guardrail.Cluster(p.platform) {
			if apply.IsPolicy(object) {
				object.SetCreationTimestamp(metav1.NewTime(now.Add(-c.age)))
				policies = append(policies, object)
			}
		}
		clock := clocktesting.NewFakePassiveClock(now)
		r := &Reconciler{Client: fake.NewClientBuilder().WithScheme(scheme.Scheme).WithObjects(policies...).Build(), Clock: clock}
		var wait *status.Wait
		if err := r.awaitPropagation(t.Context(), p); errors.As(err, &wait) != c.wait {
			t.Errorf("%s: %v", c.name, err)
		}
		clock.SetTime(now.Add(propagation))
		if err := r.awaitPropagation(t.Context(), p); err != nil {
			t.Errorf("%s, after the wait: %v", c.name, err)
		}
	}
}
