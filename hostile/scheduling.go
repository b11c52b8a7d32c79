package hostile

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/intstr"
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

// budget is a PodDisruptionBudget that lets one pod go at a time, but for a change. It selects pods that no budget near it selects.
func budget(s Scene, pods string, change func(*policyv1.PodDisruptionBudgetSpec)) *policyv1.PodDisruptionBudget {
	o := &policyv1.PodDisruptionBudget{TypeMeta: metav1.TypeMeta{APIVersion: "policy/v1", Kind: "PodDisruptionBudget"}, ObjectMeta: marked(s)}
	pods = strings.TrimSuffix(pods+"-"+s.Making, "-")
	own := map[string]string{"app": pods}
	for _, other := range s.Near {
		theirs, _, _ := unstructured.NestedStringMap(other, "spec", "selector", "matchLabels")
		for key := range theirs {
			own[key] = pods
		}
	}
	o.Spec.Selector = &metav1.LabelSelector{MatchLabels: own}
	o.Spec.MaxUnavailable = new(intstr.FromInt32(1))
	change(&o.Spec)
	return o
}

// makeBudget is a step that makes a budget with a change.
func makeBudget(title string, change func(*policyv1.PodDisruptionBudgetSpec)) Step {
	step := create(title, policyv1.GroupName, "poddisruptionbudgets", func(s Scene) any { return budget(s, nothing, change) })
	step.Near = "poddisruptionbudgets"
	return step
}

// harmlessBudget is a budget such as charts ship.
var harmlessBudget = makeBudget("make a budget that lets one pod go at a time", func(*policyv1.PodDisruptionBudgetSpec) {})

// secondBudget is a step that makes a budget next to the one that is there, with a change.
func secondBudget(title string, change func(*policyv1.PodDisruptionBudgetSpec)) Step {
	return Step{Title: title, On: "poddisruptionbudgets", Near: "poddisruptionbudgets", Ask: func(s Scene) (Ask, error) {
		return Ask{Real: &Real{Watched: true, Request: Request{
			Group: policyv1.GroupName, Version: "v1", Namespace: s.Namespace(), Resource: "poddisruptionbudgets", Body: budget(s, "second", change),
		}}}, nil
	}}
}

// drainCases stop the drain of a node by a PodDisruptionBudget.
func drainCases() []Case {
	stop := func(id, title string, change func(*policyv1.PodDisruptionBudgetSpec)) Case {
		return ownObject("no-drain"+id, "scheduling", title, harmlessBudget, makeBudget(title, change), byPolicy("disruptions", "stops the drain of a node"))
	}
	available := stop("-available", "stops the drain of every node that its pods are on, by what must be there", func(s *policyv1.PodDisruptionBudgetSpec) {
		s.MaxUnavailable, s.MinAvailable = nil, new(intstr.FromString("100%"))
	})
	available.Twin = makeBudget("make a budget that wants half of its pods there", func(s *policyv1.PodDisruptionBudgetSpec) {
		s.MaxUnavailable, s.MinAvailable = nil, new(intstr.FromString("50%"))
	})
	everything := stop("-everything", "stops the drain of every node that its pods are on, by a budget that falls together with any other",
		func(s *policyv1.PodDisruptionBudgetSpec) { s.Selector.MatchLabels = nil })
	everything.Refusal.Says = "matchLabels"
	const together = "stops the drain of every node that its pods are on, by two budgets over one pod"
	return []Case{
		available, everything,
		ownObject("no-drain-together", "scheduling", together, secondBudget("make a second budget for other pods", func(*policyv1.PodDisruptionBudgetSpec) {}),
			secondBudget(together, func(s *policyv1.PodDisruptionBudgetSpec) {
				s.Selector.MatchLabels = map[string]string{"also": "second"}
			}),
			byPolicy("disruptions-apart", "cannot be evicted")),
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
