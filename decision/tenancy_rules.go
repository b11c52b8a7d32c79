package decision

import "slices"

// Pattern is a tenancy pattern: how far a workload is kept from other tenants.
type Pattern string

// The patterns, the weakest and cheapest first.
const (
	// PatternSoft is a namespace with its own access rules, quota and network policy
	// on shared nodes.
	PatternSoft Pattern = "Soft"
	// PatternSoftAffinity is Soft plus a node group that no other tenant uses. The
	// network and the control plane stay shared.
	PatternSoftAffinity Pattern = "SoftAffinity"
	// PatternHard is a cluster of its own.
	PatternHard Pattern = "Hard"
)

// Stricter reports whether p isolates more than other does. Anything that is not
// a pattern ranks below Soft.
func (p Pattern) Stricter(other Pattern) bool { return p.rank() > other.rank() }

func (p Pattern) rank() int {
	switch p {
	case PatternSoft:
		return 1
	case PatternSoftAffinity:
		return 2
	case PatternHard:
		return 3
	}
	return 0
}

// condition is "this fact has this value".
type condition struct {
	fact  factID
	value string
}

// Rule is one rule of the tenancy decision.
type Rule struct {
	// ID is stable across releases. T rules set the pattern; the S rule only asks
	// for a sandbox.
	ID string
	// Text is the condition in words.
	Text string
	// Pattern is the weakest pattern that the rule accepts when it fires.
	Pattern Pattern
	// Sandbox is true where the rule also asks for a sandboxed runtime. Under Hard it
	// falls away: no other tenant is left on the kernel, and a sandbox would
	// contradict the host access that may have led there.
	Sandbox bool
	// Because is the argument behind the rule.
	Because string

	// when lists the conditions, all of which must hold. None means "otherwise".
	when []condition
}

// ruleTable is ordered by pattern, strictest first, then by id, so that the first
// rule that holds sets the pattern and the rules that hold are already in the
// order of the reasons. It contains a rule without conditions, which always holds.
type ruleTable []Rule

// strictest returns the rule that sets the pattern.
func (rules ruleTable) strictest(t *traits) *Rule {
	i := 0
	for !rules[i].holds(t) {
		i++
	}
	return &rules[i]
}

// tenancyRules is the whole decision. It is never written after its initialisation.
var tenancyRules = ruleTable{
	{"T1", "code Arbitrary", PatternHard, false,
		"an escape from the shared kernel reaches other tenants",
		[]condition{{factCode, "Arbitrary"}}},
	{"T2", "hostAccess Privileged", PatternHard, false,
		"the node is the boundary, and it is handed over",
		[]condition{{factHostAccess, "Privileged"}}},
	{"T3", "apiAccess ClusterWide", PatternHard, false,
		"the API server is one shared object; listing names already leaks customers",
		[]condition{{factAPIAccess, "ClusterWide"}}},
	{"T4", "clusterScoped true", PatternHard, false,
		"cluster-scoped objects have no tenant",
		[]condition{{factClusterScoped, "true"}}},
	{"T5", "declared Untrusted", PatternHard, false,
		"leadership's decision, not ours to soften",
		[]condition{{factDeclared, "Untrusted"}}},
	{"T6", "boundary Outside and code ThirdParty", PatternHard, false,
		"neither the people nor the code are under the policy",
		[]condition{{factBoundary, "Outside"}, {factCode, "ThirdParty"}}},
	{"T7", "boundary Outside and code Audited", PatternSoftAffinity, true,
		"mature SaaS: isolation in the application, depth in the platform",
		[]condition{{factBoundary, "Outside"}, {factCode, "Audited"}}},
	{"T8", "performance Guaranteed", PatternSoftAffinity, false,
		"neighbours on the same node are noisy",
		[]condition{{factPerformance, "Guaranteed"}}},
	{"T9", "upgrades Own", PatternSoftAffinity, false,
		"a node group per tenant is the unit of upgrade",
		[]condition{{factUpgrades, "Own"}}},
	{"T10", "dedicatedHosts true", PatternSoftAffinity, false,
		"contract or licence",
		[]condition{{factDedicatedHosts, "true"}}},
	{"T11", "otherwise", PatternSoft, false,
		"no declared fact asks for more",
		nil},
	{"S1", "code ThirdParty", PatternSoft, true,
		"code that nobody here has reviewed should not meet the node's kernel",
		[]condition{{factCode, "ThirdParty"}}},
}

// Rules returns the rules in the order in which reasons are listed: T1 to T11,
// which set the pattern, then S1, which only asks for a sandbox. The slice is the
// caller's to change.
func Rules() []Rule { return slices.Clone([]Rule(tenancyRules)) }

// When reports whether the rule fires for the input, and on which facts. It does
// not fire for an input that Tenancy refuses.
func (r *Rule) When(in TenancyInput) ([]Fact, bool) {
	t, err := normalise(&in)
	if err != nil {
		return nil, false
	}
	if len(r.when) == 0 {
		return nil, r.ID == tenancyRules.strictest(&t).ID
	}
	if !r.holds(&t) {
		return nil, false
	}
	return r.facts(), true
}

// facts spells the rule's conditions out. They are what fires the rule, because
// every rule is a conjunction of them.
func (r *Rule) facts() []Fact {
	if len(r.when) == 0 {
		return nil
	}
	facts := make([]Fact, len(r.when))
	for i, c := range r.when {
		facts[i] = Fact{tenancyFacts[c.fact].name, c.value}
	}
	return facts
}

func (r *Rule) holds(t *traits) bool {
	for _, c := range r.when {
		if t[c.fact] != c.value {
			return false
		}
	}
	return true
}
