package guardrail

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
)

// networkMetadataControl cuts the addresses that no flow opens out of every external range.
var networkMetadataControl = Control{
	ID: "network-metadata", Title: "The cloud's credentials are out of reach",
	Threat: "reading the node's credentials at the metadata address, or other services at link-local addresses",
	How: "Pod, service, node, loopback, link-local and metadata addresses are cut out of every external range that a flow " +
		"opens, also behind NAT64, whatever the Platform and the Space declare.",
	Objects: []string{"NetworkPolicy bulkhead-default", "NetworkPolicy bulkhead-flows*"},
	Needs: "as network-default; and the node's own defence (such as a hop limit of 1), since some plugins treat " +
		"addresses of the node apart",
	Fix:      "Developer: use the workload identity that the platform offers. Platform: as network-default.",
	Mappings: []string{"K05", "K08"},
	cases:    []string{"by-policy", "by-ipv6-policy", "by-wide-policy"},
}

// neverReached are addresses that no flow opens, whatever the Platform says: those that belong to the node that a pod
// happens to run on, and those at which clouds hand out credentials.
var neverReached = []string{
	"0.0.0.0/8",          // this host (RFC 1122); connects to the host itself on Linux
	"127.0.0.0/8",        // loopback (RFC 1122)
	"169.254.0.0/16",     // link-local (RFC 3927), and the metadata address of most clouds
	"100.100.100.200/32", // metadata, Alibaba Cloud
	"168.63.129.16/32",   // host agent, Azure
	"192.0.0.192/32",     // metadata, Oracle Cloud (older images)
	"::/80",              // unspecified, loopback, IPv4 in IPv6 clothes (RFC 4291; the API refuses ::ffff:0:0/96 itself)
	"fe80::/10",          // link-local (RFC 4291)
	"fd00:ec2::/32",      // metadata and other services of the host, AWS
	"fd20:ce::254/128",   // metadata, Google Cloud
	"224.0.0.0/4",        // multicast (RFC 5771)
	"240.0.0.0/4",        // reserved (RFC 1112), with the broadcast address
	"ff00::/8",           // multicast (RFC 4291)
	"2001::/32",          // Teredo (RFC 4380): IPv4 in IPv6 clothes
	"2002::/16",          // 6to4 (RFC 3056): IPv4 in IPv6 clothes
	"64:ff9b:1::/48",     // NAT64 of a network's own (RFC 8215), in which IPv4 addresses may stand anywhere
}

// nat64 is the well-known prefix (RFC 6052) in which every IPv4 address has an IPv6 one.
var nat64 = netip.MustParsePrefix("64:ff9b::/96")

// externalRanges are the addresses that external flows may reach.
type externalRanges struct {
	external  []netip.Prefix
	forbidden []netip.Prefix
	// broken names which of the Platform's ranges cannot be read. Then no external flow opens: what cannot be cut out
	// cannot be kept closed.
	broken string
}

func newExternalRanges(n *v1alpha1.PlatformNetwork) *externalRanges {
	f := &externalRanges{}
	parse := func(field string, list []string) []netip.Prefix {
		prefixes := make([]netip.Prefix, 0, len(list))
		for _, text := range list {
			p, err := netip.ParsePrefix(text)
			if err != nil || p.Addr().Is4In6() {
				f.broken = fmt.Sprintf("the Platform's %s has %q, which is not a CIDR; the platform team must correct it",
					field, text)
				continue
			}
			prefixes = append(prefixes, p.Masked())
		}
		return prefixes
	}
	for _, text := range neverReached {
		f.forbid(netip.MustParsePrefix(text))
	}
	for field, list := range map[string][]string{"podCIDRs": n.PodCIDRs, "serviceCIDRs": n.ServiceCIDRs, "nodeCIDRs": n.NodeCIDRs} {
		if len(list) == 0 && field != "nodeCIDRs" {
			f.broken = "the Platform's " + field + " are empty; the platform team must name them"
		}
		for _, p := range parse(field, list) {
			f.forbid(p)
		}
	}
	f.external = parse("externalCIDRs", n.ExternalCIDRs)
	return f
}

// forbid a range, and the addresses by which a NAT64 gateway would reach it.
func (f *externalRanges) forbid(p netip.Prefix) {
	f.forbidden = append(f.forbidden, p)
	if p.Addr().Is4() {
		v6, v4 := nat64.Addr().As16(), p.Addr().As4()
		copy(v6[12:], v4[:])
		f.forbidden = append(f.forbidden, netip.PrefixFrom(netip.AddrFrom16(v6), nat64.Bits()+p.Bits()))
	}
}

// block for a flow's CIDR with everything cut out that stays closed, or why the flow stays closed as a whole.
func (f *externalRanges) block(cidr string) (*networkingv1.IPBlock, string) {
	p, err := netip.ParsePrefix(cidr)
	if err != nil || p.Addr().Is4In6() {
		return nil, fmt.Sprintf("%q is not a CIDR; write one such as 203.0.113.0/24", cidr)
	}
	if f.broken != "" {
		return nil, f.broken
	}
	p = p.Masked()
	if !slices.ContainsFunc(f.external, func(e netip.Prefix) bool { return within(p, e) }) {
		return nil, fmt.Sprintf("%s lies in none of the Platform's externalCIDRs (%s); name a range inside one, or ask "+
			"the platform team to add it", p, listed(f.external))
	}
	var except []netip.Prefix
	for _, bad := range f.forbidden {
		if within(p, bad) {
			return nil, fmt.Sprintf("%s lies in %s, which is never opened: it belongs to the cluster, to its nodes or "+
				"to the cloud's metadata; a flow between Spaces names a space", p, bad)
		}
		if within(bad, p) {
			except = append(except, bad)
		}
	}
	block := &networkingv1.IPBlock{CIDR: p.String()}
	for _, e := range outermost(except) {
		block.Except = append(block.Except, e.String())
	}
	return block, ""
}

// within reports whether all of p lies in q. Two ranges lie one in the other or apart; they never overlap in part.
func within(p, q netip.Prefix) bool { return p.Bits() >= q.Bits() && q.Contains(p.Addr()) }

// outermost sorts ranges and drops those that lie in another.
func outermost(list []netip.Prefix) []netip.Prefix {
	slices.SortFunc(list, netip.Prefix.Compare)
	kept := list[:0]
	for _, p := range list {
		if n := len(kept); n == 0 || !within(p, kept[n-1]) {
			kept = append(kept, p)
		}
	}
	return kept
}

func listed(list []netip.Prefix) string {
	if len(list) == 0 {
		return "there are none"
	}
	words := make([]string, 0, len(list))
	for _, p := range list {
		words = append(words, p.String())
	}
	return strings.Join(words, ", ")
}
