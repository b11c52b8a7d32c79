// Package scale_test measures Bulkhead with a thousand tenants on one API server, beside what that same API server
// takes of the very same objects when nobody thinks about them.
package scale_test

import (
	"context"
	"flag"
	"fmt"
	"testing"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/desired"
	"github.com/bulkhead-dev/bulkhead/internal/run"
	"github.com/bulkhead-dev/bulkhead/internal/testcluster"
)

var (
	tenants       = flag.Int("tenants", 1000, "tenants, with one Space each, of BenchmarkThousandTenants")
	cpuProfile    = flag.String("controllers.cpuprofile", "", "file for a CPU profile of the controllers' process")
	serverProfile = flag.String("apiserver.cpuprofile", "", "file for a CPU profile of the API server's first 30 seconds with Bulkhead")
)

// writers write at the same time, in the raw run and as owners who make their Spaces.
const writers = 8

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
		b.ReportMetric(f.enforced.Seconds(), "enforced-s")
		b.ReportMetric(perSecond(f.enforced), "enforced-objects/s")
		b.ReportMetric(100*f.raw.Seconds()/f.enforced.Seconds(), "%enforced-of-raw")
		b.ReportMetric(f.ready.Seconds(), "ready-s")
		b.ReportMetric(perSecond(f.ready), "ready-objects/s")
		b.ReportMetric(100*f.raw.Seconds()/f.ready.Seconds(), "%ready-of-raw")
		b.ReportMetric(f.writes/float64(*tenants), "writes/Space")
		b.ReportMetric(f.writes/f.ready.Seconds(), "writes/s")
		b.ReportMetric(f.cpu, "controllers-cpu-s")
		b.ReportMetric(f.rss/(1<<20), "controllers-MiB")
		b.ReportMetric(f.rawServerCPU, "raw-apiserver-cpu-s")
		b.ReportMetric(f.serverCPU, "apiserver-cpu-s")
	}
}

// TestTenTenants is the benchmark in small, so that the benchmark works when somebody wants it: every Space of ten
// tenants becomes Ready, and exactly the objects exist that the raw run wrote for its own ten.
func TestTenTenants(t *testing.T) {
	const few = 10
	f := drill(t, few)
	if want := few * len(objectsOf(t, "any")); f.objects != want {
		t.Errorf("Bulkhead keeps %d objects for %d tenants; package desired renders %d", f.objects, few, want)
	}
	if f.writes < float64(f.objects) {
		t.Errorf("the API server counted %.0f writes of Bulkhead's for %d objects: the count is wrong", f.writes, f.objects)
	}
	if f.cpu <= 0 || f.rss <= 0 {
		t.Errorf("the controllers' process used %.1f s of processor time and %.0f bytes: not measured", f.cpu, f.rss)
	}
}

// figures of one drill.
type figures struct {
	// objects that Bulkhead keeps for all tenants: what package desired renders for them.
	objects int
	// raw is how long plain writers took for as many; enforced and ready are how long until all Spaces were.
	raw, enforced, ready time.Duration
	// writes of the controllers: every request that is not a read, be it for an object, a status or an Event. Questions
	// of the proof (reviews and dry runs) are not in it.
	writes float64
	// cpu is the processor time, in seconds, of the controllers until all were ready, rss their memory in bytes then.
	cpu, rss float64
	// rawServerCPU and serverCPU are the API server's processor time in both runs.
	rawServerCPU, serverCPU float64
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
	s.bulkhead()
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
	objects := []client.Object{&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: v1alpha1.SystemNamespace}}}
	for _, o := range run.RBAC() {
		objects = append(objects, o)
	}
	for _, o := range objects {
		s.must(s.admin.Create(s.ctx, o), "create %T %s", o, o.GetName())
	}
	for _, o := range desired.Cluster(platform()) {
		if o.GetName() == desired.PriorityLevelName { // without it every FlowSchema costs the API server another write
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
