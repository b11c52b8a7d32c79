package controller_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	openreports "github.com/openreports/reports-api/apis/openreports.io/v1alpha1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	clocktesting "k8s.io/utils/clock/testing"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/internal/controller/isolationreport"
	"github.com/bulkhead-dev/bulkhead/internal/observe"
	live "github.com/bulkhead-dev/bulkhead/internal/observe/cluster"
	"github.com/bulkhead-dev/bulkhead/internal/run"
	"github.com/bulkhead-dev/bulkhead/internal/status"
	"github.com/bulkhead-dev/bulkhead/isolation"
)

// notRead stands for the exact proof in tests that are not about it: it judges the whole cluster, and in this one other
// tests make a mess on purpose.
func notRead(context.Context) (*observe.World, error) {
	return nil, errors.New("the exact proof has a test of its own")
}

// byHand is the reconciler of isolation reports, with Bulkhead's own rights and a clock that stands still.
type byHand struct {
	*isolationreport.Reconciler
	clock *clocktesting.FakePassiveClock
	told  *events.FakeRecorder
}

func proveByHand(t *testing.T) *byHand {
	t.Helper()
	c, err := client.New(bulkhead, client.Options{Scheme: run.Scheme()})
	if err != nil {
		t.Fatal(err)
	}
	clock, told := clocktesting.NewFakePassiveClock(time.Now()), events.NewFakeRecorder(1000)
	return &byHand{clock: clock, told: told, Reconciler: &isolationreport.Reconciler{
		Client: c, Live: c, Clock: clock, Status: &status.Writer{Client: c, Events: told, Clock: clock},
		Read: follow(t, clock).World,
	}}
}

func follow(t *testing.T, clock clock.PassiveClock) *live.Follower {
	t.Helper()
	f, err := live.Follow(t.Context(), bulkhead, clock)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// pass reconciles once and returns when it is to be next.
func (b *byHand) pass(t *testing.T) (time.Duration, error) {
	t.Helper()
	result, err := b.Reconcile(t.Context(), ctrl.Request{NamespacedName: client.ObjectKey{Name: v1alpha1.PlatformName}})
	return result.RequeueAfter, err
}

// proves sets the clock forward to when the reconciler wants to be called, and calls it.
func (b *byHand) proves(t *testing.T) {
	t.Helper()
	wait, err := b.pass(t)
	if err != nil || wait <= 0 {
		t.Fatalf("it wants to be called in %s: %v", wait, err)
	}
	b.clock.SetTime(b.clock.Now().Add(wait))
	if _, err := b.pass(t); err != nil {
		t.Fatal(err)
	}
}

// events that were told since the last call.
func (b *byHand) events() []string {
	var list []string
	for {
		select {
		case e := <-b.told.Events:
			list = append(list, e)
		default:
			return list
		}
	}
}

// Promise: every tenant has an IsolationReport of the exact proof, made with Bulkhead's own rights; what becomes exposed,
// also where nobody would think of asking, is in it with its witness and the object to blame, in an Event, in the
// ClusterReport of openreports.io, and in the Proven condition; and it is gone from all of them when it is repaired.
func TestIsolationReport(t *testing.T) {
	tenant, space := newTenant("judged"), newSpace("judged", "web")
	stop := start(t, nil)
	create(t, tenant)
	conditionIs(t, tenant, v1alpha1.ConditionEnforced, metav1.ConditionTrue, v1alpha1.ReasonEnforced)
	create(t, space)
	ready(t, tenant, space)
	stop()
	installOpenReports(t)
	t.Cleanup(func() { forgetReports(t) })

	b := proveByHand(t)
	b.proves(t)
	before := reportOn(t, tenant)
	if len(before.Checks) != len(isolation.Checks()) || before.Revision == "" || len(before.OwnerReferences) != 1 || before.OwnerReferences[0].UID != tenant.UID {
		t.Errorf("the report lacks checks, a revision or its owner: %+v", before)
	}
	if blames(before, "judged-reads-elsewhere") {
		t.Fatalf("it blames what is not there yet: %+v", before.Findings)
	}
	b.events()

	role, binding := readsElsewhere("judged-owner")
	create(t, role, binding)
	b.proves(t)
	exposed := reportOn(t, tenant)
	if exposed.Verdict != v1alpha1.Exposed || !blames(exposed, "judged-reads-elsewhere") || exposed.Exposed != before.Exposed+1 {
		t.Errorf("a secret of the platform's can be read, and the report says %s", exposed.Summary())
	}
	if told := b.events(); !slices.ContainsFunc(told, func(e string) bool { return strings.Contains(e, "tenant judged: exact proof: Exposed") }) {
		t.Errorf("no Event tells of it: %q", told)
	}
	if got := clusterReport(t, tenant); got.Summary.Fail != int(exposed.Exposed) || !slices.ContainsFunc(got.Results, func(r openreports.ReportResult) bool {
		return r.Result == "fail" && slices.ContainsFunc(r.Subjects, func(s corev1.ObjectReference) bool { return s.Name == "judged-reads-elsewhere" })
	}) {
		t.Errorf("the ClusterReport does not show it: %+v", got)
	}
	address := freeAddress(t)
	stop = start(t, func(o *run.Options) { o.MetricsAddress = address })
	conditionIs(t, tenant, v1alpha1.ConditionProven, metav1.ConditionFalse, v1alpha1.ReasonExposed)
	eventually(t, patience, "the metrics tell of it", func() string {
		metrics := scrape(t, address)
		for _, want := range []string{
			fmt.Sprintf(`bulkhead_isolation_findings{tenant="judged",verdict="Exposed"} %d`, exposed.Exposed),
			`bulkhead_isolation_report_age_seconds{tenant="judged",verdict="Exposed"} `,
		} {
			if !strings.Contains(metrics, want) {
				return "no " + want
			}
		}
		return ""
	})
	stop()

	if err := admin.Delete(t.Context(), binding); err != nil {
		t.Fatal(err)
	}
	b.proves(t)
	if after := reportOn(t, tenant); after.Verdict != before.Verdict || after.Exposed != before.Exposed {
		t.Errorf("it is repaired, and the report says %s", after.Summary())
	}
}

// Promise: a cluster that cannot be read for longer than the freshness of proofs is an alarm, and no tenant stays proven
// by what was true once.
func TestExactProofGrowsStale(t *testing.T) {
	tenant := newTenant("stale")
	stop := start(t, nil)
	create(t, tenant)
	ready(t, tenant)
	stop()
	t.Cleanup(func() { forgetReports(t) })
	b := proveByHand(t)
	b.proves(t)
	b.events()
	b.Read = notRead
	alarmed := func() bool {
		_, err := b.pass(t)
		if err == nil {
			t.Error("nothing could be read, and that is no error")
		}
		return slices.ContainsFunc(b.events(), func(e string) bool { return strings.Contains(e, v1alpha1.ReasonProofStale) })
	}
	b.clock.SetTime(b.clock.Now().Add(9 * time.Minute)) // of 10
	if alarmed() {
		t.Error("an alarm although the last proof still counts")
	}
	b.clock.SetTime(b.clock.Now().Add(2 * time.Minute))
	if !alarmed() {
		t.Error("no alarm although the last proof says nothing any more")
	}
	start(t, func(o *run.Options) { o.Clock = b.clock })
	conditionIs(t, tenant, v1alpha1.ConditionProven, metav1.ConditionUnknown, v1alpha1.ReasonProofStale)
}

// freeAddress is one on which nobody listens.
func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

// scrape reads the metrics; empty while nobody answers.
func scrape(t *testing.T, address string) string {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address+"/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return ""
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// readsElsewhere grants one secret of the platform's: none that any list of questions would name.
func readsElsewhere(user string) (*rbacv1.Role, *rbacv1.RoleBinding) {
	meta := metav1.ObjectMeta{Namespace: "kube-system", Name: "judged-reads-elsewhere"}
	return &rbacv1.Role{ObjectMeta: meta, Rules: []rbacv1.PolicyRule{
			{APIGroups: []string{""}, Resources: []string{"secrets"}, ResourceNames: []string{"backup-key"}, Verbs: []string{"get"}},
		}}, &rbacv1.RoleBinding{ObjectMeta: meta,
			RoleRef:  rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: meta.Name},
			Subjects: []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: user}},
		}
}

func reportOn(t *testing.T, tenant *v1alpha1.Tenant) *v1alpha1.IsolationReport {
	t.Helper()
	r, err := get(t, &v1alpha1.IsolationReport{}, "", tenant.Name)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func clusterReport(t *testing.T, tenant *v1alpha1.Tenant) *openreports.ClusterReport {
	t.Helper()
	r, err := get(t, &openreports.ClusterReport{}, "", "bulkhead-"+tenant.Name)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func blames(r *v1alpha1.IsolationReport, name string) bool {
	return slices.ContainsFunc(r.Findings, func(f v1alpha1.IsolationFinding) bool {
		return len(f.Steps) > 0 && slices.ContainsFunc(f.Objects, func(o v1alpha1.ObjectReference) bool { return o.Namespace != "" && o.Name == name })
	})
}

// installOpenReports makes the cluster have the kind as its authors define it.
func installOpenReports(t *testing.T) {
	t.Helper()
	dir, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "github.com/openreports/reports-api").Output()
	if err != nil {
		t.Fatal(err)
	}
	crd := filepath.Join(strings.TrimSpace(string(dir)), "config", "crd", "openreports.io_clusterreports.yaml")
	if _, err := envtest.InstallCRDs(cluster.Config, envtest.CRDInstallOptions{Paths: []string{crd}, ErrorIfPathMissing: true}); err != nil {
		t.Fatal(err)
	}
}

// forgetReports lets the tests after this one go by what is asked alone.
func forgetReports(t *testing.T) {
	t.Helper()
	for _, o := range []client.Object{&v1alpha1.IsolationReport{}, &openreports.ClusterReport{}} {
		if err := admin.DeleteAllOf(context.Background(), o); err != nil && !apimeta.IsNoMatchError(err) {
			t.Error(err)
		}
	}
}
