package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/client-go/rest"

	"github.com/bulkhead-dev/bulkhead/internal/check"
	"github.com/bulkhead-dev/bulkhead/internal/cli/output"
	"github.com/bulkhead-dev/bulkhead/internal/install"
)

// installOptions are the flags of `bulkhead install`.
type installOptions struct {
	IOStreams

	cluster      *connection
	format       *format
	image        string
	noController bool
	preflight    bool
	timeout      time.Duration
}

// installReport is the JSON form of what was found and done.
type installReport struct {
	Preflight []check.Finding `json:"preflight"`
	// Changed is empty when nothing was.
	Changed []install.Event `json:"changed"`
}

func newInstallCommand(streams IOStreams) *cobra.Command {
	o := &installOptions{IOStreams: streams}
	cmd := &cobra.Command{
		Use:   "install --image REF",
		Short: "Install Bulkhead on a cluster, or upgrade it",
		Long: "Installs Bulkhead on a cluster, or upgrades it to this version: definitions, cluster-wide guardrails,\n" +
			"namespace, identity and rights, and the controller's Deployment. First it checks whether the cluster can\n" +
			"enforce what Bulkhead renders, and reports the controls that it cannot. Where something required is missing,\n" +
			"nothing is changed. It never touches what tenants run, and can be repeated at any time.\n\n" +
			"Exit status: 0 installed, or with --preflight nothing required is missing; 1 something required is missing, or the\n" +
			"controller did not become ready in time; 3 the cluster could not be asked or a write was refused.",
		Example: "  bulkhead install --preflight                                  # check only\n" +
			"  bulkhead install --image registry.example.com/bulkhead:v0.1.0\n" +
			"  bulkhead install --no-controller                              # and then: bulkhead run",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.Run(cmd.Context()) },
	}
	cmd.Flags().StringVar(&o.image, "image", "", "image of the controller")
	cmd.Flags().BoolVar(&o.noController, "no-controller", false, "write no Deployment: the controller runs elsewhere")
	cmd.Flags().BoolVar(&o.preflight, "preflight", false, "only check whether the cluster can enforce and Bulkhead be installed")
	cmd.Flags().DurationVar(&o.timeout, "timeout", 2*time.Minute, "how long to wait for the controller's pods; 0 does not wait")
	o.cluster = addConnectionFlags(cmd, streams).addImpersonationFlag(cmd)
	o.format = addFormatFlag(cmd, formatTable, formatJSON)
	return cmd
}

// Run looks, and installs unless something required is missing.
func (o *installOptions) Run(ctx context.Context) error {
	if err := o.validate(); err != nil {
		return err
	}
	config, err := o.cluster.oneShot()
	if err != nil {
		return err
	}
	options := install.Options{Image: o.image}
	if o.preflight && o.image == "" && !o.noController {
		options.Image = "preflight" // the rights for a Deployment are asked for too
	}
	findings, err := check.Cluster{Config: config, Options: options}.Preflight(ctx)
	if err != nil {
		return err
	}
	report := installReport{Preflight: findings, Changed: []install.Event{}}
	if o.format.value == formatTable {
		if err := writeFindings(o.Out, findings, nil); err != nil {
			return err
		}
	}
	var answer error
	switch missing := check.Missing(findings); {
	case len(missing) > 0:
		o.sayf("\nNothing was changed: %s must be fixed first.\n", output.Plural(len(missing), "required part"))
		answer = answered(exitNo)
	case o.preflight:
		o.sayf("\n%s. Nothing was changed; nothing keeps Bulkhead from being installed.\n", counted(findings))
	default:
		answer = o.install(ctx, config, options, &report)
	}
	if o.format.value == formatJSON {
		if err := output.WriteJSON(o.Out, report); err != nil {
			return err
		}
	}
	return answer
}

func (o *installOptions) validate() error {
	switch {
	case o.image != "" && o.noController:
		return errors.New("--image and --no-controller exclude one another: choose whether the controller runs in this cluster")
	case o.image == "" && !o.noController && !o.preflight:
		return errors.New("the controller's image is missing: give --image REF, --no-controller to run it elsewhere, or --preflight to check only")
	case o.timeout < 0:
		return fmt.Errorf("--timeout %s is negative: give a duration such as 2m, or 0 not to wait", o.timeout)
	}
	return nil
}

func (o *installOptions) install(ctx context.Context, config *rest.Config, options install.Options, report *installReport) error {
	o.sayf("\n")
	progress := &phasePrinter{streams: o.IOStreams, out: o.Out, table: o.format.value == formatTable}
	record := func(e install.Event) {
		if e.Action == install.Created || e.Action == install.Changed {
			report.Changed = append(report.Changed, e)
		}
		progress.event(e)
	}
	if err := install.Apply(ctx, config, options, record); err != nil {
		return fmt.Errorf("%w: what was written stays, and a repeated install continues", err)
	}
	progress.flush()
	if options.Image == "" {
		o.sayf("Installed. Start the controller with `bulkhead run`; then see `bulkhead check`.\n")
		return nil
	}
	if o.timeout == 0 {
		o.sayf("Installed. The controller's pods are starting: see `bulkhead check`.\n")
		return nil
	}
	waiting, cancel := context.WithTimeout(ctx, o.timeout)
	defer cancel()
	if err := install.WaitReady(waiting, config, record); err != nil {
		if ctx.Err() != nil || waiting.Err() == nil {
			return err
		}
		_, _ = fmt.Fprintf(o.ErrOut, "bulkhead: everything is written, and guardrails enforce, but the controller is not up after %s: %v\n", o.timeout, err)
		return answered(exitNo)
	}
	progress.flush()
	o.sayf("Installed, and the controller runs. See `bulkhead check`.\n")
	return nil
}

// sayf writes a line for people; in JSON there is none.
func (o *installOptions) sayf(format string, args ...any) {
	if o.format.value == formatTable {
		_, _ = fmt.Fprintf(o.Out, format, args...) // a closed output is not read any more
	}
}

// phasePrinter prints each phase in one line, and each object with -v.
type phasePrinter struct {
	streams IOStreams
	out     io.Writer
	table   bool

	phase  string
	counts map[install.Action]int
}

func (p *phasePrinter) event(e install.Event) {
	if e.Phase != p.phase {
		p.flush()
		p.phase, p.counts = e.Phase, map[install.Action]int{}
	}
	if e.Action == install.Waiting {
		p.streams.Progressf("waiting for %s: %s", e.Object, e.Detail)
		return
	}
	p.counts[e.Action]++
	p.streams.Verbosef("%s %s", e.Action, e.Object)
}

// flush ends a phase with its line.
func (p *phasePrinter) flush() {
	var parts []string
	for _, action := range []install.Action{install.Created, install.Changed, install.Unchanged} {
		if n := p.counts[action]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, action))
		}
	}
	if len(parts) > 0 && p.table {
		paint := output.NewPaint(p.out)
		_, _ = fmt.Fprintf(p.out, "  %s %-12s %s\n", paint.Mark(output.OK), p.phase, strings.Join(parts, ", "))
	}
	p.counts = nil
}
