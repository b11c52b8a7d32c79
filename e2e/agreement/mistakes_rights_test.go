package agreement_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
)

// mistakeName is that of every object that is made by mistake.
const mistakeName = "mistake"

// rightControls are those that rights too many break.
func rightControls() []string {
	return []string{"rbac-own", "rbac-enumerate", "rbac-escalate", "guardrail", "scheduling", "audit", "service-expose"}
}

// resources that a rule may name, with their groups.
func resources() [][2]string {
	const rbac, admission, auth = rbacv1.GroupName, "admissionregistration.k8s.io", "authentication.k8s.io"
	return [][2]string{
		{"", "pods"}, {"", "pods/exec"}, {"", "pods/log"}, {"", "pods/status"}, {"", "pods/binding"}, {"", "pods/ephemeralcontainers"}, {"", "pods/eviction"},
		{"", "pods/portforward"}, {"", "pods/proxy"}, {"", "bindings"}, {"", "secrets"}, {"", "configmaps"}, {"", "services"}, {"", "services/status"}, {"", "endpoints"},
		{"", "events"}, {"", "serviceaccounts"}, {"", "serviceaccounts/token"}, {"", "namespaces"}, {"", "namespaces/status"}, {"", "namespaces/finalize"},
		{"", "nodes"}, {"", "nodes/proxy"}, {"", "nodes/status"}, {"", "persistentvolumes"}, {"", "persistentvolumeclaims"}, {"", "persistentvolumeclaims/status"},
		{"", "resourcequotas"}, {"", "resourcequotas/status"}, {"", "limitranges"}, {"", "replicationcontrollers"}, {"", "podtemplates"}, {"", "users"}, {"", "groups"},
		{"apps", "deployments"}, {"apps", "deployments/scale"}, {"apps", "daemonsets"}, {"apps", "*"}, {"batch", "jobs"}, {"batch", "cronjobs"},
		{"networking.k8s.io", "networkpolicies"}, {"networking.k8s.io", "ingresses"}, {"networking.k8s.io", "ingresses/status"}, {"discovery.k8s.io", "endpointslices"},
		{"coordination.k8s.io", "leases"}, {"events.k8s.io", "events"}, {"policy", "poddisruptionbudgets"}, {"autoscaling", "horizontalpodautoscalers"},
		{rbac, "roles"}, {rbac, "rolebindings"}, {rbac, "clusterroles"}, {rbac, "clusterrolebindings"},
		{admission, "mutatingwebhookconfigurations"}, {admission, "validatingadmissionpolicies"}, {admission, "validatingadmissionpolicybindings"},
		{"apiregistration.k8s.io", "apiservices"}, {"apiextensions.k8s.io", "customresourcedefinitions"},
		{"certificates.k8s.io", "certificatesigningrequests"}, {"certificates.k8s.io", "certificatesigningrequests/approval"}, {"certificates.k8s.io", "signers"},
		{"storage.k8s.io", "storageclasses"}, {"scheduling.k8s.io", "priorityclasses"}, {"node.k8s.io", "runtimeclasses"}, {"flowcontrol.apiserver.k8s.io", "flowschemas"},
		{"bulkhead.dev", "tenants"}, {"bulkhead.dev", "spaces"}, {"bulkhead.dev", "platforms"}, {"bulkhead.dev", "waivers"}, {"bulkhead.dev", "guardrails"},
		{auth, "uids"}, {auth, "userextras"}, {auth, "users"}, {"authorization.k8s.io", "subjectaccessreviews"}, {auth, "tokenreviews"},
		{"", "*"}, {"*", "*"}, {"*", "secrets"}, {"", "*/status"}, {"", "*/proxy"},
	}
}

func someRule(r *rand.Rand) rbacv1.PolicyRule {
	if r.IntN(20) == 0 {
		return rbacv1.PolicyRule{NonResourceURLs: []string{pick(r, "*", "/metrics", "/logs/*", "/debug/*", "/configz", "/healthz")}, Verbs: []string{pick(r, "get", "*")}}
	}
	at := pick(r, resources()...)
	verbs := someOf(r, 3, []string{"get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"})
	switch {
	case at[1] == "users" || at[1] == "groups" || at[1] == "uids" || at[1] == "userextras" || at[1] == "serviceaccounts" && r.IntN(3) == 0:
		verbs = []string{pick(r, "impersonate", "impersonate", "impersonate:user-info")}
	case at[1] == "signers":
		verbs = []string{pick(r, "approve", "sign", "attest")}
	case at[1] == "guardrails":
		verbs = []string{"change"}
	case at[0] == rbacv1.GroupName && r.IntN(2) == 0:
		verbs = append(verbs, pick(r, "bind", "escalate"))
	case r.IntN(12) == 0:
		verbs = []string{"*"}
	}
	rule := rbacv1.PolicyRule{APIGroups: []string{at[0]}, Resources: []string{at[1]}, Verbs: verbs}
	if r.IntN(6) == 0 && !strings.Contains(at[1], "*") {
		rule.ResourceNames = []string{pick(r, "bulkhead", "default", "cluster-admin", "jane", "newsroom--web", "view", "press--web", "kube-root-ca.crt")}
	}
	return rule
}

// bindingOf gives a role to a subject, in a namespace or, where that is empty, everywhere.
func bindingOf(namespace, kind, role string, subject rbacv1.Subject) client.Object {
	meta, ref := metav1.ObjectMeta{Namespace: namespace, Name: mistakeName}, rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: kind, Name: role}
	if namespace == "" {
		return &rbacv1.ClusterRoleBinding{ObjectMeta: meta, RoleRef: ref, Subjects: []rbacv1.Subject{subject}}
	}
	return &rbacv1.RoleBinding{ObjectMeta: meta, RoleRef: ref, Subjects: []rbacv1.Subject{subject}}
}

// somewhere is a namespace, or everywhere.
func somewhere(r *rand.Rand) string {
	if r.IntN(3) == 0 {
		return ""
	}
	return pick(r, someSpace(r), someSpace(r), v1alpha1.HomeNamespace(pick(r, tenants()...)), "kube-system", "ci")
}

func words(namespace string) string {
	if namespace == "" {
		return "everywhere"
	}
	return "in " + namespace
}

func subjectWords(s rbacv1.Subject) string {
	return strings.TrimSpace(s.Kind + " " + s.Namespace + " " + s.Name)
}

// strayBinding binds a role that is there to somebody whom it is not for.
func strayBinding(r *rand.Rand) mistake {
	who, where := someParty(r), somewhere(r)
	role := pick(r, "view", "edit", "admin", "cluster-admin", v1alpha1.RoleOwner, v1alpha1.RoleHome, "bulkhead:viewer", "bulkhead:platform-admin",
		"system:node", "system:kube-scheduler", "system:aggregate-to-edit", "system:auth-delegator", "system:node-proxier", "system:monitoring", "system:volume-scheduler")
	return mistake{what: fmt.Sprintf("ClusterRole %s bound to %s %s", role, subjectWords(who.subject), words(where)), tenant: who.tenant,
		controls: rightControls(), verbs: []string{pick(r, "get", "list", "create", "patch", "delete")},
		steps: []step{make1(bindingOf(where, "ClusterRole", role, who.subject))}}
}

// strayRole makes a role of random rights and binds it.
func strayRole(r *rand.Rand) mistake {
	who, where := someParty(r), somewhere(r)
	rules := []rbacv1.PolicyRule{someRule(r)}
	for range r.IntN(3) {
		rules = append(rules, someRule(r))
	}
	var role client.Object = &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: mistakeName}, Rules: rules}
	kind := "ClusterRole"
	if where != "" && r.IntN(2) == 0 {
		for i := range rules {
			rules[i].NonResourceURLs = nil // there are none in a namespace
			if rules[i].Resources == nil {
				rules[i].APIGroups, rules[i].Resources = []string{""}, []string{"secrets"}
			}
		}
		kind, role = "Role", &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Namespace: where, Name: mistakeName}, Rules: rules}
	}
	return mistake{what: fmt.Sprintf("%s %s bound to %s %s", kind, ruleWords(rules), subjectWords(who.subject), words(where)), tenant: who.tenant,
		controls: rightControls(), verbs: verbsOf(rules),
		steps: []step{make1(role), make1(bindingOf(where, kind, mistakeName, who.subject))}}
}

func ruleWords(rules []rbacv1.PolicyRule) string {
	var list []string
	for _, rule := range rules {
		text := fmt.Sprintf("%v of %v in %q", rule.Verbs, append(rule.Resources, rule.NonResourceURLs...), rule.APIGroups)
		if rule.ResourceNames != nil {
			text += fmt.Sprintf(" named %v", rule.ResourceNames)
		}
		list = append(list, text)
	}
	return strings.Join(list, " + ")
}

// verbsOf are the first of the verbs that can be tried on everything.
func verbsOf(rules []rbacv1.PolicyRule) []string {
	var verbs []string
	for _, rule := range rules {
		if len(rule.Verbs) > 0 {
			verbs = append(verbs, rule.Verbs[0])
		}
	}
	return verbs
}

// widerOwners lets every owner do more in its Spaces.
func widerOwners(r *rand.Rand) mistake {
	rules := []rbacv1.PolicyRule{someRule(r)}
	name := pick(r, v1alpha1.RoleOwner, v1alpha1.RoleHome)
	return mistake{what: name + " with " + ruleWords(rules), controls: rightControls(), verbs: verbsOf(rules),
		steps: []step{changed(&rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: name}}, func(o *rbacv1.ClusterRole) { o.Rules = append(o.Rules, rules...) })}}
}

// aggregated adds rights to a role of Kubernetes' by a label, and binds that.
func aggregated(r *rand.Rand) mistake {
	who, where, rules, into := someParty(r), somewhere(r), []rbacv1.PolicyRule{someRule(r)}, pick(r, "view", "edit")
	for i := range rules {
		rules[i].ResourceNames = []string{"by-" + mistakeName}
	}
	source := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: mistakeName + "-source", Labels: map[string]string{"rbac.authorization.k8s.io/aggregate-to-" + into: "true"}}, Rules: rules}
	if rules[0].NonResourceURLs != nil {
		rules[0].ResourceNames = nil
	}
	arrived := make1(source)
	arrived.shows = func(ctx context.Context) (bool, error) {
		var role rbacv1.ClusterRole
		if err := admin.Get(ctx, client.ObjectKey{Name: into}, &role); err != nil {
			return false, err
		}
		return strings.Contains(ruleWords(role.Rules), ruleWords(rules)), nil
	}
	return mistake{what: fmt.Sprintf("ClusterRole %s, which takes up %s, bound to %s %s", into, ruleWords(rules), subjectWords(who.subject), words(where)), tenant: who.tenant,
		controls: rightControls(), verbs: verbsOf(rules),
		steps: []step{arrived, make1(bindingOf(where, "ClusterRole", into, who.subject))}}
}

// sharedOwners lets somebody else into a tenant's namespace.
func sharedOwners(r *rand.Rand) mistake {
	who, space := someParty(r), pick(r, tenants()...)
	namespace := pick(r, space+"--web", v1alpha1.HomeNamespace(space))
	return mistake{what: fmt.Sprintf("%s among the owners in %s", subjectWords(who.subject), namespace), tenant: who.tenant,
		controls: rightControls(), verbs: []string{"get", "create"},
		steps: []step{changed(&rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "bulkhead-owners"}}, func(o *rbacv1.RoleBinding) {
			o.Subjects = append(o.Subjects, who.subject)
		})}}
}
