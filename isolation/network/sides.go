package network

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/bulkhead-dev/bulkhead/isolation/finding"
	"github.com/bulkhead-dev/bulkhead/snapshot"
)

// probe is an address outside the cluster that matters if a tenant reaches it.
type probe struct {
	code, what string
	address
}

// probes of metadata services and link-local addresses, and of the world: an address of a range that is in no use, so
// that no rule names it by itself.
func (r *Reach) probes() []probe {
	var list []probe
	for _, p := range [][3]string{
		{"BH3005", "the metadata address", "169.254.169.254"}, {"BH3005", "the container credentials' address", "169.254.170.2"},
		{"BH3005", "link-local addresses", "169.254.1.1"}, {"BH3005", "Alibaba Cloud's metadata address", "100.100.100.200"},
		{"BH3005", "Azure's host agent", "168.63.129.16"}, {"BH3005", "Oracle Cloud's metadata address", "192.0.0.192"},
		{"BH3005", "AWS's metadata address", "fd00:ec2::254"}, {"BH3005", "Google Cloud's metadata address", "fd20:ce::254"},
		{"BH3005", "IPv6 link-local addresses", "fe80::a9fe:a9fe"}, {"BH3005", "the metadata address behind NAT64", "64:ff9b::a9fe:a9fe"},
		{"BH3006", "the whole world", "203.0.113.1"}, {"BH3006", "the whole IPv6 world", "2001:db8::1"},
	} {
		list = append(list, probe{p[0], p[1], r.address(netip.MustParseAddr(p[2]))})
	}
	return list
}

// opensTo returns the ports on which one opening lets connections out to an address: certainly, or if loose perhaps.
func (r *Reach) opensTo(o *opening, at address, loose bool) Ports {
	peer := &o.allowance.peer
	if peer.kind != everyone && peer.kind != admitted && (peer.kind != addressesIn || !peer.block.has(at.ip)) {
		return Ports{}
	}
	var g *gate
	if r.tiers != nil {
		g = r.tiers.gate(egress, o.class.signature, at.signature, at.signature.families, nil)
	}
	return g.lets(r.tiers, o.allowance, nil, loose)
}

// verdictOn reports whether one opening lets connections out to an address, and on which ports.
func (r *Reach) verdictOn(o *opening, at address) (finding.Verdict, Ports) {
	if ports := r.opensTo(o, at, false); !ports.Empty() || r.tiers == nil {
		return finding.Exposed, ports
	}
	return finding.Unknown, r.opensTo(o, at, true)
}

// sides adds what each tenant's side opens by itself, whatever the other side says.
func (n *networkFindings) sides() {
	s := &sidesOfTenants{networkFindings: n, probes: n.reach.probes(), nodes: nodeAddresses(n.Nodes), samples: n.samples()}
	found := make([][]finding.Finding, len(n.reach.spaces))
	n.reach.parallel(len(n.reach.spaces), func(i int) {
		if sp := n.reach.spaces[i]; sp.tenant >= 0 {
			found[i] = append(s.out(sp), s.in(sp)...)
		}
	})
	byCode := map[string][]finding.Finding{}
	for _, f := range slices.Concat(found...) {
		key := f.Code + string(f.Verdict)
		if f.Verdict == finding.Exposed && !slices.ContainsFunc(f.Blame, func(o snapshot.Ref) bool { return o.Kind == "Namespace" }) {
			key = "" // has an object of its own to blame
		}
		byCode[key] = append(byCode[key], f)
	}
	n.list = append(n.list, byCode[""]...)
	delete(byCode, "")
	for _, code := range slices.Sorted(maps.Keys(byCode)) {
		n.list = append(n.list, n.asOne(byCode[code])...)
	}
}

// sidesOfTenants judges namespaces, each by itself.
type sidesOfTenants struct {
	*networkFindings
	probes []probe
	nodes  []netip.Addr
	// samples are ends of every signature, of two tenants where there are two, that stand for all others.
	samples []end
}

func nodeAddresses(nodes []*corev1.Node) []netip.Addr {
	var list []netip.Addr
	for _, node := range nodes {
		for _, a := range node.Status.Addresses {
			if ip, err := netip.ParseAddr(a.Address); err == nil {
				list = append(list, ip.Unmap().WithZone(""))
			}
		}
	}
	slices.SortFunc(list, netip.Addr.Compare)
	return list
}

func (n *networkFindings) samples() []end {
	var list []end
	known := map[*signature][]int{}
	for _, s := range n.reach.spaces {
		if s.tenant < 0 {
			continue
		}
		for _, c := range append(slices.Clone(s.classes), n.reach.unlabelled(s)) {
			if of := known[c.signature]; len(of) < 2 && !slices.Contains(of, s.tenant) {
				known[c.signature] = append(of, s.tenant)
				list = append(list, end{s, c})
			}
		}
	}
	return list
}

// out judges egress: the metadata address, the world, nodes, and other tenants.
func (s *sidesOfTenants) out(sp *space) []finding.Finding {
	var findings []finding.Finding
	seen := map[openingKey]map[string]bool{}
	for _, o := range s.reach.openings(sp, egress) {
		key := o.key()
		if seen[key] == nil {
			seen[key] = map[string]bool{}
		}
		add := func(verdict finding.Verdict, code, to, what string, ports Ports) {
			if !seen[key][code] {
				seen[key][code] = true
				findings = append(findings, s.sideFinding(&o, verdict, code, to, what, ports))
			}
		}
		var metadata bool
		for i := range s.probes {
			p := &s.probes[i]
			verdict, ports := s.reach.verdictOn(&o, p.address)
			if ports.Empty() || p.code == "BH3006" && (!o.allowance.wholeWorld() || s.declaredWorld(&o) && !metadata) {
				continue
			}
			metadata = metadata || p.code == "BH3005"
			add(verdict, p.code, finding.ThePlatform, p.what, ports)
		}
		if seen[key]["BH3006"] {
			continue // says it all
		}
		if ip, ports := s.nodeOf(&o); !ports.Empty() {
			add(finding.Exposed, "BH3004", finding.ThePlatform, "the node at "+ip.String(), ports)
		}
		if foreign, ports := s.foreign(&o); !ports.Empty() {
			add(finding.Exposed, "BH3003", s.tenantName(foreign.space.tenant), "namespace "+foreign.space.source.Name+", were it not for the other side", ports)
		}
	}
	return s.unnamed(findings)
}

// in judges ingress: whom of other tenants it lets in.
func (s *sidesOfTenants) in(sp *space) []finding.Finding {
	var findings []finding.Finding
	seen := map[openingKey]bool{}
	for _, o := range s.reach.openings(sp, ingress) {
		if seen[o.key()] {
			continue
		}
		if foreign, ports := s.foreign(&o); !ports.Empty() {
			seen[o.key()] = true
			findings = append(findings, s.sideFinding(&o, finding.Exposed, "BH3003", s.tenantName(foreign.space.tenant),
				"namespace "+foreign.space.source.Name+", were it not for the other side", ports))
		}
	}
	return s.unnamed(findings)
}

// unnamed leaves out one open side where a connection through it was found already.
func (s *sidesOfTenants) unnamed(findings []finding.Finding) []finding.Finding {
	return slices.DeleteFunc(findings, func(f finding.Finding) bool { return f.Code == "BH3003" && s.named[f.Blame[0]] })
}

func (s *sidesOfTenants) sideFinding(o *opening, verdict finding.Verdict, code, other, what string, ports Ports) finding.Finding {
	f := finding.Finding{Code: code, Verdict: verdict, From: s.tenantName(o.space.tenant), To: other}
	verb := "connect to " + what
	if o.direction == ingress {
		f.From, f.To = f.To, f.From
		verb = "be connected to from " + what
	}
	who := "pods of " + workloadName(o.space, o.class.first.Workload())
	if o.class.choice != nil {
		who = podName(o.space, o.class.sample(&o.allowance.peer))
	} else if o.class.first.Name == newPod {
		who = "a pod without labels in namespace " + o.space.source.Name
	}
	f.What = fmt.Sprintf("%s can %s: %s", who, verb, ports)
	if verdict == finding.Unknown {
		f.What = fmt.Sprintf("it is not known whether %s can %s on %s: that depends on domain names, or on which of several policies of administrators with the same priority is applied", who, verb, ports)
	}
	causes := s.reach.causesAlone(o)
	f.Witness, f.Blame = steps(causes...), s.blame(causes...)
	return f
}

// wholeWorld reports whether an allowance is for every address of a family.
func (a *allowance) wholeWorld() bool {
	return a.peer.kind != addressesIn || a.peer.block.cidr.Bits() == 0
}

// declaredWorld reports whether Bulkhead itself wrote the policy, out of ranges that the Platform names.
func (s *sidesOfTenants) declaredWorld(o *opening) bool {
	if o.allowance.policy == nil {
		return false
	}
	source := o.allowance.policy.source
	return slices.ContainsFunc(s.Expected, func(e finding.Expected) bool {
		return e.Object == snapshot.Ref{Kind: "NetworkPolicy", Namespace: source.Namespace, Name: source.Name}
	})
}

// nodeOf finds a node's address that an ipBlock names.
func (s *sidesOfTenants) nodeOf(o *opening) (netip.Addr, Ports) {
	if o.allowance.peer.kind != addressesIn {
		return netip.Addr{}, Ports{}
	}
	block := o.allowance.peer.block
	i, _ := slices.BinarySearchFunc(s.nodes, block.cidr.Addr(), netip.Addr.Compare)
	for ; i < len(s.nodes) && block.cidr.Contains(s.nodes[i]); i++ {
		if ports := s.reach.opensTo(o, s.reach.address(s.nodes[i]), false); !ports.Empty() {
			return s.nodes[i], ports
		}
	}
	return netip.Addr{}, Ports{}
}

// foreign finds an end of another tenant that an opening is for, beyond declared flows. Tenants label their pods as they
// like, so that a selector of pods excludes no tenant.
func (s *sidesOfTenants) foreign(o *opening) (end, Ports) {
	switch peer := &o.allowance.peer; {
	case peer.kind == podsHere:
		return end{}, Ports{}
	case peer.kind == everyone, peer.kind == addressesIn && peer.block.cidr.Bits() == 0:
		return s.first(o, s.samples)
	case peer.spaces.wide() || peer.kind == addressesIn:
		return s.first(o, s.endsIn(func(sp *space) bool { return peer.spaces.has(sp.id) }))
	default:
		var list []end
		for _, id := range peer.spaces.list {
			if sp := s.reach.spaces[id]; sp.tenant != o.space.tenant {
				list = append(list, s.endsOf(sp)...)
			}
		}
		return s.first(o, list)
	}
}

func (s *sidesOfTenants) endsOf(sp *space) []end {
	if sp.tenant < 0 {
		return nil
	}
	var list []end
	for _, c := range append(slices.Clone(sp.classes), s.reach.unlabelled(sp)) {
		list = append(list, end{sp, c})
	}
	return list
}

// endsIn are ends in a wide set, each signature of two tenants.
func (s *sidesOfTenants) endsIn(has func(*space) bool) []end {
	var list []end
	known := map[*signature][]int{}
	for _, sp := range s.reach.spaces {
		if sp.tenant < 0 || !has(sp) {
			continue
		}
		for _, c := range sp.classes {
			if of := known[c.signature]; len(of) < 2 && !slices.Contains(of, sp.tenant) {
				known[c.signature] = append(of, sp.tenant)
				list = append(list, end{sp, c})
			}
		}
	}
	return list
}

// first of some ends of other tenants to which the gates of the opening's side let something through.
func (s *sidesOfTenants) first(o *opening, ends []end) (end, Ports) {
	for _, other := range ends {
		if other.space.tenant == o.space.tenant || s.flowBetween(o, other) {
			continue
		}
		if kind := o.allowance.peer.kind; kind == addressesIn && other.class.first.Name != newPod && !o.allowance.peer.holds(other.space, other.class, false) {
			continue
		}
		to := other.class
		if o.direction == ingress {
			to = o.class
		}
		if s.reach.tiers == nil {
			if ports := (*gate)(nil).lets(nil, o.allowance, to.ports, false); !ports.Empty() {
				return other, ports
			}
			continue
		}
		for _, f := range []families{ipv4, ipv6} {
			g := s.reach.tiers.gate(o.direction, o.class.signature, other.class.signature, f, to.ports)
			if ports := g.lets(s.reach.tiers, o.allowance, to.ports, false); !ports.Empty() {
				return other, ports
			}
		}
	}
	return end{}, Ports{}
}

// flowBetween reports whether a flow was declared between two namespaces. How much of it is open, the pairs say.
func (s *sidesOfTenants) flowBetween(o *opening, other end) bool {
	from, to := o.space, other.space
	if o.direction == ingress {
		from, to = to, from
	}
	return slices.ContainsFunc(s.pairs.flows[[2]int{from.tenant, to.tenant}], func(f flow) bool { return f.from == from.id && f.to == to.id })
}

// hosts adds the tenants' workloads in the network of their node.
func (n *networkFindings) hosts() {
	seen := map[snapshot.Ref]bool{}
	for _, s := range n.reach.spaces {
		if s.tenant < 0 || len(s.hostNodes) == 0 {
			continue
		}
		for _, pod := range s.pods {
			w := pod.Workload()
			o := snapshot.Ref{Kind: w.Kind, Namespace: s.source.Name, Name: w.Name}
			if !pod.HostNetwork || seen[o] {
				continue
			}
			seen[o] = true
			n.list = append(n.list, finding.Finding{Code: "BH3007", Verdict: finding.Exposed, From: n.tenantName(s.tenant), To: finding.EveryTenant,
				What:    fmt.Sprintf("pods of %s use the network of their node, which no policy holds", workloadName(s, w)),
				Witness: []finding.Step{{Object: o, Does: "sets hostNetwork"}}, Blame: []snapshot.Ref{o}})
		}
	}
}

// past adds what goes past every policy, so that nothing can be said of it: other networks of pods, and network volumes, with which the
// node's kubelet connects to whatever server they name.
func (n *networkFindings) past() {
	seen := map[string]bool{}
	for _, s := range n.reach.spaces {
		if s.tenant < 0 {
			continue
		}
		for _, pod := range s.pods {
			w := pod.Workload()
			for _, what := range append(otherNetworks(pod), networkVolumes(pod.Spec)...) {
				f := finding.Finding{Code: "BH3002", Verdict: finding.Unknown, From: n.tenantName(s.tenant), To: finding.EveryTenant,
					What:  fmt.Sprintf("%s %s", workloadName(s, w), what),
					Blame: []snapshot.Ref{{Kind: w.Kind, Namespace: s.source.Name, Name: w.Name}}}
				if !seen[f.What] {
					seen[f.What] = true
					n.list = append(n.list, f)
				}
			}
		}
	}
}

func otherNetworks(pod *snapshot.Pod) []string {
	var list []string
	for _, key := range snapshot.NetworkAnnotations() {
		if value, has := pod.Annotations.Get(key); has {
			list = append(list, fmt.Sprintf("is in another network, %q by annotation %s, of which nothing is known here", value, key))
		}
	}
	return list
}

// networkVolumes are the volumes that name a server. Those of claims are the administrators'.
func networkVolumes(spec *corev1.PodSpec) []string {
	var list []string
	for i := 0; spec != nil && i < len(spec.Volumes); i++ {
		v, kind := &spec.Volumes[i], ""
		switch {
		case v.NFS != nil:
			kind = "nfs"
		case v.ISCSI != nil:
			kind = "iscsi"
		case v.CephFS != nil:
			kind = "cephfs"
		case v.RBD != nil:
			kind = "rbd"
		case v.FC != nil:
			kind = "fc"
		case v.Glusterfs != nil:
			kind = "glusterfs"
		case v.Quobyte != nil:
			kind = "quobyte"
		case v.ScaleIO != nil:
			kind = "scaleIO"
		case v.StorageOS != nil:
			kind = "storageos"
		case v.AzureFile != nil:
			kind = "azureFile"
		case v.Cinder != nil:
			kind = "cinder"
		case v.FlexVolume != nil:
			kind = "flexVolume"
		case v.CSI != nil:
			kind = "csi"
		}
		if kind != "" {
			list = append(list, fmt.Sprintf("has volume %s of type %s, which its node mounts past every NetworkPolicy", v.Name, kind))
		}
	}
	return list
}

// services adds what tenants' Services open or take.
func (n *networkFindings) services(book *addressBook) {
	for _, s := range n.Services {
		tenant := n.Owner[s.Namespace]
		if tenant == finding.ThePlatform {
			continue
		}
		o := snapshot.RefOf("Service", s)
		add := func(code, to, does string) {
			n.list = append(n.list, finding.Finding{Code: code, Verdict: finding.Exposed, From: tenant, To: to, What: o.String() + " " + does,
				Witness: []finding.Step{{Object: o, Does: does}}, Blame: []snapshot.Ref{o}})
		}
		var ports []string
		for _, p := range s.Spec.Ports {
			if p.NodePort != 0 {
				ports = append(ports, fmt.Sprint(p.NodePort))
			}
		}
		switch allocates := s.Spec.AllocateLoadBalancerNodePorts; {
		case s.Spec.Type == corev1.ServiceTypeNodePort,
			s.Spec.Type == corev1.ServiceTypeLoadBalancer && (len(ports) > 0 || allocates == nil || *allocates):
			add("BH3008", finding.ThePlatform, strings.TrimSpace("is of type "+string(s.Spec.Type)+" and opens a port on every node "+strings.Join(ports, ", ")))
		case s.Spec.Type == corev1.ServiceTypeExternalName && inCluster(s.Spec.ExternalName):
			add("BH3009", finding.EveryTenant, "is an alias of "+s.Spec.ExternalName+", a name or address inside")
		}
		if len(s.Spec.ExternalIPs) > 0 {
			add("BH3009", finding.EveryTenant, "takes the traffic of external addresses "+strings.Join(s.Spec.ExternalIPs, ", "))
		}
		if does, to, is := balanced(s, tenant, book); is {
			add("BH3009", to, does)
		}
	}
}

// inCluster reports whether a name may lead to something inside the cluster, or is an address.
func inCluster(name string) bool {
	labels := strings.Split(strings.TrimSuffix(strings.ToLower(name), "."), ".")
	if _, err := netip.ParseAddr(strings.TrimSuffix(name, ".")); err == nil || len(labels) < 2 {
		return true
	}
	last := labels[len(labels)-1]
	return slices.Contains(labels, "svc") || slices.Contains(labels, "pod") || slices.Contains([]string{"local", "localhost", "internal", "arpa"}, last)
}
