package apply

import (
	"context"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
)

// WriteTracker remembers for a few seconds which versions of objects this process wrote and which versions those replaced.
// With it a reconciler neither runs because of its own writes nor on what the cache still holds from before them. Both only
// save work: a forgotten version costs a pass that changes nothing. A nil WriteTracker remembers nothing.
type WriteTracker struct {
	clock clock.PassiveClock

	mu     sync.Mutex
	turned time.Time
	// made versions, and those that they replaced, of this turn and the one before.
	made, obsolete [2]map[version]struct{}
}

// version of an object, which no other object and no later state of it shares.
type version struct{ uid, resourceVersion string }

func versionOf(obj client.Object) version {
	return version{string(obj.GetUID()), obj.GetResourceVersion()}
}

// NewWriteTracker makes a WriteTracker that remembers no write yet.
func NewWriteTracker(clk clock.PassiveClock) *WriteTracker {
	t := &WriteTracker{clock: clk}
	t.turn()
	t.turn()
	return t
}

// turn starts a turn and forgets all but the one before.
func (t *WriteTracker) turn() {
	t.turned = t.clock.Now()
	t.made = [2]map[version]struct{}{{}, t.made[0]}
	t.obsolete = [2]map[version]struct{}{{}, t.obsolete[0]}
}

func (t *WriteTracker) note(before, after version) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.clock.Since(t.turned) > settle {
		t.turn()
	}
	if before == after || after.resourceVersion == "" {
		return // a write that changed nothing is no event, and makes nothing obsolete
	}
	t.made[0][after] = struct{}{}
	if before.resourceVersion != "" {
		t.obsolete[0][before] = struct{}{}
	}
}

func (t *WriteTracker) has(in *[2]map[version]struct{}, obj client.Object) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	v := versionOf(obj)
	_, now := in[0][v]
	_, then := in[1][v]
	return now || then
}

// Stale reports whether this process has written the object after the given version.
func (t *WriteTracker) Stale(obj client.Object) bool { return t != nil && t.has(&t.obsolete, obj) }

// ByOthers filters out the events of this process's own writes. It must not filter objects that another reconciler of this
// process writes and this one waits for.
func (t *WriteTracker) ByOthers() predicate.Predicate {
	byOthers := func(obj client.Object) bool { return t == nil || !t.has(&t.made, obj) }
	return predicate.Funcs{
		CreateFunc: func(e event.CreateEvent) bool { return byOthers(e.Object) },
		UpdateFunc: func(e event.UpdateEvent) bool { return byOthers(e.ObjectNew) },
	}
}

// Follow returns a client whose writes the WriteTracker remembers.
func (t *WriteTracker) Follow(c client.Client) client.Client { return &tracked{c, t} }

type tracked struct {
	client.Client
	tracker *WriteTracker
}

// written runs a write and remembers the version that it made.
func (f *tracked) written(obj client.Object, write func() error) error {
	before := versionOf(obj)
	err := write()
	if err == nil {
		f.tracker.note(before, versionOf(obj))
	}
	return err
}

// Create remembers the version that it makes.
func (f *tracked) Create(ctx context.Context, obj client.Object, opts ...client.CreateOption) error {
	return f.written(obj, func() error { return f.Client.Create(ctx, obj, opts...) })
}

// Update remembers the version that it makes.
func (f *tracked) Update(ctx context.Context, obj client.Object, opts ...client.UpdateOption) error {
	return f.written(obj, func() error { return f.Client.Update(ctx, obj, opts...) })
}

// Patch remembers the version that it makes.
func (f *tracked) Patch(ctx context.Context, obj client.Object, patch client.Patch, opts ...client.PatchOption) error {
	return f.written(obj, func() error { return f.Client.Patch(ctx, obj, patch, opts...) })
}

// Apply remembers the version that it makes.
func (f *tracked) Apply(ctx context.Context, obj runtime.ApplyConfiguration, opts ...client.ApplyOption) error {
	err := f.Client.Apply(ctx, obj, opts...)
	if answer, ok := obj.(client.Object); ok && err == nil {
		f.tracker.note(version{}, versionOf(answer))
	}
	return err
}

// Status remembers the versions that its patches make.
func (f *tracked) Status() client.SubResourceWriter {
	return &trackedStatus{f.Client.Status(), f}
}

type trackedStatus struct {
	client.SubResourceWriter
	tracked *tracked
}

// Patch remembers the version that it makes.
func (f *trackedStatus) Patch(ctx context.Context, obj client.Object, patch client.Patch, opts ...client.SubResourcePatchOption) error {
	return f.tracked.written(obj, func() error { return f.SubResourceWriter.Patch(ctx, obj, patch, opts...) })
}
