// Package kubevalidation returns for which reasons the API server would refuse to create an object: the validation that
// k8s.io/kubernetes keeps to itself (pkg/apis/*/validation), for the kinds whose refusal would leave a tenant without a
// guardrail. Of the other kinds it checks what all objects have in common: name, labels, annotations, owners. A test in
// kube/oracles/validation holds it to Kubernetes' own.
package kubevalidation

import (
	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/validate/content"
	"k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/pod-security-admission/api"
)

// Refusals returns why the API server would not create an object, with what it defaults set; nothing where it would. Namespaced
// reports whether the object's kind lies in namespaces.
func Refusals(object metav1.Object, namespaced bool) field.ErrorList {
	faults := validation.ValidateObjectMetaAccessor(object, namespaced, nameRule(object), field.NewPath("metadata"))
	spec := field.NewPath("spec")
	switch o := object.(type) {
	case *corev1.Namespace:
		_, levels := api.PolicyToEvaluate(o.Labels, api.Policy{})
		faults = append(faults, levels...)
	case *corev1.PodTemplate:
		faults = append(faults, metavalidation.ValidateLabels(o.Template.Labels, field.NewPath("template", "metadata", "labels"))...)
	case *corev1.ResourceQuota:
		faults = append(faults, quota(&o.Spec, spec)...)
	case *corev1.LimitRange:
		faults = append(faults, limits(o.Spec.Limits, spec.Child("limits"))...)
	case *networkingv1.NetworkPolicy:
		faults = append(faults, networkPolicy(&o.Spec, spec)...)
	case *rbacv1.Role:
		faults = append(faults, rules(o.Rules, true)...)
	case *rbacv1.ClusterRole:
		faults = append(append(faults, rules(o.Rules, false)...), aggregation(o.AggregationRule)...)
	case *rbacv1.RoleBinding:
		faults = append(append(faults, roleRef(&o.RoleRef, "Role", "ClusterRole")...), subjects(o.Subjects, true)...)
	case *rbacv1.ClusterRoleBinding:
		faults = append(append(faults, roleRef(&o.RoleRef, "ClusterRole")...), subjects(o.Subjects, false)...)
	case *admissionv1.ValidatingAdmissionPolicy:
		faults = append(faults, validatingPolicy(o, spec)...)
	case *admissionv1.ValidatingAdmissionPolicyBinding:
		faults = append(faults, validatingBinding(&o.Spec, spec)...)
	case *admissionv1.MutatingAdmissionPolicy:
		faults = append(faults, mutatingPolicy(&o.Spec, spec)...)
	case *admissionv1.MutatingAdmissionPolicyBinding:
		faults = append(faults, mutatingBinding(&o.Spec, spec)...)
	}
	return faults
}

// nameRule returns what a kind's names must look like. A DNS subdomain is what most kinds ask for; some ask for more.
func nameRule(object metav1.Object) validation.ValidateNameFunc {
	switch object.(type) {
	case *corev1.Namespace, *corev1.Service:
		return validation.NameIsDNSLabel
	case *rbacv1.Role, *rbacv1.ClusterRole, *rbacv1.RoleBinding, *rbacv1.ClusterRoleBinding:
		return func(name string, _ bool) []string { return content.IsPathSegmentName(name) }
	}
	return validation.NameIsDNSSubdomain
}

// oneOf returns a fault for a value that is none of those that are allowed.
func oneOf[T ~string](path *field.Path, value T, allowed ...T) field.ErrorList {
	for _, a := range allowed {
		if value == a {
			return nil
		}
	}
	return field.ErrorList{field.NotSupported(path, value, allowed)}
}

// invalid returns a fault for each message about a value.
func invalid(path *field.Path, value any, messages []string) field.ErrorList {
	var faults field.ErrorList
	for _, message := range messages {
		faults = append(faults, field.Invalid(path, value, message))
	}
	return faults
}

// selector checks a label selector as kinds do that were never lax.
func selector(s *metav1.LabelSelector, path *field.Path) field.ErrorList {
	return metavalidation.ValidateLabelSelector(s, metavalidation.LabelSelectorValidationOptions{}, path)
}
