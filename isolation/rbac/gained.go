package rbac

import (
	"slices"

	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/bulkhead-dev/bulkhead/isolation/finding"
)

// Identity acts for a tenant: one user, every member of a group, or a service account. Every check asks it what it may do.
type Identity struct {
	// Name in reports: "group shop-developers".
	Name    string
	Subject finding.Subject

	// stranger is true where it is Unknown whose it is.
	stranger   bool
	authorizer *Authorizer
	// as is the way to it where the tenant has to become it first.
	as *node
	// gained are the roles that it can give itself.
	gained []*node
}

// Identities are all that act for a tenant, by its index in the snapshot: its owners, the service accounts of its namespaces, and those that these
// may become, in whichever way, and that have rights in its namespaces. Users and groups that are bound in its namespaces alone are among them
// where the tenant declares no owners.
func (r *Reach) Identities(tenant int) []Identity {
	return slices.DeleteFunc(r.Callers(tenant), func(i Identity) bool { return i.stranger })
}

// Callers are Identities and, of a tenant that declares its owners, the others that are bound in its namespaces: what these ask there counts as the
// tenant's, and what they may do elsewhere does not.
func (r *Reach) Callers(tenant int) []Identity { return slices.Clone(r.identities[tenant]()) }

// Permit is how an identity may do something.
type Permit struct {
	// Path are the objects that allow it, and what the identity does before.
	Path []finding.Step
	// Gained is true where the identity gives itself a role first.
	Gained bool
	// Doubt is what must be known for it; empty where it is certain.
	Doubt string
}

// May reports whether an identity may do what is asked, by the rights that it has or by those that it can give itself first. With a
// doubt the right is neither there nor absent.
func (i *Identity) May(a finding.Attributes) (how Permit, may bool) {
	if allowed, path := i.authorizer.Allowed(i.Subject, a); allowed {
		if i.as != nil {
			return Permit{append(i.as.steps(), path...), true, i.as.maybe}, true
		}
		return Permit{Path: path}, true
	}
	for _, n := range i.gained {
		g := &n.grants[0]
		scope := g.binding.scope()
		if scope != "" && scope != a.Namespace || n.namespaced && a.Namespace == "" || may && n.maybe != "" {
			continue
		}
		at := slices.IndexFunc(g.role.rules, func(rule rbacv1.PolicyRule) bool { return ruleAllows(&rule, &a) })
		if at < 0 {
			continue
		}
		how, may = Permit{append(n.steps(), finding.Step{Object: g.role.object, Does: "allows " + describeRule(&g.role.rules[at])}), true, n.maybe}, true
		if how.Doubt == "" {
			break
		}
	}
	return how, may
}

// In are the identities that have rights in a namespace by themselves, and the first one, who stands for all that have only what
// everyone has.
func In(identities []Identity, namespace string) []Identity {
	return slices.DeleteFunc(slices.Clone(identities), func(i Identity) bool {
		return i.Name != identities[0].Name && !i.reaches(namespace)
	})
}

func (i *Identity) reaches(namespace string) bool {
	grants := slices.Clone(i.authorizer.users[i.Subject.User])
	for _, group := range i.Subject.Groups {
		if group != GroupAuthenticated && group != groupServiceAccounts {
			grants = append(grants, i.authorizer.groups[group]...)
		}
	}
	return slices.Contains(i.Subject.Groups, groupMasters) || len(i.gained) > 0 ||
		slices.ContainsFunc(grants, func(g grant) bool { return g.binding.scope() == "" || g.binding.scope() == namespace })
}
