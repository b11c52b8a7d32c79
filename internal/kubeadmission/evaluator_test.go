package kubeadmission_test

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bulkhead-dev/bulkhead/internal/kubeadmission"
	"github.com/bulkhead-dev/bulkhead/internal/observe/manifest"
	"github.com/bulkhead-dev/bulkhead/isolation/finding"
	"github.com/bulkhead-dev/bulkhead/isolation/rbac"
	"github.com/bulkhead-dev/bulkhead/snapshot"
)

func magazine(t testing.TB) *snapshot.Snapshot {
	t.Helper()
	w, err := manifest.Read([]string{"../../examples/magazine"}, nil, manifest.Options{Now: time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)})
	if err != nil {
		t.Fatal(err)
	}
	return w.Snapshot
}

func plainPod() *corev1.Pod {
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "web"}, Spec: corev1.PodSpec{
		Containers: []corev1.Container{{Name: "web", Image: "registry.magazine.example/web:1", SecurityContext: &corev1.SecurityContext{
			AllowPrivilegeEscalation: new(false), Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
		}}},
		SecurityContext: &corev1.PodSecurityContext{RunAsNonRoot: new(true), SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault}},
	}}
}

func create(namespace string, pod *corev1.Pod) *finding.AdmissionRequest {
	return &finding.AdmissionRequest{
		Subject: finding.Subject{User: "ana", Groups: []string{"magazine:newsroom", "system:authenticated"}}, Operation: "CREATE",
		Kind: corev1.SchemeGroupVersion.WithKind("Pod"), Resource: corev1.SchemeGroupVersion.WithResource("pods"),
		Namespace: namespace, Name: pod.Name, Object: pod,
	}
}

// A harmless pod is admitted in every Space of the example, and completed; one with a foreign image never.
func TestExamplePlatform(t *testing.T) {
	s := magazine(t)
	e, err := kubeadmission.New(s, rbac.New(s), nil)
	if err != nil {
		t.Fatal(err)
	}
	plain, foreign := plainPod(), plainPod()
	foreign.Spec.Containers[0].Image = "evil.example/x"
	for _, ns := range s.Namespaces {
		if _, is := ns.Labels.Get("bulkhead.dev/pattern"); !is {
			continue
		}
		a := e.Admit(create(ns.Name, plain))
		if !a.Admitted {
			t.Errorf("%s: %+v %v", ns.Name, a.RefusedBy, a.Unknown)
		}
		_, waived := ns.Annotations.Get("waiver.bulkhead.dev/images")
		a = e.Admit(create(ns.Name, foreign))
		if waived {
			if !a.Admitted {
				t.Errorf("%s: a waived image: %+v", ns.Name, a)
			}
		} else if a.Admitted || len(a.RefusedBy) != 1 || a.RefusedBy[0].Control != "images" {
			t.Errorf("%s: a foreign image: %+v", ns.Name, a)
		}
	}
}
