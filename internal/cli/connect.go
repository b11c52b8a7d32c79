package cli

import (
	"fmt"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"github.com/spf13/cobra"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"
	"sigs.k8s.io/controller-runtime/pkg/log"
)

// clusterFlags say which cluster a command speaks to, as kubectl's flags of the same names do.
type clusterFlags struct {
	kubeconfig string
	context    string
}

func addClusterFlags(cmd *cobra.Command) *clusterFlags {
	f := &clusterFlags{}
	cmd.Flags().StringVar(&f.kubeconfig, "kubeconfig", "", "kubeconfig file (default: $KUBECONFIG, ~/.kube/config, or inside a cluster the pod's own identity)")
	cmd.Flags().StringVar(&f.context, "context", "", "context of the kubeconfig to use (default: its current one)")
	return f
}

// config is how to reach the cluster. Its errors say where it was looked for.
func (f *clusterFlags) config() (*rest.Config, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = f.kubeconfig
	overrides := &clientcmd.ConfigOverrides{CurrentContext: f.context}
	config, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, overrides).ClientConfig()
	if err != nil {
		if clientcmd.IsEmptyConfig(err) {
			return nil, fmt.Errorf("no cluster to speak to: there is no kubeconfig in %v: name one with --kubeconfig, or start a cluster with `bulkhead up`", rules.GetLoadingPrecedence())
		}
		return nil, fmt.Errorf("read the kubeconfig: %w", err)
	}
	config.UserAgent = "bulkhead/" + version()
	config.QPS = -1 // the API server's priority and fairness is what limits us
	if config.Timeout == 0 {
		config.Timeout = 30 * time.Second // a server that accepts and never answers is a fault, not a wait
	}
	return config, nil
}

// oneShot is config for commands that ask, write and end. They get errors as values and read no log, and the library
// complains when nobody does.
func (f *clusterFlags) oneShot() (*rest.Config, error) {
	silence()
	return f.config()
}

// silence sets the loggers of the libraries, which are global and may be set only before anything logs: once a process.
var silence = sync.OnceFunc(func() {
	log.SetLogger(logr.Discard())
	klog.SetLogger(logr.Discard())
})
