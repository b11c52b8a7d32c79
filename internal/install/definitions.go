package install

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/guardrail"
	"github.com/bulkhead-dev/bulkhead/internal/apply"
)

// refuseWhileDeclared returns an error that wraps ErrDeclared when there is a Tenant or a Space: whoever deletes their
// definition deletes them, and nobody would off-board what they stand for.
func (u *uninstaller) refuseWhileDeclared(ctx context.Context) error {
	declared, err := u.declared(ctx)
	if err != nil || len(declared) == 0 {
		return err
	}
	names := make([]string, 0, len(declared))
	for _, object := range declared {
		names = append(names, apply.Describe(object))
	}
	const shown = 5
	more := ""
	if len(names) > shown {
		more = fmt.Sprintf(" and %d more", len(names)-shown)
		names = names[:shown]
	}
	return fmt.Errorf("the definitions cannot be removed: %w: %s%s: delete them first, while the controller runs, which "+
		"removes their namespaces; or use --orphan to forget them and leave their namespaces, and what runs there, as they are",
		ErrDeclared, strings.Join(names, ", "), more)
}

// declared lists Tenants and Spaces; none where their definitions are gone.
func (u *uninstaller) declared(ctx context.Context) ([]client.Object, error) {
	tenants, spaces := &v1alpha1.TenantList{}, &v1alpha1.SpaceList{}
	var objects []client.Object
	for _, list := range []client.ObjectList{tenants, spaces} {
		if err := u.client.List(ctx, list); err != nil && !meta.IsNoMatchError(err) && !apierrors.IsNotFound(err) {
			return nil, fmt.Errorf("list what is declared: %w", err)
		}
	}
	for i := range spaces.Items {
		objects = append(objects, &spaces.Items[i])
	}
	for i := range tenants.Items {
		objects = append(objects, &tenants.Items[i])
	}
	for _, object := range objects {
		if err := u.withKind(object); err != nil {
			return nil, err
		}
	}
	return objects, nil
}

// removeDefinitions deletes them one by one and waits until each is gone. What they define goes with them, without
// anything being off-boarded: Bulkhead's rule is that what was not seen marked for deletion is not deleted.
func (u *uninstaller) removeDefinitions(ctx context.Context) error {
	if u.options.Orphan {
		if err := u.release(ctx); err != nil {
			return err
		}
	}
	definitions, err := renderDefinitions()
	if err != nil {
		return err
	}
	for _, definition := range definitions {
		if u.options.DryRun {
			// Not tried: without the annotation, the guardrail refuses, as it should.
			u.progress.tell(PhaseDefinitions, Removed, apply.Describe(definition), "with every object of its kind")
			continue
		}
		if err := u.allowDeletion(ctx, definition); err != nil {
			return err
		}
		if err := u.remove(ctx, PhaseDefinitions, definition, ManagedBy); err != nil {
			return err
		}
		if err := u.waitGone(ctx, definition); err != nil {
			return err
		}
	}
	return nil
}

// release takes Bulkhead's finalizer off Tenants and Spaces, which would keep their definitions from ever going when
// no controller runs.
func (u *uninstaller) release(ctx context.Context) error {
	declared, err := u.declared(ctx)
	if err != nil {
		return err
	}
	for _, object := range declared {
		finalizers := object.GetFinalizers()
		if !slices.Contains(finalizers, v1alpha1.Finalizer) {
			continue
		}
		before, ok := object.DeepCopyObject().(client.Object)
		if !ok {
			return fmt.Errorf("%T is no object", object)
		}
		object.SetFinalizers(slices.DeleteFunc(slices.Clone(finalizers), func(f string) bool { return f == v1alpha1.Finalizer }))
		options := []client.PatchOption{client.FieldOwner(v1alpha1.ManagedBy)}
		if u.options.DryRun {
			options = append(options, client.DryRunAll)
		}
		patch := client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})
		if err := u.client.Patch(ctx, object, patch, options...); client.IgnoreNotFound(err) != nil {
			return fmt.Errorf("release %s from its finalizer: %w", apply.Describe(before), err)
		}
		u.progress.tell(PhaseDefinitions, Orphaned, apply.Describe(before), "its namespace and what runs there stay")
	}
	return nil
}

// allowDeletion sets the annotation that the guardrail policy asks for.
func (u *uninstaller) allowDeletion(ctx context.Context, definition guardrail.Object) error {
	live := &apiextensionsv1.CustomResourceDefinition{}
	err := u.client.Get(ctx, client.ObjectKeyFromObject(definition), live)
	if apierrors.IsNotFound(err) || err == nil && live.Labels[v1alpha1.LabelManagedBy] != ManagedBy {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", apply.Describe(definition), err)
	}
	before := live.DeepCopy()
	if live.Annotations == nil {
		live.Annotations = map[string]string{}
	}
	live.Annotations[guardrail.AnnotationAllowDeletion] = "true"
	// A field owner of its own, so that no installation takes the annotation over.
	if err := u.client.Patch(ctx, live, client.MergeFrom(before), client.FieldOwner(v1alpha1.NamePrefix+"uninstall")); err != nil {
		return fmt.Errorf("annotate %s for its deletion: %w", apply.Describe(definition), err)
	}
	return nil
}

// waitGone outlasts two of the API server's own attempts, which it gives a minute each to remove all objects of a kind.
func (u *uninstaller) waitGone(ctx context.Context, definition guardrail.Object) error {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	why := ""
	err := wait.PollUntilContextCancel(ctx, 100*time.Millisecond, true, func(ctx context.Context) (bool, error) {
		live := &apiextensionsv1.CustomResourceDefinition{}
		err := u.client.Get(ctx, client.ObjectKeyFromObject(definition), live)
		if apierrors.IsNotFound(err) {
			return true, nil
		}
		if err == nil && live.Labels[v1alpha1.LabelManagedBy] != ManagedBy {
			return true, nil // kept, and told
		}
		if err == nil {
			why = NotEstablished(live)
		}
		return false, err
	})
	if err != nil {
		return fmt.Errorf("wait until %s is gone (%s): %w", apply.Describe(definition), why, err)
	}
	return nil
}
