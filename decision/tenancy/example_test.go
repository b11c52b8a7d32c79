package tenancy_test

import (
	"fmt"

	"github.com/bulkhead-dev/bulkhead/decision/tenancy"
)

// A customer's team (outside the organisation's security policy) runs a service
// of third-party code, and the service reads the whole cluster's API.
func ExampleDecide() {
	d, err := tenancy.Decide(tenancy.Input{
		Tenant: tenancy.TenantTraits{Boundary: tenancy.BoundaryOutside},
		Workload: tenancy.WorkloadTraits{
			Code:        tenancy.CodeThirdParty,
			Environment: tenancy.EnvironmentProduction,
			APIAccess:   tenancy.APIAccessClusterWide,
		},
		Platform: tenancy.PlatformFacts{SandboxRuntimes: []string{"gvisor"}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("pattern:", d.Outcome.Pattern)
	for _, r := range d.Reasons {
		fmt.Printf("reason %s: at least %s, for %v: %s\n", r.Rule, r.AtLeast, r.Facts, r.Because)
	}
	for _, r := range d.Risks {
		fmt.Printf("risk %s (%s): %s; see %s\n", r.ID, r.Severity, r.Text, r.Control)
	}
	for _, r := range d.Relaxations {
		fmt.Printf("%s if %v\n", r.Outcome, r.Changes)
	}
	fmt.Println("input:", d.InputHash)
	// Output:
	// pattern: Hard
	// reason T3: at least Hard, for [{workload.apiAccess ClusterWide}]: the API server is one shared object; listing names already leaks customers
	// reason T6: at least Hard, for [{tenant.boundary Outside} {workload.code ThirdParty}]: neither the people nor the code are under the policy
	// reason S1: at least Soft, sandboxed runtime, for [{workload.code ThirdParty}]: code that the organisation has not reviewed should not run on the node's kernel
	// risk R8 (Low): the management link remains: its credentials control the cluster; see one short-lived management credential for each cluster
	// Soft, sandboxed runtime if [{tenant.boundary Outside Inside} {workload.apiAccess ClusterWide OwnNamespaces}]
	// Soft, sandboxed runtime if [{tenant.boundary Outside Inside} {workload.apiAccess ClusterWide None}]
	// SoftAffinity, sandboxed runtime if [{workload.code ThirdParty Audited} {workload.apiAccess ClusterWide OwnNamespaces}]
	// SoftAffinity, sandboxed runtime if [{workload.code ThirdParty Audited} {workload.apiAccess ClusterWide None}]
	// input: cdcc6125652abfb3
}

// What only the business knows is asked for, all of it at once.
func ExampleDecide_missing() {
	_, err := tenancy.Decide(tenancy.Input{
		Workload: tenancy.WorkloadTraits{Code: "audited"},
	})
	fmt.Println(err)
	// Output:
	// fact tenant.boundary is missing: want one of Inside, Outside
	// fact workload.code has the unknown value "audited": want one of Audited, ThirdParty, Arbitrary
	// fact workload.environment is missing: want one of NonProduction, Production
}
