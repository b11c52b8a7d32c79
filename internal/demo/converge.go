package demo

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
)

// SpaceState is one line about a Space.
type SpaceState struct {
	Tenant    string `json:"tenant"`
	Name      string `json:"space"`
	Namespace string `json:"namespace,omitempty"`
	Pattern   string `json:"pattern,omitempty"`
	// Ready, or else waiting for the reason.
	Ready   bool   `json:"ready"`
	Reason  string `json:"reason,omitempty"`
	Message string `json:"message,omitempty"`
	// Pods that run in it, and the nodes that they run on.
	Pods  int      `json:"pods"`
	Nodes []string `json:"nodes,omitempty"`
}

// WaitsFor are the reasons of Placed=False that only the platform team ends, by giving what is missing.
var WaitsFor = map[string]string{
	v1alpha1.ReasonNeedsDedicatedCluster: "decided Hard, each waits for a cluster of its own",
	v1alpha1.ReasonNeedsOtherEnvironment: "each waits for a cluster of its environment",
	v1alpha1.ReasonNodeGroupMissing:      "each waits for a node group of its own in the Platform's spec.nodeGroups",
}

// Settle waits until every Space of the cluster is ready, or waits for what this cluster will not provide.
// progress hears how many are.
func (p *Play) Settle(ctx context.Context, progress func(settled, all int)) ([]SpaceState, error) {
	var states []SpaceState
	var open []string
	err := poll(ctx, func(ctx context.Context) (bool, error) {
		var list v1alpha1.SpaceList
		if err := p.Admin.client.List(ctx, &list); err != nil {
			return false, fmt.Errorf("list Spaces: %w", err)
		}
		states, open = nil, nil
		for i := range list.Items {
			state, settled := stateOf(&list.Items[i])
			states = append(states, state)
			if !settled {
				open = append(open, fmt.Sprintf("  %s/%s: %s", state.Tenant, state.Name, conditionsText(list.Items[i].Status.Conditions)))
			}
		}
		progress(len(states)-len(open), len(states))
		return len(open) == 0, nil
	})
	if wait.Interrupted(err) && ctx.Err() == nil {
		return nil, fmt.Errorf("after %v these Spaces are neither ready nor waiting for something that they name:\n%s",
			patience, strings.Join(open, "\n"))
	}
	slices.SortFunc(states, func(a, b SpaceState) int {
		return cmp.Or(strings.Compare(a.Tenant, b.Tenant), strings.Compare(a.Name, b.Name))
	})
	return states, err
}

// stateOf a Space, and whether it is settled.
func stateOf(space *v1alpha1.Space) (SpaceState, bool) {
	tenant, _ := v1alpha1.TenantOfHome(space.Namespace)
	state := SpaceState{Tenant: tenant, Name: space.Name, Namespace: space.Status.Namespace, Pattern: string(space.Status.Pattern)}
	ready := current(space, v1alpha1.ConditionReady)
	if ready != nil && ready.Status == metav1.ConditionTrue {
		state.Ready = true
		return state, true
	}
	placed := current(space, v1alpha1.ConditionPlaced)
	if placed == nil || placed.Status != metav1.ConditionFalse || WaitsFor[placed.Reason] == "" {
		return state, false
	}
	state.Reason, state.Message = placed.Reason, placed.Message
	return state, true
}

// current condition of a Space; nil when it is about an earlier generation.
func current(space *v1alpha1.Space, condition string) *metav1.Condition {
	c := meta.FindStatusCondition(space.Status.Conditions, condition)
	if c == nil || c.ObservedGeneration != space.Generation {
		return nil
	}
	return c
}

func conditionsText(conditions []metav1.Condition) string {
	if len(conditions) == 0 {
		return "no conditions yet: is the controller running?"
	}
	const longest = 300
	var words []string
	for _, c := range conditions {
		if c.Status == metav1.ConditionTrue || c.Type == v1alpha1.ConditionReady { // Ready repeats one of the others
			continue
		}
		message := c.Message
		if len(message) > longest {
			message = strings.ToValidUTF8(message[:longest], "") + " ..."
		}
		words = append(words, fmt.Sprintf("%s=%s (%s: %s)", c.Type, c.Status, c.Reason, message))
	}
	return strings.Join(words, "; ")
}

// Run waits until what the example deploys runs, and adds to each Space's state what runs where. A namespace runs when
// every pod in it is ready or has completed, and when it has any.
func (p *Play) Run(ctx context.Context, states []SpaceState) error {
	var open []string
	err := poll(ctx, func(ctx context.Context) (bool, error) {
		var pods corev1.PodList
		if err := p.Admin.client.List(ctx, &pods); err != nil {
			return false, fmt.Errorf("list pods: %w", err)
		}
		open = nil
		for _, workloads := range p.Example.Workloads {
			inside := slices.DeleteFunc(slices.Clone(pods.Items), func(pod corev1.Pod) bool { return pod.Namespace != workloads.Namespace })
			if len(inside) == 0 {
				open = append(open, workloads.Namespace+" has no pod: "+p.lastWarning(ctx, workloads.Namespace))
			}
			for i := range inside {
				if why := notRunning(&inside[i]); why != "" {
					open = append(open, workloads.Namespace+"/"+inside[i].Name+": "+why)
				}
			}
		}
		addPods(states, pods.Items)
		return len(open) == 0, nil
	})
	if wait.Interrupted(err) && ctx.Err() == nil {
		return fmt.Errorf("after %v not everything runs:\n  %s", patience, strings.Join(open, "\n  "))
	}
	return err
}

// lastWarning is the newest event of a namespace that is a warning: it mostly says why nothing runs.
func (p *Play) lastWarning(ctx context.Context, namespace string) string {
	var events corev1.EventList
	if err := p.Admin.client.List(ctx, &events, client.InNamespace(namespace)); err != nil {
		return err.Error()
	}
	newest := corev1.Event{Message: "no event says why"}
	for i := range events.Items {
		e := &events.Items[i]
		if e.Type == corev1.EventTypeWarning && !e.LastTimestamp.Before(&newest.LastTimestamp) {
			newest = *e
		}
	}
	return newest.Message
}

func notRunning(pod *corev1.Pod) string {
	if pod.Status.Phase == corev1.PodSucceeded || isPodReady(pod) {
		return ""
	}
	for _, condition := range pod.Status.Conditions {
		if condition.Status != corev1.ConditionTrue && condition.Message != "" {
			return condition.Message
		}
	}
	return "phase " + string(pod.Status.Phase)
}

func isPodReady(pod *corev1.Pod) bool {
	return slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
}

func addPods(states []SpaceState, pods []corev1.Pod) {
	for i := range states {
		s := &states[i]
		s.Pods, s.Nodes = 0, nil
		for j := range pods {
			if pods[j].Namespace == s.Namespace && s.Namespace != "" {
				s.Pods++
				s.Nodes = append(s.Nodes, pods[j].Spec.NodeName)
			}
		}
		slices.Sort(s.Nodes)
		s.Nodes = slices.Compact(s.Nodes)
	}
}
