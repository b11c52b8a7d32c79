package guardrail

// rightsControls are about who may do what.
func rightsControls() []Control {
	return []Control{
		{
			ID: "rbac-own", Title: "Owners have rights in their own namespaces only",
			Threat: "reading or writing another tenant's objects",
			How: "Owners are bound, namespace by namespace, to one fixed ClusterRole that is a list without wildcards. No " +
				"ClusterRoleBinding is ever made for a tenant. The binding is written after every other object of the " +
				"Space, so nobody has rights where a guardrail is missing.",
			Objects: []string{"ClusterRole bulkhead:space-owner", "ClusterRole bulkhead:home-owner",
				"RoleBinding bulkhead-owners"},
			Needs: "the API server's RBAC authorizer, and no other authorizer that grants more",
			Fix: "Developer: work in the namespaces of your own Spaces (kubectl get spaces -n tenant-NAME). Platform: look " +
				"for RoleBindings and ClusterRoleBindings, made by others, that name the tenant's users, groups or " +
				"system:authenticated.",
			Mappings: []string{"K02", "MTB-PL1-CC-TI-2", "MTB-PL2-BC-OPS-3"},
		},
		{
			ID: "rbac-enumerate", Title: "Tenants cannot learn of one another",
			Threat: "learning the customers' names from lists of namespaces, nodes or volumes",
			How: "No tenant has a right outside of its namespaces, so no list over all namespaces and no list of " +
				"cluster-scoped objects. What a tenant needs to know of its Spaces it reads in its home namespace. A " +
				"flow to a foreign Space is answered alike whether that Space exists or not.",
			Objects: []string{"ClusterRole bulkhead:space-owner", "ClusterRole bulkhead:home-owner"},
			Needs:   "as rbac-own",
			Fix: "Developer: list Spaces in your home namespace instead of namespaces; an application that must list " +
				"namespaces declares apiAccess ClusterWide and gets a cluster of its own. Platform: as rbac-own.",
			Mappings: []string{"K02", "MTB-PL1-CC-CPI-1"},
		},
		{
			ID: "rbac-escalate", Title: "Nobody raises their own rights",
			Threat: "gaining rights by roles, impersonation, certificates, webhooks or foreign service accounts",
			How: "The owners' role has no escalate, bind or impersonate and nothing cluster-scoped, so the API server lets " +
				"owners write only Roles and RoleBindings within their own rights; status, binding and proxy subresources " +
				"are not in it either.",
			Objects: []string{"ClusterRole bulkhead:space-owner"},
			Needs:   "as rbac-own",
			Fix: "Developer: give your Role no more than you have (kubectl auth can-i --list). Platform: custom resources " +
				"for tenants belong into the Platform's tenantResources.",
			Mappings: []string{"K02", "K09", "MTB-PL2-CC-TI-1"},
		},
	}
}

// fenceControls are about the fence itself, and whoever leans on it.
func fenceControls() []Control {
	return []Control{
		{
			ID: "guardrail", Title: "What Bulkhead manages, tenants cannot change",
			Threat: "loosening a quota, a policy, a namespace's labels, or deleting them",
			How: "An admission policy refuses changes to managed objects and to the labels of namespaces by anybody who has " +
				"not the verb change on guardrails.bulkhead.dev. Owners have no such right, and no right to write most " +
				"of these objects in the first place.",
			Objects: []string{"ClusterRole bulkhead:platform-admin"},
			Needs:   "ValidatingAdmissionPolicy v1",
			Fix: "Developer: change the Space, not the objects made from it. Platform: change the Tenant or the Platform; " +
				"who must change a managed object by hand needs the role bulkhead:platform-admin.",
			Mappings: []string{"K04", "MTB-PL1-BC-CPI-2", "MTB-PL1-CC-TI-1"},
		},
		{
			ID: "token", Title: "Pods get no API credentials unless they need them",
			Threat: "an identity stolen from a pod",
			How: "Where the workload's apiAccess is None, an admission policy keeps service account tokens out of pods; " +
				"where it is OwnNamespaces, tokens are mounted and reach only what their own Roles give.",
			Needs: "MutatingAdmissionPolicy v1",
			Fix: "Developer: set automountServiceAccountToken to false and remove projected tokens; if the pods do call the " +
				"Kubernetes API, have apiAccess OwnNamespaces declared for the workload. Platform: declare it on the Tenant.",
			Waivable: true,
			Mappings: []string{"K03", "K09"},
		},
		{
			ID: "audit", Title: "Every refusal leaves a trace",
			Threat: "an attempt that nobody sees",
			How: "Refusals by admission policies are written into the audit events of the requests that they refuse, with " +
				"the policy's name; a change of a managed object records who made it on the object itself. Who deleted one, or changed an " +
				"admission policy, is known from the API server's audit log alone, which `bulkhead run --audit-log` follows.",
			Needs:    "an audit policy and a log or webhook backend on the API server, which are the platform's",
			Fix:      "Platform: give the API server an audit policy that keeps at least Metadata of writes in Spaces.",
			Mappings: []string{"K10"},
		},
	}
}

// podControls are about what runs, and on what.
func podControls() []Control {
	return []Control{
		{
			ID: ControlPodSecurity, Title: "Pods cannot reach their host",
			Threat: "a container that becomes its node, and with it every pod there",
			How: "Pod Security Admission enforces the level restricted at a pinned version on every Space's namespace. It " +
				"looks at init and ephemeral containers too, and at pods from every kind of workload.",
			Objects: []string{"Namespace labels pod-security.kubernetes.io/*"},
			Needs:   "the API server's PodSecurity admission plugin (on by default), without exemptions for tenants",
			Fix: "Developer: run as non-root, drop ALL capabilities, set seccompProfile RuntimeDefault and " +
				"allowPrivilegeEscalation false; the refusal names each field. Platform: a workload that needs the host " +
				"declares hostAccess Privileged and gets a cluster of its own; a Waiver lowers restricted to baseline, never " +
				"to privileged.",
			Waivable: true,
			Mappings: []string{"K01", "MTB-PL1-BC-CPI-3", "MTB-PL1-BC-CPI-4", "MTB-PL1-BC-CPI-5", "MTB-PL1-BC-CPI-6",
				"MTB-PL1-BC-HI-1", "MTB-PL1-BC-HI-3", "MTB-PL1-BC-HI-4", "MTB-PL1-BC-HI-5"},
		},
		{
			ID: "runtime", Title: "A sandboxed kernel where the decision says so",
			Threat: "an escape through the shared kernel by code that nobody audited",
			How: "Where the decision asks for a sandbox and the platform has one, an admission policy sets its RuntimeClass " +
				"on pods and refuses any other.",
			Objects: []string{"Namespace label bulkhead.dev/runtime-class"},
			Needs:   "a RuntimeClass of gVisor, Kata or the like, with nodes that have its handler; MutatingAdmissionPolicy v1",
			Fix: "Developer: leave runtimeClassName out; it is set for you. Platform: name your sandboxes in the Platform's " +
				"sandboxRuntimes.",
			Waivable: true,
			Mappings: []string{"K01"},
		},
		{
			ID: "node-affinity", Title: "Dedicated nodes, from both sides",
			Threat: "other tenants' pods on a tenant's nodes, or its pods on theirs (pattern SoftAffinity)",
			How: "Nodes of the group carry a taint and a label that kubelets cannot set themselves. An admission policy adds " +
				"the selector and the toleration to the tenant's pods; another refuses nodeName, foreign selectors and " +
				"tolerations that reach further, for all tenants.",
			Objects: []string{"Node label node-restriction.kubernetes.io/bulkhead-tenant", "Node taint bulkhead.dev/tenant"},
			Needs:   "the NodeRestriction admission plugin; MutatingAdmissionPolicy v1; a node group in the Platform's nodeGroups",
			Fix: "Developer: remove nodeName, nodeSelectors on Bulkhead's label and tolerations without a key. Platform: give " +
				"the Platform a free node group.",
			Mappings: []string{"K01", "K04"},
		},
	}
}

// admittedControls are about what a pod may name of the platform.
func admittedControls() []Control {
	return []Control{
		{
			ID: "images", Title: "Images from allowed registries, pulled with the pod's own right",
			Threat: "foreign or swapped images, and private images of others from a node's cache",
			How: "An admission policy refuses images from outside the Platform's registries in every container, and pods' pull " +
				"policy is Always, so the registry is asked each time with the pod's own credentials.",
			Needs: "MutatingAdmissionPolicy v1",
			Fix: "Developer: push the image to an allowed registry; the refusal lists them. Platform: add the registry to the " +
				"Platform's registries.",
			Waivable: true,
			Mappings: []string{"K04", "MTB-PL1-CC-DI-1"},
		},
		{
			ID: "storage", Title: "Volumes of one's own only",
			Threat: "claiming another tenant's released volume, or a class with dangerous parameters",
			How: "An admission policy allows claims of the Platform's storageClasses only and refuses claims that name a " +
				"volume. Volumes themselves are cluster-scoped and out of owners' rights.",
			Needs: "storage classes with reclaim policy Delete",
			Fix: "Developer: name an allowed storageClassName and leave volumeName out. Platform: add the class to the " +
				"Platform's storageClasses.",
			Waivable: true,
			Mappings: []string{"K04"},
		},
		{
			ID: "priority", Title: "Nobody preempts others",
			Threat: "a PriorityClass that evicts other tenants' pods",
			How: "An admission policy allows the Platform's priorityClasses only, and never a system class. It refuses a pod " +
				"whose class has a value above 0 and preempts, also when the class is on the list. A pod without a class is " +
				"always allowed, unless the cluster's default class preempts.",
			Needs: "PriorityClasses with preemptionPolicy Never; a class with a value below 0 has its pods preempted by pods " +
				"without a class",
			Fix: "Developer: leave priorityClassName out or name an allowed one. Platform: add the class to the Platform's " +
				"priorityClasses, and give it preemptionPolicy: Never (delete and create it: the field cannot be changed).",
			Waivable: true,
			Mappings: []string{"K04"},
		},
		{
			ID: "scheduling", Title: "Pods go through the scheduler",
			Threat: "placing a pod by hand, past every rule of the scheduler",
			How: "An admission policy allows the Platform's schedulerNames only and refuses nodeName; the right to bind pods " +
				"is not in the owners' role.",
			Objects: []string{"ClusterRole bulkhead:space-owner"},
			Fix: "Developer: leave nodeName and schedulerName out. Platform: add a scheduler of your own to the Platform's " +
				"schedulerNames.",
			Waivable: true,
			Mappings: []string{"K04"},
		},
	}
}

// networkControls are about who reaches whom.
func networkControls() []Control {
	return []Control{
		{
			ID: "network-default", Title: "Closed by default, open as declared",
			Threat: "pod to pod across tenants",
			How: "Every Space's namespace denies both directions and opens DNS. Flows between Spaces of one tenant open as " +
				"the source declares them; across tenants both owners declare them and the Platform allows them, and only " +
				"the ports that both name open. Peers are selected by the namespace's name label, which the API server " +
				"writes. An admission policy keeps owners' own NetworkPolicies from opening more.",
			Objects: []string{"NetworkPolicy bulkhead-default", "NetworkPolicy bulkhead-flows*"},
			Needs: "a network plugin that enforces NetworkPolicy: the API server stores policies that nobody enforces without " +
				"a word",
			Fix: "Developer: declare the flow in your Space's spec.to or spec.from; status.closedFlows says what is missing. " +
				"Platform: allow flows between tenants in the Platform's flows.",
			Mappings: []string{"K05", "MTB-PL1-CC-TI-2", "MTB-PL2-BC-OPS-4"},
		},
		{
			ID: "network-metadata", Title: "No way to the cloud's credentials",
			Threat: "credentials of the node from the metadata address, or what else link-local addresses offer",
			How: "Pod, service, loopback, link-local and metadata addresses are cut out of every external range that a flow " +
				"opens, also behind NAT64, whatever the Platform and the Space say.",
			Objects: []string{"NetworkPolicy bulkhead-default", "NetworkPolicy bulkhead-flows*"},
			Needs: "as network-default; and the node's own defence (such as a hop limit of 1), since some plugins treat " +
				"addresses of the node apart",
			Fix:      "Developer: use the workload identity that the platform offers. Platform: as network-default.",
			Mappings: []string{"K05", "K08"},
		},
		{
			ID: "dns-enumerate", Title: "Service names of others in DNS",
			Threat: "learning other tenants' services by asking the cluster's DNS",
			How: "Not enforced: the cluster's DNS answers every pod for every namespace, and no object of the API server " +
				"changes that. It is shown as a residual risk.",
			Needs: "a DNS of its own for each tenant, or one that knows who asks",
			Fix: "Platform: answer per tenant (a DNS per tenant, or a policy-aware plugin); tenants to whom the names " +
				"themselves are confidential need a cluster of their own.",
			Mappings: []string{"K05", "K06"},
		},
		{
			ID: "service-expose", Title: "Nothing is exposed or captured by a Service",
			Threat: "node ports, capturing others' traffic by externalIPs, taking another tenant's host name",
			How: "The quota allows no node ports, and load balancers only as the tenant's quota names them. An admission " +
				"policy refuses externalIPs, ExternalName to foreign Services, and Ingress hosts that are not the tenant's.",
			Objects: []string{"ResourceQuota bulkhead", "Namespace annotation bulkhead.dev/ingress-hosts"},
			Fix: "Developer: use a ClusterIP Service behind an Ingress with one of the tenant's hosts. Platform: add hosts to " +
				"the Tenant's ingressHosts, load balancers to its quota.",
			Waivable: true,
			Mappings: []string{"K06", "MTB-PL1-BC-HI-1"},
		},
	}
}

// shareControls are about taking no more than one's part.
func shareControls() []Control {
	return []Control{
		{
			ID: "quota", Title: "One quota for the tenant, whatever the number of its Spaces",
			Threat: "noisy neighbours, and getting round a namespace's quota by making more namespaces",
			How: "A ledger splits the tenant's quota into one ResourceQuota for each Space; what the Spaces may use never " +
				"adds up to more than the tenant has, at no moment. Every kind that an owner may create is counted, and " +
				"terminated pods count too. The number of Spaces is bounded in the home namespace.",
			Objects: []string{"ResourceQuota bulkhead"},
			Needs:   "kube-controller-manager's resource quota controller",
			Fix: "Developer: free something, or move shares between your Spaces by their spec.quota. Platform: raise the " +
				"Tenant's quota.",
			Mappings: []string{"K01", "MTB-PL1-CC-FNS-1", "MTB-PL1-CC-FNS-2", "MTB-PL1-CC-TI-1"},
		},
		{
			ID: "defaults", Title: "Every container has requests and limits",
			Threat: "containers without limits, or with a limit of 0, which is none",
			How: "A LimitRange gives what a container does not name and refuses what is below a minimum or above what the " +
				"whole tenant has. The minimum closes a hole of quotas: a limit of 0 costs nothing and means unlimited.",
			Objects:  []string{"LimitRange bulkhead"},
			Fix:      "Developer: name requests and limits of your own. Platform: none is needed.",
			Mappings: []string{"K01", "MTB-PL1-CC-FNS-1"},
		},
		{
			ID: "api-fairness", Title: "Nobody floods the API server",
			Threat: "a tenant whose requests starve the others, such as a log enricher that asks for every line",
			How: "All that acts for one tenant, people and pods, is one flow to one of eight priority levels of limited concurrency " +
				"that only tenants use, so that a flood fills the seats of its own level, and one flow of lists to one more such " +
				"level, so that nobody's get waits for somebody's long list. The API server queues the flows of a level fairly and " +
				"answers 429 to what is beyond.",
			Objects: []string{"FlowSchema bulkhead-tenant-NAME", "FlowSchema bulkhead-lists-NAME",
				"PriorityLevelConfiguration bulkhead-tenants-*", "FlowSchema bulkhead-system"},
			Needs: "API Priority and Fairness on the API server (on by default), with no more seats (--max-requests-inflight, " +
				"--max-mutating-requests-inflight) than its processors have work for: fairness divides seats, not processors (`bulkhead check`, BHC207)",
			Fix: "Developer: watch instead of listing, and retry after what the answer says. Platform: look at the metrics " +
				"apiserver_flowcontrol_* of the level.",
			Mappings: []string{"K07"},
		},
	}
}
