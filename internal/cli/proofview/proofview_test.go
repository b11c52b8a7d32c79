package proofview

import (
	"strings"
	"testing"
	"time"

	"github.com/bulkhead-dev/bulkhead/internal/observe"
	"github.com/bulkhead-dev/bulkhead/internal/observe/manifest"
	"github.com/bulkhead-dev/bulkhead/internal/proof"
	"github.com/bulkhead-dev/bulkhead/isolation"
	"github.com/bulkhead-dev/bulkhead/isolation/finding"
)

// openNetwork is a cluster of two tenants with every kind of finding that a folder without Bulkhead gives.
const openNetwork = `
{apiVersion: v1, kind: Namespace, metadata: {name: blue, labels: {team: blue}}}
---
{apiVersion: v1, kind: Namespace, metadata: {name: red, labels: {team: red}}}
---
{apiVersion: v1, kind: Pod, metadata: {name: p, namespace: red}, spec: {containers: [{name: c, image: c, securityContext: {privileged: true}}]}}
---
{apiVersion: v1, kind: Pod, metadata: {name: p, namespace: blue}, spec: {containers: [{name: c, image: c}]}}
`

// Promise: the SARIF of a proof is valid by the schema of SARIF 2.1.0, has a rule for every code, and a line for each
// object to blame that a file declares.
func TestSARIFIsValid(t *testing.T) {
	world, err := manifest.Read([]string{"-"}, strings.NewReader(openNetwork), manifest.Options{Now: time.Unix(1_000, 0), Tenants: observe.TenantSource{Key: "team"}})
	if err != nil {
		t.Fatal(err)
	}
	proven, err := proof.Of(world, nil)
	if err != nil {
		t.Fatal(err)
	}
	report := (&Proof{World: world, Report: proven}).sarif("test")
	if err := report.Validate(); err != nil {
		t.Errorf("the SARIF is not valid: %v", err)
	}
	run := report.Runs[0]
	if len(run.Results) != len(proven.Findings) || len(run.Results) == 0 {
		t.Errorf("%d results for %d findings", len(run.Results), len(proven.Findings))
	}
	codes := 0
	for _, c := range isolation.Checks() {
		codes += len(c.Codes)
	}
	if len(run.Tool.Driver.Rules) != codes {
		t.Errorf("%d rules for %d codes", len(run.Tool.Driver.Rules), codes)
	}
	declared := 0
	for _, result := range run.Results {
		for _, location := range result.Locations {
			if location.PhysicalLocation != nil {
				declared++
			}
		}
	}
	if declared == 0 {
		t.Error("no result points to a line")
	}
}

// Promise: a Waiver accepts a finding in a comparison too, and what it no longer accepts is new again.
func TestDifferenceCountsWaivers(t *testing.T) {
	reportOf := func(waiver string) *isolation.Report {
		return &isolation.Report{Verdict: finding.Exposed, Findings: []finding.Finding{{Code: "BH3001", Verdict: finding.Exposed, From: "a", To: "b", What: "x", Waiver: waiver}}}
	}
	for _, c := range []struct {
		before, after string
		added, over   int
		want          finding.Verdict
	}{
		{"", "", 0, 0, finding.Isolated}, {"w", "", 1, 0, finding.Exposed}, {"", "w", 0, 1, finding.Isolated}, {"w", "w", 0, 0, finding.Isolated},
	} {
		d := Compare(reportOf(c.before), reportOf(c.after))
		if len(d.New) != c.added || len(d.Gone) != c.over || d.Verdict != c.want {
			t.Errorf("%q then %q: %d new, %d over, %s", c.before, c.after, len(d.New), len(d.Gone), d.Verdict)
		}
	}
}
