package testdecision

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/bulkhead-dev/bulkhead/decision"
)

// Page checks that the tables of a page of the docs, between its markers facts, rules and risks, are those that the
// decision goes by. With update it writes them.
func Page[O any](t *testing.T, path string, table decision.Table[O], update bool) {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	page := string(raw)
	for _, part := range []struct{ name, text string }{
		{"facts", factsOf(&table)}, {"rules", rulesOf(&table)}, {"risks", risksOf(&table)},
	} {
		begin, end := "<!-- "+part.name+":begin -->\n", "<!-- "+part.name+":end -->"
		before, rest, found := strings.Cut(page, begin)
		_, after, closed := strings.Cut(rest, end)
		if !found || !closed {
			t.Fatalf("%s lacks the markers %q and %q", path, begin, end)
		}
		page = before + begin + part.text + end + after
	}
	switch {
	case page == string(raw):
	case !update:
		t.Errorf("%s is not current: run `make generate`", path)
	default:
		if err := os.WriteFile(path, []byte(page), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func factsOf[O any](table *decision.Table[O]) string {
	var b strings.Builder
	b.WriteString("| fact | values, weakest first | if undeclared |\n|---|---|---|\n")
	for i := range table.Facts {
		f := &table.Facts[i]
		fallback := f.Values[0]
		if f.Required {
			fallback = "**an error**"
		} else if fallback == "" {
			fallback = "read like " + f.Allowed()[0]
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", f.Name, strings.Join(f.Allowed(), ", "), fallback)
	}
	return b.String()
}

func rulesOf[O any](table *decision.Table[O]) string {
	var b strings.Builder
	b.WriteString("| rule | when | at least | because |\n|---|---|---|---|\n")
	for i := range table.Rules {
		r := &table.Rules[i]
		fmt.Fprintf(&b, "| %s | %s | %v | %s |\n", r.ID, table.Words(r), r.AtLeast, r.Because)
	}
	return b.String()
}

func risksOf[O any](table *decision.Table[O]) string {
	var b strings.Builder
	b.WriteString("| risk | left by | severity | what can still happen | covered by |\n|---|---|---|---|---|\n")
	for i := range table.Risks {
		r := &table.Risks[i]
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", r.Risk.ID, r.Left, r.Risk.Severity, r.Risk.Text, r.Risk.Control)
	}
	return b.String()
}
