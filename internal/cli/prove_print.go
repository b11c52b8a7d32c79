package cli

import (
	"encoding/xml"
	"fmt"
	"slices"
	"strings"

	"github.com/bulkhead-dev/bulkhead/isolation"
	"github.com/bulkhead-dev/bulkhead/isolation/finding"
	"github.com/bulkhead-dev/bulkhead/snapshot"
)

// write prints the proof in the format that was asked for.
func (o *proveOptions) write(p *proven) error {
	switch o.format.value {
	case formatJSON:
		return writeJSON(o.Out, p.report)
	case formatSARIF:
		return o.writeSARIF(p)
	case formatJUnit:
		return o.writeProofJUnit(p)
	case formatMarkdown:
		return o.writeProofMarkdown(p)
	}
	paint := newPaint(o.Out)
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s\n", paint.mark(proofMark(p.report.Verdict)), wrapped(p.summary(), 2))
	o.writeProofFindings(&b, paint, p)
	b.WriteString("\n")
	writeProofChecks(&b, paint, p.report)
	if len(p.report.Findings) > 0 {
		b.WriteString("\n`bulkhead explain CODE` says why it matters and what to do.\n")
	}
	_, err := fmt.Fprint(o.Out, b.String())
	return err
}

func proofMark(v finding.Verdict) mark {
	switch v {
	case finding.Isolated:
		return markOK
	case finding.Exposed:
		return markProblem
	case finding.Unknown:
	}
	return markUnknown
}

// summary is the answer in a sentence.
func (p *proven) summary() string {
	r := p.report
	about := plural(len(r.Tenants), "tenant")
	if p.tenant != "" {
		about = "tenant " + p.tenant
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
		text = fmt.Sprintf("exposed: %s; %s (%s)", about, plural(count[finding.Exposed], "exposure"), severities(r))
		if n := count[finding.Unknown]; n > 0 {
			text += fmt.Sprintf(", and %s that cannot be decided", plural(n, "question"))
		}
	default:
		text = fmt.Sprintf("unknown: %s; nothing is exposed, but %s cannot be decided", about, plural(count[finding.Unknown], "question"))
	}
	text += fmt.Sprintf(" (revision %s)", r.Revision)
	if r.Waived > 0 {
		text += fmt.Sprintf("; %s accepted by Waivers", plural(r.Waived, "finding"))
	}
	return text
}

// severities counts exposures that nobody accepted, the worst first.
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

// shownAlike is how many findings of one code, severity and verdict are printed without -v: whoever read these knows what
// the others say.
const shownAlike = 3

// shownNotRead is how many kinds that could not be read are printed without -v: each is unknown by its name.
const shownNotRead = 20

// writeProofFindings tells every finding by check: the check first that has the worst one, and in it the worst first.
func (o *proveOptions) writeProofFindings(b *strings.Builder, paint paint, p *proven) {
	for _, check := range checksByWorst(p.report) {
		findings := findingsOf(p.report, &check)
		fmt.Fprintf(b, "\n%s  %s\n", paint.bold(check.ID), check.Title)
		for len(findings) > 0 {
			n := slices.IndexFunc(findings, func(f *finding.Finding) bool { return !alike(f, findings[0]) })
			if n < 0 {
				n = len(findings)
			}
			o.writeAlike(b, paint, findings[:n])
			findings = findings[n:]
		}
	}
}

func (o *proveOptions) writeAlike(b *strings.Builder, paint paint, findings []*finding.Finding) {
	most := shownAlike
	if findings[0].Code == isolation.CodeNotRead {
		most = shownNotRead
	}
	for i, f := range findings {
		if i == most && len(findings) > most+1 && !o.Verbose() {
			tenants := map[string]bool{}
			for _, more := range findings[i:] {
				tenants[more.From] = true
			}
			fmt.Fprintf(b, "  %s %s %s  and %d more like it, of %s: -v shows all\n", paint.mark(proofMark(f.Verdict)), f.Code, f.Severity,
				len(findings)-i, plural(len(tenants), "tenant"))
			return
		}
		writeProofFinding(b, paint, f, o.Verbose())
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

func writeProofFinding(b *strings.Builder, paint paint, f *finding.Finding, whole bool) {
	const indent = 4
	mark := proofMark(f.Verdict)
	if f.Waiver != "" {
		mark = markNote
	}
	fmt.Fprintf(b, "  %s %s %s  %s\n", paint.mark(mark), f.Code, f.Severity, paint.bold(shortened(between(f))))
	fmt.Fprintf(b, "    %s\n", wrapped(f.What, indent))
	for _, step := range f.Witness {
		text := step.Does
		if step.Object != (snapshot.Ref{}) {
			text = step.Object.String() + ": " + text
		}
		for i, line := range strings.Split(wrapped(text, indent+4), "\n") {
			fmt.Fprintf(b, "      %s %s\n", []string{"·", " "}[min(i, 1)], paint.faint(strings.TrimSpace(line)))
		}
	}
	if len(f.Blame) > 0 {
		names := objectNames(f.Blame)
		if more := len(names) - shownBlamed; more > 1 && !whole {
			names = append(names[:shownBlamed:shownBlamed], fmt.Sprintf("and %d more", more))
		}
		fmt.Fprintf(b, "    blame %s\n", wrapped(strings.Join(names, ", "), indent+6))
	}
	if f.Waiver != "" {
		fmt.Fprintf(b, "    accepted by Waiver %s\n", f.Waiver)
		return
	}
	if f.Fix != "" {
		fmt.Fprintf(b, "    -> %s\n", wrapped(f.Fix, indent+3))
	}
}

// writeProofChecks has a line for each check: its verdict, and what was considered.
func writeProofChecks(b *strings.Builder, paint paint, r *isolation.Report) {
	width := 0
	for _, result := range r.Results {
		width = max(width, len(result.Check))
	}
	for _, result := range r.Results {
		pad := strings.Repeat(" ", width-len(result.Check))
		fmt.Fprintf(b, "%s %s%s  %s\n", paint.mark(proofMark(result.Verdict)), result.Check, pad, wrapped(result.Considered, width+4))
	}
}

// writeProofMarkdown is for a comment or a report.
func (o *proveOptions) writeProofMarkdown(p *proven) error {
	if _, err := fmt.Fprintf(o.Out, "**%s**\n\n", p.summary()); err != nil {
		return err
	}
	var rows [][]string
	for _, result := range p.report.Results {
		rows = append(rows, []string{result.Check, string(result.Verdict), result.Considered})
	}
	if err := writeMarkdownTable(o.Out, []string{"check", "verdict", "considered"}, rows); err != nil {
		return err
	}
	if len(p.report.Findings) == 0 {
		return nil
	}
	if _, err := fmt.Fprintln(o.Out); err != nil {
		return err
	}
	rows = nil
	for i := range p.report.Findings {
		rows = append(rows, findingRow(&p.report.Findings[i]))
	}
	return writeMarkdownTable(o.Out, findingHeaders(), rows)
}

func findingHeaders() []string {
	return []string{"code", "verdict", "severity", "who", "what", "blame", "to do"}
}

func findingRow(f *finding.Finding) []string {
	fix := f.Fix
	if f.Waiver != "" {
		fix = "accepted by Waiver " + f.Waiver
	}
	return []string{f.Code, string(f.Verdict), string(f.Severity), between(f), f.What, strings.Join(objectNames(f.Blame), ", "), fix}
}

// writeProofJUnit has a test case for each tenant and check: a failure is an exposure, an error is what is unknown.
func (o *proveOptions) writeProofJUnit(p *proven) error {
	suite := junitSuite{Name: "bulkhead prove"}
	checks := isolation.Checks()
	for i := range p.report.Tenants {
		t := &p.report.Tenants[i]
		for j := range t.Results {
			c := junitCase{Class: "tenant " + t.Tenant, Name: checks[j].ID + ": " + checks[j].Title}
			problem := &junitProblem{Message: checks[j].Title, Text: p.said(t, &checks[j])}
			switch t.Results[j].Verdict {
			case finding.Exposed:
				c.Failure, suite.Failures = problem, suite.Failures+1
			case finding.Unknown:
				c.Error, suite.Errors = problem, suite.Errors+1
			case finding.Isolated:
			}
			suite.Cases = append(suite.Cases, c)
		}
	}
	if len(p.report.Tenants) == 0 { // a suite without cases would be taken for a success
		suite.Errors = 1
		suite.Cases = []junitCase{{Class: "bulkhead prove", Name: "tenants", Error: &junitProblem{Message: p.summary()}}}
	}
	suite.Tests = len(suite.Cases)
	data, err := xml.MarshalIndent(suite, "", "  ")
	if err != nil {
		return fmt.Errorf("encode JUnit: %w", err)
	}
	_, err = fmt.Fprintf(o.Out, "%s%s\n", xml.Header, data)
	return err
}

// said is what a check found about a tenant.
func (p *proven) said(t *isolation.TenantReport, check *finding.Check) string {
	var lines []string
	for _, index := range t.Findings {
		if f := &p.report.Findings[index]; checkOf(f).ID == check.ID && f.Waiver == "" {
			lines = append(lines, fmt.Sprintf("%s %s %s: %s", f.Code, f.Verdict, between(f), f.What))
		}
	}
	return strings.Join(lines, "\n")
}
