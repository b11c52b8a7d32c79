package placement

import (
	"slices"
	"strings"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/decision/tenancy"
)

// Record is a decision in the form of the API.
func Record(workload string, d *tenancy.Decision) v1alpha1.WorkloadDecision {
	o := &d.Outcome
	record := v1alpha1.WorkloadDecision{
		Workload: workload, Pattern: o.Pattern, Sandboxed: o.Sandboxed, RuntimeClass: o.RuntimeClass, Ephemeral: o.Ephemeral,
		InputHash: d.InputHash,
	}
	e := &record.Explanation
	for _, r := range d.Reasons {
		reason := v1alpha1.DecisionReason{Rule: r.Rule, Pattern: r.AtLeast.Pattern, Sandboxed: r.AtLeast.Sandboxed, Because: r.Because}
		for _, f := range r.Facts {
			reason.Facts = append(reason.Facts, v1alpha1.DeclaredFact(f))
		}
		e.Reasons = append(e.Reasons, reason)
	}
	for _, r := range d.Risks {
		e.Risks = append(e.Risks, v1alpha1.ResidualRisk{ID: r.ID, Severity: string(r.Severity), Text: r.Text, Control: r.Control})
	}
	for _, r := range d.Relaxations {
		relaxation := v1alpha1.Relaxation{Pattern: r.Outcome.Pattern, Sandboxed: r.Outcome.Sandboxed}
		for _, c := range r.Changes {
			relaxation.Changes = append(relaxation.Changes, v1alpha1.FactChange(c))
		}
		e.Relaxations = append(e.Relaxations, relaxation)
	}
	return record
}

// Patterns names each pattern of the records once, the strictest first, for a printed column.
func Patterns(records []v1alpha1.WorkloadDecision) string {
	var names []string
	for _, p := range []tenancy.Pattern{tenancy.PatternHard, tenancy.PatternSoftAffinity, tenancy.PatternSoft} {
		if slices.ContainsFunc(records, func(d v1alpha1.WorkloadDecision) bool { return d.Pattern == p }) {
			names = append(names, string(p))
		}
	}
	return strings.Join(names, ",")
}
