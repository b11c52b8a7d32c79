package drills_test

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/internal/testcluster"
)

// Promise: etcd may be restored from an older snapshot underneath the controllers. What is declared in it is what counts
// again. The controllers notice, and end instead of working on with caches of what is no more. Nothing is deleted that is
// not marked as deleted in the store as it is, even though these controllers were deleting it, or had deleted it, before.
func TestStoreRestored(t *testing.T) {
	t.Parallel()
	g := newGround(t)
	controllers := g.start(t, nil)
	g.ready(t, platform())
	// Of these, one changes after the snapshot, one is deleted after it, and of one the Space is being deleted still, held by
	// an object of the tenant's, when the store is lost.
	changed, deleted, held := newTenant("changed"), newTenant("deleted"), newTenant("held")
	var spaces []*v1alpha1.Space
	for _, tenant := range []*v1alpha1.Tenant{changed, deleted, held} {
		must(t, g.admin.Create(t.Context(), tenant))
		g.ready(t, tenant)
		space := newSpace(tenant.Name, "a")
		must(t, g.admin.Create(t.Context(), space))
		spaces = append(spaces, space)
	}
	theirs := map[string]*corev1.ConfigMap{}
	for i, tenant := range []*v1alpha1.Tenant{changed, deleted, held} {
		g.ready(t, tenant, spaces[i])
		o := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: spaces[i].Status.Namespace, Name: "theirs"}}
		if tenant == held {
			o.Finalizers = []string{"example.com/held"}
		}
		must(t, g.admin.Create(t.Context(), o))
		theirs[tenant.Name] = o
	}
	before, namespaces := g.pictures(t, "changed", "deleted", "held"), g.uids(t)
	controllers.stop(t)
	g.cluster.Stop()
	copied := g.snapshot(t)
	g.run(t)

	controllers = g.start(t, nil)
	newer := newTenant("newer")
	must(t, g.admin.Create(t.Context(), newer))
	g.edit(t, changed, func() { changed.Spec.Quota["pods"] = resource.MustParse("50") })
	must(t, g.admin.Delete(t.Context(), deleted))
	must(t, g.admin.Delete(t.Context(), spaces[2]))
	g.gone(t, deleted)
	g.ready(t, newer, changed)
	eventually(t, "the Space is held by what is in its namespace", func() string {
		must(t, g.admin.Get(t.Context(), client.ObjectKeyFromObject(spaces[2]), spaces[2]))
		if len(spaces[2].Status.Remaining) < 2 {
			return strings.Join(spaces[2].Status.Remaining, ", ")
		}
		return ""
	})

	g.cluster.Stop() // the controllers go on
	g.restore(t, copied)
	g.run(t)
	select {
	case <-controllers.ended:
	case <-time.After(patience):
		t.Fatalf("the controllers work on after %s, with caches of what is no more", patience)
	}
	if controllers.err == nil || !strings.Contains(controllers.err.Error(), "gone back") {
		t.Errorf("the controllers ended with %v; want that the store has gone back", controllers.err)
	}
	controllers.err = nil
	g.start(t, nil) // by whoever keeps them running
	g.ready(t, changed, deleted, held, spaces[0], spaces[1], spaces[2])
	eventually(t, "all is as when the snapshot was taken", func() string {
		for tenant, was := range before {
			if now := g.pictures(t, tenant)[tenant]; now != was {
				return tenant + " is\n" + now + "\nand was\n" + was
			}
		}
		return ""
	})
	for name, o := range theirs {
		must(t, g.admin.Get(t.Context(), client.ObjectKeyFromObject(o), o))
		if o.DeletionTimestamp != nil {
			t.Errorf("what tenant %s had is being deleted", name)
		}
	}
	for name, uid := range namespaces {
		if now := g.uids(t)[name]; now != uid {
			t.Errorf("namespace %s is %q, was %q", name, now, uid)
		}
	}
	g.gone(t, newer)
}

func (g *ground) pictures(t *testing.T, tenants ...string) map[string]string {
	t.Helper()
	pictures := map[string]string{}
	for _, tenant := range tenants {
		var err error
		pictures[tenant], err = testcluster.Picture(t.Context(), g.admin, tenant)
		must(t, err)
	}
	return pictures
}

// uids of all namespaces, with when they were marked as deleted.
func (g *ground) uids(t *testing.T) map[string]string {
	t.Helper()
	list, uids := &corev1.NamespaceList{}, map[string]string{}
	must(t, g.admin.List(t.Context(), list))
	for i := range list.Items {
		uids[list.Items[i].Name] = string(list.Items[i].UID)
		if d := list.Items[i].DeletionTimestamp; d != nil {
			uids[list.Items[i].Name] += " deleted at " + d.String()
		}
	}
	return uids
}
