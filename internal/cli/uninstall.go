package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/bulkhead-dev/bulkhead/internal/cli/output"
	"github.com/bulkhead-dev/bulkhead/internal/install"
)

// uninstallOptions are the flags of `bulkhead uninstall`.
type uninstallOptions struct {
	IOStreams

	cluster *connection
	format  *format
	what    install.UninstallOptions
}

func newUninstallCommand(streams IOStreams) *cobra.Command {
	o := &uninstallOptions{IOStreams: streams}
	cmd := &cobra.Command{
		Use:   "uninstall",
		Short: "Remove Bulkhead from a cluster",
		Long: "Removes Bulkhead from a cluster. Without flags it removes the controller, its identity and its rights, and nothing\n" +
			"else: every policy, quota and right of a tenant stays, the API server continues to enforce them, and\n" +
			"`bulkhead install` takes over again.\n\n" +
			"  --enforcement  removes what enforces, too: first the owners' rights, so that no owner ever has rights where a\n" +
			"                 guardrail is missing, then policies, quotas, network policies and the rest. Namespaces keep their\n" +
			"                 labels, Pod Security's among them; nodes keep labels and taints; an installation takes both back.\n" +
			"  --definitions  removes the CustomResourceDefinitions, and with them the Platform and every Waiver. Refused while\n" +
			"                 a Tenant or a Space is declared: delete those first, and the controller removes their namespaces.\n" +
			"  --orphan       with --definitions, forgets Tenants and Spaces instead. By Bulkhead's rule nothing is deleted that\n" +
			"                 was not itself marked for deletion, so their namespaces stay with all that is in them.\n\n" +
			"No namespace and no pod of a tenant is ever removed. The namespace bulkhead-system stays with its records.",
		Example: "  bulkhead uninstall --dry-run\n" +
			"  bulkhead uninstall\n" +
			"  bulkhead uninstall --enforcement --definitions --orphan   # everything but what tenants run",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.Run(cmd.Context()) },
	}
	cmd.Flags().BoolVar(&o.what.Enforcement, "enforcement", false, "remove guardrails and owners' rights too")
	cmd.Flags().BoolVar(&o.what.Definitions, "definitions", false, "remove the CustomResourceDefinitions too")
	cmd.Flags().BoolVar(&o.what.Orphan, "orphan", false, "with --definitions: forget Tenants and Spaces, leave their namespaces")
	cmd.Flags().BoolVar(&o.what.DryRun, "dry-run", false, "print what would be removed, and remove nothing")
	o.cluster = addConnectionFlags(cmd, streams).addImpersonationFlag(cmd)
	o.format = addFormatFlag(cmd, formatTable, formatJSON)
	return cmd
}

// Run removes what the flags say.
func (o *uninstallOptions) Run(ctx context.Context) error {
	if o.what.Orphan && !o.what.Definitions {
		return errors.New("--orphan needs --definitions: it is about Tenants and Spaces when their definitions are removed")
	}
	config, err := o.cluster.oneShot()
	if err != nil {
		return err
	}
	events := []install.Event{}
	phase := ""
	err = install.Uninstall(ctx, config, o.what, func(e install.Event) {
		if e.Action == install.Waiting {
			o.Progressf("waiting: %s", e.Detail)
			return
		}
		events = append(events, e)
		if o.format.value == formatTable {
			if e.Phase != phase {
				phase = e.Phase
				_, _ = fmt.Fprintln(o.Out, output.NewPaint(o.Out).Bold(phase))
			}
			_, _ = fmt.Fprintln(o.Out, "  "+o.line(e))
		}
	})
	if o.format.value == formatJSON {
		if err := output.WriteJSON(o.Out, events); err != nil {
			return err
		}
	}
	if errors.Is(err, install.ErrDeclared) {
		_, _ = fmt.Fprintf(o.ErrOut, "bulkhead: nothing was changed: %v\n", err)
		return answered(exitNo)
	}
	if err != nil {
		return fmt.Errorf("%w: what was removed is gone, and a repeated uninstall continues", err)
	}
	if o.format.value == formatTable {
		_, err = fmt.Fprintln(o.Out, "\n"+o.summary(events))
	}
	return err
}

func (o *uninstallOptions) line(e install.Event) string {
	action := string(e.Action)
	if o.what.DryRun && e.Action != install.Kept {
		action = "would be " + action
	}
	line := fmt.Sprintf("%-8s %s", action, e.Object)
	if e.Detail != "" {
		line += " (" + e.Detail + ")"
	}
	return line
}

func (o *uninstallOptions) summary(events []install.Event) string {
	removed := 0
	for _, e := range events {
		if e.Action == install.Removed {
			removed++
		}
	}
	if o.what.DryRun {
		return fmt.Sprintf("Nothing was changed: %s would be removed.", output.Plural(removed, "object"))
	}
	text := output.Plural(removed, "object") + " removed."
	if o.what.Enforcement {
		return text + " Nothing of Bulkhead's enforces any more. What tenants run was not touched."
	}
	return text + " Guardrails stay and go on enforcing; what tenants run was not touched. `bulkhead install` takes over again."
}
