package cluster

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bulkhead-dev/bulkhead/internal/observe"
	"github.com/bulkhead-dev/bulkhead/snapshot"
)

// informer remembers why its watch failed last, also if it goes on since.
type informer struct {
	cache.SharedIndexInformer

	mu     sync.Mutex
	failed error
}

func newInformer(from cache.ListerWatcher, object runtime.Object, resync time.Duration, indexers cache.Indexers) cache.SharedIndexInformer {
	w := &informer{SharedIndexInformer: cache.NewSharedIndexInformer(from, object, resync, indexers)}
	// It cannot fail before the informer runs.
	_ = w.SetWatchErrorHandlerWithContext(func(_ context.Context, _ *cache.Reflector, err error) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.failed = err
	})
	return w
}

// answered reports whether the kind was read, or cannot be.
func (w *informer) answered() bool {
	return w.HasSynced() || w.failure() != nil
}

func (w *informer) failure() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.failed
}

// revision that everything that is known of the kind has seen.
func (w *informer) revision() string { return w.GetStore().LastStoreSyncResourceVersion() }

// missing says why the kind is not known; empty when it is. What was known once, and is too old, is not known.
func (w *informer) missing(current, now time.Time) string {
	switch {
	case !w.HasSynced():
		return w.failure().Error()
	case now.Sub(current) <= lagging:
		return ""
	}
	text := fmt.Sprintf("what is known is of revision %s, and older than %s", w.revision(), lagging)
	if err := w.failure(); err != nil {
		text += ": " + err.Error()
	}
	return text
}

// known is what was understood of the kind, and what was not, in the order in which lists come.
func (w *informer) known(l *listing) *listed {
	objects := make([]metav1.Object, 0, len(w.GetStore().ListKeys()))
	for _, item := range w.GetStore().List() {
		if o, is := item.(metav1.Object); is {
			objects = append(objects, o)
		}
	}
	slices.SortFunc(objects, func(a, b metav1.Object) int {
		return cmp.Or(cmp.Compare(a.GetNamespace(), b.GetNamespace()), cmp.Compare(a.GetName(), b.GetName()))
	})
	found := &listed{listing: l, revision: w.revision()}
	for _, o := range objects {
		partly, is := o.(*partlyUnderstood)
		if !is {
			found.objects = append(found.objects, o)
			continue
		}
		found.missing = append(found.missing, partly.missing)
		if partly.known != nil {
			found.objects = append(found.objects, partly.known)
		}
	}
	return found
}

// partlyUnderstood is an object of which something is not understood.
type partlyUnderstood struct {
	metav1.Object

	// known is what is understood of it; nil when that is nothing.
	known   metav1.Object
	missing snapshot.Missing
}

// understand returns the transform of the cache, which keeps of an object what proofs read of it.
func understand(known *runtime.Scheme, kinds map[schema.GroupKind]observe.Kind) cache.TransformFunc {
	return func(in any) (any, error) {
		object, is := in.(client.Object)
		if !is {
			return in, nil // a tombstone, or what was understood before
		}
		object.SetManagedFields(nil)
		gvk := object.GetObjectKind().GroupVersionKind()
		item, isJSON := object.(*unstructured.Unstructured)
		if !isJSON {
			gvks, _, err := known.ObjectKinds(object)
			if err != nil {
				return nil, fmt.Errorf("find the kind of a %T: %w", object, err)
			}
			gvk = gvks[0]
			object.GetObjectKind().SetGroupVersionKind(gvk) // objects of a list come without
		}
		k, is := kinds[gvk.GroupKind()]
		if !is {
			return object, nil // a parameter of a policy, or Bulkhead's own
		}
		var kept metav1.Object
		var err error
		if isJSON {
			kept, err = k.Decode(item.Object)
		} else {
			kept, err = observe.Reduce(object)
		}
		if err == nil {
			return kept, nil
		}
		partly := &partlyUnderstood{
			Object: &metav1.ObjectMeta{
				Namespace: object.GetNamespace(), Name: object.GetName(), UID: object.GetUID(), ResourceVersion: object.GetResourceVersion(),
			},
			missing: k.MissingOf(object.GetNamespace(), snapshot.RefOf(gvk.Kind, object).String()+": "+err.Error()),
		}
		if unknown := (*observe.UnknownFieldsError)(nil); errors.As(err, &unknown) {
			partly.known = kept
		}
		return partly, nil
	}
}
