package guardrails

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/hostile"
	"github.com/bulkhead-dev/bulkhead/isolation/finding"
	"github.com/bulkhead-dev/bulkhead/snapshot"
)

func variablesAsChecks(p *admissionv1.ValidatingAdmissionPolicy) []admissionv1.Validation {
	list := make([]admissionv1.Validation, len(p.Spec.Variables))
	for i, v := range p.Spec.Variables {
		list[i].Expression = v.Expression
	}
	return list
}

// silences is what is known of the validating policies, to say why one did not refuse.
type silences struct {
	policies map[string]*admissionv1.ValidatingAdmissionPolicy
	bindings map[string][]*admissionv1.ValidatingAdmissionPolicyBinding
}

func silencesOf(in *finding.Input) silences {
	s := silences{map[string]*admissionv1.ValidatingAdmissionPolicy{}, map[string][]*admissionv1.ValidatingAdmissionPolicyBinding{}}
	for _, o := range in.ValidatingPolicies {
		s.policies[o.Name] = o
	}
	for _, b := range in.ValidatingBindings {
		s.bindings[b.Spec.PolicyName] = append(s.bindings[b.Spec.PolicyName], b)
	}
	return s
}

// blame returns what let a probe pass, the object to blame first, and the witness.
func (g *guardrails) blame(ns *snapshot.Namespace, p *probe, carriers []snapshot.Ref, answer *finding.AdmissionAnswer) ([]snapshot.Ref, []finding.Step) {
	if ns != nil && !p.lapsed {
		o := snapshot.Ref{Kind: "Namespace", Name: ns.Name}
		if name, waived := ns.Labels.Get(v1alpha1.WaiverPrefix + p.Control); waived {
			return []snapshot.Ref{o}, []finding.Step{{Object: o, Does: "bears waiver " + name + " of control " + p.Control}}
		}
		if p.Control == "pod-security" && p.Refusal.By != hostile.Policy {
			level, has := ns.Labels.Get("pod-security.kubernetes.io/enforce")
			if !has {
				level = "nothing, which is privileged"
			}
			return []snapshot.Ref{o}, []finding.Step{{Object: o, Does: "enforces " + level + " by Pod Security, which admits it"}}
		}
	}
	if len(carriers) == 0 {
		absent := snapshot.Ref{Kind: kindValidating, Name: "deny-" + p.Control}
		return []snapshot.Ref{absent}, []finding.Step{{Does: "no admission policy refuses it; one for " + p.Control + " should"}}
	}
	var blamed []snapshot.Ref
	var steps []finding.Step
	for _, carrier := range carriers {
		for _, step := range g.silent.of(g, ns, carrier, answer) {
			blamed, steps = append(blamed, step.Object), append(steps, step)
		}
	}
	return blamed, steps
}

// of returns why a policy did not refuse, the first cause first.
func (s *silences) of(g *guardrails, ns *snapshot.Namespace, carrier snapshot.Ref, answer *finding.AdmissionAnswer) []finding.Step {
	policy := s.policies[carrier.Name]
	if policy == nil {
		return []finding.Step{{Object: carrier, Does: "is not there"}}
	}
	bindings := s.bindings[carrier.Name]
	if len(bindings) == 0 {
		return []finding.Step{{Object: snapshot.Ref{Kind: kindValidatingBinding, Name: carrier.Name}, Does: "is not there, so that " + carrier.String() + " refuses nothing"}}
	}
	var steps []finding.Step
	matched := slices.Contains(answer.Considered, carrier)
	for _, b := range bindings {
		o := snapshot.Ref{Kind: kindValidatingBinding, Name: b.Name}
		switch {
		case !slices.Contains(b.Spec.ValidationActions, admissionv1.Deny):
			steps = append(steps, finding.Step{Object: o, Does: "does not deny: its validationActions are " + fmt.Sprint(b.Spec.ValidationActions)})
		case !matched && !selectsNamespace(b.Spec.MatchResources, ns):
			steps = append(steps, s.unselected(g, o, b, ns)...)
		case !matched && looksFurther(b.Spec.MatchResources):
			steps = append(steps, finding.Step{Object: o, Does: "does not match it by its matchResources"})
		}
	}
	if len(steps) == 0 && matched {
		return []finding.Step{{Object: carrier, Does: "looks at it and lets it pass" + failsOpen(policy)}}
	}
	if len(steps) == 0 {
		return []finding.Step{{Object: carrier, Does: "does not match it by its matchConstraints"}}
	}
	return append(steps, finding.Step{Object: carrier, Does: "would refuse it"})
}

func failsOpen(p *admissionv1.ValidatingAdmissionPolicy) string {
	if p.Spec.FailurePolicy != nil && *p.Spec.FailurePolicy == admissionv1.Ignore {
		return ", or fails and is ignored (failurePolicy Ignore)"
	}
	return ""
}

// unselected returns what is to blame that a binding does not select a namespace: the namespace, where the binding selects
// other ones of tenants.
func (s *silences) unselected(g *guardrails, o snapshot.Ref, b *admissionv1.ValidatingAdmissionPolicyBinding, ns *snapshot.Namespace) []finding.Step {
	space := finding.Step{Object: snapshot.Ref{Kind: "Namespace", Name: ns.Name}, Does: "lacks the labels that " + o.String() + " selects"}
	binding := finding.Step{Object: o, Does: "does not select Namespace " + ns.Name}
	for _, other := range g.Namespaces {
		if g.Owner[other.Name] != finding.ThePlatform && other.Name != ns.Name && selectsNamespace(b.Spec.MatchResources, other) {
			return []finding.Step{space, binding}
		}
	}
	return []finding.Step{binding}
}

func selectsNamespace(m *admissionv1.MatchResources, ns *snapshot.Namespace) bool {
	if ns == nil || m == nil || m.NamespaceSelector == nil {
		return true
	}
	selector, err := metav1.LabelSelectorAsSelector(m.NamespaceSelector)
	if err != nil {
		return false
	}
	set := labels.Set{}
	for _, l := range ns.Labels {
		set[l.Key] = l.Value
	}
	return selector.Matches(set)
}

// looksFurther reports whether match resources look at more than the namespace.
func looksFurther(m *admissionv1.MatchResources) bool {
	return m != nil && (len(m.ResourceRules)+len(m.ExcludeResourceRules) > 0 ||
		m.ObjectSelector != nil && len(m.ObjectSelector.MatchLabels)+len(m.ObjectSelector.MatchExpressions) > 0)
}

// cause is what findings are grouped by: one finding for what has one cause.
type cause struct {
	code, tenant, namespace string
	verdict                 finding.Verdict
	blame                   snapshot.Ref
	unknown                 string
}

// group makes one finding of all that one object lets happen, in one namespace or, where the object is the cluster's, in
// all.
func (g *guardrails) group(list []shown) []finding.Finding {
	byCause := map[cause][]*shown{}
	var order []cause
	for i := range list {
		s := &list[i]
		c := cause{code: s.probe.code, verdict: s.verdict}
		if s.verdict == finding.Unknown {
			c.code, c.unknown = "BH4019", s.does
		} else if c.blame = s.blame[0]; c.blame.Kind == "Namespace" || c.blame.Namespace != "" {
			c.tenant, c.namespace = s.tenant, s.namespace
		}
		if byCause[c] == nil {
			order = append(order, c)
		}
		byCause[c] = append(byCause[c], s)
	}
	findings := make([]finding.Finding, 0, len(order))
	for _, c := range order {
		findings = append(findings, g.finding(&c, byCause[c]))
	}
	return findings
}

func (g *guardrails) finding(c *cause, list []*shown) finding.Finding {
	var does, where, tenants []string
	worst := list[0]
	for _, s := range list {
		does, where, tenants = append(does, s.does), append(where, s.namespace), append(tenants, s.tenant)
		if s.severity.Rank() < worst.severity.Rank() {
			worst = s
		}
	}
	does, where, tenants = distinct(does), distinct(where), distinct(tenants)
	f := finding.Finding{Code: c.code, Verdict: c.verdict, Severity: worst.severity, From: finding.EveryTenant, To: finding.ThePlatform, Blame: worst.blame}
	if len(tenants) == 1 && tenants[0] != "" {
		f.From = tenants[0]
	}
	if worst.severity.Rank() <= finding.High.Rank() {
		f.To = finding.EveryTenant
	}
	if c.verdict == finding.Unknown {
		f.To = f.From
		f.What = fmt.Sprintf("in %s: %s", few(where, "namespace"), c.unknown)
		return f
	}
	f.What = fmt.Sprintf("in %s, %s can %s", few(where, "namespace"), worst.subject.Name(), some(does))
	if worst.probe.unfenced {
		f.What = fmt.Sprintf("in %s, a subject that is given the right by mistake can %s", few(where, "namespace"), some(does))
	}
	f.Witness = append([]finding.Step{{Does: fmt.Sprintf("%s sends %s %s: probe %s", worst.subject.Name(), worst.probe.request.Operation, worst.probe.request.Resource.Resource, worst.probe.ID)}}, worst.steps...)
	f.Requests = sentBy(list)
	return f
}

// sentBy are the probes that admission let through, as they were sent. One that something else still refuses is none.
func sentBy(list []*shown) []finding.Request {
	var requests []finding.Request
	for _, s := range list {
		if s.let && !s.subject.Gained {
			q := s.probe.request.In(s.namespace, s.subject.Subject)
			requests = append(requests, finding.Request{Subject: s.subject.Subject, Attributes: q.Attributes(), Write: q})
		}
	}
	return requests
}

func distinct(list []string) []string {
	list = slices.Clone(list)
	slices.Sort(list)
	return slices.Compact(list)
}

// some of what can be done, the shortest first: a policy that is gone lets the same through in every kind of workload.
func some(does []string) string {
	const shown = 6
	slices.SortStableFunc(does, func(a, b string) int { return cmp.Compare(len(a), len(b)) })
	if len(does) <= shown {
		return strings.Join(does, "; ")
	}
	return fmt.Sprintf("%s; and %d more", strings.Join(does[:shown], "; "), len(does)-shown)
}

// few names the first of many.
func few(names []string, what string) string {
	const shown = 3
	if len(names) == 1 && names[0] == "" {
		return "the cluster"
	}
	if len(names) <= shown {
		return what + " " + strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s %s and %d more", what, strings.Join(names[:shown], ", "), len(names)-shown)
}
