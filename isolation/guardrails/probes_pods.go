package guardrails

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/isolation/finding"
)

// fallbackImage is that of harmless pods where nothing tells which registries are allowed.
const fallbackImage = "registry.k8s.io/pause:3.10"

// The names of labels and taints that say whose nodes they are, as Bulkhead writes them.
const (
	labelNodeTenant = v1alpha1.LabelNodeTenant
	otherTenant     = v1alpha1.NamePrefix + "probe-other"
)

// harmlessPod is as restricted as pods can be.
func (s *Setting) harmlessPod(change func(*corev1.PodSpec)) *finding.AdmissionRequest {
	image := s.Image
	if image == "" {
		image = fallbackImage
	}
	amounts := corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("10m"), corev1.ResourceMemory: resource.MustParse("32Mi"),
		corev1.ResourceEphemeralStorage: resource.MustParse("32Mi")}
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: probeName}, Spec: corev1.PodSpec{
		Containers: []corev1.Container{{Name: "main", Image: image, ImagePullPolicy: corev1.PullAlways, SecurityContext: restrictedContainer(),
			Resources: corev1.ResourceRequirements{Requests: amounts, Limits: amounts}}},
		SecurityContext:              &corev1.PodSecurityContext{RunAsNonRoot: new(true), SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault}},
		AutomountServiceAccountToken: new(false),
	}}
	if change != nil {
		change(&pod.Spec)
	}
	return creation("", "v1", "Pod", "pods", pod)
}

func restrictedContainer() *corev1.SecurityContext {
	return &corev1.SecurityContext{AllowPrivilegeEscalation: new(false), Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}}}
}

// podProbes are changes of the harmless pod, which is the twin of all of them.
func (s *Setting) podProbes(common Probe, changes []podChange) []Probe {
	twin := s.harmlessPod(nil)
	list := make([]Probe, 0, len(changes))
	for _, c := range changes {
		p := common
		p.ID, p.Does, p.Request, p.Twin = c.id, c.does, s.harmlessPod(c.change), twin
		if c.severity != "" {
			p.Severity = c.severity
		}
		p.Everywhere = p.Everywhere || c.everywhere
		list = append(list, p)
	}
	return list
}

type podChange struct {
	id, does   string
	change     func(*corev1.PodSpec)
	severity   finding.Severity
	everywhere bool
}

// hostProbes reach for the node.
func hostProbes(s *Setting) []Probe {
	container := func(change func(*corev1.SecurityContext)) func(*corev1.PodSpec) {
		return func(p *corev1.PodSpec) { change(p.Containers[0].SecurityContext) }
	}
	return s.podProbes(Probe{Control: "pod-security", Code: "BH4001", Severity: finding.Critical, Everywhere: true}, []podChange{
		{id: "privileged", does: "run a privileged container", change: container(func(c *corev1.SecurityContext) {
			c.Privileged, c.AllowPrivilegeEscalation = new(true), nil
		})},
		{id: "host-path", does: "mount the node's file system", change: func(p *corev1.PodSpec) {
			p.Volumes = []corev1.Volume{{Name: "host", VolumeSource: corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: "/"}}}}
		}},
		{id: "host-network", does: "join the node's network", change: func(p *corev1.PodSpec) { p.HostNetwork = true }},
		{id: "host-pid", does: "see the node's processes", change: func(p *corev1.PodSpec) { p.HostPID = true }},
		{id: "host-ipc", does: "share the node's memory segments", change: func(p *corev1.PodSpec) { p.HostIPC = true }},
		{id: "capability", does: "add the capability SYS_ADMIN", change: container(func(c *corev1.SecurityContext) {
			c.Capabilities = &corev1.Capabilities{Add: []corev1.Capability{"SYS_ADMIN"}}
		})},
		{id: "unmasked-proc", does: "unmask /proc", severity: finding.High, change: func(p *corev1.PodSpec) {
			p.HostUsers, p.Containers[0].SecurityContext.ProcMount = new(false), new(corev1.UnmaskedProcMount) // without a user namespace it is not valid
		}},
		{id: "host-port", does: "take a port of the node", severity: finding.Medium, change: func(p *corev1.PodSpec) {
			p.Containers[0].Ports = []corev1.ContainerPort{{ContainerPort: 8080, HostPort: 8080, Protocol: corev1.ProtocolTCP}}
		}},
		{id: "root", does: "run as root, and gain privileges", severity: finding.Medium, change: func(p *corev1.PodSpec) {
			p.SecurityContext = nil
			p.Containers[0].SecurityContext = nil
		}},
	})
}

// placeProbes go past the scheduler, onto others' nodes, or before others' pods.
func placeProbes(s *Setting) []Probe {
	toleration := func(t corev1.Toleration) func(*corev1.PodSpec) {
		return func(p *corev1.PodSpec) { p.Tolerations = []corev1.Toleration{t} }
	}
	nodes := []string{v1alpha1.PolicyPrefix + "node-affinity"}
	list := s.podProbes(Probe{Control: "node-affinity", Code: "BH4005", Severity: finding.High, Carriers: nodes}, []podChange{
		{id: "tolerate-everything", does: "tolerate every taint, and so reach every tenant's nodes", change: toleration(corev1.Toleration{Operator: corev1.TolerationOpExists})},
		{id: "tolerate-another", does: "tolerate the taint of another tenant's nodes", change: toleration(corev1.Toleration{
			Key: v1alpha1.TaintNodeTenant, Operator: corev1.TolerationOpEqual, Value: otherTenant, Effect: corev1.TaintEffectNoSchedule})},
		{id: "select-anothers-nodes", does: "select another tenant's nodes", change: func(p *corev1.PodSpec) {
			p.NodeSelector = map[string]string{labelNodeTenant: otherTenant}
		}},
		{id: "require-anothers-nodes", does: "require another tenant's nodes by affinity", change: func(p *corev1.PodSpec) {
			p.Affinity = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{
				NodeSelectorTerms: []corev1.NodeSelectorTerm{{MatchExpressions: []corev1.NodeSelectorRequirement{
					{Key: labelNodeTenant, Operator: corev1.NodeSelectorOpIn, Values: []string{otherTenant}}}}}}}}
		}},
		{id: "affinity-to-anothers-pods", does: "be placed next to another tenant's pods", change: func(p *corev1.PodSpec) {
			p.Affinity = &corev1.Affinity{PodAffinity: &corev1.PodAffinity{RequiredDuringSchedulingIgnoredDuringExecution: []corev1.PodAffinityTerm{
				{TopologyKey: corev1.LabelHostname, LabelSelector: &metav1.LabelSelector{}, NamespaceSelector: &metav1.LabelSelector{}}}}}
		}},
		{id: "node-name", does: "name a node, past the scheduler and its taints", everywhere: true, change: func(p *corev1.PodSpec) { p.NodeName = v1alpha1.NamePrefix + "probe" }},
	})
	list = append(list, s.podProbes(Probe{Control: "scheduling", Code: "BH4006", Severity: finding.Medium, Carriers: []string{v1alpha1.PolicyPrefix + "scheduling"}}, []podChange{
		{id: "scheduler", does: "be placed by a scheduler of its own", change: func(p *corev1.PodSpec) { p.SchedulerName = probeName }},
	})...)
	list = append(list, s.podProbes(Probe{Control: "priority", Code: "BH4007", Severity: finding.Medium, Carriers: []string{v1alpha1.PolicyPrefix + "priority"}}, []podChange{
		{id: "system-priority", does: "preempt other tenants' pods with a class of the system", everywhere: true,
			change: func(p *corev1.PodSpec) { p.PriorityClassName = "system-cluster-critical" }},
	})...)
	if s.OtherRuntime != "" {
		list = append(list, s.podProbes(Probe{Control: "runtime", Code: "BH4004", Severity: finding.High, Carriers: []string{v1alpha1.PolicyPrefix + "runtime"}}, []podChange{
			{id: "runtime", does: "run in another runtime than the sandbox that is demanded", change: func(p *corev1.PodSpec) { p.RuntimeClassName = &s.OtherRuntime }},
		})...)
	}
	return append(list, imageProbes(s)...)
}

// imageProbes bring in code from anywhere.
func imageProbes(s *Setting) []Probe {
	const foreign = v1alpha1.NamePrefix + "probe.invalid/evil:1"
	common := Probe{Control: "images", Code: "BH4002", Severity: finding.Medium, Carriers: []string{v1alpha1.PolicyPrefix + "images"}}
	list := s.podProbes(common, []podChange{
		{id: "image", does: "run an image from any registry", change: func(p *corev1.PodSpec) { p.Containers[0].Image = foreign }},
		{id: "init-image", does: "run an image from any registry in an init container", change: func(p *corev1.PodSpec) {
			init := p.Containers[0]
			init.Name, init.Image = "init", foreign
			p.InitContainers = []corev1.Container{init}
		}},
		{id: "image-volume", does: "mount an image from any registry", change: func(p *corev1.PodSpec) {
			p.Volumes = []corev1.Volume{{Name: "image", VolumeSource: corev1.VolumeSource{
				Image: &corev1.ImageVolumeSource{Reference: foreign, PullPolicy: corev1.PullAlways}}}}
		}},
	})
	debug := func(image string) *finding.AdmissionRequest {
		q := s.harmlessPod(func(p *corev1.PodSpec) {
			p.EphemeralContainers = []corev1.EphemeralContainer{{EphemeralContainerCommon: corev1.EphemeralContainerCommon{
				Name: "debug", Image: image, ImagePullPolicy: corev1.PullAlways, SecurityContext: restrictedContainer()}}}
		})
		q.Operation, q.Subresource, q.OldObject = "UPDATE", "ephemeralcontainers", s.harmlessPod(nil).Object
		return q
	}
	p := common
	p.ID, p.Does = "debug-image", "add a debugging container with an image from any registry"
	p.Request, p.Twin = debug(foreign), debug(orFallback(s.Image))
	// Of a pod that is there nothing but images changes that a policy of images minds.
	change := func(image string) *finding.AdmissionRequest {
		q := s.harmlessPod(func(p *corev1.PodSpec) { p.Containers[0].Image = image })
		q.Operation, q.OldObject = "UPDATE", s.harmlessPod(nil).Object
		return q
	}
	changed := common
	changed.ID, changed.Does = "change-image", "change a pod that is there to an image from any registry"
	changed.Request, changed.Twin = change(foreign), change(orFallback(s.Image))
	return append(list, p, changed)
}

func orFallback(image string) string {
	if image == "" {
		return fallbackImage
	}
	return image
}
