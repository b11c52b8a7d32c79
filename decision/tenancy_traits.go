package decision

// Boundary says whether the tenant's people are under the organisation's security
// policy. Only the business knows: it must be declared.
type Boundary string

// The boundaries. Rules T6 and T7 read them.
const (
	BoundaryInside  Boundary = "Inside"
	BoundaryOutside Boundary = "Outside"
)

// Declared is leadership's word about the tenant. It can only make things
// stricter: Untrusted demands Hard (rule T5), Trusted softens nothing, and ""
// (nothing declared) is read like Trusted.
type Declared string

// What leadership may declare.
const (
	DeclaredTrusted   Declared = "Trusted"
	DeclaredUntrusted Declared = "Untrusted"
)

// Code says where the code comes from that the workload runs. Only the business
// knows: it must be declared.
type Code string

// The origins of code. Rules T1, T6, T7 and S1 read them.
const (
	// CodeAudited is code that the organisation reviews.
	CodeAudited Code = "Audited"
	// CodeThirdParty is code of others, fixed when it is deployed.
	CodeThirdParty Code = "ThirdParty"
	// CodeArbitrary is code that others hand to the workload at run time.
	CodeArbitrary Code = "Arbitrary"
)

// Environment says whether the workload serves production. Only the business
// knows: it must be declared. No tenancy rule reads it (it decides who may share
// a cluster), but it is part of the record and of its hash.
type Environment string

// The environments.
const (
	EnvironmentProduction    Environment = "Production"
	EnvironmentNonProduction Environment = "NonProduction"
)

// HostAccess says what the workload needs of the node. Undeclared is None:
// admission refuses the rest.
type HostAccess string

// The kinds of host access. Rule T2 reads them.
const (
	HostAccessNone       HostAccess = "None"
	HostAccessPrivileged HostAccess = "Privileged"
)

// APIAccess says what the workload itself may ask of the Kubernetes API. Undeclared
// is None: no service account token is mounted.
type APIAccess string

// The reaches of API access. Rule T3 reads them.
const (
	APIAccessNone          APIAccess = "None"
	APIAccessOwnNamespaces APIAccess = "OwnNamespaces"
	APIAccessClusterWide   APIAccess = "ClusterWide"
)

// Performance says whether the workload may feel its neighbours. Undeclared is Shared.
type Performance string

// The performance classes. Rule T8 reads them.
const (
	PerformanceShared     Performance = "Shared"
	PerformanceGuaranteed Performance = "Guaranteed"
)

// Upgrades says who sets the pace of node upgrades. Undeclared is Platform.
type Upgrades string

// The owners of the upgrade pace. Rule T9 reads them.
const (
	UpgradesPlatform Upgrades = "Platform"
	UpgradesOwn      Upgrades = "Own"
)

// Lifetime says whether the workload stays or runs once. Undeclared is Permanent.
// It never changes the pattern; under Hard, Ephemeral means one short-lived
// cluster per run.
type Lifetime string

// The lifetimes.
const (
	LifetimePermanent Lifetime = "Permanent"
	LifetimeEphemeral Lifetime = "Ephemeral"
)

// TenantTraits are the facts about a tenant that the tenancy rules read.
type TenantTraits struct {
	Boundary Boundary // required
	Declared Declared
	// DedicatedHosts is true where a contract or a licence asks for hosts that no
	// other tenant uses (rule T10).
	DedicatedHosts bool
}

// WorkloadTraits are the facts about one workload of a tenant. The patterns of a
// tenant's workloads may differ.
type WorkloadTraits struct {
	Code        Code        // required
	Environment Environment // required
	HostAccess  HostAccess
	APIAccess   APIAccess
	// ClusterScoped is true where the workload brings cluster-scoped objects of its
	// own: custom resource definitions, webhooks, operators (rule T4).
	ClusterScoped bool
	Performance   Performance
	Upgrades      Upgrades
	Lifetime      Lifetime
}

// PlatformFacts are the facts about the platform: observed, not declared.
type PlatformFacts struct {
	// SandboxRuntimes are the names of the RuntimeClasses that put a kernel of their
	// own between a pod and the node (gVisor, Kata). The first is preferred; the
	// order is kept. No name may be empty.
	SandboxRuntimes []string
}

// TenancyInput is everything the tenancy decision reads.
type TenancyInput struct {
	Tenant   TenantTraits
	Workload WorkloadTraits
	Platform PlatformFacts
}
