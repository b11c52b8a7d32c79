// Package provertest gives tests of the prover whole platforms, rendered as Bulkhead would make them, with everything that
// a proof takes.
package provertest

import (
	"fmt"
	"path/filepath"
	"runtime"
	"time"

	"github.com/bulkhead-dev/bulkhead/internal/admission"
	"github.com/bulkhead-dev/bulkhead/internal/observe"
	"github.com/bulkhead-dev/bulkhead/isolation"
	"github.com/bulkhead-dev/bulkhead/snapshot"
)

// Time at which platforms of tests are proven: every waiver of the example is in force.
func Time() time.Time { return time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC) }

// Platform is a rendered platform.
type Platform struct {
	Snapshot *snapshot.Snapshot
	Expected []isolation.Expected
	compiled *admission.Compiled
}

// Magazine renders examples/magazine.
func Magazine() (*Platform, error) {
	_, file, _, _ := runtime.Caller(0)
	return Render(filepath.Join(filepath.Dir(file), "..", "..", "examples", "magazine"))
}

// Render renders the declarations in a folder.
func Render(dir string) (*Platform, error) {
	w, err := observe.Manifests([]string{dir}, nil, observe.ManifestOptions{Now: Time()})
	if err != nil {
		return nil, fmt.Errorf("render the platform in %s: %w", dir, err)
	}
	p := &Platform{Snapshot: w.Snapshot, compiled: &admission.Compiled{}}
	for _, e := range w.Expected {
		p.Expected = append(p.Expected, isolation.Expected{
			Control: e.Control, Object: isolation.Object{Kind: e.Object.Kind, Namespace: e.Object.Namespace, Name: e.Object.Name},
			Labels: e.Labels, Annotations: e.Annotations,
		})
	}
	return p, nil
}

// Prove proves a state of the platform, with what Bulkhead knows about it. Policies that did not change are not compiled
// again.
func (p *Platform) Prove(s *snapshot.Snapshot) (*isolation.Report, error) {
	evaluator, err := admission.New(s, isolation.NewRBAC(s), p.compiled)
	if err != nil {
		return nil, fmt.Errorf("prepare admission: %w", err)
	}
	return isolation.Verify(s, isolation.Options{Admission: evaluator, Expected: p.Expected}), nil
}
