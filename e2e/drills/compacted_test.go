package drills_test

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"syscall"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/internal/run"
)

// Promise: the controllers may be cut off for so long that what they would go on from is compacted away. The API server
// tells them so (410 Gone, in its own words), and they begin with what there is: what changed meanwhile is enforced, and
// what was deleted is gone.
func TestCompacted(t *testing.T) {
	t.Parallel()
	g := newGround(t)
	cut := &cutOff{}
	controllers := g.start(t, func(o *run.Options) { between(o, cut.roundTrip) })
	g.ready(t, platform())
	changed, deleted := newTenant("changed"), newTenant("deleted")
	must(t, g.admin.Create(t.Context(), changed))
	must(t, g.admin.Create(t.Context(), deleted))
	g.ready(t, changed, deleted)
	kept, removed := newSpace("changed", "kept"), newSpace("changed", "removed")
	must(t, g.admin.Create(t.Context(), kept))
	must(t, g.admin.Create(t.Context(), removed))
	g.ready(t, kept, removed)

	cut.off.Store(true)
	g.killAPIServer(t) // and with it every watch that is open
	g.back(t)
	g.edit(t, changed, func() {
		changed.Spec.Owners = append(changed.Spec.Owners, v1alpha1.Owner{Kind: "Group", Name: "changed-team"})
	})
	must(t, g.admin.Delete(t.Context(), deleted))
	must(t, g.admin.Delete(t.Context(), removed))
	added := newSpace("changed", "added")
	must(t, g.admin.Create(t.Context(), added))
	g.compact(t)
	g.killAPIServer(t) // its watch caches begin anew, after what was compacted
	g.back(t)
	if n := cut.told.Load(); n > 0 {
		t.Fatalf("%d watches were told 410 before the controllers were back", n)
	}
	cut.off.Store(false)

	g.gone(t, deleted, removed)
	g.ready(t, changed, kept, added)
	if cut.told.Load() == 0 {
		t.Error("no watch was told 410 Gone: the test holds less than it says")
	}
	t.Logf("%d watches were told 410 Gone", cut.told.Load())
	controllers.stop(t)
}

// back waits until the API server answers again.
func (g *ground) back(t *testing.T) {
	t.Helper()
	eventually(t, "the API server is back", func() string {
		return complaint(g.admin.Get(t.Context(), client.ObjectKey{Name: v1alpha1.PlatformName}, &v1alpha1.Platform{}))
	})
}

// compact has etcd forget all revisions before its newest.
func (g *ground) compact(t *testing.T) {
	t.Helper()
	now, err := g.store.Get(t.Context(), registry, clientv3.WithPrefix(), clientv3.WithCountOnly())
	must(t, err)
	_, err = g.store.Compact(t.Context(), now.Header.GetRevision(), clientv3.WithCompactPhysical())
	must(t, err)
}

// cutOff is a transport that lets nothing through while it is off, and otherwise hears who is told that it comes too late.
type cutOff struct {
	off  atomic.Bool
	told atomic.Int64
}

// errCutOff is what a server that is away says: informers then ask again for what they missed, and do not begin anew.
var errCutOff = &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}

func (c *cutOff) roundTrip(r *http.Request, next http.RoundTripper) (*http.Response, error) {
	if c.off.Load() {
		return nil, errCutOff
	}
	response, err := next.RoundTrip(r)
	if err != nil || r.URL.Query().Get("watch") == "" {
		return response, err
	}
	if response.StatusCode == http.StatusGone {
		c.told.Add(1)
	}
	response.Body = &overheard{ReadCloser: response.Body, told: &c.told}
	return response, nil
}

// overheard is the body of a watch, in which the API server says within an event that it comes too late.
type overheard struct {
	io.ReadCloser

	told *atomic.Int64
}

// Read listens.
func (o *overheard) Read(into []byte) (int, error) {
	n, err := o.ReadCloser.Read(into)
	if bytes.Contains(into[:n], []byte("too old resource version")) {
		o.told.Add(1)
	}
	return n, err
}
