package rbac

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"unicode"

	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/bulkhead-dev/bulkhead/isolation/finding"
	"github.com/bulkhead-dev/bulkhead/snapshot"
)

// principal is an identity, or a group of them, that a tenant acts as.
type principal struct {
	// name in reports: "group shop-developers".
	name    string
	subject finding.Subject
	// stranger is true where it is Unknown whose it is: it stands for the tenant no further than by what the tenant's namespaces give it.
	stranger bool
	// grants that are followed from here, context what else it has: together they are looked at for combinations.
	grants, context []grant
}

// members are the principals of each tenant, and those that everyone is.
type members struct {
	// everyone are the anonymous, the authenticated and the service accounts.
	everyone []principal
	// of are the principals by tenant, in the snapshot's order.
	of [][]principal
	// shared are subjects that no tenant declares and that are bound in several tenants' namespaces, with those tenants.
	shared []undeclared
	// strangers are subjects that no tenant declares and that are bound in the namespaces of one tenant, which declares its owners.
	strangers []undeclared
	// owners are the tenants of declared and of counted users, groups and service accounts.
	owners map[subjectKey]string
	// accounts are the service accounts that are given something by name, by namespace.
	accounts map[string][]string
}

// undeclared is a user or group that no tenant declares, with the tenants in whose namespaces it is bound, sorted, and the bindings of each, in the
// snapshot's order.
type undeclared struct {
	subject  rbacv1.Subject
	tenants  []string
	bindings map[string][]snapshot.Ref
}

type subjectKey struct{ kind, name string }

// membersOf finds out who is whose. A tenant's are its declared owners and the service accounts of its namespaces, there or not. Users and groups
// that no tenant declares and that are bound in the namespaces of one tenant alone count as its as well: what they may do counts as what the
// tenant may do. Where the tenant declares its owners, only their rights in its own namespaces do, and it is Unknown whose they are: a tenant binds
// whom it likes, and rights of others do not become its own by that. Names that begin with system: are Kubernetes' own and no tenant's.
func membersOf(r *Authorizer, s *snapshot.Snapshot, owner map[string]string) *members {
	m := &members{accounts: map[string][]string{}, owners: map[subjectKey]string{}, of: make([][]principal, len(s.Tenants))}
	for user := range r.users {
		if namespace, name, is := accountOf(user); is {
			m.accounts[namespace] = append(m.accounts[namespace], name)
		}
	}
	for _, names := range m.accounts {
		slices.Sort(names)
	}
	authenticated, accounts := r.groups[GroupAuthenticated], r.groups[groupServiceAccounts]
	m.everyone = []principal{
		{name: "every unauthenticated user", subject: finding.Subject{User: userAnonymous, Groups: []string{groupUnauthenticated}},
			grants: slices.Concat(r.users[userAnonymous], r.groups[groupUnauthenticated])},
		{name: "every authenticated user", subject: finding.Subject{User: "somebody", Groups: []string{GroupAuthenticated}}, grants: authenticated},
		{name: "every service account", subject: ServiceAccount("somewhere", "some"), grants: accounts, context: authenticated},
	}
	extra := m.find(s, owner)
	for i := range s.Tenants {
		t := &s.Tenants[i]
		people := t.Owners
		if len(people) == 0 {
			people = extra[t.Name]
		}
		for _, p := range people {
			m.owners[subjectKey{p.Kind, p.Name}] = t.Name
		}
		if m.of[i] = r.people(people); len(t.Owners) > 0 {
			m.of[i] = append(m.of[i], within(r.people(extra[t.Name]), t.Name, owner)...)
		}
		for _, ns := range t.Namespaces {
			m.of[i] = append(m.of[i], r.accountsOf(ns, m.accounts[ns])...)
		}
	}
	return m
}

// whose is the tenant whose a user or group is; ThePlatform if it is no tenant's.
func (m *members) whose(s rbacv1.Subject, owner map[string]string) string {
	if namespace, of := strings.CutPrefix(s.Name, groupServiceAccounts+":"); of && s.Kind == rbacv1.GroupKind {
		return owner[namespace]
	}
	return m.owners[subjectKey{s.Kind, s.Name}]
}

// within are principals with what they are given in the namespaces of one tenant.
func within(people []principal, tenant string, owner map[string]string) []principal {
	elsewhere := func(g grant) bool { return g.binding.scope() == "" || owner[g.binding.scope()] != tenant }
	for i := range people {
		people[i].stranger = true
		people[i].grants = slices.DeleteFunc(slices.Clone(people[i].grants), elsewhere)
		people[i].context = slices.DeleteFunc(slices.Clone(people[i].context), elsewhere)
	}
	return people
}

// find fills in the users and groups bound in tenants' namespaces that no tenant declares, and returns those that count as one tenant's.
func (m *members) find(s *snapshot.Snapshot, owner map[string]string) (extra map[string][]rbacv1.Subject) {
	extra = map[string][]rbacv1.Subject{}
	declares := map[string]bool{}
	for i := range s.Tenants {
		declares[s.Tenants[i].Name] = len(s.Tenants[i].Owners) > 0
	}
	for _, f := range foundIn(s, owner) {
		f.tenants = slices.Sorted(maps.Keys(f.bindings))
		if len(f.tenants) > 1 {
			m.shared = append(m.shared, *f)
			continue
		}
		extra[f.tenants[0]] = append(extra[f.tenants[0]], f.subject)
		if declares[f.tenants[0]] {
			m.strangers = append(m.strangers, *f)
		}
	}
	for _, list := range extra {
		slices.SortFunc(list, compareSubjects)
	}
	for _, list := range [][]undeclared{m.shared, m.strangers} {
		slices.SortFunc(list, func(a, b undeclared) int { return compareSubjects(a.subject, b.subject) })
	}
	return extra
}

// foundIn are the users and groups bound in tenants' namespaces that no tenant declares, each with some bindings of each tenant.
func foundIn(s *snapshot.Snapshot, owner map[string]string) map[subjectKey]*undeclared {
	declared := map[subjectKey]bool{}
	for i := range s.Tenants {
		for _, o := range s.Tenants[i].Owners {
			declared[subjectKey{o.Kind, o.Name}] = true
		}
	}
	found := map[subjectKey]*undeclared{}
	for _, b := range s.RoleBindings {
		tenant := owner[b.Namespace]
		if tenant == finding.ThePlatform {
			continue
		}
		for _, subject := range b.Subjects {
			key := subjectKey{subject.Kind, subject.Name}
			if subject.Kind != rbacv1.UserKind && subject.Kind != rbacv1.GroupKind || declared[key] || strings.HasPrefix(subject.Name, "system:") {
				continue
			}
			if found[key] == nil {
				found[key] = &undeclared{subject: subject, bindings: map[string][]snapshot.Ref{}}
			}
			if f := found[key]; len(f.bindings[tenant]) < manyTenants {
				f.bindings[tenant] = append(f.bindings[tenant], snapshot.Ref{Kind: "RoleBinding", Namespace: b.Namespace, Name: b.Name})
			}
		}
	}
	return found
}

// lookalike is a declared user or group whose name may be taken for another one's: it differs in case alone, or in letters of which
// one is not of ASCII; empty where there is none.
func (m *members) lookalike(s rbacv1.Subject) string {
	letters := []rune(strings.ToLower(s.Name))
	for _, key := range slices.SortedFunc(maps.Keys(m.owners), func(a, b subjectKey) int { return cmp.Or(cmp.Compare(a.kind, b.kind), cmp.Compare(a.name, b.name)) }) {
		other := []rune(strings.ToLower(key.name))
		if key.kind != s.Kind || key.name == s.Name || len(other) != len(letters) {
			continue
		}
		alike := true
		for i := range letters {
			alike = alike && (letters[i] == other[i] || letters[i] > unicode.MaxASCII || other[i] > unicode.MaxASCII)
		}
		if alike {
			return key.name
		}
	}
	return ""
}

func compareSubjects(a, b rbacv1.Subject) int {
	return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
}

// people are the principals of users, groups and service accounts that act for one tenant. A user of a tenant is taken
// to be in its groups.
func (r *Authorizer) people(subjects []rbacv1.Subject) []principal {
	var groups, users []string
	var accounts []principal
	for _, s := range subjects {
		switch s.Kind {
		case rbacv1.GroupKind:
			groups = append(groups, s.Name)
		case rbacv1.UserKind:
			users = append(users, s.Name)
		case rbacv1.ServiceAccountKind:
			accounts = append(accounts, r.account(s.Namespace, s.Name))
		}
	}
	all := append(slices.Clone(groups), GroupAuthenticated)
	var list []principal
	var ofGroups []grant
	for _, g := range groups {
		list = append(list, principal{name: "group " + g, subject: finding.Subject{User: "somebody", Groups: all}, grants: r.groups[g]})
		ofGroups = append(ofGroups, r.groups[g]...)
	}
	for i := range list {
		list[i].context = append(slices.Clone(ofGroups), r.groups[GroupAuthenticated]...)
	}
	for _, u := range users {
		list = append(list, principal{name: "user " + u, subject: finding.Subject{User: u, Groups: all}, grants: r.users[u],
			context: append(slices.Clone(ofGroups), r.groups[GroupAuthenticated]...)})
	}
	return append(list, accounts...)
}

// grantsOf are what a user or group is given by its name.
func (r *Authorizer) grantsOf(s rbacv1.Subject) []grant {
	if s.Kind == rbacv1.GroupKind {
		return r.groups[s.Name]
	}
	return r.users[s.Name]
}

// account is a service account as a principal, with what its namespace's group is given.
func (r *Authorizer) account(namespace, name string) principal {
	s := ServiceAccount(namespace, name)
	return principal{name: "service account " + namespace + "/" + name, subject: s, grants: r.users[s.User],
		context: slices.Concat(r.groups[groupServiceAccounts+":"+namespace], r.groups[groupServiceAccounts], r.groups[GroupAuthenticated])}
}

// accountsOf are the service accounts of a namespace: those that are given something by name, and one that stands for
// all others, there or not.
func (r *Authorizer) accountsOf(namespace string, names []string) []principal {
	others := r.account(namespace, "default")
	others.name, others.grants = "every service account of namespace "+namespace, r.groups[groupServiceAccounts+":"+namespace]
	list := []principal{others}
	for _, name := range names {
		list = append(list, r.account(namespace, name))
	}
	return list
}

// accountOf takes a service account's user name apart.
func accountOf(user string) (namespace, name string, is bool) {
	rest, is := strings.CutPrefix(user, UserServiceAccount)
	if !is {
		return "", "", false
	}
	namespace, name, is = strings.Cut(rest, ":")
	return namespace, name, is
}
