package isolation

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// rights adds what tenants may do about their fence by their own rights: open it by policies, and take labels that
// policies trust. What admission would say decides; without it, such a right is Unknown.
func (n *networkFindings) rights() {
	r := &networkRights{networkFindings: n, rbac: NewRBAC(n.Snapshot), trusted: n.trustedLabels()}
	found := make([][]Finding, len(n.Tenants))
	n.reach.parallel(len(n.Tenants), func(i int) { found[i] = r.ofTenant(i) })
	byCode := map[string][]Finding{}
	for _, f := range slices.Concat(found...) {
		byCode[f.Code+string(f.Verdict)] = append(byCode[f.Code+string(f.Verdict)], f)
	}
	for _, key := range slices.Sorted(maps.Keys(byCode)) {
		n.list = append(n.list, n.everybodys(byCode[key])...)
	}
}

// everybodys makes one finding of one that every tenant has.
func (n *networkFindings) everybodys(findings []Finding) []Finding {
	from := map[string]bool{}
	for i := range findings {
		from[findings[i].From] = true
	}
	if len(from) < manyAlike || len(from) < len(n.Tenants) {
		return findings
	}
	one := findings[0]
	one.From, one.Blame = EveryTenant, nil
	for i := range findings {
		for _, o := range findings[i].Blame {
			if !slices.Contains(one.Blame, o) && len(one.Blame) < maxBlame {
				one.Blame = append(one.Blame, o)
			}
		}
	}
	one.What = fmt.Sprintf("it is the same for every tenant, such as: %s", one.What)
	return []Finding{one}
}

// networkRights looks at rights over policies and labels.
type networkRights struct {
	*networkFindings
	rbac    *RBAC
	trusted []trustedLabel
}

// trustedLabel is a label of namespaces that a policy goes by.
type trustedLabel struct {
	by         Object
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
					list = append(list, trustedBy(Object{"NetworkPolicy", p.source.Namespace, p.source.Name}, a.peer.namespaces, false)...)
				}
			}
		}
	}
	known := map[trustedLabel]bool{}
	return slices.DeleteFunc(list, func(l trustedLabel) bool {
		l.by = Object{}
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
		by := Object{Kind: rule.policy.kind, Name: rule.policy.name}
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

// trustedBy are the labels that a selector asks for. Whoever lacks one that it asks to lack has nothing to take.
func trustedBy(by Object, s selector, holds bool) []trustedLabel {
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

// subjects that have a tenant's rights: its owners, who is bound in its namespaces and is not Kubernetes' own, and the
// service accounts of its namespaces.
func (p *proof) subjects(tenant int) []Subject {
	t := &p.Tenants[tenant]
	known := map[string]bool{}
	var list []Subject
	add := func(s Subject) {
		if key := s.User + "|" + strings.Join(s.Groups, ","); !known[key] {
			known[key] = true
			list = append(list, s)
		}
	}
	people := func(s rbacv1.Subject, namespace string) {
		switch {
		case s.Kind == rbacv1.ServiceAccountKind:
			if ns := cmp.Or(s.Namespace, namespace); p.owner[ns] == t.Name {
				add(ServiceAccount(ns, s.Name))
			}
		case strings.HasPrefix(s.Name, "system:"):
		case s.Kind == rbacv1.UserKind:
			add(Subject{User: s.Name, Groups: []string{groupAuthenticated}})
		case s.Kind == rbacv1.GroupKind:
			add(Subject{User: "a member of " + s.Name, Groups: []string{s.Name, groupAuthenticated}})
		}
	}
	for _, o := range t.Owners {
		people(o, "")
	}
	for _, ns := range t.Namespaces {
		for _, b := range within(p.RoleBindings, ns, func(b *rbacv1.RoleBinding) string { return b.Namespace }) {
			for _, s := range b.Subjects {
				people(s, ns)
			}
		}
		add(ServiceAccount(ns, "default"))
		for _, a := range within(p.ServiceAccounts, ns, func(a *corev1.ServiceAccount) string { return a.Namespace }) {
			add(ServiceAccount(ns, a.Name))
		}
	}
	return list
}

// ofTenant finds at most one way of each kind, the first there is.
func (r *networkRights) ofTenant(tenant int) []Finding {
	var findings []Finding
	done := map[string]bool{}
	subjects := r.subjects(tenant)
	for _, ns := range r.Tenants[tenant].Namespaces {
		i, exists := r.reach.byName[ns]
		if !exists {
			continue
		}
		for _, s := range subjects {
			for _, try := range []func(*space, Subject) (Finding, bool){r.opens, r.removes, r.relabels} {
				if f, found := try(r.reach.spaces[i], s); found && !done[f.Code+string(f.Verdict)] {
					done[f.Code+string(f.Verdict)] = true
					f.From, f.To = r.Tenants[tenant].Name, EveryTenant
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
func (r *networkRights) opens(s *space, subject Subject) (Finding, bool) {
	if len(s.policies) == 0 {
		return Finding{}, false
	}
	allowed, path := r.rbac.Allowed(subject, Attributes{Verb: "create", Group: policyResource().Group, Resource: policyResource().Resource, Namespace: s.source.Name})
	if !allowed {
		return Finding{}, false
	}
	for _, w := range widening(s.source.Name) {
		verdict, why := r.admits(&AdmissionRequest{Subject: subject, Operation: "CREATE", Kind: networkingv1.SchemeGroupVersion.WithKind("NetworkPolicy"),
			Resource: policyResource(), Namespace: s.source.Name, Name: w.policy.Name, Object: w.policy})
		if verdict != Isolated {
			return r.rightFinding("BH3010", verdict, subject, path, fmt.Sprintf("make a NetworkPolicy in namespace %s that allows %s", s.source.Name, w.what), why), true
		}
	}
	return Finding{}, false
}

// removes tries to delete a policy that closes.
func (r *networkRights) removes(s *space, subject Subject) (Finding, bool) {
	for _, p := range s.policies {
		if !p.ingress && !p.egress {
			continue
		}
		allowed, path := r.rbac.Allowed(subject, Attributes{Verb: "delete", Group: policyResource().Group, Resource: policyResource().Resource, Namespace: s.source.Name, Name: p.source.Name})
		if !allowed {
			continue
		}
		verdict, why := r.admits(&AdmissionRequest{Subject: subject, Operation: "DELETE", Kind: networkingv1.SchemeGroupVersion.WithKind("NetworkPolicy"),
			Resource: policyResource(), Namespace: s.source.Name, Name: p.source.Name, OldObject: p.source})
		if verdict != Isolated && r.isolates(s, p) {
			return r.rightFinding("BH3010", verdict, subject, path, fmt.Sprintf("delete NetworkPolicy %s/%s, which closes", s.source.Name, p.source.Name), why), true
		}
	}
	return Finding{}, false
}

// isolates says whether a policy isolates pods that no other one does: otherwise it may go.
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
func (r *networkRights) relabels(s *space, subject Subject) (Finding, bool) {
	for _, label := range r.trusted {
		value, has := s.source.Labels.Get(label.key)
		if bears := has && (value == label.value || label.value == ""); bears != label.holds || label.by.Namespace == s.source.Name {
			continue
		}
		allowed, path := false, []Step(nil)
		for _, verb := range []string{"patch", "update"} {
			if allowed, path = r.rbac.Allowed(subject, Attributes{Verb: verb, Resource: "namespaces", Namespace: s.source.Name, Name: s.source.Name}); allowed {
				break
			}
		}
		if !allowed {
			return Finding{}, false
		}
		before, after := namespaceObject(s), namespaceObject(s)
		does, effect := fmt.Sprintf("label namespace %s with %s=%s, which %s lets in", s.source.Name, label.key, label.value, label.by), "lets in namespaces with label "+label.key+"="+label.value
		if after.Labels[label.key] = cmp.Or(label.value, "true"); label.holds {
			delete(after.Labels, label.key)
			does, effect = fmt.Sprintf("take label %s from namespace %s, by which %s holds it", label.key, s.source.Name, label.by), "holds namespaces with label "+label.key
		}
		verdict, why := r.admits(&AdmissionRequest{Subject: subject, Operation: "UPDATE", Kind: corev1.SchemeGroupVersion.WithKind("Namespace"),
			Resource: corev1.SchemeGroupVersion.WithResource("namespaces"), Namespace: s.source.Name, Name: s.source.Name, Object: after, OldObject: before})
		if verdict != Isolated {
			return r.rightFinding("BH3011", verdict, subject, append(path, Step{label.by, effect}), does, why), true
		}
	}
	return Finding{}, false
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

// admits says what admission makes of a request that has the right: Exposed if nothing refuses it, Isolated if something
// does, Unknown if that cannot be said.
func (r *networkRights) admits(request *AdmissionRequest) (verdict Verdict, why string) {
	if r.Admission == nil {
		return Unknown, "what admission would say is not known"
	}
	answer := r.Admission.Admit(request)
	switch {
	case len(answer.RefusedBy) > 0:
		return Isolated, ""
	case len(answer.Unknown) > 0 || !answer.Admitted:
		return Unknown, strings.Join(answer.Unknown, "; ")
	}
	return Exposed, ""
}

func (r *networkRights) rightFinding(code string, verdict Verdict, subject Subject, path []Step, does, why string) Finding {
	who := cmp.Or(subject.User, strings.Join(subject.Groups, ", "))
	f := Finding{Code: code, Verdict: verdict, What: fmt.Sprintf("%s may %s", who, does)}
	if why != "" {
		f.What += ": " + why
	}
	f.Witness = append(slices.Clone(path), Step{Does: who + " may " + does})
	for _, s := range path {
		if s.Object != (Object{}) && !slices.Contains(f.Blame, s.Object) {
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

// widening are the ways of opening a namespace that are told apart by what is written, not by what it does: an
// admission policy that knows only some of them is no fence.
func widening(namespace string) []wide {
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
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "open"}, Spec: s.spec}
		policy.Spec.PolicyTypes = []networkingv1.PolicyType{networkingv1.PolicyTypeIngress}
		if s.spec.Egress != nil {
			policy.Spec.PolicyTypes = []networkingv1.PolicyType{networkingv1.PolicyTypeEgress}
		}
		list = append(list, wide{s.what, policy})
	}
	return list
}
