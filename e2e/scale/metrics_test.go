package scale_test

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/funcr"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
)

// families are a process's metrics by their names, of which counters and gauges are read.
type families map[string]*dto.MetricFamily

// parse reads the text format of metrics.
func parse(text io.Reader) (families, error) {
	parser := expfmt.NewTextParser(model.UTF8Validation)
	return parser.TextToMetricFamilies(text)
}

func valueOf(m *dto.Metric) float64 { return m.GetCounter().GetValue() + m.GetGauge().GetValue() }

func labelsOf(m *dto.Metric) map[string]string {
	labels := map[string]string{}
	for _, pair := range m.GetLabel() {
		labels[pair.GetName()] = pair.GetValue()
	}
	return labels
}

// sum of a metric over the series that carry the labels, given as name, value.
func (all families) sum(name string, labels ...string) float64 {
	total := 0.0
	for _, m := range all[name].GetMetric() {
		has, fits := labelsOf(m), true
		for i := 0; i+1 < len(labels); i += 2 {
			fits = fits && has[labels[i]] == labels[i+1]
		}
		if fits {
			total += valueOf(m)
		}
	}
	return total
}

const (
	// served counts the requests that an API server answered.
	served = "apiserver_request_total"
	// asked counts the requests that the controllers made, as countRequests tells them apart.
	asked = "bulkhead_scale_requests_total"
)

// countRequests counts what a client asks of the API server: reads, questions (access reviews and dry runs), writes.
func countRequests() func(http.RoundTripper) http.RoundTripper {
	counter := prometheus.NewCounterVec(prometheus.CounterOpts{Name: asked, Help: "Requests to the API server."},
		[]string{"what", "verb", "resource", "code"})
	metrics.Registry.MustRegister(counter)
	return func(next http.RoundTripper) http.RoundTripper {
		return roundTripper(func(request *http.Request) (*http.Response, error) {
			answer, err := next.RoundTrip(request)
			code, what, resource := "none", "write", resourceOf(request.URL.Path)
			if err == nil {
				code = strconv.Itoa(answer.StatusCode)
			}
			switch {
			case request.Method == http.MethodGet:
				what = "read"
			case request.URL.Query().Get("dryRun") != "" || strings.HasSuffix(resource, "reviews"):
				what = "question"
			}
			counter.WithLabelValues(what, request.Method, resource, code).Inc()
			return answer, err
		})
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

// RoundTrip calls the function.
func (f roundTripper) RoundTrip(request *http.Request) (*http.Response, error) { return f(request) }

// resourceOf a request's path: /api/VERSION or /apis/GROUP/VERSION, then maybe namespaces/NAME, then resource, name and
// subresource.
func resourceOf(path string) string {
	parts := strings.Split(strings.Trim(path, "/"), "/")
	const core, grouped = 2, 3
	skip := core
	if parts[0] == "apis" {
		skip = grouped
	}
	parts = parts[min(skip, len(parts)):]
	const inNamespace, withSub = 2, 3
	if len(parts) > inNamespace && parts[0] == "namespaces" && parts[inNamespace] != "status" && parts[inNamespace] != "finalize" {
		parts = parts[inNamespace:]
	}
	switch len(parts) {
	case 0:
		return "discovery"
	case withSub:
		return parts[0] + "/" + parts[2]
	default:
		return parts[0]
	}
}

// table of a counter by the values of labels, the most frequent first, as counted since before and for each of n.
func (all families) table(before families, n int, name string, labels ...string) string {
	counts := map[string]float64{}
	for at, list := range map[float64]families{1: all, -1: before} {
		for _, m := range list[name].GetMetric() {
			has, values := labelsOf(m), make([]string, len(labels))
			for i, l := range labels {
				values[i] = has[l]
			}
			counts[strings.Join(strings.Fields(strings.Join(values, " ")), " ")] += at * valueOf(m)
		}
	}
	var text strings.Builder
	const most, least = 40, 0.02
	keys := slices.SortedFunc(maps.Keys(counts), func(a, b string) int {
		return cmp.Or(cmp.Compare(counts[b], counts[a]), cmp.Compare(a, b))
	})
	for _, key := range keys[:min(most, len(keys))] {
		if each := counts[key] / float64(n); each >= least {
			fmt.Fprintf(&text, "%8.2f %s\n", each, key)
		}
	}
	return text.String()
}

// server is the API server's metrics.
func (s *stage) server() families {
	s.tb.Helper()
	set, err := kubernetes.NewForConfig(s.cluster.Config)
	s.must(err, "make a client")
	text, err := set.RESTClient().Get().AbsPath("/metrics").Stream(s.ctx)
	s.must(err, "read the API server's metrics")
	defer func() { _ = text.Close() }()
	all, err := parse(text)
	s.must(err, "read the API server's metrics")
	return all
}

// profileServer writes a CPU profile of the API server from now on, if one is asked for.
func (s *stage) profileServer(phase string) (done <-chan struct{}) {
	finished := make(chan struct{})
	if *serverProfile == "" {
		close(finished)
		return finished
	}
	go func() {
		defer close(finished)
		set, err := kubernetes.NewForConfig(s.cluster.Config)
		if err != nil {
			s.tb.Error(err)
			return
		}
		profile, err := set.RESTClient().Get().AbsPath("/debug/pprof/profile").Param("seconds", strconv.Itoa(*profileTime)).DoRaw(s.ctx)
		if err == nil {
			err = os.WriteFile(*serverProfile+"."+phase, profile, 0o600)
		}
		if err != nil {
			s.tb.Errorf("profile the API server: %v", err)
		}
	}()
	return finished
}

// metrics of the controllers' process.
func (c *controllers) metrics() families {
	c.stage.tb.Helper()
	req, err := http.NewRequestWithContext(c.stage.ctx, http.MethodGet, "http://"+c.address+"/metrics", http.NoBody)
	c.stage.must(err, "ask for the controllers' metrics")
	answer, err := http.DefaultClient.Do(req)
	c.stage.must(err, "read the controllers' metrics")
	defer func() { _ = answer.Body.Close() }()
	all, err := parse(answer.Body)
	c.stage.must(err, "read the controllers' metrics")
	return all
}

func freeAddress(tb testing.TB) string {
	tb.Helper()
	listener, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	return listener.Addr().String()
}

func itemsOf(list client.ObjectList) (int, error) {
	items, err := meta.ExtractList(list)
	return len(items), err
}

// errorsTo writes the controllers' errors, and nothing else.
func errorsTo(w io.Writer) logr.Logger {
	return funcr.New(func(prefix, args string) {
		if strings.Contains(args, `"error"=`) {
			_, _ = fmt.Fprintln(w, prefix, args) // a log that cannot be written cannot be told of either
		}
	}, funcr.Options{})
}
