// Package workloads reports on Spaces which of their workloads lack pods because the API server refuses them: only the controllers that make
// the pods see such a refusal, where few people look.
package workloads

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/internal/status"
)

const (
	// reasonFailedCreate is the reason of the Events in which Kubernetes' controllers report that they could not make a pod or a claim.
	reasonFailedCreate = "FailedCreate"
	// again is when blocked workloads are looked at again: they are cured without an Event.
	again = 30 * time.Second
	// pause is the least time between two writes for one Space.
	pause = 10 * time.Second
	// shown is how many workloads a message names, and looked how many are looked at in one pass: a tenant may have thousands, and the first
	// ones by name say what is to be done. longest bounds what is said of one, in characters.
	shown, looked, longest = 3, 30, 400
)

// Reconciler keeps the condition WorkloadsBlocked of Spaces.
type Reconciler struct {
	// Client reads from the cache, and writes.
	Client client.Client
	// Live reads workloads, which are not cached.
	Live   client.Reader
	Status *status.Writer
	Clock  clock.PassiveClock

	// written is when the condition of a Space was last written, by the Space's UID; none for a Space without the condition.
	written sync.Map
}

// Events is what of Events is cached: those of creations that failed, with what is read of them.
func Events() cache.ByObject {
	return cache.ByObject{Field: fields.OneTermEqualSelector("reason", reasonFailedCreate), Transform: abridge}
}

func abridge(in any) (any, error) {
	e, is := in.(*corev1.Event)
	if !is {
		return in, nil
	}
	kept := &corev1.Event{InvolvedObject: e.InvolvedObject, Message: e.Message, Reason: e.Reason, LastTimestamp: e.LastTimestamp}
	kept.Namespace, kept.Name, kept.UID, kept.ResourceVersion, kept.CreationTimestamp = e.Namespace, e.Name, e.UID, e.ResourceVersion, e.CreationTimestamp
	return kept, nil
}

// Reconcile looks at the workloads of one Space, by the name of its namespace.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	namespace, space := &corev1.Namespace{}, &v1alpha1.Space{}
	if err := r.Client.Get(ctx, req.NamespacedName, namespace); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	owner := namespace.Labels[v1alpha1.LabelTenant]
	key := client.ObjectKey{Namespace: v1alpha1.HomeNamespace(owner), Name: namespace.Labels[v1alpha1.LabelSpace]}
	if owner == "" || key.Name == "" {
		return ctrl.Result{}, nil // no tenant's
	}
	if err := r.Client.Get(ctx, key, space); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if space.Status.Namespace != namespace.Name || !space.DeletionTimestamp.IsZero() {
		return ctrl.Result{}, nil
	}
	refusals, more, err := r.refused(ctx, namespace.Name)
	if err != nil {
		return ctrl.Result{}, err
	}
	return r.write(ctx, owner, space, refusals, more)
}

// write writes the condition, or takes it away where no workload lacks pods.
func (r *Reconciler) write(ctx context.Context, owner string, space *v1alpha1.Space, refusals []refusal, more int) (ctrl.Result, error) {
	before := space.DeepCopy()
	var now []metav1.Condition
	known := meta.FindStatusCondition(space.Status.Conditions, v1alpha1.ConditionWorkloadsBlocked)
	if last, wrote := r.written.Load(space.UID); wrote && known != nil && len(refusals) > 0 {
		if left := pause - r.Clock.Since(last.(time.Time)); left > 0 { //nolint:forcetypeassert // nothing else is stored there
			return ctrl.Result{RequeueAfter: left}, nil
		}
	}
	if len(refusals) > 0 {
		now = []metav1.Condition{{
			Type: v1alpha1.ConditionWorkloadsBlocked, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonPodsRefused,
			Message: message(space.Status.Namespace, refusals, more), ObservedGeneration: space.Generation, LastTransitionTime: metav1.NewTime(r.Clock.Now()),
		}}
		status.Merge(&space.Status.Conditions, now)
	} else {
		meta.RemoveStatusCondition(&space.Status.Conditions, v1alpha1.ConditionWorkloadsBlocked)
	}
	r.written.Store(space.UID, r.Clock.Now())
	if len(refusals) == 0 {
		r.written.Delete(space.UID)
	}
	err := r.Status.Write(ctx, owner, before, space, before.Status.Conditions, now)
	switch {
	case apierrors.IsConflict(err):
		return ctrl.Result{RequeueAfter: time.Second}, nil
	case err != nil:
		return ctrl.Result{}, client.IgnoreNotFound(err)
	case len(refusals) > 0:
		return ctrl.Result{RequeueAfter: again}, nil
	}
	return ctrl.Result{}, nil
}

// message says which workloads lack pods, why, and what to do. It names a few; more may.
func message(namespace string, refusals []refusal, more int) string {
	lines := make([]string, len(refusals))
	for i, one := range refusals {
		lines[i] = one.workload + ": " + one.says
	}
	text := strings.Join(lines, "; ")
	if more > 0 {
		text += fmt.Sprintf("; and perhaps %d more: `kubectl get events -n %s --field-selector reason=%s`", more, namespace, reasonFailedCreate)
	}
	return text
}

// refusal is why a workload lacks pods.
type refusal struct{ workload, says string }

// refused are the workloads of a namespace that lack pods now, by name, and how many more may.
func (r *Reconciler) refused(ctx context.Context, namespace string) ([]refusal, int, error) {
	list := &corev1.EventList{}
	if err := r.Client.List(ctx, list, client.InNamespace(namespace)); err != nil {
		return nil, 0, fmt.Errorf("list the events of namespace %s: %w", namespace, err)
	}
	latest := map[types.UID]*corev1.Event{}
	for i := range list.Items {
		e := &list.Items[i]
		if known := latest[e.InvolvedObject.UID]; known == nil || known.LastTimestamp.Before(&e.LastTimestamp) {
			latest[e.InvolvedObject.UID] = e
		}
	}
	failed := make([]*corev1.Event, 0, len(latest))
	for _, e := range latest {
		failed = append(failed, e)
	}
	slices.SortFunc(failed, func(a, b *corev1.Event) int { // the same ones at each pass, so that the message stays
		return cmp.Or(strings.Compare(a.InvolvedObject.Kind, b.InvolvedObject.Kind), strings.Compare(a.InvolvedObject.Name, b.InvolvedObject.Name))
	})
	var found []refusal
	for i, e := range failed {
		if i == looked || len(found) == shown {
			return found, len(failed) - i, nil
		}
		says, is := Says(e.Message)
		if !is {
			continue
		}
		lacks, err := r.lacksPods(ctx, &e.InvolvedObject)
		if err != nil {
			return nil, 0, err
		}
		if lacks {
			found = append(found, refusal{e.InvolvedObject.Kind + " " + e.InvolvedObject.Name, printable(says)})
		}
	}
	return found, 0, nil
}

// printable is a text without what could change how a terminal shows it, and no longer than people read: tenants wrote parts of it.
func printable(text string) string {
	runes := []rune(strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, text))
	if len(runes) > longest {
		return string(runes[:longest]) + " ..."
	}
	return string(runes)
}

// lacksPods reports whether a workload is there and has fewer pods than it wants.
func (r *Reconciler) lacksPods(ctx context.Context, ref *corev1.ObjectReference) (bool, error) {
	var object client.Object
	var lacks func() bool
	switch ref.Kind {
	case "ReplicaSet":
		o := &appsv1.ReplicaSet{}
		object, lacks = o, func() bool {
			return slices.ContainsFunc(o.Status.Conditions, func(c appsv1.ReplicaSetCondition) bool {
				return c.Type == appsv1.ReplicaSetReplicaFailure && c.Status == corev1.ConditionTrue
			})
		}
	case "ReplicationController":
		o := &corev1.ReplicationController{}
		object, lacks = o, func() bool {
			return slices.ContainsFunc(o.Status.Conditions, func(c corev1.ReplicationControllerCondition) bool {
				return c.Type == corev1.ReplicationControllerReplicaFailure && c.Status == corev1.ConditionTrue
			})
		}
	case "StatefulSet":
		o := &appsv1.StatefulSet{}
		object, lacks = o, func() bool { return o.Spec.Replicas != nil && o.Status.Replicas < *o.Spec.Replicas }
	case "DaemonSet":
		o := &appsv1.DaemonSet{}
		object, lacks = o, func() bool { return o.Status.CurrentNumberScheduled < o.Status.DesiredNumberScheduled }
	case "Job":
		o := &batchv1.Job{}
		object, lacks = o, func() bool { return o.Status.Active == 0 && o.Status.CompletionTime == nil && !finished(o) }
	default:
		return false, nil // an operator's, which reports itself
	}
	err := r.Live.Get(ctx, client.ObjectKey{Namespace: ref.Namespace, Name: ref.Name}, object)
	if err != nil || object.GetUID() != ref.UID || !object.GetDeletionTimestamp().IsZero() {
		return false, client.IgnoreNotFound(err)
	}
	return lacks(), nil
}

func finished(o *batchv1.Job) bool {
	suspended := o.Spec.Suspend != nil && *o.Spec.Suspend
	return suspended || slices.ContainsFunc(o.Status.Conditions, func(c batchv1.JobCondition) bool {
		return c.Status == corev1.ConditionTrue && (c.Type == batchv1.JobComplete || c.Type == batchv1.JobFailed)
	})
}

// SetupWithManager registers the Reconciler and what it watches: what is repeated in Events concerns it once.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager, options controller.Options) error {
	said := predicate.Funcs{
		UpdateFunc: func(e event.UpdateEvent) bool {
			before, is1 := e.ObjectOld.(*corev1.Event)
			after, is2 := e.ObjectNew.(*corev1.Event)
			return !is1 || !is2 || before.Message != after.Message
		},
		DeleteFunc: func(event.DeleteEvent) bool { return false },
	}
	return ctrl.NewControllerManagedBy(mgr).Named("workloads").WithOptions(options).
		Watches(&corev1.Event{}, handler.EnqueueRequestsFromMapFunc(func(_ context.Context, o client.Object) []ctrl.Request {
			return []ctrl.Request{{NamespacedName: client.ObjectKey{Name: o.GetNamespace()}}}
		}), builder.WithPredicates(said)).
		Complete(r)
}
