package guardrail

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
)

var update = flag.Bool("update", false, "rewrite golden files and the generated part of docs/controls.md")

const controlsPage = "../docs/controls.md"

// Promise: docs/controls.md says what the registry says.
// Rewrite it with: go test ./guardrail -run TestDocs -update
func TestDocs(t *testing.T) {
	const begin, end = "<!-- controls:begin -->\n", "<!-- controls:end -->"
	raw, err := os.ReadFile(controlsPage)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(raw), begin)
	_, after, closed := strings.Cut(rest, end)
	if !found || !closed {
		t.Fatalf("%s has no markers %q and %q", controlsPage, begin, end)
	}
	page := before + begin + controlsText() + end + after
	if page == string(raw) {
		return
	}
	if !*update {
		t.Fatalf("%s is not current: run go test ./guardrail -run TestDocs -update", controlsPage)
	}
	if err := os.WriteFile(controlsPage, []byte(page), 0o644); err != nil {
		t.Fatal(err)
	}
}

func controlsText() string {
	var b strings.Builder
	b.WriteString("| id | against | waivable |\n|---|---|---|\n")
	for _, c := range Controls() {
		fmt.Fprintf(&b, "| [%s](#%s) | %s | %s |\n", c.ID, c.ID, c.Threat, map[bool]string{true: "yes", false: "no"}[c.Waivable])
	}
	for _, c := range Controls() {
		fmt.Fprintf(&b, "\n### %s\n\n**%s.** Against %s.\n\n%s\n\n", c.ID, c.Title, c.Threat, c.How)
		if len(c.Objects) > 0 {
			fmt.Fprintf(&b, "- Enforced by: %s\n", strings.Join(c.Objects, "; "))
		}
		if c.Needs != "" {
			fmt.Fprintf(&b, "- Needs: %s\n", c.Needs)
		}
		fmt.Fprintf(&b, "- What to do: %s\n- Catalogues: %s\n", c.Fix, strings.Join(c.Mappings, ", "))
	}
	return b.String()
}

// Promise: the registry is complete, and its ids are those that the whole project uses.
func TestControls(t *testing.T) {
	want := strings.Fields(`rbac-own rbac-enumerate rbac-escalate guardrail token audit pod-security runtime node-affinity
		images storage priority scheduling network-default network-metadata dns-enumerate service-expose quota defaults
		api-fairness controller`)
	mapping := regexp.MustCompile(`^(K(0[1-9]|10)|MTB-PL[12]-[A-Z]{2}-[A-Z]+-[0-9])$`)
	var ids []string
	for _, c := range Controls() {
		ids = append(ids, c.ID)
		if c.Title == "" || c.Threat == "" || c.How == "" || c.Fix == "" || len(c.Mappings) == 0 {
			t.Errorf("%s is not complete", c.ID)
		}
		if len(c.Objects) == 0 && c.unrefused == "" {
			t.Errorf("%s names nothing that enforces it", c.ID)
		}
		for _, m := range c.Mappings {
			if !mapping.MatchString(m) {
				t.Errorf("%s: mapping %q has no known form", c.ID, m)
			}
		}
	}
	if !slices.Equal(ids, want) {
		t.Errorf("controls %v, want %v", ids, want)
	}
	if waivable("nonsense") {
		t.Error("an unknown control is waivable")
	}
}

// Promise: a Waiver can be written for exactly the controls that the registry calls waivable.
func TestWaivableControls(t *testing.T) {
	raw, err := os.ReadFile("../api/crds/bulkhead.dev_waivers.yaml")
	if err != nil {
		t.Fatal(err)
	}
	list := regexp.MustCompile(`(?s)enum:\n((?:\s+- [a-z-]+\n)+)`).FindStringSubmatch(string(raw))
	if list == nil {
		t.Fatal("the definition of Waiver has no enum")
	}
	got := strings.Fields(strings.ReplaceAll(list[1], "- ", ""))
	var want []string
	for _, c := range Controls() {
		if c.Waivable {
			want = append(want, c.ID)
		}
	}
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("Waivers can be written for %v, waivable are %v", got, want)
	}
}

// Promise: every admission policy enforces a control that the registry knows, and a waivable control is one that the
// namespace's label can suspend: its policies' bindings leave namespaces with a waiver alone, or it is pod security.
func TestPoliciesHaveControls(t *testing.T) {
	waived := map[string]bool{}
	for _, o := range Policies(nil) {
		id := o.GetLabels()[v1alpha1.LabelControl]
		if !slices.ContainsFunc(Controls(), func(c Control) bool { return c.ID == id }) {
			t.Errorf("%s enforces %q, which is no control", o.GetName(), id)
		}
		raw, err := yaml.Marshal(o)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range Controls() {
			if strings.Contains(string(raw), v1alpha1.WaiverPrefix+c.ID) {
				waived[c.ID] = true
			}
		}
	}
	for _, c := range Controls() {
		if c.Waivable != (waived[c.ID] || c.ID == "pod-security") {
			t.Errorf("%s: waivable is %v, a policy minds its waiver: %v", c.ID, c.Waivable, waived[c.ID])
		}
	}
}
