// Package openapi reads what fields an API server serves.
package openapi

import (
	"fmt"
	"slices"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/client-go/openapi"
	"k8s.io/client-go/openapi3"
	"k8s.io/kube-openapi/pkg/spec3"

	"github.com/bulkhead-dev/bulkhead/guardrail/fields"
)

// Fields reads from an API server's OpenAPI what requests allowed by the rules can carry, in every version that it serves.
func Fields(client openapi.Client, rules []rbacv1.PolicyRule) (*fields.API, error) {
	root := openapi3.NewRoot(client)
	versions, err := root.GroupVersions()
	if err != nil {
		return nil, fmt.Errorf("list the API server's OpenAPI: %w", err)
	}
	var documents []*spec3.OpenAPI
	for _, version := range versions {
		named := func(rule rbacv1.PolicyRule) bool { return slices.Contains(rule.APIGroups, version.Group) }
		if version.Version == "" || !slices.ContainsFunc(rules, named) {
			continue
		}
		document, err := root.GVSpec(version)
		if err != nil {
			return nil, fmt.Errorf("read the API server's OpenAPI of %s: %w", version, err)
		}
		documents = append(documents, document)
	}
	return fields.Read(documents...), nil
}
