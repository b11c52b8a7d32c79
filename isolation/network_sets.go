package isolation

import (
	"math/bits"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bulkhead-dev/bulkhead/snapshot"
)

// bitset is a set of small numbers.
type bitset []uint64

func newBitset(n int) bitset { return make(bitset, (n+63)/64) }

func (b bitset) has(i int) bool { return b[i/64]&(1<<(i%64)) != 0 }
func (b bitset) set(i int)      { b[i/64] |= 1 << (i % 64) }

func (b bitset) count() int {
	n := 0
	for _, word := range b {
		n += bits.OnesCount64(word)
	}
	return n
}

// each calls f with every member in rising order.
func (b bitset) each(f func(int)) {
	for i, word := range b {
		for ; word != 0; word &= word - 1 {
			f(i*64 + bits.TrailingZeros64(word))
		}
	}
}

// narrow is the number of namespaces up to which a set is narrow: listed, and walked through. Wider ones are bits, and
// never walked through namespace by namespace from both ends. It is a matter of speed alone.
const narrow = 32

// spaceSet is a set of namespaces.
type spaceSet struct {
	list []int32 // sorted; narrow sets only
	bits bitset  // wide sets only
}

func spaceSetOf(members bitset, narrow int) *spaceSet {
	if members.count() > narrow {
		return &spaceSet{bits: members}
	}
	s := &spaceSet{}
	members.each(func(i int) { s.list = append(s.list, int32(i)) })
	return s
}

func (s *spaceSet) wide() bool { return s.bits != nil }

func (s *spaceSet) has(id int) bool {
	if s.bits != nil {
		return s.bits.has(id)
	}
	return slices.Contains(s.list, int32(id))
}

// put makes id a member of a sorted list.
func put(list []int32, id int32) []int32 {
	i, found := slices.BinarySearch(list, id)
	if found {
		return list
	}
	return slices.Insert(list, i, id)
}

// labelIndex finds namespaces by label.
type labelIndex struct {
	n     int
	limit int // up to which a set is narrow
	byKey map[string]map[string][]int32
}

func labelIndexOf(namespaces []*snapshot.Namespace, limit int) *labelIndex {
	x := &labelIndex{n: len(namespaces), limit: limit, byKey: map[string]map[string][]int32{}}
	for i, ns := range namespaces {
		for _, l := range ns.Labels {
			values := x.byKey[l.Key]
			if values == nil {
				values = map[string][]int32{}
				x.byKey[l.Key] = values
			}
			values[l.Value] = append(values[l.Value], int32(i))
		}
	}
	return x
}

// find returns the namespaces that a selector matches.
func (x *labelIndex) find(s selector) *spaceSet {
	if len(s.requirements) == 1 && s.requirements[0].operator == metav1.LabelSelectorOpIn && len(s.requirements[0].values) == 1 {
		r := s.requirements[0]
		if ids := x.byKey[r.key][r.values[0]]; len(ids) <= x.limit { // by far the most common: one label, few namespaces
			return &spaceSet{list: slices.Clone(ids)}
		}
	}
	members := newBitset(x.n)
	for w := range members {
		members[w] = ^uint64(0)
	}
	if tail := x.n % 64; tail != 0 {
		members[len(members)-1] = 1<<tail - 1
	}
	for i := range s.requirements {
		x.keep(members, &s.requirements[i])
	}
	return spaceSetOf(members, x.limit)
}

// keep keeps the members that satisfy a requirement.
func (x *labelIndex) keep(members bitset, r *requirement) {
	named := newBitset(x.n)
	mark := func(ids []int32) {
		for _, id := range ids {
			named.set(int(id))
		}
	}
	for _, value := range r.values {
		mark(x.byKey[r.key][value])
	}
	if len(r.values) == 0 { // Exists and DoesNotExist; the others have values
		for _, ids := range x.byKey[r.key] {
			mark(ids)
		}
	}
	positive := r.operator == metav1.LabelSelectorOpIn || r.operator == metav1.LabelSelectorOpExists
	for w := range members {
		if positive {
			members[w] &= named[w]
		} else {
			members[w] &^= named[w]
		}
	}
}

func onesOf(word uint64) int { return bits.OnesCount64(word) }
