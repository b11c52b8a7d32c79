package guardrail

import (
	admissionv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
)

// rbacEscalateControl is enforced by RBAC itself, and by a policy where RBAC lets rights be shared.
var rbacEscalateControl = Control{
	ID: "rbac-escalate", Title: "No tenant raises its own rights",
	Threat: "gaining rights by roles, impersonation, certificates, webhooks or foreign service accounts",
	How: "The owners' role has no escalate, bind or impersonate and nothing cluster-scoped, so the API server lets " +
		"owners write only Roles and RoleBindings within their own rights; status, binding and proxy subresources " +
		"are not in it either.",
	Objects: []string{"ClusterRole bulkhead:space-owner"},
	Needs:   "as rbac-own",
	Fix: "Developer: give your Role no more than you have (kubectl auth can-i --list). Platform: custom resources " +
		"for tenants belong in the Platform's tenantResources.",
	Mappings: []string{"K02", "K09", "MTB-PL2-CC-TI-1"},
	cases: []string{
		"role-everything*", "role-escalate*", "role-impersonate*", "role-endpoints*", "role-quotas*", "role-bindings*",
		"bind-admin", "bind-cluster-admin", "bind-edit", "bind-other-role", "bind", "bind-roles", "escalate", "escalate-roles", "wildcard",
		"share-with-accounts", "share-with-everybody", "share-with-nobody", "share-with-strangers",
		"share-with-their-accounts", "impersonate", "impersonate-account", "impersonate-accounts", "impersonate-extras",
		"impersonate-groups", "impersonate-node", "impersonate-uids", "impersonate-user-info", "foreign-token", "csr",
		"approve", "sign", "attest", "apiservices", "policies", "webhooks", "nodes-proxy", "nodes-proxy-write", "pod-proxy",
		"service-proxy", "pod-status", "service-status", "ingress-status", "claim-status",
	},
	validations: func(_ *v1alpha1.PlatformSpec) []validation {
		return []validation{roleBindings()}
	},
}

// roleBindings (control rbac-escalate): owners share their rights, which RBAC keeps from growing, with people and with
// their own tenant's service accounts; never with everybody, with the cluster's own users or with another tenant's
// service accounts. Of the cluster's roles they may bind the owners' own: of every other, view
// too, RBAC itself refuses it because of rights that they lack.
func roleBindings() validation {
	return validation{
		name:  "role-bindings",
		about: "RoleBindings of tenants name people and the tenant's own service accounts.",
		match: match{
			rules: []admissionv1.NamedRuleWithOperations{
				on("rbac.authorization.k8s.io", []string{"rolebindings"}, onCreate, onUpdate),
			},
			namespaces: ofTenants(),
			conditions: []admissionv1.MatchCondition{{
				Name: "rights-are-new",
				Expression: "oldObject == null || dyn(object).roleRef != dyn(oldObject).roleRef || " +
					"dyn(object).?subjects != dyn(oldObject).?subjects",
			}},
		},
		variables: []admissionv1.Variable{
			tenantName(),
			let("mayChange", celMayChange()),
			let("role", "dyn(object).roleRef"),
			let("homes", "['tenant-' + variables.tenant]"),
			let("strangers", `dyn(object).?subjects.orValue([]).filter(s, s.kind == 'ServiceAccount' ?
 !(s.?namespace.orValue('') in variables.homes || s.?namespace.orValue('').startsWith(variables.tenant + '--')) :
 s.name.startsWith('system:') &&
 !s.name.startsWith('system:serviceaccount:' + variables.tenant + '--') &&
 !s.name.startsWith('system:serviceaccounts:' + variables.tenant + '--'))`),
		},
		checks: []check{{
			expression: "variables.mayChange || size(variables.strangers) == 0",
			message: `variables.strangers.map(s, s.kind + ' "' + s.?namespace.optMap(n, n + '/').orValue('') + s.name + '"').join(', ') +
 ' is not of this tenant; bind people, or service accounts of ' + variables.tenant + '--...'`,
			fallback: "a subject is not of this tenant; bind people, or service accounts of this tenant",
			reason:   metav1.StatusReasonForbidden,
		}, {
			expression: "variables.mayChange || variables.role.kind != 'ClusterRole' || variables.role.name in " +
				celList([]string{v1alpha1.RoleOwner}),
			message: `'ClusterRole "' + variables.role.name + '" is not for tenants to bind; use a Role of this namespace, ' + ` +
				celString("or ClusterRole "+v1alpha1.RoleOwner),
			fallback: "this ClusterRole is not for tenants to bind; use a Role of this namespace",
			reason:   metav1.StatusReasonForbidden,
		}},
	}
}
