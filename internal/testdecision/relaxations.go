package testdecision

import (
	"fmt"
	"slices"
	"testing"

	"github.com/bulkhead-dev/bulkhead/decision"
)

// checkRelaxations: they are true, minimal and complete: exactly what a search over all combinations of all values of all
// facts that a firing rule reads finds, with the outcome that a decision on the changed facts has. They are smallest first,
// and among equals the smallest step first.
func (s *space[O]) checkRelaxations(t *testing.T) {
	t.Helper()
	s.visit(func(facts []string) {
		relaxations := s.decided[s.at(facts)].Relaxations
		got := make([]string, len(relaxations))
		for i := range relaxations {
			r := &relaxations[i]
			if i > 0 && len(r.Changes) < len(relaxations[i-1].Changes) {
				t.Fatalf("%s: not smallest first: %+v", s.factsOf(facts), relaxations)
			}
			got[i] = s.relaxationOf(r.Changes, r.Outcome)
		}
		want := s.everyRelaxation(facts)
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Fatalf("%s:\n got %v\nwant %v", s.factsOf(facts), got, want)
		}
	})
}

func (s *space[O]) relaxationOf(changes []decision.Change, outcome O) string {
	return fmt.Sprintf("%v gives %+v of rank %d", changes, outcome, s.rank(outcome))
}

// everyRelaxation tries every combination; it goes by no rule but to find which facts are read.
func (s *space[O]) everyRelaxation(from []string) []string {
	fired, rank := s.fires(from)
	read := make([]bool, len(from))
	for _, r := range fired {
		for _, c := range r.When {
			read[c.Fact] = true
		}
	}
	tries := [][]string{from}
	for i := range from {
		for _, to := range s.table.Facts[i].Values {
			if !read[i] || to == from[i] || to == "" { // nothing is ever un-declared
				continue
			}
			for _, p := range tries {
				if p[i] == from[i] {
					q := slices.Clone(p)
					q[i] = to
					tries = append(tries, q)
				}
			}
		}
	}
	relaxing := slices.DeleteFunc(tries, func(p []string) bool { return s.rank(s.decided[s.at(p)].Outcome) >= rank })
	var minimal []string
	for i, p := range relaxing {
		isPart := func(q []string) bool { return partOf(q, p, from) && !slices.Equal(q, p) }
		if !slices.ContainsFunc(relaxing, isPart) {
			minimal = append(minimal, s.relaxationOf(s.changes(p, from), s.decided[s.at(relaxing[i])].Outcome))
		}
	}
	return minimal
}

// partOf reports whether all changes of a are changes of b.
func partOf(a, b, from []string) bool {
	for i := range a {
		if a[i] != from[i] && a[i] != b[i] {
			return false
		}
	}
	return true
}

func (s *space[O]) changes(to, from []string) []decision.Change {
	var changes []decision.Change
	for i := range to {
		if to[i] != from[i] {
			changes = append(changes, decision.Change{Fact: s.table.Facts[i].Name, From: from[i], To: to[i]})
		}
	}
	return changes
}
