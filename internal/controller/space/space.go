// Package space reconciles Spaces: it turns an owner's wish into a namespace whose guardrails are all in place before
// the owner has any right in it, keeps them in place, and takes the namespace away when the Space is deleted.
package space

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/guardrail"
	"github.com/bulkhead-dev/bulkhead/guardrail/quota"
	"github.com/bulkhead-dev/bulkhead/internal/apply"
	"github.com/bulkhead-dev/bulkhead/internal/removal"
	"github.com/bulkhead-dev/bulkhead/internal/status"
	"github.com/bulkhead-dev/bulkhead/placement"
)

// Reconciler makes and keeps the namespaces of Spaces.
type Reconciler struct {
	// Client reads from the cache and writes.
	Client client.Client
	// Live reads from the API server itself: for what must not be outdated, and for what is not cached.
	Live   client.Reader
	Apply  *apply.Applier
	Status *status.Writer
	Writes *apply.WriteTracker
	Clock  clock.PassiveClock
	// Remover removes namespaces.
	Remover *removal.Remover

	// ledgers keeps two Spaces of one tenant from splitting its quota at the same time.
	ledgers locks
}

// pass is one pass over one Space: what was gathered, decided and written.
type pass struct {
	status.Pass

	space *v1alpha1.Space
	// owner is the name of the tenant, from the home namespace's name.
	owner     string
	platform  *v1alpha1.Platform
	tenant    *v1alpha1.Tenant
	namespace *corev1.Namespace // nil when there is none
	where     placement.Placement
	waivers   []guardrail.ActiveWaiver
	peers     []*v1alpha1.Space
	grant     quota.Grant

	// rendered objects: the guardrails first, then what gives owners their rights.
	guardrails, rights []guardrail.Object
	closed             []guardrail.ClosedFlow
}

// Reconcile brings one Space closer to what it asks for.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	space := &v1alpha1.Space{}
	if err := r.Client.Get(ctx, req.NamespacedName, space); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err) // gone without a deletion that we saw: nothing is removed
	}
	if r.Writes.Stale(space) {
		return status.RequeueSoon(), nil
	}
	p := newPass(space)
	if !space.DeletionTimestamp.IsZero() {
		done, err := r.offboard(ctx, p)
		if done || err != nil {
			return p.Result(err)
		}
	}
	return r.Status.Finish(ctx, &p.Pass, r.walk(ctx, p))
}

// walk goes through the steps until one of them stops the chain.
func (r *Reconciler) walk(ctx context.Context, p *pass) error {
	return status.Walk(ctx, &p.Pass, p, []status.Step[*pass]{
		status.At(v1alpha1.ConditionDecided, r.gather),
		status.At(v1alpha1.ConditionDecided, r.decide),
		status.At(v1alpha1.ConditionPlaced, r.place),
		status.At(v1alpha1.ConditionEnforced, r.awaitFoundations),
		status.At(v1alpha1.ConditionEnforced, r.ensureFinalizer),
		status.At(v1alpha1.ConditionEnforced, r.makeNamespace),
		status.At(v1alpha1.ConditionEnforced, r.ensureGuardrails),
		status.At(v1alpha1.ConditionEnforced, r.removeObsolete),
		status.At(v1alpha1.ConditionEnforced, r.awaitQuota),
		status.At(v1alpha1.ConditionEnforced, r.awaitFairness),
		status.At(v1alpha1.ConditionEnforced, r.grantOwners),
		status.At(v1alpha1.ConditionEnforced, r.checkShortages),
		status.At(v1alpha1.ConditionProven, r.checkProof),
	})
}

func newPass(space *v1alpha1.Space) *pass {
	owner, _ := v1alpha1.TenantOfHome(space.Namespace)
	return &pass{Pass: status.NewPass(owner, space, &space.Status.Conditions), space: space, owner: owner}
}

// ensureFinalizer puts the finalizer on the Space before anything exists that would have to be removed with it.
func (r *Reconciler) ensureFinalizer(ctx context.Context, p *pass) error {
	if !p.space.DeletionTimestamp.IsZero() {
		return nil
	}
	return r.Status.PatchFinalizers(ctx, &p.Pass, controllerutil.AddFinalizer)
}

func (r *Reconciler) removeFinalizer(ctx context.Context, p *pass) error {
	return client.IgnoreNotFound(r.Status.PatchFinalizers(ctx, &p.Pass, controllerutil.RemoveFinalizer))
}

func (p *pass) namespaceName() string { return v1alpha1.SpaceNamespace(p.owner, p.space.Name) }

func condition(conditions []metav1.Condition, name string) *metav1.Condition {
	for i := range conditions {
		if conditions[i].Type == name {
			return &conditions[i]
		}
	}
	return nil
}
