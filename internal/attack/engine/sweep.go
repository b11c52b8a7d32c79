package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/hostile"
)

// sweeper is an identity that cleans up in a namespace: one that may make things there, and so may remove them.
type sweeper struct {
	subject   hostile.Subject
	namespace string
}

// SweepersOf are the owners that the run acts as, in each of the target's namespaces.
func (t *Trial) SweepersOf(owners []hostile.Subject, target *Target) []sweeper {
	var all []sweeper
	for _, space := range Placed(target.Spaces) {
		for _, owner := range owners {
			if t.Runner.As == "" || owner.Kind == t.Runner.As {
				all = append(all, sweeper{owner, space.Status.Namespace})
			}
		}
	}
	return all
}

// Sweep removes what bears the mark of this run or of an earlier one and was made by an attack. Two runs on one tenant at a time
// would remove each other's objects, and see that by answers that are Unknown.
func (r *Runner) Sweep(ctx context.Context, sweepers []sweeper) error {
	var left []error
	done := map[string]bool{}
	for _, s := range sweepers {
		if done[s.namespace] {
			continue
		}
		if err := r.sweepAs(ctx, s); err != nil {
			left = append(left, err)
			continue
		}
		done[s.namespace] = true
	}
	for _, s := range sweepers {
		if !done[s.namespace] {
			return errors.Join(left...)
		}
	}
	return nil
}

func (r *Runner) sweepAs(ctx context.Context, s sweeper) error {
	var left []error
	for _, kind := range hostile.Made() {
		request := kind
		request.Verb, request.Version, request.Namespace, request.Selector = "list", "v1", s.namespace, v1alpha1.LabelAttack
		answer, list := r.Server.Send(ctx, &s.subject, &request, false)
		if answer.Refusal.By == hostile.RBAC && !r.mayCreate(ctx, s, &kind) {
			continue // it can have made none
		}
		if !answer.Allowed {
			left = append(left, fmt.Errorf("list %s in %s as %s: %s", kind.Resource, s.namespace, s.subject, answer))
			continue
		}
		items, _ := list["items"].([]any)
		for _, item := range items {
			object, _ := item.(map[string]any)
			if metadata := MetadataOf(object); !MadeByAttack(metadata) && !r.madeHere(metadata) {
				continue
			}
			if err := r.Delete(ctx, &s.subject, &request, MetadataOf(object)); err != nil {
				left = append(left, err)
			}
		}
	}
	return errors.Join(left...)
}

// mayCreate reports whether the identity may make what it may not list. What is not known for sure counts as yes.
func (r *Runner) mayCreate(ctx context.Context, s sweeper, kind *hostile.Request) bool {
	review := &authorizationv1.ResourceAttributes{Namespace: s.namespace, Verb: "create", Group: kind.Group, Version: "*", Resource: kind.Resource}
	return r.Server.review(ctx, &s.subject, review).Refusal.By != hostile.RBAC
}

// MadeByAttack reports whether an attack made an object: its name begins as theirs do, and the API server noted that they wrote it.
func MadeByAttack(o metav1.Object) bool {
	// A workload's pods are its controller's writing; they are gone with it.
	written := slices.ContainsFunc(o.GetManagedFields(), func(f metav1.ManagedFieldsEntry) bool { return f.Manager == v1alpha1.AttackName })
	return o.GetLabels()[v1alpha1.LabelAttack] != "" && strings.HasPrefix(o.GetName(), v1alpha1.AttackPrefix) && o.GetDeletionTimestamp() == nil && written
}

// madeHere reports whether an object bears this run's mark, which is random: who wrote it is gone where an attempt changed its managed fields.
func (r *Runner) madeHere(o metav1.Object) bool {
	return r.Run != "" && o.GetLabels()[v1alpha1.LabelAttack] == r.Run && strings.HasPrefix(o.GetName(), v1alpha1.AttackPrefix) && o.GetDeletionTimestamp() == nil
}

// MetadataOf an object as JSON gave it.
func MetadataOf(object map[string]any) metav1.Object {
	return &unstructured.Unstructured{Object: object}
}

// remove deletes what a real request made. What goes wrong, the sweep at the end finds and reports.
func (t *Trial) remove(ctx context.Context, subject *hostile.Subject, made *hostile.Request, object map[string]any) {
	_ = t.Runner.Delete(context.WithoutCancel(ctx), subject, made, MetadataOf(object))
}

// Delete removes one object that an attack made, and no other that may have its name by now.
func (r *Runner) Delete(ctx context.Context, subject *hostile.Subject, of *hostile.Request, metadata metav1.Object) error {
	background := metav1.DeletePropagationBackground
	request := &hostile.Request{Verb: "delete", Group: of.Group, Version: "v1", Namespace: of.Namespace, Resource: of.Resource, Name: metadata.GetName(),
		Body: &metav1.DeleteOptions{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "DeleteOptions"},
			PropagationPolicy: &background, Preconditions: &metav1.Preconditions{UID: new(metadata.GetUID())}}}
	answer, _ := r.Server.Send(ctx, subject, request, false)
	if answer.Allowed || strings.Contains(answer.Problem, "(NotFound)") {
		return nil
	}
	return fmt.Errorf("remove %s %s in %s, which the attack made: %s: delete it by hand (label %s)", of.Resource, metadata.GetName(), of.Namespace, answer, v1alpha1.LabelAttack)
}
