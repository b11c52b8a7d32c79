package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/bulkhead-dev/bulkhead/internal/check"
	"github.com/bulkhead-dev/bulkhead/internal/cli/output"
	"github.com/bulkhead-dev/bulkhead/internal/run"
)

// checkOptions are the flags of `bulkhead check`.
type checkOptions struct {
	IOStreams

	cluster *connection
	format  *format
	rights  bool
	accept  []string
}

func newCheckCommand(streams IOStreams) *cobra.Command {
	o := &checkOptions{IOStreams: streams}
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Check whether a cluster enforces, Bulkhead is healthy and every proof is fresh",
		Long: "Checks a cluster: can it enforce, is Bulkhead healthy, are the tenants isolated, are there leftovers.\n" +
			"Every line has a stable code that `bulkhead explain` explains. It reads, makes access reviews and dry-runs, and\n" +
			"changes nothing.\n\n" +
			"What the API does not show is unknown, and unknown is not fine: verify it by other means and accept it with\n" +
			"--accept.\n\n" +
			"Exit status: 0 fine, 1 a problem, 2 something unknown, 3 the cluster could not be asked.",
		Example: "  bulkhead check\n" +
			"  bulkhead check --accept BHC108 -o json   # in CI, NetworkPolicy having been tried with two pods\n" +
			"  bulkhead check --rights                  # what Bulkhead's controller may do, and why",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.Run(cmd.Context()) },
	}
	cmd.Flags().BoolVar(&o.rights, "rights", false, "print the rights that Bulkhead's controller needs, with why; needs no cluster")
	cmd.Flags().StringSliceVar(&o.accept, "accept", nil, "codes whose unknown answer is accepted")
	_ = cmd.RegisterFlagCompletionFunc("accept", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return checkCodes(), cobra.ShellCompDirectiveNoFileComp // the flag was just made, so registering cannot fail
	})
	o.cluster = addConnectionFlags(cmd, streams).addImpersonationFlag(cmd)
	o.format = addFormatFlag(cmd, formatTable, formatJSON)
	return cmd
}

// Run checks, prints and answers.
func (o *checkOptions) Run(ctx context.Context) error {
	if o.rights {
		return o.writeRights()
	}
	for _, code := range o.accept {
		if !slices.Contains(checkCodes(), code) {
			return fmt.Errorf("--accept %s: there is no such check: choose among %s", code, strings.Join(checkCodes(), ", "))
		}
	}
	config, err := o.cluster.oneShot()
	if err != nil {
		return err
	}
	findings, err := check.Cluster{Config: config}.All(ctx)
	if err != nil {
		return err
	}
	counting := slices.DeleteFunc(slices.Clone(findings), func(f check.Finding) bool {
		return f.State == check.Unknown && slices.Contains(o.accept, f.Code)
	})
	state := check.Worst(counting)
	if err := o.write(findings, state); err != nil {
		return err
	}
	switch state {
	case check.Problem:
		return answered(exitNo)
	case check.Unknown:
		return answered(exitUnknown)
	case check.OK, check.Note:
	}
	return nil
}

func (o *checkOptions) write(findings []check.Finding, state check.State) error {
	if o.format.value == formatJSON {
		return output.WriteJSON(o.Out, findingsReport{State: state, Findings: findings})
	}
	if err := writeFindings(o.Out, findings, o.accept); err != nil {
		return err
	}
	hint := ""
	if state != check.OK {
		hint = " `bulkhead explain CODE` says more."
	}
	_, err := fmt.Fprintf(o.Out, "\n%s.%s\n", counted(findings), hint)
	return err
}

func checkCodes() []string {
	checks := check.Checks()
	codes := make([]string, len(checks))
	for i := range checks {
		codes[i] = checks[i].Code
	}
	return codes
}

// rightLine is the JSON form of one rule.
type rightLine struct {
	// Namespace in which the rule holds; empty for the whole cluster.
	Namespace string   `json:"namespace,omitempty"`
	Verbs     []string `json:"verbs"`
	Groups    []string `json:"apiGroups,omitempty"`
	Resources []string `json:"resources,omitempty"`
	Names     []string `json:"resourceNames,omitempty"`
	URLs      []string `json:"nonResourceURLs,omitempty"`
	Why       string   `json:"why"`
}

func (o *checkOptions) writeRights() error {
	rights := run.Rights()
	lines := make([]rightLine, len(rights))
	for i, right := range rights {
		lines[i] = lineOf(right.Namespace, &right.Rule, right.Why)
	}
	return writeRights(o.IOStreams, o.format.value, lines, fmt.Sprintf("These are the rules of ClusterRole and Role %s. Installing needs, beyond them, "+
		"the rights to write what is\ninstalled: `bulkhead install --preflight` asks for each.", run.RoleName))
}

func lineOf(namespace string, r *rbacv1.PolicyRule, why string) rightLine {
	return rightLine{namespace, r.Verbs, r.APIGroups, r.Resources, r.ResourceNames, r.NonResourceURLs, why}
}

// writeRights prints rules with why they are needed, and below the table what else there is to say.
func writeRights(streams IOStreams, format string, lines []rightLine, more string) error {
	if format == formatJSON {
		return output.WriteJSON(streams.Out, lines)
	}
	for _, r := range lines {
		what := resourcesOf(r.Groups, r.Resources)
		if len(r.Names) > 0 {
			what += " named " + strings.Join(r.Names, ", ")
		}
		if r.Namespace != "" {
			what += " in namespace " + r.Namespace
		}
		if _, err := fmt.Fprintf(streams.Out, "%s\n  %s\n  %s\n", output.Wrapped(strings.Join(append(slices.Clone(r.URLs), what), " "), 0),
			strings.Join(r.Verbs, ","), output.Wrapped("because: "+r.Why, 2)); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(streams.Out, "\n%s\n", more)
	return err
}

// resourcesOf names resources the way kubectl does: with their group where they have one.
func resourcesOf(groups, resources []string) string {
	var names []string
	for _, group := range groups {
		for _, resource := range resources {
			if group != "" {
				resource += "." + group
			}
			names = append(names, resource)
		}
	}
	return strings.Join(names, ", ")
}
