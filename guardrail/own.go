package guardrail

import (
	"cmp"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
)

// rbacOwnControl keeps owners to their own namespaces: what the roles of tenants hold, and how they are bound.
var rbacOwnControl = Control{
	ID: "rbac-own", Title: "Owners have rights in their own namespaces only",
	Threat: "reading or writing another tenant's objects",
	How: "Owners are bound, namespace by namespace, to one fixed ClusterRole that is a list without wildcards. No " +
		"ClusterRoleBinding is ever made for a tenant. The binding is written after every other object of the " +
		"Space, so no owner has rights where a guardrail is missing.",
	Objects: []string{"ClusterRole bulkhead:space-owner", "ClusterRole bulkhead:home-owner",
		"RoleBinding bulkhead-owners"},
	Needs: "the API server's RBAC authorizer, and no other authorizer that grants more",
	Fix: "Developer: work in the namespaces of your own Spaces (kubectl get spaces -n tenant-NAME). Platform: look " +
		"for RoleBindings and ClusterRoleBindings, made by others, that name the tenant's users, groups or " +
		"system:authenticated.",
	Mappings: []string{"K02", "MTB-PL1-CC-TI-2", "MTB-PL2-BC-OPS-3"},
	cases: []string{
		"every-*", "get-secrets", "get-configmaps", "list-pods", "watch-services", "exec", "create-pods", "patch-deployments",
		"delete-claims", "own-roles", "own-role-bindings", "own-spaces",
	},
}

// rbacEnumerateControl is enforced by what the roles below lack.
var rbacEnumerateControl = Control{
	ID: "rbac-enumerate", Title: "Tenants cannot list one another",
	Threat: "learning the customers' names from lists of namespaces, nodes or volumes",
	How: "No tenant has a right outside its namespaces, so it can list neither over all namespaces nor " +
		"cluster-scoped objects. What a tenant needs to know of its Spaces it reads in its home namespace. A " +
		"flow to a foreign Space is answered alike whether that Space exists or not.",
	Objects: []string{"ClusterRole bulkhead:space-owner", "ClusterRole bulkhead:home-owner"},
	Needs:   "as rbac-own",
	Fix: "Developer: list Spaces in your home namespace instead of namespaces; an application that must list " +
		"namespaces declares apiAccess ClusterWide and gets a cluster of its own. Platform: as rbac-own.",
	Mappings: []string{"K02", "MTB-PL1-CC-CPI-1"},
	cases: []string{
		"every-cluster-*", "every-namespace-*", "list-namespaces", "list-nodes", "list-pods", "list-spaces", "list-tenants",
		"list-volumes", "watch-events", "watch-namespaces", "path-configuration", "path-flows", "path-logs", "path-metrics",
		"path-profiles",
	},
}

func read() []string { return []string{"get", "list", "watch"} }

func write() []string { return []string{"create", "delete", "deletecollection", "patch", "update"} }

func readWrite() []string { return append(read(), write()...) }

// ownerRules is all that an owner may do inside a Space. It is a fixed list and never a wildcard: an API that Kubernetes
// or an add-on brings later is closed until it was reviewed. Left out on purpose:
//
//   - escalate, bind and impersonate: owners make Roles and RoleBindings up to their own rights, and no further;
//   - pods/binding, */status and */finalizers: they belong to the scheduler and to controllers, and through
//     pods/status a pod can be slipped into a Service or placed;
//   - endpoints and endpointslices to write: they send a Service's traffic to foreign addresses (CVE-2021-25740);
//   - pods/proxy and services/proxy: they make the API server open connections for its caller;
//   - events to write: they are how an API server is flooded, and what others are read to have done;
//   - resourcequotas, limitranges and Spaces: they are guardrails.
//
// The right to get namespaces holds, through a RoleBinding, for the binding's own namespace only: the API server
// authorizes it with this namespace as its scope.
func ownerRules() []rbacv1.PolicyRule {
	return []rbacv1.PolicyRule{
		rule("", readWrite(), "configmaps", "persistentvolumeclaims", "pods", "podtemplates",
			"replicationcontrollers", "secrets", "serviceaccounts", "services"),
		rule("apps", readWrite(), "daemonsets", "deployments", "replicasets", "statefulsets"),
		rule("batch", readWrite(), "cronjobs", "jobs"),
		rule("autoscaling", readWrite(), "horizontalpodautoscalers"),
		rule("policy", readWrite(), "poddisruptionbudgets"),
		rule("networking.k8s.io", readWrite(), "ingresses", "networkpolicies"),
		rule("coordination.k8s.io", readWrite(), "leases"),
		rule("rbac.authorization.k8s.io", readWrite(), "rolebindings", "roles"),

		rule("", []string{"get", "patch", "update"}, "pods/ephemeralcontainers", "pods/resize",
			"replicationcontrollers/scale"),
		rule("apps", []string{"get", "patch", "update"}, "deployments/scale", "replicasets/scale",
			"statefulsets/scale"),
		// Their other verbs mean nothing, but Roles of charts give them, and owners may give only what they hold.
		rule("", readWrite(), "pods/attach", "pods/exec", "pods/portforward"),
		rule("", read(), "pods/log"),
		rule("", []string{"get"}, "namespaces"),
		rule("", []string{"create"}, "pods/eviction", "serviceaccounts/token"),

		rule("", read(), "endpoints", "events", "limitranges", "resourcequotas"),
		rule("apps", read(), "controllerrevisions"),
		rule("discovery.k8s.io", read(), "endpointslices"),
		rule("events.k8s.io", read(), "events"),
		rule("metrics.k8s.io", []string{"get", "list"}, "pods"),
	}
}

// homeRules is all that an owner may do in the home namespace.
func homeRules() []rbacv1.PolicyRule {
	return []rbacv1.PolicyRule{
		rule(v1alpha1.GroupVersion.Group, append(read(), "create", "delete", "patch", "update"), "spaces"),
		rule(v1alpha1.GroupVersion.Group, []string{"get"}, "spaces/status"),
		rule("", read(), "events"),
		rule("events.k8s.io", read(), "events"),
	}
}

func rule(group string, verbs []string, resources ...string) rbacv1.PolicyRule {
	return rbacv1.PolicyRule{APIGroups: []string{group}, Resources: resources, Verbs: verbs}
}

func clusterRole(name string, rules []rbacv1.PolicyRule) *rbacv1.ClusterRole {
	return &rbacv1.ClusterRole{
		TypeMeta:   metav1.TypeMeta{APIVersion: rbacv1.SchemeGroupVersion.String(), Kind: "ClusterRole"},
		ObjectMeta: clusterMeta(name),
		Rules:      rules,
	}
}

// tenantResourceRules lets owners use the custom resources that the platform names, without their status.
func tenantResourceRules(p *v1alpha1.Platform) []rbacv1.PolicyRule {
	var rules []rbacv1.PolicyRule
	if p == nil {
		return nil
	}
	for _, r := range p.Spec.TenantResources {
		if resources := usable(&r); len(resources) > 0 {
			rules = append(rules, rbacv1.PolicyRule{
				APIGroups: []string{r.Group}, Resources: resources, Verbs: readWrite(),
			})
		}
	}
	return rules
}

// RefusedTenantResources returns what of spec.tenantResources is left out of the owners' rights, and why: groups of
// Kubernetes and of Bulkhead, wildcards and subresources.
func RefusedTenantResources(p *v1alpha1.Platform) []string {
	var refused []string
	if p == nil {
		return nil
	}
	for _, r := range p.Spec.TenantResources {
		kept := usable(&r)
		for _, name := range r.Resources {
			if !slices.Contains(kept, name) {
				refused = append(refused, "tenantResources: "+name+" of group "+r.Group+
					" is not given to owners: groups of Kubernetes (*.k8s.io, *.kubernetes.io, or without a dot) and of Bulkhead,"+
					" wildcards and subresources are never; name the plural of a custom resource")
			}
		}
	}
	return refused
}

func usable(r *v1alpha1.TenantResource) []string {
	for _, own := range []string{"k8s.io", "kubernetes.io", v1alpha1.GroupVersion.Group} {
		if r.Group == own || strings.HasSuffix(r.Group, "."+own) {
			return nil
		}
	}
	if !strings.Contains(r.Group, ".") || strings.Contains(r.Group, "*") {
		return nil
	}
	kept := make([]string, 0, len(r.Resources))
	for _, name := range r.Resources {
		if name != "" && !strings.ContainsAny(name, "*/") {
			kept = append(kept, name)
		}
	}
	slices.Sort(kept)
	return slices.Compact(kept)
}

// subjects turns owners into RBAC subjects, sorted and each once.
func subjects(owners []v1alpha1.Owner) []rbacv1.Subject {
	list := make([]rbacv1.Subject, 0, len(owners))
	for _, o := range owners {
		s := rbacv1.Subject{Kind: o.Kind, Name: o.Name, APIGroup: rbacv1.GroupName}
		if o.Kind == rbacv1.ServiceAccountKind {
			s.APIGroup, s.Namespace = "", o.Namespace
		}
		list = append(list, s)
	}
	slices.SortFunc(list, func(a, b rbacv1.Subject) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	return slices.Compact(list)
}

// roleBinding gives a ClusterRole to a tenant's owners within one namespace.
func roleBinding(meta *metav1.ObjectMeta, role string, owners []v1alpha1.Owner) *rbacv1.RoleBinding {
	return &rbacv1.RoleBinding{
		TypeMeta:   metav1.TypeMeta{APIVersion: rbacv1.SchemeGroupVersion.String(), Kind: "RoleBinding"},
		ObjectMeta: *meta,
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role},
		Subjects:   subjects(owners),
	}
}
