package cli

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/go-logr/logr"
	"github.com/spf13/cobra"
	"k8s.io/klog/v2"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/bulkhead-dev/bulkhead/internal/run"
)

// runOptions are the flags of `bulkhead run`.
type runOptions struct {
	IOStreams

	cluster                                     *connection
	metricsAddress, healthAddress, pprofAddress string
	leaderElect                                 bool
	auditLog                                    string
}

func newRunCommand(streams IOStreams) *cobra.Command {
	o := &runOptions{IOStreams: streams}
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Run the controllers, inside or outside a cluster",
		Long: "Runs Bulkhead's controllers until it is stopped. They hold no state: they may be killed at any time, and\n" +
			"while they are down everything that was enforced stays enforced by the API server itself. The identity needs\n" +
			"the rights that `bulkhead check --rights` prints, and no more.\n\n" +
			"/healthz and /readyz are served on the health address, /metrics on the metrics address, /debug/pprof/ on the\n" +
			"profiling address. Metrics and profiles hold tenants' names: keep them to yourself.\n\n" +
			"What a user changes or deletes of what Bulkhead manages is repaired, and an Event names the object and the user. The API\n" +
			"server keeps the user's name of a deletion, or of a change to an admission policy, only in its audit log: with\n" +
			"--audit-log that file (kube-apiserver's --audit-log-path, in the format json) is followed through rotation and\n" +
			"restarts, and the Event names the user, the verb and the time. Without it the Event reports the user as unknown.",
		Example: "  bulkhead run --kubeconfig bulkhead.kubeconfig --metrics-address localhost:8080\n" +
			"  bulkhead run --leader-elect   # in a pod, as one of several",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.Run(cmd.Context()) },
	}
	cmd.Flags().StringVar(&o.metricsAddress, "metrics-address", run.Off, "host:port to serve metrics on; 0 for none")
	cmd.Flags().StringVar(&o.healthAddress, "health-address", ":8081", "host:port to serve health and readiness on; 0 for none")
	cmd.Flags().StringVar(&o.pprofAddress, "pprof-address", run.Off, "host:port to serve profiles on; 0 for none")
	cmd.Flags().BoolVar(&o.leaderElect, "leader-elect", false, "work only while leading, so that several processes may stand by")
	cmd.Flags().StringVar(&o.auditLog, "audit-log", "", "the API server's audit log, a file to follow so that Events name the user of a change; empty for none")
	o.cluster = addConnectionFlags(cmd, streams)
	return cmd
}

// Run works until ctx ends.
func (o *runOptions) Run(ctx context.Context) error {
	config, err := o.cluster.config()
	if err != nil {
		return err
	}
	config.Timeout = 0 // watches are open for as long as they give news
	level := slog.LevelInfo
	switch {
	case o.Quiet():
		level = slog.LevelWarn
	case o.Verbose():
		level = slog.LevelDebug
	}
	logger := logr.FromSlogHandler(slog.NewTextHandler(o.ErrOut, &slog.HandlerOptions{Level: level}))
	log.SetLogger(logger)
	klog.SetLogger(logger)
	err = run.Run(ctx, &run.Options{
		Config: config, Log: logger, LeaderElect: o.leaderElect, AuditLog: o.auditLog,
		MetricsAddress: o.metricsAddress, HealthAddress: o.healthAddress, PprofAddress: o.pprofAddress,
	})
	if err != nil {
		return fmt.Errorf("the controllers stopped: %w", err)
	}
	return nil
}
