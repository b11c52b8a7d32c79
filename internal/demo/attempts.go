package demo

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Outcome of one thing that somebody tried.
type Outcome struct {
	// As whom it was tried.
	As string `json:"as"`
	// What was tried, in words.
	What string `json:"what"`
	// Control that had to refuse it; empty when it had to work.
	Control string `json:"control,omitempty"`
	// By is who refused.
	By By `json:"refusedBy,omitempty"`
	// Holds is true when it went as it must.
	Holds bool `json:"holds"`
	// Says is the refusal in the control's own words, or what came of it.
	Says string `json:"says"`
	// Seconds that it took.
	Seconds float64 `json:"seconds"`
}

// attempt is one thing to try.
type attempt struct {
	tenant, what string
	// control and by that must refuse it, and a part of what they must say; empty when it must work.
	control string
	by      By
	says    string
	// do makes the request and says what came of it.
	do func(ctx context.Context, p *Person) (string, error)
}

// try makes the attempts in their order.
func (p *Play) try(ctx context.Context, attempts []attempt, tell func(Outcome)) ([]Outcome, error) {
	outcomes := make([]Outcome, 0, len(attempts))
	for i := range attempts {
		a := &attempts[i]
		person, ok := p.Developers[a.tenant]
		if !ok {
			return nil, fmt.Errorf("there is no tenant %s for: %s", a.tenant, a.what)
		}
		began := time.Now()
		said, err := a.do(ctx, person)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		outcome := a.judge(person.Name, said, err)
		outcome.Seconds = time.Since(began).Seconds()
		tell(outcome)
		outcomes = append(outcomes, outcome)
	}
	return outcomes, nil
}

// judge compares what came of an attempt with what must. An error counts as a refusal only in the expected words.
func (a *attempt) judge(as, said string, err error) Outcome {
	o := Outcome{As: as, What: a.what, Control: a.control, Says: said}
	switch {
	case a.control == "" && err == nil:
		o.Holds = true
	case a.control == "":
		o.Says = "it must work, and failed: " + err.Error()
	case err == nil:
		o.Says = "NOT REFUSED: " + a.control + " had to refuse it"
	default:
		r := refusalIn(err)
		o.By, o.Says = r.by, r.says
		// A policy says which control it is for.
		o.Holds = r.by == a.by && strings.Contains(r.says, a.says) &&
			(r.by != ByPolicy || strings.HasPrefix(r.says, a.control+": "))
		if !o.Holds {
			o.Says = fmt.Sprintf("%s (%s) had to refuse it with the words %q, but the answer was: %s", a.control, a.by, a.says, err)
		} else if r.by == ByPolicy {
			o.Says = strings.TrimPrefix(r.says, a.control+": ")
		}
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

// create tries to create an object; one that should have been refused and was not is removed again.
func create(object client.Object) func(context.Context, *Person) (string, error) {
	return func(ctx context.Context, p *Person) (string, error) {
		err := p.client.Create(ctx, object)
		if err != nil {
			return "", err
		}
		return "", errors.Join(p.client.Delete(ctx, object))
	}
}
