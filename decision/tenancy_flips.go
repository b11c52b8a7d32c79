package decision

import (
	"cmp"
	"slices"
)

// flips lists all minimal sets of changes that give a weaker pattern.
//
// Every rule that demands the present pattern must be defeated, and a rule is
// defeated by moving one fact of its conditions to another value. Only weaker
// values are tried: the rules are monotone (a test holds it), so a change to a
// stricter value never helps and no minimal set has one. Facts that no rule which
// now fires reads are left alone. The search therefore visits only combinations
// that defeat rules, about a dozen at worst, and the worst input has four flips:
// no bound on the list is needed.
func (rules ruleTable) flips(t *traits) []Flip {
	s := flipSearch{rules: rules, from: t, top: rules.strictest(t).Pattern}
	if s.top == PatternSoft {
		return nil
	}
	for i := range rules {
		if rules[i].holds(t) {
			for _, c := range rules[i].when {
				s.movable[c.fact] = true
			}
		}
	}
	s.defeat(*t)
	slices.SortFunc(s.found, s.compare)
	flips := make([]Flip, len(s.found))
	for i := range s.found {
		flips[i] = Flip{s.changes(&s.found[i]), rules.strictest(&s.found[i]).Pattern}
	}
	return flips
}

// flipSearch collects the traits that result from flips.
type flipSearch struct {
	rules   ruleTable
	from    *traits
	top     Pattern
	movable [factCount]bool
	found   []traits
}

// defeat moves facts of the strictest rule of t, until no rule demands the present pattern.
func (s *flipSearch) defeat(t traits) {
	rule := s.rules.strictest(&t)
	if s.top.Stricter(rule.Pattern) {
		if s.minimal(t) && !slices.Contains(s.found, t) {
			s.found = append(s.found, t)
		}
		return
	}
	for _, c := range rule.when {
		if !s.movable[c.fact] {
			continue
		}
		for _, value := range tenancyFacts[c.fact].weaker(t[c.fact]) {
			next := t
			next[c.fact] = value
			s.defeat(next)
		}
	}
}

// minimal reports whether every change of t is needed. To undo them one by one is
// enough: all changes weaken, so if a smaller set sufficed, the set with one
// change undone that contains it would suffice as well.
func (s *flipSearch) minimal(t traits) bool {
	for id := range t {
		if t[id] == s.from[id] {
			continue
		}
		undone := t
		undone[id] = s.from[id]
		if s.top.Stricter(s.rules.strictest(&undone).Pattern) {
			return false
		}
	}
	return true
}

// changes spells out the difference between t and the present traits, in the
// order of the fact table.
func (s *flipSearch) changes(t *traits) []Change {
	changes := make([]Change, 0, s.size(t))
	for id := range t {
		if t[id] != s.from[id] {
			changes = append(changes, Change{tenancyFacts[id].name, s.from[id], t[id]})
		}
	}
	return changes
}

func (s *flipSearch) size(t *traits) int {
	n := 0
	for id := range t {
		if t[id] != s.from[id] {
			n++
		}
	}
	return n
}

// compare orders flips: fewer changes first; then, at the first fact in which they
// differ, the one that moves that fact the least (not at all coming last).
func (s *flipSearch) compare(a, b traits) int {
	if c := cmp.Compare(s.size(&a), s.size(&b)); c != 0 {
		return c
	}
	for id := range a {
		if a[id] == b[id] {
			continue
		}
		return cmp.Compare(s.step(id, b[id]), s.step(id, a[id]))
	}
	return 0
}

// step ranks a value of a fact: the stricter the higher, and below all the value
// that the fact has now.
func (s *flipSearch) step(id int, value string) int {
	if value == s.from[id] {
		return -1
	}
	return slices.Index(tenancyFacts[id].values, value)
}
