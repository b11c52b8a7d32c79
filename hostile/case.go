// Package hostile is the catalogue of requests that a tenant must not be able to make, each next to a harmless twin.
//
// A [Case] is data: who sends it, the harmless twin, which must succeed, the attempt, which differs from the twin in a
// single point, and who must refuse it and in which words. The package is pure: it describes requests and never sends one.
// `bulkhead attack`, the controller's prover, the probes of a proof, the demo, the tests and docs/attacks.md all read it.
// There is one file a control.
package hostile

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	authorizationv1 "k8s.io/api/authorization/v1"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
)

// Case is one hostile request next to its harmless twin.
type Case struct {
	// ID is stable and unique, as control/attempt.
	ID string
	// Control that must refuse the attempt, by its id.
	Control string
	// Title is what a success of the attempt would mean, in words that can follow the subject: "reads another tenant's
	// secrets".
	Title string
	// By is which kinds of identity send it.
	By Identities
	// EachSpace is true when the answer depends on the Space's namespace, and false when it depends on the identity. The
	// service accounts of Spaces are tried one by one all the same.
	EachSpace bool
	// OnForeign is true when it is aimed at another tenant's namespace.
	OnForeign bool
	// Applies reports whether the control is in force in a scene; nil means always.
	Applies func(Scene) bool
	// Twin is harmless and must succeed.
	Twin Step
	// Attempt must be refused.
	Attempt Step
	// Refusal is the answer to the attempt that counts as one.
	Refusal Refusal
	// Or is another refusal that counts as well, where two authorities stand behind each other; mostly empty.
	Or Refusal
	// Behind is the policy that refuses it still where Refusal does not: RBAC, because the right was given by mistake, or Pod Security,
	// because a Waiver that is over lowered it. Empty where none does.
	Behind Refusal
}

// Step is one thing that an identity asks of the API server.
type Step struct {
	// Title in words: "create a compliant pod". Steps of one title ask the same in the same scene.
	Title string
	// On names a kind of object (plural) of which the identity first makes a harmless one, for the step to act on. Empty for
	// none.
	On string
	// Near names a kind of object (plural) of which the step must know those that are there; empty for none.
	Near string
	// Ask makes the request for a scene. An error is what the scene lacks; the answer is then Unknown.
	Ask func(Scene) (Ask, error)
}

// Ask is a question to the API server; exactly one field is set.
type Ask struct {
	// Review asks what the authorizer would answer, and nothing else.
	Review *authorizationv1.ResourceAttributes
	// DryRun goes through authorization, admission and validation, and is not stored.
	DryRun *Request
	// Real is carried out: reads, and the making of objects that bear the mark of attacks.
	Real *Real
	// Every asks one after the other. The answer is the worst: one that is allowed, else one that is not clear.
	Every []Ask
}

// String names what is asked, for a list of several.
func (a *Ask) String() string {
	switch {
	case a.DryRun != nil:
		return a.DryRun.String()
	case a.Real != nil:
		return a.Real.Request.String()
	case a.Review != nil:
		return a.Review.Verb + " " + a.Review.Resource
	}
	return fmt.Sprintf("%d questions", len(a.Every))
}

// Real is a request that is carried out, with what follows from it.
type Real struct {
	// Request is a read, or makes an object that bears the mark.
	Request Request
	// Then is done to the object that was made; nil for nothing. Its name is filled in.
	Then *Request
	// Watched reports that who must refuse knows by a watch of the object that Step.On made: the answer counts that is given when it was
	// seen, or after some seconds.
	Watched bool
	// Pods makes the answer what becomes of the pods that the made object asks for: allowed when one appears, and else the
	// refusal that its controller reports.
	Pods bool
}

// Identities is a set of kinds of identity.
type Identities uint8

// Kinds of identity: a tenant's, and the controller's.
const (
	// Owners are the tenant's spec.owners: users, groups and service accounts.
	Owners Identities = 1
	// ServiceAccounts are what the tenant's pods run as: the default service account of each Space.
	ServiceAccounts Identities = 2
	// Controller is Bulkhead's own, as a thief of its credentials has it; no tenant has it.
	Controller Identities = 4
)

// Has reports whether the set holds the other.
func (i Identities) Has(other Identities) bool { return i&other != 0 }

// All lists every case, by its id.
func All() []Case { return slices.Clone(registry()) }

// ByID finds a case; false when there is none of this id.
func ByID(id string) (Case, bool) {
	all := registry()
	at, found := slices.BinarySearchFunc(all, id, func(c Case, id string) int { return strings.Compare(c.ID, id) })
	if !found {
		return Case{}, false
	}
	return all[at], true
}

// registry is made once: every proof reads it.
var registry = sync.OnceValue(func() []Case {
	all := slices.Concat(rbacOwnCases(), rbacEnumerateCases(), rbacEscalateCases(), guardrailCases(), podSecurityCases(), templateCases(), imageCases(),
		nodeCases(), priorityCases(), runtimeCases(), schedulingCases(), tokenCases(), networkCases(), serviceExposeCases(), storageCases(), quotaCases(), limitCases(),
		fairnessCases(), auditCases(), controllerCases())
	slices.SortFunc(all, func(a, b Case) int { return strings.Compare(a.ID, b.ID) })
	return all
})

// ownObject is a case of an object that a tenant may make.
func ownObject(id, control, title string, twin, attempt Step, refusal Refusal) Case {
	return Case{ID: control + "/" + id, Control: control, Title: title, By: Owners, EachSpace: true, Applies: InForce(control),
		Twin: twin, Attempt: attempt, Refusal: refusal}
}

// behind adds to cases what refuses them where their first authority does not.
func behind(refusal Refusal, cases ...Case) []Case {
	for i := range cases {
		cases[i].Behind = refusal
	}
	return cases
}

// always makes cases of a control that cannot be waived apply everywhere.
func always(cases ...Case) []Case {
	for i := range cases {
		cases[i].Applies = nil
	}
	return cases
}

// InForce reports of a control whether no Waiver suspends it in the scene's Space. What is waived is not asked: the Waiver
// stands in the Space's status. A waiver of pod-security lowers it to baseline.
func InForce(control string) func(Scene) bool {
	return func(s Scene) bool {
		return s.Space == nil || !slices.ContainsFunc(s.Space.Status.Waived, func(w v1alpha1.WaivedControl) bool {
			return w.Control == control
		})
	}
}
