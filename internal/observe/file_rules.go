package observe

import (
	"context"
	"slices"
	"strings"
	"sync"

	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apimachinery/pkg/util/validation/field"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
)

// ruleBook is the CEL rules of a schema. CEL takes a hundred times as long as the quick answers, which most objects get,
// and is compiled when it is first needed.
type ruleBook struct {
	certain *certainty
	cel     func() *cel.Validator
}

func newRuleBook(s *schema.Structural) *ruleBook {
	return &ruleBook{certain: newCertainty(s, certainties()), cel: sync.OnceValue(func() *cel.Validator {
		return cel.NewValidator(s, true, celconfig.PerCallLimit)
	})}
}

// check returns what object breaks: field by field, and for one field in the order of its rules.
func (b *ruleBook) check(object map[string]any) field.ErrorList {
	if b.certain.holds(object) {
		return nil
	}
	faults, _ := b.cel().Validate(context.Background(), nil, nil, object, nil, celconfig.RuntimeCELCostBudget)
	slices.SortStableFunc(faults, func(a, b *field.Error) int { return strings.Compare(a.Field, b.Field) })
	return faults
}

// certainty says quickly that the rules of a schema hold, where each of them is one whose quick answer is known. Like
// the conformer it only ever errs on the side of doubt, and the same fuzz test holds it to that.
type certainty struct {
	rules []func(value any) bool
	// doubt is set where a rule has no quick answer.
	doubt bool

	items, others *certainty
	properties    map[string]*certainty
}

// newCertainty is nil where there are no rules at a place and below.
func newCertainty(s *schema.Structural, known map[string]func(any) bool) *certainty {
	if s == nil {
		return nil
	}
	c := &certainty{items: newCertainty(s.Items, known), properties: map[string]*certainty{}}
	if s.AdditionalProperties != nil {
		c.others = newCertainty(s.AdditionalProperties.Structural, known)
	}
	for name := range s.Properties {
		property := s.Properties[name]
		if below := newCertainty(&property, known); below != nil {
			c.properties[name] = below
		}
	}
	c.doubt = s.ValueValidation != nil && len(s.ValueValidation.AllOf) > 0 // which may hold rules too
	for _, rule := range s.XValidations {
		quick := known[rule.Rule]
		if quick == nil {
			quick = certainMatch(rule.Rule)
		}
		c.doubt = c.doubt || quick == nil || rule.OptionalOldSelf != nil
		c.rules = append(c.rules, quick)
	}
	if !c.doubt && len(c.rules) == 0 && c.items == nil && c.others == nil && len(c.properties) == 0 {
		return nil
	}
	return c
}

// holds says that value certainly keeps all rules that apply to it.
func (c *certainty) holds(value any) bool {
	if c == nil {
		return true
	}
	if c.doubt {
		return false
	}
	for _, holds := range c.rules {
		if !holds(value) {
			return false
		}
	}
	switch value := value.(type) {
	case []any:
		for _, item := range value {
			if !c.items.holds(item) {
				return false
			}
		}
	case map[string]any:
		for name, inner := range value {
			below := c.properties[name]
			if below == nil {
				below = c.others
			}
			if !below.holds(inner) {
				return false
			}
		}
	}
	return true
}
