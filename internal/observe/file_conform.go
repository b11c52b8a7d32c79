package observe

import (
	"math"
	"regexp"
	"unicode/utf8"

	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
)

// conformer says quickly that a value keeps to a schema. It only ever errs on the side of doubt: what it does not
// know, it denies, and the API server's own validator, which takes some ten times as long, has the word and the
// wording. A fuzz test holds that it never says yes where that one says no.
type conformer struct {
	// patterns by their text. Filled before the first use, and then only read.
	patterns map[string]*regexp.Regexp
}

func newConformer(s *schema.Structural) *conformer {
	c := &conformer{patterns: map[string]*regexp.Regexp{}}
	c.learn(s)
	return c
}

// learn compiles the patterns of a schema. One that does not compile stays unknown, and so in doubt.
func (c *conformer) learn(s *schema.Structural) {
	if s == nil {
		return
	}
	if s.ValueValidation != nil && s.ValueValidation.Pattern != "" {
		if compiled, err := regexp.Compile(s.ValueValidation.Pattern); err == nil {
			c.patterns[s.ValueValidation.Pattern] = compiled
		}
	}
	c.learn(s.Items)
	for name := range s.Properties {
		property := s.Properties[name]
		c.learn(&property)
	}
	if s.AdditionalProperties != nil {
		c.learn(s.AdditionalProperties.Structural)
	}
}

// conforms is true when value certainly keeps to s.
func (c *conformer) conforms(s *schema.Structural, value any) bool {
	v := s.ValueValidation
	if v == nil {
		v = &schema.ValueValidation{}
	}
	if doubtful(s, v) {
		return false
	}
	switch value := value.(type) {
	case string:
		return (s.Type == "string" || s.XIntOrString) && c.stringConforms(v, value)
	case int64:
		return (s.Type == "integer" || s.XIntOrString) && numberConforms(v, value)
	case bool:
		return s.Type == "boolean" && len(v.Enum) == 0
	case []any:
		return s.Type == "array" && c.listConforms(s, v, value)
	case map[string]any:
		return s.Type == "object" && c.objectConforms(s, v, value)
	}
	return false
}

// doubtful says that the schema has what the conformer does not know.
func doubtful(s *schema.Structural, v *schema.ValueValidation) bool {
	return len(v.AllOf) > 0 || len(v.OneOf) > 0 || v.Not != nil || len(v.AnyOf) > 0 && !s.XIntOrString || v.MultipleOf != nil ||
		v.UniqueItems || v.ExclusiveMaximum || v.ExclusiveMinimum || s.XPreserveUnknownFields || s.XEmbeddedResource
}

func numberConforms(v *schema.ValueValidation, value int64) bool {
	if len(v.Enum) > 0 || v.Minimum != nil && float64(value) < *v.Minimum || v.Maximum != nil && float64(value) > *v.Maximum {
		return false
	}
	return v.Format == "" || v.Format == "int32" && value >= math.MinInt32 && value <= math.MaxInt32
}

func (c *conformer) stringConforms(v *schema.ValueValidation, value string) bool {
	if v.Format != "" {
		return false
	}
	if v.Pattern != "" {
		if p := c.patterns[v.Pattern]; p == nil || !p.MatchString(value) {
			return false
		}
	}
	if n := int64(utf8.RuneCountInString(value)); v.MinLength != nil && n < *v.MinLength || v.MaxLength != nil && n > *v.MaxLength {
		return false
	}
	for _, allowed := range v.Enum {
		if allowed.Object == value {
			return true
		}
	}
	return len(v.Enum) == 0
}

func (c *conformer) listConforms(s *schema.Structural, v *schema.ValueValidation, value []any) bool {
	n := int64(len(value))
	if s.Items == nil || len(v.Enum) > 0 || v.MinItems != nil && n < *v.MinItems || v.MaxItems != nil && n > *v.MaxItems {
		return false
	}
	for _, item := range value {
		if !c.conforms(s.Items, item) {
			return false
		}
	}
	return true
}

func (c *conformer) objectConforms(s *schema.Structural, v *schema.ValueValidation, value map[string]any) bool {
	n := int64(len(value))
	if len(v.Enum) > 0 || v.MinProperties != nil && n < *v.MinProperties || v.MaxProperties != nil && n > *v.MaxProperties {
		return false
	}
	for _, name := range v.Required {
		if _, has := value[name]; !has {
			return false
		}
	}
	for name, field := range value {
		property, known := s.Properties[name]
		switch {
		case known:
			if !c.conforms(&property, field) {
				return false
			}
		case s.AdditionalProperties != nil && s.AdditionalProperties.Structural != nil:
			if !c.conforms(s.AdditionalProperties.Structural, field) {
				return false
			}
		case len(s.Properties) > 0:
			return false // left to the one that knows why
		}
	}
	return true
}
