package space

import (
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/internal/observe/cluster"
	"github.com/bulkhead-dev/bulkhead/internal/status"
)

// definitionName is the CustomResourceDefinition of Spaces.
var definitionName = v1alpha1.DefinitionName("spaces")

// offboard removes what exists for a Space whose deletion was asked for, and removes its finalizer when nothing is
// left. It returns false when the Space stays, because its tenant is protected.
//
// A deletion was not requested for a Space that is deleted only with its definition or its home namespace: it loses its finalizer, and
// nothing is removed. A re-installed CRD, or a slip with a namespace, must not cost a tenant its workloads.
func (r *Reconciler) offboard(ctx context.Context, p *pass) (done bool, err error) {
	if !controllerutil.ContainsFinalizer(p.space, v1alpha1.Finalizer) {
		return true, nil
	}
	marked, err := cluster.Marked(ctx, r.Live, p.space)
	if err != nil || !marked {
		return true, err
	}
	removed, err := r.removedWith(ctx, p)
	if err != nil {
		return true, err
	}
	if removed != "" {
		r.Status.Eventf(p.owner, p.space, corev1.EventTypeWarning, v1alpha1.ReasonDefinitionRemoved, "Offboard",
			"Space %s is released because %s: nothing is removed, and namespace %s stays", p.space.Name, removed, p.namespaceName())
		return true, r.removeFinalizer(ctx, p)
	}
	tenant := &v1alpha1.Tenant{}
	err = r.Client.Get(ctx, client.ObjectKey{Name: p.owner}, tenant)
	if client.IgnoreNotFound(err) != nil {
		return true, err
	}
	if err == nil && tenant.Spec.Protected {
		p.Blockers = append(p.Blockers, status.Waiting(v1alpha1.ConditionReady, v1alpha1.ReasonProtected,
			"deletion was asked for, but tenant %s is protected: set its spec.protected to false to let it happen", p.owner))
		return false, nil
	}
	left, err := r.removeNamespace(ctx, p)
	if err != nil || len(left) > 0 {
		p.space.Status.Remaining = left
		return true, r.Status.WriteRemaining(ctx, &p.Pass, left, err)
	}
	if err := r.releaseQuota(ctx, p, tenant); err != nil {
		return true, err
	}
	return true, r.removeFinalizer(ctx, p)
}

// removedWith is what else is being removed and takes the Space along; empty when its own deletion was asked for. It
// asks the API server itself, and an error is not taken for an answer.
func (r *Reconciler) removedWith(ctx context.Context, p *pass) (string, error) {
	for _, container := range []struct {
		object client.Object
		name   string
		what   string
	}{
		{cluster.Definition(), definitionName, "the definition of Spaces"},
		{&corev1.Namespace{}, p.space.Namespace, "its home namespace"},
	} {
		err := r.Live.Get(ctx, client.ObjectKey{Name: container.name}, container.object)
		switch {
		case apierrors.IsNotFound(err):
			return container.what + " is gone", nil
		case err != nil:
			return "", fmt.Errorf("find out whether %s is being removed: %w", container.what, err)
		case !container.object.GetDeletionTimestamp().IsZero():
			return container.what + " is being removed", nil
		}
	}
	return "", nil
}

// removeNamespace deletes the Space's namespace and returns what is left of it. A namespace that is not this Space's is
// left alone.
func (r *Reconciler) removeNamespace(ctx context.Context, p *pass) ([]string, error) {
	namespace, err := r.ownNamespace(ctx, r.Live, p)
	if err != nil || namespace == nil {
		return nil, err
	}
	if namespace.DeletionTimestamp.IsZero() {
		if err := r.Apply.Delete(ctx, namespace); err != nil {
			return nil, err
		}
		return []string{"Namespace " + namespace.Name}, nil
	}
	return whatRemains(namespace), nil
}

// whatRemains is what is still in the namespace, or holds it, by its own conditions.
func whatRemains(namespace *corev1.Namespace) []string {
	left := []string{"Namespace " + namespace.Name}
	for _, c := range namespace.Status.Conditions {
		switch c.Type {
		case corev1.NamespaceContentRemaining, corev1.NamespaceFinalizersRemaining,
			corev1.NamespaceDeletionContentFailure, corev1.NamespaceDeletionDiscoveryFailure, corev1.NamespaceDeletionGVParsingFailure:
			if c.Status == corev1.ConditionTrue {
				left = append(left, namespace.Name+": "+c.Message)
			}
		}
	}
	slices.Sort(left[1:])
	return left
}

// releaseQuota gives back what the ledger held for the Space, now that its namespace is gone.
func (r *Reconciler) releaseQuota(ctx context.Context, p *pass, tenant *v1alpha1.Tenant) error {
	p.platform, p.tenant = &v1alpha1.Platform{}, tenant
	err := r.Client.Get(ctx, client.ObjectKey{Name: v1alpha1.PlatformName}, p.platform)
	if client.IgnoreNotFound(err) != nil {
		return err
	}
	if err != nil || tenant.Name == "" || !p.inLedger(p.space.Name) {
		return nil // no quota is split now; the next division drops a ledger entry without a namespace
	}
	lock := r.ledgers.of(p.owner)
	lock.Lock()
	defer lock.Unlock()
	_, err = r.divide(ctx, p, r.Live)
	return client.IgnoreNotFound(err)
}
