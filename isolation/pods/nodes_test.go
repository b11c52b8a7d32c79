package pods

import (
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	nodev1 "k8s.io/api/node/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/isolation/finding"
	"github.com/bulkhead-dev/bulkhead/snapshot"
)

const ownLabel = "node-restriction.kubernetes.io/tenant"

var ownTaint = corev1.Taint{Key: "tenant", Value: "b", Effect: corev1.TaintEffectNoSchedule}

// staying is a spec that runs on the nodes of tenant b and nowhere else.
func staying() *corev1.PodSpec {
	return with(hardened(), func(s *corev1.PodSpec) {
		s.NodeSelector = map[string]string{ownLabel: "b"}
		s.Tolerations = []corev1.Toleration{{Key: "tenant", Value: "b", Effect: corev1.TaintEffectNoSchedule}}
	})
}

// dedicatedCluster: tenant b has a node of its own, with the label and the taint, and its pod stays there.
func dedicatedCluster() snapshot.Snapshot {
	return snapshot.Snapshot{
		Tenants:    []snapshot.Tenant{{Name: "a", Namespaces: []string{"a1"}}, {Name: "b", Namespaces: []string{"b1"}, Nodes: snapshot.Label{Key: ownLabel, Value: "b"}}},
		Namespaces: []*snapshot.Namespace{{Name: "a1"}, {Name: "b1"}, {Name: "kube-system"}},
		Nodes:      []*corev1.Node{testNode("n1", nil), testNode("own", map[string]string{ownLabel: "b"}, ownTaint)},
		Pods: []*snapshot.Pod{{Namespace: "a1", Name: "x", Node: "n1", Spec: hardened()}, {Namespace: "b1", Name: "y", Node: "own", Spec: staying()},
			{Namespace: "kube-system", Name: "agent", Node: "own", Spec: with(hardened(), func(s *corev1.PodSpec) { s.Tolerations = []corev1.Toleration{{Operator: "Exists"}} })}},
	}
}

// Every way in which dedication is broken, by one change of a cluster in which it is whole.
func TestDedicatedNodesAreTheirTenantsAlone(t *testing.T) {
	for _, c := range []struct {
		what   string
		change func(*snapshot.Snapshot)
		want   string
		blame  snapshot.Ref
	}{
		{"nothing is wrong", func(*snapshot.Snapshot) {}, "", snapshot.Ref{}},
		{"a stranger runs there", func(s *snapshot.Snapshot) { s.Pods[0].Node = "own" }, "BH2011", snapshot.Ref{Kind: "Pod", Namespace: "a1", Name: "x"}},
		{"a completed stranger lies there", func(s *snapshot.Snapshot) { s.Pods[0].Node, s.Pods[0].Phase = "own", corev1.PodFailed }, "", snapshot.Ref{}},
		{"no taint", func(s *snapshot.Snapshot) { s.Nodes[1].Spec.Taints = nil }, "BH2012", snapshot.Ref{Kind: "Node", Name: "own"}},
		{"a taint that only prefers", func(s *snapshot.Snapshot) { s.Nodes[1].Spec.Taints[0].Effect = corev1.TaintEffectPreferNoSchedule }, "BH2012", snapshot.Ref{Kind: "Node", Name: "own"}},
		{"a taint that evicts", func(s *snapshot.Snapshot) {
			s.Nodes[1].Spec.Taints[0].Effect, s.Pods[1].Spec.Tolerations[0].Effect = corev1.TaintEffectNoExecute, corev1.TaintEffectNoExecute
		}, "", snapshot.Ref{}},
		{"a taint that passes by itself is no fence", func(s *snapshot.Snapshot) { s.Nodes[1].Spec.Taints[0].Key = "node.kubernetes.io/unreachable" }, "BH2012", snapshot.Ref{Kind: "Node", Name: "own"}},
		{"a stranger tolerates", func(s *snapshot.Snapshot) { s.Pods[0].Spec.Tolerations = []corev1.Toleration{{Operator: "Exists"}} }, "BH2013", snapshot.Ref{Kind: "Pod", Namespace: "a1", Name: "x"}},
		{"a stranger tolerates another value", func(s *snapshot.Snapshot) {
			s.Pods[0].Spec.Tolerations = []corev1.Toleration{{Key: "tenant", Value: "a"}}
		}, "", snapshot.Ref{}},
		{"own pods select nothing", func(s *snapshot.Snapshot) { s.Pods[1].Spec.NodeSelector = nil }, "BH2014", snapshot.Ref{Kind: "Pod", Namespace: "b1", Name: "y"}},
		{"own pods run elsewhere", func(s *snapshot.Snapshot) { s.Pods[1].Node = "n1" }, "BH2014", snapshot.Ref{Kind: "Pod", Namespace: "b1", Name: "y"}},
		{"own pods elsewhere that may be there", func(s *snapshot.Snapshot) {
			s.Namespaces[1].Labels = snapshot.LabelsOf(map[string]string{v1alpha1.LabelPattern: "Soft"})
			s.Pods[1].Spec, s.Pods[1].Node = hardened(), "n1"
		}, "", snapshot.Ref{}},
		{"another node has the taint without the label", func(s *snapshot.Snapshot) { s.Nodes[0].Spec.Taints = []corev1.Taint{ownTaint} }, "BH2015", snapshot.Ref{Kind: "Node", Name: "n1"}},
		{"no node has the label", func(s *snapshot.Snapshot) {
			s.Nodes[1].Labels[ownLabel], s.Nodes[1].Spec.Taints = "z", nil
		}, "BH2015", snapshot.Ref{Kind: "Tenant", Name: "b"}},
		{"a label that kubelets may set", func(s *snapshot.Snapshot) {
			s.Tenants[1].Nodes.Key, s.Nodes[1].Labels["pool"], s.Pods[1].Spec.NodeSelector = "pool", "b", map[string]string{"pool": "b"}
		}, "BH2016", snapshot.Ref{Kind: "Node", Name: "own"}},
		{"no sandbox", func(s *snapshot.Snapshot) {
			s.Namespaces[0].Labels = snapshot.LabelsOf(map[string]string{v1alpha1.LabelRuntimeClass: "gvisor"})
		}, "BH2017", snapshot.Ref{Kind: "Pod", Namespace: "a1", Name: "x"}},
		{"a sandbox", func(s *snapshot.Snapshot) {
			s.Namespaces[0].Labels = snapshot.LabelsOf(map[string]string{v1alpha1.LabelRuntimeClass: "gvisor"})
			s.Pods[0].Spec.RuntimeClassName = new("gvisor")
			s.RuntimeClasses = []*nodev1.RuntimeClass{{ObjectMeta: metav1.ObjectMeta{Name: "gvisor"}, Handler: "runsc"}}
		}, "", snapshot.Ref{}},
		{"a sandbox by name only", func(s *snapshot.Snapshot) {
			s.Namespaces[0].Labels = snapshot.LabelsOf(map[string]string{v1alpha1.LabelRuntimeClass: "gvisor"})
			s.Pods[0].Spec.RuntimeClassName = new("gvisor")
			s.RuntimeClasses = []*nodev1.RuntimeClass{{ObjectMeta: metav1.ObjectMeta{Name: "gvisor"}, Handler: "runc"}}
		}, "BH2017", snapshot.Ref{Kind: "RuntimeClass", Name: "gvisor"}},
		{"no nodes were read", func(s *snapshot.Snapshot) { s.Nodes = []*corev1.Node{} }, "BH2018", snapshot.Ref{}},
	} {
		cluster := dedicatedCluster()
		c.change(&cluster)
		r := judge(t, cluster)
		if got := strings.Join(r.codes("nodes"), " "); got != c.want && !(c.what == "no node has the label" && got == "BH2014 BH2015") {
			t.Errorf("%s: %q, want %q", c.what, got, c.want)
		}
		found := r["nodes"]
		if c.blame.Name != "" && (len(found) == 0 || !slices.ContainsFunc(found, func(f finding.Finding) bool { return len(f.Blame) > 0 && f.Blame[0] == c.blame && len(f.Witness) > 0 })) {
			t.Errorf("%s: want blame of %s in %+v", c.what, c.blame, found)
		}
	}
}

// What tenants could create counts like what they have: admission decides, and its word on a plain pod is compromised as it stores it.
func TestWhoMayGetToDedicatedNodesIsWhatAdmissionLetsThrough(t *testing.T) {
	stored := func(spec *corev1.PodSpec) finding.AdmissionAnswer {
		return finding.AdmissionAnswer{Admitted: true, Object: &corev1.Pod{Spec: *spec}}
	}
	placing := func(namespace string, spec *corev1.PodSpec) finding.AdmissionAnswer {
		spec = spec.DeepCopy()
		if namespace == "b1" {
			spec.NodeSelector, spec.Tolerations = staying().NodeSelector, staying().Tolerations
			return stored(spec)
		}
		return stored(spec)
	}
	fenced := func(namespace string, spec *corev1.PodSpec) finding.AdmissionAnswer {
		if namespace == "a1" && (spec.NodeName != "" || len(spec.Tolerations) > 0) {
			return refusing("ValidatingAdmissionPolicy", "placement", "no")
		}
		return placing(namespace, spec)
	}
	for _, c := range []struct {
		what      string
		admission finding.Admission
		want      string
	}{
		{"strangers are refused and own pods are placed", admitting(fenced), ""},
		{"strangers are not refused", admitting(placing), "BH2013"},
		{"strangers may name the node", admitting(func(namespace string, spec *corev1.PodSpec) finding.AdmissionAnswer {
			if spec.NodeName != "" {
				return stored(spec)
			}
			return fenced(namespace, spec)
		}), "BH2013"},
		{"own pods are not placed", admitting(func(namespace string, spec *corev1.PodSpec) finding.AdmissionAnswer {
			if namespace == "b1" {
				return stored(spec)
			}
			return fenced(namespace, spec)
		}), "BH2014"},
		{"admission is not known", nil, "BH2018"},
	} {
		cluster := dedicatedCluster()
		for _, ns := range []string{"a1", "b1"} {
			rights := mayCreate("pods")
			rights.Roles[0].Namespace, rights.RoleBindings[0].Namespace = ns, ns
			rights.RoleBindings[0].Subjects = []rbacv1.Subject{{Kind: "User", Name: "owner-of-" + ns}}
			cluster.Roles, cluster.RoleBindings = append(cluster.Roles, rights.Roles...), append(cluster.RoleBindings, rights.RoleBindings...)
		}
		if got := strings.Join(judgeWith(t, cluster, finding.Options{Admission: c.admission}).codes("nodes"), " "); got != c.want {
			t.Errorf("%s: %q, want %q", c.what, got, c.want)
		}
	}
}

// Classes of nodes and of pods against a look at every node for every pod.
func TestPlacementAgreesWithALookAtEveryNode(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 2))
		nodes := randomNodes(r)
		pl := newPlacement(nodes)
		for range 20 {
			spec := randomPlacement(r)
			got := pl.where(spec, false)
			want := map[int]bool{}
			for _, n := range nodes {
				if dumbMayRun(spec, n) {
					want[pl.byNode[n.Name]] = true
				}
			}
			for c := range pl.classes {
				if slices.Contains(got, c) != want[c] {
					t.Fatalf("seed %d: class %d: %v, want %v, for %+v", seed, c, slices.Contains(got, c), want[c], spec)
				}
			}
		}
	}
}

func randomNodes(r *rand.Rand) []*corev1.Node {
	var nodes []*corev1.Node
	for i := range 1 + r.IntN(12) {
		labels := map[string]string{"zone": strconv.Itoa(r.IntN(3))}
		if r.IntN(2) == 0 {
			labels["pool"] = strconv.Itoa(r.IntN(3))
		}
		n := testNode("n"+strconv.Itoa(i), labels)
		for range r.IntN(3) {
			n.Spec.Taints = append(n.Spec.Taints, corev1.Taint{Key: []string{"k", "l"}[r.IntN(2)], Value: strconv.Itoa(r.IntN(2)),
				Effect: []corev1.TaintEffect{"NoSchedule", "NoExecute", "PreferNoSchedule"}[r.IntN(3)]})
		}
		nodes = append(nodes, n)
	}
	return nodes
}

func randomPlacement(r *rand.Rand) *corev1.PodSpec {
	spec := &corev1.PodSpec{}
	if r.IntN(2) == 0 {
		spec.NodeSelector = map[string]string{[]string{"zone", "pool", corev1.LabelHostname}[r.IntN(3)]: []string{"0", "1", "n1"}[r.IntN(3)]}
	}
	if r.IntN(2) == 0 {
		term := corev1.NodeSelectorTerm{MatchExpressions: []corev1.NodeSelectorRequirement{{Key: []string{"zone", "pool", corev1.LabelHostname}[r.IntN(3)],
			Operator: []corev1.NodeSelectorOperator{"In", "NotIn"}[r.IntN(2)], Values: []string{[]string{"0", "1", "n0"}[r.IntN(3)]}}}}
		spec.Affinity = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{term}}}}
	}
	for range r.IntN(3) {
		spec.Tolerations = append(spec.Tolerations, corev1.Toleration{Key: []string{"k", "l", ""}[r.IntN(3)], Operator: "Exists",
			Effect: []corev1.TaintEffect{"", "NoSchedule", "NoExecute"}[r.IntN(3)]})
	}
	return spec
}

// dumbMayRun is the rule in its plainest form.
func dumbMayRun(spec *corev1.PodSpec, n *corev1.Node) bool {
	for key, value := range spec.NodeSelector {
		if n.Labels[key] != value {
			return false
		}
	}
	for _, term := range requiredTerms(spec.Affinity) {
		e := term.MatchExpressions[0]
		value, has := n.Labels[e.Key]
		if in := has && slices.Contains(e.Values, value); in != (e.Operator == "In") {
			return false
		}
	}
	for _, taint := range n.Spec.Taints {
		tolerated := taint.Effect == "PreferNoSchedule"
		for _, t := range spec.Tolerations {
			tolerated = tolerated || (t.Key == "" || t.Key == taint.Key) && (t.Effect == "" || t.Effect == taint.Effect)
		}
		if !tolerated {
			return false
		}
	}
	return true
}

// BenchmarkNodes: go test ./isolation/pods -run x -bench Nodes. 100,000 pods of 1,000 tenants on 1,000 nodes, ten tenants with
// nodes of their own; every pod has a spec of its own, as those have that are read from a running cluster.
func BenchmarkNodes(b *testing.B) {
	const tenants, pods, nodes, own = 1000, 100_000, 1000, 10
	var c snapshot.Snapshot
	for i := range tenants {
		name := "t" + strconv.Itoa(i)
		t := snapshot.Tenant{Name: name, Namespaces: []string{name}}
		if i < own {
			t.Nodes = snapshot.Label{Key: ownLabel, Value: name}
		}
		c.Tenants = append(c.Tenants, t)
	}
	for i := range nodes {
		n := testNode("n"+strconv.Itoa(i), map[string]string{"zone": strconv.Itoa(i % 3)})
		if i < own*10 {
			owner := "t" + strconv.Itoa(i%own)
			n.Labels[ownLabel], n.Spec.Taints = owner, []corev1.Taint{{Key: "tenant", Value: owner, Effect: corev1.TaintEffectNoSchedule}}
		}
		c.Nodes = append(c.Nodes, n)
	}
	for i := range pods {
		spec, owner, node := hardened(), i%tenants, own*10+i%(nodes-own*10)
		if owner < own {
			spec.NodeSelector = map[string]string{ownLabel: "t" + strconv.Itoa(owner)}
			spec.Tolerations = []corev1.Toleration{{Key: "tenant", Value: "t" + strconv.Itoa(owner)}}
			node = owner
		}
		c.Pods = append(c.Pods, &snapshot.Pod{Namespace: "t" + strconv.Itoa(owner), Name: strconv.Itoa(i), Node: "n" + strconv.Itoa(node), Spec: spec})
	}
	s, err := snapshot.New(c)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if found, _ := runOf(s, finding.Options{}).FindNodes(); len(found) > 0 {
			b.Fatal(found[0])
		}
	}
}
