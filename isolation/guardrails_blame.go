package isolation

import (
	"fmt"
	"slices"
	"strings"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

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

func silencesOf(p *proof) silences {
	s := silences{map[string]*admissionv1.ValidatingAdmissionPolicy{}, map[string][]*admissionv1.ValidatingAdmissionPolicyBinding{}}
	for _, o := range p.ValidatingPolicies {
		s.policies[o.Name] = o
	}
	for _, b := range p.ValidatingBindings {
		s.bindings[b.Spec.PolicyName] = append(s.bindings[b.Spec.PolicyName], b)
	}
	return s
}

// blame says what let a probe pass: the object to blame first, and the witness.
func (g *guardrails) blame(ns *snapshot.Namespace, p *Probe, carriers []Object, answer *AdmissionAnswer) ([]Object, []Step) {
	if ns != nil && p.ID != lapsedProbe {
		o := Object{Kind: "Namespace", Name: ns.Name}
		if name, waived := ns.Labels.Get(prefixWaiver + p.Control); waived {
			return []Object{o}, []Step{{o, "bears waiver " + name + " of control " + p.Control}}
		}
		if p.Control == "pod-security" {
			level, has := ns.Labels.Get("pod-security.kubernetes.io/enforce")
			if !has {
				level = "nothing, which is privileged"
			}
			return []Object{o}, []Step{{o, "enforces " + level + " by Pod Security, which admits it"}}
		}
	}
	if len(carriers) == 0 {
		absent := Object{Kind: kindValidating, Name: "deny-" + p.Control}
		return []Object{absent}, []Step{{Does: "no admission policy refuses it; one for " + p.Control + " should"}}
	}
	var blamed []Object
	var steps []Step
	for _, carrier := range carriers {
		for _, step := range g.silent.of(g, ns, carrier, answer) {
			blamed, steps = append(blamed, step.Object), append(steps, step)
		}
	}
	return blamed, steps
}

// of says why a policy did not refuse, the first cause first.
func (s *silences) of(g *guardrails, ns *snapshot.Namespace, carrier Object, answer *AdmissionAnswer) []Step {
	policy := s.policies[carrier.Name]
	if policy == nil {
		return []Step{{carrier, "is not there"}}
	}
	bindings := s.bindings[carrier.Name]
	if len(bindings) == 0 {
		return []Step{{Object{Kind: kindValidatingBinding, Name: carrier.Name}, "is not there, so that " + carrier.String() + " refuses nothing"}}
	}
	var steps []Step
	matched := slices.Contains(answer.Considered, carrier)
	for _, b := range bindings {
		o := Object{Kind: kindValidatingBinding, Name: b.Name}
		switch {
		case !slices.Contains(b.Spec.ValidationActions, admissionv1.Deny):
			steps = append(steps, Step{o, "does not deny: its validationActions are " + fmt.Sprint(b.Spec.ValidationActions)})
		case !matched && !selectsNamespace(b.Spec.MatchResources, ns):
			steps = append(steps, s.unselected(g, o, b, ns)...)
		case !matched && looksFurther(b.Spec.MatchResources):
			steps = append(steps, Step{o, "does not match it by its matchResources"})
		}
	}
	if len(steps) == 0 && matched {
		return []Step{{carrier, "looks at it and lets it pass" + failsOpen(policy)}}
	}
	if len(steps) == 0 {
		return []Step{{carrier, "does not match it by its matchConstraints"}}
	}
	return append(steps, Step{carrier, "would refuse it"})
}

func failsOpen(p *admissionv1.ValidatingAdmissionPolicy) string {
	if p.Spec.FailurePolicy != nil && *p.Spec.FailurePolicy == admissionv1.Ignore {
		return ", or fails and is passed over (failurePolicy Ignore)"
	}
	return ""
}

// unselected says who is to blame that a binding does not select a namespace: the namespace, where the binding selects
// other ones of tenants.
func (s *silences) unselected(g *guardrails, o Object, b *admissionv1.ValidatingAdmissionPolicyBinding, ns *snapshot.Namespace) []Step {
	space := Step{Object{Kind: "Namespace", Name: ns.Name}, "has not the labels that " + o.String() + " selects"}
	binding := Step{o, "does not select Namespace " + ns.Name}
	for _, other := range g.Namespaces {
		if g.owner[other.Name] != ThePlatform && other.Name != ns.Name && selectsNamespace(b.Spec.MatchResources, other) {
			return []Step{space, binding}
		}
	}
	return []Step{binding}
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

// looksFurther says that match resources look at more than the namespace.
func looksFurther(m *admissionv1.MatchResources) bool {
	return m != nil && (len(m.ResourceRules)+len(m.ExcludeResourceRules) > 0 ||
		m.ObjectSelector != nil && len(m.ObjectSelector.MatchLabels)+len(m.ObjectSelector.MatchExpressions) > 0)
}

// cause is what findings are grouped by: one finding for what has one cause.
type cause struct {
	code, tenant, namespace string
	verdict                 Verdict
	blame                   Object
	unknown                 string
}

// group makes one finding of all that one object lets happen, in one namespace or, where the object is the cluster's, in
// all.
func (g *guardrails) group(list []shown) []Finding {
	byCause := map[cause][]*shown{}
	var order []cause
	for i := range list {
		s := &list[i]
		c := cause{code: s.probe.Code, verdict: s.verdict}
		if s.verdict == Unknown {
			c.code, c.unknown = "BH4019", s.does
		} else if c.blame = s.blame[0]; c.blame.Kind == "Namespace" || c.blame.Namespace != "" {
			c.tenant, c.namespace = s.tenant, s.namespace
		}
		if byCause[c] == nil {
			order = append(order, c)
		}
		byCause[c] = append(byCause[c], s)
	}
	findings := make([]Finding, 0, len(order))
	for _, c := range order {
		findings = append(findings, g.finding(&c, byCause[c]))
	}
	return findings
}

func (g *guardrails) finding(c *cause, list []*shown) Finding {
	var does, where, tenants []string
	worst := list[0]
	for _, s := range list {
		does, where, tenants = append(does, s.does), append(where, s.namespace), append(tenants, s.tenant)
		if s.severity.rank() < worst.severity.rank() {
			worst = s
		}
	}
	does, where, tenants = distinct(does), distinct(where), distinct(tenants)
	f := Finding{Code: c.code, Verdict: c.verdict, Severity: worst.severity, From: EveryTenant, To: ThePlatform, Blame: worst.blame}
	if len(tenants) == 1 && tenants[0] != "" {
		f.From = tenants[0]
	}
	if worst.severity.rank() <= High.rank() {
		f.To = EveryTenant
	}
	if c.verdict == Unknown {
		f.To = f.From
		f.What = fmt.Sprintf("in %s: %s", few(where, "namespace"), c.unknown)
		return f
	}
	f.What = fmt.Sprintf("in %s, %s can %s", few(where, "namespace"), worst.subject.User, strings.Join(does, "; "))
	if worst.probe.Unfenced {
		f.What = fmt.Sprintf("in %s, whoever is given the right by mistake can %s", few(where, "namespace"), strings.Join(does, "; "))
	}
	f.Witness = append([]Step{{Does: fmt.Sprintf("%s sends %s %s: probe %s", worst.subject.User, worst.probe.Request.Operation, worst.probe.Request.Resource.Resource, worst.probe.ID)}}, worst.steps...)
	f.Requests = sentBy(list)
	return f
}

// sentBy are the probes that admission let through, as they were sent. One that something else still refuses is none.
func sentBy(list []*shown) []Request {
	var requests []Request
	for _, s := range list {
		if s.let {
			q := s.probe.Request.in(s.namespace, s.subject)
			requests = append(requests, Request{Subject: s.subject, Attributes: q.attributes(), Write: q})
		}
	}
	return requests
}

func distinct(list []string) []string {
	list = slices.Clone(list)
	slices.Sort(list)
	return slices.Compact(list)
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
