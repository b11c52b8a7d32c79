package hostile

import (
	"slices"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
)

// rbacEnumerateCases learn of other tenants from what is cluster-wide: every verb on every kind that the API server serves.
func rbacEnumerateCases() []Case {
	const control, all = "rbac-enumerate", Owners | ServiceAccounts
	cases := append(enumerateRights(), pathCases()...)
	for _, verb := range standardVerbs {
		cases = append(cases, Case{ID: control + "/every-cluster-" + verb, Control: control, By: all, Twin: reallyAllowed,
			Title: "may " + verb + " something that is cluster-wide", Refusal: Refusal{By: RBAC},
			Attempt: everywhere(verb+" everything cluster-wide", verb, clusterWide, func(s *Served) bool { return !s.Namespaced && !ForEveryone(s, verb) })})
		if verb == "list" || verb == "watch" {
			cases = append(cases, Case{ID: control + "/every-namespace-" + verb, Control: control, By: all, Twin: reallyAllowed,
				Title: "may " + verb + " something over all namespaces", Refusal: Refusal{By: RBAC},
				Attempt: everywhere(verb+" everything over all namespaces", verb, clusterWide, func(s *Served) bool { return s.Namespaced && s.Subresource == "" })})
		}
	}
	return cases
}

// readVersion is what everyone may do.
var readVersion = Step{Title: "read the version", Ask: func(Scene) (Ask, error) {
	return Ask{Real: &Real{Request: Request{Verb: "get", Path: "/version"}}}, nil
}}

// enumerateRights are the forms in which a proof asks.
func enumerateRights() []Case {
	const control, all = "rbac-enumerate", Owners | ServiceAccounts
	return []Case{
		rights("list-namespaces", control, "lists all namespaces, and so the names of all tenants", all, may("list", "", "namespaces", clusterWide)),
		rights("list-tenants", control, "lists all tenants", all, may("list", v1alpha1.GroupVersion.Group, "tenants", clusterWide)),
		rights("list-spaces", control, "lists the Spaces of all tenants", all, may("list", v1alpha1.GroupVersion.Group, "spaces", clusterWide)),
		rights("list-pods", control, "lists the pods of all namespaces", all, may("list", "", "pods", clusterWide)),
		rights("list-nodes", control, "lists the nodes", all, may("list", "", "nodes", clusterWide)),
		rights("list-volumes", control, "lists the volumes of all tenants", all, may("list", "", "persistentvolumes", clusterWide)),
		rights("watch-events", control, "watches the events of all namespaces", all, may("watch", "", "events", clusterWide)),
		rights("watch-namespaces", control, "watches all namespaces", all, may("watch", "", "namespaces", clusterWide)),
	}
}

// pathCases read what is no resource.
func pathCases() []Case {
	var cases []Case
	for id, path := range map[string]string{
		"metrics": "/metrics", "logs": "/logs/", "profiles": "/debug/pprof/", "configuration": "/configz", "flows": "/debug/api_priority_and_fairness/dump_requests",
	} {
		title := "reads the API server's " + id
		cases = append(cases, Case{ID: "rbac-enumerate/path-" + id, Control: "rbac-enumerate", Title: title, By: Owners | ServiceAccounts,
			Twin: readVersion,
			Attempt: Step{Title: title, Ask: func(Scene) (Ask, error) {
				return Ask{Real: &Real{Request: Request{Verb: "get", Path: path, RightOnly: true}}}, nil
			}}, Refusal: Refusal{By: RBAC}})
	}
	return cases
}

// ForEveryone reports of a cluster-wide resource whether Kubernetes itself lets everyone use it, by its default roles, and it
// discloses nothing of others: who one is and what one may do (system:basic-user), and the trust anchors that signers publish
// (system:cluster-trust-bundle-discovery).
func ForEveryone(s *Served, verb string) bool {
	aboutOneself := slices.Contains([]string{"selfsubjectreviews", "selfsubjectaccessreviews", "selfsubjectrulesreviews"}, s.Resource)
	return aboutOneself || (s.Resource == "clustertrustbundles" && (&Request{Verb: verb}).Reads())
}
