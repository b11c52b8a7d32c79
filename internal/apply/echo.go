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

// Echo knows which versions of objects this process has made and which it has made obsolete, for the few seconds in
// which that matters. By it a reconciler does not run because of what it wrote itself, and does not run on what the
// cache still holds of before. Both save work and nothing else: what is forgotten costs a pass that changes nothing. A
// nil Echo knows nothing.
type Echo struct {
	clock clock.PassiveClock

	mu     sync.Mutex
	turned time.Time
	// made and obsolete versions, in this turn and the one before.
	made, obsolete [2]map[version]struct{}
}

// version of an object, which no other object and no later state of it shares.
type version struct{ uid, resourceVersion string }

func versionOf(obj client.Object) version {
	return version{string(obj.GetUID()), obj.GetResourceVersion()}
}

// NewEcho makes an Echo that knows of no write yet.
func NewEcho(clk clock.PassiveClock) *Echo {
	e := &Echo{clock: clk}
	e.turn()
	e.turn()
	return e
}

// turn forgets what is older than a turn.
func (e *Echo) turn() {
	e.turned = e.clock.Now()
	e.made = [2]map[version]struct{}{{}, e.made[0]}
	e.obsolete = [2]map[version]struct{}{{}, e.obsolete[0]}
}

func (e *Echo) note(before, after version) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.clock.Since(e.turned) > settle {
		e.turn()
	}
	if before == after || after.resourceVersion == "" {
		return // a write that changed nothing is no event, and makes nothing obsolete
	}
	e.made[0][after] = struct{}{}
	if before.resourceVersion != "" {
		e.obsolete[0][before] = struct{}{}
	}
}

func (e *Echo) has(in *[2]map[version]struct{}, obj client.Object) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	v := versionOf(obj)
	_, now := in[0][v]
	_, then := in[1][v]
	return now || then
}

// Stale tells whether this process has written the object since the version that is given.
func (e *Echo) Stale(obj client.Object) bool { return e != nil && e.has(&e.obsolete, obj) }

// Foreign lets no event pass that tells a reconciler of its own writes. It must not be put on what other reconcilers of
// this process write and this one waits for.
func (e *Echo) Foreign() predicate.Predicate {
	foreign := func(obj client.Object) bool { return e == nil || !e.has(&e.made, obj) }
	return predicate.Funcs{
		CreateFunc: func(e event.CreateEvent) bool { return foreign(e.Object) },
		UpdateFunc: func(e event.UpdateEvent) bool { return foreign(e.ObjectNew) },
	}
}

// Follow gives a client whose writes the Echo notes.
func (e *Echo) Follow(c client.Client) client.Client { return &followed{c, e} }

type followed struct {
	client.Client
	echo *Echo
}

// written runs a write and notes what it made of the object.
func (f *followed) written(obj client.Object, write func() error) error {
	before := versionOf(obj)
	err := write()
	if err == nil {
		f.echo.note(before, versionOf(obj))
	}
	return err
}

// Create notes the version that it makes.
func (f *followed) Create(ctx context.Context, obj client.Object, opts ...client.CreateOption) error {
	return f.written(obj, func() error { return f.Client.Create(ctx, obj, opts...) })
}

// Update notes the version that it makes.
func (f *followed) Update(ctx context.Context, obj client.Object, opts ...client.UpdateOption) error {
	return f.written(obj, func() error { return f.Client.Update(ctx, obj, opts...) })
}

// Patch notes the version that it makes.
func (f *followed) Patch(ctx context.Context, obj client.Object, patch client.Patch, opts ...client.PatchOption) error {
	return f.written(obj, func() error { return f.Client.Patch(ctx, obj, patch, opts...) })
}

// Apply notes the version that it makes.
func (f *followed) Apply(ctx context.Context, obj runtime.ApplyConfiguration, opts ...client.ApplyOption) error {
	err := f.Client.Apply(ctx, obj, opts...)
	if answer, ok := obj.(client.Object); ok && err == nil {
		f.echo.note(version{}, versionOf(answer))
	}
	return err
}

// Status notes the versions that its patches make.
func (f *followed) Status() client.SubResourceWriter {
	return &followedStatus{f.Client.Status(), f}
}

type followedStatus struct {
	client.SubResourceWriter
	followed *followed
}

// Patch notes the version that it makes.
func (f *followedStatus) Patch(ctx context.Context, obj client.Object, patch client.Patch, opts ...client.SubResourcePatchOption) error {
	return f.followed.written(obj, func() error { return f.SubResourceWriter.Patch(ctx, obj, patch, opts...) })
}
