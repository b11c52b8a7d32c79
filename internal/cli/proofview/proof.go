// Package proofview prints proofs of isolation and what a change makes of them: for people, code scanning, continuous
// integration and pull requests.
package proofview

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/bulkhead-dev/bulkhead/internal/cli/output"
	"github.com/bulkhead-dev/bulkhead/internal/observe"
	"github.com/bulkhead-dev/bulkhead/isolation"
	"github.com/bulkhead-dev/bulkhead/isolation/finding"
	"github.com/bulkhead-dev/bulkhead/snapshot"
)

// Proof is a report on a world, as it is printed.
type Proof struct {
	World  *observe.World
	Report *isolation.Report
	// Tenant that it is about alone; empty for all.
	Tenant string
	// DeclaredIn is the file of each object that a kustomization rendered, by the name that it has in the snapshot.
	DeclaredIn map[string]string
}

// WriteText writes the proof for people: the answer, every finding, and a line for each check. All of what is alike is
// written only in a whole text.
func (p *Proof) WriteText(w io.Writer, whole bool) error {
	paint := output.NewPaint(w)
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s\n", paint.Mark(markOf(p.Report.Verdict)), output.Wrapped(p.summary(), 2))
	p.writeFindings(&b, paint, whole)
	b.WriteString("\n")
	writeChecks(&b, paint, p.Report)
	if len(p.Report.Findings) > 0 {
		b.WriteString("\n`bulkhead explain CODE` prints why it matters and what to do.\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func markOf(v finding.Verdict) output.Mark {
	switch v {
	case finding.Isolated:
		return output.OK
	case finding.Exposed:
		return output.Problem
	case finding.Unknown:
	}
	return output.Unknown
}

// summary is the answer in a sentence.
func (p *Proof) summary() string {
	r := p.Report
	about := output.Plural(len(r.Tenants), "tenant")
	if p.Tenant != "" {
		about = "tenant " + p.Tenant
	}
	count := map[finding.Verdict]int{}
	for i := range r.Findings {
		if r.Findings[i].Waiver == "" {
			count[r.Findings[i].Verdict]++
		}
	}
	var text string
	switch r.Verdict {
	case finding.Isolated:
		text = fmt.Sprintf("isolated: %s, in each of %d checks", about, len(r.Results))
	case finding.Exposed:
		if n := exposed(r); p.Tenant == "" && n < len(r.Tenants) {
			about = fmt.Sprintf("%d of %s", n, about)
		}
		text = fmt.Sprintf("exposed: %s; %s (%s)", about, output.Plural(count[finding.Exposed], "exposure"), severities(r))
		if n := count[finding.Unknown]; n > 0 {
			text += fmt.Sprintf(", and %s that cannot be decided", output.Plural(n, "question"))
		}
	default:
		text = fmt.Sprintf("unknown: %s; nothing is exposed, but %s cannot be decided", about, output.Plural(count[finding.Unknown], "question"))
	}
	text += fmt.Sprintf(" (revision %s)", r.Revision)
	if r.Waived > 0 {
		text += fmt.Sprintf("; %s accepted by Waivers", output.Plural(r.Waived, "finding"))
	}
	return text
}

// exposed is how many tenants are.
func exposed(r *isolation.Report) int {
	n := 0
	for i := range r.Tenants {
		if r.Tenants[i].Verdict == finding.Exposed {
			n++
		}
	}
	return n
}

// severities counts exposures that no Waiver accepts, the worst first.
func severities(r *isolation.Report) string {
	var words []string
	for _, s := range []finding.Severity{finding.Critical, finding.High, finding.Medium, finding.Low} {
		n := 0
		for i := range r.Findings {
			if f := &r.Findings[i]; f.Severity == s && f.Verdict == finding.Exposed && f.Waiver == "" {
				n++
			}
		}
		if n > 0 {
			words = append(words, fmt.Sprintf("%d %s", n, s))
		}
	}
	return strings.Join(words, ", ")
}

// shownBlamed is how many of the objects that are blamed are printed without -v.
const shownBlamed = 6

// shownAlike is how many findings of one code, severity and verdict are printed without -v: a reader of these knows what
// the others say.
const shownAlike = 3

// shownNotRead is how many kinds that could not be read are printed without -v: each is unknown by its name.
const shownNotRead = 20

// writeFindings writes every finding by check: the check first that has the worst one, and in it the worst first.
func (p *Proof) writeFindings(b *strings.Builder, paint output.Paint, whole bool) {
	for _, check := range checksByWorst(p.Report) {
		findings := findingsOf(p.Report, &check)
		fmt.Fprintf(b, "\n%s  %s\n", paint.Bold(check.ID), check.Title)
		for len(findings) > 0 {
			n := slices.IndexFunc(findings, func(f *finding.Finding) bool { return !alike(f, findings[0]) })
			if n < 0 {
				n = len(findings)
			}
			writeAlike(b, paint, findings[:n], whole)
			findings = findings[n:]
		}
	}
}

func writeAlike(b *strings.Builder, paint output.Paint, findings []*finding.Finding, whole bool) {
	most := shownAlike
	if findings[0].Code == isolation.CodeNotRead {
		most = shownNotRead
	}
	for i, f := range findings {
		if i == most && len(findings) > most+1 && !whole {
			tenants := map[string]bool{}
			for _, more := range findings[i:] {
				tenants[more.From] = true
			}
			fmt.Fprintf(b, "  %s %s %s  and %d more like it, of %s: -v shows all\n", paint.Mark(markOf(f.Verdict)), f.Code, f.Severity,
				len(findings)-i, output.Plural(len(tenants), "tenant"))
			return
		}
		writeFinding(b, paint, f, whole)
	}
}

func alike(a, b *finding.Finding) bool {
	return a.Code == b.Code && a.Severity == b.Severity && a.Verdict == b.Verdict && (a.Waiver == "") == (b.Waiver == "")
}

// checksByWorst are the checks with findings, in the order in which a report has their first one: the worst, unless all of
// a check's are accepted.
func checksByWorst(r *isolation.Report) []finding.Check {
	var open, accepted []finding.Check
	has := func(list []finding.Check, id string) bool {
		return slices.ContainsFunc(list, func(c finding.Check) bool { return c.ID == id })
	}
	for _, waived := range []bool{false, true} {
		for i := range r.Findings {
			f := &r.Findings[i]
			check := checkOf(f)
			if (f.Waiver != "") != waived || has(open, check.ID) || has(accepted, check.ID) {
				continue
			}
			if waived {
				accepted = append(accepted, check)
			} else {
				open = append(open, check)
			}
		}
	}
	return append(open, accepted...)
}

func writeFinding(b *strings.Builder, paint output.Paint, f *finding.Finding, whole bool) {
	const indent = 4
	mark := markOf(f.Verdict)
	if f.Waiver != "" {
		mark = output.Note
	}
	fmt.Fprintf(b, "  %s %s %s  %s\n", paint.Mark(mark), f.Code, f.Severity, paint.Bold(output.Shortened(Between(f))))
	fmt.Fprintf(b, "    %s\n", output.Wrapped(f.What, indent))
	for _, step := range f.Witness {
		text := step.Does
		if step.Object != (snapshot.Ref{}) {
			text = step.Object.String() + ": " + text
		}
		for i, line := range strings.Split(output.Wrapped(text, indent+4), "\n") {
			fmt.Fprintf(b, "      %s %s\n", []string{"·", " "}[min(i, 1)], paint.Faint(strings.TrimSpace(line)))
		}
	}
	if len(f.Blame) > 0 {
		names := ObjectNames(f.Blame)
		if more := len(names) - shownBlamed; more > 1 && !whole {
			names = append(names[:shownBlamed:shownBlamed], fmt.Sprintf("and %d more", more))
		}
		fmt.Fprintf(b, "    blame %s\n", output.Wrapped(strings.Join(names, ", "), indent+6))
	}
	if f.Waiver != "" {
		fmt.Fprintf(b, "    accepted by Waiver %s\n", f.Waiver)
		return
	}
	if f.Fix != "" {
		fmt.Fprintf(b, "    -> %s\n", output.Wrapped(f.Fix, indent+3))
	}
}

// writeChecks writes a line for each check: its verdict, and what was considered.
func writeChecks(b *strings.Builder, paint output.Paint, r *isolation.Report) {
	width := 0
	for _, result := range r.Results {
		width = max(width, len(result.Check))
	}
	for _, result := range r.Results {
		pad := strings.Repeat(" ", width-len(result.Check))
		fmt.Fprintf(b, "%s %s%s  %s\n", paint.Mark(markOf(result.Verdict)), result.Check, pad, output.Wrapped(result.Considered, width+4))
	}
}

// WriteMarkdown writes the proof for a comment or a report.
func (p *Proof) WriteMarkdown(w io.Writer) error {
	if _, err := fmt.Fprintf(w, "**%s**\n\n", p.summary()); err != nil {
		return err
	}
	var rows [][]string
	for _, result := range p.Report.Results {
		rows = append(rows, []string{result.Check, string(result.Verdict), result.Considered})
	}
	if err := output.WriteMarkdownTable(w, []string{"check", "verdict", "considered"}, rows); err != nil {
		return err
	}
	if len(p.Report.Findings) == 0 {
		return nil
	}
	if _, err := fmt.Fprintln(w); err != nil {
		return err
	}
	rows = nil
	for i := range p.Report.Findings {
		rows = append(rows, findingRow(&p.Report.Findings[i]))
	}
	return output.WriteMarkdownTable(w, findingHeaders(), rows)
}

func findingHeaders() []string {
	return []string{"code", "verdict", "severity", "who", "what", "blame", "to do"}
}

func findingRow(f *finding.Finding) []string {
	fix := f.Fix
	if f.Waiver != "" {
		fix = "accepted by Waiver " + f.Waiver
	}
	return []string{f.Code, string(f.Verdict), string(f.Severity), Between(f), f.What, strings.Join(ObjectNames(f.Blame), ", "), fix}
}

// WriteJUnit writes a test case for each tenant and check: a failure is an exposure, an error is what is unknown.
func (p *Proof) WriteJUnit(w io.Writer) error {
	suite := output.JUnitSuite{Name: "bulkhead prove"}
	checks := isolation.Checks()
	for i := range p.Report.Tenants {
		t := &p.Report.Tenants[i]
		for j := range t.Results {
			c := output.JUnitCase{Class: "tenant " + t.Tenant, Name: checks[j].ID + ": " + checks[j].Title}
			problem := &output.JUnitProblem{Message: checks[j].Title, Text: p.said(t, &checks[j])}
			switch t.Results[j].Verdict {
			case finding.Exposed:
				c.Failure = problem
			case finding.Unknown:
				c.Error = problem
			case finding.Isolated:
			}
			suite.Cases = append(suite.Cases, c)
		}
	}
	if len(p.Report.Tenants) == 0 { // a suite without cases would be taken for a success
		suite.Cases = []output.JUnitCase{{Class: "bulkhead prove", Name: "tenants", Error: &output.JUnitProblem{Message: p.summary()}}}
	}
	return suite.Write(w)
}

// said is what a check found about a tenant.
func (p *Proof) said(t *isolation.TenantReport, check *finding.Check) string {
	var lines []string
	for _, index := range t.Findings {
		if f := &p.Report.Findings[index]; checkOf(f).ID == check.ID && f.Waiver == "" {
			lines = append(lines, fmt.Sprintf("%s %s %s: %s", f.Code, f.Verdict, Between(f), f.What))
		}
	}
	return strings.Join(lines, "\n")
}

// findingsOf are the findings of a check, waived ones too.
func findingsOf(r *isolation.Report, c *finding.Check) []*finding.Finding {
	var list []*finding.Finding
	for i := range r.Findings {
		if f := &r.Findings[i]; checkOf(f).ID == c.ID {
			list = append(list, f)
		}
	}
	return list
}

// checkOf is the check whose code a finding bears.
func checkOf(f *finding.Finding) finding.Check {
	_, check, _ := isolation.CodeByID(f.Code)
	return check
}

// who names a side of a finding.
func who(tenant string) string {
	switch tenant {
	case finding.EveryTenant:
		return "every tenant"
	case finding.ThePlatform:
		return "the platform"
	}
	return tenant
}

// Between says whom a finding is about.
func Between(f *finding.Finding) string {
	if f.From == f.To {
		return who(f.From)
	}
	return who(f.From) + " -> " + who(f.To)
}

// ObjectNames returns the names of objects, of equal ones that follow each other one.
func ObjectNames(objects []snapshot.Ref) []string {
	names := make([]string, len(objects))
	for i, o := range objects {
		names[i] = o.String()
	}
	return slices.Compact(names)
}
