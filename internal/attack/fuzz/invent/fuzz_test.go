package invent

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/bulkhead-dev/bulkhead/guardrail"
)

const document = `{"components": {"schemas": {
  "Pod": {"type": "object", "x-kubernetes-group-version-kind": [{"group": "", "version": "v1", "kind": "Pod"}],
    "properties": {"spec": {"allOf": [{"$ref": "#/components/schemas/PodSpec"}]}, "metadata": {"type": "object"}}},
  "PodSpec": {"type": "object", "required": ["containers"], "properties": {
    "hostname": {"type": "string"}, "priority": {"type": "integer"}, "hostNetwork": {"type": "boolean"},
    "restartPolicy": {"type": "string", "enum": ["Always", "Never"]},
    "nodeSelector": {"type": "object", "additionalProperties": {"type": "string"}},
    "containers": {"type": "array", "items": {"$ref": "#/components/schemas/Container"}}}},
  "Container": {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}, "image": {"type": "string"},
    "port": {"x-kubernetes-int-or-string": true}, "self": {"$ref": "#/components/schemas/Container"}}}
}}}`

func all() []string {
	return []string{"create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"}
}

// testWorld has every kind that the dictionary puts something into, and some that tenants may not touch.
func testWorld(t *testing.T) World {
	t.Helper()
	w := World{Schemas: &Schemas{}, Owners: 2, Subjects: 3, Examples: map[string]map[string]any{}, Dangers: Dangers(Facts{Registry: "registry.example.com",
		ForeignNamespace: "other--web", ForeignTenant: "other"}), Namespaces: map[Place][]string{Own: {"acme--web"}, Home: {"tenant-acme"}, Foreign: {"other--web", "kube-system"}}}
	if err := w.Schemas.Add([]byte(document)); err != nil {
		t.Fatal(err)
	}
	named := map[string]bool{}
	for _, d := range w.Dangers {
		for _, name := range d.In {
			if named[name] {
				continue
			}
			named[name] = true
			resource, group, _ := strings.Cut(name, ".")
			w.Kinds = append(w.Kinds, Kind{Group: group, Version: "v1", Resource: resource, APIVersion: apiVersion(group, "v1"), Type: "Type-" + resource, Namespaced: true, Verbs: all()})
			w.Examples[name] = exampleOf(name)
		}
	}
	i := slices.IndexFunc(w.Kinds, func(k Kind) bool { return k.Resource == "pods" })
	w.Kinds[i].Type = "Pod"
	sub := func(parent, name, kind string, verbs ...string) {
		w.Kinds = append(w.Kinds, Kind{Version: "v1", Resource: parent, Subresource: name, APIVersion: "v1", Type: kind, Namespaced: true, Verbs: verbs})
	}
	sub("pods", "resize", "Pod", "get", "patch", "update")
	sub("pods", "exec", "PodExecOptions", "create", "get")
	w.Kinds = append(w.Kinds, Kind{Version: "v1", Resource: "nodes", APIVersion: "v1", Type: "Node", Verbs: all()},
		Kind{Version: "v1", Resource: "namespaces", APIVersion: "v1", Type: "Namespace", Verbs: all()})
	w.Existing = []Existing{{Cluster, "nodes", "", "node-1"}, {Foreign, "pods", "kube-system", "dns"}, {Managed, "networkpolicies.networking.k8s.io", "acme--web", "bulkhead-default"}}
	w.Changes = map[string][]Edit{"resize": {set("9m", "spec", "containers", 0, "resources", "requests", "cpu")}}
	return w
}

func exampleOf(name string) map[string]any {
	object := map[string]any{"apiVersion": "v1", "kind": "Example", "metadata": map[string]any{"labels": map[string]any{"a": "b"}}}
	container := map[string]any{"name": "a", "image": "registry.example.com/a", "securityContext": map[string]any{"capabilities": map[string]any{"drop": []any{"ALL"}}},
		"resources": map[string]any{"limits": map[string]any{"cpu": "10m"}}}
	if path := PodSpecAt(name); path != nil {
		e := Edit{Path: path, Value: map[string]any{"containers": []any{container}, "schedulingGates": []any{map[string]any{"name": "gate"}}}}
		e.on(object, path)
	}
	return object
}

// dumbServer answers by what an attempt looks like: always the same to the same.
func dumbServer(a *Attempt) (outcome string, kept bool) {
	raw, err := json.Marshal(a)
	if err != nil {
		panic(err)
	}
	h := fnv.New32a()
	_, _ = h.Write(raw)
	if a.Verb == Create && a.Place == Own && a.Kind.Subresource == "" && (len(a.Edits) == 0 || h.Sum32()%3 == 0) {
		return "accepted", true
	}
	return fmt.Sprint("control ", h.Sum32()%17), false
}

func sequence(t *testing.T, seed uint64, n int) []*Attempt {
	t.Helper()
	f := New(seed, testWorld(t))
	list := make([]*Attempt, n)
	for i := range list {
		list[i] = f.Next()
		outcome, kept := dumbServer(list[i])
		f.Learn(list[i], outcome, kept)
		if kept && i%7 == 0 {
			f.Forget(list[i].Number)
		}
	}
	return list
}

func text(t *testing.T, v any) string {
	t.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// Promise: the same seed and the same answers make the same attempts, another seed makes others, and what came before is not changed
// by what comes after.
func TestSameSeedSameAttempts(t *testing.T) {
	const n = 2000
	first, again, other := sequence(t, 7, n), sequence(t, 7, n), sequence(t, 8, n)
	for i := range first {
		if got, want := text(t, again[i]), text(t, first[i]); got != want {
			t.Fatalf("attempt %d:\n%s\nthen\n%s", i, want, got)
		}
	}
	if text(t, first) == text(t, other) {
		t.Error("another seed makes the same attempts")
	}
	f := New(7, testWorld(t))
	for i := range n {
		a := f.Next()
		before := text(t, a)
		outcome, kept := dumbServer(a)
		f.Learn(a, outcome, kept)
		if got := text(t, a); got != before {
			t.Fatalf("attempt %d changed:\n%s\n%s", i, before, got)
		}
	}
	for i, a := range first {
		if got := text(t, again[i]); got != text(t, a) {
			t.Fatalf("attempt %d was changed by a later one", i)
		}
	}
}

// Promise: whatever the seed, every danger is tried alone in every kind that its control judges, every kind in every place, and every
// object that is not the tenant's to change, before chance has its turn; and chance then varies what had an outcome of its own.
func TestEverythingHasItsTurn(t *testing.T) {
	w := testWorld(t)
	for seed := range uint64(10) {
		f := New(seed, w)
		tried := map[string]bool{}
		for f.Opening() > 0 {
			a := f.Next()
			outcome, kept := dumbServer(a)
			f.Learn(a, outcome, kept)
			if len(a.Dangers) == 1 {
				tried[a.Dangers[0]+" in "+a.Kind.String()] = true
			}
			tried[a.Kind.String()+" in "+string(a.Place)] = true
			tried[a.Name] = true
		}
		for _, d := range w.Dangers {
			for _, kind := range d.Judged {
				if !tried[d.ID+" in "+kind] {
					t.Errorf("seed %d: %s was not tried alone in %s", seed, d.ID, kind)
				}
			}
		}
		for i := range w.Kinds {
			for _, place := range placesOf(&w.Kinds[i]) {
				if !tried[w.Kinds[i].String()+" in "+string(place)] {
					t.Errorf("seed %d: %s was not tried in %s", seed, w.Kinds[i].String(), place)
				}
			}
		}
		if !tried["bulkhead-default"] {
			t.Errorf("seed %d: nothing was tried on the managed object", seed)
		}
		if f.Corpus() < len(w.Examples) {
			t.Errorf("seed %d: of %d kinds with an outcome of their own, %d are varied", seed, len(w.Examples), f.Corpus())
		}
	}
}

// Promise: the dictionary speaks of controls that there are, has ids of its own, and what is judged is what it is put into.
func TestDictionary(t *testing.T) {
	controls := map[string]bool{}
	for _, c := range guardrail.Controls() {
		controls[c.ID] = true
	}
	seen := map[string]bool{}
	for _, d := range Dangers(Facts{}) {
		if !controls[d.Control] || !strings.HasPrefix(d.ID, d.Control+"/") || seen[d.ID] || d.Title == "" {
			t.Errorf("%s of %s: %q", d.ID, d.Control, d.Title)
		}
		seen[d.ID] = true
		for _, kind := range d.Judged {
			if !slices.Contains(d.In, kind) {
				t.Errorf("%s is judged in %s and never put there", d.ID, kind)
			}
		}
		for _, kind := range d.In {
			a := &Attempt{Base: exampleOf(kind), Edits: d.Edits(kind)}
			for _, e := range a.Edits {
				if object, _ := jsonRound(t, a.Object()).(map[string]any); !e.Stands(object) {
					t.Errorf("%s does not stand in %s: %v in %s", d.ID, kind, e, text(t, object))
				}
				if object, _ := jsonRound(t, a.Base).(map[string]any); e.Stands(object) && len(a.Edits) == 1 {
					t.Errorf("%s stands in a harmless %s already", d.ID, kind)
				}
			}
		}
	}
}

// Promise: nothing that is not the fuzzer's own is ever the object of a deletion, but for what Bulkhead manages, and no attempt leaves
// the namespaces of its place.
func TestAttemptsStayWhereTheyBelong(t *testing.T) {
	w := testWorld(t)
	for _, a := range sequence(t, 3, 4000) {
		spaces := w.Namespaces[a.Place]
		if a.Place == Managed {
			spaces = w.Namespaces[Own]
		}
		if a.Place == Cluster != (a.Namespace == "") || a.Place != Cluster && !slices.Contains(spaces, a.Namespace) {
			t.Fatalf("%s in %s: namespace %q", a.Kind.String(), a.Place, a.Namespace)
		}
		if a.Verb == Delete && a.Target == 0 && a.Name != Nothing && a.Place != Managed {
			t.Fatalf("deletes %s %s in %s", a.Kind.String(), a.Name, a.Place)
		}
		if connects(&a.Kind) && a.Target == 0 && a.Name != Nothing {
			t.Fatalf("connects to %s", a.Name)
		}
	}
}

func jsonRound(t *testing.T, v any) any {
	t.Helper()
	var decoded any
	if err := json.Unmarshal([]byte(text(t, v)), &decoded); err != nil {
		t.Fatal(err)
	}
	return decoded
}

// withoutNulls is a value as a server takes it, to which a null is nothing.
func withoutNulls(value any) any {
	switch v := value.(type) {
	case map[string]any:
		kept := map[string]any{}
		for key, item := range v {
			if item != nil {
				kept[key] = withoutNulls(item)
			}
		}
		return kept
	case []any:
		kept := []any{}
		for _, item := range v {
			kept = append(kept, withoutNulls(item))
		}
		return kept
	}
	return value
}

// Promise: a patch makes of the base what the edits make of it: by a JSON patch to the letter, by a merge patch but for nulls.
func TestPatchesDoWhatTheEditsDo(t *testing.T) {
	patches := map[Verb]int{}
	for seed := range uint64(3) {
		for _, a := range sequence(t, seed, 600) {
			if len(a.Edits) == 0 || a.Base == nil {
				continue
			}
			want := withoutNulls(jsonRound(t, a.Object()))
			merged := dumbMerge(jsonRound(t, a.Base), jsonRound(t, mergePatch(a.Base, a.Object())))
			if got := withoutNulls(merged); !reflect.DeepEqual(got, want) {
				t.Fatalf("merge patch of %s\nwith %s\ngives %s\nwant %s", text(t, a.Base), text(t, a.Edits), text(t, got), text(t, want))
			}
			got := jsonRound(t, a.Base)
			operations, _ := jsonRound(t, jsonPatch(a.Base, a.Edits)).([]any)
			for _, operation := range operations {
				got = dumbPatch(t, got, operation.(map[string]any))
			}
			if !reflect.DeepEqual(withoutNulls(got), want) {
				t.Fatalf("JSON patch of %s\nwith %s\nis %s\ngives %s\nwant %s", text(t, a.Base), text(t, a.Edits), text(t, operations), text(t, got), text(t, want))
			}
			patches[a.Verb]++
		}
	}
	if len(patches) < 6 {
		t.Errorf("too few verbs were tried to judge: %v", patches)
	}
}

// dumbMerge is RFC 7386 to the letter.
func dumbMerge(target, patch any) any {
	changes, isObject := patch.(map[string]any)
	if !isObject {
		return patch
	}
	fields, _ := target.(map[string]any)
	fields = maps.Clone(fields)
	if fields == nil {
		fields = map[string]any{}
	}
	for key, value := range changes {
		if value == nil {
			delete(fields, key)
		} else {
			fields[key] = dumbMerge(fields[key], value)
		}
	}
	return fields
}

// dumbPatch is one operation of RFC 6902; a path that leads nowhere is an error.
func dumbPatch(t *testing.T, node any, operation map[string]any) any {
	t.Helper()
	parts := strings.Split(operation["path"].(string), "/")[1:]
	for i := range parts {
		parts[i] = strings.NewReplacer("~1", "/", "~0", "~").Replace(parts[i])
	}
	return dumbAt(t, node, parts, operation)
}

func dumbAt(t *testing.T, node any, parts []string, operation map[string]any) any {
	t.Helper()
	last := len(parts) == 1
	switch at := node.(type) {
	case map[string]any:
		_, exists := at[parts[0]]
		switch {
		case last && operation["op"] == "remove" && exists:
			delete(at, parts[0])
		case last && (operation["op"] == "add" || exists):
			at[parts[0]] = operation["value"]
		case !last && exists:
			at[parts[0]] = dumbAt(t, at[parts[0]], parts[1:], operation)
		default:
			t.Fatalf("%v leads nowhere", operation)
		}
		return at
	case []any:
		if last && parts[0] == "-" && operation["op"] == "add" {
			return append(at, operation["value"])
		}
		var index int
		if _, err := fmt.Sscan(parts[0], &index); err != nil || index >= len(at) {
			t.Fatalf("%v leads out of a list", operation)
		}
		switch {
		case last && operation["op"] == "remove":
			return slices.Delete(at, index, index+1)
		case last:
			at[index] = operation["value"]
		default:
			at[index] = dumbAt(t, at[index], parts[1:], operation)
		}
		return at
	}
	t.Fatalf("%v leads through a scalar", operation)
	return nil
}

// Promise: values follow the published type: what it requires is there, enumerations are mostly kept, and types that refer to
// themselves come to an end.
func TestValuesFollowTheSchema(t *testing.T) {
	w := testWorld(t)
	f := New(1, w)
	m := &maker{f.random, w.Schemas}
	kept, others := 0, 0
	for range 300 {
		made := m.skeleton(&Kind{APIVersion: "v1", Type: "Pod"})
		if made["kind"] != "Pod" || made["apiVersion"] != "v1" {
			t.Fatalf("%v", made)
		}
		spec, is := made["spec"].(map[string]any)
		if !is {
			continue
		}
		if _, has := spec["containers"]; !has {
			t.Fatalf("what is required is missing: %v", spec)
		}
		switch spec["restartPolicy"] {
		case nil:
		case "Always", "Never":
			kept++
		default:
			others++
		}
	}
	if kept <= others {
		t.Errorf("of the enumeration %d times, outside it %d times", kept, others)
	}
	if w.Schemas.of("v1", "Node") != nil || w.Schemas.of("v1", "Pod") == nil {
		t.Error("what is published is not known, or the reverse")
	}
}
