package tenancy_test

import (
	"reflect"
	"strings"
	"testing"

	. "github.com/bulkhead-dev/bulkhead/decision/tenancy"
)

// Promise: relaxations come in a stable order, the smallest first, and the smallest step first among equals; there are
// four at most.
func TestRelaxationsOrder(t *testing.T) {
	in := Input{
		Tenant: TenantTraits{Boundary: BoundaryOutside, Declared: DeclaredUntrusted},
		Workload: WorkloadTraits{Code: CodeThirdParty, Environment: EnvironmentProduction,
			APIAccess: APIAccessClusterWide},
	}
	var got []string
	for _, r := range mustDecide(t, in).Relaxations {
		var changes []string
		for _, c := range r.Changes {
			changes = append(changes, c.Fact+"="+c.To)
		}
		got = append(got, strings.Join(changes, " ")+" -> "+r.Outcome.String())
	}
	want := []string{
		"tenant.boundary=Inside tenant.declared=Trusted workload.apiAccess=OwnNamespaces -> Soft, sandboxed runtime",
		"tenant.boundary=Inside tenant.declared=Trusted workload.apiAccess=None -> Soft, sandboxed runtime",
		"tenant.declared=Trusted workload.code=Audited workload.apiAccess=OwnNamespaces -> SoftAffinity, sandboxed runtime",
		"tenant.declared=Trusted workload.code=Audited workload.apiAccess=None -> SoftAffinity, sandboxed runtime",
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	most := 0
	eachPoint(func(p point) { most = max(most, len(mustDecide(t, p.input()).Relaxations)) })
	if most != 4 {
		t.Errorf("the worst input has %d relaxations; docs/decisions.md says 4", most)
	}
}
