package cli

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/internal/demo"
)

// Promise: something that was not refused is told loudly, and makes `up --once` exit with 1.
func TestUpTellsWhatDidNotHold(t *testing.T) {
	good := demo.Outcome{What: "list all namespaces", Control: "rbac-enumerate", Holds: true, Says: "cannot list"}
	bad := demo.Outcome{What: "run an image from elsewhere", Control: "images", Says: "NOT REFUSED: images had to refuse it"}
	for name, c := range map[string]struct {
		outcomes outcomes
		holds    bool
	}{
		"all holds":         {outcomes{Refused: []demo.Outcome{good}}, true},
		"not refused":       {outcomes{Refused: []demo.Outcome{good, bad}}, false},
		"did not work":      {outcomes{Allowed: []demo.Outcome{bad}}, false},
		"not in the drill":  {outcomes{Drill: &demo.Drill{Refused: []demo.Outcome{bad}}}, false},
		"rest of the drill": {outcomes{Drill: &demo.Drill{Rest: []demo.Outcome{bad}}}, false},
	} {
		t.Run(name, func(t *testing.T) {
			var out, errOut bytes.Buffer
			o := &upOptions{IOStreams: IOStreams{IOStreams: genericiooptions.IOStreams{Out: &out, ErrOut: &errOut}}, once: true, format: &format{value: formatTable}}
			if err := o.print(&c.outcomes); err != nil {
				t.Fatal(err)
			}
			err := o.wait(t.Context(), &c.outcomes)
			if c.holds {
				if err != nil || !strings.Contains(out.String(), "all 1 tries went as they must") {
					t.Errorf("want success, got %v and:\n%s", err, out.String())
				}
				return
			}
			if code := answered(0); !errors.As(err, &code) || code != exitNo {
				t.Errorf("want exit code %d, got %v", exitNo, err)
			}
			_, end, found := strings.Cut(out.String(), "Bulkhead is up")
			if !found || !strings.Contains(end, "1 OF ") || !strings.Contains(end, bad.Says) || strings.Contains(end, good.What) {
				t.Errorf("the answer should name what did not hold, and only that:\n%s", end)
			}
		})
	}
}

// Promise: a reason is printed with the facts that fired the rule, as they were declared.
func TestReasonsArePrintedWithTheirFacts(t *testing.T) {
	boundary, code := v1alpha1.DeclaredFact{Name: "tenant.boundary", Value: "Outside"}, v1alpha1.DeclaredFact{Name: "workload.code", Value: "ThirdParty"}
	for want, facts := range map[string][]v1alpha1.DeclaredFact{
		"it is so":                  nil,
		"code ThirdParty: it is so": {code},
		"boundary Outside and code ThirdParty: it is so": {boundary, code},
	} {
		if got := because(&v1alpha1.DecisionReason{Rule: "T1", Facts: facts, Because: "it is so"}); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
