package network

import (
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/bulkhead-dev/bulkhead/snapshot"
)

// The dumb evaluator answers for one packet by reading every policy, straight from the API documentation's sentences.
// It shares no code with what it judges, and is slow.

// packet goes from a pod or an address to a pod or an address.
type packet struct {
	from, to     *snapshot.Pod // nil: outside the cluster
	fromIP, toIP netip.Addr    // where there is no pod
	protocol     corev1.Protocol
	port         int
}

type dumb struct {
	s *snapshot.Snapshot
	// loose counts what is not known as in favour of the packet.
	loose bool
}

func (d dumb) allows(p packet) bool {
	if p.from != nil && p.from.Completed() || p.to != nil && p.to.Completed() {
		return false
	}
	if p.from != nil && p.to != nil {
		if p.from == p.to {
			return true // "a pod cannot block access to itself"
		}
		if p.from.HostNetwork || p.to.HostNetwork { // "traffic to and from the node where a Pod is running is always allowed"
			if p.from.Node != "" && p.from.Node == p.to.Node || d.loose && (p.from.Node == "" || p.to.Node == "") {
				return true
			}
		}
	}
	for _, v4 := range d.families(p) {
		if d.passes(p, networkingv1.PolicyTypeEgress, v4) && d.passes(p, networkingv1.PolicyTypeIngress, v4) {
			return true
		}
	}
	return false
}

// families that the packet may have: 4, 6, or 0 where the pods seem to share none.
func (d dumb) families(p packet) []int {
	for _, outside := range []struct {
		pod *snapshot.Pod
		ip  netip.Addr
	}{{p.from, p.fromIP}, {p.to, p.toIP}} {
		if outside.pod == nil { // a packet has the family of the address that it goes to or comes from
			return []int{map[bool]int{true: 4, false: 6}[outside.ip.Is4()]}
		}
	}
	have := func(pod *snapshot.Pod) (four, six bool) {
		for _, ip := range pod.IPs {
			four, six = four || ip.Is4(), six || ip.Is6()
		}
		return four, six
	}
	from4, from6 := have(p.from)
	to4, to6 := have(p.to)
	var list []int
	if from4 && to4 {
		list = append(list, 4)
	}
	if from6 && to6 {
		list = append(list, 6)
	}
	if list == nil {
		list = []int{0}
	}
	return list
}

// side reports whether NetworkPolicies isolate one pod in a direction, and whether they let the packet through.
func (d dumb) side(p packet, direction networkingv1.PolicyType, family int) (isolated, allowed bool) {
	self := p.to
	if direction == networkingv1.PolicyTypeEgress {
		self = p.from
	}
	if self.HostNetwork {
		return false, true
	}
	for _, policy := range d.s.NetworkPolicies {
		if policy.Namespace != self.Namespace || !matches(&policy.Spec.PodSelector, self.Labels) || !affects(policy, direction) {
			continue
		}
		isolated = true
		if direction == networkingv1.PolicyTypeIngress {
			for _, rule := range policy.Spec.Ingress {
				if d.ports(rule.Ports, p) && d.peers(rule.From, policy, p.from, p.fromIP, family) {
					return true, true
				}
			}
		} else {
			for _, rule := range policy.Spec.Egress {
				if d.ports(rule.Ports, p) && d.peers(rule.To, policy, p.to, p.toIP, family) {
					return true, true
				}
			}
		}
	}
	return isolated, !isolated
}

func affects(policy *networkingv1.NetworkPolicy, direction networkingv1.PolicyType) bool {
	if policy.Spec.PolicyTypes == nil {
		return direction == networkingv1.PolicyTypeIngress || len(policy.Spec.Egress) > 0
	}
	return slices.Contains(policy.Spec.PolicyTypes, direction)
}

func (d dumb) ports(ports []networkingv1.NetworkPolicyPort, p packet) bool {
	for _, port := range ports {
		protocol := corev1.ProtocolTCP
		if port.Protocol != nil {
			protocol = *port.Protocol
		}
		if protocol != p.protocol {
			continue
		}
		switch {
		case port.Port == nil:
			return true
		case port.Port.Type == intstr.String:
			if p.to != nil && slices.Contains(p.to.Ports, snapshot.NamedPort{Name: port.Port.StrVal, Protocol: protocol, Port: uint16(p.port)}) {
				return true
			}
		case port.EndPort != nil:
			if p.port >= int(port.Port.IntVal) && p.port <= int(*port.EndPort) {
				return true
			}
		case int(port.Port.IntVal) == p.port:
			return true
		}
	}
	return len(ports) == 0
}

func (d dumb) peers(peers []networkingv1.NetworkPolicyPeer, policy *networkingv1.NetworkPolicy, pod *snapshot.Pod, ip netip.Addr, family int) bool {
	for _, peer := range peers {
		if peer.IPBlock != nil {
			if d.inBlock(peer.IPBlock, pod, ip, family) {
				return true
			}
			continue
		}
		if pod == nil {
			continue
		}
		if peer.NamespaceSelector == nil && pod.Namespace != policy.Namespace {
			continue
		}
		if peer.NamespaceSelector != nil {
			i := slices.IndexFunc(d.s.Namespaces, func(n *snapshot.Namespace) bool { return n.Name == pod.Namespace })
			if !matches(peer.NamespaceSelector, d.s.Namespaces[i].Labels) {
				continue
			}
		}
		if peer.PodSelector == nil || matches(peer.PodSelector, pod.Labels) {
			return true
		}
	}
	return len(peers) == 0
}

func (d dumb) inBlock(block *networkingv1.IPBlock, pod *snapshot.Pod, ip netip.Addr, family int) bool {
	ips := []netip.Addr{ip}
	if pod != nil {
		if ips = pod.IPs; len(ips) == 0 {
			return d.loose
		}
	}
	for _, ip := range ips {
		if family == 4 && !ip.Is4() || family == 6 && !ip.Is6() {
			continue
		}
		in := netip.MustParsePrefix(block.CIDR).Contains(ip)
		for _, except := range block.Except {
			in = in && !netip.MustParsePrefix(except).Contains(ip)
		}
		if in {
			return true
		}
	}
	return false
}

func matches(s *metav1.LabelSelector, l snapshot.Labels) bool {
	selector, err := metav1.LabelSelectorAsSelector(s)
	if err != nil {
		panic(err)
	}
	set := labels.Set{}
	for _, label := range l {
		set[label.Key] = label.Value
	}
	return selector.Matches(set)
}
