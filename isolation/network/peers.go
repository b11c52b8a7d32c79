package network

import (
	"fmt"
	"net/netip"
	"slices"
)

// eachAllowance calls f with every allowance of the namespace's policies.
func (s *space) eachAllowance(f func(*allowance)) {
	for _, p := range s.policies {
		for _, a := range p.in {
			f(a)
		}
		for _, a := range p.out {
			f(a)
		}
	}
}

// resolve finds the namespaces that the peers of policies mean. Peers that say the same share one set.
func (r *Reach) resolve(spaces []*space) {
	var index *cellIndex
	for _, s := range spaces {
		s.eachAllowance(func(a *allowance) {
			switch a.peer.kind {
			case podsIn:
				key := a.peer.namespaces.key()
				if r.selected[key] == nil {
					r.selected[key] = r.labels.find(a.peer.namespaces)
				}
				a.peer.spaces = r.selected[key]
			case addressesIn:
				key := a.peer.block.key()
				if r.blocks[key] == nil {
					if index == nil {
						index = cellIndexOf(r.spaces)
					}
					r.blocks[key] = spaceSetOf(index.find(a.peer.block), r.narrow)
				}
				a.peer.spaces = r.blocks[key]
			case everyone, podsHere, admitted: // mean no set, or have it
			}
		})
	}
}

// cellIndex finds namespaces by the cells that their pods' addresses lie in.
type cellIndex struct {
	n       int
	cells   []netip.Addr // sorted
	spaces  map[netip.Addr][]int32
	unknown []int32 // have pods without known address
	// coming have pods to come, whose address is one of used.
	coming []int32
	used   []netip.Addr
}

func cellIndexOf(spaces []*space) *cellIndex {
	x := &cellIndex{n: len(spaces), spaces: map[netip.Addr][]int32{}}
	for _, s := range spaces {
		for _, c := range s.classes {
			if c.choice != nil && len(c.cells) > 0 {
				x.coming, x.used = append(x.coming, int32(s.id)), c.cells
				continue
			}
			if len(c.cells) == 0 {
				x.unknown = append(x.unknown, int32(s.id))
			}
			for _, cell := range c.cells {
				list, known := x.spaces[cell]
				if !known {
					x.cells = append(x.cells, cell)
				}
				if len(list) == 0 || list[len(list)-1] != int32(s.id) {
					x.spaces[cell] = append(list, int32(s.id))
				}
			}
		}
	}
	slices.SortFunc(x.cells, netip.Addr.Compare)
	return x
}

func (x *cellIndex) find(b *ipBlock) bitset {
	members := newBitset(x.n)
	for _, id := range x.unknown {
		members.set(int(id))
	}
	if slices.ContainsFunc(x.used, b.has) {
		for _, id := range x.coming {
			members.set(int(id))
		}
	}
	first, _ := slices.BinarySearchFunc(x.cells, b.cidr.Addr(), netip.Addr.Compare)
	for _, cell := range x.cells[first:] {
		if !b.cidr.Contains(cell) {
			break
		}
		if b.has(cell) {
			for _, id := range x.spaces[cell] {
				members.set(int(id))
			}
		}
	}
	return members
}

// sortCrossing sorts what the classes carry that concerns other namespaces: narrow from wide.
func (s *space) sortCrossing() {
	s.narrowIn, s.wideIn = s.crossing(func(c *class) []*allowance { return c.in })
	s.narrowOut, s.wideOut = s.crossing(func(c *class) []*allowance { return c.out })
}

func (s *space) crossing(of func(*class) []*allowance) (narrow, wide []carried) {
	for _, c := range s.classes {
		for _, a := range of(c) {
			switch {
			case a.peer.kind == podsHere:
			case a.peer.kind == everyone || a.peer.spaces.wide():
				wide = append(wide, carried{class: c, allowance: a})
			default:
				narrow = append(narrow, carried{class: c, allowance: a})
			}
		}
	}
	return narrow, wide
}

// join enters the namespace's wide allowances into their groups. Only tenants' namespaces count in pairs of tenants.
func (r *Reach) join(s *space) {
	enter := func(groups map[groupKey]*group, wide []carried) {
		for i := range wide {
			key := groupKey{wide[i].allowance.key(), wide[i].class.signature}
			g := groups[key]
			if g == nil {
				g = &group{key: key, allowance: wide[i].allowance}
				groups[key] = g
			}
			wide[i].group = g
			if s.tenant >= 0 {
				g.spaces = put(g.spaces, int32(s.id))
			}
		}
	}
	enter(r.groupsIn, s.wideIn)
	enter(r.groupsOut, s.wideOut)
}

// key is the same for two wide allowances exactly when they allow the same.
func (a *allowance) key() string {
	ports := "*"
	if !a.ports.every || len(a.ports.named) > 0 {
		ports = fmt.Sprintf("%v %v", a.ports.fixed, a.ports.named)
	}
	switch a.peer.kind {
	case everyone:
		if a.policy == nil { // behind it stands the Baseline tier
			return "open"
		}
		return "everyone " + ports
	case admitted:
		return "admitted" // who and on which ports, the signature says
	case addressesIn:
		return a.peer.block.key() + " " + ports
	default:
		return a.peer.namespaces.key() + "/" + a.peer.pods.key() + " " + ports
	}
}
