// Package cli is the command line of bulkhead, one file per sub-command.
//
// Each command is made by a function `func newXxxCommand(streams IOStreams) *cobra.Command` that stands in the list
// of commands below. Results go to IOStreams.Out; progress and errors to IOStreams.ErrOut. A command's RunE returns nil
// for a positive answer, answered(exitNo) or answered(exitUnknown) for the others once it has printed why, and any
// other error for what kept it from answering.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/bulkhead-dev/bulkhead/internal/cli/output"
)

// Exit codes of every command.
const (
	// exitOK is a positive answer, or work done.
	exitOK = 0
	// exitNo is a negative answer: exposed, unhealthy, not as it should be.
	exitNo = 1
	// exitUnknown is for what could not be decided; it is never reported as safe.
	exitUnknown = 2
	// exitUsage is for wrong use, bad input, failed input or output, and defects: there is no answer.
	exitUsage = 3
)

// commands is the list of sub-commands, in the order of a user's first day.
func commands() []func(IOStreams) *cobra.Command {
	return []func(IOStreams) *cobra.Command{
		newUpCommand,
		newDecideCommand,
		newDownCommand,
		newInstallCommand,
		newUninstallCommand,
		newCheckCommand,
		newProveCommand,
		newAttackCommand,
		newDescribeCommand,
		newGuideCommand,
		newExplainCommand,
		newRunCommand,
	}
}

// IOStreams is where a command reads and writes: Out takes the answer, ErrOut progress and errors.
type IOStreams struct {
	genericiooptions.IOStreams

	// flags is filled when the command line is parsed; nil means neither -q nor -v.
	flags *globalFlags
}

// globalFlags holds for every command.
type globalFlags struct {
	quiet   bool
	verbose bool
	// reading is what the command reads; empty until it reads something.
	reading string
}

// Reading notes what the command reads from now on, for the report of a defect, and returns it.
func (s IOStreams) Reading(what string) string {
	if s.flags != nil {
		s.flags.reading = what
	}
	return what
}

// Quiet reports whether the user wants no progress.
func (s IOStreams) Quiet() bool { return s.flags != nil && s.flags.quiet }

// Verbose reports whether the user wants details.
func (s IOStreams) Verbose() bool { return s.flags != nil && s.flags.verbose && !s.flags.quiet }

// Progressf writes a line of progress to ErrOut, unless -q was given. Nothing depends on it, so errors in writing it are
// ignored.
func (s IOStreams) Progressf(format string, args ...any) {
	if !s.Quiet() {
		_, _ = fmt.Fprintf(s.ErrOut, format+"\n", args...)
	}
}

// Verbosef writes a line of detail to ErrOut when -v was given.
func (s IOStreams) Verbosef(format string, args ...any) {
	if s.Verbose() {
		_, _ = fmt.Fprintf(s.ErrOut, format+"\n", args...)
	}
}

// answered is an answer other than yes, which the command has already printed: it only sets the exit code.
type answered int

// Error is not shown to users; it satisfies the error interface.
func (a answered) Error() string { return fmt.Sprintf("exit code %d", int(a)) }

// Main runs the command line args (without the program's name) and returns its exit code. SIGINT and SIGTERM cancel
// the command's context; a second signal ends the process at once.
func Main(args []string, in io.Reader, out, errOut io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	defer context.AfterFunc(ctx, stop)()
	messages := output.NewPrintable(errOut)
	messages.Short = true
	streams := IOStreams{genericiooptions.IOStreams{In: in, Out: output.NewPrintable(out), ErrOut: messages}, &globalFlags{}}
	return execute(ctx, newRootCommand(streams), args, streams)
}

// execute runs args and returns the exit code. A panic is a defect of ours: it is reported, and is no answer.
func execute(ctx context.Context, root *cobra.Command, args []string, streams IOStreams) (code int) {
	defer func() {
		if value := recover(); value != nil {
			streams.writeDefect(value, debug.Stack(), args)
			code = exitUsage
		}
	}()
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	var answer answered
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &answer):
		return int(answer)
	default:
		_, _ = fmt.Fprintf(streams.ErrOut, "bulkhead: %v\n", err)
		return exitUsage
	}
}

func newRootCommand(streams IOStreams) *cobra.Command {
	root := &cobra.Command{
		Use:   "bulkhead",
		Short: "Decide, enforce and prove the isolation of tenants on shared Kubernetes",
		Long: "Bulkhead is a control plane for Kubernetes platforms that many tenants share: it decides from a business\n" +
			"description how each tenant must be isolated, enforces that with what the API server honours by itself,\n" +
			"and proves that it holds.",
		Example: "  bulkhead up                            # a whole platform on this machine, in seconds\n" +
			"  bulkhead decide -f examples/magazine   # decisions with reasons; needs no cluster",
		Version:       version(),
		Annotations:   map[string]string{cobra.CommandDisplayNameAnnotation: displayName(os.Args[0])},
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return cmd.Help()
		},
	}
	root.SetIn(streams.In)
	root.SetOut(streams.Out)
	root.SetErr(streams.ErrOut)
	root.PersistentFlags().BoolVarP(&streams.flags.quiet, "quiet", "q", false, "no progress, only the answer and errors")
	root.PersistentFlags().BoolVarP(&streams.flags.verbose, "verbose", "v", false, "more detail on what is being done")
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return fmt.Errorf("%w: see `%s --help`", err, cmd.CommandPath())
	})
	for _, newCommand := range commands() {
		root.AddCommand(newCommand(streams))
	}
	return root
}

// displayName is what help texts call this program: kubectl runs a file named kubectl-bulkhead as `kubectl bulkhead`.
func displayName(program string) string {
	if strings.HasPrefix(filepath.Base(program), "kubectl-bulkhead") {
		return "kubectl bulkhead"
	}
	return "bulkhead"
}

// version is the module's version when it was installed by version, else the commit that it was built from.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	for _, setting := range info.Settings {
		if setting.Key == "vcs.revision" {
			return "commit " + setting.Value
		}
	}
	return "development build"
}
