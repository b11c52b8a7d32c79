package attack

import (
	"slices"
	"strings"
)

// inForce says of a control whether no Waiver suspends it in the scene's Space. What is waived is not asked: the Waiver
// stands in the Space's status, as control/waiver, and in the tenant's. A waiver of pod-security lowers it to baseline, so it is still asked.
func inForce(control string) func(Scene) bool {
	return func(s Scene) bool {
		return s.Space == nil || !slices.ContainsFunc(s.Space.Status.Waivers, func(waiver string) bool {
			waived, _, _ := strings.Cut(waiver, "/")
			return waived == control
		})
	}
}

// byPolicy is the refusal by one of Bulkhead's admission policies.
func byPolicy(name string) Refusal { return Refusal{By: Policy, Name: "bulkhead-" + name} }

// inSpace makes an attack on the identity's rights one on its rights in a Space.
func inSpace(a Attack) Attack {
	a.EachSpace = true
	return a
}

// A pod that names no RuntimeClass gets the right one, and one that names another must name one that exists before any policy
// sees it. The template of a Deployment is judged by the same policy as it stands.
func runtimeClass() []Attack {
	const control = "runtime"
	deployment := workloadOf("deployments")
	return []Attack{{
		ID: control + "/shared-kernel", Control: control, Title: "runs pods outside of the sandboxed RuntimeClass", By: Owners, EachSpace: true,
		Applies:         needsSandbox,
		PositiveControl: createWorkload("create a compliant Deployment", deployment, unchanged),
		Attempt:         createWorkload("create a Deployment of another RuntimeClass", deployment, otherRuntimeClass), Refusal: byPolicy(control),
	}}
}

// needsSandbox says of a scene whether the decision for its workload demands a sandboxed RuntimeClass.
func needsSandbox(s Scene) bool {
	_, decided, found := s.Workload()
	return inForce("runtime")(s) && found && decided.RuntimeClass != ""
}
