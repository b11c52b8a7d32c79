// Package tenant reconciles Tenants: it decides every workload, makes the tenant's home and its share of the API
// server, has the isolation proven before the last proof grows stale, and off-boards a tenant without leaving a trace
// but the record of it.
package tenant

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/internal/apply"
	"github.com/bulkhead-dev/bulkhead/internal/removal"
	"github.com/bulkhead-dev/bulkhead/internal/status"
	"github.com/bulkhead-dev/bulkhead/placement"
)

// Reconciler keeps Tenants.
type Reconciler struct {
	// Client reads from the cache and writes.
	Client client.Client
	// Live reads from the API server itself: for what must not be outdated, and for what is not cached.
	Live   client.Reader
	Apply  *apply.Applier
	Status *status.Writer
	Writes *apply.WriteTracker
	// Proofs are made in the background.
	Proofs *Proofs
	Clock  clock.PassiveClock
	// Remover removes namespaces.
	Remover *removal.Remover
}

// pass is one pass over one Tenant.
type pass struct {
	status.Pass

	tenant   *v1alpha1.Tenant
	platform *v1alpha1.Platform
	spaces   []v1alpha1.Space
	// namespaces that are or were made for Spaces of the tenant, and exist.
	namespaces []corev1.Namespace
	// waits is what workloads wait for on this cluster, by their names.
	waits map[string]*placement.Wait
	// exact proof; nil where none was made.
	exact *v1alpha1.IsolationReport
}

// Reconcile brings one Tenant closer to what is declared.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	tenant := &v1alpha1.Tenant{}
	if err := r.Client.Get(ctx, req.NamespacedName, tenant); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err) // gone without a deletion that we saw: nothing is removed
	}
	if r.Writes.Stale(tenant) {
		return status.RequeueSoon(), nil
	}
	p := &pass{Pass: status.NewPass(tenant.Name, tenant, &tenant.Status.Conditions), tenant: tenant}
	if !tenant.DeletionTimestamp.IsZero() {
		done, err := r.offboard(ctx, p)
		if done || err != nil {
			return p.Result(err)
		}
	}
	return r.Status.Finish(ctx, &p.Pass, r.walk(ctx, p))
}

func (r *Reconciler) walk(ctx context.Context, p *pass) error {
	return status.Walk(ctx, &p.Pass, p, []status.Step[*pass]{
		status.At(v1alpha1.ConditionDecided, r.gather),
		status.At(v1alpha1.ConditionDecided, r.decide),
		status.At(v1alpha1.ConditionPlaced, r.place),
		status.At(v1alpha1.ConditionEnforced, r.ensureFinalizer),
		status.At(v1alpha1.ConditionEnforced, r.enforce),
		status.At(v1alpha1.ConditionEnforced, r.removeObsolete),
		status.At(v1alpha1.ConditionEnforced, r.countSpaces),
		status.At(v1alpha1.ConditionProven, r.readReport),
		status.At(v1alpha1.ConditionProven, r.checkProof),
	})
}

// ensureFinalizer puts the finalizer on the Tenant before anything exists that would have to be removed with it.
func (r *Reconciler) ensureFinalizer(ctx context.Context, p *pass) error {
	if !p.tenant.DeletionTimestamp.IsZero() {
		return nil
	}
	return r.Status.PatchFinalizers(ctx, &p.Pass, controllerutil.AddFinalizer)
}

func (r *Reconciler) removeFinalizer(ctx context.Context, p *pass) error {
	return client.IgnoreNotFound(r.Status.PatchFinalizers(ctx, &p.Pass, controllerutil.RemoveFinalizer))
}
