package rbac

import (
	"cmp"
	_ "embed" // the roles and bindings of an API server
	"encoding/json"
	"slices"
	"sync"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

//go:embed builtin.json
var builtInJSON []byte

// BuiltIn are the roles and bindings that an API server makes for itself, sorted by name.
type BuiltIn struct {
	// Version of Kubernetes that they are of.
	Version             string
	ClusterRoles        []*rbacv1.ClusterRole
	ClusterRoleBindings []*rbacv1.ClusterRoleBinding
	Roles               []*rbacv1.Role
	RoleBindings        []*rbacv1.RoleBinding
}

// builtIn was recorded from a real API server: see TestBuiltInRolesAreThoseOfTheAPIServer.
var builtIn = sync.OnceValue(func() *BuiltIn {
	var b BuiltIn
	if err := json.Unmarshal(builtInJSON, &b); err != nil {
		panic("the built-in roles that were compiled in cannot be read: " + err.Error()) // a broken build; the test above fails first
	}
	return &b
})

// BuiltInRoles returns the roles and bindings that are added to what was read offline. They are shared: change nothing.
func BuiltInRoles() *BuiltIn { return builtIn() }

// missingBuiltIn are the built-in objects of whose names there are none.
func missingBuiltIn[T metav1.Object](builtIn, there []T) []T {
	type key struct{ namespace, name string }
	names := make(map[key]bool, len(there))
	for _, o := range there {
		names[key{o.GetNamespace(), o.GetName()}] = true
	}
	return slices.DeleteFunc(slices.Clone(builtIn), func(o T) bool { return names[key{o.GetNamespace(), o.GetName()}] })
}

// aggregate does for ClusterRoles what the controller of aggregated ones does: each gets the rules of those that its
// selectors select, which may be aggregated themselves. What it has already it keeps: the controller would take it away,
// but only once it runs.
func aggregate(roles []*rbacv1.ClusterRole) []*rbacv1.ClusterRole {
	roles = slices.Clone(roles)
	slices.SortFunc(roles, func(a, b *rbacv1.ClusterRole) int { return cmp.Compare(a.Name, b.Name) })
	selected := make([][]int, len(roles)) // by aggregated role, the roles that it selects
	for i, r := range roles {
		if r.AggregationRule != nil {
			selected[i] = selectedBy(r.AggregationRule, roles, i)
			roles[i] = &rbacv1.ClusterRole{ObjectMeta: r.ObjectMeta, Rules: slices.Clone(r.Rules), AggregationRule: r.AggregationRule}
		}
	}
	for changed := true; changed; {
		changed = false
		for i := range roles {
			for _, j := range selected[i] {
				changed = addRules(roles[i], roles[j].Rules) || changed
			}
		}
	}
	return roles
}

// selectedBy are the roles that an aggregated one, which is at index self, selects.
func selectedBy(rule *rbacv1.AggregationRule, roles []*rbacv1.ClusterRole, self int) []int {
	var selected []int
	for i := range rule.ClusterRoleSelectors {
		selector, err := metav1.LabelSelectorAsSelector(&rule.ClusterRoleSelectors[i])
		if err != nil {
			continue // the API server would not store it
		}
		for j := range roles {
			if j != self && selector.Matches(labels.Set(roles[j].Labels)) {
				selected = append(selected, j)
			}
		}
	}
	return selected
}

// addRules gives a role the rules that it lacks, and reports whether there were any.
func addRules(role *rbacv1.ClusterRole, rules []rbacv1.PolicyRule) bool {
	before := len(role.Rules)
	for i := range rules {
		if !slices.ContainsFunc(role.Rules, func(r rbacv1.PolicyRule) bool { return equality.Semantic.DeepEqual(&r, &rules[i]) }) {
			role.Rules = append(role.Rules, rules[i])
		}
	}
	return len(role.Rules) > before
}
