package network

import (
	"flag"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/bulkhead-dev/bulkhead/isolation/clustergen"
	"github.com/bulkhead-dev/bulkhead/snapshot"
)

var packets = flag.Int("packets", 20_000/clustergen.RaceDivisor, "packets that the reach and the dumb evaluator must agree on; 1000000 for the full count")

func nobody(string) (bool, func(key, value string) bool) { return false, nil }

const packetsPerWorld = 60

func TestEveryPacketIsJudgedAsTheAPIDocumentationSays(t *testing.T) {
	allowed := 0
	for i := range *packets / packetsPerWorld {
		w := newWorld(uint64(i))
		s := w.snapshot(t)
		r := NewReach(s, 1)
		for range packetsPerWorld {
			p := w.packet(s)
			for _, loose := range []bool{false, true} {
				want := dumb{s, loose}.allows(p)
				if got := r.allows(p, loose); got != want {
					t.Fatalf("world %d, loose %v, packet %s: reach says %v, the documentation %v\n%s", i, loose, p, got, want, describe(s))
				}
				if want {
					allowed++
				}
			}
		}
	}
	// Agreement on worlds where everything or nothing passes would prove little.
	if share := float64(allowed) / float64(2**packets); share < 0.2 || share > 0.8 {
		t.Errorf("%.0f %% of the packets pass: the worlds are too open or too closed to tell anything", 100*share)
	}
}

func (p packet) String() string {
	name := func(pod *snapshot.Pod, ip fmt.Stringer) string {
		if pod == nil {
			return ip.String()
		}
		return pod.Namespace + "/" + pod.Name
	}
	return fmt.Sprintf("%s -> %s %s %d", name(p.from, p.fromIP), name(p.to, p.toIP), p.protocol, p.port)
}

func describe(s *snapshot.Snapshot) string {
	var b strings.Builder
	for _, ns := range s.Namespaces {
		fmt.Fprintf(&b, "namespace %s %v\n", ns.Name, ns.Labels)
	}
	for _, p := range s.Pods {
		fmt.Fprintf(&b, "pod %+v\n", *p)
	}
	for _, p := range s.NetworkPolicies {
		fmt.Fprintf(&b, "policy %s/%s %s\n", p.Namespace, p.Name, p.Spec.String())
	}
	for _, p := range s.AdminNetworkPolicies {
		fmt.Fprintf(&b, "%s %+v\n", p.Name, p.Spec)
	}
	for _, p := range s.BaselineAdminNetworkPolicies {
		fmt.Fprintf(&b, "baseline %+v\n", p.Spec)
	}
	for _, p := range s.ClusterNetworkPolicies {
		fmt.Fprintf(&b, "%s %+v\n", p.Name, p.Spec)
	}
	return b.String()
}

// worldsForLists is smaller than the packets' number: a list asks about every pair of pods.
func worldsForLists() int { return max(100/clustergen.RaceDivisor, *packets/1000) }

// worldsForPairs are never so few that one of the verdicts is not among them.
func worldsForPairs() int { return max(100, *packets/1000) }

func TestConnectionsListWhatPacketsPass(t *testing.T) {
	for i := range worldsForLists() {
		s := newWorld(uint64(i)).snapshot(t)
		got := map[string]Ports{}
		var lines []string
		for c := range reach(s, 1, i%3, nobody).Connections() {
			got[c.From+" => "+c.To] = c.Ports
			lines = append(lines, c.String())
		}
		if !slices.IsSorted(lines) || len(got) != len(lines) {
			t.Fatalf("world %d: not sorted, or a pair twice:\n%s", i, strings.Join(lines, "\n"))
		}
		want := map[string]bool{} // by pair, protocol and port
		for _, from := range s.Pods {
			for _, to := range s.Pods {
				a, b := podPeer(from), podPeer(to)
				for _, protocol := range protocols {
					for _, port := range interesting {
						if a != b && (dumb{s, false}).allows(packet{from: from, to: to, protocol: protocol, port: port}) {
							want[fmt.Sprint(a, " => ", b, protocol, port)] = true
						}
					}
				}
			}
		}
		for _, from := range s.Pods {
			for _, to := range s.Pods {
				pair := podPeer(from) + " => " + podPeer(to)
				for _, protocol := range protocols {
					for _, port := range interesting {
						if has := got[pair].Has(protocol, uint16(port)); has != want[fmt.Sprint(pair, protocol, port)] {
							t.Fatalf("world %d: %s %s %d: listed %v, want %v\n%s", i, pair, protocol, port, has, !has, describe(s))
						}
					}
				}
			}
		}
	}
}

// TestConnectionsWithTheWorldAreWhatPacketsPass at both ends of every range, for every workload; and the ranges are the
// whole world, without gap or overlap.
func TestConnectionsWithTheWorldAreWhatPacketsPass(t *testing.T) {
	for i := range worldsForLists() / 4 {
		s := newWorld(uint64(i)).snapshot(t)
		r := reach(s, 1, i%3, nobody)
		got := map[string]Ports{}
		for c := range r.Connections() {
			got[c.From+" => "+c.To] = c.Ports
		}
		ranges := cutsOf(append(r.blocksOf(r.spaces), r.tiers.blocks()...)).ranges(true)
		for j, a := range ranges {
			if j > 0 && ranges[j-1].last.Next().IsValid() && ranges[j-1].last.Next() != a.first {
				t.Fatalf("world %d: %s follows %s", i, a, ranges[j-1])
			}
			if a.first.Is6() && !slices.ContainsFunc(r.world(), func(n namedRange) bool { return n.name == a.String() }) {
				continue // not listed where nothing is IPv6
			}
			for _, ip := range []netip.Addr{a.first, a.last} {
				for _, protocol := range protocols {
					for _, port := range interesting {
						passes := map[string]bool{}
						for _, pod := range s.Pods {
							out := dumb{s, false}.allows(packet{from: pod, toIP: ip, protocol: protocol, port: port})
							in := dumb{s, false}.allows(packet{to: pod, fromIP: ip, protocol: protocol, port: port})
							passes[podPeer(pod)+" => "+a.String()] = passes[podPeer(pod)+" => "+a.String()] || out
							passes[a.String()+" => "+podPeer(pod)] = passes[a.String()+" => "+podPeer(pod)] || in
						}
						for pair, want := range passes {
							if got[pair].Has(protocol, uint16(port)) != want {
								t.Fatalf("world %d: %s (%s) %s %d: listed %v, want %v\n%s", i, pair, ip, protocol, port, !want, want, describe(s))
							}
						}
					}
				}
			}
		}
	}
}

func podPeer(p *snapshot.Pod) string {
	return fmt.Sprintf("%s/%s[%s]", p.Namespace, p.Workload().Name, p.Workload().Kind)
}

// TestTenantPairsSayExceedingExactlyWhenAPacketExceeds judges the bits, the details and the counts of every pair.
func TestTenantPairsSayExceedingExactlyWhenAPacketExceeds(t *testing.T) {
	seen := map[PairVerdict]int{}
	for i := range worldsForPairs() {
		w := newWorld(uint64(i))
		s := w.snapshot(t)
		var flows []snapshot.Flow
		for range w.IntN(12) {
			flows = append(flows, snapshot.Flow{From: w.namespaceName(), To: w.namespaceName(), FromPods: pick(w, nil, nil, nil, map[string]string{"app": "a"}), Ports: pick(w, nil, w.ports())})
		}
		pairs, err := reach(s, 1, i%3, nobody).TenantPairs(flows)
		if err != nil {
			t.Fatal(err)
		}
		counts := map[PairVerdict]int{}
		for _, from := range s.Tenants {
			for _, to := range s.Tenants {
				if from.Name == to.Name {
					continue
				}
				pair, err := pairs.Pair(from.Name, to.Name)
				if err != nil {
					t.Fatal(err)
				}
				want, sets := dumbVerdict(s, from, to, flows)
				if pair.Verdict != want || pairs.verdict(pairs.index[from.Name], pairs.index[to.Name]) != want {
					t.Fatalf("world %d: %s to %s is %s, want %s\n%+v\n%v\n%s", i, from.Name, to.Name, pair.Verdict, want, pair, flows, describe(s))
				}
				if (want == Exceeding || want == PairUnknown) && (pair.Witness == nil || pair.Witness.Ports.Empty() || len(pair.Witness.Ingress) == 0 || len(pair.Witness.Egress) == 0) {
					t.Fatalf("world %d: %s to %s is %s without a witness: %+v", i, from.Name, to.Name, want, pair.Witness)
				}
				if got := setsOf(pair); want != NoConnection && !maps.Equal(got, sets) {
					t.Fatalf("world %d: %s to %s: %+v, want %v\n%s", i, from.Name, to.Name, pair, sets, describe(s))
				}
				counts[want]++
				seen[want]++
			}
		}
		got := pairs.Count()
		for _, v := range []PairVerdict{NoConnection, DeclaredOnly, Exceeding, PairUnknown} {
			if got[v] != counts[v] {
				t.Fatalf("world %d: counts %v, want %v", i, got, counts)
			}
		}
	}
	for _, v := range []PairVerdict{NoConnection, DeclaredOnly, Exceeding, PairUnknown} {
		if seen[v] == 0 {
			t.Errorf("no pair of any world was %s: the worlds are too plain to tell anything (%v)", v, seen)
		}
	}
}

// setsOf writes down the interesting ports of a pair.
func setsOf(pair Pair) map[string]bool {
	sets := map[string]bool{}
	for _, protocol := range protocols {
		for _, port := range interesting {
			for name, ports := range map[string]Ports{"declared": pair.Declared, "excess": pair.Excess, "possible": pair.Possible} {
				if ports.Has(protocol, uint16(port)) {
					sets[fmt.Sprint(name, protocol, port)] = true
				}
			}
		}
	}
	return sets
}

func dumbVerdict(s *snapshot.Snapshot, from, to snapshot.Tenant, flows []snapshot.Flow) (PairVerdict, map[string]bool) {
	sets := map[string]bool{}
	found := map[string]bool{}
	for _, protocol := range protocols {
		for _, port := range interesting {
			here := map[string]bool{}
			for _, a := range s.Pods {
				for _, b := range s.Pods {
					if !slices.Contains(from.Namespaces, a.Namespace) || !slices.Contains(to.Namespaces, b.Namespace) {
						continue
					}
					p := packet{from: a, to: b, protocol: protocol, port: port}
					isDeclared, sure := dumbDeclared(s, flows, p), dumb{s, false}.allows(p)
					switch {
					case sure && !isDeclared:
						here["excess"] = true
					case sure:
						here["declared"] = true
					case dumb{s, true}.allows(p) && !isDeclared:
						here["possible"] = true
					}
				}
			}
			if here["excess"] {
				delete(here, "possible")
			}
			for name := range here {
				sets[fmt.Sprint(name, protocol, port)], found[name] = true, true
			}
		}
	}
	switch {
	case found["excess"]:
		return Exceeding, sets
	case found["possible"]:
		return PairUnknown, sets
	case found["declared"]:
		return DeclaredOnly, sets
	}
	return NoConnection, sets
}

func dumbDeclared(s *snapshot.Snapshot, flows []snapshot.Flow, p packet) bool {
	return slices.ContainsFunc(flows, func(f snapshot.Flow) bool {
		if f.From != p.from.Namespace || f.To != p.to.Namespace || !(dumb{s, false}).ports(f.Ports, p) {
			return false
		}
		for key, value := range f.FromPods {
			if got, has := p.from.Labels.Get(key); !has || got != value {
				return false
			}
		}
		return true
	})
}

func everything(t *testing.T, r *Reach) string {
	t.Helper()
	var b strings.Builder
	for c := range r.Connections() {
		fmt.Fprintln(&b, c)
	}
	pairs, err := r.TenantPairs(nil)
	if err != nil {
		t.Fatal(err)
	}
	for pair := range pairs.With(Exceeding, PairUnknown, DeclaredOnly, NoConnection) {
		fmt.Fprintf(&b, "%s %s %s %s %s %v", pair.From, pair.To, pair.Verdict, pair.Excess, pair.Possible, pair.Doubts)
		if pair.Witness != nil {
			fmt.Fprintf(&b, " %+v", *pair.Witness)
		}
		fmt.Fprintln(&b)
	}
	return b.String()
}

func TestWorkersMakeNoDifference(t *testing.T) {
	for i := range 30 {
		s := newWorld(uint64(i)).snapshot(t)
		one := everything(t, NewReach(s, 1))
		for _, workers := range []int{0, 2, 5} {
			if got := everything(t, NewReach(s, workers)); got != one {
				t.Fatalf("world %d with %d workers:\n%s\nwith one:\n%s", i, workers, got, one)
			}
		}
	}
}

func FuzzEveryPacketIsJudgedAsTheAPIDocumentationSays(f *testing.F) {
	for seed := range uint64(8) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) {
		w := newWorld(seed)
		s := w.snapshot(t)
		r := NewReach(s, 1)
		for range 50 {
			p := w.packet(s)
			for _, loose := range []bool{false, true} {
				if got, want := r.allows(p, loose), (dumb{s, loose}).allows(p); got != want {
					t.Fatalf("packet %s, loose %v: reach says %v, the documentation %v\n%s", p, loose, got, want, describe(s))
				}
			}
		}
	})
}

// TestTheMatrixAgreesWithALookAtEveryPair: the matrix is filled from groups of allowances, the details of a pair from
// its own namespaces. The second is judged by the tests above; this one brings many more worlds before the first.
func TestTheMatrixAgreesWithALookAtEveryPair(t *testing.T) {
	for i := range worldsForLists() * 15 {
		w := newWorld(uint64(1_000_000 + i))
		w.alike = i%2 == 1
		s := w.snapshot(t)
		r := reach(s, 1, i%3, nobody)
		pairs, err := r.TenantPairs(nil)
		if err != nil {
			t.Fatal(err)
		}
		for from := range r.tenants {
			for to := range r.tenants {
				var pair Pair
				if from == to {
					continue
				}
				pairs.connect(&pair, from, to)
				sure, maybe := !pair.Excess.Empty(), !pair.Excess.Empty() || !pair.Possible.Empty()
				if r.sure.has(from, to) != sure || r.maybe.has(from, to) != maybe {
					t.Fatalf("world %d: %s to %s: the matrix says %v, maybe %v; the pair %+v\n%s", i, r.tenants[from].name, r.tenants[to].name,
						r.sure.has(from, to), r.maybe.has(from, to), pair, describe(s))
				}
			}
		}
	}
}
