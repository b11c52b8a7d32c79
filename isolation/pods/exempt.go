package pods

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/bulkhead-dev/bulkhead/isolation/finding"
	"github.com/bulkhead-dev/bulkhead/snapshot"
)

// exempting are the lists of marks by which policies and webhooks may pass objects over: the author of an object chooses its labels and
// annotations, so that what depends on them alone protects nothing.
func (p *Run) exempting() [][]finding.Mark {
	if p.Admission == nil {
		return nil
	}
	var marks []finding.Mark
	for _, o := range p.ValidatingPolicies {
		marks = append(marks, p.Admission.Exempting(snapshot.Ref{Kind: "ValidatingAdmissionPolicy", Name: o.Name})...)
	}
	for _, o := range p.ValidatingWebhooks {
		for i := range o.Webhooks {
			marks = append(marks, finding.LeftOut(o.Webhooks[i].ObjectSelector)...)
		}
	}
	for _, o := range p.MutatingWebhooks {
		for i := range o.Webhooks {
			marks = append(marks, finding.LeftOut(o.Webhooks[i].ObjectSelector)...)
		}
	}
	return finding.Markings(marks)
}

// of returns the attempts that bear marks which policies may pass over, next to one that bears none. Nothing but a policy goes by
// them: where Pod Security refuses the bare one, it refuses these.
func (m *evasions) of(bare *attempt, plain *corev1.PodSpec) []*attempt {
	list := make([]*attempt, 0, len(m.lists))
	for i, marks := range m.lists {
		a := newMarkedAttempt(bare.what+", and bears "+finding.MarkWords(marks)+", which policies pass over", bare.spec, m.kinds, marks)
		a.before, a.bare = m.before[i], bare
		if bare.debugged != nil {
			a.debugged = debugged(plain, bare.spec, marks)
		}
		list = append(list, a)
	}
	return list
}

// evasions are the lists of marks, each with the plain pod that bears them.
type evasions struct {
	lists  [][]finding.Mark
	before []*attempt
	kinds  []workloadKind
}

func (p *Run) newEvasions(plain *corev1.PodSpec, kinds []workloadKind) *evasions {
	m := &evasions{lists: p.exempting(), kinds: kinds}
	for _, marks := range m.lists {
		m.before = append(m.before, newMarkedAttempt("is plain", plain, kinds, marks))
	}
	return m
}
