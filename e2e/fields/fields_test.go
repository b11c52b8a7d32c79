package fields_test

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/guardrail/fields"
	"github.com/bulkhead-dev/bulkhead/hostile"
)

// Promise: every field that a request of an owner can carry is classified, and every row classifies a field that is there.
func TestEveryFieldIsClassified(t *testing.T) {
	got := fields.Classify(fields.Ledger(), served, rules)
	for _, field := range got.Unclassified {
		t.Errorf("%s is not classified: add it to its section in guardrail/fields", field)
	}
	for _, row := range got.Stale {
		t.Errorf("%s classifies no field that the API server serves to owners: remove the row", row)
	}
	total := 0
	for _, n := range got.Fields {
		total += n
	}
	if total < 1000 {
		t.Errorf("only %d fields were found: %v", total, got.Fields)
	}
}

// Promise: every field that a control refuses or bounds has hostile requests that set this very field and that this control
// must refuse.
func TestCasesSetTheirFields(t *testing.T) {
	ledger := fields.Ledger()
	for i := range ledger {
		for j := range ledger[i].Rows {
			row := &ledger[i].Rows[j]
			for _, id := range row.CaseIDs() {
				c, found := hostile.ByID(id)
				switch {
				case !found:
					t.Errorf("%s: %s: there is no case %s", ledger[i].Schema, row.Path, id)
				case c.Control != row.By:
					t.Errorf("%s: %s: control %s must refuse %s, not %s", ledger[i].Schema, row.Path, c.Control, id, row.By)
				case !slices.Contains(setBy(t, ledger, &c), row):
					t.Errorf("%s: %s: case %s does not set it", ledger[i].Schema, row.Path, id)
				}
			}
		}
	}
}

// setBy are the rows that classify what the attempt of a case sets and its twin does not.
func setBy(t *testing.T, ledger []fields.Section, c *hostile.Case) []*fields.Row {
	t.Helper()
	var rows []*fields.Row
	for _, s := range scenes(t) {
		attempts, err := requests(s, &c.Attempt)
		if err != nil {
			continue // not of this scene
		}
		twins, err := requests(s, &c.Twin)
		if err != nil {
			t.Fatalf("%s: %v", c.ID, err)
		}
		for _, r := range attempts {
			body := plain(t, r.Body)
			for _, twin := range twins {
				same := twin.Verb == r.Verb && twin.Group == r.Group && twin.Resource == r.Resource && twin.Subresource == r.Subresource
				if harmless := plain(t, twin.Body); same && !reflect.DeepEqual(harmless, body) { // equal ones differ in what they are sent to
					body = difference(harmless, body)
				}
			}
			name := r.Resource
			if r.Subresource != "" {
				name += "/" + r.Subresource
			}
			rows = append(rows, served.Rows(ledger, r.Group, name, body)...)
		}
	}
	return rows
}

// requests of a step that have a body.
func requests(s hostile.Scene, step *hostile.Step) ([]*hostile.Request, error) {
	if step.On != "" {
		made, err := hostile.Target(s, step.On)
		if err != nil {
			return nil, err
		}
		raw, err := json.Marshal(made.Body)
		if err == nil {
			err = json.Unmarshal(raw, &s.Target)
		}
		if err != nil {
			return nil, err
		}
	}
	asked, err := step.Ask(s)
	if err != nil {
		return nil, err
	}
	var list []*hostile.Request
	for _, ask := range append(asked.Every, asked) {
		if ask.DryRun != nil && ask.DryRun.Body != nil {
			list = append(list, ask.DryRun)
		}
		if ask.Real != nil && ask.Real.Request.Body != nil {
			list = append(list, &ask.Real.Request)
		}
		if ask.Real != nil && ask.Real.Then != nil {
			list = append(list, ask.Real.Then)
		}
	}
	return list, nil
}

func plain(t *testing.T, object any) any {
	t.Helper()
	raw, err := json.Marshal(object)
	if err != nil {
		t.Fatal(err)
	}
	var decoded any
	if err := json.Unmarshal(raw, &decoded); err != nil {
		t.Fatal(err)
	}
	return decoded
}

// difference is what an object holds that another does not, and what it leaves out.
func difference(without, with any) any {
	a, b := without, with
	switch {
	case b == nil:
		return a
	case a == nil:
		return b
	}
	if from, is := a.(map[string]any); is {
		to, is := b.(map[string]any)
		if !is {
			return b
		}
		left := map[string]any{}
		for key := range maps.Keys(both(from, to)) {
			if !reflect.DeepEqual(from[key], to[key]) {
				left[key] = difference(from[key], to[key])
			}
		}
		return left
	}
	if from, is := a.([]any); is {
		to, is := b.([]any)
		if !is {
			return b
		}
		var left []any
		for i := range max(len(from), len(to)) {
			switch {
			case i >= len(from):
				left = append(left, to[i])
			case i >= len(to):
				left = append(left, from[i])
			case !reflect.DeepEqual(from[i], to[i]):
				left = append(left, difference(from[i], to[i]))
			}
		}
		return left
	}
	return b
}

func both(a, b map[string]any) map[string]any {
	all := maps.Clone(a)
	maps.Copy(all, b)
	return all
}

// scenes have all that cases ask for: one of a tenant that was given much, one of a tenant that was given nothing.
func scenes(t *testing.T) []hostile.Scene {
	t.Helper()
	owner := v1alpha1.Owner{Kind: "User", Name: "jane"}
	subject, err := hostile.OwnerSubject(owner)
	if err != nil {
		t.Fatal(err)
	}
	space := &v1alpha1.Space{ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: v1alpha1.HomeNamespace("acme")}, Spec: v1alpha1.SpaceSpec{Workload: "web"}}
	space.Status.Namespace = v1alpha1.SpaceNamespace("acme", "web")
	space.Status.Quota = corev1.ResourceList{corev1.ResourceLimitsCPU: resource.MustParse("2")}
	rich := hostile.Scene{
		Subject: subject, Space: space, Foreign: "other--web", Run: "run", Making: "run-1",
		Platform: &v1alpha1.Platform{Spec: v1alpha1.PlatformSpec{Registries: []string{"registry.example.com", "mirror.example.com/library/"},
			StorageClasses: []string{"fast"}, PriorityClasses: []string{"pushy"}, SchedulerNames: []string{"default-scheduler"}, SandboxRuntimes: []string{"gvisor"}}},
		Tenant: &v1alpha1.Tenant{ObjectMeta: metav1.ObjectMeta{Name: "acme"}, Spec: v1alpha1.TenantSpec{Owners: []v1alpha1.Owner{owner},
			Workloads: []v1alpha1.Workload{{Name: "web", APIAccess: "OwnNamespaces"}}, IngressHosts: []string{"acme.example.com"}},
			Status: v1alpha1.TenantStatus{Decisions: []v1alpha1.WorkloadDecision{{Workload: "web", Pattern: "SoftAffinity", RuntimeClass: "gvisor"}}}},
		Facts: &hostile.Facts{Node: "node", Flows: map[string]string{}, Lists: map[string]string{}, Reclaim: map[string]string{}, Runtimes: []string{"runc", "gvisor"},
			Preempts: map[string]bool{"pushy": true}},
	}
	poor := rich
	poor.Platform, poor.Tenant = rich.Platform.DeepCopy(), rich.Tenant.DeepCopy()
	poor.Tenant.Spec.IngressHosts, poor.Tenant.Spec.Workloads = nil, []v1alpha1.Workload{{Name: "web"}}
	poor.Tenant.Status.Decisions = []v1alpha1.WorkloadDecision{{Workload: "web", Pattern: "Soft"}}
	return []hostile.Scene{rich, poor}
}
