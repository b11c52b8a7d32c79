package network

import (
	"errors"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bulkhead-dev/bulkhead/snapshot"
)

// flow is a snapshot.Flow in the form that reach is compared with.
type flow struct {
	from, to         int
	fromPods, toPods selector
	ports            *portRule
}

// flowsOf sorts flows by their pair of tenants. Flows of namespaces that do not exist, or of no tenant, concern none.
func (r *Reach) flowsOf(flows []snapshot.Flow) (map[[2]int][]flow, error) {
	sorted := map[[2]int][]flow{}
	var errs []error
	for i := range flows {
		f, err := r.flowOf(&flows[i])
		if err != nil {
			errs = append(errs, fmt.Errorf("flow from %s to %s: %w", flows[i].From, flows[i].To, err))
			continue
		}
		if f == nil {
			continue
		}
		pair := [2]int{r.spaces[f.from].tenant, r.spaces[f.to].tenant}
		if pair[0] >= 0 && pair[1] >= 0 && pair[0] != pair[1] {
			sorted[pair] = append(sorted[pair], *f)
		}
	}
	return sorted, errors.Join(errs...)
}

func (r *Reach) flowOf(source *snapshot.Flow) (*flow, error) {
	f := &flow{}
	var err error
	if f.fromPods, err = selectorOf(&metav1.LabelSelector{MatchLabels: source.FromPods}); err != nil {
		return nil, err
	}
	if f.toPods, err = selectorOf(&metav1.LabelSelector{MatchLabels: source.ToPods}); err != nil {
		return nil, err
	}
	if f.ports, err = portRuleOf(source.Ports); err != nil {
		return nil, err
	}
	from, hasFrom := r.byName[source.From]
	to, hasTo := r.byName[source.To]
	if !hasFrom || !hasTo {
		return nil, nil
	}
	f.from, f.to = from, to
	return f, nil
}

// declared returns the ports that flows declare between two classes.
func declared(flows []flow, from, to end) Ports {
	var ports Ports
	for i := range flows {
		f := &flows[i]
		if f.from == from.space.id && f.to == to.space.id && f.fromPods.matches(from.class.labels) && f.toPods.matches(to.class.labels) {
			ports = ports.union(f.ports.on(to.class.ports))
		}
	}
	return ports
}
