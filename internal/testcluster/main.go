package testcluster

import (
	"context"
	"fmt"
	"os"
	"testing"

	"github.com/go-logr/logr"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
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
