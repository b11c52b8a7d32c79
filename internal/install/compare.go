package install

import (
	"fmt"
	"maps"
	"slices"

	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/resource"
)

// maxDifferences are named of one object: more help nobody.
const maxDifferences = 3

// Differences returns the paths at which live is not what want says. Fields that want does not have are not judged,
// as the API server and others fill them in; lists are compared as a whole in length and item by item.
func Differences(want, live map[string]any) []string {
	var paths []string
	for _, key := range slices.Sorted(maps.Keys(want)) {
		paths = append(paths, differ(key, want[key], live[key])...)
	}
	if len(paths) > maxDifferences {
		paths = append(paths[:maxDifferences], "...")
	}
	return paths
}

func differ(path string, want, live any) []string {
	switch w := want.(type) {
	case map[string]any:
		l, ok := live.(map[string]any)
		if !ok && len(w) > 0 {
			return []string{path}
		}
		var paths []string
		for _, key := range slices.Sorted(maps.Keys(w)) {
			paths = append(paths, differ(path+"."+key, w[key], l[key])...)
		}
		return paths
	case []any:
		l, _ := live.([]any)
		if len(w) != len(l) {
			return []string{path}
		}
		var paths []string
		for i := range w {
			paths = append(paths, differ(fmt.Sprintf("%s[%d]", path, i), w[i], l[i])...)
		}
		return paths
	}
	if apiequality.Semantic.DeepEqual(want, live) || sameScalar(want, live) {
		return nil
	}
	return []string{path}
}

// sameScalar forgives what the API server writes differently: quantities (1000m and 1) and zero values that it omits.
func sameScalar(want, live any) bool {
	switch w := want.(type) {
	case string:
		l, ok := live.(string)
		if !ok {
			return w == "" && live == nil
		}
		a, errA := resource.ParseQuantity(w)
		b, errB := resource.ParseQuantity(l)
		return errA == nil && errB == nil && a.Cmp(b) == 0
	case bool:
		return !w && live == nil
	case int64:
		if l, ok := live.(float64); ok {
			return float64(w) == l
		}
		return w == 0 && live == nil
	case float64:
		if l, ok := live.(int64); ok {
			return w == float64(l)
		}
		return w == 0 && live == nil
	}
	return false
}
