package kubeadmission

import (
	"maps"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/admission/plugin/policy/matching"
	"k8s.io/apiserver/pkg/admission/plugin/policy/mutating"
	"k8s.io/pod-security-admission/api"

	"github.com/bulkhead-dev/bulkhead/isolation/finding"
)

var _ finding.Relabelling = (*Evaluator)(nil)

// NamespaceMarks are the labels that Pod Security goes by, those by which the namespace selectors of policies, bindings and webhooks
// choose, and those that expressions read.
func (e *Evaluator) NamespaceMarks() []finding.Mark {
	marks := []finding.Mark{{Key: api.EnforceLevelLabel, Value: string(api.LevelPrivileged)}, {Key: api.EnforceLevelLabel}}
	var selectors []*metav1.LabelSelector
	for _, hooks := range [][]*hook{e.mutations, e.validations} {
		for _, h := range hooks {
			for _, m := range append(h.bound[:len(h.bound):len(h.bound)], h.constraints) {
				if m != nil {
					selectors = append(selectors, m.NamespaceSelector)
				}
			}
			for _, key := range h.reads.labels {
				marks = append(marks, finding.Mark{Key: key}, finding.Mark{Key: key, Value: "true"})
			}
		}
	}
	for _, w := range e.webhooks {
		selectors = append(selectors, w.match.NamespaceSelector)
	}
	for _, s := range selectors {
		marks = append(marks, escaping(s)...)
	}
	marks = distinctMarks(marks)
	kept := marks[:0]
	for _, m := range marks {
		if m.Key != corev1.LabelMetadataName { // the API server writes it
			kept = append(kept, m)
		}
	}
	return kept
}

// escaping are the labels by which a namespace escapes a selector.
func escaping(s *metav1.LabelSelector) []finding.Mark {
	if s == nil {
		return nil
	}
	marks := finding.LeftOut(s)
	for key := range s.MatchLabels {
		marks = append(marks, finding.Mark{Key: key}, finding.Mark{Key: key, Value: "other"})
	}
	for _, r := range s.MatchExpressions {
		if r.Operator == metav1.LabelSelectorOpIn || r.Operator == metav1.LabelSelectorOpExists {
			marks = append(marks, finding.Mark{Key: r.Key}, finding.Mark{Key: r.Key, Value: "other"})
		}
	}
	return marks
}

// Relabelled is the same admission, where the namespaces that are named have these labels.
func (e *Evaluator) Relabelled(labels map[string]map[string]string) finding.Admission {
	d := &Evaluator{snapshot: e.snapshot, namespaces: maps.Clone(e.namespaces), interfaces: e.interfaces, rights: e.rights, params: e.params,
		mutations: e.mutations, validations: e.validations, webhooks: e.webhooks, classes: e.classes, recall: e.recall}
	for name, set := range labels {
		was := e.namespaces[name]
		if was == nil {
			continue
		}
		o := was.object.DeepCopy()
		o.Labels = set
		d.namespaces[name] = &space{object: o, implied: was.implied, limits: was.limits, quotas: was.quotas, shape: was.shape, accounts: was.accounts}
	}
	d.matcher = matching.NewMatcher(namespaceLister{d.namespaces}, nil)
	d.mutator = mutating.NewDispatcher(&authorizer{rights: d.rights}, d.matcher, builtInConverter{})
	var err error
	if d.security, err = newPodSecurity(d.namespaces); err != nil {
		panic("Pod Security was prepared before: " + err.Error())
	}
	return d
}
