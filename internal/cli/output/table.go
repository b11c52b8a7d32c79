package output

import (
	"fmt"
	"io"
	"strings"

	"github.com/charmbracelet/lipgloss"
)

// WriteTable aligns rows under their headers, two spaces apart, by width on the screen. The last column is not
// padded.
func WriteTable(w io.Writer, headers []string, rows [][]string) error {
	all := append([][]string{headers}, rows...)
	for _, row := range rows {
		for i := range row {
			row[i] = Shortened(row[i])
		}
	}
	widths := make([]int, len(headers))
	for _, row := range all {
		for i, cell := range row {
			widths[i] = max(widths[i], lipgloss.Width(cell))
		}
	}
	var b strings.Builder
	for _, row := range all {
		var line strings.Builder
		for i, cell := range row {
			line.WriteString(cell)
			if i < len(row)-1 {
				line.WriteString(strings.Repeat(" ", widths[i]-lipgloss.Width(cell)+2))
			}
		}
		b.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("write table: %w", err)
	}
	return nil
}

// WriteMarkdownTable writes the same as a table of Markdown.
func WriteMarkdownTable(w io.Writer, headers []string, rows [][]string) error {
	var b strings.Builder
	writeRow := func(row []string) {
		for _, cell := range row {
			b.WriteString("| " + strings.NewReplacer("|", "\\|", "\n", " ").Replace(Shortened(cell)) + " ")
		}
		b.WriteString("|\n")
	}
	writeRow(headers)
	b.WriteString(strings.Repeat("|---", len(headers)) + "|\n")
	for _, row := range rows {
		writeRow(row)
	}
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("write table: %w", err)
	}
	return nil
}

// textWidth is where long text is broken: a width that is read easily and that terminals have.
const textWidth = 100

// Wrapped breaks text at spaces so that it fits textWidth after indent spaces; the first line is not indented, as
// something stands before it.
func Wrapped(text string, indent int) string {
	var lines []string
	line := ""
	for _, word := range strings.Fields(Shortened(text)) {
		if line != "" && lipgloss.Width(line)+1+lipgloss.Width(word) > textWidth-indent {
			lines = append(lines, line)
			line = ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	return strings.Join(append(lines, line), "\n"+strings.Repeat(" ", indent))
}

// Plural returns a number with a word, which takes an s unless the number is 1.
func Plural(n int, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return fmt.Sprintf("%d %ss", n, word)
}
