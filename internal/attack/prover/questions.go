package prover

import (
	"fmt"

	"github.com/bulkhead-dev/bulkhead/hostile"
)

// Question is asked of the API server through one or more attacks: its forms. One form is enough to ask it; the others
// try the same in another way. The first shows most.
type Question struct {
	// Asks in words.
	Asks string
	// Forms in order.
	Forms []hostile.Case
}

// Questions are what a proof asks: cases of the catalogue that store nothing and read nothing of the tenant's, and that show
// most. The last two apply only in places: one wherever there are Spaces, since dedicated nodes are dedicated against all others;
// one where the decision demands a sandboxed runtime.
func Questions() []Question {
	return []Question{
		{"Can it read or write another tenant?", pick("rbac-own/get-secrets", "rbac-own/create-pods", "rbac-own/patch-deployments",
			"rbac-own/exec", "rbac-own/get-configmaps", "rbac-own/list-pods", "rbac-own/watch-services", "rbac-own/delete-claims")},
		{"Can it list the other tenants?", pick("rbac-enumerate/list-namespaces", "rbac-enumerate/list-tenants", "rbac-enumerate/list-spaces",
			"rbac-enumerate/list-pods", "rbac-enumerate/list-nodes", "rbac-enumerate/list-volumes", "rbac-enumerate/watch-events",
			"rbac-enumerate/watch-namespaces")},
		{"Can it raise its own rights?", pick("rbac-escalate/bind-cluster-admin", "rbac-escalate/share-with-everybody", "rbac-escalate/impersonate",
			"rbac-escalate/foreign-token", "rbac-escalate/bind", "rbac-escalate/escalate", "rbac-escalate/nodes-proxy", "rbac-escalate/csr",
			"rbac-escalate/webhooks", "rbac-escalate/policies", "rbac-escalate/apiservices")},
		{"Can it loosen what the platform set?", pick("guardrail/unmark-networkpolicies", "guardrail/change-guardrails", "guardrail/patch-namespace",
			"guardrail/patch-quota", "guardrail/patch-limits", "guardrail/pods-at-home")},
		{"Can its pods reach the host?", pick("pod-security/privileged", "pod-security/host-path", "pod-security/host-network",
			"pod-security/init-privileged")},
		{"Do its pods get API credentials that they did not request?", pick("token/mount", "token/foreign-audience")},
		{"Can it open the network beyond what was declared?", pick("network-default/from-everywhere", "network-default/to-everywhere",
			"network-metadata/by-policy")},
		{"Can it capture traffic or expose services?", pick("service-expose/external-ips", "service-expose/node-port", "service-expose/external-name")},
		{"Can it take more than its quota?", pick("quota/compute")},
		{"Can it run images from anywhere?", pick("images/foreign-registry")},
		{"Can it bypass the scheduler?", pick("scheduling/scheduler-name", "scheduling/bind-pods")},
		{"Can it preempt the platform?", pick("priority/system-critical")},
		{"Can its pods land on another tenant's nodes?", pick("node-affinity/tolerate-all", "node-affinity/node-name", "node-affinity/foreign-nodes")},
		{"Can its pods share the host's kernel?", pick("runtime/shared-kernel")},
	}
}

// pick finds cases of the catalogue by id. One that is not there is a mistake in this file, which every test would hit.
func pick(ids ...string) []hostile.Case {
	picked := make([]hostile.Case, len(ids))
	for i, id := range ids {
		c, found := hostile.ByID(id)
		if !found {
			panic(fmt.Sprintf("there is no case %s", id))
		}
		picked[i] = c
	}
	return picked
}
