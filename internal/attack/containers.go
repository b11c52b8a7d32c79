package attack

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// containerCase is a field of a container that Pod Security refuses, wherever in the pod the container stands.
type containerCase struct {
	id, title string
	change    func(*corev1.Container)
	// notEphemeral and notInit are true where the API itself knows no such field on these containers.
	notEphemeral, notInit bool
}

// containerCases are the fields of containers through which a pod reaches its host.
func containerCases() []containerCase {
	secure := func(id, title string, change func(*corev1.SecurityContext)) containerCase {
		return containerCase{id: id, title: title, change: func(c *corev1.Container) { change(c.SecurityContext) }}
	}
	cases := []containerCase{
		{id: "privileged", title: "runs privileged", change: func(c *corev1.Container) {
			c.SecurityContext = &corev1.SecurityContext{Privileged: new(true)}
		}},
		secure("privilege-escalation", "may gain rights by setuid programs", func(s *corev1.SecurityContext) { s.AllowPrivilegeEscalation = new(true) }),
		secure("privilege-escalation-unset", "may gain rights by setuid programs, nothing being said", func(s *corev1.SecurityContext) { s.AllowPrivilegeEscalation = nil }),
		secure("root", "runs as root", func(s *corev1.SecurityContext) { s.RunAsNonRoot = new(false) }),
		secure("root-user", "runs as user 0", func(s *corev1.SecurityContext) { s.RunAsUser = new(int64(0)) }),
		secure("capabilities-kept", "keeps the default capabilities", func(s *corev1.SecurityContext) { s.Capabilities = nil }),
		secure("seccomp-unconfined", "runs without a seccomp profile", func(s *corev1.SecurityContext) {
			s.SeccompProfile = &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeUnconfined}
		}),
		secure("apparmor-unconfined", "runs without an AppArmor profile", func(s *corev1.SecurityContext) {
			s.AppArmorProfile = &corev1.AppArmorProfile{Type: corev1.AppArmorProfileTypeUnconfined}
		}),
		secure("selinux-type", "picks the SELinux type of container runtimes", func(s *corev1.SecurityContext) {
			s.SELinuxOptions = &corev1.SELinuxOptions{Type: "spc_t"}
		}),
		{id: "host-port", title: "listens on a port of its node", notEphemeral: true, change: func(c *corev1.Container) {
			c.Ports = []corev1.ContainerPort{{ContainerPort: 8080, HostPort: 8080}}
		}},
		{id: "probe-host", title: "has the kubelet open connections to an address of its choice", notEphemeral: true, notInit: true, change: func(c *corev1.Container) {
			c.Lifecycle = &corev1.Lifecycle{PreStop: &corev1.LifecycleHandler{HTTPGet: &corev1.HTTPGetAction{
				Host: "127.0.0.1", Port: intstr.FromInt32(10250)}}}
		}},
	}
	for _, capability := range []corev1.Capability{"SYS_ADMIN", "SYS_PTRACE", "SYS_MODULE", "DAC_READ_SEARCH", "NET_ADMIN", "NET_RAW", "BPF"} {
		id := "capability-" + strings.ReplaceAll(strings.ToLower(string(capability)), "_", "-")
		cases = append(cases, secure(id, "has the capability "+string(capability), func(s *corev1.SecurityContext) {
			s.Capabilities.Add = []corev1.Capability{capability}
		}))
	}
	return cases
}

// containerAttacks try every case as a container, as an init container and as an ephemeral container that is added to a pod
// which was harmless.
func containerAttacks() []Attack {
	const control = ControlPodSecurity
	var attacks []Attack
	for _, c := range containerCases() {
		main := podAttack(c.id, control, "has containers of which one "+c.title, func(_ Scene, pod *corev1.Pod) error {
			c.change(&pod.Spec.Containers[0])
			return nil
		}, Refusal{By: PodSecurity})
		attacks = append(attacks, main)
		if !c.notInit {
			attacks = append(attacks, podAttack("init-"+c.id, control, "has init containers of which one "+c.title, func(_ Scene, pod *corev1.Pod) error {
				c.change(addInit(pod))
				return nil
			}, Refusal{By: PodSecurity}))
		}
		if !c.notEphemeral {
			attacks = append(attacks, ephemeralAttack(c.id, control, "adds an ephemeral container that "+c.title, c.change, Refusal{By: PodSecurity}))
		}
	}
	for i := range attacks {
		attacks[i].Applies = whileRestricted(attacks[i].ID)
	}
	return attacks
}

// whileRestricted leaves out what a Waiver of Pod Security allows: it lowers the level to baseline.
func whileRestricted(id string) func(Scene) bool {
	for _, baseline := range []string{"privileged", "host", "capability-", "seccomp-unconfined", "apparmor-unconfined", "selinux", "windows", "sysctl", "probe", "proc"} {
		name := strings.TrimPrefix(strings.TrimPrefix(strings.TrimPrefix(id, ControlPodSecurity+"/"), "init-"), "ephemeral-")
		if strings.HasPrefix(name, baseline) && !strings.HasPrefix(name, "privilege-") {
			return nil
		}
	}
	return inForce(ControlPodSecurity)
}

// addInit gives a pod an init container that is as harmless as its first container.
func addInit(pod *corev1.Pod) *corev1.Container {
	first := pod.Spec.Containers[0].DeepCopy()
	first.Name = "init"
	pod.Spec.InitContainers = []corev1.Container{*first}
	return &pod.Spec.InitContainers[0]
}

// harmlessDebugger is the positive control of every ephemeral container.
var harmlessDebugger = addEphemeral("add a compliant ephemeral container to a pod", func(*corev1.Container) {})

func ephemeralAttack(id, control, title string, change func(*corev1.Container), refusal Refusal) Attack {
	return Attack{ID: control + "/ephemeral-" + id, Control: control, Title: title, By: Owners, EachSpace: true, Applies: inForce(control),
		PositiveControl: harmlessDebugger, Attempt: addEphemeral(title, change), Refusal: refusal}
}

// addEphemeral adds an ephemeral container to a pod of the attack's own.
func addEphemeral(title string, change func(*corev1.Container)) Step {
	return Step{Title: title, On: "pods", Ask: func(s Scene) (Ask, error) {
		pod, err := harmlessPod(s)
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
