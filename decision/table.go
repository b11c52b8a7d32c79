package decision

import (
	"fmt"
	"slices"
	"strings"
)

// Table is one decision as data. Nothing writes it after its initialisation.
type Table[O any] struct {
	// Header names the encoding that InputHash is made of; it changes whenever the
	// encoding does, and then every recorded decision is stale.
	Header string
	// Facts are the declared facts that the rules read, or that belong to the record.
	Facts []Scale
	// Lists are observed names, which the rules do not read but Settle may.
	Lists []List
	// Rules are ordered by rank, strictest first. The rule without conditions is the
	// first of the lowest rank; there is exactly one.
	Rules []Rule[O]
	// Risks are in the order in which decisions list them.
	Risks []RiskRule[O]

	// Rank orders outcomes: the higher, the stricter and dearer. Relaxations lower it.
	Rank func(O) int
	// Join is the weakest outcome that meets both; its rank is the higher of the two.
	Join func(a, b O) O
	// Settle completes the joined outcome with what follows from the normalised input
	// without a rule. It must not change the rank. Nil means that nothing follows.
	Settle func(O, Input) O
}

// Scale is a declared fact with the values that it may have.
type Scale struct {
	Name string
	// Values are all valid values, the weakest first. The order is what "stricter"
	// means for this fact; where the rank does not depend on it, it is arbitrary.
	Values []string
	// Required facts have no default. All others default to the weakest value, which
	// is harmless because enforcement makes it true. A weakest value of "" means
	// that the fact may stay undeclared; it is never proposed as a change.
	Required bool
}

// Allowed lists the values that may be declared. The slice is the caller's.
func (s *Scale) Allowed() []string {
	if s.Values[0] == "" {
		return slices.Clone(s.Values[1:])
	}
	return slices.Clone(s.Values)
}

// List is an ordered list of observed names, the preferred one first.
type List struct {
	// Name of the whole list, as errors quote it.
	Name string
	// Item names one entry in what InputHash is made of.
	Item string
}

// Rule demands an outcome where its conditions hold.
type Rule[O any] struct {
	// ID is stable across releases.
	ID string
	// When lists the conditions, all of which must hold. None means "otherwise": the
	// rule fires where no rule before it does.
	When []Condition
	// AtLeast is the weakest outcome that the rule accepts when it fires.
	AtLeast O
	// Because is the argument behind the rule.
	Because string
}

// Condition is "this fact has this value". Facts are named by their position in Table.Facts.
type Condition struct {
	Fact  int
	Value string
}

// Is is the condition that a fact has a value.
func Is[V ~string](fact int, value V) Condition { return Condition{fact, string(value)} }

// RiskRule is a risk with the outcomes that leave it open.
type RiskRule[O any] struct {
	Risk Risk
	// Left is the condition in words, for the documentation.
	Left string
	// When reports whether the outcome leaves the risk open.
	When func(O) bool
}

// Words are the conditions of a rule in words, for example "boundary Outside and code Audited".
func (t *Table[O]) Words(r *Rule[O]) string {
	if len(r.When) == 0 {
		return "otherwise"
	}
	words := make([]string, len(r.When))
	for i, c := range r.When {
		name := t.Facts[c.Fact].Name
		words[i] = name[strings.LastIndex(name, ".")+1:] + " " + c.Value
	}
	return strings.Join(words, " and ")
}

// Input is what a table reads.
type Input struct {
	// Facts are the declared values, by position in Table.Facts; "" means undeclared.
	Facts []string
	// Lists are the observed names, by position in Table.Lists.
	Lists [][]string
}

// FactError names a fact that is missing or has an unknown value.
type FactError struct {
	// Fact is the name of the fact, such as workload.code.
	Fact string
	// Value is what was given; "" means that nothing was.
	Value string
	// Allowed are the values that may be given. It is empty for names, where any text
	// but the empty one will do.
	Allowed []string
}

// Error names the fact and what may be declared for it.
func (e *FactError) Error() string {
	want := "a name"
	if len(e.Allowed) > 0 {
		want = "one of " + strings.Join(e.Allowed, ", ")
	}
	if e.Value == "" {
		return fmt.Sprintf("fact %s is missing: want %s", e.Fact, want)
	}
	return fmt.Sprintf("fact %s has the unknown value %q: want %s", e.Fact, e.Value, want)
}
