package check_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/internal/check"
	"github.com/bulkhead-dev/bulkhead/internal/install"
)

func installed(t *testing.T) {
	t.Helper()
	if err := install.Apply(context.Background(), cluster.Config, install.Options{Image: "registry.example.com/bulkhead:v1"}, nil); err != nil {
		t.Fatal(err)
	}
}

// Promise: what was installed is recognised as whole, whatever image it has; and each object that is missing or was
// changed is named, with the place.
func TestInstalledObjectsAreComparedWithTheirRendering(t *testing.T) {
	installed(t)
	findings := all(t)
	expect(t, findings, "BHC201", "Definitions", check.OK, "5 objects served")
	expect(t, findings, "BHC202", "Guardrails", check.OK, "in place and equal")
	expect(t, findings, "BHC203", "Bulkhead's own objects", check.OK, "11 objects in place")
	expect(t, findings, "BHC204", "Controller's pods", check.Problem, "its latest change is not reconciled yet")
	expect(t, findings, "BHC208", "Compressed answers", check.Note, "compresses long lists")

	ctx := context.Background()
	policy := &admissionv1.ValidatingAdmissionPolicy{}
	get(t, policy, "bulkhead-images")
	policy.Spec.Validations = policy.Spec.Validations[:1]
	policy.Spec.Validations[0].Expression = "true"
	if err := admin.Update(ctx, policy); err != nil {
		t.Fatal(err)
	}
	narrowed := &admissionv1.ValidatingAdmissionPolicy{}
	get(t, narrowed, "bulkhead-priority")
	narrowed.Spec.MatchConditions = append(narrowed.Spec.MatchConditions, admissionv1.MatchCondition{Name: "never", Expression: "false"})
	if err := admin.Update(ctx, narrowed); err != nil {
		t.Fatal(err)
	}
	role := &rbacv1.ClusterRole{}
	get(t, role, v1alpha1.RoleOwner)
	if err := admin.Delete(ctx, role); err != nil {
		t.Fatal(err)
	}
	namespace := &corev1.Namespace{}
	get(t, namespace, v1alpha1.SystemNamespace)
	namespace.Labels["pod-security.kubernetes.io/enforce"] = "privileged"
	if err := admin.Update(ctx, namespace); err != nil {
		t.Fatal(err)
	}
	findings = all(t)
	expect(t, findings, "BHC202", "ValidatingAdmissionPolicy bulkhead-images", check.Problem, "differs at spec.validations")
	expect(t, findings, "BHC202", "ValidatingAdmissionPolicy bulkhead-priority", check.Problem, "differs at spec.matchConditions")
	expect(t, findings, "BHC202", "ClusterRole "+v1alpha1.RoleOwner, check.Problem, "missing")
	expect(t, findings, "BHC203", "Namespace bulkhead-system", check.Problem, "differs at metadata.labels[pod-security.kubernetes.io/enforce]")

	installed(t)
	findings = all(t)
	expect(t, findings, "BHC202", "Guardrails", check.OK, "in place and equal")
	expect(t, findings, "BHC203", "Bulkhead's own objects", check.OK, "11 objects in place")
}

// Promise: a lease that is not renewed is a problem, not a sign of life.
func TestLease(t *testing.T) {
	installed(t)
	expect(t, all(t), "BHC205", "Controller's lease", check.Problem, "there is none")
	holder, duration := "pod-1", int32(15)
	lease := &coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{Namespace: v1alpha1.SystemNamespace, Name: install.LeaseName},
		Spec:       coordinationv1.LeaseSpec{HolderIdentity: &holder, LeaseDurationSeconds: &duration},
	}
	create(t, lease)
	for _, test := range []struct {
		age   time.Duration
		state check.State
		words string
	}{
		{3 * time.Second, check.OK, "held by pod-1, renewed"},
		{time.Duration(duration)*time.Second + check.DefaultSkew + 5*time.Second, check.Problem, "which renewed it"},
		{48 * time.Hour, check.Problem, "which renewed it 48h0m0s ago"},
	} {
		renewed := metav1.NewMicroTime(time.Now().Add(-test.age))
		lease.Spec.RenewTime = &renewed
		if err := admin.Update(context.Background(), lease); err != nil {
			t.Fatal(err)
		}
		expect(t, all(t), "BHC205", "Controller's lease", test.state, test.words)
	}
	noHolder := ""
	lease.Spec.HolderIdentity = &noHolder
	if err := admin.Update(context.Background(), lease); err != nil {
		t.Fatal(err)
	}
	expect(t, all(t), "BHC205", "Controller's lease", check.Problem, "no process holds it")
}

// Promise: only what a controller has looked at since the last change counts as Ready, and a tenant that waits for
// another cluster is a note.
func TestTenantsReadiness(t *testing.T) {
	ready := metav1.Condition{Type: v1alpha1.ConditionReady, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonReady}
	not := func(reason string) metav1.Condition {
		return metav1.Condition{Type: v1alpha1.ConditionReady, Status: metav1.ConditionFalse, Reason: reason, Message: "words"}
	}
	placed := metav1.Condition{Type: v1alpha1.ConditionPlaced, Status: metav1.ConditionFalse, Reason: v1alpha1.ReasonNeedsDedicatedCluster, Message: "waits"}
	for _, test := range []struct {
		name       string
		conditions []metav1.Condition
		state      check.State // empty: no finding of its own
		words      string
	}{
		{"rd-ready", []metav1.Condition{ready}, "", ""},
		{"rd-new", nil, check.Unknown, "no controller has reconciled it yet"},
		{"rd-failed", []metav1.Condition{not(v1alpha1.ReasonApplyFailed)}, check.Problem, "ApplyFailed: words"},
		{"rd-hard", []metav1.Condition{not(v1alpha1.ReasonNeedsDedicatedCluster), placed}, check.Note, "NeedsDedicatedCluster: waits"},
	} {
		tenant := newTenant(test.name)
		create(t, tenant)
		setStatus(t, tenant, test.conditions)
	}
	changed := newTenant("rd-changed")
	create(t, changed)
	setStatus(t, changed, []metav1.Condition{ready})
	changed.Spec.Unit = "other"
	if err := admin.Update(context.Background(), changed); err != nil {
		t.Fatal(err)
	}
	findings := all(t)
	absent(t, findings, "BHC301", "Tenant rd-ready")
	expect(t, findings, "BHC301", "Tenant rd-new", check.Unknown, "no controller has reconciled it yet")
	expect(t, findings, "BHC301", "Tenant rd-failed", check.Problem, "ApplyFailed: words")
	absent(t, findings, "BHC301", "Tenant rd-hard")
	expect(t, findings, "BHC301", "Tenant rd-changed", check.Unknown, "no controller has reconciled its latest change")
	about := of(findings, "BHC301")
	if about[0].State != check.OK || about[0].Detail != "1 of 5 Ready" {
		t.Errorf("the first line is %s %s", about[0].State, about[0].Detail)
	}
	if about[1].State != check.Note || about[1].Detail != "1 wait (NeedsDedicatedCluster): rd-hard" {
		t.Errorf("the second line is %s %s", about[1].State, about[1].Detail)
	}
}

// Promise: a proof that is stale, missing or undecided is Unknown; one that found a hole is a problem, fresh or not.
func TestProofs(t *testing.T) {
	for _, test := range []struct {
		name    string
		age     time.Duration
		verdict v1alpha1.Verdict
		state   check.State
		words   string
	}{
		{"pf-fresh", time.Minute, v1alpha1.Isolated, check.OK, ""},
		{"pf-stale", 20 * time.Minute, v1alpha1.Isolated, check.Unknown, "stale: the last proof is 20m0s old, and may be 10m0s"},
		{"pf-unknown", time.Minute, v1alpha1.Unknown, check.Unknown, "Unknown: token: sa: Unknown: not asked"},
		{"pf-exposed", time.Hour, v1alpha1.Exposed, check.Problem, "Exposed: token: sa: Unknown: not asked"},
	} {
		tenant := newTenant(test.name)
		create(t, tenant)
		tenant.Status.Spaces = "1/1"
		tenant.Status.Proof = &v1alpha1.Proof{Verdict: test.verdict, Time: metav1.NewTime(time.Now().Add(-test.age)), Asked: 12}
		if test.verdict != v1alpha1.Isolated {
			tenant.Status.Proof.Failures = []v1alpha1.ProofFailure{{Control: "token", Subject: "sa", Verdict: v1alpha1.Unknown, Detail: "not asked"}}
		}
		setStatus(t, tenant, nil)
		if test.state == check.OK {
			absent(t, all(t), "BHC303", "Tenant "+test.name)
			continue
		}
		expect(t, all(t), "BHC303", "Tenant "+test.name, test.state, test.words)
	}
	unproven := newTenant("pf-none")
	create(t, unproven)
	expect(t, all(t), "BHC303", "Tenant pf-none", check.Unknown, "no proof yet")
	unproven.Status.Spaces = "0/0"
	setStatus(t, unproven, nil)
	absent(t, all(t), "BHC303", "Tenant pf-none")
}

// Promise: a ledger whose entries add up to more than the tenant was given is found.
func TestLedgers(t *testing.T) {
	for name, second := range map[string]string{"lg-within": "5", "lg-over": "6"} {
		tenant := newTenant(name)
		create(t, tenant)
		tenant.Status.Ledger = []v1alpha1.LedgerEntry{
			{Space: "a", Held: corev1.ResourceList{corev1.ResourcePods: resource.MustParse("5")}},
			{Space: "b", Held: corev1.ResourceList{corev1.ResourcePods: resource.MustParse(second)}},
		}
		setStatus(t, tenant, nil)
	}
	findings := all(t)
	absent(t, findings, "BHC304", "Tenant lg-within")
	expect(t, findings, "BHC304", "Tenant lg-over", check.Problem, "pods 11 of 10")
}

func newTenant(name string) *v1alpha1.Tenant {
	return &v1alpha1.Tenant{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: v1alpha1.TenantSpec{
		Owners:    []v1alpha1.Owner{{Kind: "Group", Name: name + "-developers"}},
		Boundary:  "Inside",
		Quota:     corev1.ResourceList{corev1.ResourcePods: resource.MustParse("10")},
		Workloads: []v1alpha1.Workload{{Name: "web", Code: "Audited", Environment: "NonProduction"}},
	}}
}

// setStatus writes the status of an object as a controller would that has seen its latest change.
func setStatus(t *testing.T, tenant *v1alpha1.Tenant, conditions []metav1.Condition) {
	t.Helper()
	tenant.Status.Conditions = nil // there is the default
	for _, c := range conditions {
		c.ObservedGeneration = tenant.Generation
		c.LastTransitionTime = metav1.Now()
		tenant.Status.Conditions = append(tenant.Status.Conditions, c)
	}
	status := tenant.Status
	if err := admin.Status().Update(context.Background(), tenant); err != nil {
		t.Fatal(fmt.Errorf("write status of %s: %w", tenant.Name, err))
	}
	tenant.Status = status
}

func get(t *testing.T, into client.Object, name string) {
	t.Helper()
	if err := admin.Get(context.Background(), client.ObjectKey{Name: name}, into); err != nil {
		t.Fatal(err)
	}
}
