//go:build unix

package network_test

import (
	"fmt"
	"runtime"
	"syscall"
	"testing"
	"time"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bulkhead-dev/bulkhead/isolation/clustergen"
	"github.com/bulkhead-dev/bulkhead/isolation/network"
	"github.com/bulkhead-dev/bulkhead/snapshot"
)

func cluster(b *testing.B, pods, adminPolicies int) *snapshot.Snapshot {
	b.Helper()
	c, err := clustergen.Generate(clustergen.Options{Pods: pods, Mistakes: 0.05, AdminPolicies: adminPolicies, Seed: 1})
	if err != nil {
		b.Fatal(err)
	}
	return c.Snapshot
}

// cpuTime is what the process has used of the processors: unlike the clock, it does not depend on who else computes.
func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

func reportCPU(b *testing.B, before time.Duration) {
	b.Helper()
	b.ReportMetric(float64((cpuTime(b)-before).Microseconds())/1000/float64(b.N), "cpu-ms/op")
}

func liveMB() float64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc) / (1 << 20)
}

// BenchmarkNetworkReach is the growth curve: the verdict on every pair of tenants, from nothing. At 100,000 pods: 3 s
// is required and 1 s the aim, 2 GiB and 1 GiB. Memory is what lives at the end, the snapshot included, and the most
// that was taken from the system.
func BenchmarkNetworkReach(b *testing.B) { benchmarkReach(b, 0, false) }

// BenchmarkNetworkReachWithAdminPolicies is the same with 100 ClusterNetworkPolicies before the NetworkPolicies.
func BenchmarkNetworkReachWithAdminPolicies(b *testing.B) { benchmarkReach(b, 100, false) }

// BenchmarkNetworkReachListed adds ports, witness and blame of every exceeding pair, of which there are as many as
// mistakes on one side times mistakes on the other.
func BenchmarkNetworkReachListed(b *testing.B) { benchmarkReach(b, 0, true) }

func benchmarkReach(b *testing.B, adminPolicies int, listed bool) {
	b.Helper()
	for _, pods := range []int{100, 300, 1_000, 3_000, 10_000, 30_000, 100_000} {
		b.Run(fmt.Sprintf("pods=%d", pods), func(b *testing.B) {
			s := cluster(b, pods, adminPolicies)
			var counts map[network.PairVerdict]int
			var r *network.Reach
			before := cpuTime(b)
			for b.Loop() {
				r = network.NewReach(s, 0)
				pairs, err := r.TenantPairs(nil)
				if err != nil {
					b.Fatal(err)
				}
				counts = pairs.Count()
				if !listed {
					continue
				}
				for pair := range pairs.With(network.Exceeding) {
					if pair.Witness == nil {
						b.Fatalf("%s to %s without a witness", pair.From, pair.To)
					}
				}
			}
			reportCPU(b, before)
			b.ReportMetric(float64(counts[network.Exceeding]), "exceeding")
			b.ReportMetric(float64(len(s.Namespaces)), "namespaces")
			b.ReportMetric(float64(len(s.NetworkPolicies)), "policies")
			b.ReportMetric(float64(len(s.Tenants)), "tenants")
			b.ReportMetric(liveMB(), "MB-live")
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			b.ReportMetric(float64(m.Sys)/(1<<20), "MB-most")
			runtime.KeepAlive(r)
		})
	}
}

// BenchmarkNetworkReachWithoutPolicies is the worst case of what there is to say: everyone reaches everyone.
func BenchmarkNetworkReachWithoutPolicies(b *testing.B) {
	s := cluster(b, 100_000, 0)
	open := *s
	open.NetworkPolicies = nil
	for b.Loop() {
		pairs, err := network.NewReach(&open, 0).TenantPairs(nil)
		if err != nil {
			b.Fatal(err)
		}
		if n := len(s.Tenants); pairs.Count()[network.Exceeding] != n*(n-1) {
			b.Fatalf("%v", pairs.Count())
		}
	}
}

// BenchmarkNetworkConnections lists every connection of workloads, with 5 % mistakes; and at 10,000 pods without any policy,
// where there are as many lines as pairs.
func BenchmarkNetworkConnections(b *testing.B) {
	for _, c := range []struct {
		name string
		pods int
		open bool
	}{{"pods=1000", 1_000, false}, {"pods=10000", 10_000, false}, {"pods=100000", 100_000, false}, {"pods=3000/unguarded", 3_000, true}} {
		b.Run(c.name, func(b *testing.B) {
			s := *cluster(b, c.pods, 0)
			if c.open {
				s.NetworkPolicies = nil
			}
			before, lines := cpuTime(b), 0
			for b.Loop() {
				lines = 0
				for range network.NewReach(&s, 0).Connections() {
					lines++
				}
			}
			reportCPU(b, before)
			b.ReportMetric(float64(lines), "lines")
		})
	}
}

// BenchmarkNetworkReachWithAWideRuleEach gives every tenant a wide rule of its own, the hardest case for grouping: all
// but me may connect. At 10,000 pods; the answer itself has as many parts as there are pairs.
func BenchmarkNetworkReachWithAWideRuleEach(b *testing.B) {
	s := cluster(b, 10_000, 0)
	contents := *s
	contents.NetworkPolicies = nil
	for _, t := range s.Tenants {
		for _, ns := range t.Namespaces {
			others := []networkingv1.NetworkPolicyPeer{{NamespaceSelector: &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{
				{Key: clustergen.TenantLabel, Operator: metav1.LabelSelectorOpNotIn, Values: []string{t.Name}}}}}}
			contents.NetworkPolicies = append(contents.NetworkPolicies, &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "others"},
				Spec: networkingv1.NetworkPolicySpec{Ingress: []networkingv1.NetworkPolicyIngressRule{{From: others}}, Egress: []networkingv1.NetworkPolicyEgressRule{{To: others}}}})
		}
	}
	wide, err := snapshot.New(contents)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		pairs, err := network.NewReach(wide, 0).TenantPairs(nil)
		if err != nil {
			b.Fatal(err)
		}
		if n := len(s.Tenants); pairs.Count()[network.Exceeding] < n*(n-1)*9/10 {
			b.Fatalf("%v of %d tenants", pairs.Count(), n)
		}
	}
}
