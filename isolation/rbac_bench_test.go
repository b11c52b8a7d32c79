package isolation_test

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

func rbacFindings(r *isolation.Report) []isolation.Finding {
	var list []isolation.Finding
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
		wrong := map[isolation.Object]string{}
		for _, m := range c.Mistakes {
			wrong[isolation.Object{Kind: m.Kind, Namespace: m.Namespace, Name: m.Name}] = m.Tenant
		}
		found := map[isolation.Object]bool{}
		for _, f := range rbacFindings(isolation.Verify(c.Snapshot, isolation.Options{})) {
			if tenant, is := wrong[f.Blame[0]]; !is || f.From != tenant {
				t.Errorf("seed %d: nobody made this mistake: %+v", seed, f)
			}
			if f.Verdict == isolation.Exposed {
				found[f.Blame[0]] = true
			}
		}
		for _, m := range c.Mistakes {
			if !found[isolation.Object{Kind: m.Kind, Namespace: m.Namespace, Name: m.Name}] {
				t.Errorf("seed %d: not found: %+v", seed, m)
			}
		}
	}
}

// The work is spread over processors; what is found is the same with any number of them.
func TestRightsAreTheSameWithAnyNumberOfWorkers(t *testing.T) {
	c := generatedRights(t, 300, 7)
	want := rbacFindings(isolation.Verify(c.Snapshot, isolation.Options{Workers: 1}))
	for _, workers := range []int{2, 3, 8} {
		if got := rbacFindings(isolation.Verify(c.Snapshot, isolation.Options{Workers: workers})); !reflect.DeepEqual(got, want) {
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
				found = isolation.CountRBACFindings(c.Snapshot)
			}
			runtime.ReadMemStats(&after)
			b.ReportMetric(float64(found), "findings")
			b.ReportMetric(float64(len(c.Snapshot.ServiceAccounts)), "accounts")
			b.ReportMetric(float64(after.TotalAlloc-before.TotalAlloc)/float64(b.N)/(1<<20), "MiB-allocated/op")
			b.ReportMetric(float64(isolation.RBACHeap(c.Snapshot))/(1<<20), "MiB-held")
		})
	}
}
