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

func (c *census) descriptions() (tenants, spaces, ages *prometheus.Desc) {
	return prometheus.NewDesc("bulkhead_tenants", "Tenants by decided patterns and by whether they are Ready.", []string{"patterns", "ready"}, nil),
		prometheus.NewDesc("bulkhead_spaces", "Spaces by decided pattern and by the reason of their Ready condition.", []string{"pattern", "reason"}, nil),
		prometheus.NewDesc("bulkhead_proof_age_seconds", "Age of the latest proof of each tenant, by its verdict. "+
			"A proof older than the Platform's proofFreshness is Unknown.", []string{"tenant", "verdict"}, nil)
}

// Describe names the metrics.
func (c *census) Describe(out chan<- *prometheus.Desc) {
	tenants, spaces, ages := c.descriptions()
	out <- tenants
	out <- spaces
	out <- ages
}

// Collect counts. What cannot be listed is an invalid metric, which fails the scrape visibly.
func (c *census) Collect(out chan<- prometheus.Metric) {
	const patience = 10 * time.Second // a scrape's usual timeout
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	tenantsDesc, spacesDesc, agesDesc := c.descriptions()
	tenants, spaces := &v1alpha1.TenantList{}, &v1alpha1.SpaceList{}
	if err := c.reader.List(ctx, tenants, client.UnsafeDisableDeepCopy); err != nil {
		out <- prometheus.NewInvalidMetric(tenantsDesc, err)
		return
	}
	if err := c.reader.List(ctx, spaces, client.UnsafeDisableDeepCopy); err != nil {
		out <- prometheus.NewInvalidMetric(spacesDesc, err)
		return
	}
	byPattern, byReason := map[[2]string]int{}, map[[2]string]int{}
	for i := range tenants.Items {
		t := &tenants.Items[i]
		ready := "false"
		if meta.IsStatusConditionTrue(t.Status.Conditions, v1alpha1.ConditionReady) {
			ready = "true"
		}
		byPattern[[2]string{t.Status.Patterns, ready}]++
		if proof := t.Status.Proof; proof != nil {
			out <- prometheus.MustNewConstMetric(agesDesc, prometheus.GaugeValue, c.clock.Since(proof.Time.Time).Seconds(), t.Name, string(proof.Verdict))
		}
	}
	for i := range spaces.Items {
		s := &spaces.Items[i]
		reason := ""
		if ready := meta.FindStatusCondition(s.Status.Conditions, v1alpha1.ConditionReady); ready != nil {
			reason = ready.Reason
		}
		byReason[[2]string{s.Status.Pattern, reason}]++
	}
	for key, n := range byPattern {
		out <- prometheus.MustNewConstMetric(tenantsDesc, prometheus.GaugeValue, float64(n), key[0], key[1])
	}
	for key, n := range byReason {
		out <- prometheus.MustNewConstMetric(spacesDesc, prometheus.GaugeValue, float64(n), key[0], key[1])
	}
}
