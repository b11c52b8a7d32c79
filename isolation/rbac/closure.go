package rbac

import (
	"maps"
	"slices"
	"sync"

	corev1 "k8s.io/api/core/v1"

	"github.com/bulkhead-dev/bulkhead/isolation/finding"
	"github.com/bulkhead-dev/bulkhead/snapshot"
)

// Reach is everything that the closures of all tenants share. Nothing in it changes once it is made.
type Reach struct {
	*Authorizer
	snapshot  *snapshot.Snapshot
	admission finding.Admission
	owner     map[string]string
	compiler  *compiler
	members   *members
	// pods with a token, by namespace; tokens are Secrets that service accounts name, by namespace.
	pods       map[string][]*snapshot.Pod
	tokens     map[string]map[string][]string // namespace, secret, service accounts
	guardrails guardrails
	// managedNamespaces are those that Bulkhead made, and whether each is a home.
	managedNamespaces map[string]bool
	// rolesIn are the Roles by namespace.
	rolesIn map[string][]*role
	// guarded is true where the snapshot holds something that could refuse a request.
	guarded bool
	// everyones is what everyone gains, everyonesParts the parts that everyone holds.
	everyones      []*gain
	everyonesParts map[piece][]contribution
	// whole is every right, as of a subject that raises its own rights without limit.
	whole *role
	// closures are those of the tenants, in the snapshot's order, each followed when it is first asked for.
	closures []func() *closure
	// identities are those of the tenants, as closures are.
	identities []func() []Identity
	// everyone is what everyone may do and become.
	everyone *closure
	// marks are changes of namespaces' labels by which admission may pass things over.
	marks func() []finding.Mark
	// accounts and everyUser are those of the cluster that are given something, in whichever namespace.
	accounts, everyUser func() []principal
}

// NewReach follows what every user may do; Find follows each tenant.
func NewReach(in *finding.Input) *Reach {
	s, r := in.Snapshot, New(in.Snapshot)
	reach := &Reach{Authorizer: r, snapshot: s, admission: in.Admission, owner: in.Owner, compiler: newCompiler(r), members: membersOf(r, s, in.Owner),
		pods: map[string][]*snapshot.Pod{}, tokens: map[string]map[string][]string{}, guardrails: guardrailsOf(s), managedNamespaces: managedIn(s),
		guarded: len(s.ValidatingPolicies)+len(s.ValidatingWebhooks)+len(s.MutatingPolicies)+len(s.MutatingWebhooks)+len(s.Missing) > 0}
	reach.marks = sync.OnceValue(func() []finding.Mark {
		if admission, can := in.Admission.(finding.Relabelling); can {
			return admission.NamespaceMarks()
		}
		return nil
	})
	reach.whole = &role{rules: wholeRules()}
	reach.compiler.byRole[reach.whole] = reach.compiler.powersOf(reach.whole.rules)
	reach.rolesIn = make(map[string][]*role, len(s.Namespaces))
	for _, o := range s.Roles {
		reach.rolesIn[o.Namespace] = append(reach.rolesIn[o.Namespace], r.roles[roleKey{"Role", o.Namespace, o.Name}])
	}
	for _, p := range s.Pods {
		if !p.Completed() && p.Spec != nil {
			reach.pods[p.Namespace] = append(reach.pods[p.Namespace], p)
		}
	}
	for _, a := range s.ServiceAccounts {
		for _, secret := range a.Secrets {
			if reach.tokens[a.Namespace] == nil {
				reach.tokens[a.Namespace] = map[string][]string{}
			}
			reach.tokens[a.Namespace][secret.Name] = append(reach.tokens[a.Namespace][secret.Name], a.Name)
		}
	}
	reach.accounts, reach.everyUser = sync.OnceValue(reach.allAccounts), sync.OnceValue(reach.allUsers)
	reach.everyone = reach.followed(finding.EveryTenant, reach.members.everyone)
	reach.everyones, reach.everyonesParts = undominated(reach.everyone.gains), reach.everyone.parts
	for i := range s.Tenants {
		reach.closures = append(reach.closures, sync.OnceValue(func() *closure { return reach.followed(s.Tenants[i].Name, reach.members.of[i]) }))
		reach.identities = append(reach.identities, sync.OnceValue(func() []Identity { return reach.identitiesOf(i) }))
	}
	return reach
}

// node is a principal that a tenant can act as, with the path there.
type node struct {
	principal
	from *node
	// by is the grant that led here, and its right; nil for those that a tenant begins with.
	by  *grant
	how *held
	// maybe reports what else must be true for the way to be one.
	maybe string
	// base is the name of the principal that raised its rights; empty for one that did not.
	base string
	// turn is what the step is, in words.
	turn string
	// namespaced is true where its grants give nothing cluster-scoped, wherever they hold.
	namespaced bool
}

// closure follows every identity that one tenant can gain.
type closure struct {
	*Reach
	// tenant is the one that begins; EveryTenant for what everyone has.
	tenant string
	// without is a binding that is taken to be gone.
	without *snapshot.Ref
	seen    map[string]bool
	queue   []*node
	// begin are the principals that it starts with.
	begin []principal
	// raised are the nodes that gave themselves a role, turned those that others became.
	raised, turned []*node
	parts          map[piece][]contribution
	gains          map[gainKey]*gain
	answers        map[answerKey]answer
}

// contribution is a part that a node holds.
type contribution struct {
	node  *node
	grant *grant
	held  *held
	scope string
	// everyones is true where it is not the tenant's alone: what comes of nothing but such is said of everyone.
	everyones bool
}

// gainKey is what makes two gains one: whom it is done to, and whose fault it is.
type gainKey struct {
	code, to string
	blame    snapshot.Ref
}

// gain is something that a tenant can do beyond its own.
type gain struct {
	gainKey
	from  string
	node  *node
	grant grant
	held  *held
	scope string
	own   bool
	maybe string
	// given is true where the way begins with a binding in a namespace of the tenant to whom it is done.
	given bool
	// yields overrides what the right says.
	yields string
	// pair is the other grant of a combination.
	pair *contribution
	// also is another way to the same, where one cut is not enough.
	also *snapshot.Ref
}

func (r *Reach) newClosure(tenant string, begin []principal, without *snapshot.Ref) *closure {
	c := &closure{Reach: r, tenant: tenant, without: without, begin: begin, seen: map[string]bool{}, gains: map[gainKey]*gain{},
		parts: map[piece][]contribution{}, answers: map[answerKey]answer{}}
	for p, list := range r.everyonesParts {
		for _, shared := range list {
			shared.everyones = true
			c.parts[p] = append(c.parts[p], shared)
		}
	}
	for i := range begin {
		c.visit(&node{principal: begin[i]})
	}
	return c
}

// run follows until there is nothing new.
func (c *closure) run() {
	for {
		for len(c.queue) > 0 {
			n := c.queue[0]
			c.queue = c.queue[1:]
			c.follow(n)
		}
		if c.combineAcross(); len(c.queue) == 0 {
			return
		}
	}
}

func (c *closure) visit(n *node) {
	// What depends on a doubt may come up again without it.
	if key := n.name; !c.seen[key] && (n.maybe == "" || !c.seen[key+"?"]) {
		if n.maybe != "" {
			key += "?"
		}
		c.seen[key] = true
		c.queue = append(c.queue, n)
		if n.from != nil {
			c.turned = append(c.turned, n)
		}
	}
}

// follow looks at everything that a node is given, and at what it can combine.
func (c *closure) follow(n *node) {
	if slices.Contains(n.subject.Groups, groupMasters) {
		c.gain(&gain{gainKey: gainKey{code: codeCluster, to: finding.EveryTenant}, node: n, grant: masters(),
			held: &held{right: &c.compiler.generic.whole, verb: "*"}, yields: "is in system:masters, to whom the API server refuses nothing"})
		return
	}
	var mine []contribution
	for i := range n.grants {
		c.take(n, &n.grants[i], &mine)
	}
	if len(mine) > 0 {
		c.combine(n, mine)
	}
}

// masters is the grant that no binding makes.
func masters() grant {
	return grant{&binding{object: snapshot.Ref{Kind: "Group", Name: groupMasters}}, &role{}}
}

// take looks at one grant. In the tenant's own namespaces only what reaches beyond them counts.
func (c *closure) take(n *node, g *grant, mine *[]contribution) {
	if c.without != nil && g.binding.object == *c.without {
		return
	}
	scope := g.binding.scope()
	powers := c.compiler.byRole[g.role]
	list, own := powers.all, scope != "" && c.tenant != finding.EveryTenant && c.owner[scope] == c.tenant
	if own {
		list = powers.own
	}
	if own {
		c.keep(n, g, scope)
	}
	for i := range list {
		h := &list[i]
		switch {
		case h.scope == clusterScoped && (scope != "" || n.namespaced),
			h.scope == ofNamespace && scope != "" && !h.may(scope),
			scope != "" && h.scope == ofNamespace && h.verb == "create":
			continue
		case h.reaches == ingredient:
			*mine = append(*mine, contribution{n, g, h, scope, false})
			continue
		case h.part != noPart:
			*mine = append(*mine, contribution{n, g, h, scope, false})
		}
		if scope != "" || h.scope != ofNamespace || h.names == nil {
			c.use(n, g, h, scope, own)
			continue
		}
		for _, name := range h.names {
			if own := c.owner[name] == c.tenant && c.tenant != finding.EveryTenant; !own || h.own {
				c.use(n, g, h, name, own)
			}
		}
	}
}

// use is what a right gives, alone.
func (c *closure) use(n *node, g *grant, h *held, scope string, own bool) {
	if scope != "" && h.code == codeRead && harmless(scope, h) {
		return
	}
	if h.reaches == guards {
		c.loosen(n, g, h, scope, own)
		return
	}
	to := c.target(h, scope, own)
	next := &gain{gainKey: gainKey{code: h.code, to: to}, node: n, grant: *g, held: h, scope: scope, own: own, maybe: h.maybe}
	if scope == "" && h.whole && h.names == nil {
		next.code = codeCluster
	}
	if scope == "" && h.strange {
		next.code, next.maybe = codeWhatKind, "whether "+finding.Few(h.rule.Resources)+" lie in namespaces, and hold what is others'"
	}
	c.gain(next)
	if scope != "" {
		c.become(n, g, h, scope)
	} else {
		c.actAsAccounts(n, g, h)
	}
}

// target is whom it is done to.
func (c *closure) target(h *held, scope string, own bool) string {
	switch {
	case own:
		return finding.ThePlatform
	case scope != "":
		return c.owner[scope]
	case h.scope == clusterScoped && h.code != codeExtend && h.code != codeCluster && h.code != codeNodes && h.code != codePose && h.code != codeCertify:
		return finding.ThePlatform
	default:
		return finding.EveryTenant
	}
}

// harmless reports whether a namespace's objects are there to be read by everyone.
func harmless(namespace string, h *held) bool {
	public := []string{"kube-root-ca.crt", "cluster-info", "extension-apiserver-authentication"}
	configMaps := !slices.ContainsFunc(h.rule.Resources, func(r string) bool { return r != "configmaps" })
	return configMaps && (namespace == metaPublic || h.names != nil && !slices.ContainsFunc(h.names, func(n string) bool { return !slices.Contains(public, n) }))
}

// metaPublic is the namespace whose ConfigMaps are for everyone.
const metaPublic = "kube-public"

// become follows a right to the identities that it leads to, in a namespace that is not the tenant's.
func (c *closure) become(n *node, g *grant, h *held, namespace string) {
	if c.owner[namespace] == c.tenant && c.tenant != finding.EveryTenant {
		return // one's own already
	}
	switch h.reaches {
	case everyAccount:
		for _, p := range c.accountsOf(namespace, c.members.accounts[namespace]) {
			c.turn(n, g, h, &p, "", "runs a pod as "+p.name)
		}
	case namedAccount:
		if h.names == nil {
			for _, p := range c.accountsOf(namespace, c.members.accounts[namespace]) {
				c.turn(n, g, h, &p, "", "becomes "+p.name)
			}
		}
		for _, name := range h.names {
			p := c.account(namespace, name)
			p.grants = append(slices.Clone(p.grants), c.groups[groupServiceAccounts+":"+namespace]...)
			c.turn(n, g, h, &p, "", "becomes "+p.name)
		}
	case podsAccounts:
		for _, pod := range c.pods[namespace] {
			if h.may(pod.Name) && mountsToken(pod.Spec) {
				p := c.podAccount(pod)
				c.turn(n, g, h, &p, "", "takes the token of pod "+pod.Namespace+"/"+pod.Name+", which is "+p.name)
			}
		}
	case storedTokens:
		c.readTokens(n, g, h, namespace)
	case gains, guards, ingredient:
	}
}

// podAccount is the service account of a pod.
func (r *Reach) podAccount(pod *snapshot.Pod) principal {
	name := pod.Spec.ServiceAccountName
	if name == "" {
		name = "default"
	}
	p := r.account(pod.Namespace, name)
	p.grants = append(slices.Clone(p.grants), r.groups[groupServiceAccounts+":"+pod.Namespace]...)
	return p
}

// mountsToken reports whether a pod may hold a token: what its service account says about it is not looked at, as it may
// have said something else when the pod was made.
func mountsToken(spec *corev1.PodSpec) bool {
	if spec.AutomountServiceAccountToken == nil || *spec.AutomountServiceAccountToken {
		return true
	}
	for i := range spec.Volumes {
		if p := spec.Volumes[i].Projected; p != nil && slices.ContainsFunc(p.Sources, func(s corev1.VolumeProjection) bool { return s.ServiceAccountToken != nil }) {
			return true
		}
	}
	return false
}

// readTokens: Secrets are never read for a proof. Those that a service account names hold its token; whether others do is
// not known.
func (c *closure) readTokens(n *node, g *grant, h *held, namespace string) {
	for _, secret := range slices.Sorted(maps.Keys(c.tokens[namespace])) {
		for _, account := range c.tokens[namespace][secret] {
			if h.may(secret) {
				p := c.account(namespace, account)
				c.turn(n, g, h, &p, "", "reads the token of "+p.name+" in Secret "+namespace+"/"+secret)
			}
		}
	}
	for _, p := range c.accountsOf(namespace, c.members.accounts[namespace]) {
		c.turn(n, g, h, &p, "whether a Secret of namespace "+namespace+" holds a token of "+p.name, "reads a token of "+p.name)
	}
}

// turn makes a node act as another principal.
func (c *closure) turn(n *node, g *grant, h *held, p *principal, maybe, words string) {
	if len(p.grants) == 0 && !slices.Contains(p.subject.Groups, groupMasters) {
		return
	}
	for _, doubt := range []string{h.maybe, n.maybe} {
		if maybe == "" {
			maybe = doubt
		}
	}
	c.visit(&node{principal: *p, from: n, by: g, how: h, maybe: maybe, turn: words})
}

// gain notes what was found, unless a shorter way to the same is known.
func (c *closure) gain(found *gain) {
	found.from = c.tenant
	first := found.first()
	found.blame = first.binding.object
	if scope := first.binding.scope(); scope != "" && c.owner[scope] == c.tenant {
		found.blame = first.role.object // the binding is the tenant's by right
	} else if scope != "" && c.owner[scope] != finding.ThePlatform {
		found.given = c.owner[scope] == found.to
	}
	if found.maybe == "" {
		found.maybe = found.node.maybe
	}
	if before, has := c.gains[found.gainKey]; !has || before.maybe != "" && found.maybe == "" {
		c.gains[found.gainKey] = found
	}
}

// first is the grant with which the way leaves what is ordinary.
func (g *gain) first() *grant {
	first := &g.grant
	for n := g.node; n.from != nil; n = n.from {
		first = n.by
	}
	return first
}
