package network

import (
	"cmp"
	"fmt"
	"math/bits"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

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

// selector is a label selector in normal form: requirements that must all hold. The empty one holds of everything.
// That a selector is absent is not for it to say: the field that it is missing from says what that means.
type selector struct {
	requirements []requirement
}

// requirement on one label. A label that is absent satisfies NotIn and DoesNotExist.
type requirement struct {
	key      string
	operator metav1.LabelSelectorOperator
	values   []string
}

// selectorOf reads a selector. It fails where the API server would refuse.
func selectorOf(s *metav1.LabelSelector) (selector, error) {
	if len(s.MatchLabels) == 0 && len(s.MatchExpressions) == 0 {
		return selector{}, nil
	}
	errs := validation.ValidateLabelSelector(s, validation.LabelSelectorValidationOptions{}, field.NewPath("selector"))
	if len(errs) > 0 {
		return selector{}, errs.ToAggregate()
	}
	requirements := make([]requirement, 0, len(s.MatchLabels)+len(s.MatchExpressions))
	for key, value := range s.MatchLabels {
		requirements = append(requirements, requirement{key, metav1.LabelSelectorOpIn, []string{value}})
	}
	for _, e := range s.MatchExpressions {
		values := slices.Clone(e.Values)
		slices.Sort(values)
		requirements = append(requirements, requirement{e.Key, e.Operator, slices.Compact(values)})
	}
	slices.SortFunc(requirements, func(a, b requirement) int {
		return cmp.Or(cmp.Compare(a.key, b.key), cmp.Compare(a.operator, b.operator), slices.Compare(a.values, b.values))
	})
	return selector{requirements}, nil
}

func (s selector) matches(labels snapshot.Labels) bool {
	for i := range s.requirements {
		if !s.requirements[i].holds(labels) {
			return false
		}
	}
	return true
}

func (r *requirement) holds(labels snapshot.Labels) bool {
	value, has := labels.Get(r.key)
	switch r.operator {
	case metav1.LabelSelectorOpIn:
		return has && slices.Contains(r.values, value)
	case metav1.LabelSelectorOpNotIn:
		return !has || !slices.Contains(r.values, value)
	case metav1.LabelSelectorOpExists:
		return has
	default: // DoesNotExist: selectorOf lets no other pass
		return !has
	}
}

// byLabels reports whether it selects namespaces by more than their name.
func (s selector) byLabels() bool {
	return slices.ContainsFunc(s.requirements, func(r requirement) bool { return r.key != corev1.LabelMetadataName })
}

// key is the same for two selectors exactly when they are written the same in normal form.
func (s selector) key() string {
	var b strings.Builder
	for _, r := range s.requirements {
		fmt.Fprintf(&b, "%q%s%q;", r.key, r.operator, r.values)
	}
	return b.String()
}

// choice is the labels that the maker of a pod may give it: every must holds of them, and none of avoid matches them.
type choice struct {
	must  []requirement
	avoid []selector
	// takes reports whether admission takes a label; nil: every label.
	takes func(key, value string) bool
}

// maxChoiceSteps bounds the search. What is not decided within it counts as possible: that cannot hide a connection.
const maxChoiceSteps = 10_000

// may reports whether labels can be chosen that a selector matches.
func (c *choice) may(s selector) bool {
	_, can := c.with(s)
	return can
}

// always reports whether a selector matches whatever labels are chosen.
func (c *choice) always(s selector) bool {
	without := choice{c.must, append(slices.Clip(c.avoid), s), c.takes}
	return !without.may(selector{})
}

// with returns labels that can be chosen and that a selector matches; false if there are none.
func (c *choice) with(s selector) (snapshot.Labels, bool) {
	steps := maxChoiceSteps
	found, can := c.solve(append(slices.Clip(c.must), s.requirements...), c.avoid, &steps)
	if !can {
		return nil, false
	}
	labels := map[string]string{}
	for _, r := range found {
		if value, has := c.valueOf(found, r); has {
			labels[r.key] = value
		}
	}
	return snapshot.LabelsOf(labels), true
}

// solve adds to requirements what keeps every one of the selectors from matching; false if nothing does.
func (c *choice) solve(must []requirement, avoid []selector, steps *int) ([]requirement, bool) {
	if !c.consistent(must) {
		return nil, false
	}
	if *steps--; len(avoid) == 0 || *steps < 0 {
		return must, true
	}
	for _, r := range avoid[0].requirements {
		if found, can := c.solve(append(slices.Clip(must), r.negated()), avoid[1:], steps); can {
			return found, true
		}
	}
	return nil, false
}

// consistent reports whether some labels satisfy all requirements. Those that demand a label have a value that the others
// take; for the rest, none is enough.
func (c *choice) consistent(must []requirement) bool {
	return !slices.ContainsFunc(must, func(r requirement) bool {
		_, has := c.valueOf(must, r)
		return !has && (r.operator == metav1.LabelSelectorOpIn || r.operator == metav1.LabelSelectorOpExists)
	})
}

// valueOf returns a value that satisfies a requirement that demands a label, and all others on the same label.
func (c *choice) valueOf(must []requirement, r requirement) (string, bool) {
	candidates := r.values
	switch r.operator {
	case metav1.LabelSelectorOpIn:
	case metav1.LabelSelectorOpExists:
		other := "any" // longer than what is excluded
		for _, q := range must {
			if q.key == r.key && q.operator == metav1.LabelSelectorOpIn {
				return c.valueOf(must, q)
			}
			for _, v := range q.values {
				if q.key == r.key && len(v) >= len(other) {
					other = v + "x"
				}
			}
		}
		candidates = []string{other}
	default:
		return "", false
	}
	for _, value := range candidates {
		one := snapshot.Labels{{Key: r.key, Value: value}}
		if !slices.ContainsFunc(must, func(q requirement) bool { return q.key == r.key && !q.holds(one) }) &&
			(c.takes == nil || r.operator != metav1.LabelSelectorOpIn || c.takes(r.key, value)) {
			return value, true
		}
	}
	return "", false
}

// negated returns the requirement that holds where this one does not.
func (r *requirement) negated() requirement {
	opposite := map[metav1.LabelSelectorOperator]metav1.LabelSelectorOperator{
		metav1.LabelSelectorOpIn: metav1.LabelSelectorOpNotIn, metav1.LabelSelectorOpNotIn: metav1.LabelSelectorOpIn,
		metav1.LabelSelectorOpExists: metav1.LabelSelectorOpDoesNotExist, metav1.LabelSelectorOpDoesNotExist: metav1.LabelSelectorOpExists,
	}
	negation := *r
	negation.operator = opposite[r.operator]
	return negation
}
