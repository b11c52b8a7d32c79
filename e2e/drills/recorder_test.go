package drills_test

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/internal/apply"
)

// recorder writes down every revision of every object of the kinds that fence tenants in, and of what is declared, by
// watches of its own: not only of what carries Bulkhead's label, since a label can be taken off. Revisions of all kinds
// are numbered by one counter, that of etcd, so that together they are all states in which the cluster ever was.
type recorder struct {
	admin client.WithWatch
	// began is the revision from which on nothing is missing. What there was then is noted as of its last revision.
	began int64

	mu     sync.Mutex
	seen   []revision
	latest map[key]revision
}

type key struct{ kind, namespace, name string }

// revision is an object as it was from a revision of the store on.
type revision struct {
	key

	at     int64
	object client.Object
	// gone says that the object was deleted at this revision.
	gone bool
}

func keyOf(o client.Object) key {
	name := fmt.Sprintf("%T", o)
	return key{name[1:], o.GetNamespace(), o.GetName()}
}

// record starts a recorder that runs until the test ends.
func (s *site) record(t *testing.T) *recorder {
	t.Helper()
	r := &recorder{admin: s.admin, latest: map[key]revision{}}
	ctx, cancel := context.WithCancel(context.Background())
	var watches sync.WaitGroup
	t.Cleanup(func() { cancel(); watches.Wait() })
	for _, list := range r.begin(t) {
		watches.Go(func() { r.follow(ctx, list) })
	}
	return r
}

// begin notes what there is, and returns it.
func (r *recorder) begin(t *testing.T) []client.ObjectList {
	t.Helper()
	lists := recorded()
	for _, list := range lists {
		must(t, r.list(t.Context(), list))
	}
	last := &corev1.NamespaceList{}
	must(t, r.admin.List(t.Context(), last))
	r.began = versionOf(last)
	return lists
}

func recorded() []client.ObjectList {
	lists := []client.ObjectList{&v1alpha1.PlatformList{}, &v1alpha1.TenantList{}, &v1alpha1.SpaceList{}, &v1alpha1.WaiverList{}}
	for _, kind := range apply.Kinds() {
		lists = append(lists, kind.List.DeepCopyObject().(client.ObjectList))
	}
	return lists
}

// list notes what there is of a kind.
func (r *recorder) list(ctx context.Context, list client.ObjectList) error {
	if err := r.admin.List(ctx, list); err != nil {
		return err
	}
	return meta.EachListItem(list, func(item runtime.Object) error {
		r.note(item.(client.Object), false)
		return nil
	})
}

// follow notes every event, and takes up a watch that ended where it ended. Where an API server that was started anew
// does not remember so far back, it looks at what there is now: an object that has the version that was seen last was
// never anything else in between, and one that is another object or none was missing at least at the last moment.
func (r *recorder) follow(ctx context.Context, list client.ObjectList) {
	const moment = 20 * time.Millisecond
	from := list.GetResourceVersion()
	for ctx.Err() == nil {
		w, err := r.admin.Watch(ctx, list, &client.ListOptions{Raw: &metav1.ListOptions{ResourceVersion: from, AllowWatchBookmarks: true}})
		if err == nil {
			from, err = r.drain(w, from)
		}
		if apierrors.IsResourceExpired(err) || apierrors.IsGone(err) {
			if err = r.admin.List(ctx, list); err == nil {
				from = list.GetResourceVersion()
				r.resume(list)
			}
		}
		if err != nil {
			<-time.After(moment) // the API server is away
		}
	}
}

// drain notes the events of one watch. It returns the version up to which it has seen all.
func (r *recorder) drain(w watch.Interface, from string) (string, error) {
	defer w.Stop()
	for e := range w.ResultChan() {
		o, ok := e.Object.(client.Object)
		if !ok {
			return from, apierrors.FromObject(e.Object)
		}
		from = o.GetResourceVersion()
		if e.Type != watch.Bookmark {
			r.note(o, e.Type == watch.Deleted)
		}
	}
	return from, nil
}

// resume notes what there is after a gap, and as gone until then what there was and is no more, or is another object.
func (r *recorder) resume(list client.ObjectList) {
	now := map[key]client.Object{}
	_ = meta.EachListItem(list, func(item runtime.Object) error {
		o := item.(client.Object)
		now[keyOf(o)] = o
		return nil
	})
	r.mu.Lock()
	defer r.mu.Unlock()
	for k, was := range r.latest {
		switch o := now[k]; {
		case k.kind != kindIn(list) || was.gone:
		case o == nil:
			r.add(revision{k, versionOf(list), was.object, true})
		case o.GetUID() != was.object.GetUID():
			r.add(revision{k, versionOf(o), was.object, true})
		}
	}
	for k, o := range now {
		if was := r.latest[k]; was.object == nil || was.gone || was.object.GetResourceVersion() != o.GetResourceVersion() {
			r.add(revision{k, versionOf(o), o, false})
		}
	}
}

// kindIn is the kind of the items of a list, as in key.
func kindIn(list client.ObjectList) string {
	return strings.TrimSuffix(fmt.Sprintf("%T", list)[1:], "List")
}

func (r *recorder) note(o client.Object, gone bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.add(revision{keyOf(o), versionOf(o), o.DeepCopyObject().(client.Object), gone})
}

// add is note for who holds the lock.
func (r *recorder) add(now revision) {
	r.seen = append(r.seen, now)
	r.latest[now.key] = now
}

// revisions are all up to now, in their order.
func (r *recorder) revisions(t *testing.T) []revision {
	t.Helper()
	for _, list := range recorded() {
		eventually(t, fmt.Sprintf("the recorder has seen all of %T", list), func() string {
			if err := r.admin.List(t.Context(), list); err != nil {
				return err.Error()
			}
			return r.lacks(list)
		})
	}
	return r.noted()
}

// noted are all revisions that were noted so far, in their order.
func (r *recorder) noted() []revision {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := slices.Clone(r.seen)
	slices.SortStableFunc(all, func(a, b revision) int { return cmp.Compare(a.at, b.at) })
	return all
}

// lacks says what the recorder has not seen yet of a list.
func (r *recorder) lacks(list client.ObjectList) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	there := map[key]bool{}
	missing := ""
	_ = meta.EachListItem(list, func(item runtime.Object) error {
		o := item.(client.Object)
		there[keyOf(o)] = true
		if have := r.latest[keyOf(o)]; have.gone || have.at < versionOf(o) {
			missing = fmt.Sprintf("%v at %s", keyOf(o), o.GetResourceVersion())
		}
		return nil
	})
	for k, have := range r.latest {
		if k.kind == kindIn(list) && !have.gone && !there[k] {
			missing = fmt.Sprintf("the deletion of %v", k)
		}
	}
	return missing
}

// versionOf is the revision of the store that an object or a list is of; 0, which is before all, when it has none.
func versionOf(o interface{ GetResourceVersion() string }) int64 {
	at, err := strconv.ParseInt(o.GetResourceVersion(), 10, 64)
	if err != nil {
		return 0
	}
	return at
}
