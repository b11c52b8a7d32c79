package pods

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/bulkhead-dev/bulkhead/isolation/finding"
	"github.com/bulkhead-dev/bulkhead/isolation/rbac"
	"github.com/bulkhead-dev/bulkhead/snapshot"
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
	// doubt is what must be known for the subject to have the right; empty where it has it.
	doubt string
	kind  workloadKind
	verb  string
	debug bool
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
		identities := p.rights().Identities(i)
		for _, ns := range p.Tenants[i].Namespaces {
			first := p.waysIn(ns, identities, kinds, 1)
			if len(first) == 0 {
				continue
			}
			perTenant[i] = append(perTenant[i], creator{tenant: i, namespace: ns, first: first[0],
				all: sync.OnceValue(func() []making { return p.waysIn(ns, identities, kinds, 0) })})
		}
	})
	return slices.Concat(perTenant...)
}

// ToCome reports whether a tenant may have pods made in a namespace, or labels of those there changed; and whether admission takes
// a label of such a pod: where it refuses it, and not the same pod without it, it does not.
func (p *Run) ToCome(namespace string) (comes bool, takes func(key, value string) bool) {
	c, comes := p.coming()[namespace]
	if c == nil || p.Admission == nil || len(p.ValidatingPolicies) == 0 {
		return comes, nil
	}
	return comes, func(key, value string) bool {
		id := [3]string{namespace, key, value}
		if known, is := p.labels.Load(id); is {
			return known.(bool) //nolint:forcetypeassert // the map holds nothing else
		}
		m := p.makers()
		a := newAttempt("bears a label", m.plain.spec, m.kinds)
		if pod, is := a.objects["Pod"].(*corev1.Pod); is {
			pod.Labels = map[string]string{"app": "probe", key: value}
		}
		taken := m.try(c, a).verdict != finding.Isolated
		p.labels.Store(id, taken)
		return taken
	}
}

func (p *Run) newMakers() *makers {
	kinds, plain := workloadKinds(), plainPod(p.imageInUse())
	return &makers{Run: p, kinds: kinds, plain: newAttempt("is plain", plain, kinds), debugged: debugged(plain, plain, nil)}
}

// findComing returns who makes pods, by namespace; nil where labels of pods may be changed and no more.
func (p *Run) findComing() map[string]*creator {
	coming := map[string]*creator{}
	for _, c := range p.creators() {
		coming[c.namespace] = &c
	}
	for i := range p.Tenants {
		identities := p.rights().Identities(i)
		for _, ns := range p.Tenants[i].Namespaces {
			if _, known := coming[ns]; !known && slices.ContainsFunc(p.PodsIn(ns), func(pod *snapshot.Pod) bool {
				return slices.ContainsFunc(identities, func(who rbac.Identity) bool { return mayRelabel(&who, pod) })
			}) {
				coming[ns] = nil
			}
		}
	}
	return coming
}

func mayRelabel(who *rbac.Identity, pod *snapshot.Pod) bool {
	return slices.ContainsFunc([]string{"update", "patch"}, func(verb string) bool {
		_, may := who.May(finding.Attributes{Verb: verb, Resource: "pods", Namespace: pod.Namespace, Name: pod.Name})
		return may
	})
}

// waysIn are the ways in a namespace, the plainest first: as many as are wanted, or all of them for 0. A workload, or a
// pod to debug, must be there to be changed; where pods may be created, one is there.
func (p *Run) waysIn(namespace string, identities []rbac.Identity, kinds []workloadKind, most int) []making {
	var list []making
	add := func(kind workloadKind, verb, subresource string, names []string) {
		for i := range identities {
			for _, name := range names {
				how, may := identities[i].May(finding.Attributes{Verb: verb, Group: kind.kind.Group, Resource: kind.resource,
					Subresource: subresource, Namespace: namespace, Name: name})
				if may && (most == 0 || len(list) < most) {
					list = append(list, making{identities[i].Subject, how.Path, how.Doubt, kind, verb, subresource != ""})
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

// try asks for a pod by each way that a creator has, until one passes. Where the pod itself is refused to a way alike, it is not asked
// again.
func (m *makers) try(c *creator, a *attempt) tried {
	if m.Admission == nil {
		return tried{verdict: finding.Unknown, why: "what admission would refuse is not known"}
	}
	result, refused := m.tryWay(c, &c.first, a)
	if result.verdict == finding.Exposed ||
		slices.ContainsFunc(refused, func(r refusal) bool { return r.Holds == nil && (r.security() || a.debugged == nil) }) {
		return result
	}
	for _, w := range c.all() {
		if w.debug && a.debugged == nil || slices.ContainsFunc(refused, func(r refusal) bool { return r.of(&w) }) {
			continue
		}
		got, by := m.tryWay(c, &w, a)
		if got.verdict == finding.Exposed {
			return got
		}
		result.firm = result.firm && got.firm
		if got.verdict == finding.Unknown && result.verdict == finding.Isolated {
			result = got
		}
		refused = append(refused, by...)
	}
	return result
}

// tryWay asks for a pod by one way, and returns what refuses the pod itself. What refuses a plain pod as well, for its image perhaps, is
// no answer about this one: a tenant that knows the namespace knows a plain pod that passes. But where there is no room for any pod,
// there is none for this one.
func (m *makers) tryWay(c *creator, w *making, a *attempt) (result tried, ofPod []refusal) {
	result = tried{verdict: finding.Exposed, spec: a.spec, way: w}
	if w.doubt != "" {
		result.verdict, result.why = finding.Unknown, w.doubt
	}
	if w.debug {
		if a.debugged == nil {
			return tried{verdict: finding.Isolated}, nil
		}
		result.spec = &a.debugged.Spec
	}
	refused, firm := false, false
	var plain map[string]bool
	for _, asked := range m.ask(w, c.namespace, a) {
		answer := m.Admission.Admit(asked)
		if len(answer.RefusedBy) > 0 && plain == nil {
			plain = m.refusals(c, w)
		}
		for _, r := range beyond(plain, answer.RefusedBy) {
			refused, firm = true, firm || m.firm(&r)
			if asked.Resource.Resource == "pods" && asked.Subresource == "" {
				ofPod = append(ofPod, refusal{r})
			}
		}
		if slices.ContainsFunc(ofPod, func(r refusal) bool { return r.security() }) {
			break // what else refuses it, or what makes it, does not matter
		}
		if len(answer.Unknown) > 0 {
			result.verdict, result.why = finding.Unknown, strings.Join(answer.Unknown, "; ")
		}
		if len(result.first) == 0 {
			result.first = answer.First
		}
		if pod := podStored(answer.Object); pod != nil {
			result.spec = &pod.Spec
		}
	}
	if refused {
		return tried{verdict: finding.Isolated, firm: firm}, ofPod
	}
	return result, nil
}

// beyond are the refusals but those by policies, or bindings, that refuse a plain pod as well.
func beyond(plain map[string]bool, refusals []finding.Refusal) []finding.Refusal {
	return slices.DeleteFunc(slices.Clone(refusals), func(r finding.Refusal) bool {
		return strings.HasPrefix(r.By.Kind, "ValidatingAdmissionPolicy") && plain[refusalKey(r)]
	})
}

// firm reports whether a refusal goes by no mark that the object may bear.
func (m *makers) firm(r *finding.Refusal) bool {
	return r.By.Kind == "Namespace" || r.By.Kind == "ValidatingAdmissionPolicy" && len(m.Admission.Exempting(r.By)) == 0
}

// podStored is the pod that is stored; nil of any other object.
func podStored(o runtime.Object) *corev1.Pod {
	if pod, is := o.(*corev1.Pod); is {
		return pod
	}
	return podOfUnstructured(o)
}

// refusal is one of the pod itself.
type refusal struct{ finding.Refusal }

// security reports whether it is Pod Security's, which judges debugging containers as it does others.
func (r *refusal) security() bool { return r.By.Kind == "Namespace" }

// of reports whether it holds for a way alike.
func (r *refusal) of(w *making) bool {
	creator := w.podSubject()
	return (!w.debug || r.security()) && r.For(&creator)
}

// podSubject is the subject of the request that creates the pod: a controller's for a workload.
func (w *making) podSubject() finding.Subject {
	if w.kind.controller != "" {
		return rbac.ServiceAccount("kube-system", w.kind.controller)
	}
	return w.subject
}

func (m *makers) refusals(c *creator, w *making) map[string]bool {
	known := map[string]bool{}
	for _, asked := range m.ask(w, c.namespace, m.plain) {
		for _, r := range m.Admission.Admit(asked).RefusedBy {
			known[refusalKey(r)] = true
		}
	}
	return known
}

func refusalKey(r finding.Refusal) string { return r.By.String() + "|" + r.Message }

// ask returns the request for the pod, where a controller makes it of a workload, and what the subject sends.
func (m *makers) ask(w *making, namespace string, a *attempt) []*finding.AdmissionRequest {
	kind := w.kind.kind.Kind
	q := &finding.AdmissionRequest{Subject: w.subject, Operation: "CREATE", Kind: w.kind.kind,
		Resource: w.kind.kind.GroupVersion().WithResource(w.kind.resource), Namespace: namespace, Name: "probe", Object: a.objects[kind]}
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
	if w.kind.controller == "" {
		if !w.debug {
			q.Enough = []snapshot.Ref{{Kind: "Namespace", Name: namespace}} // Pod Security alone refuses most
		}
		return []*finding.AdmissionRequest{q}
	}
	return []*finding.AdmissionRequest{{Subject: w.podSubject(), Operation: "CREATE",
		Kind: corev1.SchemeGroupVersion.WithKind("Pod"), Resource: corev1.SchemeGroupVersion.WithResource("pods"),
		Namespace: namespace, Name: "probe", Object: a.objects["Pod"], Enough: []snapshot.Ref{{Kind: "Namespace", Name: namespace}}}, q}
}

// debugged is the plain pod with a container in it for debugging that may what the hostile pod's container may; nil where
// the hostile pod is more than that. Volumes, host namespaces, ports and probes are the pod's, and never change.
func debugged(plain, hostile *corev1.PodSpec, marks []finding.Mark) *corev1.Pod {
	same := hostile.DeepCopy()
	same.Containers[0].SecurityContext = plain.Containers[0].SecurityContext
	if !reflect.DeepEqual(same, plain) {
		return nil
	}
	pod := &corev1.Pod{TypeMeta: metav1.TypeMeta{Kind: "Pod", APIVersion: "v1"},
		ObjectMeta: metav1.ObjectMeta{Name: "probe", Labels: map[string]string{"app": "probe"}}, Spec: *plain}
	finding.Marked(pod, marks)
	pod.Spec.EphemeralContainers = []corev1.EphemeralContainer{{EphemeralContainerCommon: corev1.EphemeralContainerCommon{
		Name: "probe-debug", Image: hostile.Containers[0].Image, ImagePullPolicy: corev1.PullAlways,
		TerminationMessagePath: corev1.TerminationMessagePathDefault, TerminationMessagePolicy: corev1.TerminationMessageReadFile,
		SecurityContext: hostile.Containers[0].SecurityContext.DeepCopy()}}}
	return pod
}
