package check_test

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/bulkhead-dev/bulkhead/internal/check"
	"github.com/bulkhead-dev/bulkhead/internal/install"
	"github.com/bulkhead-dev/bulkhead/internal/run"
)

// Promise: on a cluster that can enforce, every required check is fine, and only what the API cannot show is unknown.
func TestPreflightOfACapableCluster(t *testing.T) {
	findings, err := check.Cluster{Config: cluster.Config, Options: install.Options{Image: "any"}}.Preflight(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range findings {
		want := check.OK
		if f.Code == "BHC108" {
			want = check.Unknown
		}
		if f.State != want {
			t.Errorf("%s %s: %s %s, want %s", f.Code, f.Subject, f.State, f.Detail, want)
		}
	}
	if len(findings) != 11 {
		t.Errorf("%d findings, want 11", len(findings))
	}
	if missing := check.Missing(findings); len(missing) > 0 {
		t.Errorf("missing: %+v", missing)
	}
}

// Promise: a cluster that lacks something is said to, by name, with the controls that cannot hold; and what is
// required and missing keeps Bulkhead from being installed.
func TestPreflightOfAnIncapableCluster(t *testing.T) {
	config := incapable(t)
	findings, err := check.Cluster{Config: config, Options: install.Options{Image: "any"}}.Preflight(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	expect(t, findings, "BHC103", "MutatingAdmissionPolicy v1", check.Problem, "not served")
	expect(t, findings, "BHC104", "API priority and fairness", check.Problem, "off")
	expect(t, findings, "BHC105", "Authorization by RBAC", check.Problem, "may list every Secret")
	expect(t, findings, "BHC106", "Pod Security admission", check.Problem, "off")
	expect(t, findings, "BHC107", "NodeRestriction admission", check.Problem, "off")
	var codes []string
	for _, f := range check.Missing(findings) {
		codes = append(codes, f.Code)
	}
	if want := []string{"BHC103", "BHC105"}; !slices.Equal(codes, want) {
		t.Errorf("missing %v, want %v", codes, want)
	}
	for _, f := range of(findings, "BHC106") {
		if strings.Join(f.Controls, ",") != "pod-security" {
			t.Errorf("BHC106 names the controls %v", f.Controls)
		}
	}
}

// incapable starts an API server that allows every user everything and enforces nothing.
func incapable(t *testing.T) *rest.Config {
	t.Helper()
	assets := os.Getenv("KUBEBUILDER_ASSETS")
	if assets == "" {
		assets = filepath.Join("..", "..", "bin", "k8s")
	}
	env := &envtest.Environment{BinaryAssetsDirectory: assets, ControlPlaneStartTimeout: time.Minute}
	args := env.ControlPlane.GetAPIServer().Configure()
	args.Set("authorization-mode", "Node,RBAC")
	args.Set("disable-admission-plugins", "PodSecurity,ServiceAccount,MutatingAdmissionPolicy")
	args.Set("enable-priority-and-fairness", "false")
	args.Set("runtime-config", "admissionregistration.k8s.io/v1/mutatingadmissionpolicies=false")
	config, err := env.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := env.Stop(); err != nil {
			t.Error(err)
		}
	})
	c, err := install.NewClient(config)
	if err != nil {
		t.Fatal(err)
	}
	everything := &rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: "everything-for-everybody"},
		RoleRef:  rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "cluster-admin"},
		Subjects: []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.GroupKind, Name: "system:authenticated"}}}
	if err := c.Create(context.Background(), everything); err != nil {
		t.Fatal(err)
	}
	return config
}

// Promise: the missing rights of the user are reported before anything is written.
func TestPreflightNamesMissingRights(t *testing.T) {
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "somebody"}}
	create(t, account,
		&rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "test:almost"}, Rules: []rbacv1.PolicyRule{
			{APIGroups: []string{"*"}, Resources: []string{"*"}, Verbs: []string{"get", "list", "create"}},
		}},
		&rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: "test:almost"},
			RoleRef:  rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "test:almost"},
			Subjects: []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: "default", Name: "somebody"}}})
	token := &authenticationv1.TokenRequest{}
	if err := admin.SubResource("token").Create(context.Background(), account, token); err != nil {
		t.Fatal(err)
	}
	config := rest.AnonymousClientConfig(cluster.Config)
	config.BearerToken = token.Status.Token
	findings, err := check.Cluster{Config: config, Options: install.Options{Image: "any"}}.Preflight(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	expect(t, findings, "BHC121", "Your rights", check.Problem, "bind clusterrolebindings, bind rolebindings bulkhead-system, escalate clusterroles")
	expect(t, findings, "BHC121", "Your rights", check.Problem, "patch deployments bulkhead-system")
	// Who may not act as a kubelet cannot find out about NodeRestriction, and gets no answer that it is on.
	expect(t, findings, "BHC107", "NodeRestriction admission", check.Unknown, "cannot impersonate")
}

// Promise: an object of another owner under one of our names is named, and stops the installation.
func TestPreflightNamesWhatIsNotOurs(t *testing.T) {
	create(t, &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: run.RoleName}})
	findings, err := check.Cluster{Config: cluster.Config}.Preflight(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	expect(t, findings, "BHC122", "Names are free", check.Problem, "ClusterRole bulkhead (no label app.kubernetes.io/managed-by=bulkhead)")
	if missing := check.Missing(findings); len(missing) != 1 {
		t.Errorf("missing: %+v", missing)
	}
}

// Promise: network plugins are recognised, and yet never taken for proof.
func TestNetworkPluginIsNeverProof(t *testing.T) {
	create(t, daemonSet("kube-flannel-ds"))
	expect(t, all(t), "BHC108", "NetworkPolicy enforcement", check.Problem, "Flannel alone")
	create(t, daemonSet("calico-node"))
	expect(t, all(t), "BHC108", "NetworkPolicy enforcement", check.Unknown, "Calico (default/calico-node, 0 of 0 nodes ready) is there")
}

func daemonSet(name string) client.Object {
	labels := map[string]string{"app": name}
	return &appsv1.DaemonSet{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name}, Spec: appsv1.DaemonSetSpec{
		Selector: &metav1.LabelSelector{MatchLabels: labels},
		Template: corev1.PodTemplateSpec{
			ObjectMeta: metav1.ObjectMeta{Labels: labels},
			Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "any", Image: "any"}}},
		},
	}}
}

// Promise: a cluster that does not answer is an error, not a finding.
func TestUnreachableClusterIsAnError(t *testing.T) {
	config := rest.CopyConfig(cluster.Config)
	config.Host = "https://127.0.0.1:1"
	if findings, err := (check.Cluster{Config: config}).All(context.Background()); err == nil || !strings.Contains(err.Error(), "reach the API server at https://127.0.0.1:1") {
		t.Errorf("got %v and %v", findings, err)
	}
}
