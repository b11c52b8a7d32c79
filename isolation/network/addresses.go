package network

import (
	"fmt"
	"net/netip"
	"slices"

	networkingv1 "k8s.io/api/networking/v1"
)

// ipBlock is an ipBlock: a range without some ranges.
type ipBlock struct {
	cidr   netip.Prefix
	except []netip.Prefix
}

// ipBlockOf reads an ipBlock. It fails where the API server would refuse.
func ipBlockOf(b *networkingv1.IPBlock) (*ipBlock, error) {
	cidr, err := netip.ParsePrefix(b.CIDR)
	if err != nil || cidr.Addr().Is4In6() {
		return nil, fmt.Errorf("ipBlock.cidr %q is not a range such as 192.0.2.0/24 or 2001:db8::/64", b.CIDR)
	}
	block := &ipBlock{cidr: cidr.Masked()}
	for _, text := range b.Except {
		except, err := netip.ParsePrefix(text)
		if err != nil || except.Addr().Is4In6() {
			return nil, fmt.Errorf("ipBlock.except %q is not a range such as 192.0.2.0/24 or 2001:db8::/64", text)
		}
		if except.Bits() <= cidr.Bits() || !cidr.Contains(except.Addr()) {
			return nil, fmt.Errorf("ipBlock.except %s does not lie strictly within %s", text, b.CIDR)
		}
		block.except = append(block.except, except.Masked())
	}
	slices.SortFunc(block.except, comparePrefixes)
	block.except = slices.Compact(block.except)
	return block, nil
}

func comparePrefixes(a, b netip.Prefix) int {
	if c := a.Addr().Compare(b.Addr()); c != 0 {
		return c
	}
	return a.Bits() - b.Bits()
}

func (b *ipBlock) has(ip netip.Addr) bool {
	if !b.cidr.Contains(ip) {
		return false
	}
	for _, except := range b.except {
		if except.Contains(ip) {
			return false
		}
	}
	return true
}

func (b *ipBlock) family() families { return familyOf(b.cidr.Addr()) }

func (b *ipBlock) key() string { return fmt.Sprint(b.cidr, b.except) }

// families is a set of IP families. A packet belongs to one.
type families uint8

const (
	ipv4 families = 1 << iota
	ipv6
)

func familyOf(ip netip.Addr) families {
	if ip.Is4() {
		return ipv4
	}
	return ipv6
}

// cuts are the addresses, sorted, at which some ipBlock begins or ends. Addresses between two neighbours are all the
// same to every ipBlock: a cell, named by its first address.
type cuts []netip.Addr

func cutsOf(blocks []*ipBlock) cuts {
	c := make(cuts, 0, 2+2*len(blocks))
	c = append(c, netip.IPv4Unspecified(), netip.IPv6Unspecified())
	add := func(p netip.Prefix) {
		c = append(c, p.Addr())
		if next := lastOf(p).Next(); next.IsValid() {
			c = append(c, next)
		}
	}
	for _, b := range blocks {
		add(b.cidr)
		for _, except := range b.except {
			add(except)
		}
	}
	slices.SortFunc(c, netip.Addr.Compare)
	return slices.Compact(c)
}

// cell returns the first address of the cell that an address lies in.
func (c cuts) cell(ip netip.Addr) netip.Addr {
	i, found := slices.BinarySearchFunc(c, ip, netip.Addr.Compare)
	if !found {
		i--
	}
	return c[i]
}

func lastOf(p netip.Prefix) netip.Addr {
	bytes := p.Addr().AsSlice()
	for bit := p.Bits(); bit < len(bytes)*8; bit++ {
		bytes[bit/8] |= 0x80 >> (bit % 8)
	}
	last, _ := netip.AddrFromSlice(bytes) // 4 or 16 bytes, as they came
	return last
}

// addressRange is a range of addresses outside the cluster.
type addressRange struct {
	first, last netip.Addr
}

func (r addressRange) String() string { return r.first.String() + "-" + r.last.String() }

// ranges returns the cells as ranges. The IPv6 world is left out unless asked for.
func (c cuts) ranges(withIPv6 bool) []addressRange {
	var list []addressRange
	for i, first := range c {
		if first.Is6() && !withIPv6 {
			continue
		}
		last := lastOf(netip.PrefixFrom(first, 0).Masked())
		if i+1 < len(c) && c[i+1].Is4() == first.Is4() {
			last = c[i+1].Prev()
		}
		list = append(list, addressRange{first, last})
	}
	return list
}
