package proofview

import (
	"fmt"
	"io"
	"strings"

	"github.com/bulkhead-dev/bulkhead/internal/cli/output"
	"github.com/bulkhead-dev/bulkhead/isolation"
	"github.com/bulkhead-dev/bulkhead/isolation/finding"
)

// Diff is what a change makes of the findings.
type Diff struct {
	// Verdict on what is new: Isolated where nothing is.
	Verdict finding.Verdict   `json:"verdict"`
	Before  finding.Verdict   `json:"before"`
	After   finding.Verdict   `json:"after"`
	New     []finding.Finding `json:"new"`
	Gone    []finding.Finding `json:"gone"`
	// Same counts what was there before and still is.
	Same int `json:"same"`
}

// Compare compares findings by what they are about. A finding that a Waiver accepts does not count as new, and one
// whose Waiver is over does.
func Compare(before, after *isolation.Report) *Diff {
	d := &Diff{Verdict: finding.Isolated, Before: before.Verdict, After: after.Verdict, New: []finding.Finding{}, Gone: []finding.Finding{}}
	held := heldAgainst(before)
	now := heldAgainst(after)
	for i := range after.Findings {
		f := &after.Findings[i]
		switch {
		case f.Waiver != "":
		case held[f.ID()]:
			d.Same++
		default:
			d.New = append(d.New, *f)
			d.Verdict = d.Verdict.Worse(f.Verdict)
		}
	}
	for i := range before.Findings {
		if f := &before.Findings[i]; f.Waiver == "" && !now[f.ID()] {
			d.Gone = append(d.Gone, *f)
		}
	}
	return d
}

func heldAgainst(r *isolation.Report) map[string]bool {
	held := map[string]bool{}
	for i := range r.Findings {
		if f := &r.Findings[i]; f.Waiver == "" {
			held[f.ID()] = true
		}
	}
	return held
}

func (d *Diff) summary() string {
	count := map[finding.Verdict]int{}
	for i := range d.New {
		count[d.New[i].Verdict]++
	}
	var text string
	switch d.Verdict {
	case finding.Isolated:
		text = "nothing is newly exposed or unknown"
	case finding.Exposed:
		text = output.Plural(count[finding.Exposed], "new exposure")
		if n := count[finding.Unknown]; n > 0 {
			text += fmt.Sprintf(", %s newly undecided", output.Plural(n, "question"))
		}
	default:
		text = fmt.Sprintf("nothing is newly exposed, but %s newly undecided", output.Plural(count[finding.Unknown], "question"))
	}
	return fmt.Sprintf("%s; %d over, %d as before. Before: %s; after: %s", text, len(d.Gone), d.Same, d.Before, d.After)
}

// WriteText writes the difference for people, under the names of what was compared.
func (d *Diff) WriteText(w io.Writer, before, after string, whole bool) error {
	p := output.NewPaint(w)
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s\n", p.Mark(markOf(d.Verdict)), output.Wrapped(d.summary(), 2))
	for _, part := range []struct {
		title string
		list  []finding.Finding
	}{{"New in " + after, d.New}, {"Over since " + before, d.Gone}} {
		if len(part.list) > 0 {
			fmt.Fprintf(&b, "\n%s\n", p.Bold(part.title))
		}
		for i := range part.list {
			writeFinding(&b, p, &part.list[i], whole)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// WriteMarkdown writes the difference for a comment.
func (d *Diff) WriteMarkdown(w io.Writer) error {
	if _, err := fmt.Fprintf(w, "**%s**\n", d.summary()); err != nil {
		return err
	}
	for _, part := range []struct {
		title string
		list  []finding.Finding
	}{{"New", d.New}, {"Over", d.Gone}} {
		if len(part.list) == 0 {
			continue
		}
		if _, err := fmt.Fprintf(w, "\n%s\n\n", part.title); err != nil {
			return err
		}
		rows := make([][]string, len(part.list))
		for i := range part.list {
			rows[i] = findingRow(&part.list[i])
		}
		if err := output.WriteMarkdownTable(w, findingHeaders(), rows); err != nil {
			return err
		}
	}
	return nil
}
