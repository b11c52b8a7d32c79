package hostile

import (
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
)

// schedulingPods choose their scheduler.
func schedulingPods() []PodCase {
	return []PodCase{{ID: "scheduler-name", Control: "scheduling", Title: "names a scheduler that is not allowed", Refusal: byPolicy("scheduling", "schedulerName"),
		Change: specChange(func(s *corev1.PodSpec) { s.SchedulerName = elsewhere })}}
}

// schedulingCases go past the scheduler.
func schedulingCases() []Case {
	return append(append(drainCases(), atHome("scheduling",
		homeRow{"binding", "create", "", "pods/binding", "places its pods on nodes by itself"},
		homeRow{"old-binding", "create", "", "bindings", "places its pods on nodes by the older resource"})...),
		inSpace(rights("bind-pods", "scheduling", "binds pods to nodes", Owners, may("create", "", "pods/binding", inOwn))))
}

// drainCases stop the drain of a node by a PodDisruptionBudget.
func drainCases() []Case {
	budget := func(title string, change func(*policyv1.PodDisruptionBudgetSpec)) Step {
		return create(title, policyv1.GroupName, "poddisruptionbudgets", func(s Scene) any {
			o := &policyv1.PodDisruptionBudget{TypeMeta: metav1.TypeMeta{APIVersion: "policy/v1", Kind: "PodDisruptionBudget"}, ObjectMeta: marked(s)}
			o.Spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"app": v1alpha1.AttackName}}
			o.Spec.MaxUnavailable = new(intstr.FromInt32(1))
			change(&o.Spec)
			return o
		})
	}
	twin := budget("make a budget that lets one pod go at a time", func(*policyv1.PodDisruptionBudgetSpec) {})
	stop := func(id, title string, change func(*policyv1.PodDisruptionBudgetSpec)) Case {
		return ownObject("no-drain"+id, "scheduling", title, twin, budget(title, change), byPolicy("disruptions", "stops the drain of a node"))
	}
	available := stop("-available", "stops the drain of every node that its pods are on, by what must be there", func(s *policyv1.PodDisruptionBudgetSpec) {
		s.MaxUnavailable, s.MinAvailable = nil, new(intstr.FromString("100%"))
	})
	available.Twin = budget("make a budget that wants half of its pods there", func(s *policyv1.PodDisruptionBudgetSpec) {
		s.MaxUnavailable, s.MinAvailable = nil, new(intstr.FromString("50%"))
	})
	return []Case{
		available,
		stop("", "stops the drain of every node that its pods are on", func(s *policyv1.PodDisruptionBudgetSpec) { s.MaxUnavailable = new(intstr.FromInt32(0)) }),
		stop("-percent", "stops the drain of every node that its pods are on, by a share of 0", func(s *policyv1.PodDisruptionBudgetSpec) {
			s.MaxUnavailable = new(intstr.FromString("0%"))
		}),
		stop("-zeros", "stops the drain of every node that its pods are on, by a share of 0 in other letters", func(s *policyv1.PodDisruptionBudgetSpec) {
			s.MaxUnavailable = new(intstr.FromString("00%"))
		}),
		stop("-unset", "stops the drain of every node that its pods are on, by leaving out how many may go", func(s *policyv1.PodDisruptionBudgetSpec) { s.MaxUnavailable = nil }),
		stop("-unhealthy", "stops the drain of every node that a pod of its is on which never becomes healthy", func(s *policyv1.PodDisruptionBudgetSpec) {
			s.UnhealthyPodEvictionPolicy = new(policyv1.IfHealthyBudget)
		}),
	}
}
