package platform

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/decision/tenancy"
	"github.com/bulkhead-dev/bulkhead/guardrail"
	"github.com/bulkhead-dev/bulkhead/internal/apply"
)

// assignNodeGroups gives free groups to tenants that need one, the oldest tenant first, and takes back groups whose
// tenant needs none any more and has nothing left on it. The status is the ledger: it is written, on the version that
// was read, before any node is marked.
func (r *Reconciler) assignNodeGroups(ctx context.Context, p *pass) error {
	needing, err := r.needing(ctx, p)
	if err != nil {
		return err
	}
	nodes := &corev1.NodeList{}
	if err := r.Client.List(ctx, nodes); err != nil {
		return fmt.Errorf("list nodes: %w", err)
	}
	groups := make([]v1alpha1.NodeGroupStatus, 0, len(p.platform.Spec.NodeGroups))
	served := map[string]bool{}
	for i := range p.platform.Spec.NodeGroups {
		spec := &p.platform.Spec.NodeGroups[i]
		group := v1alpha1.NodeGroupStatus{Name: spec.Name, Nodes: count(nodes, spec)}
		holder := holderOf(p.platform, spec.Name)
		keeps := holder != "" && slices.Contains(needing, holder)
		if holder != "" && !keeps {
			if keeps, err = r.hasDedicatedNamespaces(ctx, holder); err != nil {
				return err
			}
		}
		if keeps && !served[holder] {
			group.Tenant = holder
			served[holder] = true
		}
		groups = append(groups, group)
	}
	assign(p.platform.Spec.NodeGroups, groups, needing, served)
	slices.SortFunc(groups, func(a, b v1alpha1.NodeGroupStatus) int { return cmp.Compare(a.Name, b.Name) })
	if equality.Semantic.DeepEqual(groups, p.platform.Status.NodeGroups) {
		return nil
	}
	p.platform.Status.NodeGroups = groups
	patch := client.MergeFromWithOptions(p.before, client.MergeFromWithOptimisticLock{})
	if err := r.Client.Status().Patch(ctx, p.platform, patch, client.FieldOwner(v1alpha1.ManagedBy)); err != nil {
		return fmt.Errorf("write the node groups of the Platform: %w", err)
	}
	p.before = p.platform.DeepCopy()
	return nil
}

// assign serves tenants that need a group and have none: with the group that is kept for them, or else a free one that
// is kept for no tenant.
func assign(specs []v1alpha1.NodeGroup, groups []v1alpha1.NodeGroupStatus, needing []string, served map[string]bool) {
	for _, keptFor := range []bool{true, false} {
		for _, tenant := range needing {
			for i := range groups {
				fits := keptFor && specs[i].Tenant == tenant || !keptFor && specs[i].Tenant == ""
				if served[tenant] || groups[i].Tenant != "" || !fits {
					continue
				}
				groups[i].Tenant = tenant
				served[tenant] = true
			}
		}
	}
}

// needing are the tenants with a workload that is decided SoftAffinity for this environment, the oldest first.
func (r *Reconciler) needing(ctx context.Context, p *pass) ([]string, error) {
	tenants := &v1alpha1.TenantList{}
	if err := r.Client.List(ctx, tenants, client.MatchingFields{indexNeedsNodes: string(p.platform.Spec.Environment)}); err != nil {
		return nil, fmt.Errorf("list the tenants that need nodes of their own: %w", err)
	}
	slices.SortFunc(tenants.Items, func(a, b v1alpha1.Tenant) int {
		return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), cmp.Compare(a.Name, b.Name))
	})
	var names []string
	for i := range tenants.Items {
		names = append(names, tenants.Items[i].Name)
	}
	return names, nil
}

// environmentsNeeding are the environments in which a tenant needs nodes of its own, as far as it is decided.
func environmentsNeeding(t *v1alpha1.Tenant) []string {
	if !t.DeletionTimestamp.IsZero() && !t.Spec.Protected {
		return nil
	}
	found := map[string]bool{}
	for _, d := range t.Status.Decisions {
		for i := range t.Spec.Workloads {
			if w := &t.Spec.Workloads[i]; w.Name == d.Workload && d.Pattern == tenancy.PatternSoftAffinity {
				found[string(w.Environment)] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(found))
}

// hasDedicatedNamespaces reports whether pods of the tenant may still run on its nodes.
func (r *Reconciler) hasDedicatedNamespaces(ctx context.Context, tenant string) (bool, error) {
	namespaces := &corev1.NamespaceList{}
	err := r.Client.List(ctx, namespaces, client.Limit(1), client.MatchingLabels{
		v1alpha1.LabelTenant: tenant, v1alpha1.LabelPattern: string(tenancy.PatternSoftAffinity),
	})
	if err != nil {
		return false, fmt.Errorf("list the namespaces of tenant %s: %w", tenant, err)
	}
	return len(namespaces.Items) > 0, nil
}

func holderOf(platform *v1alpha1.Platform, group string) string {
	for _, g := range platform.Status.NodeGroups {
		if g.Name == group {
			return g.Tenant
		}
	}
	return ""
}

func count(nodes *corev1.NodeList, group *v1alpha1.NodeGroup) int32 {
	var n int32
	for i := range nodes.Items {
		if labels.SelectorFromSet(group.NodeLabels).Matches(labels.Set(nodes.Items[i].Labels)) {
			n++
		}
	}
	return n
}

// markNodes puts label and taint on the nodes of assigned groups, keeps all pods off those of free groups, so that no
// pod of others is there when a tenant gets them, and takes its marks off all other nodes.
func (r *Reconciler) markNodes(ctx context.Context, p *pass) error {
	nodes := &corev1.NodeList{}
	if err := r.Client.List(ctx, nodes); err != nil {
		return fmt.Errorf("list nodes: %w", err)
	}
	for i := range nodes.Items {
		node := &nodes.Items[i]
		groups := groupsOf(p.platform, node)
		if len(groups) > 1 {
			p.fault("spec.nodeGroups: node %s is in the groups %v: groups must not overlap", node.Name, groups)
		}
		if err := r.mark(ctx, p, node, groups); err != nil {
			return err
		}
	}
	return nil
}

func groupsOf(platform *v1alpha1.Platform, node *corev1.Node) []string {
	var names []string
	for i := range platform.Spec.NodeGroups {
		if g := &platform.Spec.NodeGroups[i]; labels.SelectorFromSet(g.NodeLabels).Matches(labels.Set(node.Labels)) {
			names = append(names, g.Name)
		}
	}
	return names
}

func (r *Reconciler) mark(ctx context.Context, p *pass, node *corev1.Node, groups []string) error {
	after := node.DeepCopy()
	tenant := ""
	if len(groups) > 0 {
		tenant = holderOf(p.platform, groups[0])
	}
	fields := remark(after, len(groups) > 0, tenant)
	mark := fmt.Sprint(len(groups) > 0, tenant)
	r.mu.Lock()
	if r.marked == nil {
		r.marked = map[string]string{}
	}
	tampered := len(fields) > 0 && r.marked[node.Name] == mark
	r.mu.Unlock()
	if len(fields) > 0 {
		patch := client.MergeFromWithOptions(node, client.MergeFromWithOptimisticLock{})
		if err := client.IgnoreNotFound(r.Client.Patch(ctx, after, patch, client.FieldOwner(v1alpha1.ManagedBy))); err != nil {
			return fmt.Errorf("write %v of Node %s: %w", fields, node.Name, err)
		}
	}
	if tampered {
		p.changes = append(p.changes, apply.Change{
			Action: apply.Repaired, Ref: apply.RefOf(node), APIVersion: "v1", Version: node.ResourceVersion, Fields: fields, By: apply.LastOtherWriter(node),
		})
	}
	r.mu.Lock()
	r.marked[node.Name] = mark
	r.mu.Unlock()
	return nil
}

// remark sets the marks that the node must carry and returns the fields that it changed.
func remark(node *corev1.Node, grouped bool, tenant string) []string {
	wanted, taint := map[string]string{}, corev1.Taint{}
	if tenant != "" {
		wanted, taint = guardrail.NodeDedication(tenant)
	} else if grouped {
		_, taint = guardrail.NodeDedication("")
	}
	var fields []string
	if node.Labels[v1alpha1.LabelNodeTenant] != wanted[v1alpha1.LabelNodeTenant] {
		fields = append(fields, "metadata.labels["+v1alpha1.LabelNodeTenant+"]")
		delete(node.Labels, v1alpha1.LabelNodeTenant)
		if node.Labels == nil {
			node.Labels = map[string]string{}
		}
		maps.Copy(node.Labels, wanted)
	}
	ours := func(t corev1.Taint) bool { return t.Key == v1alpha1.TaintNodeTenant }
	var have []corev1.Taint
	for _, t := range node.Spec.Taints {
		if ours(t) {
			have = append(have, corev1.Taint{Key: t.Key, Value: t.Value, Effect: t.Effect})
		}
	}
	var want []corev1.Taint
	if grouped {
		want = []corev1.Taint{taint}
	}
	if !equality.Semantic.DeepEqual(have, want) {
		fields = append(fields, "spec.taints["+v1alpha1.TaintNodeTenant+"]")
		node.Spec.Taints = append(slices.DeleteFunc(node.Spec.Taints, ours), want...)
	}
	return fields
}
