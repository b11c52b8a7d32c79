package pods

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/bulkhead-dev/bulkhead/isolation/finding"
	"github.com/bulkhead-dev/bulkhead/isolation/rbac"
)

// creator is a namespace in which a tenant may have pods made, or changed.
type creator struct {
	tenant    int
	namespace string
	// first is the plainest way; all finds every way, for where it matters who asks, and how.
	first making
	all   func() []making
}

// making is one way to have a pod made: to create it, or a workload whose controller does; to change such a workload; or to
// put a debugging container into a pod that is there.
type making struct {
	subject finding.Subject
	path    []finding.Step
	kind    workloadKind
	verb    string
	debug   bool
}

// does is what the subject does to have a pod that does what is given.
func (w *making) does(what string) string {
	switch {
	case w.debug:
		return "debug a pod that then " + what
	case w.verb != "create":
		return fmt.Sprintf("change a %s into one whose pod %s", w.kind.kind.Kind, what)
	case w.kind.kind.Kind == "Pod":
		return "create a Pod that " + what
	}
	return fmt.Sprintf("create a %s whose pod %s", w.kind.kind.Kind, what)
}

// findCreators finds the namespaces in which a tenant may have pods made.
func (p *Run) findCreators() []creator {
	perTenant := make([][]creator, len(p.Tenants))
	kinds := workloadKinds()
	p.Parallel(len(p.Tenants), func(i int) {
		var subjects []finding.Subject
		for _, identity := range p.rights().Identities(i) {
			subjects = append(subjects, identity.Subject)
		}
		for _, ns := range p.Tenants[i].Namespaces {
			first := p.waysIn(ns, subjects, kinds, 1)
			if len(first) == 0 {
				continue
			}
			perTenant[i] = append(perTenant[i], creator{tenant: i, namespace: ns, first: first[0],
				all: sync.OnceValue(func() []making { return p.waysIn(ns, subjects, kinds, 0) })})
		}
	})
	return slices.Concat(perTenant...)
}

// waysIn are the ways in a namespace, the plainest first: as many as are wanted, or all of them for 0. A workload, or a
// pod to debug, must be there to be changed; where pods may be created, one is there.
func (p *Run) waysIn(namespace string, subjects []finding.Subject, kinds []workloadKind, most int) []making {
	var list []making
	add := func(kind workloadKind, verb, subresource string, names []string) {
		for _, s := range subjects {
			for _, name := range names {
				allowed, path := p.rights().Allowed(s, finding.Attributes{Verb: verb, Group: kind.kind.Group, Resource: kind.resource,
					Subresource: subresource, Namespace: namespace, Name: name})
				if allowed && (most == 0 || len(list) < most) {
					list = append(list, making{s, path, kind, verb, subresource != ""})
					break
				}
			}
		}
	}
	enough := func() bool { return most > 0 && len(list) >= most }
	for i := 0; i < len(kinds) && !enough(); i++ {
		add(kinds[i], "create", "", []string{""})
	}
	if enough() {
		return list
	}
	there := p.workloadsIn(namespace)
	for _, kind := range kinds {
		if !kind.fixed {
			add(kind, "update", "", there[kind.kind.Kind])
			add(kind, "patch", "", there[kind.kind.Kind])
		}
	}
	if len(list) > 0 {
		there["Pod"] = append(there["Pod"], "")
	}
	add(kinds[0], "update", "ephemeralcontainers", there["Pod"])
	add(kinds[0], "patch", "ephemeralcontainers", there["Pod"])
	return list
}

// workloadsIn are the names of the pods of a namespace and of the workloads that they are of, by kind.
func (p *Run) workloadsIn(namespace string) map[string][]string {
	there := map[string][]string{}
	for _, pod := range p.PodsIn(namespace) {
		there["Pod"] = append(there["Pod"], pod.Name)
		kind, name := pod.Owner.Kind, pod.Owner.Name
		if names := there[kind]; len(names) == 0 || names[len(names)-1] != name {
			there[kind] = append(names, name)
		}
		if kind == "Deployment" { // its name and a hash
			there["ReplicaSet"] = append(there["ReplicaSet"], pod.Name[:max(0, strings.LastIndexByte(pod.Name, '-'))])
		}
	}
	return there
}

// try asks for a pod by each way that a creator has, until one passes. Where the pod itself is refused to every sender, the
// other ways to make it are refused as well.
func (m *makers) try(c *creator, a *attempt) tried {
	if m.Admission == nil {
		return tried{verdict: finding.Unknown, why: "what admission would refuse is not known"}
	}
	result, refused := m.tryWay(c, &c.first, a)
	if result.verdict == finding.Exposed || refused == bySecurity || refused == toEveryone && a.debugged == nil {
		return result
	}
	for _, w := range c.all() {
		if refused >= toEveryone && !w.debug || w.debug && a.debugged == nil {
			continue
		}
		got, by := m.tryWay(c, &w, a)
		if got.verdict == finding.Exposed {
			return got
		}
		if got.verdict == finding.Unknown && result.verdict == finding.Isolated {
			result = got
		}
		refused = max(refused, by)
	}
	return result
}

// tryWay asks for a pod by one way. What refuses a plain pod as well, for its image perhaps, is no answer about this one:
// a tenant that knows the namespace knows a plain pod that passes. But where there is no room for any pod, there is none for this
// one.
func (m *makers) tryWay(c *creator, w *making, a *attempt) (result tried, by refusal) {
	result = tried{verdict: finding.Exposed, spec: a.spec, way: w}
	if w.debug {
		if a.debugged == nil {
			return tried{verdict: finding.Isolated}, toNobody
		}
		result.spec = &a.debugged.Spec
	}
	var plain map[string]bool
	var stored runtime.Object
	for _, answer := range m.ask(c, w, a) {
		for _, r := range answer.RefusedBy {
			if plain == nil {
				plain = m.refusals(c, w)
			}
			if r.By.Kind != "ValidatingAdmissionPolicy" && r.By.Kind != "ValidatingAdmissionPolicyBinding" || !plain[refusalKey(r)] {
				by = max(by, answer.refusal(&r))
			}
		}
		if len(answer.Unknown) > 0 {
			result.verdict, result.why = finding.Unknown, strings.Join(answer.Unknown, "; ")
		}
		stored = answer.Object // of a workload, the pod that is made of it comes last
	}
	if by > toNobody {
		return tried{verdict: finding.Isolated}, by
	}
	if pod, is := stored.(*corev1.Pod); is {
		result.spec = &pod.Spec
	} else if made := podOfUnstructured(stored); made != nil {
		result.spec = &made.Spec
	}
	return result, toNobody
}

// refusal is how far a refusal goes.
type refusal int

const (
	toNobody refusal = iota
	// toThis is of one way.
	toThis
	// toEveryone is of every way that makes the pod.
	toEveryone
	// bySecurity is Pod Security's, which judges debugging containers as it does others.
	bySecurity
)

func (a *asked) refusal(r *finding.Refusal) refusal {
	switch {
	case a.ofPod && r.By.Kind == "Namespace" && !r.OfSubject:
		return bySecurity
	case a.ofPod && !r.OfSubject:
		return toEveryone
	}
	return toThis
}

func (m *makers) refusals(c *creator, w *making) map[string]bool {
	known := map[string]bool{}
	for _, answer := range m.ask(c, w, m.plain) {
		for _, r := range answer.RefusedBy {
			known[refusalKey(r)] = true
		}
	}
	return known
}

func refusalKey(r finding.Refusal) string { return r.By.String() + "|" + r.Message }

// asked is an answer, and whether it is about the creation of the pod itself.
type asked struct {
	finding.AdmissionAnswer

	ofPod bool
}

// ask asks for what the subject sends, and then for the pod that a controller makes of it.
func (m *makers) ask(c *creator, w *making, a *attempt) []asked {
	kind := w.kind.kind.Kind
	q := &finding.AdmissionRequest{Subject: w.subject, Operation: "CREATE", Kind: w.kind.kind,
		Resource: w.kind.kind.GroupVersion().WithResource(w.kind.resource), Namespace: c.namespace, Name: "probe", Object: a.objects[kind]}
	before := m.plain
	if a.before != nil {
		before = a.before
	}
	switch {
	case w.debug:
		q.Operation, q.Subresource, q.OldObject = "UPDATE", "ephemeralcontainers", before.objects[kind]
		q.Object = m.debugged
		if a.debugged != nil {
			q.Object = a.debugged
		}
	case w.verb != "create":
		q.Operation, q.OldObject = "UPDATE", before.objects[kind]
	}
	answers := []asked{{m.Admission.Admit(q), kind == "Pod" && !w.debug}}
	if w.kind.controller != "" {
		answers = append(answers, asked{m.Admission.Admit(&finding.AdmissionRequest{Subject: rbac.ServiceAccount("kube-system", w.kind.controller), Operation: "CREATE",
			Kind: corev1.SchemeGroupVersion.WithKind("Pod"), Resource: corev1.SchemeGroupVersion.WithResource("pods"),
			Namespace: c.namespace, Name: "probe", Object: a.objects["Pod"]}), true})
	}
	return answers
}

// debugged is the plain pod with a container in it for debugging that may what the hostile pod's container may; nil where
// the hostile pod is more than that. Volumes, host namespaces, ports and probes are the pod's, and never change.
func debugged(plain, hostile *corev1.PodSpec, labels map[string]string) *corev1.Pod {
	same := hostile.DeepCopy()
	same.Containers[0].SecurityContext = plain.Containers[0].SecurityContext
	if !reflect.DeepEqual(same, plain) {
		return nil
	}
	pod := &corev1.Pod{TypeMeta: metav1.TypeMeta{Kind: "Pod", APIVersion: "v1"},
		ObjectMeta: metav1.ObjectMeta{Name: "probe", Labels: map[string]string{"app": "probe"}}, Spec: *plain}
	maps.Copy(pod.Labels, labels)
	pod.Spec.EphemeralContainers = []corev1.EphemeralContainer{{EphemeralContainerCommon: corev1.EphemeralContainerCommon{
		Name: "probe-debug", Image: hostile.Containers[0].Image, ImagePullPolicy: corev1.PullAlways,
		TerminationMessagePath: corev1.TerminationMessagePathDefault, TerminationMessagePolicy: corev1.TerminationMessageReadFile,
		SecurityContext: hostile.Containers[0].SecurityContext.DeepCopy()}}}
	return pod
}
