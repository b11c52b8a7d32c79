package guardrail

import (
	admissionv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
)

// runtimeControl gives pods the sandbox that was decided on.
var runtimeControl = Control{
	ID: "runtime", Title: "A sandboxed kernel where the decision demands one",
	Threat: "an escape through the shared kernel by code that was not audited",
	How: "Where the decision asks for a sandbox and the platform has one, an admission policy sets its RuntimeClass " +
		"on pods and refuses any other.",
	Objects: []string{"Namespace label bulkhead.dev/runtime-class"},
	Needs:   "a RuntimeClass of gVisor, Kata or the like, with nodes that have its handler; MutatingAdmissionPolicy v1",
	Fix: "Developer: leave runtimeClassName out; it is set for you. Platform: name your sandboxes in the Platform's " +
		"sandboxRuntimes.",
	Waivable:  true,
	Mappings:  []string{"K01"},
	cases:     []string{"shared-kernel", "other-class", "by-default"},
	mutations: []func(*v1alpha1.PlatformSpec) mutation{setRuntime},
	validations: func(s *v1alpha1.PlatformSpec) []validation {
		return []validation{runtimes(s)}
	},
}

// runtimes (control runtime): pods use the runtime that the Space's namespace demands, and otherwise the cluster's
// default or one of the platform's sandboxes.
func runtimes(s *v1alpha1.PlatformSpec) validation {
	return validation{
		name:  "runtime",
		about: "Pods use the RuntimeClass that the decision for their workload demands.",
		match: match{rules: anyPodSpec(), namespaces: inSpaces(), conditions: podSpecChanged()},
		variables: podVariables(waived("runtime"),
			let("class", "variables.pod.?runtimeClassName.orValue('')"),
			let("demanded", celNamespaceLabel(v1alpha1.LabelRuntimeClass)),
			let("unchanged", "oldObject != null && variables.class == variables.old.?runtimeClassName.orValue('')"),
		),
		checks: []check{{
			// A template may leave it out: its pods get it.
			expression: `variables.demanded == '' || variables.class == variables.demanded ||
 (variables.class == '' && object.kind != 'Pod') || variables.unchanged || variables.waived`,
			message: `'runtimeClassName "' + variables.class + '" is not the sandbox that this workload needs; use "' + ` +
				`variables.demanded + '", or leave it out and it is set'`,
			fallback: "runtimeClassName is not the sandbox that this workload needs; leave it out and it is set",
			reason:   metav1.StatusReasonForbidden,
		}, {
			expression: "variables.demanded != '' || variables.class in " + celList(append([]string{""}, s.SandboxRuntimes...)) +
				" || variables.unchanged || variables.waived",
			message: `'runtimeClassName "' + variables.class + '" is not allowed; ' + ` +
				celString(leaveOut("sandboxRuntimes", s.SandboxRuntimes)),
			fallback: "runtimeClassName is not allowed; " + leaveOut("sandboxRuntimes", s.SandboxRuntimes),
			reason:   metav1.StatusReasonForbidden,
		}},
	}
}

// setRuntime gives pods that name no runtime the demanded one. The API server then runs its RuntimeClass admission
// again, which adds the class's overhead, node selector and tolerations.
func setRuntime(*v1alpha1.PlatformSpec) mutation {
	return mutation{
		name:  "runtime",
		about: "Pods that name no RuntimeClass get the one that their workload needs.",
		match: match{
			rules:      []admissionv1.NamedRuleWithOperations{on("", []string{"pods"}, onCreate)},
			namespaces: labelled(v1alpha1.LabelRuntimeClass),
			conditions: []admissionv1.MatchCondition{{Name: "names-none", Expression: "!has(object.spec.runtimeClassName)"}},
		},
		patch: notWaived("runtime") + ` ? [JSONPatch{op: 'add', path: '/spec/runtimeClassName', value: ` +
			celNamespaceLabel(v1alpha1.LabelRuntimeClass) + `}] : []`,
	}
}
