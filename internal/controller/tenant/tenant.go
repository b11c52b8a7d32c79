// Package tenant reconciles Tenants: it decides every workload, makes the tenant's home and its share of the API
// server, has the isolation proven before the last proof grows stale, and off-boards a tenant without leaving a trace
// but the record of it.
package tenant

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/internal/apply"
	"github.com/bulkhead-dev/bulkhead/internal/report"
)

// Prover asks the API server, as the tenant's own identities, whether its isolation holds.
type Prover interface {
	// Prove always returns a valid proof; one with an error is Unknown. The neighbours are namespaces in which the
	// tenant must have no right.
	Prove(ctx context.Context, tenant *v1alpha1.Tenant, spaces []v1alpha1.Space, neighbours []string) (v1alpha1.Proof, error)
}

// Reconciler keeps Tenants.
type Reconciler struct {
	// Client reads from the cache and writes.
	Client client.Client
	// Live reads from the API server itself: for what must not be outdated, and for what is not cached.
	Live   client.Reader
	Apply  *apply.Applier
	Report *report.Reporter
	Prover Prover
	Clock  clock.PassiveClock
}

// pass is one look at one Tenant.
type pass struct {
	tenant, before *v1alpha1.Tenant
	platform       *v1alpha1.Platform
	spaces         []v1alpha1.Space
	// namespaces that are or were made for Spaces of the tenant, and exist.
	namespaces []corev1.Namespace

	changes  []apply.Change
	reached  string
	holds    []*report.Wait
	messages map[string]string
	again    time.Duration
}

var checklist = report.Checklist{
	Order: []string{v1alpha1.ConditionDecided, v1alpha1.ConditionPlaced, v1alpha1.ConditionEnforced, v1alpha1.ConditionProven},
	Positive: map[string]string{
		v1alpha1.ConditionDecided:  v1alpha1.ReasonDecided,
		v1alpha1.ConditionPlaced:   v1alpha1.ReasonPlaced,
		v1alpha1.ConditionEnforced: v1alpha1.ReasonEnforced,
		v1alpha1.ConditionProven:   v1alpha1.ReasonProven,
	},
	Failed: v1alpha1.ReasonApplyFailed,
}

// Reconcile brings one Tenant closer to what is declared.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	tenant := &v1alpha1.Tenant{}
	if err := r.Client.Get(ctx, req.NamespacedName, tenant); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err) // gone without a deletion that we saw: nothing is removed
	}
	p := &pass{tenant: tenant, before: tenant.DeepCopy(), messages: map[string]string{}}
	if !tenant.DeletionTimestamp.IsZero() {
		done, err := r.offboard(ctx, p)
		if done || err != nil {
			return r.retry(p, err)
		}
	}
	err := r.walk(ctx, p)
	return r.finish(ctx, p, err)
}

func (r *Reconciler) walk(ctx context.Context, p *pass) error {
	for _, s := range []struct {
		condition string
		step      func(context.Context, *pass) error
	}{
		{v1alpha1.ConditionDecided, r.gather},
		{v1alpha1.ConditionDecided, r.decide},
		{v1alpha1.ConditionPlaced, r.place},
		{v1alpha1.ConditionEnforced, r.holdOn},
		{v1alpha1.ConditionEnforced, r.enforce},
		{v1alpha1.ConditionEnforced, r.removeObsolete},
		{v1alpha1.ConditionEnforced, r.countSpaces},
		{v1alpha1.ConditionProven, r.prove},
	} {
		p.reached = s.condition
		if err := s.step(ctx, p); err != nil {
			return err
		}
	}
	p.reached = ""
	return nil
}

// finish writes status and Events once, and says when to look again.
func (r *Reconciler) finish(ctx context.Context, p *pass, err error) (ctrl.Result, error) {
	r.Report.Changes(p.tenant.Name, p.tenant, p.changes)
	outcome := &report.Outcome{Reached: p.reached, Err: err, Holds: p.holds, Messages: p.messages}
	var foreign *apply.ForeignError
	if errors.As(err, &foreign) {
		outcome.Err = report.Waiting(v1alpha1.ConditionPlaced, v1alpha1.ReasonNamespaceTaken, "%v", foreign).LookAgain(time.Minute)
	}
	var terminating *apply.TerminatingError
	if errors.As(err, &terminating) {
		outcome.Err = report.Waiting(v1alpha1.ConditionEnforced, v1alpha1.ReasonEnforcing, "%v", terminating).LookAgain(awhile)
	}
	if report.Brief(outcome.Err, p.tenant, p.before.Status.Conditions, r.Clock.Now()) {
		p.lookAgain(report.Moment)
		return r.retry(p, outcome.Err)
	}
	if !apierrors.IsConflict(err) { // a conflict says nothing about the Tenant, only that this look was too late
		conditions := checklist.Conditions(outcome, p.tenant.Generation, r.Clock.Now())
		report.Merge(&p.tenant.Status.Conditions, conditions)
		failed := r.Report.Status(ctx, p.tenant.Name, p.before, p.tenant, p.before.Status.Conditions, conditions)
		err = outcome.Err
		if failed != nil {
			err = errors.Join(fault(err), failed)
		}
	}
	return r.retry(p, err)
}

// retry turns the end of a pass into what the workqueue is told: faults back off, waits look again when they said.
func (r *Reconciler) retry(p *pass, err error) (ctrl.Result, error) {
	var wait *report.Wait
	if errors.As(err, &wait) {
		p.lookAgain(wait.After)
		err = fault(err)
	}
	for _, hold := range p.holds {
		p.lookAgain(hold.After)
	}
	if apierrors.IsConflict(err) || apierrors.IsNotFound(err) {
		// Somebody wrote in between, or the object went: not worth a line in the log, only another look.
		return ctrl.Result{RequeueAfter: 50 * time.Millisecond}, nil
	}
	if err != nil {
		return ctrl.Result{}, err
	}
	return ctrl.Result{RequeueAfter: p.again}, nil
}

// fault is err unless it is a mere wait.
func fault(err error) error {
	var wait *report.Wait
	if errors.As(err, &wait) {
		return nil
	}
	return err
}

func (p *pass) lookAgain(after time.Duration) {
	if after > 0 && (p.again == 0 || after < p.again) {
		p.again = after
	}
}

// holdOn puts the finalizer on the Tenant before anything exists that would have to be removed with it.
func (r *Reconciler) holdOn(ctx context.Context, p *pass) error {
	if !p.tenant.DeletionTimestamp.IsZero() || controllerutil.ContainsFinalizer(p.tenant, v1alpha1.Finalizer) {
		return nil
	}
	return r.patchFinalizers(ctx, p, func(o client.Object) bool { return controllerutil.AddFinalizer(o, v1alpha1.Finalizer) })
}

func (r *Reconciler) letGo(ctx context.Context, p *pass) error {
	return client.IgnoreNotFound(r.patchFinalizers(ctx, p, func(o client.Object) bool {
		return controllerutil.RemoveFinalizer(o, v1alpha1.Finalizer)
	}))
}

// patchFinalizers changes nothing but the finalizers, and keeps the status that this pass has filled in so far.
func (r *Reconciler) patchFinalizers(ctx context.Context, p *pass, change func(client.Object) bool) error {
	changed := p.before.DeepCopy()
	if !change(changed) {
		return nil
	}
	patch := client.MergeFromWithOptions(p.before, client.MergeFromWithOptimisticLock{})
	if err := r.Client.Patch(ctx, changed, patch, client.FieldOwner(v1alpha1.ManagedBy)); err != nil {
		return fmt.Errorf("write the finalizers of Tenant %s: %w", p.tenant.Name, err)
	}
	status := p.tenant.Status
	p.before = changed
	p.tenant = changed.DeepCopy()
	p.tenant.Status = status
	return nil
}

// awhile is when to look again although a watch should tell: a watch that was missed must not cost a tenant.
const awhile = 5 * time.Second
