package cli

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/internal/attack/catalogue"
	"github.com/bulkhead-dev/bulkhead/internal/attack/engine"
	"github.com/bulkhead-dev/bulkhead/internal/attack/fuzz"
)

// The formats of `bulkhead attack` next to those of all commands.
const formatJUnit = "junit"

// attackOptions are the flags of `bulkhead attack`.
type attackOptions struct {
	IOStreams

	cluster *connection
	format  *format

	as, against, suite              string
	list, rights, destructive, bare bool
	qps                             float32
	fuzz                            fuzzFlags
}

// identities are the values of --identity, and the kinds of subjects that they stand for.
var identities = []struct{ flag, kind string }{
	{"all", ""}, {"user", "User"}, {"group", "Group"}, {"serviceaccount", "ServiceAccount"},
}

func newAttackCommand(streams IOStreams) *cobra.Command {
	o := &attackOptions{IOStreams: streams}
	cmd := &cobra.Command{
		Use:   "attack [TENANT]",
		Short: "Try for real, as the tenant, what the tenant must not be able to do",
		Long: "Acts with the tenant's own identities and tries what must be refused, each time next to a harmless twin that must\n" +
			"succeed. Only a refusal by the expected control, with its message, counts; every other answer is\n" +
			"unknown, and unknown is never reported as isolated. Without TENANT, all tenants are tried one after the other.\n\n" +
			"It is safe on a production cluster. What a server-side dry-run can prove is a dry-run. Other objects are created\n" +
			"by the tenant in its own namespaces, never run, have the label bulkhead.dev/attack=RUN, and are removed at the\n" +
			"end, after Ctrl-C too. The next run on the same tenant removes the leftovers of a killed run. Make one run per\n" +
			"tenant at a time.\n\n" +
			"You need the rights that --rights prints; a cluster's administrator has them.\n\n" +
			"Exit status: 0 isolated, 1 exposed, 2 unknown, 3 nothing could be tried, or objects may be left over.",
		Example: "  bulkhead attack newsroom\n" +
			"  bulkhead attack newsroom --against archive --identity serviceaccount\n" +
			"  bulkhead attack --suite mtb --compare-unguarded -o markdown\n" +
			"  bulkhead attack newsroom --suite fuzz --for 60s # at random, and all else compared before and after\n" +
			"  bulkhead attack --suite incidents --list        # what would be tried; touches nothing",
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: o.completeTenant,
		RunE: func(cmd *cobra.Command, args []string) error {
			o.fuzz.seeded, o.fuzz.timed = cmd.Flags().Changed("seed"), cmd.Flags().Changed("for")
			return o.Run(cmd.Context(), strings.Join(args, ""))
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&o.as, "identity", "all", "identities to act as: user, group, serviceaccount (of owners, and the default ones of Spaces), or all")
	flags.StringVar(&o.against, "against", "", "tenant to attack (default: the first that shares no owner)")
	flags.StringVar(&o.suite, "suite", catalogue.Suites()[0].Name, "what to try: "+strings.Join(suiteNames(), ", "))
	flags.BoolVar(&o.list, "list", false, "print the attacks of the suite with their ids and touch nothing; needs no cluster")
	flags.BoolVar(&o.rights, "rights", false, "print the rights that you need, with why; needs no cluster")
	flags.BoolVar(&o.destructive, "destructive", false, "also send for real what a dry-run proves: what is not refused then does harm")
	flags.BoolVar(&o.bare, "compare-unguarded", false, "also try it in a namespace without guardrails, created for the run and removed, and show both")
	flags.Float32Var(&o.qps, "qps", 50, "requests a second at most; with more a run is faster")
	flags.DurationVar(&o.fuzz.during, "for", time.Minute, "with --suite fuzz: how long to make attempts as each tenant")
	flags.Uint64Var(&o.fuzz.seed, "seed", 0, "with --suite fuzz: repeat the attempts of an earlier run (default: random; it is printed)")
	o.cluster = addConnectionFlags(cmd, streams)
	o.format = addFormatFlag(cmd, formatTable, formatJSON, formatJUnit, formatMarkdown)
	completeFlag(cmd, "suite", suiteNames())
	completeFlag(cmd, "identity", []string{"all", "user", "group", "serviceaccount"})
	return cmd
}

func completeFlag(cmd *cobra.Command, flag string, values []string) {
	// The flag was just made under this name, so registering its completion cannot fail.
	_ = cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
}

func (o *attackOptions) completeTenant(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return (&describeOptions{IOStreams: o.IOStreams, cluster: o.cluster}).tenantNames(cmd.Context()), cobra.ShellCompDirectiveNoFileComp
}

func suiteNames() []string {
	var names []string
	for _, s := range catalogue.Suites() {
		names = append(names, s.Name)
	}
	return append(names, fuzz.Suite)
}

// Run tries the suite, prints what came of it and answers.
func (o *attackOptions) Run(ctx context.Context, tenant string) error {
	suite, known := catalogue.SuiteByName(o.suite)
	if !known && o.suite != fuzz.Suite {
		return fmt.Errorf("--suite %s: there is no such suite: choose one of %s", o.suite, strings.Join(suiteNames(), ", "))
	}
	as := slices.IndexFunc(identities, func(i struct{ flag, kind string }) bool { return i.flag == o.as })
	switch {
	case as < 0:
		return fmt.Errorf("--identity %s: choose user, group, serviceaccount or all", o.as)
	case o.qps <= 0:
		return fmt.Errorf("--qps %v: give a number above 0", o.qps)
	case o.against != "" && o.against == tenant:
		return fmt.Errorf("--against %s: that is the tenant itself: name another", o.against)
	case o.wrongFuzz() != nil:
		return o.wrongFuzz()
	case o.list:
		return o.writeList(&suite)
	case o.rights:
		return o.writeRights()
	}
	report, err := o.attack(ctx, &suite, tenant, identities[as].kind)
	if report == nil {
		return err
	}
	if printed := o.write(report); printed != nil {
		return errors.Join(printed, err)
	}
	return answer(report, err)
}

// answer is the exit code for a report. What may have been left behind outweighs the verdict: a person must look.
func answer(report *catalogue.Report, err error) error {
	switch {
	case err != nil:
		return err
	case report.Verdict == v1alpha1.Exposed:
		return answered(exitNo)
	case report.Verdict == v1alpha1.Isolated:
		return nil
	}
	return answered(exitUnknown)
}

// attack makes the report; nil when nothing could be tried. An error next to a report is what may be left behind.
func (o *attackOptions) attack(ctx context.Context, suite *catalogue.Suite, tenant, kind string) (*catalogue.Report, error) {
	config, err := o.cluster.oneShot()
	if err != nil {
		return nil, err
	}
	config.QPS, config.Burst = o.qps, max(1, int(o.qps))
	started := time.Now().UTC().Truncate(time.Second)
	runner, err := engine.NewRunner(config, runName(started))
	if err != nil {
		return nil, err
	}
	runner.As, runner.Destructive = kind, o.destructive
	targets, err := runner.Targets(ctx, tenant, o.against)
	if err != nil {
		return nil, err
	}
	if len(targets) == 0 {
		return nil, errors.New("there is no tenant to attack with: declare one first (`kubectl get tenants` lists them)")
	}
	if o.suite == fuzz.Suite {
		report, err := o.fuzzAll(ctx, config, runner, targets)
		if report != nil {
			report.Run, report.Started = runner.Run, started
		}
		return report, err
	}
	results, err := o.tryAll(ctx, runner, targets, suite)
	report := catalogue.Summarise(suite, results)
	report.Run, report.Started = runner.Run, started
	if o.bare && ctx.Err() == nil {
		compared, compareErr := o.unguarded(ctx, runner, &targets[0], suite)
		report.Unguarded, err = compared, errors.Join(err, compareErr)
	}
	if err != nil && len(results) == 0 {
		return nil, err
	}
	return report, err
}

func (o *attackOptions) tryAll(ctx context.Context, runner *engine.Runner, targets []engine.Target, suite *catalogue.Suite) ([]engine.Result, error) {
	var results []engine.Result
	var failed []error
	for i := range targets {
		name := targets[i].Tenant.Name
		told := time.Now()
		o.Progressf("%s: %d Spaces, against %s", name, len(targets[i].Spaces), strings.Join(targets[i].Foreign, ", "))
		runner.Progress = func(done, all int, control string) {
			if now := time.Now(); now.Sub(told) >= 2*time.Second { // often enough to see that it goes on
				told = now
				o.Progressf("%s: %d of %d attempts, now %s", name, done, all, control)
			}
		}
		tried, err := runner.Try(ctx, &targets[i], suite.Attacks())
		results = append(results, tried...)
		if err != nil {
			failed = append(failed, fmt.Errorf("tenant %s: %w", name, err))
		}
		if ctx.Err() != nil {
			o.Progressf("stopped; what was made is removed, what was not tried is unknown")
			break
		}
	}
	return results, errors.Join(failed...)
}

// unguarded tries the suite without any guardrail. It is removed whatever happens.
func (o *attackOptions) unguarded(ctx context.Context, runner *engine.Runner, like *engine.Target, suite *catalogue.Suite) (*catalogue.Report, error) {
	o.Progressf("an unguarded namespace, with Kubernetes' ClusterRole admin and nothing else")
	runner.As = ""
	target, remove, err := runner.Unguarded(ctx, like.Platform)
	defer func() { err = errors.Join(err, remove(context.WithoutCancel(ctx))) }()
	if err != nil {
		return nil, err
	}
	results, err := o.tryAll(ctx, runner, []engine.Target{*target}, suite)
	return catalogue.Summarise(suite, results), err
}

// runName is unique to a run, sorts by time and is fit for a label's value.
func runName(started time.Time) string {
	var random [3]byte
	_, _ = rand.Read(random[:]) // never fails, by its documentation
	return fmt.Sprintf("%s-%x", started.Format("20060102t150405"), random)
}
