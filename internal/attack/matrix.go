package attack

import (
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
)

// Served is one resource or subresource that the API server says it serves.
type Served struct {
	Group, Version, Resource, Subresource string
	Namespaced                            bool
	Verbs                                 []string
	// APIVersion and Kind of the object that a request carries: of a subresource, another than its parent's.
	APIVersion, Kind string
}

// Sights are what the runner, with its own rights, saw of the cluster before it began: what no tenant could tell it.
type Sights struct {
	// Resources that the API server serves, by discovery; nil with Missing set when it could not be asked.
	Resources []Served
	// Missing is why Resources is not complete. What is not known to be served was not tried.
	Missing string
	// Node is the host name label of a node; empty when there is none or the runner may not see them.
	Node string
	// Flows are the FlowSchemas to the priority level that only tenants use, and Lists those to the one of tenants' lists, by
	// UID: one of them must take a tenant's requests.
	Flows, Lists map[string]string
	// HomeBounds are the bounds of the quota in the tenant's home namespace, as "key at most amount".
	HomeBounds []string
	// Reclaim is the reclaim policy of each StorageClass.
	Reclaim map[string]string
	// Preempts reports for each PriorityClass whether its pods preempt pods that have no class.
	Preempts map[string]bool
}

// nothing is the name of no object: what is asked of it, the authorizer answers alone.
const nothing = "bulkhead-attack-nothing"

// forEverybody says of a cluster-wide resource that Kubernetes itself lets everybody use it, by its default roles, and that it tells
// nothing of anybody else: who one is and what one may do (system:basic-user), and the trust anchors that signers publish
// (system:cluster-trust-bundle-discovery).
func forEverybody(s *Served, verb string) bool {
	aboutOneself := slices.Contains([]string{"selfsubjectreviews", "selfsubjectaccessreviews", "selfsubjectrulesreviews"}, s.Resource)
	return aboutOneself || (s.Resource == "clustertrustbundles" && verbs[verb] == http.MethodGet)
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
		if s.Seen == nil || s.Seen.Missing != "" {
			return Ask{}, errors.New("what the API server serves is not known: " + missing(s.Seen))
		}
		asks := []Ask{}
		for _, served := range s.Seen.Resources {
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

// carefully sends a read as it is, and all else as a dry-run with an empty body upon what does not exist: three reasons for
// nothing to happen, should it be let through.
func carefully(r *Request) Ask {
	if r.reads() {
		return Ask{Real: &Real{Request: *r}}
	}
	if r.Verb != "delete" && r.Verb != "deletecollection" {
		r.Body = map[string]any{}
	}
	return Ask{DryRun: r}
}

func missing(seen *Sights) string {
	if seen == nil {
		return "nobody looked"
	}
	return seen.Missing
}

// matrixAttacks try every verb on every resource and subresource that the API server serves: in a foreign namespace, on
// cluster-wide resources, and over all namespaces.
func matrixAttacks() []Attack {
	const all = Owners | ServiceAccounts
	var attacks []Attack
	for _, verb := range standardVerbs {
		foreign := Attack{ID: "rbac-own/every-" + verb, Control: "rbac-own", By: all, OnForeign: true, PositiveControl: reallyAllowed,
			Title:   "may " + verb + " something in another tenant's namespace",
			Refusal: Refusal{By: RBAC}}
		foreign.Attempt = everywhere(verb+" everything in a foreign namespace", verb, inForeign, func(s *Served) bool { return s.Namespaced })
		cluster := Attack{ID: "rbac-enumerate/every-cluster-" + verb, Control: "rbac-enumerate", By: all, PositiveControl: reallyAllowed,
			Title: "may " + verb + " something that is cluster-wide", Refusal: Refusal{By: RBAC}}
		cluster.Attempt = everywhere(verb+" everything cluster-wide", verb, clusterWide, func(s *Served) bool { return !s.Namespaced && !forEverybody(s, verb) })
		attacks = append(attacks, foreign, cluster)
		if verb == "list" || verb == "watch" {
			a := Attack{ID: "rbac-enumerate/every-namespace-" + verb, Control: "rbac-enumerate", By: all, PositiveControl: reallyAllowed,
				Title: "may " + verb + " something over all namespaces", Refusal: Refusal{By: RBAC}}
			a.Attempt = everywhere(verb+" everything over all namespaces", verb, clusterWide, func(s *Served) bool { return s.Namespaced && s.Subresource == "" })
			attacks = append(attacks, a)
		}
	}
	return attacks
}

// reallyAllowed is the positive control of requests that are carried out: a request of the same kind that must go through.
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

// whoAmI demands that the API server takes the request for the subject's.
func whoAmI(user string) func(Reply) Answer {
	return func(r Reply) Answer {
		var review struct {
			Status struct{ UserInfo struct{ Username string } }
		}
		if err := decode(r.Object, &review); err != nil {
			return problem("%v", err)
		}
		if got := review.Status.UserInfo.Username; got != user {
			return problem("the API server takes %s for %q", user, got)
		}
		return Answer{Allowed: true}
	}
}

// asOwner says whether the scene's subject is an owner of the tenant.
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

// forbiddenAtHome are the requests in a tenant's own Space that nobody but the platform's controllers may make, each with what
// it would be good for.
func forbiddenAtHome() []Attack {
	const all = Owners | ServiceAccounts
	table := []struct{ control, id, verb, group, resource, title string }{
		{"scheduling", "binding", "create", "", "pods/binding", "places its pods on nodes by itself"},
		{"scheduling", "old-binding", "create", "", "bindings", "places its pods on nodes by the older resource"},
		{"rbac-escalate", "pod-status", "patch", "", "pods/status", "writes the status of pods, and so slips one into a Service"},
		{"rbac-escalate", "service-status", "patch", "", "services/status", "writes the address of a load balancer"},
		{"rbac-escalate", "ingress-status", "patch", "networking.k8s.io", "ingresses/status", "writes the address of an Ingress"},
		{"rbac-escalate", "claim-status", "patch", "", "persistentvolumeclaims/status", "writes the status of claims"},
		{"rbac-escalate", "pod-proxy", "get", "", "pods/proxy", "has the API server open connections to pods"},
		{"rbac-escalate", "service-proxy", "get", "", "services/proxy", "has the API server open connections to Services"},
		{"service-expose", "endpoints", "create", "", "endpoints", "sends a Service's traffic to addresses of its choice"},
		{"service-expose", "endpoints-patch", "patch", "", "endpoints", "sends a Service's traffic to other addresses"},
		{"service-expose", "slices", "create", "discovery.k8s.io", "endpointslices", "sends a Service's traffic to addresses of its choice"},
		{"service-expose", "slices-patch", "patch", "discovery.k8s.io", "endpointslices", "sends a Service's traffic to other addresses"},
		{"audit", "events", "create", "", "events", "writes what others are read to have done"},
		{"audit", "new-events", "create", "events.k8s.io", "events", "writes what others are read to have done"},
		{"guardrail", "namespace-patch", "patch", "", "namespaces", "changes the labels of its namespace"},
		{"guardrail", "namespace-update", "update", "", "namespaces", "replaces its namespace's labels"},
		{"guardrail", "namespace-delete", "delete", "", "namespaces", "deletes its namespace behind its Space's back"},
		{"guardrail", "namespace-status", "patch", "", "namespaces/status", "writes its namespace's labels by the status"},
		{"guardrail", "namespace-finalize", "update", "", "namespaces/finalize", "takes the finalizers from its namespace"},
		{"guardrail", "quota-patch", "patch", "", "resourcequotas", "raises its quota"},
		{"guardrail", "quota-delete", "delete", "", "resourcequotas", "deletes its quota"},
		{"guardrail", "quota-status", "patch", "", "resourcequotas/status", "writes what it has used of its quota"},
		{"guardrail", "limits-patch", "patch", "", "limitranges", "raises its limits"},
		{"guardrail", "limits-delete", "delete", "", "limitranges", "deletes its limits"},
		{"guardrail", "space-here", "create", v1alpha1.GroupVersion.Group, "spaces", "makes a Space outside of its home"},
	}
	attacks := make([]Attack, 0, len(table))
	for _, row := range table {
		resource, sub, _ := strings.Cut(row.resource, "/")
		request := Request{Verb: row.verb, Group: row.group, Resource: resource, Subresource: sub, Version: "v1", RightOnly: true}
		if row.group == v1alpha1.GroupVersion.Group {
			request.Version = v1alpha1.GroupVersion.Version
		}
		attacks = append(attacks, Attack{ID: row.control + "/" + row.id, Control: row.control, Title: row.title, By: all, EachSpace: true,
			PositiveControl: reallyAllowed, Attempt: inItsOwn(row.title, request), Refusal: Refusal{By: RBAC}})
	}
	return attacks
}

// inItsOwn sends a request upon the Space's namespace, or upon a thing in it that does not exist.
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
