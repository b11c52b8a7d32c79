package policy_test

import (
	"context"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
)

func managed(namespace, name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: map[string]string{v1alpha1.LabelManagedBy: v1alpha1.ManagedBy}}
}

func quota(namespace string) *corev1.ResourceQuota {
	return &corev1.ResourceQuota{ObjectMeta: managed(namespace, "bulkhead"), Spec: corev1.ResourceQuotaSpec{
		Hard: corev1.ResourceList{corev1.ResourcePods: resource.MustParse("5")},
	}}
}

// What Bulkhead rendered stays as it is, against an owner with every right in the namespace.
func TestManagedObjects(t *testing.T) {
	owner, ns := newSpace(t, "bender", nil, nil)
	q := quota(ns)
	policy := &networkingv1.NetworkPolicy{ObjectMeta: managed(ns, "bulkhead"), Spec: networkingv1.NetworkPolicySpec{PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeIngress}}}
	limits := &corev1.LimitRange{ObjectMeta: managed(ns, "bulkhead")}
	binding := &rbacv1.RoleBinding{ObjectMeta: managed(ns, "bulkhead"), RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: v1alpha1.RoleOwner}}
	objects := []client.Object{q, policy, limits, binding}
	for _, o := range objects {
		if err := bulkhead.Create(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	}
	const whose = "belongs to Bulkhead; change the Space, the Tenant or the Platform"
	for _, o := range objects {
		changes := map[string]func(){
			"label off":  func() { delete(o.GetLabels(), v1alpha1.LabelManagedBy) },
			"annotation": func() { o.SetAnnotations(map[string]string{"x": "y"}) },
			"finalizer":  func() { o.SetFinalizers([]string{metav1.FinalizerOrphanDependents}) },
			"owner reference": func() {
				o.SetOwnerReferences([]metav1.OwnerReference{{APIVersion: "v1", Kind: "ConfigMap", Name: "x", UID: "x"}})
			},
		}
		for name, change := range changes {
			t.Run(name, func(t *testing.T) {
				assertRefused(t, update(t.Context(), owner, o, change), "managed-objects", whose)
			})
		}
		t.Run("deletion", func(t *testing.T) {
			assertRefused(t, owner.Delete(t.Context(), o), "managed-objects", whose)
		})
	}
	t.Run("quota raised", func(t *testing.T) {
		raise := func() { q.Spec.Hard[corev1.ResourcePods] = resource.MustParse("500") }
		assertRefused(t, update(t.Context(), owner, q, raise), "managed-objects", `resourcequotas "bulkhead" belongs to Bulkhead`)
	})
	t.Run("quota's count lowered", func(t *testing.T) {
		err := subUpdate(t.Context(), owner, q, "status", func() { q.Status.Used = nil })
		assertRefused(t, err, "managed-objects", whose)
	})
	t.Run("collection deleted", func(t *testing.T) {
		err := owner.DeleteAllOf(t.Context(), &networkingv1.NetworkPolicy{}, client.InNamespace(ns))
		assertRefused(t, err, "managed-objects", whose)
	})
	t.Run("label taken", func(t *testing.T) {
		try(t, owner, []attempt{
			{name: "at creation", object: &corev1.ConfigMap{ObjectMeta: managed(ns, "x")}, policy: "managed-objects", message: "is for what Bulkhead makes; leave it out"},
			{name: "by another tool", object: &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "x", Labels: map[string]string{v1alpha1.LabelManagedBy: "Helm"}}}},
			{name: "another tenant's name", policy: "owned-labels", message: "label bulkhead.dev/tenant=other is for Bulkhead to set",
				object: &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "x", Labels: map[string]string{v1alpha1.LabelTenant: "other"}}}},
		})
		own := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "own"}}
		if err := owner.Create(t.Context(), own); err != nil {
			t.Fatal(err)
		}
		label := func() { own.Labels = map[string]string{v1alpha1.LabelManagedBy: v1alpha1.ManagedBy} }
		assertRefused(t, update(t.Context(), owner, own, label), "managed-objects", whose)
	})
	t.Run("by Bulkhead", func(t *testing.T) {
		if err := update(t.Context(), bulkhead, q, func() { q.Spec.Hard[corev1.ResourcePods] = resource.MustParse("6") }); err != nil {
			t.Error(err)
		}
	})
	t.Run("used", func(t *testing.T) {
		// The API server's own quota admission writes the count before the pod is there.
		if err := owner.Create(t.Context(), pod(ns, "counted")); err != nil {
			t.Fatal(err)
		}
		if err := admin.Get(t.Context(), client.ObjectKeyFromObject(q), q); err != nil {
			t.Fatal(err)
		}
		if used := q.Status.Used[corev1.ResourcePods]; used.Value() != 1 {
			t.Errorf("quota counts %s pods, want 1", used.String())
		}
	})
	t.Run("counted", func(t *testing.T) {
		err := wait.PollUntilContextTimeout(t.Context(), 50*time.Millisecond, 20*time.Second, true, func(ctx context.Context) (bool, error) {
			err := admin.Get(ctx, client.ObjectKeyFromObject(q), q)
			hard := q.Status.Hard[corev1.ResourcePods]
			return hard.Value() == 6, err
		})
		if err != nil {
			t.Errorf("the quota controller does not get its status written: %v, status %v", err, q.Status)
		}
	})
}

// Cluster-wide objects are guarded as those in namespaces are, also against somebody with every right over their kind.
func TestManagedClusterObjects(t *testing.T) {
	class := &schedulingv1.PriorityClass{ObjectMeta: managed("", "bulkhead-guarded"), Value: 1}
	role := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "test-classes"}, Rules: []rbacv1.PolicyRule{{
		APIGroups: []string{"scheduling.k8s.io"}, Resources: []string{"*"}, Verbs: []string{"*"},
	}}}
	binding := &rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: "test-classes"},
		RoleRef:  rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role.Name},
		Subjects: []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: "User", Name: "class-operator"}}}
	for _, o := range []client.Object{class, role, binding} {
		if err := admin.Create(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	}
	operator, err := clientAs("class-operator")
	if err != nil {
		t.Fatal(err)
	}
	err = update(t.Context(), operator, class, func() { class.Labels = nil })
	assertRefused(t, err, "managed-objects", `priorityclasses "bulkhead-guarded" belongs to Bulkhead`)
	assertRefused(t, operator.Delete(t.Context(), class), "managed-objects", `priorityclasses "bulkhead-guarded" belongs to Bulkhead`)
	if err := operator.Create(t.Context(), &schedulingv1.PriorityClass{ObjectMeta: metav1.ObjectMeta{Name: "ordinary"}, Value: 1}); err != nil {
		t.Errorf("an ordinary one: %v", err)
	}
}

// Whoever changes a managed object leaves a name; Bulkhead itself does not.
func TestChangedBy(t *testing.T) {
	_, ns := newSpace(t, "changer", nil, nil)
	q := quota(ns)
	if err := bulkhead.Create(t.Context(), q); err != nil {
		t.Fatal(err)
	}
	if by, ok := q.Annotations[v1alpha1.AnnotationChangedBy]; ok {
		t.Errorf("created by Bulkhead, and changed-by says %q", by)
	}
	jane, err := clientAs("jane", "system:masters")
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // without and with annotations
		if err := update(t.Context(), jane, q, func() { q.Spec.Hard[corev1.ResourcePods] = resource.MustParse("7") }); err != nil {
			t.Fatal(err)
		}
		if got := q.Annotations[v1alpha1.AnnotationChangedBy]; got != "jane" {
			t.Errorf("changed-by is %q, want jane", got)
		}
	}
	if err := update(t.Context(), bulkhead, q, func() { delete(q.Annotations, v1alpha1.AnnotationChangedBy) }); err != nil {
		t.Fatal(err)
	}
	if by, ok := q.Annotations[v1alpha1.AnnotationChangedBy]; ok {
		t.Errorf("repaired by Bulkhead, and changed-by says %q", by)
	}
}

// The marks of namespaces are Bulkhead's, on its own and on all others; the rest stays free.
func TestNamespaceMarks(t *testing.T) {
	owner, name := newSpace(t, "marker", nil, nil)
	operator, err := clientAs("mesh-operator") // may change namespaces, but not guardrails
	if err != nil {
		t.Fatal(err)
	}
	role := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "test-namespaces"}, Rules: []rbacv1.PolicyRule{{
		APIGroups: []string{""}, Resources: []string{"namespaces", "namespaces/status", "namespaces/finalize"}, Verbs: []string{"*"},
	}}}
	binding := &rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: "test-namespaces"},
		RoleRef:  rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role.Name},
		Subjects: []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: "User", Name: "mesh-operator"}}}
	plain := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "plain-namespace"}}
	for _, o := range []client.Object{role, binding, plain} {
		if err := admin.Create(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	}
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
	set := func(n *corev1.Namespace, key, value string) func() {
		return func() { n.Labels[key] = value }
	}
	for _, who := range []struct {
		name   string
		client client.Client
	}{{"owner with every right", owner}, {"operator", operator}} {
		for change, do := range map[string]func(){
			"pod security lowered":     set(ns, "pod-security.kubernetes.io/enforce", "privileged"),
			"pod security taken off":   func() { delete(ns.Labels, "pod-security.kubernetes.io/enforce") },
			"pattern taken off":        func() { delete(ns.Labels, v1alpha1.LabelPattern) },
			"every label taken off":    func() { ns.Labels = nil },
			"another tenant":           set(ns, v1alpha1.LabelTenant, "other"),
			"token allowed":            set(ns, v1alpha1.LabelToken, v1alpha1.TokenAllowed),
			"waiver label":             set(ns, v1alpha1.WaiverPrefix+"images", "mine"),
			"waiver annotation":        func() { ns.Annotations = map[string]string{v1alpha1.WaiverPrefix + "images": "2999-01-01T00:00:00Z"} },
			"ingress hosts annotation": func() { ns.Annotations = map[string]string{v1alpha1.AnnotationIngressHosts: "*.example.com"} },
			"another manager":          set(ns, v1alpha1.LabelManagedBy, "me"),
		} {
			t.Run(who.name+"/"+change, func(t *testing.T) {
				assertRefused(t, update(t.Context(), who.client, ns, do), "namespaces", "is for Bulkhead to set")
				assertRefused(t, subUpdate(t.Context(), who.client, ns, "status", do), "namespaces", "is for Bulkhead to set")
			})
		}
		t.Run(who.name+"/finalizer", func(t *testing.T) {
			err := update(t.Context(), who.client, ns, func() { ns.Finalizers = []string{metav1.FinalizerOrphanDependents} })
			assertRefused(t, err, "namespaces", "finalizers and owners of namespace")
		})
		t.Run(who.name+"/finalize", func(t *testing.T) {
			err := subUpdate(t.Context(), who.client, ns, "finalize", func() { ns.Spec.Finalizers = nil })
			assertRefused(t, err, "namespaces", "finalizers and owners of namespace")
		})
	}
	t.Run("other labels are free", func(t *testing.T) {
		if err := update(t.Context(), operator, ns, set(ns, "mesh.example.com/inject", "true")); err != nil {
			t.Error(err)
		}
	})
	t.Run("other namespaces", func(t *testing.T) {
		if err := update(t.Context(), operator, plain, set(plain, "pod-security.kubernetes.io/enforce", "privileged")); err != nil {
			t.Errorf("a namespace that is no tenant's: %v", err)
		}
		assertRefused(t, update(t.Context(), operator, plain, set(plain, v1alpha1.LabelTenant, "marker")), "namespaces", "mark bulkhead.dev/tenant=marker")
		try(t, operator, []attempt{
			{name: "spoofed", object: &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "spoof", Labels: map[string]string{v1alpha1.LabelTenant: "marker"}}}, policy: "namespaces", message: "mark bulkhead.dev/tenant=marker"},
			{name: "managed", object: &corev1.Namespace{ObjectMeta: managed("", "spoof")}, policy: "namespaces", message: "mark app.kubernetes.io/managed-by=bulkhead"},
			{name: "ordinary", object: &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "ordinary", Labels: map[string]string{v1alpha1.LabelManagedBy: "Helm"}}}},
		})
	})
}

// A tenant's namespace goes with its Space or Tenant: not even a cluster-admin deletes it otherwise.
func TestNamespaceDeletion(t *testing.T) {
	owner, name := newSpace(t, "leaver", nil, nil)
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
	assertRefused(t, owner.Delete(t.Context(), ns), "namespaces", `delete Space "space" in namespace tenant-leaver instead`)
	assertRefused(t, admin.Delete(t.Context(), ns), "namespaces", `delete Space "space" in namespace tenant-leaver instead`)
	home := &corev1.Namespace{ObjectMeta: managed("", "tenant-leaver")}
	home.Labels[v1alpha1.LabelTenant], home.Labels[v1alpha1.LabelRole] = "leaver", v1alpha1.RoleHomeNamespace
	if err := bulkhead.Create(t.Context(), home); err != nil {
		t.Fatal(err)
	}
	assertRefused(t, admin.Delete(t.Context(), home), "namespaces", `delete Tenant "leaver" instead`)

	// Bulkhead may, and Kubernetes' own controller then takes away what is in it, managed objects too.
	if err := bulkhead.Create(t.Context(), quota(name)); err != nil {
		t.Fatal(err)
	}
	if err := bulkhead.Delete(t.Context(), ns); err != nil {
		t.Fatal(err)
	}
	err := wait.PollUntilContextTimeout(t.Context(), 50*time.Millisecond, 30*time.Second, true, func(ctx context.Context) (bool, error) {
		err := admin.Get(ctx, client.ObjectKeyFromObject(ns), ns)
		return apierrors.IsNotFound(err), client.IgnoreNotFound(err)
	})
	if err != nil {
		t.Errorf("the namespace does not go: %v; conditions %v", err, ns.Status.Conditions)
	}
}

// The controllers of kube-controller-manager do their one thing to managed objects under either of their names, and no
// other; nobody else does that thing.
func TestControllersOfKubernetes(t *testing.T) {
	_, ns := newSpace(t, "kubernetes", nil, nil)
	q := quota(ns)
	if err := bulkhead.Create(t.Context(), q); err != nil {
		t.Fatal(err)
	}
	powers := &rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: "test-controllers"},
		RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "test-controllers"}}
	role := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "test-controllers"}, Rules: []rbacv1.PolicyRule{{
		APIGroups: []string{""}, Resources: []string{"resourcequotas", "resourcequotas/status"}, Verbs: []string{"*"},
	}}}
	names := []string{"system:kube-controller-manager", "system:serviceaccount:kube-system:resourcequota-controller", "system:serviceaccount:kube-system:namespace-controller", "system:serviceaccount:kube-system:default"}
	for _, name := range names {
		powers.Subjects = append(powers.Subjects, rbacv1.Subject{APIGroup: rbacv1.GroupName, Kind: "User", Name: name})
	}
	for _, o := range []client.Object{role, powers} {
		if err := admin.Create(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	}
	counts := map[string]bool{names[0]: true, names[1]: true}
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			c, err := clientAs(name)
			if err != nil {
				t.Fatal(err)
			}
			err = subUpdate(t.Context(), c, q, "status", func() { q.Status.Used = corev1.ResourceList{corev1.ResourcePods: resource.MustParse("1")} })
			if counts[name] && err != nil {
				t.Errorf("status: %v", err)
			} else if !counts[name] {
				assertRefused(t, err, "managed-objects", "belongs to Bulkhead")
			}
			err = update(t.Context(), c, q, func() { q.Spec.Hard[corev1.ResourcePods] = resource.MustParse("9") })
			assertRefused(t, err, "managed-objects", "belongs to Bulkhead")
			// The namespace is not going.
			assertRefused(t, c.Delete(t.Context(), q), "managed-objects", "belongs to Bulkhead")
		})
	}
}

// Protected tenants stay, with their Spaces; and none goes without off-boarding.
func TestProtection(t *testing.T) {
	ctx := t.Context()
	tenant := &v1alpha1.Tenant{ObjectMeta: metav1.ObjectMeta{Name: "guarded", Finalizers: []string{v1alpha1.Finalizer}}, Spec: v1alpha1.TenantSpec{
		Owners: []v1alpha1.Owner{{Kind: "User", Name: "jane"}}, Boundary: "Inside", Protected: true,
		Quota:     corev1.ResourceList{corev1.ResourcePods: resource.MustParse("5")},
		Workloads: []v1alpha1.Workload{{Name: "web", Code: "Audited", Environment: "Production"}},
	}}
	home := &corev1.Namespace{ObjectMeta: managed("", "tenant-guarded")}
	home.Labels[v1alpha1.LabelTenant], home.Labels[v1alpha1.LabelRole] = "guarded", v1alpha1.RoleHomeNamespace
	home.Annotations = map[string]string{v1alpha1.AnnotationProtected: "true"}
	space := &v1alpha1.Space{ObjectMeta: metav1.ObjectMeta{Namespace: home.Name, Name: "web", Finalizers: []string{v1alpha1.Finalizer}}, Spec: v1alpha1.SpaceSpec{Workload: "web"}}
	for _, o := range []client.Object{tenant, home, space} {
		if err := admin.Create(ctx, o); err != nil {
			t.Fatal(err)
		}
	}
	// Bulkhead deletes no Tenant at all (control controller).
	assertRefused(t, admin.Delete(ctx, tenant), "protected", `tenants "guarded" is protected from deletion; set spec.protected: false`)
	for _, c := range []client.Client{admin, bulkhead} {
		assertRefused(t, c.Delete(ctx, space), "protected", `spaces "web" is protected from deletion`)
	}
	owner := bindIn(t, home.Name, "guarded-owner")
	err := update(ctx, owner, space, func() { space.Finalizers = nil })
	assertRefused(t, err, "protected", "is removed by Bulkhead when nothing is left")
	if err := update(ctx, owner, space, func() { space.Labels = map[string]string{"mine": "too"} }); err != nil {
		t.Errorf("another change of the Space: %v", err)
	}
	// Unprotected again, both may be deleted.
	if err := update(ctx, admin, tenant, func() { tenant.Spec.Protected = false }); err != nil {
		t.Fatal(err)
	}
	if err := update(ctx, bulkhead, home, func() { home.Annotations = nil }); err != nil {
		t.Fatal(err)
	}
	err = wait.PollUntilContextTimeout(ctx, 50*time.Millisecond, 10*time.Second, true, func(ctx context.Context) (bool, error) {
		err := owner.Delete(ctx, space) // the API server learns of the annotation by a watch
		return err == nil, nil
	})
	if err != nil {
		t.Error(err)
	}
	if err := admin.Delete(ctx, tenant); err != nil {
		t.Error(err)
	}
}

// bindIn is a user with every right inside one namespace.
func bindIn(t *testing.T, namespace, user string) client.Client {
	t.Helper()
	b := roleBinding(namespace, "ClusterRole", "cluster-admin", rbacv1.Subject{APIGroup: rbacv1.GroupName, Kind: "User", Name: user})
	if err := admin.Create(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	c, err := clientAs(user)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// Deleting a definition would delete every object of its kind: it takes an annotation that says so.
func TestDefinitions(t *testing.T) {
	crd := &apiextensionsv1.CustomResourceDefinition{}
	key := client.ObjectKey{Name: "waivers.bulkhead.dev"}
	if err := admin.Get(t.Context(), key, crd); err != nil {
		t.Fatal(err)
	}
	assertRefused(t, admin.Delete(t.Context(), crd, client.DryRunAll), "definitions", "would delete every object of its kind")
	assertRefused(t, bulkhead.Delete(t.Context(), crd, client.DryRunAll), "definitions", "bulkhead uninstall does")
	if err := update(t.Context(), admin, crd, func() { metav1.SetMetaDataAnnotation(&crd.ObjectMeta, "bulkhead.dev/allow-deletion", "true") }); err != nil {
		t.Fatal(err)
	}
	if err := admin.Delete(t.Context(), crd, client.DryRunAll); err != nil {
		t.Errorf("annotated: %v", err)
	}
}
