package drills_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/internal/apply"
	"github.com/bulkhead-dev/bulkhead/internal/run"
)

// registry is the prefix under which the API server keeps its objects in etcd.
const registry = "/registry/"

// recorder writes down every revision of every object of the kinds of guardrails, and of what is declared: not
// only of what carries Bulkhead's label, since a label can be taken off. It watches etcd itself, which leaves nothing out,
// also while the API server is down or begins anew. Revisions of all kinds are numbered by one counter, that of etcd, so
// that together they are all states in which the cluster ever was.
type recorder struct {
	store  *clientv3.Client
	decode runtime.Decoder
	// kinds are those that are recorded, as in key.
	kinds map[string]bool
	// began is the revision from which on nothing is missing. What there was then is noted as of its last revision.
	began int64

	mu   sync.Mutex
	seen []revision
	// until is the revision up to which all was seen.
	until int64
	// err is why it sees no more, or cannot read what it sees.
	err error
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

func keyOf(o client.Object) key { return key{kindOf(o), o.GetNamespace(), o.GetName()} }

func kindOf(o runtime.Object) string { return fmt.Sprintf("%T", o)[1:] }

// record starts a recorder that runs until the test ends.
func (s *site) record(t *testing.T) *recorder {
	t.Helper()
	r := &recorder{store: s.store, decode: serializer.NewCodecFactory(run.Scheme()).UniversalDeserializer(), kinds: map[string]bool{}}
	for _, o := range []client.Object{&v1alpha1.Platform{}, &v1alpha1.Tenant{}, &v1alpha1.Space{}, &v1alpha1.Waiver{}} {
		r.kinds[kindOf(o)] = true
	}
	for _, kind := range apply.Kinds() {
		r.kinds[kindOf(kind.Object)] = true
	}
	first, err := r.store.Get(t.Context(), registry, clientv3.WithPrefix(), clientv3.WithSort(clientv3.SortByModRevision, clientv3.SortAscend))
	must(t, err)
	r.began, r.until = first.Header.GetRevision(), first.Header.GetRevision()
	for _, there := range first.Kvs {
		r.note(there.GetKey(), there.GetValue(), there.GetModRevision(), false)
	}
	ctx, cancel := context.WithCancel(context.Background())
	changes := r.store.Watch(ctx, registry, clientv3.WithPrefix(), clientv3.WithRev(r.began+1), clientv3.WithPrevKV())
	var watching sync.WaitGroup
	t.Cleanup(func() { cancel(); watching.Wait() })
	watching.Go(func() {
		for change := range changes {
			r.take(&change)
		}
	})
	return r
}

// take notes what etcd tells of.
func (r *recorder) take(change *clientv3.WatchResponse) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if change.IsProgressNotify() {
		r.until = change.Header.GetRevision()
	}
	r.err = errors.Join(r.err, change.Err())
	for _, event := range change.Events {
		now, was := event.GetKv(), event.GetPrevKv()
		if event.GetType() == clientv3.EventTypeDelete {
			r.note(now.GetKey(), was.GetValue(), now.GetModRevision(), true)
		} else {
			r.note(now.GetKey(), now.GetValue(), now.GetModRevision(), false)
		}
	}
}

// note an object as it is stored, from a revision on. Kinds that cannot be read because they are unknown here are none of
// those that are recorded.
func (r *recorder) note(path, stored []byte, at int64, gone bool) {
	read, _, err := r.decode.Decode(stored, nil, nil)
	if err != nil {
		if !runtime.IsNotRegisteredError(err) {
			r.err = errors.Join(r.err, fmt.Errorf("%s at revision %d: %w", path, at, err))
		}
		return
	}
	if o, ok := read.(client.Object); ok && r.kinds[kindOf(o)] {
		o.SetResourceVersion(strconv.FormatInt(at, 10)) // as the API server shows it
		r.seen = append(r.seen, revision{keyOf(o), at, o, gone})
	}
}

// revisions are all up to now, in their order.
func (r *recorder) revisions(t *testing.T) []revision {
	t.Helper()
	now, err := r.store.Get(t.Context(), registry, clientv3.WithPrefix(), clientv3.WithCountOnly())
	must(t, err)
	eventually(t, fmt.Sprintf("the recorder has seen all up to revision %d", now.Header.GetRevision()), func() string {
		must(t, r.store.RequestProgress(t.Context()))
		r.mu.Lock()
		defer r.mu.Unlock()
		must(t, r.err)
		if r.until < now.Header.GetRevision() {
			return fmt.Sprintf("up to %d", r.until)
		}
		return ""
	})
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.seen)
}

// versionOf is the revision of the store that an object is of; 0, which is before all, when it has none.
func versionOf(o client.Object) int64 {
	at, err := strconv.ParseInt(o.GetResourceVersion(), 10, 64)
	if err != nil {
		return 0
	}
	return at
}
