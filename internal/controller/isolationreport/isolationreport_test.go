package isolationreport

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
)

// Promise: a text that is cut stays text, wherever the cut falls: the API server takes no halves of characters.
func TestCutTextStaysText(t *testing.T) {
	for before := range 4 {
		text := brief(strings.Repeat("x", before) + strings.Repeat("é€", longestText))
		if !utf8.ValidString(text) || len(text) > longestText+len(" ...") {
			t.Errorf("after %d: %d bytes, valid %v", before, len(text), utf8.ValidString(text))
		}
	}
}

// Promise: a report is written when it says something new, has said the same for a third of the freshness, belongs to
// another Tenant of the same name, or bears a time to come; and else not.
func TestWorthWriting(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	report := func(age time.Duration, change func(*v1alpha1.IsolationReport)) *v1alpha1.IsolationReport {
		r := &v1alpha1.IsolationReport{Verdict: v1alpha1.Exposed, Exposed: 60, Time: metav1.NewTime(now.Add(-age)), Findings: []v1alpha1.IsolationFinding{{Code: "BH1003"}}}
		r.OwnerReferences = []metav1.OwnerReference{{UID: "one"}}
		if change != nil {
			change(r)
		}
		return r
	}
	for _, c := range []struct {
		name   string
		before *v1alpha1.IsolationReport
		want   bool
	}{
		{"the same a moment ago", report(time.Minute, nil), false},
		{"the same a third of the freshness ago", report(10*time.Minute, nil), true},
		{"another verdict", report(time.Minute, func(r *v1alpha1.IsolationReport) { r.Verdict = v1alpha1.Isolated }), true},
		{"another finding", report(time.Minute, func(r *v1alpha1.IsolationReport) { r.Findings[0].What = "other" }), true},
		{"one more that is not shown", report(time.Minute, func(r *v1alpha1.IsolationReport) { r.Exposed-- }), true},
		{"another Tenant's", report(time.Minute, func(r *v1alpha1.IsolationReport) { r.OwnerReferences[0].UID = "other" }), true},
		{"of a time to come", report(-time.Hour, nil), true},
	} {
		if got := worthWriting(c.before, report(0, nil), 30*time.Minute); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}
