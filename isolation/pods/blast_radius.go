package pods

import (
	"cmp"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bulkhead-dev/bulkhead/isolation/finding"
	"github.com/bulkhead-dev/bulkhead/isolation/rbac"
	"github.com/bulkhead-dev/bulkhead/snapshot"
)

// escalation computes the blast radius of tenants' pods, existing or yet to be created.
type escalation struct {
	*makers
	place   *placement
	classes []*podClass
	// tenantsOn are, by index of a node, the tenants whose pods run there, sorted, with one pod of each.
	tenantsOn   []map[int]*snapshot.Pod
	nodeIndex   map[string]int
	compromises []compromise
}

// compromise is one way in which a tenant compromises nodes.
type compromise struct {
	tenant int
	gain   podGain
	nodes  []int
	step   finding.Step
	blame  []snapshot.Ref
}

func (p *Run) newEscalation() *escalation {
	e := &escalation{makers: p.makers(),
		place: newPlacement(p.Nodes), nodeIndex: map[string]int{}, tenantsOn: make([]map[int]*snapshot.Pod, len(p.Nodes))}
	e.classes = p.podClasses(e.place)
	for i, n := range p.Nodes {
		e.nodeIndex[n.Name] = i
		e.tenantsOn[i] = map[int]*snapshot.Pod{}
	}
	for _, pod := range p.Pods {
		i, known := e.nodeIndex[pod.Node]
		if tenant := p.Owner[pod.Namespace]; known && tenant != finding.ThePlatform && !pod.Completed() {
			if t := p.tenantIndex(tenant); e.tenantsOn[i][t] == nil {
				e.tenantsOn[i][t] = pod
			}
		}
	}
	return e
}

// existing adds the nodes that existing pods compromise.
func (e *escalation) existing(list []*escaping) {
	for _, w := range list {
		if len(w.ways) == 0 || w.ways[0].gain < gainsFiles {
			continue
		}
		t := compromise{tenant: e.tenantIndex(w.tenant), gain: w.ways[0].gain, step: finding.Step{Object: w.object(), Does: w.ways[0].what},
			blame: []snapshot.Ref{w.object(), {Kind: "Namespace", Name: w.namespace}}}
		for _, pod := range w.pods {
			if i, known := e.nodeIndex[pod.Node]; known {
				t.nodes = append(t.nodes, i)
			} else {
				t.nodes = append(t.nodes, e.nodesOf(e.place.where(pod.Spec, pod.Owner.Kind == "DaemonSet"))...)
			}
		}
		slices.Sort(t.nodes)
		t.nodes = slices.Compact(t.nodes)
		e.compromises = append(e.compromises, t)
	}
}

func (e *escalation) nodesOf(classes []int) []int {
	var nodes []int
	for _, c := range classes {
		for _, n := range e.place.classes[c].nodes {
			nodes = append(nodes, e.nodeIndex[n.Name])
		}
	}
	return nodes
}

// creatable tries the hostile pods in every namespace in which a tenant may have pods made: one finding for each tenant,
// with the widest that passes; and one for what cannot be said.
func (e *escalation) creatable(creators []creator) []finding.Finding {
	if len(creators) == 0 {
		return nil
	}
	if e.Admission == nil {
		return []finding.Finding{{Code: "BH2009", Verdict: finding.Unknown, From: finding.EveryTenant, To: finding.EveryTenant,
			What: fmt.Sprintf("tenants may create pods in %d namespaces, and what admission would refuse is not known", len(creators))}}
	}
	wide := e.hostilePods(e.imageInUse(), e.kinds)
	attempts := make([]attempted, len(creators))
	e.Parallel(len(creators), func(i int) { attempts[i] = e.attempt(&creators[i], wide) })
	var findings []finding.Finding
	for first := 0; first < len(creators); {
		last := first
		for last < len(creators) && creators[last].tenant == creators[first].tenant {
			last++
		}
		findings = append(findings, e.ofTenant(creators[first:last], attempts[first:last])...)
		first = last
	}
	return findings
}

// attempted is the result for the hostile pods in one namespace: the widest that passes, and one that cannot be judged.
type attempted struct {
	passed *attempt
	by     tried
	unsure *attempt
	why    string
}

func (e *escalation) attempt(c *creator, hostile []*attempt) (result attempted) {
	firm := map[*attempt]bool{}
	for _, a := range hostile {
		if firm[a.bare] {
			continue
		}
		got := e.try(c, a)
		firm[a] = got.firm
		switch got.verdict {
		case finding.Exposed:
			result.passed, result.by = a, got
			return result
		case finding.Unknown:
			if result.unsure == nil {
				result.unsure, result.why = a, got.why
			}
		case finding.Isolated:
		}
	}
	return result
}

// ofTenant blames every namespace in which a hostile pod passes.
func (e *escalation) ofTenant(creators []creator, attempts []attempted) []finding.Finding {
	passed, unsure := -1, -1
	var blame []snapshot.Ref
	for i := range attempts {
		if attempts[i].passed != nil {
			blame = append(blame, snapshot.Ref{Kind: "Namespace", Name: creators[i].namespace})
			if passed < 0 {
				passed = i
			}
		} else if attempts[i].unsure != nil && unsure < 0 {
			unsure = i
		}
	}
	var findings []finding.Finding
	if passed >= 0 {
		findings = append(findings, e.created(&creators[passed], &attempts[passed], blame))
	}
	if unsure >= 0 {
		o := &attempts[unsure]
		findings = append(findings, finding.Finding{Code: "BH2009", Verdict: finding.Unknown, From: e.Tenants[creators[0].tenant].Name, To: finding.ThePlatform,
			What:  fmt.Sprintf("whether namespace %s may have a pod that %s cannot be said: %s", creators[unsure].namespace, o.unsure.what, o.why),
			Blame: []snapshot.Ref{{Kind: "Namespace", Name: creators[unsure].namespace}}})
	}
	return findings
}

// created is the finding about a hostile pod that passes, and the nodes that it may compromise.
func (e *escalation) created(c *creator, got *attempted, blame []snapshot.Ref) finding.Finding {
	a, w, g := got.passed, got.by.way, gainsNotice
	if ways := newEscapeRules().waysOut(&metav1.ObjectMeta{}, got.by.spec); len(ways) > 0 {
		g = ways[0].gain
	}
	code := "BH2007"
	if g == gainsNode {
		code = "BH2006"
	}
	tenant := e.Tenants[c.tenant].Name
	step := finding.Step{Object: blame[0], Does: fmt.Sprintf("lets it %s (%s)", w.does(a.what), e.podSecurityOf(c.namespace))}
	f := finding.Finding{Code: code, Severity: g.severity(), Verdict: finding.Exposed, From: tenant, To: finding.ThePlatform, Blame: blame, Fix: e.fixOf(c, w, blame[0]),
		What:    fmt.Sprintf("%s may %s in namespace %s", w.subject.Name(), w.does(a.what), c.namespace),
		Witness: slices.Concat(got.by.first, w.path, []finding.Step{step})}
	if g >= gainsFiles {
		nodes := e.reachable(c, got)
		if len(e.Nodes) > 0 {
			f.What += fmt.Sprintf("; it may run on %d of %d nodes", len(nodes), len(e.Nodes))
		}
		e.compromises = append(e.compromises, compromise{c.tenant, g, nodes, step, blame})
	}
	return f
}

// fixOf the finding about a way. Empty means the fix of its code.
func (e *escalation) fixOf(c *creator, w *making, namespace snapshot.Ref) string {
	for _, expected := range e.Expected {
		if expected.Control == "pod-security" && expected.Object == namespace {
			return fmt.Sprintf("let Bulkhead restore %s: it enforces Pod Security there", namespace)
		}
	}
	switch {
	case w.debug && !c.first.debug:
		return "enforce Pod Security in the namespace; or have the policies that refuse such a pod match resource pods/ephemeralcontainers with operation UPDATE as well"
	case w.kind.controller != "" && w.kind.kind != c.first.kind.kind:
		return fmt.Sprintf("enforce Pod Security in the namespace; or have the policies that refuse such a pod bind %s as well", rbac.ServiceAccount("kube-system", w.kind.controller).User)
	}
	return ""
}

// reachable are the nodes that a hostile pod gets to: where it is scheduled as it is, or tolerating everything that the
// node has, or with the node named. One that is debugged runs where it is already.
func (e *escalation) reachable(c *creator, got *attempted) []int {
	a, all := got.passed, []int(nil)
	switch {
	case !got.by.way.debug:
		all = e.place.where(got.by.spec, false)
		if wild := e.try(c, newAttempt(a.what, tolerating(a.spec, corev1.Toleration{Operator: corev1.TolerationOpExists}), e.kinds)); wild.verdict == finding.Exposed {
			all = append(all, e.place.where(wild.spec, false)...)
		}
	default:
		if plain := e.try(c, e.plain); plain.verdict == finding.Exposed {
			all = e.place.where(plain.spec, false)
		}
		for _, pod := range e.PodsIn(c.namespace) {
			if class, known := e.place.byNode[pod.Node]; known {
				all = append(all, class)
			}
		}
	}
	slices.Sort(all)
	return e.nodesOf(slices.Compact(all))
}

func tolerating(spec *corev1.PodSpec, tolerations ...corev1.Toleration) *corev1.PodSpec {
	spec = spec.DeepCopy()
	spec.Tolerations = append(spec.Tolerations, tolerations...)
	return spec
}

// exposed is a tenant in the blast radius of a compromised node.
type exposed struct {
	attackers []int // two at most
	by        *compromise
	node      int
	now       bool
}

// blastRadius finds the tenants that compromised nodes expose: those whose pods run there, and those whose pods may. One
// finding for each, whichever tenant attacks; and one for each service account of the platform that exposes all.
func (e *escalation) blastRadius() []finding.Finding {
	if len(e.compromises) == 0 {
		return nil
	}
	if len(e.Nodes) == 0 && len(e.Tenants) > 1 {
		return []finding.Finding{{Code: "BH2009", Verdict: finding.Unknown, From: e.Tenants[e.compromises[0].tenant].Name, To: finding.EveryTenant,
			What: fmt.Sprintf("%s %s, and which tenants its node exposes is not known: no nodes were read", e.compromises[0].step.Object, e.compromises[0].step.Does), Blame: e.compromises[0].blame}}
	}
	may := e.mayRunOn()
	for t, class := range e.mayCreateOn() {
		for _, c := range class {
			may[c] = append(may[c], t)
		}
	}
	tenants := make([]exposed, len(e.Tenants))
	compromised := map[int]*compromise{}
	for i := range e.compromises {
		t := &e.compromises[i]
		for _, n := range t.nodes {
			if compromised[n] == nil || t.gain > compromised[n].gain {
				compromised[n] = t
			}
			for v := range e.tenantsOn[n] {
				tenants[v].add(v, t, n, true)
			}
			for _, v := range may[e.place.byNode[e.Nodes[n].Name]] {
				tenants[v].add(v, t, n, false)
			}
		}
	}
	var findings []finding.Finding
	for v := range tenants {
		if len(tenants[v].attackers) > 0 {
			findings = append(findings, e.exposedBy(v, &tenants[v]))
		}
	}
	return append(findings, e.throughPlatform(compromised)...)
}

func (v *exposed) add(self int, t *compromise, node int, now bool) {
	if t.tenant == self {
		return
	}
	if len(v.attackers) < 2 && !slices.Contains(v.attackers, t.tenant) {
		v.attackers = append(v.attackers, t.tenant)
	}
	if v.by == nil || now && !v.now {
		v.by, v.node, v.now = t, node, now
	}
}

// mayRunOn are the tenants whose pods may be scheduled to a class of nodes, by class.
func (e *escalation) mayRunOn() [][]int {
	lists := make([][]int, len(e.place.classes))
	for _, c := range e.classes {
		t := e.tenantIndex(c.tenant)
		for _, class := range c.where {
			if n := len(lists[class]); n == 0 || !slices.Contains(lists[class][max(0, n-1):], t) {
				lists[class] = append(lists[class], t)
			}
		}
	}
	for i := range lists {
		slices.Sort(lists[i])
		lists[i] = slices.Compact(lists[i])
	}
	return lists
}

// mayCreateOn are, by tenant, the classes of nodes to which a plain pod of it may be scheduled.
func (e *escalation) mayCreateOn() [][]int {
	perTenant, creators := make([][]int, len(e.Tenants)), e.creators()
	if e.Admission == nil {
		return perTenant // that this is not known is said already
	}
	where := make([][]int, len(creators))
	e.Parallel(len(creators), func(i int) {
		if got := e.try(&creators[i], e.plain); got.verdict != finding.Isolated {
			where[i] = e.place.where(got.spec, false)
		}
	})
	for i := range creators {
		t := creators[i].tenant
		perTenant[t] = append(perTenant[t], where[i]...)
	}
	for t := range perTenant {
		slices.Sort(perTenant[t])
		perTenant[t] = slices.Compact(perTenant[t])
	}
	return perTenant
}

func (e *escalation) exposedBy(index int, v *exposed) finding.Finding {
	node, tenant := e.Nodes[v.node].Name, e.Tenants[index].Name
	f := finding.Finding{Code: "BH2008", Verdict: finding.Exposed, From: e.Tenants[v.attackers[0]].Name, To: tenant, Blame: slices.Clone(v.by.blame), Witness: []finding.Step{v.by.step}}
	who := "tenant " + f.From
	if len(v.attackers) > 1 {
		f.From, who = finding.ThePlatform, who+", and others,"
	}
	if v.by.gain < gainsNode || !v.now {
		f.Severity = finding.High
	}
	if v.now {
		pod := e.tenantsOn[v.node][index]
		f.What = fmt.Sprintf("%s compromises node %s, and pods of %s run there: %s/%s with %s", who, node, tenant, pod.Namespace, pod.Name, credentialsOf(pod))
		f.Witness = append(f.Witness, finding.Step{Object: snapshot.Ref{Kind: "Node", Name: node}, Does: "has its pods' volumes, and an identity that reads their secrets and makes their service accounts' tokens"},
			finding.Step{Object: snapshot.Ref{Kind: "Pod", Namespace: pod.Namespace, Name: pod.Name}, Does: "runs there with " + credentialsOf(pod)})
		return f
	}
	f.What = fmt.Sprintf("%s compromises node %s, to which pods of %s may be scheduled", who, node, tenant)
	f.Witness = append(f.Witness, finding.Step{Object: snapshot.Ref{Kind: "Node", Name: node}, Does: "excludes no pod of " + tenant + " by a taint"})
	return f
}

// credentialsOf a pod are what its node exposes: tokens, Secrets and volumes.
func credentialsOf(pod *snapshot.Pod) string {
	account, secrets, claims := "default", []string(nil), 0
	if pod.Spec != nil {
		account = cmp.Or(pod.Spec.ServiceAccountName, account)
		for i := range pod.Spec.Volumes {
			switch v := &pod.Spec.Volumes[i]; {
			case v.Secret != nil:
				secrets = append(secrets, v.Secret.SecretName)
			case v.PersistentVolumeClaim != nil:
				claims++
			}
		}
	}
	text := "a token of service account " + account
	if len(secrets) > 0 {
		text += ", secrets " + finding.Few(secrets)
	}
	if claims > 0 {
		text += fmt.Sprintf(", %d volumes", claims)
	}
	return text
}
