package network

import (
	"slices"

	"github.com/bulkhead-dev/bulkhead/snapshot"
)

// Traffic between a node and the pods on it is always allowed, and host-network pods are their node. So a host-network
// pod and every pod of its node reach each other, whatever policies say. The empty name is a node that is not known:
// it may be any.

// sameNode marks tenants whose host-network pods share a node with another's pods, both ways.
func (r *Reach) sameNode() {
	var hosts []*space
	on := map[string]bitset{} // tenants with pods, by node that matters
	for _, s := range r.spaces {
		if s.tenant >= 0 && len(s.hostNodes) > 0 {
			hosts = append(hosts, s)
			for _, node := range s.hostNodes {
				on[node] = newBitset(len(r.tenants))
			}
		}
	}
	if len(hosts) == 0 {
		return
	}
	anywhere, unknown := newBitset(len(r.tenants)), newBitset(len(r.tenants))
	for _, s := range r.spaces {
		if s.tenant < 0 {
			continue
		}
		for _, pod := range s.pods {
			anywhere.set(s.tenant)
			if pod.Node == "" {
				unknown.set(s.tenant)
			} else if on[pod.Node] != nil {
				on[pod.Node].set(s.tenant)
			}
		}
	}
	for _, host := range hosts {
		for _, node := range host.hostNodes {
			if node == "" {
				link(&r.maybe, host.tenant, anywhere)
				continue
			}
			link(&r.sure, host.tenant, on[node])
			link(&r.maybe, host.tenant, on[node])
			link(&r.maybe, host.tenant, unknown)
		}
	}
}

// link marks connections between a tenant and others, both ways.
func link(m *matrix, tenant int, others bitset) {
	others.each(func(other int) {
		if other != tenant {
			m.mark(tenant, other)
			m.mark(other, tenant)
		}
	})
}

// nodesOf returns the nodes of pods, sorted: of all, and of those in the host's network.
func nodesOf(pods []*snapshot.Pod) (all, host []string) {
	for _, pod := range pods {
		all = append(all, pod.Node)
		if pod.HostNetwork {
			host = append(host, pod.Node)
		}
	}
	slices.Sort(all)
	slices.Sort(host)
	return slices.Compact(all), slices.Compact(host)
}

// nodeLink reports whether a host-network pod of one side shares a node with a pod of the other: certainly, or if nodes
// that are not known turn out so.
func nodeLink(a, b []*snapshot.Pod) (sure, maybe bool) {
	hasHost := func(p *snapshot.Pod) bool { return p.HostNetwork }
	if !slices.ContainsFunc(a, hasHost) && !slices.ContainsFunc(b, hasHost) {
		return false, false
	}
	allA, hostA := nodesOf(a)
	allB, hostB := nodesOf(b)
	sureAB, maybeAB := shareNode(hostA, allB)
	sureBA, maybeBA := shareNode(hostB, allA)
	return sureAB || sureBA, maybeAB || maybeBA
}

func shareNode(a, b []string) (sure, maybe bool) {
	if len(a) == 0 || len(b) == 0 {
		return false, false
	}
	for _, node := range a {
		if node == "" {
			maybe = true
		} else if _, shared := slices.BinarySearch(b, node); shared {
			return true, true
		}
	}
	return false, maybe || b[0] == ""
}
