// Package ports calculates with sets of destination ports, for the network policies of package guardrail. It is pure.
package ports

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
)

// Set is a set of destination ports. Every port is a set of its own kind and not the empty list, as in the API:
// the intersection of two lists may be empty, and must not come to mean every port.
type Set struct {
	all    bool
	ranges []portRange // sorted, disjoint, not adjacent
	names  []portName  // sorted, each once
}

type portRange struct {
	protocol    corev1.Protocol
	first, last int32
}

type portName struct {
	protocol corev1.Protocol
	name     string
}

// Of a flow. Ports that are not well-formed, which the API server refuses, are left out.
func Of(ports []v1alpha1.FlowPort) Set {
	if len(ports) == 0 {
		return Set{all: true}
	}
	var s Set
	for i := range ports {
		p := &ports[i]
		protocol := cmp.Or(p.Protocol, corev1.ProtocolTCP)
		if p.Port.Type == intstr.String {
			if p.EndPort == nil && len(utilvalidation.IsValidPortName(p.Port.StrVal)) == 0 {
				s.names = append(s.names, portName{protocol, p.Port.StrVal})
			}
			continue
		}
		r := portRange{protocol, p.Port.IntVal, p.Port.IntVal}
		if p.EndPort != nil {
			r.last = *p.EndPort
		}
		if r.first >= 1 && r.first <= r.last && r.last <= 65535 {
			s.ranges = append(s.ranges, r)
		}
	}
	return s.normal()
}

func (s Set) normal() Set {
	slices.SortFunc(s.ranges, func(a, b portRange) int {
		return cmp.Or(cmp.Compare(a.protocol, b.protocol), cmp.Compare(a.first, b.first), cmp.Compare(a.last, b.last))
	})
	merged := make([]portRange, 0, len(s.ranges))
	for _, r := range s.ranges {
		if n := len(merged); n > 0 && merged[n-1].protocol == r.protocol && r.first <= merged[n-1].last+1 {
			merged[n-1].last = max(merged[n-1].last, r.last)
		} else {
			merged = append(merged, r)
		}
	}
	s.ranges = merged
	slices.SortFunc(s.names, func(a, b portName) int {
		return cmp.Or(cmp.Compare(a.protocol, b.protocol), cmp.Compare(a.name, b.name))
	})
	s.names = slices.Compact(s.names)
	return s
}

// Empty reports whether no port is in the set.
func (s Set) Empty() bool { return !s.all && len(s.ranges) == 0 && len(s.names) == 0 }

// Intersect has the ports that both sets have for certain. A name is the same as the same name only: which number it
// stands for is known to the pods alone.
func (s Set) Intersect(o Set) Set {
	if s.all {
		return o
	}
	if o.all {
		return s
	}
	var both Set
	for _, a := range s.ranges {
		for _, b := range o.ranges {
			r := portRange{a.protocol, max(a.first, b.first), min(a.last, b.last)}
			if a.protocol == b.protocol && r.first <= r.last {
				both.ranges = append(both.ranges, r)
			}
		}
	}
	for _, n := range s.names {
		if slices.Contains(o.names, n) {
			both.names = append(both.names, n)
		}
	}
	return both.normal()
}

// Union has the ports of either set.
func (s Set) Union(o Set) Set {
	if s.all || o.all {
		return Set{all: true}
	}
	return Set{
		ranges: slices.Concat(s.ranges, o.ranges), names: slices.Concat(s.names, o.names),
	}.normal()
}

// Equal reports whether both sets have the same ports.
func (s Set) Equal(o Set) bool {
	return s.all == o.all && slices.Equal(s.ranges, o.ranges) && slices.Equal(s.names, o.names)
}

// Rules for a NetworkPolicy, where no port means every port. The set must not be empty.
func (s Set) Rules() []networkingv1.NetworkPolicyPort {
	if s.all {
		return nil
	}
	list := make([]networkingv1.NetworkPolicyPort, 0, len(s.ranges)+len(s.names))
	for _, r := range s.ranges {
		p := networkingv1.NetworkPolicyPort{Protocol: new(r.protocol), Port: new(intstr.FromInt32(r.first))}
		if r.last > r.first {
			p.EndPort = new(r.last)
		}
		list = append(list, p)
	}
	for _, n := range s.names {
		list = append(list, networkingv1.NetworkPolicyPort{
			Protocol: new(n.protocol), Port: new(intstr.FromString(n.name)),
		})
	}
	return list
}

// String such as "TCP 80, TCP 8000-8100, UDP dns".
func (s Set) String() string {
	if s.all {
		return "every port"
	}
	words := make([]string, 0, len(s.ranges)+len(s.names))
	for _, r := range s.ranges {
		if r.first == r.last {
			words = append(words, fmt.Sprintf("%s %d", r.protocol, r.first))
		} else {
			words = append(words, fmt.Sprintf("%s %d-%d", r.protocol, r.first, r.last))
		}
	}
	for _, n := range s.names {
		words = append(words, fmt.Sprintf("%s %s", n.protocol, n.name))
	}
	return strings.Join(words, ", ")
}
