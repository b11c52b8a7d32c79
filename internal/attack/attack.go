// Package attack tries what a tenant must not be able to do, with the tenant's own identities, through the real API.
//
// An [Attack] is data: the positive control (the harmless twin, which must succeed), the attempt, and the refusal that
// is expected (who refuses). Any error is not a refusal: only the expected authority's own words are, and only beside
// a positive control that succeeded. Everything else is Unknown, and Unknown is never reported as Isolated.
//
// There is one registry, and it has two users. The [Prover] asks the twelve most telling questions for the Proven
// condition. It changes nothing: what RBAC alone decides is asked by SubjectAccessReview, everything else by a server-side
// dry-run under impersonation. The [Runner] tries a whole suite. It reads for real, makes for real what a dry-run cannot
// show (what becomes of a workload's pods), and removes all that it made.
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
	// EachSpace is true when the answer depends on the Space's namespace, and false when it depends on the identity. The
	// service accounts of Spaces are tried one by one all the same.
	EachSpace bool
	// OnForeign is true when it is aimed at another tenant's namespace.
	OnForeign bool
	// Applies says whether the control is in force in this scene; nil means always.
	Applies func(Scene) bool
	// PositiveControl is the harmless twin of the attempt. It must succeed.
	PositiveControl Step
	// Attempt must be refused.
	Attempt Step
	// Refusal is the answer to the attempt that counts as one.
	Refusal Refusal
	// Or is another refusal that counts as well, where two authorities stand behind each other; mostly empty.
	Or Refusal
}

// Step is one thing that an identity asks of the API server.
type Step struct {
	// Title in words: "create a compliant pod". Steps of one title ask the same in the same scene.
	Title string
	// On names a kind of object (plural) of which the identity makes a harmless one first, for the step to act on: what is
	// there is not touched. Empty for none.
	On string
	// Ask makes the request for a scene. An error says what the scene lacks; the answer is then Unknown.
	Ask func(Scene) (Ask, error)
}

// Ask is a question to the API server; exactly one field is set.
type Ask struct {
	// Review asks what the authorizer would say, and nothing else.
	Review *authorizationv1.ResourceAttributes
	// DryRun goes through authorization, admission and validation, and is not stored.
	DryRun *Request
	// Real is carried out: reads, and the making of objects that bear the attack's mark.
	Real *Real
	// Every asks one after the other. The answer is the worst: one that is allowed, else one that is not clear.
	Every []Ask
}

// Real is a request that is carried out, with what follows from it.
type Real struct {
	// Request is a read, or makes an object that bears the mark.
	Request Request
	// Then is done to the object that was made; nil for nothing. Its name is filled in.
	Then *Request
	// Pods makes the answer what becomes of the pods that the made object asks for: allowed when one appears, and else the
	// refusal that its controller reports.
	Pods bool
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

	// What follows is empty in a proof, which stores nothing.

	// Run marks what this run makes.
	Run string
	// Case is unique to each making of an object within the run.
	Case string
	// Target is the object that Step.On asked for, as it stands.
	Target map[string]any
	// Seen is what the runner saw of the cluster before it began.
	Seen *Sights
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
