package apply

import (
	"github.com/prometheus/client_golang/prometheus"
)

// Metrics counts what is written.
type Metrics struct {
	writes  *prometheus.CounterVec
	repairs *prometheus.CounterVec
}

// NewMetrics makes the counters; register them with Collectors.
func NewMetrics() *Metrics {
	return &Metrics{
		writes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "bulkhead_writes_total",
			Help: "Writes of managed objects, by kind and result (Created, Updated, Repaired, Restored, Deleted, Error).",
		}, []string{"kind", "result"}),
		repairs: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "bulkhead_repairs_total",
			Help: "Managed objects that another user changed or deleted and that Bulkhead repaired, by kind.",
		}, []string{"kind"}),
	}
}

// Collectors are what a registry needs.
func (m *Metrics) Collectors() []prometheus.Collector {
	return []prometheus.Collector{m.writes, m.repairs}
}

func (m *Metrics) write(kind, result string) { m.writes.WithLabelValues(kind, result).Inc() }

func (m *Metrics) repair(kind string) { m.repairs.WithLabelValues(kind).Inc() }
