package rbac

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/bulkhead-dev/bulkhead/isolation/finding"
	"github.com/bulkhead-dev/bulkhead/snapshot"
)

// Names that the API server gives to identities and groups by itself.
const (
	groupMasters         = "system:masters"
	GroupAuthenticated   = "system:authenticated"
	groupUnauthenticated = "system:unauthenticated"
	groupServiceAccounts = "system:serviceaccounts"
	userAnonymous        = "system:anonymous"
	UserServiceAccount   = "system:serviceaccount:"
)

// Authorizer answers as the API server's RBAC authorizer would, from the Roles and bindings of a snapshot, and says through
// which of them. It answers for the snapshot as it is: what a subject could change first is the business of the closure.
//
//   - Members of system:masters may do everything, as the API server asks no authorizer about them.
//   - Subjects are users, groups and service accounts. A service account is the user system:serviceaccount:NAMESPACE:NAME,
//     however a binding names it; in a RoleBinding it lies in the binding's namespace unless that is said. Subjects of any
//     other kind match no user.
//   - A RoleBinding gives a Role of its namespace, or a ClusterRole, in its namespace alone. A ClusterRoleBinding gives a
//     ClusterRole everywhere. A binding to what does not exist gives nothing; Dangling lists them.
//   - * stands for every verb, group or resource with its subresources, */NAME for that subresource of every resource, a
//     path that ends in * for all that begin so.
//   - Of an aggregated ClusterRole of a running cluster, the rules count that its controller has written. Offline, where
//     no subject has, those that are written and those of all ClusterRoles that it selects.
//
// It is safe for concurrent use.
type Authorizer struct {
	// users and groups hold what each is given, cluster-wide first and then by namespace.
	users, groups map[string][]grant
	dangling      []Dangling
	roles         map[roleKey]*role
	builtIn       int
}

// grant is what one subject of one binding is given.
type grant struct {
	binding *binding
	role    *role
}

// binding is a RoleBinding or a ClusterRoleBinding.
type binding struct {
	object   snapshot.Ref
	ref      rbacv1.RoleRef
	subjects []rbacv1.Subject
}

// scope is the namespace in which a binding gives; empty is everywhere.
func (b *binding) scope() string { return b.object.Namespace }

// role is a Role or a ClusterRole.
type role struct {
	object snapshot.Ref
	rules  []rbacv1.PolicyRule
	// aggregated is true where its rules come from others, by their labels.
	aggregated bool
}

type roleKey struct {
	kind, namespace, name string
}

// Dangling is a binding to a role that is not there. It gives nothing until the role is created.
type Dangling struct {
	Binding  snapshot.Ref
	Role     snapshot.Ref
	Subjects []rbacv1.Subject
}

// New makes the authorizer of a snapshot.
func New(s *snapshot.Snapshot) *Authorizer {
	r := &Authorizer{users: map[string][]grant{}, groups: map[string][]grant{}}
	r.indexRoles(s)
	// Cluster-wide first, then by namespace: each subject's grants come out sorted.
	for _, b := range s.ClusterRoleBindings {
		r.add(&binding{snapshot.Ref{Kind: "ClusterRoleBinding", Name: b.Name}, b.RoleRef, b.Subjects})
	}
	if s.Offline {
		for _, b := range missingBuiltIn(builtIn().ClusterRoleBindings, s.ClusterRoleBindings) {
			r.builtIn++
			r.add(&binding{snapshot.Ref{Kind: "ClusterRoleBinding", Name: b.Name}, b.RoleRef, b.Subjects})
		}
	}
	bindings := s.RoleBindings
	if s.Offline {
		added := missingBuiltIn(builtIn().RoleBindings, bindings)
		r.builtIn += len(added)
		bindings = append(slices.Clone(bindings), added...)
		slices.SortStableFunc(bindings, func(a, b *rbacv1.RoleBinding) int { return cmp.Compare(a.Namespace, b.Namespace) })
	}
	for _, b := range bindings {
		r.add(&binding{snapshot.Ref{Kind: "RoleBinding", Namespace: b.Namespace, Name: b.Name}, b.RoleRef, b.Subjects})
	}
	return r
}

func (r *Authorizer) indexRoles(s *snapshot.Snapshot) {
	roles, clusterRoles := s.Roles, s.ClusterRoles
	if s.Offline {
		addedRoles, added := missingBuiltIn(builtIn().Roles, roles), missingBuiltIn(builtIn().ClusterRoles, clusterRoles)
		r.builtIn += len(addedRoles) + len(added)
		roles = append(slices.Clone(roles), addedRoles...)
		clusterRoles = aggregate(append(slices.Clone(clusterRoles), added...))
	}
	r.roles = make(map[roleKey]*role, len(roles)+len(clusterRoles))
	for _, o := range roles {
		r.roles[roleKey{"Role", o.Namespace, o.Name}] = &role{snapshot.Ref{Kind: "Role", Namespace: o.Namespace, Name: o.Name}, o.Rules, false}
	}
	for _, o := range clusterRoles {
		r.roles[roleKey{kind: "ClusterRole", name: o.Name}] = &role{snapshot.Ref{Kind: "ClusterRole", Name: o.Name}, o.Rules, o.AggregationRule != nil}
	}
}

// add gives every subject of a binding what it gives. A subject that is there twice is given it once.
func (r *Authorizer) add(b *binding) {
	key := roleKey{kind: b.ref.Kind, name: b.ref.Name}
	if b.ref.Kind == "Role" {
		key.namespace = b.scope()
	}
	granted := r.roles[key]
	if granted == nil || b.ref.Kind == "Role" && b.scope() == "" {
		r.dangling = append(r.dangling, Dangling{b.object, snapshot.Ref{Kind: b.ref.Kind, Namespace: key.namespace, Name: b.ref.Name}, b.subjects})
		return
	}
	for i := range b.subjects {
		index, name, is := b.subject(r, &b.subjects[i])
		if !is {
			continue
		}
		if list := index[name]; len(list) == 0 || list[len(list)-1].binding != b {
			index[name] = append(list, grant{b, granted})
		}
	}
}

// subject is the identity that a subject of a binding stands for, and the index that it belongs into.
func (b *binding) subject(r *Authorizer, s *rbacv1.Subject) (index map[string][]grant, name string, is bool) {
	switch s.Kind {
	case rbacv1.UserKind:
		return r.users, s.Name, true
	case rbacv1.GroupKind:
		return r.groups, s.Name, true
	case rbacv1.ServiceAccountKind:
		namespace := cmp.Or(s.Namespace, b.scope())
		return r.users, UserServiceAccount + namespace + ":" + s.Name, namespace != ""
	default:
		return nil, "", false
	}
}

// ServiceAccount is the identity of a service account, with the groups that the API server gives it.
func ServiceAccount(namespace, name string) finding.Subject {
	return finding.Subject{User: UserServiceAccount + namespace + ":" + name,
		Groups: []string{groupServiceAccounts, groupServiceAccounts + ":" + namespace, GroupAuthenticated}}
}

// SubjectOf is the identity that a subject of a binding stands for. A group stands for a member of it.
func SubjectOf(s rbacv1.Subject, namespace string) finding.Subject {
	switch s.Kind {
	case rbacv1.ServiceAccountKind:
		return ServiceAccount(cmp.Or(s.Namespace, namespace), s.Name)
	case rbacv1.GroupKind:
		return finding.Subject{User: "somebody of " + s.Name, Groups: []string{s.Name, GroupAuthenticated}}
	}
	return finding.Subject{User: s.Name, Groups: []string{GroupAuthenticated}}
}

// Allowed reports whether a subject may do what is asked, and through which binding and role.
func (r *Authorizer) Allowed(s finding.Subject, a finding.Attributes) (bool, []finding.Step) {
	if slices.Contains(s.Groups, groupMasters) {
		return true, []finding.Step{{Does: "the API server lets group system:masters do everything"}}
	}
	scopes := [2]string{"", a.Namespace}
	for _, scope := range scopes[:1+min(1, len(a.Namespace))] {
		if steps := allowedIn(r.users[s.User], scope, &a); steps != nil {
			return true, steps
		}
		for _, group := range s.Groups {
			if steps := allowedIn(r.groups[group], scope, &a); steps != nil {
				return true, steps
			}
		}
	}
	return false, nil
}

// Dangling lists the bindings to roles that are not there.
func (r *Authorizer) Dangling() []Dangling { return r.dangling }

// BuiltIn counts the roles and bindings that every API server makes, that the snapshot does not hold, and that were
// added. Only offline there are any.
func (r *Authorizer) BuiltIn() int { return r.builtIn }

// allowedIn are the steps through which a subject's grants of one scope allow it; nil if none does.
func allowedIn(grants []grant, scope string, a *finding.Attributes) []finding.Step {
	first, _ := slices.BinarySearchFunc(grants, scope, func(g grant, scope string) int { return cmp.Compare(g.binding.scope(), scope) })
	for _, g := range grants[first:] {
		if g.binding.scope() != scope {
			return nil
		}
		for i := range g.role.rules {
			if ruleAllows(&g.role.rules[i], a) {
				return g.steps(&g.role.rules[i])
			}
		}
	}
	return nil
}

// steps say through which objects a grant gives a rule.
func (g *grant) steps(rule *rbacv1.PolicyRule) []finding.Step {
	return []finding.Step{
		{Object: g.binding.object, Does: "binds " + describeSubjects(g.binding.subjects) + " to " + g.role.object.String()},
		{Object: g.role.object, Does: "allows " + describeRule(rule)},
	}
}

func describeSubjects(subjects []rbacv1.Subject) string {
	const most = 3
	names := make([]string, 0, most)
	for i := range subjects {
		if i == most {
			return fmt.Sprintf("%s and %d more", strings.Join(names, ", "), len(subjects)-most)
		}
		names = append(names, snapshot.Ref{Kind: subjects[i].Kind, Namespace: subjects[i].Namespace, Name: subjects[i].Name}.String())
	}
	return strings.Join(names, ", ")
}
