package drills_test

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/internal/run"
)

// Promise: a leader whose lease is taken from it, in the middle of whatever it does, ends; the one that stood by goes on, and
// the tenant's life goes as if nothing had been.
func TestLeaseLost(t *testing.T) {
	s, calm := use(t), undisturbed(t)
	electing := func(o *run.Options) { o.LeaderElect = true }
	leader := s.start(t, electing)
	s.led(t) // a Platform that an earlier process left Ready says nothing of this one
	s.ready(t, platform())
	standby := s.start(t, electing)
	lives := &life{site: s, name: "orphaned", like: calm, disturb: func(t *testing.T, stage string) {
		if stage != "changed" {
			return
		}
		s.takeLease(t)
		select {
		case <-leader.ended:
		case <-time.After(patience):
			t.Fatalf("the leader works on %s after its lease was taken", patience)
		}
		if leader.err == nil || !strings.Contains(leader.err.Error(), "leader election lost") {
			t.Errorf("the leader ended with %v, want that its lease is lost", leader.err)
		}
		leader.err = nil // told
	}}
	lives.live(t)
	standby.stop(t)
}

// lease that the leader holds.
func lease() *coordinationv1.Lease {
	return &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: v1alpha1.SystemNamespace, Name: "bulkhead"}}
}

// led waits until somebody holds the lease.
func (s *site) led(t *testing.T) {
	t.Helper()
	eventually(t, "the lease", func() string {
		held := lease()
		if err := s.admin.Get(t.Context(), client.ObjectKeyFromObject(held), held); err != nil {
			return err.Error()
		}
		if held.Spec.HolderIdentity == nil || *held.Spec.HolderIdentity == "" {
			return "nobody holds it"
		}
		return ""
	})
}

// takeLease makes somebody else its holder, who never renews it.
func (s *site) takeLease(t *testing.T) {
	t.Helper()
	lease := lease()
	s.edit(t, lease, func() {
		now := metav1.NowMicro()
		lease.Spec.HolderIdentity, lease.Spec.RenewTime = new("usurper"), &now
	})
}

// Promise: the API server may be killed (SIGKILL) underneath the controllers in the middle of whatever they do: a tenant's
// life goes as if it had not been, and no control is absent at any time.
func TestAPIServerKilled(t *testing.T) {
	calm := undisturbed(t) // with the shared site to itself: all that use it are parallel
	t.Parallel()
	g := newGround(t)
	controllers := g.start(t, nil)
	g.ready(t, platform())
	recorder := g.record(t)
	l := &life{site: g.site, name: "shaken", like: calm, disturb: func(t *testing.T, stage string) {
		if stage == "settled" || stage == "changed" {
			g.killAPIServer(t)
		}
	}}
	l.live(t)
	recorder.check(t)
	controllers.stop(t)
}

// killAPIServer kills it without warning; what watches over it starts it again.
func (g *ground) killAPIServer(t *testing.T) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(g.dir, "run", "kube-apiserver.pid"))
	must(t, err)
	pid, err := strconv.Atoi(strings.Fields(string(text))[0])
	must(t, err)
	must(t, syscall.Kill(pid, syscall.SIGKILL))
}

// Promise: a clock that jumps changes nothing but what goes by the clock: forward over a Waiver's end, the Waiver is over and
// its mark gone; back, proofs that bear a time to come count for nothing and are made again, and all is as it was.
func TestClockJumps(t *testing.T) {
	s, clock := use(t), &shifted{}
	at := func(o *run.Options) { o.Clock = clock }
	controllers := s.start(t, at)
	s.ready(t, platform())
	tenant, space := newTenant("timely"), newSpace("timely", "a")
	must(t, s.admin.Create(t.Context(), tenant))
	s.ready(t, tenant)
	must(t, s.admin.Create(t.Context(), space))
	waiver := &v1alpha1.Waiver{ObjectMeta: metav1.ObjectMeta{Name: "timely-images"}, Spec: v1alpha1.WaiverSpec{
		Control: "images", Tenant: "timely", Workload: "web", Reason: "the mirror is being set up", Approver: "security",
		Expires: metav1.NewTime(clock.Now().Add(time.Hour).Truncate(time.Second)),
	}}
	must(t, s.admin.Create(t.Context(), waiver))
	s.waives(t, waiver, space, true)
	s.ready(t, tenant, space)
	controllers.stop(t)

	clock.by = 2 * time.Hour
	controllers = s.start(t, at)
	s.waives(t, waiver, space, false)
	s.ready(t, tenant, space)
	s.provenAt(t, tenant, clock.Now())
	controllers.stop(t)

	clock.by = 0
	controllers = s.start(t, at)
	s.waives(t, waiver, space, true)
	s.ready(t, tenant, space)
	s.provenAt(t, tenant, clock.Now())
	for _, o := range []client.Object{waiver, space, tenant} {
		must(t, s.admin.Delete(t.Context(), o))
	}
	s.gone(t, space, tenant)
	controllers.stop(t)
}

// shifted is the machine's clock, set forward. It is set while nobody looks at it.
type shifted struct{ by time.Duration }

// Now is later by that much.
func (s *shifted) Now() time.Time { return time.Now().Add(s.by) }

// Since is how long ago that is.
func (s *shifted) Since(t time.Time) time.Duration { return s.Now().Sub(t) }

// waives waits until a Waiver is in force in a Space, or is not, by its own word and by the namespace's mark.
func (s *site) waives(t *testing.T, waiver *v1alpha1.Waiver, space *v1alpha1.Space, want bool) {
	t.Helper()
	eventually(t, "the Waiver's force", func() string {
		if err := s.admin.Get(t.Context(), client.ObjectKeyFromObject(waiver), waiver); err != nil {
			return err.Error()
		}
		if err := s.admin.Get(t.Context(), client.ObjectKeyFromObject(space), space); err != nil {
			return err.Error()
		}
		active := conditionOf(waiver, v1alpha1.ConditionActive)
		if (active.Status == metav1.ConditionTrue) != want || (len(waiver.Status.Namespaces) > 0) != want || (len(space.Status.Waived) > 0) != want {
			return active.Message
		}
		return ""
	})
}

// provenAt waits for a proof of this time, give or take a minute.
func (s *site) provenAt(t *testing.T, tenant *v1alpha1.Tenant, when time.Time) {
	t.Helper()
	eventually(t, "the time of the proof", func() string {
		if err := s.admin.Get(t.Context(), client.ObjectKeyFromObject(tenant), tenant); err != nil {
			return err.Error()
		}
		if proof := tenant.Status.Proof; proof == nil || proof.Time.Sub(when).Abs() > time.Minute {
			return "it is not renewed"
		}
		return ""
	})
}
