package platform

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/guardrail"
	"github.com/bulkhead-dev/bulkhead/internal/status"
)

// recount is when a quota that the quota controller did not understand is made again: it looks at such a one next only in
// its full round, every five minutes by default (--resource-quota-sync-period).
const recount = 5 * time.Second

// awaitCounting waits until Kubernetes counts Spaces. Its quota controller learns of new kinds every half minute; a
// tenant's quota that is made before bounds Spaces of which no number is known, and admission refuses every one.
func (r *Reconciler) awaitCounting(ctx context.Context, p *pass) error {
	want := guardrail.SystemQuota()
	change, err := r.Apply.Ensure(ctx, want)
	if err != nil {
		return err
	}
	p.changes = append(p.changes, change)
	quota := &corev1.ResourceQuota{}
	if err := r.Client.Get(ctx, client.ObjectKeyFromObject(want), quota); client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("get %s: %w", client.ObjectKeyFromObject(want), err)
	}
	if _, counted := quota.Status.Used[guardrail.CountSpaces]; counted {
		return nil
	}
	if quota.UID != "" && r.Clock.Since(quota.CreationTimestamp.Time) > recount {
		if err := r.Apply.Delete(ctx, quota); err != nil {
			return err
		}
	}
	return status.Waiting(v1alpha1.ConditionEnforced, v1alpha1.ReasonEnforcing,
		"waits for Kubernetes to count Spaces: its quota controller looks for new kinds every half minute").RequeueAfter(recount)
}
