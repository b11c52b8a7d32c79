package install_test

import (
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
)

const (
	tenantName = "shop"
	space      = "shop--front"
	legacy     = "legacy"
)

// Promise: tenants never lose a running pod by installing, upgrading or uninstalling Bulkhead, however thoroughly, nor
// by installing it again; what enforces goes on without the controller; and a later installation takes everything back.
func TestNoPodIsLost(t *testing.T) {
	deploy(t, admin, legacy, "old", 3, "anywhere.example.com/old:v1")
	pods := running(t, 3, legacy)

	bulkhead(t, 0, "install", "--image", "registry.example.com/bulkhead:v1", "--timeout", patience.String())
	same(t, "installed", pods, legacy)
	stop := controllers(t)
	declare(t)
	owner := owner(t)
	deploy(t, owner, space, "web", 2, "registry.example.com/web:v1")
	maps.Copy(pods, running(t, 2, space))
	healthy(t)

	own := running(t, 2, v1alpha1.SystemNamespace)
	bulkhead(t, 0, "install", "--image", "registry.example.com/bulkhead:v2", "--timeout", patience.String())
	same(t, "upgraded", pods, legacy, space)
	for uid := range running(t, 2, v1alpha1.SystemNamespace) {
		if _, old := own[uid]; old {
			t.Errorf("the upgrade left the controller's pod %s: this test would not see a lost pod", own[uid])
		}
	}

	stop()
	bulkhead(t, 0, "uninstall")
	eventually(t, "the controller's pods are gone", func() string { return left(t, v1alpha1.SystemNamespace) })
	same(t, "uninstalled", pods, legacy, space)
	refused(t, owner)

	bulkhead(t, 0, "uninstall", "--enforcement", "--definitions", "--orphan")
	same(t, "uninstalled with all that enforces", pods, legacy, space)
	nothingEnforced(t, owner)
	controllersAreAlive(t)
	same(t, "uninstalled with all that enforces, and after the garbage collector's next round", pods, legacy, space)

	bulkhead(t, 0, "install", "--image", "registry.example.com/bulkhead:v2", "--timeout", patience.String())
	controllers(t)
	declare(t)
	healthy(t)
	same(t, "installed again", pods, legacy, space)
	refused(t, owner)
}

// declare the Platform, a tenant and its Space, and wait until the Space is Ready.
func declare(t *testing.T) {
	t.Helper()
	front := &v1alpha1.Space{
		ObjectMeta: metav1.ObjectMeta{Namespace: v1alpha1.HomeNamespace(tenantName), Name: "front"},
		Spec:       v1alpha1.SpaceSpec{Workload: "web"},
	}
	for _, object := range []client.Object{
		&v1alpha1.Platform{ObjectMeta: metav1.ObjectMeta{Name: v1alpha1.PlatformName}, Spec: v1alpha1.PlatformSpec{
			Environment: "Production", Registries: []string{"registry.example.com"}, ProofFreshness: metav1.Duration{Duration: 10 * time.Minute},
			Network: v1alpha1.PlatformNetwork{PodCIDRs: []string{"10.244.0.0/16"}, ServiceCIDRs: []string{"10.0.0.0/24"}},
		}},
		&v1alpha1.Tenant{ObjectMeta: metav1.ObjectMeta{Name: tenantName}, Spec: v1alpha1.TenantSpec{
			Owners: []v1alpha1.Owner{{Kind: "User", Name: "shop-owner"}}, Boundary: "Inside",
			Quota: corev1.ResourceList{
				"requests.cpu": resource.MustParse("10"), "requests.memory": resource.MustParse("20Gi"),
				"limits.memory": resource.MustParse("40Gi"), "pods": resource.MustParse("50"),
			},
			Workloads: []v1alpha1.Workload{{Name: "web", Code: "Audited", Environment: "Production"}},
		}},
		front,
	} {
		eventually(t, fmt.Sprintf("declared %T", object), func() string {
			err := admin.Create(t.Context(), object)
			if err == nil || apierrors.IsAlreadyExists(err) {
				return ""
			}
			if apierrors.IsInvalid(err) {
				t.Fatal(err)
			}
			return err.Error() // the home namespace is on its way
		})
	}
	eventually(t, "the Space is Ready", func() string {
		if err := admin.Get(t.Context(), client.ObjectKeyFromObject(front), front); err != nil {
			return err.Error()
		}
		ready := meta.FindStatusCondition(front.Status.Conditions, v1alpha1.ConditionReady)
		if ready == nil || ready.Status != metav1.ConditionTrue {
			return fmt.Sprintf("%+v", front.Status.Conditions)
		}
		return ""
	})
}

func owner(t *testing.T) client.Client {
	t.Helper()
	config := rest.CopyConfig(cluster.Config)
	config.Impersonate = rest.ImpersonationConfig{UserName: "shop-owner", Groups: []string{"system:authenticated"}}
	config.WarningHandler = rest.NoWarnings{}
	// The mapper is the administrator's, as its discovery does not go stale when definitions come and go.
	c, err := client.New(config, client.Options{Scheme: admin.Scheme(), Mapper: admin.RESTMapper()})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// deploy pods that any of Bulkhead's policies would accept but for their image.
func deploy(t *testing.T, as client.Client, namespace, name string, count int32, image string) {
	t.Helper()
	if namespace == legacy {
		if err := as.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}); err != nil {
			t.Fatal(err)
		}
	}
	labels := map[string]string{"app": name}
	deployment := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, Spec: appsv1.DeploymentSpec{
		Replicas: &count, Selector: &metav1.LabelSelector{MatchLabels: labels},
		Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: compliant(image)},
	}}
	if err := as.Create(t.Context(), deployment); err != nil {
		t.Fatal(err)
	}
}

func compliant(image string) corev1.PodSpec {
	yes, no := true, false
	return corev1.PodSpec{
		SecurityContext: &corev1.PodSecurityContext{RunAsNonRoot: &yes, SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault}},
		Containers: []corev1.Container{{
			Name: "main", Image: image,
			SecurityContext: &corev1.SecurityContext{AllowPrivilegeEscalation: &no, Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}}},
			Resources: corev1.ResourceRequirements{
				Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("10m"), corev1.ResourceMemory: resource.MustParse("16Mi")},
				Limits:   corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("16Mi")},
			},
		}},
	}
}

// running waits for so many running pods in a namespace and no other, and returns them by UID.
func running(t *testing.T, count int, namespace string) map[types.UID]string {
	t.Helper()
	found := map[types.UID]string{}
	eventually(t, fmt.Sprintf("%d pods run in %s", count, namespace), func() string {
		list := &corev1.PodList{}
		if err := admin.List(t.Context(), list, client.InNamespace(namespace)); err != nil {
			return err.Error()
		}
		clear(found)
		var waits []string
		for _, pod := range list.Items {
			found[pod.UID] = pod.Namespace + "/" + pod.Name
			if pod.Status.Phase != corev1.PodRunning || pod.DeletionTimestamp != nil {
				waits = append(waits, fmt.Sprintf("%s is %s, deleted at %v: %+v", pod.Name, pod.Status.Phase, pod.DeletionTimestamp, pod.Status.Conditions))
			}
		}
		if len(found) != count || len(waits) > 0 {
			return fmt.Sprintf("%d pods: %s", len(found), strings.Join(waits, "; "))
		}
		return ""
	})
	return found
}

// same demands that exactly these pods are there, running, not marked for deletion and never restarted.
func same(t *testing.T, when string, pods map[types.UID]string, namespaces ...string) {
	t.Helper()
	missing := maps.Clone(pods)
	for _, namespace := range namespaces {
		list := &corev1.PodList{}
		if err := admin.List(t.Context(), list, client.InNamespace(namespace)); err != nil {
			t.Fatal(err)
		}
		for _, pod := range list.Items {
			if _, known := missing[pod.UID]; !known {
				t.Errorf("%s: pod %s/%s is another one", when, namespace, pod.Name)
			}
			delete(missing, pod.UID)
			if pod.Status.Phase != corev1.PodRunning || pod.DeletionTimestamp != nil {
				t.Errorf("%s: pod %s/%s is %s, deleted at %v", when, namespace, pod.Name, pod.Status.Phase, pod.DeletionTimestamp)
			}
			for _, status := range pod.Status.ContainerStatuses {
				if status.RestartCount > 0 {
					t.Errorf("%s: pod %s/%s restarted", when, namespace, pod.Name)
				}
			}
		}
	}
	for _, name := range missing {
		t.Errorf("%s: pod %s is gone", when, name)
	}
}

// healthy waits until `bulkhead check` finds no fault; that the network is enforced, no simulated node can show, and the API
// server's seats are as many as by default.
func healthy(t *testing.T) {
	t.Helper()
	eventually(t, "bulkhead check is content", func() string {
		out := tryBulkhead("check", "--accept", "BHC108,BHC207")
		if strings.HasPrefix(out, "exit 0\n") {
			return ""
		}
		return out
	})
}

// refused demands that guardrails refuse, by name, what they must, and allow what they should.
func refused(t *testing.T, owner client.Client) {
	t.Helper()
	pod := func(image string) *corev1.Pod {
		return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: space, Name: "try"}, Spec: compliant(image)}
	}
	if err := owner.Create(t.Context(), pod("registry.example.com/try:v1"), client.DryRunAll); err != nil {
		t.Errorf("a pod that is as it should be: %v", err)
	}
	err := owner.Create(t.Context(), pod("anywhere.example.com/try:v1"), client.DryRunAll)
	if err == nil || !strings.Contains(err.Error(), "bulkhead-images") {
		t.Errorf("a pod with a foreign image: %v, want a refusal by bulkhead-images", err)
	}
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: space}}
	err = admin.Delete(t.Context(), namespace, client.DryRunAll)
	if err == nil || !strings.Contains(err.Error(), "bulkhead-namespaces") {
		t.Errorf("an administrator's deletion of the Space's namespace: %v, want a refusal by bulkhead-namespaces", err)
	}
}

// nothingEnforced demands that guardrails are gone, and the owner's rights with them.
func nothingEnforced(t *testing.T, owner client.Client) {
	t.Helper()
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: space, Name: "try"}, Spec: compliant("anywhere.example.com/try:v1")}
	if err := owner.Create(t.Context(), pod.DeepCopy(), client.DryRunAll); !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "cannot create resource") {
		t.Errorf("the owner has no rights any more, and creating a pod gave: %v", err)
	}
	eventually(t, "the policies are gone", func() string {
		if err := admin.Create(t.Context(), pod.DeepCopy(), client.DryRunAll); err != nil {
			return err.Error()
		}
		return ""
	})
	namespace := &corev1.Namespace{}
	if err := admin.Get(t.Context(), client.ObjectKey{Name: space}, namespace); err != nil || namespace.Labels[v1alpha1.LabelSpace] != "front" {
		t.Errorf("the namespace: %v, labels %v", err, namespace.Labels)
	}
}

// controllersAreAlive is the control of this experiment: pods whose owner is deleted do go, so the garbage collector
// has had its say on all others.
func controllersAreAlive(t *testing.T) {
	t.Helper()
	labels := map[string]string{"app": "canary"}
	count := int32(1)
	canary := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: legacy, Name: "canary"}, Spec: appsv1.DeploymentSpec{
		Replicas: &count, Selector: &metav1.LabelSelector{MatchLabels: labels},
		Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: compliant("any")},
	}}
	if err := admin.Create(t.Context(), canary); err != nil {
		t.Fatal(err)
	}
	find := func() (*corev1.PodList, error) {
		list := &corev1.PodList{}
		return list, admin.List(t.Context(), list, client.InNamespace(legacy), client.MatchingLabels(labels))
	}
	eventually(t, "the canary runs", func() string {
		list, err := find()
		if err != nil || len(list.Items) != 1 || list.Items[0].Status.Phase != corev1.PodRunning {
			return fmt.Sprintf("%d pods, %v", len(list.Items), err)
		}
		return ""
	})
	if err := admin.Delete(t.Context(), canary, client.PropagationPolicy(metav1.DeletePropagationBackground)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the canary is collected", func() string {
		list, err := find()
		if err != nil || len(list.Items) > 0 {
			return fmt.Sprintf("%d pods, %v", len(list.Items), err)
		}
		return ""
	})
}

func left(t *testing.T, namespace string) string {
	t.Helper()
	list := &corev1.PodList{}
	if err := admin.List(t.Context(), list, client.InNamespace(namespace)); err != nil {
		return err.Error()
	}
	if len(list.Items) > 0 {
		return fmt.Sprintf("%d pods", len(list.Items))
	}
	return ""
}
