package hostile

import "errors"

// fairnessCases ask which queue of the API server takes the tenant's requests: were it one that others share, a flood of the
// tenant's would delay them.
func fairnessCases() []Case {
	return []Case{
		byFlow("own-flow", "stands in the same queue of the API server as all others", "the tenant's priority level",
			func(f *Facts) map[string]string { return f.Flows },
			func(Scene) Request { return Request{Verb: "get", Path: "/version"} }),
		byFlow("own-lists", "lists where short requests of others wait", "the priority level of tenants' lists",
			func(f *Facts) map[string]string { return f.Lists },
			func(s Scene) Request {
				return Request{Verb: "list", Version: "v1", Namespace: s.Namespace(), Resource: "pods", Fields: "metadata.name=none", Forbidden: true}
			}),
	}
}

// byFlow makes a request and reads from the answer which of the flows took it, of which some are as they should be.
func byFlow(id, title, level string, flows func(*Facts) map[string]string, request func(Scene) Request) Case {
	judge := func(s Scene) func(Reply) Answer {
		return func(r Reply) Answer {
			name, right := flows(s.Facts)[r.Flow]
			switch {
			case r.Flow == "":
				return Unclear("the API server does not name the FlowSchema that took the request")
			case right:
				return Answer{Refusal: Refusal{By: fair, Says: "FlowSchema " + name + " took the request, to " + level}}
			}
			return Answer{Allowed: true, Note: "a FlowSchema that is not of " + level + " took the request (UID " + r.Flow + ")"}
		}
	}
	return Case{ID: "api-fairness/" + id, Control: "api-fairness", Title: title, By: Owners | ServiceAccounts, Refusal: Refusal{By: fair},
		Twin: readVersion,
		Attempt: Step{Title: "make a request outside the tenant's own flow", Ask: func(s Scene) (Ask, error) {
			if s.Facts == nil || flows(s.Facts) == nil {
				return Ask{}, errors.New("the tenants' FlowSchemas are not known: the runner may not list them")
			}
			asked := request(s)
			asked.Judge = judge(s)
			return Ask{Real: &Real{Request: asked}}, nil
		}}}
}
