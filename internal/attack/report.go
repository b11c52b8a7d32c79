package attack

import (
	"cmp"
	"slices"
	"time"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
)

// Report is what came of a suite.
type Report struct {
	Suite string `json:"suite"`
	// Verdict over all: Exposed if anything is, else Unknown if anything is, else Isolated.
	Verdict v1alpha1.Verdict `json:"verdict"`
	// Run marks what was made meanwhile; Started is when.
	Run     string    `json:"run"`
	Started time.Time `json:"started"`
	// Tenants that were attacked with, sorted.
	Tenants []string `json:"tenants"`
	// Attempts is how many attacks were tried, in all scenes.
	Attempts int `json:"attempts"`
	// Items in the suite's order.
	Items []ItemReport `json:"items"`
	// Beside is the same suite tried in a namespace that nobody guards; nil when it was not asked for.
	Beside *Report `json:"beside,omitempty"`
	// Fuzzed is what a fuzzed run covered, for each tenant; nil for other suites.
	Fuzzed []Fuzzed `json:"fuzzed,omitempty"`
}

// ItemReport is what came of one item of a suite.
type ItemReport struct {
	ID    string `json:"id"`
	Title string `json:"title"`
	Story string `json:"story,omitempty"`
	// Verdict is empty where none of the item's attacks applies to any of the tenants.
	Verdict v1alpha1.Verdict `json:"verdict,omitempty"`
	// Refusals counts who refused, as "RBAC x 12", the most frequent first.
	Refusals []string `json:"refusals,omitempty"`
	// Attempts, those that are not Isolated first. A fuzzed run shows the first of its kind alone; Tried is how many there were.
	Attempts []Attempt `json:"attempts,omitempty"`
	Tried    int       `json:"tried,omitempty"`
}

// Attempt is one attack in one scene.
type Attempt struct {
	Attack  string `json:"attack"`
	Control string `json:"control"`
	Title   string `json:"title"`
	Tenant  string `json:"tenant"`
	// As whom, and in which namespace of the tenant's or against which of another's.
	As        string           `json:"as"`
	Namespace string           `json:"namespace,omitempty"`
	Against   string           `json:"against,omitempty"`
	Verdict   v1alpha1.Verdict `json:"verdict"`
	// RefusedBy and Says are the refusal in its authority's own words.
	RefusedBy string `json:"refusedBy,omitempty"`
	Says      string `json:"says,omitempty"`
	// Detail says what was seen instead of the refusal that was expected.
	Detail string `json:"detail,omitempty"`
}

// Summarise makes the report of a suite out of the results of its attacks.
func Summarise(suite *Suite, results []Result) *Report {
	report := &Report{Suite: suite.Name, Verdict: v1alpha1.Isolated, Attempts: len(results)}
	for i := range results {
		if name := results[i].Scene.Tenant.Name; !slices.Contains(report.Tenants, name) {
			report.Tenants = append(report.Tenants, name)
		}
		report.Verdict = worse(report.Verdict, results[i].Verdict)
	}
	slices.Sort(report.Tenants)
	if len(results) == 0 {
		report.Verdict = v1alpha1.Unknown
	}
	for _, item := range suite.Items {
		report.Items = append(report.Items, itemReport(&item, results))
	}
	return report
}

func itemReport(item *Item, results []Result) ItemReport {
	report := ItemReport{ID: item.ID, Title: item.Title, Story: item.Story}
	refusals := map[string]int{}
	for i := range results {
		if !item.Has(results[i].Case.ID) {
			continue
		}
		report.Verdict = worse(report.Verdict, results[i].Verdict)
		attempt := attemptOf(&results[i])
		report.Attempts = append(report.Attempts, attempt)
		if attempt.RefusedBy != "" {
			refusals[attempt.RefusedBy]++
		}
	}
	report.Refusals = counted(refusals)
	slices.SortStableFunc(report.Attempts, func(a, b Attempt) int {
		return cmp.Or(cmp.Compare(severity(b.Verdict), severity(a.Verdict)), cmp.Compare(a.Attack, b.Attack), cmp.Compare(a.Tenant, b.Tenant),
			cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.As, b.As))
	})
	return report
}

func attemptOf(r *Result) Attempt {
	attempt := Attempt{Attack: r.Case.ID, Control: r.Case.Control, Title: r.Case.Title, Tenant: r.Scene.Tenant.Name,
		As: r.Scene.Subject.String(), Namespace: r.Scene.Namespace(), Verdict: r.Verdict, Detail: r.Detail}
	if r.Case.OnForeign {
		attempt.Against = r.Scene.Foreign
	}
	if r.Refused.By != "" && r.Verdict != v1alpha1.Exposed {
		by := r.Refused
		attempt.Says = by.Says
		by.Says = ""
		attempt.RefusedBy = by.String()
	}
	return attempt
}

// worse of two verdicts; none counts as nothing.
func worse(a, b v1alpha1.Verdict) v1alpha1.Verdict {
	if a == "" || severity(b) > severity(a) {
		return b
	}
	return a
}

// Unasked are the items of which no attack applied: nothing is known of them by this report.
func (r *Report) Unasked() []string {
	var ids []string
	for i := range r.Items {
		if r.Items[i].Verdict == "" {
			ids = append(ids, r.Items[i].ID)
		}
	}
	return ids
}
