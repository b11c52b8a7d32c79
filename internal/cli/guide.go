package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/internal/cli/output"
	"github.com/bulkhead-dev/bulkhead/internal/install"
)

// guideOptions are the flags of `bulkhead guide`.
type guideOptions struct {
	IOStreams

	cluster *connection
	format  *format
}

func newGuideCommand(streams IOStreams) *cobra.Command {
	o := &guideOptions{IOStreams: streams}
	cmd := &cobra.Command{
		Use:   "guide [TENANT]",
		Short: "Show an owner what its Spaces allow, what is left of their limits, and what to set in a chart",
		Long: "Shows what the owner of a tenant may use: its Spaces with what is left of their limits, the registries, classes,\n" +
			"host names, annotations and labels that objects may name, and what a Helm chart has to set. It needs no more rights than an\n" +
			"owner has. Without TENANT, it is the tenant of the kubeconfig's namespace.",
		Example: "  bulkhead guide\n" +
			"  bulkhead guide web-shop\n" +
			"  bulkhead guide web-shop -o json",
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return o.Run(cmd.Context(), args) },
	}
	o.cluster = addConnectionFlags(cmd, streams).addImpersonationFlag(cmd)
	o.format = addFormatFlag(cmd, formatTable, formatJSON, formatYAML)
	return cmd
}

// Run reads the tenant's Spaces and prints what they allow.
func (o *guideOptions) Run(ctx context.Context, args []string) error {
	config, err := o.cluster.oneShot()
	if err != nil {
		return err
	}
	tenant, err := o.tenant(args)
	if err != nil {
		return err
	}
	c, err := install.NewClient(config)
	if err != nil {
		return err
	}
	view, err := viewGuide(ctx, c, tenant)
	if err != nil {
		return err
	}
	switch o.format.value {
	case formatJSON:
		return output.WriteJSON(o.Out, view)
	case formatYAML:
		return output.WriteYAML(o.Out, view)
	default:
		return output.WriteTree(o.Out, drawGuide(view))
	}
}

// tenant is the one that is named, or that of the kubeconfig's namespace.
func (o *guideOptions) tenant(args []string) (string, error) {
	if len(args) > 0 {
		return args[0], nil
	}
	namespace, _, err := o.cluster.flags.ToRawKubeConfigLoader().Namespace()
	if err != nil {
		return "", fmt.Errorf("read the namespace of the kubeconfig: %w", err)
	}
	if tenant, is := v1alpha1.TenantOfHome(namespace); is {
		return tenant, nil
	}
	if tenant, _, is := strings.Cut(namespace, v1alpha1.SpaceNamespace("", "")); is {
		return tenant, nil
	}
	return "", fmt.Errorf("namespace %s of the kubeconfig is no tenant's: give the name of the tenant: bulkhead guide TENANT", namespace)
}

// guideView is what an owner may use.
type guideView struct {
	Tenant string       `json:"tenant"`
	Spaces []guideSpace `json:"spaces"`
}

// guideSpace is what one Space allows.
type guideSpace struct {
	Name      string `json:"name"`
	Namespace string `json:"namespace,omitempty"`
	Workload  string `json:"workload"`
	// NotReady is why it is not; empty where it is.
	NotReady string `json:"notReady,omitempty"`
	// Limits of the Space, by resource.
	Limits []guideLimit `json:"limits,omitempty"`
	// Allows is what objects may name.
	Allows []v1alpha1.Allowance `json:"allows"`
}

// guideLimit is what is left of one limit.
type guideLimit struct {
	Resource string `json:"resource"`
	Left     string `json:"left"`
	Of       string `json:"of"`
}

// viewGuide reads the Spaces of a tenant and their quotas.
func viewGuide(ctx context.Context, c client.Client, tenant string) (*guideView, error) {
	home, spaces := v1alpha1.HomeNamespace(tenant), &v1alpha1.SpaceList{}
	err := c.List(ctx, spaces, client.InNamespace(home))
	switch {
	case meta.IsNoMatchError(err):
		return nil, errors.New("this cluster has no Spaces at all: Bulkhead is not installed there: see `bulkhead install --help`")
	case apierrors.IsForbidden(err):
		return nil, fmt.Errorf("list the Spaces in namespace %s: %w: there is no tenant %s, or you are none of its owners", home, err, tenant)
	case err != nil:
		return nil, fmt.Errorf("list the Spaces in namespace %s: %w", home, err)
	}
	if len(spaces.Items) == 0 { // an owner may list here and may not read Tenants; for anybody else the name may be mistyped
		err := c.Get(ctx, client.ObjectKey{Name: tenant}, &v1alpha1.Tenant{})
		switch {
		case apierrors.IsNotFound(err):
			return nil, noTenant(ctx, c, tenant)
		case err != nil && !apierrors.IsForbidden(err):
			return nil, fmt.Errorf("read Tenant %s: %w", tenant, err)
		}
	}
	view := &guideView{Tenant: tenant, Spaces: []guideSpace{}}
	for i := range spaces.Items {
		s := &spaces.Items[i]
		one := guideSpace{Name: s.Name, Workload: s.Spec.Workload, Allows: s.Status.Allows}
		if s.Status.Revision != "" { // before, the owner has no rights there
			one.Namespace = s.Status.Namespace
		}
		if ready := viewCondition(s.Status.Conditions, v1alpha1.ConditionReady, s.Generation); ready.Status != metav1.ConditionTrue {
			one.NotReady = ready.text()
		}
		if one.Namespace != "" {
			quota := &corev1.ResourceQuota{}
			key := client.ObjectKey{Namespace: one.Namespace, Name: v1alpha1.QuotaName}
			if err := c.Get(ctx, key, quota); client.IgnoreNotFound(err) != nil {
				return nil, fmt.Errorf("read the limits of Space %s: %w", s.Name, err)
			}
			one.Limits = limitsOf(quota)
		}
		view.Spaces = append(view.Spaces, one)
	}
	slices.SortFunc(view.Spaces, func(a, b guideSpace) int { return strings.Compare(a.Name, b.Name) })
	return view, nil
}

// limitsOf are the limits of a quota, by resource.
func limitsOf(quota *corev1.ResourceQuota) []guideLimit {
	var list []guideLimit
	for name, hard := range quota.Status.Hard {
		left := hard.DeepCopy()
		left.Sub(quota.Status.Used[name])
		list = append(list, guideLimit{Resource: string(name), Left: left.String(), Of: hard.String()})
	}
	slices.SortFunc(list, func(a, b guideLimit) int { return strings.Compare(a.Resource, b.Resource) })
	return list
}

// guideLines say of each allowance what it is, what it means that there is none, and where charts usually have it; empty where nothing is to be said.
var guideLines = []struct{ what, title, none, chart string }{
	{"registries", "images from", "no registry: no pod can be made", "image.registry, image.repository, global.imageRegistry"},
	{"storageClasses", "storage classes", "no storage class: no volume can be claimed", "persistence.storageClass; left out, it is the first one"},
	{"volumeAttributesClasses", "volume attributes classes", "", ""},
	{"ingressHosts", "host names", "no host name: no Ingress", "ingress.hosts, ingress.tls"},
	{"ingressClasses", "ingress classes", "", "ingress.className"},
	{"loadBalancerClasses", "load balancer classes", "", "service.loadBalancerClass"},
	{"externalNames", "external names under", "", ""},
	{"priorityClasses", "priority classes", "no priority class: leave priorityClassName out", "priorityClassName"},
	{"runtimeClass", "runtime class", "", "runtimeClassName; it is set where it is left out"},
	{"apiAccess", "service accounts reach the API", "service accounts have no token: leave automountServiceAccountToken out", "serviceAccount.automountServiceAccountToken, rbac.create"},
	{"annotations", "annotations", "no annotation with a domain, other than kubectl's and Helm's", "podAnnotations, ingress.annotations, service.annotations"},
	{"labels", "labels", "no label with a domain, other than app.kubernetes.io and Helm's", "podLabels, commonLabels"},
	{"finalizers", "finalizers", "", ""},
	{"schedulerNames", "schedulers", "", "schedulerName"},
	{"tolerations", "tolerations", "", "tolerations"},
	{"tenantResources", "custom resources", "", ""},
}

// drawGuide draws what is allowed once for all Spaces that allow the same.
func drawGuide(v *guideView) *output.Branch {
	root := &output.Branch{Mark: output.None, Text: fmt.Sprintf("tenant %s may use %s", v.Tenant, output.Plural(len(v.Spaces), "Space"))}
	if len(v.Spaces) == 0 {
		root.Add(output.Note, "there is none yet: create a Space in namespace %s", v1alpha1.HomeNamespace(v.Tenant))
		return root
	}
	done := map[string]bool{}
	for i := range v.Spaces {
		s := &v.Spaces[i]
		b := root.Add(output.OK, "%s (%s), workload %s", s.Name, s.Namespace, s.Workload)
		if s.NotReady != "" {
			b.Mark, b.Text = output.Note, fmt.Sprintf("%s, workload %s: %s", s.Name, s.Workload, s.NotReady)
		}
		left, nothing := limitWords(s.Limits)
		if len(left) > 0 {
			b.Detailf("left: %s", strings.Join(left, ", "))
		}
		if len(nothing) > 0 {
			b.Detailf("nothing of: %s", strings.Join(nothing, ", "))
		}
	}
	for i := range v.Spaces {
		s := &v.Spaces[i]
		key := fmt.Sprint(s.Allows)
		if done[key] || s.Namespace == "" {
			continue
		}
		done[key] = true
		var same []string
		for j := range v.Spaces {
			if fmt.Sprint(v.Spaces[j].Allows) == key && v.Spaces[j].Namespace != "" {
				same = append(same, v.Spaces[j].Name)
			}
		}
		drawAllows(root.Add(output.None, "objects in %s", strings.Join(same, ", ")), s.Allows)
	}
	chart := root.Add(output.None, "in a chart")
	chart.Add(output.OK, "may be left out, and is set: seccompProfile, allowPrivilegeEscalation, dropped capabilities, requests and limits, imagePullPolicy")
	chart.Add(output.Note, "must run as a user other than root: podSecurityContext.runAsNonRoot, runAsUser, where the image says none")
	chart.Add(output.Note, "must not bring network policies of its own that open more: networkPolicy.enabled=false; declare flows on the Space (spec.to, spec.from)")
	chart.Add(output.Note, "must not bring ClusterRoles, namespaces or other objects of the whole cluster")
	return root
}

// limitWords are the limits in words, and the resources of which there is nothing. Counts of objects are left out: they are roomy.
func limitWords(limits []guideLimit) (left, nothing []string) {
	for _, l := range limits {
		switch {
		case strings.HasPrefix(l.Resource, "count/"):
		case l.Of == "0":
			nothing = append(nothing, l.Resource)
		default:
			left = append(left, fmt.Sprintf("%s %s of %s", l.Resource, l.Left, l.Of))
		}
	}
	return left, nothing
}

// drawAllows adds a line for each allowance, and for those whose absence is to be known.
func drawAllows(b *output.Branch, allows []v1alpha1.Allowance) {
	for _, line := range guideLines {
		i := slices.IndexFunc(allows, func(a v1alpha1.Allowance) bool { return a.What == line.what })
		switch {
		case i >= 0:
			one := b.Add(output.OK, "%s: %s", line.title, strings.Join(allows[i].Values, ", "))
			if line.chart != "" {
				one.Detailf("in charts: %s", line.chart)
			}
		case line.none != "":
			one := b.Add(output.Note, "%s", line.none)
			if line.chart != "" {
				one.Detailf("in charts: %s", line.chart)
			}
		}
	}
}
