package network

import (
	"fmt"
	"slices"
	"strings"

	"github.com/bulkhead-dev/bulkhead/isolation/finding"
	"github.com/bulkhead-dev/bulkhead/isolation/rbac"
	"github.com/bulkhead-dev/bulkhead/snapshot"
)

// Check describes the check: no tenant connects to another beyond declared flows.
func Check() finding.Check {
	return finding.Check{
		ID: "network", Title: "No tenant connects to another beyond declared flows",
		Needs: []string{"Namespace", "Pod", "NetworkPolicy", "AdminNetworkPolicy", "BaselineAdminNetworkPolicy", "ClusterNetworkPolicy", "Service", "EndpointSlice", "Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding", "ServiceAccount"},
		Codes: append(networkPairCodes(), networkSideCodes()...),
	}
}

func networkPairCodes() []finding.Code {
	return []finding.Code{
		{ID: "BH3001", Title: "A tenant connects to another tenant's pods", Severity: finding.High,
			Why:      "The pod network is flat: what no policy closes is open, for attackers too.",
			Fix:      "Close one side: deny by default in the namespace, and name the peers that are meant.",
			Controls: []string{"network-default"}, Mappings: []string{"K05", "MTB-PL1-CC-TI-2"}},
		{ID: "BH3002", Title: "It cannot be decided whether a tenant connects to another", Severity: finding.High,
			Why:      "Policies refer to what is not known, such as the addresses of pods, or contradict one another at the same priority.",
			Fix:      "Give what the finding names as missing.",
			Controls: []string{"network-default"}, Mappings: []string{"K05"}},
		{ID: "BH3003", Title: "Only the other side keeps tenants apart", Severity: finding.Low,
			Why:      "A connection needs both sides. Where one is open, only the other tenant's policies prevent it, and one mistake there opens it.",
			Fix:      "Name the peers that are meant, by the name label of their namespaces.",
			Controls: []string{"network-default"}, Mappings: []string{"K05"}},
	}
}

func networkSideCodes() []finding.Code {
	return []finding.Code{
		{ID: "BH3004", Title: "A tenant's pods reach the nodes", Severity: finding.Medium,
			Why:      "From there they can attack kubelets (port 10250), node ports and everything else that listens on a node.",
			Fix:      "Leave the nodes' addresses out of the ranges that egress rules name.",
			Controls: []string{"network-default"}, Mappings: []string{"K05", "K07"}},
		{ID: "BH3005", Title: "A tenant's pods reach the metadata address", Severity: finding.High,
			Why:      "Clouds serve the node's credentials there, to every client.",
			Fix:      "Cut 169.254.0.0/16, fd00:ec2::/32 and the cloud's other metadata addresses out of every range that egress rules name, also behind 64:ff9b::/96.",
			Controls: []string{"network-metadata"}, Mappings: []string{"K05", "K08"}},
		{ID: "BH3006", Title: "A tenant's pods reach the whole internet", Severity: finding.Medium,
			Why:      "Stolen data leaves that way, and attack tools are fetched that way.",
			Fix:      "Deny egress by default and name the ranges that are meant.",
			Controls: []string{"network-default"}, Mappings: []string{"K05"}},
		{ID: "BH3007", Title: "A tenant's pod is in its node's network", Severity: finding.High,
			Why:      "No policy applies to it: it reaches every pod of its node, and has the node's address everywhere.",
			Fix:      "Remove hostNetwork, or run the pod in a namespace of the platform.",
			Controls: []string{"pod-security"}, Mappings: []string{"K01", "K05"}},
		{ID: "BH3008", Title: "A tenant's Service opens node ports", Severity: finding.Medium,
			Why:      "The port is open on every node, to every client that reaches a node, and policies see the node as the source.",
			Fix:      "Use type ClusterIP behind an Ingress, or a load balancer with allocateLoadBalancerNodePorts: false.",
			Controls: []string{"service-expose"}, Mappings: []string{"K05", "K06", "MTB-PL1-BC-HI-1"}},
		{ID: "BH3009", Title: "A tenant's Service captures or redirects others' traffic", Severity: finding.High,
			Why:      "External addresses are captured for the whole cluster (CVE-2020-8554); an alias of a name inside the cluster makes others' proxies connect there.",
			Fix:      "Remove externalIPs; let externalName be a host outside.",
			Controls: []string{"service-expose"}, Mappings: []string{"K05", "K06"}},
		{ID: "BH3012", Title: "Traffic of a tenant's Service is sent to others", Severity: finding.Medium,
			Why: "Ingress controllers and other proxies connect to a Service's endpoints, with their own address and not the " +
				"tenant's: policies that let them in let the tenant in (CVE-2021-25740).",
			Fix:      "Delete the EndpointSlice, and withhold from tenants the right to write endpoints and endpointslices.",
			Controls: []string{"service-expose"}, Mappings: []string{"K05", "K02"}},
		{ID: "BH3010", Title: "A tenant may open its own network isolation", Severity: finding.High,
			Why:      "NetworkPolicies add up: one that allows everything opens what all others close. Deleting those that close opens as well.",
			Fix:      "Refuse by an admission policy what opens more than the namespace itself, and changes of the platform's own policies.",
			Controls: []string{"network-default", "guardrail"}, Mappings: []string{"K04", "K05"}},
		{ID: "BH3011", Title: "A tenant may take a label that policies trust", Severity: finding.High,
			Why:      "A policy that selects namespaces by a label applies to every namespace that bears it, and no longer to one that drops it.",
			Fix:      "Select namespaces by kubernetes.io/metadata.name, or keep tenants from changing their namespaces' labels.",
			Controls: []string{"guardrail"}, Mappings: []string{"K02", "K05"}},
	}
}

// Find judges who can connect to whom, and returns what it considered in words. toCome reports where tenants may have pods
// made, with which labels.
func Find(in *finding.Input, rights *rbac.Reach, toCome ToCome) ([]finding.Finding, string) {
	considered := fmt.Sprintf("%d NetworkPolicies and %d policies of administrators in %d namespaces, %d declared flows, %d Services with %d lists of endpoints",
		len(in.NetworkPolicies), len(in.AdminNetworkPolicies)+len(in.BaselineAdminNetworkPolicies)+len(in.ClusterNetworkPolicies),
		len(in.Namespaces), len(in.Flows), len(in.Services), len(in.Endpoints))
	reach := NewReachToCome(in.Snapshot, in.Workers, toCome)
	pairs, err := reach.TenantPairs(in.Flows)
	if err != nil {
		return []finding.Finding{{Code: "BH3002", Verdict: finding.Unknown, From: finding.EveryTenant, To: finding.EveryTenant, What: err.Error()}}, considered
	}
	n := &networkFindings{Input: in, rights: rights, pairs: pairs, reach: reach, named: map[snapshot.Ref]bool{}}
	n.exceeding()
	n.undecided()
	n.sides()
	n.hosts()
	n.past()
	book := n.addressBook()
	n.services(book)
	n.endpoints(book)
	n.ownRights()
	return n.list, considered
}

// networkFindings collects the check's findings.
type networkFindings struct {
	*finding.Input
	rights *rbac.Reach
	pairs  *TenantPairs
	reach  *Reach
	list   []finding.Finding
	// named are the objects that a finding about pairs blames.
	named map[snapshot.Ref]bool
}

// tenantName of a number; -1 is the platform.
func (n *networkFindings) tenantName(i int) string {
	if i < 0 {
		return finding.ThePlatform
	}
	return n.reach.tenants[i].name
}

// some names a set of tenants as one party, and in words.
func (n *networkFindings) some(set bitset, of int) (party, words string) {
	count := set.count()
	if set.has(of) {
		count--
	}
	first := -1
	set.each(func(i int) {
		if first < 0 && i != of {
			first = i
		}
	})
	switch {
	case count == 1:
		return n.tenantName(first), "tenant " + n.tenantName(first)
	case count == len(n.reach.tenants)-1:
		return finding.EveryTenant, fmt.Sprintf("every other tenant (%d)", count)
	default:
		return "", fmt.Sprintf("%d other tenants", count)
	}
}

// blame turns causes into objects. That nothing isolates a namespace's pods is blamed on the policies that Bulkhead would
// have made there, or else on those that are there and do not; and on the namespace.
func (n *networkFindings) blame(causes ...Cause) []snapshot.Ref {
	var list []snapshot.Ref
	add := func(o snapshot.Ref) {
		if !slices.Contains(list, o) {
			list = append(list, o)
		}
	}
	for _, c := range causes {
		if c.Kind != "Namespace" {
			add(snapshot.Ref{Kind: c.Kind, Namespace: c.Namespace, Name: c.Name})
			continue
		}
		for _, e := range n.Expected {
			if e.Object.Kind == "NetworkPolicy" && e.Object.Namespace == c.Name && strings.HasPrefix(e.Control, "network-") {
				add(e.Object)
			}
		}
		add(snapshot.Ref{Kind: "Namespace", Name: c.Name})
	}
	for _, c := range causes {
		if i, has := n.reach.byName[c.Name]; has && c.Kind == "Namespace" {
			for _, policy := range n.reach.spaces[i].policies[:min(5, len(n.reach.spaces[i].policies))] {
				add(snapshot.Ref{Kind: "NetworkPolicy", Namespace: policy.source.Namespace, Name: policy.source.Name})
			}
		}
	}
	return list
}

func steps(causes ...Cause) []finding.Step {
	list := make([]finding.Step, 0, len(causes))
	for _, c := range causes {
		list = append(list, finding.Step{Object: snapshot.Ref{Kind: c.Kind, Namespace: c.Namespace, Name: c.Name}, Does: c.Why})
	}
	return list
}
