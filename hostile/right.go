package hostile

import (
	"errors"
	"slices"
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

// rights is a case that the authorizer answers alone.
func rights(id, control, title string, by Identities, attempt Step) Case {
	return Case{ID: control + "/" + id, Control: control, Title: title, By: by,
		Twin: someRight, Attempt: attempt, Refusal: Refusal{By: RBAC}}
}

// onForeign marks a case that is aimed at another tenant.
func onForeign(c Case) Case {
	c.OnForeign = true
	return c
}

// inSpace makes a case of the identity's rights one of its rights in a Space.
func inSpace(c Case) Case {
	c.EachSpace = true
	return c
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

// someRight is the harmless twin of questions about rights: a right that the subject must have, so that a refusal
// next to it is not merely the answer to a name that nothing is bound to. An owner may list the Spaces in its home
// namespace; every authenticated user may ask who they are (Kubernetes' ClusterRole system:basic-user).
var someRight = Step{
	Title: "use a right that it has",
	Ask: func(s Scene) (Ask, error) {
		owner, err := s.asOwner()
		switch {
		case err != nil:
			return Ask{}, err
		case owner:
			return may("list", v1alpha1.GroupVersion.Group, "spaces", inHome).Ask(s)
		}
		return may("create", "authentication.k8s.io", "selfsubjectreviews", clusterWide).Ask(s)
	},
}

// standardVerbs are those of RBAC that every resource may have.
var standardVerbs = []string{"get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"}

// everywhere asks one verb on everything that is served and wanted.
func everywhere(title, verb string, place where, wanted func(*Served) bool) Step {
	return Step{Title: title, Ask: func(s Scene) (Ask, error) {
		namespace, err := place(s)
		if err != nil {
			return Ask{}, err
		}
		if s.Facts == nil || s.Facts.Missing != "" {
			return Ask{}, errors.New("what the API server serves is not known: " + missing(s.Facts))
		}
		asks := []Ask{}
		for _, served := range s.Facts.Resources {
			if !slices.Contains(served.Verbs, verb) || !wanted(&served) {
				continue
			}
			request := &Request{Verb: verb, Group: served.Group, Version: served.Version, Resource: served.Resource,
				Subresource: served.Subresource, Namespace: namespace, RightOnly: true}
			if served.Subresource != "" || !slices.Contains([]string{"list", "watch", "create", "deletecollection"}, verb) {
				request.Name = nothing
			}
			asks = append(asks, carefully(request))
		}
		return Ask{Every: asks}, nil
	}}
}

// carefully sends a read as it is, and all else as a dry-run with an empty body for what does not exist: three reasons for
// nothing to happen, should it be let through.
func carefully(r *Request) Ask {
	if r.Reads() {
		return Ask{Real: &Real{Request: *r}}
	}
	if r.Verb != "delete" && r.Verb != "deletecollection" {
		r.Body = map[string]any{}
	}
	return Ask{DryRun: r}
}

// reallyAllowed is the harmless twin of requests that are carried out: a request of the same kind that must go through.
var reallyAllowed = Step{
	Title: "make a request that it has the right to",
	Ask: func(s Scene) (Ask, error) {
		owner, err := s.asOwner()
		if err != nil || !owner {
			return Ask{DryRun: &Request{Group: "authentication.k8s.io", Version: "v1", Resource: "selfsubjectreviews", Judge: whoAmI(s.Subject.User),
				Body: map[string]any{"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}}}, err
		}
		return Ask{Real: &Real{Request: Request{Verb: "list", Group: v1alpha1.GroupVersion.Group, Version: v1alpha1.GroupVersion.Version,
			Namespace: v1alpha1.HomeNamespace(s.Tenant.Name), Resource: "spaces"}}}, nil
	},
}

// whoAmI demands that the API server takes the request as the subject's.
func whoAmI(user string) func(Reply) Answer {
	return func(r Reply) Answer {
		var review struct {
			Status struct{ UserInfo struct{ Username string } }
		}
		if err := decode(r.Object, &review); err != nil {
			return Unclear("%v", err)
		}
		if got := review.Status.UserInfo.Username; got != user {
			return Unclear("the API server took %s for %q", user, got)
		}
		return Answer{Allowed: true}
	}
}

// homeRow is a request in a tenant's own Space that only the platform's controllers may make, with what it would be good for.
type homeRow struct{ id, verb, group, resource, title string }

// atHome are the cases of such requests.
func atHome(control string, rows ...homeRow) []Case {
	cases := make([]Case, 0, len(rows))
	for _, row := range rows {
		resource, sub, _ := strings.Cut(row.resource, "/")
		request := Request{Verb: row.verb, Group: row.group, Resource: resource, Subresource: sub, Version: "v1", RightOnly: true}
		if row.group == v1alpha1.GroupVersion.Group {
			request.Version = v1alpha1.GroupVersion.Version
		}
		cases = append(cases, Case{ID: control + "/" + row.id, Control: control, Title: row.title, By: Owners | ServiceAccounts, EachSpace: true,
			Twin: reallyAllowed, Attempt: inItsOwn(row.title, request), Refusal: Refusal{By: RBAC}})
	}
	return cases
}

// auditCases write what others seem to have done.
func auditCases() []Case {
	return atHome("audit",
		homeRow{"events", "create", "", "events", "writes what others are read to have done"},
		homeRow{"new-events", "create", "events.k8s.io", "events", "writes what others are read to have done"})
}

// inItsOwn sends a request for the Space's namespace, or for a thing in it that does not exist.
func inItsOwn(title string, request Request) Step {
	return Step{Title: title, Ask: func(s Scene) (Ask, error) {
		namespace, err := inOwn(s)
		if err != nil {
			return Ask{}, err
		}
		r := request
		r.Namespace = namespace
		switch {
		case r.Resource == "namespaces":
			r.Namespace, r.Name = "", namespace
		case r.Verb != "create" || r.Subresource != "":
			r.Name = nothing
		}
		return carefully(&r), nil
	}}
}

// missing is why what the API server serves is not known.
func missing(facts *Facts) string {
	if facts == nil {
		return "the runner did not look"
	}
	return facts.Missing
}
