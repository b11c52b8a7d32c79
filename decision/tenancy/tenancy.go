// Package tenancy is the decision on the tenancy pattern of one workload: how far it is kept from other tenants.
package tenancy

import (
	"strconv"

	"github.com/bulkhead-dev/bulkhead/decision"
)

// Pattern is a tenancy pattern: how far a workload is kept from other tenants.
//
// +kubebuilder:validation:Enum=Soft;SoftAffinity;Hard
type Pattern string

// The patterns, the weakest and cheapest first.
const (
	// PatternSoft is a namespace with its own access rules, quota and network policy
	// on shared nodes.
	PatternSoft Pattern = "Soft"
	// PatternSoftAffinity is Soft plus a node group that no other tenant uses. The
	// network and the control plane stay shared.
	PatternSoftAffinity Pattern = "SoftAffinity"
	// PatternHard is a cluster of its own.
	PatternHard Pattern = "Hard"
)

// Stricter reports whether p isolates more than other does. Anything that is not
// a pattern ranks below Soft.
func (p Pattern) Stricter(other Pattern) bool { return p.rank() > other.rank() }

func (p Pattern) rank() int {
	switch p {
	case PatternSoft:
		return 1
	case PatternSoftAffinity:
		return 2
	case PatternHard:
		return 3
	}
	return 0
}

// Outcome is what is decided for one workload.
type Outcome struct {
	Pattern Pattern
	// Sandboxed means that the decision asks for a sandboxed runtime. Sandboxed with
	// an empty RuntimeClass means asked for and missing, and then risk R7 is among the
	// risks.
	Sandboxed bool
	// RuntimeClass is the name of the RuntimeClass that the workload's pods must use;
	// empty where none is asked for or none exists.
	RuntimeClass string
	// Ephemeral means one short-lived cluster per run. It is true only under Hard.
	Ephemeral bool
}

// String is the outcome as a rule demands it.
func (o Outcome) String() string {
	if o.Sandboxed {
		return string(o.Pattern) + ", sandboxed runtime"
	}
	return string(o.Pattern)
}

// Decision is the outcome for one workload, with its explanation.
type Decision = decision.Decision[Outcome]

// Boundary is whether the tenant's people are under the organisation's security
// policy. Only the business knows: it must be declared.
//
// +kubebuilder:validation:Enum=Inside;Outside
type Boundary string

// The boundaries. Rules T6 and T7 read them.
const (
	BoundaryInside  Boundary = "Inside"
	BoundaryOutside Boundary = "Outside"
)

// Declared is leadership's word about the tenant. It can only make things
// stricter: Untrusted demands Hard (rule T5), Trusted softens nothing, and ""
// (nothing declared) is read like Trusted.
//
// +kubebuilder:validation:Enum=Trusted;Untrusted
type Declared string

// What leadership may declare.
const (
	DeclaredTrusted   Declared = "Trusted"
	DeclaredUntrusted Declared = "Untrusted"
)

// Code is where the code comes from that the workload runs. Only the business
// knows: it must be declared.
//
// +kubebuilder:validation:Enum=Audited;ThirdParty;Arbitrary
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

// Environment is whether the workload serves production. Only the business
// knows: it must be declared. No tenancy rule reads it (it decides who may share
// a cluster), but it is part of the record and of its hash.
//
// +kubebuilder:validation:Enum=Production;NonProduction
type Environment string

// The environments.
const (
	EnvironmentProduction    Environment = "Production"
	EnvironmentNonProduction Environment = "NonProduction"
)

// HostAccess is what the workload needs of the node. Undeclared is None:
// admission refuses the rest.
//
// +kubebuilder:validation:Enum=None;Privileged
type HostAccess string

// The kinds of host access. Rule T2 reads them.
const (
	HostAccessNone       HostAccess = "None"
	HostAccessPrivileged HostAccess = "Privileged"
)

// APIAccess is what the workload itself may ask of the Kubernetes API. Undeclared
// is None: no service account token is mounted.
//
// +kubebuilder:validation:Enum=None;OwnNamespaces;ClusterWide
type APIAccess string

// The reaches of API access. Rule T3 reads them.
const (
	APIAccessNone          APIAccess = "None"
	APIAccessOwnNamespaces APIAccess = "OwnNamespaces"
	APIAccessClusterWide   APIAccess = "ClusterWide"
)

// Performance is whether the workload may feel its neighbours. Undeclared is Shared.
//
// +kubebuilder:validation:Enum=Shared;Guaranteed
type Performance string

// The performance classes. Rule T8 reads them.
const (
	PerformanceShared     Performance = "Shared"
	PerformanceGuaranteed Performance = "Guaranteed"
)

// Upgrades is who sets the pace of node upgrades. Undeclared is Platform.
//
// +kubebuilder:validation:Enum=Platform;Own
type Upgrades string

// The owners of the upgrade pace. Rule T9 reads them.
const (
	UpgradesPlatform Upgrades = "Platform"
	UpgradesOwn      Upgrades = "Own"
)

// Lifetime is whether the workload stays or runs once. Undeclared is Permanent.
// It never changes the pattern; under Hard, Ephemeral means one short-lived
// cluster per run.
//
// +kubebuilder:validation:Enum=Permanent;Ephemeral
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

// Input is everything that the decision reads.
type Input struct {
	Tenant   TenantTraits
	Workload WorkloadTraits
	Platform PlatformFacts
}

// Decide decides the tenancy pattern of one workload by the rules of Table; the
// strictest wins. For an input in which facts are missing or unknown the error
// joins one *decision.FactError for each.
func Decide(in Input) (Decision, error) {
	t, w := &in.Tenant, &in.Workload
	return table.Decide(decision.Input{
		Facts: []string{
			factBoundary:       string(t.Boundary),
			factDeclared:       string(t.Declared),
			factDedicatedHosts: strconv.FormatBool(t.DedicatedHosts),
			factCode:           string(w.Code),
			factEnvironment:    string(w.Environment),
			factHostAccess:     string(w.HostAccess),
			factAPIAccess:      string(w.APIAccess),
			factClusterScoped:  strconv.FormatBool(w.ClusterScoped),
			factPerformance:    string(w.Performance),
			factUpgrades:       string(w.Upgrades),
			factLifetime:       string(w.Lifetime),
		},
		Lists: [][]string{listRuntimes: in.Platform.SandboxRuntimes},
	})
}
