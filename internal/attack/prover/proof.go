package prover

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/internal/attack/engine"
)

// maxFailures bounds what a tenant's status holds.
const maxFailures = 64

// sum is the proof that the results give: Exposed if any is, else Unknown if any is or nothing was asked, else Isolated.
// The time is the caller's to fill in.
func sum(results []engine.Result) v1alpha1.Proof {
	proof := v1alpha1.Proof{Verdict: v1alpha1.Isolated, Asked: int32(len(results))}
	if len(results) == 0 {
		proof.Verdict = v1alpha1.Unknown
		proof.Failures = []v1alpha1.ProofFailure{{
			Control: wholeProof, Subject: "tenant", Verdict: v1alpha1.Unknown, Detail: "there was nothing to ask: the tenant has no owner",
		}}
		return proof
	}
	bad := slices.DeleteFunc(slices.Clone(results), func(r engine.Result) bool { return r.Verdict == v1alpha1.Isolated })
	slices.SortStableFunc(bad, func(a, b engine.Result) int {
		return cmp.Or(cmp.Compare(engine.Severity(b.Verdict), engine.Severity(a.Verdict)), cmp.Compare(a.Failure().String(), b.Failure().String()))
	})
	for i, r := range bad {
		if engine.Severity(r.Verdict) > engine.Severity(proof.Verdict) {
			proof.Verdict = r.Verdict
		}
		if i < maxFailures {
			proof.Failures = append(proof.Failures, r.Failure())
		}
	}
	if more := len(bad) - maxFailures; more > 0 {
		proof.Failures = append(proof.Failures, v1alpha1.ProofFailure{
			Control: wholeProof, Subject: "tenant", Verdict: proof.Verdict, Detail: fmt.Sprintf("%d more findings", more),
		})
	}
	return proof
}

// wholeProof stands in a finding's place for the control where all of them are concerned: nothing could be asked, or there were
// more findings than fit.
const wholeProof = "proof"
