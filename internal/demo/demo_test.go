package demo

import (
	"context"
	"errors"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/bulkhead-dev/bulkhead/examples"
	"github.com/bulkhead-dev/bulkhead/hostile"
)

// Promise: only the expected authority's refusal in the expected words counts, and a success never does.
func TestOnlyTheExpectedRefusalHolds(t *testing.T) {
	images := hostile.Refusal{By: hostile.Policy, Name: "bulkhead-images", Says: "images: image \"x\" comes from no allowed registry"}
	for name, c := range map[string]struct {
		answer hostile.Answer
		holds  bool
		says   string
	}{
		"the policy":          {hostile.Answer{Refusal: images}, true, "image \"x\" comes from"},
		"another policy":      {hostile.Answer{Refusal: hostile.Refusal{By: hostile.Policy, Name: "bulkhead-priority", Says: images.Says}}, false, "had to refuse it"},
		"other words":         {hostile.Answer{Refusal: hostile.Refusal{By: hostile.Policy, Name: images.Name, Says: "images: the moon is full"}}, false, "the moon is full"},
		"RBAC instead of it":  {hostile.Answer{Refusal: hostile.Refusal{By: hostile.RBAC, Says: images.Says}}, false, "had to refuse it"},
		"not refused":         {hostile.Answer{Allowed: true}, false, "NOT REFUSED"},
		"neither of both":     {hostile.Unclear("no answer"), false, "no answer"},
		"refused and unclear": {hostile.Answer{Refusal: images, Problem: "both"}, false, "both"},
	} {
		foreign, _ := hostile.ByID("images/foreign-registry")
		got := outcomeOf(&foreign, "a", "run an image from elsewhere", c.answer)
		if got.Holds != c.holds || !strings.Contains(got.Says, c.says) || strings.HasPrefix(got.Says, "images: ") {
			t.Errorf("%s: want holds=%v, got %+v", name, c.holds, got)
		}
		if failed := len(Failed([]Outcome{got})); (failed == 0) != c.holds {
			t.Errorf("%s: counted as %d failures", name, failed)
		}
	}
	for err, holds := range map[error]bool{nil: true, errors.New("no"): false} {
		if got := check(t.Context(), "a", "deploy", func(context.Context) (string, error) { return "", err }); got.Holds != holds {
			t.Errorf("%v: %+v", err, got)
		}
	}
}

// Promise: everything that the demo shows as refused is one request of the catalogue, and differs by control.
func TestForbiddenAreCases(t *testing.T) {
	for _, f := range forbidden {
		c, known := hostile.ByID(f.id)
		if !known || c.Attempt.On != "" || f.what == "" {
			t.Errorf("%s is not one request of the catalogue", f.id)
		}
	}
}

// Promise: the embedded example loads strictly and holds what the demo needs; each workload belongs to a Space.
func TestMagazineLoads(t *testing.T) {
	files, err := fs.Sub(examples.Magazine, "magazine")
	if err != nil {
		t.Fatal(err)
	}
	example, err := Load(files)
	if err != nil {
		t.Fatal(err)
	}
	if len(example.Tenants) < 8 {
		t.Errorf("want at least 8 tenants, got %d", len(example.Tenants))
	}
	if kind := example.Declared[0].GetKind(); kind != "Platform" {
		t.Errorf("the Platform must be declared first, not %s", kind)
	}
	spaces := map[string]bool{}
	for _, space := range example.Spaces {
		spaces[strings.TrimPrefix(space.GetNamespace(), "tenant-")+"--"+space.GetName()] = true
	}
	for _, workloads := range example.Workloads {
		if !spaces[workloads.Namespace] {
			t.Errorf("workloads/%s: there is no such Space", workloads.Namespace)
		}
	}
	for _, tenant := range example.Tenants {
		if id := Developer(tenant); id.User == "" || len(id.Groups) == 0 {
			t.Errorf("tenant %s: its developer would be %+v", tenant.Name, id)
		}
	}
}

// Promise: a field that does not exist is an error with the file's name.
func TestLoadIsStrict(t *testing.T) {
	files := fstest.MapFS{"tenants/a.yaml": {Data: []byte("apiVersion: bulkhead.dev/v1alpha1\nkind: Tenant\nmetadata: {name: a}\nspec: {onwers: []}\n")}}
	if _, err := Load(files); err == nil || !strings.Contains(err.Error(), "tenants/a.yaml") || !strings.Contains(err.Error(), "onwers") {
		t.Errorf("want an error with file and field, got %v", err)
	}
}
