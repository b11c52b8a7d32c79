package rbac_test

import (
	"fmt"
	"os"
	"reflect"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/bulkhead-dev/bulkhead/isolation"
	"github.com/bulkhead-dev/bulkhead/isolation/clustergen"
	"github.com/bulkhead-dev/bulkhead/isolation/finding"
	"github.com/bulkhead-dev/bulkhead/isolation/rbac"
	"github.com/bulkhead-dev/bulkhead/snapshot"
)

// tenantsOf is the size that a test has unless RBAC_TENANTS says another: 5000 is that of the benchmark.
func tenantsOf(t testing.TB, small int) int {
	t.Helper()
	if text := os.Getenv("RBAC_TENANTS"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	return small
}

func generatedRights(t testing.TB, tenants int, seed uint64) *clustergen.Rights {
	t.Helper()
	c, err := clustergen.GenerateRights(clustergen.RightsOptions{Tenants: tenants, Mistakes: 0.05, Seed: seed})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func rbacFindings(r *isolation.Report) []finding.Finding {
	var list []finding.Finding
	for _, f := range r.Findings {
		if strings.HasPrefix(f.Code, "BH1") {
			list = append(list, f)
		}
	}
	return list
}

// Every mistake is found, with the object that makes it, and nothing else is.
func TestEveryWrongRightIsFoundAndNothingElse(t *testing.T) {
	for seed := range uint64(3) {
		c := generatedRights(t, tenantsOf(t, 400), seed)
		if len(c.Mistakes) == 0 {
			t.Fatal("no mistakes were made")
		}
		wrong := map[snapshot.Ref]string{}
		for _, m := range c.Mistakes {
			wrong[snapshot.Ref{Kind: m.Kind, Namespace: m.Namespace, Name: m.Name}] = m.Tenant
		}
		found := map[snapshot.Ref]bool{}
		for _, f := range rbacFindings(isolation.Verify(c.Snapshot, finding.Options{})) {
			if tenant, is := wrong[f.Blame[0]]; !is || f.From != tenant {
				t.Errorf("seed %d: this mistake was not made: %+v", seed, f)
			}
			if f.Verdict == finding.Exposed {
				found[f.Blame[0]] = true
			}
		}
		for _, m := range c.Mistakes {
			if !found[snapshot.Ref{Kind: m.Kind, Namespace: m.Namespace, Name: m.Name}] {
				t.Errorf("seed %d: not found: %+v", seed, m)
			}
		}
	}
}

// The work is spread over processors; what is found is the same with any number of them.
func TestRightsAreTheSameWithAnyNumberOfWorkers(t *testing.T) {
	c := generatedRights(t, 300, 7)
	want := rbacFindings(isolation.Verify(c.Snapshot, finding.Options{Workers: 1}))
	for _, workers := range []int{2, 3, 8} {
		if got := rbacFindings(isolation.Verify(c.Snapshot, finding.Options{Workers: workers})); !reflect.DeepEqual(got, want) {
			t.Errorf("with %d workers: %d findings, want %d alike", workers, len(got), len(want))
		}
	}
}

// BenchmarkRBACClosure follows every tenant's rights, from the snapshot to findings, without the other checks.
func BenchmarkRBACClosure(b *testing.B) {
	for _, tenants := range []int{500, 5_000} {
		b.Run(fmt.Sprintf("tenants=%d", tenants), func(b *testing.B) {
			c := generatedRights(b, tenants, 1)
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			found := 0
			for b.Loop() {
				in := finding.NewInput(c.Snapshot, finding.Options{})
				findings, _ := rbac.Find(in, rbac.NewReach(in))
				found = len(findings)
			}
			runtime.ReadMemStats(&after)
			b.ReportMetric(float64(found), "findings")
			b.ReportMetric(float64(len(c.Snapshot.ServiceAccounts)), "accounts")
			b.ReportMetric(float64(after.TotalAlloc-before.TotalAlloc)/float64(b.N)/(1<<20), "MiB-allocated/op")
			b.ReportMetric(float64(heapOf(c.Snapshot))/(1<<20), "MiB-held")
		})
	}
}

// heapOf is how much memory a finished run holds next to the snapshot, in bytes.
func heapOf(s *snapshot.Snapshot) uint64 {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	in := finding.NewInput(s, finding.Options{})
	reach := rbac.NewReach(in)
	findings, _ := rbac.Find(in, reach)
	runtime.GC()
	runtime.ReadMemStats(&after)
	runtime.KeepAlive(findings)
	runtime.KeepAlive(reach)
	return after.HeapAlloc - min(before.HeapAlloc, after.HeapAlloc)
}
