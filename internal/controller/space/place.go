package space

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/decision/tenancy"
	"github.com/bulkhead-dev/bulkhead/guardrail"
	"github.com/bulkhead-dev/bulkhead/internal/status"
	"github.com/bulkhead-dev/bulkhead/placement"
)

// gather reads the Platform, the Tenant and the Space's namespace. Without the first two nothing is allowed.
func (r *Reconciler) gather(ctx context.Context, p *pass) error {
	missing := func(reason, format string, args ...any) error {
		return status.Waiting(v1alpha1.ConditionDecided, reason, format, args...)
	}
	p.platform, p.tenant = &v1alpha1.Platform{}, &v1alpha1.Tenant{}
	err := r.Client.Get(ctx, client.ObjectKey{Name: v1alpha1.PlatformName}, p.platform)
	if apierrors.IsNotFound(err) {
		return missing(v1alpha1.ReasonPlatformMissing, "there is no Platform named %q, so nothing is allowed: create one", v1alpha1.PlatformName)
	}
	if err != nil {
		return err
	}
	if p.owner == "" {
		return missing(v1alpha1.ReasonTenantMissing, "namespace %s is no tenant's home: Spaces belong into tenant-NAME", p.space.Namespace)
	}
	err = r.Client.Get(ctx, client.ObjectKey{Name: p.owner}, p.tenant)
	if apierrors.IsNotFound(err) {
		return missing(v1alpha1.ReasonTenantMissing, "namespace %s is the home of no tenant: there is no Tenant %s", p.space.Namespace, p.owner)
	}
	if err != nil {
		return err
	}
	home := &corev1.Namespace{}
	err = r.Client.Get(ctx, client.ObjectKey{Name: p.space.Namespace}, home)
	if client.IgnoreNotFound(err) != nil {
		return err
	}
	if err != nil || home.Labels[v1alpha1.LabelTenant] != p.owner {
		// A namespace of that name that is not Bulkhead's may have any owner, and so may the Spaces in it.
		return missing(v1alpha1.ReasonTenantMissing, "namespace %s is not the home that Bulkhead made for tenant %s: see that Tenant's conditions", p.space.Namespace, p.owner)
	}
	p.namespace, err = r.ownNamespace(ctx, r.Client, p)
	return err
}

// ownNamespace is the Space's namespace if it exists and carries this Space's identity, and nil otherwise.
func (r *Reconciler) ownNamespace(ctx context.Context, from client.Reader, p *pass) (*corev1.Namespace, error) {
	namespace := &corev1.Namespace{}
	err := from.Get(ctx, client.ObjectKey{Name: p.namespaceName()}, namespace)
	if apierrors.IsNotFound(err) {
		return nil, nil //nolint:nilnil // nil is the answer "there is none"
	}
	if err != nil {
		return nil, fmt.Errorf("get namespace %s: %w", p.namespaceName(), err)
	}
	for key, value := range map[string]string{
		v1alpha1.LabelManagedBy: v1alpha1.ManagedBy, v1alpha1.LabelTenant: p.owner, v1alpha1.LabelSpace: p.space.Name,
	} {
		if namespace.Labels[key] != value {
			return nil, nil //nolint:nilnil // it is not this Space's
		}
	}
	return namespace, nil
}

// decide takes the decision of the Space's workload afresh, so that no recorded one can be outdated.
func (r *Reconciler) decide(_ context.Context, p *pass) error {
	name := p.space.Spec.Workload
	workload := p.tenant.Workload(name)
	if workload == nil {
		declared := make([]string, len(p.tenant.Spec.Workloads))
		for i := range p.tenant.Spec.Workloads {
			declared[i] = p.tenant.Spec.Workloads[i].Name
		}
		return status.Waiting(v1alpha1.ConditionDecided, v1alpha1.ReasonWorkloadUnknown,
			"tenant %s declares no workload %q; it has %v: create another Space, or ask the platform team to declare it", p.owner, name, declared)
	}
	where, err := placement.Of(p.platform, p.tenant, workload)
	if err != nil {
		return status.Waiting(v1alpha1.ConditionDecided, v1alpha1.ReasonInvalid, "%v", err)
	}
	p.where = where
	pattern := where.Decision.Outcome.Pattern
	p.space.Status.Pattern = pattern
	p.Messages[v1alpha1.ConditionDecided] = fmt.Sprintf("%s, because of %s", pattern, placement.Rules(&where.Decision))
	return nil
}

// place finds out whether this cluster may hold the Space. A Space that it may not is never put into a namespace here;
// one that has a namespace already keeps it, as it is and with its guardrails, and has a condition for it.
func (r *Reconciler) place(_ context.Context, p *pass) error {
	if !p.tenant.DeletionTimestamp.IsZero() && p.space.DeletionTimestamp.IsZero() && !p.tenant.Spec.Protected {
		return status.Waiting(v1alpha1.ConditionPlaced, v1alpha1.ReasonDeleting, "tenant %s is being removed, and this Space with it", p.owner)
	}
	lacks := p.where.Wait
	if lacks == nil {
		p.Messages[v1alpha1.ConditionPlaced] = "namespace " + p.namespaceName() + " of this cluster"
		return nil
	}
	wait := status.Waiting(v1alpha1.ConditionPlaced, lacks.Reason, "workload %s waits for %s: %s", p.space.Spec.Workload, lacks.For, lacks.Because)
	if p.namespace == nil {
		return wait
	}
	if wait.Reason == v1alpha1.ReasonNeedsDedicatedCluster {
		wait.Reason = v1alpha1.ReasonPatternChanged
	}
	wait.Message += "; what runs in namespace " + p.namespace.Name + " is left alone, behind the guardrails that it had"
	p.Blockers = append(p.Blockers, wait)
	p.keepPattern()
	return nil
}

// keepPattern goes on with the pattern and the runtime that the namespace has, so that its guardrails stay as they are.
func (p *pass) keepPattern() {
	runtime := p.namespace.Labels[v1alpha1.LabelRuntimeClass]
	p.where.Decision.Outcome = tenancy.Outcome{
		Pattern: tenancy.Pattern(p.namespace.Labels[v1alpha1.LabelPattern]), RuntimeClass: runtime, Sandboxed: runtime != "",
	}
}

// activeWaivers are those of the Space's workload that have not expired; the Space is requeued when the next one does.
func (r *Reconciler) activeWaivers(ctx context.Context, p *pass) error {
	waivers := &v1alpha1.WaiverList{}
	key := waiverKey(p.owner, p.space.Spec.Workload)
	if err := r.Client.List(ctx, waivers, client.MatchingFields{indexWaiver: key}); err != nil {
		return fmt.Errorf("list waivers of %s: %w", key, err)
	}
	now := r.Clock.Now()
	for i := range waivers.Items {
		w := &waivers.Items[i]
		left := w.Spec.Expires.Sub(now)
		if left <= 0 || !w.DeletionTimestamp.IsZero() {
			continue
		}
		p.waivers = append(p.waivers, guardrail.ActiveWaiver{Control: w.Spec.Control, Name: w.Name, Expires: w.Spec.Expires})
		p.RequeueAfter(left)
	}
	return nil
}

// peerSpaces are those that this Space's flows name, and those whose flows name it.
func (r *Reconciler) peerSpaces(ctx context.Context, p *pass) error {
	for _, name := range peersOf(p.space) {
		peer := &v1alpha1.Space{}
		err := r.Client.Get(ctx, name, peer)
		switch {
		case err == nil:
			p.peers = append(p.peers, peer)
		case !apierrors.IsNotFound(err):
			return fmt.Errorf("get peer space %s: %w", name, err)
		}
	}
	naming := &v1alpha1.SpaceList{}
	self := client.ObjectKeyFromObject(p.space).String()
	if err := r.Client.List(ctx, naming, client.MatchingFields{indexPeer: self}); err != nil {
		return fmt.Errorf("list spaces whose flows name %s: %w", self, err)
	}
	for i := range naming.Items {
		p.peers = append(p.peers, &naming.Items[i])
	}
	return nil
}

// errNoObjects reports that the renderer has no place for a decision that the step before accepted.
var errNoObjects = errors.New("nothing is rendered for this pattern")
