package hostile

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
)

const (
	// ownPolicy refuses what the controller must not write.
	ownPolicy = "controller"
	// admissionGroup is that of admission policies.
	admissionGroup = "admissionregistration.k8s.io"
)

// controllerCases are what a thief of the controller's credentials would try.
func controllerCases() []Case {
	cases := slices.Concat(elsewhereCases(), controllerClusterCases(), controllerPolicyCases(), []Case{
		rights("secrets", "controller", "reads the platform's secrets", 0, may("get", "", "secrets", inSystem)),
		rights("secrets-of-tenants", "controller", "reads tenants' secrets", 0, may("list", "", "secrets", clusterWide)),
		rights("pods", "controller", "runs pods in the platform's namespaces", 0, may("create", "", "pods", inSystem)),
		rights("impersonate", "controller", "does everything that somebody else may", 0, may("impersonate", "", "users", clusterWide)),
	})
	for i := range cases {
		cases[i].By, cases[i].Control, cases[i].ID, cases[i].Applies = Controller, "controller", "controller/"+lastPart(cases[i].ID), nil
	}
	return cases
}

func inSystem(Scene) (string, error) { return metav1.NamespaceSystem, nil }

// madeIn makes an object of a kind in a place.
func madeIn(title string, place where, group, resource string, object func(metav1.ObjectMeta) any) Step {
	return Step{Title: title, Ask: func(s Scene) (Ask, error) {
		namespace, err := place(s)
		meta := marked(s)
		meta.Namespace = namespace
		return Ask{DryRun: &Request{Group: group, Version: "v1", Namespace: namespace, Resource: resource, Body: object(meta)}}, err
	}}
}

// elsewhereCases make what the controller makes in tenants' namespaces, in another.
func elsewhereCases() []Case {
	var cases []Case
	for _, kind := range []struct {
		id, title, group, resource string
		object                     func(metav1.ObjectMeta) any
	}{
		{"bind-elsewhere", "binds a role in the platform's own namespace", rbacv1.GroupName, "rolebindings", bindingTo(v1alpha1.RoleOwner)},
		{"quota-elsewhere", "stops the platform's own pods by a quota", "", "resourcequotas", func(m metav1.ObjectMeta) any {
			return &corev1.ResourceQuota{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "ResourceQuota"}, ObjectMeta: m}
		}},
		{"limits-elsewhere", "changes the platform's own pods by limits", "", "limitranges", func(m metav1.ObjectMeta) any {
			return &corev1.LimitRange{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "LimitRange"}, ObjectMeta: m}
		}},
		{"network-elsewhere", "cuts the platform's own pods off by a network policy", networkingv1.GroupName, "networkpolicies", func(m metav1.ObjectMeta) any {
			return &networkingv1.NetworkPolicy{TypeMeta: metav1.TypeMeta{APIVersion: "networking.k8s.io/v1", Kind: "NetworkPolicy"}, ObjectMeta: m,
				Spec: networkingv1.NetworkPolicySpec{PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeIngress}}}
		}},
	} {
		cases = append(cases, ownObject(kind.id, "controller", kind.title,
			madeIn("make one of "+kind.resource+" in a tenant's namespace", inOwn, kind.group, kind.resource, kind.object),
			madeIn("make one of "+kind.resource+" in kube-system", inSystem, kind.group, kind.resource, kind.object),
			byPolicy(ownPolicy, "in namespaces that are marked and named as a tenant's")))
	}
	return cases
}

// bindingTo binds a ClusterRole to a user that does not exist.
func bindingTo(role string) func(metav1.ObjectMeta) any {
	return func(m metav1.ObjectMeta) any {
		return &rbacv1.RoleBinding{TypeMeta: metav1.TypeMeta{APIVersion: "rbac.authorization.k8s.io/v1", Kind: "RoleBinding"}, ObjectMeta: m,
			RoleRef:  rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role},
			Subjects: []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: "User", Name: nothing}}}
	}
}

// controllerClusterCases write cluster-scoped objects, and roles, as the controller never does.
func controllerClusterCases() []Case {
	clusterBinding := func(m metav1.ObjectMeta) any {
		return &rbacv1.ClusterRoleBinding{TypeMeta: metav1.TypeMeta{APIVersion: "rbac.authorization.k8s.io/v1", Kind: "ClusterRoleBinding"}, ObjectMeta: m,
			RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "cluster-admin"}, Subjects: []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: "User", Name: nothing}}}
	}
	bind := madeIn("make one of rolebindings in a tenant's namespace", inOwn, rbacv1.GroupName, "rolebindings", bindingTo(v1alpha1.RoleOwner))
	namespace := func(title, name string) Step {
		return madeIn(title, clusterWide, "", "namespaces", func(m metav1.ObjectMeta) any {
			m.Name, m.GenerateName = name, ""
			m.Labels[v1alpha1.LabelManagedBy], m.Labels[v1alpha1.LabelTenant], m.Labels[v1alpha1.LabelSpace] = v1alpha1.ManagedBy, nothing, "space"
			return &corev1.Namespace{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Namespace"}, ObjectMeta: m}
		})
	}
	flow := func(title, prefix string) Step {
		return madeIn(title, clusterWide, flowcontrolv1.GroupName, "flowschemas", func(m metav1.ObjectMeta) any {
			m.GenerateName = prefix
			return &flowcontrolv1.FlowSchema{TypeMeta: metav1.TypeMeta{APIVersion: "flowcontrol.apiserver.k8s.io/v1", Kind: "FlowSchema"}, ObjectMeta: m,
				Spec: flowcontrolv1.FlowSchemaSpec{MatchingPrecedence: 9999, PriorityLevelConfiguration: flowcontrolv1.PriorityLevelConfigurationReference{Name: "global-default"}}}
		})
	}
	on := func(title string, place where, verb, group, version, resource string, body any) Step {
		return Step{Title: title, Ask: func(s Scene) (Ask, error) {
			name, err := place(s)
			return Ask{DryRun: &Request{Verb: verb, Group: group, Version: version, Resource: resource, Name: name, Body: body}}, err
		}}
	}
	leases := func(Scene) (string, error) { return corev1.NamespaceNodeLease, nil }
	role := func(Scene) (string, error) { return v1alpha1.RoleOwner, nil }
	tenant := func(s Scene) (string, error) { return s.Tenant.Name, nil }
	labels := patchOfMetadata("labels", map[string]any{v1alpha1.LabelAttack: "proof"})
	everything := map[string]any{"rules": []any{map[string]any{"apiGroups": []any{"*"}, "resources": []any{"*"}, "verbs": []any{"*"}}}}
	owners := patchOf(map[string]any{"owners": []any{map[string]any{"kind": "User", "name": nothing}}})
	group, version := v1alpha1.GroupVersion.Group, v1alpha1.GroupVersion.Version
	marks := byPolicy(ownPolicy, "Bulkhead writes namespaces that are marked and named as a tenant's")
	roles := byPolicy(ownPolicy, "Bulkhead writes the roles that it renders")
	return append([]Case{
		ownObject("namespace-label", "", "labels the platform's own namespace", on("label a tenant's namespace", inOwn, "patch", "", "v1", "namespaces", labels),
			on("label kube-system", inSystem, "patch", "", "v1", "namespaces", labels), marks),
		ownObject("namespace-delete", "", "deletes a namespace that is no tenant's", on("delete a tenant's namespace", inOwn, "delete", "", "v1", "namespaces", nil),
			on("delete kube-node-lease", leases, "delete", "", "v1", "namespaces", nil), marks),
		ownObject("namespace-claim", "", "makes a namespace that is not named as the tenant's whose marks it bears", namespace("make a tenant's namespace", nothing+"--space"),
			namespace("make a namespace of any name", nothing), marks),
		ownObject("role-widen", "", "gives all owners every right", on("label the owners' role", role, "patch", rbacv1.GroupName, "v1", "clusterroles", labels),
			on("add every right to the owners' role", role, "patch", rbacv1.GroupName, "v1", "clusterroles", everything), roles),
		ownObject("flow-foreign", "", "puts requests of others last", flow("make a flow schema of Bulkhead's", v1alpha1.AttackPrefix), flow("make a flow schema of another name", "attack-"),
			byPolicy(ownPolicy, "flow schemas and priority levels of its own names")),
		ownObject("tenant-owner", "", "makes itself the owner of a tenant", on("label a Tenant", tenant, "patch", group, version, "tenants", labels),
			on("change the owners of a Tenant", tenant, "patch", group, version, "tenants", owners), byPolicy(ownPolicy, "Bulkhead writes the status of what people declare")),
		behind(byPolicy(ownPolicy, "Bulkhead binds the roles of tenants' owners"), ownObject("bind-admin", "", "binds cluster-admin in a tenant's namespace", bind,
			madeIn("bind cluster-admin in a tenant's namespace", inOwn, rbacv1.GroupName, "rolebindings", bindingTo("cluster-admin")), Refusal{By: Escalation}))[0],
	}, behind(roles, ownObject("bind-cluster", "", "is made the cluster's administrator", bind,
		madeIn("bind cluster-admin to itself in the whole cluster", clusterWide, rbacv1.GroupName, "clusterrolebindings", clusterBinding), Refusal{By: RBAC}))...)
}

// controllerPolicyCases change what no admission policy is asked about: RBAC names the policies that the controller may write.
func controllerPolicyCases() []Case {
	named := func(title, resource, name, verb string) Step {
		return Step{Title: title, Ask: func(Scene) (Ask, error) {
			r := &Request{Verb: verb, Group: admissionGroup, Version: "v1", Resource: resource, Name: name, RightOnly: true}
			if verb != "delete" {
				r.Body = map[string]any{}
			}
			return Ask{DryRun: r}, nil
		}}
	}
	twin := Step{Title: "touch one of the policies that it keeps in place", Ask: func(Scene) (Ask, error) {
		return Ask{DryRun: &Request{Verb: "patch", Group: admissionGroup, Version: "v1", Resource: "validatingadmissionpolicies", Name: v1alpha1.PolicyPrefix + "images",
			Body: map[string]any{}}}, nil
	}}
	var cases []Case
	for _, row := range []struct{ id, title, resource, name, verb string }{
		{"policy-own", "changes the policy that confines it", "validatingadmissionpolicies", v1alpha1.PolicyPrefix + ownPolicy, "patch"},
		{"policy-own-delete", "deletes the policy that confines it", "validatingadmissionpolicies", v1alpha1.PolicyPrefix + ownPolicy, "delete"},
		{"policy-own-binding", "has the policy that confines it refuse nothing", "validatingadmissionpolicybindings", v1alpha1.PolicyPrefix + ownPolicy, "patch"},
		{"policy-own-binding-delete", "unbinds the policy that confines it", "validatingadmissionpolicybindings", v1alpha1.PolicyPrefix + ownPolicy, "delete"},
		{"policy-foreign", "changes another's admission policy", "validatingadmissionpolicies", elsewhere, "patch"},
		{"policy-foreign-delete", "deletes another's admission policy", "validatingadmissionpolicies", elsewhere, "delete"},
		{"policy-foreign-binding", "has another's admission policy refuse nothing", "validatingadmissionpolicybindings", elsewhere, "patch"},
		{"policy-mutating", "changes what others write by a policy of its own", "mutatingadmissionpolicies", "", "create"},
		{"webhook-create", "changes what others write by a webhook", "mutatingwebhookconfigurations", "", "create"},
	} {
		attempt := named(row.title+", if it can", row.resource, row.name, row.verb)
		cases = append(cases, Case{ID: row.id, Title: row.title, EachSpace: true, Twin: twin, Attempt: attempt, Refusal: Refusal{By: RBAC}})
	}
	return cases
}

// lastPart is the part of a case's id after its control.
func lastPart(id string) string {
	for i := len(id) - 1; i >= 0; i-- {
		if id[i] == '/' {
			return id[i+1:]
		}
	}
	return id
}
