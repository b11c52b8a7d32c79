package engine

import (
	"testing"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/hostile"
)

// Isolated takes the expected refusal next to a harmless twin that succeeded: every other pair of answers is Exposed or
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
			got, detail := Judge(a, positive, attempt)
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
