package tenant

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/guardrail"
	"github.com/bulkhead-dev/bulkhead/internal/apply"
	"github.com/bulkhead-dev/bulkhead/internal/status"
	"github.com/bulkhead-dev/bulkhead/placement"
)

// gather reads the Platform, the tenant's Spaces and their namespaces, and the waivers in force.
func (r *Reconciler) gather(ctx context.Context, p *pass) error {
	p.platform = &v1alpha1.Platform{}
	err := r.Client.Get(ctx, client.ObjectKey{Name: v1alpha1.PlatformName}, p.platform)
	if apierrors.IsNotFound(err) {
		return status.Waiting(v1alpha1.ConditionDecided, v1alpha1.ReasonPlatformMissing,
			"there is no Platform named %q, so nothing is allowed: create one", v1alpha1.PlatformName)
	}
	if err != nil {
		return err
	}
	spaces := &v1alpha1.SpaceList{}
	if err := r.Client.List(ctx, spaces, client.InNamespace(v1alpha1.HomeNamespace(p.tenant.Name))); err != nil {
		return fmt.Errorf("list the spaces of tenant %s: %w", p.tenant.Name, err)
	}
	p.spaces = spaces.Items
	namespaces := &corev1.NamespaceList{}
	if err := r.Client.List(ctx, namespaces, client.MatchingFields{indexSpaceNamespace: p.tenant.Name}); err != nil {
		return fmt.Errorf("list the namespaces of tenant %s: %w", p.tenant.Name, err)
	}
	p.namespaces = namespaces.Items
	return r.waivers(ctx, p)
}

func (r *Reconciler) waivers(ctx context.Context, p *pass) error {
	waivers := &v1alpha1.WaiverList{}
	if err := r.Client.List(ctx, waivers, client.MatchingFields{indexWaiver: p.tenant.Name}); err != nil {
		return fmt.Errorf("list the waivers of tenant %s: %w", p.tenant.Name, err)
	}
	now, active := r.Clock.Now(), map[string]bool{}
	for i := range waivers.Items {
		w := &waivers.Items[i]
		if left := w.Spec.Expires.Sub(now); left > 0 && w.DeletionTimestamp.IsZero() {
			active[w.Spec.Control+"/"+w.Spec.Workload] = true
			p.RequeueAfter(left)
		}
	}
	p.tenant.Status.Waivers = slices.Sorted(maps.Keys(active))
	return nil
}

// decide records a decision for every workload.
func (r *Reconciler) decide(_ context.Context, p *pass) error {
	records, waits, err := placement.All(p.platform, p.tenant)
	p.tenant.Status.Decisions = records
	p.tenant.Status.Patterns = placement.Patterns(records)
	p.waits = waits
	if err != nil {
		return status.Waiting(v1alpha1.ConditionDecided, v1alpha1.ReasonInvalid, "%v", err)
	}
	return nil
}

// place reports which workloads wait for what this cluster lacks. The others go on.
func (r *Reconciler) place(_ context.Context, p *pass) error {
	p.tenant.Status.NodeGroup = placement.NodeGroup(p.platform, p.tenant.Name)
	for _, reason := range waitReasons {
		if slices.ContainsFunc(slices.Collect(maps.Values(p.waits)), func(w *placement.Wait) bool { return w.Reason == reason }) {
			p.Blockers = append(p.Blockers, status.Waiting(v1alpha1.ConditionPlaced, reason, "workloads wait for what this cluster lacks: %s", lacking(p.waits)))
			break
		}
	}
	return nil
}

// waitReasons in the order in which they are reported: what the platform team can give on this cluster comes first.
var waitReasons = []string{v1alpha1.ReasonNodeGroupMissing, v1alpha1.ReasonNeedsDedicatedCluster, v1alpha1.ReasonNeedsOtherEnvironment}

// lacking names what workloads wait for, each once with its workloads.
func lacking(waits map[string]*placement.Wait) string {
	var texts []string
	for _, reason := range waitReasons {
		var workloads []string
		what := ""
		for _, name := range slices.Sorted(maps.Keys(waits)) {
			if waits[name].Reason == reason {
				workloads, what = append(workloads, name), waits[name].For
			}
		}
		if len(workloads) > 0 {
			texts = append(texts, fmt.Sprintf("%v: %s", workloads, what))
		}
	}
	return strings.Join(texts, "; ")
}

// enforce writes the tenant's objects in their order: what gives the owners rights comes last, and only once the
// quota of the home namespace binds.
func (r *Reconciler) enforce(ctx context.Context, p *pass) error {
	if c := find(p.platform.Status.Conditions, v1alpha1.ConditionEnforced); c == nil || c.Status != "True" {
		home := &corev1.Namespace{}
		err := r.Client.Get(ctx, client.ObjectKey{Name: v1alpha1.HomeNamespace(p.tenant.Name)}, home)
		if apierrors.IsNotFound(err) {
			return status.Waiting(v1alpha1.ConditionEnforced, v1alpha1.ReasonEnforcing, "waits for the Platform to be Enforced")
		}
		if err != nil {
			return err
		}
	}
	for _, object := range guardrail.Tenant(p.tenant, p.spaceNamespaces()) {
		if _, grantsRights := object.(*rbacv1.RoleBinding); grantsRights {
			if err := r.awaitHomeQuota(ctx, p); err != nil {
				return err
			}
		}
		change, err := r.Apply.Ensure(ctx, object)
		if err != nil {
			return err
		}
		p.Changes = append(p.Changes, change)
	}
	return nil
}

// spaceNamespaces are those of all Spaces, whether they exist yet or exist still, each once.
func (p *pass) spaceNamespaces() []string {
	names := map[string]bool{}
	for i := range p.spaces {
		names[v1alpha1.SpaceNamespace(p.tenant.Name, p.spaces[i].Name)] = true
	}
	for i := range p.namespaces {
		names[p.namespaces[i].Name] = true
	}
	return slices.Sorted(maps.Keys(names))
}

// awaitHomeQuota waits until the API server enforces the bound on Spaces, before the owners may make any.
func (r *Reconciler) awaitHomeQuota(ctx context.Context, p *pass) error {
	home := v1alpha1.HomeNamespace(p.tenant.Name)
	err := r.Client.Get(ctx, client.ObjectKey{Namespace: home, Name: v1alpha1.OwnersName}, &rbacv1.RoleBinding{})
	if err == nil {
		return nil // they have their rights already, under the bound that was
	}
	if !apierrors.IsNotFound(err) {
		return err
	}
	quota := &corev1.ResourceQuota{}
	if err := r.Client.Get(ctx, client.ObjectKey{Namespace: home, Name: v1alpha1.QuotaName}, quota); client.IgnoreNotFound(err) != nil {
		return err
	}
	// Without a number of what is there already, admission refuses every Space.
	_, counted := quota.Status.Used[v1alpha1.CountSpaces]
	if counted && equality.Semantic.DeepEqual(quota.Spec.Hard, quota.Status.Hard) {
		return nil
	}
	return status.Waiting(v1alpha1.ConditionEnforced, v1alpha1.ReasonEnforcing,
		"waits for the API server to enforce the quota of namespace %s", home).RequeueAfter(status.Recheck)
}

// removeObsolete deletes what was rendered for this tenant once and is not any more.
func (r *Reconciler) removeObsolete(ctx context.Context, p *pass) error {
	var keep []client.Object
	for _, object := range guardrail.Tenant(p.tenant, p.spaceNamespaces()) {
		keep = append(keep, object)
	}
	changes, err := r.Apply.Prune(ctx, &apply.Scope{
		Kinds: kinds(true), Namespace: v1alpha1.HomeNamespace(p.tenant.Name),
	}, keep)
	p.Changes = append(p.Changes, changes...)
	return err
}

// kinds that are namespaced, or those that belong to the cluster; namespaces are neither: they go one by one.
func kinds(namespaced bool) []apply.Kind {
	return slices.DeleteFunc(apply.Kinds(), func(k apply.Kind) bool {
		_, isNamespace := k.Object.(*corev1.Namespace)
		return isNamespace || k.Namespaced != namespaced
	})
}

// countSpaces counts the ready Spaces, and reports namespaces whose Space is gone.
func (r *Reconciler) countSpaces(_ context.Context, p *pass) error {
	ready, known := 0, map[string]bool{}
	for i := range p.spaces {
		known[p.spaces[i].Name] = true
		if c := find(p.spaces[i].Status.Conditions, v1alpha1.ConditionReady); c != nil && c.Status == "True" {
			ready++
		}
	}
	p.tenant.Status.Spaces = fmt.Sprintf("%d/%d", ready, len(p.spaces))
	var orphans []string
	for i := range p.namespaces {
		if n := &p.namespaces[i]; !known[n.Labels[v1alpha1.LabelSpace]] && n.DeletionTimestamp.IsZero() {
			orphans = append(orphans, n.Name)
		}
	}
	if len(orphans) > 0 {
		slices.Sort(orphans)
		p.Messages[v1alpha1.ConditionEnforced] = fmt.Sprintf("namespaces %v have no Space any more and are left as they are: "+
			"create the Space again to take one back; deleting it then removes it", orphans)
	}
	return nil
}
