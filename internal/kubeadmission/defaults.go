package kubeadmission

import (
	"reflect"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// complete fills in what the API server defaults when it decodes, as far as policies commonly read it. What is given
// stays.
func complete(o runtime.Object) {
	switch o := o.(type) {
	case *corev1.Pod:
		completePodSpec(&o.Spec, corev1.RestartPolicyAlways)
		o.Spec.EnableServiceLinks = orDefault(o.Spec.EnableServiceLinks, true)
	case *corev1.PodTemplate:
		completePodSpec(&o.Template.Spec, corev1.RestartPolicyAlways)
	case *corev1.ReplicationController:
		if o.Spec.Template != nil {
			completePodSpec(&o.Spec.Template.Spec, corev1.RestartPolicyAlways)
		}
	case *appsv1.Deployment:
		completePodSpec(&o.Spec.Template.Spec, corev1.RestartPolicyAlways)
		o.Spec.Replicas = orDefault(o.Spec.Replicas, int32(1))
	case *appsv1.ReplicaSet:
		completePodSpec(&o.Spec.Template.Spec, corev1.RestartPolicyAlways)
		o.Spec.Replicas = orDefault(o.Spec.Replicas, int32(1))
	case *appsv1.StatefulSet:
		completePodSpec(&o.Spec.Template.Spec, corev1.RestartPolicyAlways)
		o.Spec.Replicas = orDefault(o.Spec.Replicas, int32(1))
	case *appsv1.DaemonSet:
		completePodSpec(&o.Spec.Template.Spec, corev1.RestartPolicyAlways)
	case *batchv1.Job:
		completePodSpec(&o.Spec.Template.Spec, "")
	case *batchv1.CronJob:
		completePodSpec(&o.Spec.JobTemplate.Spec.Template.Spec, "")
	case *corev1.Service:
		completeService(o)
	case *networkingv1.NetworkPolicy:
		completeNetworkPolicy(o)
	case *corev1.PersistentVolumeClaim:
		o.Spec.VolumeMode = orDefault(o.Spec.VolumeMode, corev1.PersistentVolumeFilesystem)
	case *corev1.Secret:
		if o.Type == "" {
			o.Type = corev1.SecretTypeOpaque
		}
	}
}

func orDefault[T any](given *T, otherwise T) *T {
	if given == nil {
		return &otherwise
	}
	return given
}

func set[T any](field *T, value T) {
	if reflect.ValueOf(field).Elem().IsZero() {
		*field = value
	}
}

func completePodSpec(s *corev1.PodSpec, restart corev1.RestartPolicy) {
	set(&s.DNSPolicy, corev1.DNSClusterFirst)
	set(&s.RestartPolicy, restart)
	set(&s.SchedulerName, corev1.DefaultSchedulerName)
	s.SecurityContext = orDefault(s.SecurityContext, corev1.PodSecurityContext{})
	s.TerminationGracePeriodSeconds = orDefault(s.TerminationGracePeriodSeconds, int64(corev1.DefaultTerminationGracePeriodSeconds))
	if s.ServiceAccountName != "" {
		set(&s.DeprecatedServiceAccount, s.ServiceAccountName)
	}
	for _, containers := range [][]corev1.Container{s.InitContainers, s.Containers} {
		for i := range containers {
			c := &containers[i]
			set(&c.TerminationMessagePath, corev1.TerminationMessagePathDefault)
			set(&c.TerminationMessagePolicy, corev1.TerminationMessageReadFile)
			set(&c.ImagePullPolicy, pullPolicy(c.Image))
			for j := range c.Ports {
				set(&c.Ports[j].Protocol, corev1.ProtocolTCP)
				if s.HostNetwork {
					set(&c.Ports[j].HostPort, c.Ports[j].ContainerPort)
				}
			}
			for name, limit := range c.Resources.Limits {
				if _, has := c.Resources.Requests[name]; !has {
					if c.Resources.Requests == nil {
						c.Resources.Requests = corev1.ResourceList{}
					}
					c.Resources.Requests[name] = limit
				}
			}
		}
	}
}

// pullPolicy is Always for the tag latest, said or not.
func pullPolicy(image string) corev1.PullPolicy {
	for i := len(image) - 1; i >= 0 && image[i] != '/'; i-- {
		if image[i] == '@' {
			return corev1.PullIfNotPresent
		}
		if image[i] == ':' && image[i:] != ":latest" {
			return corev1.PullIfNotPresent
		}
	}
	return corev1.PullAlways
}

func completeService(s *corev1.Service) {
	set(&s.Spec.Type, corev1.ServiceTypeClusterIP)
	set(&s.Spec.SessionAffinity, corev1.ServiceAffinityNone)
	for i := range s.Spec.Ports {
		set(&s.Spec.Ports[i].Protocol, corev1.ProtocolTCP)
	}
	if s.Spec.Type != corev1.ServiceTypeExternalName {
		s.Spec.InternalTrafficPolicy = orDefault(s.Spec.InternalTrafficPolicy, corev1.ServiceInternalTrafficPolicyCluster)
	}
	if s.Spec.Type == corev1.ServiceTypeLoadBalancer {
		s.Spec.AllocateLoadBalancerNodePorts = orDefault(s.Spec.AllocateLoadBalancerNodePorts, true)
	}
	if s.Spec.Type == corev1.ServiceTypeLoadBalancer || s.Spec.Type == corev1.ServiceTypeNodePort {
		set(&s.Spec.ExternalTrafficPolicy, corev1.ServiceExternalTrafficPolicyCluster)
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
		completePorts(p.Spec.Ingress[i].Ports)
	}
	for i := range p.Spec.Egress {
		completePorts(p.Spec.Egress[i].Ports)
	}
}

func completePorts(ports []networkingv1.NetworkPolicyPort) {
	for i := range ports {
		ports[i].Protocol = orDefault(ports[i].Protocol, corev1.ProtocolTCP)
	}
}
