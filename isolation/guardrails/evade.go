package guardrails

import (
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/bulkhead-dev/bulkhead/isolation/finding"
	"github.com/bulkhead-dev/bulkhead/snapshot"
)

// evade asks for a refused object again, with the labels and annotations by which those that refused it may pass it over; false where
// it is refused all the same.
func (g *guardrails) evade(found *shown, sent *finding.AdmissionRequest, answer *finding.AdmissionAnswer) (shown, bool) {
	var marks []finding.Mark
	var refusing []snapshot.Ref
	for _, r := range answer.RefusedBy {
		if more := g.Admission.Exempting(r.By); len(more) > 0 && !slices.Contains(refusing, r.By) {
			marks, refusing = append(marks, more...), append(refusing, r.By)
		}
	}
	if sent.Object == nil {
		return *found, false
	}
	for _, list := range finding.Markings(marks) {
		again := *sent
		again.Object = g.bearing(sent.Object, list)
		if found.probe.target {
			again.OldObject = g.bearing(sent.OldObject, list) // it was the tenant's to mark before
		}
		if again.Object == nil {
			continue
		}
		if refused := g.Admission.Admit(&again); !refused.Admitted {
			found.refused = append(found.refused, refused.RefusedBy...)
			continue
		}
		evading := *found.probe
		evading.request = &again
		passed := *found
		passed.probe, passed.verdict, passed.let = &evading, finding.Exposed, true
		passed.does += ", in an object that bears " + finding.MarkWords(list)
		passed.blame = refusing
		for _, o := range refusing {
			passed.steps = append(passed.steps, finding.Step{Object: o, Does: "passes over what bears " + finding.MarkWords(list)})
		}
		return passed, true
	}
	return *found, false
}

// borne is an object with marks.
type borne struct {
	object runtime.Object
	marks  string
}

// bearing is an object with marks, the same one for every namespace: admission remembers its answers by objects.
func (g *guardrails) bearing(o runtime.Object, marks []finding.Mark) runtime.Object {
	key := borne{o, fmt.Sprint(marks)}
	if known, found := g.settings.Load(key); found {
		return known.(runtime.Object) //nolint:forcetypeassert // nothing else is stored there
	}
	made := withMarks(o, marks)
	if made == nil {
		return nil
	}
	known, _ := g.settings.LoadOrStore(key, made)
	return known.(runtime.Object) //nolint:forcetypeassert // nothing else is stored there
}

// withMarks is an object with marks, and its templates with them; nil where there is no object.
func withMarks(o runtime.Object, marks []finding.Mark) runtime.Object {
	if o == nil {
		return nil
	}
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(o)
	if err != nil {
		return nil
	}
	u := &unstructured.Unstructured{Object: runtime.DeepCopyJSON(content)}
	if u.GetObjectKind().GroupVersionKind().Kind == "" {
		u.SetGroupVersionKind(o.GetObjectKind().GroupVersionKind())
	}
	finding.Marked(u, marks)
	for _, path := range [][]string{{"spec", "template"}, {"spec", "jobTemplate"}, {"spec", "jobTemplate", "spec", "template"}} {
		template, is, err := unstructured.NestedMap(u.Object, path...)
		if !is || err != nil {
			continue
		}
		inner := &unstructured.Unstructured{Object: template}
		finding.Marked(inner, marks)
		_ = unstructured.SetNestedMap(u.Object, inner.Object, path...)
	}
	return u
}
