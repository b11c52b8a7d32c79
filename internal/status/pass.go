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
	// Awhile is when to look again although a watch should tell: a watch that was missed must not cost a tenant.
	Awhile = 5 * time.Second
	// Moment is how long a wait may go untold.
	Moment = 10 * time.Second
	// instant is when to look again at what changes by itself in a moment.
	instant = 50 * time.Millisecond
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

// Pass is one look at one declared object: what was found and done, to be told once at its end.
type Pass struct {
	// Tenant that the object belongs to.
	Tenant string
	// Before is the object as it was read, and Object the same with a status that the pass fills in.
	Before, Object client.Object
	// Conditions of Object.
	Conditions *[]metav1.Condition
	// Changes that were made to rendered objects.
	Changes []apply.Change
	// Holds are what keeps a condition from holding, but not the pass from going on.
	Holds []*Wait
	// Messages for the conditions that hold.
	Messages map[string]string

	reached string
	again   time.Duration
}

// NewPass begins a look at an object; conditions are those of its status.
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

// LookAgain notes the earliest time at which something changes that no watch tells of.
func (p *Pass) LookAgain(after time.Duration) {
	if after > 0 && (p.again == 0 || after < p.again) {
		p.again = after
	}
}

// Finish writes status and Events once, and says when to look again.
func (r *Reporter) Finish(ctx context.Context, p *Pass, err error) (reconcile.Result, error) {
	r.Changes(p.Tenant, p.Object, p.Changes)
	if apierrors.IsConflict(err) {
		return p.Result(err) // it says nothing about the object, only that this look was too late
	}
	err = foreseen(err)
	old := *p.Conditions
	if r.brief(err, p.Object.GetUID(), old) {
		p.LookAgain(Moment)
		return p.Result(err)
	}
	outcome := &Outcome{Reached: p.reached, Err: err, Holds: p.Holds, Messages: p.Messages}
	conditions := Isolation().Conditions(outcome, p.Object.GetGeneration(), r.Clock.Now())
	if failed := r.tell(ctx, p, conditions); failed != nil {
		err = errors.Join(fault(err), failed)
	}
	return p.Result(err)
}

// Remaining tells in the status of an object that is being removed what is left, and looks again: not every step of a
// deletion is seen by a watch. What the other conditions say stays true until there is nothing to say it of.
func (r *Reporter) Remaining(ctx context.Context, p *Pass, left []string, err error) error {
	r.waits.Delete(p.Object.GetUID())
	p.LookAgain(Awhile)
	message := fmt.Sprintf("being removed; what is left: %v", left)
	if err != nil {
		message = "being removed; " + err.Error()
	}
	outcome := &Outcome{Holds: []*Wait{Waiting(v1alpha1.ConditionReady, v1alpha1.ReasonDeleting, "%s", message)}}
	conditions := Isolation().Conditions(outcome, p.Object.GetGeneration(), r.Clock.Now())
	if failed := r.tell(ctx, p, conditions[len(conditions)-1:]); failed != nil {
		return client.IgnoreNotFound(failed)
	}
	return err
}

// tell writes the conditions with the rest of the status.
func (r *Reporter) tell(ctx context.Context, p *Pass, conditions []metav1.Condition) error {
	old := append([]metav1.Condition(nil), *p.Conditions...) // Merge changes them in place
	Merge(p.Conditions, conditions)
	return r.Status(ctx, p.Tenant, p.Before, p.Object, old, conditions)
}

// foreseen turns what the Applier ran into, and only time or a person can mend, into a wait.
func foreseen(err error) error {
	var foreign *apply.ForeignError
	if errors.As(err, &foreign) {
		return Waiting(v1alpha1.ConditionPlaced, v1alpha1.ReasonNamespaceTaken, "%v", foreign).LookAgain(time.Minute)
	}
	var terminating *apply.TerminatingError
	if errors.As(err, &terminating) {
		return Waiting(v1alpha1.ConditionEnforced, v1alpha1.ReasonEnforcing, "%v", terminating).LookAgain(Awhile)
	}
	return err
}

// Result turns the end of a pass into what the workqueue is told: faults back off, waits look again when they said.
func (p *Pass) Result(err error) (reconcile.Result, error) {
	var wait *Wait
	if errors.As(err, &wait) {
		p.LookAgain(wait.After)
	}
	for _, hold := range p.Holds {
		p.LookAgain(hold.After)
	}
	err = fault(err)
	if apierrors.IsConflict(err) || apierrors.IsNotFound(err) {
		// Somebody wrote in between, or the object went: not worth a line in the log, only another look.
		return Soon(), nil
	}
	if err != nil {
		return reconcile.Result{}, err
	}
	return reconcile.Result{RequeueAfter: p.again}, nil
}

// Soon asks for another look in an instant: at what the cache does not show yet, or somebody wrote in between.
func Soon() reconcile.Result { return reconcile.Result{RequeueAfter: instant} }

// fault is err unless it is a mere wait.
func fault(err error) error {
	var wait *Wait
	if errors.As(err, &wait) {
		return nil
	}
	return err
}

// Finalizers changes nothing but the finalizers, and keeps the status that this pass has filled in so far. It writes
// nothing when change says that nothing is to be changed.
func (r *Reporter) Finalizers(ctx context.Context, p *Pass, change func(o client.Object, finalizer string) bool) error {
	changed := p.Before.DeepCopyObject().(client.Object) //nolint:forcetypeassert // a copy has its original's type
	if !change(changed, v1alpha1.Finalizer) {
		return nil
	}
	patch := client.MergeFromWithOptions(p.Before, client.MergeFromWithOptimisticLock{})
	if err := r.Client.Patch(ctx, changed, patch, client.FieldOwner(v1alpha1.ManagedBy)); err != nil {
		return fmt.Errorf("write the finalizers of %s: %w", apply.Describe(p.Before), err)
	}
	p.Before = changed
	p.Object.SetFinalizers(changed.GetFinalizers())
	p.Object.SetResourceVersion(changed.GetResourceVersion())
	p.Object.SetManagedFields(changed.GetManagedFields())
	return nil
}
