package catalogue

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/internal/attack/engine"
)

// Report is what came of a suite.
type Report struct {
	Suite string `json:"suite"`
	// Verdict over all: Exposed if anything is, else Unknown if anything is, else Isolated.
	Verdict v1alpha1.Verdict `json:"verdict"`
	// Run marks what was made; Started is when.
	Run     string    `json:"run"`
	Started time.Time `json:"started"`
	// Tenants that were attacked with, sorted.
	Tenants []string `json:"tenants"`
	// Attempts is how many attacks were tried, in all scenes.
	Attempts int `json:"attempts"`
	// Items in the suite's order.
	Items []ItemReport `json:"items"`
	// Unguarded is the same suite tried in a namespace without any guardrail; nil when it was not asked for.
	Unguarded *Report `json:"unguarded,omitempty"`
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
	// Detail reports what was seen instead of the refusal that was expected.
	Detail string `json:"detail,omitempty"`
}

// Summarise makes the report of a suite out of the results of its attacks.
func Summarise(suite *Suite, results []engine.Result) *Report {
	report := &Report{Suite: suite.Name, Verdict: v1alpha1.Isolated, Attempts: len(results)}
	for i := range results {
		if name := results[i].Scene.Tenant.Name; !slices.Contains(report.Tenants, name) {
			report.Tenants = append(report.Tenants, name)
		}
		report.Verdict = engine.Worse(report.Verdict, results[i].Verdict)
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

func itemReport(item *Item, results []engine.Result) ItemReport {
	report := ItemReport{ID: item.ID, Title: item.Title, Story: item.Story}
	refusals := map[string]int{}
	for i := range results {
		if !item.Has(results[i].Case.ID) {
			continue
		}
		report.Verdict = engine.Worse(report.Verdict, results[i].Verdict)
		attempt := attemptOf(&results[i])
		report.Attempts = append(report.Attempts, attempt)
		if attempt.RefusedBy != "" {
			refusals[attempt.RefusedBy]++
		}
	}
	report.Refusals = Counted(refusals)
	slices.SortStableFunc(report.Attempts, func(a, b Attempt) int {
		return cmp.Or(cmp.Compare(engine.Severity(b.Verdict), engine.Severity(a.Verdict)), cmp.Compare(a.Attack, b.Attack), cmp.Compare(a.Tenant, b.Tenant),
			cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.As, b.As))
	})
	return report
}

func attemptOf(r *engine.Result) Attempt {
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

// Fuzzed is what a fuzzed run on one tenant covered.
type Fuzzed struct {
	Tenant string `json:"tenant"`
	// Seed makes the same sequence of attempts again, as long as the answers are the same.
	Seed uint64 `json:"seed"`
	// Attempts, how many of them were carried out and no dry-run, how many were accepted in the tenant's own Spaces, and how many had an
	// outcome that was new and were varied.
	Attempts int `json:"attempts"`
	Real     int `json:"real"`
	Accepted int `json:"accepted"`
	Corpus   int `json:"corpus"`
	// Refusals counts who refused, the most frequent first; Kinds is of how many kinds and subresources something was tried.
	Refusals []string `json:"refusals"`
	Kinds    int      `json:"kinds"`
	// NeverAccepted are the kinds that owners may write and of which nothing was accepted, each with the last answer.
	NeverAccepted []string `json:"neverAccepted,omitempty"`
	// Unclear answers, which are no refusal by any authority, one of each kind.
	Unclear []string `json:"unclear,omitempty"`
	// Compared objects outside the tenant's own, what changed of them, what could not be listed, and what the comparison ignored.
	Compared int         `json:"compared"`
	Changes  []Change    `json:"changes,omitempty"`
	Missing  []string    `json:"missing,omitempty"`
	Excluded []Exclusion `json:"excluded"`
	// Proof is what the prover says after that it did not say before.
	Proof *Judgement `json:"proof,omitempty"`
}

// Exclusion is something that changes by itself, and so does not count as a change.
type Exclusion struct {
	// What is left out, as "leases.coordination.k8s.io: spec.renewTime".
	What string `json:"what"`
	Why  string `json:"why"`
	// Objects that changed in this and nothing else.
	Objects int `json:"objects"`
}

// Change is an object outside the tenant's own that is not as it was.
type Change struct {
	Object string `json:"object"`
	// What became of it: made, changed, gone.
	What string `json:"what"`
	// Writers are the field managers that wrote to it.
	Writers []string `json:"writers,omitempty"`
	// Trace is true when the run's name stands in it, or its field manager wrote it: the tenant did it, or had it done.
	Trace bool `json:"trace"`
}

// String is the change in words.
func (c *Change) String() string {
	text := c.Object + " " + c.What
	if len(c.Writers) > 0 {
		text += ", written by " + strings.Join(c.Writers, ", ")
	}
	if c.Trace {
		return text + "; it bears the run's trace"
	}
	return text + "; nothing shows that the run had a part in it, and nothing that it had none"
}

// Judgement is what a proof of the platform finds that the one before did not.
type Judgement struct {
	// Verdict on what is new: Isolated where nothing is.
	Verdict v1alpha1.Verdict `json:"verdict"`
	Before  v1alpha1.Verdict `json:"before"`
	After   v1alpha1.Verdict `json:"after"`
	// New findings, in words.
	New []string `json:"new,omitempty"`
}

// Join adds the report of another tenant's run.
func (r *Report) Join(other *Report) {
	r.Verdict = engine.Worse(r.Verdict, other.Verdict)
	r.Attempts += other.Attempts
	r.Tenants = append(r.Tenants, other.Tenants...)
	slices.Sort(r.Tenants)
	r.Fuzzed = append(r.Fuzzed, other.Fuzzed...)
	for i := range r.Items {
		mine, theirs := &r.Items[i], &other.Items[i]
		if theirs.Verdict != "" {
			mine.Verdict = engine.Worse(mine.Verdict, theirs.Verdict)
		}
		mine.Tried += theirs.Tried
		mine.Attempts = append(mine.Attempts, theirs.Attempts...)
		mine.Refusals = append(mine.Refusals, theirs.Refusals...)
	}
}

// Counted are words with how often, as "RBAC x 12", the most frequent first.
func Counted(words map[string]int) []string {
	list := []string{}
	for _, word := range slices.SortedFunc(maps.Keys(words), func(a, b string) int { return cmp.Or(cmp.Compare(words[b], words[a]), cmp.Compare(a, b)) }) {
		list = append(list, fmt.Sprintf("%s x %d", word, words[word]))
	}
	return list
}
