package isolation_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	networkingv1 "k8s.io/api/networking/v1"

	"github.com/bulkhead-dev/bulkhead/internal/kubeadmission"
	"github.com/bulkhead-dev/bulkhead/internal/observe/manifest"
	"github.com/bulkhead-dev/bulkhead/isolation"
	"github.com/bulkhead-dev/bulkhead/isolation/clustergen"
	"github.com/bulkhead-dev/bulkhead/isolation/finding"
	"github.com/bulkhead-dev/bulkhead/isolation/network"
	"github.com/bulkhead-dev/bulkhead/isolation/pods"
	"github.com/bulkhead-dev/bulkhead/isolation/rbac"
	"github.com/bulkhead-dev/bulkhead/snapshot"
)

// answers is an admission with a given answer.
type answers func(*finding.AdmissionRequest) finding.AdmissionAnswer

func (answers) Exempting(snapshot.Ref) []finding.Mark { return nil }

func (a answers) Admit(r *finding.AdmissionRequest) finding.AdmissionAnswer { return a(r) }

func admitAll(*finding.AdmissionRequest) finding.AdmissionAnswer {
	return finding.AdmissionAnswer{Admitted: true}
}

func refuseAll(*finding.AdmissionRequest) finding.AdmissionAnswer {
	return finding.AdmissionAnswer{RefusedBy: []finding.Refusal{{Message: "no"}}}
}

func fixtureNamed(t *testing.T, check, name string) fixture {
	t.Helper()
	f, err := readFixture("testdata/" + check + "/" + name + ".txtar")
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// Promise: a tenant that may write policies or trusted labels is Exposed if admission lets it, Isolated if it refuses, and
// Unknown if that is not known; one hole in what admission refuses is enough.
func TestOwnRightsOverTheFenceAreAsGoodAsAdmission(t *testing.T) {
	unsure := func(*finding.AdmissionRequest) finding.AdmissionAnswer {
		return finding.AdmissionAnswer{Admitted: true, Unknown: []string{"a webhook answers"}}
	}
	only := func(admitted func(*networkingv1.NetworkPolicy) bool) answers {
		return func(r *finding.AdmissionRequest) finding.AdmissionAnswer {
			if p, is := r.Object.(*networkingv1.NetworkPolicy); is && admitted(p) {
				return admitAll(r)
			}
			return refuseAll(r)
		}
	}
	deletes := func(r *finding.AdmissionRequest) finding.AdmissionAnswer {
		if r.Operation == "DELETE" {
			return admitAll(r)
		}
		return refuseAll(r)
	}
	for _, c := range []struct {
		fixture, what string
		admission     answers
		want          string
	}{
		{"own-policies-unknown", "everything is admitted", admitAll, "Exposed BH3010 shop -> *"},
		{"own-policies-unknown", "everything is refused", refuseAll, "Isolated"},
		{"own-policies-unknown", "a webhook is asked", unsure, "Unknown BH3010 shop -> *"},
		{"own-policies-unknown", "ranges are admitted", only(func(p *networkingv1.NetworkPolicy) bool {
			return len(p.Spec.Egress) > 0 && len(p.Spec.Egress[0].To) > 0 && p.Spec.Egress[0].To[0].IPBlock != nil
		}), "Exposed BH3010 shop -> *"},
		{"own-policies-unknown", "selectors of every namespace are admitted", only(func(p *networkingv1.NetworkPolicy) bool {
			return len(p.Spec.Ingress) > 0 && len(p.Spec.Ingress[0].From) > 0 && p.Spec.Ingress[0].From[0].NamespaceSelector != nil
		}), "Exposed BH3010 shop -> *"},
		{"own-policies-unknown", "only deleting is admitted", deletes, "Exposed BH3010 shop -> *"},
		{"own-labels-unknown", "everything is admitted", admitAll, "Exposed BH3011 shop -> *"},
		{"own-subject-unknown", "everything is admitted", admitAll, "Exposed BH3011 shop -> *"},
		{"own-labels-unknown", "everything is refused", refuseAll, "Isolated"},
		{"own-labels-unknown", "a webhook is asked", unsure, "Unknown BH3011 shop -> *"},
	} {
		f := fixtureNamed(t, "network", c.fixture)
		f.options.Admission = c.admission
		if got := said(isolation.Verify(f.snapshot, f.options), "network"); !slices.Equal(got, []string{c.want}) {
			t.Errorf("%s where %s: %v, want %s", c.fixture, c.what, got, c.want)
		}
	}
}

// Promise: the network of Bulkhead's own example is Isolated without a word, with what admission says about its tenants'
// rights; and each object that keeps it so is named once it is loosened.
func TestTheExampleIsIsolatedAndWhatIsLoosenedIsNamed(t *testing.T) {
	w, err := manifest.Read([]string{"../examples/magazine"}, nil, manifest.Options{Now: fixtureTime})
	if err != nil {
		t.Fatal(err)
	}
	compiled := &kubeadmission.Compiled{}
	findings := func(s *snapshot.Snapshot) []finding.Finding {
		admission, err := kubeadmission.New(s, rbac.New(s), compiled)
		if err != nil {
			t.Fatal(err)
		}
		o := finding.Options{Now: fixtureTime, Admission: admission}
		for _, e := range w.Expected {
			o.Expected = append(o.Expected, finding.Expected{Control: e.Control, Object: e.Object})
		}
		return networkFindings(s, o)
	}
	for _, f := range findings(w.Snapshot) {
		t.Errorf("as it is: %s %s: %s", f.Verdict, f.Code, f.What)
	}
	loosen := map[string]func(*networkingv1.NetworkPolicy){
		"select no pod": func(p *networkingv1.NetworkPolicy) { p.Spec.PodSelector.MatchLabels = map[string]string{"no": "pod"} },
		"forget egress": func(p *networkingv1.NetworkPolicy) { p.Spec.PolicyTypes = p.Spec.PolicyTypes[:1] },
		"ingress from everyone": func(p *networkingv1.NetworkPolicy) {
			p.Spec.Ingress = append(p.Spec.Ingress, networkingv1.NetworkPolicyIngressRule{})
		},
		"egress to every address": func(p *networkingv1.NetworkPolicy) {
			p.Spec.Egress = append(p.Spec.Egress, networkingv1.NetworkPolicyEgressRule{To: []networkingv1.NetworkPolicyPeer{{IPBlock: &networkingv1.IPBlock{CIDR: "0.0.0.0/0"}}}})
		},
	}
	// One that is alone in its namespace: where there are others, they isolate as well.
	at := slices.IndexFunc(w.Snapshot.NetworkPolicies, func(p *networkingv1.NetworkPolicy) bool {
		return len(slices.DeleteFunc(slices.Clone(w.Snapshot.NetworkPolicies), func(q *networkingv1.NetworkPolicy) bool { return q.Namespace != p.Namespace })) == 1
	})
	if at < 0 {
		t.Fatal("no namespace of the example has one policy alone")
	}
	original := w.Snapshot.NetworkPolicies[at]
	blamed := func(list []finding.Finding, o snapshot.Ref) bool {
		return slices.ContainsFunc(list, func(f finding.Finding) bool { return f.Verdict == finding.Exposed && slices.Contains(f.Blame, o) })
	}
	object := snapshot.Ref{Kind: "NetworkPolicy", Namespace: original.Namespace, Name: original.Name}
	for what, change := range loosen {
		policy := original.DeepCopy()
		change(policy)
		next := *w.Snapshot
		next.NetworkPolicies = slices.Clone(next.NetworkPolicies)
		next.NetworkPolicies[at] = policy
		if list := findings(&next); !blamed(list, object) {
			t.Errorf("%s in %s: no finding blames it: %+v", what, object, list)
		}
	}
	without := *w.Snapshot
	without.NetworkPolicies = slices.Delete(slices.Clone(without.NetworkPolicies), at, at+1)
	if list := findings(&without); !blamed(list, object) {
		t.Errorf("without %s: no finding blames it: %+v", object, list)
	}
	for _, name := range []string{"bulkhead-network-policies", "bulkhead-managed-objects"} {
		next := *w.Snapshot
		next.ValidatingBindings = slices.DeleteFunc(slices.Clone(next.ValidatingBindings), func(b *admissionv1.ValidatingAdmissionPolicyBinding) bool { return b.Spec.PolicyName == name })
		if list := findings(&next); len(next.ValidatingBindings) == len(w.Snapshot.ValidatingBindings) || !slices.ContainsFunc(list, func(f finding.Finding) bool { return f.Code == "BH3010" }) {
			t.Errorf("without the binding of %s: %+v", name, list)
		}
	}
}

// Promise: every code of the network check comes up in a fixture or in the test above.
func TestEveryNetworkCodeComesUp(t *testing.T) {
	seen := map[string]bool{}
	for _, f := range fixtures(t) {
		for _, found := range isolation.Verify(f.snapshot, f.options).Findings {
			seen[found.Code] = true
			if found.Verdict == finding.Exposed && strings.HasPrefix(found.Code, "BH3") && (len(found.Blame) == 0 || len(found.Witness) == 0) {
				t.Errorf("%s %s: an exposed finding needs a witness and an object to blame: %+v", f.name, found.Code, found)
			}
		}
	}
	for _, check := range isolation.Checks() {
		for _, c := range check.Codes {
			if check.ID == "network" && !seen[c.ID] {
				t.Errorf("no fixture brings up %s", c.ID)
			}
		}
	}
}

// Promise: a finding is about a cause. However many pairs are open, there are not many more findings than mistakes, each
// spoiled namespace is named, and a careful cluster is Isolated without a word.
func TestFindingsAreAsManyAsMistakesAndNotAsPairs(t *testing.T) {
	generate := func(mistakes float64) *clustergen.Cluster {
		c, err := clustergen.Generate(clustergen.Options{Pods: 4000, Mistakes: mistakes, AdminPolicies: 10, Seed: 3})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	findings := func(s *snapshot.Snapshot) []finding.Finding { // of this check
		return networkFindings(s, finding.Options{})
	}
	if list := findings(generate(0).Snapshot); len(list) > 0 {
		t.Errorf("a careful cluster: %d findings, such as %+v", len(list), list[0])
	}
	c := generate(0.1)
	list := findings(c.Snapshot)
	named := map[string]bool{}
	for _, f := range list {
		for _, o := range f.Blame {
			named[o.Namespace], named[o.Name] = true, true
		}
	}
	for _, m := range c.Mistakes {
		if !named[m.Namespace] && m.What != "another tenant's label" { // that opens nothing by itself
			t.Errorf("no finding blames %s: %s", m.Namespace, m.What)
		}
	}
	if len(list) > 4*len(c.Mistakes) {
		t.Errorf("%d findings of %d mistakes", len(list), len(c.Mistakes))
	}
	bare := *c.Snapshot
	bare.NetworkPolicies, bare.ClusterNetworkPolicies = nil, nil
	if list := findings(&bare); len(list) == 0 || len(list) > 5 {
		t.Errorf("a cluster without policies: %d findings", len(list))
	}
}

// Promise: the report is the same with one worker and with many.
func TestTheReportIsTheSameWithAnyNumberOfWorkers(t *testing.T) {
	c, err := clustergen.Generate(clustergen.Options{Pods: 3000, Mistakes: 0.1, AdminPolicies: 20, Seed: 4})
	if err != nil {
		t.Fatal(err)
	}
	snapshots := []*snapshot.Snapshot{c.Snapshot}
	for _, f := range fixtures(t) {
		snapshots = append(snapshots, f.snapshot)
	}
	for i, s := range snapshots {
		write := func(workers int) string {
			text, err := json.Marshal(isolation.Verify(s, finding.Options{Workers: workers}))
			if err != nil {
				t.Fatal(err)
			}
			return string(text)
		}
		if one, many := write(1), write(7); one != many {
			t.Errorf("snapshot %d differs:\n%s\n%s", i, one, many)
		}
	}
}

// Promise: the tenant is in the report that the finding is about, on both sides of a pair, and no other tenant is.
func TestOnlyWhoIsConcernedIsExposed(t *testing.T) {
	var contents snapshot.Snapshot
	for _, name := range []string{"a", "b", "c", "d", "e", "f"} {
		contents.Tenants = append(contents.Tenants, snapshot.Tenant{Name: name, Namespaces: []string{name}})
		contents.Namespaces = append(contents.Namespaces, &snapshot.Namespace{Name: name})
		contents.Pods = append(contents.Pods, &snapshot.Pod{Namespace: name, Name: "x"})
		spec := networkingv1.NetworkPolicySpec{PolicyTypes: []networkingv1.PolicyType{"Ingress", "Egress"}}
		if name == "b" || name == "c" {
			spec.Ingress = []networkingv1.NetworkPolicyIngressRule{{}}
		}
		if name == "a" || name == "b" {
			spec.Egress = []networkingv1.NetworkPolicyEgressRule{{}}
		}
		p := &networkingv1.NetworkPolicy{Spec: spec}
		p.Namespace, p.Name = name, "p"
		contents.NetworkPolicies = append(contents.NetworkPolicies, p)
	}
	r := isolation.Verify(mustSnapshot(t, contents), finding.Options{})
	for _, tenant := range r.Tenants {
		var pairs []string
		for _, i := range tenant.Findings {
			if r.Findings[i].Code == "BH3001" {
				pairs = append(pairs, fmt.Sprint(r.Findings[i].From, r.Findings[i].To))
			}
		}
		want := map[string][]string{"a": {"ab", "ac"}, "b": {"ab"}, "c": {"ac"}}[tenant.Tenant]
		if slices.Sort(pairs); !slices.Equal(pairs, want) {
			t.Errorf("report of %s has pairs %v, want %v", tenant.Tenant, pairs, want)
		}
	}
}

// networkFindings runs the network check alone.
func networkFindings(s *snapshot.Snapshot, o finding.Options) []finding.Finding {
	in := finding.NewInput(s, o)
	rights := rbac.NewReach(in)
	run := pods.NewRun(in, func() *rbac.Reach { return rights })
	findings, _ := network.Find(in, rights, run.ToCome)
	return findings
}
