package attack

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/guardrail"
)

var quotaRefuses = Refusal{By: Quota, Name: guardrail.QuotaName}

// shareAttacks take more than the tenant's part.
func shareAttacks() []Attack {
	limits := Refusal{By: Limits}
	amount := func(change func(*corev1.ResourceRequirements)) podChange {
		return func(_ Scene, pod *corev1.Pod) error { change(&pod.Spec.Containers[0].Resources); return nil }
	}
	attacks := []Attack{
		podAttack("compute", "quota", "takes more than the Space's quota", beyondQuota, quotaRefuses),
		podAttack("no-limit", "defaults", "names a limit of 0, which is none", amount(func(r *corev1.ResourceRequirements) {
			zero := corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("0"), corev1.ResourceMemory: resource.MustParse("0")}
			r.Requests, r.Limits = zero, zero.DeepCopy()
		}), limits),
		podAttack("huge", "defaults", "may use more than the whole tenant has", amount(func(r *corev1.ResourceRequirements) {
			r.Limits = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("1000000"), corev1.ResourceMemory: resource.MustParse("1Pi")}
		}), limits),
	}
	attacks[2].Applies = func(s Scene) bool { return inForce("defaults")(s) && grantedCompute(s) }
	for _, key := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory, corev1.ResourceEphemeralStorage} {
		attacks = append(attacks, boundBy("bounds-"+string(key), "has no bound on "+string(key), func(s Scene) [][]corev1.ResourceName {
			return [][]corev1.ResourceName{{"requests." + key, key, "limits." + key}} // no request is above its limit
		}))
	}
	counted := boundBy("bounds-objects", "has no bound on the number of some kind of object", func(Scene) [][]corev1.ResourceName {
		keys := [][]corev1.ResourceName{{corev1.ResourceServicesNodePorts}, {corev1.ResourceServicesLoadBalancers}}
		for _, plural := range []string{"pods", "services", "replicationcontrollers", "secrets", "configmaps", "persistentvolumeclaims"} {
			keys = append(keys, []corev1.ResourceName{corev1.ResourceName("count/" + plural), corev1.ResourceName(plural)})
		}
		for _, kind := range []string{"serviceaccounts", "podtemplates", "deployments.apps", "replicasets.apps", "statefulsets.apps", "daemonsets.apps",
			"jobs.batch", "cronjobs.batch", "roles.rbac.authorization.k8s.io", "rolebindings.rbac.authorization.k8s.io",
			"networkpolicies.networking.k8s.io", "ingresses.networking.k8s.io"} {
			keys = append(keys, []corev1.ResourceName{corev1.ResourceName("count/" + kind)})
		}
		return keys
	})
	return append(attacks, counted, spaceCount(), fairness(), listFairness())
}

func grantedCompute(s Scene) bool {
	for _, key := range []corev1.ResourceName{corev1.ResourceLimitsCPU, corev1.ResourceRequestsCPU, corev1.ResourceCPU} {
		if _, named := s.Tenant.Spec.Quota[key]; named {
			return true
		}
	}
	return false
}

// boundBy reads, as the tenant, the quotas that are in force in its Space, and demands that each list of keys is bounded by one
// of its keys: by its exact name, in the status, which is what admission goes by. To fill a quota for real would starve the
// tenant.
func boundBy(id, title string, keys func(Scene) [][]corev1.ResourceName) Attack {
	return Attack{ID: "quota/" + id, Control: "quota", Title: title, By: Owners, EachSpace: true, Refusal: Refusal{By: Quota},
		PositiveControl: readQuotas("read the Space's quotas", nil), Attempt: readQuotas(title, keys)}
}

func readQuotas(title string, keys func(Scene) [][]corev1.ResourceName) Step {
	return Step{Title: title, Ask: func(s Scene) (Ask, error) {
		namespace, err := inOwn(s)
		if err != nil {
			return Ask{}, err
		}
		request := Request{Verb: "list", Version: "v1", Namespace: namespace, Resource: "resourcequotas"}
		if keys == nil {
			return Ask{Real: &Real{Request: request}}, nil
		}
		request.Judge = func(r Reply) Answer {
			var list corev1.ResourceQuotaList
			if err := decode(r.Object, &list); err != nil {
				return problem("%v", err)
			}
			return bounded(list.Items, keys(s))
		}
		return Ask{Real: &Real{Request: request}}, nil
	}}
}

func bounded(quotas []corev1.ResourceQuota, keys [][]corev1.ResourceName) Answer {
	var said, open []string
	for _, alternatives := range keys {
		found := false
		for _, key := range alternatives {
			for i := range quotas {
				// A quota with a scope does not count every object.
				hard, named := quotas[i].Status.Hard[key]
				if named && len(quotas[i].Spec.Scopes) == 0 && quotas[i].Spec.ScopeSelector == nil {
					found = true
					said = append(said, fmt.Sprintf("%s at most %s", key, hard.String()))
				}
			}
		}
		if !found {
			open = append(open, string(alternatives[0]))
		}
	}
	if len(open) > 0 {
		return Answer{Allowed: true, Note: few(open)}
	}
	return Answer{Refusal: Refusal{By: Quota, Says: few(said)}}
}

// spaceCount is the oldest way to many namespaces: to ask for more Spaces than the tenant has.
func spaceCount() Attack {
	return Attack{ID: "quota/spaces", Control: "quota", Title: "makes as many Spaces as it likes", By: Owners, Refusal: Refusal{By: Quota},
		PositiveControl: homeQuota("read the home namespace's quota through its Spaces", false),
		Attempt:         homeQuota("make more Spaces than were granted", true)}
}

// homeQuota makes a Space by dry-run: where there is room it is accepted, and a quota must count it.
func homeQuota(title string, attempt bool) Step {
	return Step{Title: title, Ask: func(s Scene) (Ask, error) {
		if !attempt {
			return reallyAllowed.Ask(s)
		}
		if s.Seen == nil {
			return Ask{}, errors.New("nobody looked at the home namespace's quota")
		}
		return Ask{Real: &Real{Request: Request{Verb: "list", Group: v1alpha1.GroupVersion.Group, Version: v1alpha1.GroupVersion.Version,
			Namespace: v1alpha1.HomeNamespace(s.Tenant.Name), Resource: "spaces", Judge: func(Reply) Answer {
				if i := slices.IndexFunc(s.Seen.HomeBounds, func(b string) bool { return strings.HasPrefix(b, string(guardrail.CountSpaces)+" ") }); i >= 0 {
					return Answer{Refusal: Refusal{By: Quota, Says: s.Seen.HomeBounds[i]}}
				}
				return Answer{Allowed: true, Note: "no ResourceQuota in the home namespace counts Spaces"}
			}}}}, nil
	}}
}

// headerFlow is the header in which the API server names the FlowSchema that took a request.
const headerFlow = "X-Kubernetes-Pf-Flowschema-Uid"

// fairness asks which queue takes the tenant's requests: were it the one of everybody, a flood would be everybody's.
func fairness() Attack {
	return flowAttack("own-flow", "stands in the same queue of the API server as everybody else", "the level of the tenant's compartment",
		func(s *Sights) map[string]string { return s.Flows },
		func(Scene) Request { return Request{Verb: "get", Path: "/version"} })
}

// listFairness asks the same for a list: were it where short requests are, those would wait for it.
func listFairness() Attack {
	return flowAttack("own-lists", "lists where others wait for what is short", "the level of tenants' lists",
		func(s *Sights) map[string]string { return s.Lists },
		func(s Scene) Request {
			return Request{Verb: "list", Version: "v1", Namespace: s.Namespace(), Resource: "pods", Fields: "metadata.name=none", Forbidden: true}
		})
}

// flowAttack makes a request and reads from the answer which of the flows took it, of which some are as they should be.
func flowAttack(id, title, level string, flows func(*Sights) map[string]string, request func(Scene) Request) Attack {
	judge := func(s Scene) func(Reply) Answer {
		return func(r Reply) Answer {
			took := r.Header.Get(headerFlow)
			name, right := flows(s.Seen)[took]
			switch {
			case took == "":
				return problem("the API server does not say which FlowSchema took the request")
			case right:
				return Answer{Refusal: Refusal{By: Fairness, Says: "FlowSchema " + name + " took the request, to " + level}}
			}
			return Answer{Allowed: true, Note: "a FlowSchema that is not of " + level + " took the request (UID " + took + ")"}
		}
	}
	return Attack{ID: "api-fairness/" + id, Control: "api-fairness", Title: title, By: Owners | ServiceAccounts, Refusal: Refusal{By: Fairness},
		PositiveControl: Step{Title: "read the version", Ask: func(Scene) (Ask, error) {
			return Ask{Real: &Real{Request: Request{Verb: "get", Path: "/version"}}}, nil
		}},
		Attempt: Step{Title: "make a request outside of the tenant's own flow", Ask: func(s Scene) (Ask, error) {
			if s.Seen == nil || flows(s.Seen) == nil {
				return Ask{}, errors.New("the tenants' FlowSchemas are not known: the attack's runner may not list them")
			}
			asked := request(s)
			asked.Judge = judge(s)
			return Ask{Real: &Real{Request: asked}}, nil
		}}}
}
