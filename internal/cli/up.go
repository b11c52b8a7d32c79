package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/go-logr/logr"
	"github.com/spf13/cobra"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/bulkhead-dev/bulkhead/examples"
	"github.com/bulkhead-dev/bulkhead/internal/demo"
	"github.com/bulkhead-dev/bulkhead/internal/localcluster"
)

// defaultDir is the data folder of `up` and `down`.
const defaultDir = ".bulkhead"

type upOptions struct {
	IOStreams
	dir    string
	kube   string
	once   bool
	drill  bool
	empty  bool
	format *format
}

func newUpCommand(streams IOStreams) *cobra.Command {
	o := &upOptions{IOStreams: streams}
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Run Kubernetes with Bulkhead and an example platform on this machine",
		Long: "Runs a real Kubernetes on this machine, with six simulated nodes, installs Bulkhead, applies the platform\n" +
			"of a magazine publisher (examples/magazine), and shows what was declared, decided and enforced, and that it\n" +
			"holds: every line about what works or is refused is a real request with a client certificate of that tenant.\n\n" +
			"It stays until Ctrl-C or `bulkhead down`. State stays in the data folder, and a second `up` resumes it;\n" +
			"clusters in different folders run side by side.",
		Example: "  bulkhead up\n" +
			"  bulkhead up --drill           # also kill the controller, and see that everything holds without it\n" +
			"  bulkhead up --once -o json    # for CI: verify, end, exit 0 or 1\n" +
			"  bulkhead up --dir other       # a second one beside the first\n" +
			"  bulkhead up --empty           # Kubernetes and Bulkhead, without the example",
		Args:              cobra.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE:              func(cmd *cobra.Command, _ []string) error { return o.run(cmd.Context()) },
	}
	cmd.Flags().StringVar(&o.dir, "dir", defaultDir, "data folder: state, keys, logs and kubeconfigs")
	cmd.Flags().StringVar(&o.kube, "kube", "", "binary that holds Kubernetes (default: $KUBE, kube beside this program, bin/kube)")
	cmd.Flags().BoolVar(&o.once, "once", false, "verify, end everything, and exit 0 or 1")
	cmd.Flags().BoolVar(&o.drill, "drill", false, "also kill the controller and try everything without it")
	cmd.Flags().BoolVar(&o.empty, "empty", false, "leave out the example platform")
	cmd.MarkFlagsMutuallyExclusive("drill", "empty")
	o.format = addFormatFlag(cmd, formatTable, formatJSON)
	return cmd
}

func (o *upOptions) run(ctx context.Context) error {
	began := time.Now()
	log.SetLogger(logr.Discard()) // controller-runtime's clients have nothing to say that their errors do not
	kube, err := localcluster.FindKube(o.kube)
	if err != nil {
		return err
	}
	files, err := fs.Sub(examples.Magazine, "magazine")
	if err != nil {
		return fmt.Errorf("open the embedded example: %w", err)
	}
	example := &demo.Example{}
	if !o.empty {
		if example, err = demo.Load(files); err != nil {
			return err
		}
	}
	steps := newSteps(o.IOStreams)
	cluster, err := startCluster(ctx, o.dir, kube, steps)
	if err != nil {
		return o.ended(ctx, err)
	}
	defer o.stop(cluster, steps)
	ctx, cancel := whileRunning(ctx, cluster)
	defer cancel()

	program, err := installBulkhead(ctx, cluster, steps)
	if err != nil {
		return o.ended(ctx, err)
	}
	told, err := o.tell(ctx, cluster, program, example, steps)
	if err != nil {
		return o.ended(ctx, err)
	}
	told.seconds = time.Since(began).Seconds()
	if err := o.print(told); err != nil {
		return err
	}
	return o.wait(ctx, told)
}

// wait stays until somebody ends it, unless everything was to be done once.
func (o *upOptions) wait(ctx context.Context, told *told) error {
	if !o.once {
		o.Progressf("\nCtrl-C ends it.")
		<-ctx.Done()
		if err := context.Cause(ctx); !errors.Is(err, context.Canceled) {
			return err
		}
	}
	if o.once && told.failures() > 0 {
		return answered(exitNo)
	}
	return nil
}

// whileRunning is a context that also ends, with the cause, when the cluster cannot go on.
func whileRunning(ctx context.Context, cluster *localcluster.Cluster) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	go func() {
		select {
		case <-ctx.Done():
		case <-cluster.Failed():
			cancel(cluster.Err())
		}
	}()
	return ctx, func() { cancel(context.Canceled) }
}

// ended turns what follows from the end of ctx into its cause: being ended by the user is no error, and what a dying
// cluster says of itself counts more than what its clients say.
func (o *upOptions) ended(ctx context.Context, err error) error {
	if ctx.Err() == nil {
		return err
	}
	cause := context.Cause(ctx)
	if !errors.Is(cause, context.Canceled) {
		return cause
	}
	if o.once {
		return errors.New("ended before everything was verified")
	}
	return nil
}

func (o *upOptions) stop(cluster *localcluster.Cluster, steps *steps) {
	// Errors of stopping there are none: what does not end is killed.
	_ = steps.do("end everything; the state stays in "+o.dir, func() error {
		cluster.Stop()
		return nil
	})
}

// self is the path of this program, for the controller as a child process.
func self() (string, error) {
	path, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("find this program's own file: %w", err)
	}
	return path, nil
}
