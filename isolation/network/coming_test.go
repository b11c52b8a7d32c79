package network

import (
	"fmt"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/bulkhead-dev/bulkhead/snapshot"
)

func everybody(string) (bool, func(key, value string) bool) { return true, nil }

// withEveryPod is a snapshot with a pod of every combination of labels and of one port that selectors and rules of random
// worlds tell apart, in every namespace.
func withEveryPod(t *testing.T, s *snapshot.Snapshot) *snapshot.Snapshot {
	t.Helper()
	all := *s
	all.Pods = slices.Clone(s.Pods)
	ports := [][]snapshot.NamedPort{nil}
	for _, protocol := range []corev1.Protocol{corev1.ProtocolTCP, corev1.ProtocolUDP} {
		for _, port := range []uint16{53, 80, 81, 443} {
			ports = append(ports, []snapshot.NamedPort{{Name: "dns", Protocol: protocol, Port: port}, {Name: "web", Protocol: protocol, Port: port}})
		}
	}
	values := []string{"", "a", "b", "c"}
	for _, ns := range s.Namespaces {
		for _, app := range values {
			for _, tier := range values {
				labels := map[string]string{"app": app, "tier": tier}
				for key, value := range labels {
					if value == "" {
						delete(labels, key)
					}
				}
				for _, p := range ports {
					all.Pods = append(all.Pods, &snapshot.Pod{Namespace: ns.Name, Name: fmt.Sprintf("new-%d", len(all.Pods)), Labels: snapshot.LabelsOf(labels), Ports: p})
				}
			}
		}
	}
	made, err := snapshot.New(all)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// Promise: what is said of pods to come is what would be said if a pod of every possible combination of labels were there: exactly,
// or, where policies of administrators or declared flows tell some of them apart, with nothing that is hidden.
func TestPodsToComeCountAsIfEveryOneWereThere(t *testing.T) {
	seen := map[PairVerdict]int{}
	for i := range max(16, *packets/2000) {
		w := newWorld(uint64(i))
		s := w.snapshot(t)
		for _, pod := range s.Pods { // where addresses and nodes matter, random pods say it
			pod.IPs, pod.HostNetwork = nil, false
		}
		var flows []snapshot.Flow
		if i%2 == 1 {
			for range w.IntN(12) {
				flows = append(flows, snapshot.Flow{From: w.namespaceName(), To: w.namespaceName(), FromPods: pick(w, nil, nil, nil, map[string]string{"app": "a"}), Ports: pick(w, nil, w.ports())})
			}
		}
		got, err := reach(s, 1, i%3, everybody).TenantPairs(flows)
		if err != nil {
			t.Fatal(err)
		}
		want, err := reach(withEveryPod(t, s), 1, narrow, nobody).TenantPairs(flows)
		if err != nil {
			t.Fatal(err)
		}
		for _, from := range s.Tenants {
			for _, to := range s.Tenants {
				if from.Name == to.Name {
					continue
				}
				g, _ := got.Pair(from.Name, to.Name)
				e := want.verdict(want.index[from.Name], want.index[to.Name])
				exact := g.Verdict == e
				hides := g.Verdict == NoConnection || g.Verdict == DeclaredOnly && e != NoConnection
				if !exact && (hides || !w.tiers && flows == nil) {
					t.Fatalf("world %d: %s to %s is %s, want %s\n%+v\n%v\n%s", i, from.Name, to.Name, g.Verdict, e, g, flows, describe(s))
				}
				if v := got.verdict(got.index[from.Name], got.index[to.Name]); v != g.Verdict {
					t.Fatalf("world %d: %s to %s is %s, and %s in detail", i, from.Name, to.Name, v, g.Verdict)
				}
				seen[g.Verdict]++
			}
		}
	}
	for _, v := range []PairVerdict{NoConnection, Exceeding, PairUnknown} {
		if seen[v] == 0 {
			t.Errorf("no pair of any world was %s: the worlds are too plain to tell anything (%v)", v, seen)
		}
	}
}
