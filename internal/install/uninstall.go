package install

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/guardrail"
	"github.com/bulkhead-dev/bulkhead/internal/apply"
)

// The phases of an uninstallation in addition to PhaseController and PhaseDefinitions.
const (
	// PhaseAccess removes what gives tenants' owners rights. It comes before the guardrails: no owner ever has rights
	// where a guardrail is missing.
	PhaseAccess = "access"
	// PhaseEnforcement removes the guardrails.
	PhaseEnforcement = "enforcement"
)

// UninstallOptions report how much is removed. With none, it is the controller with its identity and rights: every
// guardrail goes on enforcing, as none needs it.
type UninstallOptions struct {
	// Enforcement removes the guardrails too: owners' rights first, then policies, quotas and the rest. Namespaces with
	// their labels, nodes, and everything that runs stay as they are.
	Enforcement bool
	// Definitions removes the CustomResourceDefinitions, and with them every Platform, Tenant, Space and Waiver. It is
	// refused while there is a Tenant or a Space, unless Orphan is set.
	Definitions bool
	// Orphan releases Tenants and Spaces from Bulkhead's finalizer, so that their definitions can go although nothing
	// off-boards them. Their namespaces, and what runs in them, stay.
	Orphan bool
	// DryRun changes nothing: each deletion is tried as a dry run and reported.
	DryRun bool
}

// gracePeriod is how long the controller's pods get to end before an uninstallation gives up waiting for them.
const gracePeriod = 2 * time.Minute

// Uninstall removes what an installation put on a cluster. It removes only what carries Bulkhead's label, by the very
// UID that it saw. It can be repeated, and interrupted at any point and repeated.
func Uninstall(ctx context.Context, config *rest.Config, options UninstallOptions, progress Progress) error {
	c, err := NewClient(config)
	if err != nil {
		return err
	}
	u := &uninstaller{client: c, options: options, progress: progress}
	if options.Definitions && !options.Orphan {
		if err := u.refuseWhileDeclared(ctx); err != nil {
			return err
		}
	}
	steps := []func(context.Context) error{u.removeController}
	if options.Enforcement || options.Definitions {
		steps = append(steps, u.waitForController)
	}
	if options.Enforcement {
		steps = append(steps, u.removeEnforcement)
	}
	if options.Definitions {
		steps = append(steps, u.removeDefinitions)
	}
	for _, step := range steps {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

type uninstaller struct {
	client   client.Client
	options  UninstallOptions
	progress Progress
}

// removeController deletes the Deployment first and the rights last, so that the controller never runs without them.
// The namespace stays: it holds the records of what was off-boarded.
func (u *uninstaller) removeController(ctx context.Context) error {
	phases, err := Render(Options{Image: "any"}, nil) // names and kinds are what matters here, not content
	if err != nil {
		return err
	}
	for i := len(phases) - 1; i >= 0; i-- {
		if phases[i].Name != PhaseController && phases[i].Name != PhaseSystem {
			continue
		}
		objects := phases[i].Objects
		for j := len(objects) - 1; j >= 0; j-- {
			if _, isNamespace := objects[j].(*corev1.Namespace); isNamespace {
				u.progress.report(PhaseController, Kept, apply.RefOf(objects[j]).String(), "holds the records of off-boarded tenants")
				continue
			}
			if err := u.remove(ctx, PhaseController, objects[j], objects[j].GetLabels()[v1alpha1.LabelManagedBy]); err != nil {
				return err
			}
		}
	}
	return nil
}

// waitForController waits until no controller can put back what is about to be removed.
func (u *uninstaller) waitForController(ctx context.Context) error {
	if u.options.DryRun {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, gracePeriod)
	defer cancel()
	left, reported := "", false
	err := wait.PollUntilContextCancel(ctx, 500*time.Millisecond, true, func(ctx context.Context) (bool, error) {
		pods := &corev1.PodList{}
		if err := u.client.List(ctx, pods, client.InNamespace(v1alpha1.SystemNamespace), client.MatchingLabels(podLabels())); err != nil {
			return false, fmt.Errorf("look for the controller's pods: %w", err)
		}
		holder, err := u.leader(ctx)
		if err != nil {
			return false, err
		}
		left = ""
		switch {
		case len(pods.Items) > 0:
			left = fmt.Sprintf("%d pods of the controller are ending", len(pods.Items))
		case holder != "":
			left = holder + " still holds the controller's lease"
		}
		if left != "" && !reported {
			u.progress.report(PhaseController, Waiting, "controller", left)
			reported = true
		}
		return left == "", nil
	})
	if err != nil {
		return fmt.Errorf("wait until no controller runs (%s): %w: stop it, as it would put back what is removed, and try again", left, err)
	}
	return nil
}

// leader is the holder of a lease that has not expired, empty when there is none.
func (u *uninstaller) leader(ctx context.Context) (string, error) {
	lease := &coordinationv1.Lease{}
	err := u.client.Get(ctx, client.ObjectKey{Namespace: v1alpha1.SystemNamespace, Name: LeaseName}, lease)
	if apierrors.IsNotFound(err) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("look for the controller's lease: %w", err)
	}
	spec := lease.Spec
	if spec.HolderIdentity == nil || spec.RenewTime == nil || spec.LeaseDurationSeconds == nil {
		return "", nil
	}
	if time.Since(spec.RenewTime.Time) > time.Duration(*spec.LeaseDurationSeconds)*time.Second {
		return "", nil
	}
	return *spec.HolderIdentity, nil
}

// removeEnforcement deletes every managed object of every kind that package guardrail renders but namespaces: owners'
// rights first, then the admission policies, as they guard the others.
func (u *uninstaller) removeEnforcement(ctx context.Context) error {
	var access, rest []client.Object
	for _, kind := range apply.Kinds() {
		list, isList := kind.List.DeepCopyObject().(client.ObjectList)
		if !isList {
			return fmt.Errorf("%T is no list", kind.List)
		}
		if err := u.client.List(ctx, list, client.MatchingLabels{v1alpha1.LabelManagedBy: v1alpha1.ManagedBy}); err != nil {
			return fmt.Errorf("list what Bulkhead manages: %w", err)
		}
		err := meta.EachListItem(list, func(item runtime.Object) error {
			object, ok := item.(client.Object)
			if !ok {
				return fmt.Errorf("%T is no object", item)
			}
			switch object.(type) {
			case *corev1.Namespace:
			case *rbacv1.RoleBinding:
				access = append(access, object)
			default:
				rest = append(rest, object)
			}
			return u.withKind(object)
		})
		if err != nil {
			return err
		}
	}
	for _, object := range access {
		if err := u.remove(ctx, PhaseAccess, object, v1alpha1.ManagedBy); err != nil {
			return err
		}
	}
	for _, object := range rest {
		if err := u.remove(ctx, PhaseEnforcement, object, v1alpha1.ManagedBy); err != nil {
			return err
		}
	}
	return nil
}

// withKind sets the TypeMeta, which items of a typed list lack.
func (u *uninstaller) withKind(object client.Object) error {
	gvk, err := u.client.GroupVersionKindFor(object)
	if err != nil {
		return fmt.Errorf("find the kind of %s: %w", object.GetName(), err)
	}
	object.GetObjectKind().SetGroupVersionKind(gvk)
	return nil
}

// remove deletes one object if it carries the label value owner, by its UID. That it is gone already is fine.
func (u *uninstaller) remove(ctx context.Context, phase string, object client.Object, owner string) error {
	live := &metav1.PartialObjectMetadata{}
	live.SetGroupVersionKind(object.GetObjectKind().GroupVersionKind())
	err := u.client.Get(ctx, client.ObjectKeyFromObject(object), live)
	if apierrors.IsNotFound(err) || meta.IsNoMatchError(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read %s before it is removed: %w", apply.RefOf(object), err)
	}
	if live.Labels[v1alpha1.LabelManagedBy] != owner {
		u.progress.report(phase, Kept, apply.RefOf(object).String(), "not labelled as Bulkhead's")
		return nil
	}
	options := []client.DeleteOption{
		client.Preconditions{UID: &live.UID}, client.PropagationPolicy(metav1.DeletePropagationBackground),
	}
	if u.options.DryRun {
		options = append(options, client.DryRunAll)
	}
	err = u.client.Delete(ctx, live, options...)
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("remove %s: %w", apply.RefOf(object), err)
	}
	u.progress.report(phase, Removed, apply.RefOf(object).String(), "")
	return nil
}

// ErrDeclared reports that definitions cannot be removed while objects of them are declared.
var ErrDeclared = errors.New("tenants are declared")

// refuseWhileDeclared returns an error that wraps ErrDeclared when there is a Tenant or a Space: they are deleted with
// their definition, and nothing would off-board what they stand for.
func (u *uninstaller) refuseWhileDeclared(ctx context.Context) error {
	declared, err := u.declared(ctx)
	if err != nil || len(declared) == 0 {
		return err
	}
	names := make([]string, 0, len(declared))
	for _, object := range declared {
		names = append(names, apply.RefOf(object).String())
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
			u.progress.report(PhaseDefinitions, Removed, apply.RefOf(definition).String(), "with every object of its kind")
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
			return fmt.Errorf("release %s from its finalizer: %w", apply.RefOf(before), err)
		}
		u.progress.report(PhaseDefinitions, Orphaned, apply.RefOf(before).String(), "its namespace and what runs there stay")
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
		return fmt.Errorf("read %s: %w", apply.RefOf(definition), err)
	}
	before := live.DeepCopy()
	if live.Annotations == nil {
		live.Annotations = map[string]string{}
	}
	live.Annotations[guardrail.AnnotationAllowDeletion] = "true"
	// A field owner of its own, so that no installation takes the annotation over.
	if err := u.client.Patch(ctx, live, client.MergeFrom(before), client.FieldOwner(v1alpha1.NamePrefix+"uninstall")); err != nil {
		return fmt.Errorf("annotate %s for its deletion: %w", apply.RefOf(definition), err)
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
			return true, nil // kept, and reported
		}
		if err == nil {
			why = NotEstablished(live)
		}
		return false, err
	})
	if err != nil {
		return fmt.Errorf("wait until %s is gone (%s): %w", apply.RefOf(definition), why, err)
	}
	return nil
}
