package placement_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/decision"
	"github.com/bulkhead-dev/bulkhead/placement"
)

func platform(groups ...v1alpha1.NodeGroupStatus) *v1alpha1.Platform {
	return &v1alpha1.Platform{
		Spec:   v1alpha1.PlatformSpec{Environment: "Production", SandboxRuntimes: []string{"gvisor"}},
		Status: v1alpha1.PlatformStatus{NodeGroups: groups},
	}
}

func tenant(workloads ...v1alpha1.Workload) *v1alpha1.Tenant {
	t := &v1alpha1.Tenant{Spec: v1alpha1.TenantSpec{Boundary: "Outside", Workloads: workloads}}
	t.Name = "acme"
	return t
}

// Promise: a workload belongs on this cluster only if it is not decided Hard, is of the cluster's environment, and has the
// node group that it needs; otherwise the placement names what the cluster lacks. What can never be given here comes first.
func TestOf(t *testing.T) {
	inside := tenant()
	inside.Spec.Boundary = "Inside"
	for _, test := range []struct {
		name     string
		platform *v1alpha1.Platform
		tenant   *v1alpha1.Tenant
		workload v1alpha1.Workload
		pattern  v1alpha1.Pattern
		wait     *placement.Wait
	}{
		{"Soft", platform(), inside, v1alpha1.Workload{Code: "Audited", Environment: "Production"}, "Soft", nil},
		{"Hard", platform(), tenant(), v1alpha1.Workload{Code: "Arbitrary", Environment: "NonProduction"}, "Hard", &placement.Wait{
			Reason: "NeedsDedicatedCluster", For: "a dedicated cluster",
			Because: "it is decided Hard by T1 (an escape from the shared kernel reaches other tenants)",
		}},
		{"other environment", platform(), tenant(), v1alpha1.Workload{Code: "Audited", Environment: "NonProduction"}, "SoftAffinity", &placement.Wait{
			Reason: "NeedsOtherEnvironment", For: "a cluster that serves NonProduction", Because: "this one serves Production, and the two never share one",
		}},
		{"another's node group", platform(v1alpha1.NodeGroupStatus{Name: "gold", Tenant: "other"}), tenant(),
			v1alpha1.Workload{Code: "Audited", Environment: "Production"}, "SoftAffinity", &placement.Wait{
				Reason: "NodeGroupMissing", For: "a node group of the tenant's own", Because: "none is free: add one to the Platform's spec.nodeGroups",
			}},
		{"own node group", platform(v1alpha1.NodeGroupStatus{Name: "gold", Tenant: "acme"}), tenant(),
			v1alpha1.Workload{Code: "Audited", Environment: "Production"}, "SoftAffinity", nil},
	} {
		got, err := placement.Of(test.platform, test.tenant, &test.workload)
		if err != nil {
			t.Fatalf("%s: %v", test.name, err)
		}
		if diff := cmp.Diff(test.wait, got.Wait); diff != "" || got.Decision.Outcome.Pattern != test.pattern {
			t.Errorf("%s: %s, -want +got\n%s", test.name, got.Decision.Outcome.Pattern, diff)
		}
	}
}

// Promise: a fact that is missing is an error that names the workload and the fact, and no placement comes with it.
func TestOfNamesWhatIsMissing(t *testing.T) {
	_, err := placement.Of(platform(), tenant(), &v1alpha1.Workload{Name: "web", Environment: "Production"})
	var fault *decision.FactError
	if !errors.As(err, &fault) || fault.Fact != "workload.code" || !strings.HasPrefix(err.Error(), "workload web: ") {
		t.Errorf("got %v", err)
	}
}

// Promise: every workload that can be decided is, in the order of names, with what it waits for; the error has the others.
// The records hold the whole explanation in fields.
func TestAll(t *testing.T) {
	records, waits, err := placement.All(platform(), tenant(
		v1alpha1.Workload{Name: "web", Code: "Audited", Environment: "Production", Performance: "Guaranteed"},
		v1alpha1.Workload{Name: "api", Code: "Arbitrary", Environment: "Production", Lifetime: "Ephemeral"},
		v1alpha1.Workload{Name: "bad", Environment: "Production"},
	))
	if err == nil || !strings.Contains(err.Error(), "workload bad: fact workload.code is missing") {
		t.Errorf("got the error %v", err)
	}
	if len(records) != 2 || records[0].Workload != "api" || records[1].Workload != "web" || placement.Patterns(records) != "Hard,SoftAffinity" {
		t.Fatalf("got %+v", records)
	}
	if len(waits) != 2 || waits["api"].Reason != "NeedsDedicatedCluster" || waits["web"].Reason != "NodeGroupMissing" {
		t.Errorf("got %v", waits)
	}
	if api := records[0]; !api.Ephemeral || api.Sandboxed || api.Explanation.Relaxations == nil {
		t.Errorf("got %+v", api)
	}
	want := v1alpha1.WorkloadDecision{
		Workload: "web", Pattern: "SoftAffinity", Sandboxed: true, RuntimeClass: "gvisor",
		Explanation: v1alpha1.Explanation{
			Reasons: []v1alpha1.DecisionReason{
				{Rule: "T7", Pattern: "SoftAffinity", Sandboxed: true, Because: "mature SaaS: isolation in the application, depth in the platform",
					Facts: []v1alpha1.DeclaredFact{{Name: "tenant.boundary", Value: "Outside"}, {Name: "workload.code", Value: "Audited"}}},
				{Rule: "T8", Pattern: "SoftAffinity", Because: "neighbours on the same node are noisy",
					Facts: []v1alpha1.DeclaredFact{{Name: "workload.performance", Value: "Guaranteed"}}},
			},
			Relaxations: []v1alpha1.Relaxation{{Pattern: "Soft", Changes: []v1alpha1.FactChange{
				{Fact: "tenant.boundary", From: "Outside", To: "Inside"}, {Fact: "workload.performance", From: "Guaranteed", To: "Shared"},
			}}},
		},
		InputHash: records[1].InputHash,
	}
	got := records[1]
	if len(got.Explanation.Risks) != 3 || got.Explanation.Risks[0].ID != "R3" || got.Explanation.Risks[0].Severity != "Medium" ||
		got.Explanation.Risks[0].Control != "network-default" {
		t.Errorf("risks %+v", got.Explanation.Risks)
	}
	got.Explanation.Risks = nil
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

// Promise: what is printed of a record is one line each.
func TestRecordsInWords(t *testing.T) {
	records, _, err := placement.All(platform(), tenant(
		v1alpha1.Workload{Name: "web", Code: "Audited", Environment: "Production", Performance: "Guaranteed"},
	))
	if err != nil {
		t.Fatal(err)
	}
	e := records[0].Explanation
	for got, want := range map[string]string{
		e.Reasons[1].String():     "T8: workload.performance=Guaranteed: neighbours on the same node are noisy",
		e.Risks[1].String():       "R4: the cluster's DNS answers for the service names of all tenants",
		e.Relaxations[0].String(): "Soft if tenant.boundary from Outside to Inside and workload.performance from Guaranteed to Shared",
	} {
		if got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}
