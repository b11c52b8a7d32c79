package kubeadmission

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apiserver/pkg/admission/plugin/cel"
	"k8s.io/apiserver/pkg/admission/plugin/policy/generic"
	"k8s.io/apiserver/pkg/admission/plugin/policy/mutating"
	"k8s.io/apiserver/pkg/admission/plugin/policy/mutating/patch"
	"k8s.io/apiserver/pkg/admission/plugin/policy/validating"
	"k8s.io/apiserver/pkg/admission/plugin/webhook/matchconditions"
	"k8s.io/apiserver/pkg/cel/environment"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/snapshot"
)

// Compiled keeps compiled policies by pointer, so that snapshots that share a policy share its compilation, and what policies said of requests,
// so that the next proof asks only what is new. The zero value is ready. Policies that are gone are dropped by Keep.
type Compiled struct {
	memory memory
	// ids name each policy with its bindings; last is the one that was given last.
	ids  sync.Map // boundPolicy to uint64
	last atomic.Uint64

	validators sync.Map // *ValidatingAdmissionPolicy to validating.Validator
	mutators   sync.Map // *MutatingAdmissionPolicy to mutating.PolicyEvaluator
	reading    sync.Map // either to reads
}

// boundPolicy is a policy, by pointer, with all that its bindings say.
type boundPolicy struct {
	policy   any
	bindings string
}

// idOf returns the id of a policy with its bindings: another one for anything else, in any snapshot.
func idOf[B fmt.Stringer](c *Compiled, policy any, bindings []B) uint64 {
	key := boundPolicy{policy: policy}
	for _, b := range bindings {
		key.bindings += b.String() + "\x00"
	}
	return remember(&c.ids, key, func() uint64 { return c.last.Add(1) })
}

// hook is a policy with its bindings.
type hook struct {
	id            uint64
	name, control string
	object        snapshot.Ref
	constraints   *admissionv1.MatchResources
	// bound are the match resources of the bindings; nil for one without any.
	bound []*admissionv1.MatchResources
	reads reads
	// paramKinds whose objects the policy reads.
	paramKind *admissionv1.ParamKind

	validating *validating.PolicyHook
	mutating   *mutating.PolicyHook
}

// validationHooks are the validating policies that are bound; the others judge nothing.
func (e *Evaluator) validationHooks(compiled *Compiled) []*hook {
	bindings := map[string][]*admissionv1.ValidatingAdmissionPolicyBinding{}
	for _, b := range e.snapshot.ValidatingBindings {
		bindings[b.Spec.PolicyName] = append(bindings[b.Spec.PolicyName], b)
	}
	var hooks []*hook
	for _, p := range e.snapshot.ValidatingPolicies {
		bound := bindings[p.Name]
		if len(bound) == 0 {
			continue
		}
		h := &hook{name: p.Name, control: p.Labels[v1alpha1.LabelControl], constraints: p.Spec.MatchConstraints,
			object: snapshot.Ref{Kind: "ValidatingAdmissionPolicy", Name: p.Name}, paramKind: p.Spec.ParamKind,
			validating: &validating.PolicyHook{Policy: p, Bindings: bound, Evaluator: compiled.validator(p)}}
		specs := make([]*admissionv1.ValidatingAdmissionPolicyBindingSpec, len(bound))
		for i, b := range bound {
			h.bound = append(h.bound, b.Spec.MatchResources)
			specs[i] = &b.Spec
		}
		h.id = idOf(compiled, p, specs)
		h.validating.ParamInformer, h.validating.ParamScope = e.parameters(p.Spec.ParamKind)
		h.reads = remember(&compiled.reading, p, func() reads { return readsOfValidating(p) })
		hooks = append(hooks, h)
	}
	return hooks
}

func (e *Evaluator) mutationHooks(compiled *Compiled) []*hook {
	bindings := map[string][]*admissionv1.MutatingAdmissionPolicyBinding{}
	for _, b := range e.snapshot.MutatingBindings {
		bindings[b.Spec.PolicyName] = append(bindings[b.Spec.PolicyName], b)
	}
	var hooks []*hook
	for _, p := range e.snapshot.MutatingPolicies {
		bound := bindings[p.Name]
		if len(bound) == 0 {
			continue
		}
		h := &hook{name: p.Name, control: p.Labels[v1alpha1.LabelControl], constraints: p.Spec.MatchConstraints,
			object: snapshot.Ref{Kind: "MutatingAdmissionPolicy", Name: p.Name}, paramKind: p.Spec.ParamKind,
			mutating: &mutating.PolicyHook{Policy: p, Bindings: bound, Evaluator: compiled.mutator(p)}}
		specs := make([]*admissionv1.MutatingAdmissionPolicyBindingSpec, len(bound))
		for i, b := range bound {
			h.bound = append(h.bound, b.Spec.MatchResources)
			specs[i] = &b.Spec
		}
		h.id = idOf(compiled, p, specs)
		h.mutating.ParamInformer, h.mutating.ParamScope = e.parameters(p.Spec.ParamKind)
		h.reads = remember(&compiled.reading, p, func() reads { return readsOfMutating(p) })
		hooks = append(hooks, h)
	}
	return hooks
}

// remember returns what was computed for a key before, or computes it.
func remember[T any](m *sync.Map, key any, compute func() T) T {
	if v, found := m.Load(key); found {
		if known, is := v.(T); is {
			return known
		}
	}
	v := compute()
	m.Store(key, v)
	return v
}

// Keep forgets the policies that a snapshot does not have.
func (c *Compiled) Keep(s *snapshot.Snapshot) {
	has := make(map[any]bool, len(s.ValidatingPolicies)+len(s.MutatingPolicies))
	for _, p := range s.ValidatingPolicies {
		has[p] = true
	}
	for _, p := range s.MutatingPolicies {
		has[p] = true
	}
	for _, m := range []*sync.Map{&c.validators, &c.mutators, &c.reading} {
		m.Range(func(policy, _ any) bool {
			if !has[policy] {
				m.Delete(policy)
			}
			return true
		})
	}
	c.ids.Range(func(key, _ any) bool {
		if bound, is := key.(boundPolicy); !is || !has[bound.policy] {
			c.ids.Delete(key)
		}
		return true
	})
}

func (c *Compiled) validator(p *admissionv1.ValidatingAdmissionPolicy) validating.Validator {
	return remember(&c.validators, p, func() validating.Validator { return compileValidating(p) })
}

func (c *Compiled) mutator(p *admissionv1.MutatingAdmissionPolicy) mutating.PolicyEvaluator {
	return remember(&c.mutators, p, func() mutating.PolicyEvaluator { return compileMutating(p) })
}

// environmentOf is where expressions are compiled: as in an API server of the version that this is built from.
func environmentOf() *environment.EnvSet {
	return environment.MustBaseEnvSet(environment.DefaultCompatibilityVersion())
}

func compileValidating(p *admissionv1.ValidatingAdmissionPolicy) validating.Validator {
	with := cel.OptionalVariableDeclarations{HasParams: p.Spec.ParamKind != nil, HasAuthorizer: true}
	without := cel.OptionalVariableDeclarations{HasParams: p.Spec.ParamKind != nil}
	compiler, err := cel.NewCompositedCompiler(environmentOf())
	if err != nil {
		return validating.NewValidator(nil, nil, nil, nil, p.Spec.FailurePolicy, err)
	}
	compiler.CompileAndStoreVariables(variablesOf(p.Spec.Variables), with, environment.StoredExpressions)
	checks := make([]cel.ExpressionAccessor, len(p.Spec.Validations))
	messages := make([]cel.ExpressionAccessor, len(p.Spec.Validations))
	for i, v := range p.Spec.Validations {
		checks[i] = &validating.ValidationCondition{Expression: v.Expression, Message: v.Message, Reason: v.Reason}
		if v.MessageExpression != "" {
			messages[i] = &validating.MessageExpressionCondition{MessageExpression: v.MessageExpression}
		}
	}
	notes := make([]cel.ExpressionAccessor, len(p.Spec.AuditAnnotations))
	for i, a := range p.Spec.AuditAnnotations {
		notes[i] = &validating.AuditAnnotationCondition{Key: a.Key, ValueExpression: a.ValueExpression}
	}
	compile := func(list []cel.ExpressionAccessor, vars cel.OptionalVariableDeclarations) cel.ConditionEvaluator {
		return compiler.CompileCondition(list, vars, environment.StoredExpressions)
	}
	matcher := conditions(compiler, p.Spec.MatchConditions, with, p.Spec.FailurePolicy, p.Name)
	return validating.NewValidator(compile(checks, with), matcher, compile(notes, with), compile(messages, without), p.Spec.FailurePolicy, nil)
}

func compileMutating(p *admissionv1.MutatingAdmissionPolicy) mutating.PolicyEvaluator {
	vars := cel.OptionalVariableDeclarations{HasParams: p.Spec.ParamKind != nil, HasAuthorizer: true}
	compiler, err := cel.NewCompositedCompiler(environmentOf())
	if err != nil {
		return mutating.PolicyEvaluator{Error: err}
	}
	compiler.CompileAndStoreVariables(variablesOf(p.Spec.Variables), vars, environment.StoredExpressions)
	matcher := conditions(compiler, p.Spec.MatchConditions, vars, p.Spec.FailurePolicy, p.Name)
	vars.HasPatchTypes = true
	patchers := make([]patch.Patcher, 0, len(p.Spec.Mutations))
	for _, m := range p.Spec.Mutations {
		switch {
		case m.PatchType == admissionv1.PatchTypeJSONPatch && m.JSONPatch != nil:
			patchers = append(patchers, patch.NewJSONPatcher(compiler.CompileMutatingEvaluator(
				&patch.JSONPatchCondition{Expression: m.JSONPatch.Expression}, vars, environment.StoredExpressions)))
		case m.PatchType == admissionv1.PatchTypeApplyConfiguration && m.ApplyConfiguration != nil:
			patchers = append(patchers, patch.NewApplyConfigurationPatcher(compiler.CompileMutatingEvaluator(
				&patch.ApplyConfigurationCondition{Expression: m.ApplyConfiguration.Expression}, vars, environment.StoredExpressions)))
		}
	}
	return mutating.PolicyEvaluator{Matcher: matcher, Mutators: patchers, CompositedCompiler: compiler}
}

func conditions(compiler *cel.CompositedCompiler, list []admissionv1.MatchCondition, vars cel.OptionalVariableDeclarations,
	failure *admissionv1.FailurePolicyType, name string,
) matchconditions.Matcher {
	if len(list) == 0 {
		return nil
	}
	accessors := make([]cel.ExpressionAccessor, len(list))
	for i := range list {
		accessors[i] = (*matchconditions.MatchCondition)(&list[i])
	}
	compiled := compiler.CompileCondition(accessors, vars, environment.StoredExpressions)
	return matchconditions.NewMatcher(compiled, failure, "policy", "validate", name)
}

func variablesOf(list []admissionv1.Variable) []cel.NamedExpressionAccessor {
	named := make([]cel.NamedExpressionAccessor, len(list))
	for i, v := range list {
		named[i] = &validating.Variable{Name: v.Name, Expression: v.Expression}
	}
	return named
}

// candidates of a target: the policies whose resource rules may match it. The API server's matcher has the last word.
type candidates struct{ mutations, validations []*hook }

func (e *Evaluator) candidates(t target) *candidates {
	if known, found := e.relevant.Load(t); found {
		return known.(*candidates) //nolint:forcetypeassert // the map holds nothing else
	}
	c := &candidates{}
	if !excluded(t.group, t.resource) {
		for _, h := range e.mutations {
			if t.operation != "DELETE" && mayMatch(h.constraints, &t) {
				c.mutations = append(c.mutations, h)
			}
		}
		for _, h := range e.validations {
			if mayMatch(h.constraints, &t) {
				c.validations = append(c.validations, h)
			}
		}
	}
	e.relevant.Store(t, c)
	return c
}

// excluded from all admission policies: reviews, and the policies themselves, lest they lock themselves.
func excluded(group, resource string) bool {
	switch group {
	case "authentication.k8s.io":
		return resource == "selfsubjectreviews" || resource == "tokenreviews"
	case "authorization.k8s.io":
		return true
	case admissionv1.GroupName:
		return strings.HasPrefix(resource, "validatingadmissionpolic") || strings.HasPrefix(resource, "mutatingadmissionpolic")
	}
	return false
}

// mayMatch is false only where no rule can match: other groups and versions may be equivalent, so only resources and
// operations are looked at.
func mayMatch(m *admissionv1.MatchResources, t *target) bool {
	if m == nil || len(m.ResourceRules) == 0 {
		return true // wrong, or everything: the matcher says which
	}
	whole := t.resource
	if t.subresource != "" {
		whole += "/" + t.subresource
	}
	return slices.ContainsFunc(m.ResourceRules, func(r admissionv1.NamedRuleWithOperations) bool {
		operation := slices.ContainsFunc(r.Operations, func(o admissionv1.OperationType) bool {
			return o == admissionv1.OperationAll || string(o) == t.operation
		})
		return operation && slices.ContainsFunc(r.Resources, func(pattern string) bool {
			resource, sub, _ := strings.Cut(pattern, "/")
			return pattern == whole || (resource == "*" || resource == t.resource) && (sub == "*" || sub == t.subresource) || pattern == "*/*"
		})
	})
}

// lasting reports whether what the policy says of a request goes by nothing but what its reads are of it, so that it holds in another proof.
func (h *hook) lasting(r *request) bool {
	return h.paramKind == nil && !h.reads.everything && (!h.reads.created || r.Operation != "CREATE" || !r.At.IsZero())
}

// selected reports whether the policy and one of its bindings select the namespace of the request. True also where that
// cannot be said here: then the matcher says it.
func (h *hook) selected(r *request) bool { return h.selection(r) != "" }

// selection names the bindings that select the namespace of the request, since one may refuse what another only notes; empty where none does,
// or the policy itself does not.
func (h *hook) selection(r *request) string {
	if r.Namespace == "" || r.isNamespace() {
		return "all"
	}
	return remember(&r.space.selected, h, func() string {
		set := labels.Set(r.space.object.Labels)
		if !selects(h.constraints, set) {
			return ""
		}
		var bindings []string
		for i, m := range h.bound {
			if selects(m, set) {
				bindings = append(bindings, strconv.Itoa(i))
			}
		}
		return strings.Join(bindings, ",")
	})
}

// shown is all that a request shows to the policy beyond its object, but rights: equal ones give equal answers.
func (h *hook) shown(r *request) string { return h.selection(r) + "\x00" + h.reads.of(r) }

func selects(m *admissionv1.MatchResources, set labels.Set) bool {
	if m == nil || m.NamespaceSelector == nil {
		return true
	}
	selector, err := metav1.LabelSelectorAsSelector(m.NamespaceSelector)
	return err != nil || selector.Matches(set)
}

// matches says by the API server's matcher whether the policy and one of its bindings match a request.
func (e *Evaluator) matches(h *hook, r *request, object, old *content) bool {
	attributes := r.attributes(object.in(r.namespaceOfObject()), old.in(r.namespaceOfObject()))
	matcher := generic.NewPolicyMatcher(e.matcher)
	var policy generic.PolicyAccessor
	if h.validating != nil {
		policy = validating.NewValidatingAdmissionPolicyAccessor(h.validating.Policy)
	} else {
		policy = mutating.NewMutatingAdmissionPolicyAccessor(h.mutating.Policy)
	}
	matches, _, _, err := matcher.DefinitionMatches(attributes, e.interfaces, policy)
	if err != nil {
		return true // a policy that is wrong matches as far as it can be seen
	}
	if !matches {
		return false
	}
	if h.validating != nil {
		return slices.ContainsFunc(h.validating.Bindings, func(b *validating.PolicyBinding) bool {
			bound, err := matcher.BindingMatches(attributes, e.interfaces, validating.NewValidatingAdmissionPolicyBindingAccessor(b))
			return bound || err != nil
		})
	}
	return slices.ContainsFunc(h.mutating.Bindings, func(b *mutating.PolicyBinding) bool {
		bound, err := matcher.BindingMatches(attributes, e.interfaces, mutating.NewMutatingAdmissionPolicyBindingAccessor(b))
		return bound || err != nil
	})
}

// selectsObject reports whether the object selectors match an object as it is sent. True where that cannot be said here.
func (h *hook) selectsObject(r *request) bool {
	return selectsEither(h.constraints, r) && slices.ContainsFunc(h.bound, func(m *admissionv1.MatchResources) bool { return selectsEither(m, r) })
}

func selectsEither(m *admissionv1.MatchResources, r *request) bool {
	if m == nil || m.ObjectSelector == nil || len(m.ObjectSelector.MatchLabels)+len(m.ObjectSelector.MatchExpressions) == 0 {
		return true
	}
	selector, err := metav1.LabelSelectorAsSelector(m.ObjectSelector)
	if err != nil {
		return true
	}
	return r.Object != nil && selector.Matches(labels.Set(metaOf(r.Object).GetLabels())) ||
		r.OldObject != nil && selector.Matches(labels.Set(metaOf(r.OldObject).GetLabels()))
}
