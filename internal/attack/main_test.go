package attack

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	nodev1 "k8s.io/api/node/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/decision/tenancy"
	"github.com/bulkhead-dev/bulkhead/guardrail"
	"github.com/bulkhead-dev/bulkhead/hostile"
	"github.com/bulkhead-dev/bulkhead/internal/attack/prover"
	"github.com/bulkhead-dev/bulkhead/internal/testcluster"
)

// What the tests on the real API server share.
var (
	admin        client.Client
	adminConfig  *rest.Config
	proverConfig *rest.Config // a service account with Rights, and nothing else
)

const (
	// settled bounds how long the API server may take to learn of a change by its own watches.
	settled = 30 * time.Second
	retry   = 50 * time.Millisecond
)

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	cluster, err := testcluster.Start()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	ctx, cancel := context.WithCancel(context.Background())
	code := 1
	if err := prepare(ctx, cluster); err != nil {
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
	scheme := runtime.NewScheme()
	if err := errors.Join(cluster.StartControllerManager(ctx), clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		return err
	}
	adminConfig = cluster.Config
	var err error
	if admin, err = client.New(adminConfig, client.Options{Scheme: scheme}); err != nil {
		return err
	}
	objects := []client.Object{
		realPlatform(),
		&nodev1.RuntimeClass{ObjectMeta: metav1.ObjectMeta{Name: "gvisor"}, Handler: "runsc"},
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: v1alpha1.SystemNamespace}},
		&storagev1.StorageClass{ObjectMeta: metav1.ObjectMeta{Name: "fast"}, Provisioner: "example.invalid/none", ReclaimPolicy: new(corev1.PersistentVolumeReclaimDelete)},
		&schedulingv1.PriorityClass{ObjectMeta: metav1.ObjectMeta{Name: "polite"}, Value: 100, PreemptionPolicy: new(corev1.PreemptNever)},
		&schedulingv1.PriorityClass{ObjectMeta: metav1.ObjectMeta{Name: "pushy"}, Value: 100},
		node("shared", ""),
	}
	for _, o := range guardrail.Cluster(realPlatform()) {
		objects = append(objects, o)
	}
	for _, o := range objects {
		if err := admin.Create(ctx, o); err != nil {
			return fmt.Errorf("create %T %s: %w", o, o.GetName(), err)
		}
	}
	proverConfig, err = identity(ctx, "prover", prover.Rights())
	return err
}

// identity makes a service account with just these rights and waits until the API server knows of them.
func identity(ctx context.Context, name string, rules []rbacv1.PolicyRule) (*rest.Config, error) {
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: v1alpha1.SystemNamespace, Name: name}}
	for _, o := range []client.Object{
		account,
		&rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: name}, Rules: rules},
		&rbacv1.ClusterRoleBinding{
			ObjectMeta: metav1.ObjectMeta{Name: name},
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: name},
			Subjects:   []rbacv1.Subject{{Kind: "ServiceAccount", Namespace: v1alpha1.SystemNamespace, Name: name}},
		},
	} {
		if err := admin.Create(ctx, o); err != nil {
			return nil, fmt.Errorf("create %T %s: %w", o, name, err)
		}
	}
	var token authenticationv1.TokenRequest
	if err := admin.SubResource("token").Create(ctx, account, &token); err != nil {
		return nil, fmt.Errorf("make a token for %s: %w", name, err)
	}
	subject := hostile.ServiceAccountSubject(v1alpha1.SystemNamespace, name)
	if err := wait.PollUntilContextTimeout(ctx, retry, settled, true, func(ctx context.Context) (bool, error) {
		review := authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
			User: subject.User, Groups: subject.Groups,
			ResourceAttributes: &authorizationv1.ResourceAttributes{Verb: rules[0].Verbs[0], Group: rules[0].APIGroups[0], Resource: rules[0].Resources[0]},
		}}
		err := admin.Create(ctx, &review)
		return review.Status.Allowed, err
	}); err != nil {
		return nil, fmt.Errorf("wait for the rights of %s: %w", name, err)
	}
	config := rest.AnonymousClientConfig(adminConfig)
	config.BearerToken, config.QPS = token.Status.Token, -1
	return config, nil
}

func realPlatform() *v1alpha1.Platform {
	return &v1alpha1.Platform{
		ObjectMeta: metav1.ObjectMeta{Name: v1alpha1.PlatformName},
		Spec: v1alpha1.PlatformSpec{
			Environment:     "Production",
			Registries:      []string{"registry.example.com"},
			SchedulerNames:  []string{"default-scheduler"},
			SandboxRuntimes: []string{"gvisor"},
			StorageClasses:  []string{"fast"},
			PriorityClasses: []string{"polite", "pushy"},
			Network:         v1alpha1.PlatformNetwork{PodCIDRs: []string{"10.244.0.0/16"}, ServiceCIDRs: []string{"10.0.0.0/24"}},
			ProofFreshness:  metav1.Duration{Duration: 10 * time.Minute},
		},
	}
}

// node is one that nothing runs on: there is no kubelet. DaemonSets make pods for it all the same.
func node(name, tenant string) *corev1.Node {
	n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{corev1.LabelHostname: name}}}
	if tenant != "" {
		n.Labels[v1alpha1.LabelNodeTenant] = tenant
	}
	return n
}

// fixture is a tenant with one enforced Space, and a foreign namespace.
type fixture struct {
	tenant  *v1alpha1.Tenant
	spaces  []v1alpha1.Space
	foreign string
}

func (f *fixture) namespace() string { return f.spaces[0].Status.Namespace }

// enforced makes the objects of a tenant and its one Space exactly as they are rendered, and waits until they are in force.
func enforced(ctx context.Context, t *testing.T, name string, decided tenancy.Outcome, owners ...v1alpha1.Owner) *fixture {
	t.Helper()
	quota := corev1.ResourceList{
		corev1.ResourceRequestsCPU: resource.MustParse("4"), corev1.ResourceLimitsCPU: resource.MustParse("8"),
		corev1.ResourceRequestsMemory: resource.MustParse("8Gi"), corev1.ResourceLimitsMemory: resource.MustParse("8Gi"),
		corev1.ResourcePods: resource.MustParse("20"), corev1.ResourceRequestsStorage: resource.MustParse("1Gi"),
	}
	tenant := &v1alpha1.Tenant{
		ObjectMeta: metav1.ObjectMeta{Name: name, UID: "uid-of-" + "tenant", Generation: 1},
		Spec: v1alpha1.TenantSpec{
			Owners: owners, Boundary: "Inside", Quota: quota,
			Workloads: []v1alpha1.Workload{{Name: "web", Code: "Audited", Environment: "Production", APIAccess: "None"}},
		},
		Status: v1alpha1.TenantStatus{Decisions: []v1alpha1.WorkloadDecision{{
			Workload: "web", Pattern: decided.Pattern, RuntimeClass: decided.RuntimeClass,
		}}},
	}
	space := v1alpha1.Space{
		ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: v1alpha1.HomeNamespace(name), Generation: 1},
		Spec:       v1alpha1.SpaceSpec{Workload: "web", Internal: "Open"},
		Status: v1alpha1.SpaceStatus{
			Namespace: v1alpha1.SpaceNamespace(name, "web"), Pattern: decided.Pattern, Quota: quota, Revision: "r1",
		},
	}
	hard := guardrail.TenantQuota(realPlatform(), tenant)
	objects, _ := guardrail.Space(guardrail.SpaceInput{Platform: realPlatform(), Tenant: tenant, Space: &space, Decision: decided, Quota: hard})
	if len(objects) == 0 {
		t.Fatal("nothing was rendered for the Space")
	}
	for _, o := range append(guardrail.Tenant(tenant, []string{space.Status.Namespace}), objects...) {
		must(t, admin.Create(ctx, o))
	}
	f := &fixture{tenant: tenant, spaces: []v1alpha1.Space{space}, foreign: name + "-rival--web"}
	must(t, admin.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: f.foreign}}))
	eventually(ctx, t, "the quota is in force and the default service account exists", func(ctx context.Context) (bool, error) {
		var quota corev1.ResourceQuota
		if err := admin.Get(ctx, client.ObjectKey{Namespace: f.namespace(), Name: v1alpha1.QuotaName}, &quota); err != nil {
			return false, err
		}
		err := admin.Get(ctx, client.ObjectKey{Namespace: f.namespace(), Name: "default"}, &corev1.ServiceAccount{})
		return err == nil && len(quota.Status.Hard) > 0 && equality.Semantic.DeepEqual(maps.Clone(quota.Status.Hard), quota.Spec.Hard), client.IgnoreNotFound(err)
	})
	return f
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func eventually(ctx context.Context, t *testing.T, what string, done func(context.Context) (bool, error)) {
	t.Helper()
	if err := wait.PollUntilContextTimeout(ctx, retry, settled, true, done); err != nil {
		t.Fatalf("waiting until %s: %v", what, err)
	}
}

// prover with every question in all its forms, under the identity that holds Rights alone.
func completeProver(t *testing.T) *prover.Prover {
	t.Helper()
	p, err := prover.New(proverConfig, clock.RealClock{})
	must(t, err)
	p.Complete = true
	return p
}

// await asks until the proof is as wanted, and returns it; the last one is shown when it never is.
func await(t *testing.T, p *prover.Prover, f *fixture, wanted func(*v1alpha1.Proof) bool) v1alpha1.Proof {
	t.Helper()
	var proof v1alpha1.Proof
	err := wait.PollUntilContextTimeout(t.Context(), retry, settled, true, func(ctx context.Context) (bool, error) {
		latest, err := p.Prove(ctx, f.tenant, f.spaces, []string{f.foreign})
		if ctx.Err() == nil {
			proof = latest // one that the test's own time limit cut short proves nothing
		}
		return err == nil && wanted(&proof), nil
	})
	if err != nil {
		t.Fatalf("the proof stayed %s after %d questions: %v\n%q", proof.Verdict, proof.Asked, err, proof.Failures)
	}
	return proof
}

func isolated(proof *v1alpha1.Proof) bool { return proof.Verdict == v1alpha1.Isolated }

// removed takes an object away and gives a function that brings it back.
func removed(t *testing.T, object client.Object, namespace, name string) func() {
	t.Helper()
	must(t, admin.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: name}, object))
	must(t, admin.Delete(t.Context(), object.DeepCopyObject().(client.Object)))
	return func() {
		object.SetResourceVersion("")
		object.SetUID("")
		if err := admin.Create(context.Background(), object); err != nil && !apierrors.IsAlreadyExists(err) {
			t.Errorf("bring %s back: %v", name, err)
		}
	}
}

// added makes an object and gives a function that takes it away.
func added(t *testing.T, object client.Object) func() {
	t.Helper()
	must(t, admin.Create(t.Context(), object))
	return func() {
		if err := admin.Delete(context.Background(), object); err != nil {
			t.Errorf("take %s away: %v", object.GetName(), err)
		}
	}
}

func mustJSON(t *testing.T, v any) string {
	t.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}
