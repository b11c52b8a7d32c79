// Package isolationreport keeps one IsolationReport for each tenant: the exact proof of what the tenant can reach, of all
// that the cluster holds, made anew when something that was declared changed and in good time before the last one grows
// stale. It changes nothing else; the Tenants' Proven condition goes by the reports.
package isolationreport

import (
	"context"
	"fmt"
	"hash"
	"hash/fnv"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/internal/observe"
	"github.com/bulkhead-dev/bulkhead/internal/proof"
	"github.com/bulkhead-dev/bulkhead/internal/report"
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
	Report *report.Reporter
	Clock  clock.PassiveClock
	// Read reads everything that proofs read.
	Read func(ctx context.Context) (*observe.World, error)

	mu sync.Mutex
	// began is when this process first looked; last is its latest proof.
	began time.Time
	last  made
}

// made is what is remembered of a proof.
type made struct {
	at   time.Time // zero before the first
	took time.Duration
	// of is the state of what was declared, and isolated whether nothing was found.
	of       uint64
	isolated bool
}

// declared is what tenants and the platform team declared.
type declared struct {
	platform *v1alpha1.Platform
	tenants  v1alpha1.TenantList
	spaces   v1alpha1.SpaceList
	waivers  v1alpha1.WaiverList
}

// Reconcile proves when it is time to, and says when it is next.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	r.mu.Lock() // one proof at a time, also when reconcilers are driven by hand
	defer r.mu.Unlock()
	d := &declared{platform: &v1alpha1.Platform{}}
	if err := r.Client.Get(ctx, req.NamespacedName, d.platform); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err) // nothing is declared, so there are no tenants
	}
	for _, list := range []client.ObjectList{&d.tenants, &d.spaces, &d.waivers} {
		if err := r.Client.List(ctx, list); err != nil {
			return ctrl.Result{}, fmt.Errorf("list what was declared: %w", err)
		}
	}
	state := d.state()
	if due := r.due(d, state); due > 0 {
		return ctrl.Result{RequeueAfter: due}, nil
	}
	began := r.Clock.Now()
	found, err := r.prove(ctx)
	if err != nil {
		r.stale(d, err)
		return ctrl.Result{}, err // the workqueue backs off
	}
	if err := r.write(ctx, d, found); err != nil {
		return ctrl.Result{}, err
	}
	r.last = made{at: began, took: r.Clock.Since(began), of: state, isolated: found.Verdict == isolation.Isolated}
	return ctrl.Result{RequeueAfter: max(r.due(d, state), time.Second)}, nil
}

// due is how long it is until the next proof; zero or less when it is time.
func (r *Reconciler) due(d *declared, state uint64) time.Duration {
	if r.began.IsZero() {
		r.began = r.Clock.Now()
	}
	if r.last.at.IsZero() {
		return settling - r.Clock.Since(r.began)
	}
	renewal := d.platform.Spec.ProofFreshness.Duration / 3 // two may fail before anything is stale
	soon := min(max(pause, share*r.last.took), renewal)
	if r.last.isolated && r.last.of == state {
		return renewal - r.Clock.Since(r.last.at)
	}
	return soon - r.Clock.Since(r.last.at)
}

// state tells one state of what was declared, and of what was made of it, from another.
func (d *declared) state() uint64 {
	h := fnv.New64a()
	add(h, d.platform, "")
	for i := range d.tenants.Items {
		add(h, &d.tenants.Items[i], "")
	}
	for i := range d.spaces.Items {
		add(h, &d.spaces.Items[i], d.spaces.Items[i].Status.Revision)
	}
	for i := range d.waivers.Items {
		add(h, &d.waivers.Items[i], fmt.Sprint(d.waivers.Items[i].Status.Namespaces))
	}
	return h.Sum64()
}

func add(h hash.Hash, o client.Object, made string) {
	fmt.Fprintf(h, "%s/%d/%v/%s\n", o.GetUID(), o.GetGeneration(), o.GetDeletionTimestamp().IsZero(), made)
}

// prove reads the cluster and judges it.
func (r *Reconciler) prove(ctx context.Context) (*isolation.Report, error) {
	limited, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	world, err := r.Read(limited)
	if err != nil {
		return nil, fmt.Errorf("read the cluster for the exact proof: %w", err)
	}
	return proof.Of(world)
}

// stale raises the alarm when no proof could be made for so long that the last one says nothing any more. The age of each
// report is a metric beside it, and the Tenants' Proven condition turns Unknown by itself.
func (r *Reconciler) stale(d *declared, err error) {
	since, freshness := r.last.at, d.platform.Spec.ProofFreshness.Duration
	if since.IsZero() {
		since = r.began
	}
	if age := r.Clock.Since(since); age > freshness {
		r.Report.Eventf("", d.platform, corev1.EventTypeWarning, v1alpha1.ReasonProofStale, "Prove",
			"no exact proof could be made for %s, longer than the proofFreshness of %s: %v", age.Round(time.Second), freshness, err)
	}
}

// SetupWithManager registers the Reconciler and what it watches: all of it wakes the one proof of the cluster.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager, options controller.Options) error {
	all := handler.EnqueueRequestsFromMapFunc(func(context.Context, client.Object) []ctrl.Request {
		return []ctrl.Request{{NamespacedName: client.ObjectKey{Name: v1alpha1.PlatformName}}}
	})
	changed := builder.WithPredicates(predicate.GenerationChangedPredicate{})
	enforced := builder.WithPredicates(predicate.Or(predicate.GenerationChangedPredicate{}, predicate.Funcs{UpdateFunc: revisionChanged}))
	return ctrl.NewControllerManagedBy(mgr).Named("isolationreport").WithOptions(options).
		For(&v1alpha1.Platform{}, changed).
		Watches(&v1alpha1.Tenant{}, all, changed).
		Watches(&v1alpha1.Space{}, all, enforced).
		Watches(&v1alpha1.Waiver{}, all, changed).
		Complete(r)
}

// revisionChanged: what was made of a Space.
func revisionChanged(e event.UpdateEvent) bool {
	before, ok1 := e.ObjectOld.(*v1alpha1.Space)
	after, ok2 := e.ObjectNew.(*v1alpha1.Space)
	return !ok1 || !ok2 || before.Status.Revision != after.Status.Revision
}
