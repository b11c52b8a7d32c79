package hostile

import (
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
)

// networkCases open what the platform closed: policies add up, so one that is too wide is enough. None can be waived.
func networkCases() []Case {
	const all, metadata = "network-default", "network-metadata"
	// widen is a case of a new policy; what it opens decides which words the refusal has.
	widen := func(control, id, title string, open func(*networkingv1.NetworkPolicySpec)) Case {
		spec := networkingv1.NetworkPolicySpec{}
		open(&spec)
		says := "egress is open to more than this namespace"
		if len(spec.Ingress) > 0 {
			says = "ingress is open to more than this namespace"
		}
		return ownObject(id, control, title, harmlessPolicy, createNetworkPolicy("create a NetworkPolicy that "+title, open), byPolicy("network-policies", says))
	}
	everyNamespace := networkingv1.NetworkPolicyPeer{NamespaceSelector: &metav1.LabelSelector{}}
	labelled := networkingv1.NetworkPolicyPeer{NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"team": "friends"}}}
	systemOnly := networkingv1.NetworkPolicyPeer{NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: metav1.NamespaceSystem}}}
	somePods := networkingv1.NetworkPolicyPeer{NamespaceSelector: &metav1.LabelSelector{}, PodSelector: &metav1.LabelSelector{}}
	own := networkingv1.NetworkPolicyPeer{PodSelector: &metav1.LabelSelector{}}
	narrow := patchOf(map[string]any{"podSelector": map[string]any{"matchLabels": map[string]any{"app": nothing}}})
	return always(
		widen(all, "from-everywhere", "opens its pods to every namespace", from(everyNamespace)),
		widen(all, "from-anybody", "opens its pods to every peer", from()),
		widen(all, "from-labelled", "opens its pods to namespaces by a label that any might have", from(labelled)),
		widen(all, "from-some-pods", "opens its pods to some pods of every namespace", from(somePods)),
		widen(all, "from-system", "opens its pods to another namespace", from(systemOnly)),
		widen(all, "from-every-address", "opens its pods to every address", from(block("0.0.0.0/0"))),
		widen(all, "from-own-and-address", "opens its pods to its own and to one address", from(own, block("203.0.113.1/32"))),
		widen(all, "to-everywhere", "opens the way to every address", to(block("0.0.0.0/0"))),
		widen(all, "to-everybody", "opens the way to every peer", to()),
		widen(all, "to-every-namespace", "opens the way to every namespace", to(everyNamespace)),
		widen(all, "to-some-pods", "opens the way to some pods of every namespace", to(somePods)),
		widen(all, "to-system", "opens the way to another namespace", to(systemOnly)),
		widen(all, "to-own-and-address", "opens the way to its own pods and to one address", to(own, block("203.0.113.1/32"))),
		widen(all, "to-pods", "opens the way to the pods' addresses", to(block("10.0.0.0/8"))),
		ownObject("from-everywhere-by-patch", all, "opens a policy that was narrow to every namespace",
			patchOwn("change the pods of a NetworkPolicy", networkingv1.GroupName, "networkpolicies", narrow),
			patchOwn("change a NetworkPolicy into one that lets every peer in", networkingv1.GroupName, "networkpolicies", patchOf(map[string]any{"ingress": []any{map[string]any{}}})),
			byPolicy("network-policies", "ingress is open to more than this namespace")),
		widen(metadata, "by-policy", "opens the way to the cloud's metadata service", to(block("169.254.169.254/32"))),
		widen(metadata, "by-wide-policy", "opens the way to link-local addresses", to(block("169.254.0.0/16"))),
		widen(metadata, "by-ipv6-policy", "opens the way to every IPv6 address", to(block("::/0"))))
}

// harmlessPolicy lets pods of the same namespace in and out.
var harmlessPolicy = createNetworkPolicy("create a NetworkPolicy of its own", func(*networkingv1.NetworkPolicySpec) {})

// createNetworkPolicy creates the harmless policy with a change.
func createNetworkPolicy(title string, change func(*networkingv1.NetworkPolicySpec)) Step {
	return create(title, networkingv1.GroupName, "networkpolicies", func(s Scene) any {
		policy := &networkingv1.NetworkPolicy{
			TypeMeta:   metav1.TypeMeta{APIVersion: "networking.k8s.io/v1", Kind: "NetworkPolicy"},
			ObjectMeta: marked(s),
		}
		policy.Spec.PodSelector.MatchLabels = map[string]string{"app": v1alpha1.AttackName}
		policy.Spec.PolicyTypes = []networkingv1.PolicyType{networkingv1.PolicyTypeIngress, networkingv1.PolicyTypeEgress}
		own := networkingv1.NetworkPolicyPeer{PodSelector: &metav1.LabelSelector{}}
		from(own)(&policy.Spec)
		to(own)(&policy.Spec)
		change(&policy.Spec)
		return policy
	})
}

// from lets peers in; without any, every peer.
func from(peers ...networkingv1.NetworkPolicyPeer) func(*networkingv1.NetworkPolicySpec) {
	return func(spec *networkingv1.NetworkPolicySpec) {
		spec.Ingress = []networkingv1.NetworkPolicyIngressRule{{From: peers}}
	}
}

// to opens the way to peers; without any, to every peer.
func to(peers ...networkingv1.NetworkPolicyPeer) func(*networkingv1.NetworkPolicySpec) {
	return func(spec *networkingv1.NetworkPolicySpec) {
		spec.Egress = []networkingv1.NetworkPolicyEgressRule{{To: peers}}
	}
}

func block(cidr string) networkingv1.NetworkPolicyPeer {
	return networkingv1.NetworkPolicyPeer{IPBlock: &networkingv1.IPBlock{CIDR: cidr}}
}
