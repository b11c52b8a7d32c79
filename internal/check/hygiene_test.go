package check_test

import (
	"context"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/internal/check"
)

// labelled is a namespace as Bulkhead makes them. Namespaces of a test cluster are never quite deleted, so each test
// has names of its own.
func labelled(name string, labels map[string]string) *corev1.Namespace {
	labels[v1alpha1.LabelManagedBy] = v1alpha1.ManagedBy
	return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}}
}

// Promise: a managed namespace whose Tenant or Space is gone is found; one that is declared, or not Bulkhead's, is not.
func TestOrphans(t *testing.T) {
	ctx := context.Background()
	create(t, newTenant("or-here"))
	for _, namespace := range []*corev1.Namespace{
		labelled("tenant-or-here", map[string]string{v1alpha1.LabelTenant: "or-here"}),
		labelled("or-here--declared", map[string]string{v1alpha1.LabelTenant: "or-here", v1alpha1.LabelSpace: "declared"}),
		labelled("or-here--gone", map[string]string{v1alpha1.LabelTenant: "or-here", v1alpha1.LabelSpace: "gone"}),
		labelled("tenant-or-gone", map[string]string{v1alpha1.LabelTenant: "or-gone"}),
		{ObjectMeta: metav1.ObjectMeta{Name: "or-foreign"}},
	} {
		if err := admin.Create(ctx, namespace); err != nil {
			t.Fatal(err)
		}
	}
	create(t, &v1alpha1.Space{ObjectMeta: metav1.ObjectMeta{Namespace: "tenant-or-here", Name: "declared"}, Spec: v1alpha1.SpaceSpec{Workload: "web"}})
	findings := all(t)
	expect(t, findings, "BHC401", "Namespace or-here--gone", check.Problem, "its Space tenant-or-here/gone does not exist")
	expect(t, findings, "BHC401", "Namespace tenant-or-gone", check.Problem, "its Tenant or-gone does not exist")
	for _, fine := range []string{"tenant-or-here", "or-here--declared", "or-foreign"} {
		absent(t, findings, "BHC401", "Namespace "+fine)
	}
	expect(t, findings, "BHC302", "Space tenant-or-here/declared", check.Unknown, "no controller has reconciled it yet")
}

// Promise: waivers are judged by where they are in force, not by what their status says: one that is over and still in
// force is a problem, as is one that does not exist.
func TestWaivers(t *testing.T) {
	ctx := context.Background()
	waiver := func(name string, expires time.Duration) *v1alpha1.Waiver {
		return &v1alpha1.Waiver{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: v1alpha1.WaiverSpec{
			Control: "images", Tenant: "wv", Workload: "web", Reason: "a reason that is long enough", Approver: "security",
			Expires: metav1.NewTime(time.Now().Add(expires)),
		}}
	}
	// None is made when it is over already, so two are over in a moment, by the whole seconds that the API keeps.
	const moment = 2 * time.Second
	create(t, waiver("wv-active", time.Hour), waiver("wv-over", moment), waiver("wv-hole", moment), waiver("wv-unused", time.Hour))
	over := time.Now().Add(moment)
	for name, by := range map[string]string{"wv--active": "wv-active", "wv--hole": "wv-hole", "wv--ghost": "wv-ghost"} {
		namespace := labelled(name, map[string]string{
			v1alpha1.LabelTenant: "wv", v1alpha1.LabelPattern: "Soft", v1alpha1.WaiverPrefix + "images": by,
		})
		if err := admin.Create(ctx, namespace); err != nil {
			t.Fatal(err)
		}
	}
	time.Sleep(time.Until(over) + time.Second)
	findings, err := check.Cluster{Config: cluster.Config, Skew: time.Millisecond}.All(ctx)
	if err != nil {
		t.Fatal(err)
	}
	expect(t, findings, "BHC402", "Waiver wv-active", check.Note, "images for wv/web is suspended in wv--active until")
	expect(t, findings, "BHC402", "Waiver wv-over", check.Note, "has expired and is not in force")
	expect(t, findings, "BHC402", "Waiver wv-hole", check.Problem, "ago and is still in force in wv--hole")
	expect(t, findings, "BHC402", "Waiver wv-unused", check.Note, "in force nowhere")
	expect(t, findings, "BHC402", "Waiver wv-ghost", check.Problem, "does not exist, and is in force in wv--ghost")
}

// Promise: a ClusterRoleBinding that reaches a tenant's owner is found, by whichever of its identities; Kubernetes' own
// bindings to everybody are known and quiet.
func TestClusterWideGrants(t *testing.T) {
	tenant := newTenant("gr")
	tenant.Spec.Owners = []v1alpha1.Owner{
		{Kind: "User", Name: "gr-jane"}, {Kind: "Group", Name: "gr-team"}, {Kind: "ServiceAccount", Name: "gr-bot", Namespace: "gr-ci"},
	}
	create(t, tenant)
	if found := of(all(t), "BHC403"); len(found) != 1 || found[0].State != check.OK {
		t.Fatalf("before any grant: %+v", found)
	}
	for _, test := range []struct {
		name    string
		subject rbacv1.Subject
		words   string
	}{
		{"by-user", rbacv1.Subject{Kind: "User", Name: "gr-jane"}, "user gr-jane (an owner of tenant gr)"},
		{"by-group", rbacv1.Subject{Kind: "Group", Name: "gr-team"}, "group gr-team (an owner of tenant gr)"},
		{"by-account", rbacv1.Subject{Kind: "ServiceAccount", Name: "gr-bot", Namespace: "gr-ci"}, "serviceaccount gr-bot (an owner of tenant gr)"},
		{"by-account-as-user", rbacv1.Subject{Kind: "User", Name: "system:serviceaccount:gr-ci:gr-bot"}, "(an owner of tenant gr)"},
		{"by-namespace", rbacv1.Subject{Kind: "Group", Name: "system:serviceaccounts:gr-ci"}, "(an owner of tenant gr)"},
		{"by-everybody", rbacv1.Subject{Kind: "Group", Name: "system:authenticated"}, "(everybody)"},
		{"by-somebody-else", rbacv1.Subject{Kind: "ServiceAccount", Name: "gr-bot", Namespace: "other"}, ""},
	} {
		if test.subject.Kind != "ServiceAccount" {
			test.subject.APIGroup = rbacv1.GroupName
		}
		create(t, &rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: "gr-" + test.name},
			RoleRef:  rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "view"},
			Subjects: []rbacv1.Subject{test.subject}})
		if test.words == "" {
			absent(t, all(t), "BHC403", "ClusterRoleBinding gr-"+test.name)
			continue
		}
		expect(t, all(t), "BHC403", "ClusterRoleBinding gr-"+test.name, check.Problem, "gives ClusterRole view to ")
		expect(t, all(t), "BHC403", "ClusterRoleBinding gr-"+test.name, check.Problem, test.words)
	}
}
