package decision

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// tableFacts are the facts that random tables read.
var tableFacts = []factID{factBoundary, factDeclared, factAPIAccess, factHostAccess, factClusterScoped}

// Promise: the search for flips does not lean on the rules of today. For random
// monotone tables, whose rules overlap as today's do not, it finds exactly the
// minimal sets that trying everything finds.
func TestFlipsOfRandomTables(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		rules := randomTable(random)
		space := tableSpace()
		for _, from := range space {
			var got []string
			for _, f := range rules.flips(&from) {
				got = append(got, fmt.Sprint(f))
			}
			want := everyFlip(rules, from, space)
			slices.Sort(got)
			slices.Sort(want)
			if !slices.Equal(got, want) {
				t.Fatalf("rules %v\nfrom %v\n got %v\nwant %v", rules, from, got, want)
			}
		}
	}
}

// randomTable has conditions on strictest values only, which makes it monotone.
func randomTable(random *rand.Rand) ruleTable {
	var rules ruleTable
	for i := range 2 + random.IntN(5) {
		r := Rule{ID: fmt.Sprint("X", i), Pattern: PatternHard}
		if random.IntN(3) == 0 {
			r.Pattern = PatternSoftAffinity
		}
		for _, at := range random.Perm(len(tableFacts))[:1+random.IntN(3)] {
			id := tableFacts[at]
			values := tenancyFacts[id].values
			r.when = append(r.when, condition{id, values[len(values)-1]})
		}
		rules = append(rules, r)
	}
	slices.SortStableFunc(rules, func(a, b Rule) int { return b.Pattern.rank() - a.Pattern.rank() })
	return append(rules, Rule{ID: "otherwise", Pattern: PatternSoft})
}

// tableSpace is the space of the facts that random tables read.
func tableSpace() []traits {
	space := []traits{{}}
	for _, id := range tableFacts {
		var longer []traits
		for _, t := range space {
			for _, value := range tenancyFacts[id].values {
				t[id] = value
				longer = append(longer, t)
			}
		}
		space = longer
	}
	return space
}

// everyFlip tries the whole space.
func everyFlip(rules ruleTable, from traits, space []traits) []string {
	read := map[factID]bool{}
	for _, r := range rules {
		for _, c := range r.when {
			read[c.fact] = read[c.fact] || r.holds(&from)
		}
	}
	var flips [][]Change
	var patterns []Pattern
	top := rules.strictest(&from).Pattern
	for _, t := range space {
		pattern := rules.strictest(&t).Pattern
		var changes []Change
		sound := top.Stricter(pattern)
		for id := range t {
			if t[id] != from[id] {
				sound = sound && read[factID(id)] && t[id] != ""
				changes = append(changes, Change{tenancyFacts[id].name, from[id], t[id]})
			}
		}
		if sound {
			flips, patterns = append(flips, changes), append(patterns, pattern)
		}
	}
	var minimal []string
	for i, f := range flips {
		smaller := func(g []Change) bool {
			return len(g) < len(f) && !slices.ContainsFunc(g, func(c Change) bool { return !slices.Contains(f, c) })
		}
		if !slices.ContainsFunc(flips, smaller) {
			minimal = append(minimal, fmt.Sprint(Flip{f, patterns[i]}))
		}
	}
	return minimal
}
