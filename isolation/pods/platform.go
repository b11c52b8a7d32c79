package pods

import (
	"fmt"
	"slices"

	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/bulkhead-dev/bulkhead/isolation/finding"
	"github.com/bulkhead-dev/bulkhead/isolation/rbac"
	"github.com/bulkhead-dev/bulkhead/snapshot"
)

// overAll are rights over all namespaces of which one is enough to compromise every tenant.
func overAll() []finding.Attributes {
	return []finding.Attributes{
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

// throughPlatform: a pod of the platform on a compromised node, whose service account may do something to every tenant.
func (e *escalation) throughPlatform(compromised map[int]*compromise) []finding.Finding {
	var findings []finding.Finding
	rights, asked := e.rights(), map[snapshot.Ref]bool{}
	for _, pod := range e.Pods {
		n, known := e.nodeIndex[pod.Node]
		if !known || compromised[n] == nil || e.Owner[pod.Namespace] != finding.ThePlatform || pod.Completed() || pod.Spec == nil {
			continue
		}
		account := snapshot.Ref{Kind: "ServiceAccount", Namespace: pod.Namespace, Name: pod.Spec.ServiceAccountName}
		if account.Name == "" {
			account.Name = "default"
		}
		if asked[account] {
			continue
		}
		asked[account] = true
		if path := powerOf(rights, account); path != nil {
			findings = append(findings, e.exposesAll(compromised[n], pod, account, path))
			continue
		}
		findings = append(findings, e.exposedByRights(compromised[n], pod, account)...)
	}
	return findings
}

func powerOf(rights *rbac.Reach, account snapshot.Ref) []finding.Step {
	for _, a := range overAll() {
		if allowed, path := rights.Allowed(rbac.ServiceAccount(account.Namespace, account.Name), a); allowed {
			return path
		}
	}
	return nil
}

func (e *escalation) exposesAll(t *compromise, pod *snapshot.Pod, account snapshot.Ref, path []finding.Step) finding.Finding {
	f := finding.Finding{Code: "BH2008", Verdict: finding.Exposed, From: e.Tenants[t.tenant].Name, To: finding.EveryTenant, Blame: slices.Clone(t.blame)}
	f.What = fmt.Sprintf("tenant %s compromises node %s, where %s/%s of the platform runs as %s: its rights over all namespaces expose every tenant",
		f.From, pod.Node, pod.Namespace, pod.Name, account)
	f.Witness = append([]finding.Step{t.step, {Object: snapshot.Ref{Kind: "Node", Name: pod.Node}, Does: "makes tokens of its pods' service accounts"},
		{Object: snapshot.Ref{Kind: "Pod", Namespace: pod.Namespace, Name: pod.Name}, Does: "runs there as " + account.String()}}, path...)
	for _, step := range path {
		if step.Object.Name != "" {
			f.Blame = append(f.Blame, step.Object)
		}
	}
	return f
}

// exposedByRights are the tenants to which a service account with rights in some namespaces leads, by the closure of check
// rbac.
func (e *escalation) exposedByRights(t *compromise, pod *snapshot.Pod, account snapshot.Ref) []finding.Finding {
	var findings []finding.Finding
	from, done, check := e.Tenants[t.tenant].Name, map[string]bool{}, rbac.Check()
	for _, led := range e.rights().FromAccounts(from, []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: account.Namespace, Name: account.Name}}) {
		code, _ := check.Code(led.Code)
		grave := code.Severity == finding.Critical || code.Severity == finding.High
		if !grave || led.Verdict != finding.Exposed || led.To == from || led.To == finding.ThePlatform || done[led.To] {
			continue
		}
		done[led.To] = true
		findings = append(findings, finding.Finding{Code: "BH2008", Verdict: finding.Exposed, From: from, To: led.To,
			What: fmt.Sprintf("tenant %s compromises node %s, where %s/%s of the platform runs as %s: %s", from, pod.Node, pod.Namespace, pod.Name, account, led.What),
			Witness: append([]finding.Step{t.step, {Object: snapshot.Ref{Kind: "Node", Name: pod.Node}, Does: "makes tokens of its pods' service accounts"},
				{Object: snapshot.Ref{Kind: "Pod", Namespace: pod.Namespace, Name: pod.Name}, Does: "runs there as " + account.String()}}, led.Witness...),
			Blame: append(slices.Clone(t.blame), led.Blame...)})
	}
	return findings
}
