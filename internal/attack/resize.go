package attack

import (
	"errors"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/types"
)

// resizeAttacks grow a pod in place, when it was let in already: by its subresource resize, which needs no new pod.
func resizeAttacks() []Attack {
	const quota, defaults = "quota", "defaults"
	harmless := resizePod("resize a pod of its own within its quota", func(Scene) (corev1.ResourceList, error) {
		return corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("11m")}, nil
	})
	attacks := []Attack{
		{ID: quota + "/by-resize", Control: quota, Title: "resizes a pod beyond the Space's quota", PositiveControl: harmless,
			Attempt: resizePod("resize a pod beyond the quota", granted), Refusal: quotaRefuses},
		{ID: defaults + "/huge-by-resize", Control: defaults, Title: "resizes a pod beyond what the whole tenant has", PositiveControl: harmless,
			Attempt: resizePod("resize a pod beyond what the whole tenant has", func(Scene) (corev1.ResourceList, error) {
				return corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("1000000")}, nil
			}), Refusal: Refusal{By: Limits}},
	}
	for i := range attacks {
		a := &attacks[i]
		a.By, a.EachSpace, a.Applies = Owners, true, inForce(a.Control)
	}
	attacks[1].Applies = func(s Scene) bool { return inForce(defaults)(s) && grantedCompute(s) }
	return attacks
}

// granted is all that the Space's quota grants of the first resource that both it and a pod can name.
func granted(s Scene) (corev1.ResourceList, error) {
	for _, key := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory} {
		for _, named := range []corev1.ResourceName{"limits." + key, "requests." + key, key} {
			if amount, bounds := s.Space.Status.Quota[named]; bounds {
				return corev1.ResourceList{key: amount.DeepCopy()}, nil
			}
		}
	}
	return nil, errors.New("the Space's quota (status.quota) bounds neither cpu nor memory: name requests.cpu or requests.memory in the tenant's quota")
}

// resizePod makes a small pod of two containers and resizes both: a LimitRange allows one alone no more than the whole tenant has.
// Requests and limits stay equal, as the API wants it of such a pod.
func resizePod(title string, to func(Scene) (corev1.ResourceList, error)) Step {
	return Step{Title: title, Ask: func(s Scene) (Ask, error) {
		amount, err := to(s)
		if err != nil {
			return Ask{}, err
		}
		object, err := workloadOf("pods").around(s, func(_ Scene, pod *corev1.Pod) error {
			second := pod.Spec.Containers[0].DeepCopy()
			second.Name = "second"
			pod.Spec.Containers = append(pod.Spec.Containers, *second)
			return nil
		}, true)
		if err != nil {
			return Ask{}, err
		}
		resources := map[string]any{"requests": amount, "limits": amount}
		return Ask{Real: &Real{Request: Request{Version: "v1", Namespace: s.Namespace(), Resource: "pods", Body: object},
			Then: &Request{Verb: "patch", Patch: types.StrategicMergePatchType, Version: "v1", Namespace: s.Namespace(), Resource: "pods", Subresource: "resize",
				Body: map[string]any{"spec": map[string]any{"containers": []any{
					map[string]any{"name": "harmless", "resources": resources}, map[string]any{"name": "second", "resources": resources}}}}}}}, nil
	}}
}
