package invent

import (
	"fmt"
	"maps"
	"slices"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
)

// mutation is an edit of an object that no control is expected to have an opinion about; some will have one.
func (f *Fuzzer) mutation(k *Kind, object map[string]any) Edit {
	m := &maker{f.random, f.world.Schemas}
	if chance(f.random, 5) {
		return f.oddity()
	}
	var places [][]any
	collect(object, nil, &places)
	if len(places) == 0 {
		return set(m.anything(), "spec")
	}
	path := pick(f.random, places)
	t := f.world.Schemas.at(k.APIVersion, k.Type, path)
	switch f.random.IntN(6) {
	case 0:
		return Edit{Path: path, Remove: true}
	case 1:
		return Edit{Path: path, Value: m.anything()}
	case 2:
		return Edit{Path: path, Value: m.value(t, 2)}
	}
	// Most of what is of interest is not there yet: a field that the type knows.
	for t == nil || len(t.Properties) == 0 {
		if len(path) == 0 {
			return set(m.anything(), m.text())
		}
		path = path[:len(path)-1]
		t = f.world.Schemas.at(k.APIVersion, k.Type, path)
	}
	name := pick(f.random, slices.Sorted(maps.Keys(t.Properties)))
	return Edit{Path: append(slices.Clone(path), name), Value: m.value(t.Properties[name], 2)}
}

// collect the paths of all that stands in a value, sorted; what makes an object what it is stays.
func collect(value any, path []any, into *[][]any) {
	switch v := value.(type) {
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(v)) {
			if len(path) == 0 && slices.Contains([]string{"apiVersion", "kind", "metadata"}, key) {
				continue
			}
			below := append(slices.Clone(path), key)
			*into = append(*into, below)
			collect(v[key], below, into)
		}
	case []any:
		for i := range v {
			below := append(slices.Clone(path), i)
			*into = append(*into, below)
			collect(v[i], below, into)
		}
	}
}

// oddity is an edit of the metadata.
func (f *Fuzzer) oddity() Edit {
	m := &maker{f.random, f.world.Schemas}
	namespace := f.namespace(pick(f.random, []Place{Own, Home, Foreign}))
	owner := map[string]any{"apiVersion": "v1", "kind": "Namespace", "name": namespace, "uid": "00000000-0000-0000-0000-000000000000", "controller": true, "blockOwnerDeletion": true}
	switch f.random.IntN(9) {
	case 0:
		return set(namespace, "metadata", "namespace")
	case 1:
		return set([]any{owner}, "metadata", "ownerReferences")
	case 2:
		return set([]any{v1alpha1.LabelAttack + "-" + fmt.Sprint(f.random.IntN(9))}, "metadata", "finalizers")
	case 3:
		return set(m.text(), "metadata", "labels", m.text())
	case 4:
		return set(m.text(), "metadata", "annotations", m.text())
	case 5:
		return set(m.text(), "metadata", "name")
	case 6:
		return set("2000-01-01T00:00:00Z", "metadata", pick(f.random, []string{"deletionTimestamp", "creationTimestamp"}))
	case 7:
		return set(m.anything(), "metadata", pick(f.random, []string{"labels", "annotations", "managedFields", "resourceVersion", "uid", "generation", "selfLink"}))
	}
	return set(m.anything(), "status")
}

// namespace of a place, at random; empty when it has none.
func (f *Fuzzer) namespace(p Place) string {
	if len(f.world.Namespaces[p]) == 0 {
		return ""
	}
	return pick(f.random, f.world.Namespaces[p])
}
