package cli

import (
	"fmt"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"k8s.io/klog/v2"
	"sigs.k8s.io/controller-runtime/pkg/log"
)

// connection is the cluster that a command asks, and as whom, by kubectl's flags of the same names.
type connection struct {
	flags   genericclioptions.ConfigFlags
	streams IOStreams
}

// addConnectionFlags adds --kubeconfig and --context.
func addConnectionFlags(cmd *cobra.Command, streams IOStreams) *connection {
	c := &connection{streams: streams}
	c.flags.KubeConfig, c.flags.Context = new(string), new(string)
	c.flags.AddFlags(cmd.Flags())
	return c
}

// addImpersonationFlag adds --as.
func (c *connection) addImpersonationFlag(cmd *cobra.Command) *connection {
	as := genericclioptions.ConfigFlags{Impersonate: new(string)}
	as.AddFlags(cmd.Flags())
	c.flags.Impersonate = as.Impersonate
	return c
}

// config returns how to reach the cluster. Its errors name the files that were read.
func (c *connection) config() (*rest.Config, error) {
	config, err := c.flags.ToRESTConfig()
	if err != nil {
		return nil, fmt.Errorf("read the kubeconfig: %w", err)
	}
	loader := c.flags.ToRawKubeConfigLoader()
	if raw, err := loader.RawConfig(); err == nil && clientcmdapi.IsConfigEmpty(&raw) && config.Host == clientcmd.ClusterDefaults.Server {
		return nil, fmt.Errorf("no cluster to speak to: there is no kubeconfig in %v: name one with --kubeconfig, or start a cluster with `bulkhead up`",
			loader.ConfigAccess().GetLoadingPrecedence())
	}
	config.UserAgent = "bulkhead/" + version()
	config.QPS = -1 // the API server's priority and fairness is what limits us
	if config.Timeout == 0 {
		config.Timeout = 30 * time.Second // a server that accepts and never answers is a fault, not a wait
	}
	c.streams.Reading("the cluster at " + config.Host)
	return config, nil
}

// oneShot is config for commands that ask, write and end. They get errors as values and read no log, and the library
// complains when no logger is set.
func (c *connection) oneShot() (*rest.Config, error) {
	silence()
	return c.config()
}

// silence sets the loggers of the libraries, which are global and may be set only before anything logs: once a process.
var silence = sync.OnceFunc(func() {
	log.SetLogger(logr.Discard())
	klog.SetLogger(logr.Discard())
})
