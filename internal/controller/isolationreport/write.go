package isolationreport

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/isolation"
	"github.com/bulkhead-dev/bulkhead/isolation/finding"
	"github.com/bulkhead-dev/bulkhead/snapshot"
)

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
	r.tell(tenant, before, made)
	return true, nil
}

// worthWriting: what it says, or that it has been saying so for long. Reports of thousands of tenants that say nothing new
// are not written every half minute.
func worthWriting(before, now *v1alpha1.IsolationReport, freshness time.Duration) bool {
	return before.Summary() != now.Summary() || !equality.Semantic.DeepEqual(before.Findings, now.Findings) ||
		!equality.Semantic.DeepEqual(before.OwnerReferences, now.OwnerReferences) || now.Time.Sub(before.Time.Time) >= freshness/3 ||
		now.Time.Before(&before.Time) // the clock was set back
}

// tell writes an Event about what changed for a tenant.
func (r *Reconciler) tell(tenant *v1alpha1.Tenant, before, now *v1alpha1.IsolationReport) {
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

// reportOf puts what a proof says about one tenant into the form of the API. It belongs to the Tenant and goes with it.
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
		text := step.Does
		if step.Object != (snapshot.Ref{}) {
			text = step.Object.String() + ": " + text
		}
		made.Witness = append(made.Witness, brief(text))
	}
	for _, object := range f.Blame[:min(len(f.Blame), longestList)] {
		made.Blame = append(made.Blame, brief(object.String()))
	}
	return made
}

// brief keeps a text within what a report holds of it.
func brief(text string) string {
	if len(text) <= longestText {
		return text
	}
	return strings.ToValidUTF8(text[:longestText], "") + " ..."
}
