package isolation

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// Verdict is what a proof says. The three are never mixed.
type Verdict string

// The three voices of a proof.
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
	// Critical: a tenant gets hold of another one, of a node or of the cluster.
	Critical Severity = "Critical"
	// High: a tenant reads or changes something of another one, or the fence between them can be opened.
	High Severity = "High"
	// Medium: a tenant can starve others, or learns of them.
	Medium Severity = "Medium"
	// Low: defence in depth is missing behind a control that holds.
	Low Severity = "Low"
)

// rank orders severities, the worst first.
func (s Severity) rank() int {
	return slices.Index([]Severity{Critical, High, Medium, Low}, s)
}

// Whom a finding is about, where it is not one tenant.
const (
	// EveryTenant stands for every tenant alike.
	EveryTenant = "*"
	// ThePlatform stands for what no tenant owns: the cluster, its nodes, the platform's namespaces, or nobody at all.
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
	// What is the finding in one sentence: who can do what to whom, or what is missing for an answer.
	What string `json:"what"`
	// Witness is the shortest way there, step by step. An Exposed finding always has one.
	Witness []Step `json:"witness,omitempty"`
	// Blame are the objects that let it happen, the first one first; for what is not there, the object that should be.
	Blame []Object `json:"blame,omitempty"`
	// Fix is the least change that ends it.
	Fix string `json:"fix,omitempty"`
	// Requests show it: each is let through now, and would be refused if all were well. Empty where no request shows it, such as
	// where packets would have to be sent. They are for whoever wants to try, and not part of what is written.
	Requests []Request `json:"-"`
	// Waiver that accepts the finding; then it is shown and counted but not held against the tenant.
	Waiver string `json:"waiver,omitempty"`
}

// Request is one that the API server lets through.
type Request struct {
	Subject Subject
	// Attributes that the authorizer is asked about.
	Attributes Attributes
	// Write is what admission is asked about next; nil where the right alone is what the finding says.
	Write *AdmissionRequest
}

// Step is one step of a witness.
type Step struct {
	// Object that makes the step possible; zero where it is nothing but a rule of Kubernetes.
	Object Object `json:"object,omitzero"`
	// Does says what the step is: "grants get secrets to group shop-developers".
	Does string `json:"does"`
}

// Object names an API object.
type Object struct {
	Kind      string `json:"kind"`
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name"`
}

// String is the object as "Kind namespace/name".
func (o Object) String() string {
	if o.Namespace == "" {
		return o.Kind + " " + o.Name
	}
	return o.Kind + " " + o.Namespace + "/" + o.Name
}

// ID identifies the finding across proofs: the same code, tenants, blame and sentence.
func (f *Finding) ID() string {
	parts := []string{f.Code, string(f.Verdict), f.From, f.To}
	for _, o := range f.Blame {
		parts = append(parts, o.String())
	}
	return strings.Join(append(parts, f.What), "|")
}

// Concerns says whether the finding belongs into a tenant's report: the tenant may do it, or it is done to it.
func (f *Finding) Concerns(tenant string) bool {
	return f.From == tenant || f.To == tenant || f.From == EveryTenant || f.To == EveryTenant ||
		f.From == ThePlatform && f.To == ThePlatform
}

// Result is what one check says, about one tenant or about all.
type Result struct {
	// Check by its ID.
	Check   string  `json:"check"`
	Verdict Verdict `json:"verdict"`
	// Considered says what the check looked at: an Isolated means no more than this.
	Considered string `json:"considered,omitempty"`
}

// TenantReport is the proof about one tenant.
type TenantReport struct {
	Tenant  string  `json:"tenant"`
	Verdict Verdict `json:"verdict"`
	// Results, one for each check, in the order of Checks.
	Results []Result `json:"results"`
	// Findings that concern the tenant, as indices into the report's.
	Findings []int `json:"findings,omitempty"`
}

// Report is a proof of a whole snapshot.
type Report struct {
	// Revision and Time of the snapshot that was judged.
	Revision string    `json:"revision"`
	Time     time.Time `json:"time"`
	Verdict  Verdict   `json:"verdict"`
	// Results over all tenants, one for each check, in the order of Checks.
	Results []Result `json:"results"`
	// Tenants by name.
	Tenants []TenantReport `json:"tenants"`
	// Findings, the worst first, each once.
	Findings []Finding `json:"findings,omitempty"`
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

// sortFindings puts the worst first and leaves each once.
func sortFindings(findings []Finding) []Finding {
	slices.SortStableFunc(findings, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(b.Verdict.rank(), a.Verdict.rank()), cmp.Compare(a.Severity.rank(), b.Severity.rank()),
			cmp.Compare(a.Code, b.Code), cmp.Compare(a.From, b.From), cmp.Compare(a.To, b.To), cmp.Compare(a.What, b.What),
			cmp.Compare(a.ID(), b.ID()))
	})
	return slices.CompactFunc(findings, func(a, b Finding) bool { return a.ID() == b.ID() })
}
