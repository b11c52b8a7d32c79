package network

import (
	"slices"

	"github.com/bulkhead-dev/bulkhead/snapshot"
)

// neighbours finds, for a workload, the namespaces that it may have connections to, so that only those are looked at.
type neighbours struct {
	r *Reach
	// acceptors are namespaces with a wide ingress allowance; acceptedBy, by source, those with a narrow one for it.
	acceptors  bitset
	acceptedBy [][]int32
	// onNode are the namespaces with pods on a node, hostsOn those with host-network pods there.
	onNode, hostsOn map[string][]int32
	// anywhere are those with pods, and hosts those with host-network pods, on whatever node; floating those with pods whose node is
	// not known.
	anywhere, hosts, floating []int32
}

func (r *Reach) neighbours() *neighbours {
	n := &neighbours{r: r, acceptors: newBitset(len(r.spaces)), acceptedBy: make([][]int32, len(r.spaces)),
		onNode: map[string][]int32{}, hostsOn: map[string][]int32{}}
	for _, to := range r.spaces {
		if len(to.wideIn) > 0 {
			n.acceptors.set(to.id)
		}
		for _, in := range to.narrowIn {
			for _, from := range in.allowance.peer.spaces.list {
				n.acceptedBy[from] = append(n.acceptedBy[from], int32(to.id))
			}
		}
		if len(to.hostNodes) > 0 {
			n.hosts = append(n.hosts, int32(to.id))
		}
		for _, node := range to.hostNodes {
			n.hostsOn[node] = append(n.hostsOn[node], int32(to.id))
		}
	}
	for _, s := range r.spaces {
		if len(s.pods) > 0 {
			n.anywhere = append(n.anywhere, int32(s.id))
		}
		if slices.ContainsFunc(s.pods, func(p *snapshot.Pod) bool { return p.Node == "" }) {
			n.floating = append(n.floating, int32(s.id))
		}
		for _, pod := range s.pods {
			if list := n.onNode[pod.Node]; n.hostsOn[pod.Node] != nil && (len(list) == 0 || list[len(list)-1] != int32(s.id)) {
				n.onNode[pod.Node] = append(list, int32(s.id))
			}
		}
	}
	return n
}

// of returns the namespaces that hold every destination of a workload. Not every one of them has one.
func (n *neighbours) of(from *listed) bitset {
	found := newBitset(len(n.r.spaces))
	mark := func(ids []int32) {
		for _, id := range ids {
			found.set(int(id))
		}
	}
	found.set(from.space.id)
	wide := false
	for _, c := range from.classes {
		for _, out := range c.out {
			switch {
			case out.peer.kind == podsHere:
			case out.peer.kind == everyone || out.peer.spaces.wide():
				wide = true
			default:
				mark(out.peer.spaces.list)
			}
		}
	}
	if wide {
		for i, word := range n.acceptors {
			found[i] |= word
		}
		mark(n.acceptedBy[from.space.id])
	}
	for _, pod := range from.pods {
		mark(n.hostsOn[pod.Node])
		mark(n.hostsOn[""])
		if pod.Node == "" {
			mark(n.hosts)
		}
		switch {
		case pod.HostNetwork && pod.Node == "":
			mark(n.anywhere)
		case pod.HostNetwork:
			mark(n.onNode[pod.Node])
			mark(n.floating)
		}
	}
	return found
}
