// Package policy_test asks a real API server what Bulkhead's admission policies allow and refuse.
package policy_test

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/guardrail"
	"github.com/bulkhead-dev/bulkhead/internal/testcluster"
)

// Clients of one control plane that all tests of this package share.
var (
	admin    client.Client
	bulkhead client.Client
	config   *rest.Config
	auditLog string
)

// auditRules keep the audit log to the one test that reads it.
const auditRules = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
  namespaces: [audited--space]
- level: None
`

// platform of the tests: every list has something on it, and the one that matters most for cost is as long as can be.
func platform() *v1alpha1.Platform {
	registries := []string{"registry.example.com", "docker.io/friends", "mirror.example.com/library/", "zz-registry.example.com/" + long(200)}
	for i := len(registries); i < 64; i++ {
		registries = append(registries, fmt.Sprintf("zz-registry.example.com/%s-%d", long(200), i))
	}
	return &v1alpha1.Platform{Spec: v1alpha1.PlatformSpec{
		Registries:      registries,
		StorageClasses:  []string{"fast"},
		ExternalNames:   []string{"example.com"},
		Annotations:     []string{"prometheus.io", "nginx.ingress.kubernetes.io/rewrite-target"},
		PriorityClasses: []string{"tenant-high", "tenant-pushy"},
		SchedulerNames:  []string{"default-scheduler"},
		Tolerations:     []v1alpha1.TaintToleration{{Key: "gpu"}, {Key: "pool", Value: "spot", Effect: "NoSchedule"}},
		SandboxRuntimes: []string{"gvisor"},
	}}
}

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "bulkhead-policy-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	auditLog = filepath.Join(dir, "audit.log")
	rules := filepath.Join(dir, "audit.yaml")
	if err := os.WriteFile(rules, []byte(auditRules), 0o600); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	cluster, err := testcluster.Start("audit-policy-file="+rules, "audit-log-path="+auditLog,
		"runtime-config=scheduling.k8s.io/v1alpha3=true", // which some of the gates need
		// Without them the API server drops fields that are attacked.
		"feature-gates=CrossNamespaceVolumeDataSource=true,GenericWorkload=true,EvictionRequestAPI=true,WorkloadWithJob=true")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	ctx, cancel := context.WithCancel(context.Background())
	err = prepare(ctx, cluster)
	code := 1
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	} else {
		code = m.Run()
	}
	cancel()
	if err := cluster.Stop(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

func prepare(ctx context.Context, cluster *testcluster.Cluster) error {
	if err := cluster.StartControllerManager(ctx); err != nil {
		return err
	}
	config = cluster.Config
	var err error
	if admin, err = clientAs(""); err != nil {
		return err
	}
	if bulkhead, err = clientAs(v1alpha1.ControllerUser, v1alpha1.ControllerGroup); err != nil {
		return err
	}
	if err := grant(ctx); err != nil {
		return err
	}
	if err := makeClasses(ctx); err != nil {
		return err
	}
	objects := guardrail.Policies(platform())
	for _, o := range guardrail.Cluster(platform()) {
		if _, isRole := o.(*rbacv1.ClusterRole); isRole {
			objects = append(objects, o)
		}
	}
	for _, o := range objects {
		if err := apply(ctx, admin, o); err != nil {
			return err
		}
	}
	return waitEnforced(ctx)
}

// grant gives Bulkhead's identity every right, far more than it has: what it is refused, admission refuses by itself.
func grant(ctx context.Context) error {
	return admin.Create(ctx, &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "test-bulkhead"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "cluster-admin"},
		Subjects: []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: "Group", Name: v1alpha1.ControllerGroup},
			{APIGroup: rbacv1.GroupName, Kind: "User", Name: v1alpha1.ControllerUser}},
	})
}

// clientAs impersonates a user; the empty user is system:masters.
func clientAs(user string, groups ...string) (client.Client, error) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme, apiextensionsv1.AddToScheme} {
		if err := add(scheme); err != nil {
			return nil, err
		}
	}
	c := rest.CopyConfig(config)
	c.WarningHandler = rest.NoWarnings{} // the tests ask for things that are out of fashion
	if user != "" {
		c.Impersonate = rest.ImpersonationConfig{UserName: user, Groups: append(groups, "system:authenticated")}
	}
	return client.New(c, client.Options{Scheme: scheme})
}

// apply writes an object as Bulkhead does.
func apply(ctx context.Context, c client.Client, o guardrail.Object) error {
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(o)
	if err != nil {
		return err
	}
	u := unstructuredFrom(content)
	err = c.Apply(ctx, client.ApplyConfigurationFromUnstructured(u), client.FieldOwner(v1alpha1.ManagedBy), client.ForceOwnership)
	if err != nil {
		return fmt.Errorf("apply %s %s: %w", u.GetKind(), u.GetName(), err)
	}
	return nil
}

// waitEnforced waits until the API server has every policy at work: it learns of them by watches and compiles them once
// a second. The probes stand for all: the first and the last that were written, and those that nothing else waits for.
func waitEnforced(ctx context.Context) error {
	if err := makeSpace(ctx, "probe", "space", nil, nil); err != nil {
		return err
	}
	owner, err := ownerOf(ctx, "probe", "space")
	if err != nil {
		return err
	}
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "probe--space"}}
	labelled := func(key, value string) client.Object {
		return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: ns.Name, Name: "x", Labels: map[string]string{key: value}}}
	}
	create := func(o client.Object) func(context.Context) error {
		return func(ctx context.Context) error { return owner.Create(ctx, o, client.DryRunAll) }
	}
	probes := map[string]func(context.Context) error{
		"pod-bounds":      create(spoiled(ns.Name, func(s *corev1.PodSpec) { s.TerminationGracePeriodSeconds = ptr(int64(1 << 20)) })), // the last that is written
		"images":          create(spoiled(ns.Name, func(s *corev1.PodSpec) { s.Containers[0].Image = "nginx" })),
		"node-affinity":   create(spoiled(ns.Name, func(s *corev1.PodSpec) { s.NodeSelector = map[string]string{v1alpha1.LabelNodeTenant: "x"} })),
		"role-bindings":   create(roleBinding(ns.Name, "ClusterRole", "edit")),
		"managed-objects": create(labelled(v1alpha1.LabelManagedBy, v1alpha1.ManagedBy)),
		"owned-labels":    create(labelled(v1alpha1.LabelTenant, "other")),
		"controller": func(ctx context.Context) error {
			return bulkhead.Create(ctx, roleBinding("default", "ClusterRole", v1alpha1.RoleOwner), client.DryRunAll)
		},
		"namespaces": func(ctx context.Context) error { return admin.Delete(ctx, ns, client.DryRunAll) },
		"definitions": func(ctx context.Context) error {
			crd := &apiextensionsv1.CustomResourceDefinition{ObjectMeta: metav1.ObjectMeta{Name: "spaces.bulkhead.dev"}}
			return admin.Delete(ctx, crd, client.DryRunAll)
		},
	}
	for policy, probe := range probes {
		var last error
		err := wait.PollUntilContextTimeout(ctx, 50*time.Millisecond, 30*time.Second, true, func(ctx context.Context) (bool, error) {
			last = probe(ctx)
			return refusedBy(last) == policy, nil
		})
		if err != nil {
			return fmt.Errorf("policy %s is not enforced: %w; the last answer: %w", policy, err, last)
		}
	}
	return nil
}

// makeSpace makes a Space's namespace as Bulkhead does: with all its marks at once.
func makeSpace(ctx context.Context, tenant, space string, labels, annotations map[string]string) error {
	name := v1alpha1.SpaceNamespace(tenant, space)
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: annotations, Labels: map[string]string{
		v1alpha1.LabelManagedBy:              v1alpha1.ManagedBy,
		v1alpha1.LabelTenant:                 tenant,
		v1alpha1.LabelSpace:                  space,
		v1alpha1.LabelPattern:                "Soft",
		"pod-security.kubernetes.io/enforce": "restricted",
	}}}
	maps.Copy(ns.Labels, labels)
	if err := bulkhead.Create(ctx, ns); err != nil {
		return fmt.Errorf("make namespace %s: %w", name, err)
	}
	// Pods need their service account, which kube-controller-manager makes.
	return wait.PollUntilContextTimeout(ctx, 20*time.Millisecond, 30*time.Second, true, func(ctx context.Context) (bool, error) {
		err := admin.Get(ctx, client.ObjectKey{Namespace: name, Name: "default"}, &corev1.ServiceAccount{})
		return err == nil, client.IgnoreNotFound(err)
	})
}

// ownerOf is a user with every right inside the Space's namespace, far more than owners get: what is refused, admission
// refuses by itself.
func ownerOf(ctx context.Context, tenant, space string) (client.Client, error) {
	user := "owner-of-" + tenant
	ns := v1alpha1.SpaceNamespace(tenant, space)
	err := admin.Create(ctx, &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "everything"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "cluster-admin"},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: "User", Name: user}},
	})
	if err != nil {
		return nil, fmt.Errorf("bind %s: %w", user, err)
	}
	return clientAs(user)
}

// newSpace is makeSpace and ownerOf for a test.
func newSpace(t *testing.T, tenant string, labels, annotations map[string]string) (owner client.Client, namespace string) {
	t.Helper()
	if err := makeSpace(t.Context(), tenant, "space", labels, annotations); err != nil {
		t.Fatal(err)
	}
	owner, err := ownerOf(t.Context(), tenant, "space")
	if err != nil {
		t.Fatal(err)
	}
	return owner, v1alpha1.SpaceNamespace(tenant, "space")
}
