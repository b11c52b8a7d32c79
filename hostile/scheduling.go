package hostile

import corev1 "k8s.io/api/core/v1"

// schedulingPods choose their scheduler.
func schedulingPods() []PodCase {
	return []PodCase{{ID: "scheduler-name", Control: "scheduling", Title: "names a scheduler that is not allowed", Refusal: byPolicy("scheduling", "schedulerName"),
		Change: specChange(func(s *corev1.PodSpec) { s.SchedulerName = elsewhere })}}
}

// schedulingCases go past the scheduler.
func schedulingCases() []Case {
	return append(atHome("scheduling",
		homeRow{"binding", "create", "", "pods/binding", "places its pods on nodes by itself"},
		homeRow{"old-binding", "create", "", "bindings", "places its pods on nodes by the older resource"}),
		inSpace(rights("bind-pods", "scheduling", "binds pods to nodes", Owners, may("create", "", "pods/binding", inOwn))))
}
