package network

import (
	"fmt"
	"slices"

	"github.com/bulkhead-dev/bulkhead/snapshot"
)

// Pair is the verdict on an ordered pair of tenants, with what it rests on.
type Pair struct {
	From, To string
	Verdict  PairVerdict
	// Declared connections that are open, and Excess beyond them.
	Declared, Excess Ports
	// Possible connections beyond the declared ones, which depend on addresses or nodes of pods that are not known.
	Possible Ports
	// Witness of the excess, or else of what is possible; nil if there is neither.
	Witness *Witness
	// Doubts report what is missing for a verdict, or would be if it were not Exceeding.
	Doubts []string
}

// Witness is one connection that exceeds: who reaches whom, and what lets it through on each side.
type Witness struct {
	// From and To are workloads, as namespace/name[Kind]; FromPod and ToPod one pod of each, as namespace/name.
	From, To       string
	FromPod, ToPod string
	Ports          Ports
	// Egress and Ingress are the causes on the side of the source and of the destination, in order. Closing either side
	// ends the connection.
	Egress, Ingress []Cause
}

// Cause is an object that lets a connection through.
type Cause struct {
	// Kind, Namespace and Name of the object: a policy, the Namespace that lacks one, or the host-network Pod.
	Kind, Namespace, Name string
	// Rule of the policy, from 0; -1 otherwise.
	Rule int
	// Why it lets the connection through.
	Why string
}

func (p *TenantPairs) pair(from, to int) Pair {
	pair := Pair{From: p.r.tenants[from].name, To: p.r.tenants[to].name, Verdict: NoConnection}
	pair.Doubts = append(pair.Doubts, p.everyone...)
	pair.Doubts = append(append(pair.Doubts, p.byTenant[from]...), p.byTenant[to]...)
	if p.r.maybe.has(from, to) {
		p.connect(&pair, from, to)
	}
	switch {
	case !pair.Excess.Empty():
		pair.Verdict = Exceeding
	case len(pair.Doubts) > 0:
		pair.Verdict = PairUnknown
	case !pair.Declared.Empty():
		pair.Verdict = DeclaredOnly
	}
	return pair
}

// connect fills in every connection of the pair.
func (p *TenantPairs) connect(pair *Pair, from, to int) {
	f := findings{r: p.r, pair: pair, flows: p.flows[[2]int{from, to}]}
	for _, a := range p.r.tenants[from].spaces {
		for _, b := range p.r.tenants[to].spaces {
			if pair.Excess.All() && len(f.flows) == 0 {
				break // there is no more to find
			}
			source, target := p.r.spaces[a], p.r.spaces[b]
			f.overPolicies(source, target)
			f.onNodes(source, target)
			f.settle(source, target)
		}
	}
	pair.Possible = pair.Possible.minus(pair.Excess)
	if !pair.Possible.Empty() {
		why := "addresses or nodes of pods that are not known"
		if p.r.tiers != nil {
			why += ", on domain names, or on which of several policies of administrators with the same priority is applied"
		}
		pair.Doubts = append(pair.Doubts, fmt.Sprintf("%s from %s to %s depends on %s", f.possible.Ports, f.possible.From, f.possible.To, why))
	}
	if pair.Witness == nil {
		pair.Witness = f.possible
	}
}

// findings collects the connections of a pair of tenants.
type findings struct {
	r        *Reach
	pair     *Pair
	flows    []flow
	possible *Witness
	// sure and maybe are the first classes of the two namespaces at hand that have a connection; with nil there is none.
	sure, maybe [2]*class
	outs, ins   []carried
}

// overPolicies adds what policies let through from one namespace to another.
func (f *findings) overPolicies(source, target *space) {
	f.outs = appendFor(f.outs[:0], target, source.narrowOut, source.wideOut)
	if len(f.outs) == 0 {
		return
	}
	f.ins = appendFor(f.ins[:0], source, target.narrowIn, target.wideIn)
	for _, out := range f.outs {
		for _, in := range f.ins {
			a, b, ends := out.allowance, in.allowance, [2]end{{source, out.class}, {target, in.class}}
			if !a.peer.holds(target, in.class, true) || !b.peer.holds(source, out.class, true) {
				continue
			}
			tiers := f.r.tiers.passage(out.class.signature, in.class.signature)
			certain := a.peer.holds(target, in.class, false) && b.peer.holds(source, out.class, false)
			if certain {
				f.sureOf(overlap(tiers, a, b, out.class, in.class, false), a, b, ends)
			}
			if !certain || tiers != nil {
				f.possibleOf(overlap(tiers, a, b, out.class, in.class, true), a, b, ends)
			}
		}
	}
}

// sureOf adds ports that are certainly open between two classes.
func (f *findings) sureOf(ports Ports, out, in *allowance, ends [2]end) {
	pair, approved := f.pair, declared(f.flows, out, in, ends[0], ends[1])
	beyond := ports.minus(approved)
	pair.Declared = pair.Declared.union(ports.intersect(approved))
	if pair.Excess = pair.Excess.union(beyond); !beyond.Empty() {
		f.sure = first(f.sure, ends[0].class, ends[1].class)
	}
}

// possibleOf adds those of ports that may be open and are not certain to be.
func (f *findings) possibleOf(ports Ports, out, in *allowance, ends [2]end) {
	beyond := ports.minus(declared(f.flows, out, in, ends[0], ends[1]))
	if !beyond.Empty() {
		beyond = beyond.minus(f.r.between(f.flows, ends[0], ends[1], false))
	}
	if !beyond.Empty() {
		f.pair.Possible = f.pair.Possible.union(beyond)
		f.maybe = first(f.maybe, ends[0].class, ends[1].class)
	}
}

// appendFor appends what of a namespace's allowances can concern another.
func appendFor(list []carried, other *space, lists ...[]carried) []carried {
	for _, l := range lists {
		for i := range l {
			if peer := &l[i].allowance.peer; peer.kind == everyone || peer.spaces.has(other.id) {
				list = append(list, l[i])
			}
		}
	}
	return list
}

// first returns the pair of classes that comes first.
func first(known [2]*class, from, to *class) [2]*class {
	if known[0] == nil || from.id < known[0].id || from.id == known[0].id && to.id < known[1].id {
		return [2]*class{from, to}
	}
	return known
}

// settle makes the witnesses of two namespaces, unless there are some.
func (f *findings) settle(source, target *space) {
	witness := func(classes [2]*class, loose bool) *Witness {
		s, t := end{source, classes[0]}, end{target, classes[1]}
		ports := f.r.between(f.flows, s, t, loose)
		if loose {
			ports = ports.minus(f.r.between(f.flows, s, t, false))
		}
		return f.r.witnessOf(s, t, f.flows, ports, loose)
	}
	if f.sure[0] != nil && f.pair.Witness == nil {
		f.pair.Witness = witness(f.sure, false)
	}
	if f.maybe[0] != nil && f.possible == nil {
		f.possible = witness(f.maybe, true)
	}
	f.sure, f.maybe = [2]*class{}, [2]*class{}
}

// onNodes adds what host-network pods reach, and are reached by, on their own node.
func (f *findings) onNodes(source, target *space) {
	pair := f.pair
	if len(source.hostNodes) == 0 && len(target.hostNodes) == 0 {
		return
	}
	for i, a := range source.pods {
		for j, b := range target.pods {
			sure, maybe := nodeLink([]*snapshot.Pod{a}, []*snapshot.Pod{b})
			if !maybe {
				continue
			}
			approved := declared(f.flows, f.r.open, f.r.open, end{source, source.classes[source.classOf[i]]}, end{target, target.classes[target.classOf[j]]})
			excess := everyPort().minus(approved)
			w := nodeWitness(source, target, a, b, excess)
			switch {
			case sure:
				pair.Declared = pair.Declared.union(approved)
				if pair.Excess = pair.Excess.union(excess); pair.Witness == nil && !excess.Empty() {
					pair.Witness = w
				}
			case !excess.Empty():
				if pair.Possible = pair.Possible.union(excess); f.possible == nil {
					f.possible = w
				}
			}
		}
	}
}

func nodeWitness(source, target *space, a, b *snapshot.Pod, ports Ports) *Witness {
	host := a
	if !a.HostNetwork {
		host = b
	}
	cause := []Cause{{Kind: "Pod", Namespace: host.Namespace, Name: host.Name, Rule: -1,
		Why: "it uses its node's network, and a node and its pods always reach each other"}}
	return &Witness{From: workloadName(source, a.Workload()), To: workloadName(target, b.Workload()),
		FromPod: a.Namespace + "/" + a.Name, ToPod: b.Namespace + "/" + b.Name, Ports: ports, Egress: cause, Ingress: cause}
}

func (r *Reach) witnessOf(from, to end, flows []flow, ports Ports, loose bool) *Witness {
	w := &Witness{Ports: ports}
	tiers := r.tiers.passage(from.class.signature, to.class.signature)
	for _, out := range from.class.out {
		for _, in := range to.class.in {
			if !out.peer.holds(to.space, to.class, loose) || !in.peer.holds(from.space, from.class, loose) {
				continue
			}
			through := overlap(tiers, out, in, from.class, to.class, loose).minus(declared(flows, out, in, from, to))
			if through.Empty() {
				continue
			}
			if w.From == "" {
				a, b := from.class.sample(&in.peer), to.class.sample(&out.peer)
				w.From, w.To = podName(from.space, a), podName(to.space, b)
				w.FromPod, w.ToPod = a.Namespace+"/"+a.Name, b.Namespace+"/"+b.Name
			}
			for _, c := range r.causesOf(out, egress, from, to, through) {
				w.Egress = addCause(w.Egress, c)
			}
			for _, c := range r.causesOf(in, ingress, to, from, through) {
				w.Ingress = addCause(w.Ingress, c)
			}
		}
	}
	return w
}

func addCause(causes []Cause, c Cause) []Cause {
	if slices.Contains(causes, c) {
		return causes
	}
	return append(causes, c)
}

// causesOf reports what lets connections through on one side. For what the Admin tier lets through these are its rules; an
// open pod has none that are more to blame than that nothing isolates it.
func (r *Reach) causesOf(a *allowance, direction int, side, other end, ports Ports) []Cause {
	word := []string{"egress", "ingress"}[direction]
	pod := side.class.first
	switch {
	case a.peer.kind == admitted:
		return r.tiers.causes(direction, side.class, other.class, ports)
	case a.policy != nil:
		return []Cause{{Kind: "NetworkPolicy", Namespace: a.policy.source.Namespace, Name: a.policy.source.Name, Rule: a.rule,
			Why: fmt.Sprintf("its %s rule %d allows it", word, a.rule)}}
	case side.class.host:
		return []Cause{{Kind: "Pod", Namespace: pod.Namespace, Name: pod.Name, Rule: -1, Why: "it uses its node's network, which policies do not isolate"}}
	default:
		if r.tiers != nil {
			if causes := r.tiers.causes(direction, side.class, other.class, ports); len(causes) > 0 {
				return causes
			}
		}
		return []Cause{{Kind: "Namespace", Name: side.space.source.Name, Rule: -1,
			Why: fmt.Sprintf("no policy isolates pod %s for %s", pod.Name, word)}}
	}
}

// causes are the rules of the Admin tier that may let connections through.
func (t *tiers) causes(direction int, subject, peer *class, ports Ports) []Cause {
	declared := peer.ports
	if direction == ingress {
		declared = subject.ports
	}
	var causes []Cause
	for i := range t.rules {
		rule := &t.rules[i]
		if rule.policy.tier == adminTier && rule.direction == direction && rule.action == tierAllow &&
			subject.signature.subject.has(i) && peer.signature.mayBe(i) && rule.on(declared).overlaps(ports) {
			causes = append(causes, t.cause(rule))
		}
	}
	return causes
}

func (t *tiers) cause(rule *tierRule) Cause {
	return Cause{Kind: rule.policy.kind, Name: rule.policy.name, Rule: rule.number,
		Why: fmt.Sprintf("its %s rule %d allows it, whatever NetworkPolicies say", []string{"egress", "ingress"}[rule.direction], rule.number)}
}
