// Package provertest gives tests of the prover whole platforms, rendered as Bulkhead would make them, with everything that
// a proof takes.
package provertest

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/bulkhead-dev/bulkhead/internal/demo"
	"github.com/bulkhead-dev/bulkhead/internal/kubeadmission"
	"github.com/bulkhead-dev/bulkhead/internal/observe/manifest"
	"github.com/bulkhead-dev/bulkhead/isolation"
	"github.com/bulkhead-dev/bulkhead/isolation/finding"
	"github.com/bulkhead-dev/bulkhead/isolation/rbac"
	"github.com/bulkhead-dev/bulkhead/snapshot"
)

// Time at which platforms of tests are proven: every waiver of the example is in force.
func Time() time.Time { return time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC) }

// Platform is a rendered platform.
type Platform struct {
	Snapshot *snapshot.Snapshot
	Expected []finding.Expected
	compiled *kubeadmission.Compiled
}

// Magazine renders examples/magazine as it runs: with its workloads in their namespaces, the nodes that it needs, and a
// Waiver of Pod Security in force, which the example does not need. More are objects, as YAML, that are there too.
func Magazine(more ...string) (*Platform, error) {
	_, file, _, _ := runtime.Caller(0)
	here := filepath.Dir(file)
	dir := filepath.Join(here, "..", "..", "examples", "magazine")
	example, err := demo.Load(os.DirFS(dir))
	if err != nil {
		return nil, err
	}
	var workloads bytes.Buffer
	for _, w := range example.Workloads {
		for _, o := range w.Objects {
			o.SetNamespace(w.Namespace)
			text, err := o.MarshalJSON()
			if err != nil {
				return nil, fmt.Errorf("write %s: %w", snapshot.RefOf(o.GetKind(), o), err)
			}
			fmt.Fprintf(&workloads, "---\n%s\n", text)
		}
	}
	for _, text := range more {
		fmt.Fprintf(&workloads, "---\n%s\n", text)
	}
	paths := []string{filepath.Join(here, "testdata"), "-"}
	for _, part := range []string{"platform.yaml", "cluster", "tenants", "spaces", "waivers"} {
		paths = append(paths, filepath.Join(dir, part))
	}
	return render(paths, &workloads)
}

// render renders the declarations in files and folders.
func render(paths []string, stdin io.Reader) (*Platform, error) {
	w, err := manifest.Read(paths, stdin, manifest.Options{Now: Time()})
	if err != nil {
		return nil, fmt.Errorf("render the platform: %w", err)
	}
	return &Platform{Snapshot: w.Snapshot, Expected: w.Expected, compiled: &kubeadmission.Compiled{}}, nil
}

// Prove proves a state of the platform, with what Bulkhead knows about it. It remembers earlier proofs, as a controller does.
func (p *Platform) Prove(s *snapshot.Snapshot) (*isolation.Report, error) {
	return p.prove(s, p.compiled)
}

// ProveAnew is Prove without what is remembered of earlier proofs.
func (p *Platform) ProveAnew(s *snapshot.Snapshot) (*isolation.Report, error) {
	return p.prove(s, &kubeadmission.Compiled{})
}

func (p *Platform) prove(s *snapshot.Snapshot, compiled *kubeadmission.Compiled) (*isolation.Report, error) {
	evaluator, err := kubeadmission.New(s, rbac.New(s), compiled)
	if err != nil {
		return nil, fmt.Errorf("prepare admission: %w", err)
	}
	return isolation.Verify(s, finding.Options{Admission: evaluator, Expected: p.Expected}), nil
}
