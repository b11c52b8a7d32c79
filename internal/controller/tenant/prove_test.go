package tenant

import (
	"errors"
	"fmt"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/internal/report"
)

var now = time.Unix(1_800_000_000, 0)

func provenPass(verdict v1alpha1.Verdict, age time.Duration, covers ...string) *pass {
	p := &pass{messages: map[string]string{}}
	p.platform = &v1alpha1.Platform{ObjectMeta: metav1.ObjectMeta{Generation: 3}}
	p.platform.Spec.ProofFreshness.Duration = 10 * time.Minute
	p.tenant = &v1alpha1.Tenant{ObjectMeta: metav1.ObjectMeta{Name: "t", Generation: 2}}
	p.spaces = []v1alpha1.Space{
		{ObjectMeta: metav1.ObjectMeta{Name: "a"}, Status: v1alpha1.SpaceStatus{Namespace: "t--a", Revision: "r1"}},
		{ObjectMeta: metav1.ObjectMeta{Name: "waiting"}},
	}
	if verdict != "" {
		p.tenant.Status.Proof = &v1alpha1.Proof{Verdict: verdict, Time: metav1.NewTime(now.Add(-age)), Covers: covers}
	}
	p.before = p.tenant.DeepCopy()
	return p
}

// Promise: the API server is asked when anything that a proof is about changed since, and before a proof grows stale.
func TestProofDue(t *testing.T) {
	whole := []string{"tenant/2/3", "a/r1"}
	r := &Reconciler{Clock: clocktesting.NewFakePassiveClock(now)}
	for _, c := range []struct {
		name string
		p    *pass
		due  bool
	}{
		{"never asked", provenPass("", 0), true},
		{"fresh", provenPass(v1alpha1.Isolated, time.Minute, whole...), false},
		{"half its freshness", provenPass(v1alpha1.Isolated, 5*time.Minute-time.Second, whole...), false},
		{"three quarters of its freshness", provenPass(v1alpha1.Isolated, 7*time.Minute+30*time.Second, whole...), true},
		{"Tenant changed", provenPass(v1alpha1.Isolated, 0, "tenant/1/3", "a/r1"), true},
		{"Platform changed", provenPass(v1alpha1.Isolated, 0, "tenant/2/2", "a/r1"), true},
		{"Space is new", provenPass(v1alpha1.Isolated, 0, "tenant/2/3"), true},
		{"Space changed", provenPass(v1alpha1.Isolated, 0, "tenant/2/3", "a/r0"), true},
		{"exposed, a moment ago", provenPass(v1alpha1.Exposed, time.Second, whole...), false},
		{"exposed, asked again soon", provenPass(v1alpha1.Exposed, askAgainSoon, whole...), true},
		{"unknown, asked again soon", provenPass(v1alpha1.Unknown, askAgainSoon, whole...), true},
	} {
		if due := r.proofDue(c.p) <= 0; due != c.due {
			t.Errorf("%s: due %v, want %v", c.name, due, c.due)
		}
	}
}

// Promise: unknown is never safe: neither an old proof nor one that could not be made is taken for Isolated.
func TestVerdict(t *testing.T) {
	r := &Reconciler{Clock: clocktesting.NewFakePassiveClock(now)}
	for _, c := range []struct {
		name   string
		p      *pass
		reason string
	}{
		{"isolated", provenPass(v1alpha1.Isolated, time.Minute), ""},
		{"isolated but stale", provenPass(v1alpha1.Isolated, 10*time.Minute), v1alpha1.ReasonProofStale},
		{"exposed", provenPass(v1alpha1.Exposed, time.Minute), v1alpha1.ReasonExposed},
		{"unknown", provenPass(v1alpha1.Unknown, time.Minute), v1alpha1.ReasonProofFailed},
		{"a verdict that nobody knows", provenPass("Perhaps", time.Minute), v1alpha1.ReasonProofFailed},
	} {
		var wait *report.Wait
		reason := ""
		if errors.As(r.verdict(c.p), &wait) {
			reason = wait.Reason
		}
		if reason != c.reason {
			t.Errorf("%s: reason %q, want %q", c.name, reason, c.reason)
		}
	}
}

// Promise: a thousand tenants that were proven together are not proven together again.
func TestRenewalSpreads(t *testing.T) {
	const freshness = 10 * time.Minute
	perMinute := map[int]int{}
	for i := range 1000 {
		at := renewal(fmt.Sprintf("tenant-%d", i), freshness)
		if at < freshness/2 || at > freshness*3/4 {
			t.Fatalf("tenant-%d is due after %s of %s", i, at, freshness)
		}
		perMinute[int((at-freshness/2)/(freshness/40))]++
	}
	for slot, n := range perMinute {
		if n > 200 { // of ten slots
			t.Errorf("%d of 1000 fall into slot %d", n, slot)
		}
	}
}
