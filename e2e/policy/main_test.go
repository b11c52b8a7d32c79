// Package policy_test asks a real API server what Bulkhead's admission policies allow and refuse.
package policy_test

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/desired"
	"github.com/bulkhead-dev/bulkhead/internal/testcluster"
)

// Clients of one control plane that all tests of this package share.
var (
	admin    client.Client
	bulkhead client.Client
	config   *rest.Config
)

// platform of the tests: every list has something on it.
func platform() *v1alpha1.Platform {
	return &v1alpha1.Platform{Spec: v1alpha1.PlatformSpec{
		Registries:      []string{"registry.example.com", "mirror.example.com/library/"},
		StorageClasses:  []string{"fast"},
		PriorityClasses: []string{"tenant-high"},
		SchedulerNames:  []string{"default-scheduler"},
		SandboxRuntimes: []string{"gvisor"},
	}}
}

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	cluster, err := testcluster.Start()
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
	if bulkhead, err = clientAs(desired.ControllerUser, desired.ControllerGroup); err != nil {
		return err
	}
	if err := grant(ctx); err != nil {
		return err
	}
	for _, o := range desired.Policies(platform()) {
		if err := apply(ctx, admin, o); err != nil {
			return err
		}
	}
	return waitEnforced(ctx)
}

// grant gives Bulkhead's identity the right to change guardrails, and all else that the tests do with it.
func grant(ctx context.Context) error {
	return admin.Create(ctx, &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "test-bulkhead"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "cluster-admin"},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: "Group", Name: desired.ControllerGroup}},
	})
}

// clientAs impersonates a user; the empty user is system:masters.
func clientAs(user string, groups ...string) (client.Client, error) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			return nil, err
		}
	}
	c := rest.CopyConfig(config)
	if user != "" {
		c.Impersonate = rest.ImpersonationConfig{UserName: user, Groups: append(groups, "system:authenticated")}
	}
	return client.New(c, client.Options{Scheme: scheme})
}

// apply writes an object as Bulkhead does.
func apply(ctx context.Context, c client.Client, o desired.Object) error {
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

// waitEnforced waits until the API server has every policy at work: it reads them from a watch. A policy's probe is
// the dry-run creation of a namespace with a mark, or of a pod that offends all policies in turn.
func waitEnforced(ctx context.Context) error {
	stranger, err := clientAs("probe", "system:masters-not")
	if err != nil {
		return err
	}
	_ = stranger
	ns := namespace("probe--space", "probe", nil, nil)
	if err := bulkhead.Create(ctx, ns); err != nil {
		return err
	}
	deadline := time.Now().Add(30 * time.Second)
	for {
		p := pod("probe--space", "probe")
		p.Spec.Containers[0].Image = "docker.io/nginx"
		p.Spec.PriorityClassName = ""
		err := admin.Create(ctx, p, client.DryRunAll)
		if apierrors.IsForbidden(err) && refusedBy(err) == "images" {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("policies are not enforced after 30 s; the last answer: %v", err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func namespace(name, tenant string, labels, annotations map[string]string) *corev1.Namespace {
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: annotations, Labels: map[string]string{
		v1alpha1.LabelManagedBy:              v1alpha1.ManagedBy,
		v1alpha1.LabelTenant:                 tenant,
		v1alpha1.LabelSpace:                  name[len(tenant)+2:],
		v1alpha1.LabelPattern:                "Soft",
		"pod-security.kubernetes.io/enforce": "restricted",
	}}}
	for k, v := range labels {
		ns.Labels[k] = v
	}
	return ns
}
