package docgen_test

import (
	"strings"
	"testing"

	"github.com/bulkhead-dev/bulkhead/api/crds"
	"github.com/bulkhead-dev/bulkhead/internal/docgen"
)

// Promise: every field that a user may write is on the page, and every rule with its message.
func TestEveryFieldAndRuleIsDocumented(t *testing.T) {
	definitions, err := crds.All()
	if err != nil {
		t.Fatal(err)
	}
	page := docgen.API(definitions)
	for _, want := range []string{
		"| `spec.workloads[].code` | text | **required** | one of `Audited`, `ThirdParty`, `Arbitrary` |",
		"| `spec.network.dns.namespace` | text | `\"kube-system\"` |",
		"| `spec.to[].ports[].endPort` | integer |  | 1 to 65535 |",
		"no two items with the same from and to",
		"a Waiver cannot be changed: delete it, or write another one",
		"| `status.ledger[].held` | map to quantities |",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page has no %q", want)
		}
	}
	for _, d := range definitions {
		for _, rule := range d.Spec.Versions[0].Schema.OpenAPIV3Schema.XValidations {
			if rule.Message == "" || !strings.Contains(page, strings.ReplaceAll(rule.Message, "*", `\*`)) {
				t.Errorf("%s: the rule %q has no message, or the page lacks it", d.Name, rule.Rule)
			}
		}
	}
}
