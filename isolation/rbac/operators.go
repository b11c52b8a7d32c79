package rbac

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/isolation/finding"
	"github.com/bulkhead-dev/bulkhead/snapshot"
)

// actor acts on custom resources with rights of its own: an operator, or a server behind the API server.
type actor struct {
	object snapshot.Ref
	// may is what it may do, in words, and by the object that lets it.
	may string
	by  snapshot.Ref
}

// actors are by custom kind who acts on it. What operators do for the author of such an object, no proof can tell.
func (r *Reach) actors() map[schema.GroupResource]actor {
	pairs := map[schema.GroupResource]bool{}
	for _, role := range r.roles {
		for i := range role.rules {
			for _, pair := range r.customKinds(&role.rules[i]) {
				pairs[pair] = true
			}
		}
	}
	if len(pairs) == 0 {
		return nil
	}
	aggregated := map[string]actor{}
	for _, o := range r.snapshot.APIServices {
		if service, has, err := unstructured.NestedMap(o.Object, "spec", "service"); err == nil && has && service != nil {
			group, _, _ := unstructured.NestedString(o.Object, "spec", "group")
			ref := snapshot.Ref{Kind: "APIService", Name: o.GetName()}
			aggregated[group] = actor{ref, "answers for the group instead of the API server", ref}
		}
	}
	operators := r.operators()
	found := map[schema.GroupResource]actor{}
	for pair := range pairs {
		if a, is := aggregated[pair.Group]; is {
			found[pair] = a
			continue
		}
		i := slices.IndexFunc(operators, func(o actor) bool {
			return slices.ContainsFunc([]string{"watch", "list", "get", "update"}, func(verb string) bool {
				acts, _ := r.Allowed(ServiceAccount(o.object.Namespace, o.object.Name), finding.Attributes{Verb: verb, Group: pair.Group, Resource: pair.Resource})
				return acts
			})
		})
		if i >= 0 {
			found[pair] = operators[i]
		}
	}
	return found
}

// customKinds are the kinds that a rule names, and that are neither Kubernetes' nor Bulkhead's.
func (r *Reach) customKinds(rule *rbacv1.PolicyRule) []schema.GroupResource {
	var list []schema.GroupResource
	for _, group := range rule.APIGroups {
		for _, resource := range rule.Resources {
			if group != "*" && group != v1alpha1.GroupVersion.Group && !strings.Contains(resource, "/") && !r.compiler.kinds.groups[group] &&
				r.compiler.kinds.of(group, resource) == kindUnknown {
				list = append(list, schema.GroupResource{Group: group, Resource: resource})
			}
		}
	}
	return list
}

// operators are the service accounts of the platform that have in every namespace what compromises a tenant, those that have everything
// last. Kubernetes' own controllers act on no custom kind.
func (r *Reach) operators() []actor {
	var some, all []actor
	for _, p := range r.accounts() {
		namespace, name, is := accountOf(p.subject.User)
		if !is || r.owner[namespace] != finding.ThePlatform {
			continue
		}
		for _, g := range p.grants {
			powers := r.compiler.byRole[g.role]
			if g.binding.scope() != "" || strings.HasPrefix(g.role.object.Name, "system:") {
				continue
			}
			i := slices.IndexFunc(powers.all, func(h held) bool {
				return h.names == nil && h.maybe == "" && (slices.Contains([]string{codeCluster, codeRunAs, codeSecrets, codeExtend, codeNodes}, h.code) ||
					slices.Contains([]piece{partBindClusterRoles, partEscalateClusterRoles, partPoseUsers, partPoseGroups}, h.part))
			})
			if i < 0 {
				continue
			}
			a := actor{snapshot.Ref{Kind: "ServiceAccount", Namespace: namespace, Name: name}, "may " + describeRule(powers.all[i].rule) + " everywhere", g.binding.object}
			if powers.everything {
				all = append(all, a)
			} else {
				some = append(some, a)
			}
			break
		}
	}
	return append(some, all...)
}

// operatorFindings are the custom kinds that tenants may write in their namespaces, and on which somebody else acts with rights over all.
func (r *Reach) operatorFindings() []finding.Finding {
	actors := r.actors()
	if len(actors) == 0 {
		return nil
	}
	written, all := map[*role][]schema.GroupResource{}, slices.SortedFunc(maps.Keys(actors), func(a, b schema.GroupResource) int { return strings.Compare(a.String(), b.String()) })
	byActor := map[snapshot.Ref][]finding.Finding{}
	for i := range r.snapshot.Tenants {
		t := &r.snapshot.Tenants[i]
		kinds, by := r.actedOn(i, actors, written, all)
		others := slices.SortedFunc(maps.Keys(kinds), func(a, b snapshot.Ref) int { return strings.Compare(a.String(), b.String()) })
		if len(others) == 0 {
			continue
		}
		o := others[0]
		f := r.acted(t, actorOf(actors, o), by[o], kinds[o])
		if n := len(others) - 1; n > 0 {
			f.What += fmt.Sprintf(" (and so it is with %d more, such as %s, which acts on %s)", n, others[1], finding.Few(kinds[others[1]]))
		}
		byActor[o] = append(byActor[o], f)
	}
	var findings []finding.Finding
	for _, o := range slices.SortedFunc(maps.Keys(byActor), func(a, b snapshot.Ref) int { return strings.Compare(a.String(), b.String()) }) {
		list := byActor[o]
		if n := len(list); n > 1 && (n > manyTenants || n == len(r.snapshot.Tenants)) {
			list[0].From, list[0].What = finding.EveryTenant, fmt.Sprintf("%d tenants; for one, %s: %s", n, list[0].From, list[0].What)
			list = list[:1]
		}
		findings = append(findings, list...)
	}
	return findings
}

// actedOn are the kinds that a tenant may write, by who acts on them, and by which grant.
func (r *Reach) actedOn(tenant int, actors map[schema.GroupResource]actor, written map[*role][]schema.GroupResource, all []schema.GroupResource,
) (kinds map[snapshot.Ref][]string, by map[snapshot.Ref]grant) {
	kinds, by = map[snapshot.Ref][]string{}, map[snapshot.Ref]grant{}
	for _, p := range r.members.of[tenant] {
		for _, g := range slices.Concat(p.grants, p.context) {
			scope := g.binding.scope()
			if scope != "" && r.owner[scope] != r.snapshot.Tenants[tenant].Name || scope == "" && r.compiler.byRole[g.role].everything {
				continue // of others' namespaces, or more than an operator has
			}
			for _, pair := range r.writtenBy(written, g.role, all) {
				o := actors[pair].object
				if by[o].role == nil {
					by[o] = g
				}
				if !slices.Contains(kinds[o], pair.String()) {
					kinds[o] = append(kinds[o], pair.String())
				}
			}
		}
	}
	return kinds, by
}

func actorOf(actors map[schema.GroupResource]actor, o snapshot.Ref) actor {
	for _, a := range actors {
		if a.object == o {
			return a
		}
	}
	return actor{}
}

func (r *Reach) acted(t *snapshot.Tenant, a actor, by grant, kinds []string) finding.Finding {
	slices.Sort(kinds)
	return finding.Finding{Code: codeActs, Verdict: finding.Unknown, From: t.Name, To: finding.EveryTenant,
		What:  fmt.Sprintf("tenant %s may write %s, on which %s acts, which %s: what it does for who writes them is not known", t.Name, finding.Few(kinds), a.object, a.may),
		Blame: []snapshot.Ref{by.role.object, by.binding.object, a.by}}
}

// writtenBy are those of the kinds that a role lets its bearer create or change.
func (r *Reach) writtenBy(known map[*role][]schema.GroupResource, of *role, kinds []schema.GroupResource) []schema.GroupResource {
	list, is := known[of]
	if is {
		return list
	}
	for _, pair := range kinds {
		if slices.ContainsFunc(of.rules, func(rule rbacv1.PolicyRule) bool {
			return slices.ContainsFunc(changes(), func(verb string) bool {
				a := finding.Attributes{Verb: verb, Group: pair.Group, Resource: pair.Resource}
				if len(rule.ResourceNames) > 0 && verb != "create" {
					a.Name = rule.ResourceNames[0]
				}
				return ruleAllows(&rule, &a)
			})
		}) {
			list = append(list, pair)
		}
	}
	known[of] = list
	return list
}
