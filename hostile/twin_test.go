package hostile

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// otherTwins are the cases, by pattern, whose twin asks another verb or another kind than the attempt, with the reason.
var otherTwins = map[string]string{
	"token/request":          "a Space without an identity requests no token, not even a harmless one",
	"api-fairness/own-lists": "both ask which flow takes a request, which every request answers",
}

// Promise: what refuses an attempt refuses it for its one point and not for its verb or its kind: the twin asks the same verb of the same
// kind. The exceptions are what RBAC refuses since the tenant has no such right anywhere, and those of a short list.
func TestTwinsAskTheSameVerbOfTheSameKind(t *testing.T) {
	s := testScene(t)
	had := map[string]bool{} // what twins ask: the rights that a tenant has
	type asked struct{ id, twin, attempt string }
	var all []asked
	for _, c := range All() {
		if c.Applies != nil && !c.Applies(s) {
			continue
		}
		twin, attempt := ask(t, s, &c.Twin), ask(t, s, &c.Attempt)
		for _, right := range rightsIn(&twin) {
			had[right] = true
		}
		if a := strings.Join(rightsIn(&attempt), ", "); a != "" {
			all = append(all, asked{c.ID, strings.Join(rightsIn(&twin), ", "), a})
		}
	}
	unused := map[string]bool{}
	for id := range otherTwins {
		unused[id] = true
	}
	for _, a := range all {
		if a.twin == a.attempt {
			continue
		}
		c, _ := ByID(a.id)
		if otherTwins[a.id] != "" {
			delete(unused, a.id)
		} else if c.Refusal.By != Permitted && (c.Refusal.By != RBAC || had[a.attempt] && c.By == Owners) {
			t.Errorf("%s: the twin asks %q, and the attempt %q", a.id, a.twin, a.attempt)
		}
	}
	for id := range unused {
		t.Errorf("%s is no exception", id)
	}
}

// rightsIn are the verbs and kinds that a question is about, each once.
func rightsIn(a *Ask) []string {
	right := func(r *Request) string {
		verb := r.Verb
		switch verb {
		case "":
			verb = "create"
		case "apply":
			verb = "patch" // as RBAC has it
		}
		return fmt.Sprintf("%s %s/%s/%s%s", verb, r.Group, r.Resource, r.Subresource, r.Path)
	}
	switch {
	case a.DryRun != nil:
		return []string{right(a.DryRun)}
	case a.Real != nil && a.Real.Then != nil:
		return []string{right(&a.Real.Request), right(a.Real.Then)}
	case a.Real != nil:
		return []string{right(&a.Real.Request)}
	case a.Review != nil:
		return []string{fmt.Sprintf("%s %s/%s/%s", a.Review.Verb, a.Review.Group, a.Review.Resource, a.Review.Subresource)}
	}
	var list []string
	for i := range a.Every {
		list = append(list, rightsIn(&a.Every[i])...)
	}
	slices.Sort(list)
	return slices.Compact(list)
}
