package network

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// TestPortsAgreeWithSetsOfNumbers compares every operation with the same on plain sets, and checks the normal form.
func TestPortsAgreeWithSetsOfNumbers(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	limits := []uint16{1, 2, 3, 80, 81, 82, 65533, 65534, 65535}
	random := func() Ports {
		var p Ports
		for range r.IntN(4) {
			from, to := limits[r.IntN(len(limits))], limits[r.IntN(len(limits))]
			p = p.union(portsOf(r.IntN(len(protocols)), min(from, to), max(from, to)))
		}
		if r.IntN(20) == 0 {
			return everyPort()
		}
		return p
	}
	for range 5000 {
		p, q := random(), random()
		union, both, minus := p.union(q), p.intersect(q), p.minus(q)
		shared := false
		for _, protocol := range protocols {
			for _, port := range append(limits, 79, 1000) {
				inP, inQ := p.Has(protocol, port), q.Has(protocol, port)
				shared = shared || inP && inQ
				if union.Has(protocol, port) != (inP || inQ) || both.Has(protocol, port) != (inP && inQ) || minus.Has(protocol, port) != (inP && !inQ) {
					t.Fatalf("%s and %s at %s %d: union %s, both %s, minus %s", p, q, protocol, port, union, both, minus)
				}
			}
		}
		if p.overlaps(q) != !both.Empty() || shared && both.Empty() {
			t.Fatalf("%s and %s: overlap %v, both %s", p, q, p.overlaps(q), both)
		}
		for _, set := range []Ports{union, both, minus} {
			for _, ranges := range set.ranges {
				for i, x := range ranges {
					if x.From > x.To || i > 0 && x.From <= ranges[i-1].To+1 {
						t.Fatalf("%s is not in normal form", set)
					}
				}
			}
		}
		if p.minus(q).union(both).String() != p.String() {
			t.Fatalf("%s without and with %s is %s", p, q, p.minus(q).union(both))
		}
	}
}

func TestPortsAreWrittenAsTheListSays(t *testing.T) {
	p := portsOf(1, 443, 443).union(portsOf(1, 80, 80)).union(portsOf(1, 8000, 8100)).union(portsOf(2, 53, 53))
	for set, want := range map[*Ports]string{
		&p: "TCP 80,443,8000-8100,UDP 53", new(everyPort()): "All Connections", {}: "No Connections",
		new(portsOf(0, 1, 65535)): "SCTP 1-65535",
	} {
		if set.String() != want {
			t.Errorf("got %q, want %q", set, want)
		}
	}
	if got := p.Ranges("TCP"); !slices.Equal(got, []PortRange{{80, 80}, {443, 443}, {8000, 8100}}) {
		t.Errorf("ranges %v", got)
	}
}
