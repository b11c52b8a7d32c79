package run

import (
	"context"
	"errors"
	"net/http"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/healthz"

	"github.com/bulkhead-dev/bulkhead/internal/apply"
	"github.com/bulkhead-dev/bulkhead/internal/controller/workloads"
)

// Caches hold what Bulkhead manages and nothing of what tenants make, so that memory grows with the number of tenants
// and not with what runs in their namespaces.
func Caches() cache.Options {
	objects := map[client.Object]cache.ByObject{
		&corev1.Event{}: workloads.Events(),
		&corev1.Node{}:  {Transform: abridgeNode},
	}
	for _, kind := range apply.Kinds() {
		objects[kind.Object] = cache.ByObject{Label: apply.Managed(), Transform: abridge}
	}
	return cache.Options{
		ByObject:         objects,
		DefaultTransform: cache.TransformStripManagedFields(),
		// A read of a kind that is not watched would quietly start to cache all of it.
		ReaderFailOnMissingInformer: true,
	}
}

// abridge keeps of the managed fields who wrote when, which is what an Event about tampering has, and drops which
// fields: they are half of a small object's size.
func abridge(in any) (any, error) {
	object, err := meta.Accessor(in)
	if err != nil {
		return in, nil //nolint:nilerr // a tombstone: the cache knows what to do with it
	}
	entries := object.GetManagedFields()
	kept := make([]metav1.ManagedFieldsEntry, 0, len(entries))
	for _, e := range entries {
		if e.Subresource == "" {
			kept = append(kept, metav1.ManagedFieldsEntry{Manager: e.Manager, Operation: e.Operation, Time: e.Time})
		}
	}
	object.SetManagedFields(kept)
	return in, nil
}

// abridgeNode keeps the labels and the taints.
func abridgeNode(in any) (any, error) {
	node, ok := in.(*corev1.Node)
	if !ok {
		return in, nil
	}
	if _, err := abridge(node); err != nil {
		return nil, err
	}
	node.Annotations = nil
	node.Status = corev1.NodeStatus{}
	node.Spec = corev1.NodeSpec{Taints: node.Spec.Taints}
	return node, nil
}

// cachesSynced is ready once the caches hold what they are to hold: before, every answer of a controller would be late.
func cachesSynced(c cache.Cache) healthz.Checker {
	return func(req *http.Request) error {
		const patience = 100 * time.Millisecond // it is asked again every few seconds
		ctx, cancel := context.WithTimeout(req.Context(), patience)
		defer cancel()
		if !c.WaitForCacheSync(ctx) {
			return errors.New("the caches are not filled yet")
		}
		return nil
	}
}
