package rbac

import (
	"cmp"
	"strings"

	"github.com/bulkhead-dev/bulkhead/isolation/finding"
)

// requests are those that the way to a gain is made of, as far as rights carry it that are there already: what comes after
// a subject raised its rights can be asked only after it has.
func (g *gain) requests() []finding.Request {
	var turns []*node
	for n := g.node; n.from != nil; n = n.from {
		turns = append([]*node{n}, turns...)
	}
	var list []finding.Request
	for _, n := range turns {
		if n.from.base != "" {
			return list
		}
		list = append(list, askedBy(&n.from.principal, n.by, n.how, n.by.binding.scope())...)
	}
	if g.node.base != "" {
		return list
	}
	list = append(list, askedBy(&g.node.principal, &g.grant, g.held, g.scope)...)
	if g.pair != nil {
		list = append(list, askedBy(&g.pair.node.principal, g.pair.grant, g.pair.held, g.pair.scope)...)
	}
	return list
}

// askedBy is the request that a right is for; none where no rule gives it.
func askedBy(p *principal, by *grant, h *held, scope string) []finding.Request {
	if h.rule == nil {
		return nil
	}
	a := finding.Attributes{Verb: cmp.Or(h.verb, firstOf(h.rule.Verbs)), Namespace: cmp.Or(scope, by.binding.scope())}
	if len(h.rule.Resources) == 0 {
		return []finding.Request{{Subject: p.subject, Attributes: finding.Attributes{Verb: a.Verb, Path: firstOf(h.rule.NonResourceURLs)}}}
	}
	resource := h.resource
	if a.Group = h.group; resource == "" {
		a.Group, resource = firstOf(h.rule.APIGroups), firstOf(h.rule.Resources)
	}
	a.Resource, a.Subresource, _ = strings.Cut(resource, "/")
	switch {
	case h.scope == ofNamespace && a.Namespace != "":
		a.Name = a.Namespace
	case len(h.rule.ResourceNames) > 0:
		a.Name = h.rule.ResourceNames[0]
	}
	if h.scope == clusterScoped {
		a.Namespace = ""
	}
	return []finding.Request{{Subject: p.subject, Attributes: a}}
}
