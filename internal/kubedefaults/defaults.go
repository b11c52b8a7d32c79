// Package kubedefaults sets the defaults of Kubernetes' API, as the API server does when it decodes an object: a program that reads
// files, or replays admission, sees the object that a cluster would store. The rules are those of
// k8s.io/kubernetes/pkg/apis/*/v1 (defaults.go and zz_generated.defaults.go), which cannot be imported; a test in
// kube/oracles compares the two. Feature gates are as Kubernetes sets them.
package kubedefaults

import (
	"cmp"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	resourcev1 "k8s.io/api/resource/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// Set sets the fields that the object leaves out. It leaves objects alone that are of no kind that has defaults, and of kinds
// that neither a tenant's owners create nor proofs read.
func Set(object any) {
	switch o := object.(type) {
	case *corev1.Pod, *corev1.PodTemplate, *corev1.ReplicationController, *appsv1.Deployment, *appsv1.ReplicaSet,
		*appsv1.StatefulSet, *appsv1.DaemonSet, *batchv1.Job, *batchv1.CronJob:
		setWorkload(o)
	case *admissionv1.ValidatingAdmissionPolicy, *admissionv1.ValidatingAdmissionPolicyBinding, *admissionv1.MutatingAdmissionPolicy,
		*admissionv1.MutatingAdmissionPolicyBinding, *admissionv1.ValidatingWebhookConfiguration, *admissionv1.MutatingWebhookConfiguration:
		setAdmission(o)
	case *corev1.Namespace, *corev1.Node, *corev1.LimitRange, *corev1.ResourceQuota, *corev1.PersistentVolume,
		*storagev1.StorageClass, *schedulingv1.PriorityClass, *flowcontrolv1.FlowSchema, *flowcontrolv1.PriorityLevelConfiguration:
		setCluster(o)
	case *corev1.ConfigMap:
		if o.Data == nil {
			o.Data = map[string]string{}
		}
	case *corev1.Secret:
		set(&o.Type, corev1.SecretTypeOpaque)
	case *corev1.PersistentVolumeClaim:
		setClaim(o)
	case *corev1.Service:
		setService(o)
	case *networkingv1.NetworkPolicy:
		setNetworkPolicy(o)
	case *rbacv1.RoleBinding:
		setBinding(&o.RoleRef, o.Subjects)
	case *rbacv1.ClusterRoleBinding:
		setBinding(&o.RoleRef, o.Subjects)
	case *resourcev1.ResourceClaim:
		setDevices(o.Spec.Devices.Requests)
		for i := 0; o.Status.Allocation != nil && i < len(o.Status.Allocation.Devices.Results); i++ {
			setDeviceTolerations(o.Status.Allocation.Devices.Results[i].Tolerations)
		}
	case *resourcev1.ResourceClaimTemplate:
		setDevices(o.Spec.Spec.Devices.Requests)
	case *authenticationv1.TokenRequest:
		point(&o.Spec.ExpirationSeconds, 60*60)
	case *autoscalingv1.HorizontalPodAutoscaler:
		point(&o.Spec.MinReplicas, 1)
	case *autoscalingv2.HorizontalPodAutoscaler:
		setAutoscaler(o)
	}
}

// set sets a field that is empty.
func set[T comparable](field *T, value T) { *field = cmp.Or(*field, value) }

// point makes a field point to a value if it points to none.
func point[T any](field **T, value T) {
	if *field == nil {
		*field = &value
	}
}

// roundUp rounds amounts to thousandths: Kubernetes keeps no smaller parts.
func roundUp(lists ...corev1.ResourceList) {
	const milli = -3
	for _, list := range lists {
		for name, amount := range list {
			amount.RoundUp(milli)
			list[name] = amount
		}
	}
}

// addMissing adds to a list the amounts of another for what it does not name.
func addMissing(to, from corev1.ResourceList) {
	for name, amount := range from {
		if _, has := to[name]; !has {
			to[name] = amount.DeepCopy()
		}
	}
}

func setService(s *corev1.Service) {
	spec := &s.Spec
	set(&spec.SessionAffinity, corev1.ServiceAffinityNone)
	switch c := spec.SessionAffinityConfig; {
	case spec.SessionAffinity == corev1.ServiceAffinityNone:
		spec.SessionAffinityConfig = nil
	case spec.SessionAffinity == corev1.ServiceAffinityClientIP && (c == nil || c.ClientIP == nil || c.ClientIP.TimeoutSeconds == nil):
		seconds := corev1.DefaultClientIPServiceAffinitySeconds
		spec.SessionAffinityConfig = &corev1.SessionAffinityConfig{ClientIP: &corev1.ClientIPConfig{TimeoutSeconds: &seconds}}
	}
	set(&spec.Type, corev1.ServiceTypeClusterIP)
	for i := range spec.Ports {
		port := &spec.Ports[i]
		set(&port.Protocol, corev1.ProtocolTCP)
		if port.TargetPort == intstr.FromInt32(0) || port.TargetPort == intstr.FromString("") {
			port.TargetPort = intstr.FromInt32(port.Port)
		}
	}
	balanced, internal := spec.Type == corev1.ServiceTypeLoadBalancer, spec.Type == corev1.ServiceTypeClusterIP
	onNodes := balanced || spec.Type == corev1.ServiceTypeNodePort
	if onNodes || internal && len(spec.ExternalIPs) > 0 {
		set(&spec.ExternalTrafficPolicy, corev1.ServiceExternalTrafficPolicyCluster)
	}
	if onNodes || internal {
		point(&spec.InternalTrafficPolicy, corev1.ServiceInternalTrafficPolicyCluster)
	}
	if balanced {
		point(&spec.AllocateLoadBalancerNodePorts, true)
		for i := range s.Status.LoadBalancer.Ingress {
			if in := &s.Status.LoadBalancer.Ingress[i]; in.IP != "" {
				point(&in.IPMode, corev1.LoadBalancerIPModeVIP)
			}
		}
	}
}

func setNetworkPolicy(p *networkingv1.NetworkPolicy) {
	if len(p.Spec.PolicyTypes) == 0 {
		p.Spec.PolicyTypes = []networkingv1.PolicyType{networkingv1.PolicyTypeIngress}
		if len(p.Spec.Egress) > 0 {
			p.Spec.PolicyTypes = append(p.Spec.PolicyTypes, networkingv1.PolicyTypeEgress)
		}
	}
	for i := range p.Spec.Ingress {
		setPolicyPorts(p.Spec.Ingress[i].Ports)
	}
	for i := range p.Spec.Egress {
		setPolicyPorts(p.Spec.Egress[i].Ports)
	}
}

func setPolicyPorts(ports []networkingv1.NetworkPolicyPort) {
	for i := range ports {
		point(&ports[i].Protocol, corev1.ProtocolTCP)
	}
}

func setBinding(role *rbacv1.RoleRef, subjects []rbacv1.Subject) {
	set(&role.APIGroup, rbacv1.GroupName)
	for i := range subjects {
		if s := &subjects[i]; s.Kind == rbacv1.UserKind || s.Kind == rbacv1.GroupKind {
			set(&s.APIGroup, rbacv1.GroupName)
		}
	}
}
