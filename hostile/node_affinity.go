package hostile

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
)

// otherTenant is one that does not exist.
const otherTenant = v1alpha1.AttackName

// The words of the policy on nodes.
const (
	saysToleration  = "reaches nodes that are not for this tenant"
	saysNodes       = "nodeAffinity selects by"
	saysPodAffinity = "podAffinity and podAntiAffinity"
)

// nodePods land on nodes, or next to pods, of other tenants.
func nodePods() []PodCase {
	place := func(id, title, says string, variant bool, change func(*corev1.PodSpec)) PodCase {
		return PodCase{ID: id, Control: "node-affinity", Title: title, Change: specChange(change), Refusal: byPolicy("node-affinity", says), variant: variant}
	}
	tolerate := func(op corev1.TolerationOperator, value string) func(*corev1.PodSpec) {
		return func(s *corev1.PodSpec) {
			s.Tolerations = append(s.Tolerations, corev1.Toleration{Key: v1alpha1.TaintNodeTenant, Operator: op, Value: value, Effect: corev1.TaintEffectNoSchedule})
		}
	}
	cases := []PodCase{
		place("tolerate-all", "tolerates every taint, and so lands on any tenant's nodes", saysToleration, false, tolerateAll),
		place("tolerate-tenants", "tolerates the taint of every tenant's nodes", saysToleration, false, tolerate(corev1.TolerationOpExists, "")),
		place("tolerate-other", "tolerates the taint of another tenant's nodes", saysToleration, false, tolerate(corev1.TolerationOpEqual, otherTenant)),
		place("tolerate-other-by-default", "tolerates the taint of another tenant's nodes, without an operator", saysToleration, true, tolerate("", otherTenant)),
		place("tolerate-nameless", "tolerates the taint of nodes of a tenant without a name", saysToleration, true, tolerate(corev1.TolerationOpEqual, "")),
		place("node-name", "names its node, which may be any tenant's", "nodeName", false, func(s *corev1.PodSpec) { s.NodeName = v1alpha1.AttackName }),
		place("foreign-nodes", "selects another tenant's nodes", `names the nodes of "`+otherTenant+`"`, false, func(s *corev1.PodSpec) {
			s.NodeSelector = map[string]string{v1alpha1.LabelNodeTenant: otherTenant}
		}),
		place("affinity-foreign-nodes", "has an affinity to another tenant's nodes", saysNodes, false, toNodes(true, corev1.NodeSelectorOpExists)),
		place("affinity-one-foreign", "requires the nodes of one other tenant", saysNodes, true, toNodes(true, corev1.NodeSelectorOpIn, otherTenant)),
		place("affinity-not-own", "requires nodes that are not of some tenant", saysNodes, true, toNodes(true, corev1.NodeSelectorOpNotIn, otherTenant)),
		place("prefer-foreign-nodes", "prefers another tenant's nodes", saysNodes, true, toNodes(false, corev1.NodeSelectorOpIn, otherTenant)),
		place("affinity-foreign-pods", "seeks the company of other tenants' pods", saysPodAffinity, false, toPods(false, true, everyNamespace)),
	}
	cases = append(cases, foreignTolerations()...)
	ownToo := place("affinity-own-and-foreign", "requires its own nodes or another tenant's", saysNodes, true, nil)
	ownToo.Change = func(s Scene, pod *corev1.Pod) error {
		toNodes(true, corev1.NodeSelectorOpIn, s.Tenant.Name, otherTenant)(&pod.Spec)
		return nil
	}
	cases = append(cases, ownToo)
	for _, way := range []struct {
		id, title      string
		anti, required bool
	}{
		{"prefer-foreign-pods", "prefers the company of other tenants' pods", false, false},
		{"avoid-foreign-pods", "keeps away from other tenants' pods, and so learns where they are", true, true},
		{"dislike-foreign-pods", "prefers to be away from other tenants' pods", true, false},
	} {
		cases = append(cases, place(way.id, way.title, saysPodAffinity, true, toPods(way.anti, way.required, everyNamespace)))
	}
	for _, anti := range []bool{false, true} {
		for _, required := range []bool{false, true} {
			cases = append(cases, toNamedNamespaces(anti, required))
		}
	}
	return cases
}

// foreignTolerations are of taints that are no tenant's to tolerate, and of those that Kubernetes tolerates for a while only.
func foreignTolerations() []PodCase {
	var cases []PodCase
	for _, row := range []struct {
		id, title, key string
		effect         corev1.TaintEffect
		variant        bool
	}{
		{"control-plane", "runs on nodes of the control plane", "node-role.kubernetes.io/control-plane", corev1.TaintEffectNoSchedule, false},
		{"old-control-plane", "runs on nodes of the control plane, by their older taint", "node-role.kubernetes.io/master", corev1.TaintEffectNoSchedule, true},
		{"drained", "runs on nodes that are being drained", corev1.TaintNodeUnschedulable, corev1.TaintEffectNoSchedule, false},
		{"any-taint", "tolerates a taint that the platform does not name", elsewhere + "/reserved", corev1.TaintEffectNoSchedule, false},
		{"any-effect", "tolerates nodes that are not ready, by every effect", corev1.TaintNodeNotReady, "", true},
		{"not-ready", "is scheduled to nodes that are not ready", corev1.TaintNodeNotReady, corev1.TaintEffectNoSchedule, true},
		{"for-ever", "stays on a node that is not reached, for ever", corev1.TaintNodeUnreachable, corev1.TaintEffectNoExecute, true},
		{"memory-pressure", "takes memory of a node that has none left", corev1.TaintNodeMemoryPressure, corev1.TaintEffectNoSchedule, true},
		{"disk-pressure", "takes disk of a node that has none left", corev1.TaintNodeDiskPressure, corev1.TaintEffectNoSchedule, true},
		{"out-of-service", "stays on a node that is out of service", corev1.TaintNodeOutOfService, corev1.TaintEffectNoExecute, true},
		{"uninitialized", "runs on a node before its cloud prepared it", "node.cloudprovider.kubernetes.io/uninitialized", corev1.TaintEffectNoSchedule, true},
	} {
		cases = append(cases, PodCase{ID: "tolerate-" + row.id, Control: "node-affinity", Title: row.title, Refusal: byPolicy("node-affinity", saysToleration),
			variant: row.variant, Change: specChange(func(s *corev1.PodSpec) {
				s.Tolerations = append(s.Tolerations, corev1.Toleration{Key: row.key, Operator: corev1.TolerationOpExists, Effect: row.effect})
			})})
	}
	return cases
}

func tolerateAll(s *corev1.PodSpec) {
	s.Tolerations = append(s.Tolerations, corev1.Toleration{Operator: corev1.TolerationOpExists})
}

// toNodes selects nodes by whose they are.
func toNodes(required bool, op corev1.NodeSelectorOperator, tenants ...string) func(*corev1.PodSpec) {
	return func(s *corev1.PodSpec) {
		term := corev1.NodeSelectorTerm{MatchExpressions: []corev1.NodeSelectorRequirement{{Key: v1alpha1.LabelNodeTenant, Operator: op, Values: tenants}}}
		n := &corev1.NodeAffinity{}
		if required {
			n.RequiredDuringSchedulingIgnoredDuringExecution = &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{term}}
		} else {
			n.PreferredDuringSchedulingIgnoredDuringExecution = []corev1.PreferredSchedulingTerm{{Weight: 1, Preference: term}}
		}
		s.Affinity = &corev1.Affinity{NodeAffinity: n}
	}
}

func everyNamespace(term *corev1.PodAffinityTerm) { term.NamespaceSelector = &metav1.LabelSelector{} }

// toPods seeks or shuns the pods of a term.
func toPods(anti, required bool, of func(*corev1.PodAffinityTerm)) func(*corev1.PodSpec) {
	term := corev1.PodAffinityTerm{TopologyKey: corev1.LabelHostname, LabelSelector: &metav1.LabelSelector{}}
	of(&term)
	var hard []corev1.PodAffinityTerm
	var soft []corev1.WeightedPodAffinityTerm
	if required {
		hard = []corev1.PodAffinityTerm{term}
	} else {
		soft = []corev1.WeightedPodAffinityTerm{{Weight: 1, PodAffinityTerm: term}}
	}
	return func(s *corev1.PodSpec) {
		if anti {
			s.Affinity = &corev1.Affinity{PodAntiAffinity: &corev1.PodAntiAffinity{RequiredDuringSchedulingIgnoredDuringExecution: hard, PreferredDuringSchedulingIgnoredDuringExecution: soft}}
		} else {
			s.Affinity = &corev1.Affinity{PodAffinity: &corev1.PodAffinity{RequiredDuringSchedulingIgnoredDuringExecution: hard, PreferredDuringSchedulingIgnoredDuringExecution: soft}}
		}
	}
}

// toNamedNamespaces names a namespace of its own next to one of a tenant whose name begins like its own.
func toNamedNamespaces(anti, required bool) PodCase {
	id, title := "affinity", "to"
	if anti {
		id, title = "anti-affinity", "against"
	}
	if !required {
		id = "preferred-" + id
	}
	return PodCase{ID: id + "-named-namespaces", Control: "node-affinity", Title: "has an affinity " + title + " the pods of another tenant's namespace (" + id + ")",
		Refusal: byPolicy("node-affinity", saysPodAffinity), variant: true, Change: func(s Scene, pod *corev1.Pod) error {
			toPods(anti, required, func(term *corev1.PodAffinityTerm) {
				term.Namespaces = []string{v1alpha1.SpaceNamespace(s.Tenant.Name, "other"), v1alpha1.SpaceNamespace(s.Tenant.Name+"-x", "space")}
			})(&pod.Spec)
			return nil
		}}
}

// nodeCases land on nodes of other tenants by what is not in a template.
func nodeCases() []Case {
	placed := byPod("by-default", "node-affinity", "lands on shared nodes, though its tenant has nodes of its own", unchanged, Refusal{By: mutation})
	placed.Applies = func(s Scene) bool {
		_, decided, found := s.Workload()
		return InForce("node-affinity")(s) && found && decided.Pattern == "SoftAffinity"
	}
	placed.Attempt = completedPod("create a pod that names no nodes", unchanged, func(pod *corev1.Pod) string {
		if tenant := pod.Spec.NodeSelector[v1alpha1.LabelNodeTenant]; tenant != "" {
			return "the pod was accepted for the nodes of " + tenant
		}
		return ""
	})
	return []Case{placed, changedPod("tolerate-all", "node-affinity", "has a pod tolerate every taint afterwards", specChange(tolerateAll),
		byPolicy("node-affinity", saysToleration))}
}
