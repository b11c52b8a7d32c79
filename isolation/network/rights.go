package network

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/bulkhead-dev/bulkhead/isolation/finding"
	"github.com/bulkhead-dev/bulkhead/isolation/rbac"
	"github.com/bulkhead-dev/bulkhead/snapshot"
)

// ownRights adds what tenants may do about their isolation by their own rights: open it by policies, and take labels that
// policies trust. What admission would say decides; without it, such a right is Unknown.
func (n *networkFindings) ownRights() {
	r := &networkRights{networkFindings: n, trusted: n.trustedLabels(), widening: widening()}
	found := make([][]finding.Finding, len(n.Tenants))
	n.reach.parallel(len(n.Tenants), func(i int) { found[i] = r.ofTenant(i) })
	byCode := map[string][]finding.Finding{}
	for _, f := range slices.Concat(found...) {
		byCode[f.Code+string(f.Verdict)] = append(byCode[f.Code+string(f.Verdict)], f)
	}
	for _, key := range slices.Sorted(maps.Keys(byCode)) {
		n.list = append(n.list, n.everybodys(byCode[key])...)
	}
}

// everybodys makes one finding of one that every tenant has.
func (n *networkFindings) everybodys(findings []finding.Finding) []finding.Finding {
	from := map[string]bool{}
	for i := range findings {
		from[findings[i].From] = true
	}
	if len(from) < manyAlike || len(from) < len(n.Tenants) {
		return findings
	}
	one := findings[0]
	one.From, one.Blame = finding.EveryTenant, nil
	for i := range findings {
		for _, o := range findings[i].Blame {
			if !slices.Contains(one.Blame, o) && len(one.Blame) < maxBlame {
				one.Blame = append(one.Blame, o)
			}
		}
	}
	one.What = fmt.Sprintf("it is the same for every tenant, such as: %s", one.What)
	return []finding.Finding{one}
}

// networkRights looks at rights over policies and labels.
type networkRights struct {
	*networkFindings
	trusted []trustedLabel
	// widening policies name no namespace: what admission says of one counts for all namespaces that it does not tell apart.
	widening []wide
}

// trustedLabel is a label of namespaces that a policy goes by.
type trustedLabel struct {
	by         snapshot.Ref
	key, value string
	// holds is true where the label keeps its bearer under a policy, rather than let it in.
	holds bool
}

// trustedLabels are the labels, other than the name, by which policies let other namespaces in or hold on to them.
func (n *networkFindings) trustedLabels() []trustedLabel {
	list := n.reach.tiers.trusted()
	for _, s := range n.reach.spaces {
		for _, p := range s.policies {
			for _, a := range p.in {
				if a.peer.kind == podsIn {
					list = append(list, trustedBy(snapshot.Ref{Kind: "NetworkPolicy", Namespace: p.source.Namespace, Name: p.source.Name}, a.peer.namespaces, false)...)
				}
			}
		}
	}
	known := map[trustedLabel]bool{}
	return slices.DeleteFunc(list, func(l trustedLabel) bool {
		l.by = snapshot.Ref{}
		was := known[l]
		known[l] = true
		return was
	})
}

// trusted are the labels that policies of administrators go by: those that let in, and those of their subjects, who get
// rid of a Deny without them.
func (t *tiers) trusted() []trustedLabel {
	var list []trustedLabel
	if t == nil {
		return nil
	}
	for i := range t.rules {
		rule := &t.rules[i]
		by := snapshot.Ref{Kind: rule.policy.kind, Name: rule.policy.name}
		if rule.action == tierDeny {
			list = append(list, trustedBy(by, rule.policy.namespaces, true)...)
			continue
		}
		for _, peer := range rule.peers {
			if rule.direction == ingress {
				list = append(list, trustedBy(by, peer.namespaces, false)...)
			}
		}
	}
	return list
}

// trustedBy are the labels that a selector asks for. A namespace that lacks one that must be absent has nothing to take.
func trustedBy(by snapshot.Ref, s selector, holds bool) []trustedLabel {
	var list []trustedLabel
	for _, r := range s.requirements {
		switch {
		case r.key == corev1.LabelMetadataName: // the API server writes it
		case r.operator == metav1.LabelSelectorOpIn:
			list = append(list, trustedLabel{by, r.key, r.values[0], holds})
		case r.operator == metav1.LabelSelectorOpExists:
			list = append(list, trustedLabel{by, r.key, "", holds})
		}
	}
	return list
}

// ofTenant finds at most one way of each kind, the first there is.
func (r *networkRights) ofTenant(tenant int) []finding.Finding {
	var findings []finding.Finding
	done := map[string]bool{}
	for _, ns := range r.Tenants[tenant].Namespaces {
		i, exists := r.reach.byName[ns]
		if !exists {
			continue
		}
		for _, who := range r.rights.Identities(tenant) {
			for _, try := range []func(*space, *rbac.Identity) (finding.Finding, bool){r.opens, r.removes, r.relabels} {
				if f, found := try(r.reach.spaces[i], &who); found && !done[f.Code+string(f.Verdict)] {
					done[f.Code+string(f.Verdict)] = true
					f.From, f.To = r.Tenants[tenant].Name, finding.EveryTenant
					findings = append(findings, f)
				}
			}
		}
	}
	return findings
}

func policyResource() schema.GroupVersionResource {
	return networkingv1.SchemeGroupVersion.WithResource("networkpolicies")
}

// opens tries to make a policy that opens the namespace. In one without policies there is nothing to open.
func (r *networkRights) opens(s *space, who *rbac.Identity) (finding.Finding, bool) {
	if len(s.policies) == 0 {
		return finding.Finding{}, false
	}
	allowed, path := r.rights.Allowed(who.Subject, finding.Attributes{Verb: "create", Group: policyResource().Group, Resource: policyResource().Resource, Namespace: s.source.Name})
	if !allowed {
		return finding.Finding{}, false
	}
	for _, w := range r.widening {
		verdict, why := r.admits(&finding.AdmissionRequest{Subject: who.Subject, Operation: "CREATE", Kind: networkingv1.SchemeGroupVersion.WithKind("NetworkPolicy"),
			Resource: policyResource(), Namespace: s.source.Name, Name: w.policy.Name, Object: w.policy})
		if verdict != finding.Isolated {
			return r.rightFinding("BH3010", verdict, who.Name, path, fmt.Sprintf("make a NetworkPolicy in namespace %s that allows %s", s.source.Name, w.what), why), true
		}
	}
	return finding.Finding{}, false
}

// removes tries to delete a policy that closes.
func (r *networkRights) removes(s *space, who *rbac.Identity) (finding.Finding, bool) {
	for _, p := range s.policies {
		if !p.ingress && !p.egress {
			continue
		}
		allowed, path := r.rights.Allowed(who.Subject, finding.Attributes{Verb: "delete", Group: policyResource().Group, Resource: policyResource().Resource, Namespace: s.source.Name, Name: p.source.Name})
		if !allowed {
			continue
		}
		verdict, why := r.admits(&finding.AdmissionRequest{Subject: who.Subject, Operation: "DELETE", Kind: networkingv1.SchemeGroupVersion.WithKind("NetworkPolicy"),
			Resource: policyResource(), Namespace: s.source.Name, Name: p.source.Name, OldObject: p.source})
		if verdict != finding.Isolated && r.isolates(s, p) {
			return r.rightFinding("BH3010", verdict, who.Name, path, fmt.Sprintf("delete %s, which closes", snapshot.RefOf("NetworkPolicy", p.source)), why), true
		}
	}
	return finding.Finding{}, false
}

// isolates reports whether a policy isolates pods that no other one does: otherwise it may go.
func (r *networkRights) isolates(s *space, p *policy) bool {
	return slices.ContainsFunc(append(slices.Clone(s.classes), r.reach.unlabelled(s)), func(c *class) bool {
		if c.host || !p.pods.matches(c.labels) {
			return false
		}
		return !slices.ContainsFunc(s.policies, func(q *policy) bool {
			return q != p && q.pods.matches(c.labels) && (q.ingress || !p.ingress) && (q.egress || !p.egress)
		})
	})
}

// relabels tries to give the namespace a label that others' policies trust.
func (r *networkRights) relabels(s *space, who *rbac.Identity) (finding.Finding, bool) {
	for _, label := range r.trusted {
		value, has := s.source.Labels.Get(label.key)
		if bears := has && (value == label.value || label.value == ""); bears != label.holds || label.by.Namespace == s.source.Name {
			continue
		}
		allowed, path := false, []finding.Step(nil)
		for _, verb := range []string{"patch", "update"} {
			if allowed, path = r.rights.Allowed(who.Subject, finding.Attributes{Verb: verb, Resource: "namespaces", Namespace: s.source.Name, Name: s.source.Name}); allowed {
				break
			}
		}
		if !allowed {
			return finding.Finding{}, false
		}
		before, after := namespaceObject(s), namespaceObject(s)
		does, effect := fmt.Sprintf("label namespace %s with %s=%s, which %s lets in", s.source.Name, label.key, label.value, label.by), "lets in namespaces with label "+label.key+"="+label.value
		if after.Labels[label.key] = cmp.Or(label.value, "true"); label.holds {
			delete(after.Labels, label.key)
			does, effect = fmt.Sprintf("take label %s from namespace %s, by which %s holds it", label.key, s.source.Name, label.by), "holds namespaces with label "+label.key
		}
		verdict, why := r.admits(&finding.AdmissionRequest{Subject: who.Subject, Operation: "UPDATE", Kind: corev1.SchemeGroupVersion.WithKind("Namespace"),
			Resource: corev1.SchemeGroupVersion.WithResource("namespaces"), Namespace: s.source.Name, Name: s.source.Name, Object: after, OldObject: before})
		if verdict != finding.Isolated {
			return r.rightFinding("BH3011", verdict, who.Name, append(path, finding.Step{Object: label.by, Does: effect}), does, why), true
		}
	}
	return finding.Finding{}, false
}

func namespaceObject(s *space) *corev1.Namespace {
	ns := &corev1.Namespace{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Namespace"}}
	ns.Name, ns.Labels, ns.Annotations = s.source.Name, map[string]string{}, map[string]string{}
	for _, l := range s.source.Labels {
		ns.Labels[l.Key] = l.Value
	}
	for _, l := range s.source.Annotations {
		ns.Annotations[l.Key] = l.Value
	}
	return ns
}

// admits reports what admission makes of a request that has the right: Exposed if nothing refuses it, Isolated if something
// does, Unknown if that cannot be said.
func (r *networkRights) admits(request *finding.AdmissionRequest) (verdict finding.Verdict, why string) {
	if r.Admission == nil {
		return finding.Unknown, "what admission would say is not known"
	}
	answer := r.Admission.Admit(request)
	switch {
	case len(answer.RefusedBy) > 0:
		return finding.Isolated, ""
	case len(answer.Unknown) > 0 || !answer.Admitted:
		return finding.Unknown, strings.Join(answer.Unknown, "; ")
	}
	return finding.Exposed, ""
}

func (r *networkRights) rightFinding(code string, verdict finding.Verdict, who string, path []finding.Step, does, why string) finding.Finding {
	f := finding.Finding{Code: code, Verdict: verdict, What: fmt.Sprintf("%s may %s", who, does)}
	if why != "" {
		f.What += ": " + why
	}
	f.Witness = append(slices.Clone(path), finding.Step{Does: who + " may " + does})
	for _, s := range path {
		if s.Object != (snapshot.Ref{}) && !slices.Contains(f.Blame, s.Object) {
			f.Blame = append(f.Blame, s.Object)
		}
	}
	return f
}

// wide is a policy that opens a namespace, in one way.
type wide struct {
	what   string
	policy *networkingv1.NetworkPolicy
}

// widening are the ways of opening a namespace that differ by what is written, not by what it does: an
// admission policy that knows only some of them is no guardrail.
func widening() []wide {
	all := &metav1.LabelSelector{}
	allSpaces := []networkingv1.NetworkPolicyPeer{{NamespaceSelector: all}}
	world := []networkingv1.NetworkPolicyPeer{{IPBlock: &networkingv1.IPBlock{CIDR: "0.0.0.0/0"}}}
	specs := []struct {
		what string
		spec networkingv1.NetworkPolicySpec
	}{
		{"ingress from everyone", networkingv1.NetworkPolicySpec{Ingress: []networkingv1.NetworkPolicyIngressRule{{}}}},
		{"egress to everyone", networkingv1.NetworkPolicySpec{Egress: []networkingv1.NetworkPolicyEgressRule{{}}}},
		{"ingress from every namespace", networkingv1.NetworkPolicySpec{Ingress: []networkingv1.NetworkPolicyIngressRule{{From: allSpaces}}}},
		{"egress to every namespace", networkingv1.NetworkPolicySpec{Egress: []networkingv1.NetworkPolicyEgressRule{{To: allSpaces}}}},
		{"ingress from every address", networkingv1.NetworkPolicySpec{Ingress: []networkingv1.NetworkPolicyIngressRule{{From: world}}}},
		{"egress to every address", networkingv1.NetworkPolicySpec{Egress: []networkingv1.NetworkPolicyEgressRule{{To: world}}}},
	}
	list := make([]wide, 0, len(specs))
	for _, s := range specs {
		policy := &networkingv1.NetworkPolicy{TypeMeta: metav1.TypeMeta{APIVersion: "networking.k8s.io/v1", Kind: "NetworkPolicy"},
			ObjectMeta: metav1.ObjectMeta{Name: "open"}, Spec: s.spec}
		policy.Spec.PolicyTypes = []networkingv1.PolicyType{networkingv1.PolicyTypeIngress}
		if s.spec.Egress != nil {
			policy.Spec.PolicyTypes = []networkingv1.PolicyType{networkingv1.PolicyTypeEgress}
		}
		list = append(list, wide{s.what, policy})
	}
	return list
}
