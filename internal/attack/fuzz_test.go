package attack

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/hostile"
	"github.com/bulkhead-dev/bulkhead/internal/attack/catalogue"
	"github.com/bulkhead-dev/bulkhead/internal/attack/engine"
	"github.com/bulkhead-dev/bulkhead/internal/attack/fuzz"
)

// Promise: the comparison reports every change outside the tenant's own and of what Bulkhead keeps in the tenant's namespaces, that
// with the run's trace as an exposure; and it passes over what changes by itself, and nothing else of the same object.
func TestComparison(t *testing.T) {
	f := enforced(t.Context(), t, "try-compare", soft, v1alpha1.Owner{Kind: "User", Name: "try-compare-jane"})
	target := declared(t.Context(), t, f)
	ctx := t.Context()
	foreign := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: f.foreign, Name: "foreign"}, Data: map[string]string{"a": "b"}}
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: f.foreign, Name: "secret"}}
	// With a field to begin with: of an object that had none, the API server notes no writers later on.
	lease := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: f.foreign, Name: "lease"}, Spec: coordinationv1.LeaseSpec{HolderIdentity: new("x")}}
	own := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: f.namespace(), Name: "own"}}
	earlier := &v1alpha1.IsolationReport{ObjectMeta: metav1.ObjectMeta{Name: "try-compare-rival", Labels: map[string]string{"a": "b"}}, Time: metav1.Now(), Verdict: v1alpha1.Exposed,
		Findings: []v1alpha1.IsolationFinding{{Code: "BH2001", Verdict: v1alpha1.Exposed, Severity: "High", What: "an object of an earlier run"}}}
	for _, o := range []client.Object{foreign, secret, lease, own, earlier} {
		must(t, admin.Create(ctx, o))
	}
	eventually(ctx, t, "the foreign namespace has what each gets", func(ctx context.Context) (bool, error) {
		account := admin.Get(ctx, client.ObjectKey{Namespace: f.foreign, Name: "default"}, &corev1.ServiceAccount{})
		return account == nil && admin.Get(ctx, client.ObjectKey{Namespace: f.foreign, Name: "kube-root-ca.crt"}, &corev1.ConfigMap{}) == nil, client.IgnoreNotFound(account)
	})
	patch := func(o client.Object, body string) func(*testing.T) {
		return func(t *testing.T) {
			must(t, admin.Patch(ctx, o, client.RawPatch("application/merge-patch+json", []byte(body))))
		}
	}
	then := func(steps ...func(*testing.T)) func(*testing.T) {
		return func(t *testing.T) {
			for _, step := range steps {
				step(t)
			}
		}
	}
	policy := &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: f.namespace(), Name: v1alpha1.NetworkDefaultName}}
	for _, test := range []struct {
		name   string
		change func(*testing.T)
		want   v1alpha1.Verdict
		says   string
	}{
		{"nothing", func(*testing.T) {}, v1alpha1.Isolated, ""},
		{"made with the run's name", func(t *testing.T) {
			must(t, admin.Create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: f.foreign, Name: "made"}, Data: map[string]string{"x": "a try-compare-run b"}}))
		}, v1alpha1.Exposed, "configmaps try-compare-rival--web/made was made"},
		{"made by the attacks' field manager", func(t *testing.T) {
			must(t, admin.Create(ctx, &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "try-compare", Labels: map[string]string{"a": "b"}}}, client.FieldOwner(v1alpha1.AttackName)))
		}, v1alpha1.Exposed, "clusterroles.rbac.authorization.k8s.io try-compare was made, written by bulkhead-attack"},
		{"changed by an unknown user", patch(foreign, `{"data":{"a":"c"}}`), v1alpha1.Unknown, "configmaps try-compare-rival--web/foreign was changed"},
		{"changed and changed back", then(patch(foreign, `{"data":{"a":"d"}}`), patch(foreign, `{"data":{"a":"c"}}`)), v1alpha1.Unknown, "was written, and reads as before"},
		{"a Secret's contents", patch(secret, `{"stringData":{"a":"c"}}`), v1alpha1.Unknown, "secrets try-compare-rival--web/secret was written, and reads as before"},
		{"a label of the tenant's namespace", patch(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: f.namespace()}}, `{"metadata":{"labels":{"a":"b"}}}`), v1alpha1.Unknown, "namespaces try-compare--web was changed"},
		{"what Bulkhead keeps in the tenant's namespace", patch(policy, `{"spec":{"policyTypes":["Ingress"]}}`), v1alpha1.Unknown, "networkpolicies.networking.k8s.io try-compare--web/bulkhead-default was changed"},
		{"a lease that is renewed", patch(lease, `{"spec":{"renewTime":"2026-01-01T00:00:00.000000Z"}}`), v1alpha1.Isolated, ""},
		{"a lease that is changed", patch(lease, `{"spec":{"leaseDurationSeconds":9}}`), v1alpha1.Unknown, "leases.coordination.k8s.io try-compare-rival--web/lease was changed"},
		{"a lease that the attacks renew", func(t *testing.T) {
			must(t, admin.Patch(ctx, lease, client.RawPatch("application/merge-patch+json", []byte(`{"spec":{"holderIdentity":"me"}}`)), client.FieldOwner(v1alpha1.AttackName)))
		}, v1alpha1.Exposed, "leases.coordination.k8s.io try-compare-rival--web/lease was written"},
		{"a report of an earlier run's objects that is made anew", patch(earlier, `{"verdict":"Isolated","exposed":0,"findings":null,"time":"2026-01-01T00:00:00Z"}`), v1alpha1.Isolated, ""},
		{"a report that the attacks write", func(t *testing.T) {
			must(t, admin.Patch(ctx, earlier, client.RawPatch("application/merge-patch+json", []byte(`{"verdict":"Unknown"}`)), client.FieldOwner(v1alpha1.AttackName)))
		}, v1alpha1.Exposed, "isolationreports.bulkhead.dev try-compare-rival was written"},
		{"the tenant's own", patch(own, `{"data":{"a":"try-compare-run"}}`), v1alpha1.Isolated, ""},
		{"gone", func(t *testing.T) { must(t, admin.Delete(ctx, foreign)) }, v1alpha1.Unknown, "configmaps try-compare-rival--web/foreign is gone"},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := newRunner(t, "try-compare-run")
			z, err := fuzz.NewSession(ctx, r, target, 1)
			must(t, err)
			before, started := z.TakeInventory(ctx), time.Now()
			test.change(t)
			z.Compare(ctx, before, started, unworse)
			got := z.Item(&catalogue.Item{ID: "unchanged"})
			text := ""
			for _, a := range got.Attempts {
				text += a.Detail + "\n"
			}
			if got.Verdict != test.want || !strings.Contains(text, test.says) || got.Tried < 100 {
				t.Errorf("%s of %d objects: %s", got.Verdict, got.Tried, text)
			}
		})
	}
}

func unworse(context.Context) (*catalogue.Judgement, error) {
	return &catalogue.Judgement{Verdict: v1alpha1.Isolated}, nil
}

// Promise: a kind that cannot be listed makes the comparison Unknown, and a proof that is worse, or missing, is reported.
func TestWhatIsNotComparedIsUnknown(t *testing.T) {
	f := enforced(t.Context(), t, "try-blind", soft, v1alpha1.Owner{Kind: "User", Name: "try-blind-jane"})
	target := declared(t.Context(), t, f)
	config, err := identity(t.Context(), "blind-fuzzer", []rbacv1.PolicyRule{
		{APIGroups: []string{v1alpha1.GroupVersion.Group}, Resources: []string{"tenants", "spaces", "platforms"}, Verbs: []string{"get", "list"}},
		{APIGroups: []string{""}, Resources: []string{"configmaps"}, Verbs: []string{"get", "list"}}})
	must(t, err)
	r, err := engine.NewRunner(config, "try-blind")
	must(t, err)
	z, err := fuzz.NewSession(t.Context(), r, target, 1)
	must(t, err)
	z.Compare(t.Context(), z.TakeInventory(t.Context()), time.Now(), unworse)
	if got := z.Item(&catalogue.Item{ID: "unchanged"}); got.Verdict != v1alpha1.Unknown || !strings.Contains(got.Attempts[0].Detail, "the listing is incomplete") {
		t.Errorf("without the right to list: %s: %v", got.Verdict, got.Attempts)
	}
	for name, test := range map[string]struct {
		after func(context.Context) (*catalogue.Judgement, error)
		want  v1alpha1.Verdict
	}{
		"no worse": {unworse, v1alpha1.Isolated},
		"worse": {func(context.Context) (*catalogue.Judgement, error) {
			return &catalogue.Judgement{Verdict: v1alpha1.Exposed, New: []string{"BH1: x"}}, nil
		}, v1alpha1.Exposed},
		"failed": {func(context.Context) (*catalogue.Judgement, error) { return nil, errors.New("no answer") }, v1alpha1.Unknown},
		"none":   {func(context.Context) (*catalogue.Judgement, error) { return nil, nil }, v1alpha1.Unknown},
	} {
		z, err := fuzz.NewSession(t.Context(), r, target, 1)
		must(t, err)
		z.Compare(t.Context(), &fuzz.Inventory{}, time.Now(), test.after)
		if got := z.Item(&catalogue.Item{ID: "proof"}); got.Verdict != test.want {
			t.Errorf("%s: %s", name, got.Verdict)
		}
	}
}

// Promise: a fuzzed run that is broken off leaves nothing behind and says unknown; the next one removes what a killed one left.
func TestFuzzingBrokenOff(t *testing.T) {
	f := enforced(t.Context(), t, "try-fuzz", soft, v1alpha1.Owner{Kind: "User", Name: "try-fuzz-jane"})
	target := declared(t.Context(), t, f)
	await(t, completeProver(t), f, isolated)
	subject, err := hostile.OwnerSubject(f.tenant.Spec.Owners[0])
	must(t, err)
	left := map[string]any{"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": map[string]any{"generateName": v1alpha1.AttackPrefix, "labels": map[string]any{v1alpha1.LabelAttack: "killed"}}}
	request := &hostile.Request{Group: "coordination.k8s.io", Version: "v1", Namespace: f.namespace(), Resource: "leases", Body: left}
	if answer, _ := newRunner(t, "killed").Server.Send(t.Context(), &subject, request, false); !answer.Allowed {
		t.Fatal(answer)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r := newRunner(t, "fuzz-broken-off")
	made := 0
	r.Progress = func(done, _ int, _ string) {
		if made = done; done == 60 {
			cancel()
		}
	}
	report, err := fuzz.Run(ctx, r, target, &fuzz.Options{Seed: 1, For: time.Hour, Before: func(context.Context) error { return nil }, After: unworse})
	must(t, err)
	if report.Verdict != v1alpha1.Unknown || made != 60 || report.Fuzzed[0].Real < 10 {
		t.Errorf("%s after %d attempts, %d of them for real", report.Verdict, made, report.Fuzzed[0].Real)
	}
	nothingLeft(t, f)
}
