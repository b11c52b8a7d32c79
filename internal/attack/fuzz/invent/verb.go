package invent

import "slices"

// Verb is what is asked, with the form of its body.
type Verb string

// The verbs.
const (
	Create           Verb = "create"
	Update           Verb = "update"
	Apply            Verb = "apply"
	JSONPatch        Verb = "json-patch"
	MergePatch       Verb = "merge-patch"
	StrategicPatch   Verb = "strategic-patch"
	Delete           Verb = "delete"
	DeleteCollection Verb = "deletecollection"
)

// Right is the verb as RBAC names it.
func (v Verb) Right() string {
	switch v {
	case Apply, JSONPatch, MergePatch, StrategicPatch:
		return "patch"
	case Create, Update, Delete, DeleteCollection:
	}
	return string(v)
}

// verbsOf a kind that change something.
func verbsOf(k *Kind) []Verb {
	var verbs []Verb
	for _, v := range []Verb{Create, Update, JSONPatch, MergePatch, StrategicPatch, Apply, Delete, DeleteCollection} {
		if slices.Contains(k.Verbs, v.Right()) {
			verbs = append(verbs, v)
		}
	}
	return verbs
}

// Object is what the attempt makes of its base.
func (a *Attempt) Object() map[string]any {
	object, _ := clone(a.Base).(map[string]any)
	if object == nil {
		object = map[string]any{}
	}
	for i := range a.Edits {
		if changed, ok := a.Edits[i].on(object, a.Edits[i].Path).(map[string]any); ok {
			object = changed
		}
	}
	return object
}

// Patch is the body of an attempt that patches.
func (a *Attempt) Patch() any {
	if a.Verb == JSONPatch {
		return jsonPatch(a.Base, a.Edits)
	}
	return mergePatch(a.Base, a.Object())
}

// Patches reports whether the body is a patch.
func (a *Attempt) Patches() bool {
	return a.Verb == JSONPatch || a.Verb == MergePatch || a.Verb == StrategicPatch
}
