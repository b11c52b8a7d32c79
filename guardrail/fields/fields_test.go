package fields

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/bulkhead-dev/bulkhead/guardrail"
	"github.com/bulkhead-dev/bulkhead/hostile"
	"github.com/bulkhead-dev/bulkhead/snapshot"
)

var update = flag.Bool("update", false, "rewrite docs/fields.md")

// Promise: every row has its control and its cases, or a reason in a sentence.
func TestEveryRowIsComplete(t *testing.T) {
	controls := map[string]bool{}
	for _, c := range guardrail.Controls() {
		controls[c.ID] = true
	}
	complete := func(what string, class Class, by string, cases []string) {
		byControl := class == Refused || class == Bounded
		switch {
		case !slices.Contains([]Class{Refused, Bounded, Checked, Server, Harmless, Open}, class):
			t.Errorf("%s: there is no class %q", what, class)
		case byControl && (!controls[by] || len(cases) == 0):
			t.Errorf("%s is %s: it needs a control, not %q, and cases", what, class, by)
		case !byControl && (!strings.HasSuffix(by, ".") || len(by) < 10 || len(cases) > 0):
			t.Errorf("%s is %s: it needs a reason in one sentence, not %q, and no cases", what, class, by)
		}
		for _, id := range cases {
			if c, found := hostile.ByID(id); !found || c.Control != by {
				t.Errorf("%s: control %s has no case %s", what, by, id)
			}
		}
	}
	seen := map[string]bool{}
	for _, s := range Ledger() {
		if seen[s.Schema] {
			t.Errorf("there are two sections of %s", s.Schema)
		}
		seen[s.Schema] = true
		for _, r := range s.Rows {
			what := s.Schema + ": " + r.Path
			if seen[what] {
				t.Errorf("%s is there twice", what)
			}
			seen[what] = true
			complete(what, r.Class, r.By, r.CaseIDs())
		}
	}
	for _, topic := range Topics() {
		for _, e := range topic.Entries {
			complete(topic.Title+": "+e.What, e.Class, e.By, strings.Fields(e.Cases))
		}
	}
	for _, r := range Elsewhere() {
		if !seen[r.Schema+": "+r.Path] {
			t.Errorf("%s: %s is no row", r.Schema, r.Path)
		}
	}
}

// Promise: every kind of which controllers make objects out of what owners wrote is classified.
func TestMadeKindsAreClassified(t *testing.T) {
	for _, kind := range snapshot.Kinds() {
		for _, creates := range kind.Creates {
			if kind.OwnersCreate && !slices.ContainsFunc(made.Entries, func(e Entry) bool { return e.What == creates }) {
				t.Errorf("%s make %s, which is not classified", kind.Resource, creates)
			}
		}
	}
}

// Promise: what is open is known by name. The list only shrinks.
func TestOpenFields(t *testing.T) {
	var got []string
	for _, s := range Ledger() {
		for _, r := range s.Rows {
			if r.Class == Open {
				got = append(got, s.Schema+": "+r.Path)
			}
		}
	}
	for _, topic := range Topics() {
		for _, e := range topic.Entries {
			if e.Class == Open {
				got = append(got, topic.Title+": "+e.What)
			}
		}
	}
	for _, what := range got {
		if !slices.Contains(stillOpen, what) {
			t.Errorf("%s is open: bound it, or it is a hole that was not there", what)
		}
	}
	for _, what := range stillOpen {
		if !slices.Contains(got, what) {
			t.Errorf("%s is not open any more: remove it from the list", what)
		}
	}
}

const page = "../../docs/fields.md"

// Promise: docs/fields.md says what the ledger says.
// Rewrite it with: go test ./guardrail/fields -run TestDocs -update
func TestDocs(t *testing.T) {
	want := docs()
	if *update {
		if err := os.WriteFile(page, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("%s is not current: run go test ./guardrail/fields -run TestDocs -update", page)
	}
}

func docs() string {
	var b strings.Builder
	b.WriteString(`# Everything that a tenant can write

<!-- Generated from guardrail/fields by ` + "`make generate`" + `. Do not edit. -->

Every field that a request of an owner can carry, on every kind and subresource, is in one class. A test compares this page with
the OpenAPI of a real API server, and fails for a field that is not here, for a row without its field, and for a control without
a hostile request that sets this very field; another does with the OpenAPI that Kubernetes 1.36 publishes. ` + "`bulkhead check`" + ` names the fields that a cluster serves and that are not here (BHC110).

| class | meaning |
|---|---|
| refused | by the control, whatever its value |
| bounded | by the control, to values that are allowed |
| checked | by the API server itself, against other fields or rights |
| server | written by the server, and dropped from requests of tenants |
| harmless | for the reason that stands there |
| **open** | not bounded yet: what a tenant can do by it stands there |

A schema is classified once, wherever a request holds it: a pod spec for pods and for all that makes pods. A row is about its field
and all below it that has no row of its own, and goes before the section of what it leads to. ` + "`#`" + ` is the number of elements of a list.
`)
	for _, s := range Ledger() {
		if len(s.Rows) == 0 {
			continue
		}
		fmt.Fprintf(&b, "\n## %s\n\n| field | class | control or reason | tried by |\n|---|---|---|---|\n", s.Schema)
		for _, r := range s.Rows {
			line(&b, "`"+strings.TrimSpace(r.Path)+"`", r.Class, r.By, r.CaseIDs())
		}
	}
	for _, topic := range Topics() {
		fmt.Fprintf(&b, "\n## %s\n\n%s\n\n| what | class | control or reason | tried by |\n|---|---|---|---|\n", topic.Title, topic.About)
		for _, e := range topic.Entries {
			line(&b, strings.ReplaceAll(e.What, "*", `\*`), e.Class, e.By, strings.Fields(e.Cases))
		}
	}
	b.WriteString("\n## Names of objects elsewhere\n\nThe texts that name an object outside the tenant's namespace.\n\n| names | field | class |\n|---|---|---|\n")
	for _, r := range Elsewhere() {
		if row := sectionOf(Ledger(), r.Schema).row(r.Path); row != nil {
			fmt.Fprintf(&b, "| %s | `%s` of %s | %s |\n", r.Names, r.Path, r.Schema, bold(row.Class))
		}
	}
	return b.String()
}

func line(b *strings.Builder, what string, class Class, by string, cases []string) {
	if what == "``" {
		what = "all of it"
	}
	if class == Refused || class == Bounded {
		by = "[" + by + "](controls.md#" + by + ")"
	}
	for i := range cases {
		cases[i] = "`" + cases[i] + "`"
	}
	fmt.Fprintf(b, "| %s | %s | %s | %s |\n", what, bold(class), strings.ReplaceAll(by, "|", `\|`), strings.Join(cases, ", "))
}

func bold(class Class) string {
	if class == Open {
		return "**open**"
	}
	return string(class)
}
