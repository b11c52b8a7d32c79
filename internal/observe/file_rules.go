package observe

import (
	"context"
	"slices"
	"strconv"
	"sync"

	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apimachinery/pkg/util/validation/field"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
)

// ruleBook is the CEL rules of a schema, asked once for equal values: thousands of tenants have the same quotas, and
// workloads of the same names. A rule of a CustomResourceDefinition depends on nothing but the value that it stands at.
type ruleBook struct {
	// own are the rules of this place alone; nil when it has none.
	own        *cel.Validator
	items      *ruleBook
	properties map[string]*ruleBook
	others     *ruleBook
	// children are the names of the properties with rules, sorted.
	children []string

	lock sync.RWMutex
	// kept are values that keep the own rules, in a form that is the same for equal values.
	kept map[string]struct{}
}

// maxKept bounds what is remembered at one place, and maxKeptBytes which values are worth it.
const (
	maxKept      = 1 << 14
	maxKeptBytes = 512
)

// newRuleBook takes a validator apart: rules are asked place by place. Rules inside allOf stay with their place.
func newRuleBook(v *cel.Validator) *ruleBook {
	if v == nil {
		return nil
	}
	book := &ruleBook{kept: map[string]struct{}{}, items: newRuleBook(v.Items), others: newRuleBook(v.AdditionalProperties)}
	for name := range v.Properties {
		child := v.Properties[name]
		if book.properties == nil {
			book.properties = map[string]*ruleBook{}
		}
		book.properties[name] = newRuleBook(&child)
		book.children = append(book.children, name)
	}
	slices.Sort(book.children)
	if own := *v; len(v.Schema.XValidations) > 0 || len(v.AllOfValidators) > 0 {
		own.Items, own.Properties, own.AdditionalProperties = nil, nil, nil
		book.own = &own
	}
	return book
}

// check returns what value breaks, in the order of the API server: a place before what is below it. Each place has
// the API server's limit of cost.
func (b *ruleBook) check(path *field.Path, value any) field.ErrorList {
	if b == nil || value == nil {
		return nil
	}
	faults := b.checkOwn(path, value)
	switch value := value.(type) {
	case []any:
		if b.items == nil {
			break
		}
		for i, item := range value {
			faults = append(faults, b.items.check(path.Index(i), item)...)
		}
	case map[string]any:
		for _, name := range b.children {
			if inner, has := value[name]; has {
				faults = append(faults, b.properties[name].check(path.Child(name), inner)...)
			}
		}
		if b.others != nil {
			for name, inner := range value {
				if b.properties[name] == nil {
					faults = append(faults, b.others.check(path.Key(name), inner)...)
				}
			}
		}
	}
	return faults
}

func (b *ruleBook) checkOwn(path *field.Path, value any) field.ErrorList {
	if b.own == nil {
		return nil
	}
	form, small := canonical(make([]byte, 0, 256), value)
	if small {
		b.lock.RLock()
		_, keeps := b.kept[string(form)]
		b.lock.RUnlock()
		if keeps {
			return nil
		}
	}
	faults, _ := b.own.Validate(context.Background(), path, nil, value, nil, celconfig.RuntimeCELCostBudget)
	if small && len(faults) == 0 {
		b.lock.Lock()
		if len(b.kept) < maxKept {
			b.kept[string(form)] = struct{}{}
		}
		b.lock.Unlock()
	}
	return faults
}

// canonical appends a form of value that equal values share and others do not; false when it would be too long.
func canonical(to []byte, value any) ([]byte, bool) {
	if len(to) > maxKeptBytes {
		return to, false
	}
	ok := true
	switch value := value.(type) {
	case string:
		if len(value) > maxKeptBytes {
			return to, false
		}
		to = strconv.AppendQuote(to, value)
	case int64:
		to = strconv.AppendInt(to, value, 10)
	case bool:
		to = strconv.AppendBool(to, value)
	case []any:
		to = append(to, '[')
		for i := 0; ok && i < len(value); i++ {
			to, ok = canonical(to, value[i])
			to = append(to, ',')
		}
		to = append(to, ']')
	case map[string]any:
		names := make([]string, 0, 16)
		for name := range value {
			names = append(names, name)
		}
		slices.Sort(names)
		to = append(to, '{')
		for i := 0; ok && i < len(names); i++ {
			to = append(strconv.AppendQuote(to, names[i]), ':')
			to, ok = canonical(to, value[names[i]])
			to = append(to, ',')
		}
		to = append(to, '}')
	default:
		return to, false // null and fractions are rare
	}
	return to, ok && len(to) <= maxKeptBytes
}
