package pods

import (
	"fmt"
	"slices"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/isolation/finding"
	"github.com/bulkhead-dev/bulkhead/snapshot"
)

// NodesCheck describes the check of who runs where: dedicated nodes are their tenant's alone.
func NodesCheck() finding.Check {
	const affinity = "node-affinity"
	return finding.Check{
		ID: "nodes", Title: "Dedicated nodes are their tenant's alone",
		Needs: []string{"Namespace", "Pod", "Node", "RuntimeClass"},
		Codes: []finding.Code{
			{ID: "BH2011", Title: "Pods of others run on a tenant's own nodes", Severity: finding.High,
				Why:      "A vulnerability of the kernel, or a pod that compromises its node, reaches the tenant whose nodes are to be its own.",
				Fix:      "Delete those pods, and close the path by which they got there: restore the node's taint, or refuse the toleration.",
				Controls: []string{affinity}, Mappings: []string{"K01", "K04"}},
			{ID: "BH2012", Title: "A dedicated node excludes no pods", Severity: finding.High,
				Why:      "Without a taint with effect NoSchedule, any pod may be scheduled there.",
				Fix:      "Taint the node as the others of its group are.",
				Controls: []string{affinity}, Mappings: []string{"K04", "K07"}},
			{ID: "BH2013", Title: "Others' pods may be scheduled to a tenant's own nodes", Severity: finding.High,
				Why:      "A pod that tolerates the taint, or names the node, runs there.",
				Fix:      "Refuse by an admission policy tolerations of others' taints, tolerations of everything, and nodeName.",
				Controls: []string{affinity}, Mappings: []string{"K04"}},
			{ID: "BH2014", Title: "Pods of a tenant with its own nodes run elsewhere", Severity: finding.Medium,
				Why:      "They share nodes with other tenants, which dedicated nodes are to prevent.",
				Fix:      "Set the node selector and the toleration by an admission policy.",
				Controls: []string{affinity}, Mappings: []string{"K04"}},
			{ID: "BH2015", Title: "Nodes lack the label or the taint that dedicates them", Severity: finding.Medium,
				Why:      "A label without its taint lets others in; a taint without its label keeps the tenant's pods out.",
				Fix:      "Give the node the label and the taint of its tenant, or remove both.",
				Controls: []string{affinity}, Mappings: []string{"K07"}},
			{ID: "BH2016", Title: "Kubelets may set the label that dedicates nodes", Severity: finding.Low,
				Why:      "An attacker that compromises any node gives it the label, and the tenant's pods are scheduled there.",
				Fix:      "Use a label under node-restriction.kubernetes.io/, which kubelets cannot set.",
				Controls: []string{affinity}, Mappings: []string{"K07"}},
			{ID: "BH2017", Title: "A pod runs without the sandbox that its namespace demands", Severity: finding.High,
				Why:      "Code that should not run on the node's kernel runs on it.",
				Fix:      "Set runtimeClassName to what the namespace demands; the policy of control runtime does so for new pods.",
				Controls: []string{"runtime"}, Mappings: []string{"K01"}},
			{ID: "BH2018", Title: "It cannot be decided who shares nodes", Severity: finding.Medium,
				Why:      "What was not read may place any pod on any node.",
				Fix:      "Give what the finding names as missing.",
				Controls: []string{affinity}, Mappings: []string{"K04"}},
		},
	}
}

// FindNodes judges who may run on which node, and returns what it considered in words.
func (r *Run) FindNodes() ([]finding.Finding, string) {
	n := &nodeFindings{escalation: r.newEscalation()}
	for i := range r.Tenants {
		if r.Tenants[i].Nodes.Key != "" {
			n.dedicated(i)
		}
	}
	n.disagreeing()
	n.sandboxes()
	return n.list, n.considered()
}

// nodeFindings collects the check's findings.
type nodeFindings struct {
	*escalation
	list []finding.Finding
}

// considered reports which tenants share nodes, which is no fault.
func (n *nodeFindings) considered() string {
	shared, tenants, own := 0, map[int]bool{}, 0
	for _, there := range n.tenantsOn {
		if len(there) > 1 {
			shared++
			for t := range there {
				tenants[t] = true
			}
		}
	}
	for i := range n.Tenants {
		if n.Tenants[i].Nodes.Key != "" {
			own++
		}
	}
	most := 0
	for _, list := range n.mayRunOn() {
		most = max(most, len(list))
	}
	return fmt.Sprintf("%d nodes of %d kinds; %d tenants have nodes of their own; now %d tenants share %d nodes with others; up to %d tenants' pods may be scheduled to one node",
		len(n.Nodes), len(n.place.classes), own, len(tenants), shared, most)
}

// group is a tenant's own nodes.
type nodeGroup struct {
	tenant int
	// classes and nodes, as indices, sorted.
	classes, nodes []int
}

func (n *nodeFindings) groupOf(tenant int) nodeGroup {
	g := nodeGroup{tenant: tenant}
	label := n.Tenants[tenant].Nodes
	for i, node := range n.Nodes {
		if node.Labels[label.Key] == label.Value {
			g.nodes = append(g.nodes, i)
			g.classes = append(g.classes, n.place.byNode[node.Name])
		}
	}
	slices.Sort(g.classes)
	g.classes = slices.Compact(g.classes)
	return g
}

func (n *nodeFindings) dedicated(tenant int) {
	t := &n.Tenants[tenant]
	g := n.groupOf(tenant)
	if len(g.nodes) == 0 {
		f := finding.Finding{Code: "BH2018", Verdict: finding.Unknown, From: finding.ThePlatform, To: t.Name,
			What: fmt.Sprintf("tenant %s has nodes of its own, labelled %s=%s, and no nodes were read", t.Name, t.Nodes.Key, t.Nodes.Value)}
		if len(n.Nodes) > 0 && n.needsNodes(tenant) {
			f = finding.Finding{Code: "BH2015", Verdict: finding.Exposed, From: finding.ThePlatform, To: t.Name, Blame: []snapshot.Ref{{Kind: "Tenant", Name: t.Name}},
				What:    fmt.Sprintf("tenant %s is to have nodes of its own, and none bears label %s=%s", t.Name, t.Nodes.Key, t.Nodes.Value),
				Witness: []finding.Step{{Object: snapshot.Ref{Kind: "Tenant", Name: t.Name}, Does: "has no node"}}}
		} else if len(n.Nodes) > 0 || !n.needsNodes(tenant) {
			return
		}
		n.list = append(n.list, f)
		return
	}
	n.strangersNow(&g)
	untainted := n.untainted(&g)
	n.strangersMay(&g, untainted)
	n.strangersCreate(&g, untainted)
	n.elsewhere(&g)
	n.labelTrust(&g)
}

// needsNodes reports whether a tenant has a namespace whose pods must run on its own nodes.
func (n *nodeFindings) needsNodes(tenant int) bool {
	return slices.ContainsFunc(n.Tenants[tenant].Namespaces, func(ns string) bool { return n.mustStay(tenant, ns) })
}

// mustStay reports whether pods of a namespace must run on the tenant's own nodes.
func (n *nodeFindings) mustStay(tenant int, namespace string) bool {
	bearing := false
	for _, ns := range n.Tenants[tenant].Namespaces {
		pattern, has := n.labelOf(ns, v1alpha1.LabelPattern)
		bearing = bearing || has
		if ns == namespace && has {
			return pattern == "SoftAffinity"
		}
	}
	return !bearing
}

func (p *Run) labelOf(namespace, key string) (string, bool) {
	if ns := p.Namespace(namespace); ns != nil {
		return ns.Labels.Get(key)
	}
	return "", false
}
