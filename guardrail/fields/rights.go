package fields

import (
	"slices"

	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/guardrail"
)

// Rights are all that owners may do in their Spaces and in their home namespace, without the custom resources of a platform.
func Rights() []rbacv1.PolicyRule {
	var rights []rbacv1.PolicyRule
	for _, o := range guardrail.Cluster(nil) {
		if role, is := o.(*rbacv1.ClusterRole); is && slices.Contains([]string{v1alpha1.RoleOwner, v1alpha1.RoleHome}, role.Name) {
			rights = append(rights, role.Rules...)
		}
	}
	return rights
}
