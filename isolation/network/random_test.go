package network

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/bulkhead-dev/bulkhead/snapshot"
)

// The random worlds are small and crowded: few labels, few addresses, few ports, so that everything overlaps.

type world struct {
	*rand.Rand
	spaces int
	// alike makes rules that differ in one thing only: all are for every namespace, with selected pods, on few ports.
	alike bool
	// tiers gives it policies of administrators.
	tiers bool
}

func newWorld(seed uint64) world {
	w := world{Rand: rand.New(rand.NewPCG(seed, 7))}
	w.spaces = 2 + w.IntN(5)
	w.tiers = seed%3 > 0
	return w
}

func pick[T any](w world, list ...T) T { return list[w.IntN(len(list))] }

func (w world) chance(percent int) bool { return w.IntN(100) < percent }

func (w world) namespaceName() string { return fmt.Sprintf("n%d", w.IntN(w.spaces)) }

func (w world) snapshot(t testing.TB) *snapshot.Snapshot {
	t.Helper()
	s := snapshot.Snapshot{Revision: "1", Time: time.Unix(1, 0)}
	tenants := map[string][]string{}
	for i := range w.spaces {
		name := fmt.Sprintf("n%d", i)
		s.Namespaces = append(s.Namespaces, &snapshot.Namespace{Name: name, Labels: snapshot.LabelsOf(w.labels())})
		if !w.chance(15) { // the others belong to no tenant
			owner := fmt.Sprintf("t%d", i/2)
			tenants[owner] = append(tenants[owner], name)
		}
	}
	for name, namespaces := range tenants {
		s.Tenants = append(s.Tenants, snapshot.Tenant{Name: name, Namespaces: namespaces})
	}
	for i := range 3 + w.IntN(8) {
		s.Pods = append(s.Pods, w.pod(i))
	}
	for i := range w.IntN(2 + 2*w.spaces) {
		s.NetworkPolicies = append(s.NetworkPolicies, w.policy(i))
	}
	if w.tiers {
		w.administer(&s)
	}
	result, err := snapshot.New(s)
	if err != nil {
		t.Fatal(err)
	}
	return result
}

func (w world) labels() map[string]string {
	m := map[string]string{}
	for _, key := range []string{"app", "tier"} {
		if w.chance(60) {
			m[key] = pick(w, "a", "b")
		}
	}
	return m
}

func (w world) pod(i int) *snapshot.Pod {
	p := &snapshot.Pod{Namespace: w.namespaceName(), Name: fmt.Sprintf("p%d", i), Labels: snapshot.LabelsOf(w.labels()),
		Node: pick(w, "x", "y", "z"), HostNetwork: w.chance(10), Phase: corev1.PodRunning}
	if w.chance(40) {
		p.Owner = snapshot.Owner{Kind: "Deployment", Name: pick(w, "d", "e")}
	}
	if w.chance(8) {
		p.Phase = pick(w, corev1.PodSucceeded, corev1.PodFailed, corev1.PodPending, corev1.PodUnknown)
	}
	if w.chance(15) {
		p.Node = ""
	}
	if w.chance(80) {
		p.IPs = append(p.IPs, netip.AddrFrom4([4]byte{10, 0, 0, byte(w.IntN(8))}))
	}
	if w.chance(30) {
		p.IPs = append(p.IPs, netip.AddrFrom16([16]byte{0xfd, 15: byte(w.IntN(8))}))
	}
	for _, name := range []string{"web", "dns"} {
		if w.chance(50) {
			p.Ports = append(p.Ports, snapshot.NamedPort{Name: name, Protocol: pick(w, corev1.ProtocolTCP, corev1.ProtocolUDP), Port: pick[uint16](w, 80, 81, 53)})
		}
	}
	return p
}

func (w world) selector() *metav1.LabelSelector {
	s := &metav1.LabelSelector{}
	if w.chance(35) {
		return s
	}
	if w.chance(60) {
		s.MatchLabels = map[string]string{pick(w, "app", "tier"): pick(w, "a", "b")}
	}
	if w.chance(40) {
		e := metav1.LabelSelectorRequirement{Key: pick(w, "app", "tier"), Operator: pick(w, metav1.LabelSelectorOpIn, metav1.LabelSelectorOpNotIn, metav1.LabelSelectorOpExists, metav1.LabelSelectorOpDoesNotExist)}
		if e.Operator == metav1.LabelSelectorOpIn || e.Operator == metav1.LabelSelectorOpNotIn {
			e.Values = pick(w, []string{"a"}, []string{"b", "a"}, []string{"b"})
		}
		s.MatchExpressions = append(s.MatchExpressions, e)
	}
	return s
}

func (w world) namespaceSelector() *metav1.LabelSelector {
	if w.chance(50) {
		return &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: w.namespaceName()}}
	}
	return w.selector()
}

func (w world) policy(i int) *networkingv1.NetworkPolicy {
	p := &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: w.namespaceName(), Name: fmt.Sprintf("np%d", i)}}
	p.Spec.PodSelector = *w.selector()
	p.Spec.PolicyTypes = pick(w, nil, nil, []networkingv1.PolicyType{"Ingress"}, []networkingv1.PolicyType{"Egress"}, []networkingv1.PolicyType{"Ingress", "Egress"})
	for range w.IntN(3) {
		p.Spec.Ingress = append(p.Spec.Ingress, networkingv1.NetworkPolicyIngressRule{Ports: w.ports(), From: w.peers()})
	}
	for range w.IntN(3) {
		p.Spec.Egress = append(p.Spec.Egress, networkingv1.NetworkPolicyEgressRule{Ports: w.ports(), To: w.peers()})
	}
	return p
}

func (w world) peers() []networkingv1.NetworkPolicyPeer {
	if w.chance(15) {
		return pick(w, nil, []networkingv1.NetworkPolicyPeer{})
	}
	var peers []networkingv1.NetworkPolicyPeer
	for range 1 + w.IntN(2) {
		var peer networkingv1.NetworkPolicyPeer
		if w.alike {
			peers = append(peers, networkingv1.NetworkPolicyPeer{PodSelector: w.selector(), NamespaceSelector: &metav1.LabelSelector{}})
			continue
		}
		switch w.IntN(5) {
		case 0:
			peer.PodSelector = w.selector()
		case 1:
			peer.NamespaceSelector = w.namespaceSelector()
		case 2:
			peer.PodSelector, peer.NamespaceSelector = w.selector(), w.namespaceSelector()
		default:
			peer.IPBlock = w.block()
		}
		peers = append(peers, peer)
	}
	return peers
}

func (w world) block() *networkingv1.IPBlock {
	if w.chance(35) {
		b := &networkingv1.IPBlock{CIDR: pick(w, "::/0", "fd00::/125", "fd00::4/126", "fd00::2/128")}
		if w.chance(40) && b.CIDR != "fd00::2/128" {
			b.Except = []string{pick(w, "fd00::4/127", "fd00::5/128")}
			if b.CIDR == "fd00::/125" && w.chance(50) {
				b.Except = append(b.Except, "fd00::/126")
			}
		}
		return b
	}
	b := &networkingv1.IPBlock{CIDR: pick(w, "0.0.0.0/0", "10.0.0.0/8", "10.0.0.0/29", "10.0.0.4/30", "10.0.0.3/32", "192.0.2.0/24")}
	if w.chance(40) {
		switch b.CIDR {
		case "0.0.0.0/0", "10.0.0.0/8", "10.0.0.0/29":
			b.Except = pick(w, []string{"10.0.0.2/31"}, []string{"10.0.0.0/30", "10.0.0.6/32"}, []string{"10.0.0.5/32"})
		case "10.0.0.4/30":
			b.Except = []string{"10.0.0.4/31"}
		}
	}
	return b
}

func (w world) ports() []networkingv1.NetworkPolicyPort {
	if w.chance(35) {
		return nil
	}
	if w.alike {
		return []networkingv1.NetworkPolicyPort{{Port: new(intstr.FromString(pick(w, "web", "dns")))}}
	}
	var ports []networkingv1.NetworkPolicyPort
	for range 1 + w.IntN(2) {
		var p networkingv1.NetworkPolicyPort
		if w.chance(60) {
			p.Protocol = new(pick(w, protocols[:]...))
		}
		switch w.IntN(5) {
		case 0: // every port of the protocol
		case 1, 2:
			p.Port = new(intstr.FromString(pick(w, "web", "dns")))
		case 3:
			p.Port = new(intstr.FromInt32(pick[int32](w, 80, 81, 53, 1, 65535)))
		default:
			p.Port = new(intstr.FromInt32(pick[int32](w, 80, 53)))
			p.EndPort = new(pick[int32](w, 80, 81, 65535))
		}
		ports = append(ports, p)
	}
	return ports
}

// interesting ports lie at both sides of every limit that ports uses.
var interesting = []int{1, 2, 52, 53, 54, 79, 80, 81, 82, 1000, 65534, 65535}

func (w world) packet(s *snapshot.Snapshot) packet {
	p := packet{protocol: pick(w, protocols[:]...), port: pick(w, interesting...)}
	outside := pick(w, "10.0.0.3", "10.0.0.6", "10.0.0.9", "192.0.2.1", "8.8.8.8", "fd00::5", "fd00::2", "2001:db8::1", "0.0.0.0", "255.255.255.255")
	p.from, p.to = pick(w, s.Pods...), pick(w, s.Pods...)
	switch w.IntN(5) {
	case 0:
		p.from, p.fromIP = nil, netip.MustParseAddr(outside)
	case 1:
		p.to, p.toIP = nil, netip.MustParseAddr(outside)
	}
	return p
}

// allows asks the reach about one packet.
func (r *Reach) allows(p packet, loose bool) bool {
	find := func(pod *snapshot.Pod) (end, bool) {
		s := r.spaces[r.byName[pod.Namespace]]
		for i, known := range s.pods {
			if known == pod {
				return end{s, s.classes[s.classOf[i]]}, true
			}
		}
		return end{}, false
	}
	port := uint16(p.port)
	switch {
	case p.from == nil:
		to, alive := find(p.to)
		return alive && r.outside(to.class, ingress, r.address(p.fromIP), loose).Has(p.protocol, port)
	case p.to == nil:
		from, alive := find(p.from)
		return alive && r.outside(from.class, egress, r.address(p.toIP), loose).Has(p.protocol, port)
	}
	from, fromAlive := find(p.from)
	to, toAlive := find(p.to)
	if !fromAlive || !toAlive {
		return false
	}
	sure, maybe := nodeLink([]*snapshot.Pod{p.from}, []*snapshot.Pod{p.to})
	return p.from == p.to || sure || loose && maybe || r.between(nil, from, to, loose).Has(p.protocol, port)
}
