package guardrail

import (
	"slices"
	"strings"
)

// Ids of the controls that code branches on. The registry has all.
const (
	// ControlPodSecurity is the one control whose waiver lowers a level instead of suspending a policy.
	ControlPodSecurity = "pod-security"
)

// Control is one way in which tenants are kept apart: what it is against, what enforces it, and what to do when it
// refuses or is missing. The renderer, the checks and the attacks know it by the same id.
type Control struct {
	// ID is stable: it stands in refusals, reports, waivers and other people's scripts.
	ID string
	// Title in a few words.
	Title string
	// Threat that it is against.
	Threat string
	// How it is enforced, by whom, without Bulkhead running.
	How string
	// Objects that enforce it, by kind and name: those of Policies that carry its id, and others.
	Objects []string
	// Needs is what the cluster must have for it to hold, beyond an API server of a supported version.
	Needs string
	// Fix is what to do: first for the developer who was refused, then for the platform engineer who finds it missing.
	Fix string
	// Waivable says whether a Waiver may suspend it. Controls that protect other tenants cannot be waived.
	Waivable bool
	// Mappings to public catalogues: OWASP Kubernetes Top 10 (2025) as K01 to K10, the Multi-Tenancy Benchmark as MTB-*.
	Mappings []string
}

// Controls lists every control, in the order in which reports show them.
func Controls() []Control {
	policies := make(map[string][]string)
	for _, o := range Policies(nil) {
		kind := o.GetObjectKind().GroupVersionKind().Kind
		if id := o.GetLabels()[LabelControl]; !strings.HasSuffix(kind, "Binding") {
			policies[id] = append(policies[id], kind+" "+o.GetName())
		}
	}
	all := controlTable()
	for i := range all {
		all[i].Objects = append(all[i].Objects, policies[all[i].ID]...)
	}
	return all
}

func controlTable() []Control {
	return slices.Concat(rightsControls(), fenceControls(), podControls(), admittedControls(), networkControls(),
		shareControls())
}

// ControlByID finds a control; false when there is none with this id.
func ControlByID(id string) (Control, bool) {
	all := Controls()
	i := slices.IndexFunc(all, func(c Control) bool { return c.ID == id })
	if i < 0 {
		return Control{}, false
	}
	return all[i], true
}

func waivable(id string) bool {
	return slices.ContainsFunc(controlTable(), func(c Control) bool { return c.ID == id && c.Waivable })
}
