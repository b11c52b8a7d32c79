package controller_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	nodev1 "k8s.io/api/node/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/discovery"
	toolscache "k8s.io/client-go/tools/cache"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/internal/apply"
	"github.com/bulkhead-dev/bulkhead/internal/controller/space"
	"github.com/bulkhead-dev/bulkhead/internal/controller/tenant"
	"github.com/bulkhead-dev/bulkhead/internal/removal"
	"github.com/bulkhead-dev/bulkhead/internal/run"
	"github.com/bulkhead-dev/bulkhead/internal/status"
	"github.com/bulkhead-dev/bulkhead/internal/testcluster"
)

// Promise: the controllers may die before or after any write, or lose its answer, over the whole life of a tenant with
// two Spaces, and after a restart everything ends up as if they had not. At no point in between do owners have rights in
// a namespace that lacks a guardrail.
//
// Reconcilers are driven by hand, one set for each life, over one shared cache, so that many lives pass at once. A
// death is a client that refuses everything from the n-th write of a stage on; a restart is a new set of reconcilers,
// which knows nothing of the old one. A stage begins once all is as in the undisturbed life, so what happened in the
// stage before is of no effect on it: one life has a death in each of its stages.
func TestDeathAtAnyWrite(t *testing.T) {
	t.Parallel()
	stop := start(t, nil)
	ready(t, platform())
	stop()
	shared := startCache(t)

	undisturbed := &life{name: "crash-none", shared: shared}
	undisturbed.live(t)
	writes := 0
	for _, n := range undisturbed.counts {
		writes += n
	}
	const fewest = 40 // of a life; under load it takes up to four times as many, because reconcilers see less of what they did
	if writes < fewest {
		t.Fatalf("a life took %d writes: the test would hold little", writes)
	}
	t.Logf("an undisturbed life takes %d writes: %v", writes, undisturbed.counts)
	// Every third write is disturbed, in one of the three ways, and every write in all three when BULKHEAD_CRASH_ALL is set.
	all := os.Getenv("BULKHEAD_CRASH_ALL") != ""
	const enough = 3 // lives that go wrong: each takes minutes to, and the others would say the same
	// On a machine that is busy with other tests a stage takes many times the writes that it takes alone: the same ones again, as the cache
	// is behind. A life for each of those makes it busier.
	last := slices.Max(undisturbed.counts)
	if !all {
		last = min(last, fewest)
	}
	var died, wrong atomic.Int32
	t.Run("lives", func(t *testing.T) {
		for i, mode := range []string{"before", "after", "lost"} {
			for n := 1; n <= last; n++ {
				if !all && n%9 != 3*i {
					continue
				}
				t.Run(fmt.Sprintf("%s/%d", mode, n), func(t *testing.T) {
					t.Parallel()
					if wrong.Load() >= enough {
						t.Skipf("%d lives went wrong already", enough)
					}
					t.Cleanup(func() {
						if t.Failed() {
							wrong.Add(1)
						}
					})
					l := &life{name: fmt.Sprintf("crash-%s-%d", mode, n), shared: shared, mode: mode, at: int64(n), like: undisturbed}
					l.live(t)
					died.Add(int32(l.deaths))
				})
			}
		}
	})
	want := int32(fewest) / 3
	if all {
		want = fewest * 3 * 3 / 4 // the last writes are not the same number in every life
	}
	if died.Load() < want {
		t.Errorf("only %d writes were disturbed, want at least %d", died.Load(), want)
	}
	t.Logf("%d writes were disturbed", died.Load())
}

// stages of a life, after each of which it is looked at.
var stages = []string{"born", "grown", "changed", "shrunk", "gone"}

type life struct {
	name   string
	shared *feed
	// mode and at say what happens at which write of each stage; none when at is 0.
	mode string
	at   int64
	// like is the life that this one must come to resemble; nil for the first.
	like *life

	// writes of this stage, and counts those of the stages before.
	writes    atomic.Int64
	counts    []int
	dead      atomic.Bool
	deaths    int
	epitaph   atomic.Value // string
	snapshots []string
}

var errDead = errors.New("the process is dead")

// write counts, and makes the n-th write fail in the chosen way.
func (l *life) write(what string, do func() error) error {
	if l.dead.Load() {
		return errDead
	}
	if l.writes.Add(1) != l.at {
		return do()
	}
	l.epitaph.Store(l.mode + " " + what)
	l.deaths++
	switch l.mode {
	case "before":
		l.dead.Store(true)
	case "after":
		_ = do()
		l.dead.Store(true)
	default:
		_ = do()
	}
	return errDead
}

// process makes a set of reconcilers that know nothing of earlier ones.
func (l *life) process(t *testing.T) map[string]reconcile.Reconciler {
	t.Helper()
	raw, err := client.NewWithWatch(bulkhead, client.Options{Scheme: run.Scheme(), Cache: &client.CacheOptions{Reader: l.shared.cache}})
	if err != nil {
		t.Fatal(err)
	}
	live, err := client.New(bulkhead, client.Options{Scheme: run.Scheme()})
	if err != nil {
		t.Fatal(err)
	}
	describe := func(verb string, o client.Object) string { return verb + " " + apply.RefOf(o).String() }
	c := interceptor.NewClient(raw, interceptor.Funcs{
		Create: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.CreateOption) error {
			return l.write(describe("create", o), func() error { return c.Create(ctx, o, opts...) })
		},
		Update: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.UpdateOption) error {
			return l.write(describe("update", o), func() error { return c.Update(ctx, o, opts...) })
		},
		Delete: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.DeleteOption) error {
			return l.write(describe("delete", o), func() error { return c.Delete(ctx, o, opts...) })
		},
		Patch: func(ctx context.Context, c client.WithWatch, o client.Object, p client.Patch, opts ...client.PatchOption) error {
			return l.write(describe("patch", o), func() error { return c.Patch(ctx, o, p, opts...) })
		},
		Apply: func(ctx context.Context, c client.WithWatch, o runtime.ApplyConfiguration, opts ...client.ApplyOption) error {
			text, _ := json.Marshal(o)
			return l.write("apply "+string(text[:min(len(text), 200)]), func() error { return c.Apply(ctx, o, opts...) })
		},
		SubResourcePatch: func(ctx context.Context, c client.Client, sub string, o client.Object, p client.Patch, opts ...client.SubResourcePatchOption) error {
			return l.write(describe("patch "+sub+" of", o), func() error { return c.SubResource(sub).Patch(ctx, o, p, opts...) })
		},
	})
	now := clock.RealClock{}
	applier := apply.New(c, live, now, apply.NewMetrics())
	writer := &status.Writer{Client: c, Events: noEvents{}, Clock: now}
	proofs := &tenant.Proofs{Client: c, Prover: agreeable{now}, Clock: now}
	served, err := discovery.NewDiscoveryClientForConfig(cluster.Config)
	if err != nil {
		t.Fatal(err)
	}
	remover := &removal.Remover{Client: c, Live: live, Apply: applier, Discovery: served, Clock: now}
	return map[string]reconcile.Reconciler{
		"tenant": &tenant.Reconciler{Client: c, Live: live, Apply: applier, Status: writer, Proofs: proofs, Clock: now, Remover: remover},
		"proof":  proofs,
		"space":  &space.Reconciler{Client: c, Live: live, Apply: applier, Status: writer, Clock: now, Remover: remover},
	}
}

// live goes through the stages.
func (l *life) live(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var driver sync.WaitGroup
	driver.Go(func() { l.drive(ctx, t) })
	defer driver.Wait()
	defer cancel()

	owner := newTenant(l.name)
	a := newSpace(l.name, "a", func(s *v1alpha1.SpaceSpec) {
		s.Quota = corev1.ResourceList{"pods": resource.MustParse("60")}
		s.To = []v1alpha1.Flow{{Space: "b"}, {CIDR: "203.0.113.0/24"}}
	})
	b := newSpace(l.name, "b")
	create(t, owner)
	l.whole(t, owner)
	l.look(t)
	create(t, a)
	create(t, b)
	l.whole(t, owner, a, b)
	l.look(t)
	edit(t, a, func() {
		a.Spec.Quota = corev1.ResourceList{"pods": resource.MustParse("10")}
		a.Spec.To = nil
	})
	l.whole(t, owner, a, b)
	l.look(t)
	if err := admin.Delete(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	l.gone(t, b)
	l.whole(t, owner, a)
	l.look(t)
	if err := admin.Delete(t.Context(), owner); err != nil {
		t.Fatal(err)
	}
	l.gone(t, a, owner)
	l.look(t)
}

// drive reconciles when something of the tenant changed or a reconciler asked for it, as the workqueue would, and restarts
// the process when it died.
func (l *life) drive(ctx context.Context, t *testing.T) {
	// breath is for the cache, to see what was written; retry is when to try again what went wrong.
	const breath, retry = 50 * time.Millisecond, 200 * time.Millisecond
	home, process := v1alpha1.HomeNamespace(l.name), l.process(t)
	for ctx.Err() == nil {
		again, changed := status.Recheck, l.shared.next(l.name)
		for _, r := range []struct{ kind, namespace, name string }{{"proof", "", l.name}, {"tenant", "", l.name}, {"space", home, "a"}, {"space", home, "b"}} {
			req := ctrl.Request{NamespacedName: client.ObjectKey{Namespace: r.namespace, Name: r.name}}
			result, err := process[r.kind].Reconcile(ctx, req)
			if err != nil {
				again = min(again, retry)
			}
			if result.RequeueAfter > 0 {
				again = min(again, result.RequeueAfter)
			}
			if l.dead.Load() {
				l.guarded(t)
				process, again = l.process(t), 0
				l.dead.Store(false)
			}
		}
		<-time.After(breath)
		select {
		case <-ctx.Done():
		case <-changed:
		case <-time.After(again):
		}
	}
}

// guarded checks, at the moment of death, that owners have no rights where a guardrail is missing.
func (l *life) guarded(t *testing.T) {
	for _, name := range []string{"a", "b"} {
		namespace := v1alpha1.SpaceNamespace(l.name, name)
		key := client.ObjectKey{Namespace: namespace, Name: v1alpha1.OwnersName}
		if admin.Get(context.Background(), key, &rbacv1.RoleBinding{}) != nil {
			continue
		}
		n := &corev1.Namespace{}
		if err := admin.Get(context.Background(), client.ObjectKey{Name: namespace}, n); err != nil || !n.DeletionTimestamp.IsZero() {
			continue // going: nothing can be made in it
		}
		for _, guardrail := range []client.Object{
			&corev1.ResourceQuota{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: v1alpha1.QuotaName}},
			&corev1.LimitRange{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: v1alpha1.LimitsName}},
			&networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: v1alpha1.NetworkDefaultName}},
		} {
			if err := admin.Get(context.Background(), client.ObjectKeyFromObject(guardrail), guardrail); err != nil {
				t.Errorf("after death (%v) owners have rights in %s without %T: %v", l.epitaph.Load(), namespace, guardrail, err)
			}
		}
		if n.Labels["pod-security.kubernetes.io/enforce"] != "restricted" || n.Labels[v1alpha1.LabelPattern] == "" {
			t.Errorf("after death (%v) owners have rights in %s with labels %v", l.epitaph.Load(), namespace, n.Labels)
		}
	}
}

const lifePatience = 8 * time.Minute // many lives share two cores and one namespace controller

// until checks whenever something of the tenant changed, and fails with the last complaint.
func (l *life) until(t *testing.T, what string, check func() string) {
	t.Helper()
	deadline := time.After(lifePatience)
	for {
		changed := l.shared.next(l.name)
		complaint := check()
		if complaint == "" {
			return
		}
		select {
		case <-changed:
		case <-time.After(time.Second): // for what the cache does not hold
		case <-deadline:
			t.Fatalf("%s %s: after %s still: %s", l.name, what, lifePatience, complaint)
		}
	}
}

// whole waits until all are Ready on their present generation and nothing is in flow: the proof covers them all, and
// the quotas are as the ledger has them.
func (l *life) whole(t *testing.T, owner *v1alpha1.Tenant, spaces ...*v1alpha1.Space) {
	t.Helper()
	l.until(t, "is whole", func() string {
		if err := admin.Get(t.Context(), client.ObjectKeyFromObject(owner), owner); err != nil {
			return err.Error()
		}
		if !isReady(owner.Status.Conditions, owner.Generation) || len(owner.Status.Ledger) != len(spaces) ||
			owner.Status.Spaces != fmt.Sprintf("%d/%d", len(spaces), len(spaces)) {
			return fmt.Sprintf("%+v", owner.Status)
		}
		for i, s := range spaces {
			if err := admin.Get(t.Context(), client.ObjectKeyFromObject(s), s); err != nil {
				return err.Error()
			}
			if !isReady(s.Status.Conditions, s.Generation) {
				return fmt.Sprintf("%+v", s.Status)
			}
			quota := &corev1.ResourceQuota{}
			if err := admin.Get(t.Context(), client.ObjectKey{Namespace: s.Status.Namespace, Name: v1alpha1.QuotaName}, quota); err != nil {
				return err.Error()
			}
			pods, want := quota.Status.Hard["pods"], owner.Status.Ledger[i].Held["pods"]
			expected := int64(100)
			if s.Name == "a" {
				expected = s.Spec.Quota.Pods().Value()
			} else if len(spaces) == 2 {
				expected -= spaces[0].Spec.Quota.Pods().Value()
			}
			if pods.Cmp(want) != 0 || pods.Value() != expected {
				return fmt.Sprintf("space %s: pods %s, ledger %s, want %d", s.Name, pods.String(), want.String(), expected)
			}
		}
		return ""
	})
}

func isReady(conditions []metav1.Condition, generation int64) bool {
	c := meta.FindStatusCondition(conditions, v1alpha1.ConditionReady)
	return c != nil && c.Status == metav1.ConditionTrue && c.ObservedGeneration == generation
}

func (l *life) gone(t *testing.T, objects ...client.Object) {
	t.Helper()
	for _, o := range objects {
		l.until(t, fmt.Sprintf("%T %s is gone", o, o.GetName()), func() string {
			if err := admin.Get(t.Context(), client.ObjectKeyFromObject(o), o); err == nil {
				return fmt.Sprintf("%+v", o)
			}
			return ""
		})
	}
}

// look waits until all is as in the undisturbed life at this stage; in that life itself, until nothing moves any more. Then
// the next stage begins.
func (l *life) look(t *testing.T) {
	t.Helper()
	stage := len(l.snapshots)
	defer func() { l.counts = append(l.counts, int(l.writes.Swap(0))) }()
	if l.like == nil {
		const still = 8
		last, same := "", 0
		eventually(t, lifePatience, stages[stage]+": nothing moves", func() string {
			if now := l.picture(t); now != last {
				last, same = now, 0
			}
			if same++; same < still {
				return "it moves"
			}
			return ""
		})
		l.snapshots = append(l.snapshots, last)
		return
	}
	want, now := l.like.snapshots[stage], ""
	defer func() {
		if t.Failed() { // a difference is too much work to be made for every look
			t.Logf("died at: %v\n-undisturbed +now\n%s", l.epitaph.Load(), cmp.Diff(want, now))
		}
	}()
	l.until(t, stages[stage]+": as undisturbed", func() string {
		if now = l.picture(t); now != want {
			return "it differs"
		}
		return ""
	})
	l.snapshots = append(l.snapshots, want)
}

// picture is everything that exists for the tenant, without what differs from life to life.
func (l *life) picture(t *testing.T) string {
	t.Helper()
	picture, err := testcluster.Picture(t.Context(), admin, l.name)
	if err != nil {
		t.Fatal(err)
	}
	return picture
}

// feed is the cache that all lives share, and says of which tenant something changed.
type feed struct {
	cache cache.Cache

	mu sync.Mutex
	// changes are closed at the next change of the tenant's.
	changes map[string]chan struct{}
}

// next is closed at the next change of something of the tenant's.
func (f *feed) next(tenant string) <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.changes[tenant] == nil {
		f.changes[tenant] = make(chan struct{})
	}
	return f.changes[tenant]
}

func (f *feed) note(in any) {
	if gone, is := in.(toolscache.DeletedFinalStateUnknown); is {
		in = gone.Obj
	}
	o := in.(client.Object)
	tenant := o.GetLabels()[v1alpha1.LabelTenant]
	if _, is := o.(*v1alpha1.Tenant); is {
		tenant = o.GetName()
	} else if of, is := v1alpha1.TenantOfHome(o.GetNamespace()); is {
		tenant = of
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if changed := f.changes[tenant]; changed != nil {
		close(changed)
		delete(f.changes, tenant)
	}
}

func startCache(t *testing.T) *feed {
	t.Helper()
	options := run.Caches()
	options.Scheme = run.Scheme()
	shared, err := cache.New(bulkhead, options)
	if err != nil {
		t.Fatal(err)
	}
	for _, index := range []func(context.Context, client.FieldIndexer) error{tenant.Index, space.Index} {
		if err := index(t.Context(), shared); err != nil {
			t.Fatal(err)
		}
	}
	kinds := []client.Object{
		&v1alpha1.Platform{}, &v1alpha1.Tenant{}, &v1alpha1.Space{}, &v1alpha1.Waiver{}, &v1alpha1.IsolationReport{},
		&corev1.Node{}, &storagev1.StorageClass{}, &nodev1.RuntimeClass{},
	}
	for _, kind := range apply.Kinds() {
		kinds = append(kinds, kind.Object)
	}
	f := &feed{cache: shared, changes: map[string]chan struct{}{}}
	go func() { _ = shared.Start(t.Context()) }()
	for _, kind := range kinds {
		informer, err := shared.GetInformer(t.Context(), kind)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
			AddFunc: f.note, UpdateFunc: func(_, now any) { f.note(now) }, DeleteFunc: f.note,
		}); err != nil {
			t.Fatal(err)
		}
	}
	if !shared.WaitForCacheSync(t.Context()) {
		t.Fatal("the cache does not fill")
	}
	return f
}

// agreeable finds everybody isolated: these tests are about writes, and a proof makes none.
type agreeable struct{ clock clock.PassiveClock }

func (a agreeable) Prove(_ context.Context, t *v1alpha1.Tenant, spaces []v1alpha1.Space, _ []string) (v1alpha1.Proof, error) {
	platform := &v1alpha1.Platform{ObjectMeta: metav1.ObjectMeta{Generation: platformGeneration()}}
	return v1alpha1.Proof{Verdict: v1alpha1.Isolated, Time: metav1.NewTime(a.clock.Now()), Asked: 12, Scope: v1alpha1.ScopeOf(t, platform, spaces)}, nil
}

func platformGeneration() int64 {
	p := &v1alpha1.Platform{}
	if err := admin.Get(context.Background(), client.ObjectKey{Name: v1alpha1.PlatformName}, p); err != nil {
		return 0
	}
	return p.Generation
}

type noEvents struct{}

func (noEvents) Eventf(runtime.Object, runtime.Object, string, string, string, string, ...any) {}
