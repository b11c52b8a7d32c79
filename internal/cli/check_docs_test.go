package cli

import (
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/bulkhead-dev/bulkhead/internal/check"
)

var update = flag.Bool("update", false, "rewrite docs/checks.md, docs/attacks.md and docs/findings.md")

// Promise: docs/checks.md says what the program says, and has the anchor that each finding points to; docs/attacks.md has every attack,
// docs/findings.md every finding.
// Rewrite it with: go test ./internal/cli -run TestDocs -update
func TestDocs(t *testing.T) {
	for page, want := range map[string]string{"../../docs/checks.md": renderDocs(), "../../docs/attacks.md": attacksPage(), "../../docs/findings.md": findingsPage()} {
		if *update {
			if err := os.WriteFile(page, []byte(want), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		have, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		if string(have) != want {
			t.Errorf("%s is not current: run go test ./internal/cli -run TestDocs -update", page)
		}
	}
}

func renderDocs() string {
	var b strings.Builder
	b.WriteString("# Checks\n\n<!-- Generated from internal/check by `make generate`. Do not edit. -->\n\n" +
		"`bulkhead check` and `bulkhead install --preflight` check these, in this order. Codes are stable.\n" +
		"A finding is fine (✔), a problem (✘), unknown (?) or a note (–). Unknown is never reported as fine: verify it\n" +
		"by other means and accept it with `--accept CODE`.\n")
	group := ""
	for _, c := range check.Checks() {
		if c.Group != group {
			group = c.Group
			b.WriteString("\n## " + group + "\n")
		}
		b.WriteString("\n### " + c.Code + "\n\n**" + c.Title + ".** " + c.Why + "\n\n**To do.** " + c.Fix + "\n")
		if len(c.Controls) > 0 {
			b.WriteString("\n**Controls that depend on it:** " + strings.Join(c.Controls, ", ") + ".\n")
		}
		if c.Required {
			b.WriteString("\nRequired: Bulkhead is not installed without it.\n")
		}
	}
	return b.String()
}
