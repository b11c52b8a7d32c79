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
	return isolation.Verify(s, finding.Options{Admission: evaluator, Expected: world.Expected, Freshness: world.Freshness}), nil
}
