package isolation

import (
	"fmt"
	"slices"

	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/bulkhead-dev/bulkhead/snapshot"
)

// overAll are rights over all namespaces of which one is enough to get hold of every tenant.
func overAll() []Attributes {
	return []Attributes{
		{Verb: "*", Group: "*", Resource: "*"},
		{Verb: "get", Resource: "secrets"}, {Verb: "list", Resource: "secrets"},
		{Verb: "create", Resource: "pods"}, {Verb: "create", Resource: "pods", Subresource: "exec"},
		{Verb: "patch", Resource: "pods", Subresource: "ephemeralcontainers"}, {Verb: "create", Resource: "serviceaccounts", Subresource: "token"},
		{Verb: "create", Group: "apps", Resource: "deployments"}, {Verb: "patch", Group: "apps", Resource: "deployments"},
		{Verb: "update", Group: "apps", Resource: "deployments"}, {Verb: "patch", Group: "apps", Resource: "daemonsets"},
		{Verb: "create", Group: "apps", Resource: "daemonsets"}, {Verb: "update", Group: "apps", Resource: "daemonsets"},
		{Verb: "create", Group: "batch", Resource: "jobs"}, {Verb: "create", Resource: "nodes", Subresource: "proxy"},
		{Verb: "get", Resource: "nodes", Subresource: "proxy"}, {Verb: "impersonate", Resource: "users"}, {Verb: "impersonate", Resource: "groups"},
		{Verb: "escalate", Group: "rbac.authorization.k8s.io", Resource: "clusterroles"},
		{Verb: "bind", Group: "rbac.authorization.k8s.io", Resource: "clusterroles"},
		{Verb: "create", Group: "admissionregistration.k8s.io", Resource: "mutatingwebhookconfigurations"},
	}
}

// platformFalls: a pod of the platform on a taken node, whose service account may do something to every tenant.
func (e *escalation) platformFalls(taken map[int]*taking) []Finding {
	var findings []Finding
	rbac, asked := e.rights().RBAC, map[Object]bool{}
	for _, pod := range e.Pods {
		n, known := e.nodeIndex[pod.Node]
		if !known || taken[n] == nil || e.owner[pod.Namespace] != ThePlatform || pod.Completed() || pod.Spec == nil {
			continue
		}
		account := Object{"ServiceAccount", pod.Namespace, pod.Spec.ServiceAccountName}
		if account.Name == "" {
			account.Name = "default"
		}
		if asked[account] {
			continue
		}
		asked[account] = true
		if path := powerOf(rbac, account); path != nil {
			findings = append(findings, e.fallsWithAll(taken[n], pod, account, path))
			continue
		}
		findings = append(findings, e.fallsByRights(taken[n], pod, account)...)
	}
	return findings
}

func powerOf(rbac *RBAC, account Object) []Step {
	for _, a := range overAll() {
		if allowed, path := rbac.Allowed(ServiceAccount(account.Namespace, account.Name), a); allowed {
			return path
		}
	}
	return nil
}

func (e *escalation) fallsWithAll(t *taking, pod *snapshot.Pod, account Object, path []Step) Finding {
	f := Finding{Code: "BH2008", Verdict: Exposed, From: e.Tenants[t.tenant].Name, To: EveryTenant, Blame: slices.Clone(t.blame)}
	f.What = fmt.Sprintf("tenant %s gets hold of node %s, where %s/%s of the platform runs as %s: with its rights over all namespaces every tenant falls",
		f.From, pod.Node, pod.Namespace, pod.Name, account)
	f.Witness = append([]Step{t.step, {Object{Kind: "Node", Name: pod.Node}, "makes tokens of its pods' service accounts"},
		{Object{"Pod", pod.Namespace, pod.Name}, "runs there as " + account.String()}}, path...)
	for _, step := range path {
		if step.Object.Name != "" {
			f.Blame = append(f.Blame, step.Object)
		}
	}
	return f
}

// fallsByRights are the tenants that a service account with rights in some namespaces only leads to, by the closure of check
// rbac.
func (e *escalation) fallsByRights(t *taking, pod *snapshot.Pod, account Object) []Finding {
	var findings []Finding
	from, done := e.Tenants[t.tenant].Name, map[string]bool{}
	for _, led := range e.rights().fromAccounts(from, []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: account.Namespace, Name: account.Name}}) {
		code, _, _ := CodeByID(led.Code)
		grave := code.Severity == Critical || code.Severity == High
		if !grave || led.Verdict != Exposed || led.To == from || led.To == ThePlatform || done[led.To] {
			continue
		}
		done[led.To] = true
		findings = append(findings, Finding{Code: "BH2008", Verdict: Exposed, From: from, To: led.To,
			What: fmt.Sprintf("tenant %s gets hold of node %s, where %s/%s of the platform runs as %s: %s", from, pod.Node, pod.Namespace, pod.Name, account, led.What),
			Witness: append([]Step{t.step, {Object{Kind: "Node", Name: pod.Node}, "makes tokens of its pods' service accounts"},
				{Object{"Pod", pod.Namespace, pod.Name}, "runs there as " + account.String()}}, led.Witness...),
			Blame: append(slices.Clone(t.blame), led.Blame...)})
	}
	return findings
}
