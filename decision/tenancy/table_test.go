package tenancy_test

import (
	"flag"
	"fmt"
	"slices"
	"strings"
	"testing"

	. "github.com/bulkhead-dev/bulkhead/decision/tenancy"
	"github.com/bulkhead-dev/bulkhead/internal/testdecision"
)

var update = flag.Bool("update", false, "rewrite the generated tables of docs/decisions.md")

// Promise: the tables of docs/decisions.md are those that the package decides by.
// Rewrite them with: go test ./decision/tenancy -run TestDocs -update
func TestDocs(t *testing.T) { testdecision.Page(t, "../../docs/decisions.md", Table(), *update) }

// Promise: what must hold for every decision holds for this one, at every point of its space; every rule is reachable, both at all and, but for S1, as the only rule that demands the decided pattern.
func TestProperties(t *testing.T) {
	testdecision.Properties(t, Table(), [][]string{{"kata", "gvisor"}})
	testdecision.Reachable(t, Table())
}

// Promise: rules and risks have the ids of the design, and risk ids run without a gap; what covers a risk is a control that
// the renderer, the checks and the attacks know by that id, or a measure in words.
func TestTable(t *testing.T) {
	var ids []string
	table := Table()
	for i := range table.Rules {
		ids = append(ids, table.Rules[i].ID)
	}
	if want := strings.Fields("T1 T2 T3 T4 T5 T6 T7 T8 T9 T10 T11 S1"); !slices.Equal(ids, want) {
		t.Errorf("rules %v, want %v", ids, want)
	}
	if got := table.Words(&table.Rules[6]); got != "boundary Outside and code Audited" {
		t.Errorf("T7 in words: %s", got)
	}
	controls := strings.Fields(`rbac-own rbac-enumerate rbac-escalate guardrail pod-security token
		network-default network-metadata dns-enumerate service-expose node-affinity runtime quota defaults
		api-fairness storage images priority scheduling audit`)
	for i, r := range table.Risks {
		if want := fmt.Sprintf("R%d", i+1); r.Risk.ID != want {
			t.Errorf("risk %s, want %s", r.Risk.ID, want)
		}
		measure := strings.Contains(r.Risk.Control, " ")
		if !measure && !slices.Contains(controls, r.Risk.Control) {
			t.Errorf("%s: no control has the id %q", r.Risk.ID, r.Risk.Control)
		}
	}
}
