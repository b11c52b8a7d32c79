package tenancy

import "github.com/bulkhead-dev/bulkhead/decision"

// Positions of the declared facts in the table.
const (
	factBoundary = iota
	factDeclared
	factDedicatedHosts
	factCode
	factEnvironment
	factHostAccess
	factAPIAccess
	factClusterScoped
	factPerformance
	factUpgrades
	factLifetime
)

// listRuntimes is the position of the sandboxed RuntimeClasses among the lists.
const listRuntimes = 0

// Booleans as facts spell them.
const isFalse, isTrue = "false", "true"

// table is never written after its initialisation.
var table = Table()

// Table returns the whole decision as data: its facts, rules and risks. It is the caller's to change.
//
// The T rules set the pattern; the S rule only demands a sandboxed runtime, as T7 does. Under Hard none is
// demanded: no other tenant shares the kernel, and a sandbox would contradict the host access that may have led there.
func Table() decision.Table[Outcome] {
	return decision.Table[Outcome]{
		Header: "bulkhead/decision/tenancy/v1",
		Lists:  []decision.List{listRuntimes: {Name: "platform.sandboxRuntimes", Item: "platform.sandboxRuntime"}},
		Facts:  facts(), Rules: rules(), Risks: risks(),
		Rank: func(o Outcome) int { return o.Pattern.rank() }, Join: join, Settle: settle,
	}
}

func facts() []decision.Scale {
	return []decision.Scale{
		factBoundary:       {Name: "tenant.boundary", Values: values(BoundaryInside, BoundaryOutside), Required: true},
		factDeclared:       {Name: "tenant.declared", Values: values("", DeclaredTrusted, DeclaredUntrusted)},
		factDedicatedHosts: {Name: "tenant.dedicatedHosts", Values: values(isFalse, isTrue)},
		factCode:           {Name: "workload.code", Values: values(CodeAudited, CodeThirdParty, CodeArbitrary), Required: true},
		factEnvironment:    {Name: "workload.environment", Values: values(EnvironmentNonProduction, EnvironmentProduction), Required: true},
		factHostAccess:     {Name: "workload.hostAccess", Values: values(HostAccessNone, HostAccessPrivileged)},
		factAPIAccess:      {Name: "workload.apiAccess", Values: values(APIAccessNone, APIAccessOwnNamespaces, APIAccessClusterWide)},
		factClusterScoped:  {Name: "workload.clusterScoped", Values: values(isFalse, isTrue)},
		factPerformance:    {Name: "workload.performance", Values: values(PerformanceShared, PerformanceGuaranteed)},
		factUpgrades:       {Name: "workload.upgrades", Values: values(UpgradesPlatform, UpgradesOwn)},
		factLifetime:       {Name: "workload.lifetime", Values: values(LifetimePermanent, LifetimeEphemeral)},
	}
}

func values[V ~string](weakestFirst ...V) []string {
	list := make([]string, len(weakestFirst))
	for i, v := range weakestFirst {
		list[i] = string(v)
	}
	return list
}

func rules() []decision.Rule[Outcome] {
	soft, affinity, hard := Outcome{Pattern: PatternSoft}, Outcome{Pattern: PatternSoftAffinity}, Outcome{Pattern: PatternHard}
	sandboxed := func(o Outcome) Outcome { o.Sandboxed = true; return o }
	when := func(all ...decision.Condition) []decision.Condition { return all }
	return []decision.Rule[Outcome]{
		{ID: "T1", When: when(decision.Is(factCode, CodeArbitrary)), AtLeast: hard,
			Because: "an escape from the shared kernel reaches other tenants"},
		{ID: "T2", When: when(decision.Is(factHostAccess, HostAccessPrivileged)), AtLeast: hard,
			Because: "the node is the boundary, and it is handed over"},
		{ID: "T3", When: when(decision.Is(factAPIAccess, APIAccessClusterWide)), AtLeast: hard,
			Because: "the API server is one shared object; listing names already leaks customers"},
		{ID: "T4", When: when(decision.Is(factClusterScoped, isTrue)), AtLeast: hard,
			Because: "cluster-scoped objects have no tenant"},
		{ID: "T5", When: when(decision.Is(factDeclared, DeclaredUntrusted)), AtLeast: hard,
			Because: "leadership's decision, not ours to soften"},
		{ID: "T6", When: when(decision.Is(factBoundary, BoundaryOutside), decision.Is(factCode, CodeThirdParty)), AtLeast: hard,
			Because: "neither the people nor the code are under the policy"},
		{ID: "T7", When: when(decision.Is(factBoundary, BoundaryOutside), decision.Is(factCode, CodeAudited)), AtLeast: sandboxed(affinity),
			Because: "mature SaaS: isolation in the application, depth in the platform"},
		{ID: "T8", When: when(decision.Is(factPerformance, PerformanceGuaranteed)), AtLeast: affinity,
			Because: "neighbours on the same node are noisy"},
		{ID: "T9", When: when(decision.Is(factUpgrades, UpgradesOwn)), AtLeast: affinity,
			Because: "a node group per tenant is the unit of upgrade"},
		{ID: "T10", When: when(decision.Is(factDedicatedHosts, isTrue)), AtLeast: affinity,
			Because: "contract or licence"},
		{ID: "T11", AtLeast: soft,
			Because: "no declared fact asks for more"},
		{ID: "S1", When: when(decision.Is(factCode, CodeThirdParty)), AtLeast: sandboxed(soft),
			Because: "code that the organisation has not reviewed should not run on the node's kernel"},
	}
}

// risks are in the order of their ids. An id is never reused for another meaning: operators record the risks that they
// accept by id.
func risks() []decision.RiskRule[Outcome] {
	isSoft := func(o Outcome) bool { return o.Pattern == PatternSoft }
	belowHard := func(o Outcome) bool { return PatternHard.Stricter(o.Pattern) }
	return []decision.RiskRule[Outcome]{
		{Risk: decision.Risk{ID: "R1", Severity: decision.SeverityMedium,
			Text:    "nodes are shared: an attacker that escapes from a container reaches the pods of other tenants on that node",
			Control: "node-affinity"}, Left: "Soft", When: isSoft},
		{Risk: decision.Risk{ID: "R2", Severity: decision.SeverityMedium,
			Text:    "an escape from a container yields the kubelet's identity, which may list the services of all tenants",
			Control: "runtime"}, Left: "below Hard, no sandbox asked for", When: func(o Outcome) bool { return belowHard(o) && !o.Sandboxed }},
		{Risk: decision.Risk{ID: "R3", Severity: decision.SeverityMedium,
			Text:    "one network carries all tenants: what separates them is policy that the network plugin must enforce",
			Control: "network-default"}, Left: "below Hard", When: belowHard},
		{Risk: decision.Risk{ID: "R4", Severity: decision.SeverityMedium,
			Text:    "the cluster's DNS answers for the service names of all tenants",
			Control: "dns-enumerate"}, Left: "below Hard", When: belowHard},
		{Risk: decision.Risk{ID: "R5", Severity: decision.SeverityMedium,
			Text:    "one API server and its store serve all tenants: a flood of requests from one slows all",
			Control: "api-fairness"}, Left: "below Hard", When: belowHard},
		{Risk: decision.Risk{ID: "R6", Severity: decision.SeverityLow,
			Text:    "neighbours on a node compete for what limits do not divide: caches, disk and network bandwidth",
			Control: "node-affinity"}, Left: "Soft", When: isSoft},
		{Risk: decision.Risk{ID: "R7", Severity: decision.SeverityHigh,
			Text:    "a sandboxed runtime is asked for and the platform has none: the workload runs on the node's kernel",
			Control: "runtime"}, Left: "sandbox asked for, none available", When: func(o Outcome) bool { return o.Sandboxed && o.RuntimeClass == "" }},
		{Risk: decision.Risk{ID: "R8", Severity: decision.SeverityLow,
			Text:    "the management link remains: its credentials control the cluster",
			Control: "one short-lived management credential for each cluster"}, Left: "Hard", When: func(o Outcome) bool { return o.Pattern == PatternHard }},
	}
}

// join is the stricter pattern, in a sandbox if either asks for one.
func join(a, b Outcome) Outcome {
	if b.Pattern.Stricter(a.Pattern) {
		a.Pattern = b.Pattern
	}
	a.Sandboxed = a.Sandboxed || b.Sandboxed
	return a
}

// settle drops the sandbox under Hard, names its RuntimeClass elsewhere, and applies the lifetime.
func settle(o Outcome, in decision.Input) Outcome {
	hard := o.Pattern == PatternHard
	o.Sandboxed = o.Sandboxed && !hard
	o.Ephemeral = hard && in.Facts[factLifetime] == string(LifetimeEphemeral)
	if runtimes := in.Lists[listRuntimes]; o.Sandboxed && len(runtimes) > 0 {
		o.RuntimeClass = runtimes[0]
	}
	return o
}
