package pods

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	podsecurity "k8s.io/pod-security-admission/policy"

	"github.com/bulkhead-dev/bulkhead/snapshot"
)

// hardened is a pod spec that is restricted: the harmless twin of every escape.
func hardened() *corev1.PodSpec {
	return &corev1.PodSpec{
		SecurityContext: &corev1.PodSecurityContext{RunAsNonRoot: new(true), SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault}},
		Containers: []corev1.Container{{Name: "c", SecurityContext: &corev1.SecurityContext{
			AllowPrivilegeEscalation: new(false), Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}}}}},
	}
}

// rooted is a pod spec without hardening.
func rooted() *corev1.PodSpec { return &corev1.PodSpec{Containers: []corev1.Container{{Name: "c"}}} }

func with(spec *corev1.PodSpec, changes ...func(*corev1.PodSpec)) *corev1.PodSpec {
	for _, change := range changes {
		change(spec)
	}
	return spec
}

func adding(names ...corev1.Capability) func(*corev1.PodSpec) {
	return func(s *corev1.PodSpec) {
		c := &s.Containers[0]
		if c.SecurityContext == nil {
			c.SecurityContext = &corev1.SecurityContext{}
		}
		if c.SecurityContext.Capabilities == nil {
			c.SecurityContext.Capabilities = &corev1.Capabilities{}
		}
		c.SecurityContext.Capabilities.Add = append(c.SecurityContext.Capabilities.Add, names...)
	}
}

func mountingPath(path string, readOnly bool) func(*corev1.PodSpec) {
	return func(s *corev1.PodSpec) {
		s.Volumes = append(s.Volumes, corev1.Volume{Name: "v", VolumeSource: corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: path}}})
		s.Containers[0].VolumeMounts = append(s.Containers[0].VolumeMounts, corev1.VolumeMount{Name: "v", MountPath: "/v", ReadOnly: readOnly})
	}
}

func contextual(change func(*corev1.SecurityContext)) func(*corev1.PodSpec) {
	return func(s *corev1.PodSpec) {
		if s.Containers[0].SecurityContext == nil {
			s.Containers[0].SecurityContext = &corev1.SecurityContext{}
		}
		change(s.Containers[0].SecurityContext)
	}
}

func privileged(c *corev1.SecurityContext) { c.Privileged, c.AllowPrivilegeEscalation = new(true), nil }

func ownUsers(s *corev1.PodSpec) { s.HostUsers = new(false) }

func hostPID(s *corev1.PodSpec)     { s.HostPID = true }
func hostNetwork(s *corev1.PodSpec) { s.HostNetwork = true }
func hostIPC(s *corev1.PodSpec)     { s.HostIPC = true }

type escapeCase struct {
	name string
	spec *corev1.PodSpec
	want podGain
	says string
}

// Every way out, by what it gives, beside a twin in which one thing differs and which gives less.
func escapeCases() []escapeCase {
	unmasked := contextual(func(c *corev1.SecurityContext) { c.ProcMount = new(corev1.UnmaskedProcMount) })
	inInit := func(s *corev1.PodSpec) {
		s.InitContainers = append(s.InitContainers, corev1.Container{Name: "i", SecurityContext: &corev1.SecurityContext{Privileged: new(true)}})
	}
	inEphemeral := func(s *corev1.PodSpec) {
		s.EphemeralContainers = append(s.EphemeralContainers, corev1.EphemeralContainer{EphemeralContainerCommon: corev1.EphemeralContainerCommon{
			Name: "e", SecurityContext: &corev1.SecurityContext{Privileged: new(true)}}})
	}
	unconfined := func(s *corev1.PodSpec) { s.SecurityContext.SeccompProfile.Type = corev1.SeccompProfileTypeUnconfined }
	escalating := contextual(func(c *corev1.SecurityContext) { c.AllowPrivilegeEscalation = nil })
	return []escapeCase{
		{"restricted", hardened(), gainsNothing, ""},
		{"not hardened", rooted(), gainsSurface, "may run as root"},
		{"privileged", with(hardened(), contextual(privileged)), gainsNode, "container c is privileged"},
		{"privileged in a user namespace", with(hardened(), contextual(privileged), ownUsers), gainsNotice, "in a user namespace"},
		{"privileged false", with(hardened(), contextual(func(c *corev1.SecurityContext) { c.Privileged = new(false) })), gainsNothing, ""},
		{"privileged init container", with(hardened(), inInit), gainsNode, "container i is privileged"},
		{"privileged ephemeral container", with(hardened(), inEphemeral), gainsNode, "container e is privileged"},
		{"hostPID", with(hardened(), hostPID), gainsFiles, "hostPID"},
		{"hostPID and SYS_PTRACE", with(rooted(), hostPID, adding("SYS_PTRACE")), gainsNode, "SYS_PTRACE"},
		{"SYS_PTRACE alone", with(rooted(), adding("SYS_PTRACE")), gainsSurface, "own processes only"},
		{"hostPID and SYS_PTRACE that cannot be used", with(hardened(), hostPID, adding("SYS_PTRACE")), gainsFiles, "hostPID"},
		{"shareProcessNamespace", with(hardened(), func(s *corev1.PodSpec) { s.ShareProcessNamespace = new(true) }), gainsNothing, ""},
		{"hostNetwork", with(hardened(), hostNetwork), gainsNetwork, "hostNetwork"},
		{"hostNetwork with the capabilities that runtimes give", with(rooted(), hostNetwork), gainsNetwork, "forges the traffic"},
		{"hostIPC", with(hardened(), hostIPC), gainsNotice, "hostIPC"},
		{"SYS_ADMIN", with(rooted(), adding("SYS_ADMIN")), gainsNode, "release_agent"},
		{"CAP_SYS_ADMIN in small letters", with(rooted(), adding("cap_sys_admin")), gainsNode, "release_agent"},
		{"SYS_ADMIN in a user namespace", with(rooted(), adding("SYS_ADMIN"), ownUsers), gainsSurface, "within its user namespace"},
		{"SYS_ADMIN without root or a way to it", with(hardened(), adding("SYS_ADMIN")), gainsSurface, "cannot use"},
		{"SYS_ADMIN without root, with a way to it", with(hardened(), adding("SYS_ADMIN"), escalating), gainsNode, "SYS_ADMIN"},
		{"ALL", with(rooted(), adding("ALL")), gainsNode, "every capability"},
		{"SYS_MODULE", with(rooted(), adding("SYS_MODULE")), gainsNode, "kernel"},
		{"SYS_RAWIO", with(rooted(), adding("SYS_RAWIO")), gainsNode, "memory"},
		{"DAC_READ_SEARCH", with(rooted(), adding("DAC_READ_SEARCH")), gainsNode, "by handle"},
		{"DAC_OVERRIDE, which runtimes give", with(hardened(), adding("DAC_OVERRIDE")), gainsSurface, "capabilities are not dropped"},
		{"SYS_BOOT, unconfined", with(rooted(), adding("SYS_BOOT")), gainsNode, "boots a kernel"},
		{"SYS_BOOT, confined", with(hardened(), adding("SYS_BOOT"), escalating), gainsSurface, "own container"},
		{"SYS_BOOT, confined, hostPID", with(hardened(), adding("SYS_BOOT"), escalating, hostPID), gainsFiles, "restarts the node"},
		{"BPF", with(rooted(), adding("BPF")), gainsNetwork, "programs into the node's kernel"},
		{"BPF and PERFMON", with(rooted(), adding("BPF", "PERFMON")), gainsNode, "kernel's memory"},
		{"PERFMON", with(rooted(), adding("PERFMON")), gainsNotice, "measures"},
		{"NET_ADMIN", with(rooted(), adding("NET_ADMIN")), gainsNotice, "addresses of other pods"},
		{"NET_ADMIN and hostNetwork", with(rooted(), adding("NET_ADMIN"), hostNetwork), gainsNetwork, "redirects the node's traffic"},
		{"NET_RAW", with(rooted(), adding("NET_RAW")), gainsNotice, "forges packets"},
		{"NET_RAW and hostNetwork", with(rooted(), adding("NET_RAW"), hostNetwork), gainsNetwork, "forges the node's traffic"},
		{"NET_BIND_SERVICE", with(hardened(), adding("NET_BIND_SERVICE")), gainsNothing, ""},
		{"SYS_CHROOT, which runtimes give", with(hardened(), adding("SYS_CHROOT")), gainsSurface, "capabilities are not dropped"},
		{"SYS_TIME", with(rooted(), adding("SYS_TIME")), gainsFiles, "clock"},
		{"an unknown capability", with(rooted(), adding("FLY")), gainsFiles, "what it gives is not known"},
		{"unmasked /proc", with(rooted(), unmasked), gainsNode, "core_pattern"},
		{"unmasked /proc without root", with(hardened(), unmasked), gainsSurface, "/proc is unmasked"},
		{"unmasked /proc in a user namespace", with(rooted(), unmasked, ownUsers), gainsSurface, ""},
		{"Windows hostProcess", with(hardened(), func(s *corev1.PodSpec) {
			s.SecurityContext.WindowsOptions = &corev1.WindowsSecurityContextOptions{HostProcess: new(true)}
		}), gainsNode, "hostProcess"},
		{"Windows without hostProcess", with(hardened(), func(s *corev1.PodSpec) {
			s.SecurityContext.WindowsOptions = &corev1.WindowsSecurityContextOptions{HostProcess: new(false)}
		}), gainsNothing, ""},
		{"seccomp unconfined", with(hardened(), unconfined), gainsSurface, "seccomp is unconfined"},
		{"AppArmor unconfined", with(hardened(), func(s *corev1.PodSpec) {
			s.SecurityContext.AppArmorProfile = &corev1.AppArmorProfile{Type: corev1.AppArmorProfileTypeUnconfined}
		}), gainsSurface, "AppArmor"},
		{"AppArmor of the runtime", with(hardened(), func(s *corev1.PodSpec) {
			s.SecurityContext.AppArmorProfile = &corev1.AppArmorProfile{Type: corev1.AppArmorProfileTypeRuntimeDefault}
		}), gainsNothing, ""},
		{"SELinux type", with(hardened(), func(s *corev1.PodSpec) { s.SecurityContext.SELinuxOptions = &corev1.SELinuxOptions{Type: "spc_t"} }), gainsSurface, "SELinux"},
		{"SELinux level", with(hardened(), func(s *corev1.PodSpec) { s.SecurityContext.SELinuxOptions = &corev1.SELinuxOptions{Level: "s0:c1"} }), gainsNothing, ""},
		{"hostPort", with(hardened(), func(s *corev1.PodSpec) {
			s.Containers[0].Ports = []corev1.ContainerPort{{ContainerPort: 80, HostPort: 80}}
		}), gainsNotice, "hostPort"},
		{"container port", with(hardened(), func(s *corev1.PodSpec) { s.Containers[0].Ports = []corev1.ContainerPort{{ContainerPort: 80}} }), gainsNothing, ""},
		{"probe of another host", with(hardened(), func(s *corev1.PodSpec) {
			s.Containers[0].LivenessProbe = &corev1.Probe{ProbeHandler: corev1.ProbeHandler{TCPSocket: &corev1.TCPSocketAction{Host: "10.0.0.1"}}}
		}), gainsNotice, "kubelet connect anywhere"},
		{"probe of itself", with(hardened(), func(s *corev1.PodSpec) {
			s.Containers[0].LivenessProbe = &corev1.Probe{ProbeHandler: corev1.ProbeHandler{TCPSocket: &corev1.TCPSocketAction{}}}
		}), gainsNothing, ""},
		{"unsafe sysctl", with(hardened(), func(s *corev1.PodSpec) {
			s.SecurityContext.Sysctls = []corev1.Sysctl{{Name: "kernel.msgmax", Value: "1"}}
		}), gainsNotice, "sysctls"},
		{"safe sysctl", with(hardened(), func(s *corev1.PodSpec) {
			s.SecurityContext.Sysctls = []corev1.Sysctl{{Name: "net.ipv4.tcp_syncookies", Value: "1"}}
		}), gainsNothing, ""},
		{"gitRepo", with(hardened(), func(s *corev1.PodSpec) {
			s.Volumes = []corev1.Volume{{Name: "g", VolumeSource: corev1.VolumeSource{GitRepo: &corev1.GitRepoVolumeSource{}}}}
		}), gainsNode, "git"},
		{"flexVolume", with(hardened(), func(s *corev1.PodSpec) {
			s.Volumes = []corev1.Volume{{Name: "f", VolumeSource: corev1.VolumeSource{FlexVolume: &corev1.FlexVolumeSource{Driver: "d"}}}}
		}), gainsFiles, "driver d as root"},
		{"NFS volume", with(hardened(), func(s *corev1.PodSpec) {
			s.Volumes = []corev1.Volume{{Name: "n", VolumeSource: corev1.VolumeSource{NFS: &corev1.NFSVolumeSource{}}}}
		}), gainsSurface, "kernel mounts"},
		{"emptyDir", with(hardened(), func(s *corev1.PodSpec) {
			s.Volumes = []corev1.Volume{{Name: "e", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}}
		}), gainsNothing, ""},
	}
}

func TestEveryWayOutIsGradedAndItsTwinIsNot(t *testing.T) {
	rules := newEscapeRules()
	for _, c := range escapeCases() {
		ways := rules.waysOut(&metav1.ObjectMeta{}, c.spec)
		got, texts := gainsNothing, []string{}
		for _, w := range ways {
			got = max(got, w.gain)
			texts = append(texts, w.what)
		}
		if got != c.want || !strings.Contains(strings.Join(texts, "\n"), c.says) {
			t.Errorf("%s: gain %d with %q; want %d with %q", c.name, got, texts, c.want, c.says)
		}
	}
}

// A version of the library that brings a new rule must not pass without a grade of ours.
func TestEveryRuleOfPodSecurityIsGraded(t *testing.T) {
	known := map[podsecurity.CheckID]bool{}
	for _, e := range escapes() {
		known[e.check] = true
	}
	for _, c := range podsecurity.DefaultChecks() {
		if !known[c.ID] {
			t.Errorf("rule %s of Pod Security has no grade: add it to escapes", c.ID)
		}
		delete(known, c.ID)
	}
	for id := range known {
		t.Errorf("escapes grades %s, which is no rule of Pod Security any more", id)
	}
}

func TestAHostPathGivesWhatLiesThere(t *testing.T) {
	for _, c := range []struct {
		path        string
		write, read podGain
	}{
		{"/", gainsNode, gainsNode},
		{"/etc", gainsNode, gainsNode}, // it holds /etc/kubernetes
		{"/etc/", gainsNode, gainsNode},
		{"/etc/cron.d", gainsNode, gainsFiles},
		{"/etc/kubernetes/pki", gainsNode, gainsNode},
		{"/etc/localtime", gainsNode, gainsSurface},
		{"/etcetera", gainsNotice, gainsNotice},
		{"/var/log", gainsNode, gainsFiles},
		{"/var/log/pods/x", gainsNode, gainsFiles},
		{"/var/run/docker.sock", gainsNode, gainsNode},
		{"/run/containerd/containerd.sock", gainsNode, gainsNode},
		{"/var/run", gainsNode, gainsNode},
		{"/var", gainsNode, gainsNode},
		{"/var/lib", gainsNode, gainsNode},
		{"/var/lib/kubelet/pods", gainsNode, gainsNode},
		{"/var/lib/kubelets", gainsFiles, gainsFiles},
		{"/var/lib/docker/overlay2", gainsNode, gainsFiles},
		{"/proc", gainsNode, gainsFiles},
		{"/proc/sys", gainsNode, gainsFiles},
		{"/sys/fs/cgroup", gainsNode, gainsNotice},
		{"/dev/sda", gainsFiles, gainsFiles},
		{"/opt", gainsNode, gainsNotice},
		{"/opt/tenant", gainsNotice, gainsNotice},
		{"/usr/share/zoneinfo", gainsNode, gainsSurface},
		{"/data", gainsNotice, gainsNotice},
		{`C:\Windows\System32`, gainsNode, gainsNotice},
		{`\\.\pipe\containerd-containerd`, gainsNode, gainsNode},
	} {
		for readOnly, want := range map[bool]podGain{false: c.write, true: c.read} {
			ways := newEscapeRules().waysOut(&metav1.ObjectMeta{}, with(hardened(), mountingPath(c.path, readOnly)))
			if len(ways) == 0 || ways[0].gain != want {
				t.Errorf("%s, read-only %v: %+v, want gain %d", c.path, readOnly, ways, want)
			}
		}
	}
}

// What is mounted counts, not what the volume could show; but what nothing mounts an ephemeral container can.
func TestASubPathNarrowsAHostPath(t *testing.T) {
	narrowed := with(hardened(), mountingPath("/", true), func(s *corev1.PodSpec) { s.Containers[0].VolumeMounts[0].SubPath = "data" })
	if ways := newEscapeRules().waysOut(&metav1.ObjectMeta{}, narrowed); len(ways) == 0 || ways[0].gain != gainsNotice {
		t.Errorf("/ with subPath data: %+v", ways)
	}
	unmounted := with(hardened(), mountingPath("/etc", true), func(s *corev1.PodSpec) { s.Containers[0].VolumeMounts = nil })
	if ways := newEscapeRules().waysOut(&metav1.ObjectMeta{}, unmounted); len(ways) == 0 || ways[0].gain != gainsNode {
		t.Errorf("/etc, mounted by no container yet: %+v", ways)
	}
}

func TestAPersistentVolumeThatIsAPathOfTheNodeCountsLikeHostPath(t *testing.T) {
	pv := func(path string, annotations map[string]string) *corev1.PersistentVolume {
		return &corev1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: "pv", Annotations: annotations}, Spec: corev1.PersistentVolumeSpec{
			ClaimRef:               &corev1.ObjectReference{Namespace: "a1", Name: "claim"},
			PersistentVolumeSource: corev1.PersistentVolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: path}}}}
	}
	spec := with(hardened(), func(s *corev1.PodSpec) {
		s.Volumes = []corev1.Volume{{Name: "d", VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "claim"}}}}
		s.Containers[0].VolumeMounts = []corev1.VolumeMount{{Name: "d", MountPath: "/d"}}
	})
	for want, volume := range map[string]*corev1.PersistentVolume{
		"BH2001": pv("/var/lib/kubelet", nil),
		"":       pv("/data/shop", nil),
		" ":      pv("/var/lib/rancher/k3s/storage/x", map[string]string{"pv.kubernetes.io/provisioned-by": "rancher.io/local-path"}),
	} {
		r := judge(t, snapshot.Snapshot{PersistentVolumes: []*corev1.PersistentVolume{volume},
			Pods: []*snapshot.Pod{{Namespace: "a1", Name: "x", Spec: spec}}})
		if got := strings.Join(r.codes("pods"), " "); got != strings.TrimSpace(want) {
			t.Errorf("%s: %q, want %q", volume.Spec.HostPath.Path, got, want)
		}
	}
}

// Promise: a pod is tried by every kind of object from which a controller makes pods; PodTemplate alone is one from which none does.
func TestEveryKindOfWorkloadIsTried(t *testing.T) {
	tried := map[string]bool{}
	for _, k := range workloadKinds() {
		tried[k.kind.Group+"/"+k.resource+" "+k.kind.Kind] = true
	}
	for _, k := range snapshot.Workloads() {
		if key := k.Group + "/" + k.Resource + " " + k.Name; !tried[key] && k.Name != "PodTemplate" {
			t.Errorf("%s is not tried", key)
		}
	}
}
