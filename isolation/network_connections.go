package isolation

import (
	"cmp"
	"fmt"
	"iter"
	"net/netip"
	"slices"
	"strings"

	"github.com/bulkhead-dev/bulkhead/snapshot"
)

// Connection says that the pods of one peer, or some of them, may connect to pods of another.
type Connection struct {
	// From and To are workloads, as namespace/name[Kind], or ranges of addresses outside the cluster, as first-last.
	From, To string
	Ports    Ports
}

// String writes a connection as a line: "PEER => PEER : CONNS".
func (c Connection) String() string { return c.From + " => " + c.To + " : " + c.Ports.String() }

// end is one end of a connection.
type end struct {
	space *space
	class *class
}

// between returns the ports on which pods of one class may connect to pods of another, and if asked for also those
// that hang on addresses which are not known.
func between(from, to end, loose bool) Ports {
	var ports Ports
	for _, out := range from.class.out {
		if !out.peer.holds(to.space, to.class, loose) {
			continue
		}
		for _, in := range to.class.in {
			if !in.peer.holds(from.space, from.class, loose) ||
				!together(&out.peer, &in.peer, from.class.families, to.class.families) {
				continue
			}
			if ports = ports.union(overlap(out, in, to.class.ports)); ports.All() {
				return ports
			}
		}
	}
	return ports
}

// outside returns the ports that allowances open with an address outside the cluster.
func outside(allowances []*allowance, ip netip.Addr, declared []snapshot.NamedPort) Ports {
	var ports Ports
	for _, a := range allowances {
		if a.peer.kind == everyone || a.peer.kind == addressesIn && a.peer.block.has(ip) {
			ports = ports.union(a.ports.on(declared))
		}
	}
	return ports
}

// listed is a workload as connections list it.
type listed struct {
	name    string
	space   *space
	classes []*class
	pods    []*snapshot.Pod
}

func (r *NetworkReach) listWorkloads() (all []*listed, bySpace [][]*listed) {
	bySpace = make([][]*listed, len(r.spaces))
	r.parallel(len(r.spaces), func(i int) {
		s := r.spaces[i]
		for owner, pods := range s.workloads() {
			w := &listed{name: workloadName(s, owner), space: s}
			for _, pod := range pods {
				w.pods = append(w.pods, s.pods[pod])
				if c := s.classes[s.classOf[pod]]; !slices.Contains(w.classes, c) {
					w.classes = append(w.classes, c)
				}
			}
			bySpace[i] = append(bySpace[i], w)
		}
		slices.SortFunc(bySpace[i], compareListed)
	})
	for _, list := range bySpace {
		all = append(all, list...)
	}
	slices.SortFunc(all, compareListed)
	return all, bySpace
}

func compareListed(a, b *listed) int { return cmp.Compare(a.name, b.name) }

func workloadName(s *space, owner snapshot.Owner) string {
	return fmt.Sprintf("%s/%s[%s]", s.source.Name, owner.Name, owner.Kind)
}

// Connections returns every ordered pair of peers that may connect, sorted as lines: of two workloads, or a workload
// and a range of addresses outside the cluster. A workload with itself is no pair. The world is cut where some ipBlock
// begins or ends, and nowhere else; its IPv6 half is listed if a pod has an IPv6 address or a policy names one.
// Connections that hang on addresses or nodes of pods that are not known are not listed: see TenantPairs for doubts.
//
// It takes time for what it yields, and for each workload with egress to many namespaces once through those.
func (r *NetworkReach) Connections() iter.Seq[Connection] {
	return func(yield func(Connection) bool) {
		all, bySpace := r.listWorkloads()
		world := r.world()
		near := r.neighbours()
		next := 0
		for _, w := range all {
			for ; next < len(world) && world[next].name < w.name; next++ {
				if !fromWorld(world[next], all, yield) {
					return
				}
			}
			for _, c := range r.connectionsOf(w, near, bySpace, world) {
				if !yield(c) {
					return
				}
			}
		}
		for ; next < len(world); next++ {
			if !fromWorld(world[next], all, yield) {
				return
			}
		}
	}
}

type namedRange struct {
	addressRange
	name string
}

// world returns the ranges outside the cluster, sorted by name.
func (r *NetworkReach) world() []namedRange {
	blocks := r.blocksOf(r.spaces)
	withIPv6 := slices.ContainsFunc(blocks, func(b *ipBlock) bool { return b.family() == ipv6 })
	for _, s := range r.spaces {
		withIPv6 = withIPv6 || slices.ContainsFunc(s.classes, func(c *class) bool { return c.families&ipv6 != 0 })
	}
	var world []namedRange
	for _, a := range cutsOf(blocks).ranges(withIPv6) {
		world = append(world, namedRange{a, a.String()})
	}
	slices.SortFunc(world, func(a, b namedRange) int { return strings.Compare(a.name, b.name) })
	return world
}

func fromWorld(from namedRange, all []*listed, yield func(Connection) bool) bool {
	for _, to := range all {
		var ports Ports
		for _, c := range to.classes {
			ports = ports.union(outside(c.in, from.first, c.ports))
		}
		if !ports.Empty() && !yield(Connection{from.name, to.name, ports}) {
			return false
		}
	}
	return true
}

// connectionsOf returns the connections from a workload, sorted.
func (r *NetworkReach) connectionsOf(from *listed, near *neighbours, bySpace [][]*listed, world []namedRange) []Connection {
	var list []Connection
	for _, to := range world {
		var ports Ports
		for _, c := range from.classes {
			ports = ports.union(outside(c.out, to.first, nil))
		}
		if !ports.Empty() {
			list = append(list, Connection{from.name, to.name, ports})
		}
	}
	near.of(from).each(func(id int) {
		for _, to := range bySpace[id] {
			if to == from {
				continue
			}
			if ports := betweenWorkloads(from, to); !ports.Empty() {
				list = append(list, Connection{from.name, to.name, ports})
			}
		}
	})
	slices.SortFunc(list, func(a, b Connection) int { return strings.Compare(a.To, b.To) })
	return list
}

func betweenWorkloads(from, to *listed) Ports {
	if sure, _ := nodeLink(from.pods, to.pods); sure {
		return everyPort()
	}
	var ports Ports
	for _, a := range from.classes {
		for _, b := range to.classes {
			if ports = ports.union(between(end{from.space, a}, end{to.space, b}, false)); ports.All() {
				return ports
			}
		}
	}
	return ports
}
