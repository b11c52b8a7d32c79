package rbac

import "github.com/bulkhead-dev/bulkhead/isolation/finding"

func rbacIdentityCodes() []finding.Code {
	return []finding.Code{
		{ID: codeCluster, Title: "A tenant controls the cluster", Severity: finding.Critical,
			Why:      "Its rights, or those that it can give itself, are unlimited: it controls every tenant and the platform.",
			Fix:      "Remove the subject from the binding that the finding blames.",
			Controls: []string{"rbac-own", "rbac-escalate"}, Mappings: []string{"K02", "MTB-PL1-CC-CPI-1", "MTB-PL2-CC-TI-1"}},
		{ID: codeRunAs, Title: "A tenant acts as another's service account", Severity: finding.Critical,
			Why: "A subject that creates pods or workloads, executes commands in pods, requests tokens or impersonates in a namespace has the " +
				"rights of its service accounts, and every Secret that a pod there can mount.",
			Fix:      "Remove the right, or bind it in the tenant's own namespace.",
			Controls: []string{"rbac-own", "rbac-escalate"}, Mappings: []string{"K02", "MTB-PL1-CC-TI-2"}},
		{ID: codeRaise, Title: "A tenant gives itself rights", Severity: finding.High,
			Why:      "The verbs bind and escalate suspend the rule that a subject grants only rights that it has.",
			Fix:      "Remove bind and escalate from the role, or limit them to names of roles that are meant for it.",
			Controls: []string{"rbac-escalate"}, Mappings: []string{"K02", "MTB-PL2-CC-TI-1"}},
		{ID: codePose, Title: "A tenant acts as another user or group", Severity: finding.Critical,
			Why:      "The API server treats a subject that may impersonate as the user or group that it names.",
			Fix:      "Remove impersonate, or limit it to the tenant's own names.",
			Controls: []string{"rbac-escalate"}, Mappings: []string{"K02", "K09", "MTB-PL2-CC-TI-1"}},
		{ID: codeCertify, Title: "A tenant issues credentials", Severity: finding.Critical,
			Why:      "A certificate that the API server trusts authenticates whatever user it names, and cannot be revoked.",
			Fix:      "Remove the right to approve certificate requests, or approve and sign on the signer.",
			Controls: []string{"rbac-escalate"}, Mappings: []string{"K02", "K09", "MTB-PL2-CC-TI-1"}},
	}
}

func rbacObjectCodes() []finding.Code {
	code := func(id, title string, severity finding.Severity, why, fix string, mappings ...string) finding.Code {
		return finding.Code{ID: id, Title: title, Severity: severity, Why: why, Fix: fix, Controls: []string{"rbac-own"}, Mappings: append([]string{"K02"}, mappings...)}
	}
	const bindOwn = "Remove the subject from the binding, or bind the role in the tenant's own namespaces."
	return []finding.Code{
		code(codeSecrets, "A tenant reads another's Secrets", finding.Critical,
			"Secrets hold passwords, keys and tokens; list and watch return their contents as get does.", bindOwn, "K03", "MTB-PL1-CC-TI-2"),
		code(codeWrite, "A tenant changes another's objects", finding.High,
			"What a tenant writes in another's namespace runs there with that tenant's rights.", bindOwn, "MTB-PL1-CC-TI-2"),
		code(codeRead, "A tenant reads another's objects", finding.High,
			"Configuration, images, addresses and names of a tenant are confidential to it.", bindOwn, "MTB-PL1-CC-TI-2"),
		code(codeDisrupt, "A tenant stops another's work", finding.Medium,
			"Deleted or evicted pods, taken leases and forged events stop or mislead others.", bindOwn, "MTB-PL1-CC-TI-2"),
		code(codeConnect, "A tenant connects to another's pods through the API server", finding.High,
			"Port-forward and proxy bypass every NetworkPolicy, since the API server or the kubelet makes the connection.", bindOwn, "K05", "MTB-PL1-CC-TI-2"),
		code(codeTraffic, "A tenant captures or misdirects traffic", finding.Medium,
			"Proxies and load balancers trust addresses in status and endpoints: a tenant that writes them decides where others' traffic goes.",
			"Remove status, endpoints and endpointslices from the role.", "K05"),
		{ID: codeGuardrail, Title: "A tenant changes guardrails", Severity: finding.High,
			Why: "A quota, a limit range, a namespace's labels or a managed policy holds only as long as the tenant that it limits cannot change it.",
			Fix: "Remove the right from the role, or have admission refuse the change.", Controls: []string{"guardrail"},
			Mappings: []string{"K02", "K04", "MTB-PL1-BC-CPI-2", "MTB-PL1-CC-TI-1"}},
	}
}

func rbacClusterCodes() []finding.Code {
	const none = "Remove the rule: no tenant needs it."
	code := func(id, title string, severity finding.Severity, why string, controls ...string) finding.Code {
		return finding.Code{ID: id, Title: title, Severity: severity, Why: why, Fix: none, Controls: controls, Mappings: []string{"K02", "MTB-PL1-CC-CPI-1"}}
	}
	return []finding.Code{
		code(codeExtend, "A tenant changes what the API server runs for everyone", finding.Critical,
			"Webhooks, admission policies, API services and conversion webhooks read and rewrite the objects of all tenants.", "rbac-escalate"),
		code(codeNodes, "A tenant acts on nodes", finding.Critical,
			"A subject that reaches a kubelet, or decides a node's labels and which pods run there, reaches every pod of the node.", "rbac-escalate", "scheduling"),
		code(codeStorage, "A tenant creates cluster-wide storage", finding.High,
			"A volume can be any path of a node or another tenant's disk; a class decides for every tenant that names it.", "storage"),
		code(codeEnumerate, "A tenant lists the other tenants", finding.Medium,
			"Lists of namespaces, nodes or volumes are a list of customers.", "rbac-enumerate"),
		code(codeSharedKind, "A tenant changes what all tenants use", finding.High,
			"Cluster-scoped objects have no tenant: a change affects all.", "rbac-own"),
		{ID: codeWithheld, Title: "A tenant has more rights in its own namespaces than it was given", Severity: finding.Low,
			Why:      "Bulkhead withholds these rights from owners: with them, a single control is the only protection, or tenants write what only controllers should write.",
			Fix:      "Remove the rule from the role, or the subject from the binding.",
			Controls: []string{"rbac-escalate", "guardrail", "service-expose", "scheduling", "audit"}, Mappings: []string{"K02"}},
		code(codePath, "A tenant reads the API server's metrics, logs or debug paths", finding.Low,
			"They name namespaces and requests of other tenants.", "rbac-enumerate"),
	}
}

func rbacDoubtCodes() []finding.Code {
	code := func(id, title, why, fix string) finding.Code {
		return finding.Code{ID: id, Title: title, Severity: finding.Medium, Why: why, Fix: fix, Controls: []string{"rbac-own"}, Mappings: []string{"K02"}}
	}
	return []finding.Code{
		code(codeWhose, "It is not known whose a subject is", "A user or group in namespaces of several tenants belongs to the platform, or it joins tenants. One that no Tenant declares may be an owner who was removed, or an outsider.",
			"Declare the owners of each tenant."),
		code(codeWhatKind, "A right over a kind that is not known", "A role does not state whether objects of a custom kind are namespaced, and whose they are.",
			"Bind the role in the tenant's namespaces with RoleBindings."),
		code(codeActs, "Somebody with rights over all acts on what a tenant writes", "An operator makes of custom resources what it likes, with rights that their author lacks: pods, Secrets and roles in any namespace, perhaps by fields that no policy reads.",
			"Withhold the kind from tenants, or give the operator rights in the namespaces alone that it works in."),
		code(codeDangling, "A role is not among the files", "A binding gives what its role allows.", "Give the file that holds the role."),
	}
}
