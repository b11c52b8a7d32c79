package isolation

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bulkhead-dev/bulkhead/isolation/finding"
	"github.com/bulkhead-dev/bulkhead/isolation/rbac"
	"github.com/bulkhead-dev/bulkhead/snapshot"
)

// relabelled is an admission for tenants that may change labels of their namespaces: what refuses a request in such a namespace counts
// only if it refuses it under the labels that the tenant may give it, too.
type relabelled struct {
	finding.Admission
	// forms are the admissions under other labels, the first of every namespace together, then the second.
	forms []finding.Admission
	in    map[string]*relabelling
}

// relabelling is what a tenant may do to the labels of one namespace.
type relabelling struct {
	steps []finding.Step
	// labels are the forms that it may have, and does what changes them, in words.
	labels []map[string]string
	does   []string
	doubt  string
}

// judging is the input of the checks that ask admission what the tenants' requests come to.
func judging(in *finding.Input, rights *rbac.Reach) *finding.Input {
	admission, can := in.Admission.(finding.Relabelling)
	if !can {
		return in
	}
	marks := admission.NamespaceMarks()
	found := make([]map[string]*relabelling, len(in.Tenants))
	in.Parallel(len(in.Tenants), func(i int) { found[i] = relabellingsOf(in, rights.Identities(i), &in.Tenants[i], marks) })
	r := &relabelled{Admission: admission, in: map[string]*relabelling{}}
	most := 0
	for _, of := range found {
		maps.Copy(r.in, of)
		for _, one := range of {
			most = max(most, len(one.labels))
		}
	}
	if most == 0 {
		return in
	}
	for form := range most {
		labels := map[string]map[string]string{}
		for ns, one := range r.in {
			if form < len(one.labels) {
				labels[ns] = one.labels[form]
			}
		}
		r.forms = append(r.forms, admission.Relabelled(labels))
	}
	judged := *in
	judged.Admission = r
	return &judged
}

// Admit answers a request. What is refused is asked for again under the labels that the namespace may have.
func (r *relabelled) Admit(q *finding.AdmissionRequest) finding.AdmissionAnswer {
	answer := r.Admission.Admit(q)
	one := r.in[q.Namespace]
	if one == nil || len(answer.RefusedBy) == 0 || q.Kind.Kind == "Namespace" {
		return answer
	}
	best := answer
	for form := range one.labels {
		again := r.forms[form].Admit(q)
		if len(again.RefusedBy) > 0 {
			continue
		}
		again.First = append(slices.Clone(one.steps), finding.Step{Object: snapshot.Ref{Kind: "Namespace", Name: q.Namespace}, Does: one.does[form]})
		if one.doubt != "" {
			again.Admitted, again.Unknown = false, append(again.Unknown, one.doubt)
		}
		if best = again; again.Admitted {
			break
		}
	}
	return best
}

// relabellingsOf are what the identities of a tenant may do to the labels of its namespaces.
func relabellingsOf(in *finding.Input, identities []rbac.Identity, t *snapshot.Tenant, marks []finding.Mark) map[string]*relabelling {
	var found map[string]*relabelling
	for _, name := range t.Namespaces {
		ns := in.Namespace(name)
		if ns == nil || ns.Implied {
			continue
		}
		var best *relabelling
		for i := range identities {
			how, may := mayRelabel(&identities[i], name)
			if !may {
				continue
			}
			one := relabellingBy(in.Admission, &identities[i], how, ns, marks)
			if one != nil && (best == nil || best.doubt != "" && one.doubt == "") {
				best = one
			}
		}
		if best != nil {
			if found == nil {
				found = map[string]*relabelling{}
			}
			found[name] = best
		}
	}
	return found
}

func mayRelabel(who *rbac.Identity, name string) (how rbac.Permit, may bool) {
	for _, verb := range []string{"patch", "update"} {
		if how, may = who.May(finding.Attributes{Verb: verb, Resource: "namespaces", Namespace: name, Name: name}); may {
			return how, true
		}
	}
	return how, false
}

// relabellingBy is what one identity may do: every change that admission lets through, those of different labels together, or each alone
// where it refuses them together. Nil where it refuses all.
func relabellingBy(admission finding.Admission, who *rbac.Identity, how rbac.Permit, ns *snapshot.Namespace, marks []finding.Mark) *relabelling {
	one := &relabelling{steps: how.Path, doubt: how.Doubt}
	was := labelled(ns)
	lets := func(list []finding.Mark) (map[string]string, bool) {
		is := was.DeepCopy()
		for _, m := range list {
			if is.Labels[m.Key] = m.Value; m.Value == "" {
				delete(is.Labels, m.Key)
			}
		}
		if maps.Equal(is.Labels, was.Labels) {
			return nil, false
		}
		answer := admission.Admit(&finding.AdmissionRequest{Subject: who.Subject, Operation: "UPDATE", Kind: corev1.SchemeGroupVersion.WithKind("Namespace"),
			Resource: corev1.SchemeGroupVersion.WithResource("namespaces"), Namespace: ns.Name, Name: ns.Name, Object: is, OldObject: was})
		if len(answer.RefusedBy) == 0 && !answer.Admitted {
			one.doubt = "whether admission lets the namespace's labels change: " + finding.Few(answer.Unknown)
		}
		return is.Labels, len(answer.RefusedBy) == 0
	}
	byKey := map[string][]finding.Mark{}
	var single [][]finding.Mark
	most := 0
	for _, m := range marks {
		if _, let := lets([]finding.Mark{m}); let {
			byKey[m.Key] = append(byKey[m.Key], m)
			most = max(most, len(byKey[m.Key]))
			single = append(single, []finding.Mark{m})
		}
	}
	var together [][]finding.Mark
	for i := range most {
		var list []finding.Mark
		for _, key := range slices.Sorted(maps.Keys(byKey)) {
			list = append(list, byKey[key][min(i, len(byKey[key])-1)])
		}
		together = append(together, list)
	}
	for _, lists := range [][][]finding.Mark{together, single} {
		for _, list := range lists {
			if labels, let := lets(list); let {
				one.labels, one.does = append(one.labels, labels), append(one.does, labelWords(who.Name, list))
			}
		}
		if len(one.labels) > 0 {
			return one
		}
	}
	return nil
}

func labelWords(who string, list []finding.Mark) string {
	words := make([]string, len(list))
	for i, m := range list {
		if words[i] = "sets " + m.Key + "=" + m.Value; m.Value == "" {
			words[i] = "removes " + m.Key
		}
	}
	const most = 4
	if len(words) > most {
		words = append(words[:most], "...")
	}
	return fmt.Sprintf("is relabelled by %s, who %s", who, strings.Join(words, ", "))
}

func labelled(ns *snapshot.Namespace) *corev1.Namespace {
	o := &corev1.Namespace{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Namespace"}}
	o.Name, o.Labels, o.Annotations = ns.Name, map[string]string{}, map[string]string{}
	for _, l := range ns.Labels {
		o.Labels[l.Key] = l.Value
	}
	for _, l := range ns.Annotations {
		o.Annotations[l.Key] = l.Value
	}
	return o
}
