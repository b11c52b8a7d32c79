// Package testbulkhead installs and runs Bulkhead on the cluster of a test. It stands apart from testcluster because what
// Bulkhead is made of is tested on a cluster too.
package testbulkhead

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/guardrail"
	"github.com/bulkhead-dev/bulkhead/internal/run"
	"github.com/bulkhead-dev/bulkhead/internal/testcluster"
)

// Install makes what Bulkhead's process needs before it starts, what confines it, its namespace and its rights, and after that the
// objects.
func Install(ctx context.Context, admin client.Client, objects ...client.Object) error {
	all := []client.Object{&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: v1alpha1.SystemNamespace}}}
	for _, o := range guardrail.Policies(nil) {
		if guardrail.Installed(o) {
			all = append(all, o)
		}
	}
	for _, o := range run.RBAC() {
		all = append(all, o)
	}
	for _, o := range append(all, objects...) {
		if err := admin.Create(ctx, o); err != nil {
			return fmt.Errorf("create %T %s: %w", o, o.GetName(), err)
		}
	}
	return nil
}

// Config is how Bulkhead's process reaches the cluster: with the rights that it says it needs, and no others.
func Config(c *testcluster.Cluster) (*rest.Config, error) {
	config, err := c.User(v1alpha1.ControllerUser, v1alpha1.ControllerGroup)
	if err != nil {
		return nil, err
	}
	config.WarningHandler = rest.NoWarnings{}
	return config, nil
}

// Start runs Bulkhead's controllers until ctx ends, which must be before Stop. The returned function waits for
// that, and says what they ended with.
func Start(ctx context.Context, c *testcluster.Cluster) (ended func() error, err error) {
	config, err := Config(c)
	if err != nil {
		return nil, err
	}
	done := make(chan error, 1)
	go func() {
		done <- run.Run(ctx, &run.Options{Config: config, MetricsAddress: run.Off, HealthAddress: run.Off, PprofAddress: run.Off, Log: logr.Discard()})
	}()
	ended = sync.OnceValue(func() error {
		if err := <-done; err != nil && !errors.Is(err, context.Canceled) {
			return fmt.Errorf("run Bulkhead's controllers: %w", err)
		}
		return nil
	})
	c.Await(ended)
	return ended, nil
}
