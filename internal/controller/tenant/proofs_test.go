package tenant

import (
	"errors"
	"fmt"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/internal/status"
)

var now = time.Unix(1_800_000_000, 0)

func provenPass(verdict v1alpha1.Verdict, age time.Duration, scope ...v1alpha1.ProofScope) *pass {
	t := &v1alpha1.Tenant{ObjectMeta: metav1.ObjectMeta{Name: "t", Generation: 2}}
	if verdict != "" {
		t.Status.Proof = &v1alpha1.Proof{Verdict: verdict, Time: metav1.NewTime(now.Add(-age))}
		for _, s := range scope {
			t.Status.Proof.Scope = s
		}
	}
	p := &pass{Pass: status.NewPass("t", t, &t.Status.Conditions), tenant: t}
	p.platform = &v1alpha1.Platform{ObjectMeta: metav1.ObjectMeta{Generation: 3}}
	p.platform.Spec.ProofFreshness.Duration = 10 * time.Minute
	p.spaces = []v1alpha1.Space{
		{ObjectMeta: metav1.ObjectMeta{Name: "a"}, Status: v1alpha1.SpaceStatus{Namespace: "t--a", Revision: "r1"}},
		{ObjectMeta: metav1.ObjectMeta{Name: "waiting"}},
	}
	return p
}

// exactly is proven by the answers a minute ago, and by the exact proof as it says.
func exactly(verdict v1alpha1.Verdict, age time.Duration) *pass {
	p := provenPass(v1alpha1.Isolated, time.Minute, whole)
	p.exact = &v1alpha1.IsolationReport{Verdict: verdict, Time: metav1.NewTime(now.Add(-age))}
	return p
}

// whole is what a proof covers that is about everything as it is.
var whole = about(2, 3, "r1")

func about(tenant, platform int64, revisionOfA string) v1alpha1.ProofScope {
	return v1alpha1.ProofScope{TenantGeneration: tenant, PlatformGeneration: platform, Spaces: []v1alpha1.SpaceRevision{{Name: "a", Revision: revisionOfA}}}
}

// Promise: the API server is asked when anything that a proof is about changed since, and before a proof grows stale.
func TestProofDue(t *testing.T) {
	r := &Proofs{Clock: clocktesting.NewFakePassiveClock(now)}
	for _, c := range []struct {
		name string
		p    *pass
		due  bool
	}{
		{"never asked", provenPass("", 0), true},
		{"on a clock that was set back since", provenPass(v1alpha1.Isolated, -time.Hour, whole), true},
		{"fresh", provenPass(v1alpha1.Isolated, time.Minute, whole), false},
		{"half its freshness", provenPass(v1alpha1.Isolated, 5*time.Minute-time.Second, whole), false},
		{"three quarters of its freshness", provenPass(v1alpha1.Isolated, 7*time.Minute+30*time.Second, whole), true},
		{"Tenant changed", provenPass(v1alpha1.Isolated, 0, about(1, 3, "r1")), true},
		{"Platform changed", provenPass(v1alpha1.Isolated, 0, about(2, 2, "r1")), true},
		{"Space is new", provenPass(v1alpha1.Isolated, 0, v1alpha1.ProofScope{TenantGeneration: 2, PlatformGeneration: 3}), true},
		{"Space changed", provenPass(v1alpha1.Isolated, 0, about(2, 3, "r0")), true},
		{"exposed, a moment ago", provenPass(v1alpha1.Exposed, time.Second, whole), false},
		{"exposed, asked again soon", provenPass(v1alpha1.Exposed, askAgainSoon, whole), true},
		{"unknown, asked again soon", provenPass(v1alpha1.Unknown, askAgainSoon, whole), true},
	} {
		if due := r.due(c.p.tenant, c.p.platform, c.p.spaces) <= 0; due != c.due {
			t.Errorf("%s: due %v, want %v", c.name, due, c.due)
		}
	}
}

// Promise: unknown is never safe: neither an old proof, nor one that could not be made, nor one of what was before the
// last change is taken for Isolated.
func TestVerdict(t *testing.T) {
	clock := clocktesting.NewFakePassiveClock(now)
	r := &Reconciler{Proofs: &Proofs{Clock: clock}, Clock: clock}
	for _, c := range []struct {
		name   string
		p      *pass
		reason string
	}{
		{"isolated", provenPass(v1alpha1.Isolated, time.Minute, whole), ""},
		{"isolated but stale", provenPass(v1alpha1.Isolated, 10*time.Minute, whole), v1alpha1.ReasonProofStale},
		{"isolated before the last change", provenPass(v1alpha1.Isolated, time.Minute, about(2, 3, "r0")), v1alpha1.ReasonProofPending},
		{"isolated, on a clock that was set back since", provenPass(v1alpha1.Isolated, -time.Hour, whole), v1alpha1.ReasonProofPending},
		{"never asked", provenPass("", 0), v1alpha1.ReasonProofPending},
		{"isolated, and exactly so", exactly(v1alpha1.Isolated, time.Minute), ""},
		{"isolated, and not exactly", exactly(v1alpha1.Exposed, time.Minute), v1alpha1.ReasonExposed},
		{"isolated, and the exact proof is unknown", exactly(v1alpha1.Unknown, time.Minute), v1alpha1.ReasonProofFailed},
		{"isolated, and exactly so long ago", exactly(v1alpha1.Isolated, 10*time.Minute), v1alpha1.ReasonProofStale},
		{"isolated, and exactly so in time to come", exactly(v1alpha1.Isolated, -time.Hour), v1alpha1.ReasonProofStale},
		{"exposed", provenPass(v1alpha1.Exposed, time.Minute, whole), v1alpha1.ReasonExposed},
		{"unknown", provenPass(v1alpha1.Unknown, time.Minute, whole), v1alpha1.ReasonProofFailed},
		{"a verdict that does not exist", provenPass("Perhaps", time.Minute, whole), v1alpha1.ReasonProofFailed},
	} {
		var wait *status.Wait
		reason := ""
		if errors.As(r.checkProof(t.Context(), c.p), &wait) {
			reason = wait.Reason
			if wait.Unknown != (reason != v1alpha1.ReasonExposed) {
				t.Errorf("%s: unknown is %v", c.name, wait.Unknown)
			}
		}
		if reason != c.reason {
			t.Errorf("%s: reason %q, want %q", c.name, reason, c.reason)
		}
	}
}

// Promise: of the proof in memory and the one in the status the newer counts; one of a Tenant of the same name that was
// there before never does.
func TestLatestProof(t *testing.T) {
	for _, c := range []struct {
		name string
		age  time.Duration
		uid  types.UID
		want v1alpha1.Verdict
	}{
		{"memory is newer", time.Minute, "", v1alpha1.Exposed},
		{"both are of the same second", 0, "", v1alpha1.Exposed},
		{"status is newer", -time.Minute, "", v1alpha1.Isolated},
		{"status is of a time to come", -time.Hour, "", v1alpha1.Exposed},
		{"memory is of another Tenant", time.Minute, "other", v1alpha1.Isolated},
	} {
		r := &Proofs{Clock: clocktesting.NewFakePassiveClock(now)}
		tenant := provenPass(v1alpha1.Isolated, c.age, whole).tenant
		before := tenant.DeepCopy()
		before.UID = c.uid
		r.keep(before, &v1alpha1.Proof{Verdict: v1alpha1.Exposed, Time: metav1.NewTime(now)})
		if got := r.latest(tenant).Verdict; got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

// Promise: a first proof waits for first Spaces, but not for long and not for those that wait for people; later
// proofs are never put off.
func TestFirstProofWaitsForFirstSpaces(t *testing.T) {
	r := &Proofs{Clock: clocktesting.NewFakePassiveClock(now)}
	told := func(p *pass, ago time.Duration) *pass {
		p.tenant.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionEnforced, LastTransitionTime: metav1.NewTime(now.Add(-ago))}}
		return p
	}
	none := func() *pass {
		p := provenPass("", 0)
		p.spaces = nil
		return p
	}
	with := func(age time.Duration, revision, reason string) *pass {
		s := v1alpha1.Space{ObjectMeta: metav1.ObjectMeta{Name: "s", CreationTimestamp: metav1.NewTime(now.Add(-age))}}
		s.Status.Revision = revision
		if reason != "" {
			s.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionReady, Reason: reason}}
		}
		p := told(none(), time.Minute)
		p.spaces = []v1alpha1.Space{s}
		return p
	}
	for _, c := range []struct {
		name  string
		p     *pass
		waits bool
	}{
		{"no Space yet", told(none(), 0), true},
		{"no Space came", told(none(), settling), false},
		{"a Space is coming", with(time.Second, "", ""), true},
		{"a Space is being enforced", with(time.Second, "", v1alpha1.ReasonEnforcing), true},
		{"a Space takes long", with(guarding, "", v1alpha1.ReasonEnforcing), false},
		{"a Space waits for people", with(time.Second, "", v1alpha1.ReasonNeedsDedicatedCluster), false},
		{"a Space has its guardrails", with(time.Second, "r1", v1alpha1.ReasonProofPending), false},
		{"there is a proof", provenPass(v1alpha1.Isolated, 0), false},
	} {
		if waits := r.early(c.p.tenant, c.p.spaces) > 0; waits != c.waits {
			t.Errorf("%s: waits %v, want %v", c.name, waits, c.waits)
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
