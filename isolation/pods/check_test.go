package pods

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bulkhead-dev/bulkhead/isolation/finding"
	"github.com/bulkhead-dev/bulkhead/isolation/rbac"
	"github.com/bulkhead-dev/bulkhead/snapshot"
)

// judged are the findings of the checks pods and nodes, by check.
type judged map[string][]finding.Finding

// judge judges a cluster of two tenants, a with namespaces a1 and a2, b with b1, and what is given.
func judge(t *testing.T, c snapshot.Snapshot) judged {
	t.Helper()
	return judgeWith(t, c, finding.Options{})
}

func judgeWith(t *testing.T, c snapshot.Snapshot, o finding.Options) judged {
	t.Helper()
	if c.Tenants == nil {
		c.Tenants = []snapshot.Tenant{{Name: "a", Namespaces: []string{"a1", "a2"}}, {Name: "b", Namespaces: []string{"b1"}}}
	}
	if c.Namespaces == nil {
		c.Namespaces = []*snapshot.Namespace{{Name: "a1"}, {Name: "a2"}, {Name: "b1"}, {Name: "kube-system"}}
	}
	if c.Nodes == nil {
		c.Nodes = []*corev1.Node{testNode("n1", nil), testNode("n2", nil)}
	}
	s, err := snapshot.New(c)
	if err != nil {
		t.Fatal(err)
	}
	run := runOf(s, o)
	escapes, _ := run.FindEscapes()
	nodes, _ := run.FindNodes()
	found := judged{}
	for _, list := range []struct {
		check    finding.Check
		findings []finding.Finding
	}{{Check(), escapes}, {NodesCheck(), nodes}} {
		for i := range list.findings {
			list.check.Complete(&list.findings[i])
		}
		found[list.check.ID] = finding.Sort(list.findings)
	}
	return found
}

func runOf(s *snapshot.Snapshot, o finding.Options) *Run {
	in := finding.NewInput(s, o)
	return NewRun(in, sync.OnceValue(func() *rbac.Reach { return rbac.NewReach(in) }))
}

func testNode(name string, labels map[string]string, taints ...corev1.Taint) *corev1.Node {
	all := map[string]string{corev1.LabelHostname: name}
	maps.Copy(all, labels)
	return &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: all}, Spec: corev1.NodeSpec{Taints: taints}}
}

// codes of a check's findings, each once, sorted.
func (j judged) codes(check string) []string {
	var codes []string
	for _, f := range j[check] {
		codes = append(codes, f.Code)
	}
	slices.Sort(codes)
	return slices.Compact(codes)
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
		r := judge(t, snapshot.Snapshot{Pods: []*snapshot.Pod{&c.pod}})
		if got := strings.Join(r.codes("pods"), " "); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
		for _, f := range r["pods"] {
			if f.From != "a" || !slices.Contains(f.Blame, snapshot.Ref{Kind: "Deployment", Namespace: "a1", Name: "x"}) || f.Verdict == finding.Exposed && len(f.Witness) == 0 {
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
	found := judge(t, snapshot.Snapshot{Pods: pods})["pods"]
	if len(found) != 2 || found[0].Code != "BH2001" || found[1].Code != "BH2005" || !strings.Contains(found[1].What, "2 more workloads") {
		t.Errorf("%+v", found)
	}
}

// admitting is an admission that refuses by the spec of the pod or of the template.
type admitting func(namespace string, spec *corev1.PodSpec) finding.AdmissionAnswer

func (a admitting) Exempting(snapshot.Ref) []finding.Mark { return nil }

func (a admitting) Admit(r *finding.AdmissionRequest) finding.AdmissionAnswer {
	switch o := r.Object.(type) {
	case *corev1.Pod:
		return a(r.Namespace, &o.Spec)
	case *appsv1.Deployment:
		return a(r.Namespace, &o.Spec.Template.Spec)
	}
	return finding.AdmissionAnswer{Admitted: true}
}

func refusing(kind, name, message string) finding.AdmissionAnswer {
	return finding.AdmissionAnswer{RefusedBy: []finding.Refusal{{By: snapshot.Ref{Kind: kind, Name: name}, Message: message}}}
}

// mayCreate lets user ana of tenant a create what is named in namespace a1.
func mayCreate(resource string) snapshot.Snapshot {
	return snapshot.Snapshot{
		Roles: []*rbacv1.Role{{ObjectMeta: metav1.ObjectMeta{Namespace: "a1", Name: "maker"},
			Rules: []rbacv1.PolicyRule{{Verbs: []string{"create"}, APIGroups: []string{"", "apps"}, Resources: []string{resource}}}}},
		RoleBindings: []*rbacv1.RoleBinding{{ObjectMeta: metav1.ObjectMeta{Namespace: "a1", Name: "makers"},
			RoleRef: rbacv1.RoleRef{Kind: "Role", Name: "maker"}, Subjects: []rbacv1.Subject{{Kind: "User", Name: "ana"}}}},
	}
}

func TestWhatATenantMayCreateIsWhatAdmissionLetsThrough(t *testing.T) {
	restricted := newEscapeRules()
	refuses := func(least podGain) admitting {
		return func(namespace string, spec *corev1.PodSpec) finding.AdmissionAnswer {
			if ways := restricted.waysOut(&metav1.ObjectMeta{}, spec); len(ways) > 0 && ways[0].gain >= least {
				return refusing("Namespace", namespace, ways[0].what)
			}
			return finding.AdmissionAnswer{Admitted: true}
		}
	}
	noImages := func(next admitting) admitting {
		return func(namespace string, spec *corev1.PodSpec) finding.AdmissionAnswer {
			answer := next(namespace, spec)
			answer.Admitted = false
			answer.RefusedBy = append(answer.RefusedBy, finding.Refusal{By: snapshot.Ref{Kind: "ValidatingAdmissionPolicy", Name: "images"}, Message: "no image is good"})
			return answer
		}
	}
	unsure := func(string, *corev1.PodSpec) finding.AdmissionAnswer {
		return finding.AdmissionAnswer{Admitted: true, Unknown: []string{"webhook w"}}
	}
	full := func(string, *corev1.PodSpec) finding.AdmissionAnswer {
		return refusing("ResourceQuota", "none", "no pods")
	}
	for _, c := range []struct {
		what, resource string
		admission      finding.Admission
		want           string
	}{
		{"everything is refused that is a way out", "pods", refuses(gainsSurface), ""},
		{"what takes a node is refused", "pods", refuses(gainsNode), "BH2007"},
		{"nothing is refused", "pods", refuses(gainsNode + 1), "BH2006"},
		{"nothing is refused, by way of a Deployment", "deployments", refuses(gainsNode + 1), "BH2006"},
		{"no tenant may create anything", "configmaps", refuses(gainsNode + 1), ""},
		{"every image is refused, and nothing else", "pods", noImages(refuses(gainsNode + 1)), "BH2006"},
		{"every image is refused, and every way out", "pods", noImages(refuses(gainsSurface)), ""},
		{"there is room for no pod", "pods", admitting(full), ""},
		{"a webhook is asked", "pods", admitting(unsure), "BH2009"},
		{"admission is not known", "pods", nil, "BH2009"},
	} {
		r := judgeWith(t, mayCreate(c.resource), finding.Options{Admission: c.admission})
		if got := strings.Join(r.codes("pods"), " "); got != c.want {
			t.Errorf("%s: %q, want %q", c.what, got, c.want)
		}
		for _, f := range r["pods"] {
			if f.Verdict == finding.Exposed && (f.From != "a" || f.Blame[0] != snapshot.Ref{Kind: "Namespace", Name: "a1"} || len(f.Witness) < 2) {
				t.Errorf("%s: %+v", c.what, f)
			}
		}
	}
}

func fallen(r judged) []string {
	var list []string
	for _, f := range r["pods"] {
		if f.Code == "BH2008" {
			list = append(list, f.From+" -> "+f.To+" "+string(f.Severity))
		}
	}
	return list
}

// A compromised node exposes the tenants whose pods run there, and those whose pods may; no other.
func TestWhoFallsWithANode(t *testing.T) {
	own := corev1.Taint{Key: "owner", Value: "c", Effect: corev1.TaintEffectNoSchedule}
	base := func() snapshot.Snapshot {
		selecting := with(hardened(), func(s *corev1.PodSpec) {
			s.NodeSelector = map[string]string{"owner": "c"}
			s.Tolerations = []corev1.Toleration{{Key: "owner", Value: "c"}}
		})
		return snapshot.Snapshot{
			Tenants: []snapshot.Tenant{{Name: "a", Namespaces: []string{"a1"}}, {Name: "b", Namespaces: []string{"b1"}}, {Name: "c", Namespaces: []string{"c1"}}},
			Nodes:   []*corev1.Node{testNode("n1", nil), testNode("n2", nil), testNode("own", map[string]string{"owner": "c"}, own)},
			Pods: []*snapshot.Pod{
				{Namespace: "a1", Name: "evil", Node: "n1", Spec: with(hardened(), contextual(privileged))},
				{Namespace: "b1", Name: "b", Node: "n1", Spec: hardened()},
				{Namespace: "c1", Name: "c", Node: "own", Spec: selecting},
			},
		}
	}
	now := base()
	if got := fallen(judge(t, now)); !slices.Equal(got, []string{"a -> b Critical"}) {
		t.Errorf("on the same node: %v", got)
	}
	later := base()
	later.Pods[1].Node = "n2"
	if got := fallen(judge(t, later)); !slices.Equal(got, []string{"a -> b High"}) {
		t.Errorf("on another node, and free to move: %v", got)
	}
	elsewhere := base()
	elsewhere.Pods[0].Node = "own"
	if got := fallen(judge(t, elsewhere)); !slices.Equal(got, []string{"a -> c Critical"}) {
		t.Errorf("on the other tenant's node: %v", got)
	}
	harmless := base()
	harmless.Pods[0].Spec = hardened()
	if got := fallen(judge(t, harmless)); len(got) > 0 {
		t.Errorf("no tenant compromises a node: %v", got)
	}
	offline := base()
	offline.Nodes = []*corev1.Node{}
	if got := judge(t, offline).codes("pods"); !slices.Contains(got, "BH2009") {
		t.Errorf("without nodes: %v", got)
	}
}

// Where an agent of the platform with rights over every namespace runs on a compromised node, it exposes every tenant.
func TestAPowerfulAgentOnATakenNodeIsEveryonesEnd(t *testing.T) {
	c := snapshot.Snapshot{
		Pods: []*snapshot.Pod{
			{Namespace: "a1", Name: "evil", Node: "n1", Spec: with(hardened(), contextual(privileged))},
			{Namespace: "kube-system", Name: "agent", Node: "n1", Spec: with(hardened(), func(s *corev1.PodSpec) { s.ServiceAccountName = "agent" })},
		},
		ClusterRoles: []*rbacv1.ClusterRole{{ObjectMeta: metav1.ObjectMeta{Name: "reads"},
			Rules: []rbacv1.PolicyRule{{Verbs: []string{"list"}, APIGroups: []string{""}, Resources: []string{"secrets"}}}}},
		ClusterRoleBindings: []*rbacv1.ClusterRoleBinding{{ObjectMeta: metav1.ObjectMeta{Name: "agent"}, RoleRef: rbacv1.RoleRef{Kind: "ClusterRole", Name: "reads"},
			Subjects: []rbacv1.Subject{{Kind: "ServiceAccount", Namespace: "kube-system", Name: "agent"}}}},
	}
	if got := fallen(judge(t, c)); !slices.Equal(got, []string{"a -> * Critical"}) {
		t.Errorf("an agent that lists secrets: %v", got)
	}
	narrow := c
	narrow.ClusterRoleBindings = nil
	narrow.RoleBindings = []*rbacv1.RoleBinding{{ObjectMeta: metav1.ObjectMeta{Namespace: "b1", Name: "agent"}, RoleRef: rbacv1.RoleRef{Kind: "ClusterRole", Name: "reads"},
		Subjects: []rbacv1.Subject{{Kind: "ServiceAccount", Namespace: "kube-system", Name: "agent"}}}}
	if got := fallen(judge(t, narrow)); !slices.Equal(got, []string{"a -> b Critical"}) {
		t.Errorf("an agent that lists secrets of one tenant: %v", got)
	}
	c.ClusterRoles[0].Rules[0].Resources = []string{"nodes"}
	if got := fallen(judge(t, c)); len(got) > 0 {
		t.Errorf("an agent that lists nodes: %v", got)
	}
}

// BenchmarkEscapes: go test ./isolation/pods -run x -bench Escapes. Every pod has a spec of its own, as those have that are read
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
	p := runOf(s, finding.Options{})
	for b.Loop() {
		if found := p.escapeFindings(p.escapingPods()); len(found) != 1 {
			b.Fatal(len(found))
		}
	}
}
