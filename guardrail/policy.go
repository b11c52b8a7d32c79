package guardrail

import (
	admissionv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
)

// LabelControl is, on every admission policy and its binding, the id of the control that it enforces. A refusal names
// the policy, and so the control.
const LabelControl = v1alpha1.LabelControl

// Who Bulkhead is, as the API server authenticates it. Some things nobody else may do, not even a cluster-admin: to
// delete a tenant's namespace behind the back of the Space that it belongs to.
const (
	// ControllerUser is Bulkhead inside the cluster: its service account.
	ControllerUser = v1alpha1.ControllerUser
	// ControllerGroup is Bulkhead outside of the cluster: the group (organisation) in its client certificate.
	ControllerGroup = v1alpha1.ControllerGroup
)

// AnnotationAllowDeletion with the value "true", on one of Bulkhead's CustomResourceDefinitions, lets it be deleted.
const AnnotationAllowDeletion = "bulkhead.dev/allow-deletion"

// policyPrefix begins the names of all admission policies, so that they stand together in a list.
const policyPrefix = v1alpha1.PolicyPrefix

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
	var objects []Object
	for _, m := range mutations() {
		objects = append(objects, m.policy(), m.binding())
	}
	for _, v := range validations(&spec) {
		objects = append(objects, v.policy(), v.binding())
	}
	return objects
}

// mutations are the policies that complete what people write, so that a harmless manifest passes as it is.
func mutations() []mutation {
	return []mutation{
		pullAlways(), setRuntime(), placePods(), withholdTokens(), markAudiences(), recordChanger(),
	}
}

// validations are the policies that refuse.
func validations(s *v1alpha1.PlatformSpec) []validation {
	return []validation{
		images(s), priority(s), scheduling(s), runtimes(s), tokenPods(), tokenCredentials(), nodeAffinity(),
		services(), endpoints(), ingresses(), ownNetworkPolicies(), claims(s), volumes(), roleBindings(),
		managedObjects(), ownedLabels(), managedNamespaces(), protectedTenants(), futureWaivers(), definitions(), lapsedPodSecurity(), audit(),
	}
}

// validation is a ValidatingAdmissionPolicy with its binding.
type validation struct {
	name, control, about string
	match                match
	variables            []admissionv1.Variable
	checks               []check
	audit                []admissionv1.AuditAnnotation
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
	name, control, about string
	match                match
	variables            []admissionv1.Variable
	patch                string
}

// match says which requests a policy judges: by resource, by the object's and its namespace's labels, by conditions.
type match struct {
	rules, except []admissionv1.NamedRuleWithOperations
	objects       *metav1.LabelSelector
	namespaces    *metav1.LabelSelector
	conditions    []admissionv1.MatchCondition
}

func (v *validation) policy() Object {
	failure := admissionv1.Fail
	if len(v.checks) == 0 {
		failure = admissionv1.Ignore
	}
	o := &admissionv1.ValidatingAdmissionPolicy{
		TypeMeta:   admissionType("ValidatingAdmissionPolicy"),
		ObjectMeta: policyMeta(v.name, v.control, v.about),
		Spec: admissionv1.ValidatingAdmissionPolicySpec{
			FailurePolicy:    &failure,
			MatchConstraints: v.match.constraints(),
			MatchConditions:  v.match.conditions,
			Variables:        v.variables,
			AuditAnnotations: v.audit,
		},
	}
	for _, c := range v.checks {
		o.Spec.Validations = append(o.Spec.Validations, admissionv1.Validation{
			Expression:        c.expression,
			Message:           v.control + ": " + c.fallback,
			MessageExpression: celString(v.control+": ") + " + " + c.message,
			Reason:            ptrTo(c.reason),
		})
	}
	return o
}

func (v *validation) binding() Object {
	return &admissionv1.ValidatingAdmissionPolicyBinding{
		TypeMeta:   admissionType("ValidatingAdmissionPolicyBinding"),
		ObjectMeta: policyMeta(v.name, v.control, v.about),
		Spec: admissionv1.ValidatingAdmissionPolicyBindingSpec{
			PolicyName:     policyPrefix + v.name,
			MatchResources: v.match.spaces(),
			// Audit writes what was refused, and by which policy, into the audit event.
			ValidationActions: []admissionv1.ValidationAction{admissionv1.Deny, admissionv1.Audit},
		},
	}
}

func (m *mutation) policy() Object {
	return &admissionv1.MutatingAdmissionPolicy{
		TypeMeta:   admissionType("MutatingAdmissionPolicy"),
		ObjectMeta: policyMeta(m.name, m.control, m.about),
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

func (m *mutation) binding() Object {
	return &admissionv1.MutatingAdmissionPolicyBinding{
		TypeMeta:   admissionType("MutatingAdmissionPolicyBinding"),
		ObjectMeta: policyMeta(m.name, m.control, m.about),
		Spec: admissionv1.MutatingAdmissionPolicyBindingSpec{
			PolicyName:     policyPrefix + m.name,
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
		Name:        policyPrefix + name,
		Labels:      map[string]string{v1alpha1.LabelManagedBy: v1alpha1.ManagedBy, LabelControl: control},
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
