package cli

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
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
