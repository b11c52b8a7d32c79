// Package drills_test does to Bulkhead's controllers what happens to programs in production, against a real API server:
// watches end, answers get lost, caches lag, the lease goes, the API server dies, etcd goes back in time, clocks jump,
// and declarations change their mind or go at any moment. Each time all ends as if nothing had happened, nothing of
// anybody else's is touched, and a recorder, which sees every revision, finds no instant without a control.
package drills_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/funcr"
	clientv3 "go.etcd.io/etcd/client/v3"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/internal/observe"
	"github.com/bulkhead-dev/bulkhead/internal/run"
	"github.com/bulkhead-dev/bulkhead/internal/testbulkhead"
	"github.com/bulkhead-dev/bulkhead/internal/testcluster"
)

// site is a cluster to drill on, as its administrator and as Bulkhead reach it.
type site struct {
	admin    client.WithWatch
	config   *rest.Config // the administrator's
	bulkhead *rest.Config
	// store is its etcd.
	store *clientv3.Client
	// as is the configuration of a user without any right but what RBAC gives.
	as func(user string) (*rest.Config, error)
}

// shared is the site of the drills that leave the cluster itself alone. They keep apart by tenants of their own, and use it one
// after the other, as each has its own controllers. The drills with a cluster of their own mostly wait for clients that try
// again ever more seldom. All run next to one another.
var (
	shared *site
	inUse  sync.Mutex
)

// use has the shared site to itself until the test ends.
func use(t *testing.T) *site {
	t.Helper()
	t.Parallel()
	inUse.Lock()
	t.Cleanup(inUse.Unlock)
	return shared
}

func TestMain(m *testing.M) {
	// Parallel tests here mostly wait for Kubernetes' own controllers, so their number is not that of the processors.
	flag.Parse()
	if err := flag.Set("test.parallel", "16"); err != nil {
		panic(err)
	}
	os.Exit(testMain(m))
}

func testMain(m *testing.M) int {
	klog.SetLogger(logr.Discard()) // of watches that end
	return testcluster.Main(m, nil, func(ctx context.Context, c *testcluster.Cluster) error {
		bulkhead, err := testbulkhead.Config(c)
		if err != nil {
			return err
		}
		if shared, err = open(ctx, c.Config, bulkhead, clientv3.Config{Endpoints: []string{c.Etcd()}}); err != nil {
			return err
		}
		shared.as = func(user string) (*rest.Config, error) { return c.User(user) }
		return nil
	})
}

// open installs what Bulkhead's controllers need, and a Platform.
func open(ctx context.Context, admin, bulkhead *rest.Config, etcd clientv3.Config) (*site, error) {
	admin.WarningHandler, bulkhead.WarningHandler = rest.NoWarnings{}, rest.NoWarnings{}
	c, err := client.NewWithWatch(admin, client.Options{Scheme: run.Scheme()})
	if err != nil {
		return nil, err
	}
	store, err := clientv3.New(etcd)
	if err != nil {
		return nil, err
	}
	return &site{admin: c, config: admin, bulkhead: bulkhead, store: store}, testbulkhead.Install(ctx, c, platform())
}

func platform() *v1alpha1.Platform {
	return &v1alpha1.Platform{
		ObjectMeta: metav1.ObjectMeta{Name: v1alpha1.PlatformName},
		Spec: v1alpha1.PlatformSpec{
			Environment: "Production", Registries: []string{"registry.example.com"},
			ProofFreshness: metav1.Duration{Duration: 10 * time.Minute},
			Network:        v1alpha1.PlatformNetwork{PodCIDRs: []string{"10.244.0.0/16"}, ServiceCIDRs: []string{"10.0.0.0/24"}},
		},
	}
}

// process is a running set of controllers.
type process struct {
	cancel context.CancelFunc
	ended  chan struct{}
	err    error
}

// notRead stands for the exact proof, whose word in a status comes when it comes: what is compared here must not go by that.
func notRead(context.Context) (*observe.World, error) {
	return nil, errors.New("the exact proof is no part of the drills")
}

// start runs Bulkhead's controllers as one process does. They are stopped when the test ends.
func (s *site) start(t *testing.T, change func(*run.Options)) *process {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	o := &run.Options{Config: rest.CopyConfig(s.bulkhead), Read: notRead, MetricsAddress: run.Off, HealthAddress: run.Off, PprofAddress: run.Off, Log: logFor(t)}
	if change != nil {
		change(o)
	}
	p := &process{cancel: cancel, ended: make(chan struct{})}
	go func() {
		defer close(p.ended)
		p.err = run.Run(ctx, o)
	}()
	t.Cleanup(func() { p.stop(t) })
	return p
}

// stop ends the process in order.
func (p *process) stop(t *testing.T) {
	t.Helper()
	p.cancel()
	<-p.ended
	if p.err != nil && !errors.Is(p.err, context.Canceled) {
		t.Errorf("the controllers ended with: %v", p.err)
	}
	p.err = nil // told once
}

// logFor shows what the controllers log when BULKHEAD_TEST_LOG is set.
func logFor(t *testing.T) logr.Logger {
	if os.Getenv("BULKHEAD_TEST_LOG") == "" {
		return logr.Discard()
	}
	return funcr.New(func(prefix, args string) {
		fmt.Fprintln(os.Stderr, time.Now().Format("05.000"), t.Name(), prefix, args)
	}, funcr.Options{})
}

// patience is for a busy machine with the race detector on; what is waited for takes seconds.
const patience = 6 * time.Minute

// eventually asks again and again until there is no complaint, and fails with the last one.
func eventually(t *testing.T, what string, check func() string) {
	t.Helper()
	deadline := time.After(patience)
	for again := time.NewTicker(50 * time.Millisecond); ; <-again.C {
		complaint := check()
		if complaint == "" {
			return
		}
		select {
		case <-deadline:
			t.Fatalf("%s: after %s still: %s", what, patience, complaint)
		default:
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func complaint(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// edit changes an object on its newest version.
func (s *site) edit(t *testing.T, o client.Object, change func()) {
	t.Helper()
	eventually(t, "edit of "+o.GetName(), func() string {
		if err := s.admin.Get(t.Context(), client.ObjectKeyFromObject(o), o); err != nil {
			return err.Error()
		}
		change()
		return complaint(s.admin.Update(t.Context(), o))
	})
}

// gone waits until objects do not exist.
func (s *site) gone(t *testing.T, objects ...client.Object) {
	t.Helper()
	for _, o := range objects {
		eventually(t, fmt.Sprintf("%T %s is gone", o, o.GetName()), func() string {
			err := s.admin.Get(t.Context(), client.ObjectKeyFromObject(o), o)
			if err == nil {
				return fmt.Sprintf("it exists: deleted %v, finalizers %v", o.GetDeletionTimestamp(), o.GetFinalizers())
			}
			return complaint(client.IgnoreNotFound(err))
		})
	}
}

// ready waits until each is Ready on its present generation.
func (s *site) ready(t *testing.T, objects ...client.Object) {
	t.Helper()
	for _, o := range objects {
		eventually(t, fmt.Sprintf("%T %s is ready", o, o.GetName()), func() string {
			if err := s.admin.Get(t.Context(), client.ObjectKeyFromObject(o), o); err != nil {
				return err.Error()
			}
			if c := conditionOf(o, v1alpha1.ConditionReady); c.Status != metav1.ConditionTrue || c.ObservedGeneration != o.GetGeneration() {
				return fmt.Sprintf("%+v, of generation %d", conditionsOf(o), o.GetGeneration())
			}
			return ""
		})
	}
}

func conditionsOf(o client.Object) []metav1.Condition {
	switch o := o.(type) {
	case *v1alpha1.Platform:
		return o.Status.Conditions
	case *v1alpha1.Tenant:
		return o.Status.Conditions
	case *v1alpha1.Space:
		return o.Status.Conditions
	case *v1alpha1.Waiver:
		return o.Status.Conditions
	default:
		panic(fmt.Sprintf("%T has no conditions", o))
	}
}

func conditionOf(o client.Object, name string) metav1.Condition {
	if c := meta.FindStatusCondition(conditionsOf(o), name); c != nil {
		return *c
	}
	return metav1.Condition{}
}

func newTenant(name string) *v1alpha1.Tenant {
	return &v1alpha1.Tenant{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: v1alpha1.TenantSpec{
			Owners:   []v1alpha1.Owner{{Kind: "User", Name: name + "-owner"}},
			Boundary: "Inside",
			Quota: corev1.ResourceList{
				"requests.cpu": resource.MustParse("10"), "limits.cpu": resource.MustParse("20"), "pods": resource.MustParse("100"),
				"limits.memory": resource.MustParse("40Gi"),
			},
			Workloads: []v1alpha1.Workload{{Name: "web", Code: "Audited", Environment: "Production"}},
		},
	}
}

func newSpace(tenant, name string) *v1alpha1.Space {
	return &v1alpha1.Space{
		ObjectMeta: metav1.ObjectMeta{Namespace: v1alpha1.HomeNamespace(tenant), Name: name},
		Spec:       v1alpha1.SpaceSpec{Workload: "web"},
	}
}
