package hostile

import (
	corev1 "k8s.io/api/core/v1"

	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
)

// podSecurity is the control of most cases by pods.
const podSecurity = "pod-security"

// lapsed is the refusal of what a Waiver of Pod Security allowed until it was over.
var lapsed = byPolicy("pod-security", "is not restricted, and the waiver is over")

// podSecurityCases are pods that reach their host.
func podSecurityCases() []Case {
	var cases []Case
	for _, p := range hostPods() {
		c := byPod(p.ID, podSecurity, p.Title, p.Change, p.Refusal)
		c.Applies, c.Behind = p.Applies, p.behind
		cases = append(cases, c)
	}
	return slices.Concat(cases, furtherPods(), ephemeralCases(), unsetCases(), throughController())
}

// furtherPods are fields that Pod Security refuses and that give a pod no more than those of hostPods: of the pod as a whole what one
// of its containers may not either, and volumes that go past every claim.
func furtherPods() []Case {
	var cases []Case
	add := func(id, title, says string, change func(*corev1.PodSpec)) {
		c := byPod(id, podSecurity, title, specChange(change), Refusal{By: PodSecurity, Says: says})
		c.Applies = whileRestricted(id)
		cases = append(cases, c)
	}
	pod := func(id, title, says string, change func(*corev1.PodSecurityContext)) {
		add("pod-"+id, title+", all its containers", says, func(s *corev1.PodSpec) { change(s.SecurityContext) })
	}
	pod("root", "runs as root", "runAsNonRoot != true", func(s *corev1.PodSecurityContext) { s.RunAsNonRoot = new(false) })
	pod("root-user", "runs as user 0", "runAsUser=0", func(s *corev1.PodSecurityContext) { s.RunAsUser = new(int64(0)) })
	pod("seccomp-unconfined", "runs without a seccomp profile", "seccompProfile", func(s *corev1.PodSecurityContext) {
		s.SeccompProfile = &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeUnconfined}
	})
	pod("apparmor-unconfined", "runs without an AppArmor profile", "AppArmor", func(s *corev1.PodSecurityContext) {
		s.AppArmorProfile = &corev1.AppArmorProfile{Type: corev1.AppArmorProfileTypeUnconfined}
	})
	for part, options := range map[string]corev1.SELinuxOptions{"type": {Type: "spc_t"}, "user": {User: "system_u"}, "role": {Role: "system_r"}} {
		title := "picks the SELinux " + part
		pod("selinux-"+part, title, "seLinuxOptions", func(s *corev1.PodSecurityContext) { s.SELinuxOptions = &options })
		if part != "type" {
			add("selinux-"+part, title, "seLinuxOptions", func(s *corev1.PodSpec) { s.Containers[0].SecurityContext.SELinuxOptions = &options })
		}
	}
	add("windows-container-process", "has a container that runs as a process of its Windows host", "hostProcess", func(s *corev1.PodSpec) {
		s.HostNetwork = true // or the API itself refuses it
		s.Containers[0].SecurityContext.WindowsOptions = &corev1.WindowsSecurityContextOptions{HostProcess: new(true)}
	})
	add("tcp-host", "has the kubelet open connections to a port of its choice", "probe or lifecycle host", func(s *corev1.PodSpec) {
		s.Containers[0].LivenessProbe = &corev1.Probe{ProbeHandler: corev1.ProbeHandler{TCPSocket: &corev1.TCPSocketAction{Host: "192.0.2.1", Port: intstr.FromInt32(22)}}}
	})
	for name, source := range networkVolumes() {
		add(name+"-volume", "mounts a volume of kind "+name+" past every claim", "restricted volume types", func(s *corev1.PodSpec) {
			s.Volumes = []corev1.Volume{{Name: "in", VolumeSource: source}}
		})
	}
	return cases
}

// networkVolumes are the kinds of volumes that no claim makes and that are neither the node's nor the pod's, but those of specPods.
func networkVolumes() map[string]corev1.VolumeSource {
	const server = "192.0.2.1"
	return map[string]corev1.VolumeSource{
		"aws":        {AWSElasticBlockStore: &corev1.AWSElasticBlockStoreVolumeSource{VolumeID: nothing}},
		"azure-disk": {AzureDisk: &corev1.AzureDiskVolumeSource{DiskName: nothing, DataDiskURI: "https://" + elsewhere + "/disks/disk.vhd"}},
		"azure-file": {AzureFile: &corev1.AzureFileVolumeSource{SecretName: nothing, ShareName: nothing}},
		"cephfs":     {CephFS: &corev1.CephFSVolumeSource{Monitors: []string{server}}},
		"cinder":     {Cinder: &corev1.CinderVolumeSource{VolumeID: nothing}},
		"fc":         {FC: &corev1.FCVolumeSource{TargetWWNs: []string{"500a0982991b8dc5"}, Lun: new(int32(0))}},
		"flex":       {FlexVolume: &corev1.FlexVolumeSource{Driver: elsewhere + "/driver"}},
		"flocker":    {Flocker: &corev1.FlockerVolumeSource{DatasetName: nothing}},
		"gce":        {GCEPersistentDisk: &corev1.GCEPersistentDiskVolumeSource{PDName: nothing}},
		"git":        {GitRepo: &corev1.GitRepoVolumeSource{Repository: "https://" + elsewhere + "/r.git"}},
		"glusterfs":  {Glusterfs: &corev1.GlusterfsVolumeSource{EndpointsName: nothing, Path: "/"}},
		"photon":     {PhotonPersistentDisk: &corev1.PhotonPersistentDiskVolumeSource{PdID: nothing}},
		"portworx":   {PortworxVolume: &corev1.PortworxVolumeSource{VolumeID: nothing}},
		"quobyte":    {Quobyte: &corev1.QuobyteVolumeSource{Registry: server + ":7861", Volume: nothing}},
		"rbd":        {RBD: &corev1.RBDVolumeSource{CephMonitors: []string{server}, RBDImage: nothing}},
		"scaleio": {ScaleIO: &corev1.ScaleIOVolumeSource{Gateway: "https://" + elsewhere, System: nothing, VolumeName: nothing,
			SecretRef: &corev1.LocalObjectReference{Name: nothing}}},
		"storageos": {StorageOS: &corev1.StorageOSVolumeSource{VolumeName: nothing}},
		"vsphere":   {VsphereVolume: &corev1.VsphereVirtualDiskVolumeSource{VolumePath: nothing}},
	}
}

// hostPods are all points of a pod spec through which a pod reaches its host, or could more easily, and which Pod Security refuses.
func hostPods() []PodCase {
	list := slices.Concat(containerPods(), specPods())
	for i := range list {
		list[i].Control = podSecurity
		if list[i].Applies == nil {
			list[i].Applies = whileRestricted(list[i].ID)
		}
	}
	return list
}

// specPods are the fields of a pod as a whole.
func specPods() []PodCase {
	spec := func(id, title, says string, change func(*corev1.PodSpec)) PodCase {
		return PodCase{ID: id, Title: title, Change: specChange(change), Refusal: Refusal{By: PodSecurity, Says: says}}
	}
	volume := func(source corev1.VolumeSource) func(*corev1.PodSpec) {
		return func(s *corev1.PodSpec) { s.Volumes = []corev1.Volume{{Name: "host", VolumeSource: source}} }
	}
	proc := spec("proc-unmasked", "sees all of /proc", "procMount", func(s *corev1.PodSpec) {
		s.HostUsers = new(false) // or the API itself refuses it
		s.Containers[0].SecurityContext.ProcMount = new(corev1.UnmaskedProcMount)
	})
	proc.Applies = InForce(podSecurity)
	list := []PodCase{
		proc,
		spec("host-network", "uses the host's network", "hostNetwork=true", func(s *corev1.PodSpec) { s.HostNetwork = true }),
		spec("host-pid", "sees the host's processes", "hostPID=true", func(s *corev1.PodSpec) { s.HostPID = true }),
		spec("host-ipc", "uses the host's shared memory", "hostIPC=true", func(s *corev1.PodSpec) { s.HostIPC = true }),
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
	for _, path := range []struct{ id, path string }{
		{"host-path", "/"}, {"host-path-log", "/var/log"}, {"host-path-containerd", "/var/run/containerd/containerd.sock"}, {"host-path-proc", "/proc"},
		{"host-path-kubernetes", "/etc/kubernetes"}, {"host-path-kubelet", "/var/lib/kubelet"}, {"host-path-cgroup", "/sys/fs/cgroup"}, {"host-path-dev", "/dev"},
		{"host-path-tmp", "/tmp"}, {"host-path-any", "/" + v1alpha1.AttackName},
	} {
		list = append(list, spec(path.id, "mounts "+path.path+" of the host", "hostPath", volume(corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: path.path}})))
	}
	return list
}

func privileged(_ Scene, pod *corev1.Pod) error {
	makePrivileged(pod.Spec.Containers[0].SecurityContext)
	return nil
}

// profilePods pick what Pod Security leaves to the author of a pod, of a container or of the pod as a whole.
func profilePods() []PodCase {
	var list []PodCase
	add := func(id, title, says string, variant bool, change func(*corev1.PodSpec)) {
		list = append(list, PodCase{ID: id, Control: podSecurity, Title: title, Refusal: byPolicy("profiles", says), variant: variant, Change: specChange(change)})
	}
	both := func(id, title, says string, of func(*corev1.SecurityContext), ofPod func(*corev1.PodSecurityContext)) {
		add(id, title, says, false, func(s *corev1.PodSpec) { of(s.Containers[0].SecurityContext) })
		add(id+"-of-pod", title+", all its containers", says, true, func(s *corev1.PodSpec) { ofPod(s.SecurityContext) })
	}
	const node = "names a profile of the node"
	seccomp := &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeLocalhost, LocalhostProfile: new(nothing + ".json")}
	both("local-seccomp", "picks a seccomp profile that lies on the node", node,
		func(s *corev1.SecurityContext) { s.SeccompProfile = seccomp }, func(s *corev1.PodSecurityContext) { s.SeccompProfile = seccomp })
	armor := &corev1.AppArmorProfile{Type: corev1.AppArmorProfileTypeLocalhost, LocalhostProfile: new(nothing)}
	both("local-apparmor", "picks an AppArmor profile that lies on the node", node,
		func(s *corev1.SecurityContext) { s.AppArmorProfile = armor }, func(s *corev1.PodSecurityContext) { s.AppArmorProfile = armor })
	level := &corev1.SELinuxOptions{Level: "s0:c1,c2"}
	both("selinux-level", "picks the SELinux level of another tenant", "seLinuxOptions.level",
		func(s *corev1.SecurityContext) { s.SELinuxOptions = level }, func(s *corev1.PodSecurityContext) { s.SELinuxOptions = level })
	windows := &corev1.WindowsSecurityContextOptions{RunAsUserName: new("ContainerAdministrator")}
	both("windows-options", "picks an identity on Windows", "windowsOptions",
		func(s *corev1.SecurityContext) { s.WindowsOptions = windows }, func(s *corev1.PodSecurityContext) { s.WindowsOptions = windows })
	add("user-namespace-root", "runs as root in a user namespace", "hostUsers: false", true, func(s *corev1.PodSpec) {
		s.HostUsers, s.SecurityContext.RunAsNonRoot, s.Containers[0].SecurityContext.RunAsNonRoot = new(false), new(false), new(false)
	})
	return list
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
	// lapses is true where the level baseline allows it, and the policy that ends a Waiver of Pod Security at its time refuses it.
	lapses bool
}

// containerFields are the fields of containers through which a pod reaches its host.
func containerFields() []containerField {
	secure := func(id, title, says string, change func(*corev1.SecurityContext)) containerField {
		return containerField{id: id, title: title, says: says, change: func(c *corev1.Container) { change(c.SecurityContext) }}
	}
	cases := []containerField{
		secure("privileged", "runs privileged", "privileged", makePrivileged),
		secure("privilege-escalation", "may gain rights by setuid programs", "allowPrivilegeEscalation != false", func(s *corev1.SecurityContext) { s.AllowPrivilegeEscalation = new(true) }),
		secure("root", "runs as root", "runAsNonRoot != true", func(s *corev1.SecurityContext) { s.RunAsNonRoot = new(false) }),
		secure("root-user", "runs as user 0", "runAsUser=0", func(s *corev1.SecurityContext) { s.RunAsUser = new(int64(0)) }),
		secure("capabilities-kept", "keeps default capabilities but one", "unrestricted capabilities", func(s *corev1.SecurityContext) { s.Capabilities.Drop = []corev1.Capability{"NET_RAW"} }),
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
		{id: "liveness-host", title: "has the kubelet ask an address of its choice whether it lives", says: "probe or lifecycle host", notEphemeral: true, notInit: true, change: func(c *corev1.Container) {
			c.LivenessProbe = &corev1.Probe{ProbeHandler: corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Host: "169.254.169.254", Port: intstr.FromInt32(80)}}}
		}},
	}
	for i := range cases {
		cases[i].lapses = slices.Contains([]string{"privilege-escalation", "root", "root-user", "capabilities-kept"}, cases[i].id)
	}
	for _, capability := range []corev1.Capability{"ALL", "SYS_ADMIN", "SYS_PTRACE", "SYS_MODULE", "SYS_RAWIO", "SYS_TIME", "DAC_READ_SEARCH", "NET_ADMIN", "NET_RAW", "BPF", "PERFMON"} {
		id := "capability-" + strings.ReplaceAll(strings.ToLower(string(capability)), "_", "-")
		cases = append(cases, secure(id, "has the capability "+string(capability), "capabilities", func(s *corev1.SecurityContext) {
			s.Capabilities.Add = append(s.Capabilities.Add, capability)
		}))
	}
	return cases
}

// containerPods have every field in a container and in an init container.
func containerPods() []PodCase {
	var list []PodCase
	for _, f := range containerFields() {
		p := PodCase{ID: f.id, Title: "has containers of which one " + f.title, Refusal: Refusal{By: PodSecurity, Says: f.says},
			Change: specChange(func(s *corev1.PodSpec) { f.change(&s.Containers[0]) })}
		if f.lapses {
			p.behind = lapsed
		}
		list = append(list, p)
		if !f.notInit {
			p.ID, p.Title = "init-"+f.id, "has init containers of which one "+f.title
			p.Change = func(_ Scene, pod *corev1.Pod) error { f.change(addInit(pod)); return nil }
			list = append(list, p)
		}
	}
	return list
}

// ephemeralCases have every field in an ephemeral container that is added to a pod which was harmless.
func ephemeralCases() []Case {
	var cases []Case
	for _, f := range containerFields() {
		if f.notEphemeral {
			continue
		}
		c := ephemeralCase(f.id, podSecurity, "adds an ephemeral container that "+f.title, f.change, Refusal{By: PodSecurity, Says: f.says})
		c.Applies = whileRestricted(c.ID)
		if f.lapses {
			c.Behind = lapsed
		}
		cases = append(cases, c)
	}
	return cases
}

// whileRestricted leaves out what a Waiver of Pod Security allows: it lowers the level to baseline.
func whileRestricted(id string) func(Scene) bool {
	for _, baseline := range []string{"privileged", "host", "capability-", "seccomp-unconfined", "apparmor-unconfined", "selinux", "windows", "sysctl", "probe", "liveness", "tcp", "proc"} {
		name := strings.TrimPrefix(id, podSecurity+"/")
		for _, where := range []string{"init-", "ephemeral-", "pod-"} {
			name = strings.TrimPrefix(name, where)
		}
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

// unsetCases leave out what the level restricted demands: admission must set it, or Pod Security refuse it.
func unsetCases() []Case {
	var cases []Case
	add := func(id, title string, twin, attempt Step) {
		c := ownObject(id, podSecurity, title, twin, attempt, Refusal{By: mutation})
		c.Or, c.Behind = Refusal{By: PodSecurity}, lapsed
		cases = append(cases, c)
	}
	pod := func(id, title string, change podChange, restricted func(*corev1.Pod) bool) {
		add(id, title, compliantPod, completedPod("create a pod that "+title, change, setWhere(restricted)))
	}
	pod("root-unset", "runs as the user of its image, by leaving it out", specChange(func(s *corev1.PodSpec) { s.SecurityContext.RunAsNonRoot = nil }),
		func(p *corev1.Pod) bool {
			return p.Spec.SecurityContext != nil && p.Spec.SecurityContext.RunAsNonRoot != nil && *p.Spec.SecurityContext.RunAsNonRoot
		})
	pod("seccomp-unset", "runs without a seccomp profile, by leaving it out", specChange(func(s *corev1.PodSpec) { s.SecurityContext.SeccompProfile = nil }),
		func(p *corev1.Pod) bool {
			c := p.Spec.SecurityContext
			return c != nil && c.SeccompProfile != nil && c.SeccompProfile.Type == corev1.SeccompProfileTypeRuntimeDefault
		})
	for _, field := range []struct {
		id, title  string
		change     func(*corev1.SecurityContext)
		restricted func(*corev1.SecurityContext) bool
	}{
		{"privilege-escalation-unset", "may gain rights by setuid programs, by leaving it out", func(s *corev1.SecurityContext) { s.AllowPrivilegeEscalation = nil },
			func(s *corev1.SecurityContext) bool {
				return s != nil && s.AllowPrivilegeEscalation != nil && !*s.AllowPrivilegeEscalation
			}},
		{"capabilities-unset", "keeps the default capabilities, by leaving them out", func(s *corev1.SecurityContext) { s.Capabilities = nil },
			func(s *corev1.SecurityContext) bool {
				return s != nil && s.Capabilities != nil && slices.Contains(s.Capabilities.Drop, "ALL")
			}},
	} {
		everywhere := func(p *corev1.Pod) bool {
			open := func(c corev1.Container) bool { return !field.restricted(c.SecurityContext) }
			return !slices.ContainsFunc(p.Spec.Containers, open) && !slices.ContainsFunc(p.Spec.InitContainers, open) &&
				!slices.ContainsFunc(p.Spec.EphemeralContainers, func(c corev1.EphemeralContainer) bool { return !field.restricted(c.SecurityContext) })
		}
		pod(field.id, "has containers of which one "+field.title, specChange(func(s *corev1.PodSpec) { field.change(s.Containers[0].SecurityContext) }), everywhere)
		pod("init-"+field.id, "has init containers of which one "+field.title,
			func(_ Scene, pod *corev1.Pod) error { field.change(addInit(pod).SecurityContext); return nil }, everywhere)
		title := "adds an ephemeral container that " + field.title
		add("ephemeral-"+field.id, title, harmlessDebugger,
			judgedPod(addEphemeral(title, func(c *corev1.Container) { field.change(c.SecurityContext) }), setWhere(everywhere)))
	}
	return cases
}

// setWhere reports that what was left out was set, where it was.
func setWhere(restricted func(*corev1.Pod) bool) func(*corev1.Pod) string {
	return func(pod *corev1.Pod) string {
		if restricted(pod) {
			return "what was left out was set"
		}
		return ""
	}
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
