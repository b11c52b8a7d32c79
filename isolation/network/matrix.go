package network

import (
	"sync/atomic"
)

// matrix says for every ordered pair of tenants whether a pod of the first can connect to a pod of the second. It takes
// a bit for each: 12 MB at 10,000 tenants, which is as many namespaces as a cluster is meant to hold.
type matrix struct {
	n    int
	rows []bitset
}

func newMatrix(n int) matrix {
	m := matrix{n: n, rows: make([]bitset, n)}
	words := (n + 63) / 64
	all := make(bitset, n*words)
	for i := range m.rows {
		m.rows[i] = all[i*words : (i+1)*words : (i+1)*words]
	}
	return m
}

func (m *matrix) has(from, to int) bool {
	return atomic.LoadUint64(&m.rows[from][to/64])&(1<<(to%64)) != 0
}

func (m *matrix) mark(from, to int) {
	if !m.has(from, to) {
		atomic.OrUint64(&m.rows[from][to/64], 1<<(to%64))
	}
}

// markAll marks a whole set but the tenant itself.
func (m *matrix) markAll(from int, to bitset) {
	for w, word := range to {
		if w == from/64 {
			word &^= 1 << (from % 64)
		}
		if word&^atomic.LoadUint64(&m.rows[from][w]) != 0 {
			atomic.OrUint64(&m.rows[from][w], word)
		}
	}
}

// fill marks every connection. Each connection satisfies an allowance of its source and one of its
// destination. If the source's is narrow, it is found from the source; if only the destination's is, from there; if
// both are wide, from their groups. So no two namespaces are ever compared that no policy brings together.
func (r *Reach) fill() {
	r.parallel(len(r.spaces), func(i int) {
		if s := r.spaces[i]; s.tenant >= 0 {
			r.narrowFrom(s)
			r.narrowInto(s)
		}
	})
	ins, outs := ofTenants(r.groupsIn), ofTenants(r.groupsOut)
	r.parallel(len(outs), func(i int) {
		for _, in := range ins {
			r.wideToWide(outs[i], in)
		}
	})
	r.sameNode()
}

// narrowFrom marks what the namespace's narrow egress allowances open.
func (r *Reach) narrowFrom(from *space) {
	for _, out := range from.narrowOut {
		for _, id := range out.allowance.peer.spaces.list {
			to := r.spaces[id]
			if to.tenant < 0 || to.tenant == from.tenant || r.sure.has(from.tenant, to.tenant) {
				continue
			}
			for _, c := range to.classes {
				for _, in := range c.in {
					r.try(from, to, out, carried{class: c, allowance: in})
				}
			}
		}
	}
}

// narrowInto marks what the namespace's narrow ingress allowances open to sources with wide egress.
func (r *Reach) narrowInto(to *space) {
	for _, in := range to.narrowIn {
		for _, id := range in.allowance.peer.spaces.list {
			from := r.spaces[id]
			if from.tenant < 0 || to.tenant == from.tenant || r.sure.has(from.tenant, to.tenant) {
				continue
			}
			for _, out := range from.wideOut {
				r.try(from, to, out, in)
			}
		}
	}
}

// try marks the tenants of two namespaces if the two classes' allowances let a connection through.
func (r *Reach) try(from, to *space, out, in carried) {
	if !out.allowance.peer.holds(to, in.class, true) || !in.allowance.peer.holds(from, out.class, true) {
		return
	}
	sure := out.allowance.peer.holds(to, in.class, false) && in.allowance.peer.holds(from, out.class, false)
	if p := r.tiers.passage(out.class.signature, in.class.signature); p != nil {
		if p.ports(out.allowance, in.allowance, in.class.ports, true).Empty() {
			return
		}
		sure = sure && !p.ports(out.allowance, in.allowance, in.class.ports, false).Empty()
	} else if !together(&out.allowance.peer, &in.allowance.peer, out.class.families, in.class.families) ||
		!out.allowance.ports.meets(in.allowance.ports, in.class.ports) {
		return
	}
	r.maybe.mark(from.tenant, to.tenant)
	if sure {
		r.sure.mark(from.tenant, to.tenant)
	}
}

// ofTenants returns the groups in which tenants have namespaces.
func ofTenants(groups map[groupKey]*group) []*group {
	list := make([]*group, 0, len(groups))
	for _, g := range groups {
		if len(g.spaces) > 0 {
			list = append(list, g)
		}
	}
	return list
}

// familySets is the number of sets of IP families.
const familySets = int(ipv4|ipv6) + 1

// wideToWide marks what a wide egress and a wide ingress allowance open together: all sources that the ingress holds,
// to all destinations that the egress holds.
func (r *Reach) wideToWide(out, in *group) {
	a, b := out.allowance, in.allowance
	x := crossing{out: out, in: in, passage: r.tiers.passage(out.key.signature, in.key.signature)}
	r.cross(&x, &r.sure, &r.maybe)
	if x.passage != nil || a.peer.kind == addressesIn || b.peer.kind == addressesIn { // nothing else depends on what is not known
		x.loose = true
		r.cross(&x, &r.maybe)
	}
}

// crossing is of two groups, with what the tiers make of it; loose also counts what depends on what is not known.
type crossing struct {
	out, in *group
	passage *passage
	loose   bool
}

// member is a tenant with pods of some IP families on one side of a crossing.
type member struct {
	tenant   int
	families families
}

func (r *Reach) cross(x *crossing, matrices ...*matrix) {
	var some [narrow]member // most groups are of few tenants, and take no memory
	sources := r.sources(some[:0], x)
	switch {
	case len(sources) == 0:
	case len(sources) > r.narrow:
		r.crossMany(sources, x, matrices)
	default:
		r.crossFew(sources, x, matrices)
	}
}

// sources appends those of a group that an ingress allowance holds.
func (r *Reach) sources(list []member, x *crossing) []member {
	for _, id := range x.out.spaces {
		s := r.spaces[id]
		for _, c := range s.wideOut {
			m := member{s.tenant, c.class.families}
			if n := len(list); c.group == x.out && (n == 0 || list[n-1] != m) && x.in.allowance.peer.holds(s, c.class, x.loose) {
				list = append(list, m)
			}
		}
	}
	return list
}

// reaches reports whether the egress group reaches a class by an allowance of the ingress group.
func (x *crossing) reaches(s *space, c carried) bool {
	a := x.out.allowance
	switch {
	case c.group != x.in || !a.peer.holds(s, c.class, x.loose):
		return false
	case x.passage != nil:
		return !x.passage.ports(a, c.allowance, c.class.ports, x.loose).Empty()
	}
	return a.ports.meets(c.allowance.ports, c.class.ports)
}

// crossFew marks every pair by itself.
func (r *Reach) crossFew(sources []member, x *crossing, matrices []*matrix) {
	for _, id := range x.in.spaces {
		s := r.spaces[id]
		for _, c := range s.wideIn {
			if len(sources) == 1 && marked(matrices, sources[0].tenant, s.tenant) || !x.reaches(s, c) {
				continue
			}
			for _, source := range sources {
				if source.tenant == s.tenant || !x.together(source.families, c.class.families) {
					continue
				}
				for _, m := range matrices {
					m.mark(source.tenant, s.tenant)
				}
			}
		}
	}
}

// crossMany marks all destinations of a source at once. Only families tie a source to a destination, so those are kept
// by theirs.
func (r *Reach) crossMany(sources []member, x *crossing, matrices []*matrix) {
	var sets [familySets]bitset
	for _, id := range x.in.spaces {
		s := r.spaces[id]
		for _, c := range s.wideIn {
			if !x.reaches(s, c) {
				continue
			}
			if sets[c.class.families] == nil {
				sets[c.class.families] = newBitset(len(r.tenants))
			}
			sets[c.class.families].set(s.tenant)
		}
	}
	for f, set := range sets {
		for _, source := range sources {
			if set == nil || !x.together(source.families, families(f)) {
				continue
			}
			for _, m := range matrices {
				m.markAll(source.tenant, set)
			}
		}
	}
}

// together reports whether one packet between pods of such families can satisfy both groups' peers.
func (x *crossing) together(from, to families) bool {
	return x.passage != nil || together(&x.out.allowance.peer, &x.in.allowance.peer, from, to)
}

// marked reports whether there is no more to find out about two tenants.
func marked(matrices []*matrix, from, to int) bool {
	for _, m := range matrices {
		if !m.has(from, to) {
			return false
		}
	}
	return true
}
