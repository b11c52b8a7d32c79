package guardrails

import (
	"errors"
	"path"
	"slices"
	"testing"

	nodev1 "k8s.io/api/node/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bulkhead-dev/bulkhead/hostile"
	"github.com/bulkhead-dev/bulkhead/isolation/finding"
	"github.com/bulkhead-dev/bulkhead/snapshot"
)

// testGuardrails have everything that a case may take from a snapshot.
func testGuardrails() *guardrails {
	named := func(name string) metav1.ObjectMeta { return metav1.ObjectMeta{Name: name} }
	g := newGuardrails(finding.NewInput(&snapshot.Snapshot{
		RuntimeClasses:  []*nodev1.RuntimeClass{{ObjectMeta: named("gvisor")}, {ObjectMeta: named("other")}},
		PriorityClasses: []*schedulingv1.PriorityClass{{ObjectMeta: named("pushy"), Value: 100}},
	}, finding.Options{}), nil)
	for control := range controlGrades {
		g.inUse[control] = true
	}
	return g
}

// testSettings are those between which every case applies somewhere.
func testSettings() []setting {
	poor := setting{}
	rich := setting{image: "registry.example.com/library/app:1", registry: "registry.example.com/library/", storageClass: "fast",
		runtime: "gvisor", token: true, hosts: true, protected: true}
	return []setting{poor, rich}
}

// Promise: every case of the catalogue is a probe of the prover under its own id, or a rule says why it is none; and a case that
// admission must refuse is none only where its requests are carried out by controllers or aimed at what does not exist.
func TestEveryCaseIsAProbe(t *testing.T) {
	g := testGuardrails()
	probes := map[string]int{}
	for _, s := range testSettings() {
		for _, p := range g.probesFor(s) {
			probes[p.ID]++
		}
	}
	for _, c := range hostile.All() {
		asks, why := asksAdmission(&c)
		if !asks && (why == "" || probes[c.ID] > 0) {
			t.Errorf("%s is no probe by the rule (%q) and there are %d of it", c.ID, why, probes[c.ID])
		}
		if asks && probes[c.ID] == 0 {
			rich := testSettings()[1]
			scene := g.scene(&rich, anySpot)
			if _, err := g.asked(&scene, &c.Attempt); !errors.Is(err, errLive) && !errors.Is(err, errNothing) {
				t.Errorf("%s is no probe in any setting, and no rule says why: %v", c.ID, err)
			}
		}
	}
	const fewest = 300
	if len(probes) < fewest {
		t.Errorf("%d probes; there must be %d", len(probes), fewest)
	}
}

// Promise: each probe has the code of its control, with a severity; and each row of the table of grades is about a case.
func TestEveryProbeHasAGrade(t *testing.T) {
	all := hostile.All()
	for i := range all {
		if asks, _ := asksAdmission(&all[i]); !asks {
			continue
		}
		grade := gradeOf(&all[i])
		at := slices.IndexFunc(guardrailCodes(), func(c finding.Code) bool { return c.ID == grade.code })
		if at < 0 || !slices.Contains(guardrailCodes()[at].Controls, all[i].Control) || grade.severity == "" {
			t.Errorf("%s has the grade %+v, whose code is not one of control %s", all[i].ID, grade, all[i].Control)
		}
	}
	for _, row := range caseGrades {
		if !slices.ContainsFunc(all, func(c hostile.Case) bool { like, err := path.Match(row.like, c.ID); return like && err == nil }) {
			t.Errorf("%s is like no case", row.like)
		}
	}
}

// Promise: a probe asks something else than its twin, in the same place, and two of equal requests share them, so that admission
// answers once.
func TestProbesDifferFromTheirTwins(t *testing.T) {
	g := testGuardrails()
	rich := testSettings()[1]
	again := rich
	again.storageClass = "slow"
	others := g.probesFor(again)
	shared := 0
	for i, p := range g.probesFor(rich) {
		if g.twinOf(&visit{setting: rich, scene: g.scene(&rich, anySpot)}, &p) == p.request {
			t.Errorf("%s asks what its twin asks", p.ID)
		}
		if p.request.Object == nil && p.request.Operation != "DELETE" || p.request.OldObject == nil && p.request.Operation != "CREATE" {
			t.Errorf("%s lacks the object of a %s", p.ID, p.request.Operation)
		}
		if p.request.Kind.Kind == "" {
			t.Errorf("%s names no kind", p.ID)
		}
		if p.request == others[i].request {
			shared++
		}
	}
	if shared < 300 {
		t.Errorf("only %d requests are shared between settings that differ in the StorageClass", shared)
	}
}

// Promise: what somebody can do is said in words that follow "can".
func TestInfinitive(t *testing.T) {
	for title, want := range map[string]string{
		"runs privileged": "run privileged", "has the capability BPF": "have the capability BPF", "copies a volume": "copy a volume",
		"passes an object off": "pass an object off", "reaches others": "reach others", "uses the host's network": "use the host's network",
	} {
		if got := infinitive(title); got != want {
			t.Errorf("%s: %s, want %s", title, got, want)
		}
	}
	for _, c := range hostile.All() {
		if asks, _ := asksAdmission(&c); asks && infinitive(c.Title) == c.Title {
			t.Errorf("the title of %s begins with no verb: %s", c.ID, c.Title)
		}
	}
}
