package install

import (
	"context"
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
)

// WaitReady returns when the controller's Deployment runs what was installed, in every replica. It ends with ctx, and
// the error says what was still missing.
func WaitReady(ctx context.Context, config *rest.Config, progress Progress) error {
	c, err := NewClient(config)
	if err != nil {
		return err
	}
	name := "Deployment " + v1alpha1.SystemNamespace + "/" + DeploymentName
	waits, told := "", ""
	err = wait.PollUntilContextCancel(ctx, 500*time.Millisecond, true, func(ctx context.Context) (bool, error) {
		deployment := &appsv1.Deployment{}
		if err := c.Get(ctx, client.ObjectKey{Namespace: v1alpha1.SystemNamespace, Name: DeploymentName}, deployment); err != nil {
			return false, err
		}
		waits = Unready(deployment)
		if waits != "" && waits != told {
			progress.tell(PhaseController, Waiting, name, waits)
			told = waits
		}
		return waits == "", nil
	})
	if err != nil {
		return fmt.Errorf("wait for %s (%s): %w: see `kubectl -n %s describe deployment,pods`", name, waits, err, v1alpha1.SystemNamespace)
	}
	return nil
}

// Unready says what a Deployment still waits for; empty when every replica runs its latest template and is ready.
func Unready(d *appsv1.Deployment) string {
	count := int32(1)
	if d.Spec.Replicas != nil {
		count = *d.Spec.Replicas
	}
	status := &d.Status
	switch {
	case status.ObservedGeneration < d.Generation:
		return "its latest change has not been looked at"
	case status.UpdatedReplicas < count:
		return fmt.Sprintf("%d of %d pods are of the new version", status.UpdatedReplicas, count)
	case status.Replicas > count:
		return fmt.Sprintf("%d pods of the old version are ending", status.Replicas-count)
	case status.ReadyReplicas < count:
		return fmt.Sprintf("%d of %d pods are ready", status.ReadyReplicas, count)
	}
	return ""
}
