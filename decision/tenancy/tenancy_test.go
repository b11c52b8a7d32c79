package tenancy_test

import (
	"errors"
	"reflect"
	"slices"
	"testing"

	"github.com/bulkhead-dev/bulkhead/decision"
	. "github.com/bulkhead-dev/bulkhead/decision/tenancy"
)

var runtimeCases = [][]string{nil, {"gvisor"}, {"kata", "gvisor"}}

func mustDecide(t testing.TB, in Input) Decision {
	t.Helper()
	d, err := Decide(in)
	if err != nil {
		t.Fatalf("%+v: %v", in, err)
	}
	return d
}

func reasonIDs(d Decision) []string {
	var ids []string
	for _, r := range d.Reasons {
		ids = append(ids, r.Rule)
	}
	return ids
}

func riskIDs(d Decision) []string {
	var ids []string
	for _, r := range d.Risks {
		ids = append(ids, r.ID)
	}
	return ids
}

// Promise: the decision is total and follows the table: at every point exactly the
// rules that should fire are the reasons, in order, and the strictest wins.
func TestEveryPointFollowsTheTable(t *testing.T) {
	count := 0
	eachPoint(func(p point) {
		count++
		in := p.input()
		d := mustDecide(t, in)
		ids, pattern := wanted(in)
		if !slices.Equal(reasonIDs(d), ids) || d.Outcome.Pattern != pattern {
			t.Fatalf("%+v: got %s by %v, want %s by %v", in, d.Outcome.Pattern, reasonIDs(d), pattern, ids)
		}
		if d.Reasons[0].AtLeast.Pattern != d.Outcome.Pattern {
			t.Fatalf("%+v: first reason demands %s, decision is %s", in, d.Reasons[0].AtLeast.Pattern, d.Outcome.Pattern)
		}
		for i, r := range d.Reasons[1:] {
			if r.AtLeast.Pattern.Stricter(d.Reasons[i].AtLeast.Pattern) {
				t.Fatalf("%+v: reasons are not strictest first: %v", in, d.Reasons)
			}
		}
	})
	if count != 6912 {
		t.Fatalf("visited %d points, want the whole space of 6912", count)
	}
}

// Promise: monotone. Making any single trait stricter never yields a weaker
// pattern, and moving between values of equal strictness changes no pattern. Below
// Hard the same holds for the sandbox: a stricter trait never loses it.
func TestMonotone(t *testing.T) {
	decided := map[point]Decision{}
	eachPoint(func(p point) { decided[p] = mustDecide(t, p.input("gvisor")) })
	eachPoint(func(p point) {
		before := decided[p]
		for dim, d := range dimensions {
			for v := range d.values {
				if d.strictness[v] < d.strictness[p[dim]] {
					continue
				}
				q := p
				q[dim] = v
				after := decided[q]
				same := d.strictness[v] == d.strictness[p[dim]]
				if before.Outcome.Pattern.Stricter(after.Outcome.Pattern) || same && before.Outcome.Pattern != after.Outcome.Pattern {
					t.Fatalf("%+v: %s to %q turns %s into %s", p.input(), d.fact, d.values[v], before.Outcome.Pattern, after.Outcome.Pattern)
				}
				if before.Outcome.Sandboxed && !after.Outcome.Sandboxed && after.Outcome.Pattern != PatternHard {
					t.Fatalf("%+v: %s to %q loses the sandbox", p.input(), d.fact, d.values[v])
				}
			}
		}
	})
}

// Promise: below Hard, outside tenants and third-party code are asked into a
// sandbox; a missing sandbox is risk R7, High, and never silence; the pattern does
// not depend on what the platform has.
func TestSandbox(t *testing.T) {
	eachPoint(func(p point) {
		for _, runtimes := range runtimeCases {
			in := p.input(runtimes...)
			d := mustDecide(t, in)
			_, pattern := wanted(in)
			asked := pattern != PatternHard &&
				(in.Workload.Code == CodeThirdParty || in.Tenant.Boundary == BoundaryOutside)
			class := ""
			if asked && len(runtimes) > 0 {
				class = runtimes[0]
			}
			if d.Outcome.Pattern != pattern || d.Outcome.Sandboxed != asked || d.Outcome.RuntimeClass != class {
				t.Fatalf("%+v: %s sandboxed=%v class=%q, want %s %v %q",
					in, d.Outcome.Pattern, d.Outcome.Sandboxed, d.Outcome.RuntimeClass, pattern, asked, class)
			}
			i := slices.IndexFunc(d.Risks, func(r decision.Risk) bool { return r.ID == "R7" })
			if missing := asked && class == ""; missing != (i >= 0) || i >= 0 && d.Risks[i].Severity != decision.SeverityHigh {
				t.Fatalf("%+v: sandbox missing %v, risks %+v", in, missing, d.Risks)
			}
		}
	})
}

// Promise: one short-lived cluster per run is decided for exactly the ephemeral
// workloads that need a cluster of their own.
func TestEphemeral(t *testing.T) {
	eachPoint(func(p point) {
		in := p.input()
		d := mustDecide(t, in)
		want := d.Outcome.Pattern == PatternHard && in.Workload.Lifetime == LifetimeEphemeral
		if d.Outcome.Ephemeral != want {
			t.Fatalf("%+v: ephemeral %v, want %v", in, d.Outcome.Ephemeral, want)
		}
	})
}

// Promise: each pattern names what it leaves open, and no choice is sold as perfect.
func TestRisks(t *testing.T) {
	trusted := Input{
		Tenant:   TenantTraits{Boundary: BoundaryInside},
		Workload: WorkloadTraits{Code: CodeAudited, Environment: EnvironmentProduction},
	}
	guaranteed, arbitrary, thirdParty, outside := trusted, trusted, trusted, trusted
	guaranteed.Workload.Performance = PerformanceGuaranteed
	arbitrary.Workload.Code = CodeArbitrary
	thirdParty.Workload.Code = CodeThirdParty
	outside.Tenant.Boundary = BoundaryOutside
	sandboxed := outside
	sandboxed.Platform.SandboxRuntimes = []string{"kata"}
	for _, c := range []struct {
		name string
		in   Input
		want []string
	}{
		{"Soft", trusted, []string{"R1", "R2", "R3", "R4", "R5", "R6"}},
		{"SoftAffinity", guaranteed, []string{"R2", "R3", "R4", "R5"}},
		{"Hard", arbitrary, []string{"R8"}},
		{"Soft, sandbox missing", thirdParty, []string{"R1", "R3", "R4", "R5", "R6", "R7"}},
		{"SoftAffinity, sandbox missing", outside, []string{"R3", "R4", "R5", "R7"}},
		{"SoftAffinity, sandboxed", sandboxed, []string{"R3", "R4", "R5"}},
	} {
		if got := riskIDs(mustDecide(t, c.in)); !slices.Equal(got, c.want) {
			t.Errorf("%s: risks %v, want %v", c.name, got, c.want)
		}
	}
}

// Promise: an error names every fact that is missing or unknown, with what may be
// declared, and no decision comes with it.
func TestErrorsNameEveryFact(t *testing.T) {
	for _, c := range []struct {
		name string
		in   Input
		want []string
	}{
		{"nothing declared", Input{},
			[]string{"tenant.boundary", "workload.code", "workload.environment"}},
		{"everything unknown", Input{
			TenantTraits{"x", "x", false},
			WorkloadTraits{"x", "x", "x", "x", false, "x", "x", "x"},
			PlatformFacts{[]string{"gvisor", ""}},
		}, []string{"tenant.boundary", "tenant.declared", "workload.code", "workload.environment",
			"workload.hostAccess", "workload.apiAccess", "workload.performance", "workload.upgrades",
			"workload.lifetime", "platform.sandboxRuntimes[1]"}},
		{"the spelling is exact", Input{
			Tenant:   TenantTraits{Boundary: "inside"},
			Workload: WorkloadTraits{Code: CodeAudited, Environment: EnvironmentProduction, HostAccess: "none"},
		}, []string{"tenant.boundary", "workload.hostAccess"}},
	} {
		d, err := Decide(c.in)
		if !reflect.DeepEqual(d, Decision{}) {
			t.Errorf("%s: a decision comes with the error: %+v", c.name, d)
		}
		if got := faultyFacts(t, err); !slices.Equal(got, c.want) {
			t.Errorf("%s: error names %v, want %v", c.name, got, c.want)
		}
	}
	err := &decision.FactError{Fact: "workload.code", Value: "Foo", Allowed: []string{"A", "B"}}
	if got, want := err.Error(), `fact workload.code has the unknown value "Foo": want one of A, B`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// faultyFacts takes the joined error apart, as a caller would.
func faultyFacts(t testing.TB, err error) []string {
	t.Helper()
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		t.Fatalf("not a joined error: %v", err)
	}
	var names []string
	for _, e := range joined.Unwrap() {
		var fault *decision.FactError
		if !errors.As(e, &fault) {
			t.Fatalf("not a *FactError: %v", e)
		}
		names = append(names, fault.Fact)
	}
	return names
}

// Promise: what enforcement can make true defaults to its harmless value, and
// spelling a default out changes nothing in the decision.
func TestDefaultsAreHarmless(t *testing.T) {
	short := Input{
		Tenant:   TenantTraits{Boundary: BoundaryInside},
		Workload: WorkloadTraits{Code: CodeAudited, Environment: EnvironmentProduction},
	}
	long := short
	long.Workload.HostAccess = HostAccessNone
	long.Workload.APIAccess = APIAccessNone
	long.Workload.Performance = PerformanceShared
	long.Workload.Upgrades = UpgradesPlatform
	long.Workload.Lifetime = LifetimePermanent
	a, b := mustDecide(t, short), mustDecide(t, long)
	if !reflect.DeepEqual(a, b) || a.Outcome.Pattern != PatternSoft {
		t.Fatalf("%+v and %+v", a, b)
	}
}

// Promise: the hash differs between any two different inputs of the whole space.
func TestHashTellsInputsApart(t *testing.T) {
	seen := map[string]bool{}
	cases := append(slices.Clone(runtimeCases), []string{"gvisor", "kata"}, []string{"kata gvisor"},
		[]string{`kata","gvisor`}, []string{"kata\"\nplatform.sandboxRuntime=\"gvisor"})
	count := 0
	eachPoint(func(p point) {
		for _, runtimes := range cases {
			hash := mustDecide(t, p.input(runtimes...)).InputHash
			if len(hash) != 16 {
				t.Fatalf("hash %q is not 16 digits long", hash)
			}
			seen[hash] = true
			count++
		}
	})
	if len(seen) != count {
		t.Fatalf("%d inputs share %d hashes", count, len(seen))
	}
}

// Promise: the hash is stable across runs, machines and releases. If this fails the
// encoding has changed: every recorded decision goes stale, and hashHeader must change.
func TestHashIsStable(t *testing.T) {
	in := Input{
		Tenant:   TenantTraits{Boundary: BoundaryOutside},
		Workload: WorkloadTraits{Code: CodeAudited, Environment: EnvironmentProduction},
		Platform: PlatformFacts{SandboxRuntimes: []string{"gvisor"}},
	}
	if got, want := mustDecide(t, in).InputHash, "a61885d9bd16bb21"; got != want {
		t.Errorf("hash %s, want %s", got, want)
	}
}

// Promise: a caller who changes what it was given changes no other decision. (Of decisions TestProperties holds it.)
func TestTheTableIsTheCallersOwn(t *testing.T) {
	table := Table()
	table.Rules[0].AtLeast.Pattern, table.Rules[0].When[0], table.Facts[0].Values[0] = PatternSoft, table.Rules[1].When[0], "spoilt"
	_, err := Decide(Input{})
	var fault *decision.FactError
	if !errors.As(err, &fault) {
		t.Fatal(err)
	}
	fault.Allowed[0] = "spoilt"
	in := Input{TenantTraits{Boundary: BoundaryInside}, WorkloadTraits{Code: CodeArbitrary, Environment: EnvironmentProduction}, PlatformFacts{}}
	if d := mustDecide(t, in); d.Outcome.Pattern != PatternHard {
		t.Errorf("%+v", d)
	}
}

func TestStricter(t *testing.T) {
	order := []Pattern{"", PatternSoft, PatternSoftAffinity, PatternHard}
	for i, a := range order {
		for j, b := range order {
			if a.Stricter(b) != (i > j) {
				t.Errorf("%q stricter than %q: %v", a, b, a.Stricter(b))
			}
		}
	}
}
