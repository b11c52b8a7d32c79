package rbac_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bulkhead-dev/bulkhead/isolation"
	"github.com/bulkhead-dev/bulkhead/isolation/clustergen"
	"github.com/bulkhead-dev/bulkhead/isolation/finding"
	"github.com/bulkhead-dev/bulkhead/isolation/rbac"
	"github.com/bulkhead-dev/bulkhead/snapshot"
)

var rightsStates = flag.Int("rights-states", 1_500/clustergen.RaceDivisor, "how many random states of rights to follow twice")

// attacker is the dumb way to find what a tenant reaches: it asks the authorizer whether it may do the next thing, does it to
// the state, and begins again until nothing is new.
type attacker struct {
	state      snapshot.Snapshot
	identities []finding.Subject
	owner      map[string]string
}

func namespacesOf() []string { return []string{"a1", "b1", "c1", "ops"} }

func accountNames() []string { return []string{"default", "x"} }

func (a *attacker) become(s finding.Subject) bool {
	if slices.ContainsFunc(a.identities, func(o finding.Subject) bool { return fmt.Sprint(o) == fmt.Sprint(s) }) {
		return false
	}
	a.identities = append(a.identities, s)
	return true
}

func (a *attacker) rbac(t *testing.T) *rbac.Authorizer {
	return rbac.New(snapshotOf(t, a.state))
}

func as(name string, group bool) finding.Subject {
	if group {
		return finding.Subject{User: "somebody", Groups: []string{name, "system:authenticated"}}
	}
	return finding.Subject{User: name, Groups: []string{"system:authenticated"}}
}

// step does one thing that is new; false when there is none.
func (a *attacker) step(t *testing.T) bool {
	r := a.rbac(t)
	for _, s := range a.identities {
		may := func(verb, group, resource, sub, namespace, name string) bool {
			ok, _ := r.Allowed(s, finding.Attributes{Verb: verb, Group: group, Resource: resource, Subresource: sub, Namespace: namespace, Name: name})
			return ok
		}
		for _, ns := range namespacesOf() {
			for _, name := range accountNames() {
				if may("create", "", "pods", "", ns, "") || may("create", "", "serviceaccounts", "token", ns, name) || may("impersonate", "", "serviceaccounts", "", ns, name) {
					if a.become(rbac.ServiceAccount(ns, name)) {
						return true
					}
				}
			}
			for i := range 5 {
				name := fmt.Sprintf("r%d", i)
				if may("create", rbacv1.GroupName, "rolebindings", "", ns, "") && may("bind", rbacv1.GroupName, "clusterroles", "", ns, name) && a.bind(s, ns, "ClusterRole/"+name) {
					return true
				}
				if may("escalate", rbacv1.GroupName, "roles", "", ns, name) && may("update", rbacv1.GroupName, "roles", "", ns, name) {
					// It makes the role harmless, binds itself, and only then writes every right into it.
					if a.escalate(ns, name) || may("create", rbacv1.GroupName, "rolebindings", "", ns, "") && a.bind(s, ns, "Role/"+name) {
						return true
					}
				}
			}
		}
		someone := may("impersonate", "", "users", "", "", "ann")
		for _, ns := range namespacesOf() {
			for _, name := range accountNames() {
				someone = someone || may("impersonate", "", "serviceaccounts", "", ns, name)
			}
		}
		if may("impersonate", "", "users", "", "", "ann") && a.become(as("ann", false)) ||
			someone && may("impersonate", "", "groups", "", "", "sre") && a.become(as("sre", true)) {
			return true
		}
	}
	return false
}

// bind gives a subject a role in a namespace.
func (a *attacker) bind(s finding.Subject, ns, role string) bool {
	kind, roleName, _ := strings.Cut(role, "/")
	if kind == "Role" && !slices.ContainsFunc(a.state.Roles, func(r *rbacv1.Role) bool { return r.Namespace == ns && r.Name == roleName }) {
		return false
	}
	name := "own-" + strings.ToLower(kind) + "-" + roleName + "-" + strings.ReplaceAll(s.User, ":", "-") + s.Groups[0]
	if slices.ContainsFunc(a.state.RoleBindings, func(b *rbacv1.RoleBinding) bool { return b.Namespace == ns && b.Name == name }) {
		return false
	}
	subject := rbacv1.Subject{Kind: "User", Name: s.User}
	if s.User == "somebody" {
		subject = rbacv1.Subject{Kind: "Group", Name: s.Groups[0]}
	}
	a.state.RoleBindings = append(slices.Clone(a.state.RoleBindings), &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name},
		RoleRef: ref(role), Subjects: []rbacv1.Subject{subject}})
	return true
}

// escalate writes every right into a Role.
func (a *attacker) escalate(ns, name string) bool {
	for i, r := range a.state.Roles {
		if r.Namespace == ns && r.Name == name && !slices.Contains(r.Rules[0].Verbs, "*") {
			a.state.Roles = slices.Clone(a.state.Roles)
			a.state.Roles[i] = &rbacv1.Role{ObjectMeta: r.ObjectMeta, Rules: append([]rbacv1.PolicyRule{rule("*", "*/*")}, r.Rules...)}
			return true
		}
	}
	return false
}

// harms are the tenants, and the platform, that the attacker does something to.
func (a *attacker) harms(t *testing.T, tenant string) []string {
	for a.step(t) {
		if len(a.identities) > 100 {
			t.Fatal("the attacker does not come to an end")
		}
	}
	r, harmed := a.rbac(t), map[string]bool{}
	for _, s := range a.identities {
		may := func(verb, group, resource, sub, namespace string) bool {
			ok, _ := r.Allowed(s, finding.Attributes{Verb: verb, Group: group, Resource: resource, Subresource: sub, Namespace: namespace, Name: ""})
			return ok
		}
		for _, ns := range namespacesOf() {
			if whose := a.owner[ns]; whose != tenant {
				for _, q := range [][3]string{{"create", "pods", ""}, {"list", "configmaps", ""}, {"update", "services", "status"}} {
					harmed[whose] = harmed[whose] || may(q[0], "", q[1], q[2], ns)
				}
				named := slices.ContainsFunc(accountNames(), func(name string) bool {
					token, _ := r.Allowed(s, finding.Attributes{Verb: "create", Resource: "serviceaccounts", Subresource: "token", Namespace: ns, Name: name})
					pose, _ := r.Allowed(s, finding.Attributes{Verb: "impersonate", Resource: "serviceaccounts", Namespace: ns, Name: name})
					return token || pose
				})
				for i := range 4 {
					role, _ := r.Allowed(s, finding.Attributes{Verb: "update", Group: rbacv1.GroupName, Resource: "roles", Namespace: ns, Name: fmt.Sprintf("r%d", i)})
					named = named || role
				}
				harmed[whose] = harmed[whose] || named || may("create", rbacv1.GroupName, "rolebindings", "", ns)
			} else {
				harmed[""] = harmed[""] || may("update", "", "services", "status", ns)
			}
		}
		harmed[""] = harmed[""] || may("list", "", "namespaces", "", "") || may("impersonate", "", "users", "", "")
	}
	return slices.DeleteFunc([]string{"", "a", "b", "c"}, func(n string) bool { return !harmed[n] })
}

type rightsGenerator struct{ *rand.Rand }

func (g *rightsGenerator) rules() []rbacv1.PolicyRule {
	kinds := []rbacv1.PolicyRule{rule("create", "/pods"), rule("create", "/serviceaccounts/token"), rule("create", "/serviceaccounts/token", "x"),
		rule("impersonate", "/serviceaccounts"), rule("impersonate", "/serviceaccounts", "x"), rule("list", "/configmaps"), rule("list", "/configmaps"),
		rule("update", "/services/status"), rule("list", "/namespaces"), rule("create", rbacGroup+"rolebindings"),
		rule("bind", rbacGroup+"clusterroles"), rule("bind", rbacGroup+"clusterroles", "r1", "r2"), rule("escalate,update", rbacGroup+"roles"),
		rule("escalate", rbacGroup+"roles"), rule("update", rbacGroup+"roles", "r0"), rule("impersonate", "/users", "ann"), rule("impersonate", "/groups", "sre"),
		rule("get", "storage.k8s.io/storageclasses")}
	var rules []rbacv1.PolicyRule
	for range 1 + g.IntN(2) {
		rules = append(rules, kinds[g.IntN(len(kinds))])
	}
	return rules
}

func (g *rightsGenerator) subject() string {
	list := []string{"Group/a-dev", "Group/b-dev", "User/ann", "Group/sre", "Group/c-dev"}
	for _, ns := range namespacesOf() {
		for _, name := range accountNames() {
			list = append(list, "ServiceAccount/"+ns+"/"+name)
		}
		list = append(list, "Group/system:serviceaccounts:"+ns)
	}
	return list[g.IntN(len(list))]
}

func (g *rightsGenerator) state() snapshot.Snapshot {
	r := rights{snapshot.Snapshot{Revision: "1"}}
	for _, name := range []string{"a", "b", "c"} {
		r.Tenants = append(r.Tenants, snapshot.Tenant{Name: name, Namespaces: []string{name + "1"}, Owners: []rbacv1.Subject{{Kind: "Group", Name: name + "-dev"}}})
	}
	// A subject of no tenant is the platform's; one that is bound in one tenant's namespace alone would not be.
	r.Tenants = append(r.Tenants, snapshot.Tenant{Name: "staff", Owners: []rbacv1.Subject{{Kind: "User", Name: "ann"}, {Kind: "Group", Name: "sre"}}})
	for _, ns := range namespacesOf() {
		r.Namespaces = append(r.Namespaces, &snapshot.Namespace{Name: ns})
	}
	for i := range 4 {
		r.clusterRole(fmt.Sprintf("r%d", i), g.rules()...)
		ns := namespacesOf()[g.IntN(4)]
		r.role(ns, fmt.Sprintf("r%d", i), g.rules()...)
	}
	r.clusterRole("r4", rule("*", "*/*"))
	for i := range 1 + g.IntN(5) {
		r.bind(namespacesOf()[g.IntN(4)], fmt.Sprintf("b%d", i), []string{"Role", "ClusterRole"}[g.IntN(2)]+fmt.Sprintf("/r%d", g.IntN(4)), g.subject(), g.subject())
	}
	if g.IntN(4) == 0 {
		r.bindCluster("c", fmt.Sprintf("ClusterRole/r%d", g.IntN(4)), g.subject())
	}
	return r.Snapshot
}

// Whom a tenant harms, the closure and a dumb attacker that does one thing after the other agree on.
func TestTheClosureIsThatOfADumbAttacker(t *testing.T) {
	harmless, harmful := 0, 0
	for seed := range uint64(*rightsStates) {
		g := &rightsGenerator{rand.New(rand.NewPCG(seed, 9))}
		state := g.state()
		owner := map[string]string{"a1": "a", "b1": "b", "c1": "c"}
		report := isolation.Verify(snapshotOf(t, state), finding.Options{})
		for _, tenant := range []string{"a", "b", "c"} {
			dumb := &attacker{state: state, owner: owner, identities: []finding.Subject{as(tenant+"-dev", true)}}
			for _, name := range accountNames() {
				dumb.become(rbac.ServiceAccount(tenant+"1", name))
			}
			want, got := dumb.harms(t, tenant), provenHarms(report, tenant)
			if len(want) == 0 {
				harmless++
			} else {
				harmful++
			}
			if !slices.Equal(want, got) {
				for _, b := range state.RoleBindings {
					t.Logf("%s/%s: %v %v", b.Namespace, b.Name, b.RoleRef, b.Subjects)
				}
				for _, b := range state.ClusterRoleBindings {
					t.Logf("everywhere: %v %v", b.RoleRef, b.Subjects)
				}
				for i := range state.Roles {
					t.Logf("%s: %v, cluster: %v", state.Roles[i].Namespace+"/"+state.Roles[i].Name, state.Roles[i].Rules, state.ClusterRoles[i].Rules)
				}
				for _, f := range rbacFindings(report) {
					t.Logf("%s %s %s->%s %s", f.Code, f.Verdict, f.From, f.To, f.What)
				}
				t.Fatalf("seed %d: %s harms %q by the attacker, %q by the closure", seed, tenant, want, got)
			}
		}
	}
	if harmless < harmful/20 || harmful < harmless/20 {
		t.Errorf("%d tenants without harm and %d with: too one-sided to compare anything", harmless, harmful)
	}
}

// provenHarms are the tenants that a tenant harms according to a report. Against every tenant means the platform too.
func provenHarms(r *isolation.Report, tenant string) []string {
	harmed := map[string]bool{}
	for _, f := range rbacFindings(r) {
		if f.Verdict != finding.Exposed || f.From != tenant && f.From != finding.EveryTenant {
			continue
		}
		if f.To != finding.EveryTenant {
			harmed[f.To] = true
			continue
		}
		for _, other := range []string{"", "a", "b", "c"} {
			harmed[other] = harmed[other] || other != tenant
		}
	}
	return slices.DeleteFunc([]string{"", "a", "b", "c"}, func(n string) bool { return !harmed[n] })
}
