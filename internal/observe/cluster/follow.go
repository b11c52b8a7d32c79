package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/dynamic"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
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
	scheme *runtime.Scheme
	cache  cache.Cache
	clock  clock.PassiveClock
	// life ends with the process; watches end with it.
	life context.Context //nolint:containedctx // watches outlive the call that starts them

	mu    sync.Mutex
	kinds map[view]*informer
	notes []note
}

// view is how a kind is watched: in its Go type, for which a built-in kind is sent as protobuf, or as JSON. Of fields that
// the Go type lacks protobuf leaves no trace: a kind that may have such fields is watched as JSON.
type view struct {
	kind  schema.GroupVersionKind
	typed bool
}

func (l *listing) view() view { return view{l.kind, !l.asJSON} }

// note that the store was at a revision at a time, or beyond.
type note struct {
	at       time.Time
	revision string
}

// Follow returns a Follower that lives as long as ctx. It begins to watch when it is first asked for the World.
func Follow(ctx context.Context, config *rest.Config, c clock.PassiveClock) (*Follower, error) {
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("make a client: %w", err)
	}
	known := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(known), v1alpha1.AddToScheme(known)); err != nil {
		return nil, fmt.Errorf("register the kinds: %w", err)
	}
	kept, err := cache.New(config, cache.Options{Scheme: known, NewInformer: newInformer, DefaultTransform: understand(known, observe.Kinds())})
	if err != nil {
		return nil, fmt.Errorf("make a cache: %w", err)
	}
	go func() { _ = kept.Start(ctx) }() // it fails only when it is started twice
	return &Follower{config: config, client: client, scheme: known, cache: kept, clock: c, life: ctx, kinds: map[view]*informer{}}, nil
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
	lists := reader.listings(served)
	for i := range lists {
		lists[i].asJSON = served.newer || lists[i].kind.Version != "v1" || !f.scheme.Recognizes(lists[i].kind)
	}
	lists = append(lists, ownListings(served)...)
	c := &observe.Contents{}
	c.Missing = append(c.Missing, served.missing...)
	if err := f.take(ctx, c, lists); err != nil {
		return nil, err
	}
	parameters := reader.readKnown(ctx, c, served.parameters(c.ParameterKinds()))
	if err := f.take(ctx, c, parameters); err != nil {
		return nil, err
	}
	c.Missing = append(c.Missing, reader.deciding(ctx, served)...)
	if err := f.dropOthers(ctx, append(lists, parameters...)); err != nil {
		return nil, err
	}
	c.Revision = revisionRange(f.revisions())
	return c.World(observe.TenantSource{})
}

// readKnown lists the parameters of policies that are of a kind which proofs read, since the cache holds only what proofs read
// of those, and returns the others.
func (r *reader) readKnown(ctx context.Context, c *observe.Contents, parameters []listing) []listing {
	kinds := observe.Kinds()
	return slices.DeleteFunc(parameters, func(l listing) bool {
		_, known := kinds[l.kind.GroupKind()]
		if known {
			found := r.read(ctx, &l)
			found.addTo(c)
		}
		return known
	})
}

// take adds what is known of some kinds to the contents, once it is known.
func (f *Follower) take(ctx context.Context, c *observe.Contents, lists []listing) error {
	var known []*listing
	var watched []*informer
	for i := range lists {
		l := &lists[i]
		if l.unknown == "" {
			w, err := f.follow(ctx, l)
			if err == nil {
				known, watched = append(known, l), append(watched, w)
				continue
			}
			l.unknown = err.Error()
		}
		c.Missing = append(c.Missing, snapshot.Missing{Kind: l.missing, Why: l.name + ": " + l.unknown})
	}
	const glance = 20 * time.Millisecond
	err := wait.PollUntilContextCancel(ctx, glance, true, func(context.Context) (bool, error) {
		return !slices.ContainsFunc(watched, func(w *informer) bool { return !w.answered() }), nil
	})
	if err != nil {
		return fmt.Errorf("read the cluster: %w; not read yet: %s", err, unread(known, watched))
	}
	for i, w := range watched {
		current := f.currentAt(w.revision())
		if why := w.missing(current, f.clock.Now()); why != "" {
			c.Missing = append(c.Missing, snapshot.Missing{Kind: known[i].missing, Why: known[i].name + ": " + why})
			continue
		}
		if c.Time.IsZero() || current.Before(c.Time) {
			c.Time = current
		}
		w.known(known[i]).addTo(c)
	}
	return nil
}

func unread(lists []*listing, watched []*informer) string {
	var names []string
	for i, w := range watched {
		if !w.answered() {
			names = append(names, lists[i].name)
		}
	}
	return strings.Join(names, ", ")
}

// follow starts to watch a kind, unless it is watched.
func (f *Follower) follow(ctx context.Context, l *listing) (*informer, error) {
	object, err := f.object(l.view())
	if err != nil {
		return nil, err
	}
	found, err := f.cache.GetInformer(ctx, object, cache.BlockUntilSynced(false))
	if err != nil {
		return nil, err
	}
	w, is := found.(*informer)
	if !is {
		return nil, fmt.Errorf("its informer is a %T", found)
	}
	f.kinds[l.view()] = w
	return w, nil
}

// object is an empty one, by which the cache knows a view.
func (f *Follower) object(v view) (client.Object, error) {
	if !v.typed {
		u := &unstructured.Unstructured{}
		u.SetGroupVersionKind(v.kind)
		return u, nil
	}
	o, err := f.scheme.New(v.kind)
	if err != nil {
		return nil, err
	}
	object, is := o.(client.Object)
	if !is {
		return nil, fmt.Errorf("%T is not an object of a cluster", o)
	}
	return object, nil
}

// dropOthers ends the watches of kinds that the API server serves no more, or that no policy refers to any more.
func (f *Follower) dropOthers(ctx context.Context, lists []listing) error {
	for v := range f.kinds {
		if slices.ContainsFunc(lists, func(l listing) bool { return l.unknown == "" && l.view() == v }) {
			continue
		}
		object, err := f.object(v)
		if err != nil {
			return err
		}
		if err := f.cache.RemoveInformer(ctx, object); err != nil {
			return fmt.Errorf("stop to watch %s: %w", v.kind, err)
		}
		delete(f.kinds, v)
	}
	return nil
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

// noteOn notes until the process ends. What it fails to ask, the next proof asks itself, and reports.
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
