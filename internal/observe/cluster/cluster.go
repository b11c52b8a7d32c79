// Package cluster reads and follows what proofs read of a running cluster.
package cluster

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	apiruntime "k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/version"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	componentversion "k8s.io/component-base/version"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/internal/observe"
	"github.com/bulkhead-dev/bulkhead/parallel"
	"github.com/bulkhead-dev/bulkhead/snapshot"
)

// Options say what a cluster does not say itself.
type Options struct {
	// Now is the time before reading begins: what is read is no older.
	Now time.Time
	// Tenants says who the tenants are.
	Tenants observe.TenantSource
	// Tell is called for each kind that was read; nil for no calls. Calls come from several goroutines.
	Tell func(kind string, objects int)
}

// pageSize of a list: what an API server answers in a fraction of a second.
const pageSize = 500

// Read reads everything that proofs read of a running cluster, in pages, and nothing else; never a Secret. A kind that
// may not be listed, or of which something is not understood, is Missing with the reason. A kind that the API server does
// not serve has no objects. The lists are of one moment each, so the revision is the range of them.
func Read(ctx context.Context, config *rest.Config, o Options) (*observe.World, error) {
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("make a client: %w", err)
	}
	served, err := discoverServed(config)
	if err != nil {
		return nil, err
	}
	r := reader{client: client, tell: o.Tell}
	lists := append(r.listings(served), ownListings(served)...)
	results := make([]listed, len(lists))
	parallel.Each(runtime.GOMAXPROCS(0), len(lists), 1, func(i int) { results[i] = r.read(ctx, &lists[i]) })
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("read the cluster: %w", err)
	}
	c := &observe.Contents{}
	c.Time = o.Now
	c.Missing = append(c.Missing, served.missing...)
	var revisions []string
	for i := range results {
		results[i].addTo(c)
		revisions = append(revisions, results[i].revision)
	}
	for _, l := range served.parameters(c.ParameterKinds()) {
		found := r.read(ctx, &l)
		found.addTo(c)
	}
	c.Missing = append(c.Missing, r.deciding(ctx, served)...)
	c.Revision = revisionRange(revisions)
	w, err := c.World(o.Tenants)
	if err != nil {
		return nil, err
	}
	return w, ctx.Err()
}

// Rights are what Read and a Follower ask for: to list and watch every kind that proofs read. Parameters of other people's admission
// policies are not among them; where they may not be listed, they are Missing.
func Rights() []rbacv1.PolicyRule {
	resources := map[string][]string{v1alpha1.GroupVersion.Group: {"platforms", "spaces", "tenants", "waivers"}}
	for gk, k := range observe.Kinds() {
		if k.FilesOnly {
			continue
		}
		resource, _ := meta.UnsafeGuessKindToResource(gk.WithVersion("")) // no kind that proofs read has an irregular plural
		resources[gk.Group] = append(resources[gk.Group], resource.Resource)
	}
	// Kinds that may decide the network are listed, to know whether there are any.
	rules := []rbacv1.PolicyRule{{APIGroups: observe.NetworkGroups(), Resources: []string{"*"}, Verbs: []string{"list"}}}
	for _, group := range slices.Sorted(maps.Keys(resources)) {
		slices.Sort(resources[group])
		rules = append(rules, rbacv1.PolicyRule{APIGroups: []string{group}, Resources: resources[group], Verbs: []string{"list", "watch"}})
	}
	return rules
}

// servedKinds are what the API server serves, by group and kind.
type servedKinds struct {
	resources map[schema.GroupVersionKind]string
	// newer is true for an API server that may send fields of built-in kinds that are not known here.
	newer bool
	// missing are the kinds of groups that could not be discovered.
	missing []snapshot.Missing
}

func discoverServed(config *rest.Config) (*servedKinds, error) {
	client, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("make a client: %w", err)
	}
	served := &servedKinds{resources: map[schema.GroupVersionKind]string{}, newer: true}
	if v, err := client.ServerVersion(); err == nil {
		served.newer = isNewer(v.GitVersion)
	}
	_, lists, err := client.ServerGroupsAndResources()
	var failed *discovery.ErrGroupDiscoveryFailed
	if err != nil && !errors.As(err, &failed) {
		return nil, fmt.Errorf("discover what the API server serves: %w", err)
	}
	for _, list := range lists {
		group, err := schema.ParseGroupVersion(list.GroupVersion)
		if err != nil {
			return nil, fmt.Errorf("discover what the API server serves: %w", err)
		}
		for _, resource := range list.APIResources {
			if !strings.Contains(resource.Name, "/") {
				served.resources[group.WithKind(resource.Kind)] = resource.Name
			}
		}
	}
	if failed != nil {
		for _, group := range slices.SortedFunc(maps.Keys(failed.Groups), func(a, b schema.GroupVersion) int { return cmp.Compare(a.String(), b.String()) }) {
			for gk, k := range observe.Kinds() {
				if gk.Group == group.Group {
					served.missing = append(served.missing, snapshot.Missing{Kind: k.Missing, Why: fmt.Sprintf("%s could not be discovered: %v", group, failed.Groups[group])})
				}
			}
		}
	}
	return served, nil
}

// isNewer reports whether an API server of a version may have fields that the Go types here lack: a minor release adds some,
// and 0.0.0 is what a build without a version has.
func isNewer(server string) bool {
	has, err := version.ParseGeneric(server)
	return err != nil || has.Major() == 0 || version.MustParseGeneric(componentversion.DefaultKubeBinaryVersion).LessThan(version.MajorMinor(has.Major(), has.Minor()))
}

// deciding names the kinds that may decide the network, that no proof reads, and of which there are objects, or may be.
func (r *reader) deciding(ctx context.Context, served *servedKinds) []snapshot.Missing {
	table := observe.Kinds()
	kinds := map[schema.GroupKind]schema.GroupVersionKind{} // in one version each
	for gvk := range served.resources {
		if _, read := table[gvk.GroupKind()]; !read && observe.DecidesNetwork(gvk.GroupKind()) {
			if known, has := kinds[gvk.GroupKind()]; !has || gvk.Version < known.Version {
				kinds[gvk.GroupKind()] = gvk
			}
		}
	}
	var missing []snapshot.Missing
	for _, gvk := range slices.SortedFunc(maps.Values(kinds), func(a, b schema.GroupVersionKind) int { return cmp.Compare(a.String(), b.String()) }) {
		resource := gvk.GroupVersion().WithResource(served.resources[gvk])
		first, objects, err := r.first(ctx, resource)
		switch kind := gvk.Kind + " " + gvk.GroupVersion().String(); {
		case apierrors.IsNotFound(err) || apierrors.IsMethodNotSupported(err): // a kind of which there are no objects
		case err != nil:
			missing = append(missing, snapshot.Missing{Kind: "NetworkPolicy", Why: fmt.Sprintf("%s, which may decide the network, could not be listed: %v", kind, err)})
		case objects > 0:
			missing = append(missing, observe.MissingDeciding(first, kind, objects))
		}
	}
	return missing
}

// first returns the first object of a resource, and how many there are on its page; those that only mirror policies aside.
func (r *reader) first(ctx context.Context, resource schema.GroupVersionResource) (name string, objects int, err error) {
	options := metav1.ListOptions{Limit: pageSize}
	for {
		page, err := r.client.Resource(resource).List(ctx, options)
		if err != nil {
			return "", 0, err
		}
		for i := range page.Items {
			if item := &page.Items[i]; !observe.MirrorsPolicy(resource.Group, item.GetName()) {
				name = cmp.Or(name, snapshot.RefOf(item.GetKind(), item).String())
				objects++
			}
		}
		if options.Continue = page.GetContinue(); objects > 0 || options.Continue == "" {
			return name, objects, nil
		}
	}
}

// listing is one kind to be listed.
type listing struct {
	name     string // as people know the kind
	missing  string // the kind that proofs lack without it
	within   bool   // an object of it acts in its own namespace alone
	kind     schema.GroupVersionKind
	resource schema.GroupVersionResource
	// asJSON is how a Follower watches it, instead of in its Go type.
	asJSON bool
	// take understands one object; put adds it to the contents.
	take func(value map[string]any) (any, error)
	put  func(c *observe.Contents, object any)
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
func (r *reader) listings(served *servedKinds) []listing {
	table := observe.Kinds()
	var list []listing
	for _, gk := range slices.SortedFunc(maps.Keys(table), func(a, b schema.GroupKind) int { return cmp.Compare(a.String(), b.String()) }) {
		k := table[gk]
		if k.FilesOnly {
			continue
		}
		l := listing{name: gk.Kind, missing: k.Missing, within: k.Within, put: k.Put, take: func(value map[string]any) (any, error) { return k.Decode(value) }}
		var others []string
		for gvk, resource := range served.resources {
			if gvk.GroupKind() == gk && !k.Understands(gvk.Version) {
				others = append(others, gvk.Version)
				l.kind, l.resource = gvk, gvk.GroupVersion().WithResource(resource)
			}
		}
		i := slices.IndexFunc(k.Versions, func(version string) bool { return served.resources[gk.WithVersion(version)] != "" })
		switch {
		case i >= 0:
			l.kind = gk.WithVersion(k.Versions[i])
			l.resource = l.kind.GroupVersion().WithResource(served.resources[l.kind])
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
	add := func(kind string, take func(value map[string]any) (any, error)) {
		gvk := v1alpha1.GroupVersion.WithKind(kind)
		if resource := served.resources[gvk]; resource != "" {
			list = append(list, listing{name: kind, missing: kind, kind: gvk, resource: v1alpha1.GroupVersion.WithResource(resource), take: take, put: (*observe.Contents).AddOwn})
		}
	}
	add("Platform", convertTo[v1alpha1.Platform])
	add("Tenant", convertTo[v1alpha1.Tenant])
	add("Space", convertTo[v1alpha1.Space])
	add("Waiver", convertTo[v1alpha1.Waiver])
	return list
}

func convertTo[T any](value map[string]any) (any, error) {
	object := new(T)
	return object, apiruntime.DefaultUnstructuredConverter.FromUnstructured(value, object)
}

// parameters are the listings of the kinds that admission policies' bindings refer to.
func (s *servedKinds) parameters(wanted map[schema.GroupVersionKind]bool) []listing {
	var list []listing
	for gvk := range wanted {
		if resource := s.resources[gvk]; resource != "" {
			list = append(list, listing{name: gvk.Kind, missing: gvk.Kind, kind: gvk, asJSON: true, resource: gvk.GroupVersion().WithResource(resource),
				take: func(value map[string]any) (any, error) { return &unstructured.Unstructured{Object: value}, nil },
				put: func(c *observe.Contents, object any) {
					if parameter, is := object.(*unstructured.Unstructured); is {
						c.Parameters = append(c.Parameters, parameter)
					}
				}})
		}
	}
	slices.SortFunc(list, func(a, b listing) int { return cmp.Compare(a.resource.String(), b.resource.String()) })
	return list
}

// addTo adds what was read of a kind to the contents.
func (l *listed) addTo(c *observe.Contents) {
	for _, object := range l.objects {
		l.listing.put(c, object)
	}
	c.Missing = append(c.Missing, l.missing...)
}

// reader lists.
type reader struct {
	client dynamic.Interface
	tell   func(kind string, objects int)
}

// read lists one kind. A list that takes so long that its revision is compacted meanwhile begins again.
func (r *reader) read(ctx context.Context, l *listing) listed {
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

func (r *reader) pages(ctx context.Context, l *listing) (listed, error) {
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
	name := snapshot.RefOf(f.listing.name, item).String()
	object, err := f.listing.take(item.Object)
	if err != nil {
		k := observe.Kind{Missing: f.listing.missing, Within: f.listing.within}
		f.missing = append(f.missing, k.MissingOf(item.GetNamespace(), name+": "+err.Error()))
	}
	var unknown *observe.UnknownFieldsError
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
