package engine

import (
	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
)

// Right is one rule that a Runner's identity needs, with why.
type Right struct {
	Why  string
	Rule rbacv1.PolicyRule
}

// RunnerRights are what a Runner's identity must hold. Like [Rights] they rest on constrained impersonation, and so are for API
// servers from Kubernetes 1.36 on; before that it takes plain impersonation of users, groups and service accounts.
//
// Their holder can do what some user may do, as that user, members of system:masters excepted: an attacker must be able to
// try everything. Bind them for as long as it takes. The last three are for the unguarded namespace alone, and two before them for fuzzing.
func RunnerRights() []Right {
	group := v1alpha1.GroupVersion.Group
	read := func(group string, resources ...string) rbacv1.PolicyRule {
		return rbacv1.PolicyRule{APIGroups: []string{group}, Resources: resources, Verbs: []string{"get", "list"}}
	}
	rights := []Right{
		{"know whom to attack with, and whom to reach for", read(group, "platforms", "tenants", "spaces")},
		{"know what a tenant cannot see: how many Spaces it was granted, and a node that a DaemonSet can be tried on", read("", "resourcequotas", "nodes")},
		{"know which FlowSchemas are tenants'", read("flowcontrol.apiserver.k8s.io", "flowschemas")},
		{"know which classes keep volumes that are no longer claimed", read("storage.k8s.io", "storageclasses")},
		{"know which priority classes preempt", read("scheduling.k8s.io", "priorityclasses")},
		{"know in which other runtime than a sandbox pods could run", read("node.k8s.io", "runtimeclasses")},
		{"ask what an identity may do, where to do it would take what it must not have",
			rbacv1.PolicyRule{APIGroups: []string{"authorization.k8s.io"}, Resources: []string{"subjectaccessreviews"}, Verbs: []string{"create"}}},
		{"act as an owner who is a user or a group",
			rbacv1.PolicyRule{APIGroups: []string{"authentication.k8s.io"}, Resources: []string{"users", "groups"}, Verbs: []string{"impersonate:user-info"}}},
		{"act as a service account", rbacv1.PolicyRule{APIGroups: []string{"authentication.k8s.io"}, Resources: []string{"serviceaccounts"},
			Verbs: []string{"impersonate:serviceaccount"}}},
		{"as such, try everything", rbacv1.PolicyRule{APIGroups: []string{"*"}, Resources: []string{"*"}, Verbs: OnlyOn("get", "list", "watch", "create", "update", "patch", "delete", "deletecollection")}},
		{"as such, try what is no resource", rbacv1.PolicyRule{NonResourceURLs: []string{"*"}, Verbs: OnlyOn("get")}},
		{"--suite fuzz: list everything, before and after, and know what is an API of another server's", read("*", "*")},
		{"--suite fuzz: remove what was made outside the tenant's namespaces, and which the tenant cannot remove; without it the report names what to remove",
			rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"configmaps", "secrets", "serviceaccounts", "services"}, Verbs: []string{"delete"}}},
		{"--compare-unguarded: make a namespace with its rights, and remove it", rbacv1.PolicyRule{APIGroups: []string{""},
			Resources: []string{"namespaces"}, Verbs: []string{"list", "create", "delete"}}},
		{"--compare-unguarded: give its user a right to be known by", rbacv1.PolicyRule{APIGroups: []string{rbacv1.GroupName},
			Resources: []string{"roles", "rolebindings"}, Verbs: []string{"create"}}},
		{"--compare-unguarded: give its user Kubernetes' ClusterRole admin", rbacv1.PolicyRule{APIGroups: []string{rbacv1.GroupName},
			Resources: []string{"clusterroles"}, ResourceNames: []string{"admin"}, Verbs: []string{"bind"}}},
	}
	return rights
}

// OnlyOn are the verbs that let one do these verbs while acting as a user, a group or a service account.
func OnlyOn(verbs ...string) []string {
	var all []string
	for _, verb := range verbs {
		all = append(all, "impersonate-on:user-info:"+verb, "impersonate-on:serviceaccount:"+verb)
	}
	return all
}
