package isolation

import (
	"fmt"
	"sync"
)

// Guardrails: what fences tenants in is there and in force. It is judged by effect: for every tenant namespace, with the
// rights that the tenant has, canonical hostile requests are put to the admission of the snapshot, each beside a harmless
// twin (Probes lists them). What RBAC does not let the tenant send is no question. What is admitted is exposed, and what
// would have refused it is blamed: a policy or binding that is not there, that does not deny, that does not match, or the
// namespace that it does not select. Where both twins are refused, nothing is proven: Unknown.
//
// Some things have no effect that a single request shows, and are looked at as they are: quotas (present, counting every
// kind that the tenant may create, adding up to no more than the tenant has), limit ranges, Pod Security labels, and the
// marks that Bulkhead's policies read.
//
// Not looked at: what an API server's own flags switch off (a plugin, exemptions of Pod Security), and what webhooks answer.
func guardrailsCheck() Check {
	return Check{
		ID: "guardrails", Title: "Guardrails are there and in force",
		Needs: []string{
			"Namespace", "ResourceQuota", "LimitRange", "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding",
			"MutatingAdmissionPolicy", "MutatingAdmissionPolicyBinding", "ValidatingWebhookConfiguration", "MutatingWebhookConfiguration",
			"Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding",
		},
		Codes: guardrailCodes(),
		run: func(p *proof) ([]Finding, string) {
			g := newGuardrails(p)
			findings := append(g.probeAll(), g.inForce()...)
			findings = append(findings, g.marks()...)
			findings = append(findings, g.shares()...)
			findings = append(findings, g.webhooks()...)
			findings = append(findings, g.altered(findings)...)
			return findings, g.considered()
		},
	}
}

// guardrails is the state of one run of the check.
type guardrails struct {
	*proof
	rights *RBAC
	// inUse are the controls that Bulkhead carries here.
	inUse map[string]bool
	// expected objects by name.
	expected map[Object]string
	policies map[Object]bool
	silent   silences

	lock     sync.Mutex
	probes   map[Setting][]Probe
	pods     map[string]*AdmissionRequest
	managed  []Probe
	asked    int
	unsent   int
	settings sync.Map
}

func newGuardrails(p *proof) *guardrails {
	g := &guardrails{
		proof: p, rights: p.rights().RBAC, inUse: map[string]bool{}, expected: map[Object]string{}, policies: map[Object]bool{},
		probes: map[Setting][]Probe{}, pods: map[string]*AdmissionRequest{}, managed: managedProbes(),
	}
	for _, e := range p.Expected {
		g.inUse[e.Control] = true
		g.expected[e.Object] = e.Control
	}
	for _, o := range p.ValidatingPolicies {
		g.policies[Object{Kind: kindValidating, Name: o.Name}] = true
		if control := o.Labels[labelControl]; control != "" {
			g.inUse[control] = true
		}
	}
	for _, o := range p.MutatingPolicies {
		g.policies[Object{Kind: kindMutating, Name: o.Name}] = true
	}
	g.silent = silencesOf(p)
	return g
}

// Names of kinds and labels that this check goes by.
const (
	kindValidating        = "ValidatingAdmissionPolicy"
	kindValidatingBinding = "ValidatingAdmissionPolicyBinding"
	kindMutating          = "MutatingAdmissionPolicy"
	kindMutatingBinding   = "MutatingAdmissionPolicyBinding"

	labelControl      = "bulkhead.dev/control"
	labelPattern      = "bulkhead.dev/pattern"
	labelRuntimeClass = "bulkhead.dev/runtime-class"
	labelToken        = "bulkhead.dev/token"
	labelRole         = "bulkhead.dev/role"
	labelManaged      = "app.kubernetes.io/managed-by"
	prefixWaiver      = "waiver.bulkhead.dev/"

	annotationProtected = "bulkhead.dev/protected"
	annotationHosts     = "bulkhead.dev/ingress-hosts"
)

func (g *guardrails) considered() string {
	return fmt.Sprintf("%d hostile requests in %d tenants' namespaces, %d more that RBAC refuses; %d quotas, %d limit ranges, %d admission policies. "+
		"Not considered: plugins and Pod Security exemptions that flags of the API server set, and what webhooks answer",
		g.asked, len(g.owner), g.unsent, len(g.ResourceQuotas), len(g.LimitRanges), len(g.policies))
}
