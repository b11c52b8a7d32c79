package isolation_test

import (
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bulkhead-dev/bulkhead/internal/provertest"
	"github.com/bulkhead-dev/bulkhead/isolation"
	"github.com/bulkhead-dev/bulkhead/snapshot"
)

// nodesOf gives a platform nodes: one for all tenants, and one for each tenant that has its own.
func nodesOf(s *snapshot.Snapshot) []*corev1.Node {
	nodes := []*corev1.Node{{ObjectMeta: metav1.ObjectMeta{Name: "shared", Labels: map[string]string{corev1.LabelHostname: "shared"}}}}
	for _, t := range s.Tenants {
		if t.Nodes.Key == "" {
			continue
		}
		nodes = append(nodes, &corev1.Node{
			ObjectMeta: metav1.ObjectMeta{Name: "own-" + t.Name, Labels: map[string]string{corev1.LabelHostname: "own-" + t.Name, t.Nodes.Key: t.Nodes.Value}},
			Spec:       corev1.NodeSpec{Taints: []corev1.Taint{{Key: "bulkhead.dev/tenant", Value: t.Name, Effect: corev1.TaintEffectNoSchedule}}}})
	}
	return nodes
}

// Promise: on a platform that Bulkhead made, no pod takes a node and dedicated nodes are their tenant's; and whoever takes
// one object of it away finds that object blamed.
func TestBulkheadsPlatformKeepsPodsFromNodes(t *testing.T) {
	p, err := provertest.Magazine()
	if err != nil {
		t.Fatal(err)
	}
	c := *p.Snapshot
	c.Nodes = nodesOf(&c)
	if len(c.Nodes) < 2 {
		t.Fatal("no tenant of the example has nodes of its own: nothing is tested")
	}
	restricted := slices.IndexFunc(c.Namespaces, func(n *snapshot.Namespace) bool {
		level, _ := n.Labels.Get("pod-security.kubernetes.io/enforce")
		space, _ := n.Labels.Get("bulkhead.dev/space")
		return level == "restricted" && space != ""
	})
	for _, m := range []struct {
		what   string
		change func(*snapshot.Snapshot)
		codes  []string
		blame  snapshot.Ref
	}{
		{"nothing", func(*snapshot.Snapshot) {}, nil, snapshot.Ref{}},
		{"Pod Security of a Space", func(s *snapshot.Snapshot) {
			s.Namespaces = slices.Clone(s.Namespaces)
			loose := *s.Namespaces[restricted]
			loose.Labels = slices.DeleteFunc(slices.Clone(loose.Labels), func(l snapshot.Label) bool { return l.Key == "pod-security.kubernetes.io/enforce" })
			s.Namespaces[restricted] = &loose
		}, []string{"BH2006", "BH2008"}, snapshot.Ref{Kind: "Namespace", Name: c.Namespaces[restricted].Name}},
		{"the taint of a node", func(s *snapshot.Snapshot) {
			s.Nodes = slices.Clone(s.Nodes)
			i := len(s.Nodes) - 1
			s.Nodes[i] = s.Nodes[i].DeepCopy()
			s.Nodes[i].Spec.Taints = nil
		}, []string{"BH2012"}, snapshot.Ref{Kind: "Node", Name: c.Nodes[len(c.Nodes)-1].Name}},
		{"the policy that refuses foreign nodes", func(s *snapshot.Snapshot) {
			s.ValidatingBindings = without(s.ValidatingBindings, "bulkhead-node-affinity")
		}, []string{"BH2013"}, snapshot.Ref{Kind: "ValidatingAdmissionPolicyBinding", Name: "bulkhead-node-affinity"}},
	} {
		changed := c
		m.change(&changed)
		s, err := snapshot.New(changed)
		if err != nil {
			t.Fatal(err)
		}
		r, err := p.Prove(s)
		if err != nil {
			t.Fatal(err)
		}
		var codes []string
		var blamed []snapshot.Ref
		for _, f := range r.Findings {
			if _, check, _ := isolation.CodeByID(f.Code); (check.ID == "pods" || check.ID == "nodes") && f.Waiver == "" {
				codes = append(codes, f.Code)
				blamed = append(blamed, f.Blame...)
				t.Logf("%s: %s %s %s -> %s: %s %v", m.what, f.Verdict, f.Code, f.From, f.To, f.What, f.Blame)
			}
		}
		slices.Sort(codes)
		if codes = slices.Compact(codes); !slices.Equal(codes, m.codes) {
			t.Errorf("without %s: codes %v, want %v", m.what, codes, m.codes)
		}
		if m.blame.Name != "" && !slices.Contains(blamed, m.blame) {
			t.Errorf("without %s: blamed %v, want %s too", m.what, blamed, m.blame)
		}
	}
}

func without[T metav1.Object](list []T, name string) []T {
	return slices.DeleteFunc(slices.Clone(list), func(o T) bool { return o.GetName() == name })
}
