package attack

import (
	"errors"
	"strings"

	authorizationv1 "k8s.io/api/authorization/v1"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
)

// where is the namespace that a right is asked for; empty means the whole cluster.
type where func(Scene) (string, error)

func clusterWide(Scene) (string, error) { return "", nil }

func inHome(s Scene) (string, error) { return v1alpha1.HomeNamespace(s.Tenant.Name), nil }

func inForeign(s Scene) (string, error) {
	if s.Foreign == "" {
		return "", errors.New("there is no namespace that is foreign to the tenant")
	}
	return s.Foreign, nil
}

func inOwn(s Scene) (string, error) {
	if s.Namespace() == "" {
		return "", errors.New("the Space has no namespace yet")
	}
	return s.Namespace(), nil
}

// may asks whether the subject may do verb on a resource, which may be given with its subresource as pods/exec.
func may(verb, group, resource string, place where) Step {
	return mayOn(verb, group, resource, "", place)
}

// mayNamed asks it for one object by name, cluster-wide.
func mayNamed(verb, group, resource, name string) Step {
	return mayOn(verb, group, resource, name, clusterWide)
}

func mayOn(verb, group, resource, name string, place where) Step {
	return Step{
		Title: strings.TrimSpace(verb + " " + resource + " " + name),
		Ask: func(s Scene) (Ask, error) {
			namespace, err := place(s)
			if err != nil {
				return Ask{}, err
			}
			plural, sub, _ := strings.Cut(resource, "/")
			return Ask{Review: &authorizationv1.ResourceAttributes{
				Namespace: namespace, Verb: verb, Group: group, Version: "*", Resource: plural, Subresource: sub, Name: name,
			}}, nil
		},
	}
}

// someRight is the positive control of questions about rights: a right that the subject must have, so that a refusal
// beside it is not merely the answer to a name that nobody bound anything to. An owner may list the Spaces in its home
// namespace; everybody authenticated may ask who he is (Kubernetes' ClusterRole system:basic-user).
var someRight = Step{
	Title: "use a right that it has",
	Ask: func(s Scene) (Ask, error) {
		for _, owner := range s.Tenant.Spec.Owners {
			subject, err := OwnerSubject(owner)
			if err != nil {
				return Ask{}, err
			}
			if subject.String() == s.Subject.String() {
				return may("list", v1alpha1.GroupVersion.Group, "spaces", inHome).Ask(s)
			}
		}
		return may("create", "authentication.k8s.io", "selfsubjectreviews", clusterWide).Ask(s)
	},
}
