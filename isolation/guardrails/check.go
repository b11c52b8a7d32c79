package guardrails

import (
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/hostile"
	"github.com/bulkhead-dev/bulkhead/isolation/finding"
	"github.com/bulkhead-dev/bulkhead/isolation/rbac"
	"github.com/bulkhead-dev/bulkhead/snapshot"
)

// Check describes the check: guardrails exist and are in force.
func Check() finding.Check {
	return finding.Check{
		ID: "guardrails", Title: "Guardrails are there and in force",
		Needs: []string{
			"Namespace", "ResourceQuota", "LimitRange", "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding",
			"MutatingAdmissionPolicy", "MutatingAdmissionPolicyBinding", "ValidatingWebhookConfiguration", "MutatingWebhookConfiguration",
			"Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding",
		},
		Codes: guardrailCodes(),
	}
}

// Find judges every tenant namespace, and returns what it considered in words.
func Find(in *finding.Input, rights *rbac.Reach) ([]finding.Finding, string) {
	g := newGuardrails(in, rights)
	findings := append(g.probeAll(), g.inForce()...)
	findings = append(findings, g.marks()...)
	findings = append(findings, g.shares()...)
	findings = append(findings, g.webhooks()...)
	findings = append(findings, g.existing()...)
	findings = append(findings, g.confined()...)
	findings = append(findings, g.altered(findings)...)
	return findings, g.considered()
}

// guardrails is the state of one run of the check.
type guardrails struct {
	*finding.Input
	rights *rbac.Reach
	// inUse are the controls that Bulkhead carries here.
	inUse map[string]bool
	// expected objects by name.
	expected map[snapshot.Ref]string
	policies map[snapshot.Ref]bool
	silent   silences

	// cases of the catalogue, and facts that it needs to know.
	cases []hostile.Case
	facts *hostile.Facts
	// labels of the namespaces.
	labels map[string]snapshot.Labels

	lock     sync.Mutex
	probes   map[setting][]probe
	requests sync.Map // by what they ask
	settings sync.Map // what is found out once
	sent     atomic.Int64
	unsent   atomic.Int64
}

func newGuardrails(in *finding.Input, rights *rbac.Reach) *guardrails {
	g := &guardrails{
		Input: in, rights: rights, inUse: map[string]bool{}, expected: map[snapshot.Ref]string{}, policies: map[snapshot.Ref]bool{},
		probes: map[setting][]probe{}, cases: hostile.All(), facts: factsOf(in), labels: map[string]snapshot.Labels{},
	}
	for _, ns := range in.Namespaces {
		g.labels[ns.Name] = ns.Labels
	}
	for _, e := range in.Expected {
		g.inUse[e.Control] = true
		g.expected[e.Object] = e.Control
	}
	for _, o := range in.ValidatingPolicies {
		g.policies[snapshot.Ref{Kind: kindValidating, Name: o.Name}] = true
		if control := o.Labels[v1alpha1.LabelControl]; control != "" {
			g.inUse[control] = true
		}
	}
	for _, o := range in.MutatingPolicies {
		g.policies[snapshot.Ref{Kind: kindMutating, Name: o.Name}] = true
	}
	g.silent = silencesOf(in)
	return g
}

// Kinds that this check goes by.
const (
	kindValidating        = "ValidatingAdmissionPolicy"
	kindValidatingBinding = "ValidatingAdmissionPolicyBinding"
	kindMutating          = "MutatingAdmissionPolicy"
	kindMutatingBinding   = "MutatingAdmissionPolicyBinding"
)

func (g *guardrails) considered() string {
	return fmt.Sprintf("%d hostile requests in %d tenants' namespaces, %d more that RBAC refuses; %d quotas, %d limit ranges, %d admission policies. "+
		"Not considered: plugins and Pod Security exemptions that flags of the API server set, and what webhooks answer",
		g.sent.Load(), len(g.Owner), g.unsent.Load(), len(g.ResourceQuotas), len(g.LimitRanges), len(g.policies))
}
