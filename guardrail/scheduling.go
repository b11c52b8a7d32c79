package guardrail

import (
	"strings"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
)

// schedulingControl has every pod placed by a scheduler of the Platform's.
var schedulingControl = Control{
	ID: "scheduling", Title: "Pods go through the scheduler",
	Threat: "placing a pod by hand, past every rule of the scheduler",
	How: "An admission policy allows the Platform's schedulerNames only and refuses nodeName; the right to bind pods " +
		"is not in the owners' role. Budgets of disruption that say that no pod may go are refused. One that lets none go for lack of " +
		"pods, as minAvailable 1 of one pod, lets one go while all are healthy: another policy corrects what the disruption controller " +
		"allows, also of a budget that it cannot compute. Two budgets of a Space that a pod could fall under are refused, for no pod of two " +
		"budgets can be evicted; two that are made within the same moment are a finding of the proof. So nodes can be drained, though pods " +
		"that are not ready, that are finished or that cannot be made can delay it, which look alike in a budget's status: then delete the pod.",
	Objects: []string{"ClusterRole bulkhead:space-owner"},
	Fix: "Developer: leave nodeName and schedulerName out, and give budgets of disruption maxUnavailable of 1 or more, or minAvailable below 100%, " +
		"and each its own pods by matchLabels. Platform: add a scheduler of your own to the Platform's " +
		"schedulerNames.",
	Waivable:  true,
	Mappings:  []string{"K04"},
	cases:     []string{"scheduler-name*", "binding", "old-binding", "bind-pods", "no-drain*"},
	mutations: []func(*v1alpha1.PlatformSpec) mutation{evictUnhealthy, letOneGo},
	validations: func(s *v1alpha1.PlatformSpec) []validation {
		return []validation{scheduling(s), disruptions(), disruptionsApart()}
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

// disruptions (control scheduling): a PodDisruptionBudget that demands that no pod may go stops the drain of a node, and so the platform's
// upgrades. With minAvailable, how many may go depends on the number of pods, which no policy knows here: see letOneGo.
func disruptions() validation {
	return validation{
		name:  "disruptions",
		about: "Budgets of disruption let one pod go at a time.",
		match: match{
			rules:      []admissionv1.NamedRuleWithOperations{on("policy", []string{"poddisruptionbudgets"}, onCreate, onUpdate)},
			namespaces: inSpaces(), conditions: specChanged(),
		},
		variables: []admissionv1.Variable{waived("scheduling")},
		checks: []check{
			bound("(has(object.spec.minAvailable) ? !string(dyn(object).spec.minAvailable).matches('^0*[1-9][0-9][0-9]+%$') :\n "+
				"!string(dyn(object).spec.?maxUnavailable.orValue(0)).matches('^0+%?$')) || variables.waived",
				"a budget that lets no pod go stops the drain of a node; give maxUnavailable of 1 or more or minAvailable below 100%"),
			bound("object.spec.?unhealthyPodEvictionPolicy.orValue('') == 'AlwaysAllow' || variables.waived",
				"a budget that holds pods which are not ready stops the drain of a node; leave unhealthyPodEvictionPolicy out, or give AlwaysAllow"),
			bound("size(dyn(object).spec.?selector.?matchLabels.orValue({})) > 0 || variables.waived",
				"a budget selects its pods by matchLabels, so that none falls under two budgets, which stops the drain of a node; name a label of its pods there"),
		},
	}
}

// disruptionsApart (control scheduling): the API server evicts no pod that two PodDisruptionBudgets select. Two select no pod in common, whatever
// the pods' labels are, when they demand different values of one label. The other budgets are the policy's parameters: the API server knows them by
// a watch, so that two which are made within the same moment may both get in. The proof finds them.
func disruptionsApart() validation {
	const labels = "OBJ.spec.?selector.?matchLabels.orValue({})"
	return validation{
		name:  "disruptions-apart",
		about: "No pod falls under two budgets of disruption.",
		match: match{
			rules:      []admissionv1.NamedRuleWithOperations{on("policy", []string{"poddisruptionbudgets"}, onCreate, onUpdate)},
			namespaces: inSpaces(), conditions: specChanged(),
		},
		others: &admissionv1.ParamKind{APIVersion: "policy/v1", Kind: "PodDisruptionBudget"},
		variables: []admissionv1.Variable{
			waived("scheduling"),
			let("own", strings.ReplaceAll(labels, "OBJ", "dyn(object)")), let("other", strings.ReplaceAll(labels, "OBJ", "dyn(params)")),
		},
		checks: []check{{
			expression: "params.metadata.name == object.metadata.?name.orValue('') ||\n " +
				"variables.own.exists(k, k in variables.other && variables.own[k] != variables.other[k]) || variables.waived",
			message: "'a pod could fall under this budget and under ' + params.metadata.name + ', and then it cannot be evicted: give the matchLabels " +
				"of both one key with different values, or make one budget of them'",
			fallback: "a pod could fall under this budget and under another one, and then it cannot be evicted: give the matchLabels of both one key " +
				"with different values, or make one budget of them",
			reason: metav1.StatusReasonForbidden,
		}},
	}
}

// letOneGo corrects what the disruption controller writes of a budget that can never let a pod go, since as many pods must be there as
// there are, or since it counts pods of no controller as none that may go. While all are healthy, one may: the eviction takes the
// allowance away, and the controller comes back to it when all are healthy again. A budget that holds for now stays as it is.
//
// With minAvailable as a number, the controller expects as many pods as there are at the moment. A pod that ends counts until it is gone, and
// one that is made counts from the start, so that the next goes when its replacement is ready. For the moment in which the one is gone and the
// other not made yet, which a StatefulSet has, another one may go: less would hold the pods of a workload that was made smaller for ever.
//
// Where the controller cannot compute a budget, as for a pod whose owner has no scale, it leaves all counts as they were, the generation that it
// observed too, and allows none, for ever. One goes then each time that it tries.
func letOneGo(*v1alpha1.PlatformSpec) mutation {
	return mutation{
		name:  "disruptions-allowed",
		about: "A budget of disruption that can never let a pod go lets one go while all are healthy.",
		match: match{
			rules:      []admissionv1.NamedRuleWithOperations{on("policy", []string{"poddisruptionbudgets/status"}, onUpdate)},
			namespaces: inSpaces(),
			conditions: []admissionv1.MatchCondition{
				{Name: "by-the-controller", Expression: celController("disruption-controller")},
				{Name: "all-healthy-or-unknown-and-none-may-go", Expression: `[dyn(object).?status.orValue({})].all(s, s.?disruptionsAllowed.orValue(0) == 0 &&
 (s.?conditions.orValue([]).exists(c, c.type == 'DisruptionAllowed' && c.reason == 'SyncFailed') ||
 s.?currentHealthy.orValue(0) > 0 && s.?currentHealthy.orValue(0) >= s.?expectedPods.orValue(0) &&
 s.?desiredHealthy.orValue(0) >= s.?expectedPods.orValue(0) && size(s.?disruptedPods.orValue({})) == 0))`},
			},
		},
		patch: notWaived("scheduling") + ` ? [JSONPatch{op: 'add', path: '/status/disruptionsAllowed', value: 1},
 JSONPatch{op: 'add', path: '/status/observedGeneration', value: dyn(object).metadata.?generation.orValue(0)}] : []`,
	}
}

// evictUnhealthy lets pods go that never became ready: a budget would hold them for ever.
func evictUnhealthy(*v1alpha1.PlatformSpec) mutation {
	return mutation{
		name:  "disruptions",
		about: "Budgets of disruption hold no pods that are not healthy, unless they say so.",
		match: match{
			rules:      []admissionv1.NamedRuleWithOperations{on("policy", []string{"poddisruptionbudgets"}, onCreate, onUpdate)},
			namespaces: inSpaces(),
			conditions: []admissionv1.MatchCondition{{Name: "says-nothing", Expression: "has(object.spec) && !has(object.spec.unhealthyPodEvictionPolicy)"}},
		},
		patch: notWaived("scheduling") + " ? [JSONPatch{op: 'add', path: '/spec/unhealthyPodEvictionPolicy', value: 'AlwaysAllow'}] : []",
	}
}
