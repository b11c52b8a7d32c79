package status

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/internal/apply"
	"github.com/bulkhead-dev/bulkhead/internal/observe/auditlog"
	"github.com/bulkhead-dev/bulkhead/snapshot"
)

var tenantChecklist = Checklist{
	Order: []string{v1alpha1.ConditionDecided, v1alpha1.ConditionPlaced, v1alpha1.ConditionEnforced, v1alpha1.ConditionProven},
	Positive: map[string]string{
		v1alpha1.ConditionDecided: "Decided", v1alpha1.ConditionPlaced: "Placed", v1alpha1.ConditionEnforced: "Enforced", v1alpha1.ConditionProven: "Proven",
	},
	Failed: v1alpha1.ReasonApplyFailed,
}

// Promise: Ready is true when every condition is; what is not reconciled is Unknown and never True; what keeps a
// condition from holding, but not the work from going on, shows on this condition and on Ready.
func TestConditions(t *testing.T) {
	unknown := Waiting(v1alpha1.ConditionProven, "ProofStale", "old")
	unknown.Unknown = true
	for _, c := range []struct {
		name    string
		outcome Outcome
		want    string
	}{
		{"all holds", Outcome{}, "Decided=True/Decided Placed=True/Placed Enforced=True/Enforced Proven=True/Proven Ready=True/Ready"},
		{"a wait stops the chain", Outcome{Reached: "Placed", Err: Waiting("Placed", "NodeGroupMissing", "none")},
			"Decided=True/Decided Placed=False/NodeGroupMissing Enforced=Unknown/NodeGroupMissing Proven=Unknown/NodeGroupMissing Ready=False/NodeGroupMissing"},
		{"a wait on another condition than the one worked on", Outcome{Reached: "Enforced", Err: Waiting("Placed", "NamespaceTaken", "x")},
			"Decided=True/Decided Placed=False/NamespaceTaken Enforced=Unknown/NamespaceTaken Proven=Unknown/NamespaceTaken Ready=False/NamespaceTaken"},
		{"a fault", Outcome{Reached: "Enforced", Err: fmt.Errorf("apply: %w", errors.New("refused"))},
			"Decided=True/Decided Placed=True/Placed Enforced=False/ApplyFailed Proven=Unknown/ApplyFailed Ready=False/ApplyFailed"},
		{"a hold lets the chain go on", Outcome{Blockers: []*Wait{Waiting("Placed", "PatternChanged", "x")}},
			"Decided=True/Decided Placed=False/PatternChanged Enforced=True/Enforced Proven=True/Proven Ready=False/PatternChanged"},
		{"a hold and a fault", Outcome{Reached: "Enforced", Err: errors.New("refused"), Blockers: []*Wait{Waiting("Placed", "PatternChanged", "x")}},
			"Decided=True/Decided Placed=False/PatternChanged Enforced=False/ApplyFailed Proven=Unknown/ApplyFailed Ready=False/PatternChanged"},
		{"a hold on Ready alone", Outcome{Blockers: []*Wait{Waiting("Ready", "Protected", "x")}},
			"Decided=True/Decided Placed=True/Placed Enforced=True/Enforced Proven=True/Proven Ready=False/Protected"},
		{"unknown is not false", Outcome{Reached: "Proven", Err: unknown},
			"Decided=True/Decided Placed=True/Placed Enforced=True/Enforced Proven=Unknown/ProofStale Ready=Unknown/ProofStale"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got []string
			for _, condition := range tenantChecklist.Conditions(&c.outcome, 7, time.Unix(1, 0)) {
				got = append(got, fmt.Sprintf("%s=%s/%s", condition.Type, condition.Status, condition.Reason))
				if condition.ObservedGeneration != 7 {
					t.Errorf("%s observed generation %d, want 7", condition.Type, condition.ObservedGeneration)
				}
			}
			if text := strings.Join(got, " "); text != c.want {
				t.Errorf("got  %s\nwant %s", text, c.want)
			}
		})
	}
}

// Promise: a message never grows beyond what the API server takes.
func TestLongMessages(t *testing.T) {
	outcome := Outcome{Reached: "Decided", Err: errors.New(strings.Repeat("x", 100_000))}
	for _, condition := range tenantChecklist.Conditions(&outcome, 1, time.Unix(1, 0)) {
		if len(condition.Message) > 32768 {
			t.Errorf("%s has a message of %d bytes", condition.Type, len(condition.Message))
		}
	}
	if n := len(note("t", strings.Repeat("x", 5000))); n > 1024 {
		t.Errorf("a note of %d bytes", n)
	}
}

// Promise: a change of the same generation keeps the time of its last transition.
func TestMergeKeepsTheTimeOfTheTransition(t *testing.T) {
	var conditions []metav1.Condition
	for second := range 3 {
		Merge(&conditions, tenantChecklist.Conditions(&Outcome{}, 1, time.Unix(int64(second), 0)))
	}
	for _, c := range conditions {
		if c.LastTransitionTime.Unix() != 0 {
			t.Errorf("%s: transition at %s although it never changed", c.Type, c.LastTransitionTime)
		}
	}
}

// Promise: only the first moments of a wait go untold: a wait that lasts, a fault, and what was said otherwise before
// are told.
func TestPassingWaitsAreNotWritten(t *testing.T) {
	said := func(reason string) []metav1.Condition {
		return []metav1.Condition{{Type: v1alpha1.ConditionReady, Reason: reason}}
	}
	enforcing := Waiting(v1alpha1.ConditionEnforced, v1alpha1.ReasonEnforcing, "x")
	for _, c := range []struct {
		name       string
		err        error
		conditions []metav1.Condition
		waited     time.Duration
		want       bool
	}{
		{"at first", enforcing, nil, time.Second, true},
		{"at first, and said before", enforcing, said(v1alpha1.ReasonEnforcing), time.Second, true},
		{"it lasts", enforcing, nil, grace, false},
		{"a fault", errors.New("refused"), nil, time.Second, false},
		{"a wait for people", Waiting(v1alpha1.ConditionPlaced, v1alpha1.ReasonNodeGroupMissing, "x"), nil, time.Second, false},
		{"said otherwise before", enforcing, said(v1alpha1.ReasonReady), time.Second, false},
		{"no wait", nil, nil, time.Second, false},
	} {
		clock := clocktesting.NewFakePassiveClock(time.Unix(100, 0))
		r := &Writer{Clock: clock}
		r.isPassing(enforcing, "uid", nil)
		clock.SetTime(clock.Now().Add(c.waited))
		if got := r.isPassing(c.err, "uid", c.conditions); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
		if got := r.isPassing(enforcing, "uid", nil); !errors.Is(c.err, enforcing) && !got {
			t.Errorf("%s: the wait after it is counted from before it", c.name)
		}
	}
}

// slowTrail answers when it is asked to.
type slowTrail struct{ answers []func(*auditlog.Write) }

func (t *slowTrail) Ask(_ auditlog.Question, answer func(*auditlog.Write)) {
	t.answers = append(t.answers, answer)
}

// lastEvent keeps what the last Event is about.
type lastEvent struct{ about runtime.Object }

func (e *lastEvent) Eventf(about, _ runtime.Object, _, _, _, _ string, _ ...any) { e.about = about }

// Promise: an Event that waits for the audit log is about the object as it was when the change was found, whatever the
// reconciler makes of that object meanwhile.
func TestLateEventsShareNothingWithTheReconciler(t *testing.T) {
	trail, told := &slowTrail{}, &lastEvent{}
	r := &Writer{AuditLog: trail, Events: told}
	tenant := &v1alpha1.Tenant{ObjectMeta: metav1.ObjectMeta{Name: "t", ResourceVersion: "1"}}
	r.RecordRepairs("t", tenant, []apply.Change{{Action: apply.Created}, {Action: apply.Repaired, Ref: snapshot.Ref{Kind: "Namespace"}, APIVersion: "v1"}})
	tenant.ResourceVersion = "2"
	if len(trail.answers) != 1 {
		t.Fatalf("the trail was asked %d times, want once", len(trail.answers))
	}
	trail.answers[0](nil)
	about, is := told.about.(*v1alpha1.Tenant)
	if !is || about == tenant || about.ResourceVersion != "1" {
		t.Errorf("the Event is about %v, want the Tenant of version 1", told.about)
	}
}
