package kubeadmission_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/bulkhead-dev/bulkhead/internal/kubeadmission"
	"github.com/bulkhead-dev/bulkhead/internal/observe/manifest"
	"github.com/bulkhead-dev/bulkhead/isolation/finding"
	"github.com/bulkhead-dev/bulkhead/isolation/rbac"
	"github.com/bulkhead-dev/bulkhead/snapshot"
)

func magazine(t testing.TB) *snapshot.Snapshot {
	t.Helper()
	w, err := manifest.Read([]string{"../../examples/magazine"}, nil, manifest.Options{Now: time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)})
	if err != nil {
		t.Fatal(err)
	}
	return w.Snapshot
}

func plainPod() *corev1.Pod {
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "web"}, Spec: corev1.PodSpec{
		Containers: []corev1.Container{{Name: "web", Image: "registry.magazine.example/web:1", SecurityContext: &corev1.SecurityContext{
			AllowPrivilegeEscalation: new(false), Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
		}}},
		SecurityContext: &corev1.PodSecurityContext{RunAsNonRoot: new(true), SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault}},
	}}
}

func create(namespace string, pod *corev1.Pod) *finding.AdmissionRequest {
	return &finding.AdmissionRequest{
		Subject: finding.Subject{User: "ana", Groups: []string{"magazine:newsroom", "system:authenticated"}}, Operation: "CREATE",
		Kind: corev1.SchemeGroupVersion.WithKind("Pod"), Resource: corev1.SchemeGroupVersion.WithResource("pods"),
		Namespace: namespace, Name: pod.Name, Object: pod,
	}
}

// A harmless pod is admitted in every Space of the example, and completed; one with a foreign image never.
func TestExamplePlatform(t *testing.T) {
	s := magazine(t)
	e, err := kubeadmission.New(s, rbac.New(s), nil)
	if err != nil {
		t.Fatal(err)
	}
	plain, foreign := plainPod(), plainPod()
	foreign.Spec.Containers[0].Image = "evil.example/x"
	for _, ns := range s.Namespaces {
		if _, is := ns.Labels.Get("bulkhead.dev/pattern"); !is {
			continue
		}
		a := e.Admit(create(ns.Name, plain))
		if !a.Admitted {
			t.Errorf("%s: %+v %v", ns.Name, a.RefusedBy, a.Unknown)
		}
		_, waived := ns.Annotations.Get("waiver.bulkhead.dev/images")
		a = e.Admit(create(ns.Name, foreign))
		if waived {
			if !a.Admitted {
				t.Errorf("%s: a waived image: %+v", ns.Name, a)
			}
		} else if a.Admitted || len(a.RefusedBy) != 1 || a.RefusedBy[0].Control != "images" {
			t.Errorf("%s: a foreign image: %+v", ns.Name, a)
		}
	}
}

// Promise: what is remembered of one proof is forgotten in the next one where anything changed that the answer goes by: the request, the
// policy, its binding, the namespace's labels and limits, classes, and rights; a proof in which nothing changed comes between any two. All
// evaluators here share one memory, and each is compared with one that remembers nothing.
func TestRememberedAnswersGoByAllThatTheyRead(t *testing.T) {
	base := magazine(t)
	base.ClusterRoles = append(slices.Clone(base.ClusterRoles), &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "all"},
		Rules: []rbacv1.PolicyRule{{Verbs: []string{"*"}, APIGroups: []string{"*"}, Resources: []string{"*"}}}})
	base.ClusterRoleBindings = append(slices.Clone(base.ClusterRoleBindings), &rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: "all"},
		RoleRef:  rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "all"},
		Subjects: []rbacv1.Subject{{Kind: "User", APIGroup: rbacv1.GroupName, Name: "root"}}})
	const space = "newsroom--site"
	requests := func() []*finding.AdmissionRequest {
		plain, foreign, ranked, own := plainPod(), plainPod(), plainPod(), plainPod()
		foreign.Spec.Containers[0].Image = "evil.example/x"
		ranked.Spec.PriorityClassName = "magazine-business"
		own.Annotations = map[string]string{"mesh.example/inject": "true"}
		list := []*finding.AdmissionRequest{create(space, plain), create(space, foreign), create(space, ranked), create(space, own)}
		changed := create(space, own)
		changed.Operation, changed.OldObject = "UPDATE", plain
		root := *changed // has the right to update all pods, by which bulkhead-metadata goes
		root.Subject = finding.Subject{User: "root", Groups: []string{"system:authenticated"}}
		moved := create(space, foreign)
		moved.Operation, moved.OldObject = "UPDATE", plain
		return append(list, changed, &root, moved)
	}
	changes := []struct {
		name string
		do   func(s *snapshot.Snapshot)
	}{
		{"nothing", func(*snapshot.Snapshot) {}},
		{"classes", func(s *snapshot.Snapshot) { s.PriorityClasses = nil }},
		{"limits", func(s *snapshot.Snapshot) { s.LimitRanges = nil }},
		{"a policy", func(s *snapshot.Snapshot) {
			s.ValidatingPolicies = slices.Clone(s.ValidatingPolicies)
			for i, p := range s.ValidatingPolicies {
				if p.Name == "bulkhead-images" {
					s.ValidatingPolicies[i] = p.DeepCopy()
					s.ValidatingPolicies[i].Spec.Validations = s.ValidatingPolicies[i].Spec.Validations[:0]
				}
			}
		}},
		{"a binding", func(s *snapshot.Snapshot) {
			s.ValidatingBindings = slices.Clone(s.ValidatingBindings)
			for i, b := range s.ValidatingBindings {
				if b.Spec.PolicyName == "bulkhead-images" {
					s.ValidatingBindings[i] = b.DeepCopy()
					s.ValidatingBindings[i].Spec.ValidationActions = []admissionv1.ValidationAction{admissionv1.Audit}
				}
			}
		}},
		{"labels of the namespace", func(s *snapshot.Snapshot) {
			s.Namespaces = slices.Clone(s.Namespaces)
			for i, ns := range s.Namespaces {
				if ns.Name == space {
					other := *ns
					s.Namespaces[i] = &other
					other.Labels = snapshot.LabelsOf(map[string]string{"kubernetes.io/metadata.name": space})
				}
			}
		}},
		{"rights", func(s *snapshot.Snapshot) { s.RoleBindings, s.ClusterRoleBindings = nil, nil }},
	}
	answers := func(s *snapshot.Snapshot, compiled *kubeadmission.Compiled) string {
		e, err := kubeadmission.New(s, rbac.New(s), compiled)
		if err != nil {
			t.Fatal(err)
		}
		var b strings.Builder
		for _, q := range requests() {
			a := e.Admit(q)
			fmt.Fprintf(&b, "%v %v", a.Admitted, a.Unknown)
			for _, r := range a.RefusedBy {
				fmt.Fprintf(&b, " %s: %s;", r.By, r.Message)
			}
			b.WriteByte('\n')
		}
		return b.String()
	}
	var shared kubeadmission.Compiled
	if lines := strings.Split(answers(base, nil), "\n"); strings.HasPrefix(lines[4], "true") || !strings.HasPrefix(lines[5], "true") {
		t.Errorf("of two who send the same only the one with the right to may:\n%s\n%s", lines[4], lines[5])
	}
	seen := map[string]bool{}
	for _, change := range changes {
		answers(base, &shared) // what the proof before remembers
		contents := *base
		change.do(&contents)
		s, err := snapshot.New(contents)
		if err != nil {
			t.Fatal(err)
		}
		got, want := answers(s, &shared), answers(s, nil)
		if got != want {
			t.Errorf("after a change of %s, with memory:\n%swithout:\n%s", change.name, got, want)
		}
		seen[want] = true
	}
	if len(seen) < 4 {
		t.Errorf("the changes make %d different answers: the test holds little", len(seen))
	}
}

// Promise: the disruption controller's status of a budget that could never let a pod go lets one go when all are healthy, however many pods
// there were before, and none while one is ending or not ready.
func TestABudgetLetsOneGoWhenAllAreHealthy(t *testing.T) {
	s := magazine(t)
	e, err := kubeadmission.New(s, rbac.New(s), nil)
	if err != nil {
		t.Fatal(err)
	}
	budget := func(expected, healthy int32) *policyv1.PodDisruptionBudget {
		return &policyv1.PodDisruptionBudget{
			ObjectMeta: metav1.ObjectMeta{Name: "web"},
			Spec:       policyv1.PodDisruptionBudgetSpec{MinAvailable: new(intstr.FromInt32(5))},
			Status:     policyv1.PodDisruptionBudgetStatus{ExpectedPods: expected, CurrentHealthy: healthy, DesiredHealthy: 5},
		}
	}
	for _, test := range []struct {
		name                 string
		before, now, healthy int32
		allowed              int64
	}{
		{"the first status, all healthy", 0, 1, 1, 1},
		{"more pods than before, all healthy", 1, 2, 2, 1},
		{"the same pods, all healthy", 2, 2, 2, 1},
		{"the same pods, one not healthy", 2, 2, 1, 0},
		{"one ends, and the next is not ready", 2, 3, 1, 0},
		{"the next is not ready", 3, 2, 1, 0},
		{"fewer pods than before, all healthy", 3, 2, 2, 1},
	} {
		answer := e.Admit(&finding.AdmissionRequest{
			Subject:   finding.Subject{User: "system:serviceaccount:kube-system:disruption-controller", Groups: []string{"system:serviceaccounts", "system:serviceaccounts:kube-system", "system:authenticated"}},
			Operation: "UPDATE", Kind: policyv1.SchemeGroupVersion.WithKind("PodDisruptionBudget"),
			Resource: policyv1.SchemeGroupVersion.WithResource("poddisruptionbudgets"), Subresource: "status",
			Namespace: "newsroom--site", Name: "web", Object: budget(test.now, test.healthy), OldObject: budget(test.before, test.before),
		})
		var allowed int64
		if u, is := answer.Object.(*unstructured.Unstructured); is {
			allowed, _, _ = unstructured.NestedInt64(u.Object, "status", "disruptionsAllowed")
		}
		if !answer.Admitted || allowed != test.allowed {
			t.Errorf("%s: %d may go, want %d; refused by %v, unknown %v", test.name, allowed, test.allowed, answer.RefusedBy, answer.Unknown)
		}
	}
}

// Promise: an answer for one namespace holds in another only where the same bindings of the policy select both: one may refuse what
// another only notes.
func TestAnswersGoByTheBindingsThatSelectTheNamespace(t *testing.T) {
	contents := *magazine(t)
	only := func(namespace string, b *admissionv1.ValidatingAdmissionPolicyBinding) *admissionv1.ValidatingAdmissionPolicyBinding {
		b.Name = b.Spec.PolicyName + "-" + namespace
		b.Spec.MatchResources = &admissionv1.MatchResources{ObjectSelector: &metav1.LabelSelector{}, NamespaceSelector: &metav1.LabelSelector{
			MatchLabels: map[string]string{corev1.LabelMetadataName: namespace}}}
		return b
	}
	const refused, noted = "newsroom--site", "newsroom--drafts"
	var bindings []*admissionv1.ValidatingAdmissionPolicyBinding
	for _, b := range contents.ValidatingBindings {
		if b.Spec.PolicyName != "bulkhead-images" {
			bindings = append(bindings, b)
			continue
		}
		audit := only(noted, b.DeepCopy())
		audit.Spec.ValidationActions = []admissionv1.ValidationAction{admissionv1.Audit}
		bindings = append(bindings, only(refused, b.DeepCopy()), audit)
	}
	contents.ValidatingBindings = bindings
	contents.LimitRanges, contents.ResourceQuotas = nil, nil // so that the pod is the same in both
	s, err := snapshot.New(contents)
	if err != nil {
		t.Fatal(err)
	}
	for _, order := range [][]string{{refused, noted}, {noted, refused}} {
		e, err := kubeadmission.New(s, rbac.New(s), nil)
		if err != nil {
			t.Fatal(err)
		}
		foreign := plainPod()
		foreign.Spec.Containers[0].Image = "evil.example/x"
		for _, namespace := range order {
			if a := e.Admit(create(namespace, foreign)); a.Admitted != (namespace == noted) {
				t.Errorf("asked for %v, %s admits a foreign image: %v; refused by %v, unknown %v", order, namespace, a.Admitted, a.RefusedBy, a.Unknown)
			}
		}
	}
}
