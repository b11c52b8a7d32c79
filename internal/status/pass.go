package status

import (
	"context"
	"errors"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/internal/apply"
)

const (
	// Recheck is after how long to requeue what a watch should requeue: a missed event must not cost a tenant.
	Recheck = 5 * time.Second
	// grace is how long a wait is not written into the status.
	grace = 10 * time.Second
	// soon is after how long to requeue what changes by itself within milliseconds.
	soon = 50 * time.Millisecond
)

// Isolation is the checklist of Tenants and Spaces.
func Isolation() *Checklist {
	return &Checklist{
		Order: []string{v1alpha1.ConditionDecided, v1alpha1.ConditionPlaced, v1alpha1.ConditionEnforced, v1alpha1.ConditionProven},
		Positive: map[string]string{
			v1alpha1.ConditionDecided:  v1alpha1.ReasonDecided,
			v1alpha1.ConditionPlaced:   v1alpha1.ReasonPlaced,
			v1alpha1.ConditionEnforced: v1alpha1.ReasonEnforced,
			v1alpha1.ConditionProven:   v1alpha1.ReasonProven,
		},
		Failed: v1alpha1.ReasonApplyFailed,
	}
}

// Pass is one reconcile of one declared object: what was found and done, which is written once at its end.
type Pass struct {
	// Tenant that the object belongs to.
	Tenant string
	// Before is the object as it was read, and Object the same with a status that the pass fills in.
	Before, Object client.Object
	// Conditions of Object.
	Conditions *[]metav1.Condition
	// Changes that were made to rendered objects.
	Changes []apply.Change
	// Blockers keep a condition from being True, but do not end the pass.
	Blockers []*Wait
	// Messages for the conditions that are True.
	Messages map[string]string

	reached string
	requeue time.Duration
}

// NewPass begins a pass over an object; conditions are those of its status.
func NewPass(tenant string, object client.Object, conditions *[]metav1.Condition) Pass {
	return Pass{
		Tenant: tenant, Object: object, Conditions: conditions, Messages: map[string]string{},
		Before: object.DeepCopyObject().(client.Object), //nolint:forcetypeassert // a copy has its original's type
	}
}

// Step of a chain. P is the reconciler's own pass.
type Step[P any] struct {
	condition string
	do        func(context.Context, P) error
}

// At makes a step that works on a condition.
func At[P any](condition string, do func(context.Context, P) error) Step[P] {
	return Step[P]{condition, do}
}

// Walk goes through the steps until one of them stops the chain.
func Walk[P any](ctx context.Context, pass *Pass, own P, steps []Step[P]) error {
	for _, step := range steps {
		pass.reached = step.condition
		if err := step.do(ctx, own); err != nil {
			return err
		}
	}
	pass.reached = ""
	return nil
}

// RequeueAfter requeues the object after at most this long, for a change that no watch reports.
func (p *Pass) RequeueAfter(after time.Duration) {
	if after > 0 && (p.requeue == 0 || after < p.requeue) {
		p.requeue = after
	}
}

// Finish writes status and Events once, and returns when to requeue.
func (r *Writer) Finish(ctx context.Context, p *Pass, err error) (reconcile.Result, error) {
	r.RecordRepairs(p.Tenant, p.Object, p.Changes)
	if apierrors.IsConflict(err) {
		return p.Result(err) // the pass read an old version, which says nothing about the object
	}
	err = asWait(err)
	old := *p.Conditions
	if r.isPassing(err, p.Object.GetUID(), old) {
		p.RequeueAfter(grace)
		return p.Result(err)
	}
	outcome := &Outcome{Reached: p.reached, Err: err, Blockers: p.Blockers, Messages: p.Messages}
	conditions := Isolation().Conditions(outcome, p.Object.GetGeneration(), r.Clock.Now())
	if failed := r.write(ctx, p, conditions); failed != nil {
		err = errors.Join(unexpected(err), failed)
	}
	return p.Result(err)
}

// WriteRemaining writes into the status of an object that is being removed what is left, and requeues: no watch sees every
// step of a deletion. The other conditions stay as they are.
func (r *Writer) WriteRemaining(ctx context.Context, p *Pass, left []string, err error) error {
	r.waits.Delete(p.Object.GetUID())
	p.RequeueAfter(Recheck)
	message := fmt.Sprintf("being removed; remaining: %v", left)
	if err != nil {
		message = "being removed; " + err.Error()
	}
	outcome := &Outcome{Blockers: []*Wait{Waiting(v1alpha1.ConditionReady, v1alpha1.ReasonDeleting, "%s", message)}}
	conditions := Isolation().Conditions(outcome, p.Object.GetGeneration(), r.Clock.Now())
	if failed := r.write(ctx, p, conditions[len(conditions)-1:]); failed != nil {
		return client.IgnoreNotFound(failed)
	}
	return err
}

// write writes the conditions with the rest of the status.
func (r *Writer) write(ctx context.Context, p *Pass, conditions []metav1.Condition) error {
	old := append([]metav1.Condition(nil), *p.Conditions...) // Merge changes them in place
	Merge(p.Conditions, conditions)
	return r.Write(ctx, p.Tenant, p.Before, p.Object, old, conditions)
}

// asWait turns errors of the Applier that only time or a person can fix into a wait.
func asWait(err error) error {
	var notManaged *apply.NotManagedError
	if errors.As(err, &notManaged) {
		return Waiting(v1alpha1.ConditionPlaced, v1alpha1.ReasonNamespaceTaken, "%v", notManaged).RequeueAfter(time.Minute)
	}
	var terminating *apply.TerminatingError
	if errors.As(err, &terminating) {
		return Waiting(v1alpha1.ConditionEnforced, v1alpha1.ReasonEnforcing, "%v", terminating).RequeueAfter(Recheck)
	}
	return err
}

// Result returns the end of a pass to the workqueue: faults back off, waits requeue after their time.
func (p *Pass) Result(err error) (reconcile.Result, error) {
	var wait *Wait
	if errors.As(err, &wait) {
		p.RequeueAfter(wait.After)
	}
	for _, blocker := range p.Blockers {
		p.RequeueAfter(blocker.After)
	}
	err = unexpected(err)
	if apierrors.IsConflict(err) || apierrors.IsNotFound(err) {
		// Another client wrote in between, or the object is gone: not worth a line in the log.
		return RequeueSoon(), nil
	}
	if err != nil {
		return reconcile.Result{}, err
	}
	return reconcile.Result{RequeueAfter: p.requeue}, nil
}

// RequeueSoon requeues within milliseconds: the cache does not show the object yet, or another client wrote it in between.
func RequeueSoon() reconcile.Result { return reconcile.Result{RequeueAfter: soon} }

// unexpected is err unless it is a wait.
func unexpected(err error) error {
	var wait *Wait
	if errors.As(err, &wait) {
		return nil
	}
	return err
}

// PatchFinalizers changes only the finalizers, and keeps the status that this pass has filled in so far. It writes nothing
// when change returns false.
func (r *Writer) PatchFinalizers(ctx context.Context, p *Pass, change func(o client.Object, finalizer string) bool) error {
	changed := p.Before.DeepCopyObject().(client.Object) //nolint:forcetypeassert // a copy has its original's type
	if !change(changed, v1alpha1.Finalizer) {
		return nil
	}
	patch := client.MergeFromWithOptions(p.Before, client.MergeFromWithOptimisticLock{})
	if err := r.Client.Patch(ctx, changed, patch, client.FieldOwner(v1alpha1.ManagedBy)); err != nil {
		return fmt.Errorf("write the finalizers of %s: %w", apply.RefOf(p.Before), err)
	}
	p.Before = changed
	p.Object.SetFinalizers(changed.GetFinalizers())
	p.Object.SetResourceVersion(changed.GetResourceVersion())
	p.Object.SetManagedFields(changed.GetManagedFields())
	return nil
}
