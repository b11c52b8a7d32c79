package guardrail

import (
	"strings"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
)

// priority (control priority): pods name no PriorityClass, or an allowed one that does not preempt. Where the cluster has
// a global default class, the API server writes it into pods that name none before policies see them: it must be on the
// list too. Only a pod shows what its class is: the API server writes the class's value and preemption policy into pods
// and not into templates.
func priority(s *v1alpha1.PlatformSpec) validation {
	return validation{
		name: "priority", control: "priority",
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
			message: `'priorityClassName "' + variables.class + '" is not allowed; leave it out, or ' + ` +
				celString(oneOf("priorityClasses", s.PriorityClasses)) +
				` + ' (a pod that names none gets the default class of the cluster, if it has one)'`,
			fallback: "priorityClassName is not allowed; leave it out, or " + oneOf("priorityClasses", s.PriorityClasses),
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

// scheduling (control scheduling): pods go through an allowed scheduler. The scheduler's own way to a node, the
// subresource pods/binding, is a right that tenants do not have.
func scheduling(s *v1alpha1.PlatformSpec) validation {
	return validation{
		name: "scheduling", control: "scheduling",
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

// runtimes (control runtime): pods use the runtime that the Space's namespace demands, and otherwise the cluster's
// default or one of the platform's sandboxes.
func runtimes(s *v1alpha1.PlatformSpec) validation {
	return validation{
		name: "runtime", control: "runtime",
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
			message: `'runtimeClassName "' + variables.class + '" is not allowed; leave it out, or ' + ` +
				celString(oneOf("sandboxRuntimes", s.SandboxRuntimes)),
			fallback: "runtimeClassName is not allowed; leave it out, or " + oneOf("sandboxRuntimes", s.SandboxRuntimes),
			reason:   metav1.StatusReasonForbidden,
		}},
	}
}

// setRuntime gives pods that name no runtime the demanded one. The API server then runs its RuntimeClass admission
// again, which adds the class's overhead, node selector and tolerations.
func setRuntime() mutation {
	return mutation{
		name: "runtime", control: "runtime",
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

// nodeAffinity (control node-affinity) keeps pods on the nodes that are theirs: of the tenant's own group where it has
// one, never of another's; and keeps tenants from steering by, or against, each other's pods. A pod that names its node
// never meets a taint that says NoSchedule, so none may: this is not for a waiver of scheduling to allow.
func nodeAffinity() validation {
	tr := strings.NewReplacer("LABEL", celString(v1alpha1.LabelNodeTenant), "TAINT", celString(v1alpha1.TaintNodeTenant),
		"PATTERN", celNamespaceLabel(v1alpha1.LabelPattern))
	return validation{
		name: "node-affinity", control: "node-affinity",
		about:     "Pods run on their tenant's dedicated nodes where it has some, and never on another tenant's.",
		match:     match{rules: anyPodSpec(), namespaces: inSpaces(), conditions: podSpecChanged()},
		variables: nodeVariables(tr),
		checks: []check{{
			expression: "size(variables.wild) == 0",
			message: `'toleration of ' + variables.wild.map(t, '"' + t.?key.orValue('') + '" (' + ` +
				`t.?operator.orValue('Equal') + ' "' + t.?value.orValue('') + '")').join(', ') + ` +
				celString(" would reach nodes that are dedicated to other tenants; name the taints that you mean by their own keys"),
			fallback: "a toleration would reach nodes that are dedicated to other tenants",
			reason:   metav1.StatusReasonForbidden,
		}, {
			expression: "variables.node == variables.old.?nodeName.orValue('')",
			message: `'nodeName "' + variables.node + '" goes past the scheduler, and onto nodes of others; leave it out, ` +
				`and say with nodeSelector or affinity what the pod needs'`,
			fallback: "nodeName goes past the scheduler, and onto nodes of others; leave it out",
			reason:   metav1.StatusReasonForbidden,
		}, {
			expression: "variables.selected in ['', variables.tenant]",
			message: tr.Replace(`'nodeSelector ' + LABEL + ' names the nodes of "' + variables.selected + '"; leave it out, ` +
				`and it is set where this tenant has nodes of its own'`),
			fallback: "nodeSelector names the nodes of another tenant; leave it out",
			reason:   metav1.StatusReasonForbidden,
		}, {
			expression: tr.Replace(`variables.nodeTerms.all(n, n.?matchExpressions.orValue([]).all(e,
 e.key != LABEL || (e.operator == 'In' && e.values == [variables.tenant])))`),
			message:  tr.Replace(`'nodeAffinity selects by ' + LABEL + ', which says whose nodes they are; select by other labels'`),
			fallback: "nodeAffinity selects by whose nodes they are; select by other labels",
			reason:   metav1.StatusReasonForbidden,
		}, {
			expression: "size(variables.strangers) == 0",
			message: `'podAffinity and podAntiAffinity may look at pods of this tenant only; leave namespaceSelector out, ` +
				`and in namespaces name only ' + variables.tenant + '--...'`,
			fallback: "podAffinity and podAntiAffinity may look at pods of the own tenant only",
			reason:   metav1.StatusReasonForbidden,
		}, {
			expression: tr.Replace(`PATTERN != 'SoftAffinity' || !(object.kind in ['Pod', 'DaemonSet']) ||
 (object.kind == 'Pod' && request.operation == 'UPDATE') || variables.selected == variables.tenant`),
			message: tr.Replace(`'a pod of this Space must have nodeSelector ' + LABEL + ': ' + variables.tenant + ` +
				`'; it is set where it is left out'`),
			fallback: "a pod of this Space must select its tenant's own nodes",
			reason:   metav1.StatusReasonForbidden,
		}},
	}
}

// nodeVariables are what of a pod spec decides where it runs.
func nodeVariables(tr *strings.Replacer) []admissionv1.Variable {
	return podVariables(tenantName(),
		let("wild", tr.Replace(`variables.pod.?tolerations.orValue([]).filter(t,
 !(t in variables.old.?tolerations.orValue([])) &&
 (t.?key.orValue('') == '' || (t.key == TAINT &&
  !(t.?operator.orValue('Equal') == 'Equal' && t.?value.orValue('') == variables.tenant))))`)),
		let("node", "variables.pod.?nodeName.orValue('')"),
		let("selected", tr.Replace(`variables.pod.?nodeSelector[?LABEL].orValue('')`)),
		let("nodeTerms", `variables.pod.?affinity.?nodeAffinity.?requiredDuringSchedulingIgnoredDuringExecution.?nodeSelectorTerms.orValue([]) +
 variables.pod.?affinity.?nodeAffinity.?preferredDuringSchedulingIgnoredDuringExecution.orValue([]).map(p, p.preference)`),
		let("podTerms", podTerms("podAffinity")+" +\n "+podTerms("podAntiAffinity")),
		let("strangers", `variables.podTerms.filter(t, has(t.namespaceSelector) ||
 t.?namespaces.orValue([]).exists(n, !n.startsWith(variables.tenant + '--')))`),
	)
}

func podTerms(kind string) string {
	return strings.ReplaceAll(`variables.pod.?affinity.?KIND.?requiredDuringSchedulingIgnoredDuringExecution.orValue([]) +
 variables.pod.?affinity.?KIND.?preferredDuringSchedulingIgnoredDuringExecution.orValue([]).map(p, p.podAffinityTerm)`, "KIND", kind)
}

// placePods gives pods of a SoftAffinity Space the selector and the toleration of their tenant's nodes. The template of
// a DaemonSet needs them too: its controller looks at the template to find the nodes that it makes pods for.
func placePods() mutation {
	tr := strings.NewReplacer("LABEL", celString(v1alpha1.LabelNodeTenant), "TAINT", celString(v1alpha1.TaintNodeTenant))
	softAffinity := &metav1.LabelSelector{MatchLabels: map[string]string{v1alpha1.LabelPattern: "SoftAffinity"}}
	return mutation{
		name: "node-affinity", control: "node-affinity",
		about: "Pods of SoftAffinity Spaces get the node selector and the toleration of their tenant's nodes.",
		match: match{
			rules: []admissionv1.NamedRuleWithOperations{
				on("", []string{"pods"}, onCreate), on("apps", []string{"daemonsets"}, onCreate, onUpdate),
			},
			namespaces: softAffinity,
			conditions: podSpecWith("something-missing", tr.Replace(`!(LABEL in POD.?nodeSelector.orValue({})) ||
!POD.?tolerations.orValue([]).exists(t, t.?key.orValue('') == TAINT)`)),
		},
		variables: []admissionv1.Variable{
			tenantName(),
			let("pod", celPodSpec("object")),
			let("path", "object.kind == 'Pod' ? '/spec' : '/spec/template/spec'"),
			let("toleration", tr.Replace(`{'key': TAINT, 'operator': 'Equal', 'value': variables.tenant, 'effect': 'NoSchedule'}`)),
			let("tolerated", tr.Replace(`variables.pod.?tolerations.orValue([]).exists(t, t.?key.orValue('') == TAINT &&
 t.?value.orValue('') == variables.tenant && t.?effect.orValue('NoSchedule') == 'NoSchedule')`)),
		},
		patch: tr.Replace(`(!has(variables.pod.nodeSelector) ?
 [JSONPatch{op: 'add', path: variables.path + '/nodeSelector', value: {LABEL: variables.tenant}}] :
 LABEL in variables.pod.nodeSelector ? [] :
 [JSONPatch{op: 'add', path: variables.path + '/nodeSelector/' + jsonpatch.escapeKey(LABEL), value: variables.tenant}]) +
(!has(variables.pod.tolerations) ?
 [JSONPatch{op: 'add', path: variables.path + '/tolerations', value: [variables.toleration]}] :
 variables.tolerated ? [] :
 [JSONPatch{op: 'add', path: variables.path + '/tolerations/-', value: variables.toleration}])`),
	}
}
