package decision

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the generated tables of docs/decisions.md")

const docsPage = "../docs/decisions.md"

// Promise: the tables of docs/decisions.md are those that the package decides by.
// Rewrite them with: go test ./decision -run TestDocs -update
func TestDocs(t *testing.T) {
	raw, err := os.ReadFile(docsPage)
	if err != nil {
		t.Fatal(err)
	}
	page := string(raw)
	for _, table := range []struct{ name, text string }{
		{"facts", factsTable()}, {"rules", rulesTable()}, {"risks", risksTable()},
	} {
		page = replaceBetween(t, page, table.name, table.text)
	}
	if page == string(raw) {
		return
	}
	if !*update {
		t.Fatalf("%s is not current: run go test ./decision -run TestDocs -update", docsPage)
	}
	if err := os.WriteFile(docsPage, []byte(page), 0o644); err != nil {
		t.Fatal(err)
	}
}

func replaceBetween(t *testing.T, page, name, text string) string {
	t.Helper()
	begin, end := "<!-- "+name+":begin -->\n", "<!-- "+name+":end -->"
	before, rest, found := strings.Cut(page, begin)
	_, after, closed := strings.Cut(rest, end)
	if !found || !closed {
		t.Fatalf("%s has no markers %q and %q", docsPage, begin, end)
	}
	return before + begin + text + end + after
}

func factsTable() string {
	var b strings.Builder
	b.WriteString("| fact | values, weakest first | if undeclared |\n|---|---|---|\n")
	for i := range tenancyFacts {
		f := &tenancyFacts[i]
		fallback := f.values[0]
		if f.required {
			fallback = "**an error**"
		} else if fallback == "" {
			fallback = "read like " + f.allowed()[0]
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", f.name, strings.Join(f.allowed(), ", "), fallback)
	}
	return b.String()
}

func rulesTable() string {
	var b strings.Builder
	b.WriteString("| rule | when | at least | because |\n|---|---|---|---|\n")
	for _, r := range Rules() {
		pattern := string(r.Pattern)
		if r.Sandbox {
			pattern += ", sandboxed runtime"
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", r.ID, r.Text, pattern, r.Because)
	}
	return b.String()
}

func risksTable() string {
	var b strings.Builder
	b.WriteString("| risk | left by | severity | what can still happen | covered by |\n|---|---|---|---|---|\n")
	for _, r := range tenancyRisks {
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", r.risk.ID, r.left, r.risk.Severity, r.risk.Text, r.risk.Control)
	}
	return b.String()
}

// Promise: the rules are ordered strictest first and end in the fallback before the
// sandbox-only rule, as strictest and the order of the reasons rely on; the words
// of a rule are those of its conditions.
func TestRuleTable(t *testing.T) {
	var ids []string
	for i, r := range tenancyRules {
		ids = append(ids, r.ID)
		if i > 0 && r.Pattern.Stricter(tenancyRules[i-1].Pattern) {
			t.Errorf("%s is stricter than the rule before it", r.ID)
		}
		if r.Because == "" || r.Pattern.rank() == 0 {
			t.Errorf("%s is not complete", r.ID)
		}
		var words []string
		for _, c := range r.when {
			f := tenancyFacts[c.fact]
			if !slices.Contains(f.values, c.value) {
				t.Errorf("%s: %s is never %q", r.ID, f.name, c.value)
			}
			_, short, _ := strings.Cut(f.name, ".")
			words = append(words, short+" "+c.value)
		}
		if want := strings.Join(words, " and "); len(words) > 0 && r.Text != want {
			t.Errorf("%s: text %q, conditions %q", r.ID, r.Text, want)
		}
	}
	want := strings.Fields("T1 T2 T3 T4 T5 T6 T7 T8 T9 T10 T11 S1")
	if !slices.Equal(ids, want) {
		t.Errorf("rules %v, want %v", ids, want)
	}
}

// Promise: risk ids run R1, R2, ... without a gap, and what covers a risk is a
// control that the renderer, the checks and the attacks know by that id.
func TestRiskTable(t *testing.T) {
	controls := strings.Fields(`rbac-own rbac-enumerate rbac-escalate guardrail pod-security token
		network-default network-metadata dns-enumerate service-expose node-affinity runtime quota defaults
		api-fairness storage images priority scheduling audit`)
	for i, r := range tenancyRisks {
		if want := fmt.Sprintf("R%d", i+1); r.risk.ID != want {
			t.Errorf("risk %s, want %s", r.risk.ID, want)
		}
		measure := strings.Contains(r.risk.Control, " ")
		if !measure && !slices.Contains(controls, r.risk.Control) {
			t.Errorf("%s: no control has the id %q", r.risk.ID, r.risk.Control)
		}
	}
}
