package network

import (
	"cmp"
	"fmt"
	"iter"
	"net/netip"
	"slices"
	"strings"

	"github.com/bulkhead-dev/bulkhead/snapshot"
)

// Connection reports that the pods of one peer, or some of them, may connect to pods of another.
type Connection struct {
	// From and To are workloads, as namespace/name[Kind], or ranges of addresses outside the cluster, as first-last.
	From, To string
	Ports    Ports
	// Possible ports beyond those, which depend on addresses or nodes of pods that are not known.
	Possible Ports
}

// String writes a connection as a line: "PEER => PEER : CONNS", and what is doubtful behind "perhaps".
func (c Connection) String() string {
	line := c.From + " => " + c.To + " :"
	if !c.Ports.Empty() {
		line += " " + c.Ports.String()
	}
	if !c.Possible.Empty() {
		line += " perhaps " + c.Possible.String()
	}
	return line
}

// end is one end of a connection.
type end struct {
	space *space
	class *class
}

// between returns the ports on which pods of one class may connect to pods of another, beyond declared flows, and if asked
// for also those that depend on addresses which are not known.
func (r *Reach) between(flows []flow, from, to end, loose bool) Ports {
	var ports Ports
	p := r.tiers.passage(from.class.signature, to.class.signature)
	for _, out := range from.class.out {
		if !out.peer.holds(to.space, to.class, loose) {
			continue
		}
		for _, in := range to.class.in {
			if in.peer.holds(from.space, from.class, loose) {
				if ports = ports.union(overlap(p, out, in, from.class, to.class, loose).minus(declared(flows, out, in, from, to))); ports.All() {
					return ports
				}
			}
		}
	}
	return ports
}

// overlap returns the ports on which an allowance of either side, whose peers hold the other class, let a connection
// through together.
func overlap(p *passage, out, in *allowance, from, to *class, loose bool) Ports {
	if p != nil {
		return p.ports(out, in, to.ports, loose)
	}
	if !together(&out.peer, &in.peer, from.families, to.families) {
		return Ports{}
	}
	return out.ports.on(to.ports).intersect(in.ports.on(to.ports))
}

// address is an address outside the cluster, with what tiers make of it.
type address struct {
	ip        netip.Addr
	signature *signature
}

func (r *Reach) address(ip netip.Addr) address { return address{ip, r.tiers.world(ip)} }

// outside returns the ports on which a class connects to an address outside the cluster, or is connected to from there.
func (r *Reach) outside(c *class, direction int, at address, loose bool) Ports {
	allowances, declared := c.out, []snapshot.NamedPort(nil)
	if direction == ingress {
		allowances, declared = c.in, c.ports
	}
	var g *gate
	if r.tiers != nil {
		g = r.tiers.gate(direction, c.signature, at.signature, at.signature.families, declared)
	}
	var ports Ports
	for _, a := range allowances {
		if a.peer.kind == everyone || a.peer.kind == admitted || a.peer.kind == addressesIn && a.peer.block.has(at.ip) {
			ports = ports.union(g.lets(r.tiers, a, declared, loose))
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

func (r *Reach) listWorkloads() (all []*listed, bySpace [][]*listed) {
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
// What depends on addresses or nodes of pods that are not known is listed as possible. Doubts has what leaves all in doubt.
//
// It takes time for what it yields, and for each workload with egress to many namespaces once through those.
func (r *Reach) Connections() iter.Seq[Connection] {
	return func(yield func(Connection) bool) {
		all, bySpace := r.listWorkloads()
		world := r.world()
		near := r.neighbours()
		next := 0
		for _, w := range all {
			for ; next < len(world) && world[next].name < w.name; next++ {
				if !r.fromWorld(world[next], all, yield) {
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
			if !r.fromWorld(world[next], all, yield) {
				return
			}
		}
	}
}

type namedRange struct {
	address
	name string
}

// world returns the ranges outside the cluster, sorted by name.
func (r *Reach) world() []namedRange {
	blocks := append(r.blocksOf(r.spaces), r.tiers.blocks()...)
	withIPv6 := slices.ContainsFunc(blocks, func(b *ipBlock) bool { return b.family() == ipv6 })
	for _, s := range r.spaces {
		withIPv6 = withIPv6 || slices.ContainsFunc(s.classes, func(c *class) bool { return c.families&ipv6 != 0 })
	}
	var world []namedRange
	for _, a := range cutsOf(blocks).ranges(withIPv6) {
		world = append(world, namedRange{r.address(a.first), a.String()})
	}
	slices.SortFunc(world, func(a, b namedRange) int { return strings.Compare(a.name, b.name) })
	return world
}

func (r *Reach) fromWorld(from namedRange, all []*listed, yield func(Connection) bool) bool {
	for _, to := range all {
		if c := r.withOutside(to, ingress, from); c.listed() && !yield(c) {
			return false
		}
	}
	return true
}

func (c Connection) listed() bool { return !c.Ports.Empty() || !c.Possible.Empty() }

// withOutside is the connection of a workload to a range outside the cluster, or from there.
func (r *Reach) withOutside(w *listed, direction int, at namedRange) Connection {
	c := Connection{From: w.name, To: at.name}
	if direction == ingress {
		c.From, c.To = c.To, c.From
	}
	for _, class := range w.classes {
		c.Ports = c.Ports.union(r.outside(class, direction, at.address, false))
		c.Possible = c.Possible.union(r.outside(class, direction, at.address, true))
	}
	c.Possible = c.Possible.minus(c.Ports)
	return c
}

// connectionsOf returns the connections from a workload, sorted.
func (r *Reach) connectionsOf(from *listed, near *neighbours, bySpace [][]*listed, world []namedRange) []Connection {
	var list []Connection
	for _, to := range world {
		if c := r.withOutside(from, egress, to); c.listed() {
			list = append(list, c)
		}
	}
	near.of(from).each(func(id int) {
		for _, to := range bySpace[id] {
			if to == from {
				continue
			}
			if c := r.betweenWorkloads(from, to); c.listed() {
				list = append(list, c)
			}
		}
	})
	slices.SortFunc(list, func(a, b Connection) int { return strings.Compare(a.To, b.To) })
	return list
}

// podName names the workload of a pod; of one to come, its labels.
func podName(s *space, pod *snapshot.Pod) string {
	name := workloadName(s, pod.Workload())
	if pod.Name == newPod && len(pod.Labels) > 0 {
		var labels []string
		for _, l := range pod.Labels {
			labels = append(labels, l.Key+"="+l.Value)
		}
		name += " labelled " + strings.Join(labels, ",")
	}
	return name
}

func (r *Reach) betweenWorkloads(from, to *listed) Connection {
	c := Connection{From: from.name, To: to.name}
	sure, maybe := nodeLink(from.pods, to.pods)
	if sure {
		c.Ports = everyPort()
		return c
	}
	if maybe {
		c.Possible = everyPort()
	}
	for _, a := range from.classes {
		for _, b := range to.classes {
			if c.Ports.All() {
				break
			}
			loose := r.between(nil, end{from.space, a}, end{to.space, b}, true)
			if c.Possible = c.Possible.union(loose); !loose.Empty() {
				c.Ports = c.Ports.union(r.between(nil, end{from.space, a}, end{to.space, b}, false))
			}
		}
	}
	c.Possible = c.Possible.minus(c.Ports)
	return c
}
