package guardrail

import (
	"cmp"
	"slices"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
)

// podSecurityVersion pins the checks behind the Pod Security levels. It is the oldest Kubernetes that Bulkhead
// supports, so every server knows it, and upgrading a server never starts to refuse what ran the day before: a newer
// set of checks comes with a release of Bulkhead, where it is read and announced.
const podSecurityVersion = "v1.36"

// clusterMeta is the metadata of an object that exists once for the whole cluster.
func clusterMeta(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Name: name, Labels: map[string]string{v1alpha1.LabelManagedBy: v1alpha1.ManagedBy}}
}

// tenantMeta is the metadata of an object that exists for one tenant; namespace is empty for a cluster-scoped one.
func tenantMeta(namespace, name, tenant string) metav1.ObjectMeta {
	m := clusterMeta(name)
	m.Namespace = namespace
	m.Labels[v1alpha1.LabelTenant] = tenant
	return m
}

// spaceMeta is the metadata of a namespaced object that exists for one Space.
func spaceMeta(in *SpaceInput, name string) metav1.ObjectMeta {
	m := tenantMeta(in.namespace(), name, in.Tenant.Name)
	m.Labels[v1alpha1.LabelSpace] = in.Space.Name
	return m
}

// namespace that the Space becomes.
func (in *SpaceInput) namespace() string {
	return v1alpha1.SpaceNamespace(in.Tenant.Name, in.Space.Name)
}

// podSecurity adds the Pod Security labels. The warnings and the audit trail always tell of restricted, also where a
// waiver lowers what is enforced.
func podSecurity(labels map[string]string, enforce string) {
	const prefix = "pod-security.kubernetes.io/"
	for mode, level := range map[string]string{"enforce": enforce, "audit": restricted, "warn": restricted} {
		labels[prefix+mode] = level
		labels[prefix+mode+"-version"] = podSecurityVersion
	}
}

// The Pod Security levels that Bulkhead sets. There is no third.
const (
	restricted = "restricted"
	baseline   = "baseline"
)

// subjects turns owners into RBAC subjects, sorted and each once.
func subjects(owners []v1alpha1.Owner) []rbacv1.Subject {
	list := make([]rbacv1.Subject, 0, len(owners))
	for _, o := range owners {
		s := rbacv1.Subject{Kind: o.Kind, Name: o.Name, APIGroup: rbacv1.GroupName}
		if o.Kind == rbacv1.ServiceAccountKind {
			s.APIGroup, s.Namespace = "", o.Namespace
		}
		list = append(list, s)
	}
	slices.SortFunc(list, func(a, b rbacv1.Subject) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	return slices.Compact(list)
}

// roleBinding gives a ClusterRole to a tenant's owners within one namespace.
func roleBinding(meta *metav1.ObjectMeta, role string, owners []v1alpha1.Owner) *rbacv1.RoleBinding {
	return &rbacv1.RoleBinding{
		TypeMeta:   metav1.TypeMeta{APIVersion: rbacv1.SchemeGroupVersion.String(), Kind: "RoleBinding"},
		ObjectMeta: *meta,
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role},
		Subjects:   subjects(owners),
	}
}
