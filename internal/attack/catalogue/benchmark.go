package catalogue

import (
	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
)

// benchmarkSuite is the Multi-Tenancy Benchmarks of Kubernetes' working group: the 19 checks that were published, with their ids,
// and the 5 that were planned and never written.
func benchmarkSuite() Suite {
	return Suite{Name: "mtb", About: "The Multi-Tenancy Benchmarks of Kubernetes' working group: the 19 published checks, and the 5 that were planned.", Items: []Item{
		{ID: "MTB-PL1-CC-CPI-1", Unguarded: v1alpha1.Isolated, Title: "No access to cluster-wide resources", Attacks: []string{"rbac-enumerate/every-cluster-*"}},
		{ID: "MTB-PL1-BC-CPI-2", Unguarded: v1alpha1.Unknown, Title: "Objects that the platform manages cannot be modified",
			Attacks: []string{"guardrail/unmark-*", "guardrail/delete-*", "guardrail/annotate-*", "guardrail/finalize-*", "guardrail/own-*", "guardrail/widen-*"}},
		{ID: "MTB-PL1-BC-CPI-3", Title: "No added capabilities", Attacks: []string{"pod-security/*capabilit*"}},
		{ID: "MTB-PL1-BC-CPI-4", Title: "Containers do not run as root", Attacks: []string{"pod-security/root*", "pod-security/init-root*", "pod-security/ephemeral-root*"}},
		{ID: "MTB-PL1-BC-CPI-5", Title: "No privileged containers",
			Attacks: []string{"pod-security/privileged*", "pod-security/init-privileged", "pod-security/ephemeral-privileged"}},
		{ID: "MTB-PL1-BC-CPI-6", Title: "No privilege escalation", Attacks: []string{"pod-security/*privilege-escalation*"}},
		{ID: "MTB-PL1-CC-TI-1", Unguarded: v1alpha1.Isolated, Title: "Resource quotas cannot be modified", Attacks: []string{"guardrail/quota-*"}},
		{ID: "MTB-PL1-CC-TI-2", Unguarded: v1alpha1.Isolated, Title: "Other tenants' resources are out of reach", Attacks: []string{"rbac-own/every-*"}},
		{ID: "MTB-PL2-CC-TI-1", Unguarded: v1alpha1.Isolated, Title: "No escalation by roles", Attacks: []string{"rbac-escalate/role-everything*", "rbac-escalate/role-quotas*", "rbac-escalate/role-bindings*", "rbac-escalate/role-escalate*"}},
		{ID: "MTB-PL1-BC-HI-1", Title: "No volumes of the host", Attacks: []string{"pod-security/host-path*"}},
		// The benchmarks use this id twice.
		{ID: "MTB-PL1-BC-HI-1/NodePort", Title: "No Services of type NodePort", Attacks: []string{"service-expose/node-port*", "service-expose/load-balancer-ports"}},
		{ID: "MTB-PL1-BC-HI-3", Title: "No network and no ports of the host", Attacks: []string{"pod-security/host-network", "pod-security/*host-port"}},
		{ID: "MTB-PL1-BC-HI-4", Title: "No processes of the host", Attacks: []string{"pod-security/host-pid"}},
		{ID: "MTB-PL1-BC-HI-5", Title: "No shared memory of the host", Attacks: []string{"pod-security/host-ipc"}},
		{ID: "MTB-PL1-CC-FNS-1", Title: "Quotas on cpu, memory and ephemeral storage", Attacks: []string{"quota/bounds-cpu", "quota/bounds-memory", "quota/bounds-ephemeral-storage"}},
		{ID: "MTB-PL1-CC-FNS-2", Title: "Quotas on the number of objects", Attacks: []string{"quota/bounds-objects"}},
		{ID: "MTB-PL1-CC-DI-1", Title: "Images are pulled always", Attacks: []string{"images/pull-*"}},
		{ID: "MTB-PL2-BC-OPS-3", Unguarded: v1alpha1.Isolated, Title: "The tenant manages its own Roles and RoleBindings", Attacks: []string{"rbac-own/own-roles", "rbac-own/own-role-bindings"}},
		{ID: "MTB-PL2-BC-OPS-4", Unguarded: v1alpha1.Isolated, Title: "The tenant manages its own NetworkPolicies", Attacks: []string{"network-default/own-policies"}},
		{ID: "planned/claims-only", Title: "Storage by claims only",
			Attacks: []string{"storage/csi-volume*", "pod-security/nfs-volume", "pod-security/iscsi-volume", "pod-security/host-path*"}},
		{ID: "planned/reclaim-delete", Title: "Volumes go with their claims", Attacks: []string{"storage/reclaim", "storage/foreign-class", "storage/old-annotation", "storage/any-class"}},
		{ID: "planned/existing-volumes", Title: "No claim on volumes that exist already",
			Attacks: []string{"storage/existing-volume", "storage/volume-selector", "storage/no-class", "storage/any-class"}},
		{ID: "planned/network", Title: "No way over the network from tenant to tenant", Attacks: []string{"network-default/from-*", "network-default/to-*"}},
		{ID: "planned/namespaces", Title: "The tenant makes its own namespaces", Attacks: []string{"rbac-own/own-spaces"}},
	}}
}
