// Package authorizer compares the prover's RBAC with the authorizer of the API server.
package authorizer

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apiserver/pkg/authentication/user"
	upstream "k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/authorization/authorizerfactory"
	"k8s.io/kubernetes/pkg/registry/rbac/validation"
	kuberbac "k8s.io/kubernetes/plugin/pkg/auth/authorizer/rbac"

	"github.com/bulkhead-dev/bulkhead/isolation/finding"
	"github.com/bulkhead-dev/bulkhead/isolation/rbac"
	"github.com/bulkhead-dev/bulkhead/snapshot"
)

var questions = flag.Int("questions", 120_000, "how many questions to ask both")

// Whoever may do what, the prover and the API server agree on, in running clusters and, once its controller has
// aggregated ClusterRoles, in folders.
func TestTheProverAndTheAPIServerAgree(t *testing.T) {
	const perState = 2_000
	asked, allowed := 0, 0
	for seed := uint64(1); asked < *questions; seed++ {
		g := &generator{rand.New(rand.NewPCG(seed, 3))}
		state := g.state()
		state.Offline = g.IntN(2) == 0
		s, err := snapshot.New(state)
		if err != nil {
			t.Fatal(err)
		}
		ours, theirs := rbac.New(s), authorizerOf(s)
		for range perState {
			subject, a := g.subject(), g.attributes()
			got, steps := ours.Allowed(subject, a)
			decision, reason, err := theirs(context.Background(), attributesOf(&subject, &a))
			if err != nil {
				t.Fatal(err)
			}
			if want := decision == upstream.DecisionAllow; got != want {
				t.Fatalf("seed %d, offline %v: %+v %+v: prover %v %v, API server %v %s", seed, s.Offline, subject, a, got, steps, want, reason)
			}
			if asked++; got {
				allowed++
			}
		}
	}
	t.Logf("%d questions, %d allowed", asked, allowed)
	if allowed < asked/25 || allowed > asked/2 {
		t.Errorf("%d of %d questions were allowed: the states are too one-sided to compare anything", allowed, asked)
	}
}

// authorizerOf is the API server's: privileged group first, then RBAC.
func authorizerOf(s *snapshot.Snapshot) upstream.AuthorizerFunc {
	roles, bindings := s.Roles, s.RoleBindings
	clusterRoles, clusterBindings := s.ClusterRoles, s.ClusterRoleBindings
	if s.Offline {
		b := rbac.BuiltInRoles()
		for _, o := range b.ClusterRoles {
			if !slices.ContainsFunc(clusterRoles, func(c *rbacv1.ClusterRole) bool { return c.Name == o.Name }) {
				clusterRoles = append(slices.Clone(clusterRoles), o)
			}
		}
		roles, bindings = append(slices.Clone(roles), b.Roles...), append(slices.Clone(bindings), b.RoleBindings...)
		clusterBindings = append(slices.Clone(clusterBindings), b.ClusterRoleBindings...)
		clusterRoles = controlled(clusterRoles)
	}
	_, lists := validation.NewTestRuleResolver(roles, bindings, clusterRoles, clusterBindings)
	privileged, others := authorizerfactory.NewPrivilegedGroups(user.SystemPrivilegedGroup), kuberbac.New(lists, lists, lists, lists)
	return upstream.AuthorizerFunc(func(ctx context.Context, a upstream.Attributes) (upstream.Decision, string, error) {
		if decision, reason, err := privileged.Authorize(ctx, a); decision == upstream.DecisionAllow {
			return decision, reason, err
		}
		return others.Authorize(ctx, a)
	})
}

// controlled lets every aggregated ClusterRole be synced as often as it takes until nothing changes. Rules that somebody
// wrote into one stay beside, as the prover keeps them.
func controlled(given []*rbacv1.ClusterRole) []*rbacv1.ClusterRole {
	roles := make([]*rbacv1.ClusterRole, len(given))
	for i := range given {
		roles[i] = given[i].DeepCopy()
	}
	for changed := true; changed; {
		changed = false
		for _, role := range roles {
			if role.AggregationRule == nil {
				continue
			}
			for _, s := range role.AggregationRule.ClusterRoleSelectors {
				selector, err := metav1.LabelSelectorAsSelector(&s)
				if err != nil {
					panic(err)
				}
				for _, other := range roles {
					if other != role && selector.Matches(labels.Set(other.Labels)) {
						for _, rule := range other.Rules {
							if !slices.ContainsFunc(role.Rules, func(r rbacv1.PolicyRule) bool { return equality.Semantic.DeepEqual(r, rule) }) {
								role.Rules, changed = append(role.Rules, rule), true
							}
						}
					}
				}
			}
		}
	}
	return roles
}

func attributesOf(s *finding.Subject, a *finding.Attributes) upstream.Attributes {
	return upstream.AttributesRecord{
		User: &user.DefaultInfo{Name: s.User, Groups: s.Groups},
		Verb: a.Verb, APIGroup: a.Group, Resource: a.Resource, Subresource: a.Subresource, Namespace: a.Namespace, Name: a.Name,
		Path: a.Path, ResourceRequest: a.Resource != "",
	}
}

// generator makes nasty states: names that collide across kinds and namespaces, wildcards, subjects that nearly match.
type generator struct{ *rand.Rand }

func (g *generator) pick(list ...string) string { return list[g.IntN(len(list))] }

func (g *generator) some(most int, list ...string) []string {
	var picked []string
	for range g.IntN(most + 1) {
		picked = append(picked, g.pick(list...))
	}
	return picked
}

func (g *generator) namespace() string { return g.pick("a", "b", "a-b", "kube-system") }

func (g *generator) verb() string {
	return g.pick("get", "list", "watch", "create", "update", "patch", "delete", "deletecollection", "escalate", "bind", "impersonate", "use")
}

func (g *generator) group() string { return g.pick("", "", "apps", "rbac.authorization.k8s.io", "*") }

func (g *generator) resource() string {
	return g.pick("pods", "pods", "secrets", "deployments", "roles", "nodes", "serviceaccounts", "namespaces")
}

func (g *generator) subresource() string {
	return g.pick("status", "exec", "token", "proxy", "scale", "log/x")
}

func (g *generator) rule() rbacv1.PolicyRule {
	r := rbacv1.PolicyRule{Verbs: g.some(4, g.verb(), g.verb(), g.verb(), "*", "")}
	if g.IntN(5) == 0 {
		r.NonResourceURLs = g.some(3, "*", "/api*", "/api/*", "/api", "/metrics", "/*", "/healthz/**", "/api/*/x", "")
		return r
	}
	for range g.IntN(4) {
		r.APIGroups = append(r.APIGroups, g.group())
	}
	for range g.IntN(4) {
		r.Resources = append(r.Resources, g.pick("*", g.resource(), g.resource(), g.resource()+"/"+g.subresource(), "*/"+g.subresource(), "*/*",
			g.resource()+"/*", "/"+g.subresource(), "*"+g.subresource()))
	}
	if g.IntN(3) == 0 {
		r.ResourceNames = g.some(3, "x", "y", "*", "")
	}
	return r
}

func (g *generator) rules() []rbacv1.PolicyRule {
	var rules []rbacv1.PolicyRule
	for range 1 + g.IntN(4) {
		rules = append(rules, g.rule())
	}
	return rules
}

func (g *generator) bound() rbacv1.Subject {
	s := rbacv1.Subject{Kind: g.pick("User", "Group", "ServiceAccount", "ServiceAccount", "Robot", "user"), Name: g.name(),
		APIGroup: g.pick("", "rbac.authorization.k8s.io", "other")}
	if g.IntN(2) == 0 {
		s.Namespace = g.namespace()
	}
	return s
}

// name is a name of a user, a group or a service account: any of them in any place.
func (g *generator) name() string {
	return g.pick("ana", "dev", "x", "default", "system:serviceaccount:"+g.namespace()+":"+g.pick("x", "default"), "system:authenticated",
		"system:unauthenticated", "system:serviceaccounts", "system:serviceaccounts:"+g.namespace(), "system:anonymous", "system:masters", "")
}

func (g *generator) ref() rbacv1.RoleRef {
	return rbacv1.RoleRef{APIGroup: "rbac.authorization.k8s.io", Kind: g.pick("Role", "ClusterRole", "ClusterRole", "Other"),
		Name: g.pick("r0", "r1", "r2", "r3", "view", "edit", "admin", "gone")}
}

func (g *generator) state() snapshot.Snapshot {
	var s snapshot.Snapshot
	for i := range 4 {
		name := fmt.Sprintf("r%d", i)
		for _, ns := range []string{"a", "b", "a-b", "kube-system"} {
			if g.IntN(2) == 0 {
				s.Roles = append(s.Roles, &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name}, Rules: g.rules()})
			}
		}
		role := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"to": g.pick("r0", "r1", "r2", "r3")}}, Rules: g.rules()}
		if g.IntN(3) == 0 {
			role.Labels["rbac.authorization.k8s.io/aggregate-to-"+g.pick("view", "edit", "admin")] = "true"
		}
		if g.IntN(2) == 0 {
			role.AggregationRule = &rbacv1.AggregationRule{ClusterRoleSelectors: []metav1.LabelSelector{{MatchLabels: map[string]string{"to": name}},
				{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "to", Operator: "In", Values: g.some(2, "r0", "r1", "r2")}}}}[g.IntN(2):]}
			if sel := role.AggregationRule.ClusterRoleSelectors; len(sel[len(sel)-1].MatchExpressions[0].Values) == 0 {
				sel[len(sel)-1].MatchExpressions = nil // an empty selector selects all
			}
		}
		s.ClusterRoles = append(s.ClusterRoles, role)
	}
	for i := range 2 + g.IntN(8) {
		s.RoleBindings = append(s.RoleBindings, &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Namespace: g.namespace(), Name: fmt.Sprintf("b%d", i)},
			RoleRef: g.ref(), Subjects: g.subjects()})
	}
	for i := range 1 + g.IntN(4) {
		s.ClusterRoleBindings = append(s.ClusterRoleBindings, &rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("b%d", i)},
			RoleRef: g.ref(), Subjects: g.subjects()})
	}
	return s
}

func (g *generator) subjects() []rbacv1.Subject {
	var list []rbacv1.Subject
	for range g.IntN(5) {
		list = append(list, g.bound())
	}
	if len(list) > 0 && g.IntN(4) == 0 {
		list = append(list, list[0])
	}
	return list
}

func (g *generator) subject() finding.Subject {
	if g.IntN(2) == 0 {
		return rbac.ServiceAccount(g.namespace(), g.pick("x", "default", "other"))
	}
	s := finding.Subject{User: g.name()}
	for range g.IntN(3) {
		s.Groups = append(s.Groups, g.name())
	}
	return s
}

func (g *generator) attributes() finding.Attributes {
	if g.IntN(8) == 0 {
		return finding.Attributes{Verb: g.verb(), Path: g.pick("/api", "/api/", "/api/v1/x", "/metrics", "/healthz/etcd", "/", "", "/apis")}
	}
	a := finding.Attributes{Verb: g.verb(), Group: g.pick("", "", "apps", "rbac.authorization.k8s.io"), Resource: g.resource(), Name: g.pick("", "", "x", "y", "*")}
	if g.IntN(3) == 0 {
		a.Subresource = g.subresource()
	}
	if g.IntN(4) != 0 {
		a.Namespace = g.namespace()
	}
	return a
}
