package kubeadmission

import (
	"fmt"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/bulkhead-dev/bulkhead/isolation/finding"
	"github.com/bulkhead-dev/bulkhead/snapshot"
)

// webhook is one webhook of a configuration. Its answer cannot be known here.
type webhook struct {
	object    snapshot.Ref
	name      string
	mutates   bool
	match     admissionv1.MatchResources
	mayBypass bool
}

func webhooksOf(s *snapshot.Snapshot) []*webhook {
	var list []*webhook
	for _, c := range s.MutatingWebhooks {
		for i := range c.Webhooks {
			w := &c.Webhooks[i]
			list = append(list, newWebhook(snapshot.Ref{Kind: "MutatingWebhookConfiguration", Name: c.Name}, w.Name, true,
				w.Rules, w.NamespaceSelector, w.ObjectSelector, w.FailurePolicy))
		}
	}
	for _, c := range s.ValidatingWebhooks {
		for i := range c.Webhooks {
			w := &c.Webhooks[i]
			list = append(list, newWebhook(snapshot.Ref{Kind: "ValidatingWebhookConfiguration", Name: c.Name}, w.Name, false,
				w.Rules, w.NamespaceSelector, w.ObjectSelector, w.FailurePolicy))
		}
	}
	return list
}

func newWebhook(o snapshot.Ref, name string, mutates bool, rules []admissionv1.RuleWithOperations,
	namespaces, objects *metav1.LabelSelector, failure *admissionv1.FailurePolicyType,
) *webhook {
	w := &webhook{object: o, name: name, mutates: mutates, mayBypass: failure != nil && *failure == admissionv1.Ignore}
	w.match.NamespaceSelector, w.match.ObjectSelector = namespaces, objects
	for _, r := range rules {
		w.match.ResourceRules = append(w.match.ResourceRules, admissionv1.NamedRuleWithOperations{RuleWithOperations: r})
	}
	return w
}

// askWebhooks reports the webhooks that would be called, whose answers are not known.
func (e *Evaluator) askWebhooks(r *request, answer *finding.AdmissionAnswer) {
	for _, w := range e.webhooks {
		if !w.isCalled(r) {
			continue
		}
		answer.Considered = append(answer.Considered, w.object)
		switch {
		case w.mayBypass:
			answer.Unknown = append(answer.Unknown, fmt.Sprintf("webhook %s of %s is called, and ignored when it does not answer (failurePolicy Ignore)", w.name, w.object))
		case w.mutates:
			answer.Unknown = append(answer.Unknown, fmt.Sprintf("webhook %s of %s may change or refuse it: what it answers is not known", w.name, w.object))
		default:
			answer.Unknown = append(answer.Unknown, fmt.Sprintf("webhook %s of %s may refuse it: what it answers is not known", w.name, w.object))
		}
	}
}

// isCalled reports whether a webhook is called for a request.
func (w *webhook) isCalled(r *request) bool {
	if excludedFromWebhooks(r) || w.mutates && r.Operation == "DELETE" || len(w.match.ResourceRules) == 0 || !mayMatch(&w.match, &r.target) {
		return false
	}
	return (r.Namespace == "" || r.isNamespace() || selects(&w.match, labels.Set(r.space.object.Labels))) && selectsEither(&w.match, r)
}

var _ finding.Storing = (*Evaluator)(nil)

// Stored is what the plugins and policies that mutate make of an object; Unknown names the webhooks that may change it.
func (e *Evaluator) Stored(request *finding.AdmissionRequest) finding.AdmissionAnswer {
	r, answer := e.newRequest(request)
	if r == nil {
		return answer
	}
	made := e.prepare(r)
	answer = finding.AdmissionAnswer{Unknown: append([]string(nil), made.unknown...)}
	if made.changed {
		answer.Object = made.object.in(r.namespaceOfObject())
	}
	for _, w := range e.webhooks {
		if w.mutates && w.isCalled(r) {
			answer.Unknown = append(answer.Unknown, fmt.Sprintf("webhook %s of %s may change it", w.name, w.object))
		}
	}
	return answer
}

// excludedFromWebhooks are the configurations of admission itself.
func excludedFromWebhooks(r *request) bool {
	return r.Resource.Group == admissionv1.GroupName
}
