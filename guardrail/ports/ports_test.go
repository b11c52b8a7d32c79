package ports

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
)

// Promise: sets of ports behave as sets do, against lists of single ports.
func TestPortSets(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 3))
	random := func() []v1alpha1.FlowPort {
		list := make([]v1alpha1.FlowPort, r.IntN(4))
		for i := range list {
			switch first := 1 + r.Int32N(12); r.IntN(4) {
			case 0:
				list[i] = v1alpha1.FlowPort{Protocol: corev1.ProtocolTCP, Port: intstr.FromInt32(first)}
			case 1:
				list[i] = v1alpha1.FlowPort{Protocol: corev1.ProtocolTCP, Port: intstr.FromInt32(first), EndPort: new(first + r.Int32N(5))}
			case 2:
				list[i] = v1alpha1.FlowPort{Protocol: corev1.ProtocolTCP, Port: intstr.FromString(string(rune('a' + r.IntN(3))))}
			default:
				list[i] = v1alpha1.FlowPort{Port: intstr.FromInt32(first)} // the protocol defaults to TCP
			}
		}
		return list
	}
	members := func(s Set) map[string]bool {
		m := map[string]bool{}
		for n := int32(1); n < 20; n++ {
			if s.all || slices.ContainsFunc(s.ranges, func(p portRange) bool { return p.first <= n && n <= p.last }) {
				m[fmt.Sprint(n)] = true
			}
		}
		for _, name := range []string{"a", "b", "c"} {
			if s.all || slices.Contains(s.names, portName{"TCP", name}) {
				m[name] = true
			}
		}
		return m
	}
	for range 5000 {
		a, b := Of(random()), Of(random())
		both, either := members(a), members(a)
		maps.DeleteFunc(both, func(k string, _ bool) bool { return !members(b)[k] })
		maps.Copy(either, members(b))
		if got := a.Intersect(b); !maps.Equal(members(got), both) || got.Empty() != (len(both) == 0) ||
			!got.Equal(b.Intersect(a)) {
			t.Fatalf("%v and %v have %v in common, want %v", a, b, got, both)
		}
		if got := a.Union(b); !maps.Equal(members(got), either) || !got.Equal(b.Union(a)) {
			t.Fatalf("%v and %v together are %v, want %v", a, b, got, either)
		}
		if !a.all && len(a.Rules()) == 0 {
			t.Fatalf("%v renders as every port", a)
		}
	}
}
