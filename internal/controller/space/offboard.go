package space

import (
	"context"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/internal/observe/cluster"
	"github.com/bulkhead-dev/bulkhead/internal/removal"
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
	record := removal.RecordName(v1alpha1.SpaceNamespace(p.owner, p.space.Name), p.space)
	if !tenant.DeletionTimestamp.IsZero() {
		record = removal.RecordName(tenant.Name, tenant)
	}
	left, err := r.removeNamespace(ctx, p, record)
	if err == nil && len(left) == 0 {
		left, err = r.releaseSpace(ctx, p, record)
	}
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

// removeNamespace goes one step further in the removal of the Space's namespace and returns what is left of it. A namespace that is not
// this Space's is left alone.
func (r *Reconciler) removeNamespace(ctx context.Context, p *pass, record string) ([]string, error) {
	namespace, err := r.ownNamespace(ctx, r.Live, p)
	if err != nil || namespace == nil {
		return nil, err
	}
	left, stripped, err := r.Remover.Step(ctx, namespace, record)
	r.tell(p, record, stripped)
	return left, err
}

// releaseSpace takes the finalizers off the Space that no controller did in time. Bulkhead's own keeps it until then.
func (r *Reconciler) releaseSpace(ctx context.Context, p *pass, record string) ([]string, error) {
	foreign := removal.Foreign("Space", p.space)
	if len(foreign) == 0 {
		return nil, nil
	}
	deadline, err := r.Remover.Deadline(ctx)
	if err != nil {
		return nil, err
	}
	name := "Space " + p.space.Namespace + "/" + p.space.Name
	if r.Clock.Since(p.space.DeletionTimestamp.Time) <= 2*deadline {
		return []string{name + ": held by finalizer " + strings.Join(foreign, ", ")}, nil
	}
	stripped := []string{name + ": " + strings.Join(foreign, ", ")}
	if err := r.Remover.Record(ctx, record, stripped); err != nil {
		return nil, err
	}
	r.tell(p, record, stripped)
	return nil, r.Status.PatchFinalizers(ctx, &p.Pass, func(o client.Object, _ string) bool {
		removal.KeepOwn("Space", o)
		return true
	})
}

// tell reports what was taken off by an Event.
func (r *Reconciler) tell(p *pass, record string, stripped []string) {
	if len(stripped) > 0 {
		r.Status.Eventf(p.owner, p.space, corev1.EventTypeWarning, v1alpha1.ReasonFinalizersStripped, "Offboard",
			"took finalizers off that no controller did by the Platform's offboardingDeadline: %s (ConfigMap %s/%s)", strings.Join(stripped, "; "), v1alpha1.SystemNamespace, record)
	}
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
