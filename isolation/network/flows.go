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

// declared returns the ports that flows declare between two classes, of what two allowances of theirs let through. Of
// pods to come, a flow is about all that the allowances hold, or none; and what name their ports have matters only where an allowance
// asks for more than the flow.
func declared(flows []flow, out, in *allowance, from, to end) Ports {
	var ports Ports
	for i := range flows {
		f := &flows[i]
		switch {
		case f.from != from.space.id || f.to != to.space.id || !from.class.always(f.fromPods, &in.peer) || !to.class.always(f.toPods, &out.peer):
		case to.class.choice == nil:
			ports = ports.union(f.ports.on(to.class.ports))
		case in.peer.kind != admitted && f.ports.covers(in.ports), out.peer.kind != admitted && f.ports.covers(out.ports):
			return everyPort()
		default:
			ports = ports.union(f.ports.fixed)
		}
	}
	return ports
}
