package controller_test

import (
	"fmt"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/internal/run"
)

// Promise: a guardrail that cannot be applied keeps the owners of that Space without rights and says why, and no other Space waits for it.
func TestAGuardrailThatCannotBeAppliedStopsItsSpaceAlone(t *testing.T) {
	deny := &admissionv1.ValidatingAdmissionPolicy{ObjectMeta: metav1.ObjectMeta{Name: "house-rule"}, Spec: admissionv1.ValidatingAdmissionPolicySpec{
		FailurePolicy: new(admissionv1.Fail),
		MatchConstraints: &admissionv1.MatchResources{ResourceRules: []admissionv1.NamedRuleWithOperations{{RuleWithOperations: admissionv1.RuleWithOperations{
			Operations: []admissionv1.OperationType{admissionv1.Create},
			Rule:       admissionv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"limitranges"}},
		}}}},
		Validations: []admissionv1.Validation{{Expression: "object.metadata.namespace != 'refused--shop'", Message: "no limits here"}},
	}}
	bound := &admissionv1.ValidatingAdmissionPolicyBinding{ObjectMeta: metav1.ObjectMeta{Name: "house-rule"}, Spec: admissionv1.ValidatingAdmissionPolicyBindingSpec{
		PolicyName: "house-rule", ValidationActions: []admissionv1.ValidationAction{admissionv1.Deny},
	}}
	create(t, deny, bound)
	limits := &corev1.LimitRange{ObjectMeta: metav1.ObjectMeta{Namespace: "refused--shop", Name: "any"}}
	create(t, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "refused--shop"}})
	eventually(t, patience, "the policy is in force", func() string {
		if err := admin.Create(t.Context(), limits.DeepCopy(), client.DryRunAll); err == nil || !strings.Contains(err.Error(), "no limits here") {
			return fmt.Sprint(err)
		}
		return ""
	})
	if err := admin.Delete(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "refused--shop"}}); err != nil {
		t.Fatal(err)
	}
	gone(t, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "refused--shop"}})

	start(t, nil)
	tenant, other := newTenant("refused"), newTenant("accepted")
	shop, back, theirs := newSpace("refused", "shop"), newSpace("refused", "back"), newSpace("accepted", "shop")
	create(t, tenant, other)
	conditionIs(t, tenant, v1alpha1.ConditionEnforced, "True", v1alpha1.ReasonEnforced)
	conditionIs(t, other, v1alpha1.ConditionEnforced, "True", v1alpha1.ReasonEnforced)
	create(t, shop, back, theirs)
	conditionIs(t, shop, v1alpha1.ConditionEnforced, "False", v1alpha1.ReasonApplyFailed)
	if c := meta.FindStatusCondition(shop.Status.Conditions, v1alpha1.ConditionEnforced); !strings.Contains(c.Message, "no limits here") {
		t.Errorf("the condition says %q", c.Message)
	}
	ready(t, back, theirs)
	if _, err := get(t, &rbacv1.RoleBinding{}, "refused--shop", v1alpha1.OwnersName); client.IgnoreNotFound(err) != nil || err == nil {
		t.Errorf("owners have rights where a guardrail is missing: %v", err)
	}
	if err := admin.Delete(t.Context(), bound); err != nil {
		t.Fatal(err)
	}
	ready(t, shop)
	if err := admin.Delete(t.Context(), deny); err != nil {
		t.Fatal(err)
	}
}

// Promise: however fast the owners of a tenant change, at the end its Spaces have the last ones and no one else.
func TestOwnersThatChangeFast(t *testing.T) {
	start(t, nil)
	const spaces, changes = 20, 30
	tenant := newTenant("restless")
	create(t, tenant)
	conditionIs(t, tenant, v1alpha1.ConditionEnforced, "True", v1alpha1.ReasonEnforced)
	for i := range spaces {
		create(t, newSpace("restless", fmt.Sprintf("s%d", i)))
	}
	for i := range changes {
		edit(t, tenant, func() { tenant.Spec.Owners = []v1alpha1.Owner{{Kind: "User", Name: fmt.Sprintf("owner-%d", i)}} })
	}
	last := fmt.Sprintf("owner-%d", changes-1)
	for i := range spaces {
		eventually(t, patience, fmt.Sprintf("Space s%d has the last owner", i), func() string {
			b, err := get(t, &rbacv1.RoleBinding{}, fmt.Sprintf("restless--s%d", i), v1alpha1.OwnersName)
			if err != nil {
				return err.Error()
			}
			if len(b.Subjects) != 1 || b.Subjects[0].Name != last {
				return fmt.Sprint(b.Subjects)
			}
			return ""
		})
	}
	ready(t, tenant)
}

// Promise: an API that is registered and does not answer keeps Kubernetes from removing a namespace. The off-boarding waits visibly, others go on,
// and it ends when the API is gone.
func TestOffboardingNextToABrokenAPI(t *testing.T) {
	start(t, nil)
	leaving, staying := newTenant("departing"), newTenant("remaining")
	space, other := newSpace("departing", "shop"), newSpace("remaining", "shop")
	create(t, leaving, staying)
	conditionIs(t, leaving, v1alpha1.ConditionEnforced, "True", v1alpha1.ReasonEnforced)
	conditionIs(t, staying, v1alpha1.ConditionEnforced, "True", v1alpha1.ReasonEnforced)
	create(t, space)
	ready(t, space)
	broken := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService", "metadata": map[string]any{"name": "v1.broken.example.com"},
		"spec": map[string]any{"group": "broken.example.com", "version": "v1", "groupPriorityMinimum": int64(100), "versionPriority": int64(100),
			"insecureSkipTLSVerify": true, "service": map[string]any{"namespace": "default", "name": "nowhere", "port": int64(443)}},
	}}
	create(t, broken)
	t.Cleanup(func() { _ = admin.Delete(t.Context(), broken) })
	if err := admin.Delete(t.Context(), space); err != nil {
		t.Fatal(err)
	}
	remains(t, space, "Namespace departing--shop")
	create(t, other)
	ready(t, other)
	if err := admin.Delete(t.Context(), broken); err != nil {
		t.Fatal(err)
	}
	gone(t, space)
}

// Promise: while no controller of Bulkhead's runs, its policies are in nobody's way: Kubernetes collects what an owner deleted, and empties
// a namespace that is being removed.
func TestPoliciesAloneLetKubernetesCleanUp(t *testing.T) {
	stop := start(t, nil)
	tenant, space := newTenant("headless"), newSpace("headless", "shop")
	create(t, tenant)
	conditionIs(t, tenant, v1alpha1.ConditionEnforced, "True", v1alpha1.ReasonEnforced)
	create(t, space)
	ready(t, space)
	stop()
	labels := map[string]string{"app": "web"}
	web := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: "headless--shop", Name: "web"}, Spec: appsv1.DeploymentSpec{
		Replicas: new(int32(2)), Selector: &metav1.LabelSelector{MatchLabels: labels},
		Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: corev1.PodSpec{
			Containers: []corev1.Container{{Name: "c", Image: "registry.example.com/app:1"}},
		}},
	}}
	create(t, web)
	pods := func(want int) {
		t.Helper()
		eventually(t, patience, fmt.Sprintf("%d pods", want), func() string {
			list := &corev1.PodList{}
			if err := admin.List(t.Context(), list, client.InNamespace("headless--shop")); err != nil || len(list.Items) != want {
				return fmt.Sprint(len(list.Items), err)
			}
			return ""
		})
	}
	pods(2)
	if err := admin.Delete(t.Context(), web, client.PropagationPolicy(metav1.DeletePropagationForeground)); err != nil {
		t.Fatal(err)
	}
	gone(t, web)
	pods(0)
	asBulkhead, err := client.New(bulkhead, client.Options{Scheme: run.Scheme()})
	if err != nil {
		t.Fatal(err)
	}
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "headless--shop"}}
	if err := asBulkhead.Delete(t.Context(), namespace); err != nil {
		t.Fatal(err)
	}
	gone(t, namespace)
}
