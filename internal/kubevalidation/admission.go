package kubevalidation

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/api/validate/content"
	"k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/admission/plugin/cel"
	"k8s.io/apiserver/pkg/admission/plugin/policy/mutating/patch"
	"k8s.io/apiserver/pkg/admission/plugin/policy/validating"
	"k8s.io/apiserver/pkg/admission/plugin/webhook/matchconditions"
	"k8s.io/apiserver/pkg/cel/environment"
)

// Bounds of Kubernetes' pkg/apis/admissionregistration/validation.
const (
	maxConditions       = 64
	maxAuditAnnotations = 20
	maxAuditExpression  = 5 * 1024
)

// policy checks what both kinds of admission policies have.
type policy struct {
	path     *field.Path
	compiler cel.Compiler
	params   bool
}

// newPolicy returns a policy's checker; variables need a compiler of their own, since it keeps them.
func newPolicy(path *field.Path, kind *admissionv1.ParamKind, composed bool) (*policy, field.ErrorList) {
	p := &policy{path: path, compiler: stateless(), params: kind != nil}
	if !composed {
		return p, nil
	}
	compiler, err := cel.NewCompositedCompiler(environmentOf())
	if err != nil {
		return p, field.ErrorList{field.InternalError(path, err)}
	}
	p.compiler = compiler
	return p, nil
}

func environmentOf() *environment.EnvSet {
	return environment.MustBaseEnvSet(environment.DefaultCompatibilityVersion())
}

var stateless = sync.OnceValue(func() cel.Compiler { return cel.NewCompiler(environmentOf()) })

// validatingPolicy is validateValidatingAdmissionPolicySpec of that package.
func validatingPolicy(object *admissionv1.ValidatingAdmissionPolicy, path *field.Path) field.ErrorList {
	spec := &object.Spec
	p, faults := newPolicy(path, spec.ParamKind, len(spec.Variables) > 0)
	faults = append(faults, p.head(spec.FailurePolicy, spec.ParamKind, spec.MatchConstraints, spec.MatchConditions, spec.Variables)...)
	if len(spec.Validations)+len(spec.AuditAnnotations) == 0 {
		faults = append(faults, field.Required(path.Child("validations"), "validations or auditAnnotations must contain at least one item"))
	}
	for i := range spec.Validations {
		faults = append(faults, p.validation(&spec.Validations[i], path.Child("validations").Index(i))...)
	}
	notes := path.Child("auditAnnotations")
	if len(spec.AuditAnnotations) > maxAuditAnnotations {
		faults = append(faults, field.TooMany(notes, len(spec.AuditAnnotations), maxAuditAnnotations))
	}
	seen := map[string]bool{}
	for i := range spec.AuditAnnotations {
		note, at := &spec.AuditAnnotations[i], notes.Index(i)
		faults = append(faults, invalid(at.Child("key"), note.Key, utilvalidation.IsQualifiedName(object.Name+"/"+note.Key))...)
		if seen[note.Key] {
			faults = append(faults, field.Duplicate(at.Child("key"), note.Key))
		}
		seen[note.Key] = true
		if len(strings.TrimSpace(note.ValueExpression)) > maxAuditExpression {
			faults = append(faults, field.TooLong(at.Child("valueExpression"), "", maxAuditExpression))
			continue
		}
		faults = append(faults, p.compile(&validating.AuditAnnotationCondition{ValueExpression: strings.TrimSpace(note.ValueExpression)}, at.Child("valueExpression"), p.variables())...)
	}
	return faults
}

// mutatingPolicy is validateMutatingAdmissionPolicySpec.
func mutatingPolicy(spec *admissionv1.MutatingAdmissionPolicySpec, path *field.Path) field.ErrorList {
	p, faults := newPolicy(path, spec.ParamKind, true)
	faults = append(faults, p.head(spec.FailurePolicy, spec.ParamKind, spec.MatchConstraints, spec.MatchConditions, spec.Variables)...)
	faults = append(faults, mutable(spec.MatchConstraints, path.Child("matchConstraints"))...)
	if len(spec.Mutations) == 0 {
		faults = append(faults, field.Required(path.Child("mutations"), "mutations must contain at least one item"))
	}
	for i := range spec.Mutations {
		m, at := &spec.Mutations[i], path.Child("mutations").Index(i)
		faults = append(faults, oneOf(at.Child("patchType"), m.PatchType, admissionv1.PatchTypeApplyConfiguration, admissionv1.PatchTypeJSONPatch)...)
		if (m.PatchType == admissionv1.PatchTypeJSONPatch) != (m.JSONPatch != nil) || (m.PatchType == admissionv1.PatchTypeApplyConfiguration) != (m.ApplyConfiguration != nil) {
			faults = append(faults, field.Invalid(at, m.PatchType, "must have the patch of its patchType, and no other"))
		}
		vars := p.variables()
		vars.HasPatchTypes = true
		if m.JSONPatch != nil {
			faults = append(faults, p.compile(&patch.JSONPatchCondition{Expression: strings.TrimSpace(m.JSONPatch.Expression)}, at.Child("jsonPatch", "expression"), vars)...)
		}
		if m.ApplyConfiguration != nil {
			faults = append(faults, p.compile(&patch.ApplyConfigurationCondition{Expression: strings.TrimSpace(m.ApplyConfiguration.Expression)}, at.Child("applyConfiguration", "expression"), vars)...)
		}
	}
	return append(faults, oneOf(path.Child("reinvocationPolicy"), spec.ReinvocationPolicy, admissionv1.NeverReinvocationPolicy, admissionv1.IfNeededReinvocationPolicy)...)
}

func (p *policy) variables() cel.OptionalVariableDeclarations {
	return cel.OptionalVariableDeclarations{HasParams: p.params, HasAuthorizer: true}
}

// head checks everything before a policy's own rules.
func (p *policy) head(failure *admissionv1.FailurePolicyType, params *admissionv1.ParamKind, match *admissionv1.MatchResources,
	conditions []admissionv1.MatchCondition, variables []admissionv1.Variable,
) field.ErrorList {
	var faults field.ErrorList
	if failure == nil {
		faults = append(faults, field.Required(p.path.Child("failurePolicy"), ""))
	} else {
		faults = append(faults, oneOf(p.path.Child("failurePolicy"), *failure, admissionv1.Ignore, admissionv1.Fail)...)
	}
	if params != nil {
		faults = append(faults, paramKind(params, p.path.Child("paramKind"))...)
	}
	if match == nil {
		faults = append(faults, field.Required(p.path.Child("matchConstraints"), ""))
	} else {
		faults = append(faults, matchResources(match, p.path.Child("matchConstraints"))...)
		if len(match.ResourceRules) == 0 {
			faults = append(faults, field.Required(p.path.Child("matchConstraints", "resourceRules"), ""))
		}
	}
	return append(append(faults, p.conditions(conditions, p.path.Child("matchConditions"))...), p.named(variables, p.path.Child("variables"))...)
}

func (p *policy) conditions(list []admissionv1.MatchCondition, path *field.Path) field.ErrorList {
	var faults field.ErrorList
	if len(list) > maxConditions {
		faults = append(faults, field.TooMany(path, len(list), maxConditions))
	}
	alone := policy{compiler: stateless(), params: p.params} // match conditions see no variables
	names := map[string]bool{}
	for i, c := range list {
		at := path.Index(i)
		faults = append(faults, alone.compile(&matchconditions.MatchCondition{Expression: strings.TrimSpace(c.Expression)}, at.Child("expression"), alone.variables())...)
		faults = append(faults, invalid(at.Child("name"), c.Name, utilvalidation.IsQualifiedName(c.Name))...)
		if names[c.Name] {
			faults = append(faults, field.Duplicate(at.Child("name"), c.Name))
		}
		names[c.Name] = true
	}
	return faults
}

var (
	identifier = regexp.MustCompile("^[_a-zA-Z][_a-zA-Z0-9]*$")
	reserved   = []string{
		"true", "false", "null", "in", "as", "break", "const", "continue", "else", "for", "function", "if", "import", "let",
		"loop", "package", "namespace", "return", "var", "void", "while",
	}
)

// named compiles variables, in their order: each sees those before it.
func (p *policy) named(list []admissionv1.Variable, path *field.Path) field.ErrorList {
	var faults field.ErrorList
	for i, v := range list {
		at := path.Index(i)
		if !identifier.MatchString(v.Name) || slices.Contains(reserved, v.Name) {
			faults = append(faults, field.Invalid(at.Child("name"), v.Name, "must be a valid CEL identifier"))
		}
		composed, is := p.compiler.(*cel.CompositedCompiler)
		if strings.TrimSpace(v.Expression) == "" || !is {
			faults = append(faults, field.Required(at.Child("expression"), ""))
			continue
		}
		compiled := composed.CompileAndStoreVariable(&validating.Variable{Name: v.Name, Expression: v.Expression}, p.variables(), environment.NewExpressions)
		if compiled.Error != nil {
			faults = append(faults, field.Invalid(at.Child("expression"), v.Expression, compiled.Error.Detail))
		}
	}
	return faults
}

func (p *policy) validation(v *admissionv1.Validation, path *field.Path) field.ErrorList {
	faults := p.compile(&validating.ValidationCondition{Expression: v.Expression}, path.Child("expression"), p.variables())
	if v.MessageExpression != "" {
		without := cel.OptionalVariableDeclarations{HasParams: p.params}
		faults = append(faults, p.compile(&validating.MessageExpressionCondition{MessageExpression: v.MessageExpression}, path.Child("messageExpression"), without)...)
	}
	if message := strings.TrimSpace(v.Message); v.Message != "" && message == "" || strings.ContainsAny(message, "\r\n") {
		faults = append(faults, field.Invalid(path.Child("message"), v.Message, "must be non-empty if specified, and have no line breaks"))
	}
	if v.Reason != nil {
		faults = append(faults, oneOf(path.Child("reason"), *v.Reason, metav1.StatusReasonForbidden, metav1.StatusReasonInvalid,
			metav1.StatusReasonRequestEntityTooLarge)...)
	}
	return faults
}

// compile compiles one expression as the API server does when a policy is created.
func (p *policy) compile(expression cel.ExpressionAccessor, path *field.Path, vars cel.OptionalVariableDeclarations) field.ErrorList {
	text := expression.GetExpression()
	if strings.TrimSpace(text) == "" {
		return field.ErrorList{field.Required(path, "")}
	}
	if compiled := p.compiler.CompileCELExpression(expression, vars, environment.NewExpressions); compiled.Error != nil {
		return field.ErrorList{field.Invalid(path, text, compiled.Error.Detail)}
	}
	return nil
}

func paramKind(kind *admissionv1.ParamKind, path *field.Path) field.ErrorList {
	var faults field.ErrorList
	gv, err := schema.ParseGroupVersion(kind.APIVersion)
	if err != nil || gv.Version == "" {
		faults = append(faults, field.Invalid(path.Child("apiVersion"), kind.APIVersion, "must be GROUP/VERSION, or VERSION"))
	} else {
		faults = append(faults, invalid(path.Child("apiVersion"), gv.Version, utilvalidation.IsDNS1035Label(gv.Version))...)
		if gv.Group != "" {
			faults = append(faults, invalid(path.Child("apiVersion"), gv.Group, utilvalidation.IsDNS1123Subdomain(gv.Group))...)
		}
	}
	return append(faults, invalid(path.Child("kind"), kind.Kind, utilvalidation.IsDNS1035Label(strings.ToLower(kind.Kind)))...)
}

func matchResources(match *admissionv1.MatchResources, path *field.Path) field.ErrorList {
	if match == nil {
		return nil
	}
	var faults field.ErrorList
	if match.MatchPolicy == nil {
		faults = append(faults, field.Required(path.Child("matchPolicy"), ""))
	} else {
		faults = append(faults, oneOf(path.Child("matchPolicy"), *match.MatchPolicy, admissionv1.Exact, admissionv1.Equivalent)...)
	}
	for name, s := range map[string]*metav1.LabelSelector{"namespaceSelector": match.NamespaceSelector, "objectSelector": match.ObjectSelector} {
		if s == nil {
			faults = append(faults, field.Required(path.Child(name), ""))
			continue
		}
		faults = append(faults, selector(s, path.Child(name))...)
	}
	for i := range match.ResourceRules {
		faults = append(faults, resourceRule(&match.ResourceRules[i], path.Child("resourceRules").Index(i))...)
	}
	for i := range match.ExcludeResourceRules {
		faults = append(faults, resourceRule(&match.ExcludeResourceRules[i], path.Child("excludeResourceRules").Index(i))...)
	}
	return faults
}

// mutable checks that a mutating policy asks for nothing that cannot be mutated: deletions.
func mutable(match *admissionv1.MatchResources, path *field.Path) field.ErrorList {
	var faults field.ErrorList
	if match == nil {
		return nil
	}
	for _, rule := range match.ResourceRules {
		for _, operation := range rule.Operations {
			faults = append(faults, oneOf(path.Child("resourceRules", "operations"), operation, admissionv1.OperationAll, admissionv1.Create, admissionv1.Update, admissionv1.Connect)...)
		}
	}
	return faults
}

func resourceRule(rule *admissionv1.NamedRuleWithOperations, path *field.Path) field.ErrorList {
	var faults field.ErrorList
	for i, name := range rule.ResourceNames {
		faults = append(faults, invalid(path.Child("resourceNames").Index(i), name, content.IsPathSegmentName(name))...)
		if slices.Contains(rule.ResourceNames[:i], name) {
			faults = append(faults, field.Duplicate(path.Child("resourceNames").Index(i), name))
		}
	}
	for i, operation := range rule.Operations {
		faults = append(faults, oneOf(path.Child("operations").Index(i), operation, admissionv1.OperationAll, admissionv1.Create, admissionv1.Update, admissionv1.Delete, admissionv1.Connect)...)
	}
	faults = append(faults, eachOrAll(path.Child("operations"), rule.Operations, false)...)
	faults = append(faults, eachOrAll(path.Child("apiGroups"), rule.APIGroups, true)...)
	faults = append(faults, eachOrAll(path.Child("apiVersions"), rule.APIVersions, false)...)
	if rule.Scope != nil {
		faults = append(faults, oneOf(path.Child("scope"), *rule.Scope, admissionv1.ClusterScope, admissionv1.NamespacedScope, admissionv1.AllScopes)...)
	}
	return append(faults, resources(rule.Resources, path.Child("resources"))...)
}

// eachOrAll checks a list that has each value by name, or * alone.
func eachOrAll[T ~string](path *field.Path, list []T, mayBeEmpty bool) field.ErrorList {
	if len(list) == 0 {
		return field.ErrorList{field.Required(path, "")}
	}
	var faults field.ErrorList
	if len(list) > 1 && slices.Contains(list, "*") {
		faults = append(faults, field.Invalid(path, list, "if '*' is present, must not specify others"))
	}
	if i := slices.Index(list, ""); i >= 0 && !mayBeEmpty {
		faults = append(faults, field.Required(path.Index(i), ""))
	}
	return faults
}

// resources is validateResources: what a wildcard covers is not named next to it.
func resources(list []string, path *field.Path) field.ErrorList {
	if len(list) == 0 {
		return field.ErrorList{field.Required(path, "")}
	}
	var faults field.ErrorList
	whole, parts := map[string]bool{}, map[string]bool{} // of x/*, x; of */x, x
	single := false                                      // the last of the resources without a part is named, not *
	for i, name := range list {
		if name == "" {
			faults = append(faults, field.Required(path.Index(i), ""))
			continue
		}
		resource, part, has := strings.Cut(name, "/")
		if !has {
			single = name != "*"
			continue
		}
		if whole[resource] || parts[part] {
			faults = append(faults, field.Invalid(path.Index(i), name, "a wildcard before it covers it"))
		}
		whole[resource] = whole[resource] || part == "*"
		parts[part] = parts[part] || resource == "*"
	}
	if len(list) > 1 && slices.Contains(list, "*/*") || single && slices.Contains(list, "*") {
		faults = append(faults, field.Invalid(path, list, "if a wildcard is present, must not specify what it covers"))
	}
	return faults
}

func validatingBinding(spec *admissionv1.ValidatingAdmissionPolicyBindingSpec, path *field.Path) field.ErrorList {
	faults := binding(spec.PolicyName, spec.ParamRef, spec.MatchResources, path)
	actions := path.Child("validationActions")
	if len(spec.ValidationActions) == 0 {
		faults = append(faults, field.Required(actions, "at least one validation action is required"))
	}
	for i, action := range spec.ValidationActions {
		faults = append(faults, oneOf(actions.Index(i), action, admissionv1.Deny, admissionv1.Warn, admissionv1.Audit)...)
		if slices.Contains(spec.ValidationActions[:i], action) {
			faults = append(faults, field.Duplicate(actions.Index(i), action))
		}
	}
	if slices.Contains(spec.ValidationActions, admissionv1.Deny) && slices.Contains(spec.ValidationActions, admissionv1.Warn) {
		faults = append(faults, field.Invalid(actions, fmt.Sprint(spec.ValidationActions), "must not contain both Deny and Warn"))
	}
	return faults
}

func mutatingBinding(spec *admissionv1.MutatingAdmissionPolicyBindingSpec, path *field.Path) field.ErrorList {
	return append(binding(spec.PolicyName, spec.ParamRef, spec.MatchResources, path), mutable(spec.MatchResources, path.Child("matchResources"))...)
}

func binding(policyName string, ref *admissionv1.ParamRef, match *admissionv1.MatchResources, path *field.Path) field.ErrorList {
	faults := append(invalid(path.Child("policyName"), policyName, validation.NameIsDNSSubdomain(policyName, false)),
		matchResources(match, path.Child("matchResources"))...)
	if ref == nil {
		return faults
	}
	at := path.Child("paramRef")
	if (ref.Name == "") == (ref.Selector == nil) {
		faults = append(faults, field.Required(at, "one of name or selector must be specified, and only one"))
	}
	if ref.Name != "" {
		faults = append(faults, invalid(at.Child("name"), ref.Name, content.IsPathSegmentName(ref.Name))...)
	}
	if ref.Selector != nil {
		faults = append(faults, selector(ref.Selector, at.Child("selector"))...)
	}
	if ref.ParameterNotFoundAction == nil {
		return append(faults, field.Required(at.Child("parameterNotFoundAction"), ""))
	}
	return append(faults, oneOf(at.Child("parameterNotFoundAction"), *ref.ParameterNotFoundAction, admissionv1.DenyAction, admissionv1.AllowAction)...)
}
