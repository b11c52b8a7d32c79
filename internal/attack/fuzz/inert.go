package fuzz

import (
	"slices"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/internal/attack/fuzz/invent"
)

// inert reports whether an object of a kind does nothing by being there: it runs nothing, costs nothing, takes no traffic and gives
// no one a right. Only such objects are made for real; everything else is a dry-run, which every control judges just the same.
func inert(kind string, object map[string]any) bool {
	spec, _ := object["spec"].(map[string]any)
	if path := invent.PodSpecAt(kind); path != nil {
		return idle(spec) && gated(object, path)
	}
	switch kind {
	case "configmaps", "leases.coordination.k8s.io", "serviceaccounts":
		return true
	case "secrets":
		return object["type"] == nil || object["type"] == "Opaque"
	case "networkpolicies.networking.k8s.io":
		return selectsOurs(spec, "podSelector")
	case "services":
		return spec["type"] == nil || spec["type"] == "ClusterIP"
	}
	return false
}

// idle workloads ask for one pod at most.
func idle(spec map[string]any) bool {
	for _, many := range []string{"replicas", "parallelism", "completions"} {
		switch n := spec[many].(type) {
		case nil:
		case float64:
			if n > 1 {
				return false
			}
		case int:
			if n > 1 {
				return false
			}
		default:
			return false
		}
	}
	jobs, isCronJob := spec["jobTemplate"]
	return !isCronJob || (jobs != nil && spec["suspend"] == true)
}

// gated reports whether the pods would never be scheduled: they bear the gate, and no node is named.
func gated(object map[string]any, path []any) bool {
	var at any = object
	for _, part := range path {
		fields, _ := at.(map[string]any)
		at = fields[part.(string)] //nolint:forcetypeassert // the paths of pod specs are names
	}
	pod, _ := at.(map[string]any)
	gates, _ := pod["schedulingGates"].([]any)
	node, named := pod["nodeName"]
	return (!named || node == "") && slices.ContainsFunc(gates, func(g any) bool {
		fields, _ := g.(map[string]any)
		return fields["name"] == v1alpha1.LabelAttack
	})
}

// selectsOurs reports whether a selector takes the attacks' own pods and no others.
func selectsOurs(spec map[string]any, field string) bool {
	selector, _ := spec[field].(map[string]any)
	labels, _ := selector["matchLabels"].(map[string]any)
	return labels["app"] == v1alpha1.AttackName
}

// stamp puts the run's mark on an object that is to be made. It reports whether the object can be known by it, and be removed at once.
func stamp(object map[string]any, run string) bool {
	metadata, ok := object["metadata"].(map[string]any)
	if !ok {
		return false
	}
	if metadata["labels"] == nil {
		metadata["labels"] = map[string]any{}
	}
	labels, ok := metadata["labels"].(map[string]any)
	if !ok {
		return false
	}
	labels[v1alpha1.LabelAttack] = run
	metadata["generateName"] = v1alpha1.AttackPrefix
	for _, field := range []string{"name", "finalizers", "ownerReferences", "managedFields"} {
		if metadata[field] != nil {
			return false
		}
	}
	return true
}

// touchesMetadata reports whether an edit may take the mark away, or keep the object from going.
func touchesMetadata(edits []invent.Edit) bool {
	return slices.ContainsFunc(edits, func(e invent.Edit) bool { return len(e.Path) == 0 || e.Path[0] == "metadata" })
}
