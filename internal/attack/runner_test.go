package attack

import (
	"context"
	"flag"
	"fmt"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/decision/tenancy"
	"github.com/bulkhead-dev/bulkhead/hostile"
	"github.com/bulkhead-dev/bulkhead/internal/attack/catalogue"
	"github.com/bulkhead-dev/bulkhead/internal/attack/engine"
)

// declared stores the fixture's Tenant and Space as a platform team and an owner would, and gives the target.
func declared(ctx context.Context, t *testing.T, f *fixture) *engine.Target {
	t.Helper()
	tenant := f.tenant.DeepCopy()
	tenant.UID, tenant.Generation = "", 0
	must(t, admin.Create(ctx, tenant))
	for i := range f.spaces {
		space := f.spaces[i].DeepCopy()
		space.Generation, space.Finalizers = 0, []string{v1alpha1.Finalizer}
		must(t, admin.Create(ctx, space))
		space.Status = f.spaces[i].Status
		must(t, admin.Status().Update(ctx, space))
	}
	return &engine.Target{Platform: realPlatform(), Tenant: f.tenant, Spaces: f.spaces, Foreign: []string{f.foreign}}
}

var only = flag.String("attack", "*", "try only the attacks whose id is like this")

func chosen(attacks []hostile.Case) []hostile.Case {
	return slices.DeleteFunc(attacks, func(a hostile.Case) bool { return !catalogue.Like(*only, a.ID) })
}

func newRunner(t *testing.T, run string) *engine.Runner {
	t.Helper()
	r, err := engine.NewRunner(adminConfig, run)
	must(t, err)
	return r
}

// Promise: against an enforced Space of every pattern that shares a cluster, every attack of the registry is refused by the control
// that must, next to a harmless twin that succeeds; nothing is left behind and nothing else is touched. What a pattern does not
// change is tried in one.
func TestEveryAttackIsRefused(t *testing.T) {
	for name, test := range map[string]struct {
		owner   v1alpha1.Owner
		decided tenancy.Outcome
		attacks []string
	}{
		"try-soft":     {v1alpha1.Owner{Kind: "User", Name: "try-jane"}, soft, []string{"*"}},
		"try-affinity": {v1alpha1.Owner{Kind: "Group", Name: "try-devs"}, sandboxed, []string{"node-affinity/*", "runtime/*", "*-through-*", "quota/*", "api-fairness/*"}},
	} {
		t.Run(name, func(t *testing.T) {
			if test.decided.Pattern == tenancy.PatternSoftAffinity {
				must(t, admin.Create(t.Context(), node(name+"-node", name)))
			}
			f := enforced(t.Context(), t, name, test.decided, test.owner)
			target := declared(t.Context(), t, f)
			await(t, completeProver(t), f, isolated)
			attacks := chosen(slices.DeleteFunc(hostile.All(), func(a hostile.Case) bool {
				// The installation, which this platform lacks, gives the controller its rights: e2e/policy tries what it may not.
				return a.Control == "controller" || !(&catalogue.Item{Attacks: test.attacks}).Has(a.ID)
			}))
			results, err := newRunner(t, name).Try(t.Context(), target, attacks)
			must(t, err)
			complain(t, results)
			if *only == "*" && len(results) < len(attacks) {
				t.Errorf("%d attacks were tried %d times", len(attacks), len(results))
			}
			nothingLeft(t, f)
		})
	}
}

// complain of the first of each attack that did not end as it must.
func complain(t *testing.T, results []engine.Result) {
	t.Helper()
	told := map[string]bool{}
	for _, r := range results {
		if r.Verdict != v1alpha1.Isolated && !told[r.Case.ID] {
			told[r.Case.ID] = true
			t.Errorf("%s: %s: %s: %s", r.Case.ID, r.Scene.Subject, r.Verdict, r.Detail)
		}
	}
}

// nothingLeft holds that nothing bears an attack's mark.
func nothingLeft(t *testing.T, f *fixture) {
	t.Helper()
	eventually(t.Context(), t, "nothing is left of the attacks", func(ctx context.Context) (bool, error) {
		for _, kind := range hostile.Made() {
			list := &metav1.PartialObjectMetadataList{TypeMeta: metav1.TypeMeta{APIVersion: apiVersion(kind.Group), Kind: listKind(kind.Resource)}}
			if err := admin.List(ctx, list, client.InNamespace(f.namespace()), client.HasLabels{v1alpha1.LabelAttack}); err != nil {
				return false, err
			}
			if len(list.Items) > 0 {
				return false, nil
			}
		}
		return true, nil
	})
}

func apiVersion(group string) string {
	if group == "" {
		return "v1"
	}
	return group + "/v1"
}

func listKind(resource string) string {
	kinds := map[string]string{"services": "Service", "configmaps": "ConfigMap", "secrets": "Secret", "persistentvolumeclaims": "PersistentVolumeClaim",
		"networkpolicies": "NetworkPolicy", "ingresses": "Ingress", "rolebindings": "RoleBinding", "roles": "Role",
		"serviceaccounts": "ServiceAccount", "leases": "Lease", "poddisruptionbudgets": "PodDisruptionBudget", "horizontalpodautoscalers": "HorizontalPodAutoscaler"}
	for _, w := range hostile.Workloads() {
		kinds[w.Resource] = w.Kind
	}
	return kinds[resource] + "List"
}

// Promise: the rights that the runner says it needs are enough, and without impersonation everything is Unknown, never Isolated.
func TestRunnerUnderItsRights(t *testing.T) {
	f := enforced(t.Context(), t, "try-rights", soft, v1alpha1.Owner{Kind: "User", Name: "try-rights-jane"})
	target := declared(t.Context(), t, f)
	await(t, completeProver(t), f, isolated)
	some := slices.DeleteFunc(hostile.All(), func(a hostile.Case) bool {
		return !(&catalogue.Item{Attacks: []string{"images/foreign-registry*", "rbac-own/every-get", "rbac-enumerate/path-*", "*-through-deployments", "storage/*", "priority/allowed-*", "quota/spaces", "api-fairness/*"}}).Has(a.ID)
	})
	var rules, blind []rbacv1.PolicyRule
	for _, right := range engine.RunnerRights() {
		rules = append(rules, right.Rule)
		if !strings.HasPrefix(right.Rule.Verbs[0], "impersonate") {
			blind = append(blind, right.Rule)
		}
	}
	for name, test := range map[string]struct {
		rules []rbacv1.PolicyRule
		want  v1alpha1.Verdict
	}{"attacker": {rules, v1alpha1.Isolated}, "blind-attacker": {blind, v1alpha1.Unknown}} {
		t.Run(name, func(t *testing.T) {
			config, err := identity(t.Context(), name, test.rules)
			must(t, err)
			r, err := engine.NewRunner(config, name)
			must(t, err)
			results, err := r.Try(t.Context(), target, some)
			if test.want == v1alpha1.Isolated {
				must(t, err)
				complain(t, results)
			}
			for _, got := range results {
				if test.want == v1alpha1.Unknown && got.Verdict != v1alpha1.Unknown {
					t.Errorf("%s: %s", got.Case.ID, got.Verdict)
				}
			}
		})
	}
	nothingLeft(t, f)
}

// Promise: a run that is broken off removes what it made, and what it did not try is Unknown; what a killed run left, the next one
// removes, and nothing else, whatever label it bears.
func TestNothingIsLeftAndNothingElseIsTouched(t *testing.T) {
	f := enforced(t.Context(), t, "try-clean", soft, v1alpha1.Owner{Kind: "User", Name: "try-clean-jane"})
	target := declared(t.Context(), t, f)
	await(t, completeProver(t), f, isolated)
	scene := hostile.Scene{Platform: target.Platform, Tenant: target.Tenant, Space: &target.Spaces[0], Run: "killed", Making: "killed-1"}
	request, err := hostile.Target(scene, "deployments")
	must(t, err)
	subject, err := hostile.OwnerSubject(f.tenant.Spec.Owners[0])
	must(t, err)
	killed := newRunner(t, "killed")
	if answer, _ := killed.Server.Send(t.Context(), &subject, request, false); !answer.Allowed {
		t.Fatal(answer)
	}
	theirs := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: f.namespace(), Name: "bulkhead-attack-theirs", Labels: map[string]string{v1alpha1.LabelAttack: "killed"}}}
	must(t, admin.Create(t.Context(), theirs))

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r := newRunner(t, "broken-off")
	r.Progress = func(done, _ int, _ string) {
		if done == 12 {
			cancel()
		}
	}
	attacks := slices.DeleteFunc(hostile.All(), func(a hostile.Case) bool { return !strings.Contains(a.ID, "-by-") })
	results, err := r.Try(ctx, target, attacks)
	must(t, err)
	for i, got := range results {
		if i >= 12 && got.Verdict != v1alpha1.Unknown {
			t.Errorf("%s was not tried, and is %s", got.Case.ID, got.Verdict)
		}
	}
	var still corev1.ConfigMap
	must(t, admin.Get(t.Context(), client.ObjectKeyFromObject(theirs), &still))
	must(t, admin.Delete(t.Context(), theirs))
	nothingLeft(t, f)
}

// Promise: what a dry-run shows, the real request shows too, and is removed again.
func TestCarriedOut(t *testing.T) {
	f := enforced(t.Context(), t, "try-real", soft, v1alpha1.Owner{Kind: "User", Name: "try-real-jane"})
	target := declared(t.Context(), t, f)
	await(t, completeProver(t), f, isolated)
	r := newRunner(t, "try-real")
	r.Destructive = true
	some := &catalogue.Item{Attacks: []string{"images/foreign-registry*", "network-default/*", "service-expose/*", "guardrail/unmark-*", "guardrail/delete-*", "guardrail/namespace-*",
		"rbac-escalate/role-*", "storage/*"}}
	results, err := r.Try(t.Context(), target, slices.DeleteFunc(hostile.All(), func(a hostile.Case) bool { return !some.Has(a.ID) }))
	must(t, err)
	complain(t, results)
	nothingLeft(t, f)
}

// Promise: an allowed class that preempts is refused by the policy, next to a pod of an allowed class that does not; without the
// policy it is an exposure.
func TestPreemptingClass(t *testing.T) {
	f := enforced(t.Context(), t, "try-preempt", soft, v1alpha1.Owner{Kind: "User", Name: "try-preempt-jane"})
	target := declared(t.Context(), t, f)
	await(t, completeProver(t), f, isolated)
	preempting, _ := hostile.ByID("priority/allowed-that-preempts")
	try := func(ctx context.Context) (engine.Result, error) {
		results, err := newRunner(t, "try-preempt").Try(ctx, target, []hostile.Case{preempting})
		if err != nil || len(results) != 1 {
			return engine.Result{}, fmt.Errorf("%d results: %w", len(results), err)
		}
		return results[0], nil
	}
	got, err := try(t.Context())
	must(t, err)
	if got.Verdict != v1alpha1.Isolated || got.Refused.Name != "bulkhead-priority" || !strings.Contains(got.Refused.Says, `"pushy" preempts`) {
		t.Errorf("%s: %s: %+v", got.Verdict, got.Detail, got.Refused)
	}
	defer withoutPolicy("priority")(t, f)()
	eventually(t.Context(), t, "the API server has learnt that there is no policy", func(ctx context.Context) (bool, error) {
		got, err := try(ctx)
		return got.Verdict == v1alpha1.Exposed, err
	})
	nothingLeft(t, f)
}

// Promise: without the quota and the LimitRange, a pod that grows in place is an exposure.
func TestResizeWithoutBounds(t *testing.T) {
	f := enforced(t.Context(), t, "try-resize", soft, v1alpha1.Owner{Kind: "User", Name: "try-resize-jane"})
	target := declared(t.Context(), t, f)
	await(t, completeProver(t), f, isolated)
	defer removed(t, &corev1.ResourceQuota{}, f.namespace(), v1alpha1.QuotaName)()
	defer removed(t, &corev1.LimitRange{}, f.namespace(), v1alpha1.LimitsName)()
	attacks := slices.DeleteFunc(hostile.All(), func(a hostile.Case) bool { return !strings.HasSuffix(a.ID, "-resize") })
	var results []engine.Result
	eventually(t.Context(), t, "the API server has learnt that there is no bound", func(ctx context.Context) (bool, error) {
		var err error
		results, err = newRunner(t, "try-resize").Try(ctx, target, attacks)
		return !slices.ContainsFunc(results, func(r engine.Result) bool { return r.Verdict != v1alpha1.Exposed }), err
	})
	if len(results) != 2 {
		t.Errorf("%d results: %v", len(results), results)
	}
	nothingLeft(t, f)
}
