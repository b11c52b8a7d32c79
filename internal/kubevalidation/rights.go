package kubevalidation

import (
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/validate/content"
	"k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// rules is ValidatePolicyRule of Kubernetes' pkg/apis/rbac/validation, for each rule.
func rules(list []rbacv1.PolicyRule, namespaced bool) field.ErrorList {
	var faults field.ErrorList
	for i := range list {
		rule, at := &list[i], field.NewPath("rules").Index(i)
		if len(rule.Verbs) == 0 {
			faults = append(faults, field.Required(at.Child("verbs"), "verbs must contain at least one value"))
		}
		if len(rule.NonResourceURLs) > 0 {
			urls := at.Child("nonResourceURLs")
			if namespaced {
				faults = append(faults, field.Invalid(urls, rule.NonResourceURLs, "namespaced rules cannot apply to non-resource URLs"))
			}
			if len(rule.APIGroups)+len(rule.Resources)+len(rule.ResourceNames) > 0 {
				faults = append(faults, field.Invalid(urls, rule.NonResourceURLs, "rules cannot apply to both regular resources and non-resource URLs"))
			}
			continue
		}
		if len(rule.APIGroups) == 0 {
			faults = append(faults, field.Required(at.Child("apiGroups"), "resource rules must supply at least one api group"))
		}
		if len(rule.Resources) == 0 {
			faults = append(faults, field.Required(at.Child("resources"), "resource rules must supply at least one resource"))
		}
	}
	return faults
}

func aggregation(rule *rbacv1.AggregationRule) field.ErrorList {
	if rule == nil {
		return nil
	}
	path := field.NewPath("aggregationRule", "clusterRoleSelectors")
	if len(rule.ClusterRoleSelectors) == 0 {
		return field.ErrorList{field.Required(path, "at least one clusterRoleSelector required if aggregationRule is non-nil")}
	}
	var faults field.ErrorList
	for i := range rule.ClusterRoleSelectors {
		faults = append(faults, selector(&rule.ClusterRoleSelectors[i], path.Index(i))...)
	}
	return faults
}

func roleRef(ref *rbacv1.RoleRef, kinds ...string) field.ErrorList {
	path := field.NewPath("roleRef")
	faults := append(oneOf(path.Child("apiGroup"), ref.APIGroup, rbacv1.GroupName), oneOf(path.Child("kind"), ref.Kind, kinds...)...)
	if ref.Name == "" {
		return append(faults, field.Required(path.Child("name"), ""))
	}
	return append(faults, invalid(path.Child("name"), ref.Name, content.IsPathSegmentName(ref.Name))...)
}

// subjects is ValidateRoleBindingSubject of the same package, for each subject.
func subjects(list []rbacv1.Subject, namespaced bool) field.ErrorList {
	var faults field.ErrorList
	for i := range list {
		s, at := &list[i], field.NewPath("subjects").Index(i)
		if s.Name == "" {
			faults = append(faults, field.Required(at.Child("name"), ""))
		}
		faults = append(faults, oneOf(at.Child("kind"), s.Kind, rbacv1.ServiceAccountKind, rbacv1.UserKind, rbacv1.GroupKind)...)
		switch s.Kind {
		case rbacv1.UserKind, rbacv1.GroupKind:
			faults = append(faults, oneOf(at.Child("apiGroup"), s.APIGroup, rbacv1.GroupName)...)
		case rbacv1.ServiceAccountKind:
			if s.Name != "" {
				faults = append(faults, invalid(at.Child("name"), s.Name, validation.ValidateServiceAccountName(s.Name, false))...)
			}
			faults = append(faults, oneOf(at.Child("apiGroup"), s.APIGroup, "")...)
			if !namespaced && s.Namespace == "" {
				faults = append(faults, field.Required(at.Child("namespace"), ""))
			}
		}
	}
	return faults
}
