package rbac

import (
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/isolation/finding"
	"github.com/bulkhead-dev/bulkhead/snapshot"
)

// withheld are the rights that Bulkhead withholds from owners in their own namespaces. Most do no harm by themselves, or something
// else refuses them still: elsewhere, where Kubernetes' own roles give some of them to all users, they are no finding. In a
// namespace that Bulkhead manages, a subject has one by mistake, and a single control is the only protection.
func withheldRights(home bool) []right {
	withheld := func(yields, group string, verbs []string, resources ...string) []right {
		return right{verbs: verbs, code: codeWithheld, own: true, yields: yields}.on(group, resources...)
	}
	const status = "writes what only controllers write"
	writing := slices.Concat(edits(), removes())
	list := slices.Concat(
		withheld("places pods on nodes", "", []string{"create"}, "pods/binding", "bindings"),
		withheld(status, "", edits(), "pods/status", "services/status", "persistentvolumeclaims/status", "resourcequotas/status"),
		withheld(status, "networking.k8s.io", edits(), "ingresses/status"),
		withheld("has the API server open connections", "", []string{"create", "get", "update", "patch", "delete"}, "pods/proxy", "services/proxy"),
		withheld("sends traffic to addresses of its choice", "", changes(), "endpoints"),
		withheld("sends traffic to addresses of its choice", "discovery.k8s.io", changes(), "endpointslices"),
		withheld("writes what others are read to have done", "", writes(), "events"),
		withheld("writes what others are read to have done", "events.k8s.io", writes(), "events"),
		withheld("can change its guardrails unless admission refuses", "", writing, "resourcequotas", "limitranges"))
	for _, r := range slices.Concat(withheld("can change its guardrails unless admission refuses", "", []string{"update", "patch", "delete"}, "namespaces"),
		withheld("can change its guardrails unless admission refuses", "", edits(), "namespaces/status", "namespaces/finalize")) {
		r.scope = ofNamespace
		list = append(list, r)
	}
	if home {
		return append(list, withheld("runs pods where no pods are meant to be", "", []string{"create"}, "pods")...)
	}
	return append(list, withheld("makes Spaces outside its home", v1alpha1.GroupVersion.Group, []string{"create"}, "spaces")...)
}

// withheldBy are the rights of a list that rules give.
func withheldBy(rules []rbacv1.PolicyRule, list []right) []held {
	var found []held
	for i := range rules {
		for j := range list {
			r := &list[j]
			resource, sub, _ := strings.Cut(r.resource, "/")
			verb := matchingVerb(rules[i].Verbs, r.verbs)
			if verb != "" && Names(rules[i].APIGroups, r.group) &&
				slices.ContainsFunc(rules[i].Resources, func(pattern string) bool { return resourceMatches(pattern, resource, sub) }) {
				found = append(found, held{right: r, rule: &rules[i], verb: verb, names: rules[i].ResourceNames})
			}
		}
	}
	return found
}

// managedIn are the namespaces that Bulkhead manages, and whether each is a home.
func managedIn(s *snapshot.Snapshot) map[string]bool {
	list := map[string]bool{}
	for _, ns := range s.Namespaces {
		_, ofTenant := ns.Labels.Get(v1alpha1.TaintNodeTenant) // labels of namespaces go by the same name
		managed, _ := ns.Labels.Get(v1alpha1.LabelManagedBy)
		if ofTenant || managed == "bulkhead" {
			role, _ := ns.Labels.Get(v1alpha1.LabelRole)
			list[ns.Name] = role == "home"
		}
	}
	return list
}

// keep notes the rights of a grant that a tenant should not have in a namespace of its own.
func (c *closure) keep(n *node, g *grant, scope string) {
	home, is := c.managedNamespaces[scope]
	if !is {
		return
	}
	powers := c.compiler.byRole[g.role]
	list := powers.withheld
	if home {
		list = powers.withheldHome
	}
	for i := range list {
		if h := &list[i]; h.scope != ofNamespace || h.may(scope) {
			c.gain(&gain{gainKey: gainKey{code: codeWithheld, to: finding.ThePlatform}, node: n, grant: *g, held: h, scope: scope, own: true})
		}
	}
}
