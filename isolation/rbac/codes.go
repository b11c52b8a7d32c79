package rbac

import "github.com/bulkhead-dev/bulkhead/isolation/finding"

func rbacIdentityCodes() []finding.Code {
	return []finding.Code{
		{ID: codeCluster, Title: "A tenant controls the cluster", Severity: finding.Critical,
			Why:      "Its rights, or those that it can give itself, leave nothing out: every tenant and the platform are in its hands.",
			Fix:      "Take the subject out of the binding that the finding blames.",
			Controls: []string{"rbac-own", "rbac-escalate"}, Mappings: []string{"K02", "MTB-PL1-CC-CPI-1", "MTB-PL2-CC-TI-1"}},
		{ID: codeRunAs, Title: "A tenant acts as another's service account", Severity: finding.Critical,
			Why: "Whoever creates pods or workloads, enters pods, requests tokens or impersonates in a namespace has the rights of its " +
				"service accounts, and every Secret that a pod there can mount.",
			Fix:      "Take the right away, or bind it in the tenant's own namespace.",
			Controls: []string{"rbac-own", "rbac-escalate"}, Mappings: []string{"K02", "MTB-PL1-CC-TI-2"}},
		{ID: codeRaise, Title: "A tenant gives itself rights", Severity: finding.High,
			Why:      "The verbs bind and escalate lift the rule that nobody grants what they do not have.",
			Fix:      "Take bind and escalate out of the role, or limit them to names of roles that are meant for it.",
			Controls: []string{"rbac-escalate"}, Mappings: []string{"K02", "MTB-PL2-CC-TI-1"}},
		{ID: codePose, Title: "A tenant acts as another user or group", Severity: finding.Critical,
			Why:      "The API server takes whoever may impersonate for whom they say they are.",
			Fix:      "Take impersonate away, or limit it to the tenant's own names.",
			Controls: []string{"rbac-escalate"}, Mappings: []string{"K02", "K09", "MTB-PL2-CC-TI-1"}},
		{ID: codeCertify, Title: "A tenant issues credentials", Severity: finding.Critical,
			Why:      "A certificate that the API server trusts is whatever user it names, and cannot be taken back.",
			Fix:      "Take away the approval of certificate requests, or the signer's approve and sign.",
			Controls: []string{"rbac-escalate"}, Mappings: []string{"K02", "K09", "MTB-PL2-CC-TI-1"}},
	}
}

func rbacObjectCodes() []finding.Code {
	code := func(id, title string, severity finding.Severity, why, fix string, mappings ...string) finding.Code {
		return finding.Code{ID: id, Title: title, Severity: severity, Why: why, Fix: fix, Controls: []string{"rbac-own"}, Mappings: append([]string{"K02"}, mappings...)}
	}
	const bindOwn = "Take the subject out of the binding, or bind the role in the tenant's own namespaces."
	return []finding.Code{
		code(codeSecrets, "A tenant reads another's Secrets", finding.Critical,
			"Secrets hold passwords, keys and tokens; list and watch show their contents as get does.", bindOwn, "K03", "MTB-PL1-CC-TI-2"),
		code(codeWrite, "A tenant changes another's objects", finding.High,
			"What a tenant writes in another's namespace works there with that tenant's rights.", bindOwn, "MTB-PL1-CC-TI-2"),
		code(codeRead, "A tenant reads another's objects", finding.High,
			"Configuration, images, addresses and names of another tenant are nobody else's business.", bindOwn, "MTB-PL1-CC-TI-2"),
		code(codeDisrupt, "A tenant stops another's work", finding.Medium,
			"Deleted or evicted pods, taken leases and forged events stop or mislead others.", bindOwn, "MTB-PL1-CC-TI-2"),
		code(codeConnect, "A tenant connects to another's pods through the API server", finding.High,
			"Port-forward and proxy pass every NetworkPolicy, as the API server or the kubelet makes the connection.", bindOwn, "K05", "MTB-PL1-CC-TI-2"),
		code(codeTraffic, "A tenant captures or misdirects traffic", finding.Medium,
			"Addresses in status and endpoints are believed: whoever writes them decides where others' traffic goes.",
			"Take status, endpoints and endpointslices out of the role.", "K05"),
		{ID: codeGuardrail, Title: "A tenant changes guardrails", Severity: finding.High,
			Why: "A quota, a limit range, a namespace's labels or a managed policy holds only as long as those whom it binds cannot change it.",
			Fix: "Take the right out of the role, or have admission refuse it.", Controls: []string{"guardrail"},
			Mappings: []string{"K02", "K04", "MTB-PL1-BC-CPI-2", "MTB-PL1-CC-TI-1"}},
	}
}

func rbacClusterCodes() []finding.Code {
	const none = "Take the rule away: no tenant needs it."
	code := func(id, title string, severity finding.Severity, why string, controls ...string) finding.Code {
		return finding.Code{ID: id, Title: title, Severity: severity, Why: why, Fix: none, Controls: controls, Mappings: []string{"K02", "MTB-PL1-CC-CPI-1"}}
	}
	return []finding.Code{
		code(codeExtend, "A tenant changes what the API server runs for everyone", finding.Critical,
			"Webhooks, admission policies, API services and conversion webhooks see and rewrite everyone's objects.", "rbac-escalate"),
		code(codeNodes, "A tenant acts on nodes", finding.Critical,
			"Whoever reaches a kubelet, or decides what a node is and which pods it gets, reaches every pod there.", "rbac-escalate", "scheduling"),
		code(codeStorage, "A tenant makes cluster-wide storage", finding.High,
			"A volume can be any path of a node or another tenant's disk; a class decides for everyone who names it.", "storage"),
		code(codeEnumerate, "A tenant learns of the others", finding.Medium,
			"Lists of namespaces, nodes or volumes are a list of customers.", "rbac-enumerate"),
		code(codeSharedKind, "A tenant changes what everyone uses", finding.High,
			"Cluster-scoped objects have no tenant: what one changes, all have.", "rbac-own"),
		{ID: codeWithheld, Title: "A tenant has more rights at home than it was given", Severity: finding.Low,
			Why:      "Bulkhead keeps these rights from owners: with them, one control stands alone, or what controllers alone write is not theirs any more.",
			Fix:      "Take the rule out of the role, or the subject out of the binding.",
			Controls: []string{"rbac-escalate", "guardrail", "service-expose", "scheduling", "audit"}, Mappings: []string{"K02"}},
		code(codePath, "A tenant reads what the API server tells of itself", finding.Low,
			"Metrics, logs and debug paths name namespaces and requests of others.", "rbac-enumerate"),
	}
}

func rbacDoubtCodes() []finding.Code {
	code := func(id, title, why, fix string) finding.Code {
		return finding.Code{ID: id, Title: title, Severity: finding.Medium, Why: why, Fix: fix, Controls: []string{"rbac-own"}, Mappings: []string{"K02"}}
	}
	return []finding.Code{
		code(codeWhose, "Nobody says whose a subject is", "A user or group in namespaces of several tenants is the platform's, or it ties tenants together.",
			"Declare the owners of each tenant."),
		code(codeWhatKind, "A right over a kind that is not known", "Whether objects of a custom kind lie in namespaces, and whose they are, is not in the roles.",
			"Bind the role in the tenant's namespaces with RoleBindings."),
		code(codeDangling, "A role is not among the files", "What a binding gives is what its role allows.", "Give the file that holds the role."),
	}
}
