package isolation

import (
	"fmt"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
)

// RBAC reach: what every tenant's identities may do outside of its own namespaces, and what they may become first.
//
// A tenant begins with its declared owners, the service accounts of its namespaces whether they exist or not, and users
// and groups that nobody declared and that are bound in its namespaces alone. Whoever is authenticated, every service
// account, and the anonymous are followed once, for every tenant. From there every line of the table of rights
// (rbac_table.go, rbac_parts.go) is an edge: pods that run as other service accounts, tokens, impersonation, bindings and
// roles that raise rights, certificates, webhooks, nodes. What a tenant may do inside its own namespaces is its own
// business, except what reaches beyond: the fence (quotas, limit ranges, namespace labels, managed objects), addresses of
// others, nodes, and rights raised past what it was given. What admission refuses is not an edge; where admission was not
// evaluated and something could refuse, it is Unknown.
//
// One finding is one fault, with the shortest way, and leaves out what follows from a worse one by the same fault.
func rbacCheck() Check {
	return Check{
		ID: "rbac", Title: "No tenant has or gains rights outside of its own namespaces",
		Needs: []string{"Namespace", "Pod", "Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding", "ServiceAccount", "ResourceQuota", "LimitRange"},
		Codes: slices.Concat(rbacIdentityCodes(), rbacObjectCodes(), rbacClusterCodes(), rbacDoubtCodes()),
		run: func(p *proof) ([]Finding, string) {
			r := p.rights()
			findings := r.findings(p.parallel)
			considered := fmt.Sprintf("RBAC alone, no other authorizer: %d Roles, %d ClusterRoles, %d bindings, %d service accounts; "+
				"users and groups that are bound cluster-wide only and declared by no tenant are taken to be the platform's",
				len(p.Roles), len(p.ClusterRoles), len(p.RoleBindings)+len(p.ClusterRoleBindings), len(p.ServiceAccounts))
			if n := r.BuiltIn(); n > 0 {
				considered += fmt.Sprintf("; %d roles and bindings of Kubernetes %s itself that the files lack", n, builtIn().Version)
			}
			return findings, considered
		},
	}
}

// findings follows every tenant. parallel spreads the work; the findings are the same however it does.
func (r *rbacReach) findings(parallel func(n int, f func(i int))) []Finding {
	gains := slices.Clone(r.everyones)
	perTenant := make([][]*gain, len(r.snapshot.Tenants))
	const batch = 64
	parallel((len(perTenant)+batch-1)/batch, func(b int) {
		for i := b * batch; i < min((b+1)*batch, len(perTenant)); i++ {
			perTenant[i] = r.gainsOf(r.snapshot.Tenants[i].Name, r.members.of[i])
		}
	})
	for _, list := range perTenant {
		gains = append(gains, list...)
	}
	findings := bundle(gains, len(r.snapshot.Tenants))
	for i := range r.members.shared {
		findings = append(findings, sharedFinding(&r.members.shared[i]))
	}
	return append(findings, r.danglingFindings()...)
}

// fromAccounts is what a tenant gains that has come to service accounts of others in another way than by rights, as from
// the pods of a node that fell. Accounts are the subjects' namespaces and names. Whoever asks adds the steps before.
func (r *rbacReach) fromAccounts(tenant string, accounts []rbacv1.Subject) []Finding {
	var begin []principal
	for _, a := range accounts {
		p := r.account(a.Namespace, a.Name)
		p.grants = slices.Concat(p.grants, r.groups[groupServiceAccounts+":"+a.Namespace])
		begin = append(begin, p)
	}
	return bundle(r.gainsOf(tenant, begin), len(r.snapshot.Tenants))
}

// sharedFinding: a group in several tenants' namespaces may be the platform's staff, or tie the tenants together.
func sharedFinding(s *sharedSubject) Finding {
	return Finding{Code: codeWhose, Verdict: Unknown, From: EveryTenant, To: EveryTenant,
		What: fmt.Sprintf("%s %s is bound in namespaces of %d tenants (%s) and nobody says whose it is: whoever is in it reaches all of them",
			s.subject.Kind, s.subject.Name, len(s.tenants), fewOf(s.tenants)),
		Blame: s.bindings[:min(len(s.bindings), manyTenants)],
		Fix:   "declare whose it is (owners of a Tenant), or bind a subject of each tenant's own"}
}

// danglingFindings: in a folder, a role that is not there may be in the cluster. In a cluster, nobody has it, and only the
// platform makes ClusterRoles.
func (r *rbacReach) danglingFindings() []Finding {
	if !r.snapshot.Offline {
		return nil
	}
	var findings []Finding
	for i := range r.dangling {
		d := &r.dangling[i]
		from := r.boundTenant(d)
		if from == ThePlatform || d.Role.Kind == "Role" && r.owner[d.Binding.Namespace] == from {
			continue // what a tenant's own Role may hold is not more than the tenant has
		}
		findings = append(findings, Finding{Code: codeDangling, Verdict: Unknown, From: from, To: EveryTenant,
			What: fmt.Sprintf("%s binds %s to %s, which is not among the files: what it allows is not known", d.Binding,
				describeSubjects(d.Subjects), d.Role),
			Blame: []Object{d.Role, d.Binding}, Fix: "give the file that holds " + d.Role.String()})
	}
	return findings
}

// boundTenant is the tenant of which a binding has a subject, or EveryTenant; ThePlatform if it has none.
func (r *rbacReach) boundTenant(d *Dangling) string {
	for _, s := range d.Subjects {
		switch {
		case s.Kind == rbacv1.GroupKind && slices.Contains([]string{groupAuthenticated, groupUnauthenticated, groupServiceAccounts}, s.Name),
			s.Kind == rbacv1.UserKind && s.Name == userAnonymous:
			return EveryTenant
		case s.Kind == rbacv1.ServiceAccountKind && s.Namespace == "":
			s.Namespace = d.Binding.Namespace
		case s.Kind == rbacv1.UserKind && strings.HasPrefix(s.Name, userServiceAccount):
			s.Namespace, _, _ = accountOf(s.Name)
		}
		whose := r.members.whose(s, r.owner)
		if s.Namespace != "" {
			whose = r.owner[s.Namespace]
		}
		if whose != ThePlatform {
			return whose
		}
	}
	return ThePlatform
}
