package attack

import "github.com/bulkhead-dev/bulkhead/api/v1alpha1"

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

// The tables below are rights of which the authorizer is asked. They are the forms in which a proof asks; the runner tries them for
// real besides (matrixAttacks).

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

func guardrailRights() []Attack {
	const control, all = "guardrail", Owners | ServiceAccounts
	return []Attack{
		rights("change-guardrails", control, "is exempt from every admission policy", all, may(v1alpha1.VerbChange, v1alpha1.GroupVersion.Group, v1alpha1.ResourceGuardrails, clusterWide)),
		inSpace(rights("patch-namespace", control, "changes the labels of its namespace", all, may("patch", "", "namespaces", inOwn))),
		inSpace(rights("patch-quota", control, "changes its ResourceQuota", all, may("patch", "", "resourcequotas", inOwn))),
		inSpace(rights("patch-limits", control, "changes its LimitRange", all, may("patch", "", "limitranges", inOwn))),
		rights("pods-at-home", control, "runs pods in its home namespace, where nothing guards them", all, may("create", "", "pods", inHome)),
	}
}

func scheduling() []Attack {
	return []Attack{inSpace(rights("bind-pods", "scheduling", "binds pods to nodes", Owners, may("create", "", "pods/binding", inOwn)))}
}
