// Package run wires Bulkhead's controllers into one process: a list, and nothing clever.
package run

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/go-logr/logr"
	openreports "github.com/openreports/reports-api/apis/openreports.io/v1alpha1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"
	"sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/internal/apply"
	"github.com/bulkhead-dev/bulkhead/internal/attack/prover"
	"github.com/bulkhead-dev/bulkhead/internal/controller/isolationreport"
	"github.com/bulkhead-dev/bulkhead/internal/controller/platform"
	"github.com/bulkhead-dev/bulkhead/internal/controller/space"
	"github.com/bulkhead-dev/bulkhead/internal/controller/tenant"
	"github.com/bulkhead-dev/bulkhead/internal/controller/waiver"
	"github.com/bulkhead-dev/bulkhead/internal/controller/workloads"
	"github.com/bulkhead-dev/bulkhead/internal/observe"
	"github.com/bulkhead-dev/bulkhead/internal/observe/auditlog"
	"github.com/bulkhead-dev/bulkhead/internal/observe/cluster"
	"github.com/bulkhead-dev/bulkhead/internal/removal"
	"github.com/bulkhead-dev/bulkhead/internal/status"
)

// Off as an address turns an endpoint off.
const Off = "0"

const (
	// leaseName is the Lease in Bulkhead's namespace that the leading process holds.
	leaseName = "bulkhead"
	// workers reconcile at the same time, per kind. The API server's own fairness bounds what they ask of it.
	workers = 16
	// provers have tenants proven at the same time: proofs are many requests each, and no tenant's guardrails may wait for them.
	provers = 4
	// firstRetry and lastRetry are how soon what failed is tried again, at first and at the most.
	firstRetry, lastRetry = 5 * time.Millisecond, 10 * time.Second
	// shutdown is how long running reconciles are given to end; each may be cut off at any point without harm.
	shutdown = 3 * time.Second
	// lookBack is how often it is asked whether the store went back in time: one small request.
	lookBack = 5 * time.Second
)

// Options of the controllers' process.
type Options struct {
	// Config reaches the API server as an identity that holds Rights.
	Config *rest.Config
	// MetricsAddress, HealthAddress and PprofAddress are host:port to serve on; Off for none.
	MetricsAddress, HealthAddress, PprofAddress string
	// LeaderElect lets several processes stand by while one works.
	LeaderElect bool
	// AuditLog is the file that the API server writes its audit log to, from which Events take the user of a change; empty for none.
	AuditLog string
	// Log takes what happens.
	Log logr.Logger

	// NewClient makes the client through which everything is read and written; nil for the usual one. Tests put one in
	// that fails on purpose.
	NewClient client.NewClientFunc
	// Prover of isolation; nil for the usual one.
	Prover tenant.Prover
	// Read reads the cluster for the exact proof; nil for the usual reader.
	Read func(context.Context) (*observe.World, error)
	// Clock; nil for the machine's.
	Clock clock.PassiveClock
}

// Scheme knows every kind that Bulkhead reads or writes.
func Scheme() *runtime.Scheme {
	s := runtime.NewScheme()
	utilruntime.Must(scheme.AddToScheme(s))
	utilruntime.Must(apiextensionsv1.AddToScheme(s))
	utilruntime.Must(v1alpha1.AddToScheme(s))
	utilruntime.Must(openreports.Install(s))
	return s
}

// Run works until ctx ends, which is no error.
func Run(ctx context.Context, o *Options) error {
	mgr, err := New(ctx, o)
	if err != nil {
		return err
	}
	if err := mgr.Start(ctx); err != nil {
		return fmt.Errorf("run the controllers: %w", err)
	}
	return nil
}

// New makes the manager with all controllers, ready to start.
func New(ctx context.Context, o *Options) (ctrl.Manager, error) {
	settings := rest.CopyConfig(o.Config)
	settings.QPS = -1 // the API server's priority and fairness bounds us; a bound of our own would only delay repairs
	settings.UserAgent = v1alpha1.ManagedBy
	if o.Clock == nil {
		o.Clock = clock.RealClock{}
	}
	if o.Prover == nil {
		prover, err := prover.New(settings, o.Clock)
		if err != nil {
			return nil, fmt.Errorf("make the prover: %w", err)
		}
		o.Prover = prover
	}
	if o.Read == nil {
		follower, err := cluster.Follow(ctx, settings, o.Clock)
		if err != nil {
			return nil, fmt.Errorf("make the reader of the exact proof: %w", err)
		}
		o.Read = follower.World
	}
	again, grace := true, shutdown
	mgr, err := ctrl.NewManager(settings, ctrl.Options{
		Scheme:                        Scheme(),
		Logger:                        o.Log,
		Cache:                         Caches(),
		NewClient:                     o.NewClient,
		LeaderElection:                o.LeaderElect,
		LeaderElectionID:              leaseName,
		LeaderElectionNamespace:       v1alpha1.SystemNamespace,
		LeaderElectionReleaseOnCancel: true, // Run's callers end the process when it returns
		Metrics:                       metricsserver.Options{BindAddress: o.MetricsAddress},
		HealthProbeBindAddress:        o.HealthAddress,
		PprofBindAddress:              o.PprofAddress,
		GracefulShutdownTimeout:       &grace,
		Controller:                    config.Controller{SkipNameValidation: &again},
	})
	if err != nil {
		return nil, fmt.Errorf("set up the controllers: %w", err)
	}
	if err := mgr.AddHealthzCheck("ping", healthz.Ping); err != nil {
		return nil, fmt.Errorf("add health check: %w", err)
	}
	if err := mgr.AddReadyzCheck("caches", cachesSynced(mgr.GetCache())); err != nil {
		return nil, fmt.Errorf("add readiness check: %w", err)
	}
	return mgr, wire(ctx, mgr, o)
}

// none is the index of a controller that needs none.
func none(context.Context, client.FieldIndexer) error { return nil }

// wire adds the controllers and what they share.
func wire(ctx context.Context, mgr ctrl.Manager, o *Options) error {
	counters := apply.NewMetrics()
	writes := apply.NewWriteTracker(o.Clock)
	c := writes.Follow(mgr.GetClient())
	applier := apply.New(c, mgr.GetAPIReader(), o.Clock, counters)
	writer := &status.Writer{Client: c, Events: mgr.GetEventRecorder(v1alpha1.ManagedBy), Clock: o.Clock}
	if o.AuditLog != "" {
		if err := followAudit(mgr, o, writer); err != nil {
			return err
		}
	}
	served, err := discovery.NewDiscoveryClientForConfigAndClient(mgr.GetConfig(), mgr.GetHTTPClient())
	if err != nil {
		return fmt.Errorf("make the client that knows which kinds there are: %w", err)
	}
	remover := &removal.Remover{Client: c, Live: mgr.GetAPIReader(), Apply: applier, Discovery: served, Clock: o.Clock}
	proofs := &tenant.Proofs{Client: c, Prover: o.Prover, Clock: o.Clock}
	reconcilers := []struct {
		name  string
		index func(context.Context, client.FieldIndexer) error
		setup func(ctrl.Manager, controller.Options) error
		many  int
	}{
		{"platform", platform.Index, (&platform.Reconciler{
			Client: c, Apply: applier, Status: writer, Clock: o.Clock,
		}).SetupWithManager, 1},
		{"tenant", tenant.Index, (&tenant.Reconciler{
			Client: c, Live: mgr.GetAPIReader(), Apply: applier, Status: writer, Writes: writes, Proofs: proofs, Clock: o.Clock, Remover: remover,
		}).SetupWithManager, workers},
		{"proof", none, proofs.SetupWithManager, provers},
		{"space", space.Index, (&space.Reconciler{
			Client: c, Live: mgr.GetAPIReader(), Apply: applier, Status: writer, Writes: writes, Clock: o.Clock, Remover: remover,
		}).SetupWithManager, workers},
		{"waiver", waiver.Index, (&waiver.Reconciler{
			Client: c, Status: writer, Clock: o.Clock,
		}).SetupWithManager, 1},
		{"workloads", none, (&workloads.Reconciler{
			Client: c, Live: mgr.GetAPIReader(), Status: writer, Clock: o.Clock,
		}).SetupWithManager, 1},
		{"isolationreport", none, (&isolationreport.Reconciler{
			Client: c, Live: mgr.GetAPIReader(), Status: writer, Clock: o.Clock, Read: o.Read,
		}).SetupWithManager, 1},
	}
	for _, r := range reconcilers {
		if err := r.index(ctx, mgr.GetFieldIndexer()); err != nil {
			return fmt.Errorf("index for controller %s: %w", r.name, err)
		}
		// The usual limiter makes an object wait for a quarter of an hour for a fault that is over.
		retries := workqueue.NewTypedItemExponentialFailureRateLimiter[ctrl.Request](firstRetry, lastRetry)
		if err := r.setup(mgr, controller.Options{MaxConcurrentReconciles: r.many, RateLimiter: retries}); err != nil {
			return fmt.Errorf("set up controller %s: %w", r.name, err)
		}
	}
	if err := mgr.Add(&history{live: mgr.GetAPIReader(), every: lookBack}); err != nil {
		return fmt.Errorf("watch for a store that goes back: %w", err)
	}
	return mgr.Add(&metricsRegistration{collectors: append(counters.Collectors(), &census{reader: mgr.GetClient(), clock: o.Clock})})
}

// followAudit gives the writer the trail of the API server's audit log: of who wrote what Bulkhead manages, but Bulkhead.
func followAudit(mgr ctrl.Manager, o *Options, writer *status.Writer) error {
	resources := []schema.GroupResource{{Resource: "nodes"}}
	for _, kind := range apply.Kinds() {
		gvk, err := apiutil.GVKForObject(kind.Object, mgr.GetScheme())
		if err != nil {
			return fmt.Errorf("follow the audit log: %w", err)
		}
		resource, _ := meta.UnsafeGuessKindToResource(gvk)
		resources = append(resources, resource.GroupResource())
	}
	writes := auditlog.NewWrites(o.Clock, resources, func(user string, groups []string) bool {
		return user == "system:serviceaccount:"+v1alpha1.SystemNamespace+":"+v1alpha1.ManagedBy || slices.Contains(groups, v1alpha1.ControllerGroup)
	})
	writer.AuditLog = writes
	return mgr.Add(&auditlog.Tail{Path: o.AuditLog, Writes: writes, Log: o.Log})
}
