package platform

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	nodev1 "k8s.io/api/node/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bulkhead-dev/bulkhead/guardrail"
)

// check finds out whether what the Platform names is on the cluster and as it must be.
func (r *Reconciler) check(ctx context.Context, p *pass) error {
	for _, name := range p.platform.Spec.StorageClasses {
		class := &storagev1.StorageClass{}
		switch err := r.Client.Get(ctx, client.ObjectKey{Name: name}, class); {
		case apierrors.IsNotFound(err):
			p.fault("spec.storageClasses: there is no StorageClass %s: create it, or take it off the list", name)
		case err != nil:
			return fmt.Errorf("get StorageClass %s: %w", name, err)
		case class.ReclaimPolicy == nil || *class.ReclaimPolicy != corev1.PersistentVolumeReclaimDelete:
			p.fault("spec.storageClasses: StorageClass %s does not have reclaimPolicy Delete, so one tenant's data would outlive it: "+
				"name a class that has", name)
		}
	}
	for _, name := range p.platform.Spec.SandboxRuntimes {
		switch err := r.Client.Get(ctx, client.ObjectKey{Name: name}, &nodev1.RuntimeClass{}); {
		case apierrors.IsNotFound(err):
			p.fault("spec.sandboxRuntimes: there is no RuntimeClass %s: pods of sandboxed workloads cannot start; create it, or take it off the list", name)
		case err != nil:
			return fmt.Errorf("get RuntimeClass %s: %w", name, err)
		}
	}
	p.faults = append(p.faults, guardrail.RefusedTenantResources(p.platform)...)
	return nil
}
