// Package decision is the engine of Bulkhead's decisions: pure functions from
// declared facts to an outcome that explains itself. A Table holds one decision as
// data; package decision/tenancy is the first.
//
// Every decision carries the outcome, the reasons (which rule fired, on which
// facts), the residual risks (what the outcome leaves open, and what would cover
// it), the relaxations (the smallest changes of declared facts that would make the
// outcome cheaper) and a hash of its input, so that a recorded decision is known
// to be stale when its input has changed.
//
// No rule weakens another: the strictest wins. A missing fact that only the
// business knows is an error that names it, never a guess.
//
// The package depends on the standard library only. It reads no clock, no file,
// no environment and no randomness: the same input gives the same decision.
// docs/decisions.md is the page for readers; its tables are generated.
package decision

// Fact is one declared fact with its value in the design's spelling, for example
// {"workload.code", "Arbitrary"}. Booleans read "true" and "false".
type Fact struct{ Name, Value string }

// Decision is an outcome with its explanation.
type Decision[O any] struct {
	Outcome O
	// Reasons lists every rule that fired, strictest first, in the order of the table.
	// There is always at least one, and the first has the rank of the outcome.
	Reasons []Reason[O]
	// Risks lists what the outcome leaves open, in the order of the table.
	Risks []Risk
	// Relaxations lists all minimal sets of changes that give an outcome of a lower
	// rank, smallest first. It is empty for the lowest rank.
	Relaxations []Relaxation[O]
	// InputHash identifies the normalised input: 16 hexadecimal digits. Two inputs
	// that differ only in spelling out a default have the same one.
	InputHash string
}

// Reason is a rule that fired, the facts that fired it, and what it demands.
type Reason[O any] struct {
	// Rule is the stable id of the rule.
	Rule string
	// Facts are the facts that fired the rule. The rule without conditions has none:
	// it fires because no stricter rule did.
	Facts []Fact
	// AtLeast is the weakest outcome that the rule accepts. The outcome of the
	// decision is the join of those of its reasons.
	AtLeast O
	// Because is the argument behind the rule, in one clause.
	Because string
}

// Severity orders residual risks for readers who must choose what to cover first.
type Severity string

// The severities. High means that the decision asked for something that the
// platform lacks; Medium, that others are within reach of one more fault; Low,
// that the rest is a matter of service quality or of operations.
const (
	SeverityLow    Severity = "Low"
	SeverityMedium Severity = "Medium"
	SeverityHigh   Severity = "High"
)

// Risk is a residual risk: what the outcome leaves open although it is the right one.
type Risk struct {
	// ID is stable across releases (R1, R2, ...): an accepted risk can be recorded by it.
	ID       string
	Severity Severity
	// Text is what can still happen.
	Text string
	// Control is the id of the control that covers the risk or narrows it
	// (lower case, such as dns-enumerate), or a measure in words where no control exists.
	Control string
}

// Change moves one declared fact from its present value to another valid one.
type Change struct{ Fact, From, To string }

// Relaxation is a minimal set of changes that, made together, give an outcome of a
// lower rank and so a cheaper one; leaving out any one of them does not.
type Relaxation[O any] struct {
	Changes []Change
	// Outcome is what is decided once the changes are made. Its rank is lower than the
	// present one, and not always the lowest.
	Outcome O
}
