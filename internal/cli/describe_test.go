package cli

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/internal/cli/output"
)

// Promise: a description shows problems first and groups what is well, and shows what is not reconciled yet as
// unknown. Rewrite the expected trees with: UPDATE=1 go test ./internal/cli -run TestDescription
func TestDescription(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for _, test := range []struct {
		name    string
		facts   *tenantFacts
		verbose bool
	}{
		{"well", wellTenant(now), false},
		{"well-verbose", wellTenant(now), true},
		{"exposed", exposedTenant(now), false},
		{"changed", changedTenant(now), false},
	} {
		t.Run(test.name, func(t *testing.T) {
			var out bytes.Buffer
			if err := output.WriteTree(&out, drawTenant(viewTenant(test.facts, now), test.verbose)); err != nil {
				t.Fatal(err)
			}
			golden := filepath.Join("testdata", "describe", test.name+".txt")
			if os.Getenv("UPDATE") != "" {
				if err := os.WriteFile(golden, out.Bytes(), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if out.String() != string(want) {
				t.Errorf("have:\n%s\nwant:\n%s", &out, want)
			}
		})
	}
}

func conditions(generation int64, states ...string) []metav1.Condition {
	types := []string{v1alpha1.ConditionDecided, v1alpha1.ConditionPlaced, v1alpha1.ConditionEnforced, v1alpha1.ConditionProven, v1alpha1.ConditionReady}
	list := make([]metav1.Condition, len(types))
	for i, kind := range types {
		list[i] = metav1.Condition{Type: kind, Status: metav1.ConditionTrue, Reason: kind, ObservedGeneration: generation}
		if i < len(states) && states[i] != "" {
			list[i].Status, list[i].Reason, list[i].Message = metav1.ConditionFalse, states[i], "the words of "+states[i]
		}
	}
	return list
}

func wellTenant(now time.Time) *tenantFacts {
	return &tenantFacts{
		tenant: &v1alpha1.Tenant{
			ObjectMeta: metav1.ObjectMeta{Name: "shop", Generation: 3},
			Spec:       v1alpha1.TenantSpec{Owners: []v1alpha1.Owner{{Kind: "Group", Name: "shop-team"}}},
			Status: v1alpha1.TenantStatus{
				Conditions: conditions(3), NodeGroup: "gold",
				Decisions: []v1alpha1.WorkloadDecision{{
					Workload: "front", Pattern: "SoftAffinity", RuntimeClass: "gvisor", Explanation: v1alpha1.Explanation{
						Reasons: []v1alpha1.DecisionReason{{
							Rule: "T8", Facts: []v1alpha1.DeclaredFact{{Name: "workload.performance", Value: "Guaranteed"}}, Because: "neighbours are noisy",
						}},
						Risks: []v1alpha1.ResidualRisk{{ID: "R3", Text: "one network carries all tenants"}},
						Relaxations: []v1alpha1.Relaxation{{
							Pattern: "Soft", Changes: []v1alpha1.FactChange{{Fact: "workload.performance", From: "Guaranteed", To: "Shared"}},
						}},
					},
				}},
				Proof: &v1alpha1.Proof{Verdict: v1alpha1.Isolated, Time: metav1.NewTime(now.Add(-42 * time.Second)), Asked: 12},
			},
		},
		spaces: []v1alpha1.Space{wellSpace("a"), wellSpace("b")},
		waivers: []v1alpha1.Waiver{{
			ObjectMeta: metav1.ObjectMeta{Name: "old-images"},
			Spec: v1alpha1.WaiverSpec{Control: "images", Tenant: "shop", Workload: "front", Reason: "a mirror is being set up", Approver: "security",
				Expires: metav1.NewTime(now.Add(time.Hour))},
			Status: v1alpha1.WaiverStatus{Namespaces: []string{"shop--a"}},
		}},
		report: &v1alpha1.IsolationReport{Verdict: v1alpha1.Isolated, Time: metav1.NewTime(now.Add(-20 * time.Second)), Checks: make([]v1alpha1.CheckResult, 8)},
	}
}

func wellSpace(name string) v1alpha1.Space {
	return v1alpha1.Space{
		ObjectMeta: metav1.ObjectMeta{Namespace: "tenant-shop", Name: name, Generation: 1},
		Spec:       v1alpha1.SpaceSpec{Workload: "front"},
		Status: v1alpha1.SpaceStatus{Conditions: conditions(1), Namespace: "shop--" + name, Pattern: "SoftAffinity",
			Quota: corev1.ResourceList{corev1.ResourcePods: resource.MustParse("5")}},
	}
}

func exposedTenant(now time.Time) *tenantFacts {
	facts := wellTenant(now)
	status := &facts.tenant.Status
	status.Conditions = conditions(3, "", "", "", v1alpha1.ReasonExposed, v1alpha1.ReasonExposed)
	status.Proof.Verdict = v1alpha1.Exposed
	status.Proof.Failures = []v1alpha1.ProofFailure{{Control: "rbac-enumerate", Subject: "group shop-team", Verdict: v1alpha1.Exposed, Detail: "may list namespaces"}}
	facts.bindings = []rbacv1.RoleBinding{{ObjectMeta: metav1.ObjectMeta{Namespace: "shop--a", Name: "friends"},
		Subjects: []rbacv1.Subject{{Kind: "Group", Name: "shop-team"}, {Kind: "User", Name: "mallory"}}}}
	facts.report.Verdict, facts.report.Exposed, facts.report.Waived = v1alpha1.Exposed, 6, 1
	facts.report.Findings = append(facts.report.Findings,
		v1alpha1.IsolationFinding{Code: "BH1003", Verdict: v1alpha1.Exposed, What: "group shop-team may get secrets in namespace ops", Fix: "delete RoleBinding ops/leak"},
		v1alpha1.IsolationFinding{Code: "BH4002", Verdict: v1alpha1.Exposed, What: "somebody can run an image from any registry", Waiver: "old-images"})
	for range 5 {
		facts.report.Findings = append(facts.report.Findings, v1alpha1.IsolationFinding{Code: "BH3003", Verdict: v1alpha1.Exposed, What: "open on one side", Fix: "name the peers"})
	}
	broken := wellSpace("c")
	broken.Status.Conditions = conditions(1, "", "", v1alpha1.ReasonApplyFailed, "", v1alpha1.ReasonApplyFailed)
	closed := wellSpace("d")
	closed.Status.ClosedFlows = []v1alpha1.ClosedFlow{{Field: "spec.to[0]", Why: "the other side does not declare it"}}
	facts.spaces = append(facts.spaces, broken, closed)
	facts.waivers[0].Spec.Expires = metav1.NewTime(now.Add(-time.Hour))
	return facts
}

// changedTenant was changed after a controller looked at it.
func changedTenant(now time.Time) *tenantFacts {
	facts := wellTenant(now)
	facts.tenant.Generation = 4
	return facts
}
