package kubeadmission

import (
	"context"
	"errors"

	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	psa "k8s.io/pod-security-admission/admission"
	"k8s.io/pod-security-admission/admission/api/load"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/metrics"
	"k8s.io/pod-security-admission/policy"

	"github.com/bulkhead-dev/bulkhead/isolation/finding"
	"github.com/bulkhead-dev/bulkhead/snapshot"
)

// podSecurity is the API server's plugin of this name, with its defaults: no exemptions, and privileged where a
// namespace says nothing. A configuration file of the API server could say otherwise; it cannot be seen.
type podSecurity struct{ plugin *psa.Admission }

func newPodSecurity(spaces map[string]*space) (*podSecurity, error) {
	configuration, err := load.LoadFromData(nil)
	if err != nil {
		return nil, err
	}
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		return nil, err
	}
	plugin := &psa.Admission{
		Configuration: configuration, Evaluator: evaluator, Metrics: unmeasured{},
		PodSpecExtractor: psa.DefaultPodSpecExtractor{}, NamespaceGetter: namespaceGetter{spaces}, PodLister: noPods{},
	}
	if err := plugin.CompleteConfiguration(); err != nil {
		return nil, err
	}
	return &podSecurity{plugin}, plugin.ValidateConfiguration()
}

// securityKey is all that Pod Security's answer depends on.
type securityKey struct {
	object, old *content
	target      target
	labels      [2]string
}

// secure asks Pod Security. Only pods are refused by what they are; templates are warned of.
func (e *Evaluator) secure(r *request, made *stage, answer *finding.AdmissionAnswer) {
	if made.object == nil || made.object.typed == nil || r.Resource.Group != "" || r.Resource.Resource != "pods" && !r.isNamespace() {
		return
	}
	set := map[string]string{}
	if r.space.object != nil {
		set = r.space.object.Labels
	}
	key := securityKey{made.object, made.old, r.target, [2]string{set[api.EnforceLevelLabel], set[api.EnforceVersionLabel]}}
	known, found := find(&e.recall.now.secured, &e.recall.before.secured, key)
	words, _ := known.(string)
	if !found {
		words = e.security.refusal(r, made)
		e.recall.now.secured.Store(key, words)
	}
	answer.Considered = append(answer.Considered, snapshot.Ref{Kind: "Namespace", Name: namespaceNamed(r)})
	if words != "" {
		answer.RefusedBy = append(answer.RefusedBy, finding.Refusal{
			By: snapshot.Ref{Kind: "Namespace", Name: namespaceNamed(r)}, Control: "pod-security", Message: words,
		})
	}
}

func namespaceNamed(r *request) string {
	if r.isNamespace() {
		return r.Name
	}
	return r.Namespace
}

func (p *podSecurity) refusal(r *request, made *stage) string {
	attributes := &api.AttributesRecord{
		Name: r.Name, Namespace: namespaceNamed(r), Kind: r.Kind, Resource: r.Resource, Subresource: r.Subresource,
		Operation: admissionv1.Operation(r.Operation), Object: made.object.typed, Username: r.Subject.User,
	}
	if made.old != nil {
		attributes.OldObject = made.old.typed
	}
	response := p.plugin.Validate(background(), attributes)
	if response.Allowed {
		return ""
	}
	if response.Result == nil {
		return "refused by Pod Security"
	}
	return response.Result.Message
}

type namespaceGetter struct{ spaces map[string]*space }

func (g namespaceGetter) GetNamespace(_ context.Context, name string) (*corev1.Namespace, error) {
	if s, found := g.spaces[name]; found {
		return s.object, nil
	}
	return nil, errors.New("namespace " + name + " was not listed")
}

// noPods: pods that exist are only warned of when a namespace's labels change.
type noPods struct{}

func (noPods) ListPods(context.Context, string) ([]*corev1.Pod, error) { return nil, nil }

type unmeasured struct{}

func (unmeasured) RecordEvaluation(metrics.Decision, api.LevelVersion, metrics.Mode, api.Attributes) {
}
func (unmeasured) RecordExemption(api.Attributes)   {}
func (unmeasured) RecordError(bool, api.Attributes) {}
