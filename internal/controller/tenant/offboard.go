package tenant

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/internal/apply"
	"github.com/bulkhead-dev/bulkhead/internal/observe/cluster"
	"github.com/bulkhead-dev/bulkhead/internal/removal"
	"github.com/bulkhead-dev/bulkhead/internal/status"
)

// definitionName is the CustomResourceDefinition of Tenants.
var definitionName = v1alpha1.DefinitionName("tenants")

// offboard removes everything that exists for a Tenant whose deletion was asked for, records what that was, and
// removes the finalizer when a search finds nothing left. It returns false when the Tenant stays, because it is
// protected. A Tenant that is deleted only because its definition is loses its finalizer, and nothing is removed.
func (r *Reconciler) offboard(ctx context.Context, p *pass) (done bool, err error) {
	if !controllerutil.ContainsFinalizer(p.tenant, v1alpha1.Finalizer) {
		return true, nil
	}
	marked, err := cluster.Marked(ctx, r.Live, p.tenant)
	if err != nil || !marked {
		return true, err
	}
	removed, err := r.removedWithDefinition(ctx)
	if err != nil {
		return true, err
	}
	if removed {
		r.Status.Eventf(p.tenant.Name, p.tenant, corev1.EventTypeWarning, v1alpha1.ReasonDefinitionRemoved, "Offboard",
			"Tenant %s is released because the definition of Tenants is being removed: nothing is removed", p.tenant.Name)
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

// removedWithDefinition asks the API server itself whether the definition of Tenants is being removed, and every Tenant with it.
func (r *Reconciler) removedWithDefinition(ctx context.Context) (bool, error) {
	definition := cluster.Definition()
	err := r.Live.Get(ctx, client.ObjectKey{Name: definitionName}, definition)
	if apierrors.IsNotFound(err) {
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("find out whether the definition of Tenants is being removed: %w", err)
	}
	return !definition.GetDeletionTimestamp().IsZero(), nil
}

// revokeOwners takes all rights in the home namespace away, so that no new Space comes while the others go.
func (r *Reconciler) revokeOwners(ctx context.Context, p *pass) ([]string, error) {
	home, err := r.home(ctx, p)
	if err != nil || home == nil {
		return nil, err
	}
	return r.Remover.Revoke(ctx, home.Name)
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
		if err := r.removeNamespace(ctx, p, &namespaces.Items[i], &left); err != nil {
			return left, err
		}
	}
	return left, nil
}

func (r *Reconciler) removeNamespace(ctx context.Context, p *pass, namespace *corev1.Namespace, left *[]string) error {
	record := removal.RecordName(p.tenant.Name, p.tenant)
	more, stripped, err := r.Remover.Step(ctx, namespace, record)
	*left = append(*left, more...)
	if len(stripped) > 0 {
		r.Status.Eventf(p.tenant.Name, p.tenant, corev1.EventTypeWarning, v1alpha1.ReasonFinalizersStripped, "Offboard",
			"took finalizers off that no controller did by the Platform's offboardingDeadline: %s (ConfigMap %s/%s)", strings.Join(stripped, "; "), v1alpha1.SystemNamespace, record)
	}
	return err
}

// removeHome deletes the home namespace with all that is in it.
func (r *Reconciler) removeHome(ctx context.Context, p *pass) ([]string, error) {
	home, err := r.home(ctx, p)
	if err != nil || home == nil {
		return nil, err
	}
	var left []string
	err = r.removeNamespace(ctx, p, home, &left)
	return left, err
}

// home is the tenant's home namespace; nil where there is none, or one that is not Bulkhead's, never adopted.
func (r *Reconciler) home(ctx context.Context, p *pass) (*corev1.Namespace, error) {
	home := &corev1.Namespace{}
	err := r.Live.Get(ctx, client.ObjectKey{Name: v1alpha1.HomeNamespace(p.tenant.Name)}, home)
	if apierrors.IsNotFound(err) {
		return nil, nil //nolint:nilnil // nil is the answer "there is none"
	}
	if err != nil {
		return nil, fmt.Errorf("get the home namespace of tenant %s: %w", p.tenant.Name, err)
	}
	if home.Labels[v1alpha1.LabelManagedBy] != v1alpha1.ManagedBy || home.Labels[v1alpha1.LabelTenant] != p.tenant.Name {
		return nil, nil //nolint:nilnil // as above
	}
	return home, nil
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
		names = append(names, apply.RefOf(object).String())
	}
	slices.Sort(names)
	return names, nil
}

// Keys of an off-boarding record, a ConfigMap in Bulkhead's own namespace.
const (
	recordTenant    = "tenant"
	recordUID       = "uid"
	recordRequested = "requested"
	recordFinished  = "finished"
	recordRemoved   = "removed"
	recordResidue   = "residue"
)

// openRecord writes down what there is to remove before anything is removed. A record that exists is kept: it was
// written when there was more.
func (r *Reconciler) openRecord(ctx context.Context, p *pass) ([]string, error) {
	record := &corev1.ConfigMap{}
	err := r.Live.Get(ctx, client.ObjectKey{Namespace: v1alpha1.SystemNamespace, Name: removal.RecordName(p.tenant.Name, p.tenant)}, record)
	if err == nil && record.Data[recordUID] != "" {
		return nil, nil
	}
	if client.IgnoreNotFound(err) != nil {
		return nil, fmt.Errorf("get the off-boarding record of tenant %s: %w", p.tenant.Name, err)
	}
	inventory, failed := r.inventory(ctx, p)
	if failed != nil {
		return nil, failed
	}
	for i := range p.tenant.Status.Ledger {
		inventory = append(inventory, "Space "+v1alpha1.HomeNamespace(p.tenant.Name)+"/"+p.tenant.Status.Ledger[i].Space)
	}
	data := map[string]string{
		recordTenant:    p.tenant.Name,
		recordUID:       string(p.tenant.UID),
		recordRequested: p.tenant.DeletionTimestamp.UTC().Format(time.RFC3339),
		recordRemoved:   strings.Join(inventory, "\n"),
	}
	if err == nil { // a Space had something to record before
		maps.Copy(record.Data, data)
		err = r.Client.Update(ctx, record, client.FieldOwner(v1alpha1.ManagedBy))
	} else {
		record = &corev1.ConfigMap{
			ObjectMeta: metav1.ObjectMeta{
				Namespace: v1alpha1.SystemNamespace, Name: removal.RecordName(p.tenant.Name, p.tenant),
				Labels: map[string]string{v1alpha1.LabelManagedBy: v1alpha1.ManagedBy, v1alpha1.LabelRecord: removal.RecordOffboarding},
			},
			Data: data,
		}
		err = client.IgnoreAlreadyExists(r.Client.Create(ctx, record, client.FieldOwner(v1alpha1.ManagedBy)))
	}
	if err != nil {
		return nil, fmt.Errorf("write the off-boarding record of tenant %s into namespace %s: %w", p.tenant.Name, v1alpha1.SystemNamespace, err)
	}
	return nil, nil
}

// closeRecord adds when all was gone, and that a search found nothing.
func (r *Reconciler) closeRecord(ctx context.Context, p *pass) error {
	record := &corev1.ConfigMap{}
	if err := r.Live.Get(ctx, client.ObjectKey{Namespace: v1alpha1.SystemNamespace, Name: removal.RecordName(p.tenant.Name, p.tenant)}, record); err != nil {
		return fmt.Errorf("get the off-boarding record of tenant %s: %w", p.tenant.Name, err)
	}
	if record.Data[recordFinished] != "" {
		return nil
	}
	if record.Data == nil {
		record.Data = map[string]string{}
	}
	record.Data[recordFinished] = r.Clock.Now().UTC().Format(time.RFC3339)
	record.Data[recordResidue] = "none: every kind that Bulkhead renders was searched in every namespace, and the nodes"
	if err := r.Client.Update(ctx, record, client.FieldOwner(v1alpha1.ManagedBy)); err != nil {
		return fmt.Errorf("close the off-boarding record of tenant %s: %w", p.tenant.Name, err)
	}
	r.Status.Eventf(p.tenant.Name, p.tenant, corev1.EventTypeNormal, "Offboarded", "Offboard",
		"everything is removed and no residue was found: see ConfigMap %s/%s", record.Namespace, record.Name)
	return nil
}
