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
	"github.com/bulkhead-dev/bulkhead/decision"
	"github.com/bulkhead-dev/bulkhead/desired"
	"github.com/bulkhead-dev/bulkhead/internal/apply"
	"github.com/bulkhead-dev/bulkhead/internal/report"
)

// Reconciler makes and keeps the namespaces of Spaces.
type Reconciler struct {
	// Client reads from the cache and writes.
	Client client.Client
	// Live reads from the API server itself: for what must not be outdated, and for what is not cached.
	Live   client.Reader
	Apply  *apply.Applier
	Report *report.Reporter
	Echo   *apply.Echo
	Clock  clock.PassiveClock

	// ledgers keeps two Spaces of one tenant from splitting its quota at the same time.
	ledgers locks
}

// pass is one look at one Space: what was gathered, decided and written.
type pass struct {
	report.Pass

	space *v1alpha1.Space
	// owner is the name of the tenant, from the home namespace's name.
	owner     string
	platform  *v1alpha1.Platform
	tenant    *v1alpha1.Tenant
	namespace *corev1.Namespace // nil when there is none
	decision  decision.TenancyDecision
	waivers   []desired.ActiveWaiver
	peers     []*v1alpha1.Space
	grant     desired.Grant

	// rendered objects: the fence first, then what gives owners their rights.
	fence, rights []desired.Object
	closed        []desired.ClosedFlow
}

// Reconcile brings one Space closer to what it asks for.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	space := &v1alpha1.Space{}
	if err := r.Client.Get(ctx, req.NamespacedName, space); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err) // gone without a deletion that we saw: nothing is removed
	}
	if r.Echo.Stale(space) {
		return report.Soon(), nil
	}
	p := newPass(space)
	if !space.DeletionTimestamp.IsZero() {
		done, err := r.offboard(ctx, p)
		if done || err != nil {
			return p.Result(err)
		}
	}
	return r.Report.Finish(ctx, &p.Pass, r.walk(ctx, p))
}

// walk goes through the steps until one of them stops the chain.
func (r *Reconciler) walk(ctx context.Context, p *pass) error {
	return report.Walk(ctx, &p.Pass, p, []report.Step[*pass]{
		report.At(v1alpha1.ConditionDecided, r.gather),
		report.At(v1alpha1.ConditionDecided, r.decide),
		report.At(v1alpha1.ConditionPlaced, r.place),
		report.At(v1alpha1.ConditionEnforced, r.awaitFoundations),
		report.At(v1alpha1.ConditionEnforced, r.holdOn),
		report.At(v1alpha1.ConditionEnforced, r.makeNamespace),
		report.At(v1alpha1.ConditionEnforced, r.raiseFence),
		report.At(v1alpha1.ConditionEnforced, r.removeObsolete),
		report.At(v1alpha1.ConditionEnforced, r.awaitQuota),
		report.At(v1alpha1.ConditionEnforced, r.awaitFairness),
		report.At(v1alpha1.ConditionEnforced, r.admitOwners),
		report.At(v1alpha1.ConditionEnforced, r.checkShortages),
		report.At(v1alpha1.ConditionProven, r.checkProof),
	})
}

func newPass(space *v1alpha1.Space) *pass {
	owner, _ := v1alpha1.TenantOfHome(space.Namespace)
	return &pass{Pass: report.NewPass(owner, space, &space.Status.Conditions), space: space, owner: owner}
}

// holdOn puts the finalizer on the Space before anything exists that would have to be removed with it.
func (r *Reconciler) holdOn(ctx context.Context, p *pass) error {
	if !p.space.DeletionTimestamp.IsZero() {
		return nil
	}
	return r.Report.Finalizers(ctx, &p.Pass, controllerutil.AddFinalizer)
}

func (r *Reconciler) letGo(ctx context.Context, p *pass) error {
	return client.IgnoreNotFound(r.Report.Finalizers(ctx, &p.Pass, controllerutil.RemoveFinalizer))
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
