// Package isolationreport keeps one IsolationReport for each tenant: the exact proof of what the tenant can reach, of all
// that the cluster holds, made every half minute, or less often where it takes long. It changes nothing else; the
// Tenants' Proven condition goes by the reports.
package isolationreport

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
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
	"github.com/bulkhead-dev/bulkhead/isolation/finding"
	"github.com/bulkhead-dev/bulkhead/snapshot"
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

// Reconcile proves when it is time to, and requeues for the next time.
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

// prove reads the cluster and judges it. Judging many tenants takes seconds and reads no context: a process that ends does not
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

// stale writes an Event when no proof could be made for longer than the proofFreshness. The age of each report is a metric,
// and the Tenants' Proven condition turns Unknown by itself.
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

const (
	// mostFindings of a report: an object has a size, and a person patience. The worst come first.
	mostFindings = 50
	// longestText and longestList of a finding, in bytes and in entries.
	longestText, longestList = 1000, 20
)

// write writes the report of every tenant that there is and that stays. What cannot be written of one keeps none of the
// others from being written.
func (r *Reconciler) write(ctx context.Context, d *declared, found *isolation.Report) error {
	var failed []error
	var written []*v1alpha1.IsolationReport
	for i := range d.tenants.Items {
		tenant := &d.tenants.Items[i]
		judged, known := found.Tenant(tenant.Name)
		if !known || !tenant.DeletionTimestamp.IsZero() {
			continue // it came after the reading began, or its report goes with it
		}
		made := reportOf(tenant, &judged, found)
		wrote, err := r.writeOne(ctx, d, tenant, made)
		if wrote {
			written = append(written, made)
		}
		failed = append(failed, err)
	}
	return errors.Join(append(failed, r.publish(ctx, written))...)
}

// writeOne writes one tenant's report, and an Event when its verdict is another than the last.
func (r *Reconciler) writeOne(ctx context.Context, d *declared, tenant *v1alpha1.Tenant, made *v1alpha1.IsolationReport) (wrote bool, err error) {
	before := &v1alpha1.IsolationReport{}
	err = r.Client.Get(ctx, client.ObjectKeyFromObject(made), before)
	switch {
	case apierrors.IsNotFound(err):
		err = r.Client.Create(ctx, made)
	case err == nil && !worthWriting(before, made, d.platform.Spec.ProofFreshness.Duration):
		return false, nil
	case err == nil:
		made.ResourceVersion, made.UID, made.CreationTimestamp = before.ResourceVersion, before.UID, before.CreationTimestamp
		err = r.Client.Update(ctx, made)
	}
	if err != nil {
		return false, fmt.Errorf("write the isolation report of tenant %s: %w", tenant.Name, err)
	}
	r.announce(tenant, before, made)
	return true, nil
}

// worthWriting reports whether a report has changed, or is old enough to be renewed. Unchanged reports of thousands of
// tenants are not written every half minute.
func worthWriting(before, now *v1alpha1.IsolationReport, freshness time.Duration) bool {
	return before.Summary() != now.Summary() || !equality.Semantic.DeepEqual(before.Findings, now.Findings) ||
		!equality.Semantic.DeepEqual(before.OwnerReferences, now.OwnerReferences) || now.Time.Sub(before.Time.Time) >= freshness/3 ||
		now.Time.Before(&before.Time) // the clock was set back
}

// announce writes an Event about what changed for a tenant.
func (r *Reconciler) announce(tenant *v1alpha1.Tenant, before, now *v1alpha1.IsolationReport) {
	if before.Verdict == now.Verdict && equality.Semantic.DeepEqual(before.Findings, now.Findings) {
		return
	}
	switch {
	case now.Verdict != v1alpha1.Isolated:
		r.Status.Eventf(tenant.Name, tenant, corev1.EventTypeWarning, string(now.Verdict), "Prove", "exact proof: %s", now.Summary())
	case before.Verdict != v1alpha1.Isolated:
		r.Status.Eventf(tenant.Name, tenant, corev1.EventTypeNormal, string(now.Verdict), "Prove", "exact proof: isolated at revision %s", now.Revision)
	}
}

// reportOf puts one tenant's part of a proof into the form of the API. The Tenant owns it, so it is deleted with the Tenant.
func reportOf(tenant *v1alpha1.Tenant, judged *isolation.TenantReport, found *isolation.Report) *v1alpha1.IsolationReport {
	made := &v1alpha1.IsolationReport{
		ObjectMeta: metav1.ObjectMeta{
			Name: tenant.Name,
			OwnerReferences: []metav1.OwnerReference{
				{APIVersion: v1alpha1.GroupVersion.String(), Kind: "Tenant", Name: tenant.Name, UID: tenant.UID},
			},
		},
		Verdict: v1alpha1.Verdict(judged.Verdict), Revision: found.Revision, Time: metav1.NewTime(found.Time.Truncate(time.Second)),
	}
	for _, result := range judged.Results {
		made.Checks = append(made.Checks, v1alpha1.CheckResult{
			Check: result.Check, Verdict: v1alpha1.Verdict(result.Verdict), Considered: brief(result.Considered),
		})
	}
	for _, index := range judged.Findings {
		f := &found.Findings[index]
		switch {
		case f.Waiver != "":
			made.Waived++
		case f.Verdict == finding.Exposed:
			made.Exposed++
		default:
			made.Unknown++
		}
		if len(made.Findings) < mostFindings {
			made.Findings = append(made.Findings, findingOf(f))
		}
	}
	return made
}

func findingOf(f *finding.Finding) v1alpha1.IsolationFinding {
	made := v1alpha1.IsolationFinding{
		Code: f.Code, Verdict: v1alpha1.Verdict(f.Verdict), Severity: string(f.Severity), From: f.From, To: f.To,
		What: brief(f.What), Fix: brief(f.Fix), Waiver: f.Waiver,
	}
	for _, step := range f.Witness[:min(len(f.Witness), longestList)] {
		taken := v1alpha1.FindingStep{Does: brief(step.Does)}
		if step.Object != (snapshot.Ref{}) {
			object := step.Object
			taken.Object = &object
		}
		made.Steps = append(made.Steps, taken)
	}
	made.Objects = append(made.Objects, f.Blame[:min(len(f.Blame), longestList)]...)
	return made
}

// brief keeps a text within what a report holds of it.
func brief(text string) string {
	if len(text) <= longestText {
		return text
	}
	return strings.ToValidUTF8(text[:longestText], "") + " ..."
}
