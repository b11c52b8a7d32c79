package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/charmbracelet/lipgloss"
	"github.com/spf13/cobra"
	"sigs.k8s.io/yaml"
)

// The formats that commands may offer with -o.
const (
	formatTable    = "table"
	formatJSON     = "json"
	formatYAML     = "yaml"
	formatMarkdown = "markdown"
)

// format is a flag's value out of the formats that a command offers; the first is the default.
type format struct {
	value   string
	allowed []string
}

// addFormatFlag gives a command -o with the formats that it offers, checked when the command line is parsed.
func addFormatFlag(cmd *cobra.Command, allowed ...string) *format {
	f := &format{value: allowed[0], allowed: allowed}
	cmd.Flags().VarP(f, "output", "o", "format of the answer: "+strings.Join(allowed, ", "))
	// The flag was just made under this name, so registering its completion cannot fail.
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(allowed, cobra.ShellCompDirectiveNoFileComp))
	return f
}

// String is the format's name.
func (f *format) String() string { return f.value }

// Set refuses what the command does not offer.
func (f *format) Set(value string) error {
	if !slices.Contains(f.allowed, value) {
		return fmt.Errorf("no such format: choose one of %s", strings.Join(f.allowed, ", "))
	}
	f.value = value
	return nil
}

// Type is the word that the help text shows for the value.
func (f *format) Type() string { return "format" }

// writeJSON writes one value, indented, with a final line break.
func writeJSON(w io.Writer, value any) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return fmt.Errorf("write JSON: %w", err)
	}
	return nil
}

// writeYAML writes one value by its JSON names.
func writeYAML(w io.Writer, value any) error {
	data, err := yaml.Marshal(value)
	if err != nil {
		return fmt.Errorf("encode YAML: %w", err)
	}
	if _, err := w.Write(data); err != nil {
		return fmt.Errorf("write YAML: %w", err)
	}
	return nil
}

// mark is the verdict at the head of a line.
type mark int

// The marks. markNote is for what is worth knowing and neither good nor bad.
const (
	markOK mark = iota
	markProblem
	markUnknown
	markNote
	// markNone is for lines that judge nothing.
	markNone
)

// paint colours text where the writer is a terminal that shows colours (and NO_COLOR is not set); elsewhere it
// returns plain text, so that what is piped or kept holds no escape codes.
type paint struct{ renderer *lipgloss.Renderer }

func newPaint(w io.Writer) paint { return paint{lipgloss.NewRenderer(underneath(w))} }

func (p paint) color(code, text string) string {
	return p.renderer.NewStyle().Foreground(lipgloss.Color(code)).Render(text)
}

// The colours are the terminal's own sixteen, which its user has chosen.
func (p paint) good(text string) string { return p.color("2", text) }
func (p paint) bad(text string) string  { return p.color("1", text) }
func (p paint) open(text string) string { return p.color("3", text) }
func (p paint) faint(text string) string {
	return p.renderer.NewStyle().Faint(true).Render(text)
}
func (p paint) bold(text string) string { return p.renderer.NewStyle().Bold(true).Render(text) }

func (p paint) mark(m mark) string {
	switch m {
	case markOK:
		return p.good("✔")
	case markProblem:
		return p.bad("✘")
	case markNote:
		return p.faint("–")
	case markNone:
		return ""
	case markUnknown:
	}
	return p.open("?")
}

// writeTable aligns rows under their headers, two spaces apart, by width on the screen. The last column is not
// padded.
func writeTable(w io.Writer, headers []string, rows [][]string) error {
	all := append([][]string{headers}, rows...)
	for _, row := range rows {
		for i := range row {
			row[i] = shortened(row[i])
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

// writeMarkdownTable writes the same as a table of Markdown.
func writeMarkdownTable(w io.Writer, headers []string, rows [][]string) error {
	var b strings.Builder
	writeRow := func(row []string) {
		for _, cell := range row {
			b.WriteString("| " + strings.NewReplacer("|", "\\|", "\n", " ").Replace(shortened(cell)) + " ")
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

// wrapped breaks text at spaces so that it fits textWidth after indent spaces; the first line is not indented, as
// something stands before it.
func wrapped(text string, indent int) string {
	var lines []string
	line := ""
	for _, word := range strings.Fields(shortened(text)) {
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
