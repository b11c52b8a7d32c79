package rbac

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/bulkhead-dev/bulkhead/isolation/finding"
	"github.com/bulkhead-dev/bulkhead/snapshot"
)

func wholeRules() []rbacv1.PolicyRule {
	all := []string{"*"}
	return []rbacv1.PolicyRule{{Verbs: all, APIGroups: all, Resources: all}, {Verbs: all, NonResourceURLs: all}}
}

// holding are the parts that one principal holds, with what its groups give it: what a single request needs must come
// together in one identity.
type holding struct {
	*closure
	node  *node
	parts map[piece][]contribution
}

// combine looks at what a node's parts give together.
func (c *closure) combine(n *node, mine []contribution) {
	h := &holding{c, n, map[piece][]contribution{}}
	for _, m := range mine {
		h.parts[m.held.part] = append(h.parts[m.held.part], m)
		c.parts[m.held.part] = append(c.parts[m.held.part], m)
	}
	for i := range n.context {
		g := &n.context[i]
		if c.without != nil && g.binding.object == *c.without {
			continue
		}
		parts := c.compiler.byRole[g.role].parts
		for j := range parts {
			if scope := g.binding.scope(); scope == "" || parts[j].scope == namespaceScoped {
				h.parts[parts[j].part] = append(h.parts[parts[j].part], contribution{n, g, &parts[j], scope, false})
			}
		}
	}
	h.bind()
	h.escalate()
	h.pose()
	h.poseConstrained()
}

// meet is the scope in which two contributions work together; false if there is none.
func meet(a, b *contribution) (string, bool) {
	if a.scope == "" {
		return b.scope, true
	}
	return a.scope, b.scope == "" || a.scope == b.scope
}

// bind: a subject that writes bindings and may bind a role that it does not have gives itself the role.
func (h *holding) bind() {
	for _, write := range h.parts[partWriteRoleBindings] {
		for _, b := range slices.Concat(h.parts[partBindClusterRoles], h.parts[partBindRoles]) {
			if scope, together := meet(&write, &b); together {
				h.bindWhat(&b, scope, true)
			}
		}
	}
	if len(h.parts[partWriteClusterRoleBindings]) > 0 {
		for _, b := range h.parts[partBindClusterRoles] {
			if b.scope == "" {
				h.bindWhat(&b, "", false)
			}
		}
	}
}

func (h *holding) bindWhat(b *contribution, scope string, namespaced bool) {
	switch {
	case h.hasEverything(scope):
	case b.held.part == partBindClusterRoles && b.held.names == nil:
		h.raise(b, h.whole, scope, namespaced, "binds itself to any ClusterRole")
	case b.held.part == partBindClusterRoles:
		for _, name := range b.held.names {
			if r := h.roles[roleKey{kind: "ClusterRole", name: name}]; r != nil {
				h.raise(b, r, scope, namespaced, "binds itself to ClusterRole "+name)
			}
		}
	default:
		for _, namespace := range h.namespacesWithRoles(scope) {
			for _, r := range h.rolesIn[namespace] {
				if b.held.may(r.object.Name) {
					h.raise(b, r, namespace, true, "binds itself to "+r.object.String())
				}
			}
		}
	}
}

// namespacesWithRoles are those of a scope that hold Roles.
func (r *Reach) namespacesWithRoles(scope string) []string {
	if scope != "" {
		return []string{scope}
	}
	return slices.Sorted(maps.Keys(r.rolesIn))
}

// escalate: a subject that may change a role that is bound to it past its own rights gives itself every right where it is
// bound. A new ClusterRole reaches an aggregated one through its labels.
func (h *holding) escalate() {
	if len(h.parts[partEscalateRoles])+len(h.parts[partEscalateClusterRoles]) == 0 {
		return
	}
	h.escalateOwn()
	bound := slices.Concat(h.node.grants, h.node.context)
	for i := range h.begin {
		bound = append(bound, h.begin[i].grants...)
	}
	for _, g := range bound {
		kind, escalate, edit := g.role.object.Kind, partEscalateClusterRoles, partEditClusterRoles
		if kind == "Role" {
			escalate, edit = partEscalateRoles, partEditRoles
		}
		for _, e := range h.parts[escalate] {
			for _, u := range h.parts[edit] {
				scope, together := meet(&e, &u)
				if together && e.held.may(g.role.object.Name) && u.held.may(g.role.object.Name) && (scope == "" || scope == g.binding.scope()) {
					h.raise(&e, h.whole, g.binding.scope(), false, "writes every right into "+g.role.object.String()+", which it has by "+g.binding.object.String())
				}
			}
			if kind == "ClusterRole" && g.role.aggregated && e.held.names == nil && len(h.parts[partCreateClusterRoles]) > 0 {
				h.raise(&e, h.whole, g.binding.scope(), false, "makes a ClusterRole with every right that "+g.role.object.String()+" takes up by its labels")
			}
		}
	}
}

// escalateOwn: a subject that writes bindings binds a role with few rights, which every subject may, and then escalates it.
func (h *holding) escalateOwn() {
	for _, write := range h.parts[partWriteRoleBindings] {
		for _, e := range h.parts[partEscalateRoles] {
			scope, together := meet(&write, &e)
			for _, edit := range h.parts[partEditRoles] {
				if in, also := meet(&contribution{scope: scope}, &edit); together && also && h.hasRole(in, &e, &edit) {
					h.raise(&e, h.whole, in, true, "binds itself to a Role and writes every right into it")
				}
			}
		}
		if len(h.parts[partEditClusterRoles]) > 0 {
			for _, e := range h.parts[partEscalateClusterRoles] {
				h.raise(&e, h.whole, write.scope, true, "binds itself to a ClusterRole and writes every right into it")
			}
		}
	}
	if len(h.parts[partWriteClusterRoleBindings]) > 0 && len(h.parts[partEditClusterRoles]) > 0 {
		for _, e := range h.parts[partEscalateClusterRoles] {
			h.raise(&e, h.whole, "", false, "binds itself to a ClusterRole and writes every right into it")
		}
	}
}

// hasRole reports whether there is a Role to escalate, or the node can make one.
func (h *holding) hasRole(scope string, escalate, edit *contribution) bool {
	for _, namespace := range h.namespacesWithRoles(scope) {
		if slices.ContainsFunc(h.rolesIn[namespace], func(r *role) bool { return escalate.held.may(r.object.Name) && edit.held.may(r.object.Name) }) {
			return true
		}
	}
	return slices.ContainsFunc(h.parts[partCreateRoles], func(c contribution) bool { return c.scope == "" || c.scope == scope })
}

// raise gives a node a role that it had not, in a namespace or everywhere, unless admission refuses.
func (h *holding) raise(by *contribution, to *role, scope string, namespaced bool, words string) {
	base := cmp.Or(h.node.base, h.node.name)
	key := "raised: " + base + " " + to.object.String() + " " + scope
	if h.seen[key] || h.hasEverything(scope) {
		return
	}
	h.seen[key] = true
	a := h.askRaise(h.node, scope, to, !strings.Contains(words, "every right"))
	if a.refused {
		return
	}
	if words += " everywhere"; scope != "" {
		words = strings.TrimSuffix(words, " everywhere") + " in namespace " + scope
	}
	next := &node{principal: h.node.principal, from: h.node, by: by.grant, how: by.held, maybe: cmp.Or(a.unknown, h.node.maybe, by.held.maybe),
		turn: words, namespaced: namespaced, base: base}
	next.name, next.context = key, slices.Concat(h.node.grants, h.node.context)
	next.grants = []grant{{&binding{object: snapshot.Ref{Kind: "RoleBinding", Namespace: scope}}, to}}
	h.raised = append(h.raised, next)
	own := scope != "" && h.owner[scope] == h.tenant
	g := &gain{gainKey: gainKey{code: codeRaise, to: finding.EveryTenant}, node: h.node, grant: *by.grant, held: by.held, scope: scope, own: own, maybe: next.maybe, yields: words}
	switch {
	case own:
		g.to = finding.ThePlatform
	case scope != "":
		g.to = h.owner[scope]
	case to == h.whole:
		g.code = codeCluster
	}
	if !own || to == h.whole { // at home, roles that are meant to be bound count for what they hold
		h.gain(g)
	}
	if g.code != codeCluster {
		h.queue = append(h.queue, next)
	}
}

// hasEverything reports whether a node has every right already, so that it has nothing to raise.
func (h *holding) hasEverything(scope string) bool {
	return slices.ContainsFunc(h.node.grants, func(g grant) bool {
		s := g.binding.scope()
		return h.compiler.byRole[g.role].everything && (s == "" && !h.node.namespaced || s != "" && s == scope)
	})
}

// pose: impersonation. Groups, uids and extra fields are asked for together with a user or a service account.
func (h *holding) pose() {
	someone := len(h.parts[partPoseUsers])+len(h.parts[partPoseAccounts]) > 0
	for _, u := range h.parts[partPoseUsers] {
		h.poseAs(&u, rbacv1.UserKind, "")
	}
	h.actInGroups(h.parts[partPoseUsers], h.parts[partPoseGroups], "")
	if !someone {
		return
	}
	for _, g := range h.parts[partPoseGroups] {
		h.poseAs(&g, rbacv1.GroupKind, "")
	}
	for _, m := range h.parts[partPoseMore] {
		h.gain(&gain{gainKey: gainKey{code: codePose, to: finding.ThePlatform}, node: h.node, grant: *m.grant, held: m.held,
			maybe: "what uids and extra fields open to a subject that claims them: RBAC does not look at them", yields: "claims any uid or extra field"})
	}
}

// poseConstrained: the same, limited to requests that impersonate-on rules name.
func (h *holding) poseConstrained() {
	const limits = "which requests its impersonate-on rules allow with that identity"
	if len(h.parts[partOnUsers]) > 0 && len(h.parts[partConstrainedUsers]) > 0 {
		for _, u := range h.parts[partConstrainedUsers] {
			h.poseAs(&u, rbacv1.UserKind, limits)
		}
		for _, g := range h.parts[partConstrainedGroups] {
			h.poseAs(&g, rbacv1.GroupKind, limits)
		}
		h.actInGroups(h.parts[partConstrainedUsers], h.parts[partConstrainedGroups], limits)
	}
	if len(h.parts[partOnAccounts]) > 0 {
		for _, a := range h.parts[partConstrainedAccounts] {
			h.poseAsAccounts(&a, limits)
		}
	}
	for _, nd := range h.parts[partConstrainedNodes] {
		on, maybe := partOnNodes, ""
		if nd.held.verb == "impersonate:associated-node" {
			on, maybe = partOnOwnNode, "on which nodes its pods run: it acts as these"
		}
		if len(h.parts[on]) > 0 {
			h.gain(&gain{gainKey: gainKey{code: codeNodes, to: finding.EveryTenant}, node: h.node, grant: *nd.grant, held: nd.held, maybe: maybe, yields: "acts as a node"})
		}
	}
}

// poseAs follows the impersonation of users or groups, any or those that are named.
func (h *holding) poseAs(by *contribution, kind, limits string) {
	what := strings.ToLower(kind)
	if by.held.names == nil {
		h.gain(&gain{gainKey: gainKey{code: codePose, to: finding.EveryTenant}, node: h.node, grant: *by.grant, held: by.held, yields: "acts as any " + what})
		h.actAsAny(h.node, by.grant, by.held, kind, limits)
		return
	}
	for _, name := range by.held.names {
		if strings.HasPrefix(name, UserServiceAccount) && kind == rbacv1.UserKind {
			continue // the API server asks about the service account instead
		}
		p := h.userCalled(name)
		if kind == rbacv1.GroupKind {
			p = h.groupCalled(name)
		}
		if whose := h.members.whose(rbacv1.Subject{Kind: kind, Name: name}, h.owner); whose != h.tenant {
			h.gain(&gain{gainKey: gainKey{code: codePose, to: whose}, node: h.node, grant: *by.grant, held: by.held, yields: "acts as " + p.name})
		}
		h.turn(h.node, by.grant, by.held, &p, limits, "acts as "+p.name)
	}
}

func (h *holding) poseAsAccounts(by *contribution, limits string) {
	to := finding.EveryTenant
	if by.scope != "" {
		if to = h.owner[by.scope]; to == h.tenant {
			return
		}
	}
	g := &gain{gainKey: gainKey{code: codeRunAs, to: to}, node: h.node, grant: *by.grant, held: by.held, scope: by.scope, yields: "acts as service accounts"}
	if by.scope == "" {
		g.code = codeCluster
	}
	if h.gain(g); by.scope == "" {
		named := namedIn(by.held)
		for _, p := range h.accounts() {
			if named(p) {
				h.act(h.node, by.grant, by.held, &p, limits, "acts as ")
			}
		}
		return
	}
	for _, p := range h.accountsOf(by.scope, h.members.accounts[by.scope]) {
		h.turn(h.node, by.grant, by.held, &p, limits, "acts as "+p.name)
	}
}

// combineAcross looks at what several requests give together: they may come from different identities of one tenant.
func (c *closure) combineAcross() {
	request := c.parts[partRequestCertificates]
	if len(request) == 0 {
		c.tokenSecrets()
		return
	}
	for _, a := range c.parts[partAutoApprove] {
		c.certify(&a, &request[0], &request[0], "", "gets a node's certificate: the controller approves it")
	}
	for _, s := range c.parts[partApproveSigner] {
		if approve := c.parts[partApproveCertificates]; len(approve) > 0 {
			c.certify(&s, &approve[0], &request[0], trustedSigner(s.held.names), "signs itself a certificate of any user")
		}
	}
	for _, s := range c.parts[partSign] {
		if status := c.parts[partSignerStatus]; len(status) > 0 {
			c.certify(&s, &status[0], &request[0], "what trusts the certificates of its signers", "puts certificates of its own into requests")
		}
	}
	c.tokenSecrets()
}

// trustedSigner reports what must be known of the signers that a subject approves for; empty if the API server trusts one.
func trustedSigner(names []string) string {
	for _, trusted := range []string{"kubernetes.io/*", "kubernetes.io/kube-apiserver-client", "kubernetes.io/kube-apiserver-client-kubelet", "kubernetes.io/legacy-unknown"} {
		if names == nil || slices.Contains(names, trusted) {
			return ""
		}
	}
	return "what trusts the certificates of " + finding.Few(names)
}

func (c *closure) certify(by, pair, request *contribution, maybe, yields string) {
	if by.everyones && pair.everyones && request.everyones {
		return
	}
	c.gain(&gain{gainKey: gainKey{code: codeCertify, to: finding.EveryTenant}, node: by.node, grant: *by.grant, held: by.held, pair: pair, maybe: maybe, yields: yields})
	c.actByCertificate(by, maybe)
}

// tokenSecrets: a Secret of type service-account-token is filled in by a controller, for any subject that reads it.
func (c *closure) tokenSecrets() {
	for _, create := range c.parts[partCreateSecrets] {
		for _, read := range c.parts[partReadSecrets] {
			scope, together := meet(&create, &read)
			key := "token Secrets of " + scope
			if !together || c.seen[key] || create.everyones && read.everyones || scope != "" && c.owner[scope] == c.tenant {
				continue
			}
			a := c.askTokenSecret(create.node, scope)
			if a.refused {
				continue
			}
			c.seen[key] = true
			g := &gain{gainKey: gainKey{code: codeRunAs}, node: create.node, grant: *create.grant, held: create.held, scope: scope,
				pair: &read, maybe: a.unknown, yields: "makes a Secret that a controller fills with a service account's token, and reads it"}
			if g.to = c.owner[scope]; scope == "" {
				g.code, g.to = codeCluster, finding.EveryTenant
				c.gain(g)
				continue
			}
			c.gain(g)
			for _, p := range c.accountsOf(scope, c.members.accounts[scope]) {
				c.turn(create.node, create.grant, create.held, &p, a.unknown, "reads a token that it had made for "+p.name)
			}
		}
	}
}
