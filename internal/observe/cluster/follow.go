package cluster

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"

	"github.com/bulkhead-dev/bulkhead/internal/observe"
	"github.com/bulkhead-dev/bulkhead/snapshot"
)

const (
	// samplePeriod is how often the store's revision is noted, and samplesKept for how long: a watch that is silent for
	// longer than their product has stalled.
	samplePeriod, samplesKept = 10 * time.Second, 30
	// lagging is how old what a watch told may be before its kind is Missing. An API server sends a bookmark each minute.
	lagging = 3 * time.Minute
)

// Follower keeps in memory what proofs read of a cluster, by watches, so that looking again costs the API server next to
// nothing. It knows how current it is: it notes the store's revision now and then, and what has seen that revision is no
// older than the note. (All kinds that proofs read are taken to lie in one store; only Events are commonly kept apart.)
type Follower struct {
	config *rest.Config
	client dynamic.Interface
	clock  clock.PassiveClock
	// life ends with the process; watches end with it.
	life context.Context //nolint:containedctx // watches outlive the call that starts them

	mu    sync.Mutex
	kinds map[schema.GroupVersionResource]*watchedKind
	notes []note
}

// note that the store was at a revision at a time, or beyond.
type note struct {
	at       time.Time
	revision string
}

// Follow makes a Follower that lives as long as ctx. It begins to watch when it is first asked for the World.
func Follow(ctx context.Context, config *rest.Config, c clock.PassiveClock) (*Follower, error) {
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("make a client: %w", err)
	}
	return &Follower{config: config, client: client, clock: c, life: ctx, kinds: map[schema.GroupVersionResource]*watchedKind{}}, nil
}

// World is what is known now, of Bulkhead's own tenants. Its time is the latest at which all of it was current. A kind
// that may not be watched, or whose watch lags behind, is Missing with the reason. The first call waits until everything
// was read, or ctx ends.
func (f *Follower) World(ctx context.Context) (*observe.World, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	served, err := discoverServed(f.config)
	if err != nil {
		return nil, err
	}
	if err := f.note(ctx); err != nil {
		return nil, err
	}
	reader := reader{client: f.client}
	lists := append(reader.listings(served), ownListings(served)...)
	c := &observe.Contents{}
	c.Missing = append(c.Missing, served.missing...)
	if err := f.take(ctx, c, lists); err != nil {
		return nil, err
	}
	parameters := served.parameters(c.ParameterKinds())
	if err := f.take(ctx, c, parameters); err != nil {
		return nil, err
	}
	f.dropOthers(append(lists, parameters...))
	c.Revision = revisionRange(f.revisions())
	w, err := c.World(observe.TenantSource{})
	if err != nil {
		return nil, err
	}
	return w, nil
}

// take adds what is known of some kinds to the contents, once it is known.
func (f *Follower) take(ctx context.Context, c *observe.Contents, lists []listing) error {
	var watched []*watchedKind
	for i := range lists {
		l := &lists[i]
		if l.unknown != "" {
			c.Missing = append(c.Missing, snapshot.Missing{Kind: l.missing, Why: l.name + ": " + l.unknown})
			continue
		}
		watched = append(watched, f.follow(l))
	}
	const glance = 20 * time.Millisecond
	err := wait.PollUntilContextCancel(ctx, glance, true, func(context.Context) (bool, error) {
		return !slices.ContainsFunc(watched, func(w *watchedKind) bool { return !w.answered() }), nil
	})
	if err != nil {
		return fmt.Errorf("read the cluster: %w; not read yet: %s", err, unread(watched))
	}
	for _, w := range watched {
		current := f.currentAt(w.revision())
		if why := w.missing(current, f.clock.Now()); why != "" {
			c.Missing = append(c.Missing, snapshot.Missing{Kind: w.listing.missing, Why: w.listing.name + ": " + why})
			continue
		}
		if c.Time.IsZero() || current.Before(c.Time) {
			c.Time = current
		}
		w.known().addTo(c)
	}
	return nil
}

func unread(watched []*watchedKind) string {
	var names []string
	for _, w := range watched {
		if !w.answered() {
			names = append(names, w.listing.name)
		}
	}
	return strings.Join(names, ", ")
}

// follow starts to watch a kind, unless it is watched.
func (f *Follower) follow(l *listing) *watchedKind {
	if w, has := f.kinds[l.resource]; has {
		return w
	}
	w := watchKind(f.life, f.client.Resource(l.resource), l)
	f.kinds[l.resource] = w
	return w
}

// dropOthers ends the watches of kinds that the API server serves no more, or that no policy refers to any more.
func (f *Follower) dropOthers(lists []listing) {
	for resource, w := range f.kinds {
		if !slices.ContainsFunc(lists, func(l listing) bool { return l.resource == resource && l.unknown == "" }) {
			w.end()
			delete(f.kinds, resource)
		}
	}
}

func (f *Follower) revisions() []string {
	var list []string
	for _, w := range f.kinds {
		list = append(list, w.revision())
	}
	return list
}

// note notes the store's revision, now and, from the first call on, from time to time. A list of nothing is a consistent
// read: its revision is that of the store.
func (f *Follower) note(ctx context.Context) error {
	at := f.clock.Now()
	list, err := f.client.Resource(schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}).List(ctx, metav1.ListOptions{Limit: 1})
	if err != nil {
		return fmt.Errorf("ask for the store's revision: %w", err)
	}
	if len(f.notes) == 0 {
		go f.noteOn()
	}
	f.notes = append(f.notes, note{at, list.GetResourceVersion()})
	f.notes = f.notes[max(0, len(f.notes)-samplesKept):]
	return nil
}

// noteOn notes until the process ends. What it fails to ask, the next proof asks itself, and tells.
func (f *Follower) noteOn() {
	wait.UntilWithContext(f.life, func(ctx context.Context) {
		if f.mu.TryLock() {
			defer f.mu.Unlock()
			_ = f.note(ctx) // unknown is old, and what is old is told
		}
	}, samplePeriod)
}

// currentAt is the latest noted time at which nothing was newer than the revision; zero when there is none.
func (f *Follower) currentAt(revision string) time.Time {
	for _, n := range slices.Backward(f.notes) {
		if order, err := resourceversion.CompareResourceVersion(revision, n.revision); err == nil && order >= 0 {
			return n.at
		}
	}
	return time.Time{}
}

// objectOf is what an informer keeps of an object: what was understood of it, and what was not.
type objectOf struct {
	metav1.Object

	understood any
	fault      error
}

// understand decodes an object once, when it comes.
func understand(l *listing, in any) (any, error) {
	item, is := in.(*unstructured.Unstructured)
	if !is {
		return in, nil // a tombstone, or what was understood before
	}
	item.SetManagedFields(nil)
	var found listed
	found.listing = l
	found.add(item)
	o := &objectOf{Object: &metav1.ObjectMeta{
		Namespace: item.GetNamespace(), Name: item.GetName(), UID: item.GetUID(), ResourceVersion: item.GetResourceVersion(),
	}}
	if len(found.objects) > 0 {
		o.understood = found.objects[0]
	}
	if len(found.missing) > 0 {
		o.fault = notUnderstoodError(found.missing[0])
	}
	return o, nil
}

// notUnderstoodError is why an object is not understood.
type notUnderstoodError snapshot.Missing

// Error says what is not understood.
func (f notUnderstoodError) Error() string { return f.Why }

// byName puts objects into a stable order, as lists come in.
func byName(a, b *objectOf) int {
	return cmp.Or(cmp.Compare(a.GetNamespace(), b.GetNamespace()), cmp.Compare(a.GetName(), b.GetName()))
}
