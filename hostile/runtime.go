package hostile

import corev1 "k8s.io/api/core/v1"

// runtimeCases run on the host's kernel.
//
// A pod that names no RuntimeClass gets the right one, and one that names another must name one that exists before any policy
// sees it. The template of a Deployment is judged by the same policy as it stands.
func runtimeCases() []Case {
	const control = "runtime"
	deployment := workloadOf("deployments")
	shared := ownObject("shared-kernel", control, "runs pods outside the sandboxed RuntimeClass",
		createWorkload("create a compliant Deployment", deployment, unchanged),
		createWorkload("create a Deployment of another RuntimeClass", deployment, specChange(func(s *corev1.PodSpec) { s.RuntimeClassName = new(nothing) })),
		byPolicy(control, "runtimeClassName"))
	sandboxed := byPod("by-default", control, "runs on the host's kernel, though its workload needs a sandbox", unchanged, Refusal{By: mutation})
	sandboxed.Attempt = completedPod("create a pod that names no RuntimeClass", specChange(func(s *corev1.PodSpec) { s.RuntimeClassName = nil }), func(pod *corev1.Pod) string {
		if pod.Spec.RuntimeClassName == nil || *pod.Spec.RuntimeClassName == "" {
			return ""
		}
		return "the pod was accepted with RuntimeClass " + *pod.Spec.RuntimeClassName
	})
	shared.Applies, sandboxed.Applies = needsSandbox, needsSandbox
	return []Case{shared, sandboxed}
}

// needsSandbox reports whether the decision for the scene's workload demands a sandboxed RuntimeClass.
func needsSandbox(s Scene) bool {
	_, decided, found := s.Workload()
	return InForce("runtime")(s) && found && decided.RuntimeClass != ""
}
