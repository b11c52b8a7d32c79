package pods

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	podsecurity "k8s.io/pod-security-admission/policy"

	"github.com/bulkhead-dev/bulkhead/isolation/finding"
)

// podGain is what a pod lets its author do to the node that it runs on, the least first.
type podGain int

const (
	gainsNothing podGain = iota
	gainsSurface         // more of the kernel to attack, where isolation holds
	gainsNotice          // learns of others on the node, or starves them
	gainsNetwork         // speaks and listens as the node
	gainsFiles           // reads or changes what others have on the node
	gainsNode            // is root on the node
)

func (g podGain) severity() finding.Severity {
	return [...]finding.Severity{finding.Low, finding.Low, finding.Medium, finding.High, finding.High, finding.Critical}[g]
}

// wayOut is one way out of a pod, through one field of its spec.
type wayOut struct {
	gain podGain
	what string
}

// escape grades what one check of Pod Security refuses. The library decides whether there is something to grade: what it
// lets through is nothing that Kubernetes holds for a way out.
type escape struct {
	check podsecurity.CheckID
	grade func(*podView) []wayOut
}

// escapes has every check of Pod Security. The precondition of each is in the grade's comment.
func escapes() []escape {
	return []escape{
		{"privileged", gradePrivileged},
		{"windowsHostProcess", gradeHostProcess},
		{"hostNamespaces", gradeHostNamespaces},
		{"hostPathVolumes", gradeHostPaths},
		{"capabilities_baseline", gradeCapabilities},
		{"procMount", gradeProcMount},
		{"restrictedVolumes", gradeVolumes},
		{"hostPorts", always(gainsNotice, "hostPort takes a port of the node, which others may have or need")},
		{"hostProbesAndHostLifecycle", always(gainsNotice, "a probe or hook with a host makes the kubelet connect anywhere, past every NetworkPolicy")},
		{"sysctls", always(gainsNotice, "sysctls beyond the safe ones change or starve what the node shares")},
		{"seLinuxOptions", always(gainsSurface, "SELinux options take the confinement of containers away")},
		{"appArmorProfile", always(gainsSurface, "AppArmor is unconfined")},
		{"seccompProfile_baseline", always(gainsSurface, "seccomp is unconfined")},
		{"seccompProfile_restricted", always(gainsSurface, "no seccomp profile: every system call reaches the kernel")},
		{"allowPrivilegeEscalation", always(gainsSurface, "allowPrivilegeEscalation is not false")},
		{"capabilities_restricted", always(gainsSurface, "capabilities are not dropped")},
		{"procMount_restricted", always(gainsSurface, "/proc is unmasked")},
		{"runAsNonRoot", always(gainsSurface, "may run as root")},
		{"runAsUser", always(gainsSurface, "runs as root")},
	}
}

func always(g podGain, what string) func(*podView) []wayOut {
	return func(*podView) []wayOut { return []wayOut{{g, what}} }
}

// escapeRules are the escapes with the library's newest rule for each.
type escapeRules []struct {
	escape
	refuses podsecurity.CheckPodFn
}

func newEscapeRules() escapeRules {
	all := escapes()
	rules := escapeRules{}
	for _, c := range podsecurity.DefaultChecks() {
		e := escape{c.ID, always(gainsNotice, "Pod Security refuses it ("+string(c.ID)+"), and what it gives is not known")}
		if i := slices.IndexFunc(all, func(e escape) bool { return e.check == c.ID }); i >= 0 {
			e = all[i]
		}
		rules = append(rules, struct {
			escape
			refuses podsecurity.CheckPodFn
		}{e, c.Versions[len(c.Versions)-1].CheckPod})
	}
	return rules
}

// waysOut are the ways out of a pod, the widest first.
func (r escapeRules) waysOut(meta *metav1.ObjectMeta, spec *corev1.PodSpec) []wayOut {
	var v *podView
	var ways []wayOut
	for i := range r {
		if r[i].refuses(meta, spec).Allowed {
			continue
		}
		if v == nil {
			v = viewOf(spec)
		}
		ways = append(ways, r[i].grade(v)...)
	}
	sortWays(ways)
	return slices.Compact(ways)
}

func sortWays(ways []wayOut) {
	slices.SortFunc(ways, func(a, b wayOut) int {
		if a.gain != b.gain {
			return int(b.gain - a.gain)
		}
		return strings.Compare(a.what, b.what)
	})
}

// podView is a pod spec with what its graders ask for again and again.
type podView struct {
	*corev1.PodSpec
	// inUserNamespace: root in the pod has no rights on the node, and its capabilities count for nothing there.
	inUserNamespace bool
	containers      []containerView
}

type containerView struct {
	*corev1.Container
	// capable: capabilities that were added can take effect, because the container may run as root or may gain what it
	// lacks.
	capable bool
	// unconfined: no seccomp profile is certain to be in force.
	unconfined bool
}

func viewOf(spec *corev1.PodSpec) *podView {
	v := &podView{PodSpec: spec, inUserNamespace: spec.HostUsers != nil && !*spec.HostUsers}
	add := func(c *corev1.Container) {
		v.containers = append(v.containers, containerView{c, v.isCapable(c.SecurityContext), v.isUnconfined(c.SecurityContext)})
	}
	for i := range spec.InitContainers {
		add(&spec.InitContainers[i])
	}
	for i := range spec.Containers {
		add(&spec.Containers[i])
	}
	for i := range spec.EphemeralContainers {
		add((*corev1.Container)(&spec.EphemeralContainers[i].EphemeralContainerCommon))
	}
	return v
}

func (v *podView) isCapable(c *corev1.SecurityContext) bool {
	if c == nil || c.AllowPrivilegeEscalation == nil || *c.AllowPrivilegeEscalation {
		return true // the author of the image may put a binary there that has capabilities
	}
	return v.mayBeRoot(c)
}

func (v *podView) mayBeRoot(c *corev1.SecurityContext) bool {
	nonRoot, user := (*bool)(nil), (*int64)(nil)
	if v.SecurityContext != nil {
		nonRoot, user = v.SecurityContext.RunAsNonRoot, v.SecurityContext.RunAsUser
	}
	if c != nil && c.RunAsNonRoot != nil {
		nonRoot = c.RunAsNonRoot
	}
	if c != nil && c.RunAsUser != nil {
		user = c.RunAsUser
	}
	return (nonRoot == nil || !*nonRoot) && (user == nil || *user == 0)
}

func (v *podView) isUnconfined(c *corev1.SecurityContext) bool {
	var profile *corev1.SeccompProfile
	if v.SecurityContext != nil {
		profile = v.SecurityContext.SeccompProfile
	}
	if c != nil && c.SeccompProfile != nil {
		profile = c.SeccompProfile
	}
	return profile == nil || profile.Type == corev1.SeccompProfileTypeUnconfined
}

// gradePrivileged: a privileged container has every capability, every device and no confinement. In a user namespace its
// capabilities end at the namespace; what is left are the kernel's interfaces, unmasked.
func gradePrivileged(v *podView) []wayOut {
	var ways []wayOut
	for _, c := range v.containers {
		if c.SecurityContext == nil || c.SecurityContext.Privileged == nil || !*c.SecurityContext.Privileged {
			continue
		}
		if v.inUserNamespace {
			ways = append(ways, wayOut{gainsNotice, fmt.Sprintf("container %s is privileged, in a user namespace", c.Name)})
			continue
		}
		ways = append(ways, wayOut{gainsNode, fmt.Sprintf("container %s is privileged: it mounts the node's disk and runs there as root", c.Name)})
	}
	return ways
}

// gradeHostProcess: a Windows hostProcess container is a process of the node.
func gradeHostProcess(*podView) []wayOut {
	return []wayOut{{gainsNode, "windowsOptions.hostProcess: it is a process of the node itself"}}
}

// gradeHostNamespaces: hostPID shows every process, and lets a process with the user id of another pod's process read its
// environment and, through /proc/PID/root, its files with its token; the author chooses the user id. (With SYS_PTRACE or
// SYS_ADMIN it takes the node: that is graded with the capability.) hostNetwork is the node's address, its localhost
// and no NetworkPolicy. hostIPC is shared memory of those on the node who use it too. A user namespace excludes all three.
// shareProcessNamespace is no way out: it joins the containers of one pod.
func gradeHostNamespaces(v *podView) []wayOut {
	var ways []wayOut
	if v.HostPID {
		ways = append(ways, wayOut{gainsFiles, "hostPID shows every process of the node: environments and files of other pods whose user id it takes"})
	}
	if v.HostNetwork {
		what := "hostNetwork speaks and listens as the node: its localhost, the metadata address, no NetworkPolicy"
		if v.anyHas("NET_RAW", true) || v.anyHas("NET_ADMIN", false) {
			what += ", and it sees and forges the traffic of every pod there"
		}
		ways = append(ways, wayOut{gainsNetwork, what})
	}
	if v.HostIPC {
		ways = append(ways, wayOut{gainsNotice, "hostIPC shares memory and queues with processes of the node"})
	}
	return ways
}

// gradeProcMount: unmasked, /proc/sys is writable for root, and kernel.core_pattern names a program that the kernel runs
// as the node's root.
func gradeProcMount(v *podView) []wayOut {
	for _, c := range v.containers {
		if c.SecurityContext != nil && c.SecurityContext.ProcMount != nil && *c.SecurityContext.ProcMount == corev1.UnmaskedProcMount &&
			v.mayBeRoot(c.SecurityContext) && !v.inUserNamespace {
			return []wayOut{{gainsNode, fmt.Sprintf("container %s has /proc unmasked: through kernel.core_pattern the kernel runs its program as the node's root", c.Name)}}
		}
	}
	return []wayOut{{gainsSurface, "/proc is unmasked"}}
}

// gradeVolumes: of the kinds of volumes that only the level restricted refuses, a flexVolume runs a program of the node as
// root with the author's options, and a gitRepo makes the kubelet run git on the author's repository, hooks and all.
func gradeVolumes(v *podView) []wayOut {
	var ways []wayOut
	for i := range v.Volumes {
		switch volume := &v.Volumes[i]; {
		case volume.HostPath != nil: // graded by its path
		case volume.FlexVolume != nil:
			ways = append(ways, wayOut{gainsFiles, fmt.Sprintf("flexVolume %s runs the node's driver %s as root with options of the pod", volume.Name, volume.FlexVolume.Driver)})
		case volume.GitRepo != nil:
			ways = append(ways, wayOut{gainsNode, fmt.Sprintf("gitRepo volume %s makes the kubelet run git, as root, on a repository of the pod's choice", volume.Name)})
		case isPlainVolume(&volume.VolumeSource):
		default:
			ways = append(ways, wayOut{gainsSurface, fmt.Sprintf("volume %s is of a kind that the node's kernel mounts for the pod", volume.Name)})
		}
	}
	return ways
}

func isPlainVolume(s *corev1.VolumeSource) bool {
	return s.ConfigMap != nil || s.CSI != nil || s.DownwardAPI != nil || s.EmptyDir != nil || s.Ephemeral != nil || s.Image != nil ||
		s.PersistentVolumeClaim != nil || s.Projected != nil || s.Secret != nil
}
