package drills_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/internal/run"
	"github.com/bulkhead-dev/bulkhead/internal/testcluster"
)

// interrupter is a transport that counts the controllers' writes about each tenant, and does something once, right before
// the write of a number of its own.
type interrupter struct {
	// at says before which write, by the tenant's name.
	at map[string]int
	do func(tenant string)

	mu     sync.Mutex
	writes map[string]int
	done   map[string]bool
}

// subject finds the tenant that a request is about, by its URL and what it carries.
var subject = regexp.MustCompile(`(tenant|space)-goes-\d+-end`)

// roundTrip lets every request through.
func (i *interrupter) roundTrip(r *http.Request, next http.RoundTripper) (*http.Response, error) {
	if r.Method == http.MethodGet || asked(r) || strings.Contains(r.URL.Path, "/events") {
		return next.RoundTrip(r)
	}
	text := r.URL.Path
	if r.Body != nil {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		_ = r.Body.Close()
		r = r.Clone(r.Context())
		r.Body = io.NopCloser(bytes.NewReader(body))
		text += string(body)
	}
	if tenant := subject.FindString(text); tenant != "" {
		i.mu.Lock()
		due := i.writes[tenant] == i.at[tenant] && !i.done[tenant]
		i.writes[tenant]++
		i.done[tenant] = i.done[tenant] || due
		i.mu.Unlock()
		if due {
			i.do(tenant)
		}
	}
	return next.RoundTrip(r)
}

// Promise: a Tenant, and a Space, may be deleted in any state, before whichever write of the controllers: nothing is left
// but the record, which says that a search found nothing.
func TestDeletionInEveryState(t *testing.T) {
	s := use(t)
	const writes = 24 // a Tenant with one Space takes about as many until both are Ready
	i := &interrupter{at: map[string]int{}, writes: map[string]int{}, done: map[string]bool{}}
	each := 8 // or every one, when BULKHEAD_DRILL_ALL is set
	if os.Getenv("BULKHEAD_DRILL_ALL") != "" {
		each = 1
	}
	for n := 0; n < writes; n += each {
		i.at[fmt.Sprintf("tenant-goes-%d-end", n)] = n
		if n%4 == 0 || each == 1 {
			i.at[fmt.Sprintf("space-goes-%d-end", n)] = n
		}
	}
	i.do = func(tenant string) {
		if err := s.remove(context.Background(), tenant); client.IgnoreNotFound(err) != nil {
			t.Errorf("delete %s: %v", tenant, err)
		}
	}
	s.start(t, func(o *run.Options) { between(o, i.roundTrip) })
	s.ready(t, platform())
	t.Run("each", func(t *testing.T) {
		for tenant, n := range i.at {
			t.Run(tenant, func(t *testing.T) {
				t.Parallel()
				s.comeAndGo(t, tenant)
				picture, err := testcluster.Picture(t.Context(), s.admin, tenant)
				must(t, err)
				switch objects := strings.Count(picture, "*v1"); {
				case picture == "" && n == 0: // it went before it was seen
				case objects != 1 || !strings.Contains(picture, `"finished": "true"`) || !strings.Contains(picture, `"residue": "none`):
					t.Errorf("what is left is not one record that says that nothing is:\n%s", picture)
				}
			})
		}
	})
	if len(i.done) < len(i.at)*3/4 {
		t.Errorf("only %d of %d were deleted before a write: the test holds little", len(i.done), len(i.at))
	}
	t.Logf("%d of %d were deleted before a write, the others when all was done", len(i.done), len(i.at))
}

// remove deletes the Tenant, or its Space, as the tenant's name says.
func (s *site) remove(ctx context.Context, tenant string) error {
	if strings.HasPrefix(tenant, "space") {
		err := s.admin.Delete(ctx, newSpace(tenant, "a"))
		if !apierrors.IsNotFound(err) {
			return err
		} // there is none yet: then the Tenant
	}
	return s.admin.Delete(ctx, newTenant(tenant))
}

// comeAndGo declares a tenant and a Space, which something deletes meanwhile, and waits until both are gone.
func (s *site) comeAndGo(t *testing.T, name string) {
	t.Helper()
	tenant, space := newTenant(name), newSpace(name, "a")
	must(t, s.admin.Create(t.Context(), tenant))
	eventually(t, "there is a home for a Space of "+name+", or never will be", func() string {
		err := s.admin.Create(t.Context(), space)
		going := s.admin.Get(t.Context(), client.ObjectKeyFromObject(tenant), tenant) != nil || tenant.DeletionTimestamp != nil
		if going {
			return ""
		}
		return complaint(err)
	})
	eventually(t, "the Space of "+name+" is ready or gone", func() string {
		err := s.admin.Get(t.Context(), client.ObjectKeyFromObject(space), space)
		if err == nil && conditionOf(space, v1alpha1.ConditionReady).Status != "True" {
			return fmt.Sprintf("%+v", space.Status)
		}
		return complaint(client.IgnoreNotFound(err))
	})
	if err := s.admin.Delete(t.Context(), tenant); client.IgnoreNotFound(err) != nil {
		t.Fatal(err)
	}
	s.gone(t, space, tenant)
}
