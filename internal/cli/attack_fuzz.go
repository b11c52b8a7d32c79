package cli

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"

	"k8s.io/client-go/rest"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/internal/attack/catalogue"
	"github.com/bulkhead-dev/bulkhead/internal/attack/engine"
	"github.com/bulkhead-dev/bulkhead/internal/attack/fuzz"
	"github.com/bulkhead-dev/bulkhead/internal/attack/fuzz/invent"
	"github.com/bulkhead-dev/bulkhead/internal/cli/output"
	"github.com/bulkhead-dev/bulkhead/internal/cli/proofview"
	"github.com/bulkhead-dev/bulkhead/internal/observe/cluster"
	"github.com/bulkhead-dev/bulkhead/internal/proof"
	"github.com/bulkhead-dev/bulkhead/isolation"
)

// fuzzFlags are those of --suite fuzz alone.
type fuzzFlags struct {
	seed   uint64
	seeded bool
	during time.Duration
	timed  bool
}

// wrongFuzz returns what is wrong with the flags; nil when nothing is.
func (o *attackOptions) wrongFuzz() error {
	isFuzz := o.suite == fuzz.Suite
	switch {
	case o.fuzz.during <= 0:
		return fmt.Errorf("--for %s: give a time above 0", o.fuzz.during)
	case !isFuzz && o.fuzz.timed:
		return fmt.Errorf("--for is for --suite %s, and other suites end by themselves: leave it out", fuzz.Suite)
	case !isFuzz && o.fuzz.seeded:
		return fmt.Errorf("--seed is for --suite %s: leave it out", fuzz.Suite)
	case isFuzz && o.bare:
		return fmt.Errorf("--compare-unguarded is for suites of attacks, not for --suite %s: an unguarded namespace has nothing to compare with", fuzz.Suite)
	}
	return nil
}

// fuzzAll fuzzes as each of the targets, one after the other.
func (o *attackOptions) fuzzAll(ctx context.Context, config *rest.Config, runner *engine.Runner, targets []engine.Target) (*catalogue.Report, error) {
	seed := o.fuzz.seed
	if !o.fuzz.seeded {
		var random [8]byte
		_, _ = rand.Read(random[:])                        // never fails, by its documentation
		seed = binary.LittleEndian.Uint64(random[:]) >> 16 // short enough to be copied by hand
	}
	o.Progressf("seed %d: --seed %d makes the same attempts again, as long as the answers are the same", seed, seed)
	var report *catalogue.Report
	var failed []error
	for i := range targets {
		name, told := targets[i].Tenant.Name, time.Now()
		o.Progressf("%s: %d Spaces, for %s", name, len(targets[i].Spaces), o.fuzz.during)
		runner.Progress = func(done, corpus int, left string) {
			if now := time.Now(); now.Sub(told) >= 2*time.Second {
				told = now
				o.Progressf("%s: %d attempts, %d of them with an outcome of their own, %s", name, done, corpus, left)
			}
		}
		judge := &fuzzJudge{config: config}
		one, err := fuzz.Run(ctx, runner, &targets[i], &fuzz.Options{Seed: seed, For: o.fuzz.during, Before: judge.before, After: judge.after})
		if err != nil {
			failed = append(failed, fmt.Errorf("tenant %s: %w", name, err))
		}
		if report == nil {
			report = one
		} else if one != nil {
			report.Join(one)
		}
		if ctx.Err() != nil {
			o.Progressf("stopped; what was made is removed, and without the comparison nothing is known")
			break
		}
	}
	return report, errors.Join(failed...)
}

// fuzzJudge proves the whole platform before and after: what one tenant does may open another to a third.
type fuzzJudge struct {
	config *rest.Config
	first  *isolation.Report
}

func (j *fuzzJudge) prove(ctx context.Context) (*isolation.Report, error) {
	world, err := cluster.Read(ctx, j.config, cluster.Options{Now: time.Now()})
	if err != nil {
		return nil, err
	}
	return proof.Of(world, nil)
}

func (j *fuzzJudge) before(ctx context.Context) (err error) {
	j.first, err = j.prove(ctx)
	return err
}

func (j *fuzzJudge) after(ctx context.Context) (*catalogue.Judgement, error) {
	now, err := j.prove(ctx)
	if err != nil {
		return nil, err
	}
	d := proofview.Compare(j.first, now)
	judgement := &catalogue.Judgement{Verdict: v1alpha1.Verdict(d.Verdict), Before: v1alpha1.Verdict(d.Before), After: v1alpha1.Verdict(d.After)}
	for i := range d.New {
		f := &d.New[i]
		judgement.New = append(judgement.New, fmt.Sprintf("%s %s: %s (%s)", f.Code, proofview.Between(f), f.What, strings.Join(proofview.ObjectNames(f.Blame), ", ")))
	}
	return judgement, nil
}

// fuzzList is what the dictionary has, for --list.
func fuzzList() []listedAttack {
	var listed []listedAttack
	for _, d := range invent.Dangers(invent.Facts{Registry: "REGISTRY", ForeignNamespace: "NAMESPACE", ForeignTenant: "TENANT"}) {
		listed = append(listed, listedAttack{"danger/" + d.Control, d.ID, d.Title, strings.Join(fuzz.Refusers(d.Control), " or ")})
	}
	return listed
}

// writeFuzzed prints what a fuzzed run covered.
func writeFuzzed(b *strings.Builder, p output.Paint, f *catalogue.Fuzzed) {
	fmt.Fprintf(b, "\n%s  seed %d: %s, %d of them for real; %d accepted in its own Spaces; %d with an outcome of their own\n",
		p.Bold("Covered as "+f.Tenant), f.Seed, output.Plural(f.Attempts, "attempt"), f.Real, f.Accepted, f.Corpus)
	line := func(head, text string) {
		if text != "" {
			fmt.Fprintf(b, "  %s %s\n", head, output.Wrapped(text, 4))
		}
	}
	line("Refused by:", strings.Join(f.Refusals, ", "))
	line("Tried:", output.Plural(f.Kinds, "kind and subresource"))
	line("Never accepted, of what owners may write:", strings.Join(f.NeverAccepted, "; "))
	line("Compared:", fmt.Sprintf("%s outside the tenant's own, %d changed", output.Plural(f.Compared, "object"), len(f.Changes)))
	for _, e := range f.Excluded {
		if e.Objects > 0 {
			line("  ignored:", fmt.Sprintf("%s in %s (%s)", e.What, output.Plural(e.Objects, "object"), e.Why))
		}
	}
	if f.Proof != nil {
		line("Proof:", fmt.Sprintf("%s before, %s after, %s", f.Proof.Before, f.Proof.After, output.Plural(len(f.Proof.New), "new finding")))
	}
	for _, unclear := range f.Unclear {
		line("Unclear:", unclear)
	}
}
