package mutation_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bulkhead-dev/bulkhead/internal/provertest"
	"github.com/bulkhead-dev/bulkhead/isolation"
	"github.com/bulkhead-dev/bulkhead/snapshot"
)

// rememberedSample is how many mutants stand for one that is proven twice.
const rememberedSample = 151

// Promise: what is remembered of earlier proofs changes no word of the next one. Mutants are proven one after the other with one memory, and
// each once more without any.
func TestAProofThatRemembersSaysTheSame(t *testing.T) {
	p, err := provertest.Magazine()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Prove(p.Snapshot); err != nil {
		t.Fatal(err)
	}
	for i, m := range mutants(p) {
		if i%rememberedSample != 0 {
			continue
		}
		contents := *p.Snapshot
		m.mutate(&contents)
		s, err := snapshot.New(contents)
		if err != nil {
			t.Fatal(err)
		}
		remembering, err := p.Prove(s)
		if err != nil {
			t.Fatal(err)
		}
		alone, err := p.ProveAnew(s)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(alone, remembering); diff != "" {
			t.Errorf("%s of %s: what is remembered changes the proof (-anew +remembering):\n%s", m.name, m.object, diff)
		}
	}
}

// BenchmarkRememberedProof measures what a proof costs that remembers the one before it, and its ratio to one that compiles the policies and
// asks them everything, as a controller's first one after a start does.
func BenchmarkRememberedProof(b *testing.B) {
	p, err := provertest.Magazine()
	if err != nil {
		b.Fatal(err)
	}
	prove := func(prove func(*snapshot.Snapshot) (*isolation.Report, error)) time.Duration {
		began := time.Now()
		if _, err := prove(p.Snapshot); err != nil {
			b.Fatal(err)
		}
		return time.Since(began)
	}
	prove(p.Prove)
	var anew, again time.Duration
	for b.Loop() {
		anew += prove(p.ProveAnew)
		again += prove(p.Prove)
	}
	b.ReportMetric(anew.Seconds()/float64(b.N), "s/anew")
	b.ReportMetric(again.Seconds()/float64(b.N), "s/remembered")
	b.ReportMetric(again.Seconds()/anew.Seconds(), "remembered/anew")
}
