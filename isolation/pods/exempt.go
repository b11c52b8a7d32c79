package pods

import (
	"maps"
	"slices"
	"strings"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// exemptingLabels are labels of objects that policies and webhooks exempt by their object selectors. The creator of the
// object chooses its labels: a selector that depends on them alone protects nothing.
func (p *Run) exemptingLabels() map[string]string {
	labels := map[string]string{}
	add := func(s *metav1.LabelSelector) {
		if s == nil {
			return
		}
		for _, r := range s.MatchExpressions {
			switch {
			case r.Operator == metav1.LabelSelectorOpNotIn && len(r.Values) > 0:
				labels[r.Key] = r.Values[0]
			case r.Operator == metav1.LabelSelectorOpDoesNotExist && labels[r.Key] == "":
				labels[r.Key] = "true"
			}
		}
	}
	matching := func(m *admissionv1.MatchResources) {
		if m != nil {
			add(m.ObjectSelector)
		}
	}
	for _, o := range p.ValidatingPolicies {
		matching(o.Spec.MatchConstraints)
	}
	for _, o := range p.ValidatingBindings {
		matching(o.Spec.MatchResources)
	}
	for _, o := range p.ValidatingWebhooks {
		for i := range o.Webhooks {
			add(o.Webhooks[i].ObjectSelector)
		}
	}
	for _, o := range p.MutatingWebhooks {
		for i := range o.Webhooks {
			add(o.Webhooks[i].ObjectSelector)
		}
	}
	return labels
}

func labelWords(labels map[string]string) string {
	words := make([]string, 0, len(labels))
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		words = append(words, key+"="+labels[key])
	}
	return map[bool]string{false: "label ", true: "labels "}[len(words) > 1] + strings.Join(words, ", ")
}
