// Package placement decides where a workload belongs: by which pattern, and whether this cluster may hold it. It joins the
// tenancy decision with what the Platform declares and has assigned, and is the only caller of that decision.
package placement

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/decision/tenancy"
)

// Placement is where a workload belongs.
type Placement struct {
	// Decision on the workload's pattern.
	Decision tenancy.Decision
	// Wait is what the workload waits for on this cluster; nil when it belongs here.
	Wait *Wait
}

// Wait is why a cluster may not hold a workload. The workload is then never put there.
type Wait struct {
	// Reason of the condition Placed, such as NeedsDedicatedCluster.
	Reason string
	// For is what the cluster lacks.
	For string
	// Because reports why that is needed, or how to give it.
	Because string
}

// Of decides where a workload of a tenant belongs. The error names the workload and every fact that is missing or unknown.
func Of(p *v1alpha1.Platform, t *v1alpha1.Tenant, w *v1alpha1.Workload) (Placement, error) {
	d, err := tenancy.Decide(input(p, t, w))
	if err != nil {
		return Placement{}, fmt.Errorf("workload %s: %w", w.Name, err)
	}
	return Placement{Decision: d, Wait: wait(p, t, w, &d)}, nil
}

func input(p *v1alpha1.Platform, t *v1alpha1.Tenant, w *v1alpha1.Workload) tenancy.Input {
	return tenancy.Input{
		Tenant: tenancy.TenantTraits{Boundary: t.Spec.Boundary, Declared: t.Spec.Declared, DedicatedHosts: t.Spec.DedicatedHosts},
		Workload: tenancy.WorkloadTraits{
			Code: w.Code, Environment: w.Environment, HostAccess: w.HostAccess, APIAccess: w.APIAccess,
			ClusterScoped: w.ClusterScoped, Performance: w.Performance, Upgrades: w.Upgrades, Lifetime: w.Lifetime,
		},
		Platform: tenancy.PlatformFacts{SandboxRuntimes: p.Spec.SandboxRuntimes},
	}
}

func wait(p *v1alpha1.Platform, t *v1alpha1.Tenant, w *v1alpha1.Workload, d *tenancy.Decision) *Wait {
	switch {
	case d.Outcome.Pattern == tenancy.PatternHard:
		return &Wait{v1alpha1.ReasonNeedsDedicatedCluster, "a dedicated cluster", "it is decided Hard by " + Rules(d)}
	case w.Environment != p.Spec.Environment:
		return &Wait{
			v1alpha1.ReasonNeedsOtherEnvironment, "a cluster that serves " + string(w.Environment),
			fmt.Sprintf("this one serves %s, and the two never share one", p.Spec.Environment),
		}
	case d.Outcome.Pattern == tenancy.PatternSoftAffinity && NodeGroup(p, t.Name) == "":
		return &Wait{
			v1alpha1.ReasonNodeGroupMissing, "a node group of the tenant's own",
			"none is free: add one to the Platform's spec.nodeGroups",
		}
	default:
		return nil
	}
}

// NodeGroup that the Platform has assigned to a tenant; empty when none.
func NodeGroup(p *v1alpha1.Platform, tenant string) string {
	i := slices.IndexFunc(p.Status.NodeGroups, func(g v1alpha1.NodeGroupStatus) bool { return g.Tenant == tenant })
	if i < 0 {
		return ""
	}
	return p.Status.NodeGroups[i].Name
}

// Rules are the reasons of a decision in one line: "T7 (because), S1 (because)".
func Rules(d *tenancy.Decision) string {
	rules := make([]string, len(d.Reasons))
	for i := range d.Reasons {
		rules[i] = d.Reasons[i].Rule + " (" + d.Reasons[i].Because + ")"
	}
	return strings.Join(rules, ", ")
}

// All decides every workload of a tenant and returns the records for its status, sorted by workload, and what workloads
// wait for on this cluster, by their names. Workloads that cannot be decided are left out; the error joins what they lack.
func All(p *v1alpha1.Platform, t *v1alpha1.Tenant) ([]v1alpha1.WorkloadDecision, map[string]*Wait, error) {
	records, waits := make([]v1alpha1.WorkloadDecision, 0, len(t.Spec.Workloads)), map[string]*Wait{}
	var faults []error
	for i := range t.Spec.Workloads {
		w := &t.Spec.Workloads[i]
		placed, err := Of(p, t, w)
		if err != nil {
			faults = append(faults, err)
			continue
		}
		records = append(records, Record(w.Name, &placed.Decision))
		if placed.Wait != nil {
			waits[w.Name] = placed.Wait
		}
	}
	slices.SortFunc(records, func(a, b v1alpha1.WorkloadDecision) int { return strings.Compare(a.Workload, b.Workload) })
	return records, waits, errors.Join(faults...)
}
