package guardrail

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
)

// schedulingControl has every pod placed by a scheduler of the Platform's.
var schedulingControl = Control{
	ID: "scheduling", Title: "Pods go through the scheduler",
	Threat: "placing a pod by hand, past every rule of the scheduler",
	How: "An admission policy allows the Platform's schedulerNames only and refuses nodeName; the right to bind pods " +
		"is not in the owners' role.",
	Objects: []string{"ClusterRole bulkhead:space-owner"},
	Fix: "Developer: leave nodeName and schedulerName out. Platform: add a scheduler of your own to the Platform's " +
		"schedulerNames.",
	Waivable: true,
	Mappings: []string{"K04"},
	cases:    []string{"scheduler-name*", "binding", "old-binding", "bind-pods"},
	validations: func(s *v1alpha1.PlatformSpec) []validation {
		return []validation{scheduling(s)}
	},
}

// scheduling (control scheduling): pods go through an allowed scheduler. The scheduler's own way to a node, the
// subresource pods/binding, is a right that tenants do not have.
func scheduling(s *v1alpha1.PlatformSpec) validation {
	return validation{
		name:  "scheduling",
		about: "Pods are placed by one of the Platform's schedulers.",
		match: match{rules: anyPodSpec(), namespaces: inSpaces(), conditions: podSpecChanged()},
		variables: podVariables(waived("scheduling"),
			let("scheduler", "variables.pod.?schedulerName.orValue('default-scheduler')"),
		),
		checks: []check{{
			expression: "variables.scheduler in " + celList(s.SchedulerNames) +
				" || variables.scheduler == variables.old.?schedulerName.orValue('') || variables.waived",
			message: `'schedulerName "' + variables.scheduler + '" is not allowed; ' + ` +
				celString(oneOf("schedulerNames", s.SchedulerNames)),
			fallback: "schedulerName is not allowed; " + oneOf("schedulerNames", s.SchedulerNames),
			reason:   metav1.StatusReasonForbidden,
		}},
	}
}
