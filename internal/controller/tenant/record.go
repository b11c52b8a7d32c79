package tenant

import (
	"context"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
)

// Keys of an off-boarding record, a ConfigMap in Bulkhead's own namespace.
const (
	// recordLabel marks records, so that they can be listed: kubectl -n bulkhead-system get configmap -l bulkhead.dev/record
	recordLabel, recordOffboarding = v1alpha1.LabelRecord, "offboarding"

	recordTenant    = "tenant"
	recordUID       = "uid"
	recordRequested = "requested"
	recordFinished  = "finished"
	recordRemoved   = "removed"
	recordResidue   = "residue"
)

// recordName is offboarded-TENANT- and the start of the Tenant's UID: a tenant of the same name may come again.
func recordName(t *v1alpha1.Tenant) string {
	const enough = 8
	uid := string(t.UID)
	return "offboarded-" + t.Name + "-" + uid[:min(enough, len(uid))]
}

// openRecord writes down what there is to remove before anything is removed. A record that exists is kept: it was
// written when there was more.
func (r *Reconciler) openRecord(ctx context.Context, p *pass) ([]string, error) {
	record := &corev1.ConfigMap{}
	err := r.Live.Get(ctx, client.ObjectKey{Namespace: v1alpha1.SystemNamespace, Name: recordName(p.tenant)}, record)
	if err == nil {
		return nil, nil
	}
	if !apierrors.IsNotFound(err) {
		return nil, fmt.Errorf("get the off-boarding record of tenant %s: %w", p.tenant.Name, err)
	}
	inventory, err := r.inventory(ctx, p)
	if err != nil {
		return nil, err
	}
	for i := range p.tenant.Status.Ledger {
		inventory = append(inventory, "Space "+v1alpha1.HomeNamespace(p.tenant.Name)+"/"+p.tenant.Status.Ledger[i].Space)
	}
	record = &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: v1alpha1.SystemNamespace, Name: recordName(p.tenant),
			Labels: map[string]string{v1alpha1.LabelManagedBy: v1alpha1.ManagedBy, recordLabel: recordOffboarding},
		},
		Data: map[string]string{
			recordTenant:    p.tenant.Name,
			recordUID:       string(p.tenant.UID),
			recordRequested: p.tenant.DeletionTimestamp.UTC().Format(time.RFC3339),
			recordRemoved:   strings.Join(inventory, "\n"),
		},
	}
	if err := r.Client.Create(ctx, record, client.FieldOwner(v1alpha1.ManagedBy)); err != nil && !apierrors.IsAlreadyExists(err) {
		return nil, fmt.Errorf("write the off-boarding record of tenant %s into namespace %s: %w", p.tenant.Name, v1alpha1.SystemNamespace, err)
	}
	return nil, nil
}

// closeRecord adds when all was gone, and that a search found nothing.
func (r *Reconciler) closeRecord(ctx context.Context, p *pass) error {
	record := &corev1.ConfigMap{}
	if err := r.Live.Get(ctx, client.ObjectKey{Namespace: v1alpha1.SystemNamespace, Name: recordName(p.tenant)}, record); err != nil {
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
