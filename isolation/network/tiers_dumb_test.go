package network

import (
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	adminv1alpha1 "sigs.k8s.io/network-policy-api/apis/v1alpha1"
	adminv1alpha2 "sigs.k8s.io/network-policy-api/apis/v1alpha2"

	"github.com/bulkhead-dev/bulkhead/snapshot"
)

// What a part of a tier may make of one packet, as a set: with everything known it is one of them.
const (
	mayAllow = 1 << iota
	mayDeny
	mayPass
	mayBeSilent
)

// dumbPolicy is a policy of either API, for one direction, with the rules turned into questions.
type dumbPolicy struct {
	api      string
	priority int32
	subject  func(*snapshot.Pod) bool
	rules    []dumbRule
}

type dumbRule struct {
	action string
	ports  func(packet) bool
	// peer says no, maybe or yes.
	peer func(pod *snapshot.Pod, ip netip.Addr, family int) int
}

const (
	no = iota
	maybe
	yes
)

// judge returns what a tier may make of the packet on one side.
func (d dumb) judge(policies []dumbPolicy, self, other *snapshot.Pod, otherIP netip.Addr, p packet, family int) int {
	tier := mayBeSilent
	for _, api := range []string{"ANP", "BANP", "CNP"} {
		result := mayBeSilent
		for _, priority := range []int32{0, 1, 2, 3, 4, 5, 6, 7, 999, 1000} { // those of the random worlds
			level := mayBeSilent
			for _, policy := range policies {
				if policy.api != api || policy.priority != priority || self.HostNetwork || !policy.subject(self) {
					continue
				}
				level = anyOf(level, policy.judge(p, other, otherIP, family))
			}
			if result&mayBeSilent != 0 { // asked only if what came before may have said nothing
				result = result&^mayBeSilent | level
			}
		}
		tier = anyOf(tier, result)
	}
	return tier
}

// anyOf is the result of two parts of which any may be applied: silence only if both are silent.
func anyOf(a, b int) int { return (a|b)&^mayBeSilent | a&b&mayBeSilent }

func (policy dumbPolicy) judge(p packet, other *snapshot.Pod, otherIP netip.Addr, family int) int {
	result := 0
	for _, rule := range policy.rules {
		matched := no
		if rule.ports(p) {
			matched = rule.peer(other, otherIP, family)
		}
		if matched == no {
			continue
		}
		switch rule.action {
		case "Allow", "Accept":
			result |= mayAllow
		case "Deny":
			result |= mayDeny
		case "Pass":
			result |= mayPass
		}
		if matched == yes {
			return result
		}
	}
	return result | mayBeSilent
}

// passes reports whether the packet passes one side: surely, or if loose perhaps.
func (d dumb) passes(p packet, direction networkingv1.PolicyType, family int) bool {
	self, other, otherIP := p.to, p.from, p.fromIP
	if direction == networkingv1.PolicyTypeEgress {
		self, other, otherIP = p.from, p.to, p.toIP
	}
	if self == nil {
		return true
	}
	admin := d.judge(d.policies("Admin", direction), self, other, otherIP, p, family)
	canAllow, canDeny := admin&mayAllow != 0, admin&mayDeny != 0
	if admin&(mayPass|mayBeSilent) != 0 {
		if isolated, allowed := d.side(p, direction, family); isolated {
			canAllow, canDeny = canAllow || allowed, canDeny || !allowed
		} else {
			baseline := d.judge(d.policies("Baseline", direction), self, other, otherIP, p, family)
			canAllow = canAllow || baseline != mayDeny
			canDeny = canDeny || baseline&mayDeny != 0
		}
	}
	if d.loose {
		return canAllow
	}
	return !canDeny
}

func (d dumb) policies(tier string, direction networkingv1.PolicyType) []dumbPolicy {
	var list []dumbPolicy
	out := direction == networkingv1.PolicyTypeEgress
	for _, source := range d.s.AdminNetworkPolicies {
		p := dumbPolicy{"ANP", source.Spec.Priority, func(pod *snapshot.Pod) bool {
			return d.isIn(pod, source.Spec.Subject.Namespaces, source.Spec.Subject.Pods)
		}, nil}
		for _, rule := range source.Spec.Ingress {
			p.rules = append(p.rules, dumbRule{string(rule.Action), v1alpha1Ports(rule.Ports), d.from(rule.From)})
		}
		if out {
			p.rules = nil
			for _, rule := range source.Spec.Egress {
				p.rules = append(p.rules, dumbRule{string(rule.Action), v1alpha1Ports(rule.Ports), d.to(rule.To)})
			}
		}
		if tier == "Admin" {
			list = append(list, p)
		}
	}
	for _, source := range d.s.BaselineAdminNetworkPolicies {
		p := dumbPolicy{"BANP", 0, func(pod *snapshot.Pod) bool {
			return d.isIn(pod, source.Spec.Subject.Namespaces, source.Spec.Subject.Pods)
		}, nil}
		for _, rule := range source.Spec.Ingress {
			p.rules = append(p.rules, dumbRule{string(rule.Action), v1alpha1Ports(rule.Ports), d.from(rule.From)})
		}
		if out {
			p.rules = nil
			for _, rule := range source.Spec.Egress {
				var to []adminv1alpha1.AdminNetworkPolicyEgressPeer
				for _, peer := range rule.To {
					to = append(to, adminv1alpha1.AdminNetworkPolicyEgressPeer{Namespaces: peer.Namespaces, Pods: peer.Pods, Nodes: peer.Nodes, Networks: peer.Networks})
				}
				p.rules = append(p.rules, dumbRule{string(rule.Action), v1alpha1Ports(rule.Ports), d.to(to)})
			}
		}
		if tier == "Baseline" {
			list = append(list, p)
		}
	}
	for _, source := range d.s.ClusterNetworkPolicies {
		if string(source.Spec.Tier) == tier {
			list = append(list, d.clusterPolicy(source, out))
		}
	}
	return list
}

func (d dumb) clusterPolicy(source *adminv1alpha2.ClusterNetworkPolicy, out bool) dumbPolicy {
	pods := func(p *adminv1alpha2.NamespacedPod) *adminv1alpha1.NamespacedPod {
		if p == nil {
			return nil
		}
		return &adminv1alpha1.NamespacedPod{NamespaceSelector: p.NamespaceSelector, PodSelector: p.PodSelector}
	}
	p := dumbPolicy{"CNP", source.Spec.Priority, func(pod *snapshot.Pod) bool {
		return d.isIn(pod, source.Spec.Subject.Namespaces, pods(source.Spec.Subject.Pods))
	}, nil}
	if !out {
		for _, rule := range source.Spec.Ingress {
			var from []adminv1alpha1.AdminNetworkPolicyIngressPeer
			for _, peer := range rule.From {
				from = append(from, adminv1alpha1.AdminNetworkPolicyIngressPeer{Namespaces: peer.Namespaces, Pods: pods(peer.Pods)})
			}
			p.rules = append(p.rules, dumbRule{string(rule.Action), v1alpha2Ports(rule.Protocols), d.from(from)})
		}
		return p
	}
	for _, rule := range source.Spec.Egress {
		var to []adminv1alpha1.AdminNetworkPolicyEgressPeer
		for _, peer := range rule.To {
			one := adminv1alpha1.AdminNetworkPolicyEgressPeer{Namespaces: peer.Namespaces, Pods: pods(peer.Pods), Nodes: peer.Nodes}
			for _, n := range peer.Networks {
				one.Networks = append(one.Networks, adminv1alpha1.CIDR(n))
			}
			for _, n := range peer.DomainNames {
				one.DomainNames = append(one.DomainNames, adminv1alpha1.DomainName(n))
			}
			to = append(to, one)
		}
		p.rules = append(p.rules, dumbRule{string(rule.Action), v1alpha2Ports(rule.Protocols), d.to(to)})
	}
	return p
}

func (d dumb) isIn(pod *snapshot.Pod, namespaces *metav1.LabelSelector, pods *adminv1alpha1.NamespacedPod) bool {
	if pod == nil || pod.HostNetwork {
		return false
	}
	i := slices.IndexFunc(d.s.Namespaces, func(n *snapshot.Namespace) bool { return n.Name == pod.Namespace })
	labels := d.s.Namespaces[i].Labels
	if namespaces != nil {
		return matches(namespaces, labels)
	}
	return matches(&pods.NamespaceSelector, labels) && matches(&pods.PodSelector, pod.Labels)
}

func (d dumb) from(peers []adminv1alpha1.AdminNetworkPolicyIngressPeer) func(*snapshot.Pod, netip.Addr, int) int {
	return func(pod *snapshot.Pod, _ netip.Addr, _ int) int {
		for _, peer := range peers {
			if d.isIn(pod, peer.Namespaces, peer.Pods) {
				return yes
			}
		}
		return no
	}
}

func (d dumb) to(peers []adminv1alpha1.AdminNetworkPolicyEgressPeer) func(*snapshot.Pod, netip.Addr, int) int {
	return func(pod *snapshot.Pod, ip netip.Addr, family int) int {
		result := no
		for _, peer := range peers {
			switch {
			case peer.Namespaces != nil || peer.Pods != nil:
				if d.isIn(pod, peer.Namespaces, peer.Pods) {
					result = yes
				}
			case len(peer.DomainNames) > 0:
				result = max(result, maybe)
			default:
				result = max(result, d.at(peer, pod, ip, family))
			}
		}
		return result
	}
}

// at reports whether networks or nodes have the address.
func (d dumb) at(peer adminv1alpha1.AdminNetworkPolicyEgressPeer, pod *snapshot.Pod, ip netip.Addr, family int) int {
	in := func(ip netip.Addr) bool {
		for _, n := range peer.Networks {
			if netip.MustParsePrefix(string(n)).Contains(ip) {
				return true
			}
		}
		for _, node := range d.s.Nodes {
			if peer.Nodes != nil && matches(peer.Nodes, snapshot.LabelsOf(node.Labels)) &&
				slices.ContainsFunc(node.Status.Addresses, func(a corev1.NodeAddress) bool { return a.Address == ip.String() }) {
				return true
			}
		}
		return false
	}
	if pod == nil {
		if in(ip) {
			return yes
		}
		return no
	}
	if len(pod.IPs) == 0 {
		return maybe
	}
	for _, ip := range pod.IPs {
		if in(ip) && family == 0 {
			return maybe
		}
		if in(ip) && (family == 4) == ip.Is4() {
			return yes
		}
	}
	return no
}

func v1alpha1Ports(ports *[]adminv1alpha1.AdminNetworkPolicyPort) func(packet) bool {
	return func(p packet) bool {
		if ports == nil {
			return true
		}
		for _, port := range *ports {
			switch {
			case port.PortNumber != nil && p.protocol == port.PortNumber.Protocol && p.port == int(port.PortNumber.Port),
				port.PortRange != nil && p.protocol == port.PortRange.Protocol && p.port >= int(port.PortRange.Start) && p.port <= int(port.PortRange.End),
				port.NamedPort != nil && p.isNamed(*port.NamedPort):
				return true
			}
		}
		return false
	}
}

func (p packet) isNamed(name string) bool {
	return p.to != nil && slices.Contains(p.to.Ports, snapshot.NamedPort{Name: name, Protocol: p.protocol, Port: uint16(p.port)})
}

func v1alpha2Ports(protocols []adminv1alpha2.ClusterNetworkPolicyProtocol) func(packet) bool {
	isOn := func(port *adminv1alpha2.Port, p packet) bool {
		return port == nil || port.Range == nil && p.port == int(port.Number) ||
			port.Range != nil && p.port >= int(port.Range.Start) && p.port <= int(port.Range.End)
	}
	return func(p packet) bool {
		for _, protocol := range protocols {
			switch {
			case protocol.TCP != nil && p.protocol == corev1.ProtocolTCP && isOn(protocol.TCP.DestinationPort, p),
				protocol.UDP != nil && p.protocol == corev1.ProtocolUDP && isOn(protocol.UDP.DestinationPort, p),
				protocol.SCTP != nil && p.protocol == corev1.ProtocolSCTP && isOn(protocol.SCTP.DestinationPort, p),
				protocol.DestinationNamedPort != "" && p.isNamed(protocol.DestinationNamedPort):
				return true
			}
		}
		return len(protocols) == 0
	}
}
