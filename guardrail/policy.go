package guardrail

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
)

// annotationDescription is the well-known annotation for people who read an object.
const annotationDescription = "kubernetes.io/description"

// Policies renders the admission policies of all controls, each followed by its one binding, in an order that depends
// on nothing. Lists of the platform are written into the policies' text; what differs from Space to Space is read from
// labels and annotations of its namespace while a request is judged. Without a Platform nothing is on any allow-list.
//
// What exists is left alone: an update is judged only when it changes what a policy is about; of a pod, only what the
// update adds. Whatever makes pods is judged with them, so that people learn at once what its pods would run into.
//
// The API server learns of policies by a watch and compiles them once a second: after the first installation they are in
// force some two seconds after they were written.
func Policies(p *v1alpha1.Platform) []Object {
	var spec v1alpha1.PlatformSpec
	if p != nil {
		spec = p.Spec
	}
	var mutating, validating []Object
	for i := range registry {
		mutating = append(mutating, registry[i].mutating(&spec)...)
		validating = append(validating, registry[i].validating(&spec)...)
	}
	return append(mutating, validating...)
}

// validation is a ValidatingAdmissionPolicy with its binding.
type validation struct {
	name, about string
	match       match
	variables   []admissionv1.Variable
	checks      []check
	audit       []admissionv1.AuditAnnotation
	// others is the kind of object next to which the checks judge: each of those in the object's namespace is params once. Nil for none.
	others *admissionv1.ParamKind
	// behind is, of a policy that no case of package hostile reaches, what refuses tenants before it. Tests of e2e/policy send
	// it requests of others.
	behind string
}

// check is one rule of a validation.
type check struct {
	// expression is true when the request is fine.
	expression string
	// message is an expression of what is wrong and what to change. The API server evaluates it also when nothing is
	// wrong, so it must be cheap then.
	message string
	// fallback is said when the message cannot be evaluated, or comes out longer than the API server passes on.
	fallback string
	reason   metav1.StatusReason
}

// mutation is a MutatingAdmissionPolicy with its binding. Its one patch is a list of JSON patch operations: the fields
// concerned are mostly atomic lists and maps, which an apply configuration cannot change.
type mutation struct {
	name, about string
	match       match
	variables   []admissionv1.Variable
	patch       string
}

// match names which requests a policy judges: by resource, by the object's and its namespace's labels, by conditions.
type match struct {
	rules, except []admissionv1.NamedRuleWithOperations
	objects       *metav1.LabelSelector
	namespaces    *metav1.LabelSelector
	conditions    []admissionv1.MatchCondition
}

func (v *validation) policy(control string) Object {
	failure := admissionv1.Fail
	if len(v.checks) == 0 {
		failure = admissionv1.Ignore
	}
	o := &admissionv1.ValidatingAdmissionPolicy{
		TypeMeta:   admissionType("ValidatingAdmissionPolicy"),
		ObjectMeta: policyMeta(v.name, control, v.about),
		Spec: admissionv1.ValidatingAdmissionPolicySpec{
			FailurePolicy:    &failure,
			ParamKind:        v.others,
			MatchConstraints: v.match.constraints(),
			MatchConditions:  v.match.conditions,
			Variables:        v.variables,
			AuditAnnotations: v.audit,
		},
	}
	for _, c := range v.checks {
		o.Spec.Validations = append(o.Spec.Validations, admissionv1.Validation{
			Expression:        c.expression,
			Message:           control + ": " + c.fallback,
			MessageExpression: celString(control+": ") + " + " + c.message,
			Reason:            ptrTo(c.reason),
		})
	}
	return o
}

func (v *validation) binding(control string) Object {
	var all *admissionv1.ParamRef
	if v.others != nil {
		all = &admissionv1.ParamRef{Selector: &metav1.LabelSelector{}, ParameterNotFoundAction: ptrTo(admissionv1.AllowAction)}
	}
	return &admissionv1.ValidatingAdmissionPolicyBinding{
		TypeMeta:   admissionType("ValidatingAdmissionPolicyBinding"),
		ObjectMeta: policyMeta(v.name, control, v.about),
		Spec: admissionv1.ValidatingAdmissionPolicyBindingSpec{
			PolicyName:     v1alpha1.PolicyPrefix + v.name,
			ParamRef:       all,
			MatchResources: v.match.spaces(),
			// Audit writes what was refused, and by which policy, into the audit event.
			ValidationActions: []admissionv1.ValidationAction{admissionv1.Deny, admissionv1.Audit},
		},
	}
}

func (m *mutation) policy(control string) Object {
	return &admissionv1.MutatingAdmissionPolicy{
		TypeMeta:   admissionType("MutatingAdmissionPolicy"),
		ObjectMeta: policyMeta(m.name, control, m.about),
		Spec: admissionv1.MutatingAdmissionPolicySpec{
			FailurePolicy:      ptrTo(admissionv1.Fail),
			MatchConstraints:   m.match.constraints(),
			MatchConditions:    m.match.conditions,
			Variables:          m.variables,
			ReinvocationPolicy: admissionv1.IfNeededReinvocationPolicy,
			Mutations: []admissionv1.Mutation{{
				PatchType: admissionv1.PatchTypeJSONPatch,
				JSONPatch: &admissionv1.JSONPatch{Expression: m.patch},
			}},
		},
	}
}

func (m *mutation) binding(control string) Object {
	return &admissionv1.MutatingAdmissionPolicyBinding{
		TypeMeta:   admissionType("MutatingAdmissionPolicyBinding"),
		ObjectMeta: policyMeta(m.name, control, m.about),
		Spec: admissionv1.MutatingAdmissionPolicyBindingSpec{
			PolicyName:     v1alpha1.PolicyPrefix + m.name,
			MatchResources: m.match.spaces(),
		},
	}
}

func (m *match) constraints() *admissionv1.MatchResources {
	return &admissionv1.MatchResources{
		NamespaceSelector:    &metav1.LabelSelector{},
		ObjectSelector:       orEmpty(m.objects),
		ResourceRules:        m.rules,
		ExcludeResourceRules: m.except,
		MatchPolicy:          ptrTo(admissionv1.Equivalent),
	}
}

func (m *match) spaces() *admissionv1.MatchResources {
	return &admissionv1.MatchResources{
		NamespaceSelector: orEmpty(m.namespaces),
		ObjectSelector:    &metav1.LabelSelector{},
		MatchPolicy:       ptrTo(admissionv1.Equivalent),
	}
}

func admissionType(kind string) metav1.TypeMeta {
	return metav1.TypeMeta{APIVersion: admissionv1.SchemeGroupVersion.String(), Kind: kind}
}

func policyMeta(name, control, about string) metav1.ObjectMeta {
	return metav1.ObjectMeta{
		Name:        v1alpha1.PolicyPrefix + name,
		Labels:      map[string]string{v1alpha1.LabelManagedBy: v1alpha1.ManagedBy, v1alpha1.LabelControl: control},
		Annotations: map[string]string{annotationDescription: about},
	}
}

func orEmpty(s *metav1.LabelSelector) *metav1.LabelSelector {
	if s == nil {
		return &metav1.LabelSelector{}
	}
	return s
}

func ptrTo[T any](v T) *T { return &v }

// Operations that rules match.
const (
	onCreate  = admissionv1.Create
	onUpdate  = admissionv1.Update
	onDelete  = admissionv1.Delete
	onConnect = admissionv1.Connect
)

// on is a rule for resources of one group (* for all), in all versions.
func on(group string, resources []string, operations ...admissionv1.OperationType) admissionv1.NamedRuleWithOperations {
	return admissionv1.NamedRuleWithOperations{RuleWithOperations: admissionv1.RuleWithOperations{
		Operations: operations,
		Rule: admissionv1.Rule{
			APIGroups: []string{group}, APIVersions: []string{"*"}, Resources: resources,
			Scope: ptrTo(admissionv1.AllScopes),
		},
	}}
}

// anyPodSpec matches pods and everything that makes pods from a template. The subresource pods/resize is left out: it
// can change nothing but resources, which quota judges.
func anyPodSpec() []admissionv1.NamedRuleWithOperations {
	return []admissionv1.NamedRuleWithOperations{
		on("", []string{"pods", "pods/ephemeralcontainers", "podtemplates", "replicationcontrollers"}, onCreate, onUpdate),
		on("apps", []string{"daemonsets", "deployments", "replicasets", "statefulsets"}, onCreate, onUpdate),
		on("batch", []string{"cronjobs", "jobs"}, onCreate, onUpdate),
	}
}

// inSpaces selects the namespaces of Spaces.
func inSpaces() *metav1.LabelSelector { return labelled(v1alpha1.LabelPattern) }

// ofTenants selects the namespaces of Spaces and tenants' home namespaces.
func ofTenants() *metav1.LabelSelector { return labelled(v1alpha1.LabelTenant) }

// labelled selects what carries a label, whatever its value.
func labelled(key string) *metav1.LabelSelector {
	return &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{
		{Key: key, Operator: metav1.LabelSelectorOpExists},
	}}
}

// outsideOwnNamespace leaves out the namespace in which Bulkhead itself runs: no tenant has a right there, and the
// controllers that run its Deployment must work.
func outsideOwnNamespace() *metav1.LabelSelector {
	return &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{
		Key: "kubernetes.io/metadata.name", Operator: metav1.LabelSelectorOpNotIn,
		Values: []string{v1alpha1.SystemNamespace},
	}}}
}

// celPodSpec finds the pod spec in any of the kinds of anyPodSpec.
func celPodSpec(object string) string {
	return strings.ReplaceAll(`(OBJ.kind == 'Pod' ? dyn(OBJ).spec :
 OBJ.kind == 'CronJob' ? dyn(OBJ).spec.jobTemplate.spec.template.spec :
 OBJ.kind == 'PodTemplate' ? dyn(OBJ).template.spec : dyn(OBJ).spec.template.spec)`, "OBJ", object)
}

// podSpecChanged is podSpecIsNew for a pod spec that is within the bounds of one: podBounds refuses any other, and spares all
// policies the work.
func podSpecChanged() []admissionv1.MatchCondition {
	return append(podSpecIsNew(), admissionv1.MatchCondition{Name: "within-bounds", Expression: withinBounds()})
}

// podSpecIsNew keeps updates that leave the pod spec alone, such as those of controllers, out of a policy.
func podSpecIsNew() []admissionv1.MatchCondition {
	return []admissionv1.MatchCondition{{
		Name:       "pod-spec-is-new",
		Expression: "oldObject == null || " + celPodSpec("object") + " != " + celPodSpec("oldObject"),
	}}
}

// podSpecWith is podSpecChanged for pod specs that concern a policy at all. It is an expression with POD for the pod spec,
// and is there for speed: a condition costs a third of the policy that it leaves out.
func podSpecWith(what, expression string) []admissionv1.MatchCondition {
	return append(podSpecChanged(), admissionv1.MatchCondition{
		Name: "with-" + what, Expression: strings.ReplaceAll(expression, "POD", celPodSpec("object")),
	})
}

// specChanged keeps updates that leave the spec alone out of a policy.
func specChanged() []admissionv1.MatchCondition {
	return []admissionv1.MatchCondition{{
		Name: "spec-is-new", Expression: "oldObject == null || dyn(object).spec != dyn(oldObject).spec",
	}}
}

// podVariables are variables that policies on pod specs share: pod and old (empty at creation), and what is asked for.
func podVariables(more ...admissionv1.Variable) []admissionv1.Variable {
	return append([]admissionv1.Variable{
		let("pod", celPodSpec("object")),
		let("old", "oldObject == null ? dyn({}) : "+celPodSpec("oldObject")),
	}, more...)
}

// containerVariables adds every container of the pod, and those that it had before.
func containerVariables(more ...admissionv1.Variable) []admissionv1.Variable {
	const all = `variables.POD.?containers.orValue([]) + variables.POD.?initContainers.orValue([]) +
 variables.POD.?ephemeralContainers.orValue([])`
	return podVariables(append([]admissionv1.Variable{
		let("containers", strings.ReplaceAll(all, "POD", "pod")),
		let("oldContainers", strings.ReplaceAll(all, "POD", "old")),
	}, more...)...)
}

// waived is true where a Waiver suspends the control. The namespace carries its expiry, and the API server's own clock,
// which set the creation time of the object that is judged, ends it, whether or not Bulkhead runs. An update has no
// such clock. So a waiver counts for creations, and for templates, whose pods are judged again when they are created.
func waived(control string) admissionv1.Variable {
	key := celString(v1alpha1.WaiverPrefix + control)
	return let("waived", `namespaceObject.metadata.?annotations[?`+key+`].hasValue() &&
 (request.operation == 'CREATE' ?
  timestamp(object.metadata.creationTimestamp) < timestamp(namespaceObject.metadata.annotations[`+key+`]) :
  object.kind in ['CronJob', 'DaemonSet', 'Deployment', 'Job', 'PodTemplate', 'ReplicaSet', 'ReplicationController', 'StatefulSet'])`)
}

// notWaived lets a mutation stand back where a Waiver is noted, in force or not: the validation next to it decides.
func notWaived(control string) string {
	return "!namespaceObject.metadata.?annotations[?" + celString(v1alpha1.WaiverPrefix+control) + "].hasValue()"
}

// tenantName is the tenant whose namespace the request is about.
func tenantName() admissionv1.Variable {
	return let("tenant", "namespaceObject.metadata.labels["+celString(v1alpha1.LabelTenant)+"]")
}

// celNamespaceLabel reads a label of the namespace; empty when it is not there.
func celNamespaceLabel(key string) string {
	return "namespaceObject.metadata.?labels[?" + celString(key) + "].orValue('')"
}

// celMayChange asks the authorizer whether the user may change what Bulkhead manages.
func celMayChange() string {
	return fmt.Sprintf("authorizer.group(%s).resource(%s).check(%s).allowed()",
		celString(v1alpha1.GroupVersion.Group), celString(v1alpha1.ResourceGuardrails), celString(v1alpha1.VerbChange))
}

// celIsBulkhead is true for Bulkhead itself.
func celIsBulkhead() string {
	return fmt.Sprintf("(request.userInfo.username == %s || %s in request.userInfo.?groups.orValue([]))",
		celString(v1alpha1.ControllerUser), celString(v1alpha1.ControllerGroup))
}

// celController is true for a controller of kube-controller-manager, with or without a service account of its own.
func celController(name string) string {
	return fmt.Sprintf("request.userInfo.username in ['system:kube-controller-manager', %s]",
		celString("system:serviceaccount:kube-system:"+name))
}

func let(name, expression string) admissionv1.Variable {
	return admissionv1.Variable{Name: name, Expression: expression}
}

// celString quotes a string for CEL. Go's ASCII quoting is a subset of CEL's.
func celString(s string) string { return strconv.QuoteToASCII(s) }

// celList is a list of strings in CEL.
func celList(values []string) string {
	quoted := make([]string, len(values))
	for i, v := range values {
		quoted[i] = celString(v)
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}

// leaveOut is the text for a field that may be left out, or have what a list allows.
func leaveOut(field string, values []string) string {
	if len(values) == 0 {
		return "leave it out: " + oneOf(field, values)
	}
	return "leave it out, or " + oneOf(field, values)
}

// oneOf is the text for what a list allows. Long lists are cut: the API server passes on messages of at most 5 KiB, in
// which it wants no line breaks.
func oneOf(field string, values []string) string {
	const most = 8
	values = slices.Clone(values)
	for i, v := range values {
		values[i] = strings.Map(func(r rune) rune {
			if r < ' ' || r > '~' {
				return '?'
			}
			return r
		}, v)
	}
	switch {
	case len(values) == 0:
		return "the platform allows none (Platform, spec." + field + "): ask the platform team"
	case len(values) > most:
		return fmt.Sprintf("use one of %s, or of %d more (Platform, spec.%s)",
			strings.Join(values[:most], ", "), len(values)-most, field)
	default:
		return "use one of " + strings.Join(values, ", ")
	}
}
