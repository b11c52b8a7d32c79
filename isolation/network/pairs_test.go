package network

import (
	"slices"
	"strings"
	"testing"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/bulkhead-dev/bulkhead/isolation/clustergen"
	"github.com/bulkhead-dev/bulkhead/snapshot"
)

const closed = "{metadata: {namespace: a, name: close}, spec: {podSelector: {}, policyTypes: [Ingress, Egress]}}\n---\n" +
	"{metadata: {namespace: b, name: close}, spec: {podSelector: {}, policyTypes: [Ingress, Egress]}}\n---\n"

func pairOf(t *testing.T, s *snapshot.Snapshot, from, to string, flows ...snapshot.Flow) Pair {
	t.Helper()
	pairs, err := NewReach(s, 1).TenantPairs(flows)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := pairs.Pair(from, to)
	if err != nil {
		t.Fatal(err)
	}
	return pair
}

func port(n int32) []networkingv1.NetworkPolicyPort {
	return []networkingv1.NetworkPolicyPort{{Port: new(intstr.FromInt32(n))}}
}

// TestWhatIsMissingIsNeverIsolated: each kind that the proof needs, taken away, turns a clean verdict into Unknown and
// is named; a kind that it does not need changes nothing; and what is exposed stays exposed.
func TestWhatIsMissingIsNeverIsolated(t *testing.T) {
	if pair := pairOf(t, build(t, twoPods, closed), "a", "b"); pair.Verdict != NoConnection || len(pair.Doubts) != 0 {
		t.Fatalf("with nothing missing: %s, %v", pair.Verdict, pair.Doubts)
	}
	for kind, want := range map[string]PairVerdict{
		"Pod": PairUnknown, "Namespace": PairUnknown, "NetworkPolicy": PairUnknown, "AdminNetworkPolicy": PairUnknown,
		"BaselineAdminNetworkPolicy": PairUnknown, "ClusterNetworkPolicy": PairUnknown, "*": PairUnknown, "PriorityLevelConfiguration": NoConnection,
	} {
		s := *build(t, twoPods, closed)
		s.Missing = []snapshot.Missing{{Kind: kind, Why: "forbidden"}}
		pair := pairOf(t, &s, "a", "b")
		if pair.Verdict != want || want == PairUnknown && !slices.Contains(pair.Doubts, kind+": forbidden") {
			t.Errorf("without %s: %s because of %v, want %s", kind, pair.Verdict, pair.Doubts, want)
		}
		open := *build(t, twoPods, "")
		open.Missing = s.Missing
		if pair := pairOf(t, &open, "a", "b"); pair.Verdict != Exceeding {
			t.Errorf("exposed, and without %s: %s", kind, pair.Verdict)
		}
		pairs, err := NewReach(&s, 1).TenantPairs(nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := pairs.Count()[want]; got != 2 {
			t.Errorf("without %s: %v, want 2 pairs %s", kind, pairs.Count(), want)
		}
	}
}

func TestANamespaceThatNobodyListedIsADoubtWhereLabelsMatter(t *testing.T) {
	bySelector := closed + "{metadata: {namespace: b, name: p}, spec: {podSelector: {}, ingress: [{from: [{namespaceSelector: {matchLabels: {team: z}}}]}]}}"
	byName := strings.ReplaceAll(bySelector, "team: z", "kubernetes.io/metadata.name: z")
	for policies, want := range map[string]PairVerdict{bySelector: PairUnknown, byName: NoConnection} {
		s := build(t, twoPods, policies)
		s.Namespaces = []*snapshot.Namespace{s.Namespaces[1]}
		implied, err := snapshot.New(*s)
		if err != nil {
			t.Fatal(err)
		}
		if pair := pairOf(t, implied, "a", "b"); pair.Verdict != want {
			t.Errorf("%s: %s %v, want %s", policies, pair.Verdict, pair.Doubts, want)
		}
	}
}

func TestAnAddressThatIsNotKnownIsADoubt(t *testing.T) {
	both := "{metadata: {namespace: a, name: p}, spec: {podSelector: {}, egress: [{to: [{ipBlock: {cidr: 10.0.0.0/8}}], ports: [{port: 80}]}]}}\n---\n" +
		"{metadata: {namespace: b, name: p}, spec: {podSelector: {}, ingress: [{from: [{namespaceSelector: {}}]}]}}"
	for pod, want := range map[string]PairVerdict{"b/y": PairUnknown, "b/y ip=11.0.0.1": NoConnection, "b/y ip=10.0.0.1": Exceeding} {
		pair := pairOf(t, build(t, []string{"a/x", pod}, closed+both), "a", "b")
		if pair.Verdict != want {
			t.Errorf("%s: %s %v, want %s", pod, pair.Verdict, pair.Doubts, want)
		}
		if want == PairUnknown && (pair.Possible.String() != "TCP 80" || !strings.Contains(strings.Join(pair.Doubts, ""), "depends on addresses")) {
			t.Errorf("%s: possible %s, doubts %v", pod, pair.Possible, pair.Doubts)
		}
	}
}

func TestDeclaredFlowsAreNotAnExcessAndWhatExceedsThemIs(t *testing.T) {
	open := closed + "{metadata: {namespace: a, name: p}, spec: {podSelector: {}, egress: [{to: [{namespaceSelector: {matchLabels: {team: b}}}]}]}}\n---\n" +
		"{metadata: {namespace: b, name: p}, spec: {podSelector: {}, ingress: [{from: [{namespaceSelector: {matchLabels: {team: a}}}], ports: [{port: 80, endPort: 90}]}]}}"
	s := build(t, twoPods, open)
	for _, c := range []struct {
		name             string
		flow             snapshot.Flow
		want             PairVerdict
		declared, excess string
	}{
		{"exactly", snapshot.Flow{From: "a", To: "b", Ports: []networkingv1.NetworkPolicyPort{{Port: new(intstr.FromInt32(80)), EndPort: new(int32(90))}}}, DeclaredOnly, "TCP 80-90", "No Connections"},
		{"more than is open", snapshot.Flow{From: "a", To: "b"}, DeclaredOnly, "TCP 80-90", "No Connections"},
		{"less than is open", snapshot.Flow{From: "a", To: "b", Ports: port(85)}, Exceeding, "TCP 85", "TCP 80-84,86-90"},
		{"the other way", snapshot.Flow{From: "b", To: "a"}, Exceeding, "No Connections", "TCP 80-90"},
		{"for other pods", snapshot.Flow{From: "a", To: "b", FromPods: map[string]string{"app": "other"}}, Exceeding, "No Connections", "TCP 80-90"},
		{"for these pods", snapshot.Flow{From: "a", To: "b", FromPods: map[string]string{"app": "x"}, ToPods: map[string]string{"app": "y"}}, DeclaredOnly, "TCP 80-90", "No Connections"},
	} {
		pair := pairOf(t, s, "a", "b", c.flow)
		if pair.Verdict != c.want || pair.Declared.String() != c.declared || pair.Excess.String() != c.excess {
			t.Errorf("declared %s: %s, declared %s, excess %s; want %s, %s, %s", c.name, pair.Verdict, pair.Declared, pair.Excess, c.want, c.declared, c.excess)
		}
	}
	if _, err := NewReach(s, 1).TenantPairs([]snapshot.Flow{{From: "a", To: "b", Ports: port(0)}}); err == nil || !strings.Contains(err.Error(), "flow from a to b: ports[0]") {
		t.Errorf("a flow to port 0: %v", err)
	}
}

// TestTheWitnessNamesTheObjectToBlame on both sides: the rule that lets through, or the namespace that lacks one.
func TestTheWitnessNamesTheObjectToBlame(t *testing.T) {
	wide := "{metadata: {namespace: b, name: wide}, spec: {podSelector: {}, ingress: [{from: [{podSelector: {}}]}, {from: [{namespaceSelector: {}}], ports: [{port: 80}]}]}}"
	pair := pairOf(t, build(t, []string{"a/x-1 owner=Deployment/x", "b/y"}, strings.Split(closed, "---")[1]+"---\n"+wide), "a", "b")
	w := pair.Witness
	if w == nil || w.From != "a/x[Deployment]" || w.To != "b/y[Pod]" || w.FromPod != "a/x-1" || w.ToPod != "b/y" || w.Ports.String() != "TCP 80" {
		t.Fatalf("witness %+v", w)
	}
	if want := []Cause{{Kind: "NetworkPolicy", Namespace: "b", Name: "wide", Rule: 1, Why: "its ingress rule 1 allows it"}}; !slices.Equal(w.Ingress, want) {
		t.Errorf("ingress because of %+v, want %+v", w.Ingress, want)
	}
	if want := []Cause{{Kind: "Namespace", Name: "a", Rule: -1, Why: "no policy isolates pod x-1 for egress"}}; !slices.Equal(w.Egress, want) {
		t.Errorf("egress because of %+v, want %+v", w.Egress, want)
	}
	host := pairOf(t, build(t, []string{"a/x host node=1", "b/y node=1"}, closed), "a", "b")
	if host.Verdict != Exceeding || host.Witness.Ingress[0].Kind != "Pod" || host.Witness.Ingress[0].Name != "x" {
		t.Errorf("host network on the same node: %s %+v", host.Verdict, host.Witness)
	}
}

func TestPairRefusesWhoIsNoTenant(t *testing.T) {
	pairs, err := NewReach(build(t, twoPods, ""), 1).TenantPairs(nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range [][3]string{{"z", "b", `tenant "z" is not in the snapshot 7`}, {"a", "z", `tenant "z" is not in`}, {"a", "a", "with itself"}} {
		if _, err := pairs.Pair(c[0], c[1]); err == nil || !strings.Contains(err.Error(), c[2]) {
			t.Errorf("pair %s, %s: %v", c[0], c[1], err)
		}
	}
}

// TestGeneratedClustersAreIsolatedButForTheMistakes: a careful cluster has no excess; with mistakes, every exceeding
// pair has one of the spoiled namespaces to blame, on either side; and updates keep up at that size.
func TestGeneratedClustersAreIsolatedButForTheMistakes(t *testing.T) {
	generate := func(mistakes float64) *clustergen.Cluster {
		c, err := clustergen.Generate(clustergen.Options{Pods: 3000, Mistakes: mistakes, Seed: 3})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	clean, err := NewReach(generate(0).Snapshot, 0).TenantPairs(nil)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(clean.r.tenants); clean.Count()[NoConnection] != n*(n-1) {
		t.Fatalf("without mistakes: %v of %d tenants", clean.Count(), n)
	}
	spoiled := generate(0.1)
	pairs, err := NewReach(spoiled.Snapshot, 0).TenantPairs(nil)
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for pair := range pairs.With(Exceeding) {
		found++
		if !slices.ContainsFunc(spoiled.Mistakes, func(m clustergen.Mistake) bool {
			return strings.HasPrefix(m.Namespace, pair.From+"-") || strings.HasPrefix(m.Namespace, pair.To+"-")
		}) {
			t.Errorf("%s to %s exceeds though neither made a mistake: %+v", pair.From, pair.To, pair.Witness)
		}
	}
	if found == 0 || found != pairs.Count()[Exceeding] {
		t.Errorf("%d exceeding pairs, %v", found, pairs.Count())
	}
}
