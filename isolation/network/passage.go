package network

import (
	"github.com/bulkhead-dev/bulkhead/snapshot"
)

// opinion is what may become of ports in a part of a tier. Where that depends on what is not known, a port is in several
// of the sets; it is always in one. None are the ports that nothing there decides about.
type opinion struct {
	allow, deny, pass, none Ports
}

// then is the opinion of a part and of the next one, which is asked about what the first leaves open.
func (o opinion) then(next opinion) opinion {
	return opinion{o.allow.union(o.none.intersect(next.allow)), o.deny.union(o.none.intersect(next.deny)),
		o.pass.union(o.none.intersect(next.pass)), o.none.intersect(next.none)}
}

// or is the opinion of two parts of which any may be applied, if both decide.
func (o opinion) or(other opinion) opinion {
	return opinion{o.allow.union(other.allow), o.deny.union(other.deny), o.pass.union(other.pass), o.none.intersect(other.none)}
}

func (t *tiers) silence() opinion { return opinion{none: t.every} }

// opinion of one rule that has the other side as a peer: certainly, or perhaps.
func (r *tierRule) opinion(t *tiers, declared []snapshot.NamedPort, certain bool) opinion {
	o, ports := t.silence(), r.on(declared)
	certain = certain && (len(r.names) == 0 || !anyNames(declared))
	if certain {
		o.none = t.every.minus(ports)
	}
	switch r.action {
	case tierAllow:
		o.allow = ports
	case tierDeny:
		o.deny = ports
	case tierPass:
		o.pass = ports
	}
	return o
}

// tally collects the opinions of rules, in their order, into that of the tier.
type tally struct {
	*tiers
	tier, api, level, policy opinion
	last                     *tierPolicy
}

// enter closes what lies before a policy; nil closes everything.
func (y *tally) enter(p *tierPolicy) {
	if y.last == p {
		return
	}
	if y.last != nil {
		y.level, y.policy = y.level.or(y.policy), y.silence()
		if p == nil || p.kind != y.last.kind || p.priority != y.last.priority {
			y.api, y.level = y.api.then(y.level), y.silence()
		}
		if p == nil || p.kind != y.last.kind {
			y.tier, y.api = y.tier.or(y.api), y.silence()
		}
	}
	y.last = p
}

// ask returns a tier's opinion on connections between a subject and a peer; false if no rule is about them.
func (t *tiers) ask(tier, direction int, subject, peer *signature, family families, declared []snapshot.NamedPort) (opinion, bool) {
	y := tally{tiers: t}
	for w, word := range t.masks[tier][direction] {
		word &= subject.subject[w] & peer.might[family][w]
		if word == 0 {
			continue
		}
		if y.last == nil {
			y.tier, y.api, y.level, y.policy = t.silence(), t.silence(), t.silence(), t.silence()
		}
		bitset{word}.each(func(i int) {
			rule := &t.rules[w*64+i]
			y.enter(rule.policy)
			y.policy = y.policy.then(rule.opinion(t, declared, peer.holds[family].has(w*64+i) && subject.certain.has(w*64+i)))
		})
	}
	if y.last == nil {
		return opinion{}, false
	}
	y.enter(nil)
	return y.tier, true
}

// gate is what both tiers make of connections on one side, for one family. Nil: they say nothing.
type gate struct {
	// admitted and refused are the ports that the Admin tier may let through or not; next those that may reach the
	// NetworkPolicies.
	admitted, refused, next Ports
	// closed are the ports that the Baseline tier may refuse to a pod that no NetworkPolicy isolates; open the others and
	// those that it may let through.
	closed, open Ports
}

func (t *tiers) gate(direction int, subject, peer *signature, family families, declared []snapshot.NamedPort) *gate {
	admin, speaks := t.ask(adminTier, direction, subject, peer, family, declared)
	baseline, alsoSpeaks := t.ask(baselineTier, direction, subject, peer, family, declared)
	if !speaks && !alsoSpeaks {
		return nil
	}
	g := &gate{next: t.every, open: t.every}
	if speaks {
		g.admitted, g.refused, g.next = admin.allow, admin.deny, admin.pass.union(admin.none)
	}
	if alsoSpeaks {
		g.closed, g.open = baseline.deny, baseline.allow.union(baseline.pass).union(baseline.none)
	}
	return g
}

// lets returns the ports on which an allowance lets connections through the gate: perhaps, or certainly.
func (g *gate) lets(t *tiers, a *allowance, declared []snapshot.NamedPort, loose bool) Ports {
	switch {
	case g == nil && a.peer.kind == admitted:
		return Ports{}
	case g == nil:
		return a.ports.on(declared)
	case a.peer.kind == admitted && loose:
		return g.admitted
	case a.peer.kind == admitted:
		return t.every.minus(g.refused).minus(g.next)
	case a.policy == nil && loose:
		return g.admitted.union(g.next.intersect(g.open))
	case a.policy == nil:
		return t.every.minus(g.refused).minus(g.next.intersect(g.closed))
	case loose:
		return a.ports.on(declared).intersect(g.next)
	default:
		return a.ports.on(declared).minus(g.refused)
	}
}

// passage is what tiers make of connections between two signatures: a gate at either end, for each family that a packet
// may have. Nil: they say nothing.
type passage struct {
	tiers *tiers
	ways  []way
}

type way struct {
	family  families
	out, in *gate
}

// passage between two signatures. The destination's ports count on both sides.
func (t *tiers) passage(from, to *signature) *passage {
	if t == nil {
		return nil
	}
	var p *passage
	both := []families{ipv4, ipv6}
	if common := from.families & to.families; common != ipv4|ipv6 {
		both = []families{common}
	}
	for i, f := range both {
		w := way{f, t.gate(egress, from, to, f, to.ports), t.gate(ingress, to, from, f, to.ports)}
		if p == nil && (w.out != nil || w.in != nil) {
			p = &passage{tiers: t, ways: make([]way, 0, len(both))}
			for _, earlier := range both[:i] {
				p.ways = append(p.ways, way{family: earlier})
			}
		}
		if p != nil {
			p.ways = append(p.ways, w)
		}
	}
	return p
}

// ports on which two allowances, one of either side, let connections through together.
func (p *passage) ports(out, in *allowance, declared []snapshot.NamedPort, loose bool) Ports {
	var ports Ports
	for i := range p.ways {
		w := &p.ways[i]
		if out.peer.of(w.family) && in.peer.of(w.family) {
			ports = ports.union(w.out.lets(p.tiers, out, declared, loose).intersect(w.in.lets(p.tiers, in, declared, loose)))
		}
	}
	return ports
}

// of reports whether a packet of a family can satisfy the peer.
func (p *peer) of(f families) bool {
	return p.kind != addressesIn || f == anyFamily || p.block.family() == f
}
