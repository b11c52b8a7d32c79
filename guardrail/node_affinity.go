package guardrail

import (
	"strings"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
)

// nodeAffinityControl keeps pods on the nodes that are theirs.
var nodeAffinityControl = Control{
	ID: "node-affinity", Title: "Dedicated nodes, from both sides",
	Threat: "other tenants' pods on a tenant's nodes, or its pods on theirs (pattern SoftAffinity)",
	How: "Nodes of the group carry a taint and a label that kubelets cannot set themselves. An admission policy adds " +
		"the selector and the toleration to the tenant's pods; another refuses nodeName, foreign selectors and, for all " +
		"tenants, every toleration but those that Kubernetes adds by itself, that of the own nodes and the Platform's tolerations: " +
		"so no tenant runs on nodes of the control plane, nor on a node that is being drained.",
	Objects: []string{"Node label node-restriction.kubernetes.io/bulkhead-tenant", "Node taint bulkhead.dev/tenant"},
	Needs:   "the NodeRestriction admission plugin; MutatingAdmissionPolicy v1; a node group in the Platform's nodeGroups",
	Fix: "Developer: remove nodeName, nodeSelectors on Bulkhead's label and tolerations that the platform does not name. " +
		"Platform: give the Platform a free node group; name taints that every tenant may tolerate in the Platform's tolerations, " +
		"those that a RuntimeClass tolerates for its pods too.",
	Mappings: []string{"K01", "K04"},
	cases: []string{
		"node-name*", "foreign-nodes*", "affinity-foreign-nodes*", "prefer-foreign-nodes", "tolerate-*",
		"affinity-foreign-pods*",
		"affinity-named-namespaces", "affinity-not-own", "affinity-one-foreign", "affinity-own-and-foreign",
		"anti-affinity-named-namespaces", "avoid-foreign-pods", "dislike-foreign-pods", "prefer-foreign-pods",
		"preferred-affinity-named-namespaces", "preferred-anti-affinity-named-namespaces", "by-default",
	},
	mutations: []func(*v1alpha1.PlatformSpec) mutation{placePods},
	validations: func(s *v1alpha1.PlatformSpec) []validation {
		return []validation{nodeAffinity(s)}
	},
}

// NodeDedication is what the nodes of a group carry that is dedicated to a tenant: labels, which kubelets cannot set
// themselves, and a taint that keeps every pod away that does not tolerate it.
func NodeDedication(tenant string) (labels map[string]string, taint corev1.Taint) {
	return map[string]string{v1alpha1.LabelNodeTenant: tenant},
		corev1.Taint{Key: v1alpha1.TaintNodeTenant, Value: tenant, Effect: corev1.TaintEffectNoSchedule}
}

// nodeAffinity (control node-affinity) keeps pods on the nodes that are theirs: of the tenant's own group where it has
// one, never of another's; and keeps tenants from steering by, or against, each other's pods. A pod that names its node
// never meets a taint that says NoSchedule, so none may: this is not for a waiver of scheduling to allow.
func nodeAffinity(s *v1alpha1.PlatformSpec) validation {
	tolerations := leaveOut("tolerations", tolerationNames(s.Tolerations))
	tr := strings.NewReplacer("LABEL", celString(v1alpha1.LabelNodeTenant), "TAINT", celString(v1alpha1.TaintNodeTenant),
		"PATTERN", celNamespaceLabel(v1alpha1.LabelPattern))
	return validation{
		name:      "node-affinity",
		about:     "Pods run on their tenant's dedicated nodes where it has some, and never on another tenant's.",
		match:     match{rules: anyPodSpec(), namespaces: inSpaces(), conditions: podSpecChanged()},
		variables: nodeVariables(tr, s.Tolerations),
		checks: []check{{
			expression: "size(variables.wild) == 0",
			message: `'toleration of ' + variables.wild.map(t, '"' + t.?key.orValue('') + '" (' + ` +
				`t.?operator.orValue('Equal') + ' "' + t.?value.orValue('') + '" ' + t.?effect.orValue('every effect') + ')').join(', ') + ` +
				celString(" reaches nodes that are not for this tenant; "+tolerations),
			fallback: "a toleration reaches nodes that are not for this tenant; " + tolerations,
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
//
// Tolerations that Kubernetes adds by itself: to every pod, for a while, those of the admission plugin DefaultTolerationSeconds; to
// pods of DaemonSets those of their controller (daemon/util.AddOrUpdateDaemonPodTolerations), which only it may set.
func nodeVariables(tr *strings.Replacer, more []v1alpha1.TaintToleration) []admissionv1.Variable {
	allowed := `t.?key.orValue('') == TAINT && t.?operator.orValue('Equal') == 'Equal' && t.?value.orValue('') == variables.tenant ||
 t.?key.orValue('') in ['node.kubernetes.io/not-ready', 'node.kubernetes.io/unreachable'] && t.?effect.orValue('') == 'NoExecute' &&
  (has(t.tolerationSeconds) || variables.daemon) ||
 variables.daemon && t.?effect.orValue('') == 'NoSchedule' && t.?key.orValue('') in ['node.kubernetes.io/disk-pressure',
  'node.kubernetes.io/memory-pressure', 'node.kubernetes.io/pid-pressure', 'node.kubernetes.io/unschedulable']`
	for _, t := range more {
		allowed += " ||\n t.?key.orValue('') == " + celString(t.Key)
		if t.Value != "" {
			allowed += " && t.?operator.orValue('Equal') == 'Equal' && t.?value.orValue('') == " + celString(t.Value)
		}
		if t.Effect != "" {
			allowed += " && t.?effect.orValue('') == " + celString(string(t.Effect))
		}
	}
	return podVariables(tenantName(),
		let("daemon", "object.kind == 'Pod' && "+celController("daemon-set-controller")),
		let("wild", tr.Replace(`variables.pod.?tolerations.orValue([]).filter(t, !(t in variables.old.?tolerations.orValue([])) && !(
 `+allowed+`))`)),
		let("node", "variables.pod.?nodeName.orValue('')"),
		let("selected", tr.Replace(`variables.pod.?nodeSelector[?LABEL].orValue('')`)),
		let("nodeTerms", `variables.pod.?affinity.?nodeAffinity.?requiredDuringSchedulingIgnoredDuringExecution.?nodeSelectorTerms.orValue([]) +
 variables.pod.?affinity.?nodeAffinity.?preferredDuringSchedulingIgnoredDuringExecution.orValue([]).map(p, p.preference)`),
		let("podTerms", podTerms("podAffinity")+" +\n "+podTerms("podAntiAffinity")),
		let("strangers", `variables.podTerms.filter(t, has(t.namespaceSelector) ||
 t.?namespaces.orValue([]).exists(n, !n.startsWith(variables.tenant + '--')))`),
	)
}

// tolerationNames are the Platform's tolerations in words.
func tolerationNames(list []v1alpha1.TaintToleration) []string {
	names := make([]string, len(list))
	for i, t := range list {
		taint := corev1.Taint{Key: t.Key, Value: t.Value, Effect: t.Effect}
		names[i] = taint.ToString()
	}
	return names
}

func podTerms(kind string) string {
	return strings.ReplaceAll(`variables.pod.?affinity.?KIND.?requiredDuringSchedulingIgnoredDuringExecution.orValue([]) +
 variables.pod.?affinity.?KIND.?preferredDuringSchedulingIgnoredDuringExecution.orValue([]).map(p, p.podAffinityTerm)`, "KIND", kind)
}

// placePods gives pods of a SoftAffinity Space the selector and the toleration of their tenant's nodes. The template of
// a DaemonSet needs them too: its controller looks at the template to find the nodes that it makes pods for.
func placePods(*v1alpha1.PlatformSpec) mutation {
	tr := strings.NewReplacer("LABEL", celString(v1alpha1.LabelNodeTenant), "TAINT", celString(v1alpha1.TaintNodeTenant))
	softAffinity := &metav1.LabelSelector{MatchLabels: map[string]string{v1alpha1.LabelPattern: "SoftAffinity"}}
	return mutation{
		name:  "node-affinity",
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
