package output

import (
	"io"

	"github.com/charmbracelet/lipgloss"
)

// Mark is the verdict at the head of a line.
type Mark int

// The marks. Note is for what is worth knowing and neither good nor bad.
const (
	OK Mark = iota
	Problem
	Unknown
	Note
	// None is for lines that judge nothing.
	None
)

// Paint colours text where the writer is a terminal that shows colours (and NO_COLOR is not set); elsewhere it
// returns plain text, so that what is piped or kept holds no escape codes.
type Paint struct{ renderer *lipgloss.Renderer }

// NewPaint returns the paint for what is written to a writer.
func NewPaint(w io.Writer) Paint { return Paint{lipgloss.NewRenderer(Underneath(w))} }

func (p Paint) color(code, text string) string {
	return p.renderer.NewStyle().Foreground(lipgloss.Color(code)).Render(text)
}

// The colours are the terminal's own sixteen, which its user has chosen.

// Good paints what holds.
func (p Paint) Good(text string) string { return p.color("2", text) }

// Bad paints what does not hold.
func (p Paint) Bad(text string) string { return p.color("1", text) }

// Open paints what is not decided.
func (p Paint) Open(text string) string { return p.color("3", text) }

// Faint paints what matters less.
func (p Paint) Faint(text string) string { return p.renderer.NewStyle().Faint(true).Render(text) }

// Bold paints titles.
func (p Paint) Bold(text string) string { return p.renderer.NewStyle().Bold(true).Render(text) }

// Mark returns the painted sign of a mark.
func (p Paint) Mark(m Mark) string {
	switch m {
	case OK:
		return p.Good("✔")
	case Problem:
		return p.Bad("✘")
	case Note:
		return p.Faint("–")
	case None:
		return ""
	case Unknown:
	}
	return p.Open("?")
}
