package kubedefaults

import (
	"maps"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// setCluster sets the defaults of what a cluster's administrator owns.
func setCluster(object any) {
	switch o := object.(type) {
	case *corev1.Namespace:
		setNamespace(o)
	case *corev1.Node:
		if o.Status.Allocatable == nil {
			o.Status.Allocatable = maps.Clone(o.Status.Capacity)
		}
		roundUp(o.Status.Capacity, o.Status.Allocatable)
	case *corev1.LimitRange:
		for i := range o.Spec.Limits {
			setLimit(&o.Spec.Limits[i])
		}
	case *corev1.ResourceQuota:
		roundUp(o.Spec.Hard, o.Status.Hard, o.Status.Used)
	case *corev1.PersistentVolume:
		setPersistentVolume(o)
	case *storagev1.StorageClass:
		point(&o.ReclaimPolicy, corev1.PersistentVolumeReclaimDelete)
		point(&o.VolumeBindingMode, storagev1.VolumeBindingImmediate)
	case *schedulingv1.PriorityClass:
		point(&o.PreemptionPolicy, corev1.PreemptLowerPriority)
	case *flowcontrolv1.FlowSchema:
		const precedence = 1000
		set(&o.Spec.MatchingPrecedence, precedence)
	case *flowcontrolv1.PriorityLevelConfiguration:
		setPriorityLevel(&o.Spec)
	}
}

func setNamespace(n *corev1.Namespace) {
	set(&n.Status.Phase, corev1.NamespaceActive)
	if n.Name != "" {
		if n.Labels == nil {
			n.Labels = map[string]string{}
		}
		n.Labels[corev1.LabelMetadataName] = n.Name
	}
}

// setLimit makes the default of a container's limit what its maximum is, and of its request what its default limit or its
// minimum is.
func setLimit(l *corev1.LimitRangeItem) {
	if l.Type == corev1.LimitTypeContainer {
		if l.Default == nil {
			l.Default = corev1.ResourceList{}
		}
		if l.DefaultRequest == nil {
			l.DefaultRequest = corev1.ResourceList{}
		}
		addMissing(l.Default, l.Max)
		addMissing(l.DefaultRequest, l.Default)
		addMissing(l.DefaultRequest, l.Min)
	}
	roundUp(l.Max, l.Min, l.Default, l.DefaultRequest, l.MaxLimitRequestRatio)
}

func setPersistentVolume(v *corev1.PersistentVolume) {
	set(&v.Status.Phase, corev1.VolumePending)
	set(&v.Spec.PersistentVolumeReclaimPolicy, corev1.PersistentVolumeReclaimRetain)
	point(&v.Spec.VolumeMode, corev1.PersistentVolumeFilesystem)
	roundUp(v.Spec.Capacity)
	setHostPath(v.Spec.HostPath)
	setAzureDisk(v.Spec.AzureDisk)
	if v.Spec.ISCSI != nil {
		set(&v.Spec.ISCSI.ISCSIInterface, "default")
	}
	if v.Spec.RBD != nil {
		setRBD(&v.Spec.RBD.RBDPool, &v.Spec.RBD.RadosUser, &v.Spec.RBD.Keyring)
	}
	if v.Spec.ScaleIO != nil {
		setScaleIO(&v.Spec.ScaleIO.StorageMode, &v.Spec.ScaleIO.FSType)
	}
}

func setPriorityLevel(s *flowcontrolv1.PriorityLevelConfigurationSpec) {
	const shares, handSize, queues, queueLength = 30, 8, 64, 50
	if s.Limited != nil {
		point(&s.Limited.NominalConcurrencyShares, shares)
		point(&s.Limited.LendablePercent, 0)
		if q := s.Limited.LimitResponse.Queuing; q != nil {
			set(&q.HandSize, handSize)
			set(&q.Queues, queues)
			set(&q.QueueLengthLimit, queueLength)
		}
	}
	if s.Exempt != nil {
		point(&s.Exempt.NominalConcurrencyShares, 0)
		point(&s.Exempt.LendablePercent, 0)
	}
}

func setAdmission(object any) {
	switch o := object.(type) {
	case *admissionv1.ValidatingAdmissionPolicy:
		point(&o.Spec.FailurePolicy, admissionv1.Fail)
		setMatch(o.Spec.MatchConstraints)
	case *admissionv1.ValidatingAdmissionPolicyBinding:
		setMatch(o.Spec.MatchResources)
	case *admissionv1.MutatingAdmissionPolicy:
		point(&o.Spec.FailurePolicy, admissionv1.Fail)
		setMatch(o.Spec.MatchConstraints)
	case *admissionv1.MutatingAdmissionPolicyBinding:
		setMatch(o.Spec.MatchResources)
	case *admissionv1.ValidatingWebhookConfiguration:
		for i := range o.Webhooks {
			w := &o.Webhooks[i]
			setWebhook(&w.FailurePolicy, &w.MatchPolicy, &w.NamespaceSelector, &w.ObjectSelector, w.Rules)
			setClient(&w.ClientConfig, &w.TimeoutSeconds)
		}
	case *admissionv1.MutatingWebhookConfiguration:
		for i := range o.Webhooks {
			w := &o.Webhooks[i]
			setWebhook(&w.FailurePolicy, &w.MatchPolicy, &w.NamespaceSelector, &w.ObjectSelector, w.Rules)
			setClient(&w.ClientConfig, &w.TimeoutSeconds)
			point(&w.ReinvocationPolicy, admissionv1.NeverReinvocationPolicy)
		}
	}
}

func setMatch(m *admissionv1.MatchResources) {
	if m == nil {
		return
	}
	point(&m.MatchPolicy, admissionv1.Equivalent)
	point(&m.NamespaceSelector, metav1.LabelSelector{})
	point(&m.ObjectSelector, metav1.LabelSelector{})
	for _, rules := range [][]admissionv1.NamedRuleWithOperations{m.ResourceRules, m.ExcludeResourceRules} {
		for i := range rules {
			point(&rules[i].Scope, admissionv1.AllScopes)
		}
	}
}

func setWebhook(failure **admissionv1.FailurePolicyType, match **admissionv1.MatchPolicyType, namespaces, objects **metav1.LabelSelector, rules []admissionv1.RuleWithOperations) {
	point(failure, admissionv1.Fail)
	point(match, admissionv1.Equivalent)
	point(namespaces, metav1.LabelSelector{})
	point(objects, metav1.LabelSelector{})
	for i := range rules {
		point(&rules[i].Scope, admissionv1.AllScopes)
	}
}

func setClient(c *admissionv1.WebhookClientConfig, timeout **int32) {
	const seconds, port = 10, 443
	point(timeout, seconds)
	if c.Service != nil {
		point(&c.Service.Port, port)
	}
}
