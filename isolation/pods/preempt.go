package pods

import (
	"cmp"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"

	"github.com/bulkhead-dev/bulkhead/isolation/finding"
	"github.com/bulkhead-dev/bulkhead/snapshot"
)

// priorities are the classes of a cluster.
type priorities struct {
	byName map[string]*schedulingv1.PriorityClass
	// general is the class of pods that name none; nil where they have priority 0.
	general *schedulingv1.PriorityClass
}

func prioritiesOf(s *snapshot.Snapshot) priorities {
	p := priorities{byName: map[string]*schedulingv1.PriorityClass{}}
	for _, c := range s.PriorityClasses {
		p.byName[c.Name] = c
		if c.GlobalDefault && (p.general == nil || c.Value < p.general.Value) { // as the API server chooses
			p.general = c
		}
	}
	return p
}

// of is the priority of a pod that is there, or of the pods of a workload.
func (p *priorities) of(spec *corev1.PodSpec) int32 {
	switch {
	case spec.Priority != nil:
		return *spec.Priority
	case p.byName[spec.PriorityClassName] != nil:
		return p.byName[spec.PriorityClassName].Value
	case spec.PriorityClassName == "" && p.general != nil:
		return p.general.Value
	}
	return 0
}

func preempts(c *schedulingv1.PriorityClass) bool {
	return c == nil || c.PreemptionPolicy == nil || *c.PreemptionPolicy != corev1.PreemptNever
}

// preempting is what pods may be given: a priority, and in words by which class.
type preempting struct {
	value  int32
	class  string
	object snapshot.Ref
	// doubt is what must be known for it.
	doubt string
}

// FindPreemption finds who may preempt whom: pods of a tenant whose priority is below what pods of another tenant may have, be it by a class
// that is named or by none. Classes above 0 are for check guardrails, which asks whether a tenant may name them at all.
func (p *Run) FindPreemption() []finding.Finding {
	classes := prioritiesOf(p.Snapshot)
	lowest := p.lowestPods(&classes)
	ways := classes.ways()
	var most int32
	if len(ways) > 0 {
		most = ways[0].value
	}
	if len(ways) == 0 || !slices.ContainsFunc(lowest, func(pod *snapshot.Pod) bool { return pod != nil && classes.of(pod.Spec) < most }) {
		return nil
	}
	attackers := p.preemptingTenants(ways)
	var findings []finding.Finding
	for other, pod := range lowest {
		if pod == nil {
			continue
		}
		value := classes.of(pod.Spec)
		var by []int
		for i := range attackers {
			if i != other && attackers[i] != nil && attackers[i].value > value {
				by = append(by, i)
			}
		}
		if len(by) == 0 {
			continue
		}
		w, ref := attackers[by[0]], snapshot.Ref{Kind: "Pod", Namespace: pod.Namespace, Name: pod.Name}
		if owner := pod.Workload(); owner.Kind != "" {
			ref.Kind, ref.Name = owner.Kind, owner.Name
		}
		f := finding.Finding{Code: "BH6007", Verdict: finding.Exposed, From: p.Tenants[by[0]].Name, To: p.Tenants[other].Name,
			What:  fmt.Sprintf("pods of tenant %s %s and preempt %s, of priority %d", p.Tenants[by[0]].Name, w.words(), ref, value),
			Blame: []snapshot.Ref{w.object, ref}, Witness: []finding.Step{{Object: w.object, Does: w.words()}, {Object: ref, Does: fmt.Sprintf("has priority %d, and is evicted where there is no room", value)}}}
		if w.doubt != "" {
			f.Verdict, f.What = finding.Unknown, f.What+"; not known: "+w.doubt
		}
		if len(by) > 1 {
			f.From, f.What = finding.EveryTenant, fmt.Sprintf("%s; so may %d more tenants", f.What, len(by)-1)
		}
		findings = append(findings, f)
	}
	return findings
}

func (w *preempting) words() string {
	if w.class == "" {
		return fmt.Sprintf("have priority %d where they name no class", w.value)
	}
	return fmt.Sprintf("may have priority %d by class %s", w.value, w.class)
}

// lowestPods are by tenant those of its pods with the lowest priority; nil for a tenant without pods, or with nodes of its own.
func (p *Run) lowestPods(classes *priorities) []*snapshot.Pod {
	lowest, index := make([]*snapshot.Pod, len(p.Tenants)), map[string]int{}
	for i, t := range p.Tenants {
		if t.Nodes == (snapshot.Label{}) {
			index[t.Name] = i
		}
	}
	for _, pod := range p.Pods {
		i, shares := index[p.Owner[pod.Namespace]]
		if shares && pod.Spec != nil && !pod.Completed() && (lowest[i] == nil || classes.of(pod.Spec) < classes.of(lowest[i].Spec)) {
			lowest[i] = pod
		}
	}
	return lowest
}

// ways are what pods may have that preempts, the highest first.
func (p *priorities) ways() []preempting {
	var ways []preempting
	if preempts(p.general) {
		w := preempting{object: snapshot.Ref{Kind: "PriorityClass", Name: "(none)"}}
		if p.general != nil {
			w.value, w.object.Name = p.general.Value, p.general.Name
		}
		ways = append(ways, w)
	}
	for name, c := range p.byName {
		if c.Value <= 0 && preempts(c) && c != p.general {
			ways = append(ways, preempting{value: c.Value, class: name, object: snapshot.Ref{Kind: "PriorityClass", Name: name}})
		}
	}
	slices.SortFunc(ways, func(a, b preempting) int { return cmp.Or(cmp.Compare(b.value, a.value), cmp.Compare(a.class, b.class)) })
	return ways
}

// preemptingTenants are by tenant the highest of these that its pods may have; nil for a tenant that makes none.
func (p *Run) preemptingTenants(ways []preempting) []*preempting {
	m, tenants := p.makers(), make([]*preempting, len(p.Tenants))
	attempts := make([]*attempt, len(ways))
	for i, w := range ways {
		attempts[i] = m.plain
		if w.class != "" {
			spec := m.plain.spec.DeepCopy()
			spec.PriorityClassName = w.class
			attempts[i] = newAttempt("has class "+w.class, spec, m.kinds)
		}
	}
	creators := p.creators()
	for c := range creators {
		at := &tenants[creators[c].tenant]
		for i := range ways {
			if *at != nil && (*at).value >= ways[i].value && (*at).doubt == "" {
				break
			}
			got := m.try(&creators[c], attempts[i])
			if got.verdict == finding.Exposed || got.verdict == finding.Unknown && *at == nil {
				w := ways[i]
				if got.verdict == finding.Unknown {
					w.doubt = got.why
				}
				*at = &w
			}
		}
	}
	return tenants
}
