package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/go-logr/logr"
	"github.com/spf13/cobra"
	"golang.org/x/term"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/examples"
	"github.com/bulkhead-dev/bulkhead/internal/cli/output"
	"github.com/bulkhead-dev/bulkhead/internal/demo"
	"github.com/bulkhead-dev/bulkhead/internal/install"
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
			"It runs until Ctrl-C or `bulkhead down`. The data stays in the data folder, and a second `up` resumes with it;\n" +
			"clusters in different folders run side by side.",
		Example: "  bulkhead up\n" +
			"  bulkhead up --drill           # also kill the controller, and see that everything holds without it\n" +
			"  bulkhead up --once -o json    # for CI: verify, end, exit 0 or 1\n" +
			"  bulkhead up --dir other       # a second one next to the first\n" +
			"  bulkhead up --empty           # Kubernetes and Bulkhead, without the example",
		Args:              cobra.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE:              func(cmd *cobra.Command, _ []string) error { return o.run(cmd.Context()) },
	}
	cmd.Flags().StringVar(&o.dir, "dir", defaultDir, "data folder: state, keys, logs and kubeconfigs")
	cmd.Flags().StringVar(&o.kube, "kube", "", "binary that holds Kubernetes (default: $KUBE, kube next to this program, bin/kube)")
	cmd.Flags().BoolVar(&o.once, "once", false, "verify, end everything, and exit 0 or 1")
	cmd.Flags().BoolVar(&o.drill, "drill", false, "also kill the controller and try everything without it")
	cmd.Flags().BoolVar(&o.empty, "empty", false, "leave out the example platform")
	cmd.MarkFlagsMutuallyExclusive("drill", "empty")
	o.format = addFormatFlag(cmd, formatTable, formatJSON)
	return cmd
}

func (o *upOptions) run(ctx context.Context) error {
	began := time.Now()
	log.SetLogger(logr.Discard()) // controller-runtime's clients log nothing that their errors do not contain
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
	results, err := o.play(ctx, cluster, program, example, steps)
	if err != nil {
		return o.ended(ctx, err)
	}
	results.seconds = time.Since(began).Seconds()
	if err := o.print(results); err != nil {
		return err
	}
	return o.wait(ctx, results)
}

// wait stays until the user ends it, unless everything was to be done once.
func (o *upOptions) wait(ctx context.Context, results *outcomes) error {
	if !o.once {
		o.Progressf("\nCtrl-C ends it.")
		<-ctx.Done()
		if err := context.Cause(ctx); !errors.Is(err, context.Canceled) {
			return err
		}
	}
	if o.once && results.failures() > 0 {
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

// poolLabel is the label by which the simulated provider marks the pool of a node.
const poolLabel = "node.example.com/pool"

// nodes are four that all tenants share, and two pools of one node each that can be dedicated.
func nodes() []localcluster.Node {
	list := make([]localcluster.Node, 0, 6)
	for i := 1; i <= 4; i++ {
		list = append(list, localcluster.Node{Name: fmt.Sprintf("shared-%d", i), Labels: map[string]string{poolLabel: "shared"}})
	}
	for _, pool := range []string{"dedicated-1", "dedicated-2"} {
		list = append(list, localcluster.Node{Name: pool, Labels: map[string]string{poolLabel: pool}})
	}
	return list
}

func startCluster(ctx context.Context, dir, kube string, steps *steps) (*localcluster.Cluster, error) {
	var cluster *localcluster.Cluster
	err := steps.do("start Kubernetes with six simulated nodes", func() error {
		var err error
		cluster, err = localcluster.Start(ctx, localcluster.Options{
			Dir: dir, Kube: kube, Notice: steps.noticef, Step: steps.note,
			// Otherwise Kubernetes may begin to count before it knows of Spaces, and retry only half a minute later.
			Serving: func(ctx context.Context, admin *rest.Config) error { return install.ApplyDefinitions(ctx, admin, nil) },
		})
		if err != nil {
			return err
		}
		if err := cluster.EnsureNodes(ctx, nodes()); err != nil {
			cluster.Stop()
			return err
		}
		return nil
	})
	return cluster, err
}

// installBulkhead writes what `bulkhead install` writes, without a Deployment, and runs the controller as a child
// process instead. The returned program starts it again.
func installBulkhead(ctx context.Context, cluster *localcluster.Cluster, steps *steps) (*localcluster.Program, error) {
	err := steps.do("install Bulkhead: definitions, guardrails, rights", func() error {
		config, err := cluster.Admin()
		if err != nil {
			return err
		}
		written := 0
		return install.Apply(ctx, config, install.Options{}, func(install.Event) {
			written++
			steps.note(fmt.Sprintf("%d objects", written))
		})
	})
	if err != nil {
		return nil, err
	}
	path, err := self()
	if err != nil {
		return nil, err
	}
	program := controllerProgram(path, cluster)
	return program, steps.do("start Bulkhead's controller", func() error { return cluster.Run(ctx, program) })
}

func controllerProgram(path string, cluster *localcluster.Cluster) *localcluster.Program {
	health := cluster.ControllersAddress()
	return &localcluster.Program{
		Name: "controller", Path: path, Grace: 2 * time.Second,
		Args:  []string{"run", "--kubeconfig=" + cluster.ControllersKubeconfig(), "--health-address=" + health, "--audit-log=" + cluster.AuditLog()},
		Ready: answers("http://" + health + "/readyz"),
	}
}

// answers checks that a URL answers 200.
func answers(url string) func(context.Context) error {
	return func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return fmt.Errorf("ask %s: %w", url, err)
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return err // it names the URL
		}
		defer response.Body.Close()
		if response.StatusCode != http.StatusOK {
			return fmt.Errorf("%s: %s", url, response.Status)
		}
		return nil
	}
}

// people are the administrator and a developer of every tenant, each with a kubeconfig in the data folder.
func people(cluster *localcluster.Cluster, dir string, example *demo.Example) (*demo.Play, error) {
	admin, err := demo.NewPerson("admin", "", relative(localcluster.AdminKubeconfig(dir)))
	if err != nil {
		return nil, err
	}
	play := &demo.Play{Example: example, Admin: admin, Developers: map[string]*demo.Person{}}
	for _, tenant := range example.Tenants {
		id := demo.Developer(tenant)
		path, err := cluster.Kubeconfig(tenant.Name, id, v1alpha1.HomeNamespace(tenant.Name))
		if err != nil {
			return nil, err
		}
		if play.Developers[tenant.Name], err = demo.NewPerson(id.User, tenant.Name, relative(path)); err != nil {
			return nil, err
		}
	}
	return play, nil
}

// relative is the path as a person would type it here.
func relative(path string) string {
	here, err := filepath.Abs(".")
	if err != nil {
		return path
	}
	if short, err := filepath.Rel(here, path); err == nil && !strings.HasPrefix(short, "..") {
		return short
	}
	return path
}

// steps prints on standard error what is being done, one line for each step. On a terminal the line is there while the
// step goes on, with a note of how far it is; elsewhere it is written once, when the step is done.
type steps struct {
	streams  IOStreams
	paint    output.Paint
	terminal bool
	current  string
}

func newSteps(streams IOStreams) *steps {
	file, isFile := output.Underneath(streams.ErrOut).(*os.File)
	return &steps{
		streams:  streams,
		paint:    output.NewPaint(streams.ErrOut),
		terminal: isFile && term.IsTerminal(int(file.Fd())),
	}
}

// do one step.
func (s *steps) do(what string, work func() error) error {
	s.current = what
	s.note("")
	began := time.Now()
	err := work()
	mark := output.OK
	if err != nil {
		mark = output.Problem
	}
	s.clear()
	s.streams.Progressf("%s %s %s", s.paint.Mark(mark), what, s.paint.Faint(fmt.Sprintf("%.1f s", time.Since(began).Seconds())))
	return err
}

// note how far the current step is.
func (s *steps) note(text string) {
	if s.terminal && !s.streams.Quiet() {
		s.clear()
		_, _ = fmt.Fprintf(s.streams.ErrOut, "… %s %s", s.current, s.paint.Faint(text)) // as for Progressf
	}
}

// noticef writes a line that does not belong to the step that goes on.
func (s *steps) noticef(format string, args ...any) {
	s.clear()
	_, _ = fmt.Fprintf(s.streams.ErrOut, s.paint.Open("!")+" "+format+"\n", args...) // told even with -q
}

// clear the line of the step that goes on: carriage return, erase to the end of the line.
func (s *steps) clear() {
	if s.terminal && !s.streams.Quiet() {
		_, _ = fmt.Fprint(output.Underneath(s.streams.ErrOut), "\r\x1b[K") // as for Progressf
	}
}

func newDownCommand(streams IOStreams) *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use:   "down",
		Short: "Stop what `bulkhead up` started; its data stays",
		Long: "Stops what `bulkhead up` started in the data folder, and returns when all of it has ended. The data stays:\n" +
			"`bulkhead up` resumes with it, and removing the folder removes it.",
		Example:           "  bulkhead down\n  bulkhead down --dir other",
		Args:              cobra.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			// An `up` ends within ten seconds.
			ctx, cancel := context.WithTimeout(cmd.Context(), 20*time.Second)
			defer cancel()
			err := localcluster.Down(ctx, dir)
			if errors.Is(err, localcluster.ErrNotRunning) {
				streams.Progressf("nothing runs in %s", dir)
				return nil
			}
			if err == nil {
				streams.Progressf("ended; the state stays in %s, and `bulkhead up` resumes it", dir)
			}
			return err
		},
	}
	cmd.Flags().StringVar(&dir, "dir", defaultDir, "data folder that was given to `bulkhead up`")
	return cmd
}
