package decision

// riskRule says which decisions leave a risk open.
type riskRule struct {
	risk Risk
	// left is the condition in words, for the documentation.
	left string
	when func(*TenancyDecision) bool
}

// tenancyRisks is never written after its initialisation. An id is never reused
// for another meaning: operators record the risks that they accept by id.
var tenancyRisks = []riskRule{
	{Risk{"R1", SeverityMedium,
		"nodes are shared: whoever escapes from a container reaches the pods of other tenants on that node",
		"node-affinity"}, "Soft", isSoft},
	{Risk{"R2", SeverityMedium,
		"an escape from a container yields the kubelet's identity, which may list the services of all tenants",
		"runtime"}, "below Hard, no sandbox asked for",
		func(d *TenancyDecision) bool { return belowHard(d) && !d.Sandboxed }},
	{Risk{"R3", SeverityMedium,
		"one network carries all tenants: what separates them is policy that the network plugin must enforce",
		"network-default"}, "below Hard", belowHard},
	{Risk{"R4", SeverityMedium,
		"the cluster's DNS answers for the service names of all tenants",
		"dns-enumerate"}, "below Hard", belowHard},
	{Risk{"R5", SeverityMedium,
		"one API server and its store serve all tenants: a flood of requests from one slows all",
		"api-fairness"}, "below Hard", belowHard},
	{Risk{"R6", SeverityLow,
		"neighbours on a node compete for what limits do not divide: caches, disk and network bandwidth",
		"node-affinity"}, "Soft", isSoft},
	{Risk{"R7", SeverityHigh,
		"a sandboxed runtime is asked for and the platform has none: the workload runs on the node's kernel",
		"runtime"}, "sandbox asked for, none available",
		func(d *TenancyDecision) bool { return d.Sandboxed && d.RuntimeClass == "" }},
	{Risk{"R8", SeverityLow,
		"the management link remains: whoever holds its credential holds the cluster",
		"one short-lived management credential for each cluster"}, "Hard",
		func(d *TenancyDecision) bool { return d.Pattern == PatternHard }},
}

func isSoft(d *TenancyDecision) bool    { return d.Pattern == PatternSoft }
func belowHard(d *TenancyDecision) bool { return PatternHard.Stricter(d.Pattern) }

// risksOf lists what the choice leaves open. It reads the pattern and the sandbox only.
func risksOf(d *TenancyDecision) []Risk {
	risks := make([]Risk, 0, len(tenancyRisks))
	for _, r := range tenancyRisks {
		if r.when(d) {
			risks = append(risks, r.risk)
		}
	}
	return risks
}
