package decision

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
)

// Decide applies the rules of the table; the strictest wins. It is total over
// valid inputs. For any other it returns the zero decision and an error that joins
// one *FactError for every fact that is missing or unknown.
func (t *Table[O]) Decide(in Input) (Decision[O], error) {
	in, err := t.normalise(in)
	if err != nil {
		return Decision[O]{}, err
	}
	d := Decision[O]{Reasons: t.reasons(in.Facts), InputHash: t.inputHash(in)}
	d.Outcome = t.outcome(in)
	d.Relaxations = t.relaxations(in)
	d.Risks = make([]Risk, 0, len(t.Risks))
	for i := range t.Risks {
		if t.Risks[i].When(d.Outcome) {
			d.Risks = append(d.Risks, t.Risks[i].Risk)
		}
	}
	return d, nil
}

// normalise applies the defaults and refuses what is missing or unknown. It
// collects every fault, so that one round is enough to repair an input.
func (t *Table[O]) normalise(in Input) (Input, error) {
	facts := slices.Clone(in.Facts)
	var faults []error
	for i := range facts {
		s := &t.Facts[i]
		if facts[i] == "" && !s.Required {
			facts[i] = s.Values[0]
		}
		if !slices.Contains(s.Values, facts[i]) {
			faults = append(faults, &FactError{s.Name, facts[i], s.Allowed()})
		}
	}
	for i, names := range in.Lists {
		for j, name := range names {
			if name == "" {
				faults = append(faults, &FactError{Fact: fmt.Sprintf("%s[%d]", t.Lists[i].Name, j)})
			}
		}
	}
	return Input{facts, in.Lists}, errors.Join(faults...)
}

// strictest returns the rule that sets the rank: the first that holds.
func (t *Table[O]) strictest(facts []string) *Rule[O] {
	i := 0
	for !t.Rules[i].holds(facts) {
		i++
	}
	return &t.Rules[i]
}

// outcome is the join of what the rules that hold demand, settled.
func (t *Table[O]) outcome(in Input) O {
	joined := t.strictest(in.Facts).AtLeast
	for i := range t.Rules {
		if r := &t.Rules[i]; len(r.When) > 0 && r.holds(in.Facts) {
			joined = t.Join(joined, r.AtLeast)
		}
	}
	if t.Settle == nil {
		return joined
	}
	return t.Settle(joined, in)
}

// reasons lists the rules that fire.
func (t *Table[O]) reasons(facts []string) []Reason[O] {
	reasons := make([]Reason[O], 0, 4) // few inputs fire more
	for i := range t.Rules {
		r := &t.Rules[i]
		if otherwise := len(r.When) == 0; otherwise && len(reasons) > 0 || !r.holds(facts) {
			continue
		}
		reasons = append(reasons, Reason[O]{r.ID, t.factsOf(r), r.AtLeast, r.Because})
	}
	return reasons
}

// factsOf spells the conditions of a rule out. They are what fires it, because
// every rule is a conjunction of them.
func (t *Table[O]) factsOf(r *Rule[O]) []Fact {
	if len(r.When) == 0 {
		return nil
	}
	facts := make([]Fact, len(r.When))
	for i, c := range r.When {
		facts[i] = Fact{t.Facts[c.Fact].Name, c.Value}
	}
	return facts
}

func (r *Rule[O]) holds(facts []string) bool {
	for _, c := range r.When {
		if facts[c.Fact] != c.Value {
			return false
		}
	}
	return true
}

// inputHash returns the first 16 hexadecimal digits of the SHA-256 of the
// canonical encoding: the header, one line name=value for each declared fact in
// the order of the table with defaults applied, and one line item="name" for each
// observed name, quoted as Go quotes strings and in the order of its list. It
// detects change; it is no defence against forgery.
func (t *Table[O]) inputHash(in Input) string {
	buf := make([]byte, 0, 512)
	buf = append(append(buf, t.Header...), '\n')
	for i, value := range in.Facts {
		buf = append(buf, t.Facts[i].Name...)
		buf = append(buf, '=')
		buf = append(buf, value...)
		buf = append(buf, '\n')
	}
	for i, names := range in.Lists {
		for _, name := range names {
			buf = append(buf, t.Lists[i].Item...)
			buf = append(buf, '=')
			buf = strconv.AppendQuote(buf, name)
			buf = append(buf, '\n')
		}
	}
	sum := sha256.Sum256(buf)
	return hex.EncodeToString(sum[:8])
}
