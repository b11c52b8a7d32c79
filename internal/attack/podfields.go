package attack

import (
	"errors"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/guardrail"
)

// ControlPodSecurity is the control of most attacks by pods.
const ControlPodSecurity = guardrail.ControlPodSecurity

// podAttack is an attack by a pod that differs from the compliant one in a single point.
func podAttack(id, control, title string, change podChange, refusal Refusal) Attack {
	return Attack{ID: control + "/" + id, Control: control, Title: title, By: Owners, EachSpace: true, Applies: inForce(control),
		PositiveControl: compliantPod, Attempt: createPod("create a pod that "+title, change), Refusal: refusal}
}

// hostAttacks are the fields of a pod as a whole that Pod Security refuses.
func hostAttacks() []Attack {
	spec := func(id, title string, change func(*corev1.PodSpec)) Attack {
		a := podAttack(id, ControlPodSecurity, title, func(_ Scene, pod *corev1.Pod) error { change(&pod.Spec); return nil }, Refusal{By: PodSecurity})
		a.Applies = whileRestricted(a.ID)
		return a
	}
	volume := func(source corev1.VolumeSource) func(*corev1.PodSpec) {
		return func(s *corev1.PodSpec) { s.Volumes = []corev1.Volume{{Name: "host", VolumeSource: source}} }
	}
	attacks := []Attack{
		spec("host-network", "uses the host's network", func(s *corev1.PodSpec) { s.HostNetwork = true }),
		spec("host-pid", "sees the host's processes", func(s *corev1.PodSpec) { s.HostPID = true }),
		spec("host-ipc", "uses the host's shared memory", func(s *corev1.PodSpec) { s.HostIPC = true }),
		spec("seccomp-unset", "runs without a seccomp profile, nothing being said", func(s *corev1.PodSpec) { s.SecurityContext.SeccompProfile = nil }),
		spec("windows-host-process", "runs as a process of its Windows host", func(s *corev1.PodSpec) {
			s.HostNetwork = true // or the API itself refuses it
			s.SecurityContext.WindowsOptions = &corev1.WindowsSecurityContextOptions{HostProcess: new(true)}
		}),
		spec("sysctl", "changes a kernel setting that all pods of the node share", func(s *corev1.PodSpec) {
			s.SecurityContext.Sysctls = []corev1.Sysctl{{Name: "kernel.msgmax", Value: "65536"}}
		}),
		spec("nfs-volume", "mounts a file server past every claim", volume(corev1.VolumeSource{NFS: &corev1.NFSVolumeSource{Server: "192.0.2.1", Path: "/"}})),
		spec("iscsi-volume", "mounts a block device past every claim", volume(corev1.VolumeSource{
			ISCSI: &corev1.ISCSIVolumeSource{TargetPortal: "192.0.2.1", IQN: "iqn.2001-04.com.example:x", Lun: 0}})),
	}
	for id, path := range map[string]string{
		"host-path": "/", "host-path-log": "/var/log", "host-path-containerd": "/var/run/containerd/containerd.sock", "host-path-proc": "/proc",
		"host-path-kubernetes": "/etc/kubernetes", "host-path-kubelet": "/var/lib/kubelet", "host-path-cgroup": "/sys/fs/cgroup", "host-path-dev": "/dev",
	} {
		attacks = append(attacks, spec(id, "mounts "+path+" of the host", volume(corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: path}})))
	}
	return append(attacks, podAttack("proc-unmasked", ControlPodSecurity, "sees all of /proc", func(_ Scene, pod *corev1.Pod) error {
		unmasked := corev1.UnmaskedProcMount
		pod.Spec.HostUsers = new(false) // or the API itself refuses it
		pod.Spec.Containers[0].SecurityContext.ProcMount = &unmasked
		return nil
	}, Refusal{By: PodSecurity}))
}

// templateCase is a point of a pod spec that Bulkhead's own policies judge, in pods and in all that makes pods.
type templateCase struct {
	id, control, title string
	change             podChange
	policy             string
	// applies says whether the control is in force in a scene; nil means wherever it is not waived.
	applies func(Scene) bool
}

func specChange(change func(*corev1.PodSpec)) podChange {
	return func(_ Scene, pod *corev1.Pod) error { change(&pod.Spec); return nil }
}

// templateCases is every way in that a pod spec offers and that Bulkhead's policies close.
func templateCases() []templateCase {
	volume := func(source corev1.VolumeSource) podChange {
		return specChange(func(s *corev1.PodSpec) { s.Volumes = []corev1.Volume{{Name: "in", VolumeSource: source}} })
	}
	toleration := func(key string, op corev1.TolerationOperator, value string) podChange {
		return specChange(func(s *corev1.PodSpec) {
			s.Tolerations = append(s.Tolerations, corev1.Toleration{Key: key, Operator: op, Value: value, Effect: corev1.TaintEffectNoSchedule})
		})
	}
	cases := []templateCase{
		{id: "foreign-registry", control: "images", policy: "images", title: "runs an image from a registry that is not allowed", change: foreignImage},
		{id: "init-foreign-registry", control: "images", policy: "images", title: "runs an init container from a registry that is not allowed",
			change: func(_ Scene, pod *corev1.Pod) error { addInit(pod).Image = invalidImage; return nil }},
		{id: "image-volume", control: "images", policy: "images", title: "mounts an image from a registry that is not allowed",
			change: volume(corev1.VolumeSource{Image: &corev1.ImageVolumeSource{Reference: invalidImage}})},
		{id: "registry-prefix", control: "images", policy: "images", title: "runs an image from a registry whose name begins like an allowed one",
			change: func(s Scene, pod *corev1.Pod) error {
				pod.Spec.Containers[0].Image = strings.TrimRight(s.Platform.Spec.Registries[0], "/") + ".invalid/image"
				return nil
			}},
		{id: "system-critical", control: "priority", policy: "priority", title: "takes the priority of the cluster's own parts", change: systemCritical},
		{id: "node-critical", control: "priority", policy: "priority", title: "takes the priority of the nodes' own parts",
			change: specChange(func(s *corev1.PodSpec) { s.PriorityClassName = "system-node-critical" })},
		{id: "scheduler-name", control: "scheduling", policy: "scheduling", title: "names a scheduler that is not allowed", change: foreignScheduler},
		{id: "tolerate-all", control: "node-affinity", policy: "node-affinity", title: "tolerates every taint, and so lands on anybody's nodes", change: tolerateAll},
		{id: "tolerate-tenants", control: "node-affinity", policy: "node-affinity", title: "tolerates the taint of every tenant's nodes",
			change: toleration(v1alpha1.TaintNodeTenant, corev1.TolerationOpExists, "")},
		{id: "tolerate-other", control: "node-affinity", policy: "node-affinity", title: "tolerates the taint of another tenant's nodes",
			change: toleration(v1alpha1.TaintNodeTenant, corev1.TolerationOpEqual, "bulkhead-attack")},
		{id: "node-name", control: "node-affinity", policy: "node-affinity", title: "names its node, which may be anybody's", change: nodeName},
		{id: "foreign-nodes", control: "node-affinity", policy: "node-affinity", title: "selects another tenant's nodes", change: foreignNodes},
		{id: "affinity-foreign-nodes", control: "node-affinity", policy: "node-affinity", title: "has an affinity to another tenant's nodes", change: specChange(affinityToForeign)},
		{id: "affinity-foreign-pods", control: "node-affinity", policy: "node-affinity", title: "seeks the company of other tenants' pods", change: specChange(affinityToPods)},
		{id: "csi-volume", control: "storage", policy: "volumes", title: "mounts a volume of a driver, past every claim",
			change: volume(corev1.VolumeSource{CSI: &corev1.CSIVolumeSource{Driver: "driver.invalid"}})},
	}
	return append(cases, tokenCases()...)
}

// tokenCases depend on whether the workload declares that it calls the API.
func tokenCases() []templateCase {
	token := func(source corev1.VolumeProjection) podChange {
		return specChange(func(s *corev1.PodSpec) {
			s.Volumes = []corev1.Volume{{Name: "id", VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{source}}}}}
		})
	}
	own := corev1.VolumeProjection{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{Path: "token"}}
	certificate := corev1.VolumeProjection{PodCertificate: &corev1.PodCertificateProjection{
		SignerName: "example.invalid/signer", KeyType: "ED25519", CredentialBundlePath: "bundle"}}
	return []templateCase{
		{id: "mount", control: "token", policy: "token-pods", applies: callsAPI(false), change: mountToken,
			title: "gives pods an identity at the API server that the workload does not declare"},
		{id: "projected", control: "token", policy: "token-pods", applies: callsAPI(false), change: token(own),
			title: "projects a token that the workload does not declare"},
		{id: "certificate", control: "token", policy: "token-pods", applies: callsAPI(false), change: token(certificate),
			title: "projects a certificate that the workload does not declare"},
		{id: "foreign-audience", control: "token", policy: "token-pods", applies: callsAPI(true), change: foreignAudience,
			title: "gives pods an identity outside of the cluster"},
	}
}

// callsAPI says of a scene whether its workload declares, or does not declare, that it calls the API.
func callsAPI(want bool) func(Scene) bool {
	return func(s Scene) bool {
		workload, _, found := s.Workload()
		return inForce("token")(s) && want == (found && workload.APIAccess == "OwnNamespaces")
	}
}

func affinityToForeign(s *corev1.PodSpec) {
	s.Affinity = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{
		NodeSelectorTerms: []corev1.NodeSelectorTerm{{MatchExpressions: []corev1.NodeSelectorRequirement{{
			Key: v1alpha1.LabelNodeTenant, Operator: corev1.NodeSelectorOpExists}}}},
	}}}
}

func affinityToPods(s *corev1.PodSpec) {
	s.Affinity = &corev1.Affinity{PodAffinity: &corev1.PodAffinity{RequiredDuringSchedulingIgnoredDuringExecution: []corev1.PodAffinityTerm{{
		LabelSelector: &metav1.LabelSelector{}, NamespaceSelector: &metav1.LabelSelector{}, TopologyKey: corev1.LabelHostname}}}}
}

// priorityAttacks name a class that the Platform allows and that preempts. A pod shows what its class is and a template
// does not, so only pods are tried.
func priorityAttacks() []Attack {
	const control = "priority"
	a := podAttack("allowed-that-preempts", control, "preempts other tenants' pods with a class that the platform allows", nil, byPolicy(control))
	a.Applies = func(s Scene) bool { return inForce(control)(s) && len(s.Platform.Spec.PriorityClasses) > 0 }
	a.PositiveControl = Step{Title: "create a pod of an allowed class that does not preempt", Ask: func(s Scene) (Ask, error) {
		polite, _, err := allowedClasses(s)
		if err != nil {
			return Ask{}, err
		}
		return createPod("", ofClass(append(polite, "")[0])).Ask(s)
	}}
	a.Attempt = Step{Title: "create a pod of an allowed class that preempts", Ask: preempting}
	a.Or = Refusal{By: Mended}
	return []Attack{a}
}

// preempting makes a pod of each allowed class that preempts. Where no allowed class does, the pod of no class shows it.
func preempting(s Scene) (Ask, error) {
	_, preempts, err := allowedClasses(s)
	if err != nil {
		return Ask{}, err
	}
	if len(preempts) == 0 {
		return mendedPod("", unchanged, func(*corev1.Pod) string { return "no allowed PriorityClass preempts" }).Ask(s)
	}
	asks := make([]Ask, len(preempts))
	for i, class := range preempts {
		if asks[i], err = createPod("", ofClass(class)).Ask(s); err != nil {
			return Ask{}, err
		}
	}
	return Ask{Every: asks}, nil
}

// allowedClasses are the Platform's priority classes that exist, by whether they preempt.
func allowedClasses(s Scene) (polite, preempts []string, err error) {
	if s.Seen == nil || s.Seen.Preempts == nil {
		return nil, nil, errors.New("the PriorityClasses are not known: the attack's runner may not list them")
	}
	for _, class := range s.Platform.Spec.PriorityClasses {
		switch does, exists := s.Seen.Preempts[class]; {
		case exists && does:
			preempts = append(preempts, class)
		case exists:
			polite = append(polite, class)
		}
	}
	return polite, preempts, nil
}

func ofClass(class string) podChange {
	return specChange(func(s *corev1.PodSpec) { s.PriorityClassName = class })
}
