package isolation

import (
	"fmt"
	goruntime "runtime"
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/runtime"

	"github.com/bulkhead-dev/bulkhead/parallel"
	"github.com/bulkhead-dev/bulkhead/snapshot"
)

// Options of a proof. The zero value is a proof without a clock and without anything that Bulkhead knows.
type Options struct {
	// Now is the time of the proof. Zero means that of the snapshot.
	Now time.Time
	// Freshness is how old the snapshot may be before everything that it says is Unknown. Zero means any age.
	Freshness time.Duration
	// Workers are how many processors to use; 0 means all. The report is the same with any number.
	Workers int
	// Admission of the snapshot. Where it is nil, what admission would refuse is not known.
	Admission Admission
	// Expected are the objects that Bulkhead would have made for these tenants. Elsewhere there are none, and checks go by
	// what they find alone.
	Expected []Expected
}

// Expected is an object that must be there, for a control.
type Expected struct {
	Control string
	Object  Object
	// Labels and Annotations that a Namespace must have, since policies go by them; nil for other objects.
	Labels, Annotations map[string]string
	// Rendered is an admission policy, or a binding of one, as it must be; nil for other objects.
	Rendered runtime.Object
}

// proof is what checks work on.
type proof struct {
	*snapshot.Snapshot
	Options

	// owner is the tenant of a namespace; ThePlatform for one that has none.
	owner map[string]string
	// once computed and shared by checks
	network  func() *NetworkReach
	rights   func() *rbacReach
	creators func() []creator
}

// Verify proves what every tenant of a snapshot can reach. Everything is looked at in every call; the same snapshot and
// options give the same report.
func Verify(s *snapshot.Snapshot, o Options) *Report {
	p := newProof(s, o)
	checks := Checks()
	found := make([]outcome, len(checks))
	p.parallel(len(checks), func(i int) { found[i] = p.outcomeOf(&checks[i]) })
	return p.report(checks, found)
}

func newProof(s *snapshot.Snapshot, o Options) *proof {
	if o.Now.IsZero() {
		o.Now = s.Time
	}
	if o.Workers <= 0 {
		o.Workers = goruntime.GOMAXPROCS(0)
	}
	p := &proof{Snapshot: s, Options: o, owner: map[string]string{}}
	for _, t := range s.Tenants {
		for _, ns := range t.Namespaces {
			p.owner[ns] = t.Name
		}
	}
	p.network = sync.OnceValue(func() *NetworkReach { return Reach(s, o.Workers) })
	p.rights = sync.OnceValue(func() *rbacReach { return newRBACReach(s, NewRBAC(s), o.Admission, p.owner) })
	p.creators = sync.OnceValue(p.findCreators)
	return p
}

// outcome of one check.
type outcome struct {
	findings   []Finding
	considered string
}

// outcomeOf runs a check and adds a finding for each kind that it needs and nobody read.
func (p *proof) outcomeOf(c *Check) outcome {
	findings, considered := c.run(p)
	for i := range findings {
		p.complete(c, &findings[i])
	}
	for _, missing := range p.Missing {
		if missing.Kind == "*" || slices.Contains(c.Needs, missing.Kind) {
			findings = append(findings, Finding{Code: CodeNotRead, Verdict: Unknown, Severity: High, From: EveryTenant, To: EveryTenant,
				What: fmt.Sprintf("%s needs every %s, which could not be read: %s", c.ID, missing.Kind, missing.Why),
				Fix:  "let the reader list " + missing.Kind + " in all namespaces, or give the files that hold them"})
		}
	}
	return outcome{findings, considered}
}

// complete fills in what a finding has from its code, and the waiver that accepts it.
func (p *proof) complete(c *Check, f *Finding) {
	i := slices.IndexFunc(c.Codes, func(code Code) bool { return code.ID == f.Code })
	if i < 0 {
		return // the registry's test does not let this happen
	}
	if f.Severity == "" {
		f.Severity = c.Codes[i].Severity
	}
	if f.Fix == "" {
		f.Fix = c.Codes[i].Fix
	}
	f.Waiver = p.waiverFor(&c.Codes[i], f)
}

// waiverFor returns the name of a waiver in force for what a finding blames.
func (p *proof) waiverFor(code *Code, f *Finding) string {
	if f.Verdict != Exposed {
		return "" // nobody accepts what nobody knows
	}
	for _, w := range p.Waivers {
		if slices.Contains(code.Controls, w.Control) && f.From == w.Tenant && p.Now.Before(w.Expires) && len(f.Blame) > 0 &&
			!slices.ContainsFunc(f.Blame, func(o Object) bool { return !slices.Contains(w.Namespaces, o.namespace()) }) {
			return w.Name
		}
	}
	return ""
}

// namespace that an object is or lies in.
func (o Object) namespace() string {
	if o.Kind == "Namespace" {
		return o.Name
	}
	return o.Namespace
}

func (p *proof) report(checks []Check, found []outcome) *Report {
	r := &Report{Revision: p.Revision, Time: p.Time, Verdict: Isolated}
	r.Results, r.Tenants = make([]Result, len(checks)), make([]TenantReport, len(p.Tenants))
	byCheck := map[string]int{} // finding to check
	for i := range checks {
		r.Results[i] = Result{Check: checks[i].ID, Verdict: Isolated, Considered: found[i].considered}
		for _, f := range found[i].findings {
			byCheck[f.ID()] = i
		}
		r.Findings = append(r.Findings, found[i].findings...)
	}
	r.Findings = sortFindings(r.Findings)
	index := make(map[string]int, len(p.Tenants))
	for i, t := range p.Tenants {
		index[t.Name] = i
		r.Tenants[i] = TenantReport{Tenant: t.Name, Verdict: Isolated, Results: slices.Clone(r.Results)}
	}
	for i := range r.Findings {
		f := &r.Findings[i]
		check := byCheck[f.ID()]
		if f.Waiver != "" {
			r.Waived++
		} else {
			r.Results[check].Verdict = r.Results[check].Verdict.Worse(f.Verdict)
			r.Verdict = r.Verdict.Worse(f.Verdict)
		}
		r.eachConcerned(f, index, func(t *TenantReport) {
			t.Findings = append(t.Findings, i)
			if f.Waiver == "" {
				t.Results[check].Verdict = t.Results[check].Verdict.Worse(f.Verdict)
				t.Verdict = t.Verdict.Worse(f.Verdict)
			}
		})
	}
	return r
}

// eachConcerned calls do for each tenant whose report a finding belongs into.
func (r *Report) eachConcerned(f *Finding, index map[string]int, do func(*TenantReport)) {
	if f.From != EveryTenant && f.To != EveryTenant && (f.From != ThePlatform || f.To != ThePlatform) {
		for _, name := range slices.Compact([]string{f.From, f.To}) {
			if i, has := index[name]; has {
				do(&r.Tenants[i])
			}
		}
		return
	}
	for i := range r.Tenants {
		do(&r.Tenants[i])
	}
}

// parallel calls f for 0 to n-1, spread over the workers, one at a time each.
func (p *proof) parallel(n int, f func(i int)) { parallel.Each(p.Workers, n, 1, f) }
