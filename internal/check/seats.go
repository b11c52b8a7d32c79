package check

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/bulkhead-dev/bulkhead/desired"
)

const (
	// seatsPerProcessor is how many requests of one tenant a processor is known to have work for at the same time. On two
	// processors with two to four such seats, a flood by lists, watches and creates in turn left another tenant's p99
	// within about twice the quiet one; with 21 seats it was 50 to 70 times that (BenchmarkFlood in e2e/share).
	seatsPerProcessor = 2

	metricSeats      = "apiserver_flowcontrol_nominal_limit_seats"
	metricProcessors = "go_sched_gomaxprocs_threads"
	// metricsLimit is far beyond what an API server says about itself, and keeps a broken one from filling the memory.
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
	var short, lists, processors float64 // seats of the largest compartment, and those of lists
	levels := 0
	for _, m := range families[metricSeats].GetMetric() {
		for _, label := range m.GetLabel() {
			switch {
			case label.GetName() != "priority_level":
			case label.GetValue() == desired.ListsLevelName:
				lists = m.GetGauge().GetValue()
				levels++
			case desired.IsCompartment(label.GetValue()):
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
	case levels <= desired.Compartments:
		return one(Unknown, "the API server's metrics do not tell the seats of all %d priority levels of tenants: they tell those of %d", desired.Compartments+1, levels)
	case processors < 1:
		return one(Unknown, "the API server's metrics do not tell how many processors it has (%s)", metricProcessors)
	case seats > seatsPerProcessor*processors:
		return one(Unknown, "%.0f seats that one tenant may fill and %.0f processors: its flood may keep every processor busy", seats, processors)
	}
	return one(OK, "%.0f seats that one tenant may fill, %.0f processors", seats, processors)
}

// metrics are what the API server says about itself.
func (s *session) metrics(ctx context.Context) (map[string]*dto.MetricFamily, error) {
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
	families, err := parser.TextToMetricFamilies(io.LimitReader(response.Body, metricsLimit))
	if err != nil {
		return nil, fmt.Errorf("understand the API server's /metrics: %w", err)
	}
	return families, nil
}
