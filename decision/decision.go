// Package decision holds Bulkhead's decisions: pure functions from declared
// facts to a choice that explains itself.
//
// Every decision carries the choice, the reasons (which rule fired, on which
// facts), the residual risks (what the choice leaves open, and what would cover
// it), the flips (the smallest changes of declared facts that would make the
// choice cheaper) and a hash of its input, so that a recorded decision is known
// to be stale when its input has changed.
//
// No rule weakens another: the strictest outcome wins. A missing fact that only
// the business knows is an error that names it, never a guess.
//
// The package depends on the standard library only. It reads no clock, no file,
// no environment and no randomness: the same input gives the same decision.
// docs/decisions.md is the page for readers; its tables are generated from here.
package decision

// Fact is one declared fact with its value in the design's spelling, for example
// {"workload.code", "Arbitrary"}. Booleans read "true" and "false".
type Fact struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Reason says that a rule fired, on which facts, and what it demands at least.
type Reason struct {
	// Rule is the stable id of the rule, as listed by Rules.
	Rule string `json:"rule"`
	// Facts are the facts that fired the rule. The fallback rule T11 has none: it
	// fires because no other rule did.
	Facts []Fact `json:"facts,omitempty"`
	// Pattern is the weakest pattern the rule accepts. The decision's pattern is
	// the strictest of its reasons' patterns.
	Pattern Pattern `json:"pattern"`
	// Because is the argument behind the rule, in one clause.
	Because string `json:"because"`
}

// Severity orders residual risks for readers who must choose what to cover first.
type Severity string

// The severities. High means that the decision asked for something that the
// platform does not have; Medium, that other tenants are within reach of one more
// fault; Low, that the rest is a matter of service quality or of operations.
const (
	SeverityLow    Severity = "Low"
	SeverityMedium Severity = "Medium"
	SeverityHigh   Severity = "High"
)

// Risk is a residual risk: what the choice leaves open although it is the right one.
type Risk struct {
	// ID is stable across releases (R1, R2, ...): an accepted risk can be recorded by it.
	ID       string   `json:"id"`
	Severity Severity `json:"severity"`
	// Text says what can still happen.
	Text string `json:"text"`
	// Control is the id of the control that covers the risk or narrows it
	// (lower case, such as dns-enumerate), or a measure in words where no control exists.
	Control string `json:"control"`
}

// Change moves one declared fact from its present value to another valid one.
type Change struct {
	Fact string `json:"fact"`
	From string `json:"from"`
	To   string `json:"to"`
}

// Flip is a minimal set of changes that, made together, give a weaker and so
// cheaper pattern; leaving out any one of them does not.
type Flip struct {
	Changes []Change `json:"changes"`
	// Pattern is the pattern that is decided once the changes are made. It is weaker
	// than the present one, and not always the weakest.
	Pattern Pattern `json:"pattern"`
}
