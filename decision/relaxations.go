package decision

import (
	"cmp"
	"slices"
)

// relaxations lists all minimal sets of changes that give an outcome of a lower rank.
//
// Every rule that demands the present rank must be defeated, and a rule is
// defeated by moving one fact of its conditions to another value. Only weaker
// values are tried: the rules are monotone (a test holds it), so a change to a
// stricter value never helps and no minimal set has one. Facts that no rule which
// now fires reads are left alone. The search therefore visits only combinations
// that defeat rules: for the tenancy table about a dozen at worst, of which four
// are relaxations. No bound on the list is needed.
func (t *Table[O]) relaxations(in Input) []Relaxation[O] {
	s := search[O]{table: t, from: in.Facts, rank: t.Rank(t.strictest(in.Facts).AtLeast)}
	if s.rank == t.Rank(t.Rules[len(t.Rules)-1].AtLeast) {
		return nil // the rules are strictest first: none is weaker
	}
	s.movable = make([]bool, len(in.Facts))
	for i := range t.Rules {
		if t.Rules[i].holds(in.Facts) {
			for _, c := range t.Rules[i].When {
				s.movable[c.Fact] = true
			}
		}
	}
	s.defeat(slices.Clone(in.Facts))
	slices.SortFunc(s.found, s.compare)
	relaxations := make([]Relaxation[O], len(s.found))
	for i, facts := range s.found {
		relaxations[i] = Relaxation[O]{s.changes(facts), t.outcome(Input{facts, in.Lists})}
	}
	return relaxations
}

// search collects the facts that result from relaxations.
type search[O any] struct {
	table   *Table[O]
	from    []string
	rank    int
	movable []bool
	found   [][]string
}

// lower reports whether the facts give a lower rank than the present ones.
func (s *search[O]) lower(facts []string) bool {
	return s.table.Rank(s.table.strictest(facts).AtLeast) < s.rank
}

// defeat moves facts of the strictest rule, until no rule demands the present
// rank. It leaves the facts as they were.
func (s *search[O]) defeat(facts []string) {
	if s.lower(facts) {
		known := func(found []string) bool { return slices.Equal(found, facts) }
		if s.minimal(facts) && !slices.ContainsFunc(s.found, known) {
			s.found = append(s.found, slices.Clone(facts))
		}
		return
	}
	for _, c := range s.table.strictest(facts).When {
		if !s.movable[c.Fact] {
			continue
		}
		for _, weaker := range s.table.Facts[c.Fact].Values {
			if weaker == c.Value {
				break
			}
			if weaker != "" {
				facts[c.Fact] = weaker
				s.defeat(facts)
			}
		}
		facts[c.Fact] = c.Value // as it was: the rule holds
	}
}

// minimal reports whether every change is needed. To undo them one by one is
// enough: all changes weaken, so if a smaller set sufficed, the set with one
// change undone that contains it would suffice as well.
func (s *search[O]) minimal(facts []string) bool {
	for i, to := range facts {
		if to == s.from[i] {
			continue
		}
		facts[i] = s.from[i]
		suffices := s.lower(facts)
		facts[i] = to
		if suffices {
			return false
		}
	}
	return true
}

// changes spells out the difference from the present facts, in the order of the table.
func (s *search[O]) changes(facts []string) []Change {
	changes := make([]Change, 0, s.size(facts))
	for i, to := range facts {
		if to != s.from[i] {
			changes = append(changes, Change{s.table.Facts[i].Name, s.from[i], to})
		}
	}
	return changes
}

func (s *search[O]) size(facts []string) int {
	n := 0
	for i, to := range facts {
		if to != s.from[i] {
			n++
		}
	}
	return n
}

// compare orders relaxations: fewer changes first; then, at the first fact in
// which they differ, the one that moves that fact the least (not at all coming last).
func (s *search[O]) compare(a, b []string) int {
	if c := cmp.Compare(s.size(a), s.size(b)); c != 0 {
		return c
	}
	for i := range a {
		if a[i] != b[i] {
			return cmp.Compare(s.step(i, b[i]), s.step(i, a[i]))
		}
	}
	return 0
}

// step ranks a value of a fact: the stricter the higher, and below all the value
// that the fact has now.
func (s *search[O]) step(fact int, value string) int {
	if value == s.from[fact] {
		return -1
	}
	return slices.Index(s.table.Facts[fact].Values, value)
}
