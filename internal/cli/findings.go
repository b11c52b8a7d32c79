package cli

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/charmbracelet/lipgloss"

	"github.com/bulkhead-dev/bulkhead/internal/check"
	"github.com/bulkhead-dev/bulkhead/internal/cli/output"
)

// findingsReport is the JSON form of a report.
type findingsReport struct {
	State    check.State     `json:"state"`
	Findings []check.Finding `json:"findings"`
}

// writeFindings writes findings under the question that they answer: one line for what is fine, and for the rest what
// it means and what to do.
func writeFindings(w io.Writer, findings []check.Finding, accepted []string) error {
	p := output.NewPaint(w)
	width := 0
	for _, f := range findings {
		if w := lipgloss.Width(f.Subject); w <= 30 { // longer ones have a line of their own
			width = max(width, w)
		}
	}
	var b strings.Builder
	group := ""
	for _, f := range findings {
		if f.Group != group {
			if group != "" {
				b.WriteString("\n")
			}
			group = f.Group
			b.WriteString(p.Bold(group) + "\n")
		}
		writeFinding(&b, p, &f, width, slices.Contains(accepted, f.Code))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func writeFinding(b *strings.Builder, p output.Paint, f *check.Finding, width int, accepted bool) {
	const before = 12 // columns of the mark and the code
	pad := strings.Repeat(" ", before)
	if over := lipgloss.Width(f.Subject) - width; over > 0 {
		fmt.Fprintf(b, "  %s %s  %s\n%s%s\n", p.Mark(markOf(f.State)), f.Code, f.Subject, pad, output.Wrapped(f.Detail, before))
	} else {
		subject := f.Subject + strings.Repeat(" ", -over)
		fmt.Fprintf(b, "  %s %s  %s  %s\n", p.Mark(markOf(f.State)), f.Code, subject, output.Wrapped(f.Detail, before+width+2))
	}
	if f.State == check.OK || f.State == check.Note {
		return
	}
	if accepted {
		b.WriteString(pad + p.Faint("accepted on the command line") + "\n")
		return
	}
	if len(f.Controls) > 0 {
		verb := "cannot hold"
		if f.State == check.Unknown {
			verb = "not known to hold"
		}
		b.WriteString(pad + output.Wrapped(verb+": "+strings.Join(f.Controls, ", "), before) + "\n")
	}
	if f.Fix != "" {
		b.WriteString(pad + output.Wrapped("-> "+f.Fix, before+3) + "\n")
	}
	b.WriteString(pad + p.Faint(f.Doc) + "\n")
}

func markOf(state check.State) output.Mark {
	switch state {
	case check.OK:
		return output.OK
	case check.Problem:
		return output.Problem
	case check.Note:
		return output.Note
	case check.Unknown:
	}
	return output.Unknown
}

// counted sums findings up in a sentence.
func counted(findings []check.Finding) string {
	count := map[check.State]int{}
	for _, f := range findings {
		count[f.State]++
	}
	return fmt.Sprintf("%d fine, %s, %d unknown, %s", count[check.OK], output.Plural(count[check.Problem], "problem"),
		count[check.Unknown], output.Plural(count[check.Note], "note"))
}
