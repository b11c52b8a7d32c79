package manifest

import (
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// place finds the node that a field's path names, such as spec.workloads[1].code or spec.quota[requests.cpu]; where
// the path leads to nothing, as for a field that is missing, the deepest node on the way. For a map or a list under a
// key it is the key, where a reader looks first.
func place(root *yaml.Node, path string) *yaml.Node {
	node, shown := root, root
	for path != "" {
		next, key, rest := step(node, path)
		if next == nil {
			break
		}
		node, path = next, rest
		shown = node
		if key != nil && node.Kind != yaml.ScalarNode {
			shown = key
		}
	}
	return shown
}

// step goes one element of the path. Field names may hold dots (quota keys, labels), so the longest key that fits is
// taken. The key is nil for an item of a list.
func step(node *yaml.Node, path string) (next, key *yaml.Node, rest string) {
	node = resolved(node)
	path = strings.TrimPrefix(path, ".")
	if inner, after, isIndex := bracket(path); isIndex {
		if node.Kind == yaml.SequenceNode {
			i, err := strconv.Atoi(inner)
			if err != nil || i < 0 || i >= len(node.Content) {
				return nil, nil, ""
			}
			return node.Content[i], nil, after
		}
		key, next = entry(node, func(name string) bool { return name == inner })
		return next, key, after
	}
	longest := -1
	for i := 0; node.Kind == yaml.MappingNode && i+1 < len(node.Content); i += 2 {
		name := resolved(node.Content[i]).Value
		after, found := strings.CutPrefix(path, name)
		if found && name != "" && len(name) > longest && (after == "" || after[0] == '.' || after[0] == '[') {
			longest, key, next, rest = len(name), node.Content[i], node.Content[i+1], after
		}
	}
	return next, key, rest
}

// bracket splits "[inner]after".
func bracket(path string) (inner, after string, found bool) {
	if !strings.HasPrefix(path, "[") {
		return "", "", false
	}
	return strings.Cut(path[1:], "]")
}

func entry(node *yaml.Node, is func(name string) bool) (key, value *yaml.Node) {
	for i := 0; node.Kind == yaml.MappingNode && i+1 < len(node.Content); i += 2 {
		if is(resolved(node.Content[i]).Value) {
			return node.Content[i], node.Content[i+1]
		}
	}
	return nil, nil
}
