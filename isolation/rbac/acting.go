package rbac

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/bulkhead-dev/bulkhead/isolation/finding"
)

// mostActing is how many identities of others stand for a tenant in its own namespaces. Who becomes more of them is Exposed against
// every tenant by that right.
const mostActing = 32

// identitiesOf are all that act for a tenant: its own, and those of others that it may become and that have rights in its namespaces.
func (r *Reach) identitiesOf(tenant int) []Identity {
	c := r.closures[tenant]()
	var list []Identity
	known := map[string]bool{}
	for i := range c.begin {
		p := &c.begin[i]
		known[p.name] = true
		list = append(list, Identity{stranger: p.stranger, Name: p.name, Subject: p.subject, authorizer: r.Authorizer, gained: r.gainedBy(c, p)})
	}
	own := len(list)
	reaching := slices.DeleteFunc(slices.Concat(c.turned, r.everyone.turned), func(n *node) bool { return n.guessed() || !c.reachedBy(n) })
	slices.SortStableFunc(reaching, func(a, b *node) int {
		return cmp.Or(cmp.Compare(a.maybe, b.maybe), compareBool(r.mayEverything(a), r.mayEverything(b)))
	})
	for _, n := range reaching {
		if !known[n.name] && len(list) < own+mostActing {
			known[n.name] = true
			list = append(list, Identity{Name: n.name, Subject: n.subject, authorizer: r.Authorizer, as: n, gained: r.gainedBy(c, &n.principal)})
		}
	}
	return list
}

// guessed reports whether it is not known that anything leads to a node, as where a Secret may hold its token: then the right to read Secrets
// is Exposed already. Of impersonation it is known whom it leads to, and not what for.
func (n *node) guessed() bool { return n.maybe != "" && !strings.HasPrefix(n.how.verb, "impersonate") }

// Certain reports whether nothing need be known for a tenant to act as the identity.
func (i *Identity) Certain() bool { return i.as == nil || i.as.maybe == "" }

// gainedBy are the roles that a principal can give itself. What everyone can, it can too.
func (r *Reach) gainedBy(c *closure, p *principal) []*node {
	var gained []*node
	for _, n := range c.raised {
		if n.base == p.name {
			gained = append(gained, n)
		}
	}
	for _, e := range r.everyone.begin {
		if slices.Contains(p.subject.Groups, e.subject.Groups[0]) {
			for _, n := range r.everyone.raised {
				if n.base == e.name {
					gained = append(gained, n)
				}
			}
		}
	}
	return gained
}

// reachedBy reports whether who a tenant may become has something in its namespaces, by itself or by what it can give itself.
func (c *closure) reachedBy(n *node) bool {
	return slices.Contains(n.subject.Groups, groupMasters) || slices.ContainsFunc(n.grants, func(g grant) bool {
		return g.binding.scope() == "" || c.owner[g.binding.scope()] == c.tenant
	}) || slices.ContainsFunc(c.raised, func(raised *node) bool { return raised.base == n.name })
}

func (r *Reach) mayEverything(n *node) bool {
	return slices.Contains(n.subject.Groups, groupMasters) || slices.ContainsFunc(n.grants, func(g grant) bool { return r.compiler.byRole[g.role].everything })
}

// act notes whom a node may act as, where it is not followed any further: what gives every identity is worth everything already.
func (c *closure) act(n *node, g *grant, h *held, p *principal, maybe, words string) {
	key := "acts as " + p.name
	if maybe = cmp.Or(maybe, h.maybe, n.maybe); maybe != "" {
		key += "?"
	}
	if c.without != nil || c.seen[key] || c.seen[strings.TrimSuffix(key, "?")] {
		return
	}
	c.seen[key] = true
	c.turned = append(c.turned, &node{principal: *p, from: n, by: g, how: h, maybe: maybe, turn: words + p.name})
}

// actAsAccounts notes the service accounts that a right over all namespaces leads to.
func (c *closure) actAsAccounts(n *node, g *grant, h *held) {
	if c.without != nil {
		return
	}
	maybe, words := "", "becomes "
	named := func(principal) bool { return true }
	switch h.reaches {
	case everyAccount:
		words = "runs a pod as "
	case namedAccount:
		named = namedIn(h)
	case podsAccounts:
		words = "takes the token of a pod, which is "
		run := map[string]bool{}
		for _, pods := range c.pods {
			for _, pod := range pods {
				if h.may(pod.Name) && mountsToken(pod.Spec) {
					run[UserServiceAccount+pod.Namespace+":"+cmp.Or(pod.Spec.ServiceAccountName, "default")] = true
				}
			}
		}
		named = func(p principal) bool { return run[p.subject.User] }
	case storedTokens:
		maybe, words = "whether a Secret holds its token", "reads a token of "
	case gains, guards, ingredient:
		return
	}
	for _, p := range c.accounts() {
		if named(p) {
			c.act(n, g, h, &p, maybe, words)
		}
	}
}

// namedIn reports whether a right that is limited to names covers a service account.
func namedIn(h *held) func(principal) bool {
	return func(p principal) bool {
		_, name, _ := accountOf(p.subject.User)
		return h.may(name)
	}
}

// allAccounts are the service accounts that are given something, in every namespace.
func (r *Reach) allAccounts() []principal {
	var list []principal
	for _, namespace := range slices.Sorted(maps.Keys(r.members.accounts)) {
		list = append(list, r.accountsOf(namespace, r.members.accounts[namespace])...)
	}
	for _, group := range slices.Sorted(maps.Keys(r.groups)) {
		if namespace, is := strings.CutPrefix(group, groupServiceAccounts+":"); is && len(r.members.accounts[namespace]) == 0 {
			list = append(list, r.accountsOf(namespace, nil)...)
		}
	}
	return slices.DeleteFunc(list, func(p principal) bool { return len(p.grants) == 0 })
}

// allUsers are the users that are given something.
func (r *Reach) allUsers() []principal {
	var list []principal
	for _, name := range slices.Sorted(maps.Keys(r.users)) {
		if !strings.HasPrefix(name, UserServiceAccount) {
			list = append(list, r.userCalled(name))
		}
	}
	return list
}

func (r *Authorizer) userCalled(name string) principal {
	return principal{name: "user " + name, subject: finding.Subject{User: name, Groups: []string{GroupAuthenticated}}, grants: r.users[name], context: r.groups[GroupAuthenticated]}
}

func (r *Authorizer) groupCalled(name string) principal {
	return principal{name: "group " + name, subject: finding.Subject{User: "somebody", Groups: []string{name, GroupAuthenticated}}, grants: r.groups[name],
		context: r.groups[GroupAuthenticated]}
}

// actAsAny notes any users, or the group that may everything.
func (c *closure) actAsAny(n *node, g *grant, h *held, kind, maybe string) {
	if kind == rbacv1.GroupKind {
		p := c.groupCalled(groupMasters)
		c.act(n, g, h, &p, maybe, "acts as ")
		return
	}
	for _, p := range c.everyUser() {
		c.act(n, g, h, &p, maybe, "acts as ")
	}
}

// actInGroups notes the users that a node may act as, in all the groups that it may claim for them together: what each has alone is
// followed, and a policy that spares one of the groups spares them.
func (h *holding) actInGroups(users, groups []contribution, maybe string) {
	var names []string
	for i := range groups {
		names = append(names, groups[i].held.names...)
	}
	if h.without != nil || len(names) == 0 {
		return
	}
	for i := range users {
		list := make([]principal, 0, len(users[i].held.names))
		for _, name := range users[i].held.names {
			list = append(list, h.userCalled(name))
		}
		if users[i].held.names == nil {
			list = h.everyUser()
		}
		for _, p := range list {
			if own := slices.IndexFunc(h.begin, func(b principal) bool { return b.subject.User == p.subject.User }); own >= 0 {
				p.context = h.begin[own].context
			}
			p.grants = slices.Clone(p.grants)
			for _, name := range names {
				p.grants = append(p.grants, h.groups[name]...)
			}
			p.name, p.subject.Groups = p.name+" in group "+finding.Few(names), append(slices.Clone(names), GroupAuthenticated)
			h.act(h.node, groups[0].grant, groups[0].held, &p, maybe, "acts as ")
		}
	}
}

// actByCertificate notes whom a certificate may name: every user and every group that is given something, but the one whose name the
// API server refuses in a certificate that it signs.
func (c *closure) actByCertificate(by *contribution, maybe string) {
	list := slices.Clone(c.everyUser())
	for _, name := range slices.Sorted(maps.Keys(c.groups)) {
		if name != groupMasters && name != GroupAuthenticated && name != groupUnauthenticated {
			list = append(list, c.groupCalled(name))
		}
	}
	for _, p := range list {
		c.act(by.node, by.grant, by.held, &p, maybe, "gets a certificate of ")
	}
}
