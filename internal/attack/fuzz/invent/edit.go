package invent

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// Edit changes one place of an object.
type Edit struct {
	// Path of field names and of indices of lists; "-" is a new item at the end of one. What is missing on the way is made.
	Path   []any `json:"path"`
	Value  any   `json:"value,omitempty"`
	Remove bool  `json:"remove,omitempty"`
}

func set(value any, path ...any) Edit { return Edit{Path: path, Value: value} }

func drop(path ...any) Edit { return Edit{Path: path, Remove: true} }

// end of a list, where a new item goes.
const end = "-"

// on makes the edit on what is at the path; it may change node.
func (e *Edit) on(node any, path []any) any {
	if len(path) == 0 {
		return clone(e.Value)
	}
	if index, isIndex := path[0].(int); isIndex || path[0] == end {
		return e.onList(node, index, isIndex, path[1:])
	}
	key := fmt.Sprint(path[0])
	fields, _ := node.(map[string]any)
	if e.Remove {
		switch {
		case fields == nil:
			return node
		case len(path) == 1:
			delete(fields, key)
			return fields
		case fields[key] == nil:
			return fields
		}
	}
	if fields == nil {
		fields = map[string]any{}
	}
	fields[key] = e.on(fields[key], path[1:])
	return fields
}

func (e *Edit) onList(node any, index int, isIndex bool, rest []any) any {
	list, _ := node.([]any)
	switch {
	case !isIndex || index >= len(list):
		if e.Remove {
			return node
		}
		return append(list, e.on(nil, rest))
	case e.Remove && len(rest) == 0:
		return slices.Delete(list, index, index+1)
	}
	list[index] = e.on(list[index], rest)
	return list
}

// clone copies a value as JSON has them.
func clone(value any) any {
	switch v := value.(type) {
	case map[string]any:
		copied := make(map[string]any, len(v))
		for key, item := range v {
			copied[key] = clone(item)
		}
		return copied
	case []any:
		copied := make([]any, len(v))
		for i, item := range v {
			copied[i] = clone(item)
		}
		return copied
	}
	return value
}

// jsonPatch has an operation for each edit (RFC 6902). An operation needs what it stands in: the first part of the path that is
// missing is added with all that hangs below it, and what is of another kind than the path says is replaced.
func jsonPatch(base map[string]any, edits []Edit) []any {
	node := clone(base)
	operations := []any{}
	for i := range edits {
		e := &edits[i]
		at, op := lookUp(node, e.Path)
		switch {
		case e.Remove && op == "replace" && len(at) == len(e.Path):
			operations = append(operations, map[string]any{"op": "remove", "path": pointerTo(at)})
		case !e.Remove:
			operations = append(operations, map[string]any{"op": op, "path": pointerTo(at), "value": e.on(nil, e.Path[len(at):])})
		}
		node = e.on(node, e.Path)
	}
	return operations
}

// lookUp is as much of a path as is there, and what has to be done there: to replace it, or to add the last part, which is missing.
func lookUp(node any, path []any) (at []any, op string) {
	for depth, part := range path {
		index, isIndex := part.(int)
		list, isList := node.([]any)
		fields, isObject := node.(map[string]any)
		switch {
		case isList && isIndex && index < len(list):
			node = list[index]
		case isList && (isIndex || part == end):
			return append(slices.Clone(path[:depth]), end), "add"
		case isObject && !isIndex && part != end:
			next, exists := fields[fmt.Sprint(part)]
			if !exists {
				return path[:depth+1], "add"
			}
			node = next
		default:
			return path[:depth], "replace"
		}
	}
	return path, "replace"
}

func pointerTo(path []any) string {
	var b strings.Builder
	for _, part := range path {
		b.WriteString("/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(fmt.Sprint(part)))
	}
	return b.String()
}

// mergePatch makes the changed object of the base (RFC 7386): lists whole, and null for what is gone.
func mergePatch(base, object map[string]any) map[string]any {
	patch := map[string]any{}
	for key := range base {
		if _, still := object[key]; !still {
			patch[key] = nil
		}
	}
	for key, value := range object {
		was, existed := base[key]
		before, wasObject := was.(map[string]any)
		after, isObject := value.(map[string]any)
		switch {
		case wasObject && isObject:
			if below := mergePatch(before, after); len(below) > 0 {
				patch[key] = below
			}
		case !existed || !reflect.DeepEqual(was, value):
			patch[key] = clone(value)
		}
	}
	return patch
}

// Stands reports whether the edit shows in an object.
func (e *Edit) Stands(object map[string]any) bool {
	return stands(object, e.Path, e)
}

func stands(node any, path []any, e *Edit) bool {
	if len(path) == 0 {
		return !e.Remove && holds(node, e.Value)
	}
	switch at := node.(type) {
	case map[string]any:
		next, exists := at[fmt.Sprint(path[0])]
		if !exists {
			return e.Remove
		}
		return stands(next, path[1:], e)
	case []any:
		index, isIndex := path[0].(int)
		if !isIndex {
			return slices.ContainsFunc(at, func(item any) bool { return stands(item, path[1:], e) })
		}
		return index < len(at) && stands(at[index], path[1:], e)
	}
	return e.Remove
}

// holds reports whether a value is the wanted one, or has all that the wanted one has.
func holds(value, wanted any) bool {
	switch w := wanted.(type) {
	case map[string]any:
		v, ok := value.(map[string]any)
		return ok && !slices.ContainsFunc(slices.Collect(maps.Keys(w)), func(key string) bool {
			there, exists := v[key]
			return !exists || !holds(there, w[key])
		})
	case []any:
		v, ok := value.([]any)
		return ok && !slices.ContainsFunc(w, func(item any) bool {
			return !slices.ContainsFunc(v, func(there any) bool { return holds(there, item) })
		})
	case int:
		return reflect.DeepEqual(value, float64(w)) || reflect.DeepEqual(value, int64(w)) || value == w
	}
	return reflect.DeepEqual(value, wanted)
}
