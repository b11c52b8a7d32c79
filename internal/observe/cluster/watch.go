package cluster

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/tools/cache"

	"github.com/bulkhead-dev/bulkhead/snapshot"
)

// watchedKind is one kind that is watched.
type watchedKind struct {
	listing  *listing
	informer cache.SharedIndexInformer
	end      context.CancelFunc

	mu sync.Mutex
	// failed is why the watch failed last, also if it goes on since.
	failed error
}

// watchKind begins to watch a kind.
func watchKind(life context.Context, client dynamic.ResourceInterface, l *listing) *watchedKind {
	ctx, end := context.WithCancel(life)
	w := &watchedKind{listing: l, end: end}
	w.informer = cache.NewSharedIndexInformer(&cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
			return client.List(ctx, options)
		},
		WatchFuncWithContext: func(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
			return client.Watch(ctx, options)
		},
	}, &unstructured.Unstructured{}, 0, nil)
	// Neither can fail before the informer runs.
	_ = w.informer.SetTransform(func(in any) (any, error) { return understand(l, in) })
	_ = w.informer.SetWatchErrorHandlerWithContext(func(_ context.Context, _ *cache.Reflector, err error) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.failed = err
	})
	go w.informer.RunWithContext(ctx)
	return w
}

// answered tells whether the kind was read, or that it cannot be.
func (w *watchedKind) answered() bool {
	return w.informer.HasSynced() || w.failure() != nil
}

func (w *watchedKind) failure() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.failed
}

// revision that everything that is known of the kind has seen.
func (w *watchedKind) revision() string { return w.informer.GetStore().LastStoreSyncResourceVersion() }

// missing says why the kind is not known; empty when it is. What was known once, and is too old, is not known.
func (w *watchedKind) missing(current, now time.Time) string {
	switch {
	case !w.informer.HasSynced():
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

// known is what was understood of the kind, and what was not.
func (w *watchedKind) known() *listed {
	objects := make([]*objectOf, 0, len(w.informer.GetStore().ListKeys()))
	for _, item := range w.informer.GetStore().List() {
		if o, is := item.(*objectOf); is {
			objects = append(objects, o)
		}
	}
	slices.SortFunc(objects, byName)
	found := &listed{listing: w.listing, revision: w.revision()}
	for _, o := range objects {
		if o.fault != nil {
			found.missing = append(found.missing, snapshot.Missing{Kind: w.listing.missing, Why: o.fault.Error()})
		}
		if o.understood != nil {
			found.objects = append(found.objects, o.understood)
		}
	}
	return found
}
