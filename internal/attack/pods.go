package attack

import (
	"errors"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
)

// generateName begins the name of everything that an attack would make.
const generateName = "bulkhead-attack-"

// marked is the metadata of everything that an attack would make: a name that the API server completes, so that it meets
// nothing that exists, and a label by which it is known should it ever be stored.
func marked(s Scene) metav1.ObjectMeta {
	return metav1.ObjectMeta{GenerateName: generateName, Namespace: s.Namespace(), Labels: map[string]string{labelAttack: mark(s)}}
}

// labelAttack, with the run as its value, is on everything that an attack makes.
const labelAttack = "bulkhead.dev/attack"

func mark(s Scene) string {
	if s.Run == "" {
		return "proof"
	}
	return s.Run
}

// podChange makes the compliant pod differ in a single point.
type podChange func(Scene, *corev1.Pod) error

// compliantPod is the positive control of every attack by a pod: what a tenant's developer does all day.
var compliantPod = createPod("create a compliant pod", unchanged)

func unchanged(Scene, *corev1.Pod) error { return nil }

func createPod(title string, change podChange) Step {
	return Step{Title: title, Ask: func(s Scene) (Ask, error) {
		pod, err := harmlessPod(s)
		if err != nil {
			return Ask{}, err
		}
		if err := change(s, pod); err != nil {
			return Ask{}, err
		}
		return Ask{DryRun: &Request{Version: "v1", Namespace: s.Namespace(), Resource: "pods", Body: pod}}, nil
	}}
}

// harmlessPod obeys every control: an image of an allowed registry, always pulled; all of Pod Security's level restricted;
// no token; the smallest of resources; the RuntimeClass that was decided.
func harmlessPod(s Scene) (*corev1.Pod, error) {
	if s.Namespace() == "" {
		return nil, errors.New("the Space has no namespace yet")
	}
	if len(s.Platform.Spec.Registries) == 0 {
		return nil, errors.New("the Platform allows no registry, so that no pod is compliant: name one in spec.registries")
	}
	no, yes := false, true
	small := corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("10m"), corev1.ResourceMemory: resource.MustParse("16Mi")}
	pod := &corev1.Pod{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
		ObjectMeta: marked(s),
		Spec: corev1.PodSpec{
			AutomountServiceAccountToken: &no,
			SecurityContext: &corev1.PodSecurityContext{
				RunAsNonRoot:   &yes,
				SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
			},
			Containers: []corev1.Container{{
				Name:            "harmless",
				Image:           strings.TrimRight(s.Platform.Spec.Registries[0], "/") + "/bulkhead-attack:harmless",
				ImagePullPolicy: corev1.PullAlways,
				Resources:       corev1.ResourceRequirements{Requests: small, Limits: small.DeepCopy()},
				SecurityContext: &corev1.SecurityContext{
					AllowPrivilegeEscalation: &no,
					Capabilities:             &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
				},
			}},
		},
	}
	if _, decided, found := s.Workload(); found && decided.RuntimeClass != "" {
		pod.Spec.RuntimeClassName = &decided.RuntimeClass
	}
	return pod, nil
}

func privileged(_ Scene, pod *corev1.Pod) error {
	yes := true
	pod.Spec.Containers[0].SecurityContext = &corev1.SecurityContext{Privileged: &yes}
	return nil
}

func mountToken(_ Scene, pod *corev1.Pod) error {
	yes := true
	pod.Spec.AutomountServiceAccountToken = &yes
	return nil
}

func foreignImage(_ Scene, pod *corev1.Pod) error {
	pod.Spec.Containers[0].Image = invalidImage
	return nil
}

// invalidImage comes from no registry: .invalid is reserved (RFC 2606), and no list of allowed ones names it.
const invalidImage = "registry.invalid/bulkhead-attack:foreign"

func nodeName(_ Scene, pod *corev1.Pod) error {
	pod.Spec.NodeName = "bulkhead-attack"
	return nil
}

func foreignScheduler(_ Scene, pod *corev1.Pod) error {
	pod.Spec.SchedulerName = "bulkhead-attack.invalid"
	return nil
}

func systemCritical(_ Scene, pod *corev1.Pod) error {
	pod.Spec.PriorityClassName = "system-cluster-critical"
	return nil
}

func tolerateAll(_ Scene, pod *corev1.Pod) error {
	pod.Spec.Tolerations = append(pod.Spec.Tolerations, corev1.Toleration{Operator: corev1.TolerationOpExists})
	return nil
}

func foreignNodes(_ Scene, pod *corev1.Pod) error {
	pod.Spec.NodeSelector = map[string]string{v1alpha1.LabelNodeTenant: "bulkhead-attack"}
	return nil
}

func otherRuntimeClass(_ Scene, pod *corev1.Pod) error {
	other := "bulkhead-attack"
	pod.Spec.RuntimeClassName = &other
	return nil
}

// foreignAudience projects a token for somebody else than the API server.
func foreignAudience(_ Scene, pod *corev1.Pod) error {
	pod.Spec.Volumes = []corev1.Volume{{Name: "token", VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{
		Sources: []corev1.VolumeProjection{{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{Audience: "bulkhead-attack.invalid", Path: "token"}}},
	}}}}
	return nil
}

// beyondQuota asks for twice what was granted, of the first resource that both the Space's quota and a pod can name. It does
// so by two containers, since the LimitRange allows one container no more than the whole tenant has.
func beyondQuota(s Scene, pod *corev1.Pod) error {
	for _, key := range []struct {
		quota, pod corev1.ResourceName
		limit      bool
	}{
		{corev1.ResourceLimitsCPU, corev1.ResourceCPU, true},
		{corev1.ResourceLimitsMemory, corev1.ResourceMemory, true},
		{corev1.ResourceRequestsCPU, corev1.ResourceCPU, false},
		{corev1.ResourceCPU, corev1.ResourceCPU, false},
		{corev1.ResourceRequestsMemory, corev1.ResourceMemory, false},
		{corev1.ResourceMemory, corev1.ResourceMemory, false},
	} {
		granted, named := s.Space.Status.Quota[key.quota]
		if !named {
			continue
		}
		resources := &pod.Spec.Containers[0].Resources
		if granted.Cmp(resources.Limits[key.pod]) > 0 {
			resources.Limits[key.pod] = granted.DeepCopy()
			if !key.limit {
				resources.Requests[key.pod] = granted.DeepCopy()
			}
		}
		second := pod.Spec.Containers[0].DeepCopy()
		second.Name = "second"
		pod.Spec.Containers = append(pod.Spec.Containers, *second)
		return nil
	}
	return errors.New("the Space's quota (status.quota) bounds neither cpu nor memory: name requests.cpu or requests.memory in the tenant's quota")
}
