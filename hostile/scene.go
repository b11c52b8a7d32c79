package hostile

import (
	"fmt"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
)

// Scene is where and as whom a case is tried.
type Scene struct {
	// Subject as whom it is tried.
	Subject Subject
	// Platform, Tenant and its decision for the Space's workload.
	Platform *v1alpha1.Platform
	Tenant   *v1alpha1.Tenant
	// Space whose namespace it is tried in; nil for a case that is not of EachSpace.
	Space *v1alpha1.Space
	// Image of the harmless pod; empty for one of the Platform's first registry.
	Image string
	// Foreign is a namespace in which the tenant must have no rights.
	Foreign string

	// What follows is empty in a proof, which stores nothing.

	// Run marks what this run makes.
	Run string
	// Making is unique to each making of an object within the run.
	Making string
	// Target is the object that Step.On asked for, as it stands.
	Target map[string]any
	// Near are the objects that Step.Near asked for.
	Near []map[string]any
	// Facts are what the runner observed of the cluster before it began.
	Facts *Facts
}

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

// asOwner reports whether the scene's subject is an owner of the tenant.
func (s Scene) asOwner() (bool, error) {
	for _, owner := range s.Tenant.Spec.Owners {
		subject, err := OwnerSubject(owner)
		if err != nil {
			return false, err
		}
		if subject.String() == s.Subject.String() {
			return true, nil
		}
	}
	return false, nil
}

// Served is one resource or subresource that the API server serves.
type Served struct {
	Group, Version, Resource, Subresource string
	Namespaced                            bool
	Verbs                                 []string
	// APIVersion and Kind of the object that a request carries: of a subresource, another than its parent's.
	APIVersion, Kind string
}

// Facts are what the runner, with its own rights, observed of the cluster: what no tenant could read.
type Facts struct {
	// Resources that the API server serves, by discovery; nil with Missing set when it could not be asked.
	Resources []Served
	// Missing is why Resources is not complete. What is not known to be served was not tried.
	Missing string
	// Node is the host name label of a node; empty when there is none or the runner may not see them.
	Node string
	// Flows are the FlowSchemas to the tenant's own priority level, and Lists those to the one of tenants' lists, by
	// UID: one of them must take a tenant's requests.
	Flows, Lists map[string]string
	// HomeBounds are the bounds of the quota in the tenant's home namespace, as "key at most amount".
	HomeBounds []string
	// Reclaim is the reclaim policy of each StorageClass.
	Reclaim map[string]string
	// Runtimes are the RuntimeClasses; nil when the runner may not list them.
	Runtimes []string
	// Preempts reports for each PriorityClass whether its pods preempt pods that have no class.
	Preempts map[string]bool
}

// Subject is an identity as the API server sees it.
type Subject struct {
	// Kind is User, Group or ServiceAccount.
	Kind string
	// User is the user name.
	User string
	// Groups of the user, with those that the API server adds itself.
	Groups []string

	words string
}

// memberOf is the user name under which the rights of a group are asked. No one authenticates by it and nothing is
// bound to it, so what it may do, it may do by the group.
const memberOf = v1alpha1.UserPrefix + "proof:member-of-group"

const (
	authenticated   = "system:authenticated"
	serviceAccounts = "system:serviceaccounts"
)

// String names the subject for people.
func (s Subject) String() string { return s.words }

// OwnerSubject is the identity of an owner. A user's further groups are not known to Kubernetes and so are not asked;
// a group is asked as a user that has no other right.
func OwnerSubject(owner v1alpha1.Owner) (Subject, error) {
	switch owner.Kind {
	case "User":
		return Subject{
			Kind: owner.Kind, User: owner.Name, Groups: []string{authenticated}, words: "user " + owner.Name,
		}, nil
	case "Group":
		return Subject{
			Kind: owner.Kind, User: memberOf, Groups: []string{owner.Name, authenticated}, words: "group " + owner.Name,
		}, nil
	case "ServiceAccount":
		return ServiceAccountSubject(owner.Namespace, owner.Name), nil
	}
	return Subject{}, fmt.Errorf("owner %q is of kind %q: it must be User, Group or ServiceAccount", owner.Name, owner.Kind)
}

// ServiceAccountSubject is the identity of a service account, with the groups that the API server gives it.
func ServiceAccountSubject(namespace, name string) Subject {
	return Subject{
		Kind:   "ServiceAccount",
		User:   "system:serviceaccount:" + namespace + ":" + name,
		Groups: []string{serviceAccounts, serviceAccounts + ":" + namespace, authenticated},
		words:  "service account " + namespace + "/" + name,
	}
}

// Impersonated are the groups that must be named. A service account's own are fixed, and the API server insists on
// adding them itself; system:authenticated it adds to everyone.
func (s Subject) Impersonated() []string {
	if s.Kind == "Group" {
		return s.Groups[:1]
	}
	return nil
}
