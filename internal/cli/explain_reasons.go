package cli

import "github.com/bulkhead-dev/bulkhead/api/v1alpha1"

// reasonTopics explain the reasons of conditions. A test holds them against the constants of package v1alpha1.
func reasonTopics() []topic {
	reasons := []struct{ code, title, todo string }{
		{v1alpha1.ReasonPending, "No controller has looked at the object yet.", "Nothing, unless it lasts: then see that the controller runs: `bulkhead check`, codes BHC204 and BHC205."},
		{v1alpha1.ReasonDecided, "Every workload has a decision on its present facts.", ""},
		{v1alpha1.ReasonInvalid, "The spec lacks a fact or contradicts itself.", "The condition's message names the field: set it, or take the contradiction out."},
		{v1alpha1.ReasonTenantMissing, "The Space's home namespace belongs to no Tenant.", "Create the Space in tenant-NAME of a Tenant that is declared; or declare the Tenant."},
		{v1alpha1.ReasonWorkloadUnknown, "The Space or Waiver names a workload that its tenant does not declare.", "Declare the workload in the Tenant's spec.workloads, or name one that is there."},
		{v1alpha1.ReasonPlatformMissing, "There is no Platform, so nothing is allowed.", "Declare the Platform: see docs/api.md#platform."},
		{v1alpha1.ReasonPlaced, "It has its place on this cluster.", ""},
		{v1alpha1.ReasonNeedsDedicatedCluster, "Decided Hard: the workload waits for a cluster of its own and is never put into a shared one.", "Give it a cluster; or look at the decision's flips (`bulkhead describe TENANT`) for the facts that would allow a shared one."},
		{v1alpha1.ReasonNeedsOtherEnvironment, "Production and NonProduction never share a cluster, and this cluster serves the other one.", "Declare the tenant on a cluster of that environment, or correct the workload's environment."},
		{v1alpha1.ReasonNodeGroupMissing, "SoftAffinity needs a node group of the tenant's own, and none is free.", "Add a group of nodes to the Platform's spec.nodeGroups, or free one that another tenant has."},
		{v1alpha1.ReasonNamespaceTaken, "The Space's namespace exists and is not Bulkhead's; it is never adopted.", "Delete the Space and choose another name, or remove the namespace if nobody needs it."},
		{v1alpha1.ReasonPatternChanged, "The decision became one that this namespace cannot serve. What runs is left alone, its guardrails too.", "Move the workload to a cluster of its own and delete the Space; or undo the change of facts."},
		{v1alpha1.ReasonEnforced, "Every object of every control is in place as rendered.", ""},
		{v1alpha1.ReasonEnforcing, "Objects are being written, or wait for Kubernetes to act on them.", "Nothing, unless it lasts: then see the condition's message and `bulkhead check`."},
		{v1alpha1.ReasonApplyFailed, "The API server refused an object.", "The message has its words. Most often somebody's admission webhook or policy is in the way: let Bulkhead's service account pass it."},
		{v1alpha1.ReasonQuotaExhausted, "The tenant's quota leaves nothing of a resource that the Space asks for.", "Lower the quota of the tenant's other Spaces, or ask the platform team for more. The Tenant's status.ledger shows who holds what."},
		{v1alpha1.ReasonProven, "Asked as the tenant, the API server refused what it must and allowed what it should.", ""},
		{v1alpha1.ReasonExposed, "At least one question was answered otherwise: the isolation has a hole.", "The message names the control and who reaches what: see `bulkhead explain CONTROL`."},
		{v1alpha1.ReasonProofPending, "Not asked since the last change.", "Nothing, unless it lasts: then see `bulkhead check`."},
		{v1alpha1.ReasonProofStale, "The last proof is older than the Platform's proofFreshness, so it says nothing about now.", "See that the controller runs: `bulkhead check`, codes BHC204 and BHC205."},
		{v1alpha1.ReasonProofFailed, "A question could not be asked or answered. Unknown is never safe.", "The message says which and why; see that the controller has its rights (`bulkhead check`, code BHC203)."},
		{v1alpha1.ReasonReady, "Decided, placed, enforced and proven.", ""},
		{v1alpha1.ReasonDeleting, "Being removed; status.remaining says what is left.", "Nothing, unless it lasts: what remains has a finalizer of somebody's that must let go."},
		{v1alpha1.ReasonProtected, "Deletion was asked for and spec.protected refuses it.", "Set spec.protected to false on the Tenant if the deletion is meant."},
		{v1alpha1.ReasonDefinitionRemoved, "The object goes only because its definition or its home namespace does, so nothing that it stands for is removed.", "Install Bulkhead and declare the object again: its namespace is taken back with what runs in it."},
		{v1alpha1.ReasonActive, "The Waiver is in force: the control is suspended where its status says.", "Delete it as soon as it is not needed."},
		{v1alpha1.ReasonExpired, "The Waiver's time is over, and the control is in force again.", "Delete it. If the exception is still needed, the security team writes another."},
	}
	topics := make([]topic, len(reasons))
	for i, r := range reasons {
		topics[i] = topic{Code: r.code, Kind: topicReason, Title: r.title}
		topics[i].add("To do", r.todo)
	}
	return topics
}
