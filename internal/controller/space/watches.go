package space

import (
	"context"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/client-go/util/workqueue"
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

// Field indexes of the cache.
const (
	// indexPeer finds Spaces by the Spaces that their flows name.
	indexPeer = "peer"
	// indexWaiver finds Waivers by tenant and workload.
	indexWaiver = "tenant-workload"
)

// Index adds the indexes that the Reconciler reads by.
func Index(ctx context.Context, indexer client.FieldIndexer) error {
	err := indexer.IndexField(ctx, &v1alpha1.Space{}, indexPeer, func(o client.Object) []string {
		space, ok := o.(*v1alpha1.Space)
		if !ok {
			return nil
		}
		var keys []string
		for _, peer := range peersOf(space) {
			keys = append(keys, peer.String())
		}
		return keys
	})
	if err != nil {
		return err
	}
	return indexer.IndexField(ctx, &v1alpha1.Waiver{}, indexWaiver, func(o client.Object) []string {
		waiver, ok := o.(*v1alpha1.Waiver)
		if !ok {
			return nil
		}
		return []string{waiverKey(waiver.Spec.Tenant, waiver.Spec.Workload)}
	})
}

func waiverKey(tenant, workload string) string { return tenant + "/" + workload }

// peersOf are the Spaces that a Space's flows name, each once.
func peersOf(space *v1alpha1.Space) []client.ObjectKey {
	own, _ := v1alpha1.TenantOfHome(space.Namespace)
	seen := map[client.ObjectKey]bool{}
	for _, flow := range slices.Concat(space.Spec.To, space.Spec.From) {
		if flow.Space == "" {
			continue
		}
		tenant := flow.Tenant
		if tenant == "" {
			tenant = own
		}
		seen[client.ObjectKey{Namespace: v1alpha1.HomeNamespace(tenant), Name: flow.Space}] = true
	}
	return slices.SortedFunc(maps.Keys(seen), func(a, b client.ObjectKey) int {
		return slices.Compare([]string{a.Namespace, a.Name}, []string{b.Namespace, b.Name})
	})
}

// SetupWithManager registers the Reconciler and what it watches.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager, options controller.Options) error {
	b := ctrl.NewControllerManagedBy(mgr).Named("space").WithOptions(options).
		For(&v1alpha1.Space{}, builder.WithPredicates(r.Writes.ByOthers())).
		Watches(&v1alpha1.Space{}, handler.EnqueueRequestsFromMapFunc(r.peers), builder.WithPredicates(predicate.Funcs{UpdateFunc: specChanged})).
		Watches(&v1alpha1.Space{}, handler.EnqueueRequestsFromMapFunc(r.siblings), builder.WithPredicates(predicate.Funcs{UpdateFunc: shareChanged})).
		Watches(&v1alpha1.Tenant{}, handler.EnqueueRequestsFromMapFunc(r.ofTenant), builder.WithPredicates(predicate.Funcs{UpdateFunc: tenantChanged})).
		Watches(&v1alpha1.Tenant{}, ledgerHandler()).
		Watches(&v1alpha1.Platform{}, handler.EnqueueRequestsFromMapFunc(r.all), builder.WithPredicates(predicate.Funcs{UpdateFunc: platformChanged})).
		Watches(&v1alpha1.Waiver{}, handler.EnqueueRequestsFromMapFunc(r.ofWaiver)).
		Watches(&flowcontrolv1.FlowSchema{}, handler.EnqueueRequestsFromMapFunc(r.inFlowSchema), builder.WithPredicates(predicate.ResourceVersionChangedPredicate{}))
	for _, kind := range apply.Kinds() {
		if _, isNamespace := kind.Object.(*corev1.Namespace); kind.Namespaced || isNamespace {
			b = b.Watches(kind.Object, handler.EnqueueRequestsFromMapFunc(ofManaged), builder.WithPredicates(r.Writes.ByOthers()))
		}
	}
	return b.Complete(r)
}

// ofManaged is the Space that a managed object exists for.
func ofManaged(_ context.Context, o client.Object) []ctrl.Request {
	tenant, space := o.GetLabels()[v1alpha1.LabelTenant], o.GetLabels()[v1alpha1.LabelSpace]
	if tenant == "" || space == "" {
		return nil
	}
	return []ctrl.Request{request(v1alpha1.HomeNamespace(tenant), space)}
}

func request(namespace, name string) ctrl.Request {
	return ctrl.Request{NamespacedName: client.ObjectKey{Namespace: namespace, Name: name}}
}

// peers are the Spaces that a Space's flows name, and those that name it: what one side declares opens the other.
func (r *Reconciler) peers(ctx context.Context, o client.Object) []ctrl.Request {
	space, ok := o.(*v1alpha1.Space)
	if !ok {
		return nil
	}
	var requests []ctrl.Request
	for _, peer := range peersOf(space) {
		requests = append(requests, ctrl.Request{NamespacedName: peer})
	}
	naming := &v1alpha1.SpaceList{}
	if err := r.Client.List(ctx, naming, client.MatchingFields{indexPeer: client.ObjectKeyFromObject(space).String()}); err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "find the spaces whose flows name a space", "space", client.ObjectKeyFromObject(space))
	}
	return append(requests, requestsFor(naming)...)
}

// siblings share the tenant's quota.
func (r *Reconciler) siblings(ctx context.Context, o client.Object) []ctrl.Request {
	return r.inHome(ctx, o.GetNamespace())
}

func (r *Reconciler) ofTenant(ctx context.Context, o client.Object) []ctrl.Request {
	return r.inHome(ctx, v1alpha1.HomeNamespace(o.GetName()))
}

func (r *Reconciler) inHome(ctx context.Context, home string) []ctrl.Request {
	spaces := &v1alpha1.SpaceList{}
	if err := r.Client.List(ctx, spaces, client.InNamespace(home)); err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "list the spaces of a tenant", "namespace", home)
	}
	return requestsFor(spaces)
}

func (r *Reconciler) all(ctx context.Context, _ client.Object) []ctrl.Request {
	return r.inHome(ctx, "")
}

func (r *Reconciler) ofWaiver(ctx context.Context, o client.Object) []ctrl.Request {
	waiver, ok := o.(*v1alpha1.Waiver)
	if !ok {
		return nil
	}
	spaces := &v1alpha1.SpaceList{}
	if err := r.Client.List(ctx, spaces, client.InNamespace(v1alpha1.HomeNamespace(waiver.Spec.Tenant))); err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "list the spaces of a waiver", "waiver", waiver.Name)
	}
	spaces.Items = slices.DeleteFunc(spaces.Items, func(s v1alpha1.Space) bool { return s.Spec.Workload != waiver.Spec.Workload })
	return requestsFor(spaces)
}

// inFlowSchema are the tenant's Spaces that may wait for being named in it.
func (r *Reconciler) inFlowSchema(ctx context.Context, o client.Object) []ctrl.Request {
	tenant := o.GetLabels()[v1alpha1.LabelTenant]
	if tenant == "" {
		return nil
	}
	spaces := &v1alpha1.SpaceList{}
	if err := r.Client.List(ctx, spaces, client.InNamespace(v1alpha1.HomeNamespace(tenant))); err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "list the spaces of a tenant", "tenant", tenant)
	}
	spaces.Items = slices.DeleteFunc(spaces.Items, func(s v1alpha1.Space) bool { return s.Status.Revision != "" })
	return requestsFor(spaces)
}

func requestsFor(spaces *v1alpha1.SpaceList) []ctrl.Request {
	requests := make([]ctrl.Request, 0, len(spaces.Items))
	for i := range spaces.Items {
		requests = append(requests, request(spaces.Items[i].Namespace, spaces.Items[i].Name))
	}
	return requests
}

// specChanged: what the owner asks for, or that it is being deleted. Statuses concern no other Space.
func specChanged(e event.UpdateEvent) bool {
	return e.ObjectOld.GetGeneration() != e.ObjectNew.GetGeneration() ||
		e.ObjectOld.GetDeletionTimestamp().IsZero() != e.ObjectNew.GetDeletionTimestamp().IsZero()
}

// shareChanged: what it wants of the tenant's quota.
func shareChanged(e event.UpdateEvent) bool {
	before, ok1 := e.ObjectOld.(*v1alpha1.Space)
	after, ok2 := e.ObjectNew.(*v1alpha1.Space)
	return !ok1 || !ok2 || !equality.Semantic.DeepEqual(before.Spec.Quota, after.Spec.Quota) ||
		before.DeletionTimestamp.IsZero() != after.DeletionTimestamp.IsZero()
}

// tenantChanged: all of a Tenant but its ledger and its counts.
func tenantChanged(e event.UpdateEvent) bool {
	before, ok1 := e.ObjectOld.(*v1alpha1.Tenant)
	after, ok2 := e.ObjectNew.(*v1alpha1.Tenant)
	if !ok1 || !ok2 || specChanged(e) {
		return true
	}
	for _, kind := range []string{v1alpha1.ConditionEnforced, v1alpha1.ConditionProven} {
		a, b := condition(before.Status.Conditions, kind), condition(after.Status.Conditions, kind)
		if (a == nil) != (b == nil) || a != nil && (a.Status != b.Status || a.Reason != b.Reason) {
			return true
		}
	}
	return !equality.Semantic.DeepEqual(before.Status.Proof, after.Status.Proof)
}

// platformChanged: its spec, its node groups, or whether it is Enforced.
func platformChanged(e event.UpdateEvent) bool {
	before, ok1 := e.ObjectOld.(*v1alpha1.Platform)
	after, ok2 := e.ObjectNew.(*v1alpha1.Platform)
	if !ok1 || !ok2 || specChanged(e) {
		return true
	}
	a, b := condition(before.Status.Conditions, v1alpha1.ConditionEnforced), condition(after.Status.Conditions, v1alpha1.ConditionEnforced)
	return !equality.Semantic.DeepEqual(before.Status.NodeGroups, after.Status.NodeGroups) || (a == nil) != (b == nil) || a != nil && a.Status != b.Status
}

// ledgerHandler wakes the Spaces whose entry in the ledger changed.
func ledgerHandler() handler.EventHandler {
	type queue = workqueue.TypedRateLimitingInterface[ctrl.Request]
	return handler.Funcs{UpdateFunc: func(_ context.Context, e event.UpdateEvent, q queue) {
		before, ok1 := e.ObjectOld.(*v1alpha1.Tenant)
		after, ok2 := e.ObjectNew.(*v1alpha1.Tenant)
		if !ok1 || !ok2 {
			return
		}
		held := map[string]corev1.ResourceList{}
		for _, entry := range before.Status.Ledger {
			held[entry.Space] = entry.Held
		}
		for _, entry := range after.Status.Ledger {
			if !equality.Semantic.DeepEqual(held[entry.Space], entry.Held) {
				q.Add(request(v1alpha1.HomeNamespace(after.Name), entry.Space))
			}
		}
	}}
}
