// Package kubeadmission answers what the API server's admission would say to a request, going by the objects of a snapshot
// alone. Admission policies are evaluated with the API server's own code, and so is Pod Security; what the plugins that
// come before them change in a pod (limits, service account tokens) is redone here, because policies see its result.
//
// What is judged is what a tenant could ever do: a quota refuses what it leaves no room for at all, not what it has no
// room for at the moment. What cannot be evaluated (webhooks, parameters that were not read) is Unknown, with the reason.
package kubeadmission

import (
	"context"
	"fmt"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/admission/plugin/policy/generic"
	"k8s.io/apiserver/pkg/admission/plugin/policy/matching"
	"k8s.io/apiserver/pkg/admission/plugin/policy/mutating"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/client-go/kubernetes/scheme"

	"github.com/bulkhead-dev/bulkhead/isolation/finding"
	"github.com/bulkhead-dev/bulkhead/snapshot"
)

// Rights answers the questions that policies ask by their variable authorizer; rbac.Authorizer of isolation does.
type Rights interface {
	Allowed(subject finding.Subject, attributes finding.Attributes) (bool, []finding.Step)
}

// Evaluator is the admission of one snapshot. It is safe for concurrent use.
//
// Answers are remembered by what they depend on: the request, and of the namespace and the subject only what the
// policies that match can read. An object that names no namespace stands for one in the request's namespace; give the
// same pointer for every namespace, and namespaces that no policy distinguishes cost one evaluation.
type Evaluator struct {
	snapshot   *snapshot.Snapshot
	namespaces map[string]*space
	interfaces admission.ObjectInterfaces
	rights     Rights
	params     map[string][]runtime.Object

	mutations   []*hook
	validations []*hook
	webhooks    []*webhook

	matcher  *matching.Matcher
	mutator  generic.Dispatcher[mutating.PolicyHook]
	security *podSecurity

	// classes are all of the snapshot that the plugins read, whatever the namespace.
	classes digest
	recall  *recall
	// prepared and judged are what holds for this proof alone.
	prepared sync.Map // stageKey to *stage
	judged   sync.Map // judgeKey to *judgement
	digests  sync.Map // runtime.Object to digest
	readers  sync.Map // reader to the name of the first namespace
	relevant sync.Map // target to *candidates

	exempting sync.Map // *ValidatingAdmissionPolicy to []finding.Mark
}

var _ finding.Admission = (*Evaluator)(nil)

// space is what admission reads of one namespace.
type space struct {
	object *corev1.Namespace
	// implied is true where it was not listed.
	implied bool
	limits  []*corev1.LimitRange
	quotas  []*corev1.ResourceQuota
	// shape stands for all limits: the same in namespaces with equal ones.
	shape    string
	accounts map[string]*corev1.ServiceAccount
	// selected has by hook which of its bindings select the namespace (hook.selection).
	selected sync.Map
	// created are the service accounts that were not listed, as they would be created, by name.
	created sync.Map
}

// New returns the admission of a snapshot. What was worked out before, of policies and requests that are the same, is taken from compiled, which may be nil;
// rights may be nil: then policies that ask the authorizer are Unknown.
func New(s *snapshot.Snapshot, rights Rights, compiled *Compiled) (*Evaluator, error) {
	if compiled == nil {
		compiled = &Compiled{}
	}
	e := &Evaluator{snapshot: s, namespaces: map[string]*space{}, interfaces: objectInterfaces(), params: map[string][]runtime.Object{}, rights: rights, recall: compiled.memory.next()}
	e.classes = classesOf(s)
	e.indexNamespaces()
	for _, p := range s.Parameters {
		key := p.GetAPIVersion() + "/" + p.GetKind()
		e.params[key] = append(e.params[key], p)
	}
	e.matcher = matching.NewMatcher(namespaceLister{e.namespaces}, nil)
	e.mutator = mutating.NewDispatcher(&authorizer{rights: rights}, e.matcher, builtInConverter{})
	e.mutations, e.validations = e.mutationHooks(compiled), e.validationHooks(compiled)
	e.webhooks = webhooksOf(s)
	var err error
	if e.security, err = newPodSecurity(e.namespaces); err != nil {
		return nil, fmt.Errorf("prepare Pod Security: %w", err)
	}
	return e, nil
}

func (e *Evaluator) indexNamespaces() {
	for _, ns := range e.snapshot.Namespaces {
		o := &corev1.Namespace{}
		o.APIVersion, o.Kind, o.Name = "v1", "Namespace", ns.Name
		o.Labels, o.Annotations = mapOf(ns.Labels), mapOf(ns.Annotations)
		o.Spec.Finalizers = []corev1.FinalizerName{corev1.FinalizerKubernetes}
		o.Status.Phase = corev1.NamespaceActive
		e.namespaces[ns.Name] = &space{object: o, implied: ns.Implied, accounts: map[string]*corev1.ServiceAccount{}}
	}
	for _, l := range e.snapshot.LimitRanges {
		if ns := e.namespaces[l.Namespace]; ns != nil {
			ns.limits = append(ns.limits, l)
			ns.shape += l.Spec.String()
		}
	}
	for _, q := range e.snapshot.ResourceQuotas {
		if ns := e.namespaces[q.Namespace]; ns != nil {
			ns.quotas = append(ns.quotas, q)
		}
	}
	for _, a := range e.snapshot.ServiceAccounts {
		if ns := e.namespaces[a.Namespace]; ns != nil {
			ns.accounts[a.Name] = a
		}
	}
}

func mapOf(labels snapshot.Labels) map[string]string {
	if len(labels) == 0 {
		return nil
	}
	m := make(map[string]string, len(labels))
	for _, l := range labels {
		m[l.Key] = l.Value
	}
	return m
}

// Admit answers a request: first what mutates it, then everything that may refuse it, each on its own, so that all
// that refuse are reported and not only the first.
func (e *Evaluator) Admit(request *finding.AdmissionRequest) finding.AdmissionAnswer {
	r, answer := e.newRequest(request)
	if r == nil {
		return answer
	}
	made := e.prepare(r)
	answer = finding.AdmissionAnswer{
		RefusedBy: append([]finding.Refusal(nil), made.refused...), Unknown: append([]string(nil), made.unknown...),
		Considered: append([]snapshot.Ref(nil), made.considered...),
	}
	if made.changed {
		answer.Object = made.object.in(r.namespaceOfObject())
	}
	if !made.stopped && !e.enough(r, made, &answer) {
		e.secure(r, made, &answer)
		e.judge(r, made, &answer)
		e.askWebhooks(r, &answer)
		e.countAgainstQuota(r, made, &answer)
	}
	for i := range answer.RefusedBy {
		answer.RefusedBy[i].Holds = both(answer.RefusedBy[i].Holds, made.alike)
	}
	answer.Admitted = len(answer.RefusedBy) == 0 && len(answer.Unknown) == 0
	return answer
}

// newRequest is the request with what is derived from it; nil with the answer where it goes no further.
func (e *Evaluator) newRequest(q *finding.AdmissionRequest) (*request, finding.AdmissionAnswer) {
	r := &request{AdmissionRequest: q, target: targetOf(q)}
	if q.Namespace == "" || r.isNamespace() {
		r.space = &space{}
		if r.isNamespace() {
			r.space = e.namespaces[q.Name]
		}
		if r.space == nil || r.space.implied {
			r.space = &space{object: &corev1.Namespace{}}
		}
		return r, finding.AdmissionAnswer{}
	}
	r.space = e.namespaces[q.Namespace]
	if r.space == nil || r.space.implied {
		return nil, finding.AdmissionAnswer{Unknown: []string{
			fmt.Sprintf("Namespace %s was not listed, so that no policy's namespaceSelector can be decided", q.Namespace)}}
	}
	return r, finding.AdmissionAnswer{}
}

// attributes of a request as the API server's plugins take them.
func (r *request) attributes(object, old runtime.Object) admission.Attributes {
	name := r.Name
	ns := r.Namespace
	if r.isNamespace() {
		ns = r.Name
	}
	info := &user.DefaultInfo{Name: r.Subject.User, Groups: r.Subject.Groups}
	return admission.NewAttributesRecord(object, old, r.Kind, ns, name, r.Resource, r.Subresource,
		admission.Operation(r.Operation), nil, false, info)
}

func objectInterfaces() admission.ObjectInterfaces {
	return admission.NewObjectInterfacesFromScheme(scheme.Scheme)
}

// background is the context of all evaluations: they read a snapshot and wait for nothing.
func background() context.Context { return context.Background() }
