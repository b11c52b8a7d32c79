package isolation

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/bulkhead-dev/bulkhead/isolation/finding"
	"github.com/bulkhead-dev/bulkhead/isolation/pods"
	"github.com/bulkhead-dev/bulkhead/isolation/rbac"
	"github.com/bulkhead-dev/bulkhead/snapshot"
)

// proof is one run of the checks.
type proof struct {
	*finding.Input

	// computed once and shared by checks
	rights func() *rbac.Reach
	// judged is the input with what tenants may do to the labels of their namespaces first.
	judged func() *finding.Input
	pods   func() *pods.Run
	// labels are those that admission forces on pods that are yet to be made of workloads.
	labels func() *forced
}

// Verify proves what every tenant of a snapshot can reach. Every call judges everything; the same snapshot and
// options give the same report.
func Verify(s *snapshot.Snapshot, o finding.Options) *Report {
	p := newProof(s, o)
	list := checks()
	found := make([]outcome, len(list))
	p.Parallel(len(list), func(i int) { found[i] = p.outcomeOf(&list[i]) })
	return p.report(list, found)
}

func newProof(s *snapshot.Snapshot, o finding.Options) *proof {
	in := finding.NewInput(s, o)
	rights := sync.OnceValue(func() *rbac.Reach { return rbac.NewReach(in) })
	labels := sync.OnceValue(func() *forced { return forcedLabels(in) })
	judged := sync.OnceValue(func() *finding.Input { return judging(labels().input, rights()) })
	return &proof{Input: in, rights: rights, labels: labels, judged: judged, pods: sync.OnceValue(func() *pods.Run { return pods.NewRun(judged(), rights) })}
}

// outcome of one check.
type outcome struct {
	findings   []finding.Finding
	considered string
}

// outcomeOf runs a check and adds a finding for each kind that it needs and that was not read.
func (p *proof) outcomeOf(c *check) outcome {
	findings, considered := c.run(p)
	for i := range findings {
		c.Complete(&findings[i])
		findings[i].Waiver = p.waiverFor(c, &findings[i])
	}
	for _, missing := range p.Missing {
		fix := "let the reader list it in all namespaces"
		if p.Offline {
			fix = "correct what is named, or give the files that hold it"
		}
		if missing.Kind == "*" || slices.Contains(c.Needs, missing.Kind) {
			whom := finding.EveryTenant
			if owner := p.Owner[missing.Namespace]; owner != finding.ThePlatform {
				whom = owner
			}
			findings = append(findings, finding.Finding{Code: CodeNotRead, Verdict: finding.Unknown, Severity: finding.High, From: whom, To: whom,
				What: fmt.Sprintf("%s needs every %s, which could not be read: %s", c.ID, strings.Replace(missing.Kind, "*", "object", 1), missing.Why),
				Fix:  fix})
		}
	}
	return outcome{findings, considered}
}

// waiverFor returns the name of a waiver in force for what a finding blames.
func (p *proof) waiverFor(c *check, f *finding.Finding) string {
	code, has := c.Code(f.Code)
	if !has || f.Verdict != finding.Exposed {
		return "" // a waiver accepts an exposure, not what is unknown
	}
	for _, w := range p.Waivers {
		if slices.Contains(code.Controls, w.Control) && f.From == w.Tenant && p.Now.Before(w.Expires) && len(f.Blame) > 0 &&
			!slices.ContainsFunc(f.Blame, func(o snapshot.Ref) bool { return !slices.Contains(w.Namespaces, namespaceOf(o)) }) {
			return w.Name
		}
	}
	return ""
}

// namespaceOf is the namespace that an object is or lies in.
func namespaceOf(o snapshot.Ref) string {
	if o.Kind == "Namespace" {
		return o.Name
	}
	return o.Namespace
}

func (p *proof) report(checks []check, found []outcome) *Report {
	r := &Report{Revision: p.Revision, Time: p.Time, Verdict: finding.Isolated}
	r.Results, r.Tenants = make([]Result, len(checks)), make([]TenantReport, len(p.Tenants))
	byCheck := map[string]int{} // finding to check
	for i := range checks {
		r.Results[i] = Result{Check: checks[i].ID, Verdict: finding.Isolated, Considered: found[i].considered}
		for _, f := range found[i].findings {
			byCheck[f.ID()] = i
		}
		r.Findings = append(r.Findings, found[i].findings...)
	}
	r.Findings = finding.Sort(r.Findings)
	index := make(map[string]int, len(p.Tenants))
	for i, t := range p.Tenants {
		index[t.Name] = i
		r.Tenants[i] = TenantReport{Tenant: t.Name, Verdict: finding.Isolated, Results: slices.Clone(r.Results)}
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

// eachConcerned calls do for each tenant whose report has the finding.
func (r *Report) eachConcerned(f *finding.Finding, index map[string]int, do func(*TenantReport)) {
	if f.Given {
		if i, has := index[f.To]; has {
			do(&r.Tenants[i])
		}
		return
	}
	if f.From != finding.EveryTenant && f.To != finding.EveryTenant && (f.From != finding.ThePlatform || f.To != finding.ThePlatform) {
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
