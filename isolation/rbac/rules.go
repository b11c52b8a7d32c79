package rbac

import (
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/bulkhead-dev/bulkhead/isolation/finding"
)

// ruleAllows reports whether a rule allows a request.
func ruleAllows(rule *rbacv1.PolicyRule, a *finding.Attributes) bool {
	if !Names(rule.Verbs, a.Verb) {
		return false
	}
	if a.Resource == "" {
		return slices.ContainsFunc(rule.NonResourceURLs, func(pattern string) bool { return PathMatches(pattern, a.Path) })
	}
	return Names(rule.APIGroups, a.Group) &&
		slices.ContainsFunc(rule.Resources, func(pattern string) bool { return resourceMatches(pattern, a.Resource, a.Subresource) }) &&
		(len(rule.ResourceNames) == 0 || slices.Contains(rule.ResourceNames, a.Name))
}

// Names reports whether a list of a rule names one, or everything by *.
func Names(list []string, one string) bool {
	for _, s := range list {
		if s == "*" || s == one {
			return true
		}
	}
	return false
}

// resourceMatches: * is every resource with its subresources, */NAME that subresource of every resource; a resource
// alone is not its subresources.
func resourceMatches(pattern, resource, subresource string) bool {
	if pattern == "*" {
		return true
	}
	before, after, split := strings.Cut(pattern, "/")
	if subresource == "" {
		return pattern == resource
	}
	return split && after == subresource && (before == "*" || before == resource)
}

// matchesNothing reports whether no resource that a server has is what a rule says: RBAC knows * alone and */NAME, and no name of a
// resource has a * in it; group extensions is served no more since Kubernetes 1.22.
func matchesNothing(group, resource string) bool {
	return group == "extensions" || resource != "*" && strings.Contains(strings.TrimPrefix(resource, "*/"), "*")
}

// PathMatches reports whether a path is a pattern, or begins as one that ends in *.
func PathMatches(pattern, path string) bool {
	return pattern == path || strings.HasSuffix(pattern, "*") && strings.HasPrefix(path, strings.TrimRight(pattern, "*"))
}

func describeRule(rule *rbacv1.PolicyRule) string {
	text := finding.Few(rule.Verbs) + " of " + finding.Few(append(slices.Clone(rule.Resources), rule.NonResourceURLs...))
	if groups := slices.DeleteFunc(slices.Clone(rule.APIGroups), func(g string) bool { return g == "" }); len(groups) > 0 {
		text += " in API group " + finding.Few(groups)
	}
	if len(rule.ResourceNames) > 0 {
		text += " named " + finding.Few(rule.ResourceNames)
	}
	return text
}
