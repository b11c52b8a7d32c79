package hostile

import (
	corev1 "k8s.io/api/core/v1"

	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/intstr"
)

// podSecurity is the control of most cases by pods.
const podSecurity = "pod-security"

// podSecurityCases are pods that reach their host.
func podSecurityCases() []Case {
	return slices.Concat(hostCases(), containerCases(), throughController())
}

// hostCases are the fields of a pod as a whole that Pod Security refuses.
func hostCases() []Case {
	spec := func(id, title, says string, change func(*corev1.PodSpec)) Case {
		c := byPod(id, podSecurity, title, specChange(change), Refusal{By: PodSecurity, Says: says})
		c.Applies = whileRestricted(c.ID)
		return c
	}
	volume := func(source corev1.VolumeSource) func(*corev1.PodSpec) {
		return func(s *corev1.PodSpec) { s.Volumes = []corev1.Volume{{Name: "host", VolumeSource: source}} }
	}
	cases := []Case{
		spec("host-network", "uses the host's network", "hostNetwork=true", func(s *corev1.PodSpec) { s.HostNetwork = true }),
		spec("host-pid", "sees the host's processes", "hostPID=true", func(s *corev1.PodSpec) { s.HostPID = true }),
		spec("host-ipc", "uses the host's shared memory", "hostIPC=true", func(s *corev1.PodSpec) { s.HostIPC = true }),
		spec("seccomp-unset", "runs without a seccomp profile, by leaving it out", "seccompProfile", func(s *corev1.PodSpec) { s.SecurityContext.SeccompProfile = nil }),
		spec("windows-host-process", "runs as a process of its Windows host", "hostProcess", func(s *corev1.PodSpec) {
			s.HostNetwork = true // or the API itself refuses it
			s.SecurityContext.WindowsOptions = &corev1.WindowsSecurityContextOptions{HostProcess: new(true)}
		}),
		spec("sysctl", "changes a kernel setting that all pods of the node share", "forbidden sysctls", func(s *corev1.PodSpec) {
			s.SecurityContext.Sysctls = []corev1.Sysctl{{Name: "kernel.msgmax", Value: "65536"}}
		}),
		spec("nfs-volume", "mounts a file server past every claim", "restricted volume types", volume(corev1.VolumeSource{NFS: &corev1.NFSVolumeSource{Server: "192.0.2.1", Path: "/"}})),
		spec("iscsi-volume", "mounts a block device past every claim", "restricted volume types", volume(corev1.VolumeSource{
			ISCSI: &corev1.ISCSIVolumeSource{TargetPortal: "192.0.2.1", IQN: "iqn.2001-04.com.example:x", Lun: 0}})),
	}
	for id, path := range map[string]string{
		"host-path": "/", "host-path-log": "/var/log", "host-path-containerd": "/var/run/containerd/containerd.sock", "host-path-proc": "/proc",
		"host-path-kubernetes": "/etc/kubernetes", "host-path-kubelet": "/var/lib/kubelet", "host-path-cgroup": "/sys/fs/cgroup", "host-path-dev": "/dev",
	} {
		cases = append(cases, spec(id, "mounts "+path+" of the host", "hostPath", volume(corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: path}})))
	}
	return append(cases, byPod("proc-unmasked", podSecurity, "sees all of /proc", specChange(func(s *corev1.PodSpec) {
		s.HostUsers = new(false) // or the API itself refuses it
		s.Containers[0].SecurityContext.ProcMount = new(corev1.UnmaskedProcMount)
	}), Refusal{By: PodSecurity, Says: "procMount"}))
}

func privileged(_ Scene, pod *corev1.Pod) error {
	makePrivileged(pod.Spec.Containers[0].SecurityContext)
	return nil
}

// makePrivileged leaves open whether privileges may grow, or the API itself refuses it.
func makePrivileged(s *corev1.SecurityContext) {
	s.Privileged, s.AllowPrivilegeEscalation = new(true), nil
}

// containerField is a field of a container that Pod Security refuses, wherever in the pod the container stands.
type containerField struct {
	id, title, says string
	change          func(*corev1.Container)
	// notEphemeral and notInit are true where the API itself knows no such field on these containers.
	notEphemeral, notInit bool
}

// containerFields are the fields of containers through which a pod reaches its host.
func containerFields() []containerField {
	secure := func(id, title, says string, change func(*corev1.SecurityContext)) containerField {
		return containerField{id: id, title: title, says: says, change: func(c *corev1.Container) { change(c.SecurityContext) }}
	}
	cases := []containerField{
		secure("privileged", "runs privileged", "privileged", makePrivileged),
		secure("privilege-escalation", "may gain rights by setuid programs", "allowPrivilegeEscalation != false", func(s *corev1.SecurityContext) { s.AllowPrivilegeEscalation = new(true) }),
		secure("privilege-escalation-unset", "may gain rights by setuid programs, by leaving it out", "allowPrivilegeEscalation != false", func(s *corev1.SecurityContext) { s.AllowPrivilegeEscalation = nil }),
		secure("root", "runs as root", "runAsNonRoot != true", func(s *corev1.SecurityContext) { s.RunAsNonRoot = new(false) }),
		secure("root-user", "runs as user 0", "runAsUser=0", func(s *corev1.SecurityContext) { s.RunAsUser = new(int64(0)) }),
		secure("capabilities-kept", "keeps the default capabilities", "unrestricted capabilities", func(s *corev1.SecurityContext) { s.Capabilities = nil }),
		secure("seccomp-unconfined", "runs without a seccomp profile", "seccompProfile", func(s *corev1.SecurityContext) {
			s.SeccompProfile = &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeUnconfined}
		}),
		secure("apparmor-unconfined", "runs without an AppArmor profile", "AppArmor", func(s *corev1.SecurityContext) {
			s.AppArmorProfile = &corev1.AppArmorProfile{Type: corev1.AppArmorProfileTypeUnconfined}
		}),
		secure("selinux-type", "picks the SELinux type of container runtimes", "seLinuxOptions", func(s *corev1.SecurityContext) {
			s.SELinuxOptions = &corev1.SELinuxOptions{Type: "spc_t"}
		}),
		{id: "host-port", title: "listens on a port of its node", says: "hostPort", notEphemeral: true, change: func(c *corev1.Container) {
			c.Ports = []corev1.ContainerPort{{ContainerPort: 8080, HostPort: 8080}}
		}},
		{id: "probe-host", title: "has the kubelet open connections to an address of its choice", says: "probe or lifecycle host", notEphemeral: true, notInit: true, change: func(c *corev1.Container) {
			c.Lifecycle = &corev1.Lifecycle{PreStop: &corev1.LifecycleHandler{HTTPGet: &corev1.HTTPGetAction{
				Host: "127.0.0.1", Port: intstr.FromInt32(10250)}}}
		}},
	}
	for _, capability := range []corev1.Capability{"SYS_ADMIN", "SYS_PTRACE", "SYS_MODULE", "DAC_READ_SEARCH", "NET_ADMIN", "NET_RAW", "BPF"} {
		id := "capability-" + strings.ReplaceAll(strings.ToLower(string(capability)), "_", "-")
		cases = append(cases, secure(id, "has the capability "+string(capability), "capabilities", func(s *corev1.SecurityContext) {
			s.Capabilities.Add = []corev1.Capability{capability}
		}))
	}
	return cases
}

// containerCases try every field in a container, in an init container and in an ephemeral container that is added to a pod
// which was harmless.
func containerCases() []Case {
	var cases []Case
	for _, f := range containerFields() {
		refusal := Refusal{By: PodSecurity, Says: f.says}
		cases = append(cases, byPod(f.id, podSecurity, "has containers of which one "+f.title, specChange(func(s *corev1.PodSpec) { f.change(&s.Containers[0]) }), refusal))
		if !f.notInit {
			cases = append(cases, byPod("init-"+f.id, podSecurity, "has init containers of which one "+f.title,
				func(_ Scene, pod *corev1.Pod) error { f.change(addInit(pod)); return nil }, refusal))
		}
		if !f.notEphemeral {
			cases = append(cases, ephemeralCase(f.id, podSecurity, "adds an ephemeral container that "+f.title, f.change, refusal))
		}
	}
	for i := range cases {
		cases[i].Applies = whileRestricted(cases[i].ID)
	}
	return cases
}

// whileRestricted leaves out what a Waiver of Pod Security allows: it lowers the level to baseline.
func whileRestricted(id string) func(Scene) bool {
	for _, baseline := range []string{"privileged", "host", "capability-", "seccomp-unconfined", "apparmor-unconfined", "selinux", "windows", "sysctl", "probe", "proc"} {
		name := strings.TrimPrefix(strings.TrimPrefix(strings.TrimPrefix(id, podSecurity+"/"), "init-"), "ephemeral-")
		if strings.HasPrefix(name, baseline) && !strings.HasPrefix(name, "privilege-") {
			return nil
		}
	}
	return InForce(podSecurity)
}

// harmlessDebugger is the twin of every ephemeral container.
var harmlessDebugger = addEphemeral("add a compliant ephemeral container to a pod", func(*corev1.Container) {})

func ephemeralCase(id, control, title string, change func(*corev1.Container), refusal Refusal) Case {
	return ownObject("ephemeral-"+id, control, title, harmlessDebugger, addEphemeral(title, change), refusal)
}

// addEphemeral adds an ephemeral container to a pod that the case made.
func addEphemeral(title string, change func(*corev1.Container)) Step {
	return Step{Title: title, On: "pods", Ask: func(s Scene) (Ask, error) {
		pod, err := Pod(s)
		if err != nil {
			return Ask{}, err
		}
		container := pod.Spec.Containers[0]
		change(&container)
		added := corev1.EphemeralContainer{EphemeralContainerCommon: corev1.EphemeralContainerCommon{
			Name: "debugger", Image: container.Image, ImagePullPolicy: container.ImagePullPolicy, SecurityContext: container.SecurityContext,
		}}
		return Ask{DryRun: &Request{Verb: "patch", Version: "v1", Namespace: s.Namespace(), Resource: "pods", Name: targetName(s),
			Subresource: "ephemeralcontainers", Body: map[string]any{"spec": map[string]any{"ephemeralContainers": []any{added}}}}}, nil
	}}
}

// throughController is what only the real path can show: Pod Security judges pods and not templates, so a workload is let in
// and its pods are not. The API server must refuse its controller too.
func throughController() []Case {
	var cases []Case
	for _, w := range Workloads() {
		// A CronJob's Jobs are made at its time; their pods are made by the controller of Jobs, which is tried here.
		if w.Resource == "pods" || w.Resource == "podtemplates" || w.Resource == "cronjobs" {
			continue
		}
		title := "has the controller of a " + w.Kind + " make a privileged pod"
		cases = append(cases, always(ownObject("privileged-through-"+w.Resource, podSecurity, title,
			runWorkload("have a "+w.Kind+" make a compliant pod", w, unchanged, false), runWorkload(title, w, privileged, false),
			Refusal{By: PodSecurity, Says: "privileged"}))...)
	}
	return cases
}
