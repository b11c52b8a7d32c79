package observe

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/snapshot"
)

// ClusterOptions say what a cluster does not say itself.
type ClusterOptions struct {
	// Now is the time before reading begins: what is read is no older.
	Now time.Time
	// Tenants says who the tenants are.
	Tenants TenantSource
	// Tell is told of each kind that was read; nil for nobody. Calls come from several goroutines.
	Tell func(kind string, objects int)
}

// pageSize of a list: what an API server answers in a fraction of a second.
const pageSize = 500

// Cluster reads everything that proofs read of a running cluster, in pages, and nothing else; never a Secret. A kind that
// may not be listed, or of which something is not understood, is Missing with the reason. A kind that the API server does
// not serve has no objects. The lists are of one moment each, so the revision is the range of them.
func Cluster(ctx context.Context, config *rest.Config, o ClusterOptions) (*World, error) {
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("make a client: %w", err)
	}
	served, err := discoverServed(config)
	if err != nil {
		return nil, err
	}
	r := clusterReader{client: client, tell: o.Tell}
	lists := append(r.listings(served), ownListings(served)...)
	results := inParallel(lists, func(l *listing) listed { return r.read(ctx, l) })
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("read the cluster: %w", err)
	}
	c := newContents()
	c.Time = o.Now
	c.Missing = append(c.Missing, served.missing...)
	var revisions []string
	for i := range results {
		c.take(&results[i])
		revisions = append(revisions, results[i].revision)
	}
	for _, l := range served.parameters(c.parameterKinds()) {
		found := r.read(ctx, &l)
		c.take(&found)
	}
	c.Revision = revisionRange(revisions)
	w, err := c.world(o.Tenants)
	if err != nil {
		return nil, err
	}
	w.Sources = nil
	return w, ctx.Err()
}

// ClusterRights are what Cluster and Follower ask for: to list and watch every kind that proofs read. Parameters of other people's admission
// policies are not among them; where they may not be listed, they are Missing.
func ClusterRights() []rbacv1.PolicyRule {
	resources := map[string][]string{v1alpha1.GroupVersion.Group: {"platforms", "spaces", "tenants", "waivers"}}
	for gk, k := range kindTable() {
		if k.filesOnly {
			continue
		}
		resource, _ := meta.UnsafeGuessKindToResource(gk.WithVersion("")) // no kind that proofs read has an irregular plural
		resources[gk.Group] = append(resources[gk.Group], resource.Resource)
	}
	var rules []rbacv1.PolicyRule
	for _, group := range slices.Sorted(maps.Keys(resources)) {
		slices.Sort(resources[group])
		rules = append(rules, rbacv1.PolicyRule{APIGroups: []string{group}, Resources: resources[group], Verbs: []string{"list", "watch"}})
	}
	return rules
}

// servedKinds are what the API server serves, by group and kind.
type servedKinds struct {
	resources map[schema.GroupVersionKind]string
	// missing are the kinds of groups that could not be discovered.
	missing []snapshot.Missing
}

func discoverServed(config *rest.Config) (*servedKinds, error) {
	client, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("make a client: %w", err)
	}
	served := &servedKinds{resources: map[schema.GroupVersionKind]string{}}
	_, lists, err := client.ServerGroupsAndResources()
	var failed *discovery.ErrGroupDiscoveryFailed
	if err != nil && !errors.As(err, &failed) {
		return nil, fmt.Errorf("discover what the API server serves: %w", err)
	}
	for _, list := range lists {
		version, err := schema.ParseGroupVersion(list.GroupVersion)
		if err != nil {
			return nil, fmt.Errorf("discover what the API server serves: %w", err)
		}
		for _, resource := range list.APIResources {
			if !strings.Contains(resource.Name, "/") {
				served.resources[version.WithKind(resource.Kind)] = resource.Name
			}
		}
	}
	if failed != nil {
		for _, group := range slices.SortedFunc(maps.Keys(failed.Groups), func(a, b schema.GroupVersion) int { return cmp.Compare(a.String(), b.String()) }) {
			for gk, k := range kindTable() {
				if gk.Group == group.Group {
					served.missing = append(served.missing, snapshot.Missing{Kind: k.missing, Why: fmt.Sprintf("%s could not be discovered: %v", group, failed.Groups[group])})
				}
			}
		}
	}
	return served, nil
}

// listing is one kind to be listed.
type listing struct {
	name     string // as people know the kind
	missing  string // the kind that proofs lack without it
	resource schema.GroupVersionResource
	// take understands one object; put adds it to the contents.
	take func(value map[string]any) (any, error)
	put  func(c *contents, object any)
	// unknown says why the kind, though served, cannot be read.
	unknown string
}

// listed is what came of it.
type listed struct {
	listing  *listing
	objects  []any
	missing  []snapshot.Missing
	revision string
}

// listings are those of all kinds that proofs read and the cluster serves.
func (r *clusterReader) listings(served *servedKinds) []listing {
	table := kindTable()
	var list []listing
	for _, gk := range slices.SortedFunc(maps.Keys(table), func(a, b schema.GroupKind) int { return cmp.Compare(a.String(), b.String()) }) {
		k := table[gk]
		if k.filesOnly {
			continue
		}
		l := listing{name: gk.Kind, missing: k.missing, put: k.put, take: func(value map[string]any) (any, error) { return k.decode(value) }}
		var others []string
		for gvk, resource := range served.resources {
			if gvk.GroupKind() == gk && !k.understands(gvk.Version) {
				others = append(others, gvk.Version)
				l.resource = gvk.GroupVersion().WithResource(resource)
			}
		}
		i := slices.IndexFunc(k.versions, func(version string) bool { return served.resources[gk.WithVersion(version)] != "" })
		switch {
		case i >= 0:
			l.resource = gk.WithVersion(k.versions[i]).GroupVersion().WithResource(served.resources[gk.WithVersion(k.versions[i])])
		case len(others) > 0:
			l.unknown = fmt.Sprintf("the cluster serves it as %s only, which is not understood here", strings.Join(others, ", "))
		default:
			continue // not served: there can be none
		}
		list = append(list, l)
	}
	return list
}

// ownListings are those of Bulkhead's own kinds.
func ownListings(served *servedKinds) []listing {
	var list []listing
	add := func(kind string, take func(value map[string]any) (any, error), put func(c *contents, object any)) {
		gvk := v1alpha1.GroupVersion.WithKind(kind)
		if resource := served.resources[gvk]; resource != "" {
			list = append(list, listing{name: kind, missing: kind, resource: v1alpha1.GroupVersion.WithResource(resource), take: take, put: put})
		}
	}
	add("Platform", convertTo[v1alpha1.Platform], func(c *contents, object any) { c.platform, _ = object.(*v1alpha1.Platform) })
	add("Tenant", convertTo[v1alpha1.Tenant], func(c *contents, object any) {
		if t, is := object.(*v1alpha1.Tenant); is {
			c.tenants = append(c.tenants, t)
		}
	})
	add("Space", convertTo[v1alpha1.Space], func(c *contents, object any) {
		if s, is := object.(*v1alpha1.Space); is {
			c.spaces = append(c.spaces, s)
		}
	})
	add("Waiver", convertTo[v1alpha1.Waiver], func(c *contents, object any) {
		if w, is := object.(*v1alpha1.Waiver); is {
			c.waivers = append(c.waivers, w)
		}
	})
	return list
}

func convertTo[T any](value map[string]any) (any, error) {
	object := new(T)
	return object, runtime.DefaultUnstructuredConverter.FromUnstructured(value, object)
}

// parameters are the listings of the kinds that admission policies' bindings refer to. Secrets are never read.
func (s *servedKinds) parameters(wanted map[schema.GroupVersionKind]bool) []listing {
	delete(wanted, schema.GroupVersionKind{Version: "v1", Kind: "Secret"})
	var list []listing
	for gvk := range wanted {
		if resource := s.resources[gvk]; resource != "" {
			list = append(list, listing{name: gvk.Kind, missing: gvk.Kind, resource: gvk.GroupVersion().WithResource(resource),
				take: func(value map[string]any) (any, error) { return &unstructured.Unstructured{Object: value}, nil },
				put: func(c *contents, object any) {
					if parameter, is := object.(*unstructured.Unstructured); is {
						c.Parameters = append(c.Parameters, parameter)
					}
				}})
		}
	}
	slices.SortFunc(list, func(a, b listing) int { return cmp.Compare(a.resource.String(), b.resource.String()) })
	return list
}

func (c *contents) take(l *listed) {
	for _, object := range l.objects {
		l.listing.put(c, object)
	}
	c.Missing = append(c.Missing, l.missing...)
}

// clusterReader lists.
type clusterReader struct {
	client dynamic.Interface
	tell   func(kind string, objects int)
}

// read lists one kind. A list that takes so long that its revision is compacted meanwhile begins again.
func (r *clusterReader) read(ctx context.Context, l *listing) listed {
	const tries = 3
	miss := func(why string) listed {
		return listed{listing: l, missing: []snapshot.Missing{{Kind: l.missing, Why: why}}}
	}
	if l.unknown != "" {
		return miss(l.name + ": " + l.unknown)
	}
	var err error
	for range tries {
		var found listed
		if found, err = r.pages(ctx, l); err == nil {
			if r.tell != nil {
				r.tell(l.name, len(found.objects))
			}
			return found
		}
		if !apierrors.IsResourceExpired(err) {
			break
		}
	}
	return miss(fmt.Sprintf("%s: %v", l.name, err))
}

func (r *clusterReader) pages(ctx context.Context, l *listing) (listed, error) {
	found := listed{listing: l}
	options := metav1.ListOptions{Limit: pageSize}
	for {
		page, err := r.client.Resource(l.resource).List(ctx, options)
		if err != nil {
			return found, err
		}
		if found.revision == "" {
			found.revision = page.GetResourceVersion()
		}
		for i := range page.Items {
			found.add(&page.Items[i])
		}
		if options.Continue = page.GetContinue(); options.Continue == "" {
			return found, nil
		}
	}
}

// add understands one object of a list. What is not understood makes the kind Missing; the rest still counts.
func (f *listed) add(item *unstructured.Unstructured) {
	item.SetManagedFields(nil)
	name := objectName(f.listing.name, item.Object)
	object, err := f.listing.take(item.Object)
	if err != nil {
		f.missing = append(f.missing, snapshot.Missing{Kind: f.listing.missing, Why: name + ": " + err.Error()})
	}
	var unknown *unknownFieldsError
	if err == nil || errors.As(err, &unknown) {
		f.objects = append(f.objects, object)
	}
}

// revisionRange is the first and the last of the revisions at which lists were read. They are numbers, since 1.35 by
// promise; where one is not, it is as good a name as any.
func revisionRange(revisions []string) string {
	revisions = slices.DeleteFunc(revisions, func(r string) bool { return r == "" })
	if len(revisions) == 0 {
		return ""
	}
	slices.SortFunc(revisions, func(a, b string) int { return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b)) })
	first, last := revisions[0], revisions[len(revisions)-1]
	if first == last {
		return first
	}
	return first + "-" + last
}
