package isolation_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/bulkhead-dev/bulkhead/isolation"
	"github.com/bulkhead-dev/bulkhead/isolation/finding"
)

// Promise: each subject that a subject may become counts in every check, in whichever form of the API it becomes it.
func TestWhomASubjectMayBecomeCountsInEveryCheck(t *testing.T) {
	pose := func(verb, group, resource, names string) string {
		if names != "" {
			names = fmt.Sprintf("%q", names)
		}
		return fmt.Sprintf(`{verbs: ["%s"], apiGroups: ["%s"], resources: ["%s"], resourceNames: [%s]}`, verb, group, resource, names)
	}
	const authn = "authentication.k8s.io"
	for _, c := range []struct {
		what, rules string
		want        finding.Verdict
	}{
		{"nobody of use", pose("impersonate", "", "users", "eve"), finding.Isolated},
		{"a named user", pose("impersonate", "", "users", "system:root"), finding.Exposed},
		{"any user", pose("impersonate", "", "users", ""), finding.Exposed},
		{"a named group alone", pose("impersonate", "", "groups", "system:admins"), finding.Isolated},
		{"itself in a named group", pose("impersonate", "", "groups", "system:admins") + "," + pose("impersonate", "", "users", "ana"), finding.Exposed},
		{"itself in any group", pose("impersonate", "", "groups", "") + "," + pose("impersonate", "", "users", "ana"), finding.Exposed},
		{"a named service account", pose("impersonate", "", "serviceaccounts", "ci"), finding.Exposed},
		{"any verb", pose("*", "", "users", ""), finding.Exposed},
		{"a user, constrained", pose("impersonate:user-info", authn, "users", "system:root") + "," + pose("impersonate-on:user-info:create", "", "pods", ""), finding.Unknown},
		{"any user, constrained", pose("impersonate:user-info", authn, "users", "") + "," + pose("impersonate-on:user-info:create", "", "pods", ""), finding.Unknown},
		{"any service account, constrained", pose("impersonate:serviceaccount", authn, "serviceaccounts", "") + "," + pose("impersonate-on:serviceaccount:create", "", "pods", ""), finding.Unknown},
		{"makes tokens", pose("create", "", "serviceaccounts/token", "ci"), finding.Exposed},
		{"runs pods of others", pose("create", "", "pods", ""), finding.Exposed},
	} {
		t.Run(c.what, func(t *testing.T) {
			r := proven(t, fmt.Sprintf(shopAndBank, "", fmt.Sprintf(`
---
{apiVersion: v1, kind: Namespace, metadata: {name: ops}}
---
{apiVersion: v1, kind: ServiceAccount, metadata: {name: ci, namespace: ops}}
---
{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: may}, rules: [%s]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: may}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: may}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: ana}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: others, namespace: shop}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: admin}
subjects:
- {apiGroup: rbac.authorization.k8s.io, kind: Group, name: "system:admins"}
- {apiGroup: rbac.authorization.k8s.io, kind: User, name: "system:root"}
- {kind: ServiceAccount, name: ci, namespace: ops}
`, c.rules)))
			for _, check := range []string{"pods", "network", "guardrails"} {
				if got := checked(r, check); got != c.want {
					t.Errorf("%s is %s, want %s", check, got, c.want)
				}
			}
		})
	}
}

// checked is the verdict of a check about shop.
func checked(r *isolation.Report, check string) finding.Verdict {
	for i := range r.Tenants {
		for _, result := range r.Tenants[i].Results {
			if r.Tenants[i].Tenant == "shop" && result.Check == check {
				return result.Verdict
			}
		}
	}
	return "no such check"
}

// guardedShop is shop behind Pod Security and admission policies that choose their namespaces by labels, and bank. %s are ana's rules.
const guardedShop = `
{apiVersion: v1, kind: Namespace, metadata: {name: shop, labels: {tenant: shop, guarded: "yes", pod-security.kubernetes.io/enforce: restricted}}}
---
{apiVersion: v1, kind: Namespace, metadata: {name: bank, labels: {tenant: bank, guarded: "yes", pod-security.kubernetes.io/enforce: restricted}}}
---
{apiVersion: v1, kind: Node, metadata: {name: n1, labels: {kubernetes.io/hostname: n1}}}
---
{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: closed, namespace: shop}, spec: {podSelector: {}, policyTypes: [Ingress, Egress]}}
---
{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: closed, namespace: bank}, spec: {podSelector: {}, policyTypes: [Ingress, Egress]}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: r, namespace: shop}
rules:
- {verbs: [create], apiGroups: ["", networking.k8s.io], resources: [pods, networkpolicies, services]}
%s
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: b, namespace: shop}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: r}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: ana}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: none}
spec:
  matchConstraints: {resourceRules: [{apiGroups: [networking.k8s.io], apiVersions: [v1], operations: [CREATE], resources: [networkpolicies]}]}
  validations: [{expression: "false"}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: none}
spec: {policyName: none, validationActions: [Deny], matchResources: {namespaceSelector: {matchLabels: {guarded: "yes"}}}}
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: services}
spec:
  matchConstraints: {resourceRules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [services]}]}
  validations: [{expression: "namespaceObject.metadata.?labels['guarded'].orValue('') != 'yes'"}]
---
{apiVersion: admissionregistration.k8s.io/v1, kind: ValidatingAdmissionPolicyBinding, metadata: {name: services}, spec: {policyName: services, validationActions: [Deny]}}
%s
`

// Promise: who may relabel its namespace has what Pod Security and policies let through under the labels that it may set, in every check,
// and the witness says so; labels that a policy protects stay.
func TestWhoRelabelsItsNamespaceHasWhatTheLabelsLetThrough(t *testing.T) {
	relabels := `- {verbs: [patch], apiGroups: [""], resources: [namespaces]}`
	protected := func(expression string) string {
		return fmt.Sprintf(`
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: labels}
spec:
  matchConstraints: {resourceRules: [{apiGroups: [""], apiVersions: [v1], operations: [UPDATE], resources: [namespaces]}]}
  validations: [{expression: "%s"}]
---
{apiVersion: admissionregistration.k8s.io/v1, kind: ValidatingAdmissionPolicyBinding, metadata: {name: labels}, spec: {policyName: labels, validationActions: [Deny]}}
`, expression)
	}
	const key = "object.metadata.labels[?'%[1]s'].orValue('') == oldObject.metadata.labels[?'%[1]s'].orValue('')"
	for _, c := range []struct {
		what, rules, more       string
		pods, opens, guardrails finding.Verdict
	}{
		{"no right", "", "", finding.Isolated, finding.Isolated, finding.Isolated},
		{"any label", relabels, "", finding.Exposed, finding.Exposed, finding.Exposed},
		{"no label", relabels, protected("object.metadata.labels == oldObject.metadata.labels"), finding.Isolated, finding.Isolated, finding.Isolated},
		{"not the policies' label", relabels, protected(fmt.Sprintf(key, "guarded")), finding.Exposed, finding.Isolated, finding.Isolated},
		{"not Pod Security's label", relabels, protected(fmt.Sprintf(key, "pod-security.kubernetes.io/enforce")), finding.Isolated, finding.Exposed, finding.Exposed},
	} {
		t.Run(c.what, func(t *testing.T) {
			r := proven(t, fmt.Sprintf(guardedShop, c.rules, c.more))
			for code, want := range map[string]finding.Verdict{"BH2006": c.pods, "BH3010": c.opens, "BH4009": c.guardrails} {
				if got := verdictOf(r, code); got != want {
					t.Errorf("%s is %s, want %s", code, got, want)
				}
			}
			for _, f := range r.Findings {
				if f.Code == "BH2006" && !slices.ContainsFunc(f.Witness, func(s finding.Step) bool { return strings.HasPrefix(s.Does, "is relabelled by user ana") }) {
					t.Errorf("the witness does not say how: %+v", f.Witness)
				}
			}
		})
	}
}

// Promise: what may be created may be changed and deleted where it is there: each verb that does away with a policy is a right over the
// network, alone, over policies of namespaces, of administrators and of network plugins.
func TestEveryVerbOverPoliciesIsARightOverTheNetwork(t *testing.T) {
	networkpolicies := func(verb, name string) string {
		return fmt.Sprintf(`{verbs: [%s], apiGroups: [networking.k8s.io], resources: [networkpolicies], resourceNames: [%s]}`, verb, name)
	}
	refused := func(operations string) string {
		return fmt.Sprintf(`
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: none}
spec:
  matchConstraints: {resourceRules: [{apiGroups: [networking.k8s.io], apiVersions: [v1], operations: [%s], resources: [networkpolicies]}]}
  validations: [{expression: "false"}]
---
{apiVersion: admissionregistration.k8s.io/v1, kind: ValidatingAdmissionPolicyBinding, metadata: {name: none}, spec: {policyName: none, validationActions: [Deny]}}
`, operations)
	}
	administrator := func(verb string) string {
		return fmt.Sprintf(`
---
apiVersion: policy.networking.k8s.io/v1alpha1
kind: AdminNetworkPolicy
metadata: {name: fence}
spec: {priority: 1, subject: {namespaces: {}}, ingress: [{action: Deny, from: [{namespaces: {matchLabels: {tenant: shop}}}]}]}
---
{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: may}, rules: [{verbs: [%s], apiGroups: [policy.networking.k8s.io], resources: [adminnetworkpolicies]}]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: may}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: may}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: ana}]
`, verb)
	}
	for _, c := range []struct {
		what, rules, more string
		want              finding.Verdict
	}{
		{"reads", networkpolicies("get", ""), "", finding.Isolated},
		{"deletes", networkpolicies("delete", "closed"), "", finding.Exposed},
		{"deletes another", networkpolicies("delete", "open"), "", finding.Isolated},
		{"deletes all", networkpolicies("deletecollection", ""), "", finding.Exposed},
		{"updates", networkpolicies("update", "closed"), "", finding.Exposed},
		{"patches", networkpolicies("patch", ""), "", finding.Exposed},
		{"patches, and that is refused", networkpolicies("patch", ""), refused("CREATE, UPDATE"), finding.Isolated},
		{"deletes all, and that is refused", networkpolicies("deletecollection", ""), refused("DELETE"), finding.Isolated},
		{"creates and updates, and creations are refused", networkpolicies(`create, update`, ""), refused("CREATE"), finding.Exposed},
		{"reads an administrator's", "", administrator("get"), finding.Isolated},
		{"deletes an administrator's", "", administrator("deletecollection"), finding.Exposed},
		{"patches an administrator's", "", administrator("patch"), finding.Exposed},
		{"writes a plugin's", `{verbs: [create], apiGroups: [cilium.io], resources: [ciliumnetworkpolicies]}`, "", finding.Unknown},
		{"reads a plugin's", `{verbs: [get], apiGroups: [cilium.io], resources: [ciliumnetworkpolicies]}`, "", finding.Isolated},
	} {
		t.Run(c.what, func(t *testing.T) {
			r := proven(t, fmt.Sprintf(shopAndBank, c.rules, c.more))
			if got := verdictOf(r, "BH3010"); got != c.want {
				t.Errorf("BH3010 is %s, want %s", got, c.want)
			}
		})
	}
}

// Promise: who may patch but not update, or delete all but not one, sends hostile changes as well.
func TestAPatchIsAWayToChange(t *testing.T) {
	r := proven(t, fmt.Sprintf(shopAndBank, `{verbs: [patch], apiGroups: [""], resources: [services]}`, ""))
	if got := checked(r, "guardrails"); got != finding.Exposed {
		t.Errorf("guardrails is %s", got)
	}
}

// Promise: each object that a policy would refuse now is named, and no other.
func TestWhatAPolicyWouldRefuseNowIsNamed(t *testing.T) {
	f := fixtureNamed(t, "guardrails", "existing")
	var named []string
	for _, found := range isolation.Verify(f.snapshot, f.options).Findings {
		if found.Code == "BH4025" {
			named = append(named, found.Blame[0].String()+" by "+found.Blame[1].Name)
		}
	}
	slices.Sort(named)
	if want := []string{"Pod a/old by images", "Service a/outer by services"}; !slices.Equal(named, want) {
		t.Errorf("named are %q, want %q", named, want)
	}
}
