package hostile

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// limitCases ask for what a LimitRange does not allow: no bound at all, or more than the whole tenant has.
func limitCases() []Case {
	const control = "defaults"
	byResources := func(id, title, says string, change func(*corev1.ResourceRequirements)) Case {
		return byPod(id, control, title, specChange(func(s *corev1.PodSpec) { change(&s.Containers[0].Resources) }), Refusal{By: Limits, Says: says})
	}
	huge := corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("1000000"), corev1.ResourceMemory: resource.MustParse("1Pi")}
	cases := []Case{
		byResources("no-limit", "names a limit of 0, which is none", "minimum", func(r *corev1.ResourceRequirements) {
			zero := corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("0"), corev1.ResourceMemory: resource.MustParse("0")}
			r.Requests, r.Limits = zero, zero.DeepCopy()
		}),
		byResources("huge", "may use more than the whole tenant has", "maximum", func(r *corev1.ResourceRequirements) { r.Limits = huge.DeepCopy() }),
		ownObject("huge-by-resize", control, "resizes a pod beyond what the whole tenant has", harmlessResize,
			resizePod("resize a pod beyond what the whole tenant has", func(Scene) (corev1.ResourceList, error) {
				return corev1.ResourceList{corev1.ResourceCPU: huge[corev1.ResourceCPU]}, nil
			}), Refusal{By: Limits, Says: "maximum"}),
	}
	for i := range cases[1:] {
		cases[i+1].Applies = func(s Scene) bool { return InForce(control)(s) && grantedCompute(s) }
	}
	return cases
}

// grantedCompute reports whether the tenant's quota names an amount of cpu.
func grantedCompute(s Scene) bool {
	for _, key := range []corev1.ResourceName{corev1.ResourceLimitsCPU, corev1.ResourceRequestsCPU, corev1.ResourceCPU} {
		if _, named := s.Tenant.Spec.Quota[key]; named {
			return true
		}
	}
	return false
}
