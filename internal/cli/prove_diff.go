package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/bulkhead-dev/bulkhead/isolation"
	"github.com/bulkhead-dev/bulkhead/isolation/finding"
)

// proofDiff is what a change makes of the findings.
type proofDiff struct {
	// Verdict on what is new: Isolated where nothing is.
	Verdict finding.Verdict   `json:"verdict"`
	Before  finding.Verdict   `json:"before"`
	After   finding.Verdict   `json:"after"`
	New     []finding.Finding `json:"new"`
	Gone    []finding.Finding `json:"gone"`
	// Same counts what was there before and still is.
	Same int `json:"same"`
}

// compare proves two folders and answers by what is new.
func (o *proveOptions) compare(ctx context.Context, before, after string) error {
	var proofs [2]*proven
	for i, dir := range []string{before, after} {
		world, err := o.read(ctx, filesIn(dir))
		if err != nil {
			return fmt.Errorf("%s: %w", dir, err)
		}
		if proofs[i], err = o.prove(world); err != nil {
			return fmt.Errorf("%s: %w", dir, err)
		}
	}
	d := differenceOf(proofs[0].report, proofs[1].report)
	if err := o.writeDiff(d, before, after); err != nil {
		return err
	}
	return answerTo(d.Verdict)
}

// differenceOf compares findings by what they are about. A finding that a Waiver accepts does not count as new, and one
// whose Waiver is over does.
func differenceOf(before, after *isolation.Report) *proofDiff {
	d := &proofDiff{Verdict: finding.Isolated, Before: before.Verdict, After: after.Verdict, New: []finding.Finding{}, Gone: []finding.Finding{}}
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

func (d *proofDiff) summary() string {
	count := map[finding.Verdict]int{}
	for i := range d.New {
		count[d.New[i].Verdict]++
	}
	var text string
	switch d.Verdict {
	case finding.Isolated:
		text = "nothing is newly exposed or unknown"
	case finding.Exposed:
		text = plural(count[finding.Exposed], "new exposure")
		if n := count[finding.Unknown]; n > 0 {
			text += fmt.Sprintf(", %s newly undecided", plural(n, "question"))
		}
	default:
		text = fmt.Sprintf("nothing is newly exposed, but %s newly undecided", plural(count[finding.Unknown], "question"))
	}
	return fmt.Sprintf("%s; %d over, %d as before. Before: %s; after: %s", text, len(d.Gone), d.Same, d.Before, d.After)
}

func (o *proveOptions) writeDiff(d *proofDiff, before, after string) error {
	switch o.format.value {
	case formatJSON:
		return writeJSON(o.Out, d)
	case formatMarkdown:
		return o.writeDiffMarkdown(d)
	case formatTable:
	default:
		return fmt.Errorf("-o %s: a comparison has no such form: choose table, json or markdown", o.format.value)
	}
	p := newPaint(o.Out)
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s\n", p.mark(proofMark(d.Verdict)), wrapped(d.summary(), 2))
	for _, part := range []struct {
		title string
		list  []finding.Finding
	}{{"New in " + after, d.New}, {"Over since " + before, d.Gone}} {
		if len(part.list) > 0 {
			fmt.Fprintf(&b, "\n%s\n", p.bold(part.title))
		}
		for i := range part.list {
			writeProofFinding(&b, p, &part.list[i], o.Verbose())
		}
	}
	_, err := fmt.Fprint(o.Out, b.String())
	return err
}

func (o *proveOptions) writeDiffMarkdown(d *proofDiff) error {
	if _, err := fmt.Fprintf(o.Out, "**%s**\n", d.summary()); err != nil {
		return err
	}
	for _, part := range []struct {
		title string
		list  []finding.Finding
	}{{"New", d.New}, {"Over", d.Gone}} {
		if len(part.list) == 0 {
			continue
		}
		if _, err := fmt.Fprintf(o.Out, "\n%s\n\n", part.title); err != nil {
			return err
		}
		rows := make([][]string, len(part.list))
		for i := range part.list {
			rows[i] = findingRow(&part.list[i])
		}
		if err := writeMarkdownTable(o.Out, findingHeaders(), rows); err != nil {
			return err
		}
	}
	return nil
}
