package rbac

import (
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
)

// held is a right that a rule gives.
type held struct {
	*right
	rule *rbacv1.PolicyRule
	// verb that gives it.
	verb string
	// names of the objects that it is limited to; nil is all.
	names []string
	// maybe is true where something else must be true as well.
	maybe string
	// strange is true where the kind is not one that is known.
	strange bool
}

// may reports whether the right covers an object of a name.
func (h *held) may(name string) bool { return h.names == nil || slices.Contains(h.names, name) }

// powers is what a role gives, by the table of rights.
type powers struct {
	all []held
	// own is what of it matters in the tenant's own namespaces.
	own []held
	// parts is what of it gives something only together with others.
	parts []held
	// withheld is what no owner should have in its Spaces, withheldHome in its home.
	withheld, withheldHome []held
	// everything is true where no verb and no resource is left out.
	everything bool
}

// compiler turns roles into powers, each distinct list of rules once.
type compiler struct {
	rights []right
	// withheld are the rights that owners should not have in their Spaces, withheldHome in their homes.
	withheld, withheldHome []right
	index                  map[string][]*right // by group/resource
	kinds                  kinds
	generic                genericRights
	done                   map[string]*powers
	byRole                 map[*role]*powers
}

// genericRights judge what the table does not list, by its kind.
type genericRights struct {
	read, write, names, shared, path, whole right
	on                                      map[string]*right // impersonate-on, by mode
}

func newCompiler(r *Authorizer) *compiler {
	c := &compiler{rights: tableOfRights(), withheld: withheldRights(false), withheldHome: withheldRights(true), index: map[string][]*right{}, kinds: newKinds(), done: map[string]*powers{}}
	for i := range c.rights {
		key := c.rights[i].group + "/" + c.rights[i].resource
		c.index[key] = append(c.index[key], &c.rights[i])
	}
	on := func(p piece) *right { return &right{reaches: ingredient, own: true, part: p} }
	c.generic = genericRights{
		read:   right{code: codeRead, yields: "reads what is there"},
		write:  right{code: codeWrite, yields: "changes what is there"},
		names:  right{code: codeEnumerate, scope: clusterScoped, yields: "learns of others"},
		shared: right{code: codeSharedKind, scope: clusterScoped, yields: "changes what everyone uses"},
		path:   right{code: codePath, scope: clusterScoped, yields: "reads the API server's own metrics, logs or debug paths"},
		whole:  right{code: codeCluster, scope: clusterScoped, yields: "does everything"},
		on: map[string]*right{"user-info": on(partOnUsers), "serviceaccount": on(partOnAccounts), "arbitrary-node": on(partOnNodes),
			"associated-node": on(partOnOwnNode)},
	}
	c.byRole = make(map[*role]*powers, len(r.roles))
	for _, role := range r.roles {
		c.byRole[role] = c.powersOf(role.rules)
	}
	return c
}

// powersOf are the powers of a list of rules. Tenants' roles are mostly alike: each list is looked at once.
func (c *compiler) powersOf(rules []rbacv1.PolicyRule) *powers {
	key := rulesKey(rules)
	if p := c.done[key]; p != nil {
		return p
	}
	p := &powers{}
	for i := range rules {
		c.compile(&rules[i], p)
	}
	for _, h := range p.all {
		if h.own {
			p.own = append(p.own, h)
		}
		if h.part != noPart {
			p.parts = append(p.parts, h)
		}
	}
	p.withheld, p.withheldHome = withheldBy(rules, c.withheld), withheldBy(rules, c.withheldHome)
	c.done[key] = p
	return p
}

func rulesKey(rules []rbacv1.PolicyRule) string {
	var b strings.Builder
	for i := range rules {
		for _, list := range [][]string{rules[i].Verbs, rules[i].APIGroups, rules[i].Resources, rules[i].ResourceNames, rules[i].NonResourceURLs} {
			for _, s := range list {
				b.WriteString(s)
				b.WriteByte(0)
			}
			b.WriteByte(1)
		}
	}
	return b.String()
}

func (c *compiler) compile(rule *rbacv1.PolicyRule, p *powers) {
	for _, pattern := range rule.NonResourceURLs {
		if !publicPath(pattern) {
			p.add(held{right: &c.generic.path, rule: rule, verb: firstOf(rule.Verbs)})
		}
	}
	everything := slices.Contains(rule.Verbs, "*") && slices.Contains(rule.APIGroups, "*") && slices.Contains(rule.Resources, "*")
	if everything && len(rule.ResourceNames) == 0 {
		p.everything = true
		p.add(held{right: &c.generic.whole, rule: rule, verb: "*"})
	}
	for mode, r := range c.generic.on {
		if slices.ContainsFunc(rule.Verbs, func(v string) bool { return v == "*" || strings.HasPrefix(v, "impersonate-on:"+mode+":") }) {
			p.add(held{right: r, rule: rule})
		}
	}
	for _, group := range rule.APIGroups {
		for _, resource := range rule.Resources {
			c.compileResource(rule, group, resource, p)
		}
	}
}

func (c *compiler) compileResource(rule *rbacv1.PolicyRule, group, resource string, p *powers) {
	if matchesNothing(group, resource) {
		return
	}
	listedWrites := false
	for _, r := range c.matching(group, resource) {
		verb := matchingVerb(rule.Verbs, r.verbs)
		if verb == "" {
			continue
		}
		p.add(c.hold(r, rule, verb))
		listedWrites = listedWrites || r.reaches != ingredient && r.reaches != guards || r.scope == ofNamespace || r.part == partRequestCertificates
	}
	c.judgeKind(rule, group, resource, listedWrites, p)
}

// matching are the rights of the table that a rule's group and resource match.
func (c *compiler) matching(group, resource string) []*right {
	if group != "*" && !strings.Contains(resource, "*") {
		if strings.HasPrefix(resource, "userextras/") {
			resource = "userextras"
		}
		return c.index[group+"/"+resource]
	}
	var matching []*right
	for i := range c.rights {
		r := &c.rights[i]
		base, sub, _ := strings.Cut(r.resource, "/")
		if (group == "*" || group == r.group) && resourceMatches(resource, base, sub) {
			matching = append(matching, r)
		}
	}
	return matching
}

// hold is a right as a rule gives it. A create knows no name, except through an update or patch of what is not there
// yet: limited to names it is worth something only together with one of these.
func (c *compiler) hold(r *right, rule *rbacv1.PolicyRule, verb string) held {
	h := held{right: r, rule: rule, verb: verb}
	if len(rule.ResourceNames) > 0 {
		h.names = rule.ResourceNames
		if verb == "create" && !strings.Contains(r.resource, "/") && matchingVerb(rule.Verbs, edits()) == "" {
			h.maybe = "its create is limited to names, which only an update or patch can have"
		}
	}
	if verb == "get" && (r.resource == "pods/exec" || r.resource == "pods/attach") {
		h.maybe = "from Kubernetes 1.35 on, a websocket needs create as well"
	}
	return h
}

// judgeKind adds what verbs mean by the kind alone.
func (c *compiler) judgeKind(rule *rbacv1.PolicyRule, group, resource string, listedWrites bool, p *powers) {
	class := c.kinds.of(group, resource)
	reading, writing := matchingVerb(rule.Verbs, reads()), matchingVerb(rule.Verbs, writes())
	if resource == "namespaces" && reading == "get" && len(rule.ResourceNames) > 0 {
		reading = "" // the name was known
	}
	add := func(r *right, verb string) {
		if verb != "" {
			h := c.hold(r, rule, verb)
			h.strange = class == kindUnknown
			p.add(h)
		}
	}
	if listedWrites && !strings.Contains(resource, "*") && group != "*" {
		writing = ""
	}
	switch class {
	case kindNamespaced, kindUnknown:
		add(&c.generic.read, reading)
		add(&c.generic.write, writing)
	case kindNames:
		add(&c.generic.names, reading)
		add(&c.generic.shared, writing)
	case kindShared:
		add(&c.generic.shared, writing)
	case kindSelf:
	}
	if resource == "*" && c.kinds.groups[group] {
		add(&c.generic.names, reading)
		add(&c.generic.shared, writing)
	}
}

// add keeps one unlimited form of a right at most, and every limited one next to it.
func (p *powers) add(h held) {
	for i := range p.all {
		if p.all[i].right == h.right && p.all[i].names == nil && p.all[i].maybe == "" && p.all[i].strange == h.strange {
			return
		}
	}
	p.all = append(p.all, h)
}

// matchingVerb is the first verb of a right that a rule has; empty if none.
func matchingVerb(have, want []string) string {
	for _, verb := range want {
		if Names(have, verb) {
			return verb
		}
	}
	return ""
}

func firstOf(list []string) string {
	if len(list) == 0 {
		return ""
	}
	return list[0]
}
