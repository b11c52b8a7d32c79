package quota

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
)

// check the promise for this moment: no Space has or may take more than the ledger holds for it, and the ledger holds no
// more than the tenant has, or had when its quota was cut.
func (m *model) check() error {
	held := map[string]corev1.ResourceList{}
	for _, e := range m.ledger {
		held[e.Space] = e.Held
	}
	for _, key := range modelKeys {
		var sum int64
		for _, l := range held {
			sum += whole(l, key)
		}
		m.bound[key] = max(m.total[key], min(m.bound[key], sum))
		if sum > m.bound[key] {
			return fmt.Errorf("%s: the ledger holds %d of %d", key, sum, m.bound[key])
		}
		for name, s := range m.spaces {
			if q := s.quota; q != nil {
				may := max(whole(q.Spec.Hard, key), whole(q.Status.Hard, key), whole(q.Status.Used, key))
				if may > whole(held[name], key) {
					return fmt.Errorf("%s: %s may take %d, the ledger holds %d", key, name, may, whole(held[name], key))
				}
			}
		}
	}
	return nil
}

// fair is who should have what at rest, in the plainest words.
func (m *model) fair() error {
	for _, key := range modelKeys {
		var given, even int64
		short, least, most := false, int64(1<<40), int64(0)
		for name, s := range m.spaces {
			if s.gone {
				continue
			}
			hard := whole(s.quota.Spec.Hard, key)
			given += hard
			q, explicit := s.wanted[key]
			switch {
			case explicit && hard > q.Value():
				return fmt.Errorf("%s has %d %s and asked for %d", name, hard, key, q.Value())
			case explicit:
				short = short || hard < q.Value()
			default:
				even++
				least, most = min(least, hard), max(most, hard)
			}
		}
		switch {
		case even > 0 && most-least > 1:
			return fmt.Errorf("%s: even parts from %d to %d", key, least, most)
		case short && even > 0 && most > 0:
			return fmt.Errorf("%s: one who asked has less than asked, and one who did not has %d", key, most)
		case (short || even > 0) && given != m.total[key]:
			return fmt.Errorf("%s: %d of %d are given, and somebody could use more", key, given, m.total[key])
		}
	}
	return nil
}
