package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/internal/cli/output"
	"github.com/bulkhead-dev/bulkhead/internal/install"
	"github.com/bulkhead-dev/bulkhead/internal/spelling"
)

// describeOptions are the flags of `bulkhead describe`.
type describeOptions struct {
	IOStreams

	cluster *connection
	format  *format
}

func newDescribeCommand(streams IOStreams) *cobra.Command {
	o := &describeOptions{IOStreams: streams}
	cmd := &cobra.Command{
		Use:   "describe TENANT",
		Short: "Show a tenant: decision, placement, Spaces, controls, waivers, proof",
		Long: "Shows all that Bulkhead knows of a tenant as a tree: what was decided and why, where it runs, its Spaces, what\n" +
			"enforces each control, the waivers in force and the latest proof. Problems come first; what is fine is grouped\n" +
			"in one line, or with -v listed singly.",
		Example: "  bulkhead describe web-shop\n" +
			"  bulkhead describe web-shop -v\n" +
			"  bulkhead describe web-shop -o json",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return errors.New("give the name of one tenant: bulkhead describe TENANT (`kubectl get tenants` lists them)")
			}
			return nil
		},
		ValidArgsFunction: func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			if len(args) > 0 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return o.tenantNames(cmd.Context()), cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(cmd *cobra.Command, args []string) error { return o.Run(cmd.Context(), args[0]) },
	}
	o.cluster = addConnectionFlags(cmd, streams).addImpersonationFlag(cmd)
	o.format = addFormatFlag(cmd, formatTable, formatJSON, formatYAML)
	return cmd
}

// Run reads the tenant and prints it.
func (o *describeOptions) Run(ctx context.Context, name string) error {
	config, err := o.cluster.oneShot()
	if err != nil {
		return err
	}
	c, err := install.NewClient(config)
	if err != nil {
		return err
	}
	facts, err := gatherTenant(ctx, c, name)
	if err != nil {
		return err
	}
	view := viewTenant(facts, time.Now())
	switch o.format.value {
	case formatJSON:
		return output.WriteJSON(o.Out, view)
	case formatYAML:
		return output.WriteYAML(o.Out, view)
	default:
		return output.WriteTree(o.Out, drawTenant(view, o.Verbose()))
	}
}

// tenantNames completes the argument. A shell that asks for completion shows no errors, so there are none.
func (o *describeOptions) tenantNames(ctx context.Context) []string {
	config, err := o.cluster.oneShot()
	if err != nil {
		return nil
	}
	config.Timeout = 2 * time.Second // a user waits for the completion
	c, err := install.NewClient(config)
	if err != nil {
		return nil
	}
	names, err := listTenantNames(ctx, c)
	if err != nil {
		return nil
	}
	return names
}

// tenantFacts are the objects that a description is made from.
type tenantFacts struct {
	tenant  *v1alpha1.Tenant
	spaces  []v1alpha1.Space
	waivers []v1alpha1.Waiver
	// report of the exact proof; nil where there is none.
	report *v1alpha1.IsolationReport
	// bindings are the RoleBindings of its namespaces.
	bindings []rbacv1.RoleBinding
}

func gatherTenant(ctx context.Context, c client.Client, name string) (*tenantFacts, error) {
	facts := &tenantFacts{tenant: &v1alpha1.Tenant{}}
	err := c.Get(ctx, client.ObjectKey{Name: name}, facts.tenant)
	switch {
	case meta.IsNoMatchError(err):
		return nil, errors.New("this cluster has no Tenants at all: Bulkhead is not installed there: see `bulkhead install --help`")
	case apierrors.IsNotFound(err):
		return nil, noTenant(ctx, c, name)
	case err != nil:
		return nil, fmt.Errorf("read Tenant %s: %w", name, err)
	}
	spaces := &v1alpha1.SpaceList{}
	if err := c.List(ctx, spaces, client.InNamespace(v1alpha1.HomeNamespace(name))); err != nil {
		return nil, fmt.Errorf("list the Spaces of Tenant %s: %w", name, err)
	}
	facts.spaces = spaces.Items
	if facts.bindings, err = bindingsOf(ctx, c, facts); err != nil {
		return nil, err
	}
	waivers := &v1alpha1.WaiverList{}
	if err := c.List(ctx, waivers); err != nil {
		return nil, fmt.Errorf("list Waivers: %w", err)
	}
	facts.waivers = slices.DeleteFunc(waivers.Items, func(w v1alpha1.Waiver) bool { return w.Spec.Tenant != name })
	report := &v1alpha1.IsolationReport{}
	err = c.Get(ctx, client.ObjectKey{Name: name}, report)
	switch {
	case err == nil:
		facts.report = report
	case !apierrors.IsNotFound(err) && !meta.IsNoMatchError(err):
		return nil, fmt.Errorf("read IsolationReport %s: %w", name, err)
	}
	return facts, nil
}

// bindingsOf lists the RoleBindings of a tenant's home and of its Spaces.
func bindingsOf(ctx context.Context, c client.Client, facts *tenantFacts) ([]rbacv1.RoleBinding, error) {
	namespaces := []string{v1alpha1.HomeNamespace(facts.tenant.Name)}
	for i := range facts.spaces {
		if ns := facts.spaces[i].Status.Namespace; ns != "" {
			namespaces = append(namespaces, ns)
		}
	}
	var all []rbacv1.RoleBinding
	for _, ns := range namespaces {
		list := &rbacv1.RoleBindingList{}
		if err := c.List(ctx, list, client.InNamespace(ns)); err != nil {
			return nil, fmt.Errorf("list the RoleBindings of namespace %s: %w", ns, err)
		}
		all = append(all, list.Items...)
	}
	return all, nil
}

// noTenant reports that there is none of this name, and which names are near.
func noTenant(ctx context.Context, c client.Client, name string) error {
	names, err := listTenantNames(ctx, c)
	if err != nil {
		return fmt.Errorf("there is no Tenant %q, and the others cannot be listed: %w", name, err)
	}
	if len(names) == 0 {
		return fmt.Errorf("there is no Tenant %q: none is declared", name)
	}
	near := slices.DeleteFunc(slices.Clone(names), func(n string) bool {
		return spelling.Distance(n, name) > 3 && !strings.Contains(n, name)
	})
	if len(near) == 0 {
		return fmt.Errorf("there is no Tenant %q, nor one named like it: `kubectl get tenants` lists all %d", name, len(names))
	}
	return fmt.Errorf("there is no Tenant %q: did you mean %s?", name, strings.Join(near, ", "))
}

func listTenantNames(ctx context.Context, c client.Client) ([]string, error) {
	tenants := &v1alpha1.TenantList{}
	if err := c.List(ctx, tenants); err != nil {
		return nil, fmt.Errorf("list Tenants: %w", err)
	}
	names := make([]string, len(tenants.Items))
	for i := range tenants.Items {
		names[i] = tenants.Items[i].Name
	}
	slices.Sort(names)
	return names, nil
}
