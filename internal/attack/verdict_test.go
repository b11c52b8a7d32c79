package attack

import (
	"slices"
	"strings"
	"testing"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/guardrail"
)

// Isolated takes the expected refusal beside a positive control that succeeded: every other pair of answers is Exposed or
// Unknown.
func TestVerdictOfEveryPairOfAnswers(t *testing.T) {
	expected := Refusal{By: Policy, Name: "bulkhead-images", Says: "images: "}
	a := &Attack{ID: "images/x", Control: "images", Title: "runs foreign images", Refusal: expected, PositiveControl: Step{Title: "twin"}}
	answers := map[string]Answer{
		"allowed":        {Allowed: true},
		"expected":       {Refusal: Refusal{By: Policy, Name: "bulkhead-images", Says: "images: not this one"}},
		"other policy":   {Refusal: Refusal{By: Policy, Name: "bulkhead-priority", Says: "images: not this one"}},
		"other rule":     {Refusal: Refusal{By: Policy, Name: "bulkhead-images", Says: "pull always"}},
		"other who":      {Refusal: Refusal{By: PodSecurity}},
		"quota":          {Refusal: Refusal{By: Quota, Name: "bulkhead"}},
		"problem":        {Problem: "no answer"},
		"nothing":        {},
		"contradiction":  {Allowed: true, Problem: "both"},
		"RBAC":           {Refusal: Refusal{By: RBAC}},
		"unnamed policy": {Refusal: Refusal{By: Policy}},
	}
	for positiveName, positive := range answers {
		for attemptName, attempt := range answers {
			got, detail := judge(a, positive, attempt)
			want := v1alpha1.Unknown
			switch {
			case attempt.Allowed:
				want = v1alpha1.Exposed
			case attemptName == "expected" && (positive.Allowed || positiveName == "quota"):
				want = v1alpha1.Isolated
			}
			if got != want {
				t.Errorf("positive %s, attempt %s: got %s, want %s", positiveName, attemptName, got, want)
			}
			if got != v1alpha1.Isolated && detail == "" {
				t.Errorf("positive %s, attempt %s: %s without a word why", positiveName, attemptName, got)
			}
		}
	}
}

func result(control string, verdict v1alpha1.Verdict) Result {
	return Result{Attack: Attack{Control: control}, Scene: Scene{Subject: jane}, Verdict: verdict, Detail: "detail"}
}

// Exposed outweighs Unknown, which outweighs Isolated; nothing asked is Unknown; no finding is lost in silence.
func TestSumOfResults(t *testing.T) {
	many := []Result{result("images", v1alpha1.Exposed)}
	for range 100 {
		many = append(many, result("quota", v1alpha1.Unknown))
	}
	tests := map[string]struct {
		results  []Result
		verdict  v1alpha1.Verdict
		findings int
		first    string
		last     string
	}{
		"nothing":           {nil, v1alpha1.Unknown, 1, "proof: ", "proof: "},
		"isolated":          {[]Result{result("a", v1alpha1.Isolated)}, v1alpha1.Isolated, 0, "", ""},
		"unknown":           {[]Result{result("a", v1alpha1.Isolated), result("b", v1alpha1.Unknown)}, v1alpha1.Unknown, 1, "b: user jane: Unknown: detail", "b: "},
		"exposed first":     {[]Result{result("a", v1alpha1.Unknown), result("b", v1alpha1.Exposed)}, v1alpha1.Exposed, 2, "b: ", "a: "},
		"exposed, reversed": {[]Result{result("b", v1alpha1.Exposed), result("a", v1alpha1.Unknown)}, v1alpha1.Exposed, 2, "b: ", "a: "},
		"no verdict at all": {[]Result{result("a", "")}, "", 1, "a: ", "a: "},
		"too many":          {many, v1alpha1.Exposed, maxFindings + 1, "images: ", "proof: tenant: Exposed: 37 more findings"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			proof := sum(test.results)
			if proof.Verdict != test.verdict || len(proof.Findings) != test.findings || int(proof.Asked) != len(test.results) {
				t.Fatalf("got %s with %d findings of %d asked: %q", proof.Verdict, len(proof.Findings), proof.Asked, proof.Findings)
			}
			if test.findings == 0 {
				return
			}
			if first, last := proof.Findings[0], proof.Findings[len(proof.Findings)-1]; !strings.HasPrefix(first, test.first) || !strings.HasPrefix(last, test.last) {
				t.Errorf("got first %q and last %q", first, last)
			}
		})
	}
}

// The registry is data that must hang together: a wrong row would be a question that cannot fail.
func TestRegistry(t *testing.T) {
	if n := len(Twelve()); n != 12 {
		t.Errorf("Twelve has %d questions", n)
	}
	seen, attacked := map[string]bool{}, map[string]bool{}
	for _, a := range All() {
		if seen[a.ID] {
			t.Errorf("%s is there twice", a.ID)
		}
		seen[a.ID], attacked[a.Control] = true, true
		if _, known := guardrail.ControlByID(a.Control); !known {
			t.Errorf("%s: there is no control %s", a.ID, a.Control)
		}
		if !strings.HasPrefix(a.ID, a.Control+"/") || a.Title == "" || a.By == 0 || a.Refusal.By == "" {
			t.Errorf("%s is incomplete: %+v", a.ID, a)
		}
		if a.PositiveControl.Ask == nil || a.Attempt.Ask == nil || a.PositiveControl.Title == a.Attempt.Title {
			t.Errorf("%s has no attempt that differs from its positive control", a.ID)
		}
		if a.Refusal.By == Policy && a.Refusal.Name == "" {
			t.Errorf("%s expects a policy without its name", a.ID)
		}
	}
	for _, q := range append(Twelve(), Besides()...) {
		if q.Asks == "" || len(q.Forms) == 0 {
			t.Errorf("question %q has %d forms", q.Asks, len(q.Forms))
		}
		for _, a := range q.Forms {
			if !seen[a.ID] {
				t.Errorf("%s is asked, and not in the registry", a.ID)
			}
			if a.Refusal.By != RBAC && !a.EachSpace {
				t.Errorf("%s is a dry-run outside of a Space", a.ID)
			}
		}
	}
	for _, c := range guardrail.Controls() {
		if c.ID != "dns-enumerate" && !attacked[c.ID] { // which the cluster's DNS alone can answer
			t.Errorf("nothing attacks control %s", c.ID)
		}
	}
}

// Promise: every pattern of a suite stands for an attack, and no two items have one id: a typing error must not look like a pass.
func TestSuites(t *testing.T) {
	for _, suite := range Suites() {
		ids := map[string]bool{}
		for _, item := range suite.Items {
			if ids[item.ID] {
				t.Errorf("%s: %s is there twice", suite.Name, item.ID)
			}
			ids[item.ID] = true
			for _, pattern := range item.Attacks {
				if !slices.ContainsFunc(All(), func(a Attack) bool { return like(pattern, a.ID) }) && item.ID != "dns-enumerate" {
					t.Errorf("%s: %s: nothing is like %s", suite.Name, item.ID, pattern)
				}
			}
		}
	}
	if n := len(benchmarkSuite().Items); n != 24 {
		t.Errorf("%d benchmarks", n)
	}
}

// A positive control shared by title must ask the same thing.
func TestStepsOfOneTitleAskTheSame(t *testing.T) {
	w := testWorld()
	seen := map[string]string{}
	for _, a := range All() {
		scene := Scene{Subject: jane, Platform: w.platform, Tenant: w.tenant, Space: &w.spaces[0], Foreign: "other--web"}
		scene.Seen = &Sights{Node: "node", Preempts: map[string]bool{}}
		if on := a.PositiveControl.On; on != "" {
			request, err := harmlessTarget(scene, on)
			must(t, err)
			scene.Target, err = plain(request.Body)
			must(t, err)
		}
		ask, err := a.PositiveControl.Ask(scene)
		if err != nil {
			t.Fatalf("%s: %v", a.ID, err)
		}
		body := mustJSON(t, ask)
		if before, known := seen[a.PositiveControl.Title]; known && before != body {
			t.Errorf("%s: %q asks\n%s\nand elsewhere\n%s", a.ID, a.PositiveControl.Title, body, before)
		}
		seen[a.PositiveControl.Title] = body
	}
}
