package manifest

import (
	"embed"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"

	"github.com/bulkhead-dev/bulkhead/internal/kubevalidation"
	"github.com/bulkhead-dev/bulkhead/internal/observe"
)

// administrators are the CustomResourceDefinitions of administrators' network policies, as sigs.k8s.io/network-policy-api has
// them (v0.2.0, and v0.1.7 for the kinds that it has dropped since; the channel experimental, which has all fields), without
// descriptions.
//
//go:embed definitions/*.json
var administrators embed.FS

func administratorsPolicies() ([]*apiextensionsv1.CustomResourceDefinition, error) {
	var crds []*apiextensionsv1.CustomResourceDefinition
	for _, name := range []string{"adminnetworkpolicies", "baselineadminnetworkpolicies", "clusternetworkpolicies"} {
		data, err := administrators.ReadFile("definitions/" + name + ".json")
		if err != nil {
			return nil, fmt.Errorf("read embedded definition: %w", err)
		}
		crd := &apiextensionsv1.CustomResourceDefinition{}
		if err := yaml.UnmarshalStrict(data, crd); err != nil {
			return nil, fmt.Errorf("decode embedded definition %s: %w", name, err)
		}
		crds = append(crds, crd)
	}
	return crds, nil
}

// refusals are the reasons for which the API server would not create an object of a kind, by the kind's definition where it has
// one. Fields that are not known are dropped first: they are named elsewhere.
func (m *objectReader) refusals(kind string, value map[string]any, object metav1.Object, namespaced bool) []refusal {
	def, err := m.policies.of(kind)
	switch {
	case errors.Is(err, errNoSuchKind):
		return refusals(object, namespaced)
	case err != nil:
		return []refusal{{"", err.Error()}}
	}
	value = runtime.DeepCopyJSON(value)
	pruning.Prune(value, def.structural, true)
	return def.check(value)
}

// refusals are the reasons for which the API server would not create an object: then a cluster does not have it, and nothing
// may rely on it.
func refusals(object metav1.Object, namespaced bool) []refusal {
	if w, is := object.(*observe.Workload); is {
		object = &corev1.PodTemplate{ObjectMeta: w.ObjectMeta, Template: w.Template}
	}
	var list []refusal
	for _, fault := range kubevalidation.Refusals(object, namespaced) {
		list = append(list, refusal{fault.Field, fault.Error()})
	}
	return list
}

// words are the first of some reasons, and how many more there are.
func words(refusals []refusal) string {
	if len(refusals) == 1 {
		return refusals[0].message
	}
	return fmt.Sprintf("%s, and %d more", refusals[0].message, len(refusals)-1)
}

// misfit finds the field that cannot be decoded: the deepest for which an object that has it alone cannot be. The words are those
// of the decoder, unless they name a Go type only.
func misfit(k *observe.Kind, value map[string]any, err error) (path, why string) {
	if _, fault := k.Decode(map[string]any{}); fault != nil && fault.Error() == err.Error() {
		return "", err.Error() // something is not there
	}
	wrap := func(v any) map[string]any { object, _ := v.(map[string]any); return object }
	var at any = value
	for {
		next := ""
		each(at, func(step string, child any, alone func(any) any) bool {
			_, fault := k.Decode(runtime.DeepCopyJSON(wrap(alone(child))))
			if fault == nil || isUnknown(fault) || fault.Error() != err.Error() {
				return false
			}
			next, at = step, child
			outer := wrap
			wrap = func(v any) map[string]any { return outer(alone(v)) }
			return true
		})
		if next == "" {
			break
		}
		path += next
	}
	path = strings.TrimPrefix(path, ".")
	if path == "" {
		return "", err.Error()
	}
	return path, path + ": " + saying(at, err)
}

func isUnknown(err error) bool {
	var unknown *observe.UnknownFieldsError
	return errors.As(err, &unknown)
}

// each calls do for each field of a map, or item of a list, with what makes a map or a list of it alone, until do returns true.
func each(value any, do func(step string, child any, alone func(any) any) bool) {
	switch v := value.(type) {
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(v)) {
			if do("."+key, v[key], func(child any) any { return map[string]any{key: child} }) {
				return
			}
		}
	case []any:
		for i := range v {
			if do(fmt.Sprintf("[%d]", i), v[i], func(child any) any { return []any{child} }) {
				return
			}
		}
	}
}

// saying says what is wrong with a value, where the decoder says no more than which Go type it wants.
func saying(value any, err error) string {
	text, scalar := fmt.Sprint(value), true
	switch value.(type) {
	case map[string]any, []any:
		text, scalar = "a map or a list", false
	case string:
		text = strconv.Quote(text)
	}
	switch message := err.Error(); {
	case strings.HasSuffix(message, " string") && scalar:
		return text + " is not text: write it in quotes"
	case strings.HasSuffix(message, " string"):
		return text + " is not text"
	case strings.HasSuffix(message, " int32"), strings.HasSuffix(message, " int64"), strings.HasSuffix(message, " int"):
		return text + " is not a whole number"
	case strings.HasSuffix(message, " bool"):
		return text + " is neither true nor false"
	default:
		return message
	}
}
