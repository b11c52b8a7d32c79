package isolation

import (
	"iter"
	"maps"
	"slices"

	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/apis/flowcontrol/bootstrap"
)

// withBuiltInFlows adds, to what files declare, the FlowSchemas and priority levels that every API server makes.
func withBuiltInFlows(schemas []*flowcontrolv1.FlowSchema, levels []*flowcontrolv1.PriorityLevelConfiguration,
) ([]*flowcontrolv1.FlowSchema, []*flowcontrolv1.PriorityLevelConfiguration) {
	return withMissing(schemas, bootstrap.MandatoryFlowSchemas, bootstrap.SuggestedFlowSchemas),
		withMissing(levels, bootstrap.MandatoryPriorityLevelConfigurations, bootstrap.SuggestedPriorityLevelConfigurations)
}

// withMissing adds the objects of whose name there is none.
func withMissing[T metav1.Object](list []T, more ...[]T) []T {
	list = slices.Clone(list)
	for _, o := range slices.Concat(more...) {
		if !slices.ContainsFunc(list, func(other T) bool { return other.GetName() == o.GetName() }) {
			list = append(list, o)
		}
	}
	return list
}

func keysOf(set map[string]bool) iter.Seq[string] { return maps.Keys(set) }
