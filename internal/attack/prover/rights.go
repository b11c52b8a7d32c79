package prover

import (
	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/internal/attack/engine"
	rbacv1 "k8s.io/api/rbac/v1"
)

// Rights are what the prover's identity must hold, and all that it needs.
//
// They rest on constrained impersonation (KEP-5284), which API servers have by default from Kubernetes 1.36 on (feature
// ConstrainedImpersonation, beta): who one may act as (impersonate:MODE) and what one may do so (impersonate-on:MODE:VERB)
// are separate rights. Plain impersonation, the verb "impersonate", gives its holder every right of every user,
// system:masters included; it is not asked for. On an API server whose gate is off, the dry-run questions are refused to
// the prover, every proof says Unknown and why, and no tenant is reported as isolated.
//
// What these rights are worth to one who steals the prover's identity: RBAC does not see the difference between a
// dry-run and a write, so he may create pods, deployments, services, network policies and role bindings and patch network policies
// wherever some user may, as that user, except members of system:masters. For Bulkhead's own service account that adds nothing: it
// grants owners their rights and could grant them to itself. A platform that runs the prover under an identity of its own
// can bind the rules on serviceaccounts and the impersonate-on rules by RoleBindings in tenants' namespaces only; the
// rule on users and groups and the reviews must be bound cluster-wide.
//
// No reading of tenants' objects is in it: a proof learns what is allowed, and never what is there.
func Rights() []rbacv1.PolicyRule {
	return []rbacv1.PolicyRule{
		// Ask what an identity may do. It discloses rights, not data.
		{APIGroups: []string{"authorization.k8s.io"}, Resources: []string{"subjectaccessreviews"}, Verbs: []string{"create"}},
		// Read the one Platform: a compliant pod's image comes from one of its registries.
		{APIGroups: []string{v1alpha1.GroupVersion.Group}, Resources: []string{"platforms"}, Verbs: []string{"get"}},
		// Act as an owner who is a user or a group. Which ones is not known beforehand, so not by resourceNames.
		{APIGroups: []string{"authentication.k8s.io"}, Resources: []string{"users", "groups"}, Verbs: []string{"impersonate:user-info"}},
		// Act as an owner who is a service account.
		{APIGroups: []string{"authentication.k8s.io"}, Resources: []string{"serviceaccounts"}, Verbs: []string{"impersonate:serviceaccount"}},
		// As such, these requests and no others, which the prover only makes with dryRun=All.
		{APIGroups: []string{""}, Resources: []string{"pods", "services"}, Verbs: engine.OnlyOn("create")},
		{APIGroups: []string{"apps"}, Resources: []string{"deployments"}, Verbs: engine.OnlyOn("create")},
		{APIGroups: []string{"networking.k8s.io"}, Resources: []string{"networkpolicies"}, Verbs: engine.OnlyOn("create", "patch")},
		{APIGroups: []string{"rbac.authorization.k8s.io"}, Resources: []string{"rolebindings"}, Verbs: engine.OnlyOn("create")},
	}
}
