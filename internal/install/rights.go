package install

import (
	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
)

// Right is one rule of the controller's ClusterRole, with why it is needed.
type Right struct {
	Rule rbacv1.PolicyRule
	Why  string
}

// Rights are what the controller holds, and nothing beyond.
func Rights() []Right {
	return []Right{
		{rbacv1.PolicyRule{
			APIGroups: []string{v1alpha1.GroupVersion.Group},
			Resources: []string{"platforms", "tenants", "spaces", "waivers"},
			Verbs:     []string{"get", "list", "watch", "update", "patch"},
		}, "read what was declared, and keep finalizers"},
		{rbacv1.PolicyRule{
			APIGroups: []string{v1alpha1.GroupVersion.Group},
			Resources: []string{v1alpha1.ResourceGuardrails},
			Verbs:     []string{v1alpha1.VerbChange},
		}, "change what it manages: the guardrail policy asks for this right"},
	}
}

// PolicyRules are the rules of Rights, for the ClusterRole.
func PolicyRules() []rbacv1.PolicyRule {
	rights := Rights()
	rules := make([]rbacv1.PolicyRule, len(rights))
	for i, right := range rights {
		rules[i] = right.Rule
	}
	return rules
}
