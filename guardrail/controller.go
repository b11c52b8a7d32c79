package guardrail

import (
	"strings"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
)

// controllerControl confines Bulkhead's own identity: what a thief of its credentials cannot do.
var controllerControl = Control{
	ID: "controller", Title: "The controller writes what is Bulkhead's, and nothing else",
	Threat: "a thief of the controller's credentials who takes the cluster by a role binding, a role, a label or a policy",
	How: "An admission policy judges every write with the controller's identity by a list: namespaces that are named and marked as a tenant's; " +
		"quotas, limit ranges, network policies and role bindings in these; the tenants' two roles, without rights that are not in the list; flow " +
		"schemas of Bulkhead's names; of nodes the marks of tenants. No admission policy is asked about changes of admission policies: " +
		"there RBAC names each that the controller may write. This policy is not among them: the installation writes it.",
	Needs: "ValidatingAdmissionPolicy v1; no right of the controller's beyond those that `bulkhead check --rights` prints",
	Fix: "Developer: nothing to do. Platform: run `bulkhead install` as an administrator, which writes the policy and the controller's rights as " +
		"they must be; look for bindings, made by others, of the group bulkhead:controllers and of the service account bulkhead-system/bulkhead.",
	Mappings: []string{"K02"},
	cases: []string{
		"bind-*", "quota-elsewhere", "limits-elsewhere", "network-elsewhere", "namespace-*", "role-widen", "flow-foreign", "policy-*", "webhook-create",
		"secrets*", "pods", "impersonate", "tenant-owner",
	},
	validations: func(*v1alpha1.PlatformSpec) []validation { return []validation{ownWrites()} },
}

// PolicyController is the name of the policy about the controller, and of its binding.
const PolicyController = v1alpha1.PolicyPrefix + "controller"

// Installed reports whether an object of Cluster is written by the installation alone: the controller has no right to change what
// confines it, and reports what differs.
func Installed(o Object) bool {
	switch o.GetObjectKind().GroupVersionKind().Kind {
	case "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding":
		return o.GetName() == PolicyController
	}
	return false
}

// RoleOffboarding is the ClusterRole that Bulkhead binds to itself, as OffboardingBinding, in a namespace that it removes: to see by name
// what holds it, and to end that. It is bound nowhere else.
const (
	RoleOffboarding    = "bulkhead:offboarding"
	OffboardingBinding = "bulkhead-offboarding"
)

func offboardingRules() []rbacv1.PolicyRule {
	return []rbacv1.PolicyRule{rule("*", []string{"delete", "list", "patch"}, "*")}
}

// Offboarding is the RoleBinding that gives Bulkhead its rights in a namespace that it removes. It is not among what Bulkhead keeps in
// place, and goes with the namespace.
func Offboarding(namespace string) *rbacv1.RoleBinding {
	return &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: OffboardingBinding},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: RoleOffboarding},
		Subjects:   ControllerSubjects(),
	}
}

// ControllerSubjects are Bulkhead's own identities: of its client certificates, and of its service account.
func ControllerSubjects() []rbacv1.Subject {
	return []rbacv1.Subject{
		{Kind: rbacv1.GroupKind, APIGroup: rbacv1.GroupName, Name: v1alpha1.ControllerGroup},
		{Kind: rbacv1.ServiceAccountKind, Namespace: v1alpha1.SystemNamespace, Name: v1alpha1.ManagedBy},
	}
}

// ownWrites (control controller) is the list of what the controller writes. A kind that is not matched here is not in the
// controller's rights, but for its own records, Events and reports.
func ownWrites() validation {
	return validation{
		name:  "controller",
		about: "The controller writes objects of Bulkhead's, in namespaces of tenants, and no others.",
		match: match{
			rules: []admissionv1.NamedRuleWithOperations{
				on("", []string{"limitranges", "namespaces", "nodes", "resourcequotas"}, onCreate, onUpdate, onDelete),
				on("networking.k8s.io", []string{"networkpolicies"}, onCreate, onUpdate, onDelete),
				on("rbac.authorization.k8s.io", []string{"*"}, onCreate, onUpdate, onDelete),
				on("flowcontrol.apiserver.k8s.io", []string{"flowschemas", "prioritylevelconfigurations"}, onCreate, onUpdate, onDelete),
				on(v1alpha1.GroupVersion.Group, []string{"platforms", "spaces", "tenants", "waivers"}, onCreate, onUpdate, onDelete),
			},
			conditions: []admissionv1.MatchCondition{{Name: "by-bulkhead", Expression: celIsBulkhead()}},
		},
		variables: []admissionv1.Variable{
			let("resource", "request.resource.resource"),
			let("now", "object == null ? dyn({}) : dyn(object)"),
			let("was", "oldObject == null ? dyn({}) : dyn(oldObject)"),
			let("name", "request.operation == 'CREATE' ? variables.now.metadata.?name.orValue('') : request.?name.orValue('')"),
			let("what", `variables.resource + ' "' + variables.name + '"'`),
			let("here", "namespaceObject != null && "+celMarked("dyn(namespaceObject)")),
		},
		checks: []check{ownNamespaces(), ownObjects(), ownBindings(), ownRoles(), ownFlows(), ownNodes(), ownDeclared()},
	}
}

// beyond is the check of one kind of writes, by the resources that it is about.
func beyond(resources []string, fine, why string) check {
	return check{
		expression: "!(variables.resource in " + celList(resources) + ") || " + fine,
		message:    `variables.what + ` + celString(": "+why),
		fallback:   why,
		reason:     metav1.StatusReasonForbidden,
	}
}

// celMarked is true for a namespace that carries the marks of a tenant's, and the name that goes with them.
func celMarked(namespace string) string {
	return strings.NewReplacer("NS", namespace, "MANAGED", celString(v1alpha1.LabelManagedBy), "TENANT", celString(v1alpha1.LabelTenant),
		"SPACE", celString(v1alpha1.LabelSpace), "ROLE", celString(v1alpha1.LabelRole), "HOME", celString(v1alpha1.RoleHomeNamespace)).Replace(
		`(NS.metadata.?labels[?MANAGED].orValue('') == 'bulkhead' && NS.metadata.?labels[?TENANT].orValue('') != '' &&
 NS.metadata.name == (NS.metadata.?labels[?ROLE].orValue('') == HOME ? 'tenant-' + NS.metadata.labels[TENANT] :
 NS.metadata.labels[TENANT] + '--' + NS.metadata.?labels[?SPACE].orValue('')))`)
}

// ownNamespaces: it makes namespaces of tenants, marks those that it wrote before, and removes those that are marked. One that lost
// its marks still has the controller among those that wrote its fields, which only the API server records.
func ownNamespaces() check {
	return beyond([]string{"namespaces"}, "(request.operation == 'DELETE' ? "+celMarked("variables.was")+" : "+celMarked("variables.now")+
		" && (oldObject == null || "+celMarked("variables.was")+" || variables.was.metadata.?managedFields.orValue([]).exists(f, f.?manager.orValue('') == "+
		celString(v1alpha1.ManagedBy)+")))", "Bulkhead writes namespaces that are marked and named as a tenant's")
}

// ownObjects: it bounds tenants' namespaces and grants rights there; the one quota of its own namespace has Kubernetes count Spaces.
func ownObjects() check {
	return beyond([]string{"limitranges", "networkpolicies", "resourcequotas", "rolebindings"},
		"variables.here || (request.namespace == "+celString(v1alpha1.SystemNamespace)+" && variables.resource == 'resourcequotas' && variables.name == "+
			celString(SystemQuota().Name)+")", "Bulkhead writes in namespaces that are marked and named as a tenant's")
}

// ownBindings: it binds the owners' roles, each where it belongs, and to itself the role by which it removes a namespace.
func ownBindings() check {
	role := strings.NewReplacer("ROLE", celString(v1alpha1.LabelRole), "HOME", celString(v1alpha1.RoleHomeNamespace),
		"ATHOME", celString(v1alpha1.RoleHome), "OWNER", celString(v1alpha1.RoleOwner)).Replace(
		`variables.now.roleRef.kind == 'ClusterRole' && variables.now.roleRef.name ==
 (namespaceObject.metadata.?labels[?ROLE].orValue('') == HOME ? ATHOME : OWNER)`)
	itself := strings.NewReplacer("ROLE", celString(RoleOffboarding), "NAME", celString(OffboardingBinding), "GROUP", celString(v1alpha1.ControllerGroup),
		"ACCOUNT", celString(v1alpha1.ManagedBy), "SYSTEM", celString(v1alpha1.SystemNamespace)).Replace(
		`variables.name == NAME && variables.now.roleRef.name == ROLE && variables.now.?subjects.orValue([]).all(s,
 (s.kind == 'Group' && s.name == GROUP) || (s.kind == 'ServiceAccount' && s.name == ACCOUNT && s.?namespace.orValue('') == SYSTEM))`)
	return beyond([]string{"rolebindings"}, "request.operation == 'DELETE' || (oldObject != null && variables.now.roleRef == variables.was.roleRef && "+
		"variables.now.?subjects == variables.was.?subjects) || ("+role+") || ("+itself+")", "Bulkhead binds the roles of tenants' owners, each in its place")
}

// ownRoles: it writes the roles that it renders, with the rights that it renders; the owners' may have custom resources on top, as the
// Platform names them. Every other kind of RBAC is not its to write.
func ownRoles() check {
	rules := map[string][]rbacv1.PolicyRule{
		v1alpha1.RoleOwner: ownerRules(), v1alpha1.RoleHome: homeRules(), RolePlatformAdmin: platformAdminRules(),
		RoleSecurity: securityRules(), RoleViewer: viewerRules(), RoleOffboarding: offboardingRules(),
	}
	var roles []string
	for _, name := range []string{v1alpha1.RoleOwner, v1alpha1.RoleHome, RolePlatformAdmin, RoleSecurity, RoleViewer, RoleOffboarding} {
		rendered := make([]string, 0, len(rules[name]))
		for _, r := range rules[name] {
			rendered = append(rendered, "{'apiGroups': "+celList(r.APIGroups)+", 'resources': "+celList(r.Resources)+", 'verbs': "+celList(r.Verbs)+"}")
		}
		one := "r in [" + strings.Join(rendered, ", ") + "]"
		if name == v1alpha1.RoleOwner {
			one += " || (" + celCustom() + ")"
		}
		roles = append(roles, "(variables.name == "+celString(name)+" && variables.now.?rules.orValue([]).all(r, "+one+"))")
	}
	return beyond([]string{"clusterroles", "clusterrolebindings", "roles"}, "(variables.resource == 'clusterroles' && request.operation != 'DELETE' && "+
		"!variables.now.?aggregationRule.hasValue() && ("+strings.Join(roles, " || ")+"))", "Bulkhead writes the roles that it renders, with the rights that it renders")
}

// celCustom is true for a rule r such as tenantResourceRules makes: custom resources by name, without their subresources.
func celCustom() string {
	return `!r.?nonResourceURLs.hasValue() && r.verbs.all(v, v in ` + celList(readWrite()) + `) && r.?resources.orValue([]).all(x, !x.matches('[*/]')) &&
 r.?apiGroups.orValue([]).all(g, g.contains('.') && !g.contains('*') && !('.' + g).endsWith('.k8s.io') && !('.' + g).endsWith('.kubernetes.io') &&
 !('.' + g).endsWith(` + celString("."+v1alpha1.GroupVersion.Group) + `))`
}

// ownFlows: it writes the shares of the API server that it renders, and no other flow.
func ownFlows() check {
	return beyond([]string{"flowschemas", "prioritylevelconfigurations"}, "variables.name.startsWith("+celString(v1alpha1.NamePrefix)+")",
		"Bulkhead writes flow schemas and priority levels of its own names")
}

// ownNodes: of a node it writes the label and the taint by which the node is dedicated.
func ownNodes() check {
	same := []string{"request.operation == 'UPDATE'"}
	for _, part := range []string{
		"OBJ.metadata.?labels.orValue({}).transformMap(k, v, k != LABEL, v)", "OBJ.spec.?taints.orValue([]).filter(t, t.key != TAINT)",
		"OBJ.metadata.?annotations.orValue({})", "OBJ.metadata.?finalizers.orValue([])", "OBJ.metadata.?ownerReferences.orValue([])",
		"OBJ.spec.?unschedulable.orValue(false)",
	} {
		part = strings.NewReplacer("LABEL", celString(v1alpha1.LabelNodeTenant), "TAINT", celString(v1alpha1.TaintNodeTenant)).Replace(part)
		same = append(same, strings.ReplaceAll(part, "OBJ", "variables.now")+" == "+strings.ReplaceAll(part, "OBJ", "variables.was"))
	}
	return beyond([]string{"nodes"}, "("+strings.Join(same, " && ")+")",
		"Bulkhead writes the marks of tenants on nodes")
}

// ownDeclared: of what people declare, it writes the finalizer by which it off-boards, and deletes the Spaces of a tenant that goes.
func ownDeclared() check {
	others := func(object string) string {
		return object + ".metadata.?finalizers.orValue([]).filter(f, f != " + celString(v1alpha1.Finalizer) + ")"
	}
	return beyond([]string{"platforms", "spaces", "tenants", "waivers"}, "(request.operation == 'DELETE' ? variables.resource == 'spaces' : "+
		"request.operation == 'UPDATE' && variables.now.spec == variables.was.spec && ("+others("variables.now")+" == "+others("variables.was")+
		" || (variables.was.metadata.?deletionTimestamp.hasValue() && "+others("variables.now")+".all(f, f in "+others("variables.was")+"))))",
		"Bulkhead writes the status of what people declare, and the finalizer by which it off-boards")
}
