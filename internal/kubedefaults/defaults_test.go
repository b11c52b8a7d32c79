package kubedefaults

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// kube/oracles compares all defaults with the API server's. These are two that are easily got wrong.

// An image with a tag and a digest is pulled by its digest, but its tag decides the policy.
func TestTheTagDecidesHowAnImageIsPulled(t *testing.T) {
	digest := "@sha256:" + strings.Repeat("a", 64)
	for image, want := range map[string]corev1.PullPolicy{
		"app": corev1.PullAlways, "r.example:5000/app": corev1.PullAlways, "app:latest": corev1.PullAlways, "app:latest" + digest: corev1.PullAlways,
		"app:1": corev1.PullIfNotPresent, "app" + digest: corev1.PullIfNotPresent, "app:1" + digest: corev1.PullIfNotPresent, "No Name": corev1.PullIfNotPresent,
	} {
		pod := &corev1.Pod{Spec: corev1.PodSpec{Containers: []corev1.Container{{Image: image}}}}
		Set(pod)
		if got := pod.Spec.Containers[0].ImagePullPolicy; got != want {
			t.Errorf("%s: %s, want %s", image, got, want)
		}
	}
}

// A Service without a target port sends to pods at its own port.
func TestAServicesTargetPortIsItsPort(t *testing.T) {
	named := intstr.FromString("web")
	s := &corev1.Service{Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 80}, {Port: 81, TargetPort: intstr.FromString("")}, {Port: 82, TargetPort: named}}}}
	Set(s)
	for i, want := range []intstr.IntOrString{intstr.FromInt32(80), intstr.FromInt32(81), named} {
		if got := s.Spec.Ports[i].TargetPort; got != want {
			t.Errorf("port %d: %v, want %v", s.Spec.Ports[i].Port, got, want)
		}
	}
}
