package decision_test

import (
	"errors"
	"reflect"
	"slices"
	"testing"

	. "github.com/bulkhead-dev/bulkhead/decision"
)

var runtimeCases = [][]string{nil, {"gvisor"}, {"kata", "gvisor"}}

func mustDecide(t testing.TB, in TenancyInput) TenancyDecision {
	t.Helper()
	d, err := Tenancy(in)
	if err != nil {
		t.Fatalf("%+v: %v", in, err)
	}
	return d
}

func reasonIDs(d TenancyDecision) []string {
	var ids []string
	for _, r := range d.Reasons {
		ids = append(ids, r.Rule)
	}
	return ids
}

func riskIDs(d TenancyDecision) []string {
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
		if !slices.Equal(reasonIDs(d), ids) || d.Pattern != pattern {
			t.Fatalf("%+v: got %s by %v, want %s by %v", in, d.Pattern, reasonIDs(d), pattern, ids)
		}
		if d.Reasons[0].Pattern != d.Pattern {
			t.Fatalf("%+v: first reason demands %s, decision is %s", in, d.Reasons[0].Pattern, d.Pattern)
		}
		for i, r := range d.Reasons[1:] {
			if r.Pattern.Stricter(d.Reasons[i].Pattern) {
				t.Fatalf("%+v: reasons are not strictest first: %v", in, d.Reasons)
			}
		}
	})
	if count != 6912 {
		t.Fatalf("visited %d points, want the whole space of 6912", count)
	}
}

// Promise: the facts of a reason are facts of the input, and Rule.When tells the
// same as the decision does.
func TestReasonsQuoteTheInput(t *testing.T) {
	rules := Rules()
	eachPoint(func(p point) {
		in := p.input()
		d := mustDecide(t, in)
		declared := map[Fact]bool{}
		for dim := range dimensions {
			declared[Fact{Name: dimensions[dim].fact, Value: p.value(dim)}] = true
		}
		next := 0
		for _, rule := range rules {
			facts, fires := rule.When(in)
			listed := next < len(d.Reasons) && d.Reasons[next].Rule == rule.ID
			if fires != listed {
				t.Fatalf("%+v: When of %s says %v, the decision %v", in, rule.ID, fires, listed)
			}
			if !listed {
				continue
			}
			want := Reason{Rule: rule.ID, Facts: facts, Pattern: rule.Pattern, Because: rule.Because}
			if !reflect.DeepEqual(d.Reasons[next], want) {
				t.Fatalf("%+v: reason %+v, want %+v", in, d.Reasons[next], want)
			}
			for _, f := range facts {
				if !declared[f] {
					t.Fatalf("%+v: %s quotes %v, which is not so", in, rule.ID, f)
				}
			}
			next++
		}
	})
}

// Promise: deterministic. The same input gives the same decision, to the last field.
func TestDeterministic(t *testing.T) {
	eachPoint(func(p point) {
		in := p.input("gvisor")
		a, b := mustDecide(t, in), mustDecide(t, p.input("gvisor"))
		if !reflect.DeepEqual(a, b) {
			t.Fatalf("%+v: %+v and then %+v", in, a, b)
		}
	})
}

// Promise: monotone. Making any single trait stricter never yields a weaker
// pattern, and moving between values of equal strictness changes no pattern. Below
// Hard the same holds for the sandbox: a stricter trait never loses it.
func TestMonotone(t *testing.T) {
	decided := map[point]TenancyDecision{}
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
				if before.Pattern.Stricter(after.Pattern) || same && before.Pattern != after.Pattern {
					t.Fatalf("%+v: %s to %q turns %s into %s", p.input(), d.fact, d.values[v], before.Pattern, after.Pattern)
				}
				if before.Sandboxed && !after.Sandboxed && after.Pattern != PatternHard {
					t.Fatalf("%+v: %s to %q loses the sandbox", p.input(), d.fact, d.values[v])
				}
			}
		}
	})
}

// Promise: every rule is reachable, both at all and as the only rule that demands
// the decided pattern. (S1 never sets the pattern: T11 or a stricter rule does.)
func TestEveryRuleIsReachable(t *testing.T) {
	seen, alone := map[string]bool{}, map[string]bool{}
	eachPoint(func(p point) {
		d := mustDecide(t, p.input())
		var tops []string
		for _, r := range d.Reasons {
			seen[r.Rule] = true
			if r.Pattern == d.Pattern && r.Rule != "S1" {
				tops = append(tops, r.Rule)
			}
		}
		if len(tops) == 1 {
			alone[tops[0]] = true
		}
	})
	for _, r := range Rules() {
		if !seen[r.ID] || r.ID != "S1" && !alone[r.ID] {
			t.Errorf("%s: fires somewhere %v, alone at the top somewhere %v", r.ID, seen[r.ID], alone[r.ID])
		}
	}
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
			if d.Pattern != pattern || d.Sandboxed != asked || d.RuntimeClass != class {
				t.Fatalf("%+v: %s sandboxed=%v class=%q, want %s %v %q",
					in, d.Pattern, d.Sandboxed, d.RuntimeClass, pattern, asked, class)
			}
			i := slices.IndexFunc(d.Risks, func(r Risk) bool { return r.ID == "R7" })
			if missing := asked && class == ""; missing != (i >= 0) || i >= 0 && d.Risks[i].Severity != SeverityHigh {
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
		want := d.Pattern == PatternHard && in.Workload.Lifetime == LifetimeEphemeral
		if d.Ephemeral != want {
			t.Fatalf("%+v: ephemeral %v, want %v", in, d.Ephemeral, want)
		}
	})
}

// Promise: each pattern names what it leaves open, and no choice is sold as perfect.
func TestRisks(t *testing.T) {
	trusted := TenancyInput{
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
		in   TenancyInput
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
		in   TenancyInput
		want []string
	}{
		{"nothing declared", TenancyInput{},
			[]string{"tenant.boundary", "workload.code", "workload.environment"}},
		{"everything unknown", TenancyInput{
			TenantTraits{"x", "x", false},
			WorkloadTraits{"x", "x", "x", "x", false, "x", "x", "x"},
			PlatformFacts{[]string{"gvisor", ""}},
		}, []string{"tenant.boundary", "tenant.declared", "workload.code", "workload.environment",
			"workload.hostAccess", "workload.apiAccess", "workload.performance", "workload.upgrades",
			"workload.lifetime", "platform.sandboxRuntimes[1]"}},
		{"the spelling is exact", TenancyInput{
			Tenant:   TenantTraits{Boundary: "inside"},
			Workload: WorkloadTraits{Code: CodeAudited, Environment: EnvironmentProduction, HostAccess: "none"},
		}, []string{"tenant.boundary", "workload.hostAccess"}},
	} {
		d, err := Tenancy(c.in)
		if !reflect.DeepEqual(d, TenancyDecision{}) {
			t.Errorf("%s: a decision comes with the error: %+v", c.name, d)
		}
		if got := faultyFacts(t, err); !slices.Equal(got, c.want) {
			t.Errorf("%s: error names %v, want %v", c.name, got, c.want)
		}
		for _, r := range Rules() {
			if _, fires := r.When(c.in); fires {
				t.Errorf("%s: %s fires for a refused input", c.name, r.ID)
			}
		}
	}
	err := &FactError{Fact: "workload.code", Value: "Foo", Allowed: []string{"A", "B"}}
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
		var fault *FactError
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
	short := TenancyInput{
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
	if !reflect.DeepEqual(a, b) || a.Pattern != PatternSoft {
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
	in := TenancyInput{
		Tenant:   TenantTraits{Boundary: BoundaryOutside},
		Workload: WorkloadTraits{Code: CodeAudited, Environment: EnvironmentProduction},
		Platform: PlatformFacts{SandboxRuntimes: []string{"gvisor"}},
	}
	if got, want := mustDecide(t, in).InputHash, "a61885d9bd16bb21"; got != want {
		t.Errorf("hash %s, want %s", got, want)
	}
}

// Promise: a caller who changes what it was given changes nobody else's decision.
func TestResultsAreTheCallersOwn(t *testing.T) {
	in := TenancyInput{
		Tenant:   TenantTraits{Boundary: BoundaryOutside},
		Workload: WorkloadTraits{Code: CodeThirdParty, Environment: EnvironmentProduction},
	}
	before := mustDecide(t, in)
	spoilt := mustDecide(t, in)
	spoilt.Reasons[0].Facts[0] = Fact{}
	spoilt.Risks[0] = Risk{}
	spoilt.Flips[0].Changes[0] = Change{}
	Rules()[0] = Rule{}
	_, err := Tenancy(TenancyInput{})
	var fault *FactError
	if !errors.As(err, &fault) {
		t.Fatal(err)
	}
	fault.Allowed[0] = "spoilt"
	if after := mustDecide(t, in); !reflect.DeepEqual(before, after) {
		t.Fatalf("%+v, then %+v", before, after)
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
