package guardrail

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
)

// priorityControl keeps pods from preempting others.
var priorityControl = Control{
	ID: "priority", Title: "No tenant preempts others",
	Threat: "a PriorityClass that evicts other tenants' pods",
	How: "An admission policy allows the Platform's priorityClasses only, and never a system class. It refuses a pod " +
		"whose class has a value above 0 and preempts, also when the class is on the list. A pod without a class is " +
		"always allowed, unless the cluster's default class preempts.",
	Needs: "PriorityClasses with preemptionPolicy Never; a class with a value below 0 has its pods preempted by pods " +
		"without a class",
	Fix: "Developer: leave priorityClassName out or name an allowed one. Platform: add the class to the Platform's " +
		"priorityClasses, and give it preemptionPolicy: Never (delete and create it: the field cannot be changed).",
	Waivable: true,
	Mappings: []string{"K04"},
	cases:    []string{"allowed-that-preempts", "node-critical*", "system-critical*"},
	validations: func(s *v1alpha1.PlatformSpec) []validation {
		return []validation{priority(s)}
	},
}

// priority (control priority): pods name no PriorityClass, or an allowed one that does not preempt. Where the cluster has
// a global default class, the API server writes it into pods that name none before policies see them: it must be on the
// list too. Only a pod shows what its class is: the API server writes the class's value and preemption policy into pods
// and not into templates.
func priority(s *v1alpha1.PlatformSpec) validation {
	return validation{
		name:  "priority",
		about: "Pods name no PriorityClass, or one of the Platform's that does not preempt.",
		match: match{rules: anyPodSpec(), namespaces: inSpaces(),
			conditions: podSpecWith("priority-class", "POD.?priorityClassName.orValue('') != ''")},
		variables: podVariables(waived("priority"),
			let("class", "variables.pod.?priorityClassName.orValue('')"),
			// A pod of no class has priority 0: a class at or below it gives no more power over others' pods.
			let("preempts", `object.kind == 'Pod' && oldObject == null && variables.pod.?priority.orValue(0) > 0 &&
 variables.pod.?preemptionPolicy.orValue('PreemptLowerPriority') != 'Never'`),
		),
		checks: []check{{
			expression: "variables.class in " + celList(s.PriorityClasses) +
				" || variables.class == variables.old.?priorityClassName.orValue('') || variables.waived",
			message: `'priorityClassName "' + variables.class + '" is not allowed; ' + ` +
				celString(leaveOut("priorityClasses", s.PriorityClasses)) +
				` + ' (a pod that names none gets the default class of the cluster, if it has one)'`,
			fallback: "priorityClassName is not allowed; " + leaveOut("priorityClasses", s.PriorityClasses),
			reason:   metav1.StatusReasonForbidden,
		}, {
			expression: "!variables.preempts || variables.waived",
			message: `'priorityClassName "' + variables.class + '" preempts pods of other tenants; leave it out, or name a class ' + ` +
				`'with preemptionPolicy: Never (the platform team sets it on the PriorityClass)'`,
			fallback: "priorityClassName preempts pods of other tenants; leave it out, or name a class with preemptionPolicy: Never",
			reason:   metav1.StatusReasonForbidden,
		}},
	}
}
