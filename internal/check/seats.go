package check

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
)

const (
	// seatsPerProcessor is how many requests of one tenant a processor is known to have work for at the same time. On two
	// processors with two to four such seats, a flood by lists, watches and creates in turn left another tenant's p99
	// within about twice the quiet one; with 21 seats it was 50 to 70 times that (BenchmarkFlood in e2e/share).
	seatsPerProcessor = 2

	metricSeats      = "apiserver_flowcontrol_nominal_limit_seats"
	metricProcessors = "go_sched_gomaxprocs_threads"
	metricFeatures   = "kubernetes_feature_enabled"
	// metricsLimit is far beyond the metrics of an API server, and keeps a broken one from filling the memory.
	metricsLimit = 256 << 20
)

// checkSeats compares how many requests of one tenant the API server works on at once with how many processors it has. It
// asks the one API server that answers; others are taken to be alike.
func checkSeats(ctx context.Context, s *session) ([]Finding, error) {
	families, err := s.metrics(ctx)
	if err != nil {
		return nil, err
	}
	return judgeSeats(families)
}

func judgeSeats(families map[string]*dto.MetricFamily) ([]Finding, error) {
	var short, lists, processors float64 // seats of the largest tenant priority level, and those of lists
	levels := 0
	for _, m := range families[metricSeats].GetMetric() {
		for _, label := range m.GetLabel() {
			switch {
			case label.GetName() != "priority_level":
			case label.GetValue() == v1alpha1.ListsLevelName:
				lists = m.GetGauge().GetValue()
				levels++
			case slices.Contains(v1alpha1.PriorityLevelNames(), label.GetValue()):
				short = max(short, m.GetGauge().GetValue())
				levels++
			}
		}
	}
	seats := short + lists
	for _, m := range families[metricProcessors].GetMetric() {
		processors = m.GetGauge().GetValue()
	}
	switch {
	case levels <= v1alpha1.TenantPriorityLevels:
		return one(Unknown, "the API server's metrics have the seats of %[2]d of the %[1]d priority levels of tenants", v1alpha1.TenantPriorityLevels+1, levels)
	case processors < 1:
		return one(Unknown, "the API server's metrics lack the number of its processors (%s)", metricProcessors)
	case seats > seatsPerProcessor*processors:
		return one(Unknown, "%.0f seats that one tenant may fill and %.0f processors: its flood may keep every processor busy", seats, processors)
	}
	return one(OK, "%.0f seats that one tenant may fill, %.0f processors", seats, processors)
}

// checkCompression reports whether the API server compresses what it answers. No tenant gets at anything by that, so it is no
// more than worth knowing.
func checkCompression(ctx context.Context, s *session) ([]Finding, error) {
	families, err := s.metrics(ctx)
	if err != nil {
		return nil, err
	}
	return judgeCompression(families)
}

func judgeCompression(families map[string]*dto.MetricFamily) ([]Finding, error) {
	for _, m := range families[metricFeatures].GetMetric() {
		for _, label := range m.GetLabel() {
			switch {
			case label.GetName() != "name" || label.GetValue() != "APIResponseCompression":
			case m.GetGauge().GetValue() == 0:
				return one(OK, "the API server compresses nothing")
			default:
				return one(Note, "the API server compresses long lists for every client that asks for it, which costs more than to answer: "+
					"where clients are near, turn it off (--feature-gates=APIResponseCompression=false)")
			}
		}
	}
	return one(Unknown, "the API server's metrics lack whether it compresses long lists (%s)", metricFeatures)
}

// metrics are the API server's, read once.
func (s *session) metrics(ctx context.Context) (map[string]*dto.MetricFamily, error) {
	if s.families != nil {
		return s.families, nil
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url.JoinPath("..", "metrics").String(), nil)
	if err != nil {
		return nil, fmt.Errorf("make a request: %w", err)
	}
	response, err := s.http.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }() // it was only read
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("read the API server's /metrics: %s", response.Status)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	if s.families, err = parser.TextToMetricFamilies(io.LimitReader(response.Body, metricsLimit)); err != nil {
		s.families = nil
		return nil, fmt.Errorf("understand the API server's /metrics: %w", err)
	}
	return s.families, nil
}
