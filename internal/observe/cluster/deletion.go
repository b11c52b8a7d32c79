package cluster

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Definition is an empty CustomResourceDefinition to read into, without its schema, which is large: whether it is
// being removed stands in its metadata.
func Definition() *metav1.PartialObjectMetadata {
	d := &metav1.PartialObjectMetadata{}
	d.SetGroupVersionKind(schema.GroupVersionKind{Group: "apiextensions.k8s.io", Version: "v1", Kind: "CustomResourceDefinition"})
	return d
}

// Marked asks the API server itself whether this very object is marked as deleted. A cache may show a mark that is no more,
// when the server's store was restored from an older snapshot: nothing may be deleted because of it.
func Marked(ctx context.Context, live client.Reader, o client.Object) (bool, error) {
	now := o.DeepCopyObject().(client.Object) //nolint:forcetypeassert // a copy has its original's type
	err := live.Get(ctx, client.ObjectKeyFromObject(o), now)
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("find out whether %s is marked as deleted: %w", client.ObjectKeyFromObject(o), err)
	}
	return now.GetUID() == o.GetUID() && !now.GetDeletionTimestamp().IsZero(), nil
}
