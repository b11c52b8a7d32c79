package hostile

import (
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"slices"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
)

// rbacEscalateCases raise the tenant's own rights.
func rbacEscalateCases() []Case {
	cases := slices.Concat(escalateRights(), roleCases(), askedRights())
	return append(cases, atHome("rbac-escalate",
		homeRow{"pod-status", "patch", "", "pods/status", "writes the status of pods, and so slips one into a Service"},
		homeRow{"service-status", "patch", "", "services/status", "writes the address of a load balancer"},
		homeRow{"ingress-status", "patch", "networking.k8s.io", "ingresses/status", "writes the address of an Ingress"},
		homeRow{"claim-status", "patch", "", "persistentvolumeclaims/status", "writes the status of claims"},
		homeRow{"pod-proxy", "get", "", "pods/proxy", "has the API server open connections to pods"},
		homeRow{"service-proxy", "get", "", "services/proxy", "has the API server open connections to Services"})...)
}

// escalateRights are the forms in which a proof asks.
func escalateRights() []Case {
	const control, all = "rbac-escalate", Owners | ServiceAccounts
	return []Case{
		rights("impersonate", control, "acts as any user", all, may("impersonate", "", "users", clusterWide)),
		onForeign(rights("foreign-token", control, "takes tokens of foreign service accounts", all, may("create", "", "serviceaccounts/token", inForeign))),
		rights("bind", control, "binds any ClusterRole", all, mayNamed("bind", "rbac.authorization.k8s.io", "clusterroles", "cluster-admin")),
		rights("escalate", control, "writes rights that it lacks into roles", all, may("escalate", "rbac.authorization.k8s.io", "clusterroles", clusterWide)),
		rights("nodes-proxy", control, "reaches the kubelets' API", all, may("get", "", "nodes/proxy", clusterWide)),
		rights("csr", control, "asks for client certificates", all, may("create", "certificates.k8s.io", "certificatesigningrequests", clusterWide)),
		rights("webhooks", control, "sees and changes every request by a webhook", all, may("create", "admissionregistration.k8s.io", "mutatingwebhookconfigurations", clusterWide)),
		rights("policies", control, "removes admission policies", all, may("delete", "admissionregistration.k8s.io", "validatingadmissionpolicybindings", clusterWide)),
		rights("apiservices", control, "serves APIs of its own", all, may("create", "apiregistration.k8s.io", "apiservices", clusterWide)),
	}
}

// roleCases raise the tenant's own rights, or share them with whom they are not for.
func roleCases() []Case {
	const control = "rbac-escalate"
	bound := func(id, title string, role string, to func(Scene) rbacv1.Subject, refusal Refusal) Case {
		return always(ownObject(id, control, title, shareRole, bindRole(title, role, to), refusal))[0]
	}
	group := func(name string) func(Scene) rbacv1.Subject {
		return func(Scene) rbacv1.Subject {
			return rbacv1.Subject{Kind: "Group", APIGroup: rbacv1.GroupName, Name: name}
		}
	}
	stranger := func(s Scene) rbacv1.Subject {
		return rbacv1.Subject{Kind: "ServiceAccount", Namespace: v1alpha1.SpaceNamespace(v1alpha1.AttackName, "stranger"), Name: "default"}
	}
	escalation := Refusal{By: Escalation}
	policy := byPolicy("role-bindings", "is not of this tenant")
	cases := []Case{
		bound("bind-cluster-admin", "gives itself cluster-admin in its namespace", "cluster-admin", ownAccount, escalation),
		bound("bind-admin", "gives itself Kubernetes' admin in its namespace", "admin", ownAccount, escalation),
		bound("bind-edit", "gives itself Kubernetes' edit in its namespace", "edit", ownAccount, escalation),
		// Every user has this one's rights already, so RBAC itself has nothing against it.
		bound("bind-other-role", "binds a role of the cluster that is not for tenants", "system:basic-user", ownAccount, byPolicy("role-bindings", "is not for tenants to bind")),
		bound("share-with-everybody", "opens its namespace to every authenticated user", v1alpha1.RoleOwner, everyone, policy),
		bound("share-with-nobody", "opens its namespace to users that are not authenticated", v1alpha1.RoleOwner, group("system:unauthenticated"), policy),
		bound("share-with-accounts", "opens its namespace to every service account of the cluster", v1alpha1.RoleOwner, group(serviceAccounts), policy),
		bound("share-with-strangers", "opens its namespace to another tenant's service account", v1alpha1.RoleOwner, stranger, policy),
		bound("share-with-their-accounts", "opens its namespace to all of another namespace's service accounts", v1alpha1.RoleOwner,
			group(serviceAccounts+":"+metav1.NamespaceSystem), policy),
	}
	for id, rule := range map[string]rbacv1.PolicyRule{
		"everything":  {APIGroups: []string{"*"}, Resources: []string{"*"}, Verbs: []string{"*"}},
		"quotas":      {APIGroups: []string{""}, Resources: []string{"resourcequotas"}, Verbs: []string{"update"}},
		"bindings":    {APIGroups: []string{""}, Resources: []string{"pods/binding"}, Verbs: []string{"create"}},
		"endpoints":   {APIGroups: []string{""}, Resources: []string{"endpoints"}, Verbs: []string{"update"}},
		"impersonate": {APIGroups: []string{""}, Resources: []string{"serviceaccounts"}, Verbs: []string{"impersonate"}},
		"escalate":    {APIGroups: []string{rbacv1.GroupName}, Resources: []string{"roles"}, Verbs: []string{"escalate", "bind"}},
	} {
		title := "writes into a Role what it may not itself: " + id
		created := ownObject("role-"+id, control, title, harmlessRole, createRole(title, rule), escalation)
		changed := ownObject("role-"+id+"-by-patch", control, title+", afterwards",
			patchOwn("change a Role within its own rights", rbacv1.GroupName, "roles", map[string]any{"rules": []any{mayReadMaps}}),
			patchOwn(title+", afterwards", rbacv1.GroupName, "roles", map[string]any{"rules": []any{rule}}), escalation)
		cases = append(cases, always(created, changed)...)
	}
	return cases
}

var (
	mayReadPods = rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"pods"}, Verbs: []string{"get"}}
	mayReadMaps = rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"configmaps"}, Verbs: []string{"get"}}
)

func createRole(title string, rule rbacv1.PolicyRule) Step {
	return create(title, rbacv1.GroupName, "roles", func(s Scene) any {
		return &rbacv1.Role{TypeMeta: metav1.TypeMeta{APIVersion: "rbac.authorization.k8s.io/v1", Kind: "Role"}, ObjectMeta: marked(s), Rules: []rbacv1.PolicyRule{rule}}
	})
}

// shareRole is what owners do all day: they let their own pods use the API within the Space.
var shareRole = bindRole("share its rights with its own service account", v1alpha1.RoleOwner, ownAccount)

// harmlessRole is what owners do all day.
var harmlessRole = createRole("create a Role within its own rights", mayReadPods)

// bindRole binds a ClusterRole within the Space's namespace.
func bindRole(title, role string, to func(Scene) rbacv1.Subject) Step {
	return create(title, rbacv1.GroupName, "rolebindings", func(s Scene) any {
		return &rbacv1.RoleBinding{
			TypeMeta:   metav1.TypeMeta{APIVersion: "rbac.authorization.k8s.io/v1", Kind: "RoleBinding"},
			ObjectMeta: marked(s),
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role},
			Subjects:   []rbacv1.Subject{to(s)},
		}
	})
}

func ownAccount(s Scene) rbacv1.Subject {
	return rbacv1.Subject{Kind: "ServiceAccount", Namespace: s.Namespace(), Name: "default"}
}

func everyone(Scene) rbacv1.Subject {
	return rbacv1.Subject{Kind: "Group", APIGroup: rbacv1.GroupName, Name: authenticated}
}

// askedRights are rights that no tenant may have, of which the authorizer alone knows: to use them for real would take what a
// tenant must not have in the first place.
func askedRights() []Case {
	const control, all = "rbac-escalate", Owners | ServiceAccounts
	const auth, certificates = "authentication.k8s.io", "certificates.k8s.io"
	table := []struct{ id, verb, group, resource, title string }{
		{"impersonate-groups", "impersonate", "", "groups", "acts as any group"},
		{"impersonate-accounts", "impersonate", "", "serviceaccounts", "acts as any service account"},
		{"impersonate-uids", "impersonate", auth, "uids", "acts as any UID"},
		{"impersonate-extras", "impersonate", auth, "userextras", "claims any extra fact about itself"},
		{"impersonate-user-info", "impersonate:user-info", auth, "users", "acts as any user where a right says so"},
		{"impersonate-account", "impersonate:serviceaccount", auth, "serviceaccounts", "acts as any service account where a right says so"},
		{"impersonate-node", "impersonate:arbitrary-node", auth, "nodes", "acts as any node where a right says so"},
		{"bind-roles", "bind", rbacv1.GroupName, "roles", "binds any Role"},
		{"escalate-roles", "escalate", rbacv1.GroupName, "roles", "writes rights that it lacks into Roles"},
		{"approve", "approve", certificates, "signers", "approves certificates"},
		{"sign", "sign", certificates, "signers", "signs certificates"},
		{"attest", "attest", certificates, "signers", "vouches for trust bundles"},
		{"nodes-proxy-write", "create", "", "nodes/proxy", "runs commands by the kubelets' API"},
		{"wildcard", "*", "*", "*", "may do everything"},
	}
	cases := make([]Case, 0, len(table))
	for _, row := range table {
		cases = append(cases, rights(row.id, control, row.title, all, may(row.verb, row.group, row.resource, clusterWide)))
	}
	return cases
}
