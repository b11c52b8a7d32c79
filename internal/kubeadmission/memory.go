package kubeadmission

import "sync"

// memory keeps what admission said of requests from one proof of a cluster to the next one, most of which asks the same. An answer is found
// again by all that it depends on, so it holds whatever else changed. What two proofs did not ask for is forgotten.
type memory struct {
	mu   sync.Mutex
	last *answers
}

// answers of one proof.
type answers struct {
	contents sync.Map // digest of JSON to *content
	prepared sync.Map // stageKey to *stage
	judged   sync.Map // judgeKey to *judgement
	secured  sync.Map // securityKey to string
}

// recall is the memory of one proof: it reads what the proof before it was answered, and keeps what it asks for itself.
type recall struct{ now, before *answers }

// next begins a proof.
func (m *memory) next() *recall {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := &recall{now: &answers{}, before: m.last}
	if r.before == nil {
		r.before = &answers{}
	}
	m.last = r.now
	return r
}

// find returns what is remembered of a key, and keeps it for the next proof.
func find(now, before *sync.Map, key any) (any, bool) {
	if known, found := now.Load(key); found {
		return known, true
	}
	known, found := before.Load(key)
	if found {
		known, _ = now.LoadOrStore(key, known)
	}
	return known, found
}
