// Package isolationreport keeps one IsolationReport for each tenant: the exact proof of what the tenant can reach, of all
// that the cluster holds, made anew every half minute, or less often where it takes long. It changes nothing else; the
// Tenants' Proven condition goes by the reports.
package isolationreport

import (
	"context"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/predicate"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/internal/kubeadmission"
	"github.com/bulkhead-dev/bulkhead/internal/observe"
	"github.com/bulkhead-dev/bulkhead/internal/proof"
	"github.com/bulkhead-dev/bulkhead/internal/status"
	"github.com/bulkhead-dev/bulkhead/isolation"
)

const (
	// settling is how long the first proof of a process waits: what was just declared is then there to be judged.
	settling = 20 * time.Second
	// pause between two proofs, however much changes, and share of the time that proofs may take of one processor.
	pause, share = 30 * time.Second, 20
	// readTimeout bounds the reading of the cluster; what could not be read by then is no proof.
	readTimeout = 2 * time.Minute
)

// Reconciler proves all tenants at once, since what one may do to another is a matter of both.
type Reconciler struct {
	// Client reads from the cache and writes.
	Client client.Client
	// Live reads from the API server itself: of kinds that others define.
	Live   client.Reader
	Status *status.Writer
	Clock  clock.PassiveClock
	// Read returns everything that proofs read.
	Read func(ctx context.Context) (*observe.World, error)

	mu sync.Mutex
	// began is when this process first looked, last is when its latest proof began, and took how long that took.
	began, last time.Time
	took        time.Duration
	// compiled policies, for the next proof.
	compiled kubeadmission.Compiled
}

// declared is what the platform team declared.
type declared struct {
	platform *v1alpha1.Platform
	tenants  v1alpha1.TenantList
}

// Reconcile proves when it is time to, and says when it is next.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	r.mu.Lock() // one proof at a time, also when reconcilers are driven by hand
	defer r.mu.Unlock()
	d := &declared{platform: &v1alpha1.Platform{}}
	if err := r.Client.Get(ctx, req.NamespacedName, d.platform); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err) // nothing is declared, so there are no tenants
	}
	if err := r.Client.List(ctx, &d.tenants); err != nil {
		return ctrl.Result{}, fmt.Errorf("list tenants: %w", err)
	}
	if due := r.due(d); due > 0 {
		return ctrl.Result{RequeueAfter: due}, nil
	}
	began := r.Clock.Now()
	found, err := r.prove(ctx)
	if err != nil {
		r.stale(d, err)
		return ctrl.Result{}, err // the workqueue backs off
	}
	// What cannot be written is tried again with the next proof: proving is what costs.
	r.last, r.took = began, r.Clock.Since(began)
	if err := r.write(ctx, d, found); err != nil {
		return ctrl.Result{}, err
	}
	return ctrl.Result{RequeueAfter: max(r.due(d), time.Second)}, nil
}

// due is how long it is until the next proof; zero or less when it is time.
func (r *Reconciler) due(d *declared) time.Duration {
	if r.began.IsZero() {
		r.began = r.Clock.Now()
	}
	if r.last.IsZero() {
		return settling - r.Clock.Since(r.began)
	}
	renewal := d.platform.Spec.ProofFreshness.Duration / 3 // two may fail before anything is stale
	return min(max(pause, share*r.took), renewal) - r.Clock.Since(r.last)
}

// prove reads the cluster and judges it. Judging many tenants takes seconds and asks nobody: a process that ends does not
// wait for it.
func (r *Reconciler) prove(ctx context.Context) (*isolation.Report, error) {
	limited, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	world, err := r.Read(limited)
	if err != nil {
		return nil, fmt.Errorf("read the cluster for the exact proof: %w", err)
	}
	type answer struct {
		report *isolation.Report
		err    error
	}
	judged := make(chan answer, 1)
	go func() {
		report, err := proof.Of(world, &r.compiled)
		judged <- answer{report, err}
	}()
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case a := <-judged:
		return a.report, a.err
	}
}

// stale raises the alarm when no proof could be made for so long that the last one says nothing any more. The age of each
// report is a metric beside it, and the Tenants' Proven condition turns Unknown by itself.
func (r *Reconciler) stale(d *declared, err error) {
	since, freshness := r.last, d.platform.Spec.ProofFreshness.Duration
	if since.IsZero() {
		since = r.began
	}
	if age := r.Clock.Since(since); age > freshness {
		r.Status.Eventf("", d.platform, corev1.EventTypeWarning, v1alpha1.ReasonProofStale, "Prove",
			"no exact proof could be made for %s, longer than the proofFreshness of %s: %v", age.Round(time.Second), freshness, err)
	}
}

// SetupWithManager registers the Reconciler. It looks by itself: what matters to a proof is everything, and watched anyway.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager, options controller.Options) error {
	return ctrl.NewControllerManagedBy(mgr).Named("isolationreport").WithOptions(options).
		For(&v1alpha1.Platform{}, builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		Complete(r)
}
