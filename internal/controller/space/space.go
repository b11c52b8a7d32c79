// Package space reconciles Spaces: it turns an owner's wish into a namespace whose guardrails are all in place before
// the owner has any right in it, keeps them in place, and takes the namespace away when the Space is deleted.
package space

import (
	"context"
	"errors"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
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
	Clock  clock.PassiveClock

	// ledgers keeps two Spaces of one tenant from splitting its quota at the same time.
	ledgers locks
}

// pass is one look at one Space: what was gathered, decided and written.
type pass struct {
	space, before *v1alpha1.Space
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

	changes  []apply.Change
	reached  string
	holds    []*report.Wait
	messages map[string]string
	again    time.Duration
}

// checklist of a Space.
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

type step func(context.Context, *pass) error

// Reconcile brings one Space closer to what it asks for.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	space := &v1alpha1.Space{}
	if err := r.Client.Get(ctx, req.NamespacedName, space); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err) // gone without a deletion that we saw: nothing is removed
	}
	p := newPass(space)
	if !space.DeletionTimestamp.IsZero() {
		done, err := r.offboard(ctx, p)
		if done || err != nil {
			return r.retry(p, err)
		}
	}
	err := r.walk(ctx, p)
	return r.finish(ctx, p, err)
}

// walk goes through the steps until one of them stops the chain.
func (r *Reconciler) walk(ctx context.Context, p *pass) error {
	for _, s := range []struct {
		condition string
		step      step
	}{
		{v1alpha1.ConditionDecided, r.gather},
		{v1alpha1.ConditionDecided, r.decide},
		{v1alpha1.ConditionPlaced, r.place},
		{v1alpha1.ConditionEnforced, r.awaitFoundations},
		{v1alpha1.ConditionEnforced, r.holdOn},
		{v1alpha1.ConditionEnforced, r.makeNamespace},
		{v1alpha1.ConditionEnforced, r.claimQuota},
		{v1alpha1.ConditionEnforced, r.raiseFence},
		{v1alpha1.ConditionEnforced, r.removeObsolete},
		{v1alpha1.ConditionEnforced, r.awaitQuota},
		{v1alpha1.ConditionEnforced, r.awaitFairness},
		{v1alpha1.ConditionEnforced, r.admitOwners},
		{v1alpha1.ConditionEnforced, r.checkShortages},
		{v1alpha1.ConditionProven, r.checkProof},
	} {
		p.reached = s.condition
		if err := s.step(ctx, p); err != nil {
			return err
		}
	}
	p.reached = ""
	return nil
}

func newPass(space *v1alpha1.Space) *pass {
	p := &pass{space: space, before: space.DeepCopy(), messages: map[string]string{}}
	p.owner, _ = v1alpha1.TenantOfHome(space.Namespace)
	return p
}

// finish writes status and Events once, and says when to look again.
func (r *Reconciler) finish(ctx context.Context, p *pass, err error) (ctrl.Result, error) {
	r.Report.Changes(p.owner, p.space, p.changes)
	outcome := &report.Outcome{Reached: p.reached, Err: err, Holds: p.holds, Messages: p.messages}
	var foreign *apply.ForeignError
	if errors.As(err, &foreign) {
		outcome.Err = report.Waiting(v1alpha1.ConditionPlaced, v1alpha1.ReasonNamespaceTaken, "%v", foreign).LookAgain(time.Minute)
	}
	var terminating *apply.TerminatingError
	if errors.As(err, &terminating) {
		outcome.Err = report.Waiting(v1alpha1.ConditionEnforced, v1alpha1.ReasonEnforcing, "%v", terminating).LookAgain(10 * time.Second)
	}
	if report.Brief(outcome.Err, p.space, p.before.Status.Conditions, r.Clock.Now()) {
		p.lookAgain(report.Moment)
		return r.retry(p, outcome.Err)
	}
	if !apierrors.IsConflict(err) { // a conflict says nothing about the Space, only that this look was too late
		conditions := checklist.Conditions(outcome, p.space.Generation, r.Clock.Now())
		report.Merge(&p.space.Status.Conditions, conditions)
		failed := r.Report.Status(ctx, p.owner, p.before, p.space, p.before.Status.Conditions, conditions)
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

// lookAgain notes the earliest time at which something changes that no watch tells of.
func (p *pass) lookAgain(after time.Duration) {
	if after > 0 && (p.again == 0 || after < p.again) {
		p.again = after
	}
}

// holdOn puts the finalizer on the Space before anything exists that would have to be removed with it.
func (r *Reconciler) holdOn(ctx context.Context, p *pass) error {
	if !p.space.DeletionTimestamp.IsZero() || controllerutil.ContainsFinalizer(p.space, v1alpha1.Finalizer) {
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
		return err
	}
	status := p.space.Status
	p.before = changed
	p.space = changed.DeepCopy()
	p.space.Status = status
	return nil
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
