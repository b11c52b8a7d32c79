package attack

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"k8s.io/client-go/rest"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/hostile"
	"github.com/bulkhead-dev/bulkhead/internal/attack/catalogue"
	"github.com/bulkhead-dev/bulkhead/internal/attack/engine"
)

// line to the API server, which may be cut for some requests.
type line struct {
	next http.RoundTripper
	// dead is for how many more requests it is.
	dead atomic.Int64
	// asked counts requests that were made while it was.
	asked atomic.Int64
}

var errLineIsDead = errors.New("the line is dead")

func (l *line) RoundTrip(request *http.Request) (*http.Response, error) {
	if l.dead.Add(-1) >= 0 {
		l.asked.Add(1)
		return nil, errLineIsDead
	}
	return l.next.RoundTrip(request)
}

// lined is a Runner whose line is cut for some requests after so many attempts.
func lined(t *testing.T, name string, after int, requests int64, patience time.Duration) (*engine.Runner, *line) {
	t.Helper()
	l := &line{}
	config := rest.CopyConfig(adminConfig)
	config.Wrap(func(next http.RoundTripper) http.RoundTripper {
		l.next = next
		return l
	})
	r, err := engine.NewRunner(config, name)
	must(t, err)
	r.Server.BackWithin = patience
	r.Progress = func(done, _ int, _ string) {
		if done == after {
			l.dead.Store(requests)
		}
	}
	return r, l
}

// Promise: an API server that answers no more is not asked on and on: nothing is known of what was not tried, and it is said
// that something may be left behind. One that is back soon costs no more than the attempts that it did not answer.
func TestASilentAPIServerIsWaitedFor(t *testing.T) {
	f := enforced(t.Context(), t, "try-silent", soft, v1alpha1.Owner{Kind: "User", Name: "try-silent-jane"})
	target := declared(t.Context(), t, f)
	await(t, completeProver(t), f, isolated)
	some := &catalogue.Item{Attacks: []string{"images/foreign-registry*", "network-default/*", "service-expose/*"}}
	attacks := slices.DeleteFunc(hostile.All(), func(a hostile.Case) bool { return !some.Has(a.ID) })
	const before = 5

	r, l := lined(t, "silent", before, 1<<40, time.Millisecond)
	results, err := r.Try(t.Context(), target, attacks)
	if err == nil || !strings.Contains(err.Error(), errLineIsDead.Error()) || !strings.Contains(err.Error(), v1alpha1.LabelAttack) {
		t.Errorf("the error is %v, want what keeps the run from cleaning up, and by what one finds what it made", err)
	}
	for i, got := range results {
		want := v1alpha1.Isolated
		if i >= before {
			want = v1alpha1.Unknown
		}
		if got.Verdict != want || i > before && !strings.HasPrefix(got.Detail, "not tried: the API server did not answer") {
			t.Errorf("attempt %d: %s: %s", i, got.Verdict, got.Detail)
		}
	}
	if asked := l.asked.Load(); asked > 10 || len(results) < 20 {
		t.Errorf("it was asked %d times, of %d attempts", asked, len(results))
	}

	r, _ = lined(t, "back", before, 2, time.Minute)
	results, err = r.Try(t.Context(), target, attacks)
	must(t, err)
	for i, got := range results {
		if (got.Verdict == v1alpha1.Isolated) != (i != before) {
			t.Errorf("attempt %d: %s: %s", i, got.Verdict, got.Detail)
		}
	}
	nothingLeft(t, f)
}
