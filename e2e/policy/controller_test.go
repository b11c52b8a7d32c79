package policy_test

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/guardrail"
	"github.com/bulkhead-dev/bulkhead/hostile"
	"github.com/bulkhead-dev/bulkhead/internal/attack/engine"
)

// Promise: every case of control controller that a policy refuses, be it behind RBAC, is refused by the policy about the controller alone,
// next to its harmless twin: here, the controller's identity has every right.
func TestController(t *testing.T) {
	newSpace(t, "confined", nil, nil)
	scene := sceneOf("confined")
	tenant := &v1alpha1.Tenant{ObjectMeta: metav1.ObjectMeta{Name: "confined"}, Spec: v1alpha1.TenantSpec{
		Owners: scene.Tenant.Spec.Owners, Boundary: "Inside", Quota: corev1.ResourceList{corev1.ResourcePods: resource.MustParse("5")},
		Workloads: []v1alpha1.Workload{{Name: "space", Code: "Audited", Environment: "Production"}}}}
	if err := admin.Create(t.Context(), tenant); err != nil {
		t.Fatal(err)
	}
	var cases []hostile.Case
	for _, c := range hostile.All() {
		if c.By != hostile.Controller {
			continue
		}
		if c.Behind.By == hostile.Policy {
			c.Refusal = c.Behind
		}
		if c.Refusal.By == hostile.Policy {
			cases = append(cases, c)
		}
	}
	runner, err := engine.NewRunner(config, "controller")
	if err != nil {
		t.Fatal(err)
	}
	results, err := runner.Try(t.Context(), &engine.Target{Platform: scene.Platform, Tenant: scene.Tenant, Spaces: []v1alpha1.Space{*scene.Space},
		Foreign: []string{corev1.NamespaceDefault}}, cases)
	if err != nil {
		t.Fatal(err)
	}
	const fewest = 12
	if len(results) < fewest {
		t.Errorf("%d cases were tried, want %d", len(results), fewest)
	}
	for _, r := range results {
		if r.Verdict != v1alpha1.Isolated {
			t.Errorf("%s: %s: %s", r.Case.ID, r.Verdict, r.Detail)
		}
	}
}

// Promise: what the controller writes all day passes, and what is next to it does not.
func TestControllerWorks(t *testing.T) {
	ctx := t.Context()
	_, name := newSpace(t, "toiler", nil, nil)
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
	const confined = "controller"
	t.Run("stripped marks come back", func(t *testing.T) {
		marks := map[string]string{v1alpha1.LabelManagedBy: v1alpha1.ManagedBy, v1alpha1.LabelTenant: "toiler", v1alpha1.LabelSpace: "space"}
		mark := func() { ns.Labels = marks }
		strip := func() { ns.Labels = nil }
		if err := update(ctx, admin, ns, strip); err != nil {
			t.Fatal(err)
		}
		assertRefused(t, update(ctx, bulkhead, ns, mark), confined, "namespaces that are marked and named as a tenant's") // made without Bulkhead's manager
		written := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "toiler--written", Labels: map[string]string{
			v1alpha1.LabelManagedBy: v1alpha1.ManagedBy, v1alpha1.LabelTenant: "toiler", v1alpha1.LabelSpace: "written"}, Annotations: map[string]string{"x": "y"}}}
		if err := bulkhead.Create(ctx, written, client.FieldOwner(v1alpha1.ManagedBy)); err != nil {
			t.Fatal(err)
		}
		if err := update(ctx, admin, written, func() { delete(written.Labels, v1alpha1.LabelManagedBy); delete(written.Labels, v1alpha1.LabelTenant) }); err != nil {
			t.Fatal(err)
		}
		if err := update(ctx, bulkhead, written, func() {
			written.Labels[v1alpha1.LabelManagedBy], written.Labels[v1alpha1.LabelTenant] = v1alpha1.ManagedBy, "toiler"
		}); err != nil {
			t.Errorf("its own namespace: %v", err)
		}
		if err := update(ctx, admin, ns, mark); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("nodes", func(t *testing.T) {
		node(t, "worked-on", map[string]string{"zone": "a"}, corev1.Taint{Key: "theirs", Effect: corev1.TaintEffectNoSchedule})
		n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "worked-on"}}
		taint := corev1.Taint{Key: v1alpha1.TaintNodeTenant, Value: "toiler", Effect: corev1.TaintEffectNoSchedule}
		dedicate := func() {
			n.Labels[v1alpha1.LabelNodeTenant] = "toiler"
			n.Spec.Taints = append(n.Spec.Taints, taint)
		}
		if err := update(ctx, bulkhead, n, dedicate); err != nil {
			t.Errorf("dedicated: %v", err)
		}
		for what, change := range map[string]func(){
			"another label": func() { n.Labels["zone"] = "b" },
			"no taint":      func() { n.Spec.Taints = nil },
			"cordoned":      func() { n.Spec.Unschedulable = true },
			"finalizer":     func() { n.Finalizers = []string{"example.com/mine"} },
			"annotation":    func() { n.Annotations = map[string]string{"a": "b"} },
		} {
			t.Run(what, func(t *testing.T) {
				assertRefused(t, update(ctx, bulkhead, n, change), confined, "the marks of tenants on nodes")
			})
		}
		assertRefused(t, bulkhead.Delete(ctx, n), confined, "the marks of tenants on nodes")
	})
	t.Run("quota of Spaces", func(t *testing.T) {
		system := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: v1alpha1.SystemNamespace}}
		if err := client.IgnoreAlreadyExists(admin.Create(ctx, system)); err != nil {
			t.Fatal(err)
		}
		if err := bulkhead.Create(ctx, guardrail.SystemQuota(), client.DryRunAll); err != nil {
			t.Error(err)
		}
		other := guardrail.SystemQuota()
		other.Name = "other"
		assertRefused(t, bulkhead.Create(ctx, other, client.DryRunAll), confined, "in namespaces that are marked")
	})
	t.Run("roles", func(t *testing.T) {
		role := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: v1alpha1.RoleOwner}}
		rule := func(group, resource string, verbs ...string) func() {
			return func() {
				role.Rules = append(role.Rules, rbacv1.PolicyRule{APIGroups: []string{group}, Resources: []string{resource}, Verbs: verbs})
			}
		}
		if err := update(ctx, bulkhead, role, rule("example.com", "widgets", "get"), client.DryRunAll); err != nil {
			t.Errorf("a custom resource: %v", err)
		}
		for what, change := range map[string]func(){
			"nodes":      rule("", "nodes", "get"),
			"escalate":   rule("example.com", "widgets", "escalate"),
			"a group":    rule("rbac.authorization.k8s.io", "roles", "get"),
			"status":     rule("example.com", "widgets/status", "get"),
			"everything": rule("*", "widgets", "get"),
			"paths": func() {
				role.Rules = append(role.Rules, rbacv1.PolicyRule{NonResourceURLs: []string{"/x"}, Verbs: []string{"get"}})
			},
			"aggregation": func() {
				role.AggregationRule = &rbacv1.AggregationRule{ClusterRoleSelectors: []metav1.LabelSelector{{}}}
			},
		} {
			t.Run(what, func(t *testing.T) {
				assertRefused(t, update(ctx, bulkhead, role, change, client.DryRunAll), confined, "with the rights that it renders")
			})
		}
		assertRefused(t, bulkhead.Delete(ctx, role, client.DryRunAll), confined, "with the rights that it renders")
	})
}
