package attack

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/hostile"
	"github.com/bulkhead-dev/bulkhead/internal/attack/fuzz"
)

// FuzzSuite is the name of the suite that is made up as it goes, and so is not one of [Suites].
const FuzzSuite = "fuzz"

// FuzzOptions say how to fuzz.
type FuzzOptions struct {
	// Seed of the sequence of attempts, and For how long they go on.
	Seed uint64
	For  time.Duration
	// Before is called when nothing is fuzzed yet, and After while all that was accepted is still there: they prove the platform, and
	// After says what is worse.
	Before func(context.Context) error
	After  func(context.Context) (*Judgement, error)
}

// Judgement is what a proof of the platform says that it did not say before.
type Judgement struct {
	// Verdict on what is new: Isolated where nothing is.
	Verdict v1alpha1.Verdict `json:"verdict"`
	Before  v1alpha1.Verdict `json:"before"`
	After   v1alpha1.Verdict `json:"after"`
	// New findings, in words.
	New []string `json:"new,omitempty"`
}

// fuzzing is one tenant's part of a fuzzed run.
type fuzzing struct {
	runner *Runner
	target *Target
	seen   *hostile.Facts
	// subjects are the owners, and behind them the default service accounts.
	subjects []hostile.Subject
	owners   int
	// spaces are those in which harmless objects are made: of one workload, so that what is harmless in one is in all. within are their
	// namespaces; own are all namespaces of the tenant.
	spaces []v1alpha1.Space
	within []string
	own    map[string]bool
	rules  []rbacv1.PolicyRule

	fuzzer  *fuzz.Fuzzer
	dangers map[string]fuzz.Danger
	// live objects by the attempt that made them, and the order in which they were made.
	live  map[int]*live
	order []int
	// harmDone are the creations that were accepted where they must not be: once is enough.
	harmDone map[string]bool
	tally    *tally
}

// Fuzz makes attempts at random as a target's identities, and compares everything outside of its own namespaces, and the proof, before
// and after. It cleans up, also when ctx ends. An error beside a report says what may be left behind.
func (r *Runner) Fuzz(ctx context.Context, target *Target, o *FuzzOptions) (*Report, error) {
	z, err := r.newFuzzing(ctx, target, o.Seed)
	if err != nil {
		return nil, err
	}
	sweepers := (&Trial{runner: r}).sweepersOf(z.subjects[:z.owners], target)
	if err := r.sweep(ctx, sweepers); err != nil {
		return nil, fmt.Errorf("clean up after earlier runs: %w", err)
	}
	before := z.takeInventory(ctx)
	if z.removeOutside(ctx, before) > 0 {
		before = z.takeInventory(ctx)
	}
	world, err := z.fuzzWorld(ctx, before)
	if err != nil {
		return nil, err
	}
	if err := o.Before(ctx); err != nil {
		return nil, fmt.Errorf("prove the platform before: %w", err)
	}
	z.fuzzer = fuzz.New(o.Seed, world)
	started := time.Now()
	z.attempts(ctx, started.Add(o.For))
	z.compare(ctx, before, started, o.After)
	// The end of ctx is no reason to leave anything behind.
	clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanWithin)
	defer cancel()
	return z.report(), errors.Join(z.left(clean), r.sweep(clean, sweepers))
}

func (r *Runner) newFuzzing(ctx context.Context, target *Target, seed uint64) (*fuzzing, error) {
	seen, err := r.server.look(ctx, target.Tenant, nil)
	if err != nil {
		return nil, err
	}
	z := &fuzzing{runner: r, target: target, seen: seen, own: map[string]bool{v1alpha1.HomeNamespace(target.Tenant.Name): true},
		live: map[int]*live{}, harmDone: map[string]bool{}, rules: ownerRules(target.Platform)}
	owners, err := ownerSubjects(target.Tenant)
	if err != nil {
		return nil, err
	}
	z.subjects = slices.DeleteFunc(owners, func(s hostile.Subject) bool { return r.As != "" && s.Kind != r.As })
	if z.owners = len(z.subjects); z.owners == 0 {
		return nil, fmt.Errorf("tenant %s has no owner of the kind asked for: owners make the harmless objects without which a refusal shows nothing", target.Tenant.Name)
	}
	spaces := placed(target.Spaces)
	if len(spaces) == 0 {
		return nil, fmt.Errorf("tenant %s has no Space: without one, nothing harmless can be made, and a refusal shows nothing", target.Tenant.Name)
	}
	workload := spaces[seed%uint64(len(spaces))].Spec.Workload
	for i := range spaces {
		z.own[spaces[i].Status.Namespace] = true
		if spaces[i].Spec.Workload == workload {
			z.spaces = append(z.spaces, spaces[i])
			z.within = append(z.within, spaces[i].Status.Namespace)
		}
		if account := hostile.ServiceAccountSubject(spaces[i].Status.Namespace, "default"); r.As == "" || r.As == account.Kind {
			z.subjects = append(z.subjects, account)
		}
	}
	z.tally = newTally(target.Tenant.Name, seed)
	return z, nil
}

// attempts until the time is over, and until each kind and each danger had its turn.
func (z *fuzzing) attempts(ctx context.Context, until time.Time) {
	for ctx.Err() == nil && (time.Now().Before(until) || z.fuzzer.Opening() > 0) {
		if z.runner.Tell != nil {
			left := fmt.Sprintf("%s left", max(0, time.Until(until)).Round(time.Second))
			if n := z.fuzzer.Opening(); n > 0 {
				left += fmt.Sprintf(", %d that chance does not choose", n)
			}
			z.runner.Tell(z.tally.Attempts, z.fuzzer.Corpus(), left)
		}
		z.try(ctx, z.fuzzer.Next())
	}
	z.tally.Corpus = z.fuzzer.Corpus()
}

// compare proves and lists again, while what was accepted is still there.
func (z *fuzzing) compare(ctx context.Context, before *inventory, started time.Time, after func(context.Context) (*Judgement, error)) {
	z.tally.brokenOff = context.Cause(ctx)
	if z.tally.brokenOff != nil {
		return
	}
	if z.tally.Proof, z.tally.unproven = after(ctx); z.tally.unproven == nil && z.tally.Proof == nil {
		z.tally.unproven = errors.New("nobody proved the platform")
	}
	now := z.takeInventory(ctx)
	z.tally.brokenOff = context.Cause(ctx)
	z.tally.Compared, z.tally.Missing = len(before.objects), slices.Compact(slices.Concat(before.missing, now.missing))
	z.tally.Changes, z.tally.Excluded = changes(before, now, started)
	z.removeOutside(context.WithoutCancel(ctx), now)
}

// removeOutside removes what attempts made outside of the tenant's own namespaces, as whoever of the tenant's may. What this run made and
// they cannot remove, the runner itself removes; what bears another run's mark may be at work for another tenant. It counts what is gone.
func (z *fuzzing) removeOutside(ctx context.Context, v *inventory) int {
	found := 0
	for _, key := range v.sorted() {
		seen := v.objects[key]
		if !own(&seen.metadata) {
			continue
		}
		if err := z.removeOne(ctx, key, &seen); err == nil {
			found++
		} else if seen.metadata.Labels[v1alpha1.LabelAttack] == z.runner.Run {
			z.tally.left = append(z.tally.left, err)
		}
	}
	return found
}

func (z *fuzzing) removeOne(ctx context.Context, key objectKey, seen *seenObject) error {
	of := &hostile.Request{Group: key.group, Version: seen.version, Namespace: key.namespace, Resource: key.resource}
	for i := range z.subjects {
		if z.runner.delete(ctx, &z.subjects[i], of, &seen.metadata) == nil {
			return nil
		}
	}
	of.Name = key.name
	if run := seen.metadata.Labels[v1alpha1.LabelAttack]; run != z.runner.Run {
		return fmt.Errorf("%s bears the mark of run %s", key, run)
	}
	if err := z.runner.server.deleteOwn(ctx, of.URL(), seen.uid); err != nil {
		return fmt.Errorf("remove %s, which an attack made: %w: delete it by hand (label %s)", key, err, v1alpha1.LabelAttack)
	}
	return nil
}

// left is what could not be removed outside. A run that was broken off did not look: it looks now.
func (z *fuzzing) left(ctx context.Context) error {
	if z.tally.brokenOff != nil && len(z.harmDone) > 0 {
		z.removeOutside(ctx, z.takeInventory(ctx))
	}
	return errors.Join(z.tally.left...)
}
