package guardrail

// rbacEnumerateControl is enforced by what the roles in own.go lack.
var rbacEnumerateControl = Control{
	ID: "rbac-enumerate", Title: "Tenants cannot list one another",
	Threat: "learning the customers' names from lists of namespaces, nodes or volumes",
	How: "No tenant has a right outside its namespaces, so it can list neither over all namespaces nor " +
		"cluster-scoped objects. What a tenant needs to know of its Spaces it reads in its home namespace. A " +
		"flow to a foreign Space is answered alike whether that Space exists or not.",
	Objects: []string{"ClusterRole bulkhead:space-owner", "ClusterRole bulkhead:home-owner"},
	Needs:   "as rbac-own",
	Fix: "Developer: list Spaces in your home namespace instead of namespaces; an application that must list " +
		"namespaces declares apiAccess ClusterWide and gets a cluster of its own. Platform: as rbac-own.",
	Mappings: []string{"K02", "MTB-PL1-CC-CPI-1"},
	cases: []string{
		"every-cluster-*", "every-namespace-*", "list-namespaces", "list-nodes", "list-pods", "list-spaces", "list-tenants",
		"list-volumes", "watch-events", "watch-namespaces", "path-configuration", "path-flows", "path-logs", "path-metrics",
		"path-profiles",
	},
}
