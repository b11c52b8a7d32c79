package network

import (
	"runtime"
	"slices"
	"sync"

	networkingv1 "k8s.io/api/networking/v1"

	"github.com/bulkhead-dev/bulkhead/parallel"
	"github.com/bulkhead-dev/bulkhead/snapshot"
)

// Reach is what pods can reach over the network, as NetworkPolicies (networking.k8s.io/v1) let them, and the
// policies of administrators before and behind those (tiers has their rules).
//
// The rules, each with its source in the API documentation or, where that leaves a choice, the choice that cannot
// hide a connection:
//
//   - A pod is isolated for a direction if a policy of its namespace selects it and has that direction in policyTypes;
//     without policyTypes that is Ingress, and Egress if there are egress rules. Policies add up. A connection needs
//     the egress of its source and the ingress of its destination.
//   - An empty selector selects everything, an absent one nothing of its own: a peer with a podSelector alone means
//     pods of the policy's namespace, with a namespaceSelector alone every pod of those namespaces, with both the pods
//     in the namespaces. No peers at all means everyone, in the cluster and outside. No rules means no peer.
//   - No ports means every port of SCTP, TCP and UDP; a protocol without a port, every port of it; no protocol means
//     TCP. A name means, on each destination pod, the port of that name and protocol, and nothing on other pods and
//     outside the cluster. Protocols beyond the three are not in the API, and not in this proof.
//   - An ipBlock includes pods whose address lies in it: plugins differ, so the wider reading is taken. Where addresses
//     of pods are not known, a connection that depends on them is neither proven nor excluded.
//   - Host-network pods: no policy isolates them, as what plugins do is undefined, and peers match them both by their
//     labels and by their node's address. Traffic between a node and the pods on it is always allowed, so they and all
//     pods of their node reach each other.
//   - Completed pods neither send nor receive. A pod always reaches itself.
//   - A policy that the API server would refuse does not exist, and leaves a doubt about its namespace.
//
// Services, load balancers and node ports are not in it: policies see the pods behind them. Nor is what a plugin fails
// to enforce.
type Reach struct {
	snapshot *snapshot.Snapshot
	workers  int
	narrow   int // see the constant
	open     *allowance

	spaces  []*space // by namespace, as in the snapshot
	byName  map[string]int
	tenants []tenant

	byLabels func() bool                // selectsByLabels, once
	named    map[string]map[string]bool // namedLabels
	// tiers of administrators' policies; nil if there are none.
	tiers               *tiers
	labels              *labelIndex
	selected            map[string]*spaceSet // by namespaceSelector
	blocks              map[string]*spaceSet // by ipBlock: the namespaces that may have pods in it
	cuts                cuts
	groupsIn, groupsOut map[groupKey]*group

	// sure holds the pairs of tenants that certainly have a connection, maybe those too whose pods' addresses or nodes
	// would have to be known.
	sure, maybe matrix
}

// ToCome reports whether a tenant may have pods made in a namespace, and by which labels: takes is nil for all.
type ToCome func(namespace string) (comes bool, takes func(key, value string) bool)

type tenant struct {
	name   string
	spaces []int32 // sorted
}

// NewReach computes the network reach of a snapshot with as many workers; 0 means one for each processor. The result is
// the same with any number.
func NewReach(s *snapshot.Snapshot, workers int) *Reach {
	if workers <= 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	return reach(s, workers, narrow, func(string) (bool, func(key, value string) bool) { return false, nil })
}

// NewReachToCome is NewReach with the pods that tenants may still have made, toCome reports whether in a namespace, and
// whether admission takes a label there (nil: every label).
func NewReachToCome(s *snapshot.Snapshot, workers int, toCome ToCome) *Reach {
	return reach(s, workers, narrow, toCome)
}

func reach(s *snapshot.Snapshot, workers, narrow int, toCome ToCome) *Reach {
	r := &Reach{snapshot: s, workers: workers, narrow: narrow, open: unrestricted(), labels: labelIndexOf(s.Namespaces, narrow),
		selected: map[string]*spaceSet{}, blocks: map[string]*spaceSet{}, groupsIn: map[groupKey]*group{}, groupsOut: map[groupKey]*group{}}
	r.byLabels = sync.OnceValue(r.selectsByLabels)
	r.indexSpaces()
	r.tiers = r.tiersOf(s)
	pods, policies := podsBySpace(r, s), policiesBySpace(r, s)
	r.parallel(len(r.spaces), func(i int) { r.spaces[i].compile(policies[i]) })
	r.named = r.namedLabels()
	r.cuts = cutsOf(append(r.blocksOf(r.spaces), r.tiers.blocks()...))
	r.parallel(len(r.spaces), func(i int) {
		there, doubts := r.labelled(pods[i])
		r.spaces[i].invalid = append(r.spaces[i].invalid, doubts...)
		r.spaces[i].regroup(there, r.cuts)
	})
	used := usedBy(r.spaces)
	r.parallel(len(r.spaces), func(i int) {
		if r.spaces[i].tenant >= 0 {
			if comes, takes := toCome(r.spaces[i].source.Name); comes {
				r.spaces[i].expect(used, takes)
			}
		}
		r.tiers.sign(r.spaces[i])
		r.spaces[i].apply(r.open)
	})
	r.resolve(r.spaces)
	r.parallel(len(r.spaces), func(i int) { r.spaces[i].sortCrossing() })
	for _, sp := range r.spaces {
		r.join(sp)
	}
	r.sure, r.maybe = newMatrix(len(r.tenants)), newMatrix(len(r.tenants))
	r.fill()
	return r
}

func (r *Reach) indexSpaces() {
	r.spaces = make([]*space, len(r.snapshot.Namespaces))
	r.byName = make(map[string]int, len(r.spaces))
	for i, ns := range r.snapshot.Namespaces {
		r.spaces[i] = &space{id: i, source: ns, tenant: -1}
		r.byName[ns.Name] = i
	}
	r.tenants = make([]tenant, 0, len(r.snapshot.Tenants))
	for i, t := range r.snapshot.Tenants {
		owner := tenant{name: t.Name}
		for _, name := range t.Namespaces {
			if id, exists := r.byName[name]; exists { // one that does not exist has no pods
				owner.spaces = append(owner.spaces, int32(id))
				r.spaces[id].tenant = i
			}
		}
		slices.Sort(owner.spaces)
		r.tenants = append(r.tenants, owner)
	}
}

func podsBySpace(r *Reach, s *snapshot.Snapshot) [][]*snapshot.Pod {
	return bySpace(r, s.Pods, func(p *snapshot.Pod) string { return p.Namespace })
}

func policiesBySpace(r *Reach, s *snapshot.Snapshot) [][]*networkingv1.NetworkPolicy {
	return bySpace(r, s.NetworkPolicies, func(p *networkingv1.NetworkPolicy) string { return p.Namespace })
}

// bySpace cuts a list that is sorted by namespace.
func bySpace[T any](r *Reach, list []T, namespace func(T) string) [][]T {
	cut := make([][]T, len(r.spaces))
	for from := 0; from < len(list); {
		name, to := namespace(list[from]), from+1
		for to < len(list) && namespace(list[to]) == name {
			to++
		}
		cut[r.byName[name]] = list[from:to:to]
		from = to
	}
	return cut
}

// blocksOf returns the ipBlocks that the policies of namespaces name.
func (r *Reach) blocksOf(spaces []*space) []*ipBlock {
	var blocks []*ipBlock
	for _, s := range spaces {
		s.eachAllowance(func(a *allowance) {
			if a.peer.kind == addressesIn {
				blocks = append(blocks, a.peer.block)
			}
		})
	}
	return blocks
}

// parallel calls f for 0 to n-1, spread over the workers.
func (r *Reach) parallel(n int, f func(i int)) {
	const chunk = 64
	parallel.Each(r.workers, n, chunk, f)
}
