package network

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/bulkhead-dev/bulkhead/snapshot"
)

// protocols that a NetworkPolicy can tell apart, in the order in which they are written. Of others (ICMP, for one) the
// API says nothing: what a network plugin does with them is not proven.
var protocols = [...]corev1.Protocol{corev1.ProtocolSCTP, corev1.ProtocolTCP, corev1.ProtocolUDP}

const maxPort = 65535

// PortRange is a range of ports, both ends included.
type PortRange struct {
	From, To uint16
}

// Ports is a set of ports of SCTP, TCP and UDP. The zero value is empty. It is never changed.
type Ports struct {
	// ranges by protocol, sorted, neither overlapping nor touching.
	ranges [len(protocols)][]PortRange
}

func everyPort() Ports {
	var p Ports
	for i := range p.ranges {
		p.ranges[i] = []PortRange{{1, maxPort}}
	}
	return p
}

func portsOf(protocol int, from, to uint16) Ports {
	var p Ports
	p.ranges[protocol] = []PortRange{{from, to}}
	return p
}

// Empty reports whether no connection is in the set.
func (p Ports) Empty() bool {
	for _, ranges := range p.ranges {
		if len(ranges) > 0 {
			return false
		}
	}
	return true
}

// All reports whether every connection is in the set.
func (p Ports) All() bool {
	for _, ranges := range p.ranges {
		if len(ranges) != 1 || ranges[0] != (PortRange{1, maxPort}) {
			return false
		}
	}
	return true
}

// Has reports whether a port is in the set.
func (p Ports) Has(protocol corev1.Protocol, port uint16) bool {
	i := slices.Index(protocols[:], protocol)
	return i >= 0 && slices.ContainsFunc(p.ranges[i], func(r PortRange) bool { return r.From <= port && port <= r.To })
}

// Ranges of a protocol, sorted.
func (p Ports) Ranges(protocol corev1.Protocol) []PortRange {
	if i := slices.Index(protocols[:], protocol); i >= 0 {
		return slices.Clone(p.ranges[i])
	}
	return nil
}

// String writes the set as "All Connections", "No Connections", or a list such as "TCP 80,8000-8100,UDP 53".
func (p Ports) String() string {
	switch {
	case p.All():
		return "All Connections"
	case p.Empty():
		return "No Connections"
	}
	var b strings.Builder
	for i, ranges := range p.ranges {
		for j, r := range ranges {
			switch {
			case j > 0:
				b.WriteByte(',')
			case b.Len() > 0:
				b.WriteString("," + string(protocols[i]) + " ")
			default:
				b.WriteString(string(protocols[i]) + " ")
			}
			if r.From == r.To {
				fmt.Fprintf(&b, "%d", r.From)
			} else {
				fmt.Fprintf(&b, "%d-%d", r.From, r.To)
			}
		}
	}
	return b.String()
}

func (p Ports) union(q Ports) Ports {
	if p.All() || q.Empty() {
		return p
	}
	if q.All() || p.Empty() {
		return q
	}
	var u Ports
	for i := range p.ranges {
		switch {
		case len(q.ranges[i]) == 0:
			u.ranges[i] = p.ranges[i]
		case len(p.ranges[i]) == 0:
			u.ranges[i] = q.ranges[i]
		default:
			u.ranges[i] = merged(append(slices.Clone(p.ranges[i]), q.ranges[i]...))
		}
	}
	return u
}

// merged returns ranges in normal form. It may reorder its argument.
func merged(ranges []PortRange) []PortRange {
	slices.SortFunc(ranges, func(a, b PortRange) int { return cmp.Compare(a.From, b.From) })
	var out []PortRange
	for _, r := range ranges {
		if n := len(out); n > 0 && uint32(r.From) <= uint32(out[n-1].To)+1 {
			out[n-1].To = max(out[n-1].To, r.To)
			continue
		}
		out = append(out, r)
	}
	return out
}

func (p Ports) intersect(q Ports) Ports {
	if p.All() {
		return q
	}
	if q.All() {
		return p
	}
	var u Ports
	for i := range p.ranges {
		for _, a := range p.ranges[i] {
			for _, b := range q.ranges[i] {
				if from, to := max(a.From, b.From), min(a.To, b.To); from <= to {
					u.ranges[i] = append(u.ranges[i], PortRange{from, to})
				}
			}
		}
	}
	return u
}

func (p Ports) overlaps(q Ports) bool {
	for i := range p.ranges {
		for _, a := range p.ranges[i] {
			for _, b := range q.ranges[i] {
				if a.From <= b.To && b.From <= a.To {
					return true
				}
			}
		}
	}
	return false
}

func (p Ports) minus(q Ports) Ports {
	if q.Empty() {
		return p
	}
	var u Ports
	for i := range p.ranges {
		for _, a := range p.ranges[i] {
			from := uint32(a.From)
			for _, b := range q.ranges[i] {
				if uint32(b.To) < from || b.From > a.To {
					continue
				}
				if uint32(b.From) > from {
					u.ranges[i] = append(u.ranges[i], PortRange{uint16(from), b.From - 1})
				}
				from = uint32(b.To) + 1
			}
			if from <= uint32(a.To) {
				u.ranges[i] = append(u.ranges[i], PortRange{uint16(from), a.To})
			}
		}
	}
	return u
}

// portRule is the ports of a policy's rule: numbers, and names that mean what the destination pod says they mean.
type portRule struct {
	every bool
	fixed Ports
	named []portName
}

type portName struct {
	protocol corev1.Protocol
	name     string
}

// portRuleOf reads the ports of a rule. No ports at all means every port. It fails where the API server would refuse.
func portRuleOf(ports []networkingv1.NetworkPolicyPort) (*portRule, error) {
	if len(ports) == 0 {
		return &portRule{every: true, fixed: everyPort()}, nil
	}
	rule := &portRule{}
	for i, port := range ports {
		protocol := corev1.ProtocolTCP
		if port.Protocol != nil {
			protocol = *port.Protocol
		}
		index := slices.Index(protocols[:], protocol)
		if index < 0 {
			return nil, fmt.Errorf("ports[%d].protocol %q is none of SCTP, TCP, UDP", i, protocol)
		}
		if port.Port != nil && port.Port.Type == intstr.String {
			if port.EndPort != nil || port.Port.StrVal == "" {
				return nil, fmt.Errorf("ports[%d]: a port by name needs a name and has no endPort", i)
			}
			rule.named = append(rule.named, portName{protocol, port.Port.StrVal})
			continue
		}
		from, to, err := numbers(port)
		if err != nil {
			return nil, fmt.Errorf("ports[%d]: %w", i, err)
		}
		rule.fixed = rule.fixed.union(portsOf(index, from, to))
	}
	rule.every = rule.fixed.All()
	return rule, nil
}

func numbers(port networkingv1.NetworkPolicyPort) (from, to uint16, err error) {
	if port.Port == nil {
		if port.EndPort != nil {
			return 0, 0, fmt.Errorf("endPort %d needs a port", *port.EndPort)
		}
		return 1, maxPort, nil
	}
	first, last := port.Port.IntVal, port.Port.IntVal
	if port.EndPort != nil {
		last = *port.EndPort
	}
	if first < 1 || last > maxPort || last < first {
		return 0, 0, fmt.Errorf("port %d to endPort %d is not a range within 1 to %d", first, last, maxPort)
	}
	return uint16(first), uint16(last), nil
}

// anyName is the name of the port of a pod to come: its maker gives any port any name.
const anyName = "*"

func anyNames(declared []snapshot.NamedPort) bool {
	return len(declared) > 0 && declared[0].Name == anyName
}

// covers reports whether a rule lets nothing through that another one does not, whatever pods call their ports.
func (r *portRule) covers(other *portRule) bool {
	return other.fixed.minus(r.fixed).Empty() && !slices.ContainsFunc(other.named, func(n portName) bool { return !slices.Contains(r.named, n) })
}

// on returns the ports that the rule means on a destination. A pod that declares a name twice (in two containers) is
// reached on both; one that does not declare it, on none; what is no pod has no names.
func (r *portRule) on(declared []snapshot.NamedPort) Ports {
	if len(r.named) == 0 {
		return r.fixed
	}
	ports := r.fixed
	for _, name := range r.named {
		for _, d := range declared {
			switch i := slices.Index(protocols[:], name.protocol); {
			case i < 0:
			case d.Name == anyName:
				ports = ports.union(portsOf(i, 1, maxPort))
			case d.Name == name.name && d.Protocol == name.protocol:
				ports = ports.union(portsOf(i, d.Port, d.Port))
			}
		}
	}
	return ports
}

// meets reports whether two rules have a port in common on a destination.
func (r *portRule) meets(other *portRule, declared []snapshot.NamedPort) bool {
	if r.every && other.every {
		return true
	}
	return r.on(declared).overlaps(other.on(declared))
}
