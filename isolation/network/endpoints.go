package network

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/bulkhead-dev/bulkhead/isolation/finding"
	"github.com/bulkhead-dev/bulkhead/snapshot"
)

// addressBook maps addresses of the cluster to their owners.
type addressBook struct {
	holders map[netip.Addr]holder
	// hidden are the tenants and the platform that have pods whose addresses are not known.
	hidden map[string]bool
}

type holder struct {
	tenant string
	object snapshot.Ref
	what   string // as "pod a/b"
}

// addressBook of pods, nodes and Services. A pod in its node's network has its node's address: a tenant that may have one such
// pod there has the address.
func (n *networkFindings) addressBook() *addressBook {
	b := &addressBook{holders: make(map[netip.Addr]holder, len(n.Pods)), hidden: map[string]bool{}}
	for _, s := range n.Services {
		for _, text := range append(slices.Clone(s.Spec.ClusterIPs), s.Spec.ClusterIP) {
			if ip, err := netip.ParseAddr(text); err == nil {
				service := snapshot.RefOf("Service", s)
				b.holders[ip.Unmap()] = holder{n.Owner[s.Namespace], service, "the address of " + service.String()}
			}
		}
	}
	for _, node := range n.Nodes {
		for _, a := range node.Status.Addresses {
			if ip, err := netip.ParseAddr(a.Address); err == nil && a.Type != corev1.NodeHostName {
				b.holders[ip.Unmap()] = holder{finding.ThePlatform, snapshot.Ref{Kind: "Node", Name: node.Name}, "node " + node.Name}
			}
		}
	}
	for _, pod := range n.Pods {
		if pod.Completed() || pod.HostNetwork {
			continue
		}
		if len(pod.IPs) == 0 {
			b.hidden[n.Owner[pod.Namespace]] = true
		}
		for _, ip := range pod.IPs {
			b.holders[ip] = holder{n.Owner[pod.Namespace], snapshot.Ref{Kind: "Pod", Namespace: pod.Namespace, Name: pod.Name}, "pod " + pod.Namespace + "/" + pod.Name}
		}
	}
	return b
}

// ownHostAddresses are the addresses of nodes that a tenant has by pods in their network.
func (n *networkFindings) ownHostAddresses(tenant string) map[netip.Addr]bool {
	own := map[netip.Addr]bool{}
	for _, t := range n.Tenants {
		if t.Name != tenant {
			continue
		}
		for _, ns := range t.Namespaces {
			for _, pod := range n.PodsIn(ns) {
				for _, ip := range pod.IPs {
					own[ip] = true
				}
			}
		}
	}
	return own
}

// endpoints adds what sends traffic of a tenant's Services to addresses that are others': of pods, nodes and Services. What
// is outside the cluster may be meant.
func (n *networkFindings) endpoints(book *addressBook) {
	own := map[string]map[netip.Addr]bool{}
	for _, e := range n.Endpoints {
		tenant := n.Owner[e.Namespace]
		if tenant == finding.ThePlatform || len(e.IPs)+len(e.Hosts) == 0 {
			continue
		}
		if own[tenant] == nil {
			own[tenant] = n.ownHostAddresses(tenant)
		}
		n.astray(e, tenant, book, own[tenant])
	}
}

func (n *networkFindings) astray(e *snapshot.Endpoints, tenant string, book *addressBook, own map[netip.Addr]bool) {
	o, done := snapshot.Ref{Kind: e.Kind, Namespace: e.Namespace, Name: e.Name}, map[string]bool{}
	add := func(verdict finding.Verdict, to, does string) {
		if done[to+string(verdict)] {
			return // one for each whom it is done to
		}
		done[to+string(verdict)] = true
		f := finding.Finding{Code: "BH3012", Verdict: verdict, From: tenant, To: to, What: o.String() + " " + does, Blame: []snapshot.Ref{o}}
		if verdict == finding.Exposed {
			f.Witness = []finding.Step{{Object: o, Does: does}}
		}
		if e.Service != "" {
			f.What = fmt.Sprintf("%s, and so %s, %s", o, snapshot.Ref{Kind: "Service", Namespace: e.Namespace, Name: e.Service}, does)
		}
		n.list = append(n.list, f)
	}
	for _, ip := range e.IPs {
		h, held := book.holders[ip]
		switch {
		case own[ip] || held && h.tenant == tenant:
		case held:
			add(finding.Exposed, h.tenant, fmt.Sprintf("sends traffic to %s, which is %s", ip, h.what))
		case ip.IsLoopback() || ip.IsLinkLocalUnicast():
			add(finding.Exposed, finding.ThePlatform, fmt.Sprintf("sends traffic to %s, which is each node's own", ip))
		case (ip.IsPrivate() || sharedSpace.Contains(ip)) && book.hidesOthers(tenant):
			add(finding.Unknown, finding.EveryTenant, fmt.Sprintf("sends traffic to %s, and whose that is cannot be said: addresses of pods are not known", ip))
		}
	}
	for _, host := range e.Hosts {
		if inCluster(host) {
			add(finding.Exposed, finding.EveryTenant, fmt.Sprintf("sends traffic to %s, a name inside", host))
		}
	}
}

// sharedSpace is what carriers, and clusters, take for addresses in addition to the private ones (RFC 6598).
var sharedSpace = netip.MustParsePrefix("100.64.0.0/10")

// hidesOthers reports whether pods of others have addresses that are not known.
func (b *addressBook) hidesOthers(tenant string) bool {
	for other := range b.hidden {
		if other != tenant {
			return true
		}
	}
	return false
}

// balanced reports whether a Service's status claims addresses of pods or Services of others: nodes believe it (CVE-2020-8554).
func balanced(s *corev1.Service, tenant string, book *addressBook) (does, to string, is bool) {
	var taken []string
	for _, i := range s.Status.LoadBalancer.Ingress {
		ip, err := netip.ParseAddr(i.IP)
		if err != nil {
			continue
		}
		if h, held := book.holders[ip.Unmap()]; held && h.tenant != tenant && h.object.Kind != "Node" {
			to = h.tenant
			taken = append(taken, ip.String()+", which is "+h.what)
		}
	}
	return "takes by its status the traffic of " + strings.Join(taken, "; "), to, len(taken) > 0
}
