package fuzz

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/hostile"
	"github.com/bulkhead-dev/bulkhead/internal/attack/catalogue"
	"github.com/bulkhead-dev/bulkhead/internal/attack/engine"
)

// report of the run.
func (z *Session) report() *catalogue.Report {
	t := z.tally
	t.Refusals = catalogue.Counted(t.refusals)
	t.Kinds = len(t.kinds)
	for i := range z.seen.Resources {
		s := &z.seen.Resources[i]
		name := (&hostile.Request{Verb: "x", Group: s.Group, Resource: s.Resource, Subresource: s.Subresource}).String()[2:]
		if t.kinds[name] && !t.accepted[name] && z.mayWrite(s) {
			t.NeverAccepted = append(t.NeverAccepted, name+" ("+shortened(t.answers[name])+")")
		}
	}
	report := &catalogue.Report{Suite: Suite, Verdict: v1alpha1.Isolated, Tenants: []string{t.Tenant}, Attempts: t.Attempts, Fuzzed: []catalogue.Fuzzed{}}
	for _, item := range Items() {
		report.Items = append(report.Items, z.Item(&item))
	}
	report.Fuzzed = append(report.Fuzzed, t.Fuzzed)
	for i := range report.Items {
		if verdict := report.Items[i].Verdict; verdict != "" {
			report.Verdict = engine.Worse(report.Verdict, verdict)
		}
	}
	return report
}

// mayWrite reports whether an owner may write something of a kind in a Space.
func (z *Session) mayWrite(s *hostile.Served) bool {
	resource := s.Resource
	if s.Subresource != "" {
		resource += "/" + s.Subresource
	}
	for _, r := range z.rules {
		if slices.Contains(r.APIGroups, s.Group) && slices.Contains(r.Resources, resource) &&
			slices.ContainsFunc(r.Verbs, func(v string) bool { return v == "create" || v == "update" || v == "patch" }) {
			return true
		}
	}
	return false
}

// Item is what came of one line of the report.
func (z *Session) Item(of *catalogue.Item) catalogue.ItemReport {
	report := catalogue.ItemReport{ID: of.ID, Title: of.Title}
	if told := z.tally.items[of.ID]; told != nil {
		report.Verdict, report.Tried, report.Attempts = told.Verdict, told.Tried, told.Attempts
	}
	if refused := z.tally.refusedIn[of.ID]; len(refused) > 0 {
		report.Refusals = catalogue.Counted(refused)
	}
	switch of.ID {
	case "own":
		z.judgeOwn(&report)
	case "outside", "managed":
		if z.tally.Accepted == 0 || report.Tried == 0 {
			z.unknown(&report, "nothing harmless was accepted, or nothing was tried: that all was refused shows nothing")
		}
	case "unchanged":
		z.judgeChanges(&report)
	case "proof":
		z.judgeProof(&report)
	default:
		z.judgeDangers(&report)
	}
	slices.SortStableFunc(report.Attempts, func(a, b catalogue.Attempt) int {
		return cmp.Compare(engine.Severity(b.Verdict), engine.Severity(a.Verdict))
	})
	return report
}

// add what is not an answer to one attempt.
func (z *Session) add(report *catalogue.ItemReport, verdict v1alpha1.Verdict, detail string) {
	report.Verdict = engine.Worse(report.Verdict, verdict)
	report.Attempts = append(report.Attempts, catalogue.Attempt{Attack: "fuzz/" + report.ID, Control: controlOf(report.ID), Title: report.Title, Tenant: z.tally.Tenant,
		As: "the runner", Verdict: verdict, Detail: detail})
}

func (z *Session) unknown(report *catalogue.ItemReport, why string) {
	z.add(report, v1alpha1.Unknown, why)
}

// judgeOwn demands that something of each kind with a harmless object was accepted. What only the tenant's own quota stops has passed
// every control before it.
func (z *Session) judgeOwn(report *catalogue.ItemReport) {
	made, err := hostile.Harmless(z.scene())
	if err != nil {
		z.unknown(report, err.Error())
	}
	for _, kind := range slices.Sorted(maps.Keys(made)) {
		if strings.Contains(kind, "/") {
			continue // it takes an object to try it on, and the workload's declaration
		}
		if answer := z.tally.answers[kind]; !z.tally.accepted[kind] && !strings.HasPrefix(answer, string(hostile.Quota)) {
			z.unknown(report, fmt.Sprintf("nothing of %s was accepted, not even what is harmless; the last answer: %s", kind, cmp.Or(answer, "none, it was not tried")))
		}
	}
}

// judgeDangers demands of each danger that it reached its control once, and never passed.
func (z *Session) judgeDangers(report *catalogue.ItemReport) {
	known := false
	for _, id := range slices.Sorted(maps.Keys(z.dangers)) {
		d := z.dangers[id]
		if "danger/"+d.Control != report.ID {
			continue
		}
		made, err := hostile.Harmless(z.scene())
		if err != nil || !slices.ContainsFunc(d.In, func(kind string) bool { return made[kind] != nil }) {
			continue // no object that it could stand in
		}
		known = true
		if !z.tally.reached[id] {
			z.unknown(report, fmt.Sprintf("%s (%s) was never refused by %s: its control was not reached", id, d.Title, strings.Join(Refusers(d.Control), " or ")))
		}
	}
	if !known {
		report.Verdict = ""
	}
}

// judgeChanges is the comparison. A change that bears the run's trace is an exposure. Of any other it is not known whether the tenant had a
// part in it.
func (z *Session) judgeChanges(report *catalogue.ItemReport) {
	t := z.tally
	report.Tried = t.Compared
	report.Verdict = v1alpha1.Isolated
	if t.brokenOff != nil {
		z.unknown(report, fmt.Sprintf("the run was broken off before the comparison: %v", t.brokenOff))
		return
	}
	if t.Compared == 0 {
		z.unknown(report, "nothing was listed")
	}
	for _, missing := range t.Missing {
		z.unknown(report, "the listing is incomplete: "+missing)
	}
	for i := range t.Changes {
		verdict := v1alpha1.Unknown
		if t.Changes[i].Trace {
			verdict = v1alpha1.Exposed
		}
		z.add(report, verdict, t.Changes[i].String())
	}
}

func (z *Session) judgeProof(report *catalogue.ItemReport) {
	t := z.tally
	switch {
	case t.brokenOff != nil:
		z.unknown(report, fmt.Sprintf("the run was broken off before the proof: %v", t.brokenOff))
	case t.unproven != nil:
		z.unknown(report, fmt.Sprintf("the platform could not be proven afterwards: %v", t.unproven))
	default:
		report.Tried, report.Verdict = 1, t.Proof.Verdict
		for _, finding := range t.Proof.New {
			z.add(report, t.Proof.Verdict, finding)
		}
	}
}

// shortened to what fits in a list.
func shortened(text string) string {
	const most = 100
	if runes := []rune(text); len(runes) > most {
		return string(runes[:most]) + "..."
	}
	return text
}
