package isolation

import (
	"cmp"
	"slices"
	"sync"

	"github.com/bulkhead-dev/bulkhead/snapshot"
)

// tiers are the policies of administrators (policy.networking.k8s.io), which stand before and behind NetworkPolicies.
// The rules, from the API's documentation, and where that leaves a choice, the choice that cannot hide a connection:
//
//   - The Admin tier (AdminNetworkPolicy, ClusterNetworkPolicy of tier Admin) is asked first. Policies of lower priority
//     numbers come first, then rules in the order in which they are written; the first that matches decides. Allow (or
//     Accept) and Deny are final; Pass leaves the tier. What no rule matches goes on as if passed.
//   - Then NetworkPolicies: they decide for the pods that they isolate. For others the Baseline tier is asked
//     (BaselineAdminNetworkPolicy, ClusterNetworkPolicy of tier Baseline), and what that leaves open is allowed.
//   - Both sides are asked: the source's egress rules and the destination's ingress rules. One Deny is enough.
//   - Host-network pods are no subjects, and peers only by their address (networks, nodes), never by labels.
//   - Of two policies with the same priority any may be applied. So may be any of the two APIs, if a cluster has both. An
//     address that is not known, a domain name, and a peer of a kind that is not known may match or not. Whatever hangs on
//     one of these is neither proven nor excluded.
//   - A named port is the destination's, of any protocol. A policy that the API server would refuse does not exist, and
//     leaves a doubt about everybody.
type tiers struct {
	// rules by tier, API, priority, policy and number: the order in which they are asked.
	rules    []tierRule
	policies []*tierPolicy
	// masks are the rules of a tier and direction.
	masks [2][2]bitset
	every Ports
	// names of ports that some rule has.
	names map[string]bool
	// labels and nodes say whether some rule selects namespaces by labels other than their name, or nodes.
	labels, nodes bool
	doubts        []string

	spaces, narrow int // how many namespaces there are, and the limit of narrow sets
	mutex          sync.Mutex
	signatures     map[string]*signature
	admissions     map[string]*spaceSet
}

const (
	adminTier = iota
	baselineTier
)

const (
	egress = iota
	ingress
)

type tierAction uint8

const (
	tierAllow tierAction = iota
	tierDeny
	tierPass
)

// tierPolicy is a policy of a tier, with the pods that it is about.
type tierPolicy struct {
	kind, name     string
	tier, priority int
	namespaces     selector
	pods           selector
	spaces         *spaceSet
	// first and last of its rules: first to last-1.
	first, last int
}

// tierRule is one rule of a policy.
type tierRule struct {
	policy    *tierPolicy
	direction int
	number    int
	action    tierAction
	peers     []tierPeer
	ports     Ports
	names     []string
}

type tierPeerKind uint8

const (
	tierPods      tierPeerKind = iota // namespaces, pods
	tierAddresses                     // networks, nodes
	tierUnclear                       // domain names, and fields that are not known: nobody here can say
)

type tierPeer struct {
	kind             tierPeerKind
	namespaces, pods selector
	spaces           *spaceSet
	blocks           []*ipBlock
}

// on returns the ports that a rule means on a destination.
func (r *tierRule) on(declared []snapshot.NamedPort) Ports {
	ports := r.ports
	for _, name := range r.names {
		for _, d := range declared {
			if i := slices.Index(protocols[:], d.Protocol); d.Name == name && i >= 0 {
				ports = ports.union(portsOf(i, d.Port, d.Port))
			}
		}
	}
	return ports
}

// tiersOf reads the policies of administrators; nil if there are none.
func (r *NetworkReach) tiersOf(s *snapshot.Snapshot) *tiers {
	if len(s.AdminNetworkPolicies)+len(s.BaselineAdminNetworkPolicies)+len(s.ClusterNetworkPolicies) == 0 {
		return nil
	}
	t := &tiers{spaces: len(r.spaces), narrow: r.narrow, every: everyPort(), names: map[string]bool{}, signatures: map[string]*signature{}, admissions: map[string]*spaceSet{}}
	read := &tierReader{tiers: t, nodes: s.Nodes}
	for _, p := range s.AdminNetworkPolicies {
		read.admin(p)
	}
	for _, p := range s.BaselineAdminNetworkPolicies {
		read.baseline(p)
	}
	for _, p := range s.ClusterNetworkPolicies {
		read.cluster(p)
	}
	slices.SortStableFunc(read.found, func(a, b *readPolicy) int {
		return cmp.Or(cmp.Compare(a.policy.tier, b.policy.tier), cmp.Compare(a.policy.kind, b.policy.kind),
			cmp.Compare(a.policy.priority, b.policy.priority), cmp.Compare(a.policy.name, b.policy.name))
	})
	for _, f := range read.found {
		f.policy.first = len(t.rules)
		t.rules = append(t.rules, f.rules...)
		f.policy.last = len(t.rules)
		t.policies = append(t.policies, f.policy)
	}
	for tier := range t.masks {
		for direction := range t.masks[tier] {
			t.masks[tier][direction] = newBitset(len(t.rules))
		}
	}
	for i := range t.rules {
		rule := &t.rules[i]
		t.masks[rule.policy.tier][rule.direction].set(i)
		for _, name := range rule.names {
			t.names[name] = true
		}
	}
	t.resolve(r.labels)
	return t
}

// resolve finds the namespaces that selectors mean.
func (t *tiers) resolve(index *labelIndex) {
	found := map[string]*spaceSet{}
	find := func(s selector) *spaceSet {
		key := s.key()
		if found[key] == nil {
			found[key] = index.find(s)
		}
		t.labels = t.labels || s.byLabels()
		return found[key]
	}
	for _, p := range t.policies {
		p.spaces = find(p.namespaces)
	}
	for i := range t.rules {
		for j := range t.rules[i].peers {
			if peer := &t.rules[i].peers[j]; peer.kind == tierPods {
				peer.spaces = find(peer.namespaces)
			}
		}
	}
}

// blocks that some peer names.
func (t *tiers) blocks() []*ipBlock {
	if t == nil {
		return nil
	}
	var blocks []*ipBlock
	for i := range t.rules {
		for _, peer := range t.rules[i].peers {
			blocks = append(blocks, peer.blocks...)
		}
	}
	return blocks
}
