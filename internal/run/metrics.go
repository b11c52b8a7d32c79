package run

import (
	"context"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
)

// metricsRegistration registers collectors for as long as the process's controllers run.
type metricsRegistration struct{ collectors []prometheus.Collector }

// NeedLeaderElection is false: a process that stands by has metrics too.
func (m *metricsRegistration) NeedLeaderElection() bool { return false }

// Start registers, waits, and takes the collectors back.
func (m *metricsRegistration) Start(ctx context.Context) error {
	for _, c := range m.collectors {
		// Two sets of controllers in one process, as in tests, would clash: the metrics are then the first's.
		if err := metrics.Registry.Register(c); err == nil {
			defer metrics.Registry.Unregister(c)
		} else if !isRegistered(err) {
			return fmt.Errorf("register metrics: %w", err)
		}
	}
	<-ctx.Done()
	return nil
}

func isRegistered(err error) bool {
	_, ok := err.(prometheus.AlreadyRegisteredError) //nolint:errorlint // the registry returns it as it is
	return ok
}

// census counts tenants and Spaces when it is asked, from the cache, so that the figures cannot drift.
type census struct {
	reader client.Reader
	clock  clock.PassiveClock
}

// descriptions of the metrics of a census.
func descriptions() (tenants, spaces, ages, reports, findings *prometheus.Desc) {
	return prometheus.NewDesc("bulkhead_tenants", "Tenants by decided patterns and by whether they are Ready.", []string{"patterns", "ready"}, nil),
		prometheus.NewDesc("bulkhead_spaces", "Spaces by decided pattern and by the reason of their Ready condition.", []string{"pattern", "reason"}, nil),
		prometheus.NewDesc("bulkhead_proof_age_seconds", "Age of the latest proof of each tenant, by its verdict. "+
			"A proof older than the Platform's proofFreshness is Unknown.", []string{"tenant", "verdict"}, nil),
		prometheus.NewDesc("bulkhead_isolation_report_age_seconds", "Age of the latest exact proof of each tenant, by its verdict. "+
			"One older than the Platform's proofFreshness is Unknown.", []string{"tenant", "verdict"}, nil),
		prometheus.NewDesc("bulkhead_isolation_findings", "Findings of the latest exact proof of each tenant, by verdict: Exposed, Unknown or Waived.",
			[]string{"tenant", "verdict"}, nil)
}

// Describe names the metrics.
func (c *census) Describe(out chan<- *prometheus.Desc) {
	tenants, spaces, ages, reports, findings := descriptions()
	for _, d := range []*prometheus.Desc{tenants, spaces, ages, reports, findings} {
		out <- d
	}
}

// Collect counts. What cannot be listed is an invalid metric, which fails the scrape visibly.
func (c *census) Collect(out chan<- prometheus.Metric) {
	const patience = 10 * time.Second // a scrape's usual timeout
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	tenantsDesc, spacesDesc, agesDesc, reportsDesc, findingsDesc := descriptions()
	tenants, spaces, reports := &v1alpha1.TenantList{}, &v1alpha1.SpaceList{}, &v1alpha1.IsolationReportList{}
	for _, list := range []struct {
		list client.ObjectList
		desc *prometheus.Desc
	}{{tenants, tenantsDesc}, {spaces, spacesDesc}, {reports, reportsDesc}} {
		if err := c.reader.List(ctx, list.list, client.UnsafeDisableDeepCopy); err != nil {
			out <- prometheus.NewInvalidMetric(list.desc, err)
			return
		}
	}
	c.countTenants(out, tenantsDesc, agesDesc, tenants.Items)
	countSpaces(out, spacesDesc, spaces.Items)
	for i := range reports.Items {
		r := &reports.Items[i]
		out <- prometheus.MustNewConstMetric(reportsDesc, prometheus.GaugeValue, c.clock.Since(r.Time.Time).Seconds(), r.Name, string(r.Verdict))
		for verdict, n := range map[string]int32{string(v1alpha1.Exposed): r.Exposed, string(v1alpha1.Unknown): r.Unknown, "Waived": r.Waived} {
			out <- prometheus.MustNewConstMetric(findingsDesc, prometheus.GaugeValue, float64(n), r.Name, verdict)
		}
	}
}

func (c *census) countTenants(out chan<- prometheus.Metric, tenantsDesc, agesDesc *prometheus.Desc, tenants []v1alpha1.Tenant) {
	byPattern := map[[2]string]int{}
	for i := range tenants {
		t := &tenants[i]
		ready := "false"
		if meta.IsStatusConditionTrue(t.Status.Conditions, v1alpha1.ConditionReady) {
			ready = "true"
		}
		byPattern[[2]string{t.Status.Patterns, ready}]++
		if proof := t.Status.Proof; proof != nil {
			out <- prometheus.MustNewConstMetric(agesDesc, prometheus.GaugeValue, c.clock.Since(proof.Time.Time).Seconds(), t.Name, string(proof.Verdict))
		}
	}
	for key, n := range byPattern {
		out <- prometheus.MustNewConstMetric(tenantsDesc, prometheus.GaugeValue, float64(n), key[0], key[1])
	}
}

func countSpaces(out chan<- prometheus.Metric, desc *prometheus.Desc, spaces []v1alpha1.Space) {
	byReason := map[[2]string]int{}
	for i := range spaces {
		s := &spaces[i]
		reason := ""
		if ready := meta.FindStatusCondition(s.Status.Conditions, v1alpha1.ConditionReady); ready != nil {
			reason = ready.Reason
		}
		byReason[[2]string{string(s.Status.Pattern), reason}]++
	}
	for key, n := range byReason {
		out <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, float64(n), key[0], key[1])
	}
}
