package isolation_test

import (
	"strings"
	"testing"
	"time"

	"github.com/bulkhead-dev/bulkhead/internal/provertest"
)

// A platform as Bulkhead renders it is isolated by the checks of guardrails, API capacity and the rest, and they say
// nothing that is not needed.
func TestTheExamplePlatformIsIsolated(t *testing.T) {
	p, err := provertest.Magazine()
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	r, err := p.Prove(p.Snapshot)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("proven in %s", time.Since(start))
	for _, f := range r.Findings {
		if f.Waiver == "" && f.Code[:3] >= "BH4" {
			t.Errorf("%s %s %s %s -> %s: %s %v", f.Verdict, f.Code, f.Severity, f.From, f.To, f.What, f.Blame)
		}
		if strings.Contains(f.What, "somebody") {
			t.Errorf("a member of a group is named by its group: %s", f.What)
		}
	}
	for _, result := range r.Results {
		t.Logf("%s %s: %s", result.Check, result.Verdict, result.Considered)
	}
	if r.Waived == 0 {
		t.Error("the example has waivers, and none accepts anything")
	}
}
