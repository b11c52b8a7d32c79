package space

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/guardrail"
	"github.com/bulkhead-dev/bulkhead/guardrail/quota"
	"github.com/bulkhead-dev/bulkhead/internal/apply"
	"github.com/bulkhead-dev/bulkhead/internal/status"
	"github.com/bulkhead-dev/bulkhead/placement"
)

// locks are one lock for each tenant. quota.Split asks for one pass for a tenant at a time: a pass that lowers what
// the ledger holds must not run at the same time as one that raises a quota up to what the ledger held before. Only the leader
// runs reconcilers, so a lock within the process is enough.
type locks struct {
	mu    sync.Mutex
	named map[string]*sync.Mutex
}

func (l *locks) of(tenant string) *sync.Mutex {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.named == nil {
		l.named = map[string]*sync.Mutex{}
	}
	if l.named[tenant] == nil {
		l.named[tenant] = &sync.Mutex{}
	}
	return l.named[tenant]
}

// ensureGuardrails takes the Space's share of the tenant's quota and writes every guardrail. When the cache shows that ledger
// and quota are as they should be, those are left alone; otherwise it reads from the API server itself, one Space of the tenant at a time, and keeps the order that the ledger's safety rests on: ledger first, then
// the quota. The quota comes last of all: once it binds, every further object in the namespace costs a write of its
// status.
func (r *Reconciler) ensureGuardrails(ctx context.Context, p *pass) error {
	settled, err := r.settled(ctx, p)
	if err != nil {
		return err
	}
	if settled {
		return r.writeGuardrails(ctx, p)
	}
	lock := r.ledgers.of(p.owner)
	lock.Lock()
	defer lock.Unlock()
	division, err := r.divide(ctx, p, r.Live)
	if err != nil {
		return err
	}
	if err := p.takeGrant(division); err != nil {
		return err
	}
	if err := r.render(p); err != nil {
		return err
	}
	if err := r.writeGuardrails(ctx, p); err != nil {
		return err
	}
	for _, object := range p.guardrails {
		if _, ok := object.(*corev1.ResourceQuota); ok {
			return r.ensure(ctx, p, object)
		}
	}
	return nil
}

// settled reports whether, as far as the cache shows, neither the ledger nor this Space's quota has to be written.
func (r *Reconciler) settled(ctx context.Context, p *pass) (bool, error) {
	shares, err := r.shares(ctx, p, r.Client)
	if err != nil {
		return false, err
	}
	division := quota.Split(guardrail.TenantQuota(p.platform, p.tenant), p.tenant.Status.Ledger, shares)
	if !equality.Semantic.DeepEqual(division.Ledger, p.tenant.Status.Ledger) {
		return false, nil
	}
	if err := p.takeGrant(&division); err != nil {
		return false, err
	}
	if err := r.render(p); err != nil {
		return false, err
	}
	have := &corev1.ResourceQuota{}
	err = r.Client.Get(ctx, client.ObjectKey{Namespace: p.namespaceName(), Name: v1alpha1.QuotaName}, have)
	if err != nil {
		return false, client.IgnoreNotFound(err)
	}
	for _, object := range p.guardrails {
		if _, ok := object.(*corev1.ResourceQuota); ok {
			return apply.AsRendered(object, have), nil
		}
	}
	return false, nil
}

// divide splits the tenant's quota on what the reader shows, and writes the ledger if that changes it.
func (r *Reconciler) divide(ctx context.Context, p *pass, from client.Reader) (*quota.Division, error) {
	tenant := &v1alpha1.Tenant{}
	if err := from.Get(ctx, client.ObjectKey{Name: p.owner}, tenant); err != nil {
		return nil, fmt.Errorf("get tenant %s for its ledger: %w", p.owner, err)
	}
	p.tenant = tenant
	shares, err := r.shares(ctx, p, from)
	if err != nil {
		return nil, err
	}
	division := quota.Split(guardrail.TenantQuota(p.platform, tenant), tenant.Status.Ledger, shares)
	if equality.Semantic.DeepEqual(division.Ledger, tenant.Status.Ledger) {
		return &division, nil
	}
	before := tenant.DeepCopy()
	tenant.Status.Ledger = division.Ledger
	patch := client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})
	if err := r.Client.Status().Patch(ctx, tenant, patch, client.FieldOwner(v1alpha1.ManagedBy)); err != nil {
		return nil, fmt.Errorf("write the ledger of tenant %s: %w", p.owner, err)
	}
	return &division, nil
}

// takeGrant finds the Space's own grant.
func (p *pass) takeGrant(division *quota.Division) error {
	for i := range division.Grants {
		if division.Grants[i].Space == p.space.Name {
			p.grant = division.Grants[i]
			p.space.Status.Quota = p.grant.Hard
			return nil
		}
	}
	if len(p.Blockers) == 0 && p.space.DeletionTimestamp.IsZero() {
		return status.Waiting(v1alpha1.ConditionEnforced, v1alpha1.ReasonEnforcing, "waits for its share of the tenant's quota").RequeueAfter(time.Second)
	}
	// Held where it is: it keeps what the ledger has for it.
	for i := range division.Ledger {
		if division.Ledger[i].Space == p.space.Name {
			p.grant = quota.Grant{Space: p.space.Name, Hard: division.Ledger[i].Held}
		}
	}
	p.space.Status.Quota = p.grant.Hard
	return nil
}

// shares are the Spaces among which the tenant's quota is split, the oldest first, and what the ledger holds for
// namespaces that are gone.
func (r *Reconciler) shares(ctx context.Context, p *pass, quotas client.Reader) ([]quota.Share, error) {
	siblings := &v1alpha1.SpaceList{}
	if err := r.Client.List(ctx, siblings, client.InNamespace(p.space.Namespace)); err != nil {
		return nil, fmt.Errorf("list the spaces of tenant %s: %w", p.owner, err)
	}
	slices.SortFunc(siblings.Items, func(a, b v1alpha1.Space) int {
		return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), cmp.Compare(a.Name, b.Name))
	})
	known := map[string]bool{}
	shares := make([]quota.Share, 0, len(siblings.Items))
	for i := range siblings.Items {
		sibling := &siblings.Items[i]
		share, err := r.share(ctx, p, sibling, quotas)
		if err != nil {
			return nil, err
		}
		if share != nil {
			shares = append(shares, *share)
			known[sibling.Name] = true
		}
	}
	for _, entry := range p.tenant.Status.Ledger {
		if known[entry.Space] {
			continue
		}
		gone, err := r.gone(ctx, v1alpha1.SpaceNamespace(p.owner, entry.Space))
		if err != nil {
			return nil, err
		}
		if gone {
			shares = append(shares, quota.Share{Space: entry.Space, Gone: true})
		}
	}
	return shares, nil
}

// share is what is known of one Space; nil for one that neither has a namespace nor is to get one.
func (r *Reconciler) share(ctx context.Context, p *pass, space *v1alpha1.Space, quotas client.Reader) (*quota.Share, error) {
	share := &quota.Share{Space: space.Name, Wanted: space.Spec.Quota, Leaving: leaving(p, space)}
	if share.Leaving && !p.inLedger(space.Name) {
		return nil, nil //nolint:nilnil // nil is the answer "it has no share"
	}
	if share.Leaving {
		namespace, err := r.ownNamespace(ctx, r.Live, &pass{owner: p.owner, space: space})
		if err != nil {
			return nil, err
		}
		share.Gone = namespace == nil
	}
	have := &corev1.ResourceQuota{}
	err := quotas.Get(ctx, client.ObjectKey{Namespace: v1alpha1.SpaceNamespace(p.owner, space.Name), Name: v1alpha1.QuotaName}, have)
	switch {
	case err == nil:
		share.Quota = have
	case !apierrors.IsNotFound(err):
		return nil, fmt.Errorf("get the quota of space %s/%s: %w", space.Namespace, space.Name, err)
	}
	return share, nil
}

// leaving Spaces are given nothing more, and hold what they have while their namespace exists: those that are being
// deleted, and those that this cluster may not hold.
func leaving(p *pass, space *v1alpha1.Space) bool {
	if !space.DeletionTimestamp.IsZero() && !p.tenant.Spec.Protected {
		return true
	}
	workload := p.tenant.Workload(space.Spec.Workload)
	if workload == nil {
		return true
	}
	where, err := placement.Of(p.platform, p.tenant, workload)
	if err != nil || where.Wait != nil {
		return true
	}
	placed := condition(space.Status.Conditions, v1alpha1.ConditionPlaced)
	return space.Name != p.space.Name && placed != nil && placed.Reason == v1alpha1.ReasonNamespaceTaken
}

func (p *pass) inLedger(space string) bool {
	return slices.ContainsFunc(p.tenant.Status.Ledger, func(e v1alpha1.LedgerEntry) bool { return e.Space == space })
}

// gone asks the API server itself whether a namespace of that name exists at all, also one that is not Bulkhead's.
func (r *Reconciler) gone(ctx context.Context, namespace string) (bool, error) {
	err := r.Live.Get(ctx, client.ObjectKey{Name: namespace}, &corev1.Namespace{})
	if apierrors.IsNotFound(err) {
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("get namespace %s: %w", namespace, err)
	}
	return false, nil
}
