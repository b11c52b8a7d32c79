// Package attack_test runs `bulkhead attack` against Bulkhead's own controllers and a real API server.
package attack_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	nodev1 "k8s.io/api/node/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/internal/attack/catalogue"
	"github.com/bulkhead-dev/bulkhead/internal/cli"
	"github.com/bulkhead-dev/bulkhead/internal/run"
	"github.com/bulkhead-dev/bulkhead/internal/testbulkhead"
	"github.com/bulkhead-dev/bulkhead/internal/testcluster"
)

var (
	cluster *testcluster.Cluster
	admin   client.Client
)

func TestMain(m *testing.M) { os.Exit(testcluster.Main(m, nil, prepare)) }

// prepare declares a platform with a tenant of each pattern that shares a cluster, and waits until Bulkhead has enforced all.
func prepare(ctx context.Context, c *testcluster.Cluster) (err error) {
	cluster = c
	if admin, err = client.New(cluster.Config, client.Options{Scheme: run.Scheme()}); err != nil {
		return err
	}
	if err := testbulkhead.Install(ctx, admin, declared()...); err != nil {
		return err
	}
	if _, err := testbulkhead.Start(ctx, cluster); err != nil {
		return err
	}
	for _, tenant := range []string{"newsroom", "press", "archive"} {
		if err := makeSpace(ctx, tenant); err != nil {
			return err
		}
	}
	return nil
}

func declared() []client.Object {
	platform := &v1alpha1.Platform{
		ObjectMeta: metav1.ObjectMeta{Name: v1alpha1.PlatformName},
		Spec: v1alpha1.PlatformSpec{
			Environment: "Production", Registries: []string{"registry.example.com"}, StorageClasses: []string{"fast"}, SandboxRuntimes: []string{"gvisor"},
			SchedulerNames: []string{"default-scheduler"}, ProofFreshness: metav1.Duration{Duration: time.Hour},
			Network:    v1alpha1.PlatformNetwork{PodCIDRs: []string{"10.244.0.0/16"}, ServiceCIDRs: []string{"10.0.0.0/24"}},
			NodeGroups: []v1alpha1.NodeGroup{{Name: "press", NodeLabels: map[string]string{"pool": "press"}, Tenant: "press"}},
		},
	}
	node := func(name, pool string) client.Object {
		return &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{corev1.LabelHostname: name, "pool": pool}}}
	}
	tenant := func(name string, workload v1alpha1.Workload, owners ...v1alpha1.Owner) client.Object {
		workload.Name, workload.Environment = "web", "Production"
		return &v1alpha1.Tenant{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: v1alpha1.TenantSpec{
			Owners: owners, Boundary: "Inside", Workloads: []v1alpha1.Workload{workload}, IngressHosts: []string{name + ".example.com"},
			Quota: corev1.ResourceList{corev1.ResourceRequestsCPU: resource.MustParse("4"), corev1.ResourceRequestsMemory: resource.MustParse("8Gi"),
				corev1.ResourcePods: resource.MustParse("20"), corev1.ResourceRequestsStorage: resource.MustParse("10Gi")},
		}}
	}
	return []client.Object{
		platform, node("shared", "shared"), node("dedicated", "press"),
		&nodev1.RuntimeClass{ObjectMeta: metav1.ObjectMeta{Name: "gvisor"}, Handler: "runsc"},
		&storagev1.StorageClass{ObjectMeta: metav1.ObjectMeta{Name: "fast"}, Provisioner: "example.invalid/none", ReclaimPolicy: new(corev1.PersistentVolumeReclaimDelete)},
		tenant("newsroom", v1alpha1.Workload{Code: "Audited"}, v1alpha1.Owner{Kind: "User", Name: "jane"}, v1alpha1.Owner{Kind: "Group", Name: "newsroom"}),
		tenant("press", v1alpha1.Workload{Code: "ThirdParty", Performance: "Guaranteed", APIAccess: "OwnNamespaces"}, v1alpha1.Owner{Kind: "User", Name: "joe"}),
		tenant("archive", v1alpha1.Workload{Code: "Audited"}, v1alpha1.Owner{Kind: "ServiceAccount", Namespace: "ci", Name: "deployer"}),
	}
}

// makeSpace asks for the tenant's Space and waits until it is enforced.
func makeSpace(ctx context.Context, tenant string) error {
	home := v1alpha1.HomeNamespace(tenant)
	space := &v1alpha1.Space{ObjectMeta: metav1.ObjectMeta{Namespace: home, Name: "web"}, Spec: v1alpha1.SpaceSpec{Workload: "web"}}
	var last error
	err := wait.PollUntilContextTimeout(ctx, 100*time.Millisecond, 2*time.Minute, true, func(ctx context.Context) (bool, error) {
		if space.UID == "" {
			last = admin.Create(ctx, space) // as soon as the home namespace is there
			return false, nil
		}
		last = admin.Get(ctx, client.ObjectKeyFromObject(space), space)
		return last == nil && meta.IsStatusConditionTrue(space.Status.Conditions, v1alpha1.ConditionEnforced), nil
	})
	if err != nil {
		return fmt.Errorf("wait for the Space of %s: %w (%w): %+v", tenant, err, last, space.Status.Conditions)
	}
	return nil
}

// bulkheadAttack runs the command line.
func bulkheadAttack(t *testing.T, args ...string) (code int, out, errOut string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	progress := io.Writer(&stderr)
	if os.Getenv("BULKHEAD_TEST_LOG") != "" {
		progress = io.MultiWriter(&stderr, os.Stderr)
	}
	code = cli.Main(append([]string{"attack", "--kubeconfig", cluster.Kubeconfig, "--qps", "1000"}, args...), strings.NewReader(""), &stdout, progress)
	return code, stdout.String(), stderr.String()
}

func report(t *testing.T, args ...string) (int, *catalogue.Report) {
	t.Helper()
	code, out, errOut := bulkheadAttack(t, append(args, "-o", "json")...)
	var r catalogue.Report
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		t.Fatalf("exit %d: %v\n%s\n%s", code, err, out, errOut)
	}
	return code, &r
}

func complain(t *testing.T, r *catalogue.Report) {
	t.Helper()
	for _, item := range r.Items {
		for _, a := range item.Attempts {
			if a.Verdict != v1alpha1.Isolated {
				t.Errorf("%s: %s of %s as %s: %s: %s", item.ID, a.Attack, a.Tenant, a.As, a.Verdict, a.Detail)
			}
		}
	}
}

// passed are the items of a report that hold.
func passed(r *catalogue.Report) []string {
	var ids []string
	for _, item := range r.Items {
		if item.Verdict == v1alpha1.Isolated {
			ids = append(ids, item.ID)
		}
	}
	return ids
}

// Promise: a platform of Bulkhead's passes the 24 multi-tenancy benchmarks for every pattern that shares a cluster; an unguarded namespace
// with the ClusterRole admin passes those that RBAC alone answers, and is gone afterwards.
func TestBenchmark(t *testing.T) {
	code, r := report(t, "--suite", "mtb", "--compare-unguarded")
	complain(t, r)
	if n := len(passed(r)); code != 0 || n != 24 || len(r.Items) != 24 {
		t.Errorf("exit %d, %d of %d passed", code, n, len(r.Items))
	}
	if want := []string{"archive", "newsroom", "press"}; !slices.Equal(r.Tenants, want) {
		t.Errorf("attacked with %q, want %q", r.Tenants, want)
	}
	if r.Unguarded == nil {
		t.Fatal("no unguarded namespace was compared with")
	}
	suite, _ := catalogue.SuiteByName("mtb")
	for i, item := range r.Unguarded.Items {
		want := suite.Items[i].Unguarded
		if want == "" {
			want = v1alpha1.Exposed
		}
		if item.Verdict != want {
			t.Errorf("the unguarded namespace is %s of %s, want %s", item.Verdict, item.ID, want)
		}
	}
	nothingLeft(t)
}

// nothingLeft holds that no namespace of an attack's is there, other than one that goes.
func nothingLeft(t *testing.T) {
	t.Helper()
	var namespaces corev1.NamespaceList
	if err := admin.List(t.Context(), &namespaces, client.HasLabels{"bulkhead.dev/attack"}); err != nil {
		t.Fatal(err)
	}
	for _, n := range namespaces.Items {
		if n.DeletionTimestamp.IsZero() {
			t.Errorf("namespace %s is left", n.Name)
		}
	}
}

// Promise: every incident that was published is refused here, and the report has its story.
func TestIncidents(t *testing.T) {
	code, r := report(t, "newsroom", "--suite", "incidents", "--against", "press")
	complain(t, r)
	if n := len(passed(r)); code != 0 || n != len(r.Items) || n < 9 {
		t.Errorf("exit %d, %d of %d passed", code, n, len(r.Items))
	}
	for _, item := range r.Items {
		if len(item.Story) < 100 {
			t.Errorf("%s has no story", item.ID)
		}
	}
}

// Promise: a right too many makes the exit code 1 and is named with its control; the other formats say the same.
func TestExposureIsNamed(t *testing.T) {
	role := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "mistake"}, Rules: []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{"nodes"}, Verbs: []string{"list"}}}}
	binding := &rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: "mistake"}, Subjects: []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: "User", Name: "jane"}},
		RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "mistake"}}
	for _, o := range []client.Object{role, binding} {
		if err := admin.Create(t.Context(), o); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = admin.Delete(context.Background(), o) })
	}
	code, r := report(t, "newsroom", "--identity", "user", "--suite", "mtb")
	if code != 1 || r.Verdict != v1alpha1.Exposed {
		t.Errorf("exit %d, %s", code, r.Verdict)
	}
	if got := passed(r); len(got) != 23 || slices.Contains(got, "MTB-PL1-CC-CPI-1") {
		t.Errorf("passed: %q", got)
	}
	for _, format := range []string{"table", "junit", "markdown"} {
		code, out, _ := bulkheadAttack(t, "newsroom", "--identity", "user", "--suite", "mtb", "-o", format)
		if code != 1 || !strings.Contains(out, "MTB-PL1-CC-CPI-1") {
			t.Errorf("-o %s: exit %d\n%s", format, code, out)
		}
	}
}

// Promise: an attack that cannot be made is no answer: exit code 3, and what to do.
func TestWrongUse(t *testing.T) {
	for _, test := range []struct{ args, says string }{
		{"nobody", "there is no Tenant nobody"},
		{"newsroom --against nobody", "there is no Tenant nobody"},
		{"newsroom --against newsroom", "that is the tenant itself"},
		{"newsroom --suite none", "choose one of controls, mtb, incidents"},
		{"newsroom --identity root", "choose user, group, serviceaccount or all"},
		{"newsroom --qps 0", "give a number above 0"},
	} {
		code, out, errOut := bulkheadAttack(t, strings.Fields(test.args)...)
		if code != 3 || out != "" || !strings.Contains(errOut, test.says) {
			t.Errorf("%s: exit %d, %q, %q", test.args, code, out, errOut)
		}
	}
}
