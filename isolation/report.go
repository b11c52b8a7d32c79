package isolation

import (
	"cmp"
	"slices"
	"time"

	"github.com/bulkhead-dev/bulkhead/isolation/finding"
)

// Result is the result of one check, about one tenant or about all.
type Result struct {
	// Check by its ID.
	Check   string          `json:"check"`
	Verdict finding.Verdict `json:"verdict"`
	// Considered lists what the check looked at: Isolated means no more than this.
	Considered string `json:"considered,omitempty"`
}

// TenantReport is the proof about one tenant.
type TenantReport struct {
	Tenant  string          `json:"tenant"`
	Verdict finding.Verdict `json:"verdict"`
	// Results, one for each check, in the order of Checks.
	Results []Result `json:"results"`
	// Findings that concern the tenant, as indices into the report's.
	Findings []int `json:"findings,omitempty"`
}

// Report is a proof of a whole snapshot.
type Report struct {
	// Revision and Time of the snapshot that was judged.
	Revision string          `json:"revision"`
	Time     time.Time       `json:"time"`
	Verdict  finding.Verdict `json:"verdict"`
	// Results over all tenants, one for each check, in the order of Checks.
	Results []Result `json:"results"`
	// Tenants by name.
	Tenants []TenantReport `json:"tenants"`
	// Findings, the worst first, each once.
	Findings []finding.Finding `json:"findings,omitempty"`
	// Waived counts the findings that a waiver accepts.
	Waived int `json:"waived,omitempty"`
}

// Tenant returns the report of one tenant; false if the snapshot has none of that name.
func (r *Report) Tenant(name string) (TenantReport, bool) {
	i, found := slices.BinarySearchFunc(r.Tenants, name, func(t TenantReport, name string) int { return cmp.Compare(t.Tenant, name) })
	if !found {
		return TenantReport{}, false
	}
	return r.Tenants[i], true
}
