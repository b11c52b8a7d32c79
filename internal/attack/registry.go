package attack

import (
	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/desired"
)

// Question is asked of the API server through one or more attacks: its forms. One form is enough to ask it; the others
// look at the same control from another side. The first is the most telling.
type Question struct {
	// Asks in words.
	Asks string
	// Forms in order.
	Forms []Attack
}

// Twelve are the questions that every tenant's proof asks.
func Twelve() []Question {
	return []Question{
		{"Can it read or write another tenant?", foreign()},
		{"Can it learn the others' names?", enumerate()},
		{"Can it raise its own rights?", escalate()},
		{"Can it loosen what the platform set?", guardrail()},
		{"Can its pods reach the host?", podSecurity()},
		{"Do its pods get an identity towards the API server that they did not ask for?", token()},
		{"Can it open the network beyond what was declared?", network()},
		{"Can it capture traffic or expose services?", expose()},
		{"Can it take more than its quota?", quota()},
		{"Can it run images from anywhere?", images()},
		{"Can it go round the scheduler?", scheduling()},
		{"Can it preempt the platform?", priority()},
	}
}

// Besides are two questions more: one wherever there are Spaces, since dedicated nodes are dedicated against all others;
// one where the decision demands a sandboxed runtime.
func Besides() []Question {
	return []Question{
		{"Can its pods land on another tenant's nodes?", nodeAffinity()},
		{"Can its pods share the host's kernel?", runtimeClass()},
	}
}

// All lists every attack of every question.
func All() []Attack {
	var all []Attack
	for _, q := range append(Twelve(), Besides()...) {
		all = append(all, q.Forms...)
	}
	return all
}

// rights is an attack on RBAC that the authorizer answers alone.
func rights(id, control, title string, by Identities, attempt Step) Attack {
	return Attack{ID: control + "/" + id, Control: control, Title: title, By: by,
		PositiveControl: someRight, Attempt: attempt, Refusal: Refusal{By: RBAC}}
}

// onForeign marks an attack that is aimed at another tenant.
func onForeign(a Attack) Attack {
	a.OnForeign = true
	return a
}

func foreign() []Attack {
	const control, all = "rbac-own", Owners | ServiceAccounts
	return []Attack{
		onForeign(rights("get-secrets", control, "reads another tenant's secrets", all, may("get", "", "secrets", inForeign))),
		onForeign(rights("create-pods", control, "runs pods in another tenant's namespace", all, may("create", "", "pods", inForeign))),
		onForeign(rights("patch-deployments", control, "changes another tenant's workloads", all, may("patch", "apps", "deployments", inForeign))),
		onForeign(rights("exec", control, "enters another tenant's pods", all, may("create", "", "pods/exec", inForeign))),
		onForeign(rights("get-configmaps", control, "reads another tenant's configuration", all, may("get", "", "configmaps", inForeign))),
		onForeign(rights("list-pods", control, "lists another tenant's pods", all, may("list", "", "pods", inForeign))),
		onForeign(rights("watch-services", control, "watches another tenant's services", all, may("watch", "", "services", inForeign))),
		onForeign(rights("delete-claims", control, "deletes another tenant's volumes", all, may("delete", "", "persistentvolumeclaims", inForeign))),
	}
}

func enumerate() []Attack {
	const control, all = "rbac-enumerate", Owners | ServiceAccounts
	return []Attack{
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

func escalate() []Attack {
	const control, all = "rbac-escalate", Owners | ServiceAccounts
	return []Attack{
		{ID: control + "/bind-cluster-admin", Control: control, Title: "gives itself cluster-admin in its namespace", By: Owners, EachSpace: true,
			PositiveControl: shareRole(), Attempt: bindRole("bind the ClusterRole cluster-admin in its namespace", "cluster-admin", ownAccount),
			Refusal: Refusal{By: Escalation}},
		{ID: control + "/share-with-everybody", Control: control, Title: "opens its namespace to everybody who is authenticated", By: Owners, EachSpace: true,
			PositiveControl: shareRole(), Attempt: bindRole("share its rights with everybody", v1alpha1.RoleOwner, everybody),
			Refusal: byPolicy("role-bindings")},
		rights("impersonate", control, "acts as any user", all, may("impersonate", "", "users", clusterWide)),
		onForeign(rights("foreign-token", control, "takes tokens of foreign service accounts", all, may("create", "", "serviceaccounts/token", inForeign))),
		rights("bind", control, "binds any ClusterRole", all, mayNamed("bind", "rbac.authorization.k8s.io", "clusterroles", "cluster-admin")),
		rights("escalate", control, "writes rights that it lacks into roles", all, may("escalate", "rbac.authorization.k8s.io", "clusterroles", clusterWide)),
		rights("nodes-proxy", control, "reaches the kubelets' API", all, may("get", "", "nodes/proxy", clusterWide)),
		rights("csr", control, "asks for client certificates", all, may("create", "certificates.k8s.io", "certificatesigningrequests", clusterWide)),
		rights("webhooks", control, "sees and changes every request by a webhook", all, may("create", "admissionregistration.k8s.io", "mutatingwebhookconfigurations", clusterWide)),
		rights("policies", control, "removes admission policies", all, may("delete", "admissionregistration.k8s.io", "validatingadmissionpolicybindings", clusterWide)),
		rights("apiservices", control, "serves APIs of its own", all, may("create", "apiregistration.k8s.io", "apiservices", clusterWide)),
	}
}

func guardrail() []Attack {
	const control, all = "guardrail", Owners | ServiceAccounts
	return []Attack{
		{ID: control + "/unmark-policy", Control: control, Title: "takes Bulkhead's mark from the default-deny NetworkPolicy", By: Owners, EachSpace: true,
			PositiveControl: createNetworkPolicy("create a NetworkPolicy of its own", withinSpace),
			Attempt:         unmark("networking.k8s.io", "v1", "networkpolicies", desired.NetworkDefaultName), Refusal: byPolicy("managed-objects")},
		rights("change-guardrails", control, "is exempt from every admission policy", all, may(v1alpha1.VerbChange, v1alpha1.GroupVersion.Group, v1alpha1.ResourceGuardrails, clusterWide)),
		inSpace(rights("patch-namespace", control, "changes the labels of its namespace", all, may("patch", "", "namespaces", inOwn))),
		inSpace(rights("patch-quota", control, "changes its ResourceQuota", all, may("patch", "", "resourcequotas", inOwn))),
		inSpace(rights("patch-limits", control, "changes its LimitRange", all, may("patch", "", "limitranges", inOwn))),
		rights("pods-at-home", control, "runs pods in its home namespace, where nothing guards them", all, may("create", "", "pods", inHome)),
	}
}
