package observe

import (
	"cmp"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// The functions here set what the API server would (zz_generated.defaults.go and defaults.go of each API group), as far as
// proofs read it.

func setDefault[T comparable](field *T, value T) { *field = cmp.Or(*field, value) }

func setPointer[T any](field **T, value T) {
	if *field == nil {
		*field = &value
	}
}

func completeNetworkPolicy(p *networkingv1.NetworkPolicy) {
	if len(p.Spec.PolicyTypes) == 0 {
		p.Spec.PolicyTypes = []networkingv1.PolicyType{networkingv1.PolicyTypeIngress}
		if len(p.Spec.Egress) > 0 {
			p.Spec.PolicyTypes = append(p.Spec.PolicyTypes, networkingv1.PolicyTypeEgress)
		}
	}
	for i := range p.Spec.Ingress {
		completePolicyPorts(p.Spec.Ingress[i].Ports)
	}
	for i := range p.Spec.Egress {
		completePolicyPorts(p.Spec.Egress[i].Ports)
	}
}

func completePolicyPorts(ports []networkingv1.NetworkPolicyPort) {
	for i := range ports {
		setPointer(&ports[i].Protocol, corev1.ProtocolTCP)
	}
}

func completeService(s *corev1.Service) {
	setDefault(&s.Spec.Type, corev1.ServiceTypeClusterIP)
	setDefault(&s.Spec.SessionAffinity, corev1.ServiceAffinityNone)
	for i := range s.Spec.Ports {
		port := &s.Spec.Ports[i]
		setDefault(&port.Protocol, corev1.ProtocolTCP)
		if port.TargetPort == (intstr.IntOrString{}) {
			port.TargetPort = intstr.FromInt32(port.Port)
		}
	}
	if s.Spec.Type == corev1.ServiceTypeNodePort || s.Spec.Type == corev1.ServiceTypeLoadBalancer {
		setDefault(&s.Spec.ExternalTrafficPolicy, corev1.ServiceExternalTrafficPolicyCluster)
	}
	if s.Spec.Type == corev1.ServiceTypeLoadBalancer {
		setPointer(&s.Spec.AllocateLoadBalancerNodePorts, true)
	}
}

func completeRoleBinding(b *rbacv1.RoleBinding) { completeBinding(&b.RoleRef, b.Subjects) }

func completeClusterRoleBinding(b *rbacv1.ClusterRoleBinding) {
	completeBinding(&b.RoleRef, b.Subjects)
}

func completeBinding(role *rbacv1.RoleRef, subjects []rbacv1.Subject) {
	setDefault(&role.APIGroup, rbacv1.GroupName)
	for i := range subjects {
		if s := &subjects[i]; s.Kind == rbacv1.UserKind || s.Kind == rbacv1.GroupKind {
			setDefault(&s.APIGroup, rbacv1.GroupName)
		}
	}
}

func completeMatch(m *admissionv1.MatchResources) {
	if m == nil {
		return
	}
	setPointer(&m.MatchPolicy, admissionv1.Equivalent)
	setPointer(&m.NamespaceSelector, metav1.LabelSelector{})
	setPointer(&m.ObjectSelector, metav1.LabelSelector{})
	for _, rules := range [][]admissionv1.NamedRuleWithOperations{m.ResourceRules, m.ExcludeResourceRules} {
		for i := range rules {
			setPointer(&rules[i].Scope, admissionv1.AllScopes)
		}
	}
}

func completeValidatingPolicy(p *admissionv1.ValidatingAdmissionPolicy) {
	setPointer(&p.Spec.FailurePolicy, admissionv1.Fail)
	completeMatch(p.Spec.MatchConstraints)
}

func completeMutatingPolicy(p *admissionv1.MutatingAdmissionPolicy) {
	setPointer(&p.Spec.FailurePolicy, admissionv1.Fail)
	setDefault(&p.Spec.ReinvocationPolicy, admissionv1.NeverReinvocationPolicy)
	completeMatch(p.Spec.MatchConstraints)
}

func completeValidatingWebhooks(c *admissionv1.ValidatingWebhookConfiguration) {
	for i := range c.Webhooks {
		w := &c.Webhooks[i]
		completeWebhook(&w.FailurePolicy, &w.MatchPolicy, &w.NamespaceSelector, &w.ObjectSelector, w.Rules)
		completeClient(&w.ClientConfig, &w.TimeoutSeconds)
	}
}

func completeMutatingWebhooks(c *admissionv1.MutatingWebhookConfiguration) {
	for i := range c.Webhooks {
		w := &c.Webhooks[i]
		completeWebhook(&w.FailurePolicy, &w.MatchPolicy, &w.NamespaceSelector, &w.ObjectSelector, w.Rules)
		completeClient(&w.ClientConfig, &w.TimeoutSeconds)
		setPointer(&w.ReinvocationPolicy, admissionv1.NeverReinvocationPolicy)
	}
}

func completeWebhook(failure **admissionv1.FailurePolicyType, match **admissionv1.MatchPolicyType, namespaces, objects **metav1.LabelSelector, rules []admissionv1.RuleWithOperations) {
	setPointer(failure, admissionv1.Fail)
	setPointer(match, admissionv1.Equivalent)
	setPointer(namespaces, metav1.LabelSelector{})
	setPointer(objects, metav1.LabelSelector{})
	for i := range rules {
		setPointer(&rules[i].Scope, admissionv1.AllScopes)
	}
}

func completeClient(c *admissionv1.WebhookClientConfig, timeout **int32) {
	const seconds, port = 10, 443
	setPointer(timeout, seconds)
	if c.Service != nil {
		setPointer(&c.Service.Port, port)
	}
}

// completeLimitRange makes the default of a container's limit what its maximum is, and of its request what its default
// limit or its minimum is.
func completeLimitRange(r *corev1.LimitRange) {
	for i := range r.Spec.Limits {
		l := &r.Spec.Limits[i]
		if l.Type != corev1.LimitTypeContainer {
			continue
		}
		l.Default = withMissing(l.Default, l.Max)
		l.DefaultRequest = withMissing(l.DefaultRequest, l.Default)
		l.DefaultRequest = withMissing(l.DefaultRequest, l.Min)
	}
}

func withMissing(list, from corev1.ResourceList) corev1.ResourceList {
	for key, amount := range from {
		if _, has := list[key]; !has {
			if list == nil {
				list = map[corev1.ResourceName]resource.Quantity{}
			}
			list[key] = amount.DeepCopy()
		}
	}
	return list
}

func completeVolume(v *corev1.PersistentVolume) {
	setDefault(&v.Spec.PersistentVolumeReclaimPolicy, corev1.PersistentVolumeReclaimRetain)
	setPointer(&v.Spec.VolumeMode, corev1.PersistentVolumeFilesystem)
}

func completeStorageClass(c *storagev1.StorageClass) {
	setPointer(&c.ReclaimPolicy, corev1.PersistentVolumeReclaimDelete)
	setPointer(&c.VolumeBindingMode, storagev1.VolumeBindingImmediate)
}

func completePriorityClass(c *schedulingv1.PriorityClass) {
	setPointer(&c.PreemptionPolicy, corev1.PreemptLowerPriority)
}

func completeFlowSchema(s *flowcontrolv1.FlowSchema) {
	const precedence = 1000
	setDefault(&s.Spec.MatchingPrecedence, precedence)
}

func completePriorityLevel(l *flowcontrolv1.PriorityLevelConfiguration) {
	const shares = 30
	if l.Spec.Limited != nil {
		setPointer(&l.Spec.Limited.NominalConcurrencyShares, shares)
		setPointer(&l.Spec.Limited.LendablePercent, 0)
	}
}
