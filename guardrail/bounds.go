package guardrail

import (
	"fmt"
	"strings"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
)

// Bounds of one pod and of what is kept of workloads. They are far above what people write, and make the cost of every other policy,
// and the bytes of what controllers make from a template, a number.
const (
	// maxGrace is an hour: a pod that is deleted holds its node and its namespace for no longer.
	maxGrace = 3600
	// maxText is the characters of all commands, arguments and values of variables of a pod.
	maxText = 64 * 1024
	// maxHistory is how many old revisions or Jobs are kept of one workload.
	maxHistory = 20
)

// podLists are the lists of a pod spec with the most that they hold. Other policies pass a pod over that has more: this one refuses it.
var podLists = []struct {
	path string
	most int
}{
	{"containers", 32}, {"initContainers", 32}, {"ephemeralContainers", 32}, {"volumes", 64}, {"tolerations", 32},
	{"topologySpreadConstraints", 16}, {"hostAliases", 64}, {"imagePullSecrets", 32}, {"readinessGates", 16}, {"schedulingGates", 16},
	{"resourceClaims", 16},
	{"affinity.?nodeAffinity.?requiredDuringSchedulingIgnoredDuringExecution.?nodeSelectorTerms", 16},
	{"affinity.?nodeAffinity.?preferredDuringSchedulingIgnoredDuringExecution", 16},
	{"affinity.?podAffinity.?requiredDuringSchedulingIgnoredDuringExecution", 16},
	{"affinity.?podAffinity.?preferredDuringSchedulingIgnoredDuringExecution", 16},
	{"affinity.?podAntiAffinity.?requiredDuringSchedulingIgnoredDuringExecution", 16},
	{"affinity.?podAntiAffinity.?preferredDuringSchedulingIgnoredDuringExecution", 16},
}

// withinBounds is true of a pod spec whose lists are short enough to be judged by all policies.
func withinBounds() string {
	terms := make([]string, len(podLists))
	for i, l := range podLists {
		terms[i] = fmt.Sprintf("size(p.?%s.orValue([])) <= %d", l.path, l.most)
	}
	return "[" + celPodSpec("object") + "].all(p, " + strings.Join(terms, " &&\n ") + ")"
}

// listBounds are the bounds in words.
func listBounds() string {
	words := make([]string, len(podLists))
	for i, l := range podLists {
		words[i] = fmt.Sprintf("%d %s", l.most, l.path[strings.LastIndex(l.path, "?")+1:])
	}
	return "a pod has at most " + strings.Join(words, ", ")
}

// podBounds (control quota): a pod asks for resources that its tenant's quota names, and is as small as a pod may be. A
// ResourceQuota bounds what it names and leaves all else free, so what it does not name is refused here.
func podBounds() validation {
	const own = "'cpu', 'memory', 'ephemeral-storage'"
	const inner = "a container has at most 256 env, 64 volumeMounts, 64 ports, 32 envFrom, a projected volume 32 sources, an affinity term 32 namespaces"
	text := fmt.Sprintf("commands, arguments and variables of a pod have at most %d characters together; use a ConfigMap", maxText)
	grace := fmt.Sprintf("a grace period is at most %d seconds: a pod that ends later holds its node and its namespace", maxGrace)
	return validation{
		name:  "pod-bounds",
		about: "Pods ask for resources that their tenant's quota names, and have bounded lists, texts and grace periods.",
		match: match{rules: anyPodSpec(), namespaces: inSpaces(), conditions: podSpecIsNew()},
		variables: containerVariables(
			let("within", withinBounds()),
			// The resources of a pod that exists change by pods/resize alone, which knows cpu and memory.
			let("exists", "object.kind == 'Pod' && oldObject != null"),
			let("named", "namespaceObject.metadata.?annotations[?"+celString(v1alpha1.AnnotationResources)+"].orValue('').split(',')"),
			let("strange", `variables.exists ? [] : ([variables.pod] + variables.containers).map(c,
 c.?resources.?limits.orValue({}).map(k, k) + c.?resources.?requests.orValue({}).map(k, k)).flatten().filter(k,
 !(k in [`+own+`]) && !(k in variables.named))`),
			let("devices", `!variables.exists && size(variables.pod.?resourceClaims.orValue([])) > 0 &&
 !variables.named.exists(n, n.endsWith('.deviceclass.resource.k8s.io/devices'))`),
			let("short", `variables.containers.all(c, size(c.?env.orValue([])) <= 256 && size(c.?envFrom.orValue([])) <= 32 &&
 size(c.?volumeMounts.orValue([])) <= 64 && size(c.?ports.orValue([])) <= 64) &&
 variables.pod.?volumes.orValue([]).all(v, v.?projected.?sources.orValue(null) == null || size(v.projected.sources) <= 32) &&
 (`+podTerms("podAffinity")+` + `+podTerms("podAntiAffinity")+`).all(t, size(t.?namespaces.orValue([])) <= 32)`),
			let("text", `variables.containers.map(c, c.?env.orValue([]).map(e, size(e.?value.orValue(''))).sum() +
 (c.?command.orValue([]) + c.?args.orValue([])).map(a, size(a)).sum()).sum()`),
			let("graces", `[variables.pod.?terminationGracePeriodSeconds.orValue(0)] + variables.containers.map(c,
 [c.?livenessProbe, c.?startupProbe].map(p, p.?terminationGracePeriodSeconds.orValue(0))).flatten()`),
		),
		checks: []check{
			bound("variables.within", listBounds()),
			bound("!variables.within || variables.short", inner),
			bound(fmt.Sprintf("!variables.within || !variables.short || variables.text <= %d", maxText), text),
			bound(fmt.Sprintf("!variables.within || variables.graces.all(g, g <= %d)", maxGrace), grace),
			{
				expression: "!variables.within || size(variables.strange) == 0",
				message: `'resource ' + variables.strange.join(', ') + ' is not in the quota of this tenant, and so is 0; leave it out, or ask ` +
					`the platform team to name it there'`,
				fallback: "a resource is not in the quota of this tenant, and so is 0; leave it out, or ask the platform team to name it there",
				reason:   metav1.StatusReasonForbidden,
			},
			bound("!variables.devices", "resourceClaims ask for devices of which this tenant's quota names none; leave them out, or ask the platform "+
				"team to name CLASS.deviceclass.resource.k8s.io/devices in it"),
			bound("!variables.pod.?schedulingGroup.hasValue() && !variables.pod.?evictionResponders.hasValue()",
				"schedulingGroup and evictionResponders have controllers act that no quota counts; leave them out"),
		},
	}
}

// bound is a check whose message is the same for every request.
func bound(expression, says string) check {
	return check{expression: expression, message: celString(says), fallback: says, reason: metav1.StatusReasonForbidden}
}

// histories (control quota): what controllers keep of a workload that changed. Each old revision is as large as a template.
func histories() validation {
	return validation{
		name:  "histories",
		about: "Workloads keep few old revisions and Jobs.",
		match: match{
			rules: []admissionv1.NamedRuleWithOperations{
				on("apps", []string{"daemonsets", "deployments", "statefulsets"}, onCreate, onUpdate),
				on("batch", []string{"cronjobs", "jobs"}, onCreate, onUpdate),
			},
			namespaces: inSpaces(), conditions: specChanged(),
		},
		checks: []check{
			bound(fmt.Sprintf(`['revisionHistoryLimit', 'successfulJobsHistoryLimit', 'failedJobsHistoryLimit'].all(f,
 dyn(object).spec[?f].orValue(0) <= %d)`, maxHistory),
				fmt.Sprintf("revisionHistoryLimit, successfulJobsHistoryLimit and failedJobsHistoryLimit are at most %d", maxHistory)),
			bound(`(object.kind == 'CronJob' ? dyn(object).spec.jobTemplate.spec : dyn(object).spec).?managedBy.orValue(
 'kubernetes.io/job-controller') == 'kubernetes.io/job-controller'`,
				"managedBy has another controller run the Job, with its own rights; leave it out"),
			bound("!(object.kind == 'CronJob' ? dyn(object).spec.jobTemplate.spec : dyn(object).spec).?scheduling.hasValue()",
				"scheduling has controllers act that no quota counts; leave it out"),
		},
	}
}

// deletions (control quota): a deletion names no longer grace period than a pod may have. The API server takes the allowance of a budget of
// disruption away before it evicts the pod, and gives it back two minutes later where that fails: so tenants' evictions ask for nothing by which
// they could fail. Who may evict in every namespace is the platform's, and drains nodes.
func deletions() validation {
	return validation{
		name:  "deletions",
		about: "Deletions and evictions of pods name no long grace period, and evictions nothing by which they fail halfway.",
		match: match{
			rules: []admissionv1.NamedRuleWithOperations{
				on("", []string{"pods"}, onDelete), on("", []string{"pods/eviction"}, onCreate),
			},
			namespaces: inSpaces(),
		},
		checks: []check{bound(fmt.Sprintf(`[request.operation == 'DELETE' ? dyn(request).?options.orValue(null) : dyn(object).?deleteOptions.orValue(null)].all(o,
 o == null || o.?gracePeriodSeconds.orValue(0) <= %d)`, maxGrace),
			fmt.Sprintf("gracePeriodSeconds is at most %d: a pod that ends later holds its node and its namespace", maxGrace)),
			bound("request.operation == 'DELETE' || dyn(object).?deleteOptions.orValue({}).all(k, k in ['apiVersion', 'kind', 'gracePeriodSeconds', 'dryRun']) ||\n "+
				"authorizer.group('').resource('pods').subresource('eviction').check('create').allowed()",
				"an eviction that fails halfway stops the drain of a node; leave preconditions and propagationPolicy out")},
	}
}

// namedResources are the resources of pods that a tenant's quota names, next to cpu, memory and ephemeral storage, which it bounds always,
// and the device classes.
func namedResources(quota corev1.ResourceList) []string {
	var names []string
	for key := range quota {
		name, requested := strings.CutPrefix(string(key), "requests.")
		switch name {
		case "cpu", "memory", "ephemeral-storage", "storage":
			continue
		}
		if requested || strings.HasSuffix(name, ".deviceclass.resource.k8s.io/devices") {
			names = append(names, name)
		}
	}
	return names
}
