package kubeadmission

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission/plugin/policy/mutating"
	"k8s.io/apiserver/pkg/admission/plugin/policy/validating"
	"k8s.io/client-go/kubernetes/scheme"

	"github.com/bulkhead-dev/bulkhead/isolation/finding"
	"github.com/bulkhead-dev/bulkhead/snapshot"
)

// stage is a request after everything that mutates it.
type stage struct {
	object, old *content
	changed     bool
	// ofSubject: what changed it went by who asks, and so may all that refuses it.
	ofSubject bool
	// stopped: it went no further; refused or unknown says why.
	stopped    bool
	refused    []finding.Refusal
	unknown    []string
	considered []snapshot.Ref
}

// stageKey is all that the result of mutation depends on.
type stageKey struct {
	target      target
	kind        schema.GroupVersionKind
	object, old runtime.Object
	name, reads string
}

// prepare runs what mutates a request, or remembers what it made of the same request before.
func (e *Evaluator) prepare(r *request) *stage {
	if !r.shared() {
		made, _ := e.mutate(r)
		return made
	}
	key := stageKey{target: r.target, kind: r.Kind, object: r.Object, old: r.OldObject, name: r.Name, reads: e.pluginReads(r)}
	for _, h := range e.candidates(r.target).mutations {
		if h.selected(r) && h.selectsObject(r) {
			key.reads += h.name + "\x00" + h.reads.of(r)
		}
	}
	if known, found := e.prepared.Load(key); found {
		return known.(*stage) //nolint:forcetypeassert // the map holds nothing else
	}
	made, labelsChanged := e.mutate(r)
	if labelsChanged {
		return made // a policy may have joined that the key does not know
	}
	made.object, made.old = e.intern(made.object), e.intern(made.old)
	known, _ := e.prepared.LoadOrStore(key, made)
	return known.(*stage) //nolint:forcetypeassert // the map holds nothing else
}

// intern returns the one content that stands for all that are equal, so that what is known of it is found again.
func (e *Evaluator) intern(c *content) *content {
	if c == nil {
		return nil
	}
	text, err := c.fields.MarshalJSON()
	if err != nil {
		return c
	}
	known, _ := e.contents.LoadOrStore(string(text), c)
	return known.(*content) //nolint:forcetypeassert // the map holds nothing else
}

// mutate runs everything that mutates a request, once more where something changed it after others had looked.
func (e *Evaluator) mutate(r *request) (made *stage, labelsChanged bool) {
	made = &stage{}
	var err error
	made.object, err = contentOf(r.Object, r)
	if err == nil {
		made.old, err = contentOf(r.OldObject, r)
	}
	if err != nil {
		made.stopped, made.unknown = true, []string{fmt.Sprintf("the object is no %s: %v", r.Kind.Kind, err)}
		return made, false
	}
	if made.object == nil || r.Operation == "DELETE" {
		return made, false
	}
	before := made.object
	e.completeByPlugins(r, made)
	if !made.stopped {
		e.applyMutations(r, made)
	}
	made.changed = made.object != before
	return made, made.changed && fmt.Sprint(made.object.fields.GetLabels()) != fmt.Sprint(before.fields.GetLabels())
}

// applyMutations runs the mutating policies with the API server's dispatcher, which does it in the API server's order.
func (e *Evaluator) applyMutations(r *request, made *stage) {
	var hooks []mutating.PolicyHook
	var matched []*hook
	for _, h := range e.candidates(r.target).mutations {
		if !h.selected(r) {
			continue
		}
		hooks = append(hooks, *h.mutating)
		if e.matches(h, r, made.object, made.old) {
			matched = append(matched, h)
			made.considered = append(made.considered, h.object)
			made.ofSubject = made.ofSubject || h.reads.ofSubject()
			made.unknown = append(made.unknown, e.undecidable(h, r)...)
		}
	}
	if len(hooks) == 0 || len(made.unknown) > 0 && len(matched) > 0 {
		made.stopped = len(made.unknown) > 0
		return
	}
	object := made.object.in(r.namespaceOfObject()).DeepCopyObject()
	attributes := r.attributes(object, made.old.in(r.namespaceOfObject()))
	err := e.mutator.Dispatch(background(), attributes, e.interfaces, hooks)
	if again := attributes.GetReinvocationContext(); err == nil && again.ShouldReinvoke() {
		again.SetIsReinvoke()
		err = e.mutator.Dispatch(background(), attributes, e.interfaces, hooks)
	}
	if err != nil {
		made.stopped = true
		e.explainMutation(err, matched, made)
		return
	}
	e.takeMutated(r, made, object)
}

// takeMutated takes over what the policies made of the object, if anything.
func (e *Evaluator) takeMutated(r *request, made *stage, object runtime.Object) {
	u, is := object.(*unstructured.Unstructured)
	if !is {
		return
	}
	unstructured.RemoveNestedField(u.Object, "metadata", "namespace")
	before := made.object.fields.DeepCopy()
	unstructured.RemoveNestedField(before.Object, "metadata", "namespace")
	if reflect.DeepEqual(before.Object, u.Object) {
		return
	}
	after, err := contentOf(u, r)
	if err != nil {
		made.stopped = true
		made.unknown = append(made.unknown, fmt.Sprintf("mutating policies made no %s of the object: %v", r.Kind.Kind, err))
		return
	}
	made.object = after
}

// explainMutation names the mutating policies that failed a request.
func (e *Evaluator) explainMutation(err error, matched []*hook, made *stage) {
	var status *apierrors.StatusError
	if errors.As(err, &status) && status.ErrStatus.Details != nil {
		for _, h := range matched {
			for _, cause := range status.ErrStatus.Details.Causes {
				if strings.HasPrefix(cause.Message, "policy '"+h.name+"' ") || strings.HasPrefix(cause.Message, `policy "`+h.name+`" `) {
					made.refused = append(made.refused, finding.Refusal{By: h.object, Control: h.control, Message: cause.Message, OfSubject: h.reads.ofSubject()})
				}
			}
		}
	}
	if len(made.refused) == 0 {
		made.unknown = append(made.unknown, "mutating policies could not be evaluated: "+err.Error())
	}
}

// undecidable is why a policy that matches cannot be evaluated; none where it can.
func (e *Evaluator) undecidable(h *hook, r *request) []string {
	if h.reads.authorizer && e.rights.rights == nil {
		return []string{fmt.Sprintf("%s asks about rights, which are not known here", h.object)}
	}
	if h.paramKind != nil {
		for _, m := range e.snapshot.Missing {
			if m.Kind == "*" || m.Kind == h.paramKind.Kind {
				return []string{fmt.Sprintf("%s has its parameters in objects of kind %s, which could not be read: %s", h.object, h.paramKind.Kind, m.Why)}
			}
		}
	}
	if h.mutating != nil && !scheme.Scheme.Recognizes(r.Kind) {
		for _, m := range h.mutating.Policy.Spec.Mutations {
			if m.ApplyConfiguration != nil {
				return []string{fmt.Sprintf("%s merges into a %s, whose schema is not known here", h.object, r.Kind.Kind)}
			}
		}
	}
	return nil
}

// judgement is what one validating policy says.
type judgement struct {
	matches bool
	refusal string
	refuses bool
}

// judgeKey is all that the judgement of one policy depends on.
type judgeKey struct {
	hook   *hook
	target target
	object *content
	old    *content
	name   string
	reads  string
	at     time.Time
}

// enough asks those alone whose refusal is answer enough. It reports whether one refuses; if not, all are to be asked.
func (e *Evaluator) enough(r *request, made *stage, answer *finding.AdmissionAnswer) bool {
	for _, who := range r.Enough {
		if who.Kind == "Namespace" {
			refused := finding.AdmissionAnswer{}
			if e.secure(r, made, &refused); len(refused.RefusedBy) > 0 {
				answer.RefusedBy = append(answer.RefusedBy, refused.RefusedBy...)
				return true
			}
		}
	}
	for _, h := range e.candidates(r.target).validations {
		if !slices.Contains(r.Enough, h.object) || !h.selected(r) || len(e.undecidable(h, r)) > 0 {
			continue
		}
		if j := e.judgementOnce(h, r, made); j.matches && j.refuses {
			answer.RefusedBy = append(answer.RefusedBy, finding.Refusal{By: h.object, Control: h.control, Message: j.refusal, OfSubject: h.reads.ofSubject()})
			return true
		}
	}
	return false
}

// judge asks every validating policy that matches.
func (e *Evaluator) judge(r *request, made *stage, answer *finding.AdmissionAnswer) {
	for _, h := range e.candidates(r.target).validations {
		if !h.selected(r) {
			continue
		}
		j := e.judgement(h, r, made)
		if !j.matches {
			continue
		}
		answer.Considered = append(answer.Considered, h.object)
		if unknown := e.undecidable(h, r); len(unknown) > 0 {
			answer.Unknown = append(answer.Unknown, unknown...)
		} else if j.refuses {
			answer.RefusedBy = append(answer.RefusedBy, finding.Refusal{By: h.object, Control: h.control, Message: j.refusal, OfSubject: h.reads.ofSubject()})
		}
	}
}

func (e *Evaluator) judgement(h *hook, r *request, made *stage) *judgement {
	if !r.shared() {
		return e.evaluate(h, r, made)
	}
	key := judgeKey{h, r.target, made.object, made.old, r.Name, h.reads.of(r), r.At}
	if known, found := e.judged.Load(key); found {
		return known.(*judgement) //nolint:forcetypeassert // the map holds nothing else
	}
	known, _ := e.judged.LoadOrStore(key, e.evaluate(h, r, made))
	return known.(*judgement) //nolint:forcetypeassert // the map holds nothing else
}

// judgementOnce is a judgement that is asked for once in a namespace. It is remembered only where another namespace has shown the same to
// the policy before: what goes by the tenant holds nowhere else, and there may be thousands of tenants.
func (e *Evaluator) judgementOnce(h *hook, r *request, made *stage) *judgement {
	if r.shared() {
		shown := h.reads.of(r)
		if known, found := e.judged.Load(judgeKey{h, r.target, made.object, made.old, r.Name, shown, r.At}); found {
			return known.(*judgement) //nolint:forcetypeassert // the map holds nothing else
		}
		if first, seen := e.readers.LoadOrStore(reader{h, shown}, r.Namespace); !seen || first == r.Namespace {
			return e.evaluate(h, r, made)
		}
	}
	return e.judgement(h, r, made)
}

// reader is a policy with what a namespace shows to it.
type reader struct {
	hook  *hook
	reads string
}

func (e *Evaluator) evaluate(h *hook, r *request, made *stage) *judgement {
	if !e.matches(h, r, made.object, made.old) {
		return &judgement{}
	}
	ns := r.namespaceOfObject()
	object := made.object.in(ns)
	if r.Operation == "CREATE" {
		at := r.At
		if at.IsZero() {
			at = e.snapshot.Time
		}
		object = made.object.created(ns, at)
	}
	err := e.validate.Dispatch(background(), r.attributes(object, made.old.in(ns)), e.interfaces, []validating.PolicyHook{*h.validating})
	if err == nil {
		return &judgement{matches: true}
	}
	return &judgement{matches: true, refuses: true, refusal: wordsOf(err)}
}

// wordsOf a refusal, without the request that the API server repeats before them.
func wordsOf(err error) string {
	var status *apierrors.StatusError
	if errors.As(err, &status) && status.ErrStatus.Details != nil && len(status.ErrStatus.Details.Causes) > 0 {
		causes := status.ErrStatus.Details.Causes
		i := slices.IndexFunc(causes, func(c metav1.StatusCause) bool { return strings.Contains(c.Message, "denied request: ") })
		if i >= 0 {
			_, words, _ := strings.Cut(causes[i].Message, "denied request: ")
			return words
		}
	}
	return err.Error()
}
