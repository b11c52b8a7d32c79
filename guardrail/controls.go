package guardrail

import (
	"slices"
	"strings"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
)

// Control is one way in which tenants are kept apart: what it is against, what enforces it, and what to do when it
// refuses or is missing. The renderer, the checks and the attacks know it by the same id. Each stands in a file of its own,
// with the functions that render what enforces it.
type Control struct {
	// ID is stable: it stands in refusals, reports, waivers and other people's scripts.
	ID string
	// Title in a few words.
	Title string
	// Threat that it is against.
	Threat string
	// How it is enforced, by whom, without Bulkhead running.
	How string
	// Objects that enforce it, by kind and name: its admission policies, and others.
	Objects []string
	// Needs is what the cluster must have for it to hold, beyond an API server of a supported version.
	Needs string
	// Fix is what to do: first for the developer who was refused, then for the platform engineer who finds it missing.
	Fix string
	// Waivable reports whether a Waiver may suspend it. Controls that protect other tenants cannot be waived.
	Waivable bool
	// Mappings to public catalogues: OWASP Kubernetes Top 10 (2025) as K01 to K10, the Multi-Tenancy Benchmark as MTB-*.
	Mappings []string

	// cases are the hostile requests that it must refuse: the ids of package hostile, without the control's own id before
	// them. In them, * stands for the variants of one request: in other containers, in every kind of workload, by every
	// way to change it. Some are requests of its kind that a tenant must be able to make.
	cases []string
	// unrefused is, of a control without cases, why no request is refused.
	unrefused string
	// mutations are the policies that complete what people write, so that a harmless manifest passes as it is.
	mutations []func(*v1alpha1.PlatformSpec) mutation
	// validations are the policies that refuse; nil when it has none.
	validations func(*v1alpha1.PlatformSpec) []validation
}

// registry is every control, in the order in which reports show them.
var registry = []Control{
	rbacOwnControl, rbacEnumerateControl, rbacEscalateControl,
	guardrailControl, tokenControl, auditControl,
	podSecurityControl, runtimeControl, nodeAffinityControl,
	imagesControl, storageControl, priorityControl, schedulingControl,
	networkDefaultControl, networkMetadataControl, dnsEnumerateControl, serviceExposeControl,
	quotaControl, defaultsControl, apiFairnessControl, controllerControl,
}

// Controls lists every control, in the order in which reports show them.
func Controls() []Control {
	all := slices.Clone(registry)
	for i := range all {
		c := &all[i]
		c.Objects = slices.Clone(c.Objects)
		for _, o := range append(c.mutating(&v1alpha1.PlatformSpec{}), c.validating(&v1alpha1.PlatformSpec{})...) {
			if kind := o.GetObjectKind().GroupVersionKind().Kind; !strings.HasSuffix(kind, "Binding") {
				c.Objects = append(c.Objects, kind+" "+o.GetName())
			}
		}
	}
	return all
}

// waivable reports whether a Waiver may suspend a control.
func waivable(id string) bool {
	return slices.ContainsFunc(registry, func(c Control) bool { return c.ID == id && c.Waivable })
}

// mutating are its policies that complete, each followed by its binding.
func (c *Control) mutating(s *v1alpha1.PlatformSpec) []Object {
	var objects []Object
	for _, render := range c.mutations {
		m := render(s)
		objects = append(objects, m.policy(c.ID), m.binding(c.ID))
	}
	return objects
}

// validating are its policies that refuse, each followed by its binding.
func (c *Control) validating(s *v1alpha1.PlatformSpec) []Object {
	if c.validations == nil {
		return nil
	}
	var objects []Object
	for _, v := range c.validations(s) {
		objects = append(objects, v.policy(c.ID), v.binding(c.ID))
	}
	return objects
}
