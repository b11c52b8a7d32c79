package attack

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

// sweepersOf are the owners that the run acts as, in each of the target's namespaces.
func (t *Trial) sweepersOf(owners []hostile.Subject, target *Target) []sweeper {
	var all []sweeper
	for _, space := range placed(target.Spaces) {
		for _, owner := range owners {
			if t.runner.As == "" || owner.Kind == t.runner.As {
				all = append(all, sweeper{owner, space.Status.Namespace})
			}
		}
	}
	return all
}

// sweep removes what bears the mark of this run or of an earlier one and was made by an attack. Two runs on one tenant at a time
// would remove each other's objects, and be told so by answers that are Unknown.
func (r *Runner) sweep(ctx context.Context, sweepers []sweeper) error {
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
		answer, list := r.server.send(ctx, &s.subject, &request, false)
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
			if !own(metadataOf(object)) {
				continue
			}
			if err := r.delete(ctx, &s.subject, &request, metadataOf(object)); err != nil {
				left = append(left, err)
			}
		}
	}
	return errors.Join(left...)
}

// mayCreate says whether the identity may make what it may not list. What is not known for sure counts as yes.
func (r *Runner) mayCreate(ctx context.Context, s sweeper, kind *hostile.Request) bool {
	review := &authorizationv1.ResourceAttributes{Namespace: s.namespace, Verb: "create", Group: kind.Group, Version: "*", Resource: kind.Resource}
	return r.server.review(ctx, &s.subject, review).Refusal.By != hostile.RBAC
}

// own reports whether an attack made an object: its name begins as theirs do, and the API server noted that they wrote it.
func own(o metav1.Object) bool {
	// A workload's pods are its controller's writing; they are gone with it.
	written := slices.ContainsFunc(o.GetManagedFields(), func(f metav1.ManagedFieldsEntry) bool { return f.Manager == v1alpha1.AttackName })
	return o.GetLabels()[v1alpha1.LabelAttack] != "" && strings.HasPrefix(o.GetName(), v1alpha1.AttackPrefix) && o.GetDeletionTimestamp() == nil && written
}

// metadataOf an object as JSON gave it.
func metadataOf(object map[string]any) metav1.Object {
	return &unstructured.Unstructured{Object: object}
}

// remove deletes what a real request made. What goes wrong, the sweep at the end finds and reports.
func (t *Trial) remove(ctx context.Context, subject *hostile.Subject, made *hostile.Request, object map[string]any) {
	_ = t.runner.delete(context.WithoutCancel(ctx), subject, made, metadataOf(object))
}

// delete removes one object that an attack made, and no other that may have its name by now.
func (r *Runner) delete(ctx context.Context, subject *hostile.Subject, of *hostile.Request, metadata metav1.Object) error {
	background := metav1.DeletePropagationBackground
	request := &hostile.Request{Verb: "delete", Group: of.Group, Version: "v1", Namespace: of.Namespace, Resource: of.Resource, Name: metadata.GetName(),
		Body: &metav1.DeleteOptions{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "DeleteOptions"},
			PropagationPolicy: &background, Preconditions: &metav1.Preconditions{UID: new(metadata.GetUID())}}}
	answer, _ := r.server.send(ctx, subject, request, false)
	if answer.Allowed || strings.Contains(answer.Problem, "(NotFound)") {
		return nil
	}
	return fmt.Errorf("remove %s %s in %s, which the attack made: %s: delete it by hand (label %s)", of.Resource, metadata.GetName(), of.Namespace, answer, v1alpha1.LabelAttack)
}
