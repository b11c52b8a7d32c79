package v1alpha1

// Condition types of Tenants and Spaces. Ready is true when the four others are.
const (
	ConditionDecided  = "Decided"
	ConditionPlaced   = "Placed"
	ConditionEnforced = "Enforced"
	ConditionProven   = "Proven"
	ConditionReady    = "Ready"
	// ConditionWorkloadsBlocked is of a Space: some of its workloads lack pods, since the API server refuses them. It is there as long as they do.
	ConditionWorkloadsBlocked = "WorkloadsBlocked"
	// ConditionActive is the Waiver's one condition.
	ConditionActive = "Active"
)

// Reasons: stable words for programs; the message next to them is for people.
const (
	// ReasonPending: no controller has reconciled the object yet. It is the definitions' default, which every reader sees
	// from the first moment on, also while no controller runs.
	ReasonPending = "Pending"
	// ReasonDecided: every workload has a decision on its present input.
	ReasonDecided = "Decided"
	// ReasonInvalid: the spec lacks a fact or contradicts itself; the message names which and where.
	ReasonInvalid = "Invalid"
	// ReasonTenantMissing: the Space's home namespace belongs to no Tenant.
	ReasonTenantMissing = "TenantMissing"
	// ReasonWorkloadUnknown: the Space or Waiver names a workload that its tenant does not declare.
	ReasonWorkloadUnknown = "WorkloadUnknown"
	// ReasonPlatformMissing: there is no Platform, so nothing is allowed.
	ReasonPlatformMissing = "PlatformMissing"

	// ReasonPlaced: it has its place on this cluster.
	ReasonPlaced = "Placed"
	// ReasonNeedsDedicatedCluster: decided Hard, waiting for a cluster of its own; never put into a shared one.
	ReasonNeedsDedicatedCluster = "NeedsDedicatedCluster"
	// ReasonNeedsOtherEnvironment: the workload's environment is not the one that this cluster serves.
	ReasonNeedsOtherEnvironment = "NeedsOtherEnvironment"
	// ReasonNodeGroupMissing: SoftAffinity needs a node group of the tenant's own, and none is free.
	ReasonNodeGroupMissing = "NodeGroupMissing"
	// ReasonNamespaceTaken: the Space's namespace exists and is not Bulkhead's; it is never adopted.
	ReasonNamespaceTaken = "NamespaceTaken"
	// ReasonPatternChanged: the decision became one that this namespace cannot serve; what runs is left alone.
	ReasonPatternChanged = "PatternChanged"

	// ReasonEnforced: every object of every control is in place as rendered.
	ReasonEnforced = "Enforced"
	// ReasonEnforcing: objects are being written.
	ReasonEnforcing = "Enforcing"
	// ReasonApplyFailed: the API server refused an object; the message has its words.
	ReasonApplyFailed = "ApplyFailed"
	// ReasonQuotaExhausted: the tenant's quota has nothing left of a resource that the Space requests.
	ReasonQuotaExhausted = "QuotaExhausted"

	// ReasonProven: asked as the tenant, the API server refused what it must and allowed what it should.
	ReasonProven = "Proven"
	// ReasonExposed: at least one question was answered otherwise.
	ReasonExposed = "Exposed"
	// ReasonProofPending: not asked since the last change.
	ReasonProofPending = "ProofPending"
	// ReasonProofStale: the last proof is older than the Platform's proofFreshness.
	ReasonProofStale = "ProofStale"
	// ReasonProofFailed: a question could not be asked or answered; unknown is never safe.
	ReasonProofFailed = "ProofFailed"

	// ReasonPodsRefused: the API server refuses pods of a workload that is there.
	ReasonPodsRefused = "PodsRefused"

	// ReasonReady: all conditions hold.
	ReasonReady = "Ready"
	// ReasonDeleting: being removed; status.remaining names what is left.
	ReasonDeleting = "Deleting"
	// ReasonProtected: deletion was asked and spec.protected refuses it.
	ReasonProtected = "Protected"
	// ReasonDefinitionRemoved: the object goes only because its CRD or home namespace does, so nothing is removed.
	ReasonDefinitionRemoved = "DefinitionRemoved"
	// ReasonFinalizersStripped: finalizers that held an off-boarding were taken off after the deadline.
	ReasonFinalizersStripped = "FinalizersStripped"
	// ReasonActive: the Waiver is in force.
	ReasonActive = "Active"
	// ReasonExpired: the Waiver's time is over, and the control is in force again.
	ReasonExpired = "Expired"
)
