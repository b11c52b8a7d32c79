package isolation_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/bulkhead-dev/bulkhead/internal/observe"
	"github.com/bulkhead-dev/bulkhead/internal/observe/manifest"
	"github.com/bulkhead-dev/bulkhead/internal/proof"
	"github.com/bulkhead-dev/bulkhead/isolation"
	"github.com/bulkhead-dev/bulkhead/isolation/finding"
)

// shopAndBank are shop, in which ana has what a Role says, and bank. %s are ana's rules, and more objects.
const shopAndBank = `
{apiVersion: v1, kind: Namespace, metadata: {name: shop, labels: {tenant: shop, team: shop}}}
---
{apiVersion: v1, kind: Namespace, metadata: {name: bank, labels: {tenant: bank, team: bank}}}
---
{apiVersion: v1, kind: Node, metadata: {name: n1, labels: {kubernetes.io/hostname: n1}}}
---
{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: closed, namespace: shop}, spec: {podSelector: {}, policyTypes: [Ingress, Egress]}}
---
{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: closed, namespace: bank}, spec: {podSelector: {}, policyTypes: [Ingress, Egress]}}
---
{apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {name: r, namespace: shop}, rules: [%s]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: b, namespace: shop}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: r}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: ana}]
%s
`

// proven is the report of manifests.
func proven(t *testing.T, manifests string) *isolation.Report {
	t.Helper()
	w, err := manifest.Read([]string{"-"}, strings.NewReader(manifests), manifest.Options{Now: fixtureTime, Tenants: observe.TenantSource{Key: "tenant"}})
	if err != nil {
		t.Fatal(err)
	}
	r, err := proof.Of(w, nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// verdictOf a code among findings from a tenant; Isolated where there is none.
func verdictOf(r *isolation.Report, code string) finding.Verdict {
	verdict := finding.Isolated
	for _, f := range r.Findings {
		if f.Code == code {
			verdict = verdict.Worse(f.Verdict)
		}
	}
	return verdict
}

// Promise: a right that a subject can give itself is its right in every check, with the steps to it; where a policy refuses these, it is not.
func TestRightsThatCanBeGainedAreRights(t *testing.T) {
	rule := func(verbs, resources string) string {
		return fmt.Sprintf(`{verbs: [%s], apiGroups: [rbac.authorization.k8s.io], resources: [%s]}`, verbs, resources)
	}
	binds := rule("create", "rolebindings") + ", " + rule("bind", "clusterroles")
	admins := rule("create", "rolebindings") + `, {verbs: [bind], apiGroups: [rbac.authorization.k8s.io], resources: [clusterroles], resourceNames: [admin]}`
	escalates := rule("patch, escalate", "roles")
	refused := func(kind, resource string) string {
		return fmt.Sprintf(`
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: none}
spec:
  matchConstraints: {resourceRules: [{apiGroups: [rbac.authorization.k8s.io], apiVersions: [v1], operations: [CREATE, UPDATE], resources: [%s]}]}
  validations: [{expression: "%s"}]
---
{apiVersion: admissionregistration.k8s.io/v1, kind: ValidatingAdmissionPolicyBinding, metadata: {name: none}, spec: {policyName: none, validationActions: [Deny]}}
`, resource, kind)
	}
	for _, c := range []struct {
		what, rules, more string
		want              finding.Verdict
	}{
		{"no right", rule("get", "roles"), "", finding.Isolated},
		{"binds any ClusterRole", binds, "", finding.Exposed},
		{"binds ClusterRole admin", admins, "", finding.Exposed},
		{"escalates its own Role", escalates, "", finding.Exposed},
		{"a policy refuses bindings", admins, refused("false", "rolebindings"), finding.Isolated},
		{"a policy refuses Roles", escalates, refused("false", "roles"), finding.Isolated},
	} {
		t.Run(c.what, func(t *testing.T) {
			r := proven(t, fmt.Sprintf(shopAndBank, c.rules, c.more))
			for _, code := range []string{"BH2006", "BH3010", "BH4009"} {
				if got := verdictOf(r, code); got != c.want {
					t.Errorf("%s is %s, want %s", code, got, c.want)
				}
			}
			i := slices.IndexFunc(r.Findings, func(f finding.Finding) bool { return f.Code == "BH2006" })
			if i >= 0 && !slices.ContainsFunc(r.Findings[i].Witness, func(s finding.Step) bool {
				return strings.HasPrefix(s.Does, "binds itself") || strings.HasPrefix(s.Does, "writes every right")
			}) {
				t.Errorf("the witness does not say how the right is gained: %+v", r.Findings[i].Witness)
			}
		})
	}
}

// Promise: a policy that passes over what bears a label or an annotation refuses nobody who writes one, and the finding names policy and mark.
func TestAMarkOfAnObjectIsNoExemption(t *testing.T) {
	policy := func(condition string) string {
		return fmt.Sprintf(`
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: services}
spec:
  matchConstraints: {resourceRules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE, UPDATE], resources: [services]}]}
  matchConditions: [{name: who, expression: "%s"}]
  validations: [{expression: "object.spec.?type.orValue('ClusterIP') == 'ClusterIP' && !has(object.spec.externalIPs)"}]
---
{apiVersion: admissionregistration.k8s.io/v1, kind: ValidatingAdmissionPolicyBinding, metadata: {name: services}, spec: {policyName: services, validationActions: [Deny]}}
`, condition)
	}
	for _, c := range []struct {
		condition, mark string
	}{
		{"true", ""},
		{"request.userInfo.username != 'root'", ""},
		{"object.metadata.?annotations[?'services'].orValue('') != 'free'", "services=free"},
		{"!('example.com/skip' in object.metadata.?labels.orValue({}))", "example.com/skip=true"},
		{"!has(object.metadata.labels) || !has(object.metadata.labels.legacy)", "legacy=true"},
	} {
		t.Run(c.condition, func(t *testing.T) {
			r := proven(t, fmt.Sprintf(shopAndBank, `{verbs: [create], apiGroups: [""], resources: [services]}`, policy(c.condition)))
			i := slices.IndexFunc(r.Findings, func(f finding.Finding) bool {
				return len(f.Blame) > 0 && f.Blame[0].Kind == "ValidatingAdmissionPolicy" && f.Blame[0].Name == "services"
			})
			switch {
			case c.mark == "" && i >= 0:
				t.Errorf("found %s", r.Findings[i].What)
			case c.mark != "" && (i < 0 || !strings.Contains(r.Findings[i].What, c.mark)):
				t.Errorf("nothing blames the policy with %s: %+v", c.mark, r.Findings)
			}
		})
	}
}
