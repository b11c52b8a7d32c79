package check

import (
	"fmt"
	"strings"
	"testing"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// Promise: more seats for tenants than the processors are known to have work for, and numbers that the API server does not
// tell, are unknown and never fine.
func TestSeatsAreJudgedByTheProcessors(t *testing.T) {
	const last, lists, other = "bulkhead-tenants-7", "bulkhead-tenants-lists", "workload-low"
	for _, test := range []struct {
		seats      map[string]int
		processors int
		state      State
		words      string
	}{
		{map[string]int{last: 3, lists: 1}, 2, OK, "4 seats that one tenant may fill, 2 processors"},
		{map[string]int{last: 3, lists: 1, other: 200}, 2, OK, "4 seats that one tenant may fill"},
		{map[string]int{last: 4, lists: 1}, 2, Unknown, "5 seats that one tenant may fill and 2 processors"},
		{map[string]int{last: 21, lists: 41}, 16, Unknown, "62 seats that one tenant may fill and 16 processors"},
		{map[string]int{other: 3}, 2, Unknown, "have the seats of"},
		{map[string]int{last: 3}, 2, Unknown, "have the seats of"},
		{map[string]int{lists: 1}, 2, Unknown, "have the seats of"},
		{map[string]int{last: 3, lists: 1}, 0, Unknown, "lack the number of its processors"},
		{nil, 0, Unknown, "have the seats of"},
	} {
		var metrics strings.Builder
		fmt.Fprintf(&metrics, "# TYPE %s gauge\n", metricSeats)
		for n := range 7 * min(1, test.seats[last]) {
			fmt.Fprintf(&metrics, "%s{priority_level=\"bulkhead-tenants-%d\"} 1\n", metricSeats, n)
		}
		for level, n := range test.seats {
			fmt.Fprintf(&metrics, "%s{priority_level=%q} %d\n", metricSeats, level, n)
		}
		if test.processors > 0 {
			fmt.Fprintf(&metrics, "# TYPE %s gauge\n%[1]s %d\n", metricProcessors, test.processors)
		}
		findings, err := judgeSeats(familiesOf(t, metrics.String()))
		if err != nil || len(findings) != 1 || findings[0].State != test.state || !strings.Contains(findings[0].Detail, test.words) {
			t.Errorf("%+v: %v %v", test, findings, err)
		}
	}
}

// Promise: an API server that compresses is noted, one that does not is fine, and one whose metrics lack it is unknown.
func TestCompressionIsNoted(t *testing.T) {
	const says = "# TYPE kubernetes_feature_enabled gauge\nkubernetes_feature_enabled{name=\"Other\",stage=\"\"} 1\n"
	for metrics, state := range map[string]State{
		"":   Unknown,
		says: Unknown,
		says + "kubernetes_feature_enabled{name=\"APIResponseCompression\",stage=\"BETA\"} 1\n": Note,
		says + "kubernetes_feature_enabled{name=\"APIResponseCompression\",stage=\"BETA\"} 0\n": OK,
	} {
		findings, err := judgeCompression(familiesOf(t, metrics))
		if err != nil || len(findings) != 1 || findings[0].State != state {
			t.Errorf("%q: %v %v, want %s", metrics, findings, err, state)
		}
	}
}

func familiesOf(t *testing.T, metrics string) map[string]*dto.MetricFamily {
	t.Helper()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(metrics))
	if err != nil {
		t.Fatal(err)
	}
	return families
}
