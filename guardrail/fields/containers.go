package fields

// ownProcess is why what runs in a container is left to its image.
const ownProcess = "It is what runs inside the container, with the container's limits."

const notEphemeral = "The API server refuses it in ephemeral containers."

// containers are the containers of pods: init containers and ephemeral ones too.
var containers = []Section{
	{"core.v1.Container", append([]Row{
		{"image", Bounded, "images", "images/foreign-registry images/init-foreign-registry"},
		{"imagePullPolicy", Bounded, "images", "images/pull-never images/pull-ifnotpresent"},
		{"lifecycle.stopSignal", Harmless, ownProcess, ""},
		{"ports", Harmless, "It names a port of the pod for others, and opens none.", ""},
		{"ports.hostIP", Checked, "It means nothing without hostPort.", ""},
		{"ports.hostPort", Refused, "pod-security", "pod-security/host-port pod-security/init-host-port"},
	}, containerRows...)},
	{"core.v1.EphemeralContainer", append([]Row{
		{"image", Bounded, "images", "images/ephemeral-foreign-registry"},
		{"imagePullPolicy", Bounded, "images", "images/ephemeral-pull-never"},
		{"lifecycle", Checked, notEphemeral, ""},
		{"livenessProbe", Checked, notEphemeral, ""},
		{"ports", Checked, notEphemeral, ""},
		{"readinessProbe", Checked, notEphemeral, ""},
		{"resources", Checked, notEphemeral, ""},
		{"startupProbe", Checked, notEphemeral, ""},
		{"targetContainerName", Harmless, "It names a container of the same pod.", ""},
	}, containerRows...)},
	{"core.v1.Probe", []Row{
		{"failureThreshold", Harmless, "It is when the tenant's own container is restarted.", ""},
		{"initialDelaySeconds", Harmless, "It is when the kubelet begins to ask.", ""},
		{"periodSeconds", Harmless, "The kubelet asks the pod once a second at most.", ""},
		{"successThreshold", Harmless, "It is when the tenant's own container is ready.", ""},
		{"terminationGracePeriodSeconds", Bounded, "quota", "quota/probe-grace"},
		{"timeoutSeconds", Harmless, "The kubelet waits for the pod's answer.", ""},
		{"exec", Harmless, ownProcess, ""},
		{"grpc", Harmless, "The kubelet asks the pod's own address.", ""},
	}},
	{"core.v1.LifecycleHandler", []Row{
		{"exec", Harmless, ownProcess, ""},
		{"sleep", Harmless, "The API server bounds it by the grace period.", ""},
	}},
	{"core.v1.HTTPGetAction", []Row{
		{"host", Refused, "pod-security", "pod-security/probe-host pod-security/liveness-host"},
		{"httpHeaders", Harmless, toThePod, ""},
		{"path", Harmless, toThePod, ""},
		{"port", Harmless, toThePod, ""},
		{"protocol", Harmless, toThePod, ""},
		{"scheme", Harmless, toThePod, ""},
	}},
	{"core.v1.TCPSocketAction", []Row{
		{"host", Refused, "pod-security", "pod-security/tcp-host"},
		{"port", Harmless, toThePod, ""},
	}},
	{"core.v1.SecurityContext", []Row{
		{"allowPrivilegeEscalation", Refused, "pod-security", "pod-security/privilege-escalation pod-security/privilege-escalation-unset"},
		{"appArmorProfile.localhostProfile", Refused, "pod-security", "pod-security/local-apparmor"},
		{"appArmorProfile.type", Refused, "pod-security", "pod-security/apparmor-unconfined"},
		{"capabilities", Bounded, "pod-security", "pod-security/capability-sys-admin pod-security/capabilities-kept pod-security/capabilities-unset"},
		{"privileged", Refused, "pod-security", "pod-security/privileged"},
		{"procMount", Bounded, "pod-security", "pod-security/proc-unmasked"},
		{"readOnlyRootFilesystem", Harmless, "It takes a right from the container.", ""},
		{"runAsGroup", Harmless, "It is a group inside the container, without capabilities and without files of the host.", ""},
		{"runAsNonRoot", Refused, "pod-security", "pod-security/root"},
		{"runAsUser", Bounded, "pod-security", "pod-security/root-user"},
		{"seLinuxOptions.level", Refused, "pod-security", "pod-security/selinux-level"},
		{"seLinuxOptions", Bounded, "pod-security", "pod-security/selinux-type pod-security/selinux-user pod-security/selinux-role"},
		{"seccompProfile.localhostProfile", Refused, "pod-security", "pod-security/local-seccomp"},
		{"seccompProfile.type", Bounded, "pod-security", "pod-security/seccomp-unconfined"},
		{"windowsOptions.hostProcess", Refused, "pod-security", "pod-security/windows-container-process"},
		{"windowsOptions", Refused, "pod-security", "pod-security/windows-options"},
	}},
	{"core.v1.ResourceRequirements", []Row{
		{"claims", Harmless, "It names one of the pod's resourceClaims.", ""},
		{"limits", Bounded, "quota", "quota/foreign-resource quota/huge-pages quota/compute"},
		{"requests", Bounded, "quota", "quota/foreign-resource quota/huge-pages"},
	}},
}

const (
	toThePod    = "The kubelet asks the pod's own address, since host is refused."
	anyResource = "CPU, memory and ephemeral storage are bounded (controls quota, defaults); an extended resource that the tenant's quota does not name is not."
)

// containerRows are the same for all kinds of containers.
var containerRows = []Row{
	{"args", Harmless, ownProcess, ""},
	{"command", Harmless, ownProcess, ""},
	{"env", Harmless, "What it refers to lies in the pod's own namespace, in the pod itself, or is the name and address of its node.", ""},
	{"env#", Harmless, lists, ""},
	{"envFrom", Harmless, ownNamespace, ""},
	{"name", Harmless, "It is a name within the pod.", ""},
	{"resizePolicy", Harmless, "It is whether the tenant's own container is restarted.", ""},
	{"restartPolicy", Harmless, "The kubelet restarts the tenant's own containers, each time later.", ""},
	{"restartPolicyRules", Harmless, "The kubelet restarts the tenant's own containers, each time later.", ""},
	{"stdin", Harmless, ownProcess, ""},
	{"stdinOnce", Harmless, ownProcess, ""},
	{"terminationMessagePath", Harmless, "The kubelet makes the file for the container, and passes on 4 KiB of it.", ""},
	{"terminationMessagePolicy", Harmless, "The kubelet passes on 4 KiB of the container's own output.", ""},
	{"tty", Harmless, ownProcess, ""},
	{"volumeDevices", Harmless, "It names a volume of the pod.", ""},
	{"volumeMounts", Harmless, "It is where a volume of the pod is seen in the container; what is mounted is judged as a volume.", ""},
	{"volumeMounts.mountPropagation", Checked, "Bidirectional is for privileged containers alone, which are refused (control pod-security).", ""},
	{"workingDir", Harmless, ownProcess, ""},
}
