package guardrail

import (
	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
)

func read() []string { return []string{"get", "list", "watch"} }

func write() []string { return []string{"create", "delete", "deletecollection", "patch", "update"} }

func readWrite() []string { return append(read(), write()...) }

// ownerRules is all that an owner may do inside a Space. It is a fixed list and never a wildcard: an API that Kubernetes
// or an add-on brings later is closed until somebody has looked at it. Not in it, on purpose:
//
//   - escalate, bind and impersonate: owners make Roles and RoleBindings up to their own rights, and no further;
//   - pods/binding, */status and */finalizers: they belong to the scheduler and to controllers, and through
//     pods/status a pod can be slipped into a Service or placed;
//   - endpoints and endpointslices to write: they send a Service's traffic to foreign addresses (CVE-2021-25740);
//   - pods/proxy and services/proxy: they make the API server open connections for its caller;
//   - events to write: they are how an API server is flooded, and what others are read to have done;
//   - resourcequotas, limitranges and Spaces: they are the fence.
//
// The right to get namespaces holds, through a RoleBinding, for the binding's own namespace only: the API server
// authorizes it with this namespace as its scope.
func ownerRules() []rbacv1.PolicyRule {
	return []rbacv1.PolicyRule{
		rule("", readWrite(), "configmaps", "persistentvolumeclaims", "pods", "podtemplates",
			"replicationcontrollers", "secrets", "serviceaccounts", "services"),
		rule("apps", readWrite(), "daemonsets", "deployments", "replicasets", "statefulsets"),
		rule("batch", readWrite(), "cronjobs", "jobs"),
		rule("autoscaling", readWrite(), "horizontalpodautoscalers"),
		rule("policy", readWrite(), "poddisruptionbudgets"),
		rule("networking.k8s.io", readWrite(), "ingresses", "networkpolicies"),
		rule("coordination.k8s.io", readWrite(), "leases"),
		rule("rbac.authorization.k8s.io", readWrite(), "rolebindings", "roles"),

		rule("", []string{"get", "patch", "update"}, "pods/ephemeralcontainers", "pods/resize",
			"replicationcontrollers/scale"),
		rule("apps", []string{"get", "patch", "update"}, "deployments/scale", "replicasets/scale",
			"statefulsets/scale"),
		rule("", []string{"create", "get"}, "pods/attach", "pods/exec", "pods/portforward"),
		rule("", []string{"get"}, "namespaces", "pods/log"),
		rule("", []string{"create"}, "pods/eviction", "serviceaccounts/token"),

		rule("", read(), "endpoints", "events", "limitranges", "resourcequotas"),
		rule("apps", read(), "controllerrevisions"),
		rule("discovery.k8s.io", read(), "endpointslices"),
		rule("events.k8s.io", read(), "events"),
		rule("metrics.k8s.io", []string{"get", "list"}, "pods"),
	}
}

// homeRules is all that an owner may do in the home namespace.
func homeRules() []rbacv1.PolicyRule {
	return []rbacv1.PolicyRule{
		rule(v1alpha1.GroupVersion.Group, append(read(), "create", "delete", "patch", "update"), "spaces"),
		rule(v1alpha1.GroupVersion.Group, []string{"get"}, "spaces/status"),
		rule("", read(), "events"),
		rule("events.k8s.io", read(), "events"),
	}
}

func platformAdminRules() []rbacv1.PolicyRule {
	group := v1alpha1.GroupVersion.Group
	return append(viewerRules(),
		rule(group, write(), "platforms", "spaces", "tenants"),
		rule(group, []string{v1alpha1.VerbChange}, v1alpha1.ResourceGuardrails),
	)
}

func securityRules() []rbacv1.PolicyRule {
	return append(viewerRules(), rule(v1alpha1.GroupVersion.Group, write(), "waivers"))
}

func viewerRules() []rbacv1.PolicyRule {
	return []rbacv1.PolicyRule{
		rule(v1alpha1.GroupVersion.Group, read(), "isolationreports", "platforms", "spaces", "tenants", "waivers"),
	}
}

func rule(group string, verbs []string, resources ...string) rbacv1.PolicyRule {
	return rbacv1.PolicyRule{APIGroups: []string{group}, Resources: resources, Verbs: verbs}
}
