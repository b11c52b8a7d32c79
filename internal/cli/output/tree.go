package output

import (
	"fmt"
	"io"
	"strings"
)

// Branch is a line of a tree with what hangs on it.
type Branch struct {
	// Mark is shown before the text unless it is None.
	Mark Mark
	Text string
	// details are lines of their own under the text, before the children.
	details  []string
	Children []*Branch
}

// Add adds a branch to the branch and returns it.
func (b *Branch) Add(m Mark, format string, args ...any) *Branch {
	child := &Branch{Mark: m, Text: fmt.Sprintf(format, args...)}
	b.Children = append(b.Children, child)
	return child
}

// Detailf adds a line under the text.
func (b *Branch) Detailf(format string, args ...any) {
	b.details = append(b.details, fmt.Sprintf(format, args...))
}

// WriteTree draws a tree with lines, long text broken under itself.
func WriteTree(w io.Writer, root *Branch) error {
	var text strings.Builder
	drawBranch(&text, NewPaint(w), root, "", "")
	_, err := io.WriteString(w, text.String())
	return err
}

// drawBranch writes a branch: first stands before its first line, next before all others.
func drawBranch(text *strings.Builder, p Paint, b *Branch, first, next string) {
	line, indent := b.Text, 0
	sign := ""
	if b.Mark != None {
		sign, indent = p.Mark(b.Mark)+" ", 2
	}
	stem := next
	if len(b.Children) > 0 {
		stem += "│ "
	} else {
		stem += "  "
	}
	offset := len([]rune(stem)) + indent
	lines := strings.Split(Wrapped(line, offset), "\n")
	text.WriteString(p.Faint(first) + sign + lines[0] + "\n")
	for _, l := range lines[1:] {
		text.WriteString(p.Faint(stem) + strings.Repeat(" ", indent) + strings.TrimLeft(l, " ") + "\n")
	}
	for _, d := range b.details {
		for i, l := range strings.Split(Wrapped(d, offset+2), "\n") {
			hanging := ""
			if i > 0 {
				hanging = "  "
			}
			text.WriteString(p.Faint(stem) + strings.Repeat(" ", indent) + hanging + strings.TrimLeft(l, " ") + "\n")
		}
	}
	for i, child := range b.Children {
		if i < len(b.Children)-1 {
			drawBranch(text, p, child, next+"├─ ", next+"│  ")
		} else {
			drawBranch(text, p, child, next+"└─ ", next+"   ")
		}
	}
}
