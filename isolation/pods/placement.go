package pods

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/component-helpers/scheduling/corev1/nodeaffinity"

	"github.com/bulkhead-dev/bulkhead/isolation/finding"
	"github.com/bulkhead-dev/bulkhead/snapshot"
)

// placement is which nodes a pod may be scheduled to, as the scheduler's rules for node selectors, node affinity and
// taints have it (k8s.io/component-helpers). What changes by itself excludes no pod: capacity, cordons, other
// pods, and taints such as not-ready. What is only preferred, and PreferNoSchedule, neither.
//
// Nodes that no selector can distinguish are one class, and pods that ask for the same are looked at once: never pods
// times nodes.
type placement struct {
	classes []*nodeClass
	byNode  map[string]int
	// byLabel are the classes that bear a label.
	byLabel map[snapshot.Label][]int
	// own are the label keys whose value is the node's name: they distinguish nodes of a class.
	own map[string]bool
	all []int
}

// nodeClass are nodes with the same labels, those apart that name the node, and the same taints.
type nodeClass struct {
	nodes []*corev1.Node
	// taints that keep pods away.
	taints []corev1.Taint
}

func newPlacement(nodes []*corev1.Node) *placement {
	pl := &placement{byNode: map[string]int{}, byLabel: map[snapshot.Label][]int{}, own: map[string]bool{}}
	for _, n := range nodes {
		for key, value := range n.Labels {
			if value == n.Name {
				pl.own[key] = true
			}
		}
	}
	index := map[string]int{}
	for _, n := range nodes {
		key := pl.classKey(n)
		i, known := index[key]
		if !known {
			i = len(pl.classes)
			index[key] = i
			pl.classes = append(pl.classes, &nodeClass{taints: lastingTaints(n)})
			pl.all = append(pl.all, i)
			for key, value := range n.Labels {
				if !pl.own[key] {
					pl.byLabel[snapshot.Label{Key: key, Value: value}] = append(pl.byLabel[snapshot.Label{Key: key, Value: value}], i)
				}
			}
		}
		pl.byNode[n.Name] = i
		pl.classes[i].nodes = append(pl.classes[i].nodes, n)
	}
	return pl
}

func (pl *placement) classKey(n *corev1.Node) string {
	var b strings.Builder
	for _, key := range slices.Sorted(maps.Keys(n.Labels)) {
		if !pl.own[key] {
			b.WriteString(key + "=" + n.Labels[key] + "\n")
		}
	}
	taints := make([]string, 0, len(n.Spec.Taints))
	for _, t := range n.Spec.Taints {
		taints = append(taints, t.Key+"="+t.Value+":"+string(t.Effect))
	}
	slices.Sort(taints)
	return b.String() + strings.Join(taints, "\n")
}

// lastingTaints are those that exclude pods until they are removed.
func lastingTaints(n *corev1.Node) []corev1.Taint {
	var list []corev1.Taint
	for _, t := range n.Spec.Taints {
		passing := strings.HasPrefix(t.Key, "node.kubernetes.io/") || strings.HasPrefix(t.Key, "node.cloudprovider.kubernetes.io/") ||
			t.Key == "ToBeDeletedByClusterAutoscaler" || t.Key == "DeletionCandidateOfClusterAutoscaler"
		if !passing && (t.Effect == corev1.TaintEffectNoSchedule || t.Effect == corev1.TaintEffectNoExecute) {
			list = append(list, t)
		}
	}
	return list
}

// where are the classes with a node to which a pod of this spec may be scheduled, sorted. anyNode is true where it was made
// for one node by a controller that makes one for each, so that a selection by name proves nothing.
func (pl *placement) where(spec *corev1.PodSpec, anyNode bool) []int {
	affinity := spec.Affinity
	if anyNode {
		affinity = withoutNames(affinity)
	}
	required := nodeaffinity.NewRequiredNodeAffinity(spec.NodeSelector, affinity)
	every := selectsByName(spec.NodeSelector, affinity, pl.own)
	var found []int
	for _, i := range pl.candidates(spec.NodeSelector) {
		class := pl.classes[i]
		if !tolerates(spec.Tolerations, class.taints) {
			continue
		}
		nodes := class.nodes
		if !every {
			nodes = nodes[:1]
		}
		if slices.ContainsFunc(nodes, func(n *corev1.Node) bool {
			matches, err := required.Match(n)
			return matches || err != nil // an affinity that cannot be parsed excludes no pod
		}) {
			found = append(found, i)
		}
	}
	return found
}

// candidates are the classes with the rarest of the selected labels.
func (pl *placement) candidates(selector map[string]string) []int {
	best := pl.all
	for key, value := range selector {
		if list := pl.byLabel[snapshot.Label{Key: key, Value: value}]; !pl.own[key] && len(list) < len(best) {
			best = list
		}
	}
	return best
}

func tolerates(tolerations []corev1.Toleration, taints []corev1.Taint) bool {
	for i := range taints {
		if !slices.ContainsFunc(tolerations, func(t corev1.Toleration) bool { return t.ToleratesTaint(logr.Discard(), &taints[i], true) }) {
			return false
		}
	}
	return true
}

func requiredTerms(a *corev1.Affinity) []corev1.NodeSelectorTerm {
	if a == nil || a.NodeAffinity == nil || a.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution == nil {
		return nil
	}
	return a.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms
}

// withoutNames leaves out of an affinity what selects nodes by name. A term of which nothing is left selects every node.
func withoutNames(a *corev1.Affinity) *corev1.Affinity {
	var terms []corev1.NodeSelectorTerm
	for _, t := range requiredTerms(a) {
		if len(t.MatchExpressions) == 0 {
			return nil
		}
		terms = append(terms, corev1.NodeSelectorTerm{MatchExpressions: t.MatchExpressions})
	}
	if len(terms) == 0 {
		return nil
	}
	return &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{NodeSelectorTerms: terms}}}
}

func selectsByName(selector map[string]string, a *corev1.Affinity, own map[string]bool) bool {
	for key := range selector {
		if own[key] {
			return true
		}
	}
	return slices.ContainsFunc(requiredTerms(a), func(t corev1.NodeSelectorTerm) bool {
		return len(t.MatchFields) > 0 || slices.ContainsFunc(t.MatchExpressions, func(e corev1.NodeSelectorRequirement) bool { return own[e.Key] })
	})
}

// podClass are pods of one tenant that may be scheduled to the same nodes.
type podClass struct {
	tenant string
	where  []int
	pods   []*snapshot.Pod
}

// podClasses are the running pods of tenants whose specs are known, grouped, in the snapshot's order.
func (p *Run) podClasses(pl *placement) []*podClass {
	type key struct{ tenant, asks string }
	places, index := map[string][]int{}, map[key]int{}
	var list []*podClass
	for _, pod := range p.Pods {
		tenant := p.Owner[pod.Namespace]
		if tenant == finding.ThePlatform || pod.Completed() || pod.Spec == nil {
			continue
		}
		anyNode := pod.Owner.Kind == "DaemonSet"
		asks := askKey(pod.Spec, anyNode)
		i, known := index[key{tenant, asks}]
		if !known {
			if _, computed := places[asks]; !computed {
				places[asks] = pl.where(pod.Spec, anyNode)
			}
			i = len(list)
			index[key{tenant, asks}] = i
			list = append(list, &podClass{tenant: tenant, where: places[asks]})
		}
		list[i].pods = append(list[i].pods, pod)
	}
	return list
}

// askKey is equal for specs that ask the same of a node.
func askKey(spec *corev1.PodSpec, anyNode bool) string {
	var b strings.Builder
	if len(spec.NodeSelector) > 0 {
		for _, key := range slices.Sorted(maps.Keys(spec.NodeSelector)) {
			b.WriteString(key + "=" + spec.NodeSelector[key] + "\n")
		}
	}
	for i := range spec.Tolerations {
		t := &spec.Tolerations[i]
		if strings.HasPrefix(t.Key, "node.kubernetes.io/") {
			continue // tolerations of what comes and goes, which every pod has
		}
		b.WriteString("!" + t.Key + " " + string(t.Operator) + " " + t.Value + " " + string(t.Effect) + "\n")
	}
	if affinity := spec.Affinity; affinity != nil {
		if anyNode {
			affinity = withoutNames(affinity)
		}
		for _, t := range requiredTerms(affinity) {
			fmt.Fprintf(&b, "?%v%v\n", t.MatchExpressions, t.MatchFields)
		}
	}
	return b.String()
}

func (p *Run) tenantIndex(name string) int {
	i, _ := slices.BinarySearchFunc(p.Tenants, name, func(t snapshot.Tenant, name string) int { return cmp.Compare(t.Name, name) })
	return i
}
