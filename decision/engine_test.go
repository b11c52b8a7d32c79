package decision_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/bulkhead-dev/bulkhead/decision"
	"github.com/bulkhead-dev/bulkhead/internal/testdecision"
)

// Promise: what holds for the tables of today holds for any monotone table, also for one whose rules overlap as theirs do
// not: the decision is total, deterministic and monotone, and its relaxations are exactly the minimal ones.
func TestRandomTables(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		if testdecision.Properties(t, randomTable(random), nil); t.Failed() {
			t.FailNow()
		}
	}
}

// level is an outcome of three ranks with a second part that rules add up.
type level struct {
	rank  int
	extra bool
}

// randomTable has conditions on strictest values only, which makes it monotone.
func randomTable(random *rand.Rand) decision.Table[level] {
	table := decision.Table[level]{
		Header: "test/v1",
		Facts: []decision.Scale{
			{Name: "a", Values: []string{"0", "1"}, Required: true},
			{Name: "b", Values: []string{"", "0", "1"}},
			{Name: "x.c", Values: []string{"0", "1", "2"}},
			{Name: "x.d", Values: []string{"0", "1"}},
			{Name: "x.e", Values: []string{"0", "1"}, Required: true},
		},
		Risks: []decision.RiskRule[level]{{
			Risk: decision.Risk{ID: "R1", Severity: decision.SeverityLow, Text: "text", Control: "none"}, Left: "rank 0",
			When: func(o level) bool { return o.rank == 0 },
		}},
		Rank: func(o level) int { return o.rank },
		Join: func(a, b level) level { return level{max(a.rank, b.rank), a.extra || b.extra} },
	}
	for i := range 2 + random.IntN(5) {
		r := decision.Rule[level]{ID: fmt.Sprint("X", i), AtLeast: level{2 - min(1, random.IntN(3)), random.IntN(2) == 0}, Because: "so it is"}
		for _, at := range random.Perm(len(table.Facts))[:1+random.IntN(3)] {
			values := table.Facts[at].Values
			r.When = append(r.When, decision.Is(at, values[len(values)-1]))
		}
		table.Rules = append(table.Rules, r)
	}
	slices.SortStableFunc(table.Rules, func(a, b decision.Rule[level]) int { return b.AtLeast.rank - a.AtLeast.rank })
	table.Rules = append(table.Rules,
		decision.Rule[level]{ID: "otherwise", Because: "nothing asks for more"},
		decision.Rule[level]{ID: "S1", When: []decision.Condition{decision.Is(0, "1")}, AtLeast: level{0, true}, Because: "it only adds"})
	return table
}
