package pods

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/bulkhead-dev/bulkhead/isolation/finding"
	"github.com/bulkhead-dev/bulkhead/snapshot"
)

func podObject(pod *snapshot.Pod) snapshot.Ref {
	w := pod.Workload()
	return snapshot.Ref{Kind: w.Kind, Namespace: pod.Namespace, Name: w.Name}
}

// strangersNow are other tenants' pods on the group's nodes: one finding for each tenant.
func (n *nodeFindings) strangersNow(g *nodeGroup) {
	done := map[int]bool{g.tenant: true}
	for _, i := range g.nodes {
		for other, pod := range n.tenantsOn[i] {
			if done[other] {
				continue
			}
			done[other] = true
			first := n.firstOn(g.nodes, other, pod)
			node := snapshot.Ref{Kind: "Node", Name: first.Node}
			n.list = append(n.list, finding.Finding{Code: "BH2011", Verdict: finding.Exposed, From: n.Tenants[other].Name, To: n.Tenants[g.tenant].Name,
				What:    fmt.Sprintf("pod %s/%s of tenant %s runs on node %s, which is dedicated to tenant %s", first.Namespace, first.Name, n.Tenants[other].Name, first.Node, n.Tenants[g.tenant].Name),
				Witness: []finding.Step{{Object: node, Does: "bears label " + n.labelText(g.tenant)}, {Object: snapshot.Ref{Kind: "Pod", Namespace: first.Namespace, Name: first.Name}, Does: "runs there"}},
				Blame:   []snapshot.Ref{podObject(first), node}})
		}
	}
}

// firstOn is the first pod of a tenant on a group of nodes, so that a report does not depend on the order of a map.
func (n *nodeFindings) firstOn(nodes []int, tenant int, pod *snapshot.Pod) *snapshot.Pod {
	for _, i := range nodes {
		if p := n.tenantsOn[i][tenant]; p != nil {
			return p
		}
	}
	return pod
}

func (n *nodeFindings) labelText(tenant int) string {
	label := n.Tenants[tenant].Nodes
	return label.Key + "=" + label.Value
}

// untainted are the group's classes that keep no pod away, by a finding for each.
func (n *nodeFindings) untainted(g *nodeGroup) map[int]bool {
	open := map[int]bool{}
	for _, c := range g.classes {
		class := n.place.classes[c]
		if len(class.taints) > 0 {
			continue
		}
		open[c] = true
		why := "has no taint"
		for _, t := range class.nodes[0].Spec.Taints {
			if t.Effect == corev1.TaintEffectPreferNoSchedule {
				why = fmt.Sprintf("has taint %s=%s with effect PreferNoSchedule, which excludes no pod", t.Key, t.Value)
			}
		}
		f := finding.Finding{Code: "BH2012", Verdict: finding.Exposed, From: finding.ThePlatform, To: n.Tenants[g.tenant].Name}
		names := make([]string, 0, len(class.nodes))
		for _, node := range class.nodes {
			names = append(names, node.Name)
			f.Blame = append(f.Blame, snapshot.Ref{Kind: "Node", Name: node.Name})
		}
		f.What = fmt.Sprintf("any pod may be scheduled to %s, dedicated to tenant %s: it %s", finding.Few(names), n.Tenants[g.tenant].Name, why)
		f.Witness = []finding.Step{{Object: f.Blame[0], Does: "bears label " + n.labelText(g.tenant) + " and " + why}}
		n.list = append(n.list, f)
	}
	return open
}

// strangersMay are workloads of other tenants that are there and may be scheduled to the group's nodes, which are tainted.
func (n *nodeFindings) strangersMay(g *nodeGroup, open map[int]bool) {
	done := map[string]bool{}
	for _, c := range n.classes {
		class, may := firstIn(c.where, g.classes, open)
		if !may || c.tenant == n.Tenants[g.tenant].Name || done[c.tenant] {
			continue
		}
		done[c.tenant] = true
		node := snapshot.Ref{Kind: "Node", Name: n.place.classes[class].nodes[0].Name}
		n.list = append(n.list, finding.Finding{Code: "BH2013", Verdict: finding.Exposed, From: c.tenant, To: n.Tenants[g.tenant].Name,
			What: fmt.Sprintf("%s of tenant %s tolerates what keeps pods off node %s, dedicated to tenant %s, and may be scheduled there",
				podObject(c.pods[0]), c.tenant, node.Name, n.Tenants[g.tenant].Name),
			Witness: []finding.Step{{Object: node, Does: "has " + taintText(n.place.classes[class].taints)}, {Object: podObject(c.pods[0]), Does: "tolerates it"}},
			Blame:   []snapshot.Ref{podObject(c.pods[0]), {Kind: "Namespace", Name: c.pods[0].Namespace}}})
	}
}

// firstIn is the first of some classes that is in a group and not open.
func firstIn(where, group []int, open map[int]bool) (int, bool) {
	for _, c := range where {
		if _, in := slices.BinarySearch(group, c); in && !open[c] {
			return c, true
		}
	}
	return 0, false
}

func taintText(taints []corev1.Taint) string {
	texts := make([]string, 0, len(taints))
	for _, t := range taints {
		texts = append(texts, fmt.Sprintf("taint %s=%s:%s", t.Key, t.Value, t.Effect))
	}
	return strings.Join(texts, ", ")
}

// strangersCreate asks, for every namespace of another tenant, whether a plain pod passes that tolerates everything, or the
// group's taints alone, or names one of its nodes.
func (n *nodeFindings) strangersCreate(g *nodeGroup, open map[int]bool) {
	closed := slices.DeleteFunc(slices.Clone(g.classes), func(c int) bool { return open[c] })
	creators := slices.DeleteFunc(slices.Clone(n.creators()), func(c creator) bool { return c.tenant == g.tenant })
	if len(closed) == 0 || len(creators) == 0 {
		return
	}
	if n.Admission == nil {
		n.list = append(n.list, finding.Finding{Code: "BH2018", Verdict: finding.Unknown, From: finding.EveryTenant, To: n.Tenants[g.tenant].Name,
			What: fmt.Sprintf("whether pods of others get to nodes dedicated to tenant %s cannot be said: what admission would refuse is not known", n.Tenants[g.tenant].Name)})
		return
	}
	passed, unsure := make([]landed, len(creators)), make([]string, len(creators))
	attempts := n.intrusions(g, closed)
	n.Parallel(len(creators), func(i int) { passed[i], unsure[i] = n.lands(&creators[i], attempts, closed) })
	n.created(g, creators, passed, unsure)
}

// intrusions are the ways in which a pod gets to another tenant's nodes.
func (n *nodeFindings) intrusions(g *nodeGroup, closed []int) []*attempt {
	class := n.place.classes[closed[0]]
	attempts := []*attempt{
		newAttempt("tolerates every taint", tolerating(n.plain.spec, corev1.Toleration{Operator: corev1.TolerationOpExists}), n.kinds),
		newAttempt("has nodeName "+class.nodes[0].Name, naming(n.plain.spec, class.nodes[0].Name), n.kinds),
	}
	for _, c := range closed {
		var exact, keys []corev1.Toleration
		for _, t := range n.place.classes[c].taints {
			exact = append(exact, corev1.Toleration{Key: t.Key, Operator: corev1.TolerationOpEqual, Value: t.Value, Effect: t.Effect})
			keys = append(keys, corev1.Toleration{Key: t.Key, Operator: corev1.TolerationOpExists})
		}
		selecting := tolerating(n.plain.spec, exact...)
		selecting.NodeSelector = map[string]string{n.Tenants[g.tenant].Nodes.Key: n.Tenants[g.tenant].Nodes.Value}
		attempts = append(attempts, newAttempt("tolerates "+taintText(n.place.classes[c].taints), tolerating(n.plain.spec, exact...), n.kinds),
			newAttempt("tolerates every value of "+keys[0].Key, tolerating(n.plain.spec, keys...), n.kinds),
			newAttempt("tolerates and selects "+n.labelText(g.tenant), selecting, n.kinds))
	}
	evasions := n.newEvasions(n.plain.spec, n.kinds)
	for _, a := range slices.Clone(attempts) {
		attempts = append(attempts, evasions.of(a, nil)...)
	}
	return attempts
}

func naming(spec *corev1.PodSpec, node string) *corev1.PodSpec {
	spec = spec.DeepCopy()
	spec.NodeName = node
	return spec
}

// landed is an attempt that passed, and by which way; zero is none.
type landed struct {
	*attempt
	way *making
	// first is what comes before.
	first []finding.Step
}

// lands is the first attempt that passes and gets to one of the classes, as it is stored.
func (n *nodeFindings) lands(c *creator, attempts []*attempt, classes []int) (passed landed, unsure string) {
	firm := map[*attempt]bool{}
	for _, a := range attempts {
		if firm[a.bare] {
			continue
		}
		got := n.try(c, a)
		firm[a] = got.firm
		if got.verdict == finding.Isolated {
			continue
		}
		where := n.place.where(got.spec, false)
		if class, known := n.place.byNode[got.spec.NodeName]; known {
			where = []int{class} // the scheduler is not asked
		}
		if _, in := firstIn(where, classes, nil); !in {
			continue
		}
		if got.verdict == finding.Exposed {
			return landed{a, got.way, got.first}, ""
		}
		unsure = got.why
	}
	return landed{}, unsure
}

// created makes one finding of all namespaces from which others get to a group, and one of those of which it is not known.
func (n *nodeFindings) created(g *nodeGroup, creators []creator, passed []landed, unsure []string) {
	to, first, doubt := n.Tenants[g.tenant].Name, -1, -1
	tenants := map[int]bool{}
	for i := range creators {
		if passed[i].attempt != nil {
			tenants[creators[i].tenant] = true
			if first < 0 {
				first = i
			}
		} else if unsure[i] != "" && doubt < 0 {
			doubt = i
		}
	}
	if first >= 0 {
		c, w := &creators[first], passed[first].way
		f := finding.Finding{Code: "BH2013", Verdict: finding.Exposed, From: n.Tenants[c.tenant].Name, To: to,
			What: fmt.Sprintf("%s of tenant %s may %s in namespace %s, and so get to nodes dedicated to tenant %s",
				w.subject.Name(), n.Tenants[c.tenant].Name, w.does(passed[first].what), c.namespace, to)}
		if len(tenants) > 1 {
			f.From, f.What = finding.ThePlatform, fmt.Sprintf("%s; so may %d more tenants", f.What, len(tenants)-1)
		}
		f.Blame = append(n.expected("node-affinity"), snapshot.Ref{Kind: "Namespace", Name: c.namespace})
		f.Witness = slices.Concat(passed[first].first, w.path, []finding.Step{{Object: f.Blame[0], Does: "does not refuse a pod that " + passed[first].what}})
		n.list = append(n.list, f)
	}
	if doubt >= 0 {
		n.list = append(n.list, finding.Finding{Code: "BH2018", Verdict: finding.Unknown, From: n.Tenants[creators[doubt].tenant].Name, To: to,
			What:  fmt.Sprintf("whether pods of namespace %s get to nodes dedicated to tenant %s cannot be said: %s", creators[doubt].namespace, to, unsure[doubt]),
			Blame: []snapshot.Ref{{Kind: "Namespace", Name: creators[doubt].namespace}}})
	}
}

// expected are the admission policies that should carry a control, bindings last.
func (n *nodeFindings) expected(control string) []snapshot.Ref {
	var list []snapshot.Ref
	for _, e := range n.Expected {
		if e.Control == control && strings.Contains(e.Object.Kind, "AdmissionPolicy") {
			list = append(list, e.Object)
		}
	}
	return list
}
