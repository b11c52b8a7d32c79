package scale_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/funcr"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// sample is one line of a process's metrics.
type sample struct {
	name   string
	labels map[string]string
	value  float64
}

type samples []sample

var label = regexp.MustCompile(`(\w+)="([^"]*)"`)

// parse reads the text format of metrics as far as counters and gauges need.
func parse(text string) samples {
	var all samples
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		cut := strings.LastIndexByte(line, ' ')
		if cut < 0 || line[0] == '#' {
			continue
		}
		value, err := strconv.ParseFloat(line[cut+1:], 64)
		if err != nil {
			continue
		}
		name, labels, _ := strings.Cut(line[:cut], "{")
		s := sample{name: name, labels: map[string]string{}, value: value}
		for _, pair := range label.FindAllStringSubmatch(labels, -1) {
			s.labels[pair[1]] = pair[2]
		}
		all = append(all, s)
	}
	return all
}

// sum of a metric over the samples that carry the labels, given as name, value.
func (all samples) sum(name string, labels ...string) float64 {
	total := 0.0
	for _, s := range all {
		fits := s.name == name
		for i := 0; i+1 < len(labels); i += 2 {
			fits = fits && s.labels[labels[i]] == labels[i+1]
		}
		if fits {
			total += s.value
		}
	}
	return total
}

const served = "apiserver_request_total"

// questions that were asked since before without writing: access reviews and dry runs.
func (all samples) questions(before samples) float64 {
	total := 0.0
	for at, list := range map[float64]samples{1: all, -1: before} {
		for _, s := range list {
			if s.name == served && (strings.HasSuffix(s.labels["resource"], "reviews") || s.labels["dry_run"] != "") {
				total += at * s.value
			}
		}
	}
	return total
}

// busiest is a table of the kinds of requests that were served most since before.
func (all samples) busiest(before samples) string {
	counts := map[string]float64{}
	for at, list := range map[float64]samples{1: all, -1: before} {
		for _, s := range list {
			if s.name == served {
				what := s.labels["verb"] + " " + s.labels["resource"]
				if s.labels["subresource"] != "" {
					what += "/" + s.labels["subresource"]
				}
				if s.labels["dry_run"] != "" {
					what += " (dry run)"
				}
				counts[what+" "+s.labels["code"]] += at * s.value
			}
		}
	}
	names := make([]string, 0, len(counts))
	for name := range counts {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int { return int(counts[b] - counts[a]) })
	var text strings.Builder
	const most = 40
	for _, name := range names[:min(most, len(names))] {
		if counts[name] > 0 {
			fmt.Fprintf(&text, "%8.0f %s\n", counts[name], name)
		}
	}
	return text.String()
}

// server is the API server's metrics.
func (s *stage) server() samples {
	s.tb.Helper()
	set, err := kubernetes.NewForConfig(s.cluster.Config)
	s.must(err, "make a client")
	text, err := set.RESTClient().Get().AbsPath("/metrics").DoRaw(s.ctx)
	s.must(err, "read the API server's metrics")
	return parse(string(text))
}

// profileServer writes a CPU profile of the API server, if one is asked for.
func (s *stage) profileServer() (done <-chan struct{}) {
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
		profile, err := set.RESTClient().Get().AbsPath("/debug/pprof/profile").Param("seconds", "30").DoRaw(s.ctx)
		if err == nil {
			err = os.WriteFile(*serverProfile, profile, 0o600)
		}
		if err != nil {
			s.tb.Errorf("profile the API server: %v", err)
		}
	}()
	return finished
}

// metrics of the controllers' process.
func (c *controllers) metrics() samples {
	c.stage.tb.Helper()
	req, err := http.NewRequestWithContext(c.stage.ctx, http.MethodGet, "http://"+c.address+"/metrics", http.NoBody)
	c.stage.must(err, "ask for the controllers' metrics")
	answer, err := http.DefaultClient.Do(req)
	c.stage.must(err, "read the controllers' metrics")
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	c.stage.must(err, "read the controllers' metrics")
	return parse(string(text))
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
