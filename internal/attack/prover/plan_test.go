package prover

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/hostile"
	"github.com/bulkhead-dev/bulkhead/internal/attack/engine"
)

func testWorld() *engine.World {
	w := &engine.World{
		Platform: &v1alpha1.Platform{Spec: v1alpha1.PlatformSpec{Registries: []string{"registry.example.com"}}},
		Tenant: &v1alpha1.Tenant{
			ObjectMeta: metav1.ObjectMeta{Name: "acme", UID: "u"},
			Spec: v1alpha1.TenantSpec{
				Owners:    []v1alpha1.Owner{{Kind: "User", Name: "jane"}},
				Workloads: []v1alpha1.Workload{{Name: "web"}},
			},
			Status: v1alpha1.TenantStatus{Decisions: []v1alpha1.WorkloadDecision{{Workload: "web", Pattern: "Soft"}}},
		},
		Foreign: []string{"other--web"},
	}
	w.Spaces = []v1alpha1.Space{testSpace("web")}
	return w
}

func testSpace(name string) v1alpha1.Space {
	return v1alpha1.Space{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "tenant-acme", Generation: 1},
		Spec:       v1alpha1.SpaceSpec{Workload: "web"},
		Status: v1alpha1.SpaceStatus{
			Namespace: "acme--" + name, Pattern: "Soft",
			Quota: corev1.ResourceList{corev1.ResourceLimitsCPU: resource.MustParse("2")},
		},
	}
}

// prove makes the world one whose previous proof was good.
func prove(w *engine.World) {
	w.Tenant.Status.Proof = &v1alpha1.Proof{Verdict: v1alpha1.Isolated, Scope: scope(w)}
}

// requests that a plan costs, its harmless twins counted once each, as the prover asks them.
func requests(tasks []engine.Task) int {
	twins := map[string]bool{}
	for _, t := range tasks {
		twins[t.Scene.Subject.String()+t.Scene.Namespace()+t.Attack.Twin.Title] = true
	}
	return len(tasks) + len(twins) + 1 // the Platform
}

func mustPlan(t *testing.T, w *engine.World, now time.Time, complete bool) []engine.Task {
	t.Helper()
	tasks, err := plan(w, now, complete)
	if err != nil {
		t.Fatal(err)
	}
	return tasks
}

// At a thousand tenants the proof must not dominate: a routine proof of one Space costs at most 30 requests.
func TestRoutineProofIsCheap(t *testing.T) {
	for name, owners := range map[string][]v1alpha1.Owner{
		"user":           {{Kind: "User", Name: "jane"}},
		"user and group": {{Kind: "User", Name: "jane"}, {Kind: "Group", Name: "devs"}},
		"many of a kind": {{Kind: "Group", Name: "a"}, {Kind: "Group", Name: "b"}, {Kind: "Group", Name: "c"}},
	} {
		t.Run(name, func(t *testing.T) {
			most := 30
			if name == "user and group" {
				most += 6 // a second kind of owner is asked about its rights
			}
			w := testWorld()
			w.Tenant.Spec.Owners = owners
			for second := range 50 {
				n := requests(mustPlan(t, w, time.Unix(int64(second), 0), false))
				if n > most {
					t.Errorf("%d requests", n)
				}
				prove(w)
			}
		})
	}
}

// Every proof asks every one of the questions, whatever the choice of the day.
func TestEveryProofAsksEveryQuestion(t *testing.T) {
	w := testWorld()
	for second := range 200 {
		asked := map[string]bool{}
		for _, task := range mustPlan(t, w, time.Unix(int64(second), 0), false) {
			asked[task.Attack.ID] = true
		}
		for _, q := range Questions()[:12] {
			if !slices.ContainsFunc(q.Forms, func(a hostile.Case) bool { return asked[a.ID] }) {
				t.Fatalf("at %d no task asked %q", second, q.Asks)
			}
		}
		prove(w)
	}
}

// Over time, every form, owner, foreign namespace and Space gets its turn.
func TestChoiceReachesEverything(t *testing.T) {
	w := testWorld()
	w.Tenant.Spec.Owners = []v1alpha1.Owner{{Kind: "Group", Name: "a"}, {Kind: "Group", Name: "b"}, {Kind: "User", Name: "c"}}
	w.Foreign = []string{"other--web", "third--web"}
	w.Spaces = nil
	for i := range 5 {
		w.Spaces = append(w.Spaces, testSpace(fmt.Sprintf("s%d", i)))
	}
	w.Tenant.Spec.Workloads = append(w.Tenant.Spec.Workloads, v1alpha1.Workload{Name: "api", APIAccess: "OwnNamespaces"})
	w.Tenant.Status.Decisions = append(w.Tenant.Status.Decisions, v1alpha1.WorkloadDecision{Workload: "api"})
	w.Spaces[4].Spec.Workload = "api"
	prove(w)
	seen := map[string]bool{}
	for i := range 400 {
		for _, task := range mustPlan(t, w, time.Unix(int64(i)*300, 0), false) { // proofs at a fixed interval
			seen[task.Attack.ID], seen[task.Scene.Subject.String()], seen[task.Scene.Namespace()], seen[task.Scene.Foreign] = true, true, true, true
		}
	}
	var want []string
	for _, q := range Questions()[:12] {
		for _, a := range q.Forms {
			want = append(want, a.ID)
		}
	}
	want = append(want, "group a", "group b", "user c", "acme--s0", "acme--s4", "service account acme--s3/default", "other--web", "third--web")
	for _, w := range want {
		if !seen[w] {
			t.Errorf("never asked: %s", w)
		}
	}
}

// A bad answer never goes away because the next proof happens not to ask: what was found wanting is asked in full.
func TestSuspectControlsAreAskedInFull(t *testing.T) {
	w := testWorld()
	w.Tenant.Spec.Owners = append(w.Tenant.Spec.Owners, v1alpha1.Owner{Kind: "User", Name: "joe"})
	w.Spaces = []v1alpha1.Space{testSpace("a"), testSpace("b"), testSpace("c"), testSpace("d")}
	w.Tenant.Status.Proof = &v1alpha1.Proof{Verdict: v1alpha1.Exposed, Scope: scope(w), Failures: []v1alpha1.ProofFailure{
		{Control: "rbac-enumerate", Verdict: v1alpha1.Exposed}, {Control: "pod-security", Verdict: v1alpha1.Unknown}}}
	asked := map[string]bool{}
	for _, task := range mustPlan(t, w, time.Unix(1, 0), false) {
		asked[strings.Join([]string{task.Attack.ID, task.Scene.Subject.String(), task.Scene.Namespace()}, " ")] = true
	}
	for _, a := range Questions()[1].Forms {
		for _, who := range []string{"user jane ", "user joe ", "service account acme--d/default acme--d"} {
			if !asked[a.ID+" "+who] {
				t.Errorf("not asked: %s as %s", a.ID, who)
			}
		}
	}
	for _, a := range Questions()[4].Forms {
		for _, where := range []string{"acme--a", "acme--b", "acme--c", "acme--d"} {
			if !asked[a.ID+" user jane "+where] && !asked[a.ID+" user joe "+where] {
				t.Errorf("not asked: %s in %s", a.ID, where)
			}
		}
	}
}

// After a proof that could not report all that it found, or that has no result, everything is asked.
func TestEverythingIsAskedAfterAnIncompleteProof(t *testing.T) {
	w := testWorld()
	w.Tenant.Status.Proof = &v1alpha1.Proof{Verdict: v1alpha1.Unknown, Scope: scope(w), Failures: []v1alpha1.ProofFailure{{Control: wholeProof, Verdict: v1alpha1.Unknown}}}
	now := time.Unix(1, 0)
	if got, want := len(mustPlan(t, w, now, false)), len(mustPlan(t, w, now, true)); got != want {
		t.Errorf("%d attacks planned of %d", got, want)
	}
}

// A Space of which no proof covers what is enforced now is asked in every proof.
func TestUnprovenSpacesAreAlwaysAsked(t *testing.T) {
	w := testWorld()
	w.Spaces = []v1alpha1.Space{testSpace("a"), testSpace("b"), testSpace("c"), testSpace("changed")}
	prove(w)
	w.Spaces[3].Status.Revision = "other"
	w.Spaces = append(w.Spaces, testSpace("new"))
	for second := range 20 {
		var where []string
		for _, task := range mustPlan(t, w, time.Unix(int64(second), 0), false) {
			where = append(where, task.Scene.Namespace())
		}
		for _, space := range []string{"acme--new", "acme--changed"} {
			if !slices.Contains(where, space) {
				t.Fatalf("at %d no task asked in %s", second, space)
			}
		}
	}
}

// Owners are asked about their rights even when the tenant has no Space.
func TestTenantWithoutSpacesIsAskedAboutItsRights(t *testing.T) {
	w := testWorld()
	w.Spaces = nil
	asked := map[string]bool{}
	for _, task := range mustPlan(t, w, time.Unix(0, 0), false) {
		asked[task.Attack.Control] = true
	}
	for _, control := range []string{"rbac-own", "rbac-enumerate"} {
		if !asked[control] {
			t.Errorf("%s was not asked", control)
		}
	}
}

// What depends on the decision or is waived is asked exactly where it is in force.
func TestAttacksApplyWhereTheirControlIsInForce(t *testing.T) {
	tests := map[string]struct {
		change func(*engine.World)
		with   []string
		out    []string
	}{
		"soft":       {func(*engine.World) {}, []string{"token", "images", "node-affinity"}, []string{"runtime"}},
		"sandboxed":  {func(w *engine.World) { w.Tenant.Status.Decisions[0].RuntimeClass = "gvisor" }, []string{"runtime"}, nil},
		"api access": {func(w *engine.World) { w.Tenant.Spec.Workloads[0].APIAccess = "OwnNamespaces" }, []string{"token"}, nil},
		"waived": {func(w *engine.World) {
			w.Spaces[0].Status.Waived = []v1alpha1.WaivedControl{{Control: "images", Waiver: "ocr"}, {Control: "pod-security", Waiver: "legacy"}}
		},
			[]string{"pod-security", "priority"}, []string{"images"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			w := testWorld()
			test.change(w)
			asked := map[string]bool{}
			for _, task := range mustPlan(t, w, time.Unix(0, 0), true) {
				asked[task.Attack.Control] = true
			}
			for _, control := range test.with {
				if !asked[control] {
					t.Errorf("%s was not asked", control)
				}
			}
			for _, control := range test.out {
				if asked[control] {
					t.Errorf("%s was asked", control)
				}
			}
		})
	}
}

// A change of the Platform or of the Tenant may change what every Space allows, so that all are asked again.
func TestEverySpaceIsAskedAfterAChangeOfPlatformOrTenant(t *testing.T) {
	for name, change := range map[string]func(*engine.World){
		"platform": func(w *engine.World) { w.Platform.Generation++ },
		"tenant":   func(w *engine.World) { w.Tenant.Generation++ },
	} {
		t.Run(name, func(t *testing.T) {
			w := testWorld()
			w.Spaces = []v1alpha1.Space{testSpace("a"), testSpace("b"), testSpace("c"), testSpace("d")}
			prove(w)
			change(w)
			where := map[string]bool{}
			for _, task := range mustPlan(t, w, time.Unix(0, 0), false) {
				where[task.Scene.Namespace()] = true
			}
			for _, space := range w.Spaces {
				if !where[space.Status.Namespace] {
					t.Errorf("no task asked in %s", space.Status.Namespace)
				}
			}
		})
	}
}

func TestOwnNamespacesAreNotForeign(t *testing.T) {
	w := testWorld()
	if got := foreignTo(w.Tenant, []string{"acme--web", "tenant-acme", "", "acme-two--web"}); !slices.Equal(got, []string{"acme-two--web"}) {
		t.Errorf("got %q", got)
	}
	if got := foreignTo(w.Tenant, []string{"acme--web"}); !slices.Equal(got, []string{"kube-system"}) {
		t.Errorf("got %q", got)
	}
}
