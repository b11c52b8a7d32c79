package pods

import (
	"fmt"
	"path"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// hostPath is a folder or file of a node, and what it gives to a pod that can write it, or only read it. Whatever lies below
// it gives the same, unless there is a longer path; what lies above it gives all that it holds.
type hostPath struct {
	path          string
	written, read podGain
	why           string
}

// hostPaths of a Linux node, and of a Windows node with its drive letter compromised away.
func hostPaths() []hostPath {
	return []hostPath{
		{"/etc", gainsNode, gainsFiles, "programs that root starts, and credentials"},
		{"/etc/kubernetes", gainsNode, gainsNode, "the credentials of the kubelet and of the control plane, and static pods"},
		{"/etc/cni", gainsNode, gainsFiles, "programs that root starts for every pod"},
		{"/root", gainsNode, gainsFiles, "root's keys"},
		{"/home", gainsNode, gainsFiles, "keys of those who log in"},
		{"/boot", gainsNode, gainsNotice, "the kernel that starts next"},
		{"/usr", gainsNode, gainsNotice, "programs that root runs"},
		{"/bin", gainsNode, gainsNotice, "programs that root runs"},
		{"/sbin", gainsNode, gainsNotice, "programs that root runs"},
		{"/lib", gainsNode, gainsNotice, "libraries that root's programs load"},
		{"/lib64", gainsNode, gainsNotice, "libraries that root's programs load"},
		{"/opt/cni", gainsNode, gainsNotice, "network plugins, which root starts for every pod"},
		{"/proc", gainsNode, gainsFiles, "kernel.core_pattern, and every process"},
		{"/sys", gainsNode, gainsNotice, "cgroups and their release_agent, uevent_helper"},
		{"/dev", gainsFiles, gainsFiles, "devices and shared memory of the node"},
		{"/run", gainsNode, gainsNode, "sockets of the container runtime and of the init system"},
		{"/run/containerd", gainsNode, gainsNode, "the container runtime's socket: it starts any container"},
		{"/run/crio", gainsNode, gainsNode, "the container runtime's socket: it starts any container"},
		{"/run/docker.sock", gainsNode, gainsNode, "the container runtime's socket: it starts any container"},
		{"/run/cri-dockerd.sock", gainsNode, gainsNode, "the container runtime's socket: it starts any container"},
		{"/run/podman", gainsNode, gainsNode, "the container runtime's socket: it starts any container"},
		{"/run/k3s", gainsNode, gainsNode, "the container runtime's socket: it starts any container"},
		{"/run/systemd", gainsNode, gainsNode, "the init system's socket"},
		{"/run/dbus", gainsNode, gainsNode, "the init system's socket"},
		{"/tmp", gainsFiles, gainsFiles, "what programs of the node leave there"},
		{"/var/tmp", gainsFiles, gainsFiles, "what programs of the node leave there"},
		{"/var/log", gainsNode, gainsFiles, "logs of every pod; through a symlink there the kubelet reads any file of the node aloud"},
		{"/var/spool", gainsNode, gainsNotice, "what cron starts as root"},
		{"/var/lib", gainsFiles, gainsFiles, "the state of the node's programs"},
		{"/var/lib/kubelet", gainsNode, gainsNode, "the kubelet's credentials, and the secrets, tokens and volumes of every pod there"},
		{"/var/lib/etcd", gainsNode, gainsNode, "the cluster's whole state, secrets too"},
		{"/var/lib/rancher", gainsNode, gainsNode, "the credentials of the kubelet and of the control plane"},
		{"/var/lib/containerd", gainsNode, gainsFiles, "the files of every container there"},
		{"/var/lib/docker", gainsNode, gainsFiles, "the files of every container there"},
		{"/var/lib/containers", gainsNode, gainsFiles, "the files of every container there"},
		{"/windows", gainsNode, gainsNotice, "programs that the system runs"},
		{"/program files", gainsNode, gainsNotice, "programs that the system runs"},
		{"/programdata", gainsNode, gainsFiles, "the state of the node's programs"},
		{"/users", gainsNode, gainsFiles, "keys of those who log in"},
		{"/pipe", gainsNode, gainsNode, "a named pipe of the node, such as the container runtime's"},
	}
}

// dull are paths that hold nothing of other pods, as long as they are only read.
var dull = []string{"/etc/localtime", "/etc/timezone", "/etc/ssl", "/etc/pki", "/etc/ca-certificates", "/etc/machine-id", "/etc/os-release",
	"/usr/share/zoneinfo", "/usr/share/ca-certificates", "/sys/devices/virtual/dmi"}

// gradeHostPaths: a hostPath gives what lies there, by path, and by whether any container can write it. Neither users nor user
// namespaces are looked at: the author chooses the user and group, and a user namespace maps the volume's owners too.
func gradeHostPaths(v *podView) []wayOut {
	var ways []wayOut
	for i := range v.Volumes {
		volume := &v.Volumes[i]
		if volume.HostPath == nil {
			continue
		}
		for _, m := range v.mountsOf(volume.Name) {
			ways = append(ways, gradePath(path.Join(slashed(volume.HostPath.Path), m.subPath), m.writable, "hostPath "+volume.HostPath.Path))
		}
	}
	return ways
}

type mounted struct {
	subPath  string
	writable bool
}

// mountsOf are the ways in which a volume is mounted. One that no container mounts can be mounted by an ephemeral one.
// A subPath is resolved by the kubelet within the volume; one that is expanded when the container starts may be any.
func (v *podView) mountsOf(volume string) []mounted {
	var list []mounted
	for _, c := range v.containers {
		for i := range c.VolumeMounts {
			if m := &c.VolumeMounts[i]; m.Name == volume {
				list = append(list, mounted{m.SubPath, !m.ReadOnly})
			}
		}
		for i := range c.VolumeDevices {
			if c.VolumeDevices[i].Name == volume {
				list = append(list, mounted{"", true})
			}
		}
	}
	if len(list) == 0 {
		return []mounted{{"", true}}
	}
	return list
}

// gradePath grades a path of a node. A path above several gives the most that one of them gives. /var/run is /run.
func gradePath(p string, writable bool, what string) wayOut {
	p = path.Clean("/" + strings.TrimPrefix(p, "/"))
	if p == "/var/run" || strings.HasPrefix(p, "/var/run/") {
		p = strings.TrimPrefix(p, "/var")
	}
	how := "writes"
	if !writable {
		how = "reads"
		for _, d := range dull {
			if below(p, d) {
				return wayOut{gainsSurface, what + " reads what every node has"}
			}
		}
	}
	best, longest := hostPath{path: p, written: gainsNotice, read: gainsNotice, why: "what lies there on the node"}, 0
	for _, known := range hostPaths() {
		if below(strings.ToLower(p), known.path) && len(known.path) > longest {
			best, longest = known, len(known.path)
		}
	}
	for _, known := range hostPaths() {
		if below(known.path, p) && known.given(writable) > best.given(writable) {
			best = known
		}
	}
	return wayOut{best.given(writable), fmt.Sprintf("%s %s %s", what, how, best.why)}
}

func (h *hostPath) given(writable bool) podGain {
	if writable {
		return h.written
	}
	return h.read
}

// below reports whether a path is another one or lies in it.
func below(p, parent string) bool {
	return p == parent || parent == "/" || strings.HasPrefix(p, parent+"/")
}

// slashed writes a path of Windows like one of Linux: without the drive, and a pipe as /pipe/NAME.
func slashed(p string) string {
	p = strings.ReplaceAll(p, `\`, "/")
	if len(p) >= 2 && p[1] == ':' {
		p = p[2:]
	}
	return strings.TrimPrefix(p, "//.")
}

// gradePersistentVolume: a PersistentVolume may be a path of a node, which Pod Security does not look at. One that a
// provisioner made is a folder of its own; so is one at a path that holds nothing known. ok is false for those and for all
// others.
func gradePersistentVolume(pv *corev1.PersistentVolume, writable bool) (w wayOut, ok bool) {
	p := ""
	switch _, provisioned := pv.Annotations["pv.kubernetes.io/provisioned-by"]; {
	case provisioned:
		return wayOut{}, false
	case pv.Spec.HostPath != nil:
		p = pv.Spec.HostPath.Path
	case pv.Spec.Local != nil:
		p = pv.Spec.Local.Path
	}
	if p == "" || strings.HasPrefix(p, "/dev/") {
		return wayOut{}, false
	}
	w = gradePath(slashed(p), writable, "PersistentVolume "+pv.Name+" is "+p+" of the node: it")
	return w, w.gain > gainsNotice
}
