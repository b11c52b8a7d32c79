// Package testdecision holds the tests that every table of decisions must pass: it tries the whole space of its facts.
package testdecision

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/bulkhead-dev/bulkhead/decision"
)

// Properties checks at every point of the space that the decision is total, follows its rules, is deterministic,
// monotone and the caller's own, that its relaxations are exactly the minimal ones, and that no two inputs share a hash.
// The lists of observed names are the same everywhere.
func Properties[O any](t *testing.T, table decision.Table[O], lists [][]string) {
	t.Helper()
	s := &space[O]{table: &table, lists: lists}
	s.wellFormed(t)
	if !t.Failed() {
		s.visit(func(facts []string) { s.decided = append(s.decided, s.decide(t, facts)) })
		s.checkReasons(t)
		s.checkMonotone(t)
		s.checkRelaxations(t)
		s.checkHashes(t)
		s.checkErrors(t)
	}
}

// space is a table with all that it decides, in the order of visit.
type space[O any] struct {
	table   *decision.Table[O]
	lists   [][]string
	decided []decision.Decision[O]
}

// visit calls for every combination of values. The facts are the visitor's until it returns.
func (s *space[O]) visit(visit func(facts []string)) {
	facts := make([]string, len(s.table.Facts))
	var choose func(int)
	choose = func(i int) {
		if i == len(facts) {
			visit(facts)
			return
		}
		for _, value := range s.table.Facts[i].Values {
			facts[i] = value
			choose(i + 1)
		}
	}
	choose(0)
}

// at is the position of facts in the order of visit.
func (s *space[O]) at(facts []string) int {
	position := 0
	for i, value := range facts {
		values := s.table.Facts[i].Values
		position = position*len(values) + slices.Index(values, value)
	}
	return position
}

// decide decides twice, spoils one answer, and compares: the same input gives the same decision, to the last field, and
// a caller that changes its own value changes no other.
func (s *space[O]) decide(t *testing.T, facts []string) decision.Decision[O] {
	t.Helper()
	in := decision.Input{Facts: slices.Clone(facts), Lists: s.lists}
	first, err := s.table.Decide(in)
	again, errAgain := s.table.Decide(in)
	if err != nil || errAgain != nil || !reflect.DeepEqual(first, again) {
		t.Fatalf("%v: %+v (%v) and then %+v (%v)", facts, first, err, again, errAgain)
	}
	if !slices.Equal(in.Facts, facts) {
		t.Fatalf("%v: the input became %v", facts, in.Facts)
	}
	for i := range again.Reasons {
		clear(again.Reasons[i].Facts)
	}
	clear(again.Risks)
	for i := range again.Relaxations {
		clear(again.Relaxations[i].Changes)
	}
	if third, err := s.table.Decide(in); err != nil || !reflect.DeepEqual(first, third) {
		t.Fatalf("%v: %+v, and after a caller changed its own %+v (%v)", facts, first, third, err)
	}
	return first
}

// wellFormed checks the table by itself: rules are complete and strictest first, ids are unique, conditions name values
// that exist, there is one rule without conditions, and ranks are those of joins.
func (s *space[O]) wellFormed(t *testing.T) {
	t.Helper()
	var ids []string
	otherwise := 0
	for i := range s.table.Rules {
		r := &s.table.Rules[i]
		ids = append(ids, r.ID)
		if i > 0 && s.rank(r.AtLeast) > s.rank(s.table.Rules[i-1].AtLeast) {
			t.Errorf("%s is stricter than the rule before it", r.ID)
		}
		if r.ID == "" || r.Because == "" {
			t.Errorf("rule %d %q is not complete", i, r.ID)
		}
		if len(r.When) == 0 {
			otherwise++
			if i > 0 && s.rank(r.AtLeast) == s.rank(s.table.Rules[i-1].AtLeast) || s.rank(r.AtLeast) != s.rank(s.table.Rules[len(s.table.Rules)-1].AtLeast) {
				t.Errorf("%s has no condition and is not the first of the lowest rank", r.ID)
			}
		}
		s.conditionsAndJoins(t, r)
	}
	if otherwise != 1 {
		t.Errorf("%d rules have no condition, want 1", otherwise)
	}
	for i := range s.table.Risks {
		r := &s.table.Risks[i]
		ids = append(ids, r.Risk.ID)
		if r.Left == "" || r.Risk.Text == "" || r.Risk.Control == "" || r.Risk.Severity == "" {
			t.Errorf("risk %d %q is not complete", i, r.Risk.ID)
		}
	}
	slices.Sort(ids)
	if len(slices.Compact(slices.Clone(ids))) != len(ids) {
		t.Errorf("an id stands twice: %v", ids)
	}
}

// conditionsAndJoins checks that a rule names values that exist, and that its outcome joins with every other one.
func (s *space[O]) conditionsAndJoins(t *testing.T, r *decision.Rule[O]) {
	t.Helper()
	for _, c := range r.When {
		if f := s.table.Facts[c.Fact]; !slices.Contains(f.Values, c.Value) || c.Value == "" {
			t.Errorf("%s: %s is never %q", r.ID, f.Name, c.Value)
		}
	}
	for j := range s.table.Rules {
		other := s.table.Rules[j].AtLeast
		if s.rank(s.table.Join(r.AtLeast, other)) != max(s.rank(r.AtLeast), s.rank(other)) {
			t.Errorf("the join of %s and %s does not have the higher rank of the two", r.ID, s.table.Rules[j].ID)
		}
	}
}

func (s *space[O]) rank(o O) int { return s.table.Rank(o) }

// fires lists the rules that must fire, and the rank that must follow: the table once more, read naively.
func (s *space[O]) fires(facts []string) (fired []*decision.Rule[O], rank int) {
	for i := range s.table.Rules {
		r := &s.table.Rules[i]
		holds := len(r.When) > 0 || len(fired) == 0
		for _, c := range r.When {
			holds = holds && facts[c.Fact] == c.Value
		}
		if !holds {
			continue
		}
		if rank = max(rank, s.rank(r.AtLeast)); len(fired) == 0 {
			rank = s.rank(r.AtLeast)
		}
		fired = append(fired, r)
	}
	return fired, rank
}

// checkReasons: exactly the rules that must fire are the reasons, in the order of the table, each with its own facts; the
// outcome has the rank of the first.
func (s *space[O]) checkReasons(t *testing.T) {
	t.Helper()
	s.visit(func(facts []string) {
		d := s.decided[s.at(facts)]
		fired, rank := s.fires(facts)
		var want []decision.Reason[O]
		for _, r := range fired {
			reason := decision.Reason[O]{Rule: r.ID, AtLeast: r.AtLeast, Because: r.Because}
			for _, c := range r.When {
				reason.Facts = append(reason.Facts, decision.Fact{Name: s.table.Facts[c.Fact].Name, Value: facts[c.Fact]})
			}
			want = append(want, reason)
		}
		if !reflect.DeepEqual(d.Reasons, want) || s.rank(d.Outcome) != rank || s.rank(d.Reasons[0].AtLeast) != rank {
			t.Fatalf("%v: got %+v by %+v, want rank %d by %+v", facts, d.Outcome, d.Reasons, rank, want)
		}
		for i := range s.table.Risks {
			r := &s.table.Risks[i]
			if slices.Contains(d.Risks, r.Risk) != r.When(d.Outcome) {
				t.Fatalf("%v: %+v and risks %+v: %s is %s", facts, d.Outcome, d.Risks, r.Risk.ID, r.Left)
			}
		}
	})
}

// checkMonotone: making a single fact stricter never lowers the rank.
func (s *space[O]) checkMonotone(t *testing.T) {
	t.Helper()
	s.visit(func(facts []string) {
		before := s.rank(s.decided[s.at(facts)].Outcome)
		for i := range facts {
			at, values := facts[i], s.table.Facts[i].Values
			for _, stricter := range values[slices.Index(values, at)+1:] {
				facts[i] = stricter
				if after := s.decided[s.at(facts)].Outcome; s.rank(after) < before {
					t.Fatalf("%v is weaker than with %s %q: %+v", facts, s.table.Facts[i].Name, at, after)
				}
			}
			facts[i] = at
		}
	})
}

// checkHashes: the hash differs between any two different inputs.
func (s *space[O]) checkHashes(t *testing.T) {
	t.Helper()
	seen := map[string]bool{}
	for i := range s.decided {
		if hash := s.decided[i].InputHash; len(hash) != 16 || seen[hash] {
			t.Fatalf("hash %q is not 16 digits long, or stands for two inputs", hash)
		}
		seen[s.decided[i].InputHash] = true
	}
}

// checkErrors: what is required and missing, and what is unknown, is named, and no decision comes with it; an undeclared
// fact that has a default is decided as if the default were spelled out.
func (s *space[O]) checkErrors(t *testing.T) {
	t.Helper()
	spelled := make([]string, len(s.table.Facts))
	for i := range s.table.Facts {
		spelled[i] = s.table.Facts[i].Values[0]
	}
	for i := range s.table.Facts {
		f := &s.table.Facts[i]
		for _, value := range []string{"", " ", "x" + f.Values[0], strings.ToUpper(f.Values[len(f.Values)-1])} {
			facts := slices.Clone(spelled)
			facts[i] = value
			if value != "" && slices.Contains(f.Values, value) {
				continue
			}
			d, err := s.table.Decide(decision.Input{Facts: facts, Lists: s.lists})
			if value == "" && !f.Required {
				if err != nil || !reflect.DeepEqual(d, s.decided[s.at(spelled)]) {
					t.Errorf("%s undeclared: %+v, %v", f.Name, d, err)
				}
				continue
			}
			var fault *decision.FactError
			want := &decision.FactError{Fact: f.Name, Value: value, Allowed: f.Allowed()}
			if !errors.As(err, &fault) || !reflect.DeepEqual(fault, want) || !reflect.DeepEqual(d, decision.Decision[O]{}) {
				t.Errorf("%s %q: %+v, %v", f.Name, value, d, err)
			}
		}
	}
}

// Reachable checks that every rule fires somewhere, and that every rule above the lowest rank, and the one without
// conditions, is somewhere the only one that demands the decided rank.
func Reachable[O any](t *testing.T, table decision.Table[O]) {
	t.Helper()
	s := &space[O]{table: &table}
	seen, alone := map[string]bool{}, map[string]bool{}
	s.visit(func(facts []string) {
		fired, rank := s.fires(facts)
		top := 0
		for _, r := range fired {
			seen[r.ID] = true
			if s.rank(r.AtLeast) == rank {
				top++
			}
		}
		if alone[fired[0].ID] = alone[fired[0].ID] || top == 1; top > 1 && len(fired[0].When) == 0 {
			alone[fired[0].ID] = true // the others of the lowest rank only add to it
		}
	})
	lowest := s.rank(table.Rules[len(table.Rules)-1].AtLeast)
	for i := range table.Rules {
		r := &table.Rules[i]
		decides := s.rank(r.AtLeast) > lowest || len(r.When) == 0
		if !seen[r.ID] || decides && !alone[r.ID] {
			t.Errorf("%s: fires somewhere %v, decides alone somewhere %v", r.ID, seen[r.ID], alone[r.ID])
		}
	}
}

// factsOf spells facts out, for messages.
func (s *space[O]) factsOf(facts []string) string {
	words := make([]string, len(facts))
	for i, value := range facts {
		words[i] = fmt.Sprintf("%s=%s", s.table.Facts[i].Name, value)
	}
	return strings.Join(words, " ")
}
