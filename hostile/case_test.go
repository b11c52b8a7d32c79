package hostile

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
)

// testScene has everything that a case may take from a platform, a tenant and a Space.
func testScene(t *testing.T) Scene {
	t.Helper()
	owner := v1alpha1.Owner{Kind: "User", Name: "jane"}
	subject, err := OwnerSubject(owner)
	if err != nil {
		t.Fatal(err)
	}
	space := &v1alpha1.Space{ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: "tenant-acme"}, Spec: v1alpha1.SpaceSpec{Workload: "web"}}
	space.Status.Namespace = "acme--web"
	space.Status.Quota = corev1.ResourceList{corev1.ResourceLimitsCPU: resource.MustParse("2")}
	return Scene{
		Subject: subject, Space: space, Foreign: "other--web",
		Platform: &v1alpha1.Platform{Spec: v1alpha1.PlatformSpec{Registries: []string{"registry.example.com", "mirror.example.com/library/"}, StorageClasses: []string{"fast"}, ExternalNames: []string{"example.com"}, PriorityClasses: []string{"pushy", "polite"}}},
		Tenant: &v1alpha1.Tenant{ObjectMeta: metav1.ObjectMeta{Name: "acme"}, Spec: v1alpha1.TenantSpec{
			Owners: []v1alpha1.Owner{owner}, Workloads: []v1alpha1.Workload{{Name: "web"}}, IngressHosts: []string{"acme.example.com"}}},
		Facts: &Facts{Node: "node", Flows: map[string]string{}, Lists: map[string]string{}, Reclaim: map[string]string{}, Preempts: map[string]bool{"pushy": true, "polite": false}},
	}
}

// ask makes a step's question, on a harmless object where it acts on one.
func ask(t *testing.T, s Scene, step *Step) Ask {
	t.Helper()
	if step.On != "" {
		request, err := Target(s, step.On)
		if err != nil {
			t.Fatal(err)
		}
		if s.Target, err = plain(request.Body); err != nil {
			t.Fatal(err)
		}
	}
	question, err := step.Ask(s)
	if err != nil {
		t.Fatalf("%s: %v", step.Title, err)
	}
	return question
}

func text(t *testing.T, v any) string {
	t.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// The catalogue is data that must hang together: a wrong row would be a question that cannot fail.
func TestEveryCaseIsComplete(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range All() {
		if seen[c.ID] {
			t.Errorf("%s is there twice", c.ID)
		}
		seen[c.ID] = true
		if !strings.HasPrefix(c.ID, c.Control+"/") || c.Title == "" || c.By == 0 || c.Refusal.By == "" {
			t.Errorf("%s is incomplete: %+v", c.ID, c)
		}
		if c.Twin.Ask == nil || c.Attempt.Ask == nil || c.Twin.Title == c.Attempt.Title {
			t.Errorf("%s has no attempt that differs from its harmless twin", c.ID)
		}
		if c.Refusal.By == Policy && (c.Refusal.Name == "" || c.Refusal.Says == "") {
			t.Errorf("%s expects a policy without its name or its words", c.ID)
		}
		if got, found := ByID(c.ID); !found || got.Title != c.Title {
			t.Errorf("%s is not found by its id", c.ID)
		}
	}
	if _, found := ByID("images/none"); found {
		t.Error("a case is found that does not exist")
	}
}

// Promise: an attempt asks something else than its twin; and one that creates an object of its twin's kind differs from it in one
// place alone, so that nothing else can be the reason of the refusal.
func TestAttemptsDifferFromTheirTwinInOnePlace(t *testing.T) {
	s := testScene(t)
	compared := 0
	for _, c := range All() {
		if c.Applies != nil && !c.Applies(s) {
			continue
		}
		twin, attempt := ask(t, s, &c.Twin), ask(t, s, &c.Attempt)
		if text(t, twin) == text(t, attempt) && c.Refusal.By != fair && !strings.HasPrefix(c.ID, "quota/bounds-") && c.ID != "quota/spaces" {
			t.Errorf("%s: the attempt asks what its twin asks", c.ID)
		}
		if twin.DryRun == nil || attempt.DryRun == nil || twin.DryRun.Resource != attempt.DryRun.Resource || !attempt.DryRun.Creates() {
			continue
		}
		compared++
		a, err := plain(twin.DryRun.Body)
		if err != nil {
			t.Fatal(err)
		}
		b, err := plain(attempt.DryRun.Body)
		if err != nil {
			t.Fatal(err)
		}
		if where := differences(a, b); len(where) > maxDifferences[c.ID]+1 {
			t.Errorf("%s differs from its twin in %q", c.ID, where)
		}
	}
	if compared < 100 {
		t.Errorf("only %d cases were compared", compared)
	}
}

// maxDifferences are the cases that need more than one change, or the API itself would refuse them.
var maxDifferences = map[string]int{
	"pod-security/windows-host-process": 1, "pod-security/windows-container-process": 1, "pod-security/proc-unmasked": 1, "defaults/no-limit": 1, "quota/compute": 1,
	"images/pull-ifnotpresent": 1, "images/pull-never": 1, "service-expose/load-balancer": 1, "service-expose/load-balancer-ports-asked": 1, "service-expose/load-balancer-one-port": 2,
	"service-expose/load-balancer-class": 2, "service-expose/load-balancer-address": 2, "service-expose/load-balancer-health": 2, "service-expose/load-balancer-health-port": 3,
	"service-expose/fixed-addresses": 1, "pod-security/user-namespace-root": 2,
	"service-expose/ingress-default-backend-alone": 1, "guardrail/space-template": 2,
}

// differences are the places in which two objects differ, at the first level of the spec, or of a container, that does.
func differences(a, b map[string]any) []string {
	var places []string
	for _, key := range keysOf(a, b) {
		switch {
		case reflect.DeepEqual(a[key], b[key]):
		case key == "spec" || key == "template" || key == "jobTemplate":
			for _, inner := range differences(object(a[key]), object(b[key])) {
				places = append(places, key+"."+inner)
			}
		default:
			places = append(places, key)
		}
	}
	return places
}

func object(v any) map[string]any {
	m, _ := v.(map[string]any)
	return m
}

func keysOf(maps ...map[string]any) []string {
	seen := map[string]bool{}
	var keys []string
	for _, m := range maps {
		for key := range m {
			if !seen[key] {
				seen[key] = true
				keys = append(keys, key)
			}
		}
	}
	return keys
}

// A twin that is shared by title must ask the same thing.
func TestTwinsOfOneTitleAskTheSame(t *testing.T) {
	s := testScene(t)
	seen := map[string]string{}
	for _, c := range All() {
		body := text(t, ask(t, s, &c.Twin))
		if before, known := seen[c.Twin.Title]; known && before != body {
			t.Errorf("%s: %q asks\n%s\nand elsewhere\n%s", c.ID, c.Twin.Title, body, before)
		}
		seen[c.Twin.Title] = body
	}
}

// Promise: what the runner does not know is Unknown: an API server whose resources cannot be discovered was not tried.
func TestWhatIsNotKnownIsNotAsked(t *testing.T) {
	s := testScene(t)
	for _, facts := range []*Facts{nil, {Missing: "metrics.k8s.io does not answer"}} {
		s.Facts = facts
		for _, c := range All() {
			if !strings.Contains(c.ID, "/every-") {
				continue
			}
			if _, err := c.Attempt.Ask(s); err == nil {
				t.Errorf("%s asks though nothing is known to be served", c.ID)
			}
		}
	}
	if got := Worst(nil, nil); got.Problem == "" {
		t.Errorf("nothing asked is %s", got)
	}
}

// Promise: everything that a case would make bears the mark, so it can be found and removed.
func TestEverythingMadeBearsTheMark(t *testing.T) {
	s := testScene(t)
	s.Run, s.Making = "run", "run-1"
	made, err := Harmless(s)
	if err != nil {
		t.Fatal(err)
	}
	for kind, object := range made {
		metadata := fmt.Sprint(object["metadata"])
		if !strings.Contains(metadata, v1alpha1.LabelAttack+":run") || !strings.Contains(metadata, v1alpha1.AttackPrefix) {
			t.Errorf("the harmless one of %s has the metadata %s", kind, metadata)
		}
	}
	for _, c := range All() {
		if c.Applies != nil && !c.Applies(s) {
			continue
		}
		question := ask(t, s, &c.Attempt)
		requests := []*Request{question.DryRun}
		if question.Real != nil {
			requests = append(requests, &question.Real.Request)
		}
		for _, r := range requests {
			if r == nil || !r.Creates() || r.RightOnly || r.Reads() || r.Resource == "selfsubjectreviews" {
				continue
			}
			if body := text(t, r.Body); !strings.Contains(body, `"`+v1alpha1.LabelAttack+`":"run"`) {
				t.Errorf("%s would make %s", c.ID, body)
			}
		}
	}
}
