package kubeadmission

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission/plugin/policy/generic"
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
	// alike reports whether what changed it cannot distinguish another subject from the one who asks; nil where it goes by no subject.
	alike func(finding.Subject) bool
	// stopped: it went no further; refused or unknown says why.
	stopped    bool
	refused    []finding.Refusal
	unknown    []string
	considered []snapshot.Ref
}

// stageKey is all that the result of mutation depends on: the request, what the plugins and the policies that match read of the namespace and
// the subject, the policies, and the classes.
type stageKey struct {
	target               target
	kind                 schema.GroupVersionKind
	object, old, classes digest
	name, reads          string
}

// prepare runs what mutates a request, or remembers what it made of the same request before.
func (e *Evaluator) prepare(r *request) *stage {
	if !r.shared() {
		made, _ := e.mutate(r)
		return made
	}
	object, fault := e.digest(r.Object)
	old, faultOfOld := e.digest(r.OldObject)
	if fault != nil || faultOfOld != nil {
		made, _ := e.mutate(r)
		return made
	}
	key := stageKey{target: r.target, kind: r.Kind, object: object, old: old, name: r.Name, reads: e.pluginReads(r), classes: e.classes}
	lasting := true
	for _, h := range e.candidates(r.target).mutations {
		if h.selected(r) && h.selectsObject(r) {
			key.reads += strconv.FormatUint(h.id, 10) + "\x00" + h.shown(r) + h.reads.rightsOf(r)
			lasting = lasting && h.lasting(r) && !h.reads.authorizer
		}
	}
	kept, before := &e.prepared, &e.prepared
	if lasting {
		kept, before = &e.recall.now.prepared, &e.recall.before.prepared
	}
	if known, found := find(kept, before, key); found {
		return known.(*stage) //nolint:forcetypeassert // the map holds nothing else
	}
	made, labelsChanged := e.mutate(r)
	if labelsChanged {
		return made // a policy may have joined that the key does not know
	}
	made.object, made.old = e.intern(made.object), e.intern(made.old)
	known, _ := kept.LoadOrStore(key, made)
	return known.(*stage) //nolint:forcetypeassert // the map holds nothing else
}

// digest stands for an object: of its type, with its fields.
type digest [sha256.Size]byte

// digest returns the one of an object, computed once for each pointer. An error means that it cannot be written down.
func (e *Evaluator) digest(o runtime.Object) (digest, error) {
	if o == nil {
		return digest{}, nil
	}
	if known, found := e.digests.Load(o); found {
		return known.(digest), nil //nolint:forcetypeassert // the map holds nothing else
	}
	text, err := json.Marshal(o)
	if err != nil {
		return digest{}, err
	}
	d := digest(sha256.Sum256(fmt.Appendf(text, "%T", o)))
	e.digests.Store(o, d)
	return d, nil
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
	key := digest(sha256.Sum256(text))
	if known, found := find(&e.recall.now.contents, &e.recall.before.contents, key); found {
		return known.(*content) //nolint:forcetypeassert // the map holds nothing else
	}
	known, _ := e.recall.now.contents.LoadOrStore(key, c)
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
			made.alike = both(made.alike, h.reads.alike(&r.Subject, h.reads.authorizer))
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
		e.explainMutation(r, err, matched, made)
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
func (e *Evaluator) explainMutation(r *request, err error, matched []*hook, made *stage) {
	var status *apierrors.StatusError
	if errors.As(err, &status) && status.ErrStatus.Details != nil {
		for _, h := range matched {
			for _, cause := range status.ErrStatus.Details.Causes {
				if strings.HasPrefix(cause.Message, "policy '"+h.name+"' ") || strings.HasPrefix(cause.Message, `policy "`+h.name+`" `) {
					made.refused = append(made.refused, finding.Refusal{By: h.object, Control: h.control, Message: cause.Message, Holds: h.reads.alike(&r.Subject, h.reads.authorizer)})
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
	if h.reads.authorizer && e.rights == nil {
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
	// asked reports whether the policy asked about rights; where it did not, the answer depends on none.
	asked bool
}

// judgeKey is all that the judgement of one policy depends on.
type judgeKey struct {
	hook   uint64
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
			answer.RefusedBy = append(answer.RefusedBy, finding.Refusal{By: h.object, Control: h.control, Message: j.refusal, Holds: h.reads.alike(&r.Subject, j.asked)})
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
			answer.RefusedBy = append(answer.RefusedBy, finding.Refusal{By: h.object, Control: h.control, Message: j.refusal, Holds: h.reads.alike(&r.Subject, j.asked)})
		}
	}
}

func (e *Evaluator) judgement(h *hook, r *request, made *stage) *judgement {
	if !r.shared() {
		return e.evaluate(h, r, made)
	}
	key := judgeKey{h.id, r.target, made.object, made.old, r.Name, h.shown(r), r.At}
	if known := e.known(h, r, key); known != nil {
		return known
	}
	j := e.evaluate(h, r, made)
	kept := &e.judged
	switch {
	case j.asked:
		key.reads += h.reads.rightsOf(r)
	case h.lasting(r):
		kept = &e.recall.now.judged
	}
	known, _ := kept.LoadOrStore(key, j)
	return known.(*judgement) //nolint:forcetypeassert // the map holds nothing else
}

// known returns the judgement of the same request; nil where there is none yet. Only one for which the policy asked about no rights holds for
// others who show the policy the same, or in the next proof: up to the first such question nothing else was read.
func (e *Evaluator) known(h *hook, r *request, key judgeKey) *judgement {
	now, before := &e.judged, &e.judged
	if h.lasting(r) {
		now, before = &e.recall.now.judged, &e.recall.before.judged
	}
	known, found := find(now, before, key)
	if !found && h.reads.authorizer {
		key.reads += h.reads.rightsOf(r)
		known, found = e.judged.Load(key)
	}
	if !found {
		return nil
	}
	return known.(*judgement) //nolint:forcetypeassert // the map holds nothing else
}

// judgementOnce is a judgement that is asked for once in a namespace. It is remembered only where another namespace has shown the same to
// the policy before: what goes by the tenant holds nowhere else, and there may be thousands of tenants.
func (e *Evaluator) judgementOnce(h *hook, r *request, made *stage) *judgement {
	if r.shared() {
		shown := h.shown(r)
		if known := e.known(h, r, judgeKey{h.id, r.target, made.object, made.old, r.Name, shown, r.At}); known != nil {
			return known
		}
		if first, seen := e.readers.LoadOrStore(reader{h, shown + h.reads.rightsOf(r)}, r.Namespace); !seen || first == r.Namespace {
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
	rights := &authorizer{rights: e.rights}
	dispatcher := validating.NewDispatcher(rights, generic.NewPolicyMatcher(e.matcher))
	policy := *h.validating
	if h.paramKind != nil && len(r.Among) > 0 {
		policy.ParamInformer, policy.ParamScope = parametersOf(h.paramKind, append(slices.Clone(e.paramsOf(h.paramKind)), among(r, h.paramKind)...))
	}
	err := dispatcher.Dispatch(background(), r.attributes(object, made.old.in(ns)), e.interfaces, []validating.PolicyHook{policy})
	if err == nil {
		return &judgement{matches: true, asked: rights.asked.Load()}
	}
	return &judgement{matches: true, refuses: true, refusal: wordsOf(err), asked: rights.asked.Load()}
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
