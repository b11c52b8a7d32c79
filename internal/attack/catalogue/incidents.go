package catalogue

// incidentSuite replays what happened to published tenancy systems.
func incidentSuite() Suite {
	return Suite{Name: "incidents", About: "What happened to published tenancy systems, tried here.", Items: []Item{
		{ID: "CVE-2024-39690", Title: "A service account took over kube-system by a patch", Story: "A tenancy operator decided who owns a namespace by " +
			"the owner references on it, and checked an update only against the new ones. Every user who could patch a namespace could become its owner, and " +
			"a tenant's service account had that right on every namespace. It patched kube-system and was its owner.",
			Attacks: []string{"guardrail/system-namespace-*", "guardrail/namespace-*", "rbac-own/every-patch", "rbac-own/every-update", "rbac-enumerate/every-cluster-patch"}},
		{ID: "CVE-2025-55205", Title: "Labels were injected into system namespaces", Story: "The same operator let a tenant's owner set labels on " +
			"namespaces that no tenant owned. Selectors of policies and quotas trust labels: with the right one, kube-system fell under a tenant's rules.",
			Attacks: []string{"guardrail/system-namespace-*", "rbac-enumerate/every-cluster-patch", "rbac-enumerate/every-cluster-update"}},
		{ID: "CVE-2026-22872", Title: "The controller made what the tenant wrote, with its own rights", Story: "A tenant could hand the controller templates " +
			"of objects to make in each of its namespaces. The controller applied them as cluster-admin and did not ask whether they were namespaced: a " +
			"ClusterRoleBinding among them made the tenant the cluster's administrator. Bulkhead takes no objects from tenants: there is no field for any.",
			Attacks: []string{"guardrail/space-template", "rbac-enumerate/every-cluster-create", "rbac-escalate/bind-cluster-admin", "guardrail/space-status"}},
		{ID: "CVE-2026-65835", Title: "The fix missed one path", Story: "The repair of that hole looked at objects when a template was created. A second kind " +
			"of template, and a change of one that existed, took the old path. So the same is tried here on what is there already.",
			Attacks: []string{"guardrail/space-template-by-patch", "guardrail/space-status", "guardrail/space-moved", "guardrail/space-here"}},
		{ID: "CVE-2026-41052", Title: "A project's owner lowered Pod Security", Story: "Pod Security reads its level from labels on the namespace. The owner of a " +
			"project could edit its namespaces, labels among them: they set the level to privileged and ran a pod that was the node.",
			Attacks: []string{"guardrail/namespace-*", "guardrail/pod-security-label", "pod-security/privileged*", "pod-security/init-privileged", "pod-security/ephemeral-privileged"}},
		{ID: "CVE-2019-14436", Title: "A project's owner bound a role of the whole cluster", Story: "The owner of a project managed the role bindings in it, and the " +
			"check of what a binding may name could be passed by: a binding to a role of the whole cluster gave them every project's rights.",
			Attacks: []string{"rbac-escalate/bind-*", "rbac-escalate/role-*", "rbac-escalate/share-*", "rbac-enumerate/every-cluster-create"}},
		{ID: "moved-namespace", Title: "Rights survived the move of a namespace to another tenant", Story: "A namespace was moved from one tenant to another by a " +
			"label. The bindings that its old owners had made stayed, and they went on reading the new tenant's secrets. With Bulkhead a namespace's name holds " +
			"its tenant and it cannot be moved; and no binding may name another tenant's accounts.",
			Attacks: []string{"guardrail/tenant-label", "guardrail/namespace-*", "rbac-escalate/share-with-*", "guardrail/claim-tenant"}},
		{ID: "allow-all-policy", Title: "A tenant's own policy opened what the platform had closed", Story: "The platform put a policy that denies everything into each " +
			"namespace. NetworkPolicies add up: the tenant wrote a second one that allows everything, and the first one counted no more.",
			Attacks: []string{"network-default/from-*", "network-default/to-*", "network-metadata/*", "guardrail/delete-networkpolicies", "guardrail/unmark-networkpolicies"}},
		{ID: "spoofed-label", Title: "A label on a namespace let a stranger in", Story: "A tenant let in the pods of namespaces that bear a certain label. Another tenant, " +
			"who could label its own namespace, gave it that label. Bulkhead's policies select by the name that the API server itself writes.",
			Attacks: []string{"guardrail/name-label", "guardrail/tenant-label", "guardrail/namespace-*", "network-default/from-labelled", "rbac-enumerate/every-cluster-create"}},
	}}
}
