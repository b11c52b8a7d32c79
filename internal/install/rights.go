package install

import (
	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/desired"
	"github.com/bulkhead-dev/bulkhead/internal/attack"
)

// Right is one rule of the controller's ClusterRole, with why it is needed.
type Right struct {
	Rule rbacv1.PolicyRule
	Why  string
}

// Rights are what the controller holds, and nothing beyond. It is not cluster-admin; but whoever may write roles and
// bind them can become it, so the controller's identity is guarded like one: see the whys of bind and escalate.
func Rights() []Right {
	own := v1alpha1.GroupVersion.Group
	rights := []Right{
		right(own, watched(), "read what was declared", "platforms", "tenants", "spaces", "waivers"),
		right(own, []string{"update", "patch"}, "keep and release the finalizer that off-boarding rests on", "tenants", "spaces", "waivers"),
		right(own, []string{"update", "patch"}, "answer in the status", "platforms/status", "tenants/status", "spaces/status", "waivers/status"),
		right(own, []string{v1alpha1.VerbChange}, "change managed objects: the guardrail policy asks for this right", v1alpha1.ResourceGuardrails),
		right("", written(), "make the namespaces of tenants and Spaces, and remove those whose Space or Tenant was deleted", "namespaces"),
		right("", written(), "keep quotas and defaults in them", "resourcequotas", "limitranges"),
		right("networking.k8s.io", written(), "keep networks closed but for declared flows", "networkpolicies"),
		right(rbacv1.GroupName, written(), "give owners their rights, namespace by namespace", "rolebindings"),
		named(right(rbacv1.GroupName, []string{"bind"}, "give owners these two roles and no others", "clusterroles"), v1alpha1.RoleOwner, v1alpha1.RoleHome),
		right(rbacv1.GroupName, append(watched(), "create"), "keep the roles for owners and for the platform's people; create cannot be limited to names", "clusterroles"),
		named(right(rbacv1.GroupName, []string{"update", "patch", "delete", "escalate"},
			"write into these roles what the controller does not hold itself, such as reading Secrets in a Space", "clusterroles"),
			v1alpha1.RoleOwner, v1alpha1.RoleHome, desired.RolePlatformAdmin, desired.RoleSecurity, desired.RoleViewer),
		right("admissionregistration.k8s.io", written(), "keep the admission policies in place",
			"validatingadmissionpolicies", "validatingadmissionpolicybindings", "mutatingadmissionpolicies", "mutatingadmissionpolicybindings"),
		right("flowcontrol.apiserver.k8s.io", written(), "keep tenants from flooding the API server", "flowschemas", "prioritylevelconfigurations"),
		right("", append(watched(), "update", "patch"), "label and taint the nodes of dedicated groups", "nodes"),
		right("apiextensions.k8s.io", watched(), "see whether a definition is being removed, which must delete nothing that it defines", "customresourcedefinitions"),
		right("", []string{"create", "patch"}, "tell of transitions and repairs", "events"),
		right("events.k8s.io", []string{"create", "patch"}, "tell of transitions and repairs", "events"),
	}
	for _, rule := range attack.Rights() {
		rights = append(rights, Right{rule, "prove: ask the API server, and try in dry runs, as a tenant's own identities"})
	}
	return rights
}

func right(group string, verbs []string, why string, resources ...string) Right {
	return Right{rbacv1.PolicyRule{APIGroups: []string{group}, Resources: resources, Verbs: verbs}, why}
}

func named(r Right, names ...string) Right {
	r.Rule.ResourceNames = names
	return r
}

func watched() []string { return []string{"get", "list", "watch"} }

func written() []string { return append(watched(), "create", "update", "patch", "delete") }

// PolicyRules are the rules of Rights, for the ClusterRole.
func PolicyRules() []rbacv1.PolicyRule {
	rights := Rights()
	rules := make([]rbacv1.PolicyRule, len(rights))
	for i, right := range rights {
		rules[i] = right.Rule
	}
	return rules
}
