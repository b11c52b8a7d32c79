package rbac

import (
	"fmt"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/bulkhead-dev/bulkhead/isolation/finding"
	"github.com/bulkhead-dev/bulkhead/snapshot"
)

// Check describes the check: no tenant has or gains rights outside its own namespaces.
func Check() finding.Check {
	return finding.Check{
		ID: "rbac", Title: "No tenant has or gains rights outside its own namespaces",
		Needs: []string{"Namespace", "Pod", "Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding", "ServiceAccount", "ResourceQuota", "LimitRange", "APIService"},
		Codes: slices.Concat(rbacIdentityCodes(), rbacObjectCodes(), rbacClusterCodes(), rbacDoubtCodes()),
	}
}

// Find judges every tenant's rights, and returns what it considered in words.
func Find(in *finding.Input, r *Reach) ([]finding.Finding, string) {
	considered := fmt.Sprintf("RBAC alone, no other authorizer: %d Roles, %d ClusterRoles, %d bindings, %d service accounts; "+
		"users and groups that are bound cluster-wide only and declared by no tenant are taken to be the platform's",
		len(in.Roles), len(in.ClusterRoles), len(in.RoleBindings)+len(in.ClusterRoleBindings), len(in.ServiceAccounts))
	if n := r.BuiltIn(); n > 0 {
		considered += fmt.Sprintf("; %d roles and bindings of Kubernetes %s itself that the files lack", n, builtIn().Version)
	}
	return r.findings(in.Parallel), considered
}

// findings follows every tenant. parallel spreads the work; the findings are the same however it does.
func (r *Reach) findings(parallel func(n int, f func(i int))) []finding.Finding {
	gains := slices.Clone(r.everyones)
	perTenant := make([][]*gain, len(r.snapshot.Tenants))
	const batch = 64
	parallel((len(perTenant)+batch-1)/batch, func(b int) {
		for i := b * batch; i < min((b+1)*batch, len(perTenant)); i++ {
			perTenant[i] = r.gainsOf(r.closures[i]())
		}
	})
	for _, list := range perTenant {
		gains = append(gains, list...)
	}
	findings := bundle(gains, len(r.snapshot.Tenants))
	for i := range r.members.shared {
		findings = append(findings, sharedFindings(&r.members.shared[i])...)
	}
	for i := range r.members.strangers {
		findings = append(findings, r.strangerFinding(&r.members.strangers[i]))
	}
	findings = append(findings, r.operatorFindings()...)
	return append(findings, r.danglingFindings()...)
}

// FromAccounts is what a tenant gains that got service accounts of others in another way than by rights, as from the pods of
// a compromised node. Accounts are the subjects' namespaces and names. The caller adds the steps before.
func (r *Reach) FromAccounts(tenant string, accounts []rbacv1.Subject) []finding.Finding {
	var begin []principal
	for _, a := range accounts {
		p := r.account(a.Namespace, a.Name)
		p.grants = slices.Concat(p.grants, r.groups[groupServiceAccounts+":"+a.Namespace])
		begin = append(begin, p)
	}
	return bundle(r.gainsOf(r.followed(tenant, begin)), len(r.snapshot.Tenants))
}

// sharedFindings: a group in several tenants' namespaces may be the platform's staff, or tie these tenants together. It is no matter of others.
func sharedFindings(s *undeclared) []finding.Finding {
	findings := make([]finding.Finding, len(s.tenants))
	for i, tenant := range s.tenants {
		findings[i] = finding.Finding{Code: codeWhose, Verdict: finding.Unknown, From: tenant, To: tenant,
			What: fmt.Sprintf("%s %q is bound in namespaces of %d tenants (%s), and no tenant declares it: its members reach all of them",
				s.subject.Kind, s.subject.Name, len(s.tenants), finding.Few(s.tenants)),
			Blame: s.bindings[tenant],
			Fix:   "declare whose it is (owners of a Tenant), or bind a subject of each tenant's own"}
	}
	return findings
}

// strangerFinding: a subject that no tenant declares may be somebody whom the owners work with, an owner who was removed, or an outsider. What
// it may do elsewhere is not the tenant's by that: the tenant can bind whom it likes.
func (r *Reach) strangerFinding(s *undeclared) finding.Finding {
	tenant := s.tenants[0]
	what := fmt.Sprintf("%s %q is bound in namespaces of tenant %s, and no Tenant declares it: whose it is cannot be said", s.subject.Kind, s.subject.Name, tenant)
	if elsewhere := r.boundElsewhere(s.subject, tenant); len(elsewhere) > 0 {
		what += fmt.Sprintf("; elsewhere it has rights by %s, which are the tenant's too if it is", finding.Few(elsewhere))
	}
	if like := r.members.lookalike(s.subject); like != "" {
		what += fmt.Sprintf("; its name may be taken for %q, which is declared", like)
	}
	return finding.Finding{Code: codeWhose, Verdict: finding.Unknown, From: tenant, To: tenant, What: what,
		Blame: s.bindings[tenant], Fix: "declare it (owners of the Tenant), or take it out of " + s.bindings[tenant][0].String()}
}

// boundElsewhere are the bindings outside a tenant's namespaces that give a subject something.
func (r *Reach) boundElsewhere(s rbacv1.Subject, tenant string) []string {
	var names []string
	for _, g := range r.grantsOf(s) {
		if scope := g.binding.scope(); scope == "" || r.owner[scope] != tenant {
			names = append(names, g.binding.object.String())
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// danglingFindings: in a folder, a role that is not there may be in the cluster. In a cluster, no subject has it, and only the
// platform makes ClusterRoles.
func (r *Reach) danglingFindings() []finding.Finding {
	if !r.snapshot.Offline {
		return nil
	}
	var findings []finding.Finding
	for i := range r.dangling {
		d := &r.dangling[i]
		from := r.boundTenant(d)
		if from == finding.ThePlatform || d.Role.Kind == "Role" && r.owner[d.Binding.Namespace] == from {
			continue // what a tenant's own Role may hold is not more than the tenant has
		}
		findings = append(findings, finding.Finding{Code: codeDangling, Verdict: finding.Unknown, From: from, To: finding.EveryTenant,
			What: fmt.Sprintf("%s binds %s to %s, which is not among the files: what it allows is not known", d.Binding,
				describeSubjects(d.Subjects), d.Role),
			Blame: []snapshot.Ref{d.Role, d.Binding}, Fix: "give the file that holds " + d.Role.String()})
	}
	return findings
}

// boundTenant is the tenant of which a binding has a subject, or EveryTenant; ThePlatform if it has none.
func (r *Reach) boundTenant(d *Dangling) string {
	for _, s := range d.Subjects {
		switch {
		case s.Kind == rbacv1.GroupKind && slices.Contains([]string{GroupAuthenticated, groupUnauthenticated, groupServiceAccounts}, s.Name),
			s.Kind == rbacv1.UserKind && s.Name == userAnonymous:
			return finding.EveryTenant
		case s.Kind == rbacv1.ServiceAccountKind && s.Namespace == "":
			s.Namespace = d.Binding.Namespace
		case s.Kind == rbacv1.UserKind && strings.HasPrefix(s.Name, UserServiceAccount):
			s.Namespace, _, _ = accountOf(s.Name)
		}
		whose := r.members.whose(s, r.owner)
		if s.Namespace != "" {
			whose = r.owner[s.Namespace]
		}
		if whose != finding.ThePlatform {
			return whose
		}
	}
	return finding.ThePlatform
}
