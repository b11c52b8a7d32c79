package pods

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// capability is what one capability gives in the node's own user namespace, with ordinary namespaces for the rest.
type capability struct {
	name string
	gain podGain
	what string
	// needs narrows it; nil is always.
	needs func(*podView, *containerView) bool
}

// capabilities has the grades, the first that applies. What container runtimes give by default is not here: it is no way
// out. (That they give NET_RAW by default depends on the runtime; added by name, it is graded.)
func capabilities() []capability {
	hostPID := func(v *podView, _ *containerView) bool { return v.HostPID }
	hostNetwork := func(v *podView, _ *containerView) bool { return v.HostNetwork }
	unconfined := func(_ *podView, c *containerView) bool { return c.unconfined }
	withPerfmon := func(_ *podView, c *containerView) bool { return c.adds("PERFMON") }
	return []capability{
		{"ALL", gainsNode, "every capability", nil},
		{"SYS_ADMIN", gainsNode, "it mounts, and writes a cgroup's release_agent that the kernel runs as the node's root", nil},
		{"SYS_MODULE", gainsNode, "it loads code into the node's kernel", nil},
		{"SYS_RAWIO", gainsNode, "it reaches the node's memory and ports", nil},
		{"DAC_READ_SEARCH", gainsNode, "it opens every file of the node by handle, the kubelet's credentials too", nil},
		{"SYS_PTRACE", gainsNode, "with hostPID it takes over a process of the node's root", hostPID},
		{"SYS_PTRACE", gainsSurface, "it looks into the pod's own processes only", nil},
		{"SYS_BOOT", gainsNode, "without a seccomp profile it boots a kernel of its own", unconfined},
		{"SYS_BOOT", gainsNotice, "with hostPID it restarts the node", hostPID},
		{"SYS_BOOT", gainsSurface, "it restarts its own container", nil},
		{"BPF", gainsNode, "with PERFMON its programs read the kernel's memory", withPerfmon},
		{"BPF", gainsNetwork, "it loads programs into the node's kernel", nil},
		{"PERFMON", gainsNotice, "it measures every process of the node", nil},
		{"SYSLOG", gainsNotice, "it reads the kernel's log and addresses", nil},
		{"SYS_TIME", gainsFiles, "it sets the clock of every pod on the node", nil},
		{"MAC_ADMIN", gainsFiles, "it changes the node's confinement of others", nil},
		{"MAC_OVERRIDE", gainsFiles, "it is past the node's mandatory access control", nil},
		{"CHECKPOINT_RESTORE", gainsSurface, "it chooses process ids", nil},
		{"NET_ADMIN", gainsNetwork, "with hostNetwork it redirects the node's traffic", hostNetwork},
		{"NET_ADMIN", gainsNotice, "it takes addresses of other pods where they share a network segment", nil},
		{"NET_RAW", gainsNetwork, "with hostNetwork it sees and forges the node's traffic", hostNetwork},
		{"NET_RAW", gainsNotice, "it forges packets to other pods where they share a network segment", nil},
		{"SYS_RESOURCE", gainsNotice, "it is past limits that others share", nil},
		{"SYS_NICE", gainsNotice, "it takes processor time from others", nil},
		{"IPC_LOCK", gainsSurface, "it locks memory", nil},
		{"IPC_OWNER", gainsNotice, "with hostIPC it reads any shared memory", func(v *podView, _ *containerView) bool { return v.HostIPC }},
		{"IPC_OWNER", gainsSurface, "it reads the pod's own shared memory", nil},
		{"AUDIT_CONTROL", gainsNotice, "it turns the node's audit off", nil},
		{"AUDIT_READ", gainsNotice, "it reads the node's audit log", nil},
		{"LINUX_IMMUTABLE", gainsSurface, "it pins its own files", nil},
		{"BLOCK_SUSPEND", gainsSurface, "it keeps the node awake", nil},
		{"WAKE_ALARM", gainsSurface, "it wakes the node", nil},
		{"LEASE", gainsSurface, "it takes leases on files", nil},
		{"NET_BROADCAST", gainsSurface, "it sends broadcasts", nil},
		{"SYS_PACCT", gainsNotice, "it turns process accounting of the node on and off", nil},
		{"SYS_TTY_CONFIG", gainsSurface, "it hangs up terminals", nil},
	}
}

// byDefault are the capabilities that container runtimes give every container, or that reach nothing of the node.
var byDefault = []string{"AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE",
	"SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT"}

// gradeCapabilities: a capability that was added counts where the container may run as root, or gain what it lacks
// through a binary of its image; not in a user namespace. One without a grade counts as reading others' files.
func gradeCapabilities(v *podView) []wayOut {
	var ways []wayOut
	for i := range v.containers {
		c := &v.containers[i]
		if c.SecurityContext == nil || c.SecurityContext.Capabilities == nil {
			continue
		}
		for _, added := range c.SecurityContext.Capabilities.Add {
			name := capabilityName(added)
			if slices.Contains(byDefault, name) {
				continue
			}
			switch {
			case v.inUserNamespace:
				ways = append(ways, wayOut{gainsSurface, fmt.Sprintf("container %s has %s, within its user namespace", c.Name, name)})
			case !c.capable:
				ways = append(ways, wayOut{gainsSurface, fmt.Sprintf("container %s has %s, which a process without root cannot use", c.Name, name)})
			default:
				ways = append(ways, gradeCapability(name, v, c))
			}
		}
	}
	return ways
}

func gradeCapability(name string, v *podView, c *containerView) wayOut {
	for _, known := range capabilities() {
		if known.name == name && (known.needs == nil || known.needs(v, c)) {
			return wayOut{known.gain, fmt.Sprintf("container %s has %s: %s", c.Name, name, known.what)}
		}
	}
	return wayOut{gainsFiles, fmt.Sprintf("container %s has %s, and what it gives is not known", c.Name, name)}
}

func capabilityName(c corev1.Capability) string {
	return strings.TrimPrefix(strings.ToUpper(string(c)), "CAP_")
}

func (c *containerView) adds(name string) bool {
	return c.SecurityContext != nil && c.SecurityContext.Capabilities != nil &&
		slices.ContainsFunc(c.SecurityContext.Capabilities.Add, func(a corev1.Capability) bool {
			return capabilityName(a) == name || capabilityName(a) == "ALL"
		})
}

func (c *containerView) drops(name string) bool {
	return c.SecurityContext != nil && c.SecurityContext.Capabilities != nil &&
		slices.ContainsFunc(c.SecurityContext.Capabilities.Drop, func(a corev1.Capability) bool {
			return capabilityName(a) == name || capabilityName(a) == "ALL"
		})
}

// anyHas reports whether a container has a capability that takes effect: added, or given by default and not dropped.
func (v *podView) anyHas(name string, isDefault bool) bool {
	for i := range v.containers {
		c := &v.containers[i]
		if c.capable && (c.adds(name) || isDefault && !c.drops(name)) {
			return true
		}
	}
	return false
}
