package cli

import (
	"fmt"
	"strings"

	"github.com/bulkhead-dev/bulkhead/isolation"
)

// findingTopic explains a code of the prover.
func findingTopic(check *isolation.Check, code *isolation.Code) topic {
	t := topic{Code: code.ID, Kind: topicFinding, Title: code.Title}
	t.add("Severity", string(code.Severity)+", unless the finding says otherwise")
	t.add("Why", code.Why)
	t.add("To do", code.Fix)
	t.add("Check", check.ID+": "+check.Title)
	t.add("Controls", strings.Join(code.Controls, ", "))
	t.add("Catalogues", strings.Join(code.Mappings, ", "))
	return t
}

// findingsPage is docs/findings.md.
func findingsPage() string {
	var b strings.Builder
	b.WriteString("# Findings\n\n<!-- Generated from isolation by `make generate`. Do not edit. -->\n\n" +
		"What `bulkhead prove` may find, by check. Codes are stable. A finding is exposed, with a witness, or unknown, with what is\n" +
		"missing; a check without findings is isolated, as far as what it says that it considered. K numbers are those of the OWASP\n" +
		"Kubernetes Top 10 (2025), MTB those of the Multi-Tenancy Benchmark.\n")
	for _, check := range isolation.Checks() {
		fmt.Fprintf(&b, "\n## %s: %s\n\n", check.ID, check.Title)
		if len(check.Needs) > 0 {
			fmt.Fprintf(&b, "Needs every %s; without one of them it is unknown.\n", strings.Join(check.Needs, ", "))
		}
		for _, code := range check.Codes {
			fmt.Fprintf(&b, "\n### %s\n\n**%s.** %s\n\n**To do.** %s\n\n%s", code.ID, code.Title, code.Why, code.Fix, code.Severity)
			for _, more := range []string{strings.Join(code.Controls, ", "), strings.Join(code.Mappings, ", ")} {
				if more != "" {
					b.WriteString("; " + more)
				}
			}
			b.WriteString(".\n")
		}
	}
	return b.String()
}
