package network

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
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	adminv1alpha1 "sigs.k8s.io/network-policy-api/apis/v1alpha1"
	adminv1alpha2 "sigs.k8s.io/network-policy-api/apis/v1alpha2"

	"github.com/bulkhead-dev/bulkhead/isolation/finding"
	"github.com/bulkhead-dev/bulkhead/isolation/rbac"
	"github.com/bulkhead-dev/bulkhead/snapshot"
)

// ownRights adds what tenants may do about their isolation by their own rights: open it by policies, and take labels that
// policies trust. What admission would say decides; without it, such a right is Unknown.
func (n *networkFindings) ownRights() {
	r := &networkRights{networkFindings: n, trusted: n.trustedLabels(), widening: widening(), harmless: harmlessPolicy(),
		administrators: n.ofAdministrators(), plugins: n.pluginsHere()}
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
	// harmless is a policy that opens nothing.
	harmless *networkingv1.NetworkPolicy
	// administrators are the policies of administrators that are there, plugins the kinds of network plugins that roles name.
	administrators []ofAdministrators
	plugins        []schema.GroupResource
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
	identities := r.rights.Identities(tenant)
	for i := range identities {
		for _, f := range r.lifts(&identities[i]) {
			if !done[f.Code+string(f.Verdict)] {
				done[f.Code+string(f.Verdict)] = true
				f.From, f.To = r.Tenants[tenant].Name, finding.EveryTenant
				findings = append(findings, f)
			}
		}
	}
	for _, ns := range r.Tenants[tenant].Namespaces {
		i, exists := r.reach.byName[ns]
		if !exists {
			continue
		}
		for _, who := range identities {
			for _, try := range []func(*space, *rbac.Identity) (finding.Finding, bool){r.opens, r.removes, r.changes, r.relabels, r.ofPlugins} {
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
	how, allowed := who.May(finding.Attributes{Verb: "create", Group: policyResource().Group, Resource: policyResource().Resource, Namespace: s.source.Name})
	if !allowed {
		return finding.Finding{}, false
	}
	for _, w := range r.widening {
		verdict, why, first := r.admits(how.Doubt, &finding.AdmissionRequest{Subject: who.Subject, Operation: "CREATE", Kind: networkingv1.SchemeGroupVersion.WithKind("NetworkPolicy"),
			Resource: policyResource(), Namespace: s.source.Name, Name: w.policy.Name, Object: w.policy})
		if verdict != finding.Isolated {
			return r.rightFinding("BH3010", verdict, who.Name, slices.Concat(first, how.Path), fmt.Sprintf("make a NetworkPolicy in namespace %s that allows %s", s.source.Name, w.what), why), true
		}
	}
	return finding.Finding{}, false
}

// isolates reports whether a policy isolates pods that no other one does: otherwise it may go.
func (r *networkRights) isolates(s *space, p *policy) bool {
	if slices.ContainsFunc(s.classes, func(c *class) bool { return c.choice != nil }) {
		alone := choice{must: p.pods.requirements} // whatever admission takes
		for _, q := range s.policies {
			if q != p && (q.ingress || !p.ingress) && (q.egress || !p.egress) {
				alone.avoid = append(alone.avoid, q.pods)
			}
		}
		return alone.may(selector{})
	}
	return slices.ContainsFunc(append(slices.Clone(s.classes), r.reach.unlabelled(s)), func(c *class) bool {
		if !c.selectedBy(p) {
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
		how, allowed := rbac.Permit{}, false
		for _, verb := range []string{"patch", "update"} {
			if how, allowed = who.May(finding.Attributes{Verb: verb, Resource: "namespaces", Namespace: s.source.Name, Name: s.source.Name}); allowed {
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
		verdict, why, first := r.admits(how.Doubt, &finding.AdmissionRequest{Subject: who.Subject, Operation: "UPDATE", Kind: corev1.SchemeGroupVersion.WithKind("Namespace"),
			Resource: corev1.SchemeGroupVersion.WithResource("namespaces"), Namespace: s.source.Name, Name: s.source.Name, Object: after, OldObject: before})
		if verdict != finding.Isolated {
			return r.rightFinding("BH3011", verdict, who.Name, slices.Concat(first, how.Path, []finding.Step{{Object: label.by, Does: effect}}), does, why), true
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
// does, Unknown if that cannot be said, or whether the right is there.
func (r *networkRights) admits(doubt string, request *finding.AdmissionRequest) (verdict finding.Verdict, why string, first []finding.Step) {
	if r.Admission == nil {
		return finding.Unknown, "what admission would say is not known", nil
	}
	answer := r.Admission.Admit(request)
	switch {
	case len(answer.RefusedBy) > 0:
		return finding.Isolated, "", nil
	case len(answer.Unknown) > 0 || !answer.Admitted:
		return finding.Unknown, strings.Join(answer.Unknown, "; "), answer.First
	case doubt != "":
		return finding.Unknown, doubt, answer.First
	}
	return finding.Exposed, "", answer.First
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

// mayAny reports whether an identity has one of some rights over an object, without a doubt if it has one so. A collection has no name.
func mayAny(who *rbac.Identity, a finding.Attributes, verbs ...string) (how rbac.Permit, may bool) {
	for _, verb := range verbs {
		asked := a
		if asked.Verb = verb; verb == "deletecollection" {
			asked.Name = ""
		}
		if permit, allowed := who.May(asked); allowed {
			if how, may = permit, true; how.Doubt == "" {
				break
			}
		}
	}
	return how, may
}

// policyIn is what RBAC is asked about a NetworkPolicy of a namespace.
func policyIn(s *space, name string) finding.Attributes {
	return finding.Attributes{Group: policyResource().Group, Resource: policyResource().Resource, Namespace: s.source.Name, Name: name}
}

// removes tries to delete a policy that closes, alone or with all others.
func (r *networkRights) removes(s *space, who *rbac.Identity) (finding.Finding, bool) {
	for _, p := range s.policies {
		if !p.ingress && !p.egress {
			continue
		}
		how, allowed := mayAny(who, policyIn(s, p.source.Name), "delete", "deletecollection")
		if !allowed {
			continue
		}
		verdict, why, first := r.admits(how.Doubt, &finding.AdmissionRequest{Subject: who.Subject, Operation: "DELETE", Kind: networkingv1.SchemeGroupVersion.WithKind("NetworkPolicy"),
			Resource: policyResource(), Namespace: s.source.Name, Name: p.source.Name, OldObject: p.source})
		if verdict != finding.Isolated && r.isolates(s, p) {
			return r.rightFinding("BH3010", verdict, who.Name, slices.Concat(first, how.Path), fmt.Sprintf("delete %s, which closes", snapshot.RefOf("NetworkPolicy", p.source)), why), true
		}
	}
	return finding.Finding{}, false
}

// changes tries to change a policy that is there: to select no pod, and to open what it closes.
func (r *networkRights) changes(s *space, who *rbac.Identity) (finding.Finding, bool) {
	for _, p := range s.policies {
		how, allowed := mayAny(who, policyIn(s, p.source.Name), "update", "patch")
		if !allowed {
			continue
		}
		to := []wide{{"no pod, where it closed", p.source.DeepCopy()}}
		to[0].policy.Spec.PodSelector = metav1.LabelSelector{MatchLabels: map[string]string{"no": "pod"}}
		for _, w := range r.widening[:2] {
			after := p.source.DeepCopy()
			after.Spec = w.policy.Spec
			to = append(to, wide{w.what, after})
		}
		for i, w := range to {
			if i == 0 && !p.ingress && !p.egress {
				continue
			}
			verdict, why, first := r.admits(how.Doubt, &finding.AdmissionRequest{Subject: who.Subject, Operation: "UPDATE", Kind: networkingv1.SchemeGroupVersion.WithKind("NetworkPolicy"),
				Resource: policyResource(), Namespace: s.source.Name, Name: p.source.Name, Object: w.policy, OldObject: p.source})
			if verdict == finding.Isolated || i == 0 && !r.isolates(s, p) {
				continue
			}
			does := "allows "
			if i == 0 {
				does = "selects "
			}
			return r.rightFinding("BH3010", verdict, who.Name, slices.Concat(first, how.Path),
				fmt.Sprintf("change %s into one that %s", snapshot.RefOf("NetworkPolicy", p.source), does+w.what), why), true
		}
	}
	return r.changesOwn(s, who)
}

// changesOwn tries to open by a change of a harmless policy of its own: what refuses such a policy may look at creations alone.
func (r *networkRights) changesOwn(s *space, who *rbac.Identity) (finding.Finding, bool) {
	how, allowed := mayAny(who, policyIn(s, r.harmless.Name), "update", "patch")
	if _, creates := mayAny(who, policyIn(s, ""), "create"); len(s.policies) == 0 || !allowed || !creates {
		return finding.Finding{}, false
	}
	for _, w := range r.widening {
		verdict, why, first := r.admits(how.Doubt, &finding.AdmissionRequest{Subject: who.Subject, Operation: "UPDATE", Kind: networkingv1.SchemeGroupVersion.WithKind("NetworkPolicy"),
			Resource: policyResource(), Namespace: s.source.Name, Name: w.policy.Name, Object: w.policy, OldObject: r.harmless})
		if verdict != finding.Isolated {
			return r.rightFinding("BH3010", verdict, who.Name, slices.Concat(first, how.Path),
				fmt.Sprintf("change a NetworkPolicy of its own in namespace %s into one that allows %s", s.source.Name, w.what), why), true
		}
	}
	return finding.Finding{}, false
}

// harmlessPolicy closes, and opens nothing.
func harmlessPolicy() *networkingv1.NetworkPolicy {
	return &networkingv1.NetworkPolicy{TypeMeta: metav1.TypeMeta{APIVersion: "networking.k8s.io/v1", Kind: "NetworkPolicy"}, ObjectMeta: metav1.ObjectMeta{Name: "open"},
		Spec: networkingv1.NetworkPolicySpec{PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeIngress, networkingv1.PolicyTypeEgress}}}
}

// ofAdministrators is a policy of administrators that is there, and the same without its rules.
type ofAdministrators struct {
	kind     schema.GroupVersionKind
	resource string
	name     string
	was, is  runtime.Object
}

// ofAdministrators are the policies before and behind those of namespaces.
func (n *networkFindings) ofAdministrators() []ofAdministrators {
	var list []ofAdministrators
	for _, p := range n.AdminNetworkPolicies {
		is := p.DeepCopy()
		is.Spec.Ingress, is.Spec.Egress = nil, nil
		list = append(list, ofAdministrators{schema.GroupVersion(adminv1alpha1.GroupVersion).WithKind("AdminNetworkPolicy"), "adminnetworkpolicies", p.Name, p, is})
	}
	for _, p := range n.BaselineAdminNetworkPolicies {
		is := p.DeepCopy()
		is.Spec.Ingress, is.Spec.Egress = nil, nil
		list = append(list, ofAdministrators{schema.GroupVersion(adminv1alpha1.GroupVersion).WithKind("BaselineAdminNetworkPolicy"), "baselineadminnetworkpolicies", p.Name, p, is})
	}
	for _, p := range n.ClusterNetworkPolicies {
		is := p.DeepCopy()
		is.Spec.Ingress, is.Spec.Egress = nil, nil
		list = append(list, ofAdministrators{schema.GroupVersion(adminv1alpha2.GroupVersion).WithKind("ClusterNetworkPolicy"), "clusternetworkpolicies", p.Name, p, is})
	}
	return list
}

// lifts tries to take the rules of administrators away.
func (r *networkRights) lifts(who *rbac.Identity) []finding.Finding {
	var findings []finding.Finding
	for _, p := range r.administrators {
		asked := finding.Attributes{Group: p.kind.Group, Resource: p.resource, Name: p.name}
		request := finding.AdmissionRequest{Subject: who.Subject, Operation: "DELETE", Kind: p.kind,
			Resource: p.kind.GroupVersion().WithResource(p.resource), Name: p.name, OldObject: p.was}
		for _, verbs := range [][]string{{"delete", "deletecollection"}, {"update", "patch"}} {
			how, allowed := mayAny(who, asked, verbs...)
			if !allowed {
				continue
			}
			if verbs[0] == "update" {
				request.Operation, request.Object = "UPDATE", p.is
			}
			sent := request
			verdict, why, _ := r.admits(how.Doubt, &sent)
			if verdict != finding.Isolated {
				findings = append(findings, r.rightFinding("BH3010", verdict, who.Name, how.Path, fmt.Sprintf("lift the rules of %s %s", p.kind.Kind, p.name), why))
			}
		}
	}
	return findings
}

// pluginKinds are policies of network plugins and meshes that open by themselves what NetworkPolicies close, or lead traffic elsewhere.
func pluginKinds() []schema.GroupResource {
	return []schema.GroupResource{
		{Group: "cilium.io", Resource: "ciliumnetworkpolicies"}, {Group: "cilium.io", Resource: "ciliumlocalredirectpolicies"},
		{Group: "cilium.io", Resource: "ciliumenvoyconfigs"}, {Group: "crd.projectcalico.org", Resource: "networkpolicies"},
		{Group: "projectcalico.org", Resource: "networkpolicies"}, {Group: "crd.antrea.io", Resource: "networkpolicies"},
		{Group: "k8s.cni.cncf.io", Resource: "network-attachment-definitions"}, {Group: "networking.istio.io", Resource: "envoyfilters"},
	}
}

// pluginsHere are those of these kinds that a role names. A rule over every group says nothing about which plugin is there.
func (n *networkFindings) pluginsHere() []schema.GroupResource {
	named := map[string]bool{}
	note := func(rules []rbacv1.PolicyRule) {
		for i := range rules {
			for _, group := range rules[i].APIGroups {
				named[group] = true
			}
		}
	}
	for _, o := range n.Roles {
		note(o.Rules)
	}
	for _, o := range n.ClusterRoles {
		note(o.Rules)
	}
	return slices.DeleteFunc(pluginKinds(), func(kind schema.GroupResource) bool { return !named[kind.Group] })
}

// ofPlugins names the kinds of network plugins over which an identity has a right that names them.
func (r *networkRights) ofPlugins(s *space, who *rbac.Identity) (finding.Finding, bool) {
	nowhere := finding.Attributes{Group: "nowhere.invalid", Resource: "nothing", Namespace: s.source.Name}
	for _, kind := range r.plugins {
		how, allowed := mayAny(who, finding.Attributes{Group: kind.Group, Resource: kind.Resource, Namespace: s.source.Name}, "create", "update", "patch")
		if _, every := mayAny(who, nowhere, "create", "update", "patch"); !allowed || every {
			continue
		}
		return r.rightFinding("BH3010", finding.Unknown, who.Name, how.Path,
			fmt.Sprintf("write %s in namespace %s", kind, s.source.Name), "they may open what NetworkPolicies close, and no check reads them"), true
	}
	return finding.Finding{}, false
}
