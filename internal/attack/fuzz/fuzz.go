package fuzz

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/hostile"
	"github.com/bulkhead-dev/bulkhead/internal/attack/catalogue"
	"github.com/bulkhead-dev/bulkhead/internal/attack/engine"
	"github.com/bulkhead-dev/bulkhead/internal/attack/fuzz/invent"
)

// Suite is the name of the suite that is made up as it goes, and so is not one of [Suites].
const Suite = "fuzz"

// Options report how to fuzz.
type Options struct {
	// Seed of the sequence of attempts, and For how long they go on.
	Seed uint64
	For  time.Duration
	// Before is called when nothing is fuzzed yet, and After while all that was accepted is still there: they prove the platform, and
	// After reports what is worse.
	Before func(context.Context) error
	After  func(context.Context) (*catalogue.Judgement, error)
}

// Session is one tenant's part of a fuzzed run.
type Session struct {
	runner *engine.Runner
	target *engine.Target
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

	fuzzer  *invent.Fuzzer
	dangers map[string]invent.Danger
	// live objects by the attempt that made them, and the order in which they were made.
	live  map[int]*live
	order []int
	// harmDone are the creations that were accepted where they must not be: once is enough.
	harmDone map[string]bool
	tally    *tally
}

// Run makes attempts at random as a target's identities, and compares everything outside its own namespaces, and the proof, before
// and after. It cleans up, also when ctx ends. An error next to a report is what may be left behind.
func Run(ctx context.Context, r *engine.Runner, target *engine.Target, o *Options) (*catalogue.Report, error) {
	z, err := NewSession(ctx, r, target, o.Seed)
	if err != nil {
		return nil, err
	}
	sweepers := (&engine.Trial{Runner: r}).SweepersOf(z.subjects[:z.owners], target)
	if err := r.Sweep(ctx, sweepers); err != nil {
		return nil, fmt.Errorf("clean up after earlier runs: %w", err)
	}
	before := z.TakeInventory(ctx)
	if z.removeOutside(ctx, before) > 0 {
		before = z.TakeInventory(ctx)
	}
	world, err := z.fuzzWorld(ctx, before)
	if err != nil {
		return nil, err
	}
	if err := o.Before(ctx); err != nil {
		return nil, fmt.Errorf("prove the platform before: %w", err)
	}
	z.fuzzer = invent.New(o.Seed, world)
	started := time.Now()
	z.attempts(ctx, started.Add(o.For))
	z.Compare(ctx, before, started, o.After)
	// The end of ctx is no reason to leave anything behind.
	clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), engine.CleanWithin)
	defer cancel()
	return z.report(), errors.Join(z.left(clean), r.Sweep(clean, sweepers))
}

// NewSession looks at the cluster and at the target.
func NewSession(ctx context.Context, r *engine.Runner, target *engine.Target, seed uint64) (*Session, error) {
	seen, err := r.Server.Look(ctx, target.Tenant, nil)
	if err != nil {
		return nil, err
	}
	z := &Session{runner: r, target: target, seen: seen, own: map[string]bool{v1alpha1.HomeNamespace(target.Tenant.Name): true},
		live: map[int]*live{}, harmDone: map[string]bool{}, rules: ownerRules(target.Platform)}
	owners, err := engine.OwnerSubjects(target.Tenant)
	if err != nil {
		return nil, err
	}
	z.subjects = slices.DeleteFunc(owners, func(s hostile.Subject) bool { return r.As != "" && s.Kind != r.As })
	if z.owners = len(z.subjects); z.owners == 0 {
		return nil, fmt.Errorf("tenant %s has no owner of the kind asked for: owners make the harmless objects without which a refusal shows nothing", target.Tenant.Name)
	}
	spaces := engine.Placed(target.Spaces)
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
func (z *Session) attempts(ctx context.Context, until time.Time) {
	for ctx.Err() == nil && (time.Now().Before(until) || z.fuzzer.Opening() > 0) {
		if z.runner.Progress != nil {
			left := fmt.Sprintf("%s left", max(0, time.Until(until)).Round(time.Second))
			if n := z.fuzzer.Opening(); n > 0 {
				left += fmt.Sprintf(", %d that chance does not choose", n)
			}
			z.runner.Progress(z.tally.Attempts, z.fuzzer.Corpus(), left)
		}
		z.try(ctx, z.fuzzer.Next())
	}
	z.tally.Corpus = z.fuzzer.Corpus()
}

// Compare proves and lists again, while what was accepted is still there.
func (z *Session) Compare(ctx context.Context, before *Inventory, started time.Time, after func(context.Context) (*catalogue.Judgement, error)) {
	z.tally.brokenOff = context.Cause(ctx)
	if z.tally.brokenOff != nil {
		return
	}
	if z.tally.Proof, z.tally.unproven = after(ctx); z.tally.unproven == nil && z.tally.Proof == nil {
		z.tally.unproven = errors.New("the platform was not proven")
	}
	now := z.TakeInventory(ctx)
	z.tally.brokenOff = context.Cause(ctx)
	z.tally.Compared, z.tally.Missing = len(before.objects), slices.Compact(slices.Concat(before.missing, now.missing))
	z.tally.Changes, z.tally.Excluded = changes(before, now, started)
	z.removeOutside(context.WithoutCancel(ctx), now)
}

// removeOutside removes what attempts made outside the tenant's own namespaces, as an identity of the tenant that may. What this run made and
// they cannot remove, the runner itself removes; what bears another run's mark may be at work for another tenant. It counts what is gone.
func (z *Session) removeOutside(ctx context.Context, v *Inventory) int {
	found := 0
	for _, key := range v.sorted() {
		seen := v.objects[key]
		if !engine.MadeByAttack(&seen.metadata) {
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

func (z *Session) removeOne(ctx context.Context, key objectKey, seen *seenObject) error {
	of := &hostile.Request{Group: key.group, Version: seen.version, Namespace: key.namespace, Resource: key.resource}
	for i := range z.subjects {
		if z.runner.Delete(ctx, &z.subjects[i], of, &seen.metadata) == nil {
			return nil
		}
	}
	of.Name = key.name
	if run := seen.metadata.Labels[v1alpha1.LabelAttack]; run != z.runner.Run {
		return fmt.Errorf("%s bears the mark of run %s", key, run)
	}
	if err := z.runner.Server.DeleteOwn(ctx, of.URL(), seen.uid); err != nil {
		return fmt.Errorf("remove %s, which an attack made: %w: delete it by hand (label %s)", key, err, v1alpha1.LabelAttack)
	}
	return nil
}

// left is what could not be removed outside. A run that was broken off did not look: it looks now.
func (z *Session) left(ctx context.Context) error {
	if z.tally.brokenOff != nil && len(z.harmDone) > 0 {
		z.removeOutside(ctx, z.TakeInventory(ctx))
	}
	return errors.Join(z.tally.left...)
}
