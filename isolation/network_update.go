package isolation

import (
	"net/netip"
	"slices"

	networkingv1 "k8s.io/api/networking/v1"

	"github.com/bulkhead-dev/bulkhead/snapshot"
)

// Update brings the reach up to date with another snapshot, as if Reach had been called on it, in time for what
// differs. What differs it finds by itself: objects that are not the same pointers. It must not run beside any other
// method of r, and voids what TenantPairs and Connections returned.
func (r *NetworkReach) Update(next *snapshot.Snapshot) {
	changed, local := r.difference(next)
	if !local || len(changed) > 16+len(r.spaces)/50 {
		r.rebuild(next)
		return
	}
	r.snapshot = next
	spaces := make([]*space, 0, len(changed))
	for _, id := range changed {
		spaces = append(spaces, r.spaces[id])
		r.leave(r.spaces[id])
	}
	for _, s := range spaces {
		s.compile(within(next.NetworkPolicies, s.source.Name, func(p *networkingv1.NetworkPolicy) string { return p.Namespace }))
	}
	spaces = append(spaces, r.refine(changed, spaces)...)
	for _, s := range spaces {
		s.regroup(within(next.Pods, s.source.Name, func(p *snapshot.Pod) string { return p.Namespace }), r.cuts)
		r.tiers.sign(s)
		s.apply(r.open)
		for _, b := range r.blocks {
			b.spaces.put(s.id, s.mayHold(b.block))
		}
	}
	r.resolve(spaces)
	for _, s := range spaces {
		s.sortCrossing()
		r.join(s)
	}
	if r.internedNow() > 2*r.interned+1024 {
		r.rebuild(next)
		return
	}
	r.refill(spaces)
}

// refill computes the rows and columns of the tenants whose namespaces changed. Nothing else hangs on those.
func (r *NetworkReach) refill(spaces []*space) {
	var tenants []int
	for _, s := range spaces {
		if s.tenant >= 0 && !slices.Contains(tenants, s.tenant) {
			tenants = append(tenants, s.tenant)
		}
	}
	for _, t := range tenants {
		r.sure.clear(t)
		r.maybe.clear(t)
	}
	for _, t := range tenants {
		r.fill(scope{from: t, to: -1})
		r.fill(scope{from: -1, to: t})
	}
}

// difference returns the namespaces whose pods or policies differ. It is not local if namespaces or tenants do.
func (r *NetworkReach) difference(next *snapshot.Snapshot) (changed []int, local bool) {
	if !r.sameTiers(next) || !slices.Equal(r.snapshot.Namespaces, next.Namespaces) || !slices.EqualFunc(r.snapshot.Tenants, next.Tenants,
		func(a, b snapshot.Tenant) bool { return a.Name == b.Name && slices.Equal(a.Namespaces, b.Namespaces) }) {
		return nil, false
	}
	names := map[string]bool{}
	differing(r.snapshot.Pods, next.Pods, func(p *snapshot.Pod) (string, string) { return p.Namespace, p.Name }, names)
	differing(r.snapshot.NetworkPolicies, next.NetworkPolicies,
		func(p *networkingv1.NetworkPolicy) (string, string) { return p.Namespace, p.Name }, names)
	for name := range names {
		changed = append(changed, r.byName[name])
	}
	slices.Sort(changed)
	return changed, true
}

// sameTiers says whether nothing changed that tiers are made of.
func (r *NetworkReach) sameTiers(next *snapshot.Snapshot) bool {
	return slices.Equal(r.snapshot.AdminNetworkPolicies, next.AdminNetworkPolicies) &&
		slices.Equal(r.snapshot.BaselineAdminNetworkPolicies, next.BaselineAdminNetworkPolicies) &&
		slices.Equal(r.snapshot.ClusterNetworkPolicies, next.ClusterNetworkPolicies) &&
		(r.tiers == nil || !r.tiers.nodes || slices.Equal(r.snapshot.Nodes, next.Nodes))
}

// differing adds the namespaces of objects that are in one list and not in the other. Both are sorted.
func differing[T any](before, after []*T, id func(*T) (namespace, name string), names map[string]bool) {
	for len(before) > 0 || len(after) > 0 {
		switch {
		case len(before) > 0 && len(after) > 0 && before[0] == after[0]:
			before, after = before[1:], after[1:]
			continue
		case len(after) == 0 || len(before) > 0 && precedes(before[0], after[0], id):
			namespace, _ := id(before[0])
			names[namespace] = true
			before = before[1:]
		default:
			namespace, _ := id(after[0])
			names[namespace] = true
			after = after[1:]
		}
	}
}

func precedes[T any](a, b *T, id func(*T) (namespace, name string)) bool {
	namespaceA, nameA := id(a)
	namespaceB, nameB := id(b)
	return namespaceA < namespaceB || namespaceA == namespaceB && nameA < nameB
}

// within returns the part of a list, sorted by namespace, that lies in one.
func within[T any](list []*T, name string, namespace func(*T) string) []*T {
	find := func(name string) int {
		i, _ := slices.BinarySearchFunc(list, name, func(item *T, name string) int {
			if namespace(item) < name {
				return -1
			}
			return 1
		})
		return i
	}
	return list[find(name):find(name+"\x00")]
}

// refine takes in the ipBlocks of changed namespaces, and returns further namespaces whose classes they split: policies
// can tell pods apart there that they could not before. Cuts that nothing needs any more stay until the next rebuild:
// classes finer than needed give the same reach.
func (r *NetworkReach) refine(changed []int, spaces []*space) []*space {
	blocks := r.blocksOf(spaces)
	fresh := slices.ContainsFunc(blocks, func(b *ipBlock) bool { return r.blocks[b.key()] == nil })
	if !fresh {
		return nil
	}
	cuts := append(slices.Clone(r.cuts), cutsOf(blocks)...)
	slices.SortFunc(cuts, netip.Addr.Compare)
	r.cuts = slices.Compact(cuts)
	split := make([]bool, len(r.spaces))
	r.parallel(len(r.spaces), func(i int) {
		if _, isChanged := slices.BinarySearch(changed, i); !isChanged {
			split[i] = !r.spaces[i].recut(r.cuts)
		}
	})
	var more []*space
	for i, s := range r.spaces {
		if split[i] {
			r.leave(s)
			more = append(more, s)
		}
	}
	return more
}

// recut gives every class its new cells, or says false if pods of one class now lie in different cells.
func (s *space) recut(cuts cuts) bool {
	fresh := make([][]netip.Addr, len(s.classes))
	for i, pod := range s.pods {
		cells, _ := cellsOf(pod, cuts)
		switch known := fresh[s.classOf[i]]; {
		case known == nil:
			fresh[s.classOf[i]] = cells
		case !slices.Equal(known, cells):
			return false
		}
	}
	for i, c := range s.classes {
		c.cells = fresh[i]
	}
	return true
}
