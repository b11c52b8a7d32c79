package agreement_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/bulkhead-dev/bulkhead/hostile"
	"github.com/bulkhead-dev/bulkhead/internal/attack/engine"
	"github.com/bulkhead-dev/bulkhead/internal/testcluster"
)

// Promise: whatever mistakes are made on an enforced platform, what the prover says and what the attacker can do are the same, for
// every control and pair of tenants. BULKHEAD_SEED=n looks at one seed, and with BULKHEAD_SEEDS=m at m from there on.
func TestProverAndAttackerAgree(t *testing.T) {
	first, seeds := uint64(1), 6
	if text := os.Getenv("BULKHEAD_SEED"); text != "" {
		seed, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatalf("BULKHEAD_SEED is the number of a seed: %v", err)
		}
		first, seeds = seed, 1
	}
	if text := os.Getenv("BULKHEAD_SEEDS"); text != "" {
		var err error
		if seeds, err = strconv.Atoi(text); err != nil {
			t.Fatalf("BULKHEAD_SEEDS is how many seeds to look at: %v", err)
		}
	}
	total := agree(t, first, seeds)
	for _, what := range slices.Sorted(maps.Keys(total.pairs)) {
		t.Logf("%6d %s", total.pairs[what], what)
	}
	for _, why := range slices.Sorted(maps.Keys(total.explained)) {
		t.Logf("%6d explained: %s", total.explained[why], why)
	}
}

// BenchmarkAgreement looks at ten times as many seeds as the test, and others.
func BenchmarkAgreement(b *testing.B) {
	const seeds = 2000
	for range b.N {
		total := agree(b, 100_000, seeds)
		b.ReportMetric(float64(len(total.disagreements)), "disagreements/op")
		b.ReportMetric(b.Elapsed().Seconds()/seeds, "s/seed")
	}
}

// agree looks at seeds, and complains of each on which the judges do not agree.
func agree(t testing.TB, first uint64, seeds int) *tally {
	t.Helper()
	ctx, start := t.Context(), time.Now()
	w, err := newWorld(ctx)
	if err != nil {
		t.Fatal(err)
	}
	testcluster.Progress(t, "the platform stands and every attack was refused after %s", time.Since(start).Round(time.Second))
	total := newTally()
	for seed := first; seed < first+uint64(seeds); seed++ {
		mistakes := mistakesOf(seed)
		found, err := w.look(ctx, seed, mistakes)
		if err != nil {
			t.Fatalf("seed %d: %v\n%s", seed, err, wordsOf(mistakes))
		}
		total.add(found)
		if done := seed - first + 1; done%100 == 0 {
			testcluster.Progress(t, "%d of %d seeds after %s", done, seeds, time.Since(start).Round(time.Second))
		}
		if len(found.disagreements) > 0 {
			t.Errorf("seed %d (BULKHEAD_SEED=%d): %d disagreements\n%s", seed, seed, len(found.disagreements), wordsOf(mistakes))
			for _, d := range found.disagreements {
				t.Logf("    %s", d)
			}
		}
	}
	t.Logf("%d seeds after %s", seeds, time.Since(start).Round(time.Second))
	if err := w.end(ctx); err != nil {
		t.Error(err)
	}
	return total
}

func wordsOf(mistakes []mistake) string {
	var list []string
	for i := range mistakes {
		list = append(list, "  mistake: "+mistakes[i].String())
	}
	return strings.Join(list, "\n")
}

// look makes the mistakes of a seed, has both judge, and takes the mistakes back.
func (w *world) look(ctx context.Context, seed uint64, mistakes []mistake) (found *tally, err error) {
	var undos []undo
	var made touched
	for i := range mistakes {
		back, what, doErr := mistakes[i].do(ctx)
		undos, made, err = append(back, undos...), made|what, errors.Join(err, doErr)
	}
	// What was taken back of the seed before is waited for together with what is made now.
	now := w.untold | made
	w.untold = made
	if err == nil {
		found, err = w.judge(ctx, seed, mistakes, now)
	}
	for _, back := range undos {
		err = errors.Join(err, back(ctx))
	}
	return found, errors.Join(err, w.restored(ctx))
}

// judge has the prover judge while the API server learns of the mistakes, and then the attacker.
func (w *world) judge(ctx context.Context, seed uint64, mistakes []mistake, now touched) (*tally, error) {
	var settling, trying errgroup.Group
	settling.Go(func() error { return w.marker.settle(ctx, now) })
	p, err := w.prove(ctx)
	if err = errors.Join(err, settling.Wait()); err != nil {
		return nil, err
	}
	var results []engine.Result
	var lock sync.Mutex
	for i, tenant := range tenants() {
		trying.Go(func() error {
			r := rand.New(rand.NewPCG(seed, uint64(i)))
			err := w.trials[tenant].Look(ctx)
			list := w.trials[tenant].Try(ctx, hostile.All(), choice(r, tenant, mistakes))
			lock.Lock()
			defer lock.Unlock()
			results = append(results, list...)
			return err
		})
	}
	if err := trying.Wait(); err != nil {
		return nil, fmt.Errorf("look at the cluster as the attacker: %w", err)
	}
	found, err := attacked(ctx, p, results)
	if err != nil {
		return nil, err
	}
	confirmed, err := w.confirm(ctx, p)
	if err != nil {
		return nil, err
	}
	found.add(confirmed)
	return found, nil
}

// choice of attacks: those that the mistakes are about, and some of the others, since a mistake may open what nobody thought of.
func choice(r *rand.Rand, tenant string, mistakes []mistake) func(*hostile.Case, *hostile.Scene) bool {
	controls, verbs := map[string]bool{}, map[string]bool{}
	for _, m := range mistakes {
		if m.tenant != "" && m.tenant != tenant {
			continue
		}
		for _, c := range m.controls {
			controls[c] = true
		}
		for _, v := range m.verbs {
			verbs[v] = true
		}
	}
	return func(a *hostile.Case, _ *hostile.Scene) bool {
		if !harmless(a) {
			return false
		}
		if _, verb, is := strings.Cut(a.ID, "/every-"); is {
			parts := strings.Split(verb, "-")
			return verbs[parts[len(parts)-1]] && r.IntN(20) == 0
		}
		if controls[a.Control] {
			return r.IntN(3) == 0 || a.Refusal.By == hostile.RBAC && r.IntN(3) == 0
		}
		return r.IntN(60) == 0
	}
}
