package guardrail

import (
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
)

// Names of the roles for the people who run the platform. Bulkhead renders them and binds them to nobody.
const (
	// RolePlatformAdmin writes Platforms and Tenants, and may change what Bulkhead manages.
	RolePlatformAdmin = "bulkhead:platform-admin"
	// RoleSecurity writes Waivers and reads all.
	RoleSecurity = "bulkhead:security"
	// RoleViewer reads all of Bulkhead's objects.
	RoleViewer = "bulkhead:viewer"
)

// Cluster renders the objects that exist once for the cluster, whatever tenants there are, in the order in which they
// must be written: the admission policies first, since they are what keeps the rest in place. Without a Platform (nil)
// nothing is on any allow-list.
func Cluster(p *v1alpha1.Platform) []Object {
	return append(append(Policies(p), tenantLevels()...),
		systemFlowSchema(),
		clusterRole(v1alpha1.RoleOwner, append(slices.Clone(ownerRules()), tenantResourceRules(p)...)),
		clusterRole(v1alpha1.RoleHome, homeRules()),
		clusterRole(RolePlatformAdmin, platformAdminRules()),
		clusterRole(RoleSecurity, securityRules()),
		clusterRole(RoleViewer, viewerRules()),
	)
}

func clusterRole(name string, rules []rbacv1.PolicyRule) *rbacv1.ClusterRole {
	return &rbacv1.ClusterRole{
		TypeMeta:   metav1.TypeMeta{APIVersion: rbacv1.SchemeGroupVersion.String(), Kind: "ClusterRole"},
		ObjectMeta: clusterMeta(name),
		Rules:      rules,
	}
}

// tenantResourceRules lets owners use the custom resources that the platform names, without their status.
func tenantResourceRules(p *v1alpha1.Platform) []rbacv1.PolicyRule {
	var rules []rbacv1.PolicyRule
	if p == nil {
		return nil
	}
	for _, r := range p.Spec.TenantResources {
		if resources := usable(&r); len(resources) > 0 {
			rules = append(rules, rbacv1.PolicyRule{
				APIGroups: []string{r.Group}, Resources: resources, Verbs: readWrite(),
			})
		}
	}
	return rules
}

// RefusedTenantResources tells of spec.tenantResources what is left out of the owners' rights, and why: groups of
// Kubernetes and of Bulkhead, wildcards and subresources.
func RefusedTenantResources(p *v1alpha1.Platform) []string {
	var refused []string
	if p == nil {
		return nil
	}
	for _, r := range p.Spec.TenantResources {
		kept := usable(&r)
		for _, name := range r.Resources {
			if !slices.Contains(kept, name) {
				refused = append(refused, "tenantResources: "+name+" of group "+r.Group+
					" is not given to owners: groups of Kubernetes (*.k8s.io, *.kubernetes.io, or without a dot) and of Bulkhead,"+
					" wildcards and subresources are never; name the plural of a custom resource")
			}
		}
	}
	return refused
}

func usable(r *v1alpha1.TenantResource) []string {
	for _, own := range []string{"k8s.io", "kubernetes.io", v1alpha1.GroupVersion.Group} {
		if r.Group == own || strings.HasSuffix(r.Group, "."+own) {
			return nil
		}
	}
	if !strings.Contains(r.Group, ".") || strings.Contains(r.Group, "*") {
		return nil
	}
	kept := make([]string, 0, len(r.Resources))
	for _, name := range r.Resources {
		if name != "" && !strings.ContainsAny(name, "*/") {
			kept = append(kept, name)
		}
	}
	slices.Sort(kept)
	return slices.Compact(kept)
}
