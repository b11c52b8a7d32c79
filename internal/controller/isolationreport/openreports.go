package isolationreport

import (
	"context"
	"errors"
	"fmt"
	"strings"

	openreports "github.com/openreports/reports-api/apis/openreports.io/v1alpha1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/isolation"
)

// publish also writes the reports as ClusterReports of openreports.io, for dashboards that show those. It does nothing where
// the cluster lacks that kind, and leaves a ClusterReport of another source as it is.
func (r *Reconciler) publish(ctx context.Context, reports []*v1alpha1.IsolationReport) error {
	if len(reports) == 0 {
		return nil
	}
	list := &openreports.ClusterReportList{}
	err := r.Live.List(ctx, list)
	if meta.IsNoMatchError(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("list the ClusterReports of openreports.io: %w", err)
	}
	there := make(map[string]*openreports.ClusterReport, len(list.Items))
	for i := range list.Items {
		there[list.Items[i].Name] = &list.Items[i]
	}
	var failed []error
	for _, report := range reports {
		made := clusterReportOf(report)
		before, found := there[made.Name]
		switch {
		case !found:
			err = r.Client.Create(ctx, made)
		case before.Source != v1alpha1.ManagedBy:
			err = nil
			ctrl.LoggerFrom(ctx).Info("left a ClusterReport as it is: its source is not bulkhead; rename it to see Bulkhead's",
				"clusterreport", made.Name, "source", before.Source)
		default:
			made.ResourceVersion = before.ResourceVersion
			err = r.Client.Update(ctx, made)
		}
		if err != nil {
			failed = append(failed, fmt.Errorf("write ClusterReport %s: %w", made.Name, err))
		}
	}
	return errors.Join(failed...)
}

// clusterReportOf is the report in the form of openreports.io: a check that holds passes, a finding that is exposed
// fails, one that is waived warns, and what is unknown is an error.
func clusterReportOf(r *v1alpha1.IsolationReport) *openreports.ClusterReport {
	made := &openreports.ClusterReport{
		ObjectMeta: metav1.ObjectMeta{Name: v1alpha1.ManagedBy + "-" + r.Name, OwnerReferences: r.OwnerReferences},
		Source:     v1alpha1.ManagedBy,
		Scope: &corev1.ObjectReference{
			APIVersion: v1alpha1.GroupVersion.String(), Kind: "Tenant", Name: r.Name, UID: r.OwnerReferences[0].UID,
		},
	}
	at := metav1.Timestamp{Seconds: r.Time.Unix()}
	for _, c := range r.Checks {
		if c.Verdict == v1alpha1.Isolated {
			made.Summary.Pass++
			made.Results = append(made.Results, openreports.ReportResult{
				Policy: c.Check, Result: "pass", Scored: true, Description: c.Considered, Timestamp: at,
			})
		}
	}
	for i := range r.Findings {
		result := resultOf(&r.Findings[i])
		result.Timestamp = at
		switch result.Result {
		case "fail":
			made.Summary.Fail++
		case "warn":
			made.Summary.Warn++
		default:
			made.Summary.Error++
		}
		made.Results = append(made.Results, result)
	}
	return made
}

func resultOf(f *v1alpha1.IsolationFinding) openreports.ReportResult {
	code, check, _ := isolation.CodeByID(f.Code)
	steps := make([]string, len(f.Steps))
	for i := range f.Steps {
		steps[i] = f.Steps[i].String()
	}
	made := openreports.ReportResult{
		Policy: check.ID, Rule: f.Code, Category: strings.Join(code.Mappings, ", "), Description: f.What,
		Severity: openreports.ResultSeverity(strings.ToLower(f.Severity)), Scored: f.Waiver == "", Result: "error",
		Properties: map[string]string{"from": f.From, "to": f.To, "fix": f.Fix, "witness": strings.Join(steps, "\n")},
	}
	switch {
	case f.Waiver != "":
		made.Result = "warn"
		made.Properties["waiver"] = f.Waiver
	case f.Verdict == v1alpha1.Exposed:
		made.Result = "fail"
	}
	for _, o := range f.Objects {
		made.Subjects = append(made.Subjects, corev1.ObjectReference{Kind: o.Kind, Namespace: o.Namespace, Name: o.Name})
	}
	return made
}
