package fields

// lists is why the number of elements of a list is left to the size of its object.
const lists = "The size of the object bounds it: each element costs bytes and nothing else."

// metadata is what all objects have.
var metadata = []Section{
	{TypeMeta, []Row{
		{"apiVersion", Checked, "It must be that of the request's path.", ""},
		{"kind", Checked, "It must be that of the request's path.", ""},
	}},
	{"meta.v1.ObjectMeta", []Row{
		{"annotations", Bounded, "rbac-escalate", "rbac-escalate/annotate-pod rbac-escalate/annotate-service rbac-escalate/annotate-claim rbac-escalate/annotate-ingress-class rbac-escalate/template-annotated rbac-escalate/annotate-account rbac-escalate/annotate-secret rbac-escalate/annotate-map rbac-escalate/annotate-workload rbac-escalate/made-annotations"},
		{"labels", Bounded, "rbac-escalate", "rbac-escalate/label-pod rbac-escalate/label-service rbac-escalate/label-claim rbac-escalate/label-ingress rbac-escalate/template-labelled rbac-escalate/label-account rbac-escalate/label-workload rbac-escalate/made-labels"},
		{"finalizers", Bounded, "guardrail", "guardrail/finalizer-space guardrail/finalizer-space-by-patch guardrail/finalizer-configmap guardrail/finalizer-configmap-by-patch " +
			"guardrail/finalizer-role guardrail/finalizer-role-binding guardrail/finalizer-pod guardrail/finalizer-template-deployment"},
		{"ownerReferences", Harmless, "The garbage collector acts on the object that holds the reference, and looks for owners in its namespace or without one; " +
			"what could hold up a deletion is a finalizer.", ""},
		{"name", Harmless, "Names are unique within the namespace, and the names that Bulkhead uses there are taken before the owner has a right.", ""},
		{"generateName", Harmless, "As name: the API server completes it.", ""},
		{"namespace", Checked, "It must be that of the request's path, where RBAC judged the request.", ""},
		{"managedFields", Harmless, "They say who wrote which field of the tenant's own object; Bulkhead applies to objects that tenants cannot change.", ""},
		{"creationTimestamp", Server, "The API server sets it before admission.", ""},
		{"deletionTimestamp", Server, "The API server sets it on deletion.", ""},
		{"deletionGracePeriodSeconds", Server, "The API server sets it on deletion.", ""},
		{"generation", Server, "The API server counts it.", ""},
		{"resourceVersion", Checked, "It must be that of the object as it is, or left out.", ""},
		{"uid", Checked, "It must be that of the object as it is, or left out.", ""},
		{"selfLink", Server, "It is not used any more.", ""},
	}},
	{"meta.v1.LabelSelector", []Row{
		{"", Harmless, "Selectors of owners' objects see objects of their own namespace; where one reaches further, the row above it says so.", ""},
	}},
	{"meta.v1.DeleteOptions", []Row{
		{"dryRun", Harmless, "Nothing is stored.", ""},
		{"gracePeriodSeconds", Bounded, "quota", "quota/grace-by-eviction"},
		{"ignoreStoreReadErrorWithClusterBreakingPotential", Checked,
			"The API server asks for the verb unsafe-delete-ignore-read-errors, which is not in the owners' list.", ""},
		{"orphanDependents", Harmless, "The garbage collector keeps or deletes what the tenant's own object owns.", ""},
		{"propagationPolicy", Bounded, "quota", "quota/evict-orphaning"},
		{"preconditions", Bounded, "quota", "quota/evict-another"},
	}},
}
