package run

import (
	"slices"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/guardrail"
	"github.com/bulkhead-dev/bulkhead/internal/attack/prover"
	"github.com/bulkhead-dev/bulkhead/internal/observe/cluster"
)

// Right is one rule of what Bulkhead holds, with why it needs it.
type Right struct {
	// Namespace in which the rule holds; empty for the whole cluster.
	Namespace string
	Rule      rbacv1.PolicyRule
	Why       string
}

// renderedRoles are the ClusterRoles that guardrail.Cluster renders.
func renderedRoles() []string {
	return []string{
		v1alpha1.RoleOwner, v1alpha1.RoleHome, guardrail.RolePlatformAdmin, guardrail.RoleSecurity, guardrail.RoleViewer, guardrail.RoleOffboarding,
	}
}

const admissionGroup = "admissionregistration.k8s.io"

// renderedPolicies are the names of the admission policies of a kind that the controller keeps in place. No admission policy is asked
// about changes of admission policies, so that RBAC alone keeps the controller from others' and from the one about itself.
func renderedPolicies(kind string) []string {
	var names []string
	for _, o := range guardrail.Policies(nil) {
		if o.GetObjectKind().GroupVersionKind().Kind == kind && !guardrail.Installed(o) {
			names = append(names, o.GetName())
		}
	}
	return names
}

// Rights are what the controllers hold, and nothing beyond: Bulkhead runs with exactly these in its tests. The policy about the controller
// judges how they are used (guardrail.PolicyController). What they are worth to a thief stands in docs/threat-model.md.
func Rights() []Right {
	var (
		watched = []string{"get", "list", "watch"}
		written = []string{"create", "patch", "update", "delete"}
		kept    = slices.Concat(watched, written)
		group   = v1alpha1.GroupVersion.Group
	)
	rights := []Right{
		{Why: "read what was declared", Rule: rule(group, watched, "platforms", "tenants", "spaces", "waivers")},
		{Why: "answer in the status", Rule: rule(group, []string{"patch"}, "platforms/status", "tenants/status", "spaces/status", "waivers/status")},
		{Why: "keep the exact proof of each tenant", Rule: rule(group, []string{"get", "list", "watch", "create", "update"}, "isolationreports")},
		{Why: "show it where other people's dashboards look, if the cluster has the kind",
			Rule: rule("openreports.io", []string{"list", "create", "update"}, "clusterreports")},
		{Why: "set and drop the finalizer that holds a Tenant or a Space until nothing is left of it", Rule: rule(group, []string{"patch"}, "tenants", "spaces")},
		{Why: "off-board a tenant: its Spaces go first", Rule: rule(group, []string{"delete"}, "spaces")},
		{Why: "pass the guardrail policy, which refuses changes to what Bulkhead manages to users without this right",
			Rule: rule(group, []string{v1alpha1.VerbChange}, v1alpha1.ResourceGuardrails)},
		{Why: "find out whether a Tenant or a Space is deleted, or only its definition: then nothing of it is removed",
			Rule: named(rule("apiextensions.k8s.io", []string{"get"}, "customresourcedefinitions"), v1alpha1.DefinitionName("spaces"), v1alpha1.DefinitionName("tenants"))},
		{Why: "make, mark and remove tenants' namespaces", Rule: rule("", kept, "namespaces")},
		{Why: "bound what is in them", Rule: rule("", kept, "limitranges", "resourcequotas")},
		{Why: "close their network and open declared flows", Rule: rule("networking.k8s.io", kept, "networkpolicies")},
		{Why: "give owners their role in their namespaces", Rule: rule("rbac.authorization.k8s.io", kept, "rolebindings")},
		{Why: "bind these roles, and no others: owners' in their namespaces, and its own where it removes a tenant's namespace",
			Rule: named(rule("rbac.authorization.k8s.io", []string{"bind"}, "clusterroles"), v1alpha1.RoleOwner, v1alpha1.RoleHome, guardrail.RoleOffboarding)},
		{Why: "see that the rendered roles are as rendered", Rule: rule("rbac.authorization.k8s.io", watched, "clusterroles")},
		{Why: "write the rendered roles; they give rights that Bulkhead does not hold itself, hence escalate",
			Rule: named(rule("rbac.authorization.k8s.io", []string{"create", "patch", "update", "delete", "escalate"}, "clusterroles"), renderedRoles()...)},
		{Why: "keep each tenant to its share of the API server", Rule: rule("flowcontrol.apiserver.k8s.io", kept, "flowschemas", "prioritylevelconfigurations")},
		{Why: "see that the admission policies are as rendered", Rule: rule(admissionGroup, watched,
			"validatingadmissionpolicies", "validatingadmissionpolicybindings", "mutatingadmissionpolicies", "mutatingadmissionpolicybindings")},
		{Why: "keep these admission policies in place; not the one that confines Bulkhead itself", Rule: named(rule(admissionGroup, written,
			"validatingadmissionpolicies", "validatingadmissionpolicybindings"), renderedPolicies("ValidatingAdmissionPolicy")...)},
		{Why: "keep these mutating admission policies in place", Rule: named(rule(admissionGroup, written,
			"mutatingadmissionpolicies", "mutatingadmissionpolicybindings"), renderedPolicies("MutatingAdmissionPolicy")...)},
		{Why: "keep and prove the policy that holds budgets of disruption against each other: the API server lets only those write it who may read them",
			Rule: rule("policy", watched, "poddisruptionbudgets")},
		{Why: "dedicate nodes to tenants by label and taint", Rule: rule("", []string{"get", "list", "watch", "patch"}, "nodes")},
		{Why: "check that the classes which the Platform names exist and reclaim by Delete", Rule: rule("storage.k8s.io", watched, "storageclasses")},
		{Why: "check that the runtimes which the Platform names exist", Rule: rule("node.k8s.io", watched, "runtimeclasses")},
		{Why: "report workloads whose pods are refused: of which creation failed", Rule: rule("", []string{"list", "watch"}, "events")},
		{Why: "and whether they still lack them", Rule: rule("apps", []string{"get"}, "daemonsets", "replicasets", "statefulsets")},
		{Why: "the same of Jobs", Rule: rule("batch", []string{"get"}, "jobs")},
		{Why: "the same of ReplicationControllers", Rule: rule("", []string{"get"}, "replicationcontrollers")},
		{Why: "report changes by Events", Rule: rule("events.k8s.io", []string{"create", "patch", "update"}, "events")},
		{Why: "keep the records of off-boardings", Namespace: v1alpha1.SystemNamespace, Rule: rule("", []string{"get", "create", "update"}, "configmaps")},
		{Why: "report the leader's election, which uses Events of the old kind", Namespace: v1alpha1.SystemNamespace,
			Rule: rule("", []string{"create", "patch"}, "events")},
		{Why: "elect a leader among Bulkhead's processes", Namespace: v1alpha1.SystemNamespace,
			Rule: rule("coordination.k8s.io", []string{"get", "create", "update"}, "leases")},
	}
	for _, r := range cluster.Rights() {
		rights = append(rights, Right{Why: "prove isolation: judge what the cluster holds, as lists that never are of Secrets", Rule: r})
	}
	for _, r := range prover.Rights() {
		rights = append(rights, Right{Why: "prove isolation: ask the API server as the tenant's own identities, without writing", Rule: r})
	}
	return rights
}

func rule(group string, verbs []string, resources ...string) rbacv1.PolicyRule {
	return rbacv1.PolicyRule{APIGroups: []string{group}, Resources: resources, Verbs: slices.Clone(verbs)}
}

func named(r rbacv1.PolicyRule, names ...string) rbacv1.PolicyRule {
	r.ResourceNames = names
	return r
}

// RoleName is the name of the ClusterRole, the Role and their bindings that hold Rights.
const RoleName = "bulkhead"

// RBAC renders Rights as objects, bound to Bulkhead's service account and to the group of its client certificates.
func RBAC() []guardrail.Object {
	subjects := guardrail.ControllerSubjects()
	typed := func(kind string) metav1.TypeMeta {
		return metav1.TypeMeta{APIVersion: rbacv1.SchemeGroupVersion.String(), Kind: kind}
	}
	meta := func(namespace string) metav1.ObjectMeta {
		return metav1.ObjectMeta{
			Name: RoleName, Namespace: namespace,
			Labels: map[string]string{v1alpha1.LabelManagedBy: v1alpha1.ManagedBy},
		}
	}
	ref := func(kind string) rbacv1.RoleRef {
		return rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: kind, Name: RoleName}
	}
	return []guardrail.Object{
		&rbacv1.ClusterRole{TypeMeta: typed("ClusterRole"), ObjectMeta: meta(""), Rules: rulesOf("")},
		&rbacv1.Role{TypeMeta: typed("Role"), ObjectMeta: meta(v1alpha1.SystemNamespace), Rules: rulesOf(v1alpha1.SystemNamespace)},
		&rbacv1.ClusterRoleBinding{TypeMeta: typed("ClusterRoleBinding"), ObjectMeta: meta(""), RoleRef: ref("ClusterRole"), Subjects: subjects},
		&rbacv1.RoleBinding{TypeMeta: typed("RoleBinding"), ObjectMeta: meta(v1alpha1.SystemNamespace), RoleRef: ref("Role"), Subjects: subjects},
	}
}

func rulesOf(namespace string) []rbacv1.PolicyRule {
	var rules []rbacv1.PolicyRule
	for _, r := range Rights() {
		if r.Namespace == namespace {
			rules = append(rules, r.Rule)
		}
	}
	return rules
}
