package guardrails

import "github.com/bulkhead-dev/bulkhead/isolation/finding"

// guardrailCodes are those of check guardrails. Each control has one of its own, so that a waiver of one accepts no other.
func guardrailCodes() []finding.Code {
	admitted := func(id, control, title, why, fix string, severity finding.Severity, mappings ...string) finding.Code {
		return finding.Code{ID: id, Title: title, Severity: severity, Why: why, Fix: fix, Controls: []string{control}, Mappings: mappings}
	}
	return append([]finding.Code{
		admitted("BH4001", "pod-security", "A tenant's pods may reach their node",
			"A container that becomes its node has every pod, token and volume there.",
			"Label the namespace pod-security.kubernetes.io/enforce: restricted, with a pinned enforce-version.", finding.Critical, "K01", "MTB-PL1-BC-CPI-5"),
		admitted("BH4002", "images", "A tenant may run images from anywhere",
			"Images that were not reviewed run next to what others trust.",
			"Refuse images from outside the allowed registries, in every container and image volume.", finding.Medium, "K04", "MTB-PL1-CC-DI-1"),
		admitted("BH4003", "token", "A tenant's pods may have an identity that they do not need",
			"A stolen token is an identity: at the API server, or outside the cluster.",
			"Refuse tokens where the workload does not call the API, and audiences other than the API server.", finding.Medium, "K03", "K09"),
		admitted("BH4004", "runtime", "A tenant's pods may run outside the sandbox that is demanded",
			"Code that was not audited shares the node's kernel.", "Set the demanded RuntimeClass on pods, and refuse any other.", finding.High, "K01"),
		admitted("BH4005", "node-affinity", "A tenant may place pods on nodes of others",
			"Pods on one node share its kernel, and are exposed together when it is compromised.",
			"Refuse nodeName, selectors and affinity that name others' nodes, and tolerations that reach further than the tenant's own.", finding.High, "K01", "K04"),
		admitted("BH4006", "scheduling", "A tenant may schedule its pods by itself",
			"A tenant's own scheduler follows none of the rules.", "Allow the platform's schedulers only.", finding.Medium, "K04"),
		admitted("BH4007", "priority", "A tenant may preempt others' pods",
			"A higher priority evicts what others run.", "Allow named PriorityClasses only, none of the system's.", finding.Medium, "K04"),
		admitted("BH4008", "storage", "A tenant may claim volumes that are not its own",
			"A released volume still holds its former owner's data.",
			"Refuse claims that name or select a volume, and classes that are not allowed.", finding.High, "K04"),
		admitted("BH4009", "network-default", "A tenant may open its namespaces to others",
			"NetworkPolicies add up: one that opens is enough, whatever the platform's own ones close.",
			"Refuse NetworkPolicies whose peers lie outside the namespace, or remove the right to write them.", finding.Medium, "K05", "MTB-PL1-CC-TI-2"),
		admitted("BH4010", "service-expose", "A tenant may expose itself, or capture others' traffic",
			"Node ports bypass network policies; external addresses and host names are shared by all.",
			"Refuse node ports, externalIPs, aliases of names inside the cluster and host names of others.", finding.Medium, "K06", "MTB-PL1-BC-HI-1"),
		admitted("BH4011", "guardrail", "Guardrails may be changed",
			"A guardrail that its tenant can change protects nothing.",
			"Restore the policy and its binding as the platform renders them.", finding.High, "K04", "MTB-PL1-CC-TI-1"),
		admitted("BH4012", "rbac-escalate", "A tenant may raise or give away its rights",
			"A binding to all users opens the namespace to other tenants; a controller that acts on an annotation has rights over all.",
			"Refuse RoleBindings to system groups and to other tenants' service accounts, and annotations that the platform does not name.", finding.Medium, "K02", "MTB-PL2-CC-TI-1"),
	}, shareCodes()...)
}

// shareCodes are those of quotas, limits and of policies as they are.
func shareCodes() []finding.Code {
	admitted := func(id, control, title, why, fix string, severity finding.Severity, mappings ...string) finding.Code {
		return finding.Code{ID: id, Title: title, Severity: severity, Why: why, Fix: fix, Controls: []string{control}, Mappings: mappings}
	}
	return []finding.Code{
		admitted("BH4013", "quota", "A namespace has no effective quota",
			"Objects that are not counted can be created until the nodes, or etcd, are full.",
			"Give the namespace a ResourceQuota that bounds CPU, memory, storage, pods and every kind that the tenant may create.", finding.Medium, "K01", "MTB-PL1-CC-FNS-1"),
		admitted("BH4014", "quota", "A tenant's quotas add up to more than it has",
			"A tenant with many namespaces gets more than its share.", "Lower the quotas of the tenant's namespaces until their sum is within the tenant's quota.", finding.Medium, "K01"),
		admitted("BH4015", "defaults", "Containers need no limits",
			"A container without limits takes the whole node; a limit of 0 is none.",
			"Give the namespace a LimitRange with default requests and limits, and a minimum above 0.", finding.Medium, "K01", "MTB-PL1-CC-FNS-1"),
		{ID: "BH4016", Title: "Pod Security is not pinned to a version", Severity: finding.Low, Controls: []string{"pod-security"}, Mappings: []string{"K01"},
			Why: "With latest, or none, the checks change with the next upgrade of the API server.", Fix: "Set pod-security.kubernetes.io/enforce-version to a version."},
		{ID: "BH4017", Title: "A guardrail is not in force", Severity: finding.Medium, Mappings: []string{"K04"},
			Controls: []string{"guardrail"},
			Why:      "A policy without a binding, a binding that does not deny, or an object that is missing, refuses nothing.",
			Fix:      "Restore what is missing or was loosened, as the platform renders it."},
		{ID: "BH4018", Title: "A webhook can be bypassed", Severity: finding.Medium, Controls: []string{"guardrail"}, Mappings: []string{"K04"},
			Why: "A webhook that is ignored when it does not answer, or that exempts namespaces by labels, refuses nothing when it matters.",
			Fix: "Set failurePolicy: Fail, and exempt namespaces only by kubernetes.io/metadata.name; or replace it by an admission policy."},
		{ID: "BH4019", Title: "It cannot be decided whether a dangerous object is refused", Severity: finding.Medium, Controls: []string{"guardrail"}, Mappings: []string{"K04"},
			Why: "What admission answers depends on what is not known here, or a harmless object is refused as well.", Fix: "Give what the finding names as missing."},
		{ID: "BH4020", Title: "Labels or annotations that policies read are not as rendered", Severity: finding.High, Controls: []string{"guardrail"}, Mappings: []string{"K04"},
			Why: "Labels and annotations of a namespace decide which policies hold there and what they allow.", Fix: "Restore the labels and annotations as the platform renders them."},
		{ID: "BH4021", Title: "An admission policy is not as rendered", Severity: finding.Medium, Mappings: []string{"K04"},
			Controls: []string{"guardrail", "pod-security", "images", "token", "runtime", "node-affinity", "scheduling", "priority", "storage",
				"network-default", "network-metadata", "service-expose", "rbac-escalate", "quota", "audit", "controller"},
			Why: "Only samples of requests are evaluated: a policy that was changed may refuse those and still admit others.",
			Fix: "Restore the policy and its binding as the platform renders them."},
		admitted("BH4022", "service-expose", "A namespace may use more ports and load balancers than were granted",
			"A port on every node, or an external address, is reachable from outside the cluster.",
			"Give the namespace a ResourceQuota that bounds services.nodeports and services.loadbalancers by what the tenant has.", finding.Medium, "K06", "MTB-PL1-CC-FNS-2"),
		admitted("BH4023", "network-metadata", "A tenant may reach the cloud's credentials",
			"A pod that reads the metadata service has the node's identity at the cloud.",
			"Refuse NetworkPolicies with egress to link-local addresses.", finding.High, "K05", "K08"),
		admitted("BH4024", "quota", "A tenant may take what no quota counts",
			"A ResourceQuota bounds what it names: devices, huge pages, lists without end and what controllers keep are free for who asks.",
			"Refuse resources that the tenant's quota does not name, and bound pods' lists, texts, grace periods and histories.", finding.Medium, "K01", "MTB-PL1-CC-FNS-1"),
		{ID: "BH4025", Title: "An object that is there would be refused now", Severity: finding.Medium, Mappings: []string{"K04"},
			Controls: []string{"images", "token", "runtime", "node-affinity", "scheduling", "priority", "service-expose", "quota", "pod-security"},
			Why:      "Admission looks at what is made, not at what is there: an object from before a policy, or from when it left the namespace out, keeps what the policy refuses.",
			Fix:      "Delete the object or make it anew, so that the policy judges it; or allow what it does."},
	}
}
