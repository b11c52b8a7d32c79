package isolation

import (
	"fmt"
	"time"

	"github.com/bulkhead-dev/bulkhead/isolation/finding"
	"github.com/bulkhead-dev/bulkhead/snapshot"
)

// CodeNotRead is the code of whatever is Unknown because a kind was not read.
const CodeNotRead = "BH7001"

// Coverage: the proof itself. A kind that could not be listed is Unknown by name, for every check that needs it; a
// namespace that objects lie in and that was not listed is Unknown; a snapshot that is older than its freshness proves nothing
// about the present; a snapshot without tenants proves nothing about any, and one without a tenant's namespaces nothing about that one.
func coverageCheck() check {
	return check{Check: finding.Check{
		ID: "coverage", Title: "The proof is fresh and complete",
		Codes: []finding.Code{
			{ID: CodeNotRead, Title: "A kind of object could not be read", Severity: finding.High,
				Why:      "What was not read may hold anything. Every check that needs the kind is Unknown where it finds nothing exposed.",
				Fix:      "Let the reader list the kind in all namespaces; `bulkhead check --rights` lists the rights that this takes. Offline, give the files that hold it.",
				Mappings: []string{"K10"}},
			{ID: "BH7002", Title: "The proof is older than its freshness", Severity: finding.High,
				Why:      "A cluster changes: an old proof is no evidence for the present.",
				Fix:      "Find out why no newer proof was made: see `bulkhead check`, and the controller's log.",
				Mappings: []string{"K10"}},
			{ID: "BH7003", Title: "There are no tenants to prove anything about", Severity: finding.Low,
				Why: "Without tenants, there is nothing to isolate.",
				Fix: "Name the namespace label that holds the tenant's name (--tenant-label), or declare Tenants."},
			{ID: "BH7004", Title: "A namespace was not listed", Severity: finding.Medium,
				Why: "Objects lie in it, but its labels, and so its tenant and its guardrails, are not known.",
				Fix: "Let the reader list namespaces, or give the file that holds it."},
			{ID: "BH7005", Title: "A tenant has no namespace to prove anything about", Severity: finding.Medium,
				Why: "Where nothing of a tenant was read, nothing about it was judged.",
				Fix: "Offline, give the files of its Platform too, so that Bulkhead renders the tenant's namespaces, or those that hold them. Live, see `bulkhead describe TENANT`."},
		},
	},
		run: func(p *proof) ([]finding.Finding, string) {
			var findings []finding.Finding
			if age := p.Now.Sub(p.Time); p.Freshness > 0 && age > p.Freshness {
				findings = append(findings, finding.Finding{Code: "BH7002", Verdict: finding.Unknown, From: finding.EveryTenant, To: finding.EveryTenant,
					What: fmt.Sprintf("what was read is %s old; it counts for %s", age.Round(time.Second), p.Freshness)})
			}
			if len(p.Tenants) == 0 {
				findings = append(findings, finding.Finding{Code: "BH7003", Verdict: finding.Unknown, What: "there are no tenants in what was read"})
			}
			read := map[string]bool{}
			for _, ns := range p.Namespaces {
				read[p.Owner[ns.Name]] = read[p.Owner[ns.Name]] || !ns.Implied
				if ns.Implied {
					owner := p.Owner[ns.Name]
					findings = append(findings, finding.Finding{Code: "BH7004", Verdict: finding.Unknown, From: owner, To: owner,
						What:  fmt.Sprintf("Namespace %s was not listed, though objects lie in it: its labels are not known", ns.Name),
						Blame: []snapshot.Ref{{Kind: "Namespace", Name: ns.Name}}})
				}
			}
			for _, t := range p.Tenants {
				if !read[t.Name] {
					findings = append(findings, finding.Finding{Code: "BH7005", Verdict: finding.Unknown, From: t.Name, To: t.Name,
						What: fmt.Sprintf("no namespace of tenant %s was read", t.Name)})
				}
			}
			return findings, fmt.Sprintf("%d tenants, %d namespaces, %d pods at revision %s", len(p.Tenants), len(p.Namespaces), len(p.Pods), p.Revision)
		},
	}
}
