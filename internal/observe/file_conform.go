package observe

import (
	"math"
	"regexp"
	"slices"
	"unicode/utf8"

	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apimachinery/pkg/runtime"
)

// conformer says quickly that a value keeps to a schema, and gives it the schema's defaults on the way. It only ever
// errs on the side of doubt: what it does not know, it denies, and the API server's own functions, which take some ten
// times as long, have the word and the wording. A fuzz test holds that it never says yes where they say no.
type conformer struct {
	kind        string
	intOrString bool
	v           schema.ValueValidation
	pattern     *regexp.Regexp
	// doubt is set where the schema has what the conformer does not know.
	doubt bool

	items *conformer
	// set and key are how a list's items must differ: as a whole, or in one field.
	set bool
	key string

	properties map[string]*conformer
	defaults   map[string]any
	// others is for fields without a name in the schema; nil when there may be none, unless open says that all are taken.
	others *conformer
	open   bool
}

// maxDistinct bounds the lists whose items are compared with one another.
const maxDistinct = 64

// newConformer learns the schema of a kind. Of metadata it knows nothing: certainMeta does. A status is not a file's.
func newConformer(root *schema.Structural) *conformer {
	c := learn(root)
	c.properties["metadata"] = &conformer{kind: "object", open: true}
	delete(c.defaults, "status")
	return c
}

func learn(s *schema.Structural) *conformer {
	c := &conformer{kind: s.Type, intOrString: s.XIntOrString}
	if s.ValueValidation != nil {
		c.v = *s.ValueValidation
	}
	c.doubt = doubtful(s, &c.v)
	if c.v.Pattern != "" {
		compiled, err := regexp.Compile(c.v.Pattern)
		c.pattern, c.doubt = compiled, c.doubt || err != nil
	}
	if s.Items != nil {
		c.items = learn(s.Items)
	}
	if s.XListType != nil {
		c.set = *s.XListType == "set"
		if *s.XListType == "map" {
			c.doubt = c.doubt || len(s.XListMapKeys) != 1
			c.key = s.XListMapKeys[0]
		}
	}
	c.properties, c.defaults = map[string]*conformer{}, map[string]any{}
	for name := range s.Properties {
		property := s.Properties[name]
		c.properties[name] = learn(&property)
		if property.Default.Object != nil {
			c.defaults[name] = property.Default.Object
		}
	}
	if s.AdditionalProperties != nil && s.AdditionalProperties.Structural != nil {
		c.others = learn(s.AdditionalProperties.Structural)
	}
	return c
}

// doubtful says that the schema has what the conformer does not know.
func doubtful(s *schema.Structural, v *schema.ValueValidation) bool {
	return len(v.AllOf) > 0 || len(v.OneOf) > 0 || v.Not != nil || len(v.AnyOf) > 0 && !s.XIntOrString || v.MultipleOf != nil ||
		v.UniqueItems || v.ExclusiveMaximum || v.ExclusiveMinimum || s.XPreserveUnknownFields || s.XEmbeddedResource
}

// conforms is true when value certainly keeps to the schema. Then it has its defaults, and no field that the API server
// would drop; else it is in between.
func (c *conformer) conforms(value any) bool {
	if c.doubt {
		return false
	}
	switch value := value.(type) {
	case string:
		return (c.kind == "string" || c.intOrString) && c.stringConforms(value)
	case int64:
		return (c.kind == "integer" || c.intOrString) && c.numberConforms(value)
	case bool:
		return c.kind == "boolean" && len(c.v.Enum) == 0
	case []any:
		return c.kind == "array" && c.listConforms(value)
	case map[string]any:
		return c.kind == "object" && c.objectConforms(value)
	}
	return false
}

func (c *conformer) numberConforms(value int64) bool {
	v := &c.v
	if len(v.Enum) > 0 || v.Minimum != nil && float64(value) < *v.Minimum || v.Maximum != nil && float64(value) > *v.Maximum {
		return false
	}
	return v.Format == "" || v.Format == "int32" && value >= math.MinInt32 && value <= math.MaxInt32
}

func (c *conformer) stringConforms(value string) bool {
	v := &c.v
	if v.Format != "" || c.pattern != nil && !c.pattern.MatchString(value) {
		return false
	}
	if v.MinLength != nil || v.MaxLength != nil {
		n := int64(utf8.RuneCountInString(value))
		if v.MinLength != nil && n < *v.MinLength || v.MaxLength != nil && n > *v.MaxLength {
			return false
		}
	}
	for i := range v.Enum {
		if v.Enum[i].Object == value {
			return true
		}
	}
	return len(v.Enum) == 0
}

func (c *conformer) listConforms(value []any) bool {
	n, v := int64(len(value)), &c.v
	if c.items == nil || len(v.Enum) > 0 || v.MinItems != nil && n < *v.MinItems || v.MaxItems != nil && n > *v.MaxItems {
		return false
	}
	for _, item := range value {
		if !c.items.conforms(item) {
			return false
		}
	}
	return !c.set && c.key == "" || c.distinct(value)
}

// distinct says that the items of a list certainly differ as they must.
func (c *conformer) distinct(list []any) bool {
	if len(list) > maxDistinct {
		return false
	}
	seen := make([]string, 0, 16)
	for _, item := range list {
		if c.key != "" {
			fields, _ := item.(map[string]any)
			item = fields[c.key]
		}
		word, isString := item.(string)
		if !isString || slices.Contains(seen, word) {
			return false
		}
		seen = append(seen, word)
	}
	return true
}

func (c *conformer) objectConforms(value map[string]any) bool {
	if c.open {
		return true
	}
	for name, fallback := range c.defaults {
		if _, has := value[name]; !has {
			value[name] = runtime.DeepCopyJSONValue(fallback)
		}
	}
	n, v := int64(len(value)), &c.v
	if len(v.Enum) > 0 || v.MinProperties != nil && n < *v.MinProperties || v.MaxProperties != nil && n > *v.MaxProperties {
		return false
	}
	for _, name := range v.Required {
		if _, has := value[name]; !has {
			return false
		}
	}
	for name, field := range value {
		shape := c.properties[name]
		if shape == nil {
			shape = c.others
		}
		if shape == nil || !shape.conforms(field) {
			return false // left to the one that knows why
		}
	}
	return true
}
