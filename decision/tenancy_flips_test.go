package decision_test

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	. "github.com/bulkhead-dev/bulkhead/decision"
)

// Promise: at every point of the space the flips are true, minimal and complete:
// they are exactly what a search over all combinations of all values of all facts
// that a firing rule reads finds, and none is listed for Soft.
func TestFlipsEqualBruteForce(t *testing.T) {
	most := 0
	eachPoint(func(p point) {
		d := mustDecide(t, p.input())
		var got []string
		for _, f := range d.Flips {
			got = append(got, fmt.Sprint(f.Changes, f.Pattern))
		}
		want := bruteForceFlips(p, d)
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Fatalf("%+v (%s):\n got %v\nwant %v", p.input(), d.Pattern, got, want)
		}
		most = max(most, len(got))
	})
	if most != 4 {
		t.Errorf("the worst input has %d flips; the comment at ruleTable.flips says 4", most)
	}
}

// bruteForceFlips knows nothing of rules: it tries every combination.
func bruteForceFlips(from point, d TenancyDecision) []string {
	read := map[string]bool{}
	for _, r := range d.Reasons {
		for _, f := range r.Facts {
			read[f.Name] = true
		}
	}
	tries := []point{from}
	for dim := range dimensions {
		if !read[dimensions[dim].fact] {
			continue
		}
		for _, p := range slices.Clone(tries) {
			for v := range dimensions[dim].values {
				if v != from[dim] && dimensions[dim].values[v] != "" { // nothing is ever un-declared
					q := p
					q[dim] = v
					tries = append(tries, q)
				}
			}
		}
	}
	var flips []point
	for _, p := range tries {
		if _, pattern := wanted(p.input()); d.Pattern.Stricter(pattern) {
			flips = append(flips, p)
		}
	}
	var minimal []string
	for _, p := range flips {
		if !slices.ContainsFunc(flips, func(q point) bool { return q != p && partOf(q, p, from) }) {
			_, pattern := wanted(p.input())
			minimal = append(minimal, fmt.Sprint(changesOf(p, from), pattern))
		}
	}
	return minimal
}

// partOf reports whether all changes of a are changes of b.
func partOf(a, b, from point) bool {
	for dim := range a {
		if a[dim] != from[dim] && a[dim] != b[dim] {
			return false
		}
	}
	return true
}

func changesOf(p, from point) []Change {
	var changes []Change
	for dim := range p {
		if p[dim] != from[dim] {
			changes = append(changes, Change{Fact: dimensions[dim].fact, From: from.value(dim), To: p.value(dim)})
		}
	}
	return changes
}

// Promise: making the changes of a flip and deciding again gives the pattern that
// the flip announces.
func TestFlipsComeTrue(t *testing.T) {
	eachPoint(func(p point) {
		in := p.input()
		for _, flip := range mustDecide(t, in).Flips {
			changed := in
			for _, c := range flip.Changes {
				dim := slices.IndexFunc(dimensions, func(d dimension) bool { return d.fact == c.Fact })
				if p.value(dim) != c.From || c.From == c.To {
					t.Fatalf("%+v: %+v does not start from what is declared", in, c)
				}
				dimensions[dim].set(&changed, c.To)
			}
			if got := mustDecide(t, changed).Pattern; got != flip.Pattern {
				t.Fatalf("%+v: %+v gives %s", in, flip, got)
			}
		}
	})
}

// Promise: flips come in a stable order, the smallest first, and the smallest step
// first among equals.
func TestFlipsOrder(t *testing.T) {
	in := TenancyInput{
		Tenant: TenantTraits{Boundary: BoundaryOutside, Declared: DeclaredUntrusted},
		Workload: WorkloadTraits{Code: CodeThirdParty, Environment: EnvironmentProduction,
			APIAccess: APIAccessClusterWide},
	}
	var got []string
	for _, f := range mustDecide(t, in).Flips {
		var changes []string
		for _, c := range f.Changes {
			changes = append(changes, c.Fact+"="+c.To)
		}
		got = append(got, strings.Join(changes, " ")+" -> "+string(f.Pattern))
	}
	want := []string{
		"tenant.boundary=Inside tenant.declared=Trusted workload.apiAccess=OwnNamespaces -> Soft",
		"tenant.boundary=Inside tenant.declared=Trusted workload.apiAccess=None -> Soft",
		"tenant.declared=Trusted workload.code=Audited workload.apiAccess=OwnNamespaces -> SoftAffinity",
		"tenant.declared=Trusted workload.code=Audited workload.apiAccess=None -> SoftAffinity",
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	eachPoint(func(p point) {
		size := 0
		for _, f := range mustDecide(t, p.input()).Flips {
			if len(f.Changes) < size {
				t.Fatalf("%+v: flips are not smallest first", p.input())
			}
			size = len(f.Changes)
		}
	})
}
