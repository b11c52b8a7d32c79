package install

import (
	"context"
	"errors"
	"fmt"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/internal/apply"
)

// The phases of an uninstallation beside PhaseController and PhaseDefinitions.
const (
	// PhaseAccess removes what gives tenants' owners rights. It comes before the guardrails: nobody ever has rights
	// where a guardrail is missing.
	PhaseAccess = "access"
	// PhaseEnforcement removes the guardrails.
	PhaseEnforcement = "enforcement"
)

// UninstallOptions say how much is removed. With none, it is the controller with its identity and rights: every
// guardrail goes on enforcing, as none needs it.
type UninstallOptions struct {
	// Enforcement removes the guardrails too: owners' rights first, then policies, quotas and the rest. Namespaces with
	// their labels, nodes, and everything that runs stay as they are.
	Enforcement bool
	// Definitions removes the CustomResourceDefinitions, and with them every Platform, Tenant, Space and Waiver. It is
	// refused while there is a Tenant or a Space, unless Orphan is set.
	Definitions bool
	// Orphan releases Tenants and Spaces from Bulkhead's finalizer, so that their definitions can go although nobody
	// off-boards them. Their namespaces, and what runs in them, stay.
	Orphan bool
	// DryRun changes nothing: each deletion is tried as a dry run and told.
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
				u.progress.tell(PhaseController, Kept, apply.Describe(objects[j]), "holds the records of off-boarded tenants")
				continue
			}
			if err := u.remove(ctx, PhaseController, objects[j], objects[j].GetLabels()[v1alpha1.LabelManagedBy]); err != nil {
				return err
			}
		}
	}
	return nil
}

// waitForController makes sure that nobody puts back what is about to be removed.
func (u *uninstaller) waitForController(ctx context.Context) error {
	if u.options.DryRun {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, gracePeriod)
	defer cancel()
	left, told := "", false
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
		if left != "" && !told {
			u.progress.tell(PhaseController, Waiting, "controller", left)
			told = true
		}
		return left == "", nil
	})
	if err != nil {
		return fmt.Errorf("wait until no controller runs (%s): %w: stop it, as it would put back what is removed, and try again", left, err)
	}
	return nil
}

// leader is who holds a lease that has not run out, empty when nobody does.
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
		return fmt.Errorf("read %s before it is removed: %w", apply.Describe(object), err)
	}
	if live.Labels[v1alpha1.LabelManagedBy] != owner {
		u.progress.tell(phase, Kept, apply.Describe(object), "not labelled as Bulkhead's")
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
		return fmt.Errorf("remove %s: %w", apply.Describe(object), err)
	}
	u.progress.tell(phase, Removed, apply.Describe(object), "")
	return nil
}

// ErrDeclared says that definitions cannot go because of what is declared by them.
var ErrDeclared = errors.New("tenants are declared")
