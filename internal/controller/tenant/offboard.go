package tenant

import (
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/internal/apply"
	"github.com/bulkhead-dev/bulkhead/internal/observe"
	"github.com/bulkhead-dev/bulkhead/internal/status"
)

// definitionName is the CustomResourceDefinition of Tenants.
var definitionName = v1alpha1.DefinitionName("tenants")

// offboard removes everything that exists for a Tenant whose deletion was asked for, records what that was, and lets
// the Tenant go when a search finds nothing left. It answers false when the Tenant is to be served on, because it is
// protected. A Tenant that goes only because its definition does is let go, and nothing is removed.
func (r *Reconciler) offboard(ctx context.Context, p *pass) (done bool, err error) {
	if !controllerutil.ContainsFinalizer(p.tenant, v1alpha1.Finalizer) {
		return true, nil
	}
	marked, err := observe.Marked(ctx, r.Live, p.tenant)
	if err != nil || !marked {
		return true, err
	}
	removed, err := r.removedWith(ctx)
	if err != nil {
		return true, err
	}
	if removed {
		r.Status.Eventf(p.tenant.Name, p.tenant, corev1.EventTypeWarning, v1alpha1.ReasonDefinitionRemoved, "Offboard",
			"it goes because the definition of Tenants is being removed: nothing of it is removed")
		return true, r.removeFinalizer(ctx, p)
	}
	if p.tenant.Spec.Protected {
		p.Blockers = append(p.Blockers, status.Waiting(v1alpha1.ConditionReady, v1alpha1.ReasonProtected,
			"deletion was asked for, but the tenant is protected: set spec.protected to false to let it happen"))
		return false, nil
	}
	for _, step := range []func(context.Context, *pass) ([]string, error){
		r.openRecord, r.revokeOwners, r.removeSpaces, r.removeNamespaces, r.removeHome, r.removeClusterObjects, r.awaitNodes, r.searchResidue,
	} {
		left, err := step(ctx, p)
		if err != nil || len(left) > 0 {
			p.tenant.Status.Remaining = left
			return true, r.Status.WriteRemaining(ctx, &p.Pass, left, err)
		}
	}
	if err := r.closeRecord(ctx, p); err != nil {
		return true, err
	}
	return true, r.removeFinalizer(ctx, p)
}

// removedWith asks the API server itself whether the definition of Tenants is being removed, and every Tenant with it.
func (r *Reconciler) removedWith(ctx context.Context) (bool, error) {
	definition := observe.Definition()
	err := r.Live.Get(ctx, client.ObjectKey{Name: definitionName}, definition)
	if apierrors.IsNotFound(err) {
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("find out whether the definition of Tenants is being removed: %w", err)
	}
	return !definition.GetDeletionTimestamp().IsZero(), nil
}

// revokeOwners takes the owners' rights in the home namespace away, so that no new Space comes while the others go.
func (r *Reconciler) revokeOwners(ctx context.Context, p *pass) ([]string, error) {
	rights := slices.DeleteFunc(apply.Kinds(), func(k apply.Kind) bool {
		_, ok := k.Object.(*rbacv1.RoleBinding)
		return !ok
	})
	_, err := r.Apply.Prune(ctx, &apply.Scope{Kinds: rights, Namespace: v1alpha1.HomeNamespace(p.tenant.Name)}, nil)
	return nil, err
}

// removeSpaces asks for the deletion of every Space, each of which takes its namespace along, and waits.
func (r *Reconciler) removeSpaces(ctx context.Context, p *pass) ([]string, error) {
	spaces := &v1alpha1.SpaceList{}
	if err := r.Live.List(ctx, spaces, client.InNamespace(v1alpha1.HomeNamespace(p.tenant.Name))); err != nil {
		return nil, fmt.Errorf("list the spaces of tenant %s: %w", p.tenant.Name, err)
	}
	var left []string
	for i := range spaces.Items {
		space := &spaces.Items[i]
		left = append(left, "Space "+space.Namespace+"/"+space.Name)
		for _, what := range space.Status.Remaining {
			left = append(left, space.Name+": "+what)
		}
		if !space.DeletionTimestamp.IsZero() {
			continue
		}
		if err := r.Apply.Delete(ctx, space); err != nil {
			return left, err
		}
	}
	return left, nil
}

// removeNamespaces takes away what Spaces left that vanished without being deleted.
func (r *Reconciler) removeNamespaces(ctx context.Context, p *pass) ([]string, error) {
	namespaces := &corev1.NamespaceList{}
	err := r.Live.List(ctx, namespaces, client.HasLabels{v1alpha1.LabelSpace},
		client.MatchingLabels{v1alpha1.LabelManagedBy: v1alpha1.ManagedBy, v1alpha1.LabelTenant: p.tenant.Name})
	if err != nil {
		return nil, fmt.Errorf("list the namespaces of tenant %s: %w", p.tenant.Name, err)
	}
	var left []string
	for i := range namespaces.Items {
		if err := r.removeNamespace(ctx, &namespaces.Items[i], &left); err != nil {
			return left, err
		}
	}
	return left, nil
}

func (r *Reconciler) removeNamespace(ctx context.Context, namespace *corev1.Namespace, left *[]string) error {
	*left = append(*left, "Namespace "+namespace.Name)
	if namespace.DeletionTimestamp.IsZero() {
		return r.Apply.Delete(ctx, namespace)
	}
	for _, c := range namespace.Status.Conditions {
		if c.Status == corev1.ConditionTrue {
			*left = append(*left, namespace.Name+": "+c.Message)
		}
	}
	return nil
}

// removeHome deletes the home namespace with all that is in it.
func (r *Reconciler) removeHome(ctx context.Context, p *pass) ([]string, error) {
	home := &corev1.Namespace{}
	err := r.Live.Get(ctx, client.ObjectKey{Name: v1alpha1.HomeNamespace(p.tenant.Name)}, home)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("get the home namespace of tenant %s: %w", p.tenant.Name, err)
	}
	if home.Labels[v1alpha1.LabelManagedBy] != v1alpha1.ManagedBy || home.Labels[v1alpha1.LabelTenant] != p.tenant.Name {
		return nil, nil // somebody else's, never adopted
	}
	var left []string
	err = r.removeNamespace(ctx, home, &left)
	return left, err
}

// removeClusterObjects takes away the tenant's cluster-scoped objects: as long as it has a namespace, it has its own share of the
// API server and no other.
func (r *Reconciler) removeClusterObjects(ctx context.Context, p *pass) ([]string, error) {
	_, err := r.Apply.Prune(ctx, &apply.Scope{Kinds: kinds(false), Labels: map[string]string{v1alpha1.LabelTenant: p.tenant.Name}}, nil)
	return nil, err
}

// awaitNodes waits until the Platform has taken the tenant's marks off its nodes.
func (r *Reconciler) awaitNodes(ctx context.Context, p *pass) ([]string, error) {
	nodes := &corev1.NodeList{}
	if err := r.Live.List(ctx, nodes, client.MatchingLabels{v1alpha1.LabelNodeTenant: p.tenant.Name}); err != nil {
		return nil, fmt.Errorf("list the nodes of tenant %s: %w", p.tenant.Name, err)
	}
	var left []string
	for i := range nodes.Items {
		left = append(left, "Node "+nodes.Items[i].Name+": still dedicated to the tenant")
	}
	return left, nil
}

// searchResidue looks through every kind that Bulkhead renders, in every namespace, for what carries the tenant's name.
func (r *Reconciler) searchResidue(ctx context.Context, p *pass) ([]string, error) {
	return r.inventory(ctx, p)
}

func (r *Reconciler) inventory(ctx context.Context, p *pass) ([]string, error) {
	found, err := r.Apply.Find(ctx, &apply.Scope{
		Kinds: apply.Kinds(), Labels: map[string]string{v1alpha1.LabelTenant: p.tenant.Name},
	})
	if err != nil {
		return nil, err
	}
	names := make([]string, 0, len(found))
	for _, object := range found {
		names = append(names, apply.Describe(object))
	}
	slices.Sort(names)
	return names, nil
}
