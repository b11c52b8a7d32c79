package attack

import (
	"slices"
	"strings"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/decision"
	"github.com/bulkhead-dev/bulkhead/desired"
)

// inForce says of a control whether no Waiver suspends it in the scene's Space. What is waived is not asked: the Waiver
// stands in the Space's status, as control/waiver, and in the tenant's. A waiver of pod-security lowers it to baseline, so it is still asked.
func inForce(control string) func(Scene) bool {
	return func(s Scene) bool {
		return s.Space == nil || !slices.ContainsFunc(s.Space.Status.Waivers, func(waiver string) bool {
			waived, _, _ := strings.Cut(waiver, "/")
			return waived == control
		})
	}
}

// byPolicy is the refusal by one of Bulkhead's admission policies.
func byPolicy(name string) Refusal { return Refusal{By: Policy, Name: "bulkhead-" + name} }

// inSpace makes an attack on the identity's rights one on its rights in a Space.
func inSpace(a Attack) Attack {
	a.EachSpace = true
	return a
}

// refusedPod is an attack by a pod that differs from the compliant one in a single point.
func refusedPod(id, control, title string, change podChange, refusal Refusal) Attack {
	return Attack{ID: control + "/" + id, Control: control, Title: title, By: Owners, EachSpace: true, Applies: inForce(control),
		PositiveControl: compliantPod, Attempt: createPod("create a pod that "+title, change), Refusal: refusal}
}

func podSecurity() []Attack {
	const control = "pod-security"
	attacks := []Attack{
		refusedPod("privileged", control, "runs privileged pods", privileged, Refusal{By: PodSecurity}),
		refusedPod("host-path", control, "mounts the host's root folder", hostPath, Refusal{By: PodSecurity}),
		refusedPod("host-network", control, "uses the host's network", hostNetwork, Refusal{By: PodSecurity}),
		refusedPod("init-privileged", control, "runs privileged init containers", privilegedInit, Refusal{By: PodSecurity}),
	}
	for i := range attacks {
		attacks[i].Applies = nil // a Waiver lowers the level to baseline, which refuses all of these
	}
	return attacks
}

func token() []Attack {
	const control = "token"
	allowed := func(want bool) func(Scene) bool {
		return func(s Scene) bool {
			workload, _, found := s.Workload()
			return inForce(control)(s) && want == (found && workload.APIAccess == v1alpha1.APIAccess(decision.APIAccessOwnNamespaces))
		}
	}
	mount := refusedPod("mount", control, "gives pods an identity at the API server that the workload does not declare", mountToken, byPolicy("token-pods"))
	mount.Applies = allowed(false)
	audience := refusedPod("foreign-audience", control, "gives pods an identity outside of the cluster", foreignAudience, byPolicy("token-pods"))
	audience.Applies = allowed(true)
	return []Attack{mount, audience}
}

func network() []Attack {
	widening := func(id, title, step string, rule wide) Attack {
		return Attack{ID: "network-default/" + id, Control: "network-default", Title: title, By: Owners, EachSpace: true, Applies: inForce("network-default"),
			PositiveControl: createNetworkPolicy("create a NetworkPolicy of its own", withinSpace),
			Attempt:         createNetworkPolicy(step, rule), Refusal: byPolicy("network-policies")}
	}
	return []Attack{
		widening("from-everywhere", "opens its pods to every namespace", "create a NetworkPolicy that lets every namespace in", fromEverywhere),
		widening("to-everywhere", "opens the way to every address", "create a NetworkPolicy that reaches 0.0.0.0/0", toEverywhere),
		widening("to-metadata", "opens the way to the cloud's metadata service", "create a NetworkPolicy that reaches 169.254.169.254", toMetadata),
	}
}

func expose() []Attack {
	const control = "service-expose"
	service := func(id, title string, change serviceChange) Attack {
		return Attack{ID: control + "/" + id, Control: control, Title: title, By: Owners, EachSpace: true, Applies: inForce(control),
			PositiveControl: createService("create a cluster-internal Service", internal),
			Attempt:         createService("create a Service that "+title, change), Refusal: byPolicy("services")}
	}
	return []Attack{
		service("external-ips", "captures the traffic to an external address", externalIPs),
		service("node-port", "opens a port on every node", nodePort),
		service("external-name", "stands for a Service of another namespace", externalName),
	}
}

func quota() []Attack {
	return []Attack{
		refusedPod("compute", "quota", "takes more than the Space's quota", beyondQuota, Refusal{By: Quota, Name: desired.QuotaName}),
	}
}

func images() []Attack {
	return []Attack{
		refusedPod("foreign-registry", "images", "runs an image from a registry that is not allowed", foreignImage, byPolicy("images")),
	}
}

func scheduling() []Attack {
	const control = "scheduling"
	return []Attack{
		refusedPod("scheduler-name", control, "names a scheduler that is not allowed", foreignScheduler, byPolicy(control)),
		inSpace(rights("bind-pods", control, "binds pods to nodes", Owners, may("create", "", "pods/binding", inOwn))),
	}
}

func priority() []Attack {
	return []Attack{
		refusedPod("system-critical", "priority", "takes the priority of the cluster's own parts", systemCritical, byPolicy("priority")),
	}
}

func nodeAffinity() []Attack {
	const control = "node-affinity"
	return []Attack{
		refusedPod("tolerate-all", control, "tolerates every taint, and so lands on anybody's nodes", tolerateAll, byPolicy(control)),
		refusedPod("node-name", control, "names its node, which may be anybody's", nodeName, byPolicy(control)),
		refusedPod("foreign-nodes", control, "selects another tenant's nodes", foreignNodes, byPolicy(control)),
	}
}

// A pod that names no RuntimeClass gets the right one, and one that names another must name one that exists before any policy
// sees it. The template of a Deployment is judged by the same policy as it stands.
func runtimeClass() []Attack {
	const control = "runtime"
	sandboxed := func(s Scene) bool {
		_, decided, found := s.Workload()
		return inForce(control)(s) && found && decided.RuntimeClass != ""
	}
	return []Attack{{
		ID: control + "/shared-kernel", Control: control, Title: "runs pods outside of the sandboxed RuntimeClass", By: Owners, EachSpace: true,
		Applies:         sandboxed,
		PositiveControl: createDeployment("create a compliant Deployment", unchanged),
		Attempt:         createDeployment("create a Deployment of another RuntimeClass", otherRuntimeClass), Refusal: byPolicy(control),
	}}
}
