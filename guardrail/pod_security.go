package guardrail

import (
	admissionv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
)

// podSecurityControl is enforced by Pod Security admission, through labels of namespaces.
var podSecurityControl = Control{
	ID: "pod-security", Title: "Pods cannot reach their host",
	Threat: "a container that becomes its node, and with it every pod there",
	How: "Pod Security Admission enforces the level restricted at a pinned version on every Space's namespace. It " +
		"looks at init and ephemeral containers too, and at pods from every kind of workload.",
	Objects: []string{"Namespace labels pod-security.kubernetes.io/*"},
	Needs:   "the API server's PodSecurity admission plugin (on by default), without exemptions for tenants",
	Fix: "Developer: run as non-root, drop ALL capabilities, set seccompProfile RuntimeDefault and " +
		"allowPrivilegeEscalation false; the refusal names each field. Platform: a workload that needs the host " +
		"declares hostAccess Privileged and gets a cluster of its own; a Waiver lowers restricted to baseline, never " +
		"to privileged.",
	Waivable: true,
	Mappings: []string{"K01", "MTB-PL1-BC-CPI-3", "MTB-PL1-BC-CPI-4", "MTB-PL1-BC-CPI-5", "MTB-PL1-BC-CPI-6",
		"MTB-PL1-BC-HI-1", "MTB-PL1-BC-HI-3", "MTB-PL1-BC-HI-4", "MTB-PL1-BC-HI-5"},
	cases: []string{
		"*privileged", "privileged-through-*", "*privilege-escalation", "*privilege-escalation-unset", "*root", "*root-user",
		"*capabilities-kept", "*capability-all", "*capability-bpf", "*capability-dac-read-search", "*capability-net-admin",
		"*capability-net-raw", "*capability-perfmon", "*capability-sys-admin", "*capability-sys-module",
		"*capability-sys-ptrace", "*capability-sys-rawio", "*capability-sys-time",
		"*seccomp-unconfined", "seccomp-unset", "*apparmor-unconfined", "*selinux-type", "host-ipc", "host-network",
		"host-pid", "host-path", "host-path-*", "*host-port", "liveness-host", "probe-host", "proc-unmasked", "sysctl", "iscsi-volume",
		"nfs-volume", "windows-host-process",
	},
	validations: func(_ *v1alpha1.PlatformSpec) []validation {
		return []validation{lapsedPodSecurity()}
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
