package drills_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/internal/testcluster"
)

// stages of a life, after each of which it is looked at.
var stages = []string{"born", "settled", "changed", "changed back", "shrunk", "gone"}

// life of a tenant with two Spaces: it comes, grows, becomes something else and what it was before, shrinks and goes.
type life struct {
	site *site
	name string
	// like is a life that nobody disturbed; nil for that one itself.
	like *life
	// disturb is called when something was declared and is on its way; nil to leave it alone.
	disturb func(t *testing.T, stage string)
	// clue is told with whatever goes wrong.
	clue string

	pictures []string
}

// calm is the undisturbed life that all others are compared with; lived once.
var calm *life

// undisturbed lives it, with controllers of its own. The caller has the shared site to itself.
func undisturbed(t *testing.T) *life {
	t.Helper()
	if calm == nil {
		controllers := shared.start(t, nil)
		shared.ready(t, platform())
		l := &life{site: shared, name: "calm"}
		l.live(t)
		controllers.stop(t)
		calm = l
	}
	return calm
}

// live goes through all stages. After each, everything that exists for the tenant must be as in the undisturbed life.
func (l *life) live(t *testing.T) {
	t.Helper()
	s := l.site
	tenant, a, b := newTenant(l.name), newSpace(l.name, "a"), newSpace(l.name, "b")
	must(t, s.admin.Create(t.Context(), tenant))
	l.look(t, tenant)
	must(t, s.admin.Create(t.Context(), a))
	must(t, s.admin.Create(t.Context(), b))
	l.look(t, tenant, a, b)
	before, asBefore := tenant.Spec.DeepCopy(), a.Spec.DeepCopy()
	other := func() {
		tenant.Spec.Owners = append(tenant.Spec.Owners, v1alpha1.Owner{Kind: "Group", Name: l.name + "-team"})
		tenant.Spec.IngressHosts = []string{"shop.example.com"}
		tenant.Spec.Workloads[0].APIAccess = "OwnNamespaces"
	}
	otherSpace := func() {
		a.Spec.Quota = corev1.ResourceList{"pods": resource.MustParse("20")}
		a.Spec.To = []v1alpha1.Flow{{Space: "b"}, {CIDR: "203.0.113.0/24"}}
	}
	// There, back without waiting, and there again; then back.
	s.edit(t, tenant, other)
	s.edit(t, a, otherSpace)
	s.edit(t, tenant, func() { tenant.Spec = *before.DeepCopy() })
	s.edit(t, a, func() { a.Spec = *asBefore.DeepCopy() })
	s.edit(t, tenant, other)
	s.edit(t, a, otherSpace)
	l.look(t, tenant, a, b)
	s.edit(t, tenant, func() { tenant.Spec = *before.DeepCopy() })
	s.edit(t, a, func() { a.Spec = *asBefore.DeepCopy() })
	l.look(t, tenant, a, b)
	must(t, s.admin.Delete(t.Context(), b))
	l.look(t, tenant, a)
	must(t, s.admin.Delete(t.Context(), tenant))
	l.look(t)
}

// look waits until only these are declared and each is Ready, and until all is as in the undisturbed life at this stage;
// in that life itself, until nothing moves any more.
func (l *life) look(t *testing.T, declared ...client.Object) {
	t.Helper()
	stage := len(l.pictures)
	if l.disturb != nil {
		l.disturb(t, stages[stage])
	}
	eventually(t, fmt.Sprintf("%s %s: what was deleted is gone%s", l.name, stages[stage], l.clue), func() string {
		have, err := l.declared(t)
		if err != nil || have == len(declared) {
			return complaint(err)
		}
		return fmt.Sprintf("there are %d Tenants and Spaces, not %d", have, len(declared))
	})
	l.site.ready(t, declared...)
	const still = 20
	last, same := "", 0
	defer func() {
		if t.Failed() && l.like != nil { // a difference is too much work to be made for every look
			t.Logf("-undisturbed +now\n%s", cmp.Diff(strings.Split(l.like.pictures[stage], "\n"), strings.Split(last, "\n")))
		}
	}()
	eventually(t, fmt.Sprintf("%s %s: as undisturbed%s", l.name, stages[stage], l.clue), func() string {
		now, err := testcluster.Picture(t.Context(), l.site.admin, l.name)
		if err != nil {
			return err.Error()
		}
		if now != last {
			last, same = now, 0
		}
		if l.like != nil {
			if now != l.like.pictures[stage] {
				return "it differs"
			}
			return ""
		}
		if same++; same < still {
			return "it moves"
		}
		return ""
	})
	l.pictures = append(l.pictures, last)
}

// declared is how many there are of the tenant and its Spaces.
func (l *life) declared(t *testing.T) (int, error) {
	t.Helper()
	spaces := &v1alpha1.SpaceList{}
	if err := l.site.admin.List(t.Context(), spaces, client.InNamespace(v1alpha1.HomeNamespace(l.name))); err != nil {
		return 0, err
	}
	err := l.site.admin.Get(t.Context(), client.ObjectKey{Name: l.name}, &v1alpha1.Tenant{})
	if err == nil {
		return len(spaces.Items) + 1, nil
	}
	return len(spaces.Items), client.IgnoreNotFound(err)
}
