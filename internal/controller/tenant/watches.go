package tenant

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/internal/apply"
)

// Field indexes of the cache.
const (
	// indexSpaceNamespace finds the namespaces of a tenant's Spaces.
	indexSpaceNamespace = "space-namespace-of"
	// indexWaiver finds the waivers of a tenant.
	indexWaiver = "waiver-of"
)

// Index adds the indexes that the Reconciler reads by.
func Index(ctx context.Context, indexer client.FieldIndexer) error {
	err := indexer.IndexField(ctx, &corev1.Namespace{}, indexSpaceNamespace, func(o client.Object) []string {
		if o.GetLabels()[v1alpha1.LabelSpace] == "" {
			return nil
		}
		return []string{o.GetLabels()[v1alpha1.LabelTenant]}
	})
	if err != nil {
		return err
	}
	return indexer.IndexField(ctx, &v1alpha1.Waiver{}, indexWaiver, func(o client.Object) []string {
		if waiver, ok := o.(*v1alpha1.Waiver); ok {
			return []string{waiver.Spec.Tenant}
		}
		return nil
	})
}

// SetupWithManager registers the Reconciler and what it watches.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager, options controller.Options) error {
	proven := make(chan event.GenericEvent)
	r.Proofs.requeue = func(ctx context.Context, tenant string) {
		select {
		case proven <- event.GenericEvent{Object: &v1alpha1.Tenant{ObjectMeta: metav1.ObjectMeta{Name: tenant}}}:
		case <-ctx.Done():
		}
	}
	b := ctrl.NewControllerManagedBy(mgr).Named("tenant").WithOptions(options).
		For(&v1alpha1.Tenant{}, builder.WithPredicates(r.Writes.ByOthers())).
		WatchesRawSource(source.Channel(proven, &handler.EnqueueRequestForObject{})).
		Watches(&v1alpha1.Space{}, handler.EnqueueRequestsFromMapFunc(ofHome), builder.WithPredicates(predicate.Funcs{UpdateFunc: spaceChanged})).
		Watches(&v1alpha1.Platform{}, handler.EnqueueRequestsFromMapFunc(allTenants(r.Client)), builder.WithPredicates(predicate.Funcs{UpdateFunc: platformChanged})).
		Watches(&corev1.Node{}, handler.EnqueueRequestsFromMapFunc(ofNode), builder.WithPredicates(predicate.LabelChangedPredicate{})).
		Watches(&v1alpha1.Waiver{}, handler.EnqueueRequestsFromMapFunc(ofWaiver)).
		Watches(&v1alpha1.IsolationReport{}, &handler.EnqueueRequestForObject{}, builder.WithPredicates(predicate.Funcs{UpdateFunc: verdictChanged}))
	for _, kind := range apply.Kinds() {
		b = b.Watches(kind.Object, handler.EnqueueRequestsFromMapFunc(ofManaged), builder.WithPredicates(r.Writes.ByOthers()))
	}
	return b.Complete(r)
}

// SetupWithManager registers Proofs and what they watch.
func (r *Proofs) SetupWithManager(mgr ctrl.Manager, options controller.Options) error {
	return ctrl.NewControllerManagedBy(mgr).Named("proof").WithOptions(options).
		For(&v1alpha1.Tenant{}, builder.WithPredicates(predicate.Funcs{UpdateFunc: enforcedChanged})).
		Watches(&v1alpha1.Space{}, handler.EnqueueRequestsFromMapFunc(ofHome), builder.WithPredicates(predicate.Funcs{UpdateFunc: spaceChanged})).
		Watches(&v1alpha1.Platform{}, handler.EnqueueRequestsFromMapFunc(allTenants(mgr.GetClient())),
			builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		Complete(r)
}

// enforcedChanged: whether, and on which generation, the Tenant is Enforced.
func enforcedChanged(e event.UpdateEvent) bool {
	before, ok1 := e.ObjectOld.(*v1alpha1.Tenant)
	after, ok2 := e.ObjectNew.(*v1alpha1.Tenant)
	if !ok1 || !ok2 {
		return true
	}
	a, b := find(before.Status.Conditions, v1alpha1.ConditionEnforced), find(after.Status.Conditions, v1alpha1.ConditionEnforced)
	return (a == nil) != (b == nil) || a != nil && (a.Status != b.Status || a.ObservedGeneration != b.ObservedGeneration)
}

func named(tenant string) []ctrl.Request {
	if tenant == "" {
		return nil
	}
	return []ctrl.Request{{NamespacedName: client.ObjectKey{Name: tenant}}}
}

// ofManaged is the Tenant that a managed object exists for, unless it exists for one of its Spaces. Of those the
// Tenant looks at the namespaces only.
func ofManaged(_ context.Context, o client.Object) []ctrl.Request {
	_, isNamespace := o.(*corev1.Namespace)
	if o.GetLabels()[v1alpha1.LabelSpace] != "" && !isNamespace {
		return nil
	}
	return named(o.GetLabels()[v1alpha1.LabelTenant])
}

func ofHome(_ context.Context, o client.Object) []ctrl.Request {
	tenant, _ := v1alpha1.TenantOfHome(o.GetNamespace())
	return named(tenant)
}

// ofNode is the Tenant that a node is dedicated to, or was until now: one that is being removed waits for that.
func ofNode(_ context.Context, o client.Object) []ctrl.Request {
	return named(o.GetLabels()[v1alpha1.LabelNodeTenant])
}

func ofWaiver(_ context.Context, o client.Object) []ctrl.Request {
	if waiver, ok := o.(*v1alpha1.Waiver); ok {
		return named(waiver.Spec.Tenant)
	}
	return nil
}

func allTenants(reader client.Reader) handler.MapFunc {
	return func(ctx context.Context, _ client.Object) []ctrl.Request {
		tenants := &v1alpha1.TenantList{}
		if err := reader.List(ctx, tenants); err != nil {
			ctrl.LoggerFrom(ctx).Error(err, "list tenants")
		}
		var requests []ctrl.Request
		for i := range tenants.Items {
			requests = append(requests, named(tenants.Items[i].Name)...)
		}
		return requests
	}
}

// spaceChanged: what the Tenant counts, proves or waits for.
func spaceChanged(e event.UpdateEvent) bool {
	before, ok1 := e.ObjectOld.(*v1alpha1.Space)
	after, ok2 := e.ObjectNew.(*v1alpha1.Space)
	if !ok1 || !ok2 {
		return true
	}
	a, b := find(before.Status.Conditions, v1alpha1.ConditionReady), find(after.Status.Conditions, v1alpha1.ConditionReady)
	return before.Status.Revision != after.Status.Revision || before.Status.Namespace != after.Status.Namespace ||
		before.DeletionTimestamp.IsZero() != after.DeletionTimestamp.IsZero() ||
		!equality.Semantic.DeepEqual(before.Status.Remaining, after.Status.Remaining) ||
		(a == nil) != (b == nil) || a != nil && a.Status != b.Status
}

// verdictChanged reports whether the exact proof has another result, and not only another time. The Reconciler requeues
// before the one that it knows grows stale.
func verdictChanged(e event.UpdateEvent) bool {
	before, ok1 := e.ObjectOld.(*v1alpha1.IsolationReport)
	after, ok2 := e.ObjectNew.(*v1alpha1.IsolationReport)
	return !ok1 || !ok2 || before.Verdict != after.Verdict || before.Summary() != after.Summary()
}

// platformChanged: its spec, its node groups, or whether it is Enforced.
func platformChanged(e event.UpdateEvent) bool {
	before, ok1 := e.ObjectOld.(*v1alpha1.Platform)
	after, ok2 := e.ObjectNew.(*v1alpha1.Platform)
	if !ok1 || !ok2 || before.Generation != after.Generation {
		return true
	}
	a, b := find(before.Status.Conditions, v1alpha1.ConditionEnforced), find(after.Status.Conditions, v1alpha1.ConditionEnforced)
	return !equality.Semantic.DeepEqual(before.Status.NodeGroups, after.Status.NodeGroups) || (a == nil) != (b == nil) || a != nil && a.Status != b.Status
}
