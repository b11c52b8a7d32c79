// Package attack tries what a tenant must not be able to do, with the tenant's own identities, through the real API.
//
// An [Attack] is data: the positive control (the harmless twin, which must succeed), the attempt, and the refusal that
// is expected (who refuses). Any error is not a refusal: only the expected authority's own words are, and only beside
// a positive control that succeeded. Everything else is Unknown, and Unknown is never reported as Isolated.
//
// The [Prover] asks the twelve most telling questions for the Proven condition. It changes nothing: what RBAC alone
// decides is asked by SubjectAccessReview, everything else by a server-side dry-run under impersonation.
package attack

import (
	authorizationv1 "k8s.io/api/authorization/v1"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
)

// Attack is one attempt beside its positive control.
type Attack struct {
	// ID is stable and unique, as control/attempt.
	ID string
	// Control that must refuse the attempt, by its id.
	Control string
	// Title says what a success of the attempt would mean, in words that can follow the subject: "reads another
	// tenant's secrets".
	Title string
	// By which kinds of identity it is tried.
	By Identities
	// EachSpace is true when the answer depends on the Space's namespace, and false when it depends on the identity.
	EachSpace bool
	// OnForeign is true when it is aimed at another tenant's namespace.
	OnForeign bool
	// Applies says whether the control is in force in this scene; nil means always.
	Applies func(Scene) bool
	// PositiveControl is the harmless twin of the attempt. It must succeed.
	PositiveControl Step
	// Attempt must be refused.
	Attempt Step
	// Refusal is the only answer to the attempt that counts as one.
	Refusal Refusal
}

// Step is one thing that an identity asks of the API server.
type Step struct {
	// Title in words: "create a compliant pod". Steps of one title ask the same in the same scene.
	Title string
	// Ask makes the request for a scene. An error says what the scene lacks; the answer is then Unknown.
	Ask func(Scene) (Ask, error)
}

// Ask is a question to the API server; exactly one field is set.
type Ask struct {
	// Review asks what the authorizer would say, and nothing else.
	Review *authorizationv1.ResourceAttributes
	// DryRun goes through authorization, admission and validation, and is not stored.
	DryRun *DryRun
}

// DryRun is a write that the API server judges in full and does not store.
type DryRun struct {
	// Group and Version of the API; Group is empty for the core.
	Group, Version string
	// Namespace, Resource (plural) and, for a patch, Name of the object.
	Namespace, Resource, Name string
	// Create is the object to create; nil for a patch.
	Create any
	// MergePatch is the JSON merge patch to apply to Name; nil for a create.
	MergePatch []byte
}

// Scene is where and as whom an attack is tried.
type Scene struct {
	// Subject as whom it is tried.
	Subject Subject
	// Platform, Tenant and its decision for the Space's workload.
	Platform *v1alpha1.Platform
	Tenant   *v1alpha1.Tenant
	// Space whose namespace it is tried in; nil for an attack that is not of EachSpace.
	Space *v1alpha1.Space
	// Foreign is a namespace in which the tenant must have no rights.
	Foreign string
}

// Identities is a set of kinds of identity.
type Identities uint8

// Kinds of identity that a tenant has.
const (
	// Owners are the tenant's spec.owners: users, groups and service accounts.
	Owners Identities = 1 << iota
	// ServiceAccounts are what the tenant's pods run as: the default service account of each Space.
	ServiceAccounts
)

// Has says whether the set holds the other.
func (i Identities) Has(other Identities) bool { return i&other != 0 }

// Namespace of the scene's Space; empty when there is none.
func (s Scene) Namespace() string {
	if s.Space == nil {
		return ""
	}
	return s.Space.Status.Namespace
}

// Workload of the scene's Space with its recorded decision; false when the tenant has no such workload or decision.
func (s Scene) Workload() (v1alpha1.Workload, v1alpha1.WorkloadDecision, bool) {
	if s.Space == nil {
		return v1alpha1.Workload{}, v1alpha1.WorkloadDecision{}, false
	}
	for _, workload := range s.Tenant.Spec.Workloads {
		if workload.Name != s.Space.Spec.Workload {
			continue
		}
		for _, decided := range s.Tenant.Status.Decisions {
			if decided.Workload == workload.Name {
				return workload, decided, true
			}
		}
	}
	return v1alpha1.Workload{}, v1alpha1.WorkloadDecision{}, false
}
