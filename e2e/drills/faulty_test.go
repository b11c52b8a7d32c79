package drills_test

import (
	"fmt"
	"os"
	"strconv"
	"testing"

	"github.com/bulkhead-dev/bulkhead/internal/run"
)

// Promise: whatever goes wrong between the controllers and the API server (watches that end, 410 Gone, caches frozen while
// writes go through, 409, 429 and 500, answers lost after the write), a tenant's life goes as if nothing had: the same
// state at every stage, at no instant a control less, nothing outside of the tenant touched.
//
// All faults come about in one life; with BULKHEAD_DRILL_EACH, those of watches and those of requests also in one of their own.
// BULKHEAD_DRILL_SEED chooses other accidents. A failure says which seed it had.
func TestFaults(t *testing.T) {
	s := use(t)
	seed := uint64(1)
	if text := os.Getenv("BULKHEAD_DRILL_SEED"); text != "" {
		var err error
		seed, err = strconv.ParseUint(text, 10, 64)
		must(t, err)
	}
	calm := undisturbed(t)
	controllers := s.start(t, nil)
	bystander := s.bystander(t, "onlooker")
	controllers.stop(t)
	for _, c := range []struct {
		name   string
		faults *faults
		expect []string
	}{
		{"watches", &faults{watches: true, stale: true}, []string{"watch ended", "410", "frozen", "frozen over writes"}},
		{"requests", &faults{refused: true, lost: true}, []string{"409", "429", "500", "lost"}},
		{"all", &faults{watches: true, stale: true, refused: true, lost: true}, []string{"watch ended", "410", "frozen", "frozen over writes", "409", "429", "500", "lost"}},
	} {
		if c.name != "all" && os.Getenv("BULKHEAD_DRILL_EACH") == "" {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			f := c.faults
			f.seed = seed
			controllers := s.start(t, func(o *run.Options) { f.wrap(o) })
			recorder := s.record(t)
			l := &life{site: s, name: "faulty-" + c.name, like: calm, clue: fmt.Sprintf(", with BULKHEAD_DRILL_SEED=%d", seed)}
			l.live(t)
			recorder.check(t)
			controllers.stop(t)
			told := f.told()
			t.Logf("seed %d: %v", seed, told)
			for _, fault := range c.expect {
				if told[fault] == 0 {
					t.Errorf("no %q came about: the test holds less than it says", fault)
				}
			}
		})
	}
	bystander.untouched(t, "faulty-")
}
