package network

import (
	"slices"

	"github.com/bulkhead-dev/bulkhead/snapshot"
)

// opening is what lets connections through on one side, seen from the pods of one class.
type opening struct {
	end
	direction int
	allowance *allowance
}

// openingKey is the same for openings that one and the same change would close.
type openingKey struct {
	policy    *policy
	rule      int
	direction int
	space     *space     // where no policy isolates
	class     *class     // of a host-network pod
	signature *signature // of what the Admin tier lets through
}

func (o *opening) key() openingKey {
	k := openingKey{policy: o.allowance.policy, rule: o.allowance.rule, direction: o.direction}
	switch {
	case k.policy != nil:
	case o.allowance.peer.kind == admitted:
		k.signature = o.class.signature
	case o.class.host:
		k.class = o.class
	default:
		k.space = o.space
	}
	return k
}

// openings of a namespace's pods in a direction. The last ones are those of a pod without labels, which stands for pods
// that a tenant could still create.
func (r *Reach) openings(s *space, direction int) []opening {
	var list []opening
	for _, c := range append(slices.Clone(s.classes), r.unlabelled(s)) {
		allowances := c.in
		if direction == egress {
			allowances = c.out
		}
		for _, a := range allowances {
			list = append(list, opening{end{s, c}, direction, a})
		}
	}
	return list
}

// unlabelled is the class of a pod without labels and ports that a tenant could make.
func (r *Reach) unlabelled(s *space) *class {
	one := &space{id: s.id, source: s.source, tenant: s.tenant, policies: s.policies}
	one.regroup([]*snapshot.Pod{{Namespace: s.source.Name, Name: newPod}}, r.cuts)
	r.tiers.sign(one)
	one.apply(r.open)
	return one.classes[0]
}

// newPod is the name of a pod that is not there yet.
const newPod = "any-new-one"

// causesAlone are the causes of an opening, whatever is at the other end.
func (r *Reach) causesAlone(o *opening) []Cause {
	if o.allowance.peer.kind != admitted {
		return r.causesOf(o.allowance, o.direction, o.end, o.end, Ports{})
	}
	var causes []Cause
	for i := range r.tiers.rules {
		rule := &r.tiers.rules[i]
		if rule.policy.tier == adminTier && rule.direction == o.direction && rule.action == tierAllow && o.class.signature.subject.has(i) {
			causes = append(causes, r.tiers.cause(rule))
		}
	}
	return causes
}

// through returns the ports on which an end connects with another by an opening of its own, beyond declared flows.
func (p *TenantPairs) through(o *opening, other end) Ports {
	from, to, list := o.end, other, other.class.in
	if o.direction == ingress {
		from, to, list = other, o.end, other.class.out
	}
	var ports Ports
	tiers, flows := p.r.tiers.passage(from.class.signature, to.class.signature), p.flows[[2]int{from.space.tenant, to.space.tenant}]
	for _, a := range list {
		out, in := o.allowance, a
		if o.direction == ingress {
			out, in = a, o.allowance
		}
		if out.peer.holds(to.space, to.class, false) && in.peer.holds(from.space, from.class, false) {
			ports = ports.union(overlap(tiers, out, in, from.class, to.class, false).minus(declared(flows, out, in, from, to)))
		}
	}
	return ports
}

// partner finds, for an opening, the first end of another tenant that it connects with beyond declared flows.
func (p *TenantPairs) partner(o *opening, others bitset) (partner end, ports Ports) {
	if o.class.choice == nil && o.class.first.Name == newPod {
		return partner, ports
	}
	found := false
	others.each(func(tenant int) {
		if found || tenant == o.space.tenant {
			return
		}
		for _, id := range p.r.tenants[tenant].spaces {
			s := p.r.spaces[id]
			if kind := o.allowance.peer.kind; kind == podsHere || (kind == podsIn || kind == admitted) && !o.allowance.peer.spaces.has(s.id) {
				continue
			}
			for _, c := range s.classes {
				if ports = p.through(o, end{s, c}); !ports.Empty() {
					partner, found = end{s, c}, true
					return
				}
			}
		}
	})
	return partner, ports
}

// exceeding returns, for every tenant, those that it exceeds to (or, by direction, that exceed to it).
func (p *TenantPairs) exceeding(direction int) []bitset {
	sets := make([]bitset, len(p.r.tenants))
	for i := range sets {
		sets[i] = newBitset(len(sets))
	}
	for from := range p.r.tenants {
		p.r.sure.rows[from].each(func(to int) {
			if p.verdict(from, to) != Exceeding {
				return
			}
			if direction == egress {
				sets[from].set(to)
			} else {
				sets[to].set(from)
			}
		})
	}
	return sets
}
