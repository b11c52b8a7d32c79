package guardrails

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/isolation/finding"
	"github.com/bulkhead-dev/bulkhead/isolation/rbac"
	"github.com/bulkhead-dev/bulkhead/snapshot"
)

// shown is what one probe showed in one namespace.
type shown struct {
	tenant, namespace string
	probe             *Probe
	subject           finding.Subject
	verdict           finding.Verdict
	severity          finding.Severity
	// let says that admission lets the probe's request through.
	let bool
	// does is what the tenant can do, or why nothing is known.
	does  string
	blame []snapshot.Ref
	steps []finding.Step
}

// probeAll puts the probes to every namespace of every tenant.
func (g *guardrails) probeAll() []finding.Finding {
	if g.Admission == nil {
		if len(g.Owner) == 0 {
			return nil
		}
		return []finding.Finding{{Code: "BH4019", Verdict: finding.Unknown, From: finding.EveryTenant, To: finding.EveryTenant,
			What: "what admission would refuse is not known: nothing evaluates it here"}}
	}
	var spaces []*snapshot.Namespace
	for _, ns := range g.Namespaces {
		if g.Owner[ns.Name] != finding.ThePlatform && !ns.Implied {
			spaces = append(spaces, ns)
		}
	}
	found := make([][]shown, len(spaces)+1)
	g.Parallel(len(spaces), func(i int) { found[i] = g.probe(spaces[i]) })
	if g.inUse["guardrail"] {
		for _, p := range []Probe{definitionProbe(), waiverProbe()} {
			found[len(spaces)] = append(found[len(spaces)], g.one(nil, &p, g.asAnybody())...)
		}
	}
	return g.group(slices.Concat(found...))
}

// probe puts every probe that concerns it to one namespace.
func (g *guardrails) probe(ns *snapshot.Namespace) []shown {
	subjects := g.subjects(ns.Name)
	setting := g.setting(ns, subjects)
	own := namespaceProbes(ns)
	if p, has := lapsedWaiver(ns, &setting); has {
		own = append(own, p)
	}
	var list []shown
	for _, probes := range [][]Probe{g.probesFor(setting), g.managed, own} {
		for i := range probes {
			p := &probes[i]
			if !p.Everywhere && !g.inUse[p.Control] || g.beside(ns, p) {
				continue
			}
			if p.Unfenced {
				list = append(list, g.one(ns, p, g.asAnybody())...)
				continue
			}
			list = append(list, g.one(ns, p, g.senders(ns.Name, p.Request, subjects, p.Control == "guardrail"))...)
		}
	}
	return append(list, g.completed(ns, setting, subjects)...)
}

// beside says that a probe is harmless in a namespace, or about another kind of namespace.
func (g *guardrails) beside(ns *snapshot.Namespace, p *Probe) bool {
	role, _ := ns.Labels.Get(v1alpha1.LabelRole)
	if role == "home" && p.Request.Subresource == "ephemeralcontainers" {
		return true // there are no pods, and who makes one is looked at
	}
	switch p.ID {
	case automountProbe:
		allowed, _ := ns.Labels.Get(v1alpha1.LabelToken)
		return allowed == "allowed"
	case "runtime":
		demanded, _ := ns.Labels.Get(v1alpha1.LabelRuntimeClass)
		return demanded == ""
	case protectedSpace:
		protected, _ := ns.Annotations.Get(v1alpha1.AnnotationProtected)
		return role != "home" || protected != "true"
	case releasedSpace:
		return role != "home"
	case "endpoints":
		return role == "home"
	case "loosen-namespace", "chain-namespace", "delete-namespace":
		managed, _ := ns.Labels.Get(v1alpha1.LabelManagedBy)
		return managed != "bulkhead"
	}
	return false
}

// asAnybody is somebody who was given every right by mistake, but not the one to change guardrails.
func (g *guardrails) asAnybody() []finding.Subject {
	return []finding.Subject{{User: v1alpha1.NamePrefix + "probe", Groups: []string{rbac.GroupAuthenticated}}}
}

// subjects who act for the tenant in a namespace: its owners, or whoever has rights there.
func (g *guardrails) subjects(namespace string) []finding.Subject {
	i := slices.IndexFunc(g.Tenants, func(t snapshot.Tenant) bool { return t.Name == g.Owner[namespace] })
	var subjects []rbacv1.Subject
	if i >= 0 && g.Tenants[i].Owners != nil {
		subjects = g.Tenants[i].Owners
	} else {
		first, _ := slices.BinarySearchFunc(g.RoleBindings, namespace, func(b *rbacv1.RoleBinding, ns string) int { return cmp.Compare(b.Namespace, ns) })
		for _, b := range g.RoleBindings[first:] {
			if b.Namespace != namespace {
				break
			}
			subjects = append(subjects, b.Subjects...)
		}
	}
	var list []finding.Subject
	for _, s := range subjects {
		subject := rbac.SubjectOf(s, namespace)
		if !slices.ContainsFunc(list, func(other finding.Subject) bool {
			return slices.Equal(other.Groups, subject.Groups) && other.User == subject.User
		}) {
			list = append(list, subject)
		}
	}
	return list
}

// senders are the subjects whom RBAC lets send a request: the first, or all where policies ask who it is.
func (g *guardrails) senders(namespace string, q *finding.AdmissionRequest, subjects []finding.Subject, all bool) []finding.Subject {
	var list []finding.Subject
	for _, s := range subjects {
		if allowed, _ := g.rights.Allowed(s, q.In(namespace, s).Attributes()); allowed {
			if list = append(list, s); !all {
				break
			}
		}
	}
	return list
}

// one puts one probe, in the name of each sender.
func (g *guardrails) one(ns *snapshot.Namespace, p *Probe, senders []finding.Subject) []shown {
	g.lock.Lock()
	g.asked += len(senders)
	if len(senders) == 0 {
		g.unsent++
	}
	g.lock.Unlock()
	var list []shown
	for _, s := range senders {
		if found, is := g.ask(ns, p, s); is {
			list = append(list, found)
			break
		}
	}
	return list
}

// ask puts a probe to admission; false where all is as it should be.
func (g *guardrails) ask(ns *snapshot.Namespace, p *Probe, s finding.Subject) (shown, bool) {
	found := shown{probe: p, subject: s, severity: p.Severity, does: p.Does}
	if ns != nil {
		found.namespace, found.tenant = ns.Name, g.Owner[ns.Name]
	}
	if !g.there(found.namespace, p.Request, s) {
		return found, false
	}
	answer := g.Admission.Admit(p.Request.In(found.namespace, s))
	carriers := g.carriers(ns, p)
	switch {
	case answer.Admitted:
		found.verdict, found.let = finding.Exposed, true
		found.blame, found.steps = g.blame(ns, p, carriers, &answer)
		return found, true
	case len(answer.RefusedBy) == 0:
		found.verdict = finding.Unknown
		found.does = strings.Join(answer.Unknown, "; ")
		return found, true
	case len(carriers) > 0 && !slices.ContainsFunc(answer.RefusedBy, func(r finding.Refusal) bool { return slices.Contains(carriers, r.By) }):
		found.verdict, found.severity = finding.Exposed, finding.Low
		found.does = p.Does + " as far as " + carriers[0].String() + " goes: " + answer.RefusedBy[0].By.String() + " alone refuses it now"
		found.blame, found.steps = g.blame(ns, p, carriers, &answer)
		return found, true
	case p.Twin == nil || len(carriers) > 0:
		return found, false // its own policy refuses it: no doubt why
	}
	twin := g.Admission.Admit(p.Twin.In(found.namespace, s))
	if len(twin.RefusedBy) == 0 {
		return found, false
	}
	found.verdict = finding.Unknown
	found.does = fmt.Sprintf("a harmless %s is refused as well (by %s: %s), so that nothing is proven by refusing a hostile one",
		p.Twin.Kind.Kind, twin.RefusedBy[0].By, twin.RefusedBy[0].Message)
	return found, true
}

// there says whether the pod that a request changes can be there at all: in a namespace that has none, and a quota of none,
// as the home of a tenant, there is nothing to change.
func (g *guardrails) there(namespace string, q *finding.AdmissionRequest, s finding.Subject) bool {
	if q.OldObject == nil || q.Kind.Kind != "Pod" || namespace == "" || len(g.PodsIn(namespace)) > 0 {
		return true
	}
	made := *q
	made.Operation, made.Subresource, made.Object, made.OldObject = "CREATE", "", q.OldObject, nil
	return len(g.Admission.Admit(made.In(namespace, s)).RefusedBy) == 0
}

// carriers are the policies that should refuse a probe here; none where the platform is not Bulkhead's, or a waiver
// suspends the control.
func (g *guardrails) carriers(ns *snapshot.Namespace, p *Probe) []snapshot.Ref {
	if ns != nil && p.ID != lapsedProbe {
		if _, waived := ns.Annotations.Get(v1alpha1.WaiverPrefix + p.Control); waived {
			return nil
		}
	}
	var list []snapshot.Ref
	for _, name := range p.Carriers {
		o := snapshot.Ref{Kind: kindValidating, Name: name}
		if _, expected := g.expected[o]; expected || g.policies[o] {
			list = append(list, o)
		}
	}
	return list
}

// probesFor a setting, made once, so that equal requests are the same pointers.
func (g *guardrails) probesFor(s Setting) []Probe {
	g.lock.Lock()
	defer g.lock.Unlock()
	if g.probes[s] == nil {
		g.probes[s] = Probes(s)
	}
	return g.probes[s]
}

// setting finds out what is harmless in a namespace.
func (g *guardrails) setting(ns *snapshot.Namespace, subjects []finding.Subject) Setting {
	s := Setting{Image: g.image(ns, subjects)}
	for _, class := range g.StorageClasses {
		s.StorageClass = class.Name
		if len(subjects) == 0 || len(g.Admission.Admit(storageProbes(&s)[0].Twin.In(ns.Name, subjects[0])).RefusedBy) == 0 {
			break
		}
		s.StorageClass = ""
	}
	hosts, _ := ns.Annotations.Get(v1alpha1.AnnotationIngressHosts)
	s.Host, _, _ = strings.Cut(hosts, ",")
	s.Host = strings.Replace(s.Host, "*", "probe", 1)
	demanded, _ := ns.Labels.Get(v1alpha1.LabelRuntimeClass)
	for _, c := range g.RuntimeClasses {
		if demanded != "" && c.Name != demanded {
			s.OtherRuntime = c.Name
		}
	}
	return s
}

// image is one of which a harmless pod is admitted in a namespace: of its pods, of anybody's, or of a registry that
// policies name.
func (g *guardrails) image(ns *snapshot.Namespace, subjects []finding.Subject) string {
	if len(subjects) == 0 {
		return ""
	}
	for _, image := range g.images() {
		g.lock.Lock()
		q := g.pods[image]
		if q == nil {
			q = (&Setting{Image: image}).harmlessPod(nil)
			g.pods[image] = q
		}
		g.lock.Unlock()
		if answer := g.Admission.Admit(q.In(ns.Name, subjects[0])); len(answer.RefusedBy) == 0 {
			return image
		}
	}
	return ""
}

// images are candidates, each once.
func (g *guardrails) images() []string {
	if known, found := g.settings.Load("images"); found {
		return known.([]string) //nolint:forcetypeassert // nothing else is stored there
	}
	quoted := regexp.MustCompile(`["']([a-z0-9][a-z0-9.-]*\.[a-z0-9.-]+(?::[0-9]+)?/(?:[a-z0-9._/-]*/)?)["']`)
	var list []string
	for _, p := range g.ValidatingPolicies {
		for _, v := range append(p.Spec.Validations[:len(p.Spec.Validations):len(p.Spec.Validations)], variablesAsChecks(p)...) {
			for _, match := range quoted.FindAllStringSubmatch(v.Expression, 8) {
				list = append(list, match[1]+v1alpha1.NamePrefix+"probe:1")
			}
		}
	}
	const enough = 16
	for _, pod := range g.Pods {
		if pod.Spec != nil && len(pod.Spec.Containers) > 0 && len(list) < enough && !slices.Contains(list, pod.Spec.Containers[0].Image) {
			list = append(list, pod.Spec.Containers[0].Image)
		}
	}
	list = append(list, fallbackImage)
	g.settings.Store("images", list)
	return list
}
