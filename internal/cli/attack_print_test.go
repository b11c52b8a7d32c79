package cli

import (
	"strings"
	"testing"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/internal/attack/catalogue"
	"github.com/bulkhead-dev/bulkhead/internal/cli/output"
)

// Promise: what is not known of many attempts for one reason is told once, with how many there are; every exposure is told.
func TestAttemptsAlikeAreToldOnce(t *testing.T) {
	attempt := func(verdict v1alpha1.Verdict, as, detail string) catalogue.Attempt {
		return catalogue.Attempt{Attack: "a", As: as, Verdict: verdict, Detail: detail}
	}
	attempts := []catalogue.Attempt{
		attempt(v1alpha1.Exposed, "jane", "allowed"), attempt(v1alpha1.Exposed, "joe", "allowed"),
		attempt(v1alpha1.Unknown, "jane", "gone"), attempt(v1alpha1.Unknown, "joe", "gone"), attempt(v1alpha1.Unknown, "jim", "gone"),
		attempt(v1alpha1.Unknown, "jane", "odd"),
		attempt(v1alpha1.Isolated, "jane", ""),
	}
	for verbose, want := range map[bool]struct{ attempts, more int }{false: {4, 1}, true: {7, 0}} {
		var b strings.Builder
		writeAttempts(&b, output.NewPaint(&b), attempts, verbose)
		got := b.String()
		if strings.Count(got, " a as ") != want.attempts || strings.Count(got, "and 2 more likewise") != want.more {
			t.Errorf("verbose %v:\n%s", verbose, got)
		}
	}
}
