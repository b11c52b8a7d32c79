package guardrails

import (
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/guardrail"
	"github.com/bulkhead-dev/bulkhead/hostile"
	"github.com/bulkhead-dev/bulkhead/isolation/finding"
	"github.com/bulkhead-dev/bulkhead/isolation/rbac"
	"github.com/bulkhead-dev/bulkhead/snapshot"
)

// confined asks with the controller's identity what the policy about it must refuse. That is asked once: it concerns every tenant. A policy that
// is not there is found among those that are not in force.
func (g *guardrails) confined() []finding.Finding {
	policy := snapshot.Ref{Kind: kindValidating, Name: guardrail.PolicyController}
	if g.Admission == nil || g.expected[policy] == "" || !g.policies[policy] {
		return nil
	}
	scene, controller := g.scene(&setting{}, anySpot), rbac.ServiceAccount(v1alpha1.SystemNamespace, v1alpha1.ManagedBy)
	var passed []string
	for i := range g.cases {
		c := &g.cases[i]
		if c.By != hostile.Controller || c.Refusal.By != hostile.Policy {
			continue
		}
		ask, err := c.Attempt.Ask(scene)
		if err != nil || ask.DryRun == nil || !ask.DryRun.Creates() {
			continue // what is there already is not known here
		}
		fields, err := fieldsOf(ask.DryRun.Body)
		if begin, found, _ := unstructured.NestedString(fields, "metadata", "generateName"); found && ask.DryRun.Name == "" {
			ask.DryRun.Name = begin + "x" // the name is what some are about
		}
		if err != nil {
			panic("an object of the catalogue is one: " + err.Error())
		}
		request, _, err := g.request(ask.DryRun, &scene)
		if err != nil {
			panic("a request of the controller's is one of Kubernetes: " + err.Error())
		}
		answer := g.Admission.Admit(request.In(ask.DryRun.Namespace, controller))
		if !slices.ContainsFunc(answer.RefusedBy, func(r finding.Refusal) bool { return r.By == policy }) {
			passed = append(passed, c.Title)
		}
	}
	if len(passed) == 0 {
		return nil
	}
	binding := snapshot.Ref{Kind: kindValidatingBinding, Name: policy.Name}
	return []finding.Finding{{Code: "BH4017", Verdict: finding.Exposed, From: finding.ThePlatform, To: finding.ThePlatform,
		What:    fmt.Sprintf("who has the credentials of Bulkhead's controller %s: %s, or its binding, does not refuse it", finding.Few(passed), policy),
		Blame:   []snapshot.Ref{policy, binding},
		Witness: []finding.Step{{Object: policy, Does: "lets it pass, or its binding does not match it"}},
		Fix:     "run `bulkhead install` as an administrator, which writes both"}}
}
