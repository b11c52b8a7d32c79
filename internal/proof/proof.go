// Package proof puts together what a proof takes: what was observed, its admission, and what Bulkhead would have made.
// The command line, the controllers and the tests prove alike.
package proof

import (
	"fmt"

	"github.com/bulkhead-dev/bulkhead/internal/kubeadmission"
	"github.com/bulkhead-dev/bulkhead/internal/observe"
	"github.com/bulkhead-dev/bulkhead/isolation"
	"github.com/bulkhead-dev/bulkhead/isolation/finding"
	"github.com/bulkhead-dev/bulkhead/isolation/rbac"
	"github.com/bulkhead-dev/bulkhead/snapshot"
)

// Of proves what every tenant of a world can reach. An error means that nothing was proven. Policies that were compiled for
// an earlier proof are not compiled again; nil for a proof that is the only one.
func Of(world *observe.World, compiled *kubeadmission.Compiled) (*isolation.Report, error) {
	s := world.Snapshot
	if compiled != nil {
		compiled.Keep(s)
	}
	evaluator, err := kubeadmission.New(s, rbac.New(s), compiled)
	if err != nil {
		return nil, fmt.Errorf("prepare the evaluation of admission: %w", err)
	}
	return isolation.Verify(s, finding.Options{Admission: evaluator, Expected: Expected(world), Freshness: world.Freshness}), nil
}

// Expected are the objects that Bulkhead would have made for the tenants of a world.
func Expected(world *observe.World) []finding.Expected {
	list := make([]finding.Expected, len(world.Expected))
	for i, e := range world.Expected {
		list[i] = finding.Expected{Control: e.Control, Object: snapshot.Ref(e.Object), Labels: e.Labels, Annotations: e.Annotations, Rendered: e.Rendered}
	}
	return list
}
