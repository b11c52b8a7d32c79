package hostile

import (
	"errors"
	"slices"

	corev1 "k8s.io/api/core/v1"
)

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
	other := ownObject("other-class", control, "runs pods in another RuntimeClass than the sandbox that is demanded", compliantPod,
		Step{Title: "create a pod of another RuntimeClass", Ask: inOtherClass}, byPolicy(control, "runtimeClassName"))
	shared.Applies, sandboxed.Applies, other.Applies = needsSandbox, needsSandbox, needsSandbox
	return []Case{shared, sandboxed, other}
}

// inOtherClass names a RuntimeClass that exists in a pod. Where the demanded one is alone, the API server itself refuses any other
// in a pod, and a template shows the policy's own answer.
func inOtherClass(s Scene) (Ask, error) {
	if s.Facts == nil || s.Facts.Runtimes == nil {
		return Ask{}, errors.New("the RuntimeClasses are not known: the runner may not list them")
	}
	_, decided, _ := s.Workload()
	i := slices.IndexFunc(s.Facts.Runtimes, func(class string) bool { return class != decided.RuntimeClass })
	if i < 0 {
		return createWorkload("", workloadOf("deployments"), specChange(func(s *corev1.PodSpec) { s.RuntimeClassName = new(nothing) })).Ask(s)
	}
	return createPod("", specChange(func(pod *corev1.PodSpec) { pod.RuntimeClassName = &s.Facts.Runtimes[i] })).Ask(s)
}

// needsSandbox reports whether the decision for the scene's workload demands a sandboxed RuntimeClass.
func needsSandbox(s Scene) bool {
	_, decided, found := s.Workload()
	return InForce("runtime")(s) && found && decided.RuntimeClass != ""
}
