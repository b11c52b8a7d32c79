package attack

import (
	"slices"
	"strings"
	"testing"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/hostile"
)

// Isolated takes the expected refusal beside a positive control that succeeded: every other pair of answers is Exposed or
// Unknown.
func TestVerdictOfEveryPairOfAnswers(t *testing.T) {
	expected := hostile.Refusal{By: hostile.Policy, Name: "bulkhead-images", Says: "images: "}
	a := &hostile.Case{ID: "images/x", Control: "images", Title: "runs foreign images", Refusal: expected, Twin: hostile.Step{Title: "twin"}}
	answers := map[string]hostile.Answer{
		"allowed":        {Allowed: true},
		"expected":       {Refusal: hostile.Refusal{By: hostile.Policy, Name: "bulkhead-images", Says: "images: not this one"}},
		"other policy":   {Refusal: hostile.Refusal{By: hostile.Policy, Name: "bulkhead-priority", Says: "images: not this one"}},
		"other rule":     {Refusal: hostile.Refusal{By: hostile.Policy, Name: "bulkhead-images", Says: "pull always"}},
		"other who":      {Refusal: hostile.Refusal{By: hostile.PodSecurity}},
		"quota":          {Refusal: hostile.Refusal{By: hostile.Quota, Name: "bulkhead"}},
		"problem":        {Problem: "no answer"},
		"nothing":        {},
		"contradiction":  {Allowed: true, Problem: "both"},
		"RBAC":           {Refusal: hostile.Refusal{By: hostile.RBAC}},
		"unnamed policy": {Refusal: hostile.Refusal{By: hostile.Policy}},
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
	return Result{Case: hostile.Case{Control: control}, Scene: hostile.Scene{Subject: jane}, Verdict: verdict, Detail: "detail"}
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

// Every proof's questions are cases of the catalogue that store nothing and read nothing of the tenant's.
func TestQuestions(t *testing.T) {
	if n := len(Questions()); n != 14 {
		t.Errorf("there are %d questions", n)
	}
	for _, q := range Questions() {
		if q.Asks == "" || len(q.Forms) == 0 {
			t.Errorf("question %q has %d forms", q.Asks, len(q.Forms))
		}
		for _, c := range q.Forms {
			if c.Refusal.By != hostile.RBAC && !c.EachSpace {
				t.Errorf("%s is a dry-run outside of a Space", c.ID)
			}
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
				if !slices.ContainsFunc(hostile.All(), func(a hostile.Case) bool { return like(pattern, a.ID) }) && item.ID != "dns-enumerate" {
					t.Errorf("%s: %s: nothing is like %s", suite.Name, item.ID, pattern)
				}
			}
		}
	}
	if n := len(benchmarkSuite().Items); n != 24 {
		t.Errorf("%d benchmarks", n)
	}
}
