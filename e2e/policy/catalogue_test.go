package policy_test

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/guardrail"
	"github.com/bulkhead-dev/bulkhead/hostile"
	"github.com/bulkhead-dev/bulkhead/internal/attack/engine"
)

// Promise: every hostile request of the catalogue that a policy must refuse is refused by that policy and in its words, next to its
// harmless twin, from an owner with every right in the namespace; and every policy that owners can meet has such a request.
func TestCatalogue(t *testing.T) {
	elsewhere := map[string]string{ // what no owner of a Space can meet, and where it is tried
		"protected": "TestProtection", "namespaces": "TestNamespaceMarks", "definitions": "TestDefinitions", "waivers": "TestExpiredWaiverIsRefused",
		"controller": "TestController", "endpoints": "TestEndpointsByHand", "pod-security": "TestPodSecurityWaiverEnds", "audit": "TestAuditTrail",
	}
	met := map[string]bool{}
	for tenant, test := range map[string]struct {
		labels, annotations map[string]string
		change              func(*hostile.Scene)
	}{
		"plainly": {change: func(*hostile.Scene) {}},
		"richly": {
			map[string]string{v1alpha1.LabelToken: v1alpha1.TokenAllowed, v1alpha1.LabelPattern: "SoftAffinity", v1alpha1.LabelRuntimeClass: "gvisor"},
			map[string]string{v1alpha1.AnnotationIngressHosts: "shop.example.com"},
			func(s *hostile.Scene) {
				s.Tenant.Spec.IngressHosts, s.Tenant.Spec.Workloads[0].APIAccess = []string{"shop.example.com"}, "OwnNamespaces"
				s.Tenant.Status.Decisions[0] = v1alpha1.WorkloadDecision{Workload: "space", Pattern: "SoftAffinity", RuntimeClass: "gvisor"}
			},
		},
	} {
		t.Run(tenant, func(t *testing.T) {
			_, ns := newSpace(t, tenant, test.labels, test.annotations)
			for _, o := range []client.Object{
				&networkingv1.NetworkPolicy{ObjectMeta: managed(ns, v1alpha1.NetworkDefaultName)},
				&rbacv1.RoleBinding{ObjectMeta: managed(ns, v1alpha1.OwnersName), RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: v1alpha1.RoleOwner}},
			} {
				if err := bulkhead.Create(t.Context(), o); err != nil {
					t.Fatal(err)
				}
			}
			scene := sceneOf(tenant)
			test.change(&scene)
			for _, r := range tryCatalogue(t, scene) {
				if r.Verdict != v1alpha1.Isolated {
					t.Errorf("%s: %s", r.Verdict, r.Detail)
				}
				met[strings.TrimPrefix(r.Case.Refusal.Name, v1alpha1.PolicyPrefix)] = true
			}
		})
	}
	for _, o := range guardrail.Policies(nil) {
		name := strings.TrimPrefix(o.GetName(), v1alpha1.PolicyPrefix)
		if o.GetObjectKind().GroupVersionKind().Kind == "ValidatingAdmissionPolicy" && !met[name] && elsewhere[name] == "" {
			t.Errorf("policy %s has no hostile request in the catalogue that applies here", name)
		}
	}
}

// tryCatalogue tries what a policy must refuse in the scene's Space. Cases of Spaces themselves need the kinds of Bulkhead.
func tryCatalogue(t *testing.T, scene hostile.Scene) []engine.Result {
	t.Helper()
	runner, err := engine.NewRunner(config, "catalogue-"+scene.Tenant.Name)
	if err != nil {
		t.Fatal(err)
	}
	var cases []hostile.Case
	for _, c := range hostile.All() {
		if c.Refusal.By == hostile.Policy && c.By != hostile.Controller && !strings.HasPrefix(c.ID, "guardrail/space-") && !strings.HasPrefix(c.ID, "guardrail/finalizer-space") {
			cases = append(cases, c)
		}
	}
	target := &engine.Target{Platform: scene.Platform, Tenant: scene.Tenant, Spaces: []v1alpha1.Space{*scene.Space}, Foreign: []string{corev1.NamespaceDefault}}
	results, err := runner.Try(t.Context(), target, cases)
	if err != nil {
		t.Fatal(err)
	}
	if len(results) < 300 {
		t.Errorf("only %d cases apply", len(results))
	}
	return results
}
