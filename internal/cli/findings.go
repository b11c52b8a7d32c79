package cli

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/charmbracelet/lipgloss"

	"github.com/bulkhead-dev/bulkhead/internal/check"
)

// findingsReport is the JSON form of a report.
type findingsReport struct {
	State    check.State     `json:"state"`
	Findings []check.Finding `json:"findings"`
}

// writeFindings writes findings under the question that they answer: one line for what is fine, and for the rest what
// it means and what to do.
func writeFindings(w io.Writer, findings []check.Finding, accepted []string) error {
	p := newPaint(w)
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
			b.WriteString(p.bold(group) + "\n")
		}
		writeFinding(&b, p, &f, width, slices.Contains(accepted, f.Code))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func writeFinding(b *strings.Builder, p paint, f *check.Finding, width int, accepted bool) {
	const before = 12 // columns of the mark and the code
	pad := strings.Repeat(" ", before)
	if over := lipgloss.Width(f.Subject) - width; over > 0 {
		fmt.Fprintf(b, "  %s %s  %s\n%s%s\n", p.mark(markOf(f.State)), f.Code, f.Subject, pad, wrapped(f.Detail, before))
	} else {
		subject := f.Subject + strings.Repeat(" ", -over)
		fmt.Fprintf(b, "  %s %s  %s  %s\n", p.mark(markOf(f.State)), f.Code, subject, wrapped(f.Detail, before+width+2))
	}
	if f.State == check.OK || f.State == check.Note {
		return
	}
	if accepted {
		b.WriteString(pad + p.faint("accepted on the command line") + "\n")
		return
	}
	if len(f.Controls) > 0 {
		verb := "cannot hold"
		if f.State == check.Unknown {
			verb = "not known to hold"
		}
		b.WriteString(pad + wrapped(verb+": "+strings.Join(f.Controls, ", "), before) + "\n")
	}
	if f.Fix != "" {
		b.WriteString(pad + wrapped("-> "+f.Fix, before+3) + "\n")
	}
	b.WriteString(pad + p.faint(f.Doc) + "\n")
}

func markOf(state check.State) mark {
	switch state {
	case check.OK:
		return markOK
	case check.Problem:
		return markProblem
	case check.Note:
		return markNote
	case check.Unknown:
	}
	return markUnknown
}

// counted sums findings up in a sentence.
func counted(findings []check.Finding) string {
	count := map[check.State]int{}
	for _, f := range findings {
		count[f.State]++
	}
	return fmt.Sprintf("%d fine, %s, %d unknown, %s", count[check.OK], plural(count[check.Problem], "problem"),
		count[check.Unknown], plural(count[check.Note], "note"))
}

func plural(n int, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return fmt.Sprintf("%d %ss", n, word)
}
