package apply

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/event"
)

// Promise: a reconciler is woken by all writes but its own, and knows what its own have made obsolete; what is
// forgotten wakes it.
func TestEcho(t *testing.T) {
	clock := clocktesting.NewFakePassiveClock(time.Unix(100, 0))
	tracker := NewWriteTracker(clock)
	object := func(uid, version string) *corev1.ConfigMap {
		return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{UID: types.UID(uid), ResourceVersion: version}}
	}
	own := func(uid, version string) bool {
		return !tracker.ByOthers().Update(event.UpdateEvent{ObjectOld: object(uid, "0"), ObjectNew: object(uid, version)})
	}
	tracker.note(version{}, versionOf(object("a", "1")))
	tracker.note(versionOf(object("a", "1")), versionOf(object("a", "2")))
	tracker.note(versionOf(object("b", "3")), versionOf(object("b", "3"))) // changed nothing

	for _, c := range []struct {
		uid, version string
		own, stale   bool
	}{
		{"a", "1", true, true}, {"a", "2", true, false}, {"a", "4", false, false}, {"b", "3", false, false}, {"c", "1", false, false},
	} {
		if got := own(c.uid, c.version); got != c.own {
			t.Errorf("%s at %s: own %v, want %v", c.uid, c.version, got, c.own)
		}
		if got := tracker.Stale(object(c.uid, c.version)); got != c.stale {
			t.Errorf("%s at %s: stale %v, want %v", c.uid, c.version, got, c.stale)
		}
	}
	if !tracker.ByOthers().Delete(event.DeleteEvent{Object: object("a", "2")}) {
		t.Error("a deletion goes unnoticed")
	}
	for range 2 {
		clock.SetTime(clock.Now().Add(settle + time.Second))
		tracker.note(version{}, versionOf(object("d", clock.Now().String())))
	}
	if own("a", "2") || tracker.Stale(object("a", "1")) {
		t.Error("nothing is forgotten: memory would grow without bound")
	}
	var none *WriteTracker
	if none.Stale(object("a", "1")) || !none.ByOthers().Create(event.CreateEvent{Object: object("a", "1")}) {
		t.Error("a nil WriteTracker knows something")
	}
}
