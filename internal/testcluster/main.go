package testcluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/desired"
	"github.com/bulkhead-dev/bulkhead/internal/run"
)

// Main is the TestMain of a package that has a control plane of its own, with Kubernetes' own controllers: it starts them
// with these flags of the API server, prepares, runs the tests and stops it all. What it returns is for os.Exit. The
// context of prepare ends before the control plane does.
func Main(m *testing.M, flags []string, prepare func(context.Context, *Cluster) error) (code int) {
	ctrl.SetLogger(logr.Discard())
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	fail := func(err error) {
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	c, err := Start(flags...)
	if err != nil {
		fail(err)
		return code
	}
	defer func() {
		cancel()
		fail(c.Stop())
	}()
	c.Config.WarningHandler = rest.NoWarnings{}
	if err := c.StartControllerManager(ctx); err != nil {
		fail(err)
		return code
	}
	if err := prepare(ctx, c); err != nil {
		fail(err)
		return code
	}
	return m.Run()
}

// Install makes what Bulkhead's process needs before it starts, its namespace and its rights, and after that the objects.
func Install(ctx context.Context, admin client.Client, objects ...client.Object) error {
	all := []client.Object{&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: v1alpha1.SystemNamespace}}}
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

// Bulkhead is how its process reaches the cluster: with the rights that it says it needs, and no others.
func (c *Cluster) Bulkhead() (*rest.Config, error) {
	config, err := c.User(desired.ControllerUser, desired.ControllerGroup)
	if err != nil {
		return nil, err
	}
	config.WarningHandler = rest.NoWarnings{}
	return config, nil
}

// StartBulkhead runs Bulkhead's controllers until ctx ends, which must be before Stop. The returned function waits for
// that, and says what they ended with.
func (c *Cluster) StartBulkhead(ctx context.Context) (ended func() error, err error) {
	config, err := c.Bulkhead()
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
	c.bulkheads = append(c.bulkheads, ended)
	return ended, nil
}
