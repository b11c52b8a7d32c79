package quota

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	quotav1 "k8s.io/apiserver/pkg/quota/v1"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
)

// model is one tenant on an API server, in as many small steps as reality has: each read, each write and each action of
// the quota controller or of a tenant is a step of its own, and a pass of the controller may die between any two.
type model struct {
	r     *rand.Rand
	fault fault

	total   map[corev1.ResourceName]int64
	version int // of the Tenant object
	ledger  []v1alpha1.LedgerEntry
	spaces  map[string]*modelSpace
	pass    *modelPass
	// bound is what may be held: the total, or what was held when the total was cut, until that is freed.
	bound map[corev1.ResourceName]int64
	// past copies of the quotas, for controllers that read old ones.
	past []map[string]*corev1.ResourceQuota
}

type modelSpace struct {
	wanted        corev1.ResourceList
	quota         *corev1.ResourceQuota
	leaving, gone bool
}

// modelPass is a pass of the controller under way.
type modelPass struct {
	version int
	ledger  []v1alpha1.LedgerEntry
	total   corev1.ResourceList
	shares  []Share
	unread  []int
	result  *Division
	wrote   bool
	writes  []Grant
	changed bool
}

// fault is a way to get the protocol wrong, to see that the model notices.
type fault int

const (
	none fault = iota
	quotaBeforeLedger
	ledgerWithoutVersion
	staleQuotas
	releaseUnseen
	forgetGone
)

var modelKeys = []corev1.ResourceName{"pods", "count/widgets.example.com"}

func newModel(seed uint64, f fault) *model {
	m := &model{
		r: rand.New(rand.NewPCG(seed, 7)), fault: f, total: map[corev1.ResourceName]int64{},
		spaces: map[string]*modelSpace{}, bound: map[corev1.ResourceName]int64{},
	}
	for _, key := range modelKeys {
		m.total[key] = 5 + m.r.Int64N(20)
	}
	return m
}

func amounts(m map[corev1.ResourceName]int64) corev1.ResourceList {
	l := corev1.ResourceList{}
	for key, n := range m {
		l[key] = *resource.NewQuantity(n, resource.DecimalSI)
	}
	return l
}

func whole(l corev1.ResourceList, key corev1.ResourceName) int64 {
	q := l[key]
	return q.Value()
}

// environment does one thing that is not the controller's.
func (m *model) environment() {
	names := slices.Sorted(maps.Keys(m.spaces))
	switch m.r.IntN(12) {
	case 0:
		name := string(rune('a' + m.r.IntN(5)))
		if s := m.spaces[name]; s == nil || s.gone {
			m.spaces[name] = &modelSpace{wanted: m.wish()}
		}
		return
	case 1:
		key := modelKeys[m.r.IntN(len(modelKeys))]
		m.total[key] = m.r.Int64N(25)
		m.version++
		return
	}
	if len(names) == 0 {
		return
	}
	s := m.spaces[names[m.r.IntN(len(names))]]
	switch m.r.IntN(8) {
	case 0:
		s.wanted = m.wish()
	case 1:
		s.leaving = s.leaving || m.r.IntN(3) == 0
	case 2:
		if s.leaving {
			s.gone, s.quota = true, nil
		}
	case 3, 4:
		s.sync()
	default:
		m.tenant(s)
	}
}

func (m *model) wish() corev1.ResourceList {
	l := corev1.ResourceList{}
	for _, key := range modelKeys {
		if m.r.IntN(3) == 0 {
			l[key] = *resource.NewQuantity(m.r.Int64N(15), resource.DecimalSI)
		}
	}
	return l
}

// sync is the quota controller: it copies spec.hard to status.hard.
func (s *modelSpace) sync() {
	if s.quota == nil {
		return
	}
	s.quota.Status.Hard = s.quota.Spec.Hard.DeepCopy()
	for key := range s.quota.Spec.Hard {
		if _, known := s.quota.Status.Used[key]; !known {
			if s.quota.Status.Used == nil {
				s.quota.Status.Used = corev1.ResourceList{}
			}
			s.quota.Status.Used[key] = *resource.NewQuantity(0, resource.DecimalSI)
		}
	}
}

// tenant creates up to what status.hard allows, as the API server's admission does, or deletes. It has no rights before
// status.hard is there.
func (m *model) tenant(s *modelSpace) {
	if s.quota == nil || s.quota.Status.Hard == nil {
		return
	}
	key := modelKeys[m.r.IntN(len(modelKeys))]
	used, more := whole(s.quota.Status.Used, key), 1+m.r.Int64N(8)
	if m.r.IntN(3) == 0 {
		used = max(used-more, 0)
	} else if used+more <= whole(s.quota.Status.Hard, key) {
		used += more
	}
	s.quota.Status.Used[key] = *resource.NewQuantity(used, resource.DecimalSI)
}

// controller does the next step of its pass, and tells whether a pass ended and whether it changed anything.
func (m *model) controller() (ended, changed bool) {
	p := m.pass
	switch {
	case p == nil:
		m.read()
	case len(p.unread) > 0:
		i := p.unread[0]
		p.unread = p.unread[1:]
		p.shares[i].Quota = m.readQuota(p.shares[i].Space)
	case p.result == nil:
		d := Split(p.total, p.ledger, p.shares)
		if m.fault == releaseUnseen { // as if what is written were enforced at once
			for i := range p.shares {
				if q := p.shares[i].Quota; q != nil {
					q.Status.Hard = q.Spec.Hard
				}
			}
			d = Split(p.total, p.ledger, p.shares)
		}
		p.result, p.writes = &d, d.Grants
	case !p.wrote && (m.fault != quotaBeforeLedger || len(p.writes) == 0):
		p.wrote = true
		if same(p.ledger, p.result.Ledger) {
			break
		}
		if p.version != m.version && m.fault != ledgerWithoutVersion {
			m.pass = nil // a conflict ends the pass
			return true, true
		}
		p.changed = true
		m.ledger = p.result.Ledger
		m.version++
	case len(p.writes) > 0:
		g := p.writes[0]
		p.writes = p.writes[1:]
		p.changed = m.write(g) || p.changed
	default:
		m.pass = nil
		return true, p.changed
	}
	return false, false
}

func (m *model) read() {
	p := &modelPass{version: m.version, ledger: m.ledger, total: amounts(m.total)}
	for _, name := range slices.Sorted(maps.Keys(m.spaces)) {
		s := m.spaces[name]
		p.shares = append(p.shares, Share{Space: name, Wanted: s.wanted, Leaving: s.leaving, Gone: s.gone})
		p.unread = append(p.unread, len(p.unread))
	}
	if m.fault == forgetGone {
		p.ledger = slices.DeleteFunc(slices.Clone(p.ledger), func(e v1alpha1.LedgerEntry) bool {
			return m.spaces[e.Space] != nil && m.spaces[e.Space].leaving
		})
		p.shares = slices.DeleteFunc(p.shares, func(s Share) bool { return s.Leaving })
		p.unread = p.unread[:len(p.shares)]
	}
	m.pass = p
}

func (m *model) readQuota(name string) *corev1.ResourceQuota {
	if m.fault == staleQuotas && len(m.past) > 0 {
		return m.past[m.r.IntN(len(m.past))][name].DeepCopy()
	}
	if s := m.spaces[name]; s != nil {
		return s.quota.DeepCopy()
	}
	return nil
}

func (m *model) write(g Grant) bool {
	s := m.spaces[g.Space]
	if s == nil || s.gone {
		return false
	}
	if s.quota == nil {
		s.quota = &corev1.ResourceQuota{}
	}
	if quotav1.Equals(s.quota.Spec.Hard, g.Hard) {
		return false
	}
	s.quota.Spec.Hard = g.Hard.DeepCopy()
	return true
}

func same(a, b []v1alpha1.LedgerEntry) bool {
	return slices.EqualFunc(a, b, func(x, y v1alpha1.LedgerEntry) bool {
		return x.Space == y.Space && quotav1.Equals(x.Held, y.Held)
	})
}

// walk at random.
func (m *model) walk(steps int) error {
	for step := range steps {
		if m.r.IntN(2) == 0 {
			m.environment()
		} else {
			m.controller()
		}
		if m.r.IntN(40) == 0 {
			m.pass = nil // it dies
		}
		m.past = append(m.past, map[string]*corev1.ResourceQuota{})
		for name, s := range m.spaces {
			m.past[len(m.past)-1][name] = s.quota.DeepCopy()
		}
		m.past = m.past[max(0, len(m.past)-30):]
		if err := m.check(); err != nil {
			return fmt.Errorf("step %d: %w", step, err)
		}
	}
	return nil
}

// settle lets the controllers work while the tenant only deletes what is beyond its grant.
func (m *model) settle() error {
	for range 200 {
		idle := true
		for _, s := range m.spaces {
			if s.leaving && !s.gone {
				s.gone, s.quota = true, nil
			}
			s.sync()
			if s.quota == nil {
				continue
			}
			for key, hard := range s.quota.Status.Hard {
				if whole(s.quota.Status.Used, key) > hard.Value() {
					s.quota.Status.Used[key] = hard
				}
			}
		}
		for ended := false; !ended; {
			var changed bool
			ended, changed = m.controller()
			idle = idle && !changed
			if err := m.check(); err != nil {
				return err
			}
		}
		if idle {
			return m.fair()
		}
	}
	return fmt.Errorf("it never comes to rest")
}

// Promise: through any interleaving of the controller's steps and deaths with Spaces that come and go, wishes and quotas
// that change, and tenants that take all they can get, the Spaces never have or may take more than the tenant's quota; and
// left in peace, everyone comes to have its share.
func TestLedgerModel(t *testing.T) {
	walks := uint64(200)
	if testing.Short() {
		walks = 50
	}
	for seed := range walks {
		m := newModel(seed, none)
		if err := m.walk(400); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		m.pass = nil
		if err := m.settle(); err != nil {
			t.Fatalf("seed %d: at rest: %v", seed, err)
		}
	}
}

// Promise: the model notices each rule of the protocol being broken. (It would be worth nothing if it did not.)
func TestLedgerModelNoticesFaults(t *testing.T) {
	for name, f := range map[string]fault{
		"quotas are written before the ledger":            quotaBeforeLedger,
		"the ledger is written over a newer one":          ledgerWithoutVersion,
		"quotas are read from the past":                   staleQuotas,
		"what is written counts as enforced":              releaseUnseen,
		"Spaces that are being removed are no longer met": forgetGone,
	} {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(400) {
				if newModel(seed, f).walk(400) != nil {
					return
				}
			}
			t.Error("no walk shows it")
		})
	}
}
