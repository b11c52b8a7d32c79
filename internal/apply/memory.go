package apply

import (
	"encoding/json"
	"hash/fnv"
	"sync"
	"time"

	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// settle is how long after a write the cache is not trusted to have seen it. Watches deliver within milliseconds; an
// API server that lags longer only costs a write that changes nothing.
const settle = 5 * time.Second

// memory is what this process last made of each object. It separates a change of the rendering from tampering,
// and guards against writing twice because the cache lags. Losing it, by a restart, costs nothing but that knowledge.
type memory struct {
	clock clock.PassiveClock
	mu    sync.Mutex
	// byNamespace lets a whole namespace be forgotten at once; cluster-scoped objects are under "".
	byNamespace map[string]map[objectID]record
}

type objectID struct{ kind, name string }

type record struct {
	// rendered is the hash of the rendering that was last seen in place.
	rendered uint64
	// written is when this process last wrote the object; zero when it was only looked at.
	written time.Time
}

func newMemory(clk clock.PassiveClock) *memory {
	return &memory{clock: clk, byNamespace: map[string]map[objectID]record{}}
}

func (m *memory) remember(want client.Object, wrote bool) {
	hash := hashOf(want)
	m.mu.Lock()
	defer m.mu.Unlock()
	objects := m.byNamespace[want.GetNamespace()]
	if objects == nil {
		objects = map[objectID]record{}
		m.byNamespace[want.GetNamespace()] = objects
	}
	r := objects[idOf(want)]
	r.rendered = hash
	if wrote {
		r.written = m.clock.Now()
	}
	objects[idOf(want)] = r
}

// same reports whether the very same rendering was in place before, so that a difference is tampering.
func (m *memory) same(want client.Object) bool {
	hash := hashOf(want)
	m.mu.Lock()
	defer m.mu.Unlock()
	r, ok := m.byNamespace[want.GetNamespace()][idOf(want)]
	return ok && r.rendered == hash
}

// fresh reports whether this process wrote the object so recently that the cache may lag.
func (m *memory) fresh(obj client.Object) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	r, ok := m.byNamespace[obj.GetNamespace()][idOf(obj)]
	return ok && m.clock.Since(r.written) < settle
}

func (m *memory) forget(obj client.Object) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.byNamespace[obj.GetNamespace()], idOf(obj))
	if kindOf(obj) == "Namespace" {
		delete(m.byNamespace, obj.GetName())
	}
}

func idOf(obj client.Object) objectID { return objectID{kindOf(obj), obj.GetName()} }

// hashOf identifies a rendering; JSON of an API object has sorted map keys and so is stable. An object that cannot be
// encoded cannot be written either, so the error shows there.
func hashOf(obj client.Object) uint64 {
	h := fnv.New64a()
	if err := json.NewEncoder(h).Encode(obj); err != nil {
		return 0
	}
	return h.Sum64()
}
