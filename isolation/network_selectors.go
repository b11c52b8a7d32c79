package isolation

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/bulkhead-dev/bulkhead/snapshot"
)

// selector is a label selector in normal form: requirements that must all hold. The empty one holds of everything.
// That a selector is absent is not for it to say: the field that it is missing from says what that means.
type selector struct {
	requirements []requirement
}

// requirement on one label. A label that is absent satisfies NotIn and DoesNotExist.
type requirement struct {
	key      string
	operator metav1.LabelSelectorOperator
	values   []string
}

// selectorOf reads a selector. It fails where the API server would refuse.
func selectorOf(s *metav1.LabelSelector) (selector, error) {
	if len(s.MatchLabels) == 0 && len(s.MatchExpressions) == 0 {
		return selector{}, nil
	}
	errs := validation.ValidateLabelSelector(s, validation.LabelSelectorValidationOptions{}, field.NewPath("selector"))
	if len(errs) > 0 {
		return selector{}, errs.ToAggregate()
	}
	requirements := make([]requirement, 0, len(s.MatchLabels)+len(s.MatchExpressions))
	for key, value := range s.MatchLabels {
		requirements = append(requirements, requirement{key, metav1.LabelSelectorOpIn, []string{value}})
	}
	for _, e := range s.MatchExpressions {
		values := slices.Clone(e.Values)
		slices.Sort(values)
		requirements = append(requirements, requirement{e.Key, e.Operator, slices.Compact(values)})
	}
	slices.SortFunc(requirements, func(a, b requirement) int {
		return cmp.Or(cmp.Compare(a.key, b.key), cmp.Compare(a.operator, b.operator), slices.Compare(a.values, b.values))
	})
	return selector{requirements}, nil
}

func (s selector) matches(labels snapshot.Labels) bool {
	for i := range s.requirements {
		if !s.requirements[i].holds(labels) {
			return false
		}
	}
	return true
}

func (r *requirement) holds(labels snapshot.Labels) bool {
	value, has := labels.Get(r.key)
	switch r.operator {
	case metav1.LabelSelectorOpIn:
		return has && slices.Contains(r.values, value)
	case metav1.LabelSelectorOpNotIn:
		return !has || !slices.Contains(r.values, value)
	case metav1.LabelSelectorOpExists:
		return has
	default: // DoesNotExist: selectorOf lets no other pass
		return !has
	}
}

// byLabels says whether it selects namespaces by more than their name.
func (s selector) byLabels() bool {
	return slices.ContainsFunc(s.requirements, func(r requirement) bool { return r.key != corev1.LabelMetadataName })
}

// key is the same for two selectors exactly when they are written the same in normal form.
func (s selector) key() string {
	var b strings.Builder
	for _, r := range s.requirements {
		fmt.Fprintf(&b, "%q%s%q;", r.key, r.operator, r.values)
	}
	return b.String()
}
