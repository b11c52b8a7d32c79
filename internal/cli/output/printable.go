package output

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"unicode"
	"unicode/utf8"

	"github.com/charmbracelet/lipgloss"
)

// Printable passes on what shows, line breaks and tabs, and spells out everything else: control characters, also those
// that turn the direction of text or have no width. Names and messages that tenants wrote stand in what is printed; none
// of them may move the cursor, hide a line or pass for one of ours. Of escape sequences only the colours of paint pass, and
// only where paint uses them. In JSON the spelling is the same text.
type Printable struct {
	to      io.Writer
	colours bool
	// Short reports whether words of endless length are cut: in messages, and not in answers, which programs may read.
	Short bool
	// begun is the beginning of a character or of a colour whose rest is still to be written.
	begun []byte
}

// NewPrintable returns the writer that passes on to another one.
func NewPrintable(to io.Writer) *Printable {
	return &Printable{to: to, colours: NewPaint(to).renders()}
}

// Underneath is the writer that a Printable passes on to, such as the terminal.
func Underneath(w io.Writer) io.Writer {
	if p, is := w.(*Printable); is {
		return p.to
	}
	return w
}

// Write passes data on. Like any writer it reports that it wrote what it was given.
func (p *Printable) Write(data []byte) (int, error) {
	text := data
	if len(p.begun) > 0 {
		text = slices.Concat(p.begun, data)
		p.begun = nil
	}
	if !bytes.ContainsFunc(text, spelt) && utf8.Valid(text) {
		return p.pass(len(data), text)
	}
	out := make([]byte, 0, len(text)+16)
	for len(text) > 0 {
		if n, whole := p.colour(text); n > 0 {
			if !whole {
				p.begun = bytes.Clone(text)
				break
			}
			out, text = append(out, text[:n]...), text[n:]
			continue
		}
		r, n := utf8.DecodeRune(text)
		switch {
		case r == utf8.RuneError && n == 1 && !utf8.FullRune(text):
			p.begun = bytes.Clone(text)
			return p.pass(len(data), out)
		case r == utf8.RuneError && n == 1:
			out = append(out, "\ufffd"...)
		case spelt(r) && r > 0xffff:
			out = fmt.Appendf(out, "\\U%08x", r)
		case spelt(r):
			out = fmt.Appendf(out, "\\u%04x", r)
		default:
			out = append(out, text[:n]...)
		}
		text = text[n:]
	}
	return p.pass(len(data), out)
}

func (p *Printable) pass(written int, text []byte) (int, error) {
	if p.Short && len(text) > longestWord {
		text = []byte(Shortened(string(text)))
	}
	if _, err := p.to.Write(text); err != nil {
		return 0, err
	}
	return written, nil
}

// spelt reports whether a character is spelt out. Private use and surrogates are; characters of no width that join letters
// of some scripts are not.
func spelt(r rune) bool {
	const nonJoiner, joiner = '\u200c', '\u200d'
	switch r {
	case '\n', '\t', nonJoiner, joiner:
		return false
	case '\u2028', '\u2029': // break lines
		return true
	}
	return unicode.Is(unicode.C, r) // control, format, private use, surrogates
}

// colour is the length of one of paint's escape sequences at the beginning of text, and whether it is whole; 0 is none.
func (p *Printable) colour(text []byte) (n int, whole bool) {
	if !p.colours || text[0] != '\x1b' {
		return 0, false
	}
	for _, code := range []string{"\x1b[0m", "\x1b[1m", "\x1b[2m", "\x1b[31m", "\x1b[32m", "\x1b[33m"} {
		switch {
		case bytes.HasPrefix(text, []byte(code)):
			return len(code), true
		case len(text) < len(code) && bytes.HasPrefix([]byte(code), text):
			return len(text), false
		}
	}
	return 0, false
}

// renders reports whether paint writes escape sequences at all.
func (p Paint) renders() bool {
	return p.Good("x") != "x" || lipgloss.Width(p.Bold("x")) != len(p.Bold("x"))
}
