package guardrails

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/hostile"
	"github.com/bulkhead-dev/bulkhead/isolation/finding"
	"github.com/bulkhead-dev/bulkhead/isolation/rbac"
	"github.com/bulkhead-dev/bulkhead/snapshot"
)

// shown is what one probe showed in one namespace.
type shown struct {
	tenant, namespace string
	probe             *probe
	subject           sender
	verdict           finding.Verdict
	severity          finding.Severity
	// let is true where admission lets the probe's request through.
	let bool
	// refused is what refuses it.
	refused []finding.Refusal
	// does is what the tenant can do, or why nothing is known.
	does  string
	blame []snapshot.Ref
	steps []finding.Step
}

// visit is one namespace that is looked at.
type visit struct {
	ns         *snapshot.Namespace
	setting    setting
	scene      hostile.Scene
	identities []rbac.Identity
	// senders of requests, by what RBAC is asked about.
	senders map[finding.Attributes][]sender
	// refusals of harmless requests.
	refusals map[harmlessBy][]finding.Refusal
}

// sender of a request, with how it comes to have the right.
type sender struct {
	finding.Subject
	rbac.Permit
}

// harmlessBy is a harmless request of a user.
type harmlessBy struct {
	request *finding.AdmissionRequest
	user    string
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
		whole := g.probesFor(setting{})
		for i := range whole {
			if whole[i].place == inCluster {
				found[len(spaces)] = append(found[len(spaces)], g.one(&visit{}, &whole[i], g.asAnybody())...)
			}
		}
	}
	return g.group(slices.Concat(found...))
}

// probe puts every probe that concerns it to one namespace.
func (g *guardrails) probe(ns *snapshot.Namespace) []shown {
	v := &visit{ns: ns, identities: g.identities(ns.Name), senders: map[finding.Attributes][]sender{}, refusals: map[harmlessBy][]finding.Refusal{}}
	var at spot
	v.setting, at = g.settingOf(ns, v.identities)
	v.scene = g.scene(&v.setting, at)
	over, lapses := lapse(ns)
	var list []shown
	probes := g.probesFor(v.setting)
	for i := range probes {
		p := &probes[i]
		if !concerns(ns, p) {
			continue
		}
		if p.bound {
			p = g.rebound(v, p)
		}
		if !p.completed {
			found := g.one(v, p, g.sendersOf(v, p))
			if change, is := g.changing(v, p); is && len(found) == 0 {
				found = g.one(v, &change, g.sendersOf(v, &change))
			}
			list = append(list, found...)
		}
		if after, is := lapsedOf(p); is && lapses {
			request := *p.request
			request.At, after.request = over, &request
			list = append(list, g.one(v, &after, g.sendersOf(v, &after))...)
		}
	}
	return append(list, g.completed(v)...)
}

// changing is a probe that makes of a harmless object that is there what another one creates: what refuses it may look at creations alone,
// and a tenant may have the right to change alone. False for kinds that are no harm to change, or that other checks look at, and where a
// policy of Bulkhead refuses it, which looks at changes as long as it is as rendered.
func (g *guardrails) changing(v *visit, p *probe) (probe, bool) {
	q := p.request
	if p.unfenced || len(g.carriers(v.ns, p)) > 0 || q.Operation != "CREATE" || q.Subresource != "" || q.Resource.Resource != "services" && q.Resource.Resource != "ingresses" {
		return probe{}, false
	}
	known, found := g.settings.Load(changedKey{v.setting, q})
	if !found {
		scene, changed := g.scene(&v.setting, anySpot), (*finding.AdmissionRequest)(nil)
		if made, err := hostile.Target(scene, q.Resource.Resource); err == nil {
			if harmless, _, err := g.request(made, &scene); err == nil {
				also := *q
				also.Operation, also.OldObject = "UPDATE", harmless.Object
				changed = &also
			}
		}
		known, _ = g.settings.LoadOrStore(changedKey{v.setting, q}, changed)
	}
	changed := known.(*finding.AdmissionRequest) //nolint:forcetypeassert // nothing else is stored there
	if changed == nil {
		return probe{}, false
	}
	change := *p
	change.request = changed
	return change, true
}

// changedKey is a request that creates, in a setting.
type changedKey struct {
	setting

	request *finding.AdmissionRequest
}

// rebound is a probe that names the tenant, as it is in one namespace.
func (g *guardrails) rebound(v *visit, p *probe) *probe {
	attempts, err := g.asked(&v.scene, &p.Attempt)
	if err != nil {
		return p
	}
	here := *p
	here.request = attempts[p.index].AdmissionRequest
	return &here
}

// concerns reports whether a probe is about this namespace: its request is sent there, and what it changes is of Bulkhead.
func concerns(ns *snapshot.Namespace, p *probe) bool {
	role, _ := ns.Labels.Get(v1alpha1.LabelRole)
	managed, _ := ns.Labels.Get(v1alpha1.LabelManagedBy)
	switch {
	case p.place == inCluster || p.place == inHome && role != "home":
		return false
	case p.request.Kind.Kind == "Namespace":
		return managed == v1alpha1.ManagedBy
	}
	return !p.unfenced || role != "home" // where no tenant has the right, the policies of Spaces alone stand behind
}

// lapse is one minute after the Waiver of Pod Security of a namespace is over; false where it has none.
func lapse(ns *snapshot.Namespace) (time.Time, bool) {
	text, has := ns.Annotations.Get(v1alpha1.WaiverPrefix + "pod-security")
	over, err := time.Parse(time.RFC3339, text)
	return over.Add(time.Minute), has && err == nil
}

// asAnybody is a subject that was given every right by mistake, but not the one to change guardrails.
func (g *guardrails) asAnybody() []sender {
	return []sender{{Subject: finding.Subject{User: v1alpha1.NamePrefix + "probe", Groups: []string{rbac.GroupAuthenticated}}}}
}

// identities that act for the tenant of a namespace and have rights there.
func (g *guardrails) identities(namespace string) []rbac.Identity {
	i := slices.IndexFunc(g.Tenants, func(t snapshot.Tenant) bool { return t.Name == g.Owner[namespace] })
	if i < 0 {
		return nil
	}
	return rbac.In(g.rights.Identities(i), namespace)
}

// sendersOf a probe are those whom RBAC lets send it.
func (g *guardrails) sendersOf(v *visit, p *probe) []sender {
	if p.unfenced {
		return g.asAnybody()
	}
	return g.sendersIn(v, p.request)
}

// sendersIn are those whom RBAC lets send a request in a namespace, those who need nothing else for it first.
func (g *guardrails) sendersIn(v *visit, q *finding.AdmissionRequest) []sender {
	asked := q.In(v.ns.Name, finding.Subject{}).Attributes()
	if known, found := v.senders[asked]; found {
		return known
	}
	var list []sender
	for i := range v.identities {
		for _, also := range alike(asked) {
			if how, may := v.identities[i].May(also); may {
				list = append(list, sender{v.identities[i].Subject, how})
				break
			}
		}
	}
	slices.SortStableFunc(list, func(a, b sender) int {
		return cmp.Or(cmp.Compare(a.Doubt, b.Doubt), cmp.Compare(len(a.Path), len(b.Path)))
	})
	v.senders[asked] = list
	return list
}

// alike are the rights of which each is enough for a request: what may be updated may be patched, and what may be deleted may be deleted
// with all others.
func alike(asked finding.Attributes) []finding.Attributes {
	also := asked
	switch asked.Verb {
	case "update":
		also.Verb = "patch"
	case "delete":
		also.Verb, also.Name = "deletecollection", ""
	default:
		return []finding.Attributes{asked}
	}
	return []finding.Attributes{asked, also}
}

// one puts one probe, in the name of each sender until one has something to show. A sender to whom it is refused as to another before
// is not asked.
func (g *guardrails) one(v *visit, p *probe, senders []sender) []shown {
	g.sent.Add(int64(len(senders)))
	if len(senders) == 0 {
		g.unsent.Add(1)
	}
	var refused [][]finding.Refusal
	for _, s := range senders {
		if slices.ContainsFunc(refused, func(all []finding.Refusal) bool { return holdFor(all, &s.Subject) }) {
			continue
		}
		found, is := g.ask(v, p, s)
		if !is {
			refused = append(refused, found.refused)
			continue
		}
		if found.steps = append(s.firstSteps(), found.steps...); found.verdict == finding.Exposed && s.Doubt != "" {
			found.verdict, found.does = finding.Unknown, "it can "+found.does+" if it can give itself the right; not known: "+s.Doubt
		}
		return []shown{found}
	}
	return nil
}

// holdFor reports whether there are refusals, and all of them hold for a subject.
func holdFor(all []finding.Refusal, s *finding.Subject) bool {
	return len(all) > 0 && !slices.ContainsFunc(all, func(r finding.Refusal) bool { return !r.For(s) })
}

// firstSteps are those by which it gives itself the right.
func (s *sender) firstSteps() []finding.Step {
	if !s.Gained {
		return nil
	}
	return slices.Clone(s.Path)
}

// ask puts a probe to admission; false where all is as it should be.
func (g *guardrails) ask(v *visit, p *probe, s sender) (shown, bool) {
	found := shown{probe: p, subject: s, severity: p.severity, does: infinitive(p.Title)}
	if v.ns != nil {
		found.namespace, found.tenant = v.ns.Name, g.Owner[v.ns.Name]
	}
	if p.target && !g.there(v, p.request, s.Subject) {
		return found, false
	}
	carriers := g.carriers(v.ns, p)
	sent := p.request.In(found.namespace, s.Subject)
	sent.Enough = carriers
	if p.carrier == "" && v.ns != nil {
		sent.Enough = []snapshot.Ref{{Kind: "Namespace", Name: v.ns.Name}}
	}
	answer := g.Admission.Admit(sent)
	found.refused = answer.RefusedBy
	if passed, is := g.evade(&found, sent, &answer); is {
		return passed, true
	}
	switch {
	case answer.Admitted:
		found.verdict, found.let = finding.Exposed, true
		found.blame, found.steps = g.blame(v.ns, p, carriers, &answer)
		found.steps = append(slices.Clone(answer.First), found.steps...)
		return found, true
	case len(answer.RefusedBy) == 0:
		found.verdict = finding.Unknown
		found.does = strings.Join(answer.Unknown, "; ")
		return found, true
	case len(carriers) > 0 && !slices.ContainsFunc(answer.RefusedBy, func(r finding.Refusal) bool { return slices.Contains(carriers, r.By) }):
		found.verdict, found.severity = finding.Exposed, finding.Low
		found.does += " as far as " + carriers[0].String() + " goes: " + answer.RefusedBy[0].By.String() + " alone refuses it now"
		found.blame, found.steps = g.blame(v.ns, p, carriers, &answer)
		return found, true
	case len(carriers) > 0:
		return found, false // its own policy refuses it: no doubt why
	}
	twin := g.twinOf(v, p)
	if twin == nil {
		return found, false
	}
	refusals := g.refusals(v, twin, s.Subject)
	if len(refusals) == 0 {
		return found, false
	}
	found.verdict = finding.Unknown
	found.does = fmt.Sprintf("a harmless %s is refused as well (by %s: %s), so that nothing is proven by refusing a hostile one",
		twin.Kind.Kind, refusals[0].By, refusals[0].Message)
	return found, true
}

// refusals of a harmless request, which many probes have in common.
func (g *guardrails) refusals(v *visit, q *finding.AdmissionRequest, s finding.Subject) []finding.Refusal {
	key := harmlessBy{request: q, user: s.User}
	known, found := v.refusals[key]
	if !found {
		known = g.Admission.Admit(q.In(v.ns.Name, s)).RefusedBy
		v.refusals[key] = known
	}
	return known
}

// twinKey is a step that is the twin of many cases.
type twinKey struct {
	setting

	title string
}

// twinOf a probe, as it is in the namespace; nil where none is known to be harmless.
func (g *guardrails) twinOf(v *visit, p *probe) *finding.AdmissionRequest {
	if p.unfenced {
		return nil
	}
	key := twinKey{v.setting, p.Twin.Title}
	known, found := g.settings.Load(key)
	if !found {
		scene := g.scene(&v.setting, anySpot)
		twin := made{}
		if twins, err := g.asked(&scene, &p.Twin); err == nil {
			twin = twins[0]
		}
		known, _ = g.settings.LoadOrStore(key, twin)
	}
	twin := known.(made) //nolint:forcetypeassert // nothing else is stored there
	if twin.AdmissionRequest == nil || twin.Resource.Resource == "persistentvolumeclaims" && v.setting.storageClass == "" {
		return nil
	}
	if twin.bound {
		if twins, err := g.asked(&v.scene, &p.Twin); err == nil {
			return twins[0].AdmissionRequest
		}
	}
	return twin.AdmissionRequest
}

// there reports whether the object that a request changes can be there at all: in a namespace that has none, and a quota of none, as
// the home of a tenant, there is nothing to change. Where a harmless pod can be made, all else can.
func (g *guardrails) there(v *visit, q *finding.AdmissionRequest, s finding.Subject) bool {
	if v.setting.image != "" || q.Resource.Resource == "pods" && len(g.PodsIn(v.ns.Name)) > 0 {
		return true
	}
	if q.Subresource == "eviction" {
		return false // no pod can be made
	}
	made := *q
	made.Operation, made.Subresource, made.Object, made.OldObject = "CREATE", "", q.OldObject, nil
	return len(g.Admission.Admit(made.In(v.ns.Name, s)).RefusedBy) == 0
}

// carriers are the policies that should refuse a probe here; none where the platform is not Bulkhead's, or a waiver
// suspends the control.
func (g *guardrails) carriers(ns *snapshot.Namespace, p *probe) []snapshot.Ref {
	if ns != nil && !p.lapsed {
		if _, waived := ns.Annotations.Get(v1alpha1.WaiverPrefix + p.Control); waived {
			return nil
		}
	}
	o := snapshot.Ref{Kind: kindValidating, Name: p.carrier}
	if _, expected := g.expected[o]; expected || g.policies[o] {
		return []snapshot.Ref{o}
	}
	return nil
}

// infinitive is the title of a case as what a subject can do: "runs privileged" is "run privileged".
func infinitive(title string) string {
	verb, rest, _ := strings.Cut(title, " ")
	switch {
	case verb == "has":
		verb = "have"
	case verb == "does" || strings.HasSuffix(verb, "sses") || strings.HasSuffix(verb, "ches"):
		verb = strings.TrimSuffix(verb, "es")
	case strings.HasSuffix(verb, "pies"):
		verb = strings.TrimSuffix(verb, "ies") + "y"
	default:
		verb = strings.TrimSuffix(verb, "s")
	}
	return verb + " " + rest
}
