package demo

import (
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/hostile"
)

// registry is the one that the example's Platform allows.
const registry = "registry.magazine.example"

func named(namespace, name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: namespace, Name: name}
}

// goodPodSpec is that of the catalogue's harmless pod, with an image of the example's.
func goodPodSpec(image string) corev1.PodSpec {
	space := &v1alpha1.Space{Status: v1alpha1.SpaceStatus{Namespace: site}}
	pod, err := hostile.Pod(hostile.Scene{Platform: &v1alpha1.Platform{Spec: v1alpha1.PlatformSpec{Registries: []string{registry}}}, Tenant: &v1alpha1.Tenant{}, Space: space})
	if err != nil {
		panic(err) // it lacks neither a registry nor a namespace
	}
	pod.Spec.Containers[0].Name, pod.Spec.Containers[0].Image = "main", image
	return pod.Spec
}

func goodDeployment(namespace, name string) *appsv1.Deployment {
	labels := map[string]string{"app": name}
	return &appsv1.Deployment{
		ObjectMeta: named(namespace, name),
		Spec: appsv1.DeploymentSpec{
			Replicas: new(int32(1)),
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec:       goodPodSpec(registry + "/tools/hello:1.0"),
			},
		},
	}
}
