package apply

import (
	"context"
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/snapshot"
)

// Scope selects the managed objects that one owner is responsible for.
type Scope struct {
	// Kinds to look through.
	Kinds []Kind
	// Namespace to look in; empty for cluster-scoped kinds.
	Namespace string
	// Labels that the objects must carry, in addition to the one that marks them as Bulkhead's.
	Labels map[string]string
	// Without names labels that the objects must not carry, because others are responsible for those that do.
	Without []string
}

// Prune deletes the managed objects of the scope that are not among keep. It looks at the cache, and each deletion
// names the UID and the version that it saw: an object that changed since is left for the next look.
func (a *Applier) Prune(ctx context.Context, scope *Scope, keep []client.Object) ([]Change, error) {
	obsolete, err := a.Obsolete(ctx, scope, keep)
	faults := []error{err}
	var changes []Change
	for _, obj := range obsolete {
		if err := a.Delete(ctx, obj); err != nil {
			faults = append(faults, err)
			continue
		}
		changes = append(changes, a.change(obj, Deleted))
	}
	return changes, errors.Join(faults...)
}

// Obsolete are the managed objects of the scope that are not among keep, and that are not being deleted. What could be listed is returned
// also with an error.
func (a *Applier) Obsolete(ctx context.Context, scope *Scope, keep []client.Object) ([]client.Object, error) {
	kept := make(map[objectID]bool, len(keep))
	for _, obj := range keep {
		if obj.GetNamespace() == scope.Namespace {
			kept[idOf(obj)] = true
		}
	}
	var obsolete []client.Object
	var faults []error
	for _, kind := range scope.Kinds {
		found, err := list(ctx, a.client, kind, scope)
		faults = append(faults, err)
		for _, obj := range found {
			if !kept[idOf(obj)] && obj.GetDeletionTimestamp() == nil {
				obsolete = append(obsolete, obj)
			}
		}
	}
	return obsolete, errors.Join(faults...)
}

// Find lists the managed objects of the scope from the API server itself and not from a cache: what it does not
// return does not exist.
func (a *Applier) Find(ctx context.Context, scope *Scope) ([]client.Object, error) {
	var found []client.Object
	for _, kind := range scope.Kinds {
		objects, err := list(ctx, a.live, kind, scope)
		if err != nil {
			return nil, err
		}
		found = append(found, objects...)
	}
	return found, nil
}

func list(ctx context.Context, from client.Reader, kind Kind, scope *Scope) ([]client.Object, error) {
	into := kind.List.DeepCopyObject().(client.ObjectList) //nolint:forcetypeassert // a copy has its original's type
	match := client.MatchingLabels{v1alpha1.LabelManagedBy: v1alpha1.ManagedBy}
	for key, value := range scope.Labels {
		match[key] = value
	}
	if err := from.List(ctx, into, match, client.InNamespace(scope.Namespace)); err != nil {
		return nil, fmt.Errorf("list %ss in %q by %v: %w", kindOf(kind.Object), scope.Namespace, match, err)
	}
	var objects []client.Object
	err := meta.EachListItem(into, func(item runtime.Object) error {
		obj, ok := item.(client.Object)
		if !ok {
			return fmt.Errorf("list %ss: %T is no API object", kindOf(kind.Object), item)
		}
		for _, label := range scope.Without {
			if _, has := obj.GetLabels()[label]; has {
				return nil
			}
		}
		objects = append(objects, obj)
		return nil
	})
	return objects, err
}

// Delete removes the very object that was looked at: with its UID and resourceVersion as preconditions. That it is
// gone already is fine.
func (a *Applier) Delete(ctx context.Context, obj client.Object) error {
	uid, version := obj.GetUID(), obj.GetResourceVersion()
	if uid == "" || version == "" {
		return failed("delete", obj, errors.New("it was not read from the API server, so it is not known to be the right one"))
	}
	err := a.client.Delete(ctx, obj, client.Preconditions{UID: &uid, ResourceVersion: &version})
	if err != nil && !apierrors.IsNotFound(err) {
		a.metrics.write(kindOf(obj), "Error")
		return failed("delete", obj, err)
	}
	a.memory.forget(obj)
	a.metrics.write(kindOf(obj), string(Deleted))
	return nil
}

// RefOf names an object.
func RefOf(obj client.Object) snapshot.Ref { return snapshot.RefOf(kindOf(obj), obj) }
