// Package waiver reconciles Waivers: it reports whether each is in force, and where. What a waiver suspends is written
// by the Spaces concerned, which watch waivers and their expiry themselves.
package waiver

import (
	"context"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/internal/status"
)

// Reconciler keeps the status of Waivers.
type Reconciler struct {
	// Client reads from the cache and writes.
	Client client.Client
	Status *status.Writer
	Clock  clock.PassiveClock
}

// Reconcile reports whether one Waiver is in force, and requeues for when it expires.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	waiver := &v1alpha1.Waiver{}
	if err := r.Client.Get(ctx, req.NamespacedName, waiver); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	before := waiver.DeepCopy()
	left := waiver.Spec.Expires.Sub(r.Clock.Now())
	condition, err := r.condition(ctx, waiver, left)
	if err != nil {
		return ctrl.Result{}, err
	}
	if waiver.Status.Namespaces, err = r.namespaces(ctx, waiver); err != nil {
		return ctrl.Result{}, err
	}
	conditions := []metav1.Condition{condition}
	status.Merge(&waiver.Status.Conditions, conditions)
	err = r.Status.Write(ctx, waiver.Spec.Tenant, before, waiver, before.Status.Conditions, conditions)
	if apierrors.IsConflict(err) || apierrors.IsNotFound(err) {
		return ctrl.Result{RequeueAfter: 50 * time.Millisecond}, nil
	}
	return ctrl.Result{RequeueAfter: max(left, 0)}, err
}

func (r *Reconciler) condition(ctx context.Context, w *v1alpha1.Waiver, left time.Duration) (metav1.Condition, error) {
	c := metav1.Condition{
		Type: v1alpha1.ConditionActive, Status: metav1.ConditionFalse,
		ObservedGeneration: w.Generation, LastTransitionTime: metav1.NewTime(r.Clock.Now()),
	}
	until := w.Spec.Expires.UTC().Format(time.RFC3339)
	if left <= 0 {
		c.Reason = v1alpha1.ReasonExpired
		c.Message = fmt.Sprintf("expired at %s: control %s is in force again for workload %s", until, w.Spec.Control, w.Spec.Workload)
		return c, nil
	}
	tenant := &v1alpha1.Tenant{}
	err := r.Client.Get(ctx, client.ObjectKey{Name: w.Spec.Tenant}, tenant)
	switch {
	case apierrors.IsNotFound(err):
		c.Reason, c.Message = v1alpha1.ReasonTenantMissing, "there is no Tenant "+w.Spec.Tenant+": correct spec.tenant, or delete this Waiver"
	case err != nil:
		return c, fmt.Errorf("get tenant %s: %w", w.Spec.Tenant, err)
	case tenant.Workload(w.Spec.Workload) == nil:
		c.Reason, c.Message = v1alpha1.ReasonWorkloadUnknown, "tenant "+w.Spec.Tenant+" declares no workload "+w.Spec.Workload+": correct spec.workload, or delete this Waiver"
	default:
		c.Status, c.Reason = metav1.ConditionTrue, v1alpha1.ReasonActive
		c.Message = fmt.Sprintf("control %s is suspended for workload %s until %s, approved by %s: %s",
			w.Spec.Control, w.Spec.Workload, until, w.Spec.Approver, w.Spec.Reason)
	}
	return c, nil
}

// namespaces are those that carry the waiver's mark now: what is enforced, and not what should be.
func (r *Reconciler) namespaces(ctx context.Context, w *v1alpha1.Waiver) ([]string, error) {
	spaces := &v1alpha1.SpaceList{}
	if err := r.Client.List(ctx, spaces, client.InNamespace(v1alpha1.HomeNamespace(w.Spec.Tenant))); err != nil {
		return nil, fmt.Errorf("list the spaces of tenant %s: %w", w.Spec.Tenant, err)
	}
	var names []string
	for i := range spaces.Items {
		namespace := &corev1.Namespace{}
		err := r.Client.Get(ctx, client.ObjectKey{Name: v1alpha1.SpaceNamespace(w.Spec.Tenant, spaces.Items[i].Name)}, namespace)
		if client.IgnoreNotFound(err) != nil {
			return nil, fmt.Errorf("get namespace of space %s: %w", spaces.Items[i].Name, err)
		}
		if err == nil && marked(namespace, w) {
			names = append(names, namespace.Name)
		}
	}
	slices.Sort(names)
	return names, nil
}

// marked reports whether a namespace carries the waiver's mark: its name as the label, shortened to a start and a hash
// where it is too long for one, and the time at which it ends as the annotation.
func marked(namespace *corev1.Namespace, w *v1alpha1.Waiver) bool {
	const kept = 46 // of 63, the rest is hyphen and hash
	key := v1alpha1.WaiverPrefix + w.Spec.Control
	label := namespace.Labels[key]
	return (label == w.Name || len(w.Name) > len(label) && len(label) > kept && label[:kept] == w.Name[:kept]) &&
		namespace.Annotations[key] == w.Spec.Expires.UTC().Format(time.RFC3339)
}

// indexTenant finds Waivers by their tenant.
const indexTenant = "waived-tenant"

// Index adds the index that the Reconciler reads by.
func Index(ctx context.Context, indexer client.FieldIndexer) error {
	return indexer.IndexField(ctx, &v1alpha1.Waiver{}, indexTenant, func(o client.Object) []string {
		if w, ok := o.(*v1alpha1.Waiver); ok {
			return []string{w.Spec.Tenant}
		}
		return nil
	})
}

// SetupWithManager registers the Reconciler and what it watches.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager, options controller.Options) error {
	return ctrl.NewControllerManagedBy(mgr).Named("waiver").WithOptions(options).
		For(&v1alpha1.Waiver{}).
		Watches(&v1alpha1.Tenant{}, handler.EnqueueRequestsFromMapFunc(func(ctx context.Context, o client.Object) []ctrl.Request {
			return r.ofTenant(ctx, o.GetName())
		})).
		Watches(&corev1.Namespace{}, handler.EnqueueRequestsFromMapFunc(func(ctx context.Context, o client.Object) []ctrl.Request {
			return r.ofTenant(ctx, o.GetLabels()[v1alpha1.LabelTenant])
		})).
		Complete(r)
}

func (r *Reconciler) ofTenant(ctx context.Context, tenant string) []ctrl.Request {
	if tenant == "" {
		return nil
	}
	waivers := &v1alpha1.WaiverList{}
	if err := r.Client.List(ctx, waivers, client.MatchingFields{indexTenant: tenant}); err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "list the waivers of a tenant", "tenant", tenant)
	}
	var requests []ctrl.Request
	for i := range waivers.Items {
		requests = append(requests, ctrl.Request{NamespacedName: client.ObjectKeyFromObject(&waivers.Items[i])})
	}
	return requests
}
