package tenancy_test

import (
	"reflect"
	"strings"
	"testing"

	. "github.com/bulkhead-dev/bulkhead/decision/tenancy"
)

// Promise: whatever the values, Decide does not panic, and gives either a valid
// decision or an error with the zero decision, never both and never neither.
func FuzzDecide(f *testing.F) {
	f.Add("Inside", "", "Audited", "Production", "", "", "", "", "", "gvisor,kata", false, false)
	f.Add("Outside", "Untrusted", "ThirdParty", "NonProduction", "Privileged", "ClusterWide",
		"Guaranteed", "Own", "Ephemeral", "", true, true)
	f.Add("inside", "\x00", "Arbitrary ", "\xff", "%s", "\n", "=", "\"", "None", ",", false, true)
	f.Fuzz(func(t *testing.T, boundary, declared, code, environment, hostAccess, apiAccess,
		performance, upgrades, lifetime, runtimes string, dedicated, clusterScoped bool) {
		in := Input{
			TenantTraits{Boundary(boundary), Declared(declared), dedicated},
			WorkloadTraits{Code(code), Environment(environment), HostAccess(hostAccess), APIAccess(apiAccess),
				clusterScoped, Performance(performance), Upgrades(upgrades), Lifetime(lifetime)},
			PlatformFacts{},
		}
		if runtimes != "" {
			in.Platform.SandboxRuntimes = strings.Split(runtimes, ",")
		}
		d, err := Decide(in)
		if err != nil {
			if !reflect.DeepEqual(d, Decision{}) || len(faultyFacts(t, err)) == 0 {
				t.Fatalf("%+v with %v", d, err)
			}
			return
		}
		ids, pattern := wanted(in)
		if d.Outcome.Pattern != pattern || !reflect.DeepEqual(reasonIDs(d), ids) ||
			len(d.Risks) == 0 || len(d.InputHash) != 16 || (len(d.Relaxations) == 0) != (pattern == PatternSoft) {
			t.Fatalf("%+v: %+v", in, d)
		}
	})
}

// BenchmarkDecide10000 decides 10,000 tenants with 3 workloads each, relaxations
// included, in every iteration; the inputs walk through the whole trait space.
func BenchmarkDecide10000(b *testing.B) {
	const decisions = 10_000 * 3
	var space []Input
	eachPoint(func(p point) { space = append(space, p.input("gvisor")) })
	inputs := make([]Input, decisions)
	for i := range inputs {
		inputs[i] = space[i*1237%len(space)] // 1237 is coprime to 6912: all points come up
	}
	b.ReportAllocs()
	for b.Loop() {
		for i := range inputs {
			if _, err := Decide(inputs[i]); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(float64(b.N)*decisions/b.Elapsed().Seconds(), "decisions/s")
}
