package pods

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bulkhead-dev/bulkhead/isolation/finding"
	"github.com/bulkhead-dev/bulkhead/isolation/rbac"
	"github.com/bulkhead-dev/bulkhead/snapshot"
)

// Codes of what existing pods give, by gain.
var codeOfGain = [...]string{gainsSurface: "BH2005", gainsNotice: "BH2004", gainsNetwork: "BH2003", gainsFiles: "BH2002", gainsNode: "BH2001"}

// Check describes the check of what pods give: no tenant compromises a node.
func Check() finding.Check {
	const psl = "pod-security"
	return finding.Check{
		ID: "pods", Title: "No tenant compromises a node through a pod",
		Needs: []string{"Namespace", "Pod", "PersistentVolume", "Node", "Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding", "ServiceAccount"},
		Codes: []finding.Code{
			{ID: "BH2001", Title: "A tenant's pod compromises its node", Severity: finding.Critical,
				Why:      "Root on a node has the tokens, secrets and volumes of every pod there, and the node's own identity.",
				Fix:      "Remove what the finding names, and enforce Pod Security in the namespace, at the level baseline at least.",
				Controls: []string{psl}, Mappings: []string{"K01", "MTB-PL1-BC-CPI-5", "MTB-PL1-BC-CPI-3", "MTB-PL1-BC-HI-1"}},
			{ID: "BH2002", Title: "A tenant's pod reads or changes what others have on its node", Severity: finding.High,
				Why:      "Files and processes of other pods lie on the same node, with their tokens.",
				Fix:      "Remove what the finding names, and enforce Pod Security in the namespace, at the level baseline at least.",
				Controls: []string{psl}, Mappings: []string{"K01", "MTB-PL1-BC-HI-1", "MTB-PL1-BC-HI-4"}},
			{ID: "BH2003", Title: "A tenant's pod uses its node's network", Severity: finding.High,
				Why:      "No NetworkPolicy applies to the node's own network; services that listen there trust it.",
				Fix:      "Leave hostNetwork and network capabilities out, and enforce Pod Security in the namespace.",
				Controls: []string{psl}, Mappings: []string{"K01", "K05", "MTB-PL1-BC-HI-3"}},
			{ID: "BH2004", Title: "A tenant's pod observes others on its node, or starves them", Severity: finding.Medium,
				Why:      "What the node shares among pods is within its reach.",
				Fix:      "Remove what the finding names, and enforce Pod Security in the namespace, at the level baseline at least.",
				Controls: []string{psl}, Mappings: []string{"K01", "MTB-PL1-BC-HI-3", "MTB-PL1-BC-HI-5"}},
			{ID: "BH2005", Title: "Pods are not hardened", Severity: finding.Low,
				Why:      "Even where isolation holds, root, system calls and capabilities decide whether the next vulnerability of the kernel is an escape.",
				Fix:      "Enforce Pod Security at the level restricted in the namespace; its warnings name the fields.",
				Controls: []string{psl}, Mappings: []string{"K01", "MTB-PL1-BC-CPI-3", "MTB-PL1-BC-CPI-4", "MTB-PL1-BC-CPI-6"}},
			{ID: "BH2006", Title: "A tenant may create a pod that compromises a node", Severity: finding.Critical,
				Why:      "Nothing refuses it: the tenant, or an attacker with one of its tokens, is root on a node one request later.",
				Fix:      "Enforce Pod Security in the namespace, at the level baseline at least.",
				Controls: []string{psl}, Mappings: []string{"K01", "K04", "MTB-PL1-BC-CPI-5"}},
			{ID: "BH2007", Title: "A tenant may create a pod that reaches out of its container", Severity: finding.High,
				Why:      "Nothing refuses it.",
				Fix:      "Enforce Pod Security in the namespace, at the level baseline at least.",
				Controls: []string{psl}, Mappings: []string{"K01", "K04"}},
			{ID: "BH2008", Title: "A tenant is exposed by a node that another one compromises", Severity: finding.Critical,
				Why:      "A node has the tokens, secrets and volumes of every pod there. Tenants that share the node are in the blast radius.",
				Fix:      "Close the path to the node that the finding names; or give the tenant nodes of its own.",
				Mappings: []string{"K01", "K03"}},
			{ID: "BH2009", Title: "It cannot be decided what a pod gives", Severity: finding.High,
				Why:      "What was not read may be privileged.",
				Fix:      "Give what the finding names as missing.",
				Controls: []string{psl}, Mappings: []string{"K01"}},
		},
	}
}

// Run is one run of the checks pods and nodes, with what they share.
type Run struct {
	*finding.Input
	rights   func() *rbac.Reach
	creators func() []creator
	coming   func() map[string]*creator
	makers   func() *makers
	labels   sync.Map // of namespace, key and value: whether admission takes it
}

// NewRun makes a run. rights is called only where pods that are yet to be made matter.
func NewRun(in *finding.Input, rights func() *rbac.Reach) *Run {
	r := &Run{Input: in, rights: rights}
	r.creators, r.coming = sync.OnceValue(r.findCreators), sync.OnceValue(r.findComing)
	r.makers = sync.OnceValue(r.newMakers)
	return r
}

// FindEscapes judges the pods that there are and that may be made, and returns what it considered in words.
func (r *Run) FindEscapes() ([]finding.Finding, string) {
	escaping, creators := r.escapingPods(), r.creators()
	findings := r.escapeFindings(escaping)
	e := r.newEscalation()
	e.existing(escaping)
	findings = append(findings, e.creatable(creators)...)
	return append(findings, e.blastRadius()...), fmt.Sprintf("%d pods and workloads, %d of them in tenants' namespaces, by %d rules of Pod Security; "+
		"%d namespaces in which a tenant may create pods; %d nodes; exemptions in the API server's own configuration are not seen",
		len(r.Pods), r.podsOfTenants(), len(newEscapeRules()), len(creators), len(r.Nodes))
}

func (p *Run) podsOfTenants() int {
	n := 0
	for _, pod := range p.Pods {
		if p.Owner[pod.Namespace] != finding.ThePlatform {
			n++
		}
	}
	return n
}

// escaping is a workload with the ways out that its pods have.
type escaping struct {
	tenant, namespace string
	workload          snapshot.Owner
	// ways, the widest first; none when the pods' specs are not known.
	ways []wayOut
	pods []*snapshot.Pod
}

func (e *escaping) object() snapshot.Ref {
	return snapshot.Ref{Kind: e.workload.Kind, Namespace: e.namespace, Name: e.workload.Name}
}

// escapingPods looks at every running pod of a tenant. Workloads come by namespace, kind, name and ways.
func (p *Run) escapingPods() []*escaping {
	const chunk = 2048
	rules, volumes := newEscapeRules(), volumesOfNodes(p.PersistentVolumes)
	found := make([][]wayOut, len(p.Pods))
	p.Parallel((len(p.Pods)+chunk-1)/chunk, func(i int) {
		seen := map[*corev1.PodSpec][]wayOut{}
		for j := i * chunk; j < min((i+1)*chunk, len(p.Pods)); j++ {
			if pod := p.Pods[j]; p.Owner[pod.Namespace] != finding.ThePlatform && !pod.Completed() && pod.Spec != nil {
				found[j] = rules.ofPod(pod, volumes, seen)
			}
		}
	})
	type sameWays struct {
		namespace string
		workload  snapshot.Owner
		ways      string
	}
	groups := map[sameWays]*escaping{}
	for i, pod := range p.Pods {
		tenant := p.Owner[pod.Namespace]
		if tenant == finding.ThePlatform || pod.Completed() || pod.Spec != nil && len(found[i]) == 0 {
			continue
		}
		e := &escaping{tenant: tenant, namespace: pod.Namespace, workload: pod.Workload(), ways: found[i]}
		key := sameWays{e.namespace, e.workload, textOf(e.ways)}
		if groups[key] == nil {
			groups[key] = e
		}
		groups[key].pods = append(groups[key].pods, pod)
	}
	list := make([]*escaping, 0, len(groups))
	for _, e := range groups {
		list = append(list, e)
	}
	slices.SortFunc(list, func(a, b *escaping) int {
		return cmp.Or(cmp.Compare(a.namespace, b.namespace), cmp.Compare(a.workload.Kind, b.workload.Kind),
			cmp.Compare(a.workload.Name, b.workload.Name), cmp.Compare(a.pods[0].Name, b.pods[0].Name))
	})
	return list
}

func textOf(ways []wayOut) string {
	texts := make([]string, len(ways))
	for i := range ways {
		texts[i] = ways[i].what
	}
	return strings.Join(texts, "|")
}

// ofPod are the ways out of a pod of the snapshot. Pods that share a spec are looked at once.
func (r escapeRules) ofPod(pod *snapshot.Pod, volumes map[claim]*corev1.PersistentVolume, seen map[*corev1.PodSpec][]wayOut) []wayOut {
	known, is := seen[pod.Spec]
	if !is || len(pod.Annotations) > 0 {
		meta := metav1.ObjectMeta{}
		if len(pod.Annotations) > 0 {
			meta.Annotations = map[string]string{}
			for _, a := range pod.Annotations {
				meta.Annotations[a.Key] = a.Value
			}
		}
		known = r.waysOut(&meta, pod.Spec)
		if len(pod.Annotations) == 0 {
			seen[pod.Spec] = known
		}
	}
	if len(volumes) == 0 {
		return known
	}
	ways := slices.Clone(known)
	for i := range pod.Spec.Volumes {
		c := pod.Spec.Volumes[i].PersistentVolumeClaim
		if c == nil || volumes[claim{pod.Namespace, c.ClaimName}] == nil {
			continue
		}
		for _, m := range viewOf(pod.Spec).mountsOf(pod.Spec.Volumes[i].Name) {
			if w, is := gradePersistentVolume(volumes[claim{pod.Namespace, c.ClaimName}], m.writable && !c.ReadOnly); is {
				ways = append(ways, w)
			}
		}
	}
	sortWays(ways)
	return slices.Compact(ways)
}

// claim names a PersistentVolumeClaim.
type claim struct{ namespace, name string }

// volumesOfNodes are the PersistentVolumes that are paths of a node, by the claim that holds them.
func volumesOfNodes(all []*corev1.PersistentVolume) map[claim]*corev1.PersistentVolume {
	found := map[claim]*corev1.PersistentVolume{}
	for _, pv := range all {
		if _, is := gradePersistentVolume(pv, true); is && pv.Spec.ClaimRef != nil {
			found[claim{pv.Spec.ClaimRef.Namespace, pv.Spec.ClaimRef.Name}] = pv
		}
	}
	return found
}

// escapeFindings: one for each workload that reaches out of its pods, one for each namespace whose pods are not hardened
// or not known.
func (p *Run) escapeFindings(list []*escaping) []finding.Finding {
	var findings []finding.Finding
	for len(list) > 0 {
		n := slices.IndexFunc(list, func(e *escaping) bool { return e.namespace != list[0].namespace })
		if n < 0 {
			n = len(list)
		}
		findings = append(findings, p.escapesOfNamespace(list[:n])...)
		list = list[n:]
	}
	return findings
}

func (p *Run) escapesOfNamespace(list []*escaping) []finding.Finding {
	var findings []finding.Finding
	var unknown, soft []*escaping
	for _, e := range list {
		switch {
		case len(e.ways) == 0:
			unknown = append(unknown, e)
		case e.ways[0].gain == gainsSurface:
			soft = append(soft, e)
		default:
			findings = append(findings, e.finding())
		}
	}
	ns := snapshot.Ref{Kind: "Namespace", Name: list[0].namespace}
	if len(soft) > 0 {
		findings = append(findings, finding.Finding{Code: codeOfGain[gainsSurface], Verdict: finding.Exposed, From: soft[0].tenant, To: finding.ThePlatform,
			What: fmt.Sprintf("%s of namespace %s not hardened: %s", workloads(soft), ns.Name, strings.Join(surfaces(soft), "; ")),
			Witness: []finding.Step{{Object: ns, Does: "lets its pods be less than restricted: " + p.podSecurityOf(ns.Name)},
				{Object: soft[0].object(), Does: soft[0].ways[0].what}},
			Blame: []snapshot.Ref{ns, soft[0].object()}})
	}
	if len(unknown) > 0 {
		findings = append(findings, finding.Finding{Code: "BH2009", Verdict: finding.Unknown, From: unknown[0].tenant, To: finding.ThePlatform,
			What:  fmt.Sprintf("the specs of pods were not read: %s of namespace %s", workloads(unknown), ns.Name),
			Blame: []snapshot.Ref{unknown[0].object()}})
	}
	return findings
}

func (e *escaping) finding() finding.Finding {
	const most = 4
	f := finding.Finding{Code: codeOfGain[e.ways[0].gain], Severity: e.ways[0].gain.severity(), Verdict: finding.Exposed, From: e.tenant, To: finding.ThePlatform,
		Blame: []snapshot.Ref{e.object(), {Kind: "Namespace", Name: e.namespace}}}
	var texts []string
	for i, w := range e.ways {
		if w.gain == gainsSurface || i == most {
			break
		}
		texts = append(texts, w.what)
		f.Witness = append(f.Witness, finding.Step{Object: e.object(), Does: w.what})
	}
	f.What = fmt.Sprintf("%s: %s", e.object(), strings.Join(texts, "; "))
	return f
}

// surfaces are what workloads lack, with how many lack it where not all do.
func surfaces(list []*escaping) []string {
	const most = 6
	count := map[string]int{}
	for _, e := range list {
		for _, w := range e.ways {
			count[w.what]++
		}
	}
	texts := make([]string, 0, len(count))
	for what, n := range count {
		if n < len(list) {
			what += fmt.Sprintf(" (%d)", n)
		}
		texts = append(texts, what)
	}
	slices.Sort(texts)
	if len(texts) > most {
		texts = append(texts[:most], "...")
	}
	return texts
}

func workloads(list []*escaping) string {
	first := fmt.Sprintf("%s %s", list[0].workload.Kind, list[0].workload.Name)
	if len(list) == 1 {
		return first
	}
	return fmt.Sprintf("%s and %d more workloads", first, len(list)-1)
}

// podSecurityOf is the level that a namespace's label enforces, in words.
func (p *Run) podSecurityOf(namespace string) string {
	const label = "pod-security.kubernetes.io/enforce"
	if ns := p.Namespace(namespace); ns != nil {
		if level, has := ns.Labels.Get(label); has {
			return label + " is " + level
		}
	}
	return "it has no label " + label
}
