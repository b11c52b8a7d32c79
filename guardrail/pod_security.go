package guardrail

import (
	"strings"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
)

// podSecurityControl is enforced by Pod Security admission, through labels of namespaces.
var podSecurityControl = Control{
	ID: "pod-security", Title: "Pods cannot reach their host",
	Threat: "a container that becomes its node, and with it every pod there",
	How: "Pod Security Admission enforces the level restricted at a pinned version on every Space's namespace. It " +
		"looks at init and ephemeral containers too, and at pods from every kind of workload. What a pod leaves out, an admission " +
		"policy sets before as the level demands it: runAsNonRoot true, seccompProfile RuntimeDefault, allowPrivilegeEscalation " +
		"false, all capabilities dropped. What a pod says against the level is refused, and templates stay as they were written. What the " +
		"level lets a pod choose all the same (a profile that lies on the node, an SELinux level, Windows identities, root in a user " +
		"namespace), another policy refuses.",
	Objects: []string{"Namespace labels pod-security.kubernetes.io/*"},
	Needs: "the API server's PodSecurity admission plugin (on by default), without exemptions for tenants; " +
		"MutatingAdmissionPolicy v1, or else pods must say it all themselves",
	Fix: "Developer: leave the security context out, or run as non-root, drop ALL capabilities, set seccompProfile RuntimeDefault and " +
		"allowPrivilegeEscalation false; the refusal names each field. The kubelet does not start an image that runs as root, or as a " +
		"user that it names by no number (CreateContainerConfigError): set runAsUser to a number that the image can run as. Warnings " +
		"of Pod Security about templates name what is set in their pods too. Platform: a workload that needs the host " +
		"declares hostAccess Privileged and gets a cluster of its own; a Waiver lowers restricted to baseline, never " +
		"to privileged.",
	Waivable: true,
	Mappings: []string{"K01", "MTB-PL1-BC-CPI-3", "MTB-PL1-BC-CPI-4", "MTB-PL1-BC-CPI-5", "MTB-PL1-BC-CPI-6",
		"MTB-PL1-BC-HI-1", "MTB-PL1-BC-HI-3", "MTB-PL1-BC-HI-4", "MTB-PL1-BC-HI-5"},
	cases: []string{
		"*privileged", "privileged-through-*", "*privilege-escalation", "*privilege-escalation-unset", "*root", "*root-unset", "*root-user",
		"*capabilities-kept", "*capabilities-unset", "*capability-all", "*capability-bpf", "*capability-dac-read-search", "*capability-net-admin",
		"*capability-net-raw", "*capability-perfmon", "*capability-sys-admin", "*capability-sys-module",
		"*capability-sys-ptrace", "*capability-sys-rawio", "*capability-sys-time",
		"*seccomp-unconfined", "*seccomp-unset", "*apparmor-unconfined", "*selinux-type", "*selinux-user", "*selinux-role", "host-ipc", "host-network",
		"host-pid", "host-path", "host-path-*", "*host-port", "liveness-host", "probe-host", "tcp-host", "proc-unmasked", "sysctl", "*-volume",
		"windows-host-process", "windows-container-process", "local-*", "selinux-level*", "windows-options*", "user-namespace*",
	},
	mutations: []func(*v1alpha1.PlatformSpec) mutation{completePods},
	validations: func(_ *v1alpha1.PlatformSpec) []validation {
		return []validation{lapsedPodSecurity(), profiles()}
	},
}

// podSecurityVersion pins the checks behind the Pod Security levels. It is the oldest Kubernetes that Bulkhead
// supports, so every server knows it, and upgrading a server never starts to refuse what ran the day before: a newer
// set of checks comes with a release of Bulkhead, where it is read and announced.
const podSecurityVersion = "v1.36"

// The Pod Security levels that Bulkhead sets. There is no third.
const (
	restricted = "restricted"
	baseline   = "baseline"
)

// podSecurity adds the Pod Security labels. The warnings and the audit trail always use restricted, also where a
// waiver lowers what is enforced.
func podSecurity(labels map[string]string, enforce string) {
	const prefix = "pod-security.kubernetes.io/"
	for mode, level := range map[string]string{"enforce": enforce, "audit": restricted, "warn": restricted} {
		labels[prefix+mode] = level
		labels[prefix+mode+"-version"] = podSecurityVersion
	}
}

// lapsedPodSecurity (control pod-security) ends a waiver of Pod Security at its time. The waiver lowers a label, and a label
// has no clock: until Bulkhead raises it again, this policy asks of new pods what the level restricted asks beyond
// baseline (v1.36, https://kubernetes.io/docs/concepts/security/pod-security-standards/). Kinds of volumes are left to
// control storage.
func lapsedPodSecurity() validation {
	const lax = `c.?securityContext.?allowPrivilegeEscalation.orValue(true) ||
 !('ALL' in c.?securityContext.?capabilities.?drop.orValue([])) ||
 c.?securityContext.?capabilities.?add.orValue([]).exists(a, a != 'NET_BIND_SERVICE') ||
 !c.?securityContext.?runAsNonRoot.orValue(variables.shared.?runAsNonRoot.orValue(false)) ||
 c.?securityContext.?runAsUser.orValue(variables.shared.?runAsUser.orValue(1)) == 0 ||
 !(c.?securityContext.?seccompProfile.?type.orValue(variables.shared.?seccompProfile.?type.orValue(''))
  in ['RuntimeDefault', 'Localhost'])`
	return validation{
		name:   "pod-security",
		behind: "Pod Security: only a waiver that is over, and whose label is still there, leaves anything to this policy",
		about:  "Where a Waiver of Pod Security is over, pods are restricted again at once.",
		match: match{
			rules: []admissionv1.NamedRuleWithOperations{
				on("", []string{"pods"}, onCreate), on("", []string{"pods/ephemeralcontainers"}, onUpdate),
			},
			namespaces: labelled(v1alpha1.WaiverPrefix + "pod-security"),
		},
		variables: containerVariables(waived("pod-security"),
			let("oldNames", "variables.oldContainers.map(c, c.name)"),
			let("shared", "variables.pod.?securityContext.orValue({})"),
			let("lax", "variables.containers.filter(c, !(c.name in variables.oldNames) && ("+lax+"))"),
		),
		checks: []check{{
			expression: "size(variables.lax) == 0 || variables.waived",
			message: `'container "' + variables.lax.map(c, c.name).join('", "') + '" is not restricted, and the waiver is over; ' +
 'set runAsNonRoot: true, seccompProfile RuntimeDefault, allowPrivilegeEscalation: false, and drop ALL capabilities'`,
			fallback: "a container is not restricted, and the waiver is over",
			reason:   metav1.StatusReasonForbidden,
		}},
	}
}

// profiles (control pod-security) refuses what the level restricted leaves to the author of a pod though it is the node's or another
// tenant's: profiles of the node may allow more, an SELinux level is what keeps pods of one type apart, and since v1.35 the level lets a
// pod run as root where it has a user namespace (https://kubernetes.io/docs/concepts/security/pod-security-standards/).
func profiles() validation {
	const restrictedUsers = `variables.containers.all(c,
 c.?securityContext.?runAsNonRoot.orValue(variables.pod.?securityContext.?runAsNonRoot.orValue(false)) &&
 c.?securityContext.?runAsUser.orValue(variables.pod.?securityContext.?runAsUser.orValue(1)) != 0)`
	none := func(field string) string {
		return "variables.contexts.all(s, !s.?" + field + ".hasValue()) || variables.waived"
	}
	return validation{
		name:  "profiles",
		about: "Pods name no profile of the node, no SELinux level and no Windows identity, and a user namespace does not let them run as root.",
		match: match{rules: anyPodSpec(), namespaces: inSpaces(), conditions: podSpecWith("profile-or-user-namespace",
			`!POD.?hostUsers.orValue(true) || ([POD] + POD.?containers.orValue([]) + POD.?initContainers.orValue([]) +
 POD.?ephemeralContainers.orValue([])).exists(c, c.?securityContext.?windowsOptions.hasValue() || c.?securityContext.?seLinuxOptions.?level.hasValue() ||
  c.?securityContext.?seccompProfile.?localhostProfile.hasValue() || c.?securityContext.?appArmorProfile.?localhostProfile.hasValue())`)},
		variables: containerVariables(waived("pod-security"),
			let("contexts", "([variables.pod] + variables.containers).map(c, c.?securityContext.orValue({}))")),
		checks: []check{
			bound(none("seccompProfile.?localhostProfile"), "localhostProfile names a profile of the node, which may allow more; set seccompProfile RuntimeDefault"),
			bound(none("appArmorProfile.?localhostProfile"), "localhostProfile names a profile of the node, which may allow more; set appArmorProfile RuntimeDefault"),
			bound(none("seLinuxOptions.?level"), "seLinuxOptions.level may be that of another tenant's pods; leave it out, and the runtime picks one of its own"),
			bound(none("windowsOptions"), "windowsOptions name an identity that no control judges; leave them out"),
			bound("variables.pod.?hostUsers.orValue(true) || "+celNamespaceLabel("pod-security.kubernetes.io/enforce")+" != '"+restricted+"' || "+restrictedUsers+
				" || variables.waived", "hostUsers: false does not let containers run as root; set runAsNonRoot: true, and no runAsUser 0"),
		},
	}
}

// completePods sets what a pod leaves out of its security context as the level restricted demands it (see lapsedPodSecurity for
// the level), so that pods of charts that say nothing are let in. It changes nothing that a pod says: Pod Security judges that after
// it. Of a Windows pod the level demands runAsNonRoot alone, and the API refuses the rest; of a pod in a user namespace of its own
// (hostUsers false) profiles demands runAsNonRoot, where the level does not. An ephemeral container is added to a pod whose own fields can change no more.
func completePods(*v1alpha1.PlatformSpec) mutation {
	return mutation{
		name:  "pod-security",
		about: "What pods leave out of their security context is set as Pod Security's level restricted demands it.",
		match: match{
			rules: []admissionv1.NamedRuleWithOperations{
				on("", []string{"pods"}, onCreate), on("", []string{"pods/ephemeralcontainers"}, onUpdate),
			},
			namespaces: inSpaces(),
			conditions: podSpecWith("something-left-out", `!POD.?securityContext.?runAsNonRoot.hasValue() ||
 !POD.?securityContext.?seccompProfile.hasValue() ||
 [POD.?containers, POD.?initContainers, POD.?ephemeralContainers].exists(l, l.orValue([]).exists(c,
  !c.?securityContext.?allowPrivilegeEscalation.hasValue() || !c.?securityContext.?capabilities.?drop.hasValue()))`),
		},
		variables: containerVariables(
			let("linux", "variables.pod.?os.?name.orValue('') != 'windows'"),
			let("created", "request.operation == 'CREATE'"),
			let("shared", "variables.pod.?securityContext.orValue({})"),
			let("oldNames", "variables.oldContainers.map(c, c.name)"),
			// What the pod as a whole leaves open, and with it a container that says nothing either.
			let("anyUser", `!has(variables.shared.runAsNonRoot) &&
 variables.containers.exists(c, !c.?securityContext.?runAsNonRoot.hasValue())`),
			let("anyCall", `variables.linux && !has(variables.shared.seccompProfile) &&
 variables.containers.exists(c, !c.?securityContext.?seccompProfile.hasValue())`),
			let("contexts", "!variables.created ? "+contextsOf("ephemeralContainers")+" :\n !variables.linux ? [] :\n "+
				contextsOf("containers")+" +\n "+contextsOf("initContainers")),
		),
		patch: notWaived("pod-security") + ` ?
 (variables.created && !has(variables.pod.securityContext) ? [JSONPatch{op: 'add', path: '/spec/securityContext', value: {}}] : []) +
 (variables.created && variables.anyUser ? [JSONPatch{op: 'add', path: '/spec/securityContext/runAsNonRoot', value: true}] : []) +
 (variables.created && variables.anyCall ? [JSONPatch{op: 'add', path: '/spec/securityContext/seccompProfile', value: {'type': 'RuntimeDefault'}}] : []) +
 variables.contexts.filter(x, x.bare).map(x, JSONPatch{op: 'add', path: x.path, value: {}}) +
 variables.contexts.filter(x, variables.linux && !has(x.is.allowPrivilegeEscalation) && !` + mustEscalate + `).map(x,
  JSONPatch{op: 'add', path: x.path + '/allowPrivilegeEscalation', value: false}) +
 variables.contexts.filter(x, variables.linux && !has(x.is.capabilities)).map(x,
  JSONPatch{op: 'add', path: x.path + '/capabilities', value: {}}) +
 variables.contexts.filter(x, variables.linux && !x.is.?capabilities.?drop.hasValue()).map(x,
  JSONPatch{op: 'add', path: x.path + '/capabilities/drop', value: ['ALL']}) +
 variables.contexts.filter(x, !variables.created && variables.anyUser && !has(x.is.runAsNonRoot)).map(x,
  JSONPatch{op: 'add', path: x.path + '/runAsNonRoot', value: true}) +
 variables.contexts.filter(x, !variables.created && variables.anyCall && !has(x.is.seccompProfile)).map(x,
  JSONPatch{op: 'add', path: x.path + '/seccompProfile', value: {'type': 'RuntimeDefault'}}) : []`,
	}
}

// mustEscalate is true of a container x that is refused for what it says. The API itself would refuse to forbid it to escalate,
// in words that do not tell what to change.
const mustEscalate = "(x.is.?privileged.orValue(false) || 'CAP_SYS_ADMIN' in x.is.?capabilities.?add.orValue([]))"

// contextsOf are the security contexts of the new containers of a list of the pod, each with its JSON pointer; bare where it has none.
func contextsOf(list string) string {
	return strings.ReplaceAll(`variables.pod.?LIST.orValue([]).transformList(i, c, !(c.name in variables.oldNames),
 {'path': dyn('/spec/LIST/' + string(i) + '/securityContext'), 'bare': dyn(!has(c.securityContext)), 'is': dyn(c.?securityContext.orValue({}))})`, "LIST", list)
}
