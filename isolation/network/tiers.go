package network

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	adminv1alpha1 "sigs.k8s.io/network-policy-api/apis/v1alpha1"
	adminv1alpha2 "sigs.k8s.io/network-policy-api/apis/v1alpha2"

	"github.com/bulkhead-dev/bulkhead/snapshot"
)

// tiers are the policies of administrators (policy.networking.k8s.io), which stand before and behind NetworkPolicies.
// The rules, from the API's documentation, and where that leaves a choice, the choice that cannot hide a connection:
//
//   - The Admin tier (AdminNetworkPolicy, ClusterNetworkPolicy of tier Admin) is asked first. Policies of lower priority
//     numbers come first, then rules in the order in which they are written; the first that matches decides. Allow (or
//     Accept) and Deny are final; Pass leaves the tier. What no rule matches goes on as if passed.
//   - Then NetworkPolicies: they decide for the pods that they isolate. For others the Baseline tier is asked
//     (BaselineAdminNetworkPolicy, ClusterNetworkPolicy of tier Baseline), and what that leaves open is allowed.
//   - Both sides are asked: the source's egress rules and the destination's ingress rules. One Deny is enough.
//   - Host-network pods are no subjects, and peers only by their address (networks, nodes), never by labels.
//   - Of two policies with the same priority any may be applied. So may be any of the two APIs, if a cluster has both. An
//     address that is not known, a domain name, and a peer of a kind that is not known may match or not. Whatever depends on
//     one of these is neither proven nor excluded.
//   - A named port is the destination's, of any protocol. A policy that the API server would refuse does not exist, and
//     leaves a doubt about every pair.
type tiers struct {
	// rules by tier, API, priority, policy and number: the order in which they are asked.
	rules    []tierRule
	policies []*tierPolicy
	// masks are the rules of a tier and direction.
	masks [2][2]bitset
	every Ports
	// names of ports that some rule has.
	names map[string]bool
	// labels and nodes say whether some rule selects namespaces by labels other than their name, or nodes.
	labels, nodes bool
	doubts        []string

	spaces, narrow int // how many namespaces there are, and the limit of narrow sets
	mutex          sync.Mutex
	signatures     map[string]*signature
	admissions     map[string]*spaceSet
}

const (
	adminTier = iota
	baselineTier
)

const (
	egress = iota
	ingress
)

type tierAction uint8

const (
	tierAllow tierAction = iota
	tierDeny
	tierPass
)

// tierPolicy is a policy of a tier, with the pods that it is about.
type tierPolicy struct {
	kind, name     string
	tier, priority int
	namespaces     selector
	pods           selector
	spaces         *spaceSet
	// first and last of its rules: first to last-1.
	first, last int
}

// tierRule is one rule of a policy.
type tierRule struct {
	policy    *tierPolicy
	direction int
	number    int
	action    tierAction
	peers     []tierPeer
	ports     Ports
	names     []string
}

type tierPeerKind uint8

const (
	tierPods      tierPeerKind = iota // namespaces, pods
	tierAddresses                     // networks, nodes
	tierUnclear                       // domain names, and fields that are not known: cannot be decided here
)

type tierPeer struct {
	kind             tierPeerKind
	namespaces, pods selector
	spaces           *spaceSet
	blocks           []*ipBlock
}

// on returns the ports that a rule means on a destination.
func (r *tierRule) on(declared []snapshot.NamedPort) Ports {
	ports := r.ports
	for _, name := range r.names {
		for _, d := range declared {
			switch i := slices.Index(protocols[:], d.Protocol); {
			case d.Name == anyName:
				return everyPort()
			case d.Name == name && i >= 0:
				ports = ports.union(portsOf(i, d.Port, d.Port))
			}
		}
	}
	return ports
}

// tiersOf reads the policies of administrators; nil if there are none.
func (r *Reach) tiersOf(s *snapshot.Snapshot) *tiers {
	if len(s.AdminNetworkPolicies)+len(s.BaselineAdminNetworkPolicies)+len(s.ClusterNetworkPolicies) == 0 {
		return nil
	}
	t := &tiers{spaces: len(r.spaces), narrow: r.narrow, every: everyPort(), names: map[string]bool{}, signatures: map[string]*signature{}, admissions: map[string]*spaceSet{}}
	read := &tierReader{tiers: t, nodes: s.Nodes}
	for _, p := range s.AdminNetworkPolicies {
		read.admin(p)
	}
	for _, p := range s.BaselineAdminNetworkPolicies {
		read.baseline(p)
	}
	for _, p := range s.ClusterNetworkPolicies {
		read.cluster(p)
	}
	slices.SortStableFunc(read.found, func(a, b *readPolicy) int {
		return cmp.Or(cmp.Compare(a.policy.tier, b.policy.tier), cmp.Compare(a.policy.kind, b.policy.kind),
			cmp.Compare(a.policy.priority, b.policy.priority), cmp.Compare(a.policy.name, b.policy.name))
	})
	for _, f := range read.found {
		f.policy.first = len(t.rules)
		t.rules = append(t.rules, f.rules...)
		f.policy.last = len(t.rules)
		t.policies = append(t.policies, f.policy)
	}
	for tier := range t.masks {
		for direction := range t.masks[tier] {
			t.masks[tier][direction] = newBitset(len(t.rules))
		}
	}
	for i := range t.rules {
		rule := &t.rules[i]
		t.masks[rule.policy.tier][rule.direction].set(i)
		for _, name := range rule.names {
			t.names[name] = true
		}
	}
	t.resolve(r.labels)
	return t
}

// resolve finds the namespaces that selectors mean.
func (t *tiers) resolve(index *labelIndex) {
	found := map[string]*spaceSet{}
	find := func(s selector) *spaceSet {
		key := s.key()
		if found[key] == nil {
			found[key] = index.find(s)
		}
		t.labels = t.labels || s.byLabels()
		return found[key]
	}
	for _, p := range t.policies {
		p.spaces = find(p.namespaces)
	}
	for i := range t.rules {
		for j := range t.rules[i].peers {
			if peer := &t.rules[i].peers[j]; peer.kind == tierPods {
				peer.spaces = find(peer.namespaces)
			}
		}
	}
}

// blocks that some peer names.
func (t *tiers) blocks() []*ipBlock {
	if t == nil {
		return nil
	}
	var blocks []*ipBlock
	for i := range t.rules {
		for _, peer := range t.rules[i].peers {
			blocks = append(blocks, peer.blocks...)
		}
	}
	return blocks
}

// tierReader reads policies of both APIs into one form. What the API server would refuse becomes a doubt.
type tierReader struct {
	tiers *tiers
	nodes []*corev1.Node
	found []*readPolicy
}

type readPolicy struct {
	policy *tierPolicy
	rules  []tierRule
	errs   []error
}

func (r *tierReader) start(kind, name string, tier int, priority int32) *readPolicy {
	p := &readPolicy{policy: &tierPolicy{kind: kind, name: name, tier: tier, priority: int(priority)}}
	if priority < 0 || priority > 1000 {
		p.fail("spec.priority %d is not within 0 to 1000", priority)
	}
	return p
}

func (p *readPolicy) fail(format string, args ...any) {
	p.errs = append(p.errs, fmt.Errorf(format, args...))
}

// done keeps the policy if the API server would have taken it.
func (r *tierReader) done(p *readPolicy) {
	if err := errors.Join(p.errs...); err != nil {
		r.tiers.doubts = append(r.tiers.doubts, fmt.Sprintf("%s %s is not valid: %v", p.policy.kind, p.policy.name, err))
		return
	}
	r.found = append(r.found, p)
}

func (r *tierReader) admin(source *adminv1alpha1.AdminNetworkPolicy) {
	p := r.start("AdminNetworkPolicy", source.Name, adminTier, source.Spec.Priority)
	r.subject(p, source.Spec.Subject.Namespaces, source.Spec.Subject.Pods)
	for i, rule := range source.Spec.Ingress {
		r.rule(p, ingress, i, string(rule.Action), v1From(rule.From), v1Ports(rule.Ports))
	}
	for i, rule := range source.Spec.Egress {
		to := make([]anyPeer, 0, len(rule.To))
		for _, peer := range rule.To {
			to = append(to, anyPeer{peer.Namespaces, peer.Pods, peer.Nodes, v1Networks(peer.Networks), len(peer.DomainNames) > 0})
		}
		r.rule(p, egress, i, string(rule.Action), to, v1Ports(rule.Ports))
	}
	r.done(p)
}

func (r *tierReader) baseline(source *adminv1alpha1.BaselineAdminNetworkPolicy) {
	p := r.start("BaselineAdminNetworkPolicy", source.Name, baselineTier, 0)
	if source.Name != "default" {
		p.fail("metadata.name must be default: there is one such policy")
	}
	r.subject(p, source.Spec.Subject.Namespaces, source.Spec.Subject.Pods)
	for i, rule := range source.Spec.Ingress {
		r.rule(p, ingress, i, string(rule.Action), v1From(rule.From), v1Ports(rule.Ports))
	}
	for i, rule := range source.Spec.Egress {
		to := make([]anyPeer, 0, len(rule.To))
		for _, peer := range rule.To {
			to = append(to, anyPeer{peer.Namespaces, peer.Pods, peer.Nodes, v1Networks(peer.Networks), false})
		}
		r.rule(p, egress, i, string(rule.Action), to, v1Ports(rule.Ports))
	}
	r.done(p)
}

func (r *tierReader) cluster(source *adminv1alpha2.ClusterNetworkPolicy) {
	tier := adminTier
	switch source.Spec.Tier {
	case adminv1alpha2.AdminTier:
	case adminv1alpha2.BaselineTier:
		tier = baselineTier
	}
	p := r.start("ClusterNetworkPolicy", source.Name, tier, source.Spec.Priority)
	if source.Spec.Tier != adminv1alpha2.AdminTier && source.Spec.Tier != adminv1alpha2.BaselineTier {
		p.fail("spec.tier %q is none of Admin, Baseline", source.Spec.Tier)
	}
	r.subject(p, source.Spec.Subject.Namespaces, v2Pods(source.Spec.Subject.Pods))
	for i, rule := range source.Spec.Ingress {
		from := make([]anyPeer, 0, len(rule.From))
		for _, peer := range rule.From {
			from = append(from, anyPeer{namespaces: peer.Namespaces, pods: v2Pods(peer.Pods)})
		}
		r.rule(p, ingress, i, string(rule.Action), from, v2Ports(rule.Protocols))
	}
	for i, rule := range source.Spec.Egress {
		to := make([]anyPeer, 0, len(rule.To))
		for _, peer := range rule.To {
			var networks []string
			for _, n := range peer.Networks {
				networks = append(networks, string(n))
			}
			to = append(to, anyPeer{peer.Namespaces, v2Pods(peer.Pods), peer.Nodes, networks, len(peer.DomainNames) > 0})
		}
		r.rule(p, egress, i, string(rule.Action), to, v2Ports(rule.Protocols))
	}
	r.done(p)
}

// anyPeer is a peer, and anyPort a port, of either API.
type anyPeer struct {
	namespaces *metav1.LabelSelector
	pods       *adminv1alpha1.NamespacedPod
	nodes      *metav1.LabelSelector
	networks   []string
	names      bool
}

type anyPort struct {
	protocol corev1.Protocol
	from, to int32
	name     string
}

func v2Pods(p *adminv1alpha2.NamespacedPod) *adminv1alpha1.NamespacedPod {
	if p == nil {
		return nil
	}
	return &adminv1alpha1.NamespacedPod{NamespaceSelector: p.NamespaceSelector, PodSelector: p.PodSelector}
}

func v1From(peers []adminv1alpha1.AdminNetworkPolicyIngressPeer) []anyPeer {
	list := make([]anyPeer, 0, len(peers))
	for _, peer := range peers {
		list = append(list, anyPeer{namespaces: peer.Namespaces, pods: peer.Pods})
	}
	return list
}

func v1Networks(list []adminv1alpha1.CIDR) []string {
	var networks []string
	for _, n := range list {
		networks = append(networks, string(n))
	}
	return networks
}

// v1Ports returns nil where the rule does not tell ports apart.
func v1Ports(ports *[]adminv1alpha1.AdminNetworkPolicyPort) []anyPort {
	if ports == nil {
		return nil
	}
	list := make([]anyPort, 0, len(*ports))
	for _, p := range *ports {
		switch {
		case p.PortNumber != nil:
			list = append(list, anyPort{p.PortNumber.Protocol, p.PortNumber.Port, p.PortNumber.Port, ""})
		case p.PortRange != nil:
			list = append(list, anyPort{p.PortRange.Protocol, p.PortRange.Start, p.PortRange.End, ""})
		case p.NamedPort != nil:
			list = append(list, anyPort{name: *p.NamedPort})
		default:
			list = append(list, anyPort{}) // refused later: it says nothing
		}
	}
	return list
}

func v2Ports(protocols []adminv1alpha2.ClusterNetworkPolicyProtocol) []anyPort {
	var list []anyPort
	add := func(protocol corev1.Protocol, port *adminv1alpha2.Port) {
		switch {
		case port == nil:
			list = append(list, anyPort{protocol, 1, maxPort, ""})
		case port.Range != nil:
			list = append(list, anyPort{protocol, port.Range.Start, port.Range.End, ""})
		default:
			list = append(list, anyPort{protocol, port.Number, port.Number, ""})
		}
	}
	for _, p := range protocols {
		switch {
		case p.TCP != nil:
			add(corev1.ProtocolTCP, p.TCP.DestinationPort)
		case p.UDP != nil:
			add(corev1.ProtocolUDP, p.UDP.DestinationPort)
		case p.SCTP != nil:
			add(corev1.ProtocolSCTP, p.SCTP.DestinationPort)
		default:
			list = append(list, anyPort{name: p.DestinationNamedPort})
		}
	}
	return list
}

func (r *tierReader) subject(p *readPolicy, namespaces *metav1.LabelSelector, pods *adminv1alpha1.NamespacedPod) {
	if (namespaces == nil) == (pods == nil) {
		p.fail("spec.subject needs namespaces or pods, and not both")
		return
	}
	var err error
	if p.policy.namespaces, p.policy.pods, err = podsOf(namespaces, pods); err != nil {
		p.fail("spec.subject: %w", err)
	}
}

// podsOf reads which pods are meant.
func podsOf(namespaces *metav1.LabelSelector, pods *adminv1alpha1.NamespacedPod) (spaces, selected selector, err error) {
	if namespaces != nil {
		spaces, err = selectorOf(namespaces)
		return spaces, selector{}, err
	}
	spaces, err = selectorOf(&pods.NamespaceSelector)
	selected, podErr := selectorOf(&pods.PodSelector)
	return spaces, selected, errors.Join(err, podErr)
}

func (r *tierReader) rule(p *readPolicy, direction, number int, action string, peers []anyPeer, ports []anyPort) {
	where := fmt.Sprintf("spec.%s[%d]", []string{"egress", "ingress"}[direction], number)
	rule := tierRule{policy: p.policy, direction: direction, number: number}
	switch action {
	case "Allow", "Accept":
		rule.action = tierAllow
	case "Deny":
		rule.action = tierDeny
	case "Pass":
		rule.action = tierPass
	default:
		p.fail("%s.action %q is none of Allow, Accept, Deny, Pass", where, action)
	}
	if len(peers) == 0 {
		p.fail("%s needs a peer", where)
	}
	for i := range peers {
		peer, err := r.peer(&peers[i])
		if err != nil {
			p.fail("%s: peer %d: %w", where, i, err)
		}
		if peer.kind == tierUnclear && !peers[i].names {
			r.tiers.doubts = append(r.tiers.doubts, fmt.Sprintf("%s %s: peer %d of %s has no field that is known here: it is of a newer version", p.policy.kind, p.policy.name, i, where))
		}
		rule.peers = append(rule.peers, peer)
	}
	var err error
	if rule.ports, rule.names, err = tierPorts(ports); err != nil {
		p.fail("%s: %w", where, err)
	}
	p.rules = append(p.rules, rule)
}

func (r *tierReader) peer(source *anyPeer) (peer tierPeer, err error) {
	switch {
	case source.namespaces != nil || source.pods != nil:
		peer.namespaces, peer.pods, err = podsOf(source.namespaces, source.pods)
	case source.nodes != nil:
		peer.kind, r.tiers.nodes = tierAddresses, true
		var s selector
		if s, err = selectorOf(source.nodes); err == nil {
			peer.blocks = r.addressesOf(s)
		}
	case len(source.networks) > 0:
		peer.kind = tierAddresses
		for _, text := range source.networks {
			cidr, wrong := netip.ParsePrefix(text)
			if wrong != nil || cidr.Addr().Is4In6() {
				return peer, fmt.Errorf("network %q is not a range such as 192.0.2.0/24 or 2001:db8::/64", text)
			}
			peer.blocks = append(peer.blocks, &ipBlock{cidr: cidr.Masked()})
		}
	default:
		peer.kind = tierUnclear
	}
	return peer, err
}

// addressesOf returns the addresses of the nodes that a selector matches.
func (r *tierReader) addressesOf(s selector) []*ipBlock {
	var blocks []*ipBlock
	for _, node := range r.nodes {
		if !s.matches(snapshot.LabelsOf(node.Labels)) {
			continue
		}
		for _, a := range node.Status.Addresses {
			if ip, err := netip.ParseAddr(a.Address); err == nil { // the others are names
				ip = ip.Unmap().WithZone("")
				blocks = append(blocks, &ipBlock{cidr: netip.PrefixFrom(ip, ip.BitLen())})
			}
		}
	}
	return blocks
}

func tierPorts(ports []anyPort) (fixed Ports, names []string, err error) {
	if ports == nil {
		return everyPort(), nil, nil
	}
	if len(ports) == 0 {
		return fixed, nil, errors.New("a list of ports needs one")
	}
	for i, p := range ports {
		if p.name != "" {
			names = append(names, p.name)
			continue
		}
		if p.protocol == "" {
			p.protocol = corev1.ProtocolTCP
		}
		protocol := slices.Index(protocols[:], p.protocol)
		if protocol < 0 || p.from < 1 || p.to > maxPort || p.to < p.from {
			return fixed, nil, fmt.Errorf("port %d: %s %d to %d is not a range of SCTP, TCP or UDP within 1 to %d", i, p.protocol, p.from, p.to, maxPort)
		}
		fixed = fixed.union(portsOf(protocol, uint16(p.from), uint16(p.to)))
	}
	return fixed, names, nil
}
