package cli

import (
	"fmt"
	"io"
	"strings"
)

// branch is a line of a tree with what hangs on it.
type branch struct {
	// mark is shown before the text unless it is markNone.
	mark mark
	text string
	// details are lines of their own under the text, before the children.
	details  []string
	children []*branch
}

func (b *branch) add(m mark, format string, args ...any) *branch {
	child := &branch{mark: m, text: fmt.Sprintf(format, args...)}
	b.children = append(b.children, child)
	return child
}

func (b *branch) detailf(format string, args ...any) {
	b.details = append(b.details, fmt.Sprintf(format, args...))
}

// writeTree draws a tree with lines, long text broken under itself.
func writeTree(w io.Writer, root *branch) error {
	var text strings.Builder
	drawBranch(&text, newPaint(w), root, "", "")
	_, err := io.WriteString(w, text.String())
	return err
}

// drawBranch writes a branch: first stands before its first line, next before all others.
func drawBranch(text *strings.Builder, p paint, b *branch, first, next string) {
	line, indent := b.text, 0
	sign := ""
	if b.mark != markNone {
		sign, indent = p.mark(b.mark)+" ", 2
	}
	stem := next
	if len(b.children) > 0 {
		stem += "│ "
	} else {
		stem += "  "
	}
	offset := len([]rune(stem)) + indent
	lines := strings.Split(wrapped(line, offset), "\n")
	text.WriteString(p.faint(first) + sign + lines[0] + "\n")
	for _, l := range lines[1:] {
		text.WriteString(p.faint(stem) + strings.Repeat(" ", indent) + strings.TrimLeft(l, " ") + "\n")
	}
	for _, d := range b.details {
		for i, l := range strings.Split(wrapped(d, offset+2), "\n") {
			hanging := ""
			if i > 0 {
				hanging = "  "
			}
			text.WriteString(p.faint(stem) + strings.Repeat(" ", indent) + hanging + strings.TrimLeft(l, " ") + "\n")
		}
	}
	for i, child := range b.children {
		if i < len(b.children)-1 {
			drawBranch(text, p, child, next+"├─ ", next+"│  ")
		} else {
			drawBranch(text, p, child, next+"└─ ", next+"   ")
		}
	}
}
