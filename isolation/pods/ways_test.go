package pods_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bulkhead-dev/bulkhead/internal/observe"
	"github.com/bulkhead-dev/bulkhead/internal/observe/manifest"
	"github.com/bulkhead-dev/bulkhead/internal/proof"
	"github.com/bulkhead-dev/bulkhead/isolation/finding"
	"github.com/bulkhead-dev/bulkhead/snapshot"
)

// harmlessOnly is what policies of clusters without Pod Security say of pods; %s is what they leave out.
const harmlessOnly = `
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: harmless}
spec:
  matchConstraints: {resourceRules: [{apiGroups: [""], apiVersions: [v1], operations: %s, resources: %s}]}
  matchConditions: [{name: who, expression: "%s"}]
  variables:
  - {name: all, expression: "object.spec.containers + object.spec.?initContainers.orValue([])%s"}
  validations:
  - {expression: "!has(object.spec.hostPID) && !has(object.spec.hostIPC) && !has(object.spec.hostNetwork) && !has(object.spec.volumes)"}
  - {expression: "!has(object.spec.securityContext.sysctls) && !has(object.spec.securityContext.windowsOptions)"}
  - {expression: "variables.all.all(c, !has(c.ports) && !has(c.livenessProbe) && !has(c.lifecycle) && !c.securityContext.?privileged.orValue(false))"}
  - {expression: "variables.all.all(c, !has(c.securityContext.procMount) && c.securityContext.?capabilities.?add.orValue([]).size() == 0)"}
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: harmless}
spec: {policyName: harmless, validationActions: [Deny]}
`

// mayDo gives ana of tenant shop rights in namespace a, which enforces what is given.
func mayDo(enforce, rule string) string {
	return fmt.Sprintf(`
{apiVersion: v1, kind: Namespace, metadata: {name: a, labels: {tenant: shop, pod-security.kubernetes.io/enforce: %s}}}
---
{apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {name: r, namespace: a}, rules: [%s]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: b, namespace: a}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: r}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: ana}]
---
{apiVersion: v1, kind: Node, metadata: {name: n1, labels: {kubernetes.io/hostname: n1}}}
`, enforce, rule)
}

const hardenedPod = `{securityContext: {runAsNonRoot: true, seccompProfile: {type: RuntimeDefault}}, containers: [{name: c, image: c, ` +
	`securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}}]}`

// A hostile pod is tried in every way in which a tenant may come to have it: what one way refuses, another may let through.
func TestEveryWayToAPodIsTried(t *testing.T) {
	const deployment = "\n---\n{apiVersion: apps/v1, kind: Deployment, metadata: {name: web, namespace: a}, spec: {template: {metadata: {labels: {a: b}}, spec: " + hardenedPod + "}}}\n"
	const job = "\n---\n{apiVersion: batch/v1, kind: Job, metadata: {name: once, namespace: a}, spec: {template: {spec: " + hardenedPod + "}}}\n"
	const pod = "\n---\n{apiVersion: v1, kind: Pod, metadata: {name: web, namespace: a}, spec: " + hardenedPod + "}\n"
	const exempt = "matchConstraints: {objectSelector: {matchExpressions: [{key: trusted, operator: NotIn, values: ['yes']}]}, "
	const hook = `
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {name: gate}
webhooks:
- {name: gate.example, admissionReviewVersions: [v1], sideEffects: None, failurePolicy: Fail, clientConfig: {url: "https://gate.example"},
  objectSelector: {matchExpressions: [{key: trusted, operator: DoesNotExist}]}, rules: [{operations: ["*"], apiGroups: [""], apiVersions: [v1], resources: ["pods"]}]}
`
	const oldNode = "\n---\n{apiVersion: v1, kind: Node, metadata: {name: n2}, status: {nodeInfo: {kubeletVersion: v1.35.1}}}\n"
	rule := func(verbs, group, resource string) string {
		return fmt.Sprintf(`{verbs: [%s], apiGroups: ["%s"], resources: [%s]}`, verbs, group, resource)
	}
	policy := func(operations, resources, who, more string) string {
		return fmt.Sprintf(harmlessOnly, operations, resources, who, more)
	}
	debugging, making := rule("create", "", "pods")+", "+rule("patch", "", "pods/ephemeralcontainers"), rule("create", "apps", "deployments")
	notControllers := "!request.userInfo.username.startsWith('system:serviceaccount:kube-system:')"
	const withDebugging = " + object.spec.?ephemeralContainers.orValue([])"
	for _, c := range []struct{ what, manifests, want string }{
		{"a policy refuses it as a pod", mayDo("privileged", rule("create", "", "pods")) + policy("[CREATE]", "[pods]", "true", ""), ""},
		{"a policy forgets containers for debugging", mayDo("privileged", debugging) + policy("[CREATE]", "[pods]", "true", ""), "may debug a pod that then has containers of which one runs privileged"},
		{"a policy matches their resource and looks at others", mayDo("privileged", debugging) + policy("[CREATE, UPDATE]", "[pods, pods/ephemeralcontainers]", "true", ""), "may debug a pod that then has containers of which one runs privileged"},
		{"a policy looks at containers for debugging", mayDo("privileged", debugging) + policy("[CREATE, UPDATE]", "[pods, pods/ephemeralcontainers]", "true", withDebugging), ""},
		{"Pod Security looks at them too", mayDo("baseline", debugging), ""},
		{"a policy passes controllers over", mayDo("privileged", rule("create", "", "pods")+", "+making) + policy("[CREATE]", "[pods]", notControllers, ""), "may create a Deployment whose pod has containers of which one runs privileged"},
		{"a policy passes over who bears a label", mayDo("privileged", rule("create", "", "pods")) + strings.Replace(policy("[CREATE]", "[pods]", "true", ""), "matchConstraints: {", exempt, 1), "annotation trusted=yes, which policies pass over"},
		{"and another one does not", mayDo("privileged", rule("create", "", "pods")) + strings.Replace(policy("[CREATE]", "[pods]", "true", ""), "matchConstraints: {", exempt, 1) +
			strings.ReplaceAll(policy("[CREATE]", "[pods]", "true", ""), "harmless", "harmless-too"), ""},
		{"a webhook passes over who bears a label", mayDo("privileged", rule("create", "", "pods")) + hook, "annotation trusted=true, which policies pass over"},
		{"a policy's condition passes over who bears an annotation", mayDo("privileged", rule("create", "", "pods")) +
			policy("[CREATE]", "[pods]", "!('lint.example/skip' in object.metadata.?annotations.orValue({}))", ""), "annotation lint.example/skip=true, which policies pass over"},
		{"a policy's condition passes over who bears a label of a value", mayDo("privileged", rule("create", "", "pods")) +
			policy("[CREATE]", "[pods]", "object.metadata.?labels[?'tier'].orValue('') != 'system'", ""), "annotation tier=system, which policies pass over"},
		{"and nobody may make workloads", mayDo("privileged", rule("create", "", "pods")) + policy("[CREATE]", "[pods]", notControllers, ""), ""},
		{"Pod Security passes nobody over", mayDo("baseline", rule("create", "", "pods")+", "+making), ""},
		{"a workload may be changed", mayDo("privileged", rule("patch", "apps", "deployments")) + deployment, "may change a Deployment into one whose pod has containers of which one runs privileged"},
		{"the named workload may be changed", mayDo("privileged", `{verbs: [update], apiGroups: [apps], resources: [deployments], resourceNames: [web]}`) + deployment, "may change a Deployment into one whose pod has containers of which one runs privileged"},
		{"another one may be changed", mayDo("privileged", `{verbs: [update], apiGroups: [apps], resources: [deployments], resourceNames: [db]}`) + deployment, ""},
		{"there is none to be changed", mayDo("privileged", rule("patch", "apps", "deployments")), ""},
		{"a Job's template does not change", mayDo("privileged", rule("patch", "batch", "jobs")) + job, ""},
		{"a changed workload's pods are refused", mayDo("baseline", rule("patch", "apps", "deployments")) + deployment, ""},
		{"a pod may be debugged", mayDo("privileged", rule("update", "", "pods/ephemeralcontainers")) + pod, "may debug a pod that then has containers of which one runs privileged"},
		{"there is no pod to be debugged", mayDo("privileged", rule("update", "", "pods/ephemeralcontainers")), ""},
		{"kubelets still have gitRepo", mayDo("baseline", making) + oldNode, "may create a Deployment whose pod has a gitRepo volume"},
		{"a pod's amounts may be changed", mayDo("privileged", rule("update", "", "pods/resize")) + pod, ""},
	} {
		w, err := manifest.Read([]string{"-"}, strings.NewReader(c.manifests), manifest.Options{Now: time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC), Tenants: observe.TenantSource{Key: "tenant"}})
		if err != nil {
			t.Fatalf("%s: %v", c.what, err)
		}
		r, err := proof.Of(w, nil)
		if err != nil {
			t.Fatalf("%s: %v", c.what, err)
		}
		i := slices.IndexFunc(r.Findings, func(f finding.Finding) bool { return strings.HasPrefix(f.Code, "BH200") && f.Code != "BH2005" })
		switch {
		case c.want == "" && i >= 0:
			t.Errorf("%s: %s, want nothing", c.what, r.Findings[i].What)
		case c.want != "" && (i < 0 || r.Findings[i].Code != "BH2006" || !strings.Contains(r.Findings[i].What, c.want)):
			t.Errorf("%s: %+v, want that ana %s", c.what, r.Findings, c.want)
		case c.want != "" && (len(r.Findings[i].Witness) < 2 || r.Findings[i].Blame[0] != snapshot.Ref{Kind: "Namespace", Name: "a"} || r.Findings[i].Fix == ""):
			t.Errorf("%s: %+v", c.what, r.Findings[i])
		}
	}
}
