package space

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/guardrail"
	"github.com/bulkhead-dev/bulkhead/internal/apply"
	"github.com/bulkhead-dev/bulkhead/internal/status"
)

// awaitFoundations allows no new namespace before the cluster-wide policies and the tenant's own objects are
// in force. A namespace that exists is served whatever becomes of them: its guardrails must be kept in place.
func (r *Reconciler) awaitFoundations(_ context.Context, p *pass) error {
	if p.namespace != nil {
		return nil
	}
	if c := condition(p.platform.Status.Conditions, v1alpha1.ConditionEnforced); c == nil || c.Status != "True" {
		return status.Waiting(v1alpha1.ConditionEnforced, v1alpha1.ReasonEnforcing, "waits for the Platform to be Enforced")
	}
	if c := condition(p.tenant.Status.Conditions, v1alpha1.ConditionEnforced); c == nil || c.Status != "True" {
		return status.Waiting(v1alpha1.ConditionEnforced, v1alpha1.ReasonEnforcing, "waits for tenant %s to be Enforced", p.owner)
	}
	return nil
}

// render renders the objects with the quota that was granted, and parts the guardrails from what gives the owners rights.
func (r *Reconciler) render(p *pass) error {
	objects, closed := guardrail.Space(guardrail.SpaceInput{
		Platform: p.platform, Tenant: p.tenant, Space: p.space, Decision: p.where.Decision.Outcome,
		Quota: p.grant.Hard, Peers: p.peers, Waivers: p.waivers,
	})
	if len(objects) == 0 {
		return fmt.Errorf("space %s/%s, pattern %s: %w", p.space.Namespace, p.space.Name, p.where.Decision.Outcome.Pattern, errNoObjects)
	}
	p.guardrails, p.rights, p.closed = nil, nil, closed
	for _, object := range objects {
		if _, ok := object.(*rbacv1.RoleBinding); ok {
			p.rights = append(p.rights, object)
		} else {
			p.guardrails = append(p.guardrails, object)
		}
	}
	return nil
}

// makeNamespace writes the namespace with every label that admission reads, in one write.
func (r *Reconciler) makeNamespace(ctx context.Context, p *pass) error {
	if err := r.activeWaivers(ctx, p); err != nil {
		return err
	}
	if err := r.peerSpaces(ctx, p); err != nil {
		return err
	}
	if err := r.render(p); err != nil {
		return err
	}
	if p.namespace != nil && !p.namespace.DeletionTimestamp.IsZero() {
		return status.Waiting(v1alpha1.ConditionEnforced, v1alpha1.ReasonEnforcing,
			"namespace %s is being deleted, and not by Bulkhead: it is made again when it is gone", p.namespace.Name).RequeueAfter(status.Recheck)
	}
	for _, object := range p.guardrails {
		if _, ok := object.(*corev1.Namespace); ok {
			if err := r.ensure(ctx, p, object); err != nil {
				return err
			}
		}
	}
	p.space.Status.Namespace = p.namespaceName()
	p.space.Status.Waived = waived(p.waivers)
	return nil
}

// waived are the controls that waivers suspend, in a fixed order.
func waived(waivers []guardrail.ActiveWaiver) []v1alpha1.WaivedControl {
	var list []v1alpha1.WaivedControl
	for _, w := range waivers {
		list = append(list, v1alpha1.WaivedControl{Control: w.Control, Waiver: w.Name})
	}
	slices.SortFunc(list, func(a, b v1alpha1.WaivedControl) int {
		return cmp.Or(cmp.Compare(a.Control, b.Control), cmp.Compare(a.Waiver, b.Waiver))
	})
	return list
}

// writeGuardrails writes every guardrail but the quota, which has its own order.
func (r *Reconciler) writeGuardrails(ctx context.Context, p *pass) error {
	for _, object := range p.guardrails {
		switch object.(type) {
		case *corev1.Namespace, *corev1.ResourceQuota:
			continue
		}
		if err := r.ensure(ctx, p, object); err != nil {
			return err
		}
	}
	return nil
}

func (r *Reconciler) ensure(ctx context.Context, p *pass, object client.Object) error {
	change, err := r.Apply.Ensure(ctx, object)
	if err == nil {
		p.Changes = append(p.Changes, change)
	}
	return err
}

// removeObsolete deletes what was rendered for this Space once and is not any more: policies of flows that closed.
func (r *Reconciler) removeObsolete(ctx context.Context, p *pass) error {
	keep := make([]client.Object, 0, len(p.guardrails)+len(p.rights))
	for _, object := range slices.Concat(p.guardrails, p.rights) {
		keep = append(keep, object)
	}
	changes, err := r.Apply.Prune(ctx, &apply.Scope{
		Kinds:     namespacedKinds(),
		Namespace: p.namespaceName(),
	}, keep)
	p.Changes = append(p.Changes, changes...)
	return err
}

func namespacedKinds() []apply.Kind {
	return slices.DeleteFunc(apply.Kinds(), func(k apply.Kind) bool { return !k.Namespaced })
}

// awaitQuota waits until the API server enforces the quota: admission reads status.hard, which a controller fills in.
func (r *Reconciler) awaitQuota(ctx context.Context, p *pass) error {
	if granted, err := r.ownersGranted(ctx, p); granted || err != nil {
		return err // a change of a quota that binds already: the old bound holds until the new one does
	}
	quota := &corev1.ResourceQuota{}
	key := client.ObjectKey{Namespace: p.namespaceName(), Name: v1alpha1.QuotaName}
	if err := r.Client.Get(ctx, key, quota); client.IgnoreNotFound(err) != nil {
		return err
	}
	if p.namespace != nil && !quota.CreationTimestamp.Before(&p.namespace.CreationTimestamp) &&
		len(quota.Spec.Hard) > 0 && equality.Semantic.DeepEqual(quota.Spec.Hard, quota.Status.Hard) {
		return nil
	}
	return status.Waiting(v1alpha1.ConditionEnforced, v1alpha1.ReasonEnforcing,
		"waits for the API server to enforce the quota of namespace %s", p.namespaceName()).RequeueAfter(status.Recheck)
}

// ownersGranted reports whether the owners have their rights in this very namespace already.
func (r *Reconciler) ownersGranted(ctx context.Context, p *pass) (bool, error) {
	binding := &rbacv1.RoleBinding{}
	err := r.Client.Get(ctx, client.ObjectKey{Namespace: p.namespaceName(), Name: v1alpha1.OwnersName}, binding)
	if err != nil || p.namespace == nil {
		return false, client.IgnoreNotFound(err)
	}
	return !binding.CreationTimestamp.Before(&p.namespace.CreationTimestamp), nil
}

// awaitFairness waits until what runs in the namespace counts as the tenant when it calls the API server.
func (r *Reconciler) awaitFairness(ctx context.Context, p *pass) error {
	if granted, err := r.ownersGranted(ctx, p); granted || err != nil {
		return err
	}
	for _, name := range []string{v1alpha1.ListsFlowSchemaName(p.owner), v1alpha1.FlowSchemaName(p.owner)} {
		schema := &flowcontrolv1.FlowSchema{}
		if err := r.Client.Get(ctx, client.ObjectKey{Name: name}, schema); client.IgnoreNotFound(err) != nil {
			return err
		}
		if !slices.Contains(spaceNamespaces(schema), p.namespaceName()) {
			return status.Waiting(v1alpha1.ConditionEnforced, v1alpha1.ReasonEnforcing,
				"waits for namespace %s to be in FlowSchema %s", p.namespaceName(), name).RequeueAfter(status.Recheck)
		}
	}
	return nil
}

// spaceNamespaces are the namespaces whose service accounts a FlowSchema names as a whole.
func spaceNamespaces(schema *flowcontrolv1.FlowSchema) []string {
	var names []string
	for _, rule := range schema.Spec.Rules {
		for _, s := range rule.Subjects {
			if s.ServiceAccount != nil && s.ServiceAccount.Name == flowcontrolv1.NameAll {
				names = append(names, s.ServiceAccount.Namespace)
			}
		}
	}
	return names
}

// grantOwners gives the owners their rights: the last write, with every guardrail in force.
func (r *Reconciler) grantOwners(ctx context.Context, p *pass) error {
	for _, object := range p.rights {
		if err := r.ensure(ctx, p, object); err != nil {
			return err
		}
	}
	p.space.Status.Revision = revision(slices.Concat(p.guardrails, p.rights))
	p.space.Status.Allows = guardrail.Allows(p.platform, p.tenant, p.space.Spec.Workload, p.where.Decision.Outcome)
	p.space.Status.ClosedFlows = nil
	for _, flow := range p.closed {
		p.space.Status.ClosedFlows = append(p.space.Status.ClosedFlows, v1alpha1.ClosedFlow{Field: flow.Field, Why: flow.Why})
	}
	return nil
}

// revision identifies what is enforced. The quota is left out: it moves with the siblings', and no proof is about it.
func revision(objects []guardrail.Object) string {
	hash := fnv.New64a()
	for _, object := range objects {
		if _, ok := object.(*corev1.ResourceQuota); !ok {
			if err := json.NewEncoder(hash).Encode(object); err != nil {
				return "" // what cannot be encoded could not be applied either, and no proof covers it
			}
		}
	}
	return fmt.Sprintf("%016x", hash.Sum64())
}

// checkShortages reports a quota that leaves the Space nothing of a resource.
func (r *Reconciler) checkShortages(_ context.Context, p *pass) error {
	var nothing, less []string
	for _, s := range p.grant.Shortages {
		text := fmt.Sprintf("%s: %s of %s (%s)", s.Resource, s.Granted.String(), s.Wanted.String(), s.Why)
		if s.Granted.IsZero() {
			nothing = append(nothing, text)
		} else {
			less = append(less, text)
		}
	}
	if len(nothing) > 0 {
		p.Blockers = append(p.Blockers, status.Waiting(v1alpha1.ConditionEnforced, v1alpha1.ReasonQuotaExhausted,
			"every guardrail is in place, but the tenant's quota leaves nothing of %v: lower the quota of its other Spaces, or raise spec.quota of Tenant %s", nothing, p.owner))
	}
	if len(less) > 0 {
		p.Messages[v1alpha1.ConditionEnforced] = fmt.Sprintf("every guardrail is in place; the tenant's quota leaves less than asked of %v", less)
	}
	return nil
}

// checkProof reads the tenant's latest proof: it counts for this Space when it was about just what is enforced now.
func (r *Reconciler) checkProof(_ context.Context, p *pass) error {
	proof := p.tenant.Status.Proof
	pending := status.Waiting(v1alpha1.ConditionProven, v1alpha1.ReasonProofPending, "the API server has not been asked since the last change")
	pending.Unknown = true
	if proof == nil || !proof.Scope.CoversSpace(p.space) {
		return pending
	}
	left := p.platform.Spec.ProofFreshness.Duration - r.Clock.Since(proof.Time.Time)
	if left <= 0 {
		stale := status.Waiting(v1alpha1.ConditionProven, v1alpha1.ReasonProofStale, "the last proof is of %s, older than the proofFreshness of %s: the controller makes the next one; see `bulkhead check`",
			proof.Time.UTC().Format(time.RFC3339), p.platform.Spec.ProofFreshness.Duration)
		stale.Unknown = true
		return stale
	}
	p.RequeueAfter(left)
	switch proof.Verdict {
	case v1alpha1.Isolated:
		return provenOfTenant(p.tenant)
	case v1alpha1.Exposed:
		return status.Waiting(v1alpha1.ConditionProven, v1alpha1.ReasonExposed, "%v", proof.Failures)
	default:
		failed := status.Waiting(v1alpha1.ConditionProven, v1alpha1.ReasonProofFailed, "%v", proof.Failures)
		failed.Unknown = true
		return failed
	}
}

// provenOfTenant has a Space not proven where its tenant is not: the exact proof judges the tenant as a whole.
func provenOfTenant(t *v1alpha1.Tenant) error {
	c := condition(t.Status.Conditions, v1alpha1.ConditionProven)
	if c == nil || c.Status == metav1.ConditionTrue || !slices.Contains([]string{v1alpha1.ReasonExposed, v1alpha1.ReasonProofFailed, v1alpha1.ReasonProofStale}, c.Reason) {
		return nil
	}
	wait := status.Waiting(v1alpha1.ConditionProven, c.Reason, "tenant %s: %s", t.Name, c.Message)
	wait.Unknown = c.Status == metav1.ConditionUnknown
	return wait
}
