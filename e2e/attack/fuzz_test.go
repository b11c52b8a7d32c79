package attack_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/internal/attack/catalogue"
)

// itemOf a report.
func itemOf(t *testing.T, r *catalogue.Report, id string) *catalogue.ItemReport {
	t.Helper()
	i := slices.IndexFunc(r.Items, func(item catalogue.ItemReport) bool { return item.ID == id })
	if i < 0 {
		t.Fatalf("the report has no %s", id)
	}
	return &r.Items[i]
}

// Promise: whatever a tenant of Bulkhead's sends at random, of every kind and as every identity, nothing outside of its own changes, its
// proof is no worse and every danger of the dictionary is refused by its control, while harmless objects are accepted. Nothing is left.
func TestFuzz(t *testing.T) {
	settled(t)
	for _, test := range []struct {
		tenant, seed string
		without      []string
	}{
		{"newsroom", "1", []string{"danger/runtime"}},
		{"press", "2", nil}, // sandboxed, on nodes of its own, and its pods may have tokens
	} {
		code, r := report(t, test.tenant, "--suite", "fuzz", "--for", "12s", "--seed", test.seed)
		f := r.Fuzzed[0]
		t.Logf("seed %d: %d attempts, %d for real, %d accepted, %d objects compared", f.Seed, f.Attempts, f.Real, f.Accepted, f.Compared)
		complain(t, r)
		if code != 0 || r.Verdict != v1alpha1.Isolated {
			t.Errorf("exit %d, %s", code, r.Verdict)
		}
		if got := r.Unasked(); !slices.Equal(got, test.without) {
			t.Errorf("not tried: %q, want %q", got, test.without)
		}
		if f.Attempts < 500 || f.Real < 100 || f.Accepted < 50 || f.Kinds < 100 || f.Compared < 200 || f.Corpus < 200 || f.Proof.New != nil {
			t.Errorf("too little to judge by: %+v", f)
		}
		if refused := strings.Join(f.Refusals, ", "); !strings.Contains(refused, "RBAC x") || !strings.Contains(refused, "Pod Security x") || !strings.Contains(refused, "bulkhead-services x") {
			t.Errorf("refused by %s", refused)
		}
		nothingMarked(t)
	}
}

// settled waits until Bulkhead has nothing more to write about its tenants.
func settled(t *testing.T) {
	t.Helper()
	err := wait.PollUntilContextTimeout(t.Context(), 100*time.Millisecond, 2*time.Minute, true, func(ctx context.Context) (bool, error) {
		var tenants v1alpha1.TenantList
		if err := admin.List(ctx, &tenants); err != nil {
			return false, err
		}
		var reports v1alpha1.IsolationReportList
		if err := admin.List(ctx, &reports); err != nil {
			return false, err
		}
		return len(reports.Items) == len(tenants.Items) && !slices.ContainsFunc(tenants.Items, func(t v1alpha1.Tenant) bool {
			return !meta.IsStatusConditionTrue(t.Status.Conditions, v1alpha1.ConditionReady)
		}), nil
	})
	if err != nil {
		t.Fatalf("wait until all tenants are ready and proven: %v", err)
	}
}

// nothingMarked holds that no object of an attack's is there, in any namespace.
func nothingMarked(t *testing.T) {
	t.Helper()
	for kind, version := range map[string]string{"ConfigMap": "v1", "Secret": "v1", "Service": "v1", "ServiceAccount": "v1", "Pod": "v1", "Lease": "coordination.k8s.io/v1",
		"Deployment": "apps/v1", "Job": "batch/v1", "NetworkPolicy": "networking.k8s.io/v1"} {
		list := &metav1.PartialObjectMetadataList{TypeMeta: metav1.TypeMeta{Kind: kind + "List", APIVersion: version}}
		if err := admin.List(t.Context(), list, client.HasLabels{"bulkhead.dev/attack"}); err != nil {
			t.Fatal(err)
		}
		for _, o := range list.Items {
			if o.DeletionTimestamp.IsZero() {
				t.Errorf("%s %s/%s is left", kind, o.Namespace, o.Name)
			}
		}
	}
}

// mistaken gives jane rights that a tenant must not have.
func mistaken(t *testing.T, name string, rules ...rbacv1.PolicyRule) {
	t.Helper()
	role := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: name}, Rules: rules}
	binding := &rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: name}, Subjects: []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: "User", Name: "jane"}},
		RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: name}}
	for _, o := range []client.Object{role, binding} {
		if err := admin.Create(t.Context(), o); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = admin.Delete(context.Background(), o) })
	}
}

// Promise: with a loosened control, fuzzing finds what changed outside, reports Exposed, and removes it, though the tenant itself cannot.
func TestFuzzFindsAChangeOutside(t *testing.T) {
	mistaken(t, "fuzz-mistake", rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"configmaps"}, Verbs: []string{"create"}})
	code, r := report(t, "newsroom", "--identity", "user", "--suite", "fuzz", "--for", "1s", "--seed", "3")
	if code != 1 || r.Verdict != v1alpha1.Exposed {
		t.Errorf("exit %d, %s", code, r.Verdict)
	}
	for id, says := range map[string]string{"outside": "create configmaps", "unchanged": "it bears the run's trace"} {
		item := itemOf(t, r, id)
		if item.Verdict != v1alpha1.Exposed || !strings.Contains(item.Attempts[0].Detail, says) {
			t.Errorf("%s: %s: %v", id, item.Verdict, item.Attempts)
		}
	}
	found := false
	for _, c := range r.Fuzzed[0].Changes {
		found = found || c.Trace && strings.HasPrefix(c.Object, "configmaps ") && strings.Contains(c.Object, "/bulkhead-attack-")
	}
	if !found {
		t.Errorf("the change is not reported: %v", r.Fuzzed[0].Changes)
	}
	nothingMarked(t)
	var maps corev1.ConfigMapList
	if err := admin.List(t.Context(), &maps); err != nil {
		t.Fatal(err)
	}
	for i := range maps.Items {
		if strings.HasPrefix(maps.Items[i].Name, "bulkhead-attack-") {
			t.Errorf("%s/%s is left", maps.Items[i].Namespace, maps.Items[i].Name)
		}
	}
}

// Promise: with a tenant that no admission policy binds, fuzzing reports of every control of theirs that it does not hold, and that what
// Bulkhead manages can be changed.
func TestFuzzFindsWhatAdmissionLetsThrough(t *testing.T) {
	mistaken(t, "fuzz-exempt", rbacv1.PolicyRule{APIGroups: []string{v1alpha1.GroupVersion.Group}, Resources: []string{v1alpha1.ResourceGuardrails}, Verbs: []string{v1alpha1.VerbChange}})
	code, r := report(t, "newsroom", "--identity", "user", "--suite", "fuzz", "--for", "1s", "--seed", "4")
	if code != 1 {
		t.Errorf("exit %d, %s", code, r.Verdict)
	}
	for _, id := range []string{"managed", "danger/guardrail", "danger/network-default", "danger/network-metadata", "danger/rbac-escalate"} {
		if item := itemOf(t, r, id); item.Verdict != v1alpha1.Exposed {
			t.Errorf("%s: %s", id, item.Verdict)
		}
	}
	nothingMarked(t)
}
