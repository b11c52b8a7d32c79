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
			"What nobody looked at runs beside what others trust.",
			"Refuse images from outside of the allowed registries, in every container and image volume.", finding.Medium, "K04", "MTB-PL1-CC-DI-1"),
		admitted("BH4003", "token", "A tenant's pods may have an identity that they do not need",
			"A stolen token is an identity: at the API server, or outside of the cluster.",
			"Refuse tokens where the workload does not call the API, and audiences other than the API server.", finding.Medium, "K03", "K09"),
		admitted("BH4004", "runtime", "A tenant's pods may run outside of the sandbox that is demanded",
			"Code that nobody audited shares the node's kernel.", "Set the demanded RuntimeClass on pods, and refuse any other.", finding.High, "K01"),
		admitted("BH4005", "node-affinity", "A tenant may place pods on nodes of others",
			"Whoever shares a node shares its kernel, and its fate when it falls.",
			"Refuse nodeName, selectors and affinity that name others' nodes, and tolerations that reach further than the tenant's own.", finding.High, "K01", "K04"),
		admitted("BH4006", "scheduling", "A tenant may schedule its pods by itself",
			"A scheduler of one's own keeps none of the rules.", "Allow the platform's schedulers only.", finding.Medium, "K04"),
		admitted("BH4007", "priority", "A tenant may preempt others' pods",
			"A higher priority evicts what others run.", "Allow named PriorityClasses only, none of the system's.", finding.Medium, "K04"),
		admitted("BH4008", "storage", "A tenant may claim volumes that are not its own",
			"A released volume still holds its former owner's data.",
			"Refuse claims that name or select a volume, and classes that nobody allowed.", finding.High, "K04"),
		admitted("BH4009", "network-default", "A tenant may open its namespaces to others",
			"NetworkPolicies add up: one that opens is enough, whatever the platform's own close.",
			"Refuse NetworkPolicies whose peers lie outside of the namespace, or take the right to write them away.", finding.Medium, "K05", "MTB-PL1-CC-TI-2"),
		admitted("BH4010", "service-expose", "A tenant may expose itself, or take others' traffic",
			"Node ports go past network policies; external addresses and host names are shared by all.",
			"Refuse node ports, externalIPs, aliases of names inside the cluster and host names of others.", finding.Medium, "K06", "MTB-PL1-BC-HI-1"),
		admitted("BH4011", "guardrail", "What fences tenants in may be changed",
			"A fence that can be moved is none.",
			"Put the policy and its binding back as the platform renders them.", finding.High, "K04", "MTB-PL1-CC-TI-1"),
		admitted("BH4012", "rbac-escalate", "A tenant may give its rights to everybody",
			"Who binds a role to everybody opens the namespace to other tenants.",
			"Refuse RoleBindings to groups of the system and to strangers' service accounts.", finding.Medium, "K02", "MTB-PL2-CC-TI-1"),
	}, shareCodes()...)
}

// shareCodes are those of quotas, limits and of policies as they are.
func shareCodes() []finding.Code {
	admitted := func(id, control, title, why, fix string, severity finding.Severity, mappings ...string) finding.Code {
		return finding.Code{ID: id, Title: title, Severity: severity, Why: why, Fix: fix, Controls: []string{control}, Mappings: mappings}
	}
	return []finding.Code{
		admitted("BH4013", "quota", "A namespace has no effective quota",
			"What is not counted can be made until the nodes, or etcd, are full.",
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
			Why:      "A policy without a binding, a binding that does not deny, or an object that is gone, refuses nothing, though everybody believes in it.",
			Fix:      "Put back what is missing or was loosened, as the platform renders it."},
		{ID: "BH4018", Title: "A webhook can be gone round", Severity: finding.Medium, Controls: []string{"guardrail"}, Mappings: []string{"K04"},
			Why: "A webhook that is passed over when it does not answer, or that leaves out namespaces by labels, refuses nothing when it matters.",
			Fix: "Set failurePolicy: Fail, and leave out only namespaces by kubernetes.io/metadata.name; or replace it by an admission policy."},
		{ID: "BH4019", Title: "It cannot be decided whether a dangerous object is refused", Severity: finding.Medium, Controls: []string{"guardrail"}, Mappings: []string{"K04"},
			Why: "What admission answers hangs on what is not known here, or a harmless object is refused as well.", Fix: "Give what the finding names as missing."},
		{ID: "BH4020", Title: "Marks that policies go by are not as rendered", Severity: finding.High, Controls: []string{"guardrail"}, Mappings: []string{"K04"},
			Why: "Labels and annotations of a namespace decide which policies hold there and what they allow.", Fix: "Put the labels and annotations back as the platform renders them."},
		{ID: "BH4021", Title: "An admission policy is not as rendered", Severity: finding.Medium, Mappings: []string{"K04"},
			Controls: []string{"guardrail", "pod-security", "images", "token", "runtime", "node-affinity", "scheduling", "priority", "storage",
				"network-default", "network-metadata", "service-expose", "rbac-escalate", "audit"},
			Why: "Requests are tried by sample: a policy that was changed may refuse those and still let others pass.",
			Fix: "Put the policy and its binding back as the platform renders them."},
		admitted("BH4022", "service-expose", "A namespace may take more ports and load balancers than were given",
			"A port of every node, or an address of its own, reaches past the cluster's edge.",
			"Give the namespace a ResourceQuota that bounds services.nodeports and services.loadbalancers by what the tenant has.", finding.Medium, "K06", "MTB-PL1-CC-FNS-2"),
		admitted("BH4023", "network-metadata", "A tenant may open the way to the cloud's credentials",
			"Whoever reads the metadata service has the node's identity at the cloud.",
			"Refuse NetworkPolicies with egress to link-local addresses.", finding.High, "K05", "K08"),
	}
}
