package isolation

import (
	"slices"

	"github.com/bulkhead-dev/bulkhead/isolation/capacity"
	"github.com/bulkhead-dev/bulkhead/isolation/finding"
	"github.com/bulkhead-dev/bulkhead/isolation/guardrails"
	"github.com/bulkhead-dev/bulkhead/isolation/network"
	"github.com/bulkhead-dev/bulkhead/isolation/pods"
	"github.com/bulkhead-dev/bulkhead/isolation/rbac"
)

// check is a Check with what runs it.
type check struct {
	finding.Check
	// run returns the findings, and in words what it considered. The verdict follows from the findings.
	run func(*proof) (findings []finding.Finding, considered string)
}

// checks lists every check, in the order of a report.
func checks() []check {
	return []check{
		{rbac.Check(), func(p *proof) ([]finding.Finding, string) { return rbac.Find(p.Input, p.rights()) }},
		{pods.Check(), func(p *proof) ([]finding.Finding, string) { return p.pods().FindEscapes() }},
		{pods.NodesCheck(), func(p *proof) ([]finding.Finding, string) { return p.pods().FindNodes() }},
		{network.Check(), (*proof).network},
		{guardrails.Check(), func(p *proof) ([]finding.Finding, string) { return guardrails.Find(p.judged(), p.rights()) }},
		{capacity.Check(), func(p *proof) ([]finding.Finding, string) { return capacity.Find(p.Input, p.rights()) }},
		sharedCheck(),
		coverageCheck(),
	}
}

// Checks lists every check, in the order of a report.
func Checks() []finding.Check {
	list := checks()
	all := make([]finding.Check, len(list))
	for i := range list {
		all[i] = list[i].Check
	}
	return all
}

// CodeByID finds a code with its check; false when there is none.
func CodeByID(id string) (finding.Code, finding.Check, bool) {
	for _, check := range Checks() {
		if i := slices.IndexFunc(check.Codes, func(c finding.Code) bool { return c.ID == id }); i >= 0 {
			return check.Codes[i], check, true
		}
	}
	return finding.Code{}, finding.Check{}, false
}
