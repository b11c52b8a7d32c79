package guardrail

import (
	"cmp"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
)

// dnsEnumerateControl is a residual risk: the one rule that every Space has opens the whole DNS.
var dnsEnumerateControl = Control{
	ID: "dns-enumerate", Title: "Service names of others in DNS",
	Threat: "learning other tenants' services by asking the cluster's DNS",
	How: "Not enforced: the cluster's DNS answers every pod for every namespace, and no object of the API server " +
		"changes that. It is shown as a residual risk.",
	Needs: "a DNS of its own for each tenant, or one that knows who asks",
	Fix: "Platform: answer per tenant (a DNS per tenant, or a policy-aware plugin); tenants to whom the names " +
		"themselves are confidential need a cluster of their own.",
	Mappings:  []string{"K05", "K06"},
	unrefused: "it is not enforced: the DNS answers every pod, whatever it asks for",
}

// dnsRule opens the cluster's DNS, and nothing else in its namespace.
func dnsRule(d *v1alpha1.DNSService) networkingv1.NetworkPolicyEgressRule {
	labels := d.PodLabels
	if len(labels) == 0 {
		labels = map[string]string{"k8s-app": "kube-dns"} // as the API defaults it
	}
	const dns = 53
	return networkingv1.NetworkPolicyEgressRule{
		To: []networkingv1.NetworkPolicyPeer{*peerOf(cmp.Or(d.Namespace, metav1.NamespaceSystem), labels)},
		Ports: []networkingv1.NetworkPolicyPort{
			{Protocol: new(corev1.ProtocolTCP), Port: new(intstr.FromInt32(dns))},
			{Protocol: new(corev1.ProtocolUDP), Port: new(intstr.FromInt32(dns))},
		},
	}
}
