package platform

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	nodev1 "k8s.io/api/node/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/internal/apply"
)

// indexNeedsNodes finds tenants by the environments in which they need nodes of their own.
const indexNeedsNodes = "needs-nodes"

// Index adds the index that the Reconciler reads by.
func Index(ctx context.Context, indexer client.FieldIndexer) error {
	return indexer.IndexField(ctx, &v1alpha1.Tenant{}, indexNeedsNodes, func(o client.Object) []string {
		if t, ok := o.(*v1alpha1.Tenant); ok {
			return environmentsNeeding(t)
		}
		return nil
	})
}

// SetupWithManager registers the Reconciler and what it watches.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager, options controller.Options) error {
	one := handler.EnqueueRequestsFromMapFunc(thePlatform)
	b := ctrl.NewControllerManagedBy(mgr).Named("platform").WithOptions(options).
		For(&v1alpha1.Platform{}).
		Watches(&v1alpha1.Tenant{}, one, builder.WithPredicates(needsPredicate())).
		Watches(&corev1.Namespace{}, one, builder.WithPredicates(dedicatedNamespaceGone())).
		Watches(&corev1.Node{}, one, builder.WithPredicates(predicate.Funcs{UpdateFunc: marksChanged})).
		Watches(&storagev1.StorageClass{}, one).
		Watches(&nodev1.RuntimeClass{}, one)
	for _, kind := range apply.Kinds() {
		_, isNamespace := kind.Object.(*corev1.Namespace)
		_, isQuota := kind.Object.(*corev1.ResourceQuota) // one is the system's
		if !kind.Namespaced && !isNamespace || isQuota {
			b = b.Watches(kind.Object, handler.EnqueueRequestsFromMapFunc(ofManaged))
		}
	}
	return b.Complete(r)
}

func thePlatform(context.Context, client.Object) []ctrl.Request {
	return []ctrl.Request{{NamespacedName: client.ObjectKey{Name: v1alpha1.PlatformName}}}
}

// ofManaged is the Platform, for managed objects that exist for no tenant.
func ofManaged(ctx context.Context, o client.Object) []ctrl.Request {
	if o.GetLabels()[v1alpha1.LabelTenant] != "" {
		return nil
	}
	return thePlatform(ctx, o)
}

// needsPredicate lets Tenants through whose need of nodes changed: of ten thousand tenants few ever do.
func needsPredicate() predicate.Funcs {
	needs := func(o client.Object) []string {
		if t, ok := o.(*v1alpha1.Tenant); ok {
			return environmentsNeeding(t)
		}
		return nil
	}
	return predicate.Funcs{
		CreateFunc: func(e event.CreateEvent) bool { return len(needs(e.Object)) > 0 },
		DeleteFunc: func(e event.DeleteEvent) bool { return true },
		UpdateFunc: func(e event.UpdateEvent) bool {
			return !equality.Semantic.DeepEqual(needs(e.ObjectOld), needs(e.ObjectNew))
		},
		GenericFunc: func(event.GenericEvent) bool { return false },
	}
}

// dedicatedNamespaceGone lets through what may free a node group.
func dedicatedNamespaceGone() predicate.Funcs {
	const affinity = "SoftAffinity"
	return predicate.Funcs{
		CreateFunc: func(event.CreateEvent) bool { return false },
		DeleteFunc: func(e event.DeleteEvent) bool { return e.Object.GetLabels()[v1alpha1.LabelPattern] == affinity },
		UpdateFunc: func(e event.UpdateEvent) bool {
			return e.ObjectOld.GetLabels()[v1alpha1.LabelPattern] == affinity && e.ObjectNew.GetLabels()[v1alpha1.LabelPattern] != affinity
		},
		GenericFunc: func(event.GenericEvent) bool { return false },
	}
}

// marksChanged reports whether labels or taints changed, which heartbeats do not.
func marksChanged(e event.UpdateEvent) bool {
	before, ok1 := e.ObjectOld.(*corev1.Node)
	after, ok2 := e.ObjectNew.(*corev1.Node)
	return !ok1 || !ok2 || !equality.Semantic.DeepEqual(before.Labels, after.Labels) ||
		!equality.Semantic.DeepEqual(before.Spec.Taints, after.Spec.Taints)
}
