package drills_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
)

// bystander is everybody else: another tenant with a Space in use, a namespace that is no tenant's, and whatever there
// is besides, as it was before a drill.
type bystander struct {
	site   *site
	name   string
	before map[string]string
}

// bystander makes a tenant of that name and notes what there is.
func (s *site) bystander(t *testing.T, name string) *bystander {
	t.Helper()
	tenant, space := newTenant(name), newSpace(name, "shop")
	plain := name + "-plain"
	must(t, s.admin.Create(t.Context(), tenant))
	s.ready(t, tenant)
	must(t, s.admin.Create(t.Context(), space))
	s.ready(t, space)
	must(t, s.admin.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: plain}}))
	for _, namespace := range []string{plain, v1alpha1.SpaceNamespace(name, "shop")} {
		theirs := metav1.ObjectMeta{Namespace: namespace, Name: "theirs"}
		must(t, s.admin.Create(t.Context(), &corev1.ConfigMap{ObjectMeta: theirs}))
		must(t, s.admin.Create(t.Context(), &networkingv1.NetworkPolicy{ObjectMeta: theirs}))
		must(t, s.admin.Create(t.Context(), &rbacv1.Role{ObjectMeta: theirs}))
	}
	b := &bystander{site: s, name: name}
	last := ""
	eventually(t, "nothing moves by itself any more", func() string { // the namespaces get their service accounts
		b.before = s.everything(t)
		now := fmt.Sprint(b.before)
		if now == last {
			return ""
		}
		last = now
		return "it moves"
	})
	return b
}

// untouched fails the test for everything that is not as it was. What carries the name of one of the drilled tenants is
// not everybody else's.
func (b *bystander) untouched(t *testing.T, drilled ...string) {
	t.Helper()
	after := b.site.everything(t)
	if len(b.before) < 100 {
		t.Errorf("only %d objects are looked at: the test holds little", len(b.before))
	}
	for _, what := range slices.Sorted(maps.Keys(b.before)) {
		if after[what] != b.before[what] {
			t.Errorf("%s was touched: %q, was %q", what, after[what], b.before[what])
		}
	}
	for _, what := range slices.Sorted(maps.Keys(after)) {
		ofDrilled := slices.ContainsFunc(drilled, func(name string) bool { return strings.Contains(what, name) })
		if _, known := b.before[what]; !known && !ofDrilled {
			t.Errorf("%s came to be", what)
		}
	}
}

// everything is each object of the cluster, with what tells whether it was changed: its version, or where it has a
// status that others count in, the number of its specification's changes. Leases and Events come and go, and reports
// tell of everybody.
func (s *site) everything(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	d, err := discovery.NewDiscoveryClientForConfig(s.config)
	must(t, err)
	lists, err := d.ServerPreferredResources()
	must(t, err)
	for _, list := range lists {
		version, err := schema.ParseGroupVersion(list.GroupVersion)
		must(t, err)
		for _, resource := range list.APIResources {
			passing := resource.Name == "leases" || resource.Name == "events" || strings.HasSuffix(resource.Name, "reports")
			if passing || !slices.Contains(resource.Verbs, "list") {
				continue
			}
			objects := &metav1.PartialObjectMetadataList{}
			objects.SetGroupVersionKind(version.WithKind(resource.Kind + "List"))
			must(t, s.admin.List(t.Context(), objects))
			for i := range objects.Items {
				o := &objects.Items[i]
				state := "version " + o.ResourceVersion
				if o.Generation > 0 {
					state = fmt.Sprint("generation ", o.Generation, o.Labels, o.Annotations, o.Finalizers, o.OwnerReferences, o.DeletionTimestamp)
				}
				found[resource.Name+"."+version.Group+" "+client.ObjectKeyFromObject(o).String()] = string(o.UID) + " " + state
			}
		}
	}
	return found
}
