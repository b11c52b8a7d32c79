package check

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/snapshot"
)

func hygieneChecks() []Check {
	return []Check{
		{
			Code: "BHC401", Group: GroupHygiene, Title: "Orphans", run: checkOrphans,
			Why: "A namespace with Bulkhead's labels whose Tenant or Space is gone keeps its guardrails, but no controller reconciles it. Bulkhead deletes no namespace whose deletion was not asked for.",
			Fix: "Declare the Tenant or Space again: Bulkhead takes the namespace back with what runs in it. Deleting the Tenant or Space then removes the namespace.",
		},
		{
			Code: "BHC402", Group: GroupHygiene, Title: "Waivers", run: checkWaivers,
			Why: "A Waiver suspends a control until it expires. Those in force are always shown; one that has expired and is still in force is a hole.",
			Fix: "Delete expired Waivers. If an expired one is still in force, the controller does not run (BHC205): remove the label from the namespace as a platform admin.",
		},
		{
			Code: "BHC403", Group: GroupHygiene, Title: "Cluster-wide grants", run: checkGrants,
			Controls: []string{"rbac-own", "rbac-enumerate", "rbac-escalate"},
			Why:      "A ClusterRoleBinding gives rights in every namespace. One that names a tenant's owner, or a group that every user or every service account is in, bypasses all that Bulkhead withholds.",
			Fix:      "Delete the binding, or name the people meant by a group that holds no tenant's owner.",
		},
	}
}

// checkOrphans looks for namespaces that carry our labels and belong to no Tenant or Space.
func checkOrphans(ctx context.Context, s *session) ([]Finding, error) {
	namespaces := &corev1.NamespaceList{}
	err := s.client.List(ctx, namespaces, client.MatchingLabels{v1alpha1.LabelManagedBy: v1alpha1.ManagedBy}, client.HasLabels{v1alpha1.LabelTenant})
	if err != nil {
		return nil, fmt.Errorf("list managed namespaces: %w", err)
	}
	tenants, spaces, err := s.names(ctx)
	if err != nil {
		return nil, err
	}
	var findings []Finding
	for i := range namespaces.Items {
		ns := &namespaces.Items[i]
		tenant, space := ns.Labels[v1alpha1.LabelTenant], ns.Labels[v1alpha1.LabelSpace]
		var missing string
		switch {
		case !tenants[tenant]:
			missing = "Tenant " + tenant
		case space != "" && !spaces[v1alpha1.SpaceNamespace(tenant, space)]:
			missing = snapshot.Ref{Kind: "Space", Namespace: v1alpha1.HomeNamespace(tenant), Name: space}.String()
		default:
			continue
		}
		f := found(Problem, "its %s does not exist", missing)
		if ns.DeletionTimestamp != nil {
			f = found(Note, "being deleted; its %s is gone", missing)
		}
		f.Subject = "Namespace " + ns.Name
		findings = append(findings, f)
	}
	return orFine(findings, "none in %d managed namespaces", len(namespaces.Items)), nil
}

// names of the Tenants, and of the namespaces of all Spaces.
func (s *session) names(ctx context.Context) (tenants, spaces map[string]bool, err error) {
	tenantList, spaceList := &v1alpha1.TenantList{}, &v1alpha1.SpaceList{}
	if err := s.client.List(ctx, tenantList); err != nil {
		return nil, nil, fmt.Errorf("list Tenants: %w", err)
	}
	if err := s.client.List(ctx, spaceList); err != nil {
		return nil, nil, fmt.Errorf("list Spaces: %w", err)
	}
	tenants, spaces = map[string]bool{}, map[string]bool{}
	for i := range tenantList.Items {
		tenants[tenantList.Items[i].Name] = true
	}
	for i := range spaceList.Items {
		if tenant, ok := v1alpha1.TenantOfHome(spaceList.Items[i].Namespace); ok {
			spaces[v1alpha1.SpaceNamespace(tenant, spaceList.Items[i].Name)] = true
		}
	}
	return tenants, spaces, nil
}

func checkWaivers(ctx context.Context, s *session) ([]Finding, error) {
	waivers := &v1alpha1.WaiverList{}
	if err := s.client.List(ctx, waivers); err != nil {
		return nil, fmt.Errorf("list Waivers: %w", err)
	}
	inForce, err := s.waiversInForce(ctx)
	if err != nil {
		return nil, err
	}
	var findings []Finding
	for i := range waivers.Items {
		w := &waivers.Items[i]
		where := inForce[w.Name]
		delete(inForce, w.Name)
		what := fmt.Sprintf("%s for %s/%s", w.Spec.Control, w.Spec.Tenant, w.Spec.Workload)
		var f Finding
		switch over := !s.now.Before(w.Spec.Expires.Time); {
		case over && len(where) > 0 && s.now.Sub(w.Spec.Expires.Time) > s.Skew:
			f = found(Problem, "%s expired %s ago and is still in force in %s", what, round(s.now.Sub(w.Spec.Expires.Time)), strings.Join(where, ", "))
		case over:
			f = found(Note, "%s has expired and is not in force: delete it", what)
		case len(where) == 0:
			f = found(Note, "%s is in force nowhere", what)
		default:
			f = found(Note, "%s is suspended in %s until %s, approved by %s: %s", what, strings.Join(where, ", "),
				w.Spec.Expires.UTC().Format("2006-01-02 15:04Z"), w.Spec.Approver, w.Spec.Reason)
		}
		f.Subject = "Waiver " + w.Name
		findings = append(findings, f)
	}
	for _, name := range slices.Sorted(maps.Keys(inForce)) {
		f := found(Problem, "does not exist, and is in force in %s", strings.Join(inForce[name], ", "))
		f.Subject = "Waiver " + name
		findings = append(findings, f)
	}
	return orFine(findings, "none"), nil
}

// waiversInForce reads them where the admission policies do: from the labels of namespaces. Name to namespaces.
func (s *session) waiversInForce(ctx context.Context) (map[string][]string, error) {
	namespaces := &corev1.NamespaceList{}
	if err := s.client.List(ctx, namespaces, client.HasLabels{v1alpha1.LabelPattern}); err != nil {
		return nil, fmt.Errorf("list the Spaces' namespaces: %w", err)
	}
	inForce := map[string][]string{}
	for i := range namespaces.Items {
		ns := &namespaces.Items[i]
		for key, name := range ns.Labels {
			if strings.HasPrefix(key, v1alpha1.WaiverPrefix) && !slices.Contains(inForce[name], ns.Name) {
				inForce[name] = append(inForce[name], ns.Name)
			}
		}
	}
	return inForce, nil
}

// defaultGrants are the bindings to all users that Kubernetes itself makes; they give discovery only.
var defaultGrants = []string{
	"system:basic-user", "system:cluster-trust-bundle-discovery", "system:discovery", "system:public-info-viewer", "system:service-account-issuer-discovery",
}

// checkGrants looks for ClusterRoleBindings that reach a tenant's owners.
func checkGrants(ctx context.Context, s *session) ([]Finding, error) {
	bindings, tenants := &rbacv1.ClusterRoleBindingList{}, &v1alpha1.TenantList{}
	if err := s.client.List(ctx, bindings); err != nil {
		return nil, fmt.Errorf("list ClusterRoleBindings: %w", err)
	}
	if err := s.client.List(ctx, tenants); err != nil {
		return nil, fmt.Errorf("list Tenants: %w", err)
	}
	reached := reachOf(tenants.Items)
	var findings []Finding
	for i := range bindings.Items {
		b := &bindings.Items[i]
		if slices.Contains(defaultGrants, b.Name) && b.RoleRef.Name == b.Name {
			continue
		}
		for _, subject := range b.Subjects {
			who := reached[identity(subject.Kind, subject.Namespace, subject.Name)]
			if who == "" {
				continue
			}
			f := found(Problem, "gives %s %s to %s (%s)", b.RoleRef.Kind, b.RoleRef.Name, strings.ToLower(subject.Kind)+" "+subject.Name, who)
			f.Subject = "ClusterRoleBinding " + b.Name
			findings = append(findings, f)
		}
	}
	return orFine(findings, "no binding of %d reaches a tenant's owner", len(bindings.Items)), nil
}

// reachOf maps every identity through which a ClusterRoleBinding would reach a tenant to whom it reaches.
func reachOf(tenants []v1alpha1.Tenant) map[string]string {
	reached := map[string]string{
		identity(rbacv1.GroupKind, "", "system:authenticated"):   "everybody",
		identity(rbacv1.GroupKind, "", "system:unauthenticated"): "anonymous callers",
		identity(rbacv1.GroupKind, "", "system:serviceaccounts"): "every service account",
	}
	for i := range tenants {
		tenant := &tenants[i]
		who := "an owner of tenant " + tenant.Name
		for _, o := range tenant.Spec.Owners {
			reached[identity(o.Kind, o.Namespace, o.Name)] = who
			if o.Kind == rbacv1.ServiceAccountKind {
				reached[identity(rbacv1.UserKind, "", "system:serviceaccount:"+o.Namespace+":"+o.Name)] = who
				reached[identity(rbacv1.GroupKind, "", "system:serviceaccounts:"+o.Namespace)] = who
			}
		}
	}
	return reached
}

func identity(kind, namespace, name string) string {
	if kind != rbacv1.ServiceAccountKind {
		namespace = ""
	}
	return kind + "/" + namespace + "/" + name
}

func orFine(findings []Finding, praise string, args ...any) []Finding {
	if len(findings) > 0 {
		return findings
	}
	return []Finding{found(OK, praise, args...)}
}
