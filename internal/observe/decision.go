// Package observe is the only reader of the world: it turns API objects, from a live cluster or from files, into the
// values that the pure packages decide on.
package observe

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/decision"
)

// TenancyInput is what the tenancy decision reads of a workload, its tenant and the platform.
func TenancyInput(p *v1alpha1.Platform, t *v1alpha1.Tenant, w *v1alpha1.Workload) decision.TenancyInput {
	return decision.TenancyInput{
		Tenant: decision.TenantTraits{
			Boundary:       decision.Boundary(t.Spec.Boundary),
			Declared:       decision.Declared(t.Spec.Declared),
			DedicatedHosts: t.Spec.DedicatedHosts,
		},
		Workload: decision.WorkloadTraits{
			Code:          decision.Code(w.Code),
			Environment:   decision.Environment(w.Environment),
			HostAccess:    decision.HostAccess(w.HostAccess),
			APIAccess:     decision.APIAccess(w.APIAccess),
			ClusterScoped: w.ClusterScoped,
			Performance:   decision.Performance(w.Performance),
			Upgrades:      decision.Upgrades(w.Upgrades),
			Lifetime:      decision.Lifetime(w.Lifetime),
		},
		Platform: decision.PlatformFacts{SandboxRuntimes: p.Spec.SandboxRuntimes},
	}
}

// Tenancy decides one workload. The error names the workload and every fact that is missing or unknown.
func Tenancy(p *v1alpha1.Platform, t *v1alpha1.Tenant, w *v1alpha1.Workload) (decision.TenancyDecision, error) {
	d, err := decision.Tenancy(TenancyInput(p, t, w))
	if err != nil {
		return decision.TenancyDecision{}, fmt.Errorf("tenant %s, workload %s: %w", t.Name, w.Name, err)
	}
	return d, nil
}

// Decisions decides every workload of a tenant and returns the records for its status, sorted by workload. Workloads
// that cannot be decided are left out; the error joins what they lack.
func Decisions(p *v1alpha1.Platform, t *v1alpha1.Tenant) ([]v1alpha1.WorkloadDecision, error) {
	records := make([]v1alpha1.WorkloadDecision, 0, len(t.Spec.Workloads))
	var faults []error
	for i := range t.Spec.Workloads {
		w := &t.Spec.Workloads[i]
		d, err := Tenancy(p, t, w)
		if err != nil {
			faults = append(faults, err)
			continue
		}
		records = append(records, Record(w.Name, d))
	}
	slices.SortFunc(records, func(a, b v1alpha1.WorkloadDecision) int { return strings.Compare(a.Workload, b.Workload) })
	return records, errors.Join(faults...)
}

// Record is a decision in the words of a Tenant's status.
func Record(workload string, d decision.TenancyDecision) v1alpha1.WorkloadDecision {
	record := v1alpha1.WorkloadDecision{
		Workload:     workload,
		Pattern:      string(d.Pattern),
		RuntimeClass: d.RuntimeClass,
		InputHash:    d.InputHash,
	}
	for _, r := range d.Reasons {
		record.Reasons = append(record.Reasons, reasonText(r))
	}
	for _, r := range d.Risks {
		record.Risks = append(record.Risks, r.ID+": "+r.Text)
	}
	for _, f := range d.Flips {
		record.Flips = append(record.Flips, flipText(f))
	}
	return record
}

func reasonText(r decision.Reason) string {
	if len(r.Facts) == 0 {
		return r.Rule + ": " + r.Because
	}
	facts := make([]string, len(r.Facts))
	for i, f := range r.Facts {
		facts[i] = f.Name + "=" + f.Value
	}
	return r.Rule + ": " + strings.Join(facts, ", ") + ": " + r.Because
}

func flipText(f decision.Flip) string {
	changes := make([]string, len(f.Changes))
	for i, c := range f.Changes {
		changes[i] = fmt.Sprintf("%s from %s to %s", c.Fact, c.From, c.To)
	}
	return string(f.Pattern) + " if " + strings.Join(changes, " and ")
}

// Patterns names each pattern of the records once, the strictest first, for a printed column.
func Patterns(records []v1alpha1.WorkloadDecision) string {
	seen := map[decision.Pattern]bool{}
	var patterns []decision.Pattern
	for i := range records {
		p := decision.Pattern(records[i].Pattern)
		if !seen[p] {
			seen[p] = true
			patterns = append(patterns, p)
		}
	}
	slices.SortFunc(patterns, func(a, b decision.Pattern) int {
		switch {
		case a.Stricter(b):
			return -1
		case b.Stricter(a):
			return 1
		default:
			return 0
		}
	})
	names := make([]string, len(patterns))
	for i, p := range patterns {
		names[i] = string(p)
	}
	return strings.Join(names, ",")
}

// Workload of a tenant by name; nil when the tenant declares none of that name.
func Workload(t *v1alpha1.Tenant, name string) *v1alpha1.Workload {
	for i := range t.Spec.Workloads {
		if t.Spec.Workloads[i].Name == name {
			return &t.Spec.Workloads[i]
		}
	}
	return nil
}
