package finding

import (
	goruntime "runtime"
	"time"

	"k8s.io/apimachinery/pkg/runtime"

	"github.com/bulkhead-dev/bulkhead/parallel"
	"github.com/bulkhead-dev/bulkhead/snapshot"
)

// Options of a proof. The zero value is a proof without a clock and without anything that Bulkhead knows.
type Options struct {
	// Now is the time of the proof. Zero means that of the snapshot.
	Now time.Time
	// Freshness is how old the snapshot may be before every answer from it is Unknown. Zero means any age.
	Freshness time.Duration
	// Workers are how many processors to use; 0 means all. The report is the same with any number.
	Workers int
	// Admission of the snapshot. Where it is nil, what admission would refuse is not known.
	Admission Admission
	// Expected are the objects that Bulkhead would have made for these tenants. Elsewhere there are none, and checks judge by
	// what they find alone.
	Expected []Expected
}

// Expected is an object that must be there, for a control.
type Expected struct {
	Control string
	Object  snapshot.Ref
	// Labels and Annotations that a Namespace must have, since policies read them; nil for other objects.
	Labels, Annotations map[string]string
	// Rendered is an admission policy, or a binding of one, as it must be; nil for other objects.
	Rendered runtime.Object
}

// Input is what every engine judges: a snapshot, the options of the proof, and the owners of namespaces.
type Input struct {
	*snapshot.Snapshot
	Options

	// Owner is the tenant of a namespace; ThePlatform for one that has none.
	Owner map[string]string
}

// NewInput completes the options: the time of the snapshot, and every processor.
func NewInput(s *snapshot.Snapshot, o Options) *Input {
	if o.Now.IsZero() {
		o.Now = s.Time
	}
	if o.Workers <= 0 {
		o.Workers = goruntime.GOMAXPROCS(0)
	}
	in := &Input{Snapshot: s, Options: o, Owner: map[string]string{}}
	for _, t := range s.Tenants {
		for _, ns := range t.Namespaces {
			in.Owner[ns] = t.Name
		}
	}
	return in
}

// Parallel calls f for 0 to n-1, spread over the workers, one at a time each.
func (in *Input) Parallel(n int, f func(i int)) { parallel.Each(in.Workers, n, 1, f) }
