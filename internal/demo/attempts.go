package demo

import (
	"context"
	"fmt"
	"time"
)

// Outcome of one attempt.
type Outcome struct {
	// As whom it was tried.
	As string `json:"as"`
	// What was tried, in words.
	What string `json:"what"`
	// Control that had to refuse it; empty when it had to work.
	Control string `json:"control,omitempty"`
	// By is who refused.
	By string `json:"refusedBy,omitempty"`
	// Holds is true when it went as it must.
	Holds bool `json:"holds"`
	// Says is the refusal in the control's own words, or what came of it.
	Says string `json:"says"`
	// Seconds that it took.
	Seconds float64 `json:"seconds"`
}

// attempt is one thing that must work.
type attempt struct {
	tenant, what string
	// do makes the request and returns what came of it.
	do func(ctx context.Context, p *Person) (string, error)
}

// try makes the attempts in their order.
func (p *Play) try(ctx context.Context, attempts []attempt, report func(Outcome)) ([]Outcome, error) {
	outcomes := make([]Outcome, 0, len(attempts))
	for i := range attempts {
		a := &attempts[i]
		person, ok := p.Developers[a.tenant]
		if !ok {
			return nil, fmt.Errorf("there is no tenant %s for: %s", a.tenant, a.what)
		}
		outcome := check(ctx, person.Name, a.what, func(ctx context.Context) (string, error) { return a.do(ctx, person) })
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		report(outcome)
		outcomes = append(outcomes, outcome)
	}
	return outcomes, nil
}

// check is an outcome that must be good.
func check(ctx context.Context, as, what string, do func(context.Context) (string, error)) Outcome {
	began := time.Now()
	said, err := do(ctx)
	o := Outcome{As: as, What: what, Holds: err == nil, Says: said, Seconds: time.Since(began).Seconds()}
	if err != nil {
		o.Says = "it must work, and failed: " + err.Error()
	}
	return o
}

// Failed are the outcomes that are not as they must be.
func Failed(outcomes []Outcome) []Outcome {
	var failed []Outcome
	for _, o := range outcomes {
		if !o.Holds {
			failed = append(failed, o)
		}
	}
	return failed
}
