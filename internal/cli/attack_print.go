package cli

import (
	"fmt"
	"slices"
	"strings"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/internal/attack/catalogue"
	"github.com/bulkhead-dev/bulkhead/internal/attack/engine"
	"github.com/bulkhead-dev/bulkhead/internal/attack/fuzz"
	"github.com/bulkhead-dev/bulkhead/internal/cli/output"
)

// listedAttack is the JSON form of one attack of a suite.
type listedAttack struct {
	Item      string `json:"item"`
	Attack    string `json:"attack"`
	Title     string `json:"title"`
	RefusedBy string `json:"refusedBy"`
}

// writeList prints what a suite tries.
func (o *attackOptions) writeList(suite *catalogue.Suite) error {
	listed := []listedAttack{}
	all := suite.Attacks()
	if o.suite == fuzz.Suite {
		listed = fuzzList()
	}
	for _, item := range suite.Items {
		for i := range all {
			if item.Has(all[i].ID) {
				listed = append(listed, listedAttack{item.ID, all[i].ID, all[i].Title, all[i].Refusal.String()})
			}
		}
	}
	headers, rows := []string{"ITEM", "ATTACK", "MUST BE REFUSED BY", "WHAT IT TRIES"}, make([][]string, len(listed))
	for i, l := range listed {
		rows[i] = []string{l.Item, l.Attack, l.RefusedBy, l.Title}
	}
	switch o.format.value {
	case formatJSON:
		return output.WriteJSON(o.Out, listed)
	case formatMarkdown:
		return output.WriteMarkdownTable(o.Out, headers, rows)
	case formatJUnit:
		return fmt.Errorf("-o %s: a list has no results: choose table, json or markdown", formatJUnit)
	}
	head := fmt.Sprintf("%d attacks in suite %s. %s", len(all), suite.Name, suite.About)
	if o.suite == fuzz.Suite {
		head = fmt.Sprintf("%d dangers in the dictionary, which random objects of all kinds are given, among other things.", len(listed))
	}
	if _, err := fmt.Fprintf(o.Out, "%s\n\n", head); err != nil {
		return err
	}
	return output.WriteTable(o.Out, headers, rows)
}

func (o *attackOptions) writeRights() error {
	rights := engine.RunnerRights()
	lines := make([]rightLine, len(rights))
	for i := range rights {
		lines[i] = lineOf("", &rights[i].Rule, rights[i].Why)
	}
	return writeRights(o.IOStreams, o.format.value, lines, "A cluster's administrator has them. They let their holder act as any user but members of system:masters: bind them\n"+
		"to the user who attacks, for as long as it takes. An API server before Kubernetes 1.36 knows plain impersonation only.")
}

// write prints the report in the format that was asked for.
func (o *attackOptions) write(report *catalogue.Report) error {
	switch o.format.value {
	case formatJSON:
		return output.WriteJSON(o.Out, report)
	case formatJUnit:
		return o.writeJUnit(report)
	}
	headers, rows := attackRows(output.NewPaint(o.Out), report)
	if o.format.value == formatMarkdown {
		if _, err := fmt.Fprintf(o.Out, "%s\n\n", attackSummary(report)); err != nil {
			return err
		}
		return output.WriteMarkdownTable(o.Out, headers, rows)
	}
	p := output.NewPaint(o.Out)
	if _, err := fmt.Fprintf(o.Out, "%s %s\n\n", p.Mark(verdictMark(report.Verdict)), output.Wrapped(attackSummary(report), 2)); err != nil {
		return err
	}
	if err := output.WriteTable(o.Out, headers, rows); err != nil {
		return err
	}
	return o.writeProblems(p, report)
}

func verdictMark(v v1alpha1.Verdict) output.Mark {
	switch v {
	case v1alpha1.Isolated:
		return output.OK
	case v1alpha1.Exposed:
		return output.Problem
	case "":
		return output.Note
	case v1alpha1.Unknown:
	}
	return output.Unknown
}

// attackSummary is the answer in a sentence.
func attackSummary(r *catalogue.Report) string {
	count := map[v1alpha1.Verdict]int{}
	for i := range r.Items {
		count[r.Items[i].Verdict]++
	}
	tried := fmt.Sprintf("%s as %s", output.Plural(r.Attempts, "attempt"), strings.Join(r.Tenants, ", "))
	var text string
	switch r.Verdict {
	case v1alpha1.Isolated:
		text = "isolated: " + tried + ", every one answered as it must be."
	case v1alpha1.Exposed:
		text = fmt.Sprintf("exposed: %s; %s not held.", tried, output.Plural(count[v1alpha1.Exposed], "line"))
	default:
		text = fmt.Sprintf("unknown: %s; of %s nothing is known for sure.", tried, output.Plural(count[v1alpha1.Unknown], "line"))
	}
	passed := fmt.Sprintf(" %d of %d hold", count[v1alpha1.Isolated], len(r.Items)-count[""])
	if r.Unguarded != nil {
		held := 0
		for i := range r.Unguarded.Items {
			if r.Unguarded.Items[i].Verdict == v1alpha1.Isolated {
				held++
			}
		}
		passed += fmt.Sprintf(", and %d of %d in an unguarded namespace", held, len(r.Unguarded.Items))
	}
	return text + passed + "."
}

// attackRows is a line for each item. What no attack here could show is said too: it is not known to hold by this report.
func attackRows(p output.Paint, r *catalogue.Report) (headers []string, rows [][]string) {
	headers = []string{strings.ToUpper(strings.TrimSuffix(r.Suite, "s")), "VERDICT", "ATTEMPTS", "REFUSED BY", "ABOUT"}
	if r.Unguarded != nil {
		headers = slices.Insert(headers, 2, "UNGUARDED")
	}
	for i := range r.Items {
		item := &r.Items[i]
		row := []string{item.ID, verdictWord(p, item.Verdict), fmt.Sprint(max(item.Tried, len(item.Attempts))), strings.Join(item.Refusals, ", "), item.Title}
		if r.Unguarded != nil {
			row = slices.Insert(row, 2, verdictWord(p, r.Unguarded.Items[i].Verdict))
		}
		rows = append(rows, row)
	}
	return headers, rows
}

func verdictWord(p output.Paint, v v1alpha1.Verdict) string {
	switch v {
	case v1alpha1.Isolated:
		return p.Good("isolated")
	case v1alpha1.Exposed:
		return p.Bad("exposed")
	case "":
		return p.Faint("not tried")
	case v1alpha1.Unknown:
	}
	return p.Open("unknown")
}

// writeProblems lists each attempt that did not end as it must, and with -v of every other as well.
func (o *attackOptions) writeProblems(p output.Paint, r *catalogue.Report) error {
	var b strings.Builder
	for i := range r.Items {
		item := &r.Items[i]
		if o.Verbose() && len(item.Attempts) > 0 || item.Verdict == v1alpha1.Exposed || item.Verdict == v1alpha1.Unknown {
			fmt.Fprintf(&b, "\n%s  %s\n", p.Bold(item.ID), item.Title)
			writeAttempts(&b, p, item.Attempts, o.Verbose())
		}
		if item.Story != "" && o.Verbose() {
			fmt.Fprintf(&b, "    %s\n", p.Faint(output.Wrapped(item.Story, 4)))
		}
	}
	if unasked := r.Unasked(); len(unasked) > 0 {
		fmt.Fprintf(&b, "\n%s\n", output.Wrapped("Not tried: "+strings.Join(unasked, ", ")+". No attack of theirs applies to these tenants: a Waiver suspends the control, "+
			"the decision does not ask for it, there is no Space, or no API server could answer. This report has no answer for them.", 0))
	}
	for i := range r.Fuzzed {
		writeFuzzed(&b, p, &r.Fuzzed[i])
	}
	if r.Verdict != v1alpha1.Isolated {
		b.WriteString("\n`bulkhead explain CONTROL` shows what a control needs and what to do.\n")
	}
	_, err := fmt.Fprint(o.Out, b.String())
	return err
}

// writeAttempts lists those that did not end as they must; of several of which nothing is known for the same reason, of
// one. Verbose lists all.
func writeAttempts(b *strings.Builder, p output.Paint, attempts []catalogue.Attempt, verbose bool) {
	alike := 0
	for i := range attempts {
		a := &attempts[i]
		last := i+1 == len(attempts)
		switch {
		case verbose:
			writeAttempt(b, p, a)
			continue
		case a.Verdict == v1alpha1.Isolated:
			continue
		case alike == 0:
			writeAttempt(b, p, a)
		}
		if alike++; a.Verdict == v1alpha1.Unknown && !last && attempts[i+1].Detail == a.Detail {
			continue
		}
		if alike > 1 {
			fmt.Fprintf(b, "      %s\n", p.Faint(fmt.Sprintf("and %d more likewise (-v lists them)", alike-1)))
		}
		alike = 0
	}
}

func writeAttempt(b *strings.Builder, p output.Paint, a *catalogue.Attempt) {
	where := a.Namespace
	if a.Against != "" {
		where = strings.TrimSpace(where + " against " + a.Against)
	}
	if where != "" {
		where = " (" + where + ")"
	}
	said := a.Detail
	if said == "" {
		said = a.Title + ": refused by " + a.RefusedBy + ": " + a.Says
	}
	fmt.Fprintf(b, "  %s %s as %s%s\n      %s\n", p.Mark(verdictMark(a.Verdict)), a.Attack, a.As, where, output.Wrapped(said, 6))
}

// writeJUnit has a test case for each item: a failure is an exposure, an error is what is unknown.
func (o *attackOptions) writeJUnit(r *catalogue.Report) error {
	suite := output.JUnitSuite{Name: "bulkhead attack " + r.Suite}
	for i := range r.Items {
		item := &r.Items[i]
		c := output.JUnitCase{Class: r.Suite, Name: item.ID + ": " + item.Title}
		problem := &output.JUnitProblem{Message: item.Title, Text: details(item)}
		switch item.Verdict {
		case v1alpha1.Exposed:
			c.Failure = problem
		case v1alpha1.Unknown:
			c.Error = problem
		case "":
			problem.Text = "no attack of this item applies to these tenants"
			c.Skipped = problem
		case v1alpha1.Isolated:
		}
		suite.Cases = append(suite.Cases, c)
	}
	return suite.Write(o.Out)
}

func details(item *catalogue.ItemReport) string {
	var lines []string
	for _, a := range item.Attempts {
		if a.Verdict != v1alpha1.Isolated {
			lines = append(lines, fmt.Sprintf("%s as %s: %s", a.Attack, a.As, a.Detail))
		}
	}
	return strings.Join(lines, "\n")
}
