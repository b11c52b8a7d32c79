package prover

import (
	"strings"
	"testing"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/hostile"
	"github.com/bulkhead-dev/bulkhead/internal/attack/engine"
)

func result(control string, verdict v1alpha1.Verdict) engine.Result {
	return engine.Result{Case: hostile.Case{Control: control}, Scene: hostile.Scene{Subject: hostile.ServiceAccountSubject("a--b", "default")}, Verdict: verdict, Detail: "detail"}
}

// Exposed outweighs Unknown, which outweighs Isolated; nothing asked is Unknown; no finding is lost in silence.
func TestSumOfResults(t *testing.T) {
	many := []engine.Result{result("images", v1alpha1.Exposed)}
	for range 100 {
		many = append(many, result("quota", v1alpha1.Unknown))
	}
	tests := map[string]struct {
		results  []engine.Result
		verdict  v1alpha1.Verdict
		findings int
		first    string
		last     string
	}{
		"nothing":           {nil, v1alpha1.Unknown, 1, "proof: ", "proof: "},
		"isolated":          {[]engine.Result{result("a", v1alpha1.Isolated)}, v1alpha1.Isolated, 0, "", ""},
		"unknown":           {[]engine.Result{result("a", v1alpha1.Isolated), result("b", v1alpha1.Unknown)}, v1alpha1.Unknown, 1, "b: service account a--b/default: Unknown: detail", "b: "},
		"exposed first":     {[]engine.Result{result("a", v1alpha1.Unknown), result("b", v1alpha1.Exposed)}, v1alpha1.Exposed, 2, "b: ", "a: "},
		"exposed, reversed": {[]engine.Result{result("b", v1alpha1.Exposed), result("a", v1alpha1.Unknown)}, v1alpha1.Exposed, 2, "b: ", "a: "},
		"no verdict at all": {[]engine.Result{result("a", "")}, "", 1, "a: ", "a: "},
		"too many":          {many, v1alpha1.Exposed, maxFailures + 1, "images: ", "proof: tenant: Exposed: 37 more findings"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			proof := sum(test.results)
			if proof.Verdict != test.verdict || len(proof.Failures) != test.findings || int(proof.Asked) != len(test.results) {
				t.Fatalf("got %s with %d findings of %d asked: %q", proof.Verdict, len(proof.Failures), proof.Asked, proof.Failures)
			}
			if test.findings == 0 {
				return
			}
			if first, last := proof.Failures[0].String(), proof.Failures[len(proof.Failures)-1].String(); !strings.HasPrefix(first, test.first) || !strings.HasPrefix(last, test.last) {
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
				t.Errorf("%s is a dry-run outside a Space", c.ID)
			}
		}
	}
}
