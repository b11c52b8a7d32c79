package attack

import (
	"fmt"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
)

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

// memberOf is the user name under which the rights of a group are asked. Nobody is authenticated by it and nothing is
// bound to it, so that what it may do, it may do by the group.
const memberOf = "bulkhead.dev:proof:member-of-group"

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

// impersonated groups: those that must be named. A service account's own are fixed, and the API server insists on
// adding them itself; system:authenticated it adds to everybody.
func (s Subject) impersonated() []string {
	if s.Kind == "Group" {
		return s.Groups[:1]
	}
	return nil
}
