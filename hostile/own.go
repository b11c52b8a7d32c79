package hostile

import (
	rbacv1 "k8s.io/api/rbac/v1"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// rbacOwnCases reach for another tenant's namespace, and are next to what a tenant must be able to do in its own.
func rbacOwnCases() []Case {
	cases := append(foreignRights(), ownAbilities()...)
	for _, verb := range standardVerbs {
		cases = append(cases, Case{ID: "rbac-own/every-" + verb, Control: "rbac-own", By: Owners | ServiceAccounts, OnForeign: true, Twin: reallyAllowed,
			Title:   "may " + verb + " something in another tenant's namespace",
			Attempt: everywhere(verb+" everything in a foreign namespace", verb, inForeign, func(s *Served) bool { return s.Namespaced }),
			Refusal: Refusal{By: RBAC}})
	}
	return cases
}

// foreignRights are rights in another tenant's namespace: the forms in which a proof asks. The twin of each is the same right in the
// owner's own namespace.
func foreignRights() []Case {
	var cases []Case
	for _, row := range []homeRow{
		{"get-secrets", "get", "", "secrets", "reads another tenant's secrets"},
		{"create-pods", "create", "", "pods", "runs pods in another tenant's namespace"},
		{"patch-deployments", "patch", "apps", "deployments", "changes another tenant's workloads"},
		{"exec", "create", "", "pods/exec", "enters another tenant's pods"},
		{"get-configmaps", "get", "", "configmaps", "reads another tenant's configuration"},
		{"list-pods", "list", "", "pods", "lists another tenant's pods"},
		{"watch-services", "watch", "", "services", "watches another tenant's services"},
		{"delete-claims", "delete", "", "persistentvolumeclaims", "deletes another tenant's volumes"},
	} {
		c := onForeign(rights(row.id, "rbac-own", row.title, Owners|ServiceAccounts, may(row.verb, row.group, row.resource, inForeign)))
		own := may(row.verb, row.group, row.resource, inOwn)
		c.Twin = Step{Title: own.Title + " in its own namespace", Ask: func(s Scene) (Ask, error) {
			owner, err := s.asOwner()
			if err != nil || !owner || s.Namespace() == "" {
				return someRight.Ask(s) // a service account has no rights of its own, and no tenant has any before it has a Space
			}
			return own.Ask(s)
		}}
		cases = append(cases, c)
	}
	return cases
}

// bindOwnRole binds a Role of the tenant's own making.
var bindOwnRole = Step{Title: "bind a Role of its own", On: "roles", Ask: func(s Scene) (Ask, error) {
	binding := &rbacv1.RoleBinding{
		TypeMeta:   metav1.TypeMeta{APIVersion: "rbac.authorization.k8s.io/v1", Kind: "RoleBinding"},
		ObjectMeta: marked(s),
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: targetName(s)},
		Subjects:   []rbacv1.Subject{ownAccount(s)},
	}
	return Ask{DryRun: &Request{Group: rbacv1.GroupName, Version: "v1", Namespace: s.Namespace(), Resource: "rolebindings", Body: binding}}, nil
}}

// ownAbilities are what a tenant must be able to do without asking anyone. A platform that is safe because nothing can be done
// on it has missed its purpose.
func ownAbilities() []Case {
	able := func(id, control, title string, step Step) Case {
		return Case{ID: control + "/" + id, Control: control, Title: title, By: Owners, EachSpace: true, Twin: reallyAllowed,
			Attempt: step, Refusal: Refusal{By: Permitted}}
	}
	return []Case{
		able("own-roles", "rbac-own", "it cannot manage its own Roles", harmlessRole),
		able("own-role-bindings", "rbac-own", "it cannot manage its own RoleBindings", bindOwnRole),
		able("own-policies", "network-default", "it cannot manage its own NetworkPolicies", harmlessPolicy),
		able("own-spaces", "rbac-own", "it cannot make namespaces by itself", plainSpace),
	}
}
