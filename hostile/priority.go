package hostile

import corev1 "k8s.io/api/core/v1"

// priorityPods preempt what is not the tenant's.
func priorityPods() []PodCase {
	class := func(id, title, name string) PodCase {
		return PodCase{ID: id, Control: "priority", Title: title, Refusal: byPolicy("priority", "priorityClassName"),
			Change: specChange(func(s *corev1.PodSpec) { s.PriorityClassName = name })}
	}
	return []PodCase{
		class("system-critical", "takes the priority of the cluster's own parts", "system-cluster-critical"),
		class("node-critical", "takes the priority of the nodes' own parts", "system-node-critical"),
	}
}
