package apply

import (
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
)

// Kind is a kind of object that Bulkhead renders, watches, prunes and looks for residue in.
type Kind struct {
	// Object and List are empty prototypes.
	Object client.Object
	List   client.ObjectList
	// Namespaced kinds live in a tenant's namespaces; the others belong to the cluster or to a tenant as a whole.
	Namespaced bool
}

// Kinds are all kinds that package guardrail renders. A kind that is missing here is neither repaired nor removed: a
// test compares the two.
func Kinds() []Kind {
	return []Kind{
		{&corev1.Namespace{}, &corev1.NamespaceList{}, false},
		{&corev1.ResourceQuota{}, &corev1.ResourceQuotaList{}, true},
		{&corev1.LimitRange{}, &corev1.LimitRangeList{}, true},
		{&networkingv1.NetworkPolicy{}, &networkingv1.NetworkPolicyList{}, true},
		{&rbacv1.RoleBinding{}, &rbacv1.RoleBindingList{}, true},
		{&rbacv1.ClusterRole{}, &rbacv1.ClusterRoleList{}, false},
		{&flowcontrolv1.FlowSchema{}, &flowcontrolv1.FlowSchemaList{}, false},
		{&flowcontrolv1.PriorityLevelConfiguration{}, &flowcontrolv1.PriorityLevelConfigurationList{}, false},
		{&admissionregistrationv1.ValidatingAdmissionPolicy{}, &admissionregistrationv1.ValidatingAdmissionPolicyList{}, false},
		{&admissionregistrationv1.ValidatingAdmissionPolicyBinding{}, &admissionregistrationv1.ValidatingAdmissionPolicyBindingList{}, false},
		{&admissionregistrationv1.MutatingAdmissionPolicy{}, &admissionregistrationv1.MutatingAdmissionPolicyList{}, false},
		{&admissionregistrationv1.MutatingAdmissionPolicyBinding{}, &admissionregistrationv1.MutatingAdmissionPolicyBindingList{}, false},
	}
}

// IsPolicy reports whether an object is an admission policy, or binds one.
func IsPolicy(object client.Object) bool {
	switch object.(type) {
	case *admissionregistrationv1.ValidatingAdmissionPolicy, *admissionregistrationv1.ValidatingAdmissionPolicyBinding,
		*admissionregistrationv1.MutatingAdmissionPolicy, *admissionregistrationv1.MutatingAdmissionPolicyBinding:
		return true
	default:
		return false
	}
}

// Managed selects every object that Bulkhead renders.
func Managed() labels.Selector {
	return labels.SelectorFromSet(labels.Set{v1alpha1.LabelManagedBy: v1alpha1.ManagedBy})
}
