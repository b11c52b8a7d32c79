package observe

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/bulkhead-dev/bulkhead/snapshot"
)

// networkGroups are the groups of network plugins and meshes, whose kinds decide who connects to whom, or where traffic goes:
// each with its kinds that do not. Those hold state, addresses or routes to the outside, or have an effect only where a kind
// that decides names them.
//
// All kinds of all other groups could be named in the same way, and every unknown one taken for one that decides. But
// clusters have dozens of custom kinds of their own, which Bulkhead may not list: no network of such a cluster would ever be
// proven. So of other groups a kind decides where its name says so.
var networkGroups = map[string][]string{
	"access.smi-spec.io": nil,
	"cilium.io": {
		"CiliumEndpoint", "CiliumEndpointSlice", "CiliumIdentity", "CiliumNode", "CiliumNodeConfig", "CiliumCIDRGroup",
		"CiliumLoadBalancerIPPool", "CiliumPodIPPool", "CiliumL2AnnouncementPolicy", "CiliumBGPPeeringPolicy", "CiliumBGPAdvertisement",
		"CiliumBGPClusterConfig", "CiliumBGPNodeConfig", "CiliumBGPNodeConfigOverride", "CiliumBGPPeerConfig", "CiliumGatewayClassConfig",
		"TracingPolicy", "TracingPolicyNamespaced", "PodInfo",
	},
	"consul.hashicorp.com": nil,
	"crd.antrea.io": {
		"AntreaAgentInfo", "AntreaControllerInfo", "Tier", "ClusterGroup", "Group", "IPPool", "ExternalIPPool", "Traceflow", "PacketCapture",
		"SupportBundleCollection", "BGPPolicy", "NodeLatencyMonitor",
	},
	"crd.nsx.vmware.com":        nil,
	"crd.projectcalico.org":     calicoState,
	"projectcalico.org":         calicoState,
	"k8s.cni.cncf.io":           nil,
	"k8s.ovn.org":               {"EgressQoS", "NetworkQoS"},
	"kubeovn.io":                {"IP"},
	"kuma.io":                   nil,
	"network.openshift.io":      {"ClusterNetwork", "HostSubnet"},
	"networking.gke.io":         {"ManagedCertificate", "FrontendConfig", "ServiceAttachment", "ServiceNetworkEndpointGroup", "GKENetworkParamSet", "Network"},
	"networking.istio.io":       {"WorkloadGroup", "ProxyConfig"},
	"networking.k8s.aws":        {"PolicyEndpoint"},
	"policy.linkerd.io":         nil,
	"policy.networking.k8s.io":  nil,
	"security.istio.io":         nil,
	"vpcresources.k8s.aws":      {"CNINode"},
	"whereabouts.cni.cncf.io":   {"IPPool", "NodeSlicePool", "OverlappingRangeIPReservation"},
	"sriovnetwork.openshift.io": {"SriovNetworkNodeState", "SriovOperatorConfig"},
	"gateway.networking.k8s.io": {"BackendTLSPolicy", "Gateway", "GatewayClass", "GRPCRoute", "HTTPRoute", "ListenerSet", "ReferenceGrant", "TCPRoute", "TLSRoute", "UDPRoute"},
	"operator.tigera.io":        {"APIServer", "Installation", "TigeraStatus", "ImageSet", "Goldmane", "Whisker", "GatewayAPI", "ManagementClusterConnection"},
}

// calicoState is also what its controllers make of NetworkPolicies.
var calicoState = []string{
	"BGPConfiguration", "BGPFilter", "BGPPeer", "BlockAffinity", "CalicoNodeStatus", "ClusterInformation", "FelixConfiguration", "GlobalNetworkSet",
	"IPAMBlock", "IPAMConfig", "IPAMConfiguration", "IPAMHandle", "IPPool", "IPReservation", "KubeControllersConfiguration", "NetworkSet", "Profile",
	"StagedGlobalNetworkPolicy", "StagedKubernetesNetworkPolicy", "StagedNetworkPolicy", "Tier",
}

// networkWords are what kinds that decide the network have in their names, in all network plugins and meshes that are known.
var networkWords = regexp.MustCompile(`(?i)network.*polic|polic.*network|networkattachment|firewall|authorizationpolicy|trafficpermission|hostendpoint|egress`)

// NetworkGroups are the groups of network plugins and meshes that are known.
func NetworkGroups() []string { return slices.Sorted(maps.Keys(networkGroups)) }

// DecidesNetwork reports whether objects of a kind that no proof reads may decide who connects to whom.
func DecidesNetwork(kind schema.GroupKind) bool {
	if slices.ContainsFunc(snapshot.Kinds(), func(k snapshot.Kind) bool { return k.Group == kind.Group && k.Name == kind.Kind }) {
		return false // of those, the ones that decide are read
	}
	if bystanders, is := networkGroups[kind.Group]; is {
		return !slices.Contains(bystanders, kind.Kind)
	}
	return networkWords.MatchString(kind.Kind)
}

// MissingDeciding is what is missing where objects of such a kind are there; the first is named.
func MissingDeciding(first, kind string, objects int) snapshot.Missing {
	return snapshot.Missing{Kind: "NetworkPolicy", Why: fmt.Sprintf("%s: %d of %s, which may open or redirect what NetworkPolicies close, and which no check reads", first, objects, kind)}
}

// MirrorsPolicy reports whether an object of a kind that decides the network is only another view of a policy that is read: Calico's
// API shows NetworkPolicies and those of administrators among its own.
func MirrorsPolicy(group, name string) bool {
	return group == "projectcalico.org" && (strings.HasPrefix(name, "knp.default.") || strings.HasPrefix(name, "kanp.") || strings.HasPrefix(name, "kbanp.") || strings.HasPrefix(name, "kcnp."))
}
