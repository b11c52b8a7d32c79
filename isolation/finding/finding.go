package finding

import (
	"cmp"
	"slices"
	"strings"

	"github.com/bulkhead-dev/bulkhead/snapshot"
)

// Verdict is the result of a proof. The three are never mixed.
type Verdict string

// The three verdicts of a proof.
const (
	// Isolated: everything that was considered holds.
	Isolated Verdict = "Isolated"
	// Exposed: something does not hold; a Finding has the witness.
	Exposed Verdict = "Exposed"
	// Unknown: it cannot be decided; a Finding says what is missing. It is never reported as Isolated.
	Unknown Verdict = "Unknown"
)

// Worse returns the worse of two verdicts: Exposed before Unknown before Isolated.
func (v Verdict) Worse(w Verdict) Verdict {
	if w.rank() > v.rank() {
		return w
	}
	return v
}

// rank orders verdicts. One that is none of the three is as bad as Unknown.
func (v Verdict) rank() int {
	switch v {
	case Isolated:
		return 0
	case Exposed:
		return 2
	case Unknown:
	}
	return 1
}

// Severity of a finding, by what an attacker gains.
type Severity string

// The severities.
const (
	// Critical: a tenant compromises another one, a node or the cluster.
	Critical Severity = "Critical"
	// High: a tenant reads or changes something of another one, or can open the boundary between them.
	High Severity = "High"
	// Medium: a tenant can starve others, or learns of them.
	Medium Severity = "Medium"
	// Low: defence in depth is missing behind a control that holds.
	Low Severity = "Low"
)

// Rank orders severities, the worst first.
func (s Severity) Rank() int {
	return slices.Index([]Severity{Critical, High, Medium, Low}, s)
}

// Whom a finding is about, where it is not one tenant.
const (
	// EveryTenant stands for every tenant alike.
	EveryTenant = "*"
	// ThePlatform stands for what no tenant owns: the cluster, its nodes, the platform's namespaces, or no namespace at all.
	ThePlatform = ""
)

// Finding is one thing that does not hold, or that cannot be decided.
type Finding struct {
	// Code is stable, such as BH1001; Codes has its meaning, severity, fix and catalogues.
	Code string `json:"code"`
	// Verdict is Exposed or Unknown.
	Verdict Verdict `json:"verdict"`
	// Severity of this finding: that of its code unless the check knows better.
	Severity Severity `json:"severity"`
	// From is the tenant that may do it: a name, EveryTenant or ThePlatform.
	From string `json:"from,omitempty"`
	// To is the tenant to whom it is done: a name, EveryTenant or ThePlatform.
	To string `json:"to,omitempty"`
	// Given is true where To gave it, by an object of its own namespaces: it is To's to take back, and in To's report alone.
	Given bool `json:"given,omitempty"`
	// What is the finding in one sentence: who can do what to whom, or what is missing for an answer.
	What string `json:"what"`
	// Witness is the shortest way there, step by step. An Exposed finding always has one.
	Witness []Step `json:"witness,omitempty"`
	// Blame are the objects that let it happen, the first one first; for what is not there, the object that should be.
	Blame []snapshot.Ref `json:"blame,omitempty"`
	// Fix is the least change that ends it.
	Fix string `json:"fix,omitempty"`
	// Requests show it: each is let through now, and would be refused if all were well. Empty where no request shows it, such as
	// where packets would have to be sent. They are for readers who want to try them, and not part of what is written.
	Requests []Request `json:"-"`
	// Waiver that accepts the finding; then it is shown and counted but not held against the tenant.
	Waiver string `json:"waiver,omitempty"`
}

// Step is one step of a witness.
type Step struct {
	// Object that makes the step possible; zero where it is nothing but a rule of Kubernetes.
	Object snapshot.Ref `json:"object,omitzero"`
	// Does describes the step: "grants get secrets to group shop-developers".
	Does string `json:"does"`
}

// ID identifies the finding across proofs: the same code, tenants, blame and sentence.
func (f *Finding) ID() string {
	parts := []string{f.Code, string(f.Verdict), f.From, f.To}
	for _, o := range f.Blame {
		parts = append(parts, o.String())
	}
	return strings.Join(append(parts, f.What), "|")
}

// Concerns reports whether the finding belongs into a tenant's report: the tenant may do it, or it is done to it.
func (f *Finding) Concerns(tenant string) bool {
	if f.Given {
		return f.To == tenant
	}
	return f.From == tenant || f.To == tenant || f.From == EveryTenant || f.To == EveryTenant ||
		f.From == ThePlatform && f.To == ThePlatform
}

// Code is what a finding's code means.
type Code struct {
	// ID such as BH1001. It stands in reports, waivers and other people's scripts, and never changes its meaning.
	ID string
	// Title in a few words.
	Title string
	// Severity of its findings unless the check knows better.
	Severity Severity
	// Why it matters.
	Why string
	// Fix in general; a finding has the particular one.
	Fix string
	// Controls that should have kept it from happening.
	Controls []string
	// Mappings to public catalogues: OWASP Kubernetes Top 10 (2025) as K01 to K10, the Multi-Tenancy Benchmark as MTB-*.
	Mappings []string
}

// Check is one kind of proof, as reports and documentation list it.
type Check struct {
	// ID is stable, such as rbac.
	ID string
	// Title states what it proves.
	Title string
	// Needs are the kinds that must have been read; if one is Missing, what the check does not find exposed is Unknown.
	Needs []string
	// Codes of its findings.
	Codes []Code
}

// Code returns the code with an id; false if the check has none.
func (c *Check) Code(id string) (Code, bool) {
	i := slices.IndexFunc(c.Codes, func(code Code) bool { return code.ID == id })
	if i < 0 {
		return Code{}, false
	}
	return c.Codes[i], true
}

// Complete fills in what a finding has from its code.
func (c *Check) Complete(f *Finding) {
	code, has := c.Code(f.Code)
	if !has {
		return // the registry's test does not let this happen
	}
	if f.Severity == "" {
		f.Severity = code.Severity
	}
	if f.Fix == "" {
		f.Fix = code.Fix
	}
}

// Sort puts the worst first and leaves each once.
func Sort(findings []Finding) []Finding {
	slices.SortStableFunc(findings, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(b.Verdict.rank(), a.Verdict.rank()), cmp.Compare(a.Severity.Rank(), b.Severity.Rank()),
			cmp.Compare(a.Code, b.Code), cmp.Compare(a.From, b.From), cmp.Compare(a.To, b.To), cmp.Compare(a.What, b.What),
			cmp.Compare(a.ID(), b.ID()))
	})
	return slices.CompactFunc(findings, func(a, b Finding) bool { return a.ID() == b.ID() })
}

// Few names a few of many.
func Few(names []string) string {
	const most = 6
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return strings.Join(names[:most], ", ") + ", ..."
}
