package clustergen

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	adminv1alpha2 "sigs.k8s.io/network-policy-api/apis/v1alpha2"
)

func labelled(key, value string) *metav1.LabelSelector {
	return &metav1.LabelSelector{MatchLabels: map[string]string{key: value}}
}

func policy(namespace, name string, spec networkingv1.NetworkPolicySpec) *networkingv1.NetworkPolicy {
	return &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, Spec: spec}
}

// policies that a careful platform team gives a tenant's namespace.
func (g *generator) policies(namespace, tenant string) []*networkingv1.NetworkPolicy {
	sameTenant := []networkingv1.NetworkPolicyPeer{{NamespaceSelector: labelled(TenantLabel, tenant)}}
	dns := []networkingv1.NetworkPolicyPeer{{NamespaceSelector: labelled(corev1.LabelMetadataName, "kube-system"), PodSelector: labelled("k8s-app", "kube-dns")}}
	ingress := []networkingv1.NetworkPolicyPeer{{NamespaceSelector: labelled("role", "ingress")}}
	return []*networkingv1.NetworkPolicy{
		policy(namespace, "default-deny", networkingv1.NetworkPolicySpec{PolicyTypes: both}),
		policy(namespace, "same-tenant", networkingv1.NetworkPolicySpec{PolicyTypes: both,
			Ingress: []networkingv1.NetworkPolicyIngressRule{{From: sameTenant}},
			Egress:  []networkingv1.NetworkPolicyEgressRule{{To: sameTenant}}}),
		policy(namespace, "dns", networkingv1.NetworkPolicySpec{PolicyTypes: both[1:],
			Egress: []networkingv1.NetworkPolicyEgressRule{{To: dns, Ports: []networkingv1.NetworkPolicyPort{
				{Protocol: new(corev1.ProtocolUDP), Port: new(intstr.FromInt32(53))}, {Protocol: new(corev1.ProtocolTCP), Port: new(intstr.FromInt32(53))}}}}}),
		policy(namespace, "ingress", networkingv1.NetworkPolicySpec{PolicyTypes: both[:1], PodSelector: *labelled("app", "web"),
			Ingress: []networkingv1.NetworkPolicyIngressRule{{From: ingress, Ports: []networkingv1.NetworkPolicyPort{{Port: new(intstr.FromString("http"))}}}}}),
	}
}

// mistake spoils a namespace's labels or policies in one of the ways that are found in the wild.
func (g *generator) mistake(namespace string, labels map[string]string, policies []*networkingv1.NetworkPolicy) []*networkingv1.NetworkPolicy {
	everywhere := []networkingv1.NetworkPolicyPeer{{NamespaceSelector: &metav1.LabelSelector{}}}
	mistakes := []struct {
		what string
		make func()
	}{
		{"no policies at all", func() { policies = nil }},
		{"ingress from everyone on the web port", func() { policies[3].Spec.Ingress[0].From = nil }},
		{"ingress from every namespace", func() { policies[1].Spec.Ingress[0].From = everywhere }},
		{"egress to everyone", func() { policies[1].Spec.Egress[0].To = nil }},
		{"egress to 0.0.0.0/0, pods included", func() {
			policies[1].Spec.Egress = append(policies[1].Spec.Egress, networkingv1.NetworkPolicyEgressRule{
				To: []networkingv1.NetworkPolicyPeer{{IPBlock: &networkingv1.IPBlock{CIDR: "0.0.0.0/0", Except: []string{"169.254.169.254/32"}}}}})
		}},
		{"egress never isolated: policyTypes forgotten", func() {
			for _, p := range policies {
				p.Spec.PolicyTypes = both[:1]
			}
		}},
		{"default deny selects no pod", func() {
			for _, p := range policies[:3] {
				p.Spec.PodSelector = *labelled("app", "wed")
			}
		}},
		{"another tenant's label", func() { labels[TenantLabel] = "tenant-00000" }},
	}
	m := mistakes[g.IntN(len(mistakes))]
	m.make()
	g.mistakes = append(g.mistakes, Mistake{namespace, m.what})
	return policies
}

// cohorts is the number of groups of tenants that an administrator treats differently.
const cohorts = 50

func cohort(tenant int) string { return fmt.Sprintf("cohort-%02d", tenant%cohorts) }

// adminPolicies are those of administrators: DNS and the metadata service for everyone, then one for each cohort in turn
// that lets a monitoring namespace in, and keeps out the cohort that comes next.
func (g *generator) adminPolicies() {
	everyone := adminv1alpha2.ClusterNetworkPolicySubject{Namespaces: &metav1.LabelSelector{}}
	for i := range g.AdminPolicies {
		p := &adminv1alpha2.ClusterNetworkPolicy{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("admin-%03d", i)}}
		p.Spec.Tier, p.Spec.Priority, p.Spec.Subject = adminv1alpha2.AdminTier, int32(i), everyone
		switch i {
		case 0:
			p.Spec.Egress = []adminv1alpha2.ClusterNetworkPolicyEgressRule{{Action: adminv1alpha2.ClusterNetworkPolicyRuleActionAccept,
				To: []adminv1alpha2.ClusterNetworkPolicyEgressPeer{{Pods: &adminv1alpha2.NamespacedPod{
					NamespaceSelector: *labelled(corev1.LabelMetadataName, "kube-system"), PodSelector: *labelled("k8s-app", "kube-dns")}}},
				Protocols: []adminv1alpha2.ClusterNetworkPolicyProtocol{{UDP: &adminv1alpha2.ClusterNetworkPolicyProtocolUDP{DestinationPort: &adminv1alpha2.Port{Number: 53}}}}}}
		case 1:
			p.Spec.Egress = []adminv1alpha2.ClusterNetworkPolicyEgressRule{{Action: adminv1alpha2.ClusterNetworkPolicyRuleActionDeny,
				To: []adminv1alpha2.ClusterNetworkPolicyEgressPeer{{Networks: []adminv1alpha2.CIDR{"169.254.169.254/32"}}}}}
		default:
			p.Spec.Subject.Namespaces = labelled("cohort", cohort(i))
			p.Spec.Ingress = []adminv1alpha2.ClusterNetworkPolicyIngressRule{
				{Action: adminv1alpha2.ClusterNetworkPolicyRuleActionAccept, From: []adminv1alpha2.ClusterNetworkPolicyIngressPeer{{Namespaces: labelled("role", "monitoring")}}},
				{Action: adminv1alpha2.ClusterNetworkPolicyRuleActionDeny, From: []adminv1alpha2.ClusterNetworkPolicyIngressPeer{{Namespaces: labelled("cohort", cohort(i+1))}}},
			}
		}
		g.contents.ClusterNetworkPolicies = append(g.contents.ClusterNetworkPolicies, p)
	}
}
