package guardrail

import (
	"cmp"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/guardrail/ports"
)

// networkDefaultControl renders what a Space's pods may reach, and what may reach them.
var networkDefaultControl = Control{
	ID: "network-default", Title: "Closed by default, open as declared",
	Threat: "pod to pod across tenants",
	How: "Every Space's namespace denies both directions and opens DNS. Flows between Spaces of one tenant open as " +
		"the source declares them; across tenants both owners declare them and the Platform allows them, and only " +
		"the ports that both name open. Peers are selected by the namespace's name label, which the API server " +
		"writes. An admission policy keeps owners' own NetworkPolicies from opening more.",
	Objects: []string{"NetworkPolicy bulkhead-default", "NetworkPolicy bulkhead-flows*"},
	Needs:   "a network plugin that enforces NetworkPolicy: without one, the API server stores policies and reports no error",
	Fix: "Developer: declare the flow in your Space's spec.to or spec.from; status.closedFlows lists what is missing. " +
		"Platform: allow flows between tenants in the Platform's flows.",
	Mappings: []string{"K05", "MTB-PL1-CC-TI-2", "MTB-PL2-BC-OPS-4"},
	cases: []string{
		"from-anybody", "from-every-address", "from-everywhere*", "from-labelled", "from-own-and-address", "from-some-pods",
		"from-system", "to-every-namespace", "to-everybody", "to-everywhere", "to-own-and-address", "to-pods", "to-some-pods",
		"to-system", "own-policies",
	},
	validations: func(_ *v1alpha1.PlatformSpec) []validation {
		return []validation{ownNetworkPolicies()}
	},
}

// internalOpen is the value of a Space's spec.internal under which its pods reach each other; it is the default.
const internalOpen = "Open"

// networkFlowsName is the NetworkPolicy of the open flows of all pods. Flows of some pods only are in policies whose names
// start with it.
const networkFlowsName = "bulkhead-flows"

// networkPolicies of a Space: one that denies by default and opens DNS and, if declared, the Space to itself; and, where
// flows are open, one for all pods and one for each set of labels that flows are limited to.
func networkPolicies(in *SpaceInput) ([]Object, []ClosedFlow) {
	w := newWiring(in)
	meta := spaceMeta(in, v1alpha1.NetworkDefaultName)
	egress := []networkingv1.NetworkPolicyEgressRule{dnsRule(&in.Platform.Spec.Network.DNS)}
	var ingress []networkingv1.NetworkPolicyIngressRule
	if cmp.Or(in.Space.Spec.Internal, internalOpen) == internalOpen {
		same := []networkingv1.NetworkPolicyPeer{{PodSelector: &metav1.LabelSelector{}}}
		egress = append(egress, networkingv1.NetworkPolicyEgressRule{To: same})
		ingress = append(ingress, networkingv1.NetworkPolicyIngressRule{From: same})
	}
	objects := []Object{networkPolicy(&meta, nil, ingress, egress)}
	rules := w.rules()
	for _, key := range slices.Sorted(maps.Keys(rules)) {
		objects = append(objects, rules[key].policy(in, key))
	}
	return objects, w.closed()
}

// networkPolicy that holds the selected pods (all, without labels) to the rules in both directions.
func networkPolicy(meta *metav1.ObjectMeta, pods map[string]string,
	ingress []networkingv1.NetworkPolicyIngressRule, egress []networkingv1.NetworkPolicyEgressRule,
) *networkingv1.NetworkPolicy {
	return &networkingv1.NetworkPolicy{
		TypeMeta:   metav1.TypeMeta{APIVersion: networkingv1.SchemeGroupVersion.String(), Kind: "NetworkPolicy"},
		ObjectMeta: *meta,
		Spec: networkingv1.NetworkPolicySpec{
			PodSelector: metav1.LabelSelector{MatchLabels: pods},
			PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeIngress, networkingv1.PolicyTypeEgress},
			Ingress:     ingress,
			Egress:      egress,
		},
	}
}

func homeNetwork(t *v1alpha1.Tenant) *networkingv1.NetworkPolicy {
	meta := tenantMeta(v1alpha1.HomeNamespace(t.Name), v1alpha1.NetworkDefaultName, t.Name)
	return networkPolicy(&meta, nil, nil, nil)
}

// flowRule of a policy in either direction.
type flowRule struct {
	peer  *networkingv1.NetworkPolicyPeer
	ports ports.Set
}

// ruleSet is the rules for one set of pods.
type ruleSet struct {
	pods            map[string]string
	egress, ingress []flowRule
}

// rules of the Space's open flows, by the canonical text of the pods' labels.
func (w *wiring) rules() map[string]*ruleSet {
	sets := make(map[string]*ruleSet)
	set := func(pods map[string]string) *ruleSet {
		key := labelsText(pods)
		if sets[key] == nil {
			sets[key] = &ruleSet{pods: pods}
		}
		return sets[key]
	}
	for other := range w.spaces {
		namespace := v1alpha1.SpaceNamespace(other.tenant, other.space)
		for _, o := range w.openings(w.self, other) {
			s := set(o.sourcePods)
			s.egress = append(s.egress, flowRule{peerOf(namespace, o.destinationPods), o.ports})
		}
		for _, o := range w.openings(other, w.self) {
			s := set(o.destinationPods)
			s.ingress = append(s.ingress, flowRule{peerOf(namespace, o.sourcePods), o.ports})
		}
	}
	for i := range w.own.Spec.To {
		f := &w.own.Spec.To[i]
		if p := w.outside(outward, f); p != nil {
			s := set(f.Pods)
			s.egress = append(s.egress, flowRule{p, ports.Of(f.Ports)})
		}
	}
	for i := range w.own.Spec.From {
		f := &w.own.Spec.From[i]
		if p := w.outside(inward, f); p != nil {
			s := set(f.Pods)
			s.ingress = append(s.ingress, flowRule{p, ports.Of(f.Ports)})
		}
	}
	return sets
}

// outside is the peer of an open flow that is no Space; nil when the flow is closed or names a Space.
func (w *wiring) outside(d direction, f *v1alpha1.Flow) *networkingv1.NetworkPolicyPeer {
	if w.why(d, f) != "" || f.Space != "" {
		return nil
	}
	if f.Service != "" {
		p, _ := w.service(f.Service)
		return p
	}
	block, _ := w.ranges.block(f.CIDR)
	return &networkingv1.NetworkPolicyPeer{IPBlock: block}
}

// policy of the rules, each once and in an order that does not depend on anything but them.
func (s *ruleSet) policy(in *SpaceInput, key string) *networkingv1.NetworkPolicy {
	name := networkFlowsName
	if key != "" {
		name += "-" + shortHash(key, 10)
	}
	meta := spaceMeta(in, name)
	var ingress []networkingv1.NetworkPolicyIngressRule
	for _, r := range sorted(s.ingress) {
		ingress = append(ingress, networkingv1.NetworkPolicyIngressRule{
			From: []networkingv1.NetworkPolicyPeer{*r.peer}, Ports: r.ports.Rules(),
		})
	}
	var egress []networkingv1.NetworkPolicyEgressRule
	for _, r := range sorted(s.egress) {
		egress = append(egress, networkingv1.NetworkPolicyEgressRule{
			To: []networkingv1.NetworkPolicyPeer{*r.peer}, Ports: r.ports.Rules(),
		})
	}
	return networkPolicy(&meta, s.pods, ingress, egress)
}

func sorted(rules []flowRule) []flowRule {
	texts := make(map[string]flowRule, len(rules))
	for _, r := range rules {
		text, _ := json.Marshal(r.peer) //nolint:errchkjson // of strings alone
		texts[string(text)+r.ports.String()] = r
	}
	list := make([]flowRule, 0, len(texts))
	for _, key := range slices.Sorted(maps.Keys(texts)) {
		list = append(list, texts[key])
	}
	return list
}

// labelsText is the same for equal labels and different for others; no key or value of a label holds these signs.
func labelsText(labels map[string]string) string {
	words := make([]string, 0, len(labels))
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		words = append(words, key+"="+labels[key])
	}
	return strings.Join(words, ",")
}

// ownNetworkPolicies (control network-default): policies add up, so a tenant's own may open what is within its namespace
// and nothing else. Wider flows are declared on the Space, where both sides are asked.
func ownNetworkPolicies() validation {
	rule := func(peers string) string {
		return strings.ReplaceAll(`r, size(r.?PEERS.orValue([])) == 0 ||
 r.PEERS.exists(p, !has(p.podSelector) || has(p.namespaceSelector) || has(p.ipBlock))`, "PEERS", peers)
	}
	advice := "every rule needs peers, and a peer only a podSelector of this namespace; for more, declare a flow on the Space"
	return validation{
		name:  "network-policies",
		about: "Tenants' own NetworkPolicies open flows inside their namespace only.",
		match: match{
			rules:      []admissionv1.NamedRuleWithOperations{on("networking.k8s.io", []string{"networkpolicies"}, onCreate, onUpdate)},
			namespaces: inSpaces(), conditions: specChanged(),
		},
		checks: []check{{
			expression: celMayChange() + " || !object.spec.?ingress.orValue([]).exists(" + rule("from") + ")",
			message:    celString("ingress is open to more than this namespace; " + advice),
			fallback:   "ingress is open to more than this namespace; " + advice,
			reason:     metav1.StatusReasonForbidden,
		}, {
			expression: celMayChange() + " || !object.spec.?egress.orValue([]).exists(" + rule("to") + ")",
			message:    celString("egress is open to more than this namespace; " + advice),
			fallback:   "egress is open to more than this namespace; " + advice,
			reason:     metav1.StatusReasonForbidden,
		}},
	}
}
