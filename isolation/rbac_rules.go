package isolation

import (
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
)

// ruleAllows says whether a rule allows a request.
func ruleAllows(rule *rbacv1.PolicyRule, a *Attributes) bool {
	if !anyOr(rule.Verbs, a.Verb) {
		return false
	}
	if a.Resource == "" {
		return slices.ContainsFunc(rule.NonResourceURLs, func(pattern string) bool { return pathMatches(pattern, a.Path) })
	}
	return anyOr(rule.APIGroups, a.Group) &&
		slices.ContainsFunc(rule.Resources, func(pattern string) bool { return resourceMatches(pattern, a.Resource, a.Subresource) }) &&
		(len(rule.ResourceNames) == 0 || slices.Contains(rule.ResourceNames, a.Name))
}

func anyOr(list []string, one string) bool {
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

func pathMatches(pattern, path string) bool {
	return pattern == path || strings.HasSuffix(pattern, "*") && strings.HasPrefix(path, strings.TrimRight(pattern, "*"))
}

func describeRule(rule *rbacv1.PolicyRule) string {
	text := fewOf(rule.Verbs) + " of " + fewOf(append(slices.Clone(rule.Resources), rule.NonResourceURLs...))
	if groups := slices.DeleteFunc(slices.Clone(rule.APIGroups), func(g string) bool { return g == "" }); len(groups) > 0 {
		text += " in API group " + fewOf(groups)
	}
	if len(rule.ResourceNames) > 0 {
		text += " named " + fewOf(rule.ResourceNames)
	}
	return text
}

// fewOf names a few of many.
func fewOf(names []string) string {
	const most = 6
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return strings.Join(names[:most], ", ") + ", ..."
}
