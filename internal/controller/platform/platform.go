// Package platform reconciles the Platform: the objects that exist once for the cluster, above all the admission
// policies, and the node groups that are dedicated to tenants.
package platform

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	nodev1 "k8s.io/api/node/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/guardrail"
	"github.com/bulkhead-dev/bulkhead/internal/apply"
	"github.com/bulkhead-dev/bulkhead/internal/status"
)

// Reconciler keeps the one Platform.
type Reconciler struct {
	// Client reads from the cache and writes.
	Client client.Client
	Apply  *apply.Applier
	Status *status.Writer
	Clock  clock.PassiveClock

	mu sync.Mutex
	// policyMade is when the newest admission policy was created; zero before the first pass of this process.
	policyMade time.Time
	// marked are the nodes that this process has seen marked as they should be, to separate tampering from a new node.
	marked map[string]string
}

type pass struct {
	platform, before *v1alpha1.Platform
	changes          []apply.Change
	reached          string
	blockers         []*status.Wait
	faults           []string
	again            time.Duration
}

var checklist = status.Checklist{
	Order:    []string{v1alpha1.ConditionEnforced},
	Positive: map[string]string{v1alpha1.ConditionEnforced: v1alpha1.ReasonEnforced},
	Failed:   v1alpha1.ReasonApplyFailed,
}

// propagation is how long API servers are given to see a new admission policy: they learn of it by a watch and then
// compile it. Nothing is let in by the rights of a new tenant before.
const propagation = 2 * time.Second

// Reconcile brings the cluster closer to what the Platform declares. Without a Platform nothing is removed: what was
// enforced stays enforced.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	platform := &v1alpha1.Platform{}
	if err := r.Client.Get(ctx, req.NamespacedName, platform); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	p := &pass{platform: platform, before: platform.DeepCopy()}
	err := r.walk(ctx, p)
	r.Status.RecordRepairs("", p.platform, p.changes)
	if apierrors.IsConflict(err) {
		return ctrl.Result{RequeueAfter: 50 * time.Millisecond}, nil
	}
	conditions := checklist.Conditions(&status.Outcome{Reached: p.reached, Err: err, Blockers: p.blockers}, platform.Generation, r.Clock.Now())
	status.Merge(&p.platform.Status.Conditions, conditions)
	var wait *status.Wait
	if errors.As(err, &wait) {
		p.again, err = wait.After, nil
	}
	failed := r.Status.Write(ctx, "", p.before, p.platform, p.before.Status.Conditions, conditions)
	if apierrors.IsConflict(failed) {
		return ctrl.Result{RequeueAfter: 50 * time.Millisecond}, nil
	}
	return ctrl.Result{RequeueAfter: p.again}, errors.Join(err, failed)
}

func (r *Reconciler) walk(ctx context.Context, p *pass) error {
	p.reached = v1alpha1.ConditionEnforced
	for _, step := range []func(context.Context, *pass) error{
		r.enforce, r.removeObsolete, r.assignNodeGroups, r.markNodes, r.check, r.awaitCounting, r.awaitPropagation,
	} {
		if err := step(ctx, p); err != nil {
			return err
		}
	}
	p.reached = ""
	return nil
}

// enforce writes the cluster-wide objects. Those that confine Bulkhead itself it only looks at: it has no right to change them.
func (r *Reconciler) enforce(ctx context.Context, p *pass) error {
	for _, object := range guardrail.Cluster(p.platform) {
		if guardrail.Installed(object) {
			wrong, err := r.Apply.Look(ctx, object)
			if err != nil {
				return err
			}
			if wrong != "" {
				p.fault("%s, which confines Bulkhead itself, %s: run `bulkhead install` as an administrator", apply.RefOf(object), wrong)
			}
			continue
		}
		change, err := r.Apply.Ensure(ctx, object)
		if err != nil {
			return err
		}
		p.changes = append(p.changes, change)
		if apply.IsPolicy(object) && (change.Action == apply.Created || change.Action == apply.Restored) {
			r.mu.Lock()
			r.policyMade = r.Clock.Now()
			r.mu.Unlock()
		}
	}
	return nil
}

// removeObsolete deletes shares of the API server that an earlier version of Bulkhead rendered, and reports its policies: only the
// installation, which removes them, may delete a policy that is not among the rendered ones. Roles are left alone: some are the
// installation's, and an unbound one gives no right.
func (r *Reconciler) removeObsolete(ctx context.Context, p *pass) error {
	var keep []client.Object
	for _, object := range guardrail.Cluster(p.platform) {
		keep = append(keep, object)
	}
	of := func(wanted func(client.Object) bool) *apply.Scope {
		kinds := slices.DeleteFunc(apply.Kinds(), func(k apply.Kind) bool { return !wanted(k.Object) })
		return &apply.Scope{Kinds: kinds, Without: []string{v1alpha1.LabelTenant}}
	}
	changes, err := r.Apply.Prune(ctx, of(isShare), keep)
	p.changes = append(p.changes, changes...)
	if err != nil {
		return err
	}
	obsolete, err := r.Apply.Obsolete(ctx, of(apply.IsPolicy), keep)
	for _, object := range obsolete {
		p.fault("%s carries Bulkhead's label and is not of this version: delete it, or run `bulkhead install`, which does, as an administrator", apply.RefOf(object))
	}
	return err
}

func isShare(object client.Object) bool {
	switch object.(type) {
	case *flowcontrolv1.FlowSchema, *flowcontrolv1.PriorityLevelConfiguration:
		return true
	default:
		return false
	}
}

// awaitPropagation gives the API servers time to see new policies.
func (r *Reconciler) awaitPropagation(ctx context.Context, p *pass) error {
	if len(p.faults) > 0 {
		p.blockers = append(p.blockers, status.Waiting(v1alpha1.ConditionReady, v1alpha1.ReasonInvalid, "%s", strings.Join(p.faults, "; ")))
	}
	if err := r.recallPolicies(ctx, p); err != nil {
		return err
	}
	r.mu.Lock()
	left := propagation - r.Clock.Since(r.policyMade)
	r.mu.Unlock()
	if left > 0 {
		return status.Waiting(v1alpha1.ConditionEnforced, v1alpha1.ReasonEnforcing,
			"admission policies were just created: the API servers get %s to see them", propagation).RequeueAfter(left)
	}
	return nil
}

// recallPolicies finds out when the newest admission policy was created, where this process has created none: the process
// before it may have ended within the wait.
func (r *Reconciler) recallPolicies(ctx context.Context, p *pass) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.policyMade.IsZero() {
		return nil
	}
	var newest time.Time
	for _, object := range guardrail.Cluster(p.platform) {
		if !apply.IsPolicy(object) {
			continue
		}
		have, err := apply.Get(ctx, r.Client, object)
		if err != nil {
			return err
		}
		made := r.Clock.Now() // the cache does not show it yet, or the API server's clock is ahead
		if have != nil && have.GetCreationTimestamp().Add(time.Second).Before(made) {
			made = have.GetCreationTimestamp().Add(time.Second) // the API server cuts off fractions of a second
		}
		if made.After(newest) {
			newest = made
		}
	}
	r.policyMade = newest
	return nil
}

func (p *pass) fault(format string, args ...any) {
	p.faults = append(p.faults, fmt.Sprintf(format, args...))
}

// check finds out whether what the Platform names is on the cluster and as it must be.
func (r *Reconciler) check(ctx context.Context, p *pass) error {
	for _, name := range p.platform.Spec.StorageClasses {
		class := &storagev1.StorageClass{}
		switch err := r.Client.Get(ctx, client.ObjectKey{Name: name}, class); {
		case apierrors.IsNotFound(err):
			p.fault("spec.storageClasses: there is no StorageClass %s: create it, or take it off the list", name)
		case err != nil:
			return fmt.Errorf("get StorageClass %s: %w", name, err)
		case class.ReclaimPolicy == nil || *class.ReclaimPolicy != corev1.PersistentVolumeReclaimDelete:
			p.fault("spec.storageClasses: StorageClass %s does not have reclaimPolicy Delete, so one tenant's data would outlive it: "+
				"name a class that has", name)
		}
	}
	for _, name := range p.platform.Spec.SandboxRuntimes {
		switch err := r.Client.Get(ctx, client.ObjectKey{Name: name}, &nodev1.RuntimeClass{}); {
		case apierrors.IsNotFound(err):
			p.fault("spec.sandboxRuntimes: there is no RuntimeClass %s: pods of sandboxed workloads cannot start; create it, or take it off the list", name)
		case err != nil:
			return fmt.Errorf("get RuntimeClass %s: %w", name, err)
		}
	}
	p.faults = append(p.faults, guardrail.RefusedTenantResources(p.platform)...)
	return nil
}

// recount is when a quota that the quota controller did not understand is made again: it looks at such a one next only in
// its full round, every five minutes by default (--resource-quota-sync-period).
const recount = 5 * time.Second

// awaitCounting waits until Kubernetes counts Spaces. Its quota controller learns of new kinds every half minute; a
// tenant's quota that is made before bounds Spaces of which no number is known, and admission refuses every one.
func (r *Reconciler) awaitCounting(ctx context.Context, p *pass) error {
	want := guardrail.SystemQuota()
	change, err := r.Apply.Ensure(ctx, want)
	if err != nil {
		return err
	}
	p.changes = append(p.changes, change)
	quota := &corev1.ResourceQuota{}
	if err := r.Client.Get(ctx, client.ObjectKeyFromObject(want), quota); client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("get %s: %w", client.ObjectKeyFromObject(want), err)
	}
	if _, counted := quota.Status.Used[v1alpha1.CountSpaces]; counted {
		return nil
	}
	if quota.UID != "" && r.Clock.Since(quota.CreationTimestamp.Time) > recount {
		if err := r.Apply.Delete(ctx, quota); err != nil {
			return err
		}
	}
	return status.Waiting(v1alpha1.ConditionEnforced, v1alpha1.ReasonEnforcing,
		"waits for Kubernetes to count Spaces: its quota controller looks for new kinds every half minute").RequeueAfter(recount)
}
