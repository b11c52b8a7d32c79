package clustergen_test

import (
	"strings"
	"testing"

	"github.com/bulkhead-dev/bulkhead/isolation"
	"github.com/bulkhead-dev/bulkhead/isolation/clustergen"
	"github.com/bulkhead-dev/bulkhead/isolation/finding"
)

// Promise: generated pods and nodes have nothing wrong with them, so that what a proof finds are the mistakes.
func TestGeneratedPodsReachNothingOfTheirNodes(t *testing.T) {
	c, err := clustergen.Generate(clustergen.Options{Pods: 500, Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Snapshot.Nodes) == 0 || c.Snapshot.Pods[len(c.Snapshot.Pods)-1].Spec == nil {
		t.Fatal("no nodes, or no specs")
	}
	for _, f := range isolation.Verify(c.Snapshot, finding.Options{}).Findings {
		// Without admission it is not known what may be created; that is reported, once.
		if strings.HasPrefix(f.Code, "BH2") && f.Code != "BH2009" {
			t.Errorf("%s: %s", f.Code, f.What)
		}
	}
}
