package isolation

import (
	"slices"
	"strconv"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/bulkhead-dev/bulkhead/snapshot"
)

// verifyPods verifies a cluster of two tenants, a with namespaces a1 and a2, b with b1, and what is given.
func verifyPods(t *testing.T, c snapshot.Snapshot) *Report {
	t.Helper()
	return verifyPodsWith(t, c, Options{})
}

func verifyPodsWith(t *testing.T, c snapshot.Snapshot, o Options) *Report {
	t.Helper()
	if c.Tenants == nil {
		c.Tenants = []snapshot.Tenant{{Name: "a", Namespaces: []string{"a1", "a2"}}, {Name: "b", Namespaces: []string{"b1"}}}
	}
	if c.Namespaces == nil {
		c.Namespaces = []*snapshot.Namespace{{Name: "a1"}, {Name: "a2"}, {Name: "b1"}, {Name: "kube-system"}}
	}
	s, err := snapshot.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return Verify(s, o)
}

// codesOf are the codes of a check's findings, each once, sorted.
func codesOf(r *Report, check string) []string {
	var codes []string
	for _, f := range findingsOf(r, check) {
		codes = append(codes, f.Code)
	}
	slices.Sort(codes)
	return slices.Compact(codes)
}

func findingsOf(r *Report, check string) []Finding {
	var list []Finding
	for _, f := range r.Findings {
		if _, of, known := CodeByID(f.Code); known && of.ID == check {
			list = append(list, f)
		}
	}
	return list
}

func TestPodsOfTenantsAreJudgedByWhatTheyGive(t *testing.T) {
	for _, c := range []struct {
		name string
		pod  snapshot.Pod
		want string
	}{
		{"restricted", snapshot.Pod{Namespace: "a1", Spec: hardened()}, ""},
		{"of the platform", snapshot.Pod{Namespace: "kube-system", Spec: with(hardened(), contextual(privileged))}, ""},
		{"completed", snapshot.Pod{Namespace: "a1", Phase: corev1.PodSucceeded, Spec: with(hardened(), contextual(privileged))}, ""},
		{"takes its node", snapshot.Pod{Namespace: "a1", Spec: with(hardened(), contextual(privileged))}, "BH2001"},
		{"reads others' files", snapshot.Pod{Namespace: "a1", Spec: with(hardened(), hostPID)}, "BH2002"},
		{"uses the node's network", snapshot.Pod{Namespace: "a1", Spec: with(hardened(), hostNetwork)}, "BH2003"},
		{"learns of others", snapshot.Pod{Namespace: "a1", Spec: with(hardened(), hostIPC)}, "BH2004"},
		{"not hardened", snapshot.Pod{Namespace: "a1", Spec: rooted()}, "BH2005"},
		{"not known", snapshot.Pod{Namespace: "a1"}, "BH2009"},
		{"AppArmor by annotation", snapshot.Pod{Namespace: "a1", Spec: hardened(),
			Annotations: snapshot.Labels{{Key: corev1.DeprecatedAppArmorBetaContainerAnnotationKeyPrefix + "c", Value: "unconfined"}}}, "BH2005"},
	} {
		c.pod.Name, c.pod.Owner = "x-1", snapshot.Owner{Kind: "Deployment", Name: "x"}
		r := verifyPods(t, snapshot.Snapshot{Pods: []*snapshot.Pod{&c.pod}})
		if got := strings.Join(codesOf(r, "pods"), " "); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
		for _, f := range findingsOf(r, "pods") {
			if f.From != "a" || !slices.Contains(f.Blame, Object{"Deployment", "a1", "x"}) || f.Verdict == Exposed && len(f.Witness) == 0 {
				t.Errorf("%s: %+v", c.name, f)
			}
		}
	}
}

// A thousand pods of one workload are one finding, and what is merely not hardened is one for each namespace.
func TestOneCauseIsOneFinding(t *testing.T) {
	var pods []*snapshot.Pod
	for _, name := range []string{"1", "2", "3"} {
		pods = append(pods,
			&snapshot.Pod{Namespace: "a1", Name: "x-" + name, Owner: snapshot.Owner{Kind: "DaemonSet", Name: "x"}, Spec: with(hardened(), contextual(privileged))},
			&snapshot.Pod{Namespace: "a2", Name: "y-" + name, Spec: rooted()})
	}
	found := findingsOf(verifyPods(t, snapshot.Snapshot{Pods: pods}), "pods")
	if len(found) != 2 || found[0].Code != "BH2001" || found[1].Code != "BH2005" || !strings.Contains(found[1].What, "2 more workloads") {
		t.Errorf("%+v", found)
	}
}

// BenchmarkEscapes: go test ./isolation -run x -bench Escapes. Every pod has a spec of its own, as those have that are read
// from a running cluster.
func BenchmarkEscapes(b *testing.B) {
	const pods = 100_000
	c := snapshot.Snapshot{Tenants: []snapshot.Tenant{{Name: "a", Namespaces: []string{"a1"}}}}
	for i := range pods {
		c.Pods = append(c.Pods, &snapshot.Pod{Namespace: "a1", Name: strconv.Itoa(i), Owner: snapshot.Owner{Kind: "Deployment", Name: strconv.Itoa(i / 10)}, Spec: rooted()})
	}
	s, err := snapshot.New(c)
	if err != nil {
		b.Fatal(err)
	}
	p := newProof(s, Options{})
	for b.Loop() {
		if found := p.escapeFindings(p.escapingPods()); len(found) != 1 {
			b.Fatal(len(found))
		}
	}
}
