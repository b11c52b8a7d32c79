// Package scale_test measures Bulkhead with a thousand tenants on one API server, beside what that same API server
// takes of the very same objects when nobody thinks about them.
package scale_test

import (
	"context"
	"flag"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/go-logr/logr"
	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bulkhead-dev/bulkhead/guardrail"
	"github.com/bulkhead-dev/bulkhead/internal/run"
	"github.com/bulkhead-dev/bulkhead/internal/testbulkhead"
	"github.com/bulkhead-dev/bulkhead/internal/testcluster"
)

var (
	tenants       = flag.Int("tenants", 1000, "tenants, with one Space each, of BenchmarkThousandTenants")
	writers       = flag.Int("writers", 8, "writers at the same time, in the raw run and as owners who make their Spaces; more write no faster")
	cpuProfile    = flag.String("controllers.cpuprofile", "", "file for a CPU profile of the controllers' process")
	serverProfile = flag.String("apiserver.cpuprofile", "", "files for CPU profiles of the API server, to which .enforcing and .proving is added")
	profileTime   = flag.Int("apiserver.cpuprofile.seconds", 30, "length of each of those profiles")
)

// BenchmarkThousandTenants starts a control plane, writes the objects of a thousand tenants into it by server-side
// apply and nothing else (the ceiling), then has Bulkhead make the same for as many Tenants, and compares. Bulkhead
// reads, decides, waits for each quota to bind, writes statuses, and asks the API server for proof meanwhile, on the
// same processors.
func BenchmarkThousandTenants(b *testing.B) {
	for b.Loop() {
		f := drill(b, *tenants)
		perSecond := func(d time.Duration) float64 { return float64(f.objects) / d.Seconds() }
		b.ReportMetric(float64(f.objects), "objects")
		b.ReportMetric(perSecond(f.raw), "raw-objects/s")
		b.ReportMetric(f.rawSettled.Seconds(), "raw-settled-s")
		b.ReportMetric(f.enforced.Seconds(), "enforced-s")
		b.ReportMetric(100*f.raw.Seconds()/f.enforced.Seconds(), "%enforced-of-raw")
		b.ReportMetric(f.ready.Seconds(), "ready-s")
		b.ReportMetric(100*f.raw.Seconds()/f.ready.Seconds(), "%ready-of-raw")
		b.ReportMetric(100*f.rawCost.sum()/f.enforcedCost.sum(), "%enforced-of-raw-cpu")
		b.ReportMetric(100*f.rawCost.sum()/f.cost.sum(), "%ready-of-raw-cpu")
		b.ReportMetric(f.writes/float64(*tenants), "writes/Space")
		b.ReportMetric(f.questions/float64(*tenants), "questions/Space")
		b.ReportMetric(f.cost["controllers"], "controllers-cpu-s")
		b.ReportMetric(f.rss/(1<<20), "controllers-MiB")
		b.ReportMetric(f.rawCost["kube-apiserver"], "raw-apiserver-cpu-s")
		b.ReportMetric(f.cost["kube-apiserver"], "apiserver-cpu-s")
		// Not by b.Log, which cuts long texts.
		fmt.Printf("\n%sprocessor time of the raw run: %s\n  until all were enforced: %s\n  until all were ready: %s\nload of this machine: %s\n",
			f.requests, f.rawCost, f.enforcedCost, f.cost, load())
	}
}

// TestTenTenants is the benchmark in small, so that the benchmark works when somebody wants it: every Space of ten
// tenants becomes Ready, and exactly the objects exist that the raw run wrote for its own ten.
func TestTenTenants(t *testing.T) {
	const few = 10
	f := drill(t, few)
	if want := few * len(objectsOf(t, "any")); f.objects != want {
		t.Errorf("Bulkhead keeps %d objects for %d tenants; package guardrail renders %d", f.objects, few, want)
	}
	if f.writes < float64(f.objects) {
		t.Errorf("the API server counted %.0f writes of Bulkhead's for %d objects: the count is wrong", f.writes, f.objects)
	}
	if f.rss <= 0 {
		t.Error("the memory of the controllers' process was not measured")
	}
	if runtime.GOOS == "linux" && (f.cost["controllers"] <= 0 || f.cost["kube-apiserver"] <= 0 || f.rawCost["etcd"] <= 0) {
		t.Errorf("processor time was not measured: raw %s; with Bulkhead %s", f.rawCost, f.cost)
	}
}

// figures of one drill.
type figures struct {
	// objects that Bulkhead keeps for all tenants: what package guardrail renders for them.
	objects int
	// raw is how long plain writers took for as many; rawSettled until Kubernetes' own controllers had caught up with them,
	// as they must with Bulkhead, which waits for every quota to bind; enforced and ready are how long until all Spaces were.
	raw, rawSettled, enforced, ready time.Duration
	// writes of the controllers: every request that is neither a read nor a question, be it for an object, a status or an
	// Event. Questions are the proof's: access reviews and dry runs.
	writes, questions float64
	// rawCost, enforcedCost and cost are the processor time of all processes until raw was settled and until all were
	// enforced and ready.
	rawCost, enforcedCost, cost spent
	// requests by kind, as a text.
	requests string
	// rss is the controllers' memory in bytes when all were ready.
	rss float64
}

func drill(tb testing.TB, n int) *figures {
	tb.Helper()
	ctx := tb.Context()
	ctrl.SetLogger(logr.Discard())
	cluster, err := testcluster.Start()
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := cluster.Stop(); err != nil {
			tb.Error(err)
		}
	})
	life, cancel := context.WithCancel(context.Background())
	tb.Cleanup(cancel)
	if err := cluster.StartControllerManager(life); err != nil {
		tb.Fatal(err)
	}
	cluster.Config.WarningHandler = rest.NoWarnings{}
	admin, err := client.NewWithWatch(cluster.Config, client.Options{Scheme: run.Scheme()})
	if err != nil {
		tb.Fatal(err)
	}
	s := &stage{tb: tb, ctx: ctx, cluster: cluster, admin: admin, n: n, f: &figures{}}
	s.prepare()
	s.raw()
	testcluster.Progress(tb, "the raw run took %s, and %s until it was settled", s.f.raw, s.f.rawSettled)
	s.bulkhead()
	testcluster.Progress(tb, "Bulkhead took %s until all were enforced, and %s until all were ready", s.f.enforced, s.f.ready)
	return s.f
}

// stage is one control plane with what the two runs share.
type stage struct {
	tb      testing.TB
	ctx     context.Context
	cluster *testcluster.Cluster
	admin   client.WithWatch
	n       int
	f       *figures
}

// prepare makes what a platform has before its first tenant. Bulkhead's policies come only with Bulkhead: the raw run
// does not pay for them.
func (s *stage) prepare() {
	s.must(testbulkhead.Install(s.ctx, s.admin), "install what Bulkhead needs")
	for _, o := range guardrail.Cluster(platform()) {
		if _, is := o.(*flowcontrolv1.PriorityLevelConfiguration); is { // without it every FlowSchema costs the API server another write
			s.must(s.apply(o), "apply %T %s", o, o.GetName())
		}
	}
}

func (s *stage) must(err error, format string, args ...any) {
	s.tb.Helper()
	if err != nil {
		s.tb.Fatalf("%s: %v", fmt.Sprintf(format, args...), err)
	}
}

// eventually polls until check returns "", and fails with what it returned last.
func (s *stage) eventually(within time.Duration, what string, check func() string) {
	s.tb.Helper()
	deadline := time.Now().Add(within)
	for {
		complaint := check()
		if complaint == "" {
			return
		}
		if time.Now().After(deadline) {
			s.tb.Fatalf("%s: after %s still: %s", what, within, complaint)
		}
		time.Sleep(100 * time.Millisecond)
	}
}
