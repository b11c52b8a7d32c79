package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/kwok/pkg/kwok/controllers"
	"sigs.k8s.io/kwok/pkg/log"
)

const (
	// probeInterval and probeFailures say when the API server counts as gone.
	probeInterval = time.Second
	probeFailures = 3
)

type kwokOptions struct {
	kubeconfig    string
	leaseSeconds  uint
	serverAddress string
	tlsCertFile   string
	tlsKeyFile    string
	logFile       string
}

func (o *kwokOptions) flags() *pflag.FlagSet {
	fs := pflag.NewFlagSet("kwok", pflag.ContinueOnError)
	fs.StringVar(&o.kubeconfig, "kubeconfig", "", "kubeconfig `file` of the cluster (required)")
	fs.UintVar(&o.leaseSeconds, "node-lease-duration-seconds", 40,
		"duration of a node's lease; each node writes its lease four times in that time, so with many nodes "+
			"go up to 160, which stays within the controller manager's node-monitor-grace-period of 50s")
	fs.StringVar(&o.serverAddress, "server-address", "",
		"`host:port` of the kubelet endpoint of all simulated nodes, for kubectl logs; nodes remember it, so keep "+
			"it over restarts; the API server must reach it (empty: none)")
	fs.StringVar(&o.tlsCertFile, "tls-cert-file", "", "certificate `file` of the kubelet endpoint (default: a self-signed one)")
	fs.StringVar(&o.tlsKeyFile, "tls-private-key-file", "", "private key `file` for --tls-cert-file")
	fs.StringVar(&o.logFile, "log-file", "", "text `file` that is every simulated container's log (default: one line that says so)")
	return fs
}

func (o *kwokOptions) validate() error {
	if o.kubeconfig == "" {
		return errors.New("--kubeconfig is required")
	}
	if (o.tlsCertFile == "") != (o.tlsKeyFile == "") {
		return errors.New("--tls-cert-file and --tls-private-key-file go together")
	}
	_, _, err := o.endpoint()
	return err
}

// endpoint splits the server address into what goes into the nodes' status.
// Nodes need an address, so without a server it is the loopback one, with no port.
func (o *kwokOptions) endpoint() (host string, port int, err error) {
	if o.serverAddress == "" {
		return "127.0.0.1", 0, nil
	}
	host, portText, err := net.SplitHostPort(o.serverAddress)
	if err != nil {
		return "", 0, fmt.Errorf("--server-address: %w", err)
	}
	port, err = strconv.Atoi(portText)
	if err != nil || port < 1 || port > 65535 {
		return "", 0, fmt.Errorf("--server-address: port %q is not between 1 and 65535", portText)
	}
	if ip := net.ParseIP(host); ip == nil || ip.IsUnspecified() {
		return "", 0, fmt.Errorf("--server-address: host %q is not the address of an interface", host)
	}
	return host, port, nil
}

func runKwok() int {
	var opts kwokOptions
	err := opts.flags().Parse(os.Args[1:])
	if errors.Is(err, pflag.ErrHelp) {
		return 0
	}
	if err == nil {
		err = opts.validate()
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "kwok: %v\n", err)
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	// Below this level KWOK reports every patch of every pod.
	ctx = log.NewContext(ctx, log.NewLogger(os.Stderr, log.LevelWarn))
	if err := simulate(ctx, opts); err != nil {
		fmt.Fprintf(os.Stderr, "kwok: %v\n", err)
		return 1
	}
	return 0
}

// simulate runs until ctx ends. It starts a new KWOK controller whenever the
// API server has come back after an absence: KWOK's own watches back off up to
// a minute before they try again, and do not notice nodes deleted meanwhile.
func simulate(ctx context.Context, opts kwokOptions) error {
	clients, err := newClients(opts.kubeconfig)
	if err != nil {
		return err
	}
	conf, err := controllerConfig(opts, clients)
	if err != nil {
		return err
	}
	endpoint := make(chan error, 1)
	if opts.serverAddress != "" {
		closeLog, err := serveKubelet(ctx, opts, endpoint)
		if err != nil {
			return err
		}
		defer closeLog()
	}
	for {
		if !waitForAPIServer(ctx, clients.typed) {
			return nil
		}
		session, cancel := context.WithCancel(ctx)
		conf.CIDR = unusedPodCIDR(session, clients.typed)
		if err := startController(session, conf); err != nil {
			cancel()
			return err
		}
		select {
		case err = <-endpoint:
		case <-apiServerGone(session, clients.typed):
		}
		cancel()
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func startController(ctx context.Context, conf controllers.Config) error {
	controller, err := controllers.NewController(conf)
	if err != nil {
		return err
	}
	return controller.Start(ctx)
}

func ready(ctx context.Context, client kubernetes.Interface) bool {
	ctx, cancel := context.WithTimeout(ctx, probeInterval)
	defer cancel()
	return client.Discovery().RESTClient().Get().AbsPath("/readyz").Do(ctx).Error() == nil
}

// waitForAPIServer is false if ctx ended first.
func waitForAPIServer(ctx context.Context, client kubernetes.Interface) bool {
	const interval = 200 * time.Millisecond
	err := wait.PollUntilContextCancel(ctx, interval, true, func(ctx context.Context) (bool, error) {
		return ready(ctx, client), nil
	})
	return err == nil
}

// apiServerGone closes its channel when the API server stopped answering, or ctx ended.
func apiServerGone(ctx context.Context, client kubernetes.Interface) <-chan struct{} {
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		failures := 0
		_ = wait.PollUntilContextCancel(ctx, probeInterval, false, func(ctx context.Context) (bool, error) {
			if ready(ctx, client) {
				failures = 0
			} else {
				failures++
			}
			return failures >= probeFailures, nil
		})
	}()
	return gone
}
