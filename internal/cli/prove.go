package cli

import (
	"bufio"
	"context"
	"fmt"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/bulkhead-dev/bulkhead/internal/cli/output"
	"github.com/bulkhead-dev/bulkhead/internal/cli/proofview"
	"github.com/bulkhead-dev/bulkhead/internal/observe"
	"github.com/bulkhead-dev/bulkhead/internal/observe/cluster"
	"github.com/bulkhead-dev/bulkhead/internal/observe/manifest"
	"github.com/bulkhead-dev/bulkhead/internal/proof"
	"github.com/bulkhead-dev/bulkhead/isolation"
	"github.com/bulkhead-dev/bulkhead/isolation/finding"
	"github.com/bulkhead-dev/bulkhead/isolation/network"
)

// formatSARIF is what code scanning reads.
const formatSARIF = "sarif"

// proveOptions are the flags of `bulkhead prove`.
type proveOptions struct {
	IOStreams

	cluster *connection
	format  *format

	from                     *files
	tenantLabel, tenantsFile string
	connections, compareDirs bool
	strict                   bool

	// declaredIn is the file of each object that a kustomization rendered, by the name that it has in the snapshot.
	declaredIn map[string]string
}

func newProveCommand(streams IOStreams) *cobra.Command {
	o := &proveOptions{IOStreams: streams}
	cmd := &cobra.Command{
		Use:   "prove [TENANT]",
		Short: "Prove what every tenant can reach, on a live cluster or a folder of manifests",
		Long: "Reads a cluster, or manifests of any origin, and proves for every tenant what it can reach, read, change, starve or\n" +
			"become: by its rights and what they lead to, by its pods and the nodes that they could compromise, over the network, past\n" +
			"the guardrails, and in the API server. Each exposure comes with a witness, the object to blame and the smallest\n" +
			"fix. What cannot be decided is unknown, by name, and never reported as isolated.\n\n" +
			"Tenants are Bulkhead's own; elsewhere name the namespace label that holds the tenant's name, or a file. For a folder\n" +
			"that holds Tenants and Spaces but none of the objects that Bulkhead renders from them, these are added first.\n" +
			"Nothing is changed, and Secrets are never read.\n\n" +
			"Exit status: 0 isolated, 1 exposed, 2 unknown, 3 nothing could be proven. With --diff: 1 if something is newly\n" +
			"exposed, 2 if something is newly unknown.",
		Example: "  bulkhead prove                                       # the cluster of your kubeconfig\n" +
			"  bulkhead prove newsroom\n" +
			"  bulkhead prove -f manifests/ --tenant-label team       # no cluster, and never touched by Bulkhead\n" +
			"  helm template ./chart | bulkhead prove -f - --tenant-label team -o sarif\n" +
			"  bulkhead prove -k overlays/production --tenant-label team\n" +
			"  bulkhead prove --diff before/ after/ -o markdown     # for a pull request\n" +
			"  bulkhead prove -f manifests/ --connections           # who may connect to whom, a line each",
		Args:              o.args,
		ValidArgsFunction: o.complete,
		RunE: func(cmd *cobra.Command, args []string) error {
			return o.Run(cmd.Context(), args)
		},
	}
	flags := cmd.Flags()
	o.from = addFileFlags(cmd, "file or folder of manifests, or - for standard input, instead of a cluster; may be repeated")
	flags.StringVar(&o.tenantLabel, "tenant-label", "", "label of namespaces that holds the tenant's name, where tenants are not Bulkhead's")
	flags.StringVar(&o.tenantsFile, "tenants", "", "YAML file that names the tenants: NAME: {namespaces: [...], owners: [{kind, name}]}")
	flags.BoolVar(&o.connections, "connections", false, "print which workloads may connect, a sorted line for each ordered pair, and judge nothing")
	flags.BoolVar(&o.compareDirs, "diff", false, "compare two folders of manifests, before and after: what is newly exposed or unknown, and what is over")
	flags.BoolVar(&o.strict, "strict", false, "refuse manifests of which anything is malformed, instead of proving the rest as unknown")
	o.cluster = addConnectionFlags(cmd, streams).addImpersonationFlag(cmd)
	o.format = addFormatFlag(cmd, formatTable, formatJSON, formatSARIF, formatJUnit, formatMarkdown)
	cmd.MarkFlagsMutuallyExclusive("tenant-label", "tenants")
	cmd.MarkFlagsMutuallyExclusive("diff", "filename")
	cmd.MarkFlagsMutuallyExclusive("diff", "kustomize")
	cmd.MarkFlagsMutuallyExclusive("diff", "connections")
	return cmd
}

func (o *proveOptions) args(_ *cobra.Command, args []string) error {
	switch {
	case o.compareDirs && len(args) != 2:
		return fmt.Errorf("--diff takes two folders, before and after, not %d: see `bulkhead prove --help`", len(args))
	case !o.compareDirs && len(args) > 1:
		return fmt.Errorf("%d tenants are named: name one, or none for all", len(args))
	case o.connections && len(args) > 0:
		return fmt.Errorf("--connections is about all workloads: leave %s out", args[0])
	}
	return nil
}

func (o *proveOptions) complete(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if o.compareDirs {
		return nil, cobra.ShellCompDirectiveFilterDirs
	}
	if len(args) > 0 || !o.from.none() {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return (&describeOptions{IOStreams: o.IOStreams, cluster: o.cluster}).tenantNames(cmd.Context()), cobra.ShellCompDirectiveNoFileComp
}

// Run proves, prints and answers. What is read stays until the end, so that collecting garbage more often than it doubles
// finds little.
func (o *proveOptions) Run(ctx context.Context, args []string) error {
	defer debug.SetGCPercent(debug.SetGCPercent(200))
	if o.compareDirs {
		return o.compare(ctx, args[0], args[1])
	}
	world, err := o.read(ctx, o.from)
	if err != nil {
		return err
	}
	if o.connections {
		return o.writeConnections(world)
	}
	p, err := o.prove(world)
	if err != nil {
		return err
	}
	if len(args) > 0 {
		if err := only(p, args[0]); err != nil {
			return err
		}
	}
	if err := o.write(p); err != nil {
		return err
	}
	return answerTo(p.Report.Verdict)
}

// answerTo is the exit code for a verdict.
func answerTo(v finding.Verdict) error {
	switch v {
	case finding.Isolated:
		return nil
	case finding.Exposed:
		return answered(exitNo)
	case finding.Unknown:
	}
	return answered(exitUnknown)
}

// read reads the files, or the cluster where there are none.
func (o *proveOptions) read(ctx context.Context, from *files) (*observe.World, error) {
	source, err := o.source()
	if err != nil {
		return nil, err
	}
	if !from.none() {
		o.Progressf("reading %s", o.Reading(from.String()))
		rendered, declaredIn, err := from.rendered()
		if err != nil {
			return nil, err
		}
		o.declaredIn = declaredIn
		world, err := manifest.Read(from.paths, o.In, manifest.Options{Now: time.Now(), Tenants: source, Strict: o.strict}, rendered...) //nolint:contextcheck // schema validation of what lies in memory takes a context and waits for nothing
		if err != nil {
			return nil, err
		}
		if passed := world.Ignored(); len(passed) > 0 {
			o.Verbosef("ignored, since no check reads them: %s", strings.Join(passed, ", "))
		}
		if world.Rendered > 0 {
			o.Progressf("the files hold declarations only: what Bulkhead renders from them is proven with them, %d objects", world.Rendered)
		}
		return world, nil
	}
	config, err := o.cluster.oneShot()
	if err != nil {
		return nil, err
	}
	o.Progressf("reading %s", o.Reading("the cluster at "+config.Host))
	var lock sync.Mutex
	tell := func(kind string, objects int) {
		lock.Lock()
		defer lock.Unlock()
		o.Verbosef("  %s: %d", kind, objects)
	}
	return cluster.Read(ctx, config, cluster.Options{Now: time.Now(), Tenants: source, Tell: tell})
}

func (o *proveOptions) source() (observe.TenantSource, error) {
	source := observe.TenantSource{Key: o.tenantLabel}
	var err error
	if o.tenantsFile != "" {
		source.Declared, err = observe.ReadTenants(o.tenantsFile)
	}
	return source, err
}

// prove judges what was read.
func (o *proveOptions) prove(world *observe.World) (*proofview.Proof, error) {
	s := world.Snapshot
	o.Progressf("proving: %s, %s, %s", output.Plural(len(s.Tenants), "tenant"), output.Plural(len(s.Namespaces), "namespace"), output.Plural(len(s.Pods), "pod"))
	report, err := proof.Of(world, nil)
	if err != nil {
		return nil, err
	}
	return &proofview.Proof{World: world, Report: report, DeclaredIn: o.declaredIn}, nil
}

// only keeps what concerns one tenant.
func only(p *proofview.Proof, name string) error {
	t, found := p.Report.Tenant(name)
	if !found {
		var names []string
		for _, t := range p.Report.Tenants {
			names = append(names, t.Tenant)
		}
		if len(names) == 0 {
			return fmt.Errorf("there is no tenant %s, nor any other: name the label of namespaces that holds the tenant's name with --tenant-label", name)
		}
		const most = 10
		return fmt.Errorf("there is no tenant %s among the %d: %s", name, len(names), strings.Join(names[:min(most, len(names))], ", "))
	}
	r := *p.Report
	r.Verdict, r.Results, r.Findings, r.Waived = t.Verdict, t.Results, nil, 0
	for i, index := range t.Findings {
		f := p.Report.Findings[index]
		if f.Waiver != "" {
			r.Waived++
		}
		r.Findings = append(r.Findings, f)
		t.Findings[i] = i
	}
	r.Tenants = []isolation.TenantReport{t}
	p.Report, p.Tenant = &r, name
	return nil
}

// write prints the proof in the format that was asked for.
func (o *proveOptions) write(p *proofview.Proof) error {
	switch o.format.value {
	case formatJSON:
		return output.WriteJSON(o.Out, p.Report)
	case formatSARIF:
		return p.WriteSARIF(o.Out, version())
	case formatJUnit:
		return p.WriteJUnit(o.Out)
	case formatMarkdown:
		return p.WriteMarkdown(o.Out)
	}
	return p.WriteText(o.Out, o.Verbose())
}

// compare proves two folders and answers by what is new.
func (o *proveOptions) compare(ctx context.Context, before, after string) error {
	var proofs [2]*proofview.Proof
	for i, dir := range []string{before, after} {
		world, err := o.read(ctx, filesIn(dir))
		if err != nil {
			return fmt.Errorf("%s: %w", dir, err)
		}
		if proofs[i], err = o.prove(world); err != nil {
			return fmt.Errorf("%s: %w", dir, err)
		}
	}
	d := proofview.Compare(proofs[0].Report, proofs[1].Report)
	if err := o.writeDiff(d, before, after); err != nil {
		return err
	}
	return answerTo(d.Verdict)
}

func (o *proveOptions) writeDiff(d *proofview.Diff, before, after string) error {
	switch o.format.value {
	case formatJSON:
		return output.WriteJSON(o.Out, d)
	case formatMarkdown:
		return d.WriteMarkdown(o.Out)
	case formatTable:
		return d.WriteText(o.Out, before, after, o.Verbose())
	}
	return fmt.Errorf("-o %s: a comparison has no such form: choose table, json or markdown", o.format.value)
}

// writeConnections prints who may connect to whom.
func (o *proveOptions) writeConnections(world *observe.World) error {
	if missing := world.Snapshot.Missing; len(missing) > 0 {
		o.Progressf("%s could not be read, so connections may be missing or too many:", output.Plural(len(missing), "thing"))
		for _, m := range missing {
			o.Progressf("  %s: %s", m.Kind, m.Why)
		}
	}
	if err := o.writeReach(network.NewReach(world.Snapshot, 0)); err != nil || len(world.Snapshot.Missing) == 0 {
		return err
	}
	return answerTo(finding.Unknown)
}

func (o *proveOptions) writeReach(reach *network.Reach) error {
	switch o.format.value {
	case formatJSON:
		type line struct {
			From, To, Ports string
			Possible        string `json:",omitempty"`
		}
		lines := []line{}
		for c := range reach.Connections() {
			l := line{From: c.From, To: c.To, Ports: c.Ports.String()}
			if !c.Possible.Empty() {
				l.Possible = c.Possible.String()
			}
			lines = append(lines, l)
		}
		if err := output.WriteJSON(o.Out, lines); err != nil {
			return err
		}
	case formatTable:
		out := bufio.NewWriter(o.Out)
		for c := range reach.Connections() {
			if _, err := fmt.Fprintln(out, c); err != nil {
				return fmt.Errorf("write connections: %w", err)
			}
		}
		if err := out.Flush(); err != nil {
			return fmt.Errorf("write connections: %w", err)
		}
	default:
		return fmt.Errorf("-o %s: connections have no such form: choose table or json", o.format.value)
	}
	for _, doubt := range reach.Doubts() {
		o.Progressf("in doubt, so connections may be missing or too many: %s", doubt)
	}
	if len(reach.Doubts()) > 0 {
		return answerTo(finding.Unknown)
	}
	return nil
}
