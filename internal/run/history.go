package run

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
)

// history ends the process when the API server's store has gone back in time: when etcd was restored from an older
// snapshot. Watches do not notice. They go on from a revision that is still to come, so the caches would show what is no
// more, without end, and miss what happens until that revision. A new process begins with what there is.
type history struct {
	live client.Reader
	// every so often it is looked at.
	every time.Duration
}

// NeedLeaderElection is false: a process that stands by has caches too.
func (h *history) NeedLeaderElection() bool { return false }

// Start looks until ctx ends, or with an error when the store went back. An API server that does not answer is no error.
func (h *history) Start(ctx context.Context) error {
	ticker := time.NewTicker(h.every)
	defer ticker.Stop()
	newest := int64(0)
	for {
		if now, err := h.revision(ctx); err == nil {
			if now < newest {
				return fmt.Errorf("the API server's store has gone back from revision %d to %d: etcd was restored from a snapshot, "+
					"so what is cached may never have been; start again to read what there is", newest, now)
			}
			newest = now
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// revision of the store, which every list carries.
func (h *history) revision(ctx context.Context) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, h.every)
	defer cancel()
	list := &v1alpha1.PlatformList{}
	if err := h.live.List(ctx, list); err != nil {
		return 0, fmt.Errorf("look at the store's revision: %w", err)
	}
	revision, err := strconv.ParseInt(list.ResourceVersion, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("look at the store's revision: %w", err)
	}
	return revision, nil
}
