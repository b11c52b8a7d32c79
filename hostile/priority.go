package hostile

import (
	"errors"

	corev1 "k8s.io/api/core/v1"
)

// priorityPods preempt what is not the tenant's.
func priorityPods() []PodCase {
	class := func(id, title, name string) PodCase {
		return PodCase{ID: id, Control: "priority", Title: title, Refusal: byPolicy("priority", "priorityClassName"),
			Change: ofClass(name)}
	}
	return []PodCase{
		class("system-critical", "takes the priority of the cluster's own parts", "system-cluster-critical"),
		class("node-critical", "takes the priority of the nodes' own parts", "system-node-critical"),
	}
}

func ofClass(class string) podChange {
	return specChange(func(s *corev1.PodSpec) { s.PriorityClassName = class })
}

// priorityCases name a class that the Platform allows and that preempts. A pod shows what its class is and a template does not, so
// only pods are tried.
func priorityCases() []Case {
	const control = "priority"
	twin := Step{Title: "create a pod of an allowed class that does not preempt", Ask: func(s Scene) (Ask, error) {
		polite, _, err := allowedClasses(s)
		if err != nil {
			return Ask{}, err
		}
		return createPod("", ofClass(append(polite, "")[0])).Ask(s)
	}}
	c := ownObject("allowed-that-preempts", control, "preempts other tenants' pods with a class that the platform allows", twin,
		Step{Title: "create a pod of an allowed class that preempts", Ask: preempting}, byPolicy(control, "preempts"))
	c.Applies = func(s Scene) bool { return InForce(control)(s) && len(s.Platform.Spec.PriorityClasses) > 0 }
	c.Or = Refusal{By: mutation}
	return []Case{c}
}

// preempting makes a pod of each allowed class that preempts. Where no allowed class does, the pod of no class shows it.
func preempting(s Scene) (Ask, error) {
	_, preempts, err := allowedClasses(s)
	if err != nil {
		return Ask{}, err
	}
	if len(preempts) == 0 {
		return completedPod("", unchanged, func(*corev1.Pod) string { return "no allowed PriorityClass preempts" }).Ask(s)
	}
	asks := make([]Ask, len(preempts))
	for i, class := range preempts {
		if asks[i], err = createPod("", ofClass(class)).Ask(s); err != nil {
			return Ask{}, err
		}
	}
	return Ask{Every: asks}, nil
}

// allowedClasses are the Platform's priority classes that exist, by whether they preempt.
func allowedClasses(s Scene) (polite, preempts []string, err error) {
	if s.Facts == nil || s.Facts.Preempts == nil {
		return nil, nil, errors.New("the PriorityClasses are not known: the runner may not list them")
	}
	for _, class := range s.Platform.Spec.PriorityClasses {
		switch does, exists := s.Facts.Preempts[class]; {
		case exists && does:
			preempts = append(preempts, class)
		case exists:
			polite = append(polite, class)
		}
	}
	return polite, preempts, nil
}
