package guardrail

import (
	"slices"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
)

const (
	// LabelRole with the value RoleHomeNamespace marks home namespaces. They carry no pattern: nothing runs there.
	LabelRole = v1alpha1.LabelRole
	// RoleHomeNamespace is the value of LabelRole.
	RoleHomeNamespace = v1alpha1.RoleHomeNamespace
	// AnnotationProtected with the value "true", on a home namespace, repeats the tenant's spec.protected where
	// admission policies can read it.
	AnnotationProtected = v1alpha1.AnnotationProtected

	// CountSpaces is the quota key of the number of Spaces. It bounds a tenant's home namespace and is not split.
	CountSpaces = v1alpha1.CountSpaces
	// defaultSpaces is how many Spaces a tenant has whose quota does not say: each costs the platform a namespace with
	// its objects, and a published limit of a cluster is 10,000 namespaces.
	defaultSpaces = 100
)

// Tenant renders the objects that exist once for a tenant, in the order in which they must be written: its home
// namespace with what bounds it, its share of the API server, and last the owners' rights in the home namespace.
// The namespaces of all its Spaces are given so that what runs there counts as the tenant when it calls the API server.
func Tenant(t *v1alpha1.Tenant, spaceNamespaces []string) []Object {
	home := v1alpha1.HomeNamespace(t.Name)
	owners := tenantMeta(home, OwnersName, t.Name)
	list := append([]Object{homeNamespace(t), homeQuota(t), homeNetwork(t)},
		tenantFlowSchemas(t, append([]string{home}, slices.Sorted(slices.Values(spaceNamespaces))...))...)
	return append(list, roleBinding(&owners, v1alpha1.RoleHome, t.Spec.Owners))
}

func homeNamespace(t *v1alpha1.Tenant) *corev1.Namespace {
	labels := map[string]string{
		v1alpha1.LabelManagedBy: v1alpha1.ManagedBy,
		v1alpha1.LabelTenant:    t.Name,
		LabelRole:               RoleHomeNamespace,
	}
	podSecurity(labels, restricted)
	annotations := map[string]string{AnnotationProtected: strconv.FormatBool(t.Spec.Protected)}
	return namespace(v1alpha1.HomeNamespace(t.Name), labels, annotations)
}

// homeQuota bounds the Spaces and lets nothing else in that could run, listen or hold a secret. Owners have no right
// to create any of it there; this holds even when somebody gives them one.
func homeQuota(t *v1alpha1.Tenant) *corev1.ResourceQuota {
	spaces, given := t.Spec.Quota[CountSpaces]
	if !given {
		spaces = *resource.NewQuantity(defaultSpaces, resource.DecimalSI)
	}
	hard := corev1.ResourceList{CountSpaces: spaces.DeepCopy()}
	for _, key := range []corev1.ResourceName{
		corev1.ResourcePods, countPods, corev1.ResourceServices, corev1.ResourceSecrets,
		corev1.ResourcePersistentVolumeClaims, corev1.ResourceReplicationControllers,
	} {
		hard[key] = *resource.NewQuantity(0, resource.DecimalSI)
	}
	meta := tenantMeta(v1alpha1.HomeNamespace(t.Name), QuotaName, t.Name)
	return quotaObject(&meta, hard)
}

// SystemQuota keeps Spaces out of Bulkhead's own namespace. It is there before any tenant's quota is: its status tells
// whether Kubernetes counts Spaces yet.
func SystemQuota() *corev1.ResourceQuota {
	meta := clusterMeta("bulkhead-spaces")
	meta.Namespace = v1alpha1.SystemNamespace
	return quotaObject(&meta, corev1.ResourceList{CountSpaces: *resource.NewQuantity(0, resource.DecimalSI)})
}

func homeNetwork(t *v1alpha1.Tenant) *networkingv1.NetworkPolicy {
	meta := tenantMeta(v1alpha1.HomeNamespace(t.Name), NetworkDefaultName, t.Name)
	return networkPolicy(&meta, nil, nil, nil)
}

// quotaObject is a ResourceQuota over all pods of a namespace.
func quotaObject(meta *metav1.ObjectMeta, hard corev1.ResourceList) *corev1.ResourceQuota {
	return &corev1.ResourceQuota{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "ResourceQuota"},
		ObjectMeta: *meta,
		Spec:       corev1.ResourceQuotaSpec{Hard: hard},
	}
}

// NodeDedication is what the nodes of a group carry that is dedicated to a tenant: labels, which kubelets cannot set
// themselves, and a taint that keeps every pod away that does not tolerate it.
func NodeDedication(tenant string) (labels map[string]string, taint corev1.Taint) {
	return map[string]string{v1alpha1.LabelNodeTenant: tenant},
		corev1.Taint{Key: v1alpha1.TaintNodeTenant, Value: tenant, Effect: corev1.TaintEffectNoSchedule}
}
