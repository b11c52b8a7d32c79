package install_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/guardrail"
	"github.com/bulkhead-dev/bulkhead/internal/apply"
	"github.com/bulkhead-dev/bulkhead/internal/install"
)

var image = install.Options{Image: "registry.example.com/bulkhead:v1"}

// Promise: without flags, uninstalling takes the controller and its rights, and leaves everything that enforces.
func TestUninstallLeavesWhatEnforces(t *testing.T) {
	installed(t, image)
	before := state(t)
	uninstall(t, install.UninstallOptions{})
	after := state(t)
	for name, version := range before {
		if strings.HasPrefix(name, "own ") {
			if after[name] != "" && name != "own Namespace bulkhead-system" {
				t.Errorf("%s is still there", name)
			}
		} else if after[name] != version {
			t.Errorf("%s was at version %s and is at %q", name, version, after[name])
		}
	}
	if events := uninstall(t, install.UninstallOptions{}); count(events, install.Removed) != 0 {
		t.Errorf("a second uninstall removed something: %v", events)
	}
}

// Promise: a dry run prints what would be removed, and changes nothing.
func TestUninstallDryRunChangesNothing(t *testing.T) {
	installed(t, image)
	before := state(t)
	events := uninstall(t, install.UninstallOptions{Enforcement: true, Definitions: true, Orphan: true, DryRun: true})
	if n := count(events, install.Removed); n < 70 {
		t.Errorf("only %d objects would be removed", n)
	}
	for name, version := range state(t) {
		if before[name] != version {
			t.Errorf("%s was at version %q and is at %s", name, before[name], version)
		}
	}
}

// Promise: with Enforcement, rights of owners go before anything that guards; namespaces, pods and what is not
// Bulkhead's stay, and a later installation starts where it was.
func TestUninstallEnforcementTakesRightsFirstAndLeavesWorkloads(t *testing.T) {
	installed(t, image)
	ctx, c := context.Background(), admin(t)
	managed := map[string]string{v1alpha1.LabelManagedBy: v1alpha1.ManagedBy, v1alpha1.LabelTenant: "un", v1alpha1.LabelSpace: "a"}
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "un--a", Labels: managed}}
	binding := func(name string, labels map[string]string) *rbacv1.RoleBinding {
		return &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Namespace: "un--a", Name: name, Labels: labels},
			RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: v1alpha1.RoleOwner}}
	}
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "un--a", Name: "runs"},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "any", Image: "any"}}}}
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "un--a", Name: "default"}}
	quota := &corev1.ResourceQuota{ObjectMeta: metav1.ObjectMeta{Namespace: "un--a", Name: "bulkhead", Labels: managed},
		Spec: corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{corev1.ResourceSecrets: resource.MustParse("1")}}}
	kept := []client.Object{namespace, account, pod, binding("theirs", nil)}
	for _, object := range append(slices.Clone(kept), binding("bulkhead-owners", managed), quota) {
		if err := c.Create(ctx, object); err != nil {
			t.Fatal(err)
		}
	}
	uid := pod.UID
	events := uninstall(t, install.UninstallOptions{Enforcement: true})
	lastRight, firstGuard := -1, len(events)
	for i, e := range events {
		if e.Object == "RoleBinding un--a/bulkhead-owners" {
			lastRight = i
		}
		if e.Phase == install.PhaseEnforcement {
			firstGuard = min(firstGuard, i)
		}
	}
	if lastRight < 0 || lastRight > firstGuard {
		t.Errorf("rights went at step %d, the first guardrail at %d", lastRight, firstGuard)
	}
	for _, object := range kept {
		if err := c.Get(ctx, client.ObjectKeyFromObject(object), object); err != nil || object.GetDeletionTimestamp() != nil {
			t.Errorf("%T %s: %v, marked for deletion: %v", object, object.GetName(), err, object.GetDeletionTimestamp())
		}
	}
	if pod.UID != uid || namespace.Labels[v1alpha1.LabelSpace] != "a" {
		t.Errorf("the pod's UID is %s and was %s; the namespace has labels %v", pod.UID, uid, namespace.Labels)
	}
	for name := range state(t) {
		if strings.HasPrefix(name, "guardrail ") {
			t.Errorf("%s is still there", name)
		}
	}
	if err := c.Get(ctx, client.ObjectKeyFromObject(quota), quota); !apierrors.IsNotFound(err) {
		t.Errorf("the quota is still there: %v", err)
	}
}

// Promise: what enforces is not taken away under a controller that would put it back.
func TestUninstallEnforcementWaitsForTheController(t *testing.T) {
	installed(t, image)
	holder, duration, now := "elsewhere", int32(3600), metav1.NowMicro()
	lease := &coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{Namespace: v1alpha1.SystemNamespace, Name: install.LeaseName},
		Spec:       coordinationv1.LeaseSpec{HolderIdentity: &holder, LeaseDurationSeconds: &duration, RenewTime: &now},
	}
	c := admin(t)
	if err := c.Create(context.Background(), lease); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	err := install.Uninstall(ctx, cluster.Config, install.UninstallOptions{Enforcement: true}, func(e install.Event) {
		if e.Action == install.Waiting {
			cancel()
		}
	})
	if err == nil || !strings.Contains(err.Error(), "elsewhere still holds the controller's lease") {
		t.Errorf("got %v", err)
	}
	if guards := state(t); guards["guardrail ClusterRole "+v1alpha1.RoleOwner] == "" {
		t.Error("guardrails are gone")
	}
	if err := c.Delete(context.Background(), lease); err != nil {
		t.Fatal(err)
	}
}

// Promise: definitions do not go while a tenant is declared; orphaned, they go and nothing that they stand for does.
func TestUninstallDefinitions(t *testing.T) {
	installed(t, image)
	ctx, c := context.Background(), admin(t)
	tenant := &v1alpha1.Tenant{
		ObjectMeta: metav1.ObjectMeta{Name: "df", Finalizers: []string{v1alpha1.Finalizer}},
		Spec: v1alpha1.TenantSpec{
			Owners: []v1alpha1.Owner{{Kind: "Group", Name: "df"}}, Boundary: "Inside", Protected: true,
			Quota:     corev1.ResourceList{corev1.ResourcePods: resource.MustParse("10")},
			Workloads: []v1alpha1.Workload{{Name: "web", Code: "Audited", Environment: "NonProduction"}},
		},
	}
	home := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "tenant-df", Labels: map[string]string{
		v1alpha1.LabelManagedBy: v1alpha1.ManagedBy, v1alpha1.LabelTenant: "df"}}}
	for _, object := range []client.Object{tenant, home} {
		if err := c.Create(ctx, object); err != nil {
			t.Fatal(err)
		}
	}
	before := state(t)
	err := install.Uninstall(ctx, cluster.Config, install.UninstallOptions{Definitions: true}, nil)
	if !errors.Is(err, install.ErrDeclared) || !strings.Contains(err.Error(), "Tenant df") {
		t.Fatalf("with a tenant declared: %v", err)
	}
	for name, version := range state(t) {
		if before[name] != version {
			t.Errorf("refused, and yet %s changed", name)
		}
	}
	events := uninstall(t, install.UninstallOptions{Definitions: true, Orphan: true})
	if count(events, install.Orphaned) != 1 {
		t.Errorf("orphaned: %v", events)
	}
	for name := range state(t) {
		if strings.Contains(name, "CustomResourceDefinition") {
			t.Errorf("%s is still there", name)
		}
	}
	if err := c.Get(ctx, client.ObjectKeyFromObject(home), home); err != nil || home.DeletionTimestamp != nil {
		t.Errorf("the home namespace: %v, marked for deletion: %v", err, home.DeletionTimestamp)
	}
	for _, e := range installed(t, image) {
		if e.Phase == install.PhaseDefinitions && e.Action != install.Created && e.Action != install.Waiting {
			t.Errorf("installed again: %s %s", e.Action, e.Object)
		}
	}
}

// Promise: interrupted at any point, an installation or its removal continues when it is repeated.
func TestInterruptedRunsContinue(t *testing.T) {
	installed(t, image)
	whole := len(state(t))
	for _, stop := range []int{1, 4, 40, 68} {
		uninstall(t, install.UninstallOptions{Enforcement: true, Definitions: true, Orphan: true})
		ctx, cancel := context.WithCancel(context.Background())
		err := install.Apply(ctx, cluster.Config, image, after(stop, cancel))
		if !errors.Is(err, context.Canceled) {
			t.Errorf("interrupted after %d steps: %v", stop, err)
		}
		installed(t, image)
		if n := len(state(t)); n != whole {
			t.Errorf("interrupted after %d steps and repeated: %d objects, want %d", stop, n, whole)
		}
	}
}

// after calls interrupt once so many objects were written.
func after(steps int, interrupt func()) install.Progress {
	seen := 0
	return func(e install.Event) {
		if e.Action == install.Waiting {
			return
		}
		if seen++; seen == steps {
			interrupt()
		}
	}
}

// Promise: whatever package guardrail renders for a tenant is of a kind that an uninstallation looks for.
func TestEveryRenderedKindIsRemoved(t *testing.T) {
	known := map[string]bool{}
	for _, kind := range apply.Kinds() {
		known[fmt.Sprintf("%T", kind.Object)] = true
	}
	for _, object := range append(guardrail.Cluster(&v1alpha1.Platform{}), guardrail.Tenant(&v1alpha1.Tenant{ObjectMeta: metav1.ObjectMeta{Name: "any"}}, nil)...) {
		if !known[fmt.Sprintf("%T", object)] {
			t.Errorf("%s is of a kind that is not searched", apply.RefOf(object))
		}
	}
}

// state is the version of every object of an installation that is there now, by "own" or "guardrail" and name.
func state(t *testing.T) map[string]string {
	t.Helper()
	phases, err := install.Render(image, nil)
	if err != nil {
		t.Fatal(err)
	}
	versions, c := map[string]string{}, admin(t)
	for _, phase := range phases {
		kind := map[string]string{install.PhaseGuardrails: "guardrail ", install.PhaseDefinitions: "definition "}[phase.Name]
		if kind == "" {
			kind = "own "
		}
		for _, object := range phase.Objects {
			live := &metav1.PartialObjectMetadata{}
			live.SetGroupVersionKind(object.GetObjectKind().GroupVersionKind())
			err := c.Get(context.Background(), client.ObjectKeyFromObject(object), live)
			if apierrors.IsNotFound(err) || meta.IsNoMatchError(err) {
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			versions[kind+apply.RefOf(object).String()] = live.ResourceVersion
		}
	}
	return versions
}

func uninstall(t *testing.T, options install.UninstallOptions) []install.Event {
	t.Helper()
	var events []install.Event
	if err := install.Uninstall(context.Background(), cluster.Config, options, func(e install.Event) { events = append(events, e) }); err != nil {
		t.Fatal(err)
	}
	return events
}

func count(events []install.Event, action install.Action) int {
	n := 0
	for _, e := range events {
		if e.Action == action {
			n++
		}
	}
	return n
}

func admin(t *testing.T) client.Client {
	t.Helper()
	c, err := install.NewClient(cluster.Config)
	if err != nil {
		t.Fatal(err)
	}
	return c
}
