package guardrail

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	networkingv1 "k8s.io/api/networking/v1"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
)

// Promise: no flow opens the metadata address, link-local, loopback, pod or service addresses, in any clothes, and an
// address outside is open exactly when a flow's CIDR inside the external ranges has it.
func TestExternalFlows(t *testing.T) {
	never := []string{
		"169.254.169.254", "169.254.0.1", "fe80::1", "fe80::a9fe:a9fe", "127.0.0.1", "::1", "10.244.3.4", "10.96.0.1",
		"10.111.255.254", "fd00:10:244::7", "fd00:10:96::a", "64:ff9b::a9fe:a9fe", "64:ff9b::af4:304", "64:ff9b::a60:1",
		"fd00:ec2::254", "fd20:ce::254", "100.100.100.200", "168.63.129.16", "0.0.0.0", "10.9.0.7", "64:ff9b::a09:7", "2002:a9fe:a9fe::1", "2001:0:a9fe:a9fe::1", "64:ff9b:1::a9fe:a9fe", "224.0.0.1", "255.255.255.255", "ff02::1", "::", "::ffff:169.254.169.254",
	}
	fine := []string{"203.0.113.9", "198.51.100.7", "8.8.8.8", "2001:db8::1", "64:ff9b::808:808", "10.0.0.1"}
	cidrs := []string{
		"0.0.0.0/0", "::/0", "203.0.113.0/24", "169.254.169.254/32", "169.254.0.0/15", "168.0.0.0/6", "10.0.0.0/8",
		"10.244.0.0/15", "10.244.3.0/24", "2000::/3", "fe80::/9", "fc00::/7", "64:ff9b::/96", "64:ff9b::a900:0/104",
		"2001:db8::5/32", "::ffff:169.254.0.0/112", "203.0.113.77/25", "128.0.0.0/1", "rubbish", "1.2.3.4",
	}
	externals := [][]string{
		{"0.0.0.0/0", "::/0"}, {"203.0.113.0/24"}, {"10.0.0.0/8", "2000::/3"}, nil, {"64:ff9b::/96", "128.0.0.0/1"},
	}
	opened := 0
	for _, external := range externals {
		for _, cidr := range cidrs {
			in := plainSpace()
			in.Platform.Spec.Network.ExternalCIDRs = external
			in.Space.Spec.To = []v1alpha1.Flow{{CIDR: cidr}}
			in.Space.Spec.From = []v1alpha1.Flow{{CIDR: cidr}}
			objects, closed := Space(in)
			blocks := ipBlocks(policiesOf(objects))
			if (len(blocks) == 0) != (len(closed) == 2) {
				t.Errorf("%s in %v: blocks %v, closed %v", cidr, external, blocks, closed)
			}
			for _, address := range never {
				if inBlocks(blocks, netip.MustParseAddr(address)) {
					t.Errorf("%s in %v opens %s: %v", cidr, external, address, blocks)
				}
			}
			for _, address := range fine {
				a := netip.MustParseAddr(address)
				want := has([]string{cidr}, a) && slices.ContainsFunc(external, func(e string) bool {
					p, err := netip.ParsePrefix(cidr)
					return err == nil && within(p.Masked(), netip.MustParsePrefix(e))
				})
				if got := inBlocks(blocks, a); got != want {
					t.Errorf("%s in %v: %s open %v, want %v", cidr, external, address, got, want)
				}
				opened += len(blocks)
			}
		}
	}
	if opened == 0 {
		t.Error("nothing was ever open: the test shows nothing")
	}
}

// Promise: where the cluster's own ranges are not known, no external flow opens.
func TestExternalFlowsNeedKnownRanges(t *testing.T) {
	for name, network := range map[string]v1alpha1.PlatformNetwork{
		"no pod range":      {ServiceCIDRs: []string{"10.96.0.0/12"}},
		"no service range":  {PodCIDRs: []string{"10.244.0.0/16"}},
		"a range unread":    {PodCIDRs: []string{"10.244.0.0/16", "10.245/16"}, ServiceCIDRs: []string{"10.96.0.0/12"}},
		"an external range": {PodCIDRs: []string{"10.244.0.0/16"}, ServiceCIDRs: []string{"10.96.0.0/12"}},
	} {
		in := plainSpace()
		in.Platform.Spec.Network = network
		in.Platform.Spec.Network.ExternalCIDRs = []string{"0.0.0.0/0"}
		if name == "an external range" {
			in.Platform.Spec.Network.ExternalCIDRs = append(in.Platform.Spec.Network.ExternalCIDRs, "?")
		}
		in.Space.Spec.To = []v1alpha1.Flow{{CIDR: "203.0.113.0/24"}}
		objects, closed := Space(in)
		if blocks := ipBlocks(policiesOf(objects)); len(blocks) > 0 || len(closed) != 1 ||
			!strings.Contains(closed[0].Why, "the Platform's") {
			t.Errorf("%s: blocks %v, closed %v", name, blocks, closed)
		}
	}
}

// Promise: a service of the platform opens its pods and no others, and one that a tenant could act as opens nothing.
func TestPlatformServices(t *testing.T) {
	for name, c := range map[string]struct {
		service v1alpha1.PlatformService
		why     string
	}{
		"a good one":                 {v1alpha1.PlatformService{Name: "bus", Namespace: "messaging", PodLabels: map[string]string{"a": "b"}}, ""},
		"in a Space":                 {v1alpha1.PlatformService{Name: "bus", Namespace: "shop--bus", PodLabels: map[string]string{"a": "b"}}, "could act as the service"},
		"every pod of its namespace": {v1alpha1.PlatformService{Name: "bus", Namespace: "messaging"}, "could act as the service"},
		"another name":               {v1alpha1.PlatformService{Name: "car", Namespace: "messaging", PodLabels: map[string]string{"a": "b"}}, "it offers car"},
	} {
		in := plainSpace()
		in.Platform.Spec.Services = []v1alpha1.PlatformService{c.service}
		in.Space.Spec.To = []v1alpha1.Flow{{Service: "bus"}}
		objects, closed := Space(in)
		policies := policiesOf(objects)
		if c.why == "" {
			if len(closed) > 0 || len(policies) != 2 || len(policies[1].Spec.Egress) != 1 {
				t.Errorf("%s: closed %v, policies %v", name, closed, policies)
			}
		} else if len(policies) != 1 || len(closed) != 1 || !strings.Contains(closed[0].Why, c.why) {
			t.Errorf("%s: closed %v, policies %v", name, closed, policies)
		}
	}
}

func ipBlocks(policies []*networkingv1.NetworkPolicy) []*networkingv1.IPBlock {
	var blocks []*networkingv1.IPBlock
	for _, p := range policies {
		for _, rule := range p.Spec.Egress {
			for _, peer := range rule.To {
				if peer.IPBlock != nil {
					blocks = append(blocks, peer.IPBlock)
				}
			}
		}
		for _, rule := range p.Spec.Ingress {
			for _, peer := range rule.From {
				if peer.IPBlock != nil {
					blocks = append(blocks, peer.IPBlock)
				}
			}
		}
	}
	return blocks
}

func inBlocks(blocks []*networkingv1.IPBlock, a netip.Addr) bool {
	return slices.ContainsFunc(blocks, func(b *networkingv1.IPBlock) bool {
		return has([]string{b.CIDR}, a) && !has(b.Except, a)
	})
}

func has(cidrs []string, a netip.Addr) bool {
	return slices.ContainsFunc(cidrs, func(c string) bool {
		p, err := netip.ParsePrefix(c)
		return err == nil && p.Contains(a)
	})
}
