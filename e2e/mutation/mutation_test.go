// Package mutation_test proves the prover: it loosens one object of an enforced platform at a time.
package mutation_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bulkhead-dev/bulkhead/internal/provertest"
	"github.com/bulkhead-dev/bulkhead/isolation/finding"
	"github.com/bulkhead-dev/bulkhead/snapshot"
)

// mutant is an enforced platform with one object loosened. The prover must say Exposed, and blame the object.
type mutant struct {
	// control that the object carries.
	control string
	// name says what was done to it.
	name string
	// object that was loosened, or that is gone.
	object snapshot.Ref
	mutate func(s *snapshot.Snapshot)
	// equivalent says why the mutant makes no difference; then it must make none.
	equivalent string
}

// sample is how many mutants stand for one that is looked at by default.
const sample = 48

// mutants are all that there are, of one platform.
func mutants(p *provertest.Platform) []mutant {
	return slices.Concat(policyMutants(p.Snapshot), mutationPolicyMutants(p.Snapshot), namespaceMutants(), shareMutants(p.Snapshot),
		fairnessMutants(), rightsMutants(), networkMutants(), clusterMutants())
}

// The promise of the prover: whatever single object is loosened on an enforced platform, the platform is Exposed, and the
// object is named. A sample is looked at unless BULKHEAD_MUTANTS is set: then those whose names contain it, and
// all where it is empty.
func TestEveryLoosenedGuardrailIsFound(t *testing.T) {
	p, err := provertest.Magazine()
	if err != nil {
		t.Fatal(err)
	}
	clean, err := p.Prove(p.Snapshot)
	if err != nil {
		t.Fatal(err)
	}
	for _, result := range clean.Results {
		if result.Verdict != finding.Isolated {
			t.Errorf("before anything is loosened, check %s says %s", result.Check, result.Verdict)
		}
	}
	known := map[string]bool{}
	for _, f := range clean.Findings {
		known[f.ID()] = true
	}
	list := mutants(p)
	const fewest = 120
	if len(list) < fewest {
		t.Errorf("%d mutants; there must be %d", len(list), fewest)
	}
	slots := make(chan struct{}, 2)
	wanted, some := os.LookupEnv("BULKHEAD_MUTANTS")
	for i, m := range list {
		if some && !strings.Contains(m.control+"/"+m.object.String()+"/"+m.name, wanted) || !some && i%sample != 0 {
			continue
		}
		t.Run(m.control+"/"+m.object.String()+"/"+m.name, func(t *testing.T) {
			t.Parallel()
			slots <- struct{}{}
			defer func() { <-slots }()
			kill(t, p, &m, known)
		})
	}
}

// kill proves the mutant and looks for what the clean platform does not have.
func kill(t *testing.T, p *provertest.Platform, m *mutant, known map[string]bool) {
	t.Helper()
	contents := *p.Snapshot
	m.mutate(&contents)
	s, err := snapshot.New(contents)
	if err != nil {
		t.Fatal(err)
	}
	r, err := p.Prove(s)
	if err != nil {
		t.Fatal(err)
	}
	var fresh []string
	for _, f := range r.Findings {
		if known[f.ID()] || f.Verdict != finding.Exposed || f.Waiver != "" {
			continue
		}
		if slices.Contains(f.Blame, m.object) {
			if m.equivalent != "" {
				t.Errorf("said to be equivalent (%s), but found: %s %s", m.equivalent, f.Code, f.What)
			}
			return
		}
		fresh = append(fresh, fmt.Sprintf("%s %s %v", f.Code, f.What, f.Blame))
	}
	if m.equivalent == "" {
		t.Errorf("%s survives: nothing Exposed blames %s; new: %v", m.name, m.object, fresh)
	}
}

// change replaces the object of a name in a list by a changed copy.
func change[T interface {
	metav1.Object
	DeepCopy() T
}](list []T, namespace, name string, do func(T),
) []T {
	list = slices.Clone(list)
	i := slices.IndexFunc(list, func(o T) bool { return o.GetNamespace() == namespace && o.GetName() == name })
	if i < 0 {
		panic("no object " + namespace + "/" + name + " to mutate")
	}
	list[i] = list[i].DeepCopy()
	do(list[i])
	return list
}

// without leaves the object of a name out of a list.
func without[T metav1.Object](list []T, namespace, name string) []T {
	rest := slices.DeleteFunc(slices.Clone(list), func(o T) bool { return o.GetNamespace() == namespace && o.GetName() == name })
	if len(rest) == len(list) {
		panic("no object " + namespace + "/" + name + " to remove")
	}
	return rest
}

// nowhere selects no namespace.
func nowhere() *metav1.LabelSelector {
	return &metav1.LabelSelector{MatchLabels: map[string]string{"nobody.example": "has-this"}}
}

func named(kind, name string) snapshot.Ref { return snapshot.Ref{Kind: kind, Name: name} }

// policyMutants loosen every validating policy and its binding in every way.
func policyMutants(s *snapshot.Snapshot) []mutant {
	var list []mutant
	for _, p := range s.ValidatingPolicies {
		name, control := p.Name, p.Labels["bulkhead.dev/control"]
		policy, binding := named("ValidatingAdmissionPolicy", name), named("ValidatingAdmissionPolicyBinding", name)
		ofPolicy := func(what string, do func(*admissionv1.ValidatingAdmissionPolicy)) {
			list = append(list, mutant{control: control, name: what, object: policy, mutate: func(s *snapshot.Snapshot) {
				s.ValidatingPolicies = change(s.ValidatingPolicies, "", name, do)
			}})
		}
		ofBinding := func(what string, do func(*admissionv1.ValidatingAdmissionPolicyBinding)) {
			list = append(list, mutant{control: control, name: what, object: binding, mutate: func(s *snapshot.Snapshot) {
				s.ValidatingBindings = change(s.ValidatingBindings, "", name, do)
			}})
		}
		list = append(list,
			mutant{control: control, name: "removed", object: policy, mutate: func(s *snapshot.Snapshot) {
				s.ValidatingPolicies = without(s.ValidatingPolicies, "", name)
			}},
			mutant{control: control, name: "removed", object: binding, mutate: func(s *snapshot.Snapshot) {
				s.ValidatingBindings = without(s.ValidatingBindings, "", name)
			}})
		ofPolicy("matches nothing", func(p *admissionv1.ValidatingAdmissionPolicy) {
			p.Spec.MatchConstraints.ResourceRules = p.Spec.MatchConstraints.ResourceRules[:1]
			p.Spec.MatchConstraints.ResourceRules[0].Resources = []string{"nothing"}
			p.Spec.MatchConstraints.ResourceRules[0].ResourceNames = nil
		})
		clusterWide := ""
		if name == "bulkhead-definitions" || name == "bulkhead-waivers" {
			clusterWide = "the API server leaves out no cluster-scoped object, other than a Namespace, by a namespaceSelector"
		}
		ofPolicy("selects no namespace", func(p *admissionv1.ValidatingAdmissionPolicy) { p.Spec.MatchConstraints.NamespaceSelector = nowhere() })
		ofBinding("selects no namespace", func(b *admissionv1.ValidatingAdmissionPolicyBinding) {
			b.Spec.MatchResources.NamespaceSelector = nowhere()
		})
		list[len(list)-1].equivalent, list[len(list)-2].equivalent = clusterWide, clusterWide
		ofBinding("binds another policy", func(b *admissionv1.ValidatingAdmissionPolicyBinding) { b.Spec.PolicyName = "something-else" })
		if len(p.Spec.Validations) == 0 {
			continue
		}
		ofBinding("audits only", func(b *admissionv1.ValidatingAdmissionPolicyBinding) {
			b.Spec.ValidationActions = []admissionv1.ValidationAction{admissionv1.Audit}
		})
		ofPolicy("fails open", func(p *admissionv1.ValidatingAdmissionPolicy) { p.Spec.FailurePolicy = new(admissionv1.Ignore) })
		ofPolicy("passes over all", func(p *admissionv1.ValidatingAdmissionPolicy) {
			p.Spec.MatchConditions = append(p.Spec.MatchConditions, admissionv1.MatchCondition{Name: "never", Expression: "false"})
		})
		ofPolicy("lets all pass", func(p *admissionv1.ValidatingAdmissionPolicy) {
			for i := range p.Spec.Validations {
				p.Spec.Validations[i].Expression = "true"
			}
		})
	}
	return list
}

// mutationPolicyMutants loosen what completes pods.
func mutationPolicyMutants(s *snapshot.Snapshot) []mutant {
	var list []mutant
	for _, p := range s.MutatingPolicies {
		name, control := p.Name, p.Labels["bulkhead.dev/control"]
		policy, binding := named("MutatingAdmissionPolicy", name), named("MutatingAdmissionPolicyBinding", name)
		list = append(list,
			mutant{control: control, name: "removed", object: policy, mutate: func(s *snapshot.Snapshot) {
				s.MutatingPolicies = without(s.MutatingPolicies, "", name)
			}},
			mutant{control: control, name: "removed", object: binding, mutate: func(s *snapshot.Snapshot) {
				s.MutatingBindings = without(s.MutatingBindings, "", name)
			}},
			mutant{control: control, name: "fails open", object: policy, mutate: func(s *snapshot.Snapshot) {
				s.MutatingPolicies = change(s.MutatingPolicies, "", name, func(p *admissionv1.MutatingAdmissionPolicy) { p.Spec.FailurePolicy = new(admissionv1.Ignore) })
			}},
			mutant{control: control, name: "selects no namespace", object: binding, mutate: func(s *snapshot.Snapshot) {
				s.MutatingBindings = change(s.MutatingBindings, "", name, func(b *admissionv1.MutatingAdmissionPolicyBinding) {
					b.Spec.MatchResources.NamespaceSelector = nowhere()
				})
			}},
			mutant{control: control, name: "matches nothing", object: policy, mutate: func(s *snapshot.Snapshot) {
				s.MutatingPolicies = change(s.MutatingPolicies, "", name, func(p *admissionv1.MutatingAdmissionPolicy) {
					p.Spec.MatchConstraints.ResourceRules = p.Spec.MatchConstraints.ResourceRules[:1]
					p.Spec.MatchConstraints.ResourceRules[0].Resources = []string{"nothing"}
				})
			}})
	}
	return list
}
