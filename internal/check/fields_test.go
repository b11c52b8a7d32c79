package check

import (
	"strings"
	"testing"

	"github.com/bulkhead-dev/bulkhead/guardrail/fields"
)

// Promise: fields that are not classified are Unknown, each by its name; and so is an API server that names no field at all.
func TestFieldsThatAreNotClassified(t *testing.T) {
	known := map[fields.Class]int{fields.Harmless: 3}
	for _, test := range []struct {
		coverage fields.Coverage
		want     State
		words    string
	}{
		{fields.Coverage{Fields: known}, OK, "all 3 are classified"},
		{fields.Coverage{Fields: known, Unclassified: []string{"core.v1.PodSpec.new (create pods)", "core.v1.Volume.other (create pods)"}}, Unknown,
			"2 are not classified: core.v1.PodSpec.new (create pods), core.v1.Volume.other (create pods)"},
		{fields.Coverage{}, Unknown, "none"},
	} {
		findings, err := judgeFields(test.coverage)
		if err != nil || len(findings) != 1 || findings[0].State != test.want || !strings.Contains(findings[0].Detail, test.words) {
			t.Errorf("%+v: %+v, %v; want %s with %q", test.coverage, findings, err, test.want, test.words)
		}
	}
}
