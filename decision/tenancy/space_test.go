package tenancy_test

import (
	"strconv"

	. "github.com/bulkhead-dev/bulkhead/decision/tenancy"
)

// dimension is one trait as the tests see it: written down a second time, by
// hand, so that a slip in the package's own tables does not go unnoticed.
type dimension struct {
	fact string
	// values are listed with their strictness; equal strictness means that neither
	// may matter more than the other to the pattern.
	values     []string
	strictness []int
	set        func(*Input, string)
}

func isTrue(s string) bool { b, _ := strconv.ParseBool(s); return b }

var dimensions = []dimension{
	{"tenant.boundary", []string{"Inside", "Outside"}, []int{0, 1},
		func(in *Input, v string) { in.Tenant.Boundary = Boundary(v) }},
	{"tenant.declared", []string{"", "Trusted", "Untrusted"}, []int{0, 0, 1},
		func(in *Input, v string) { in.Tenant.Declared = Declared(v) }},
	{"tenant.dedicatedHosts", []string{"false", "true"}, []int{0, 1},
		func(in *Input, v string) { in.Tenant.DedicatedHosts = isTrue(v) }},
	{"workload.code", []string{"Audited", "ThirdParty", "Arbitrary"}, []int{0, 1, 2},
		func(in *Input, v string) { in.Workload.Code = Code(v) }},
	{"workload.environment", []string{"Production", "NonProduction"}, []int{0, 0},
		func(in *Input, v string) { in.Workload.Environment = Environment(v) }},
	{"workload.hostAccess", []string{"None", "Privileged"}, []int{0, 1},
		func(in *Input, v string) { in.Workload.HostAccess = HostAccess(v) }},
	{"workload.apiAccess", []string{"None", "OwnNamespaces", "ClusterWide"}, []int{0, 1, 2},
		func(in *Input, v string) { in.Workload.APIAccess = APIAccess(v) }},
	{"workload.clusterScoped", []string{"false", "true"}, []int{0, 1},
		func(in *Input, v string) { in.Workload.ClusterScoped = isTrue(v) }},
	{"workload.performance", []string{"Shared", "Guaranteed"}, []int{0, 1},
		func(in *Input, v string) { in.Workload.Performance = Performance(v) }},
	{"workload.upgrades", []string{"Platform", "Own"}, []int{0, 1},
		func(in *Input, v string) { in.Workload.Upgrades = Upgrades(v) }},
	{"workload.lifetime", []string{"Permanent", "Ephemeral"}, []int{0, 0},
		func(in *Input, v string) { in.Workload.Lifetime = Lifetime(v) }},
}

// point is one point of the trait space: an index into each dimension's values.
type point [11]int

func (p point) value(dim int) string { return dimensions[dim].values[p[dim]] }

func (p point) input(runtimes ...string) Input {
	in := Input{Platform: PlatformFacts{SandboxRuntimes: runtimes}}
	for dim := range dimensions {
		dimensions[dim].set(&in, p.value(dim))
	}
	return in
}

// eachPoint visits the whole trait space, 6912 points, in a fixed order.
func eachPoint(visit func(point)) {
	var p point
	for {
		visit(p)
		dim := 0
		for dim < len(p) && p[dim] == len(dimensions[dim].values)-1 {
			p[dim] = 0
			dim++
		}
		if dim == len(p) {
			return
		}
		p[dim]++
	}
}

// wanted is the rule table once more, as plain conditions: the ids of the rules
// that must fire, and the pattern.
func wanted(in Input) (ids []string, pattern Pattern) {
	t, w := in.Tenant, in.Workload
	outside := t.Boundary == BoundaryOutside
	pattern = PatternSoft
	rule := func(id string, at Pattern, holds bool) {
		if !holds {
			return
		}
		ids = append(ids, id)
		if pattern == PatternSoft || at == PatternHard {
			pattern = at
		}
	}
	rule("T1", PatternHard, w.Code == CodeArbitrary)
	rule("T2", PatternHard, w.HostAccess == HostAccessPrivileged)
	rule("T3", PatternHard, w.APIAccess == APIAccessClusterWide)
	rule("T4", PatternHard, w.ClusterScoped)
	rule("T5", PatternHard, t.Declared == DeclaredUntrusted)
	rule("T6", PatternHard, outside && w.Code == CodeThirdParty)
	rule("T7", PatternSoftAffinity, outside && w.Code == CodeAudited)
	rule("T8", PatternSoftAffinity, w.Performance == PerformanceGuaranteed)
	rule("T9", PatternSoftAffinity, w.Upgrades == UpgradesOwn)
	rule("T10", PatternSoftAffinity, t.DedicatedHosts)
	rule("T11", PatternSoft, len(ids) == 0)
	rule("S1", PatternSoft, w.Code == CodeThirdParty)
	return ids, pattern
}
