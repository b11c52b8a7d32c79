package network

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	adminv1alpha1 "sigs.k8s.io/network-policy-api/apis/v1alpha1"
	adminv1alpha2 "sigs.k8s.io/network-policy-api/apis/v1alpha2"

	"github.com/bulkhead-dev/bulkhead/snapshot"
)

// administer gives a world policies of administrators: of one API, or seldom of both.
func (w world) administer(s *snapshot.Snapshot) {
	for _, name := range []string{"x", "y", "z"} {
		s.Nodes = append(s.Nodes, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: w.labels()},
			Status: corev1.NodeStatus{Addresses: []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: fmt.Sprintf("10.0.0.%d", w.IntN(8))},
				{Type: corev1.NodeInternalIP, Address: fmt.Sprintf("fd00::%d", 1+w.IntN(7))}, {Type: corev1.NodeHostName, Address: name}}}})
	}
	first := w.chance(50)
	if both := w.chance(10); first || both {
		for i := range w.IntN(4) {
			s.AdminNetworkPolicies = append(s.AdminNetworkPolicies, w.admin(i))
		}
		if w.chance(60) {
			s.BaselineAdminNetworkPolicies = append(s.BaselineAdminNetworkPolicies, w.baseline())
		}
		if !both {
			return
		}
	}
	for i := range w.IntN(5) {
		s.ClusterNetworkPolicies = append(s.ClusterNetworkPolicies, w.cluster(i))
	}
}

func (w world) priority() int32 { return pick[int32](w, 0, 1, 2, 3, 4, 5, 6, 7, 999, 1000) }

func (w world) namespacedPods() (*metav1.LabelSelector, *adminv1alpha1.NamespacedPod) {
	if w.chance(50) {
		return w.namespaceSelector(), nil
	}
	return nil, &adminv1alpha1.NamespacedPod{NamespaceSelector: *w.namespaceSelector(), PodSelector: *w.selector()}
}

func (w world) admin(i int) *adminv1alpha1.AdminNetworkPolicy {
	p := &adminv1alpha1.AdminNetworkPolicy{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("anp%d", i)}}
	p.Spec.Priority = w.priority()
	p.Spec.Subject.Namespaces, p.Spec.Subject.Pods = w.namespacedPods()
	for range w.IntN(3) {
		p.Spec.Ingress = append(p.Spec.Ingress, adminv1alpha1.AdminNetworkPolicyIngressRule{
			Action: pick[adminv1alpha1.AdminNetworkPolicyRuleAction](w, "Allow", "Deny", "Pass"), From: w.tierFrom(), Ports: w.tierPorts(true)})
	}
	for range w.IntN(4) {
		to, named := w.tierTo()
		p.Spec.Egress = append(p.Spec.Egress, adminv1alpha1.AdminNetworkPolicyEgressRule{
			Action: pick[adminv1alpha1.AdminNetworkPolicyRuleAction](w, "Allow", "Deny", "Pass"), To: to, Ports: w.tierPorts(named)})
	}
	return p
}

func (w world) baseline() *adminv1alpha1.BaselineAdminNetworkPolicy {
	p := &adminv1alpha1.BaselineAdminNetworkPolicy{ObjectMeta: metav1.ObjectMeta{Name: "default"}}
	p.Spec.Subject.Namespaces, p.Spec.Subject.Pods = w.namespacedPods()
	for range w.IntN(3) {
		p.Spec.Ingress = append(p.Spec.Ingress, adminv1alpha1.BaselineAdminNetworkPolicyIngressRule{
			Action: pick[adminv1alpha1.BaselineAdminNetworkPolicyRuleAction](w, "Allow", "Deny"), From: w.tierFrom(), Ports: w.tierPorts(true)})
	}
	for range w.IntN(3) {
		rule := adminv1alpha1.BaselineAdminNetworkPolicyEgressRule{Action: pick[adminv1alpha1.BaselineAdminNetworkPolicyRuleAction](w, "Allow", "Deny")}
		to, named := w.tierTo()
		for _, peer := range to {
			if len(peer.DomainNames) == 0 {
				rule.To = append(rule.To, adminv1alpha1.BaselineAdminNetworkPolicyEgressPeer{Namespaces: peer.Namespaces, Pods: peer.Pods, Nodes: peer.Nodes, Networks: peer.Networks})
			}
		}
		if rule.Ports = w.tierPorts(named); len(rule.To) > 0 {
			p.Spec.Egress = append(p.Spec.Egress, rule)
		}
	}
	return p
}

func (w world) cluster(i int) *adminv1alpha2.ClusterNetworkPolicy {
	p := &adminv1alpha2.ClusterNetworkPolicy{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("cnp%d", i)}}
	p.Spec.Tier, p.Spec.Priority = pick(w, adminv1alpha2.AdminTier, adminv1alpha2.AdminTier, adminv1alpha2.BaselineTier), w.priority()
	pods := func(p *adminv1alpha1.NamespacedPod) *adminv1alpha2.NamespacedPod {
		if p == nil {
			return nil
		}
		return &adminv1alpha2.NamespacedPod{NamespaceSelector: p.NamespaceSelector, PodSelector: p.PodSelector}
	}
	namespaces, some := w.namespacedPods()
	p.Spec.Subject.Namespaces, p.Spec.Subject.Pods = namespaces, pods(some)
	for range w.IntN(3) {
		rule := adminv1alpha2.ClusterNetworkPolicyIngressRule{Action: pick[adminv1alpha2.ClusterNetworkPolicyRuleAction](w, "Accept", "Deny", "Pass"), Protocols: w.protocols(true)}
		for _, peer := range w.tierFrom() {
			rule.From = append(rule.From, adminv1alpha2.ClusterNetworkPolicyIngressPeer{Namespaces: peer.Namespaces, Pods: pods(peer.Pods)})
		}
		p.Spec.Ingress = append(p.Spec.Ingress, rule)
	}
	for range w.IntN(4) {
		rule := adminv1alpha2.ClusterNetworkPolicyEgressRule{Action: pick[adminv1alpha2.ClusterNetworkPolicyRuleAction](w, "Accept", "Deny", "Pass")}
		to, named := w.tierTo()
		rule.Protocols = w.protocols(named)
		for _, peer := range to {
			one := adminv1alpha2.ClusterNetworkPolicyEgressPeer{Namespaces: peer.Namespaces, Pods: pods(peer.Pods), Nodes: peer.Nodes}
			for _, n := range peer.Networks {
				one.Networks = append(one.Networks, adminv1alpha2.CIDR(n))
			}
			for _, n := range peer.DomainNames {
				one.DomainNames = append(one.DomainNames, adminv1alpha2.DomainName(n))
			}
			rule.To = append(rule.To, one)
		}
		p.Spec.Egress = append(p.Spec.Egress, rule)
	}
	return p
}

func (w world) tierFrom() []adminv1alpha1.AdminNetworkPolicyIngressPeer {
	var peers []adminv1alpha1.AdminNetworkPolicyIngressPeer
	for range 1 + w.IntN(2) {
		var peer adminv1alpha1.AdminNetworkPolicyIngressPeer
		peer.Namespaces, peer.Pods = w.namespacedPods()
		peers = append(peers, peer)
	}
	return peers
}

// tierTo also reports whether ports may be named next to these peers.
func (w world) tierTo() (peers []adminv1alpha1.AdminNetworkPolicyEgressPeer, named bool) {
	named = true
	for range 1 + w.IntN(2) {
		var peer adminv1alpha1.AdminNetworkPolicyEgressPeer
		switch n := w.IntN(16); {
		case n < 9:
			peer.Namespaces, peer.Pods = w.namespacedPods()
		case n < 13:
			peer.Networks, named = []adminv1alpha1.CIDR{adminv1alpha1.CIDR(w.block().CIDR)}, false
			if w.chance(30) {
				peer.Networks = append(peer.Networks, adminv1alpha1.CIDR(w.block().CIDR))
			}
		case n < 15:
			peer.Nodes, named = w.selector(), false
		default:
			peer.DomainNames, named = []adminv1alpha1.DomainName{"*.example.com"}, false
		}
		peers = append(peers, peer)
	}
	return peers, named
}

func (w world) tierPorts(named bool) *[]adminv1alpha1.AdminNetworkPolicyPort {
	if w.chance(50) {
		return nil
	}
	var ports []adminv1alpha1.AdminNetworkPolicyPort
	for range 1 + w.IntN(2) {
		var p adminv1alpha1.AdminNetworkPolicyPort
		switch n := w.IntN(3); {
		case n == 0 && named:
			p.NamedPort = new(pick(w, "web", "dns"))
		case n < 2:
			p.PortNumber = &adminv1alpha1.Port{Protocol: pick(w, protocols[:]...), Port: pick[int32](w, 80, 81, 53, 1, 65535)}
		default:
			p.PortRange = &adminv1alpha1.PortRange{Protocol: pick(w, protocols[:]...), Start: pick[int32](w, 1, 53), End: pick[int32](w, 80, 65535)}
		}
		ports = append(ports, p)
	}
	return &ports
}

func (w world) protocols(named bool) []adminv1alpha2.ClusterNetworkPolicyProtocol {
	if w.chance(50) {
		return nil
	}
	var list []adminv1alpha2.ClusterNetworkPolicyProtocol
	for range 1 + w.IntN(2) {
		port := &adminv1alpha2.Port{Number: pick[int32](w, 80, 81, 53, 1, 65535)}
		if w.chance(40) {
			port = &adminv1alpha2.Port{Range: &adminv1alpha2.PortRange{Start: pick[int32](w, 1, 53), End: pick[int32](w, 80, 65535)}}
		}
		var p adminv1alpha2.ClusterNetworkPolicyProtocol
		switch n := w.IntN(4); {
		case n == 0 && named:
			p.DestinationNamedPort = pick(w, "web", "dns")
		case n < 2:
			p.TCP = &adminv1alpha2.ClusterNetworkPolicyProtocolTCP{DestinationPort: port}
		case n == 2:
			p.UDP = &adminv1alpha2.ClusterNetworkPolicyProtocolUDP{DestinationPort: port}
		default:
			p.SCTP = &adminv1alpha2.ClusterNetworkPolicyProtocolSCTP{DestinationPort: port}
		}
		list = append(list, p)
	}
	return list
}
