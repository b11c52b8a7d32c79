package attack

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	testingclock "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/decision/tenancy"
	"github.com/bulkhead-dev/bulkhead/internal/attack/prover"
)

var (
	soft      = tenancy.Outcome{Pattern: tenancy.PatternSoft}
	sandboxed = tenancy.Outcome{Pattern: tenancy.PatternSoftAffinity, Sandboxed: true, RuntimeClass: "gvisor"}
)

// An enforced Space is Isolated for every kind of owner, with every question in every form, under Rights alone.
func TestEnforcedSpaceIsIsolated(t *testing.T) {
	for name, test := range map[string]struct {
		owner   v1alpha1.Owner
		decided tenancy.Outcome
	}{
		"iso-user":    {v1alpha1.Owner{Kind: "User", Name: "jane@example.com"}, soft},
		"iso-group":   {v1alpha1.Owner{Kind: "Group", Name: "devs"}, soft},
		"iso-account": {v1alpha1.Owner{Kind: "ServiceAccount", Namespace: "ci", Name: "deployer"}, soft},
		"iso-sandbox": {v1alpha1.Owner{Kind: "User", Name: "joe"}, sandboxed},
	} {
		t.Run(name, func(t *testing.T) {
			f := enforced(t.Context(), t, name, test.decided, test.owner)
			proof := await(t, completeProver(t), f, isolated)
			if len(proof.Failures) != 0 || int(proof.Asked) < 40 || proof.Time.IsZero() {
				t.Errorf("got %+v", proof)
			}
			want := v1alpha1.ProofScope{TenantGeneration: 1, PlatformGeneration: 1, Spaces: []v1alpha1.SpaceRevision{{Name: "web", Revision: "r1"}}}
			if !reflect.DeepEqual(proof.Scope, want) {
				t.Errorf("it covers %+v, want %+v", proof.Scope, want)
			}
			nothingStored(t, f)
		})
	}
}

// nothingStored holds that a proof leaves nothing behind, and takes nothing away.
func nothingStored(t *testing.T, f *fixture) {
	t.Helper()
	for _, list := range []client.ObjectList{
		&corev1.PodList{}, &corev1.ServiceList{}, &rbacv1.RoleBindingList{}, &networkingv1.NetworkPolicyList{},
	} {
		must(t, admin.List(t.Context(), list, client.HasLabels{"bulkhead.dev/attack"}))
		raw := mustJSON(t, list)
		if strings.Contains(raw, `"bulkhead-attack-`) {
			t.Errorf("a dry-run was stored: %s", raw)
		}
	}
	var policy networkingv1.NetworkPolicy
	must(t, admin.Get(t.Context(), client.ObjectKey{Namespace: f.namespace(), Name: v1alpha1.NetworkDefaultName}, &policy))
	if policy.Labels[v1alpha1.LabelManagedBy] != v1alpha1.ManagedBy {
		t.Error("the default-deny NetworkPolicy lost its mark")
	}
}

// mutant removes a single control and gives the function that restores it.
type mutant struct {
	control  string
	sabotage func(*testing.T, *fixture) func()
	// also exposed by the same removal, as seen from another side; empty mostly.
	also string
}

// withoutPolicy drops the binding of one admission policy.
func withoutPolicy(name string) func(*testing.T, *fixture) func() {
	return func(t *testing.T, _ *fixture) func() {
		return removed(t, &admissionv1.ValidatingAdmissionPolicyBinding{}, "", "bulkhead-"+name)
	}
}

// clusterRight gives the owner a right in the whole cluster.
func clusterRight(verb, group, resource string) func(*testing.T, *fixture) func() {
	return func(t *testing.T, f *fixture) func() {
		name := "mutant-" + f.tenant.Name
		undoRole := added(t, &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: name},
			Rules: []rbacv1.PolicyRule{{APIGroups: []string{group}, Resources: []string{resource}, Verbs: []string{verb}}}})
		undo := added(t, &rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: name},
			RoleRef:  rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: name},
			Subjects: []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: f.tenant.Spec.Owners[0].Kind, Name: f.tenant.Spec.Owners[0].Name}}})
		return func() { undo(); undoRole() }
	}
}

func bindIn(namespace func(*fixture) string, role string, subject rbacv1.Subject) func(*testing.T, *fixture) func() {
	return func(t *testing.T, f *fixture) func() {
		bound := subject
		if bound.Kind == "ServiceAccount" {
			bound.Namespace = f.namespace()
		}
		return added(t, &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Name: "mutant", Namespace: namespace(f)},
			RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role}, Subjects: []rbacv1.Subject{bound}})
	}
}

func inForeign(f *fixture) string { return f.foreign }

func inHomeOf(f *fixture) string { return v1alpha1.HomeNamespace(f.tenant.Name) }

func unguarded(t *testing.T, f *fixture) func() {
	var namespace corev1.Namespace
	must(t, admin.Get(t.Context(), client.ObjectKey{Name: f.namespace()}, &namespace))
	relabel := func(level string) {
		namespace.Labels["pod-security.kubernetes.io/enforce"] = level
		if err := admin.Update(context.Background(), &namespace); err != nil {
			t.Errorf("relabel: %v", err)
		}
	}
	relabel("privileged")
	return func() { relabel("restricted") }
}

func withoutQuota(t *testing.T, f *fixture) func() {
	return removed(t, &corev1.ResourceQuota{}, f.namespace(), v1alpha1.QuotaName)
}

// With any single control removed, the proof says Exposed and names this control and no other.
func TestEveryRemovedControlIsNamed(t *testing.T) {
	jane := v1alpha1.Owner{Kind: "User", Name: "jane"}
	f := enforced(t.Context(), t, "mutants", sandboxed, jane)
	janeHerself := rbacv1.Subject{APIGroup: rbacv1.GroupName, Kind: "User", Name: "jane"}
	account := rbacv1.Subject{Kind: "ServiceAccount", Name: "default"}
	p := completeProver(t)
	await(t, p, f, isolated)
	mutants := map[string]mutant{
		"owner may view a foreign namespace":           {"rbac-own", bindIn(inForeign, "view", janeHerself), ""},
		"service account may edit a foreign namespace": {"rbac-own", bindIn(inForeign, "edit", account), "rbac-escalate"},
		"owner lists namespaces":                       {"rbac-enumerate", clusterRight("list", "", "namespaces"), ""},
		"owner watches events":                         {"rbac-enumerate", clusterRight("watch", "", "events"), ""},
		"owner impersonates":                           {"rbac-escalate", clusterRight("impersonate", "", "users"), ""},
		"owner asks for certificates":                  {"rbac-escalate", clusterRight("create", "certificates.k8s.io", "certificatesigningrequests"), ""},
		"role bindings unguarded":                      {"rbac-escalate", withoutPolicy("role-bindings"), ""},
		"managed objects unguarded":                    {"guardrail", withoutPolicy("managed-objects"), ""},
		"owner is exempt":                              {"guardrail", clusterRight("change", "bulkhead.dev", "guardrails"), ""},
		"pods at home":                                 {"guardrail", bindIn(inHomeOf, v1alpha1.RoleOwner, janeHerself), ""},
		"namespace lost its level":                     {"pod-security", unguarded, ""},
		"tokens unguarded":                             {"token", withoutPolicy("token-pods"), ""},
		"network policies unguarded":                   {"network-default", withoutPolicy("network-policies"), "network-metadata"},
		"services unguarded":                           {"service-expose", withoutPolicy("services"), ""},
		"quota gone":                                   {"quota", withoutQuota, ""},
		"images unguarded":                             {"images", withoutPolicy("images"), ""},
		"scheduling unguarded":                         {"scheduling", withoutPolicy("scheduling"), ""},
		"owner binds pods":                             {"scheduling", clusterRight("create", "", "pods/binding"), ""},
		"priority unguarded":                           {"priority", withoutPolicy("priority"), ""},
		"node affinity unguarded":                      {"node-affinity", withoutPolicy("node-affinity"), ""},
		"runtime unguarded":                            {"runtime", withoutPolicy("runtime"), ""},
	}
	killed := map[string]bool{}
	for name, m := range mutants {
		t.Run(name, func(t *testing.T) {
			restore := m.sabotage(t, f)
			defer func() {
				restore()
				await(t, p, f, isolated)
			}()
			named := func(f v1alpha1.ProofFailure) bool { return f.Control == m.control }
			// The API server may learn of it between two questions: then the first proof names only what was asked after.
			proof := await(t, p, f, func(proof *v1alpha1.Proof) bool { return slices.ContainsFunc(exposures(proof), named) })
			for _, f := range exposures(&proof) {
				// A right to change guardrails is an exemption from every policy that asks for it.
				if f.Control != m.control && f.Control != m.also && name != "owner is exempt" {
					t.Errorf("another control is blamed: %s", f)
				}
			}
			killed[m.control] = true
		})
	}
	for _, q := range prover.Questions() {
		if !killed[q.Forms[0].Control] {
			t.Errorf("no mutant showed that the question on %s can fail", q.Forms[0].Control)
		}
	}
}

func exposures(proof *v1alpha1.Proof) []v1alpha1.ProofFailure {
	return slices.DeleteFunc(slices.Clone(proof.Failures), func(f v1alpha1.ProofFailure) bool { return f.Verdict != v1alpha1.Exposed })
}

// A routine proof says Isolated of the same Space, at its known price in requests, and a first routine proof kills a mutant of
// every policy.
func TestRoutineProof(t *testing.T) {
	f := enforced(t.Context(), t, "routine", soft, v1alpha1.Owner{Kind: "User", Name: "jane"})
	await(t, completeProver(t), f, isolated)
	var sent atomic.Int64
	counted := rest.CopyConfig(proverConfig)
	counted.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return roundTripper(func(r *http.Request) (*http.Response, error) { sent.Add(1); return next.RoundTrip(r) })
	})
	p, err := prover.New(counted, testingclock.NewFakePassiveClock(time.Unix(1_000_000, 0)))
	must(t, err)
	proof, err := p.Prove(t.Context(), f.tenant, f.spaces, []string{f.foreign})
	must(t, err)
	if !isolated(&proof) || sent.Load() > 30 {
		t.Errorf("%s after %d requests: %q", proof.Verdict, sent.Load(), proof.Failures)
	}
	t.Logf("a routine proof of one Space and one owner: %d questions, %d requests", proof.Asked, sent.Load())
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// Nothing but the expected refusal next to a working harmless twin is Isolated: each of these is Unknown, with why.
func TestWhatIsNotProvenIsUnknown(t *testing.T) {
	f := enforced(t.Context(), t, "unknown", soft, v1alpha1.Owner{Kind: "User", Name: "jane"})
	p := completeProver(t)
	await(t, p, f, isolated)
	tests := map[string]struct {
		sabotage func(*testing.T, *fixture) func()
		why      string
	}{
		"owner has no rights in the Space": {func(t *testing.T, f *fixture) func() {
			return removed(t, &rbacv1.RoleBinding{}, f.namespace(), v1alpha1.OwnersName)
		}, `User "jane" cannot create resource "pods"`},
		"owner has no rights at home": {func(t *testing.T, f *fixture) func() {
			return removed(t, &rbacv1.RoleBinding{}, inHomeOf(f), v1alpha1.OwnersName)
		}, "use a right that it has"},
		"another policy refuses everything": {refuseAll("false", "no pods today"), "was refused by ValidatingAdmissionPolicy refuse-all: no pods today"},
		"a policy is in error":              {refuseAll("object.metadata.labels['no-such-label'] == ''", "x"), "ValidatingAdmissionPolicy refuse-all failed instead of judging"},
		"the managed object is missing": {func(t *testing.T, f *fixture) func() {
			return removed(t, &networkingv1.NetworkPolicy{}, f.namespace(), v1alpha1.NetworkDefaultName)
		}, "an answer that is no refusal (NotFound)"},
		"no registry is allowed": {func(t *testing.T, _ *fixture) func() { return withRegistries(t) }, "the Platform allows no registry"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			restore := test.sabotage(t, f)
			defer func() {
				restore()
				await(t, p, f, isolated)
			}()
			await(t, p, f, func(proof *v1alpha1.Proof) bool {
				return proof.Verdict == v1alpha1.Unknown && slices.ContainsFunc(proof.Failures, func(f v1alpha1.ProofFailure) bool { return strings.Contains(f.Detail, test.why) })
			})
		})
	}
}

// refuseAll is a policy of another tenant's that stops every pod.
func refuseAll(expression, message string) func(*testing.T, *fixture) func() {
	return func(t *testing.T, f *fixture) func() {
		fail, forbidden := admissionv1.Fail, metav1.StatusReasonForbidden
		undoPolicy := added(t, &admissionv1.ValidatingAdmissionPolicy{ObjectMeta: metav1.ObjectMeta{Name: "refuse-all"},
			Spec: admissionv1.ValidatingAdmissionPolicySpec{
				FailurePolicy: &fail,
				MatchConstraints: &admissionv1.MatchResources{ResourceRules: []admissionv1.NamedRuleWithOperations{{
					RuleWithOperations: admissionv1.RuleWithOperations{Operations: []admissionv1.OperationType{admissionv1.Create},
						Rule: admissionv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"pods"}}},
				}}},
				Validations: []admissionv1.Validation{{Expression: expression, Message: message, Reason: &forbidden}},
			}})
		undo := added(t, &admissionv1.ValidatingAdmissionPolicyBinding{ObjectMeta: metav1.ObjectMeta{Name: "refuse-all"},
			Spec: admissionv1.ValidatingAdmissionPolicyBindingSpec{PolicyName: "refuse-all", ValidationActions: []admissionv1.ValidationAction{admissionv1.Deny},
				MatchResources: &admissionv1.MatchResources{NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"kubernetes.io/metadata.name": f.namespace()}}}}})
		return func() { undo(); undoPolicy() }
	}
}

func withRegistries(t *testing.T, registries ...string) func() {
	set := func(registries []string) {
		var platform v1alpha1.Platform
		err := admin.Get(context.Background(), client.ObjectKey{Name: v1alpha1.PlatformName}, &platform)
		platform.Spec.Registries = registries
		if err := errors.Join(err, admin.Update(context.Background(), &platform)); err != nil {
			t.Errorf("set the registries: %v", err)
		}
	}
	set(registries)
	return func() { set(realPlatform().Spec.Registries) }
}

// Without any one of its Rights, the prover says Unknown: none is too many, and a lack of one never looks like isolation.
func TestEveryRightIsNeeded(t *testing.T) {
	f := enforced(t.Context(), t, "rights", sandboxed,
		v1alpha1.Owner{Kind: "User", Name: "jane"}, v1alpha1.Owner{Kind: "Group", Name: "devs"},
		v1alpha1.Owner{Kind: "ServiceAccount", Namespace: "ci", Name: "deployer"})
	await(t, completeProver(t), f, isolated)
	single := singleRights()
	for i, missing := range single {
		t.Run(missing.Verbs[0]+" "+missing.Resources[0], func(t *testing.T) {
			config, err := identity(t.Context(), fmt.Sprintf("prover-without-%d", i), slices.Delete(slices.Clone(single), i, i+1))
			must(t, err)
			p, err := prover.New(config, clock.RealClock{})
			must(t, err)
			p.Complete = true
			proof, _ := p.Prove(t.Context(), f.tenant, f.spaces, []string{f.foreign}) // an error where the Platform cannot be read
			if proof.Verdict != v1alpha1.Unknown || len(exposures(&proof)) > 0 {
				t.Errorf("got %s, %q", proof.Verdict, exposures(&proof))
			}
		})
	}
}

// singleRights are Rights, one verb on one resource at a time.
func singleRights() []rbacv1.PolicyRule {
	var single []rbacv1.PolicyRule
	for _, rule := range prover.Rights() {
		for _, resource := range rule.Resources {
			for _, verb := range rule.Verbs {
				single = append(single, rbacv1.PolicyRule{APIGroups: rule.APIGroups, Resources: []string{resource}, Verbs: []string{verb}})
			}
		}
	}
	return single
}

// A proof whose time runs out, before or between the questions, is Unknown.
func TestDeadlineMakesTheProofUnknown(t *testing.T) {
	f := enforced(t.Context(), t, "deadline", soft, v1alpha1.Owner{Kind: "User", Name: "jane"})
	await(t, completeProver(t), f, isolated)
	for _, after := range []int64{0, 1, 2, 10, 24} {
		ctx, cancel := context.WithCancel(t.Context())
		var sent atomic.Int64
		config := rest.CopyConfig(proverConfig)
		config.Wrap(func(next http.RoundTripper) http.RoundTripper {
			return roundTripper(func(r *http.Request) (*http.Response, error) {
				if sent.Add(1) > after {
					cancel()
				}
				return next.RoundTrip(r)
			})
		})
		p, err := prover.New(config, clock.RealClock{})
		must(t, err)
		proof, err := p.Prove(ctx, f.tenant, f.spaces, []string{f.foreign})
		if proof.Verdict != v1alpha1.Unknown || len(proof.Failures) == 0 || len(exposures(&proof)) > 0 {
			t.Errorf("cancelled after %d requests: %s, %q", after, proof.Verdict, proof.Failures)
		}
		if (err != nil) != (after == 0) {
			t.Errorf("cancelled after %d requests: error %v", after, err)
		}
		cancel()
	}
}

// Whatever an API server answers that is not the answer to the question, the proof is Unknown.
func TestStrangeAnswersMakeTheProofUnknown(t *testing.T) {
	tenant := &v1alpha1.Tenant{ObjectMeta: metav1.ObjectMeta{Name: "acme"}, Spec: v1alpha1.TenantSpec{Owners: []v1alpha1.Owner{{Kind: "User", Name: "jane"}}}}
	space := v1alpha1.Space{ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: "tenant-acme"}, Spec: v1alpha1.SpaceSpec{Workload: "web"}}
	space.Status.Namespace = "acme--web"
	for name, answer := range map[string]http.HandlerFunc{
		"internal errors":  func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "boom", http.StatusInternalServerError) },
		"forbidden":        func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusForbidden) },
		"unauthorized":     func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "who?", http.StatusUnauthorized) },
		"not found":        func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "gone", http.StatusNotFound) },
		"empty":            func(http.ResponseWriter, *http.Request) {},
		"not even JSON":    func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>a proxy</html>")) },
		"another object":   func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"kind":"Pod"}`)) },
		"moved":            func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/login", http.StatusFound) },
		"connection drops": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
				if strings.HasSuffix(r.URL.Path, "/platforms/platform") {
					rw.Header().Set("Content-Type", "application/json")
					_, _ = rw.Write([]byte(mustJSON(t, realPlatform())))
					return
				}
				answer(rw, r)
			}))
			defer server.Close()
			p, err := prover.New(&rest.Config{Host: server.URL, QPS: -1}, clock.RealClock{})
			must(t, err)
			proof, err := p.Prove(t.Context(), tenant, []v1alpha1.Space{space}, nil)
			must(t, err)
			if proof.Verdict != v1alpha1.Unknown {
				t.Errorf("got %s: %q", proof.Verdict, proof.Failures)
			}
		})
	}
}

// Plain impersonation would give the prover every user's rights, and a wildcard rights that were not reviewed.
func TestPlainImpersonationIsNotAskedFor(t *testing.T) {
	for _, rule := range prover.Rights() {
		if slices.Contains(rule.Verbs, "impersonate") || slices.Contains(rule.Verbs, "*") || slices.Contains(rule.Resources, "*") || slices.Contains(rule.APIGroups, "*") {
			t.Errorf("too much: %+v", rule)
		}
	}
}
