package guardrail

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	"sigs.k8s.io/yaml"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/snapshot"
)

func fullPlatform() *v1alpha1.Platform {
	return &v1alpha1.Platform{Spec: v1alpha1.PlatformSpec{
		Registries:      []string{"registry.example.com", "mirror.example.com/library/"},
		StorageClasses:  []string{"fast", "slow"},
		PriorityClasses: []string{"tenant-high"},
		SchedulerNames:  []string{"default-scheduler"},
		ExternalNames:   []string{"example.com"}, Annotations: []string{"prometheus.io"}, IngressClasses: []string{"public"},
		Tolerations:     []v1alpha1.TaintToleration{{Key: "example.com/spot"}, {Key: "pool", Value: "gpu", Effect: "NoSchedule"}},
		SandboxRuntimes: []string{"gvisor", "kata"},
	}}
}

// The policies as they are written to a cluster, for people to read; every change of them is seen in review.
// Rewrite with: go test ./guardrail -run TestPoliciesGolden -update
func TestPoliciesGolden(t *testing.T) {
	for name, p := range map[string]*v1alpha1.Platform{"full": fullPlatform(), "none": nil} {
		t.Run(name, func(t *testing.T) {
			var got bytes.Buffer
			for _, o := range Policies(p) {
				y, err := yaml.Marshal(o)
				if err != nil {
					t.Fatal(err)
				}
				got.WriteString("---\n")
				got.Write(y)
			}
			file := filepath.Join("testdata", "policy-"+name+".yaml")
			if *update {
				if err := os.WriteFile(file, got.Bytes(), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got.String()); diff != "" {
				t.Errorf("policies changed; if they should, run go test ./guardrail -run PoliciesGolden -update (-want +got):\n%s", diff)
			}
		})
	}
}

// Every policy names its control, fails closed, has one binding that denies, and speaks to people in every check.
func TestPoliciesFormSound(t *testing.T) {
	objects := Policies(fullPlatform())
	bound := map[string]string{}
	for _, o := range objects {
		switch o := o.(type) {
		case *admissionv1.ValidatingAdmissionPolicyBinding:
			bound[o.Kind+o.Spec.PolicyName] += o.Name
			if diff := cmp.Diff([]admissionv1.ValidationAction{admissionv1.Deny, admissionv1.Audit}, o.Spec.ValidationActions); diff != "" {
				t.Errorf("%s: actions (-want +got):\n%s", o.Name, diff)
			}
		case *admissionv1.MutatingAdmissionPolicyBinding:
			bound[o.Kind+o.Spec.PolicyName] += o.Name
		}
	}
	for _, o := range objects {
		control := o.GetLabels()[v1alpha1.LabelControl]
		if control == "" || o.GetLabels()[v1alpha1.LabelManagedBy] != v1alpha1.ManagedBy {
			t.Errorf("%s: labels %v lack the control or the manager", o.GetName(), o.GetLabels())
		}
		if !strings.HasSuffix(o.GetAnnotations()[annotationDescription], ".") {
			t.Errorf("%s: description %q is no sentence", o.GetName(), o.GetAnnotations()[annotationDescription])
		}
		switch o := o.(type) {
		case *admissionv1.ValidatingAdmissionPolicy:
			if *o.Spec.FailurePolicy != admissionv1.Fail && len(o.Spec.Validations) > 0 {
				t.Errorf("%s fails open", o.Name)
			}
			if bound[o.Kind+"Binding"+o.Name] != o.Name {
				t.Errorf("%s is bound by %q, want one binding of its name", o.Name, bound[o.Kind+"Binding"+o.Name])
			}
			for i, v := range o.Spec.Validations {
				if !strings.HasPrefix(v.Message, control+": ") || !strings.HasPrefix(v.MessageExpression, `"`+control+`: "`) || v.Reason == nil {
					t.Errorf("%s, validation %d: message %q, expression %q and reason %v must all be there, and begin with the control", o.Name, i, v.Message, v.MessageExpression, v.Reason)
				}
			}
		case *admissionv1.MutatingAdmissionPolicy:
			if *o.Spec.FailurePolicy != admissionv1.Fail {
				t.Errorf("%s fails open", o.Name)
			}
			if bound[o.Kind+"Binding"+o.Name] != o.Name {
				t.Errorf("%s is bound by %q, want one binding of its name", o.Name, bound[o.Kind+"Binding"+o.Name])
			}
		}
	}
}

// Exactly the controls that a Waiver may name can be waived: the others' policies do not even look.
func TestPoliciesWaivable(t *testing.T) {
	waivable := map[string]bool{
		"images": true, "pod-security": true, "priority": true, "runtime": true, "scheduling": true, "service-expose": true, "storage": true, "token": true,
	}
	for _, o := range Policies(fullPlatform()) {
		p, ok := o.(*admissionv1.ValidatingAdmissionPolicy)
		if !ok {
			continue
		}
		y, err := yaml.Marshal(p.Spec)
		if err != nil {
			t.Fatal(err)
		}
		control := p.Labels[v1alpha1.LabelControl]
		key := `"` + v1alpha1.WaiverPrefix + control + `"`
		if got := strings.Contains(string(y), key); got != waivable[control] {
			t.Errorf("%s reads annotation %s: %v, want %v", p.Name, key, got, waivable[control])
		}
		for i, v := range p.Spec.Validations {
			if got := strings.Contains(v.Expression, "variables.waived"); got != waivable[control] {
				t.Errorf("%s, validation %d asks for a waiver: %v, want %v", p.Name, i, got, waivable[control])
			}
		}
	}
}

// The same Platform renders the same policies, its lists in any order of slashes; and what is on no list is nowhere.
func TestPoliciesDependOnThePlatformOnly(t *testing.T) {
	if diff := cmp.Diff(Policies(fullPlatform()), Policies(fullPlatform())); diff != "" {
		t.Errorf("two renderings differ:\n%s", diff)
	}
	if diff := cmp.Diff(Policies(nil), Policies(&v1alpha1.Platform{})); diff != "" {
		t.Errorf("no Platform and an empty one differ:\n%s", diff)
	}
	p := fullPlatform()
	p.Spec.Registries = []string{"mirror.example.com/library", "registry.example.com///", "registry.example.com", "", "/"}
	if diff := cmp.Diff(Policies(fullPlatform()), Policies(p)); diff != "" {
		t.Errorf("slashes and doubles make a difference:\n%s", diff)
	}
}

// A message stays short and on one line, whatever the lists hold.
func TestPolicyMessagesAreBounded(t *testing.T) {
	var many []string
	for range 64 {
		many = append(many, strings.Repeat("x", 253)+"\n")
	}
	got := oneOf("registries", many)
	if len(got) > 2500 || strings.ContainsAny(got, "\n\r") {
		t.Errorf("message of %d bytes: %q", len(got), got)
	}
	if want := "or of 56 more (Platform, spec.registries)"; !strings.Contains(got, want) {
		t.Errorf("message %q lacks %q", got, want)
	}
	if got, want := oneOf("registries", nil), "the platform allows none (Platform, spec.registries): ask the platform team"; got != want {
		t.Errorf("message %q, want %q", got, want)
	}
	if got, want := leaveOut("registries", nil), "leave it out: the platform allows none (Platform, spec.registries): ask the platform team"; got != want {
		t.Errorf("message %q, want %q", got, want)
	}
	if got, want := leaveOut("registries", []string{"a"}), "leave it out, or use one of a"; got != want {
		t.Errorf("message %q, want %q", got, want)
	}
}

// Promise: the annotations and labels of every kind that an owner may create in a Space are judged.
func TestMarksOfEveryKindAreJudged(t *testing.T) {
	spec := &v1alpha1.PlatformSpec{}
	judged := map[string]bool{}
	for _, rule := range slices.Concat(metadata(spec).match.rules, metadataOwn(spec).match.rules) {
		for _, resource := range rule.Resources {
			judged[rule.APIGroups[0]+"/"+resource] = true
		}
	}
	seen := 0
	for _, kind := range snapshot.Kinds() {
		if !kind.OwnersCreate || kind.Group == v1alpha1.GroupVersion.Group { // Spaces are at home
			continue
		}
		seen++
		if !judged[kind.Group+"/"+kind.Resource] {
			t.Errorf("no policy judges the marks of %s/%s", kind.Group, kind.Resource)
		}
	}
	if seen < 15 {
		t.Errorf("only %d kinds: the test holds little", seen)
	}
}
