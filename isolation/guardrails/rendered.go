package guardrails

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/bulkhead-dev/bulkhead/isolation/finding"
	"github.com/bulkhead-dev/bulkhead/snapshot"
)

// altered are the admission policies and bindings that say something else than the platform renders. The probes show the worst of
// what a policy refuses, and not all of it: what lets them be refused and nevertheless differs is not known to hold. What the
// probes found exposed by it is reported already.
func (g *guardrails) altered(found []finding.Finding) []finding.Finding {
	live := map[snapshot.Ref]runtime.Object{}
	for _, o := range g.ValidatingPolicies {
		live[snapshot.Ref{Kind: kindValidating, Name: o.Name}] = o
	}
	for _, o := range g.ValidatingBindings {
		live[snapshot.Ref{Kind: kindValidatingBinding, Name: o.Name}] = o
	}
	for _, o := range g.MutatingPolicies {
		live[snapshot.Ref{Kind: kindMutating, Name: o.Name}] = o
	}
	for _, o := range g.MutatingBindings {
		live[snapshot.Ref{Kind: kindMutatingBinding, Name: o.Name}] = o
	}
	reported := map[snapshot.Ref]bool{}
	for i := range found {
		for _, o := range found[i].Blame {
			reported[o] = reported[o] || found[i].Verdict == finding.Exposed && found[i].Severity != finding.Low
		}
	}
	var findings []finding.Finding
	for _, e := range g.Expected {
		o := live[e.Object]
		if e.Rendered == nil || o == nil || reported[e.Object] || g.silent.replaced(e.Object) {
			continue
		}
		if parts := otherParts(specOf(e.Rendered), specOf(o)); len(parts) > 0 {
			words := "differs from what the platform renders, in " + strings.Join(parts, ", ")
			findings = append(findings, finding.Finding{Code: "BH4021", Verdict: finding.Unknown, From: finding.EveryTenant, To: finding.EveryTenant, Blame: []snapshot.Ref{e.Object},
				Witness: []finding.Step{{Object: e.Object, Does: words}},
				What:    fmt.Sprintf("%s %s: what it lets pass beyond the requests that were tried is not known", e.Object, words)})
		}
	}
	return findings
}

// replaced reports whether the policy of an object is missing, so that its binding makes no difference.
func (s *silences) replaced(o snapshot.Ref) bool {
	return o.Kind == kindValidatingBinding && s.policies[o.Name] == nil
}

// specOf an admission policy or binding, with what the API server fills in.
func specOf(o runtime.Object) map[string]any {
	switch o := o.DeepCopyObject().(type) {
	case *admissionv1.ValidatingAdmissionPolicy:
		defaultMatch(o.Spec.MatchConstraints)
		s := &o.Spec
		return map[string]any{"matchConstraints": s.MatchConstraints, "matchConditions": s.MatchConditions, "failurePolicy": failure(s.FailurePolicy),
			"variables": s.Variables, "validations": s.Validations, "paramKind": s.ParamKind}
	case *admissionv1.MutatingAdmissionPolicy:
		defaultMatch(o.Spec.MatchConstraints)
		s := &o.Spec
		return map[string]any{"matchConstraints": s.MatchConstraints, "matchConditions": s.MatchConditions, "failurePolicy": failure(s.FailurePolicy),
			"variables": s.Variables, "mutations": s.Mutations, "paramKind": s.ParamKind, "reinvocationPolicy": s.ReinvocationPolicy}
	case *admissionv1.ValidatingAdmissionPolicyBinding:
		defaultMatch(o.Spec.MatchResources)
		s := &o.Spec
		return map[string]any{"policyName": s.PolicyName, "matchResources": s.MatchResources, "validationActions": s.ValidationActions, "paramRef": s.ParamRef}
	case *admissionv1.MutatingAdmissionPolicyBinding:
		defaultMatch(o.Spec.MatchResources)
		s := &o.Spec
		return map[string]any{"policyName": s.PolicyName, "matchResources": s.MatchResources, "paramRef": s.ParamRef}
	}
	return nil
}

func failure(p *admissionv1.FailurePolicyType) admissionv1.FailurePolicyType {
	if p == nil {
		return admissionv1.Fail
	}
	return *p
}

func defaultMatch(m *admissionv1.MatchResources) {
	if m == nil {
		return
	}
	if m.MatchPolicy == nil {
		m.MatchPolicy = new(admissionv1.Equivalent)
	}
	for _, selector := range []**metav1.LabelSelector{&m.NamespaceSelector, &m.ObjectSelector} {
		if *selector == nil {
			*selector = &metav1.LabelSelector{}
		}
	}
	for _, rules := range [][]admissionv1.NamedRuleWithOperations{m.ResourceRules, m.ExcludeResourceRules} {
		for i := range rules {
			if rules[i].Scope == nil {
				rules[i].Scope = new(admissionv1.AllScopes)
			}
		}
	}
}

// otherParts are the names of what differs, sorted.
func otherParts(want, is map[string]any) []string {
	var parts []string
	for _, key := range slices.Sorted(maps.Keys(want)) {
		if !equality.Semantic.DeepEqual(want[key], is[key]) {
			parts = append(parts, key)
		}
	}
	return parts
}
