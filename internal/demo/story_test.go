package demo

import (
	"errors"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/bulkhead-dev/bulkhead/examples"
)

// forbiddenError is what the API server answers when somebody refuses.
func forbiddenError(says string) error {
	return apierrors.NewForbidden(schema.GroupResource{Resource: "pods"}, "p", errors.New(says))
}

const (
	policySays = `ValidatingAdmissionPolicy 'bulkhead-images' with binding 'bulkhead-images' denied request: images: image "x" comes from no allowed registry`
	rbacSays   = `User "a" cannot list resource "namespaces" in API group "" at the cluster scope`
	grantSays  = `user "a" (groups=["x" "system:authenticated"]) is attempting to grant RBAC permissions not currently held: {...}`
)

// Promise: who refused is known from the API server's own words, and an error in other words is nobody's refusal.
func TestRefusalsAreTold(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		by   By
		says string
	}{
		"policy":       {forbiddenError(policySays), ByPolicy, `images: image "x" comes from no allowed registry`},
		"pod security": {forbiddenError(`violates PodSecurity "restricted:v1.36": privileged`), ByPodSecurity, `violates PodSecurity`},
		"quota":        {forbiddenError(`exceeded quota: bulkhead, requested: pods=1`), ByQuota, `exceeded quota: bulkhead`},
		"limits":       {forbiddenError(`maximum cpu usage per Container is 2, but limit is 3`), ByLimits, `maximum cpu`},
		"RBAC":         {forbiddenError(rbacSays), ByRBAC, rbacSays},
		"escalation":   {forbiddenError(grantSays), ByRBAC, "attempting to grant"},
		"other words":  {forbiddenError("the moon is full"), ByNobody, "the moon is full"},
		"conflict":     {apierrors.NewConflict(schema.GroupResource{}, "p", errors.New(rbacSays)), ByNobody, "cannot list"},
		"no status":    {errors.New("connection refused: " + rbacSays), ByNobody, "connection refused"},
	} {
		got := refusalIn(c.err)
		if got.by != c.by || !strings.Contains(got.says, c.says) {
			t.Errorf("%s: want %q saying %q, got %q saying %q", name, c.by, c.says, got.by, got.says)
		}
	}
}

// Promise: only the expected control's refusal in the expected words counts, and a success never does.
func TestOnlyTheExpectedRefusalHolds(t *testing.T) {
	images := attempt{control: "images", by: ByPolicy, says: "registry"}
	enumerate := attempt{control: "rbac-enumerate", by: ByRBAC, says: `resource "namespaces"`}
	works := attempt{}
	for name, c := range map[string]struct {
		attempt attempt
		err     error
		holds   bool
	}{
		"the policy":               {images, forbiddenError(policySays), true},
		"a policy of a control":    {attempt{control: "token", by: ByPolicy}, forbiddenError(policySays), false},
		"other words":              {attempt{control: "images", by: ByPolicy, says: "moon"}, forbiddenError(policySays), false},
		"RBAC":                     {enumerate, forbiddenError(rbacSays), true},
		"RBAC instead of a policy": {images, forbiddenError(rbacSays), false},
		"not refused":              {images, nil, false},
		"some other error":         {enumerate, errors.New(rbacSays), false},
		"works":                    {works, nil, true},
		"fails and should work":    {works, forbiddenError(rbacSays), false},
	} {
		got := c.attempt.judge("a", "", c.err)
		if got.Holds != c.holds {
			t.Errorf("%s: want holds=%v, got %+v", name, c.holds, got)
		}
		if failed := len(Failed([]Outcome{got})); (failed == 0) != c.holds {
			t.Errorf("%s: counted as %d failures", name, failed)
		}
	}
}

// Promise: the embedded example loads strictly and holds what the story needs; each workload belongs to a Space.
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
