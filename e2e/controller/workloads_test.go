package controller_test

import (
	"fmt"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
)

// Promise: a workload whose pods are refused stands on its Space, with the control and what to do, as long as it lacks them; one that has all
// of its pods never does.
func TestRefusedPodsAreSaidOnTheSpace(t *testing.T) {
	start(t, nil)
	tenant, space := newTenant("blocked"), newSpace("blocked", "shop", func(s *v1alpha1.SpaceSpec) {
		s.Quota = corev1.ResourceList{"pods": resource.MustParse("2")}
	})
	create(t, tenant)
	conditionIs(t, tenant, v1alpha1.ConditionEnforced, "True", v1alpha1.ReasonEnforced)
	create(t, space)
	ready(t, tenant, space)
	deployment := func(name string, replicas int32) *appsv1.Deployment {
		labels := map[string]string{"app": name}
		return &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: "blocked--shop", Name: name}, Spec: appsv1.DeploymentSpec{
			Replicas: &replicas, Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: corev1.PodSpec{
				Containers: []corev1.Container{{Name: "c", Image: "registry.example.com/app:1"}},
			}},
		}}
	}
	blocked := func(says string) {
		t.Helper()
		eventually(t, patience, "WorkloadsBlocked says "+says, func() string {
			if err := admin.Get(t.Context(), client.ObjectKeyFromObject(space), space); err != nil {
				return err.Error()
			}
			c := meta.FindStatusCondition(space.Status.Conditions, v1alpha1.ConditionWorkloadsBlocked)
			if (says != "") == (c != nil && c.Status == metav1.ConditionTrue && strings.Contains(c.Message, says)) && (says == "") == (c == nil) {
				return ""
			}
			return fmt.Sprintf("%+v", c)
		})
	}
	small := deployment("small", 1)
	create(t, small)
	eventually(t, patience, "the small one has its pod", func() string {
		_ = admin.Get(t.Context(), client.ObjectKeyFromObject(small), small)
		return map[bool]string{false: fmt.Sprintf("%+v", small.Status)}[small.Status.Replicas == 1]
	})
	large := deployment("large", 3)
	create(t, large)
	blocked("ReplicaSet large-")
	if c := meta.FindStatusCondition(space.Status.Conditions, v1alpha1.ConditionWorkloadsBlocked); strings.Contains(c.Message, "small") || !strings.Contains(c.Message, ": quota: exceeded: ") {
		t.Errorf("it says %s", c.Message)
	}
	conditionIs(t, space, v1alpha1.ConditionReady, "True", v1alpha1.ReasonReady)
	if err := admin.Delete(t.Context(), large, client.PropagationPolicy(metav1.DeletePropagationForeground)); err != nil {
		t.Fatal(err)
	}
	blocked("")
}
