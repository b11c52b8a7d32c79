package rbac

import "slices"

// piece is a right that gives something only together with others.
type piece int

const (
	noPart piece = iota
	partWriteRoleBindings
	partWriteClusterRoleBindings
	partBindRoles
	partBindClusterRoles
	partEscalateRoles
	partEscalateClusterRoles
	partEditRoles
	partCreateRoles
	partEditClusterRoles
	partCreateClusterRoles
	partPoseUsers
	partPoseGroups
	partPoseAccounts
	partPoseMore
	partConstrainedUsers
	partConstrainedGroups
	partConstrainedAccounts
	partConstrainedNodes
	partOnUsers
	partOnAccounts
	partOnNodes
	partOnOwnNode
	partRequestCertificates
	partApproveCertificates
	partApproveSigner
	partAutoApprove
	partSignerStatus
	partSign
	partCreateSecrets
	partReadSecrets
)

func ingredientRights() []right {
	a := func(p piece, scope scopeOf, group string, resources []string, verbs ...string) []right {
		return right{verbs: verbs, scope: scope, reaches: ingredient, own: true, part: p}.on(group, resources...)
	}
	const rbac, authn, certs = "rbac.authorization.k8s.io", "authentication.k8s.io", "certificates.k8s.io"
	return slices.Concat(
		a(partWriteRoleBindings, namespaceScoped, rbac, []string{"rolebindings"}, changes()...),
		a(partWriteClusterRoleBindings, clusterScoped, rbac, []string{"clusterrolebindings"}, changes()...),
		a(partBindRoles, namespaceScoped, rbac, []string{"roles"}, "bind"),
		a(partBindClusterRoles, namespaceScoped, rbac, []string{"clusterroles"}, "bind"),
		a(partEscalateRoles, namespaceScoped, rbac, []string{"roles"}, "escalate"),
		a(partEscalateClusterRoles, clusterScoped, rbac, []string{"clusterroles"}, "escalate"),
		a(partEditRoles, namespaceScoped, rbac, []string{"roles"}, edits()...),
		a(partCreateRoles, namespaceScoped, rbac, []string{"roles"}, "create"),
		a(partEditClusterRoles, clusterScoped, rbac, []string{"clusterroles"}, edits()...),
		a(partCreateClusterRoles, clusterScoped, rbac, []string{"clusterroles"}, "create"),
		a(partPoseUsers, clusterScoped, "", []string{"users"}, "impersonate"),
		a(partPoseGroups, clusterScoped, "", []string{"groups"}, "impersonate"),
		a(partPoseAccounts, namespaceScoped, "", []string{"serviceaccounts"}, "impersonate"),
		a(partPoseMore, clusterScoped, authn, []string{"uids", "userextras", "userextras/*"}, "impersonate"),
		a(partConstrainedUsers, clusterScoped, authn, []string{"users"}, "impersonate:user-info"),
		a(partConstrainedGroups, clusterScoped, authn, []string{"groups"}, "impersonate:user-info"),
		a(partConstrainedAccounts, namespaceScoped, authn, []string{"serviceaccounts"}, "impersonate:serviceaccount"),
		a(partConstrainedNodes, clusterScoped, authn, []string{"nodes"}, "impersonate:arbitrary-node", "impersonate:associated-node"),
		a(partRequestCertificates, clusterScoped, certs, []string{"certificatesigningrequests"}, "create"),
		a(partApproveCertificates, clusterScoped, certs, []string{"certificatesigningrequests/approval"}, edits()...),
		a(partApproveSigner, clusterScoped, certs, []string{"signers"}, "approve"),
		a(partAutoApprove, clusterScoped, certs, []string{"certificatesigningrequests/nodeclient"}, "create"),
		a(partSignerStatus, clusterScoped, certs, []string{"certificatesigningrequests/status"}, edits()...),
		a(partSign, clusterScoped, certs, []string{"signers"}, "sign"),
		a(partCreateSecrets, namespaceScoped, "", []string{"secrets"}, "create"),
	)
}
