package isolation

import "fmt"

// Network reach: for every ordered pair of tenants, which connections NetworkPolicies let through beyond the declared
// flows. NetworkReach has the rules.
func networkCheck() Check {
	return Check{
		ID: "network", Title: "No tenant connects to another beyond declared flows",
		Needs: []string{"Namespace", "Pod", "NetworkPolicy", "AdminNetworkPolicy", "BaselineAdminNetworkPolicy", "ClusterNetworkPolicy"},
		Codes: []Code{
			{ID: "BH3001", Title: "A tenant connects to another tenant's pods", Severity: High,
				Why:      "The pod network is flat: what no policy closes is open, for attackers too.",
				Fix:      "Close one side: deny by default in the namespace, and name the peers that are meant.",
				Controls: []string{"network-default"}, Mappings: []string{"K05", "MTB-PL1-CC-TI-2"}},
			{ID: "BH3002", Title: "It cannot be decided whether a tenant connects to another", Severity: High,
				Why:      "Policies refer to what is not known, such as the addresses of pods.",
				Fix:      "Give what the finding names as missing.",
				Controls: []string{"network-default"}, Mappings: []string{"K05"}},
		},
		run: func(p *proof) ([]Finding, string) {
			considered := fmt.Sprintf("%d NetworkPolicies in %d namespaces, %d declared flows", len(p.NetworkPolicies), len(p.Namespaces), len(p.Flows))
			pairs, err := p.network().TenantPairs(p.Flows)
			if err != nil {
				return []Finding{{Code: "BH3002", Verdict: Unknown, From: EveryTenant, To: EveryTenant, What: err.Error()}}, considered
			}
			var findings []Finding
			for pair := range pairs.With(Exceeding) {
				findings = append(findings, exceedingFinding(&pair))
			}
			return findings, considered
		},
	}
}

func exceedingFinding(pair *Pair) Finding {
	f := Finding{Code: "BH3001", Verdict: Exposed, From: pair.From, To: pair.To,
		What: fmt.Sprintf("%s connects to %s: %s", pair.Witness.From, pair.Witness.To, pair.Excess)}
	for _, cause := range append(pair.Witness.Egress, pair.Witness.Ingress...) {
		o := Object{cause.Kind, cause.Namespace, cause.Name}
		f.Witness = append(f.Witness, Step{Object: o, Does: cause.Why})
		f.Blame = append(f.Blame, o)
	}
	return f
}
