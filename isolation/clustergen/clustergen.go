// Package clustergen makes multi-tenant clusters that look real, of any size, to measure and test proofs on. The same
// Options give the same cluster.
package clustergen

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"

	"github.com/bulkhead-dev/bulkhead/snapshot"
)

// TenantLabel is the namespace label that says which tenant owns a namespace.
const TenantLabel = "example.com/tenant"

const (
	podsPerNamespace = 10
	podsPerNode      = 100
)

// Options of a cluster.
type Options struct {
	// Pods in all, those of the system too. There are about ten in a namespace, and four policies.
	Pods int
	// Mistakes is the share of namespaces with a deliberate mistake, from 0 to 1.
	Mistakes float64
	// AdminPolicies is the number of ClusterNetworkPolicies: rules for everyone, and of cohorts of tenants.
	AdminPolicies int
	// Seed of what is random.
	Seed uint64
}

// Cluster is a cluster with the mistakes that were made in it.
type Cluster struct {
	Snapshot *snapshot.Snapshot
	Mistakes []Mistake
}

// Mistake is a misconfiguration of a namespace.
type Mistake struct {
	Namespace, What string
}

// Generate makes a cluster: tenants of one to three namespaces, each with default deny, traffic of the same tenant, DNS
// and ingress; a system namespace with DNS and host-network agents on every node, an ingress controller, monitoring.
func Generate(o Options) (*Cluster, error) {
	g := &generator{Options: o, Rand: rand.New(rand.NewPCG(o.Seed, 1)), nodes: max(1, o.Pods/podsPerNode)} //nolint:gosec // the same seed gives the same cluster
	g.contents.Revision, g.contents.Time = fmt.Sprintf("generated-%d-%d", o.Pods, o.Seed), time.Unix(1_700_000_000, 0)
	g.system()
	for t := 0; len(g.contents.Pods) < o.Pods; t++ {
		g.tenant(fmt.Sprintf("tenant-%05d", t))
	}
	g.adminPolicies()
	g.nodesAndSpecs()
	s, err := snapshot.New(g.contents)
	if err != nil {
		return nil, err
	}
	return &Cluster{Snapshot: s, Mistakes: g.mistakes}, nil
}

type generator struct {
	Options
	*rand.Rand
	nodes    int
	contents snapshot.Snapshot
	mistakes []Mistake
}

func (g *generator) namespace(name string, labels map[string]string) {
	g.contents.Namespaces = append(g.contents.Namespaces, &snapshot.Namespace{Name: name, Labels: snapshot.LabelsOf(labels)})
}

func (g *generator) system() {
	g.namespace("kube-system", nil)
	g.namespace("ingress", map[string]string{"role": "ingress"})
	g.namespace("monitoring", map[string]string{"role": "monitoring"})
	for i := range min(g.nodes, g.Pods/10) {
		g.add(&snapshot.Pod{Namespace: "kube-system", Name: fmt.Sprintf("agent-%d", i), HostNetwork: true, Node: node(i),
			Owner: snapshot.Owner{Kind: "DaemonSet", Name: "agent"}, Labels: snapshot.LabelsOf(map[string]string{"k8s-app": "agent"})})
	}
	for i := range 2 {
		g.add(&snapshot.Pod{Namespace: "kube-system", Name: fmt.Sprintf("coredns-%d", i), Node: node(i),
			Owner: snapshot.Owner{Kind: "Deployment", Name: "coredns"}, Labels: snapshot.LabelsOf(map[string]string{"k8s-app": "kube-dns"})})
		g.add(&snapshot.Pod{Namespace: "ingress", Name: fmt.Sprintf("controller-%d", i), Node: node(i),
			Owner: snapshot.Owner{Kind: "Deployment", Name: "controller"}, Labels: snapshot.LabelsOf(map[string]string{"app": "ingress"})})
	}
	g.add(&snapshot.Pod{Namespace: "monitoring", Name: "scraper-0", Node: node(0),
		Owner: snapshot.Owner{Kind: "StatefulSet", Name: "scraper"}, Labels: snapshot.LabelsOf(map[string]string{"app": "scraper"})})
}

func node(i int) string { return fmt.Sprintf("node-%04d", i) }

func (g *generator) add(p *snapshot.Pod) {
	n := len(g.contents.Pods)
	p.Phase = corev1.PodRunning
	if p.HostNetwork {
		p.IPs = []netip.Addr{netip.AddrFrom4([4]byte{192, 168, byte(n >> 8), byte(n)})}
	} else {
		p.IPs = []netip.Addr{netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)})}
	}
	if p.Node == "" {
		p.Node = node(g.IntN(g.nodes))
	}
	g.contents.Pods = append(g.contents.Pods, p)
}

func (g *generator) tenant(name string) {
	t := snapshot.Tenant{Name: name}
	for i := range 1 + g.IntN(3) {
		if len(g.contents.Pods) >= g.Pods {
			break
		}
		ns := fmt.Sprintf("%s-%s", name, []string{"web", "data", "jobs"}[i])
		t.Namespaces = append(t.Namespaces, ns)
		labels := map[string]string{TenantLabel: name, "cohort": cohort(len(g.contents.Tenants)), "environment": []string{"production", "staging"}[g.IntN(2)]}
		policies := g.policies(ns, name)
		if g.Float64() < g.Mistakes {
			policies = g.mistake(ns, labels, policies)
		}
		g.namespace(ns, labels)
		g.contents.NetworkPolicies = append(g.contents.NetworkPolicies, policies...)
		g.workloads(ns)
	}
	g.contents.Tenants = append(g.contents.Tenants, t)
}

func (g *generator) workloads(ns string) {
	for i := range podsPerNamespace {
		if len(g.contents.Pods) >= g.Pods {
			return
		}
		app := []string{"web", "web", "web", "web", "api", "api", "api", "worker", "worker", "db"}[i]
		kind := "Deployment"
		labels := map[string]string{"app": app, "app.kubernetes.io/instance": ns, "app.kubernetes.io/part-of": "shop"}
		if app == "db" {
			kind = "StatefulSet"
			labels["statefulset.kubernetes.io/pod-name"] = "db-0"
		} else {
			labels["pod-template-hash"] = "6d4cf56db6"
		}
		g.add(&snapshot.Pod{Namespace: ns, Name: fmt.Sprintf("%s-%d", app, i), Owner: snapshot.Owner{Kind: kind, Name: app},
			Labels: snapshot.LabelsOf(labels), Ports: []snapshot.NamedPort{{Name: "http", Protocol: corev1.ProtocolTCP, Port: 8080}}})
	}
}

var both = []networkingv1.PolicyType{networkingv1.PolicyTypeIngress, networkingv1.PolicyTypeEgress}
