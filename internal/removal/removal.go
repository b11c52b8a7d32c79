// Package removal takes a tenant's namespace away: rights first, then what runs there, then what is left and held. It is called
// for namespaces alone whose Space or Tenant was seen marked for deletion.
//
//  1. Every RoleBinding goes, also those that the tenant made, with their finalizers: no tenant writes any more.
//  2. A RoleBinding gives Bulkhead what it needs to look for what would hold the namespace, and, where there is such a thing, to end it.
//     It holds in this namespace only, and goes with it.
//  3. The namespace is deleted. Kubernetes removes pods before all else, so that none outlives the policies that confine it.
//  4. After the deadline, pods that are still there get no more time to end. They are never removed by force: a pod whose node does not
//     answer may still run.
//  5. After the deadline has passed again, finalizers that are not Kubernetes' own are taken off, and recorded.
package removal

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/discovery"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/guardrail"
	"github.com/bulkhead-dev/bulkhead/internal/apply"
)

// Remover removes namespaces.
type Remover struct {
	// Client writes, and reads the Platform from its cache.
	Client client.Client
	// Live reads from the API server itself.
	Live client.Reader
	// Apply deletes by UID and version.
	Apply *apply.Applier
	// Discovery knows which kinds there are.
	Discovery discovery.DiscoveryInterface
	Clock     clock.PassiveClock
}

// defaultDeadline is that of a cluster without a Platform.
const defaultDeadline = 10 * time.Minute

const (
	// soon is how often it is asked whether the API server's authorizer knows of a new binding, and patience for how long.
	soon     = 20 * time.Millisecond
	patience = time.Second
)

// Deadline is how long what is being removed may wait for what holds it.
func (r *Remover) Deadline(ctx context.Context) (time.Duration, error) {
	platform := &v1alpha1.Platform{}
	err := r.Client.Get(ctx, client.ObjectKey{Name: v1alpha1.PlatformName}, platform)
	if client.IgnoreNotFound(err) != nil {
		return 0, fmt.Errorf("read the deadline of off-boardings: %w", err)
	}
	if d := platform.Spec.OffboardingDeadline; d != nil && d.Duration > 0 {
		return d.Duration, nil
	}
	return defaultDeadline, nil
}

// Step goes one step further in the removal of a namespace. It returns what is left of it, and which finalizers it took off, which stand
// in the record of this name before they are.
func (r *Remover) Step(ctx context.Context, namespace *corev1.Namespace, record string) (left, stripped []string, err error) {
	left = []string{"Namespace " + namespace.Name}
	if namespace.DeletionTimestamp.IsZero() {
		more, err := r.begin(ctx, namespace)
		return append(left, more...), nil, err
	}
	more, stripped, err := r.goOn(ctx, namespace, record)
	return append(left, more...), stripped, err
}

// begin takes rights away, looks for what would hold the namespace, and deletes it.
func (r *Remover) begin(ctx context.Context, namespace *corev1.Namespace) (left []string, err error) {
	if left, err := r.Revoke(ctx, namespace.Name); err != nil || len(left) > 0 {
		return left, err
	}
	binding, err := r.bind(ctx, namespace.Name)
	if err != nil {
		return nil, err
	}
	var there []metav1.PartialObjectMetadata
	var unknown []string
	err = wait.PollUntilContextTimeout(ctx, soon, patience, true, func(ctx context.Context) (bool, error) {
		there, unknown, err = r.contents(ctx, namespace.Name)
		if apierrors.IsForbidden(err) { // the API server's authorizer does not know of the binding yet
			return false, nil
		}
		return err == nil, err
	})
	if wait.Interrupted(err) && ctx.Err() == nil {
		return []string{namespace.Name + ": waits for Bulkhead's right to look for what would hold it"}, nil
	}
	if err != nil {
		return nil, err
	}
	holds := len(unknown) > 0 || slices.ContainsFunc(there, func(o metav1.PartialObjectMetadata) bool {
		return o.Kind == "Pod" || len(Foreign(o.Kind, &o)) > 0
	})
	if holds && !controllerutil.ContainsFinalizer(binding, v1alpha1.Finalizer) {
		if err := r.patch(ctx, binding, func(o client.Object) { controllerutil.AddFinalizer(o, v1alpha1.Finalizer) }); err != nil {
			return nil, err
		}
	}
	return nil, r.Apply.Delete(ctx, namespace)
}

// goOn ends by the deadlines what holds a namespace that is being deleted.
func (r *Remover) goOn(ctx context.Context, namespace *corev1.Namespace, record string) (left, stripped []string, err error) {
	binding := &rbacv1.RoleBinding{}
	err = r.Live.Get(ctx, client.ObjectKey{Namespace: namespace.Name, Name: guardrail.OffboardingBinding}, binding)
	if client.IgnoreNotFound(err) != nil {
		return nil, nil, fmt.Errorf("get RoleBinding %s/%s: %w", namespace.Name, guardrail.OffboardingBinding, err)
	}
	if !controllerutil.ContainsFinalizer(binding, v1alpha1.Finalizer) || !isOurs(binding) { // nor one that was not found
		return conditionsOf(namespace), nil, nil
	}
	there, unknown, err := r.contents(ctx, namespace.Name)
	if err != nil {
		return conditionsOf(namespace), nil, err
	}
	deadline, err := r.Deadline(ctx)
	if err != nil {
		return nil, nil, err
	}
	age := r.Clock.Since(namespace.DeletionTimestamp.Time)
	left = unknown
	var faults []error
	var holders []*metav1.PartialObjectMetadata
	for i := range there {
		o := &there[i]
		left = append(left, inWords(o))
		if o.Kind == "Pod" && age > deadline {
			faults = append(faults, r.hurry(ctx, o))
		}
		if taken := Foreign(o.Kind, o); age > 2*deadline && len(taken) > 0 && o.DeletionTimestamp != nil {
			holders, stripped = append(holders, o), append(stripped, nameOf(o)+": "+strings.Join(taken, ", "))
		}
	}
	if len(left) == 0 {
		return nil, nil, r.patch(ctx, binding, func(o client.Object) { controllerutil.RemoveFinalizer(o, v1alpha1.Finalizer) })
	}
	slices.Sort(left)
	if err := r.Record(ctx, record, stripped); err != nil {
		return left, nil, err
	}
	for _, o := range holders {
		kind := o.Kind
		faults = append(faults, r.patch(ctx, o, func(o client.Object) { KeepOwn(kind, o) }))
	}
	return left, stripped, errors.Join(faults...)
}

// Revoke removes every RoleBinding but Bulkhead's own, and what keeps it. It returns those that are left.
func (r *Remover) Revoke(ctx context.Context, namespace string) (left []string, err error) {
	for range 3 { // until the API server's authorizer knows, one more may be made
		bindings := &rbacv1.RoleBindingList{}
		if err := r.Live.List(ctx, bindings, client.InNamespace(namespace)); err != nil {
			return nil, fmt.Errorf("list the role bindings of namespace %s: %w", namespace, err)
		}
		left = nil
		for i := range bindings.Items {
			binding := &bindings.Items[i]
			if isOurs(binding) {
				continue
			}
			left = append(left, "RoleBinding "+namespace+"/"+binding.Name)
			if len(binding.Finalizers) > 0 {
				if err := r.patch(ctx, binding, func(o client.Object) { o.SetFinalizers(nil) }); err != nil {
					return left, err
				}
			}
			if binding.DeletionTimestamp != nil {
				continue
			}
			if err := r.Apply.Delete(ctx, binding); err != nil {
				return left, err
			}
		}
		if len(left) == 0 {
			return nil, nil
		}
	}
	return left, nil
}

// bind gives Bulkhead the rights that it needs in this namespace.
func (r *Remover) bind(ctx context.Context, namespace string) (*rbacv1.RoleBinding, error) {
	want := guardrail.Offboarding(namespace)
	have := &rbacv1.RoleBinding{}
	err := r.Live.Get(ctx, client.ObjectKeyFromObject(want), have)
	if err == nil {
		return have, nil
	}
	if !apierrors.IsNotFound(err) {
		return nil, fmt.Errorf("get RoleBinding %s/%s: %w", namespace, want.Name, err)
	}
	if err := r.Client.Create(ctx, want, client.FieldOwner(v1alpha1.ManagedBy)); err != nil {
		return nil, fmt.Errorf("create RoleBinding %s/%s: %w", namespace, want.Name, err)
	}
	return want, nil
}

func isOurs(binding *rbacv1.RoleBinding) bool {
	return binding.Name == guardrail.OffboardingBinding && binding.RoleRef.Name == guardrail.RoleOffboarding && binding.RoleRef.Kind == "ClusterRole"
}

// contents are all objects in a namespace but Bulkhead's own binding and Events, without what is in them. What cannot be listed is
// unknown, in words.
func (r *Remover) contents(ctx context.Context, namespace string) (there []metav1.PartialObjectMetadata, unknown []string, err error) {
	kinds, unknown, err := r.served()
	if err != nil {
		return nil, nil, err
	}
	for _, kind := range kinds {
		list := &metav1.PartialObjectMetadataList{}
		list.SetGroupVersionKind(kind.GroupVersion().WithKind(kind.Kind + "List"))
		err := r.Live.List(ctx, list, client.InNamespace(namespace))
		switch {
		case apierrors.IsNotFound(err) || apierrors.IsMethodNotSupported(err) || meta.IsNoMatchError(err):
			continue
		case apierrors.IsForbidden(err):
			return nil, nil, err
		case err != nil:
			unknown = append(unknown, fmt.Sprintf("%s: cannot be listed: %v", kind.Kind, err))
			continue
		}
		for i := range list.Items {
			list.Items[i].SetGroupVersionKind(kind)
			if o := &list.Items[i]; o.Name != guardrail.OffboardingBinding || o.Kind != "RoleBinding" {
				there = append(there, *o)
			}
		}
	}
	return there, unknown, nil
}

// served are the namespaced kinds of which objects can be deleted, each in one version.
func (r *Remover) served() (kinds []schema.GroupVersionKind, unknown []string, err error) {
	lists, err := discovery.ServerPreferredNamespacedResources(r.Discovery)
	var failed *discovery.ErrGroupDiscoveryFailed
	if err != nil && !errors.As(err, &failed) {
		return nil, nil, fmt.Errorf("discover what the API server serves: %w", err)
	}
	if failed != nil {
		for gv, why := range failed.Groups {
			unknown = append(unknown, fmt.Sprintf("%s: cannot be discovered: %v", gv, why))
		}
		slices.Sort(unknown)
	}
	seen := map[schema.GroupVersionKind]bool{}
	for _, list := range lists {
		gv, err := schema.ParseGroupVersion(list.GroupVersion)
		if err != nil {
			return nil, nil, fmt.Errorf("discover what the API server serves: %w", err)
		}
		for i := range list.APIResources {
			verbs := list.APIResources[i].Verbs
			if kind := list.APIResources[i].Kind; kind != "Event" && slices.Contains(verbs, "list") && slices.Contains(verbs, "delete") {
				seen[gv.WithKind(kind)] = true
			}
		}
	}
	return slices.SortedFunc(maps.Keys(seen), func(a, b schema.GroupVersionKind) int { return strings.Compare(a.String(), b.String()) }), unknown, nil
}

// hurry ends a pod that has more time left than a moment: the kubelet then kills what runs in it.
func (r *Remover) hurry(ctx context.Context, pod *metav1.PartialObjectMetadata) error {
	const moment = int64(1)
	if s := pod.DeletionGracePeriodSeconds; s != nil && *s <= moment {
		return nil
	}
	uid := pod.UID
	err := r.Client.Delete(ctx, pod, client.GracePeriodSeconds(moment), client.Preconditions{UID: &uid})
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("end pod %s/%s: %w", pod.Namespace, pod.Name, err)
	}
	return nil
}

// patch changes metadata of the very object that was read.
func (r *Remover) patch(ctx context.Context, o client.Object, change func(client.Object)) error {
	before := o.DeepCopyObject().(client.Object) //nolint:forcetypeassert // a copy has its original's type
	change(o)
	patch := client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})
	if err := client.IgnoreNotFound(r.Client.Patch(ctx, o, patch, client.FieldOwner(v1alpha1.ManagedBy))); err != nil {
		return fmt.Errorf("write the finalizers of %s: %w", apply.RefOf(before), err)
	}
	return nil
}
