package quota

import (
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	quotav1 "k8s.io/apiserver/pkg/quota/v1"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
)

// plain is Split once more, in the arithmetic of lists that Kubernetes' quota controller uses: a line for each rule of Split's
// comment. It takes eight times as long (BenchmarkSplit), so it is the measure and not the code.
type plain struct {
	total, strangers corev1.ResourceList
	rows             []plainRow
}

type plainRow struct {
	Share
	wanted, hard, covered, target, granted corev1.ResourceList
}

func plainSplit(total corev1.ResourceList, ledger []v1alpha1.LedgerEntry, shares []Share) Division {
	s := plain{total: counted(total, total, false)}
	held := map[string]corev1.ResourceList{}
	for _, e := range ledger {
		held[e.Space] = e.Held
	}
	for _, share := range shares {
		if !share.Gone {
			r := plainRow{Share: share, wanted: counted(share.Wanted, s.total, false)}
			r.stand(counted(held[share.Space], s.total, true), s.total)
			s.rows = append(s.rows, r)
		}
		delete(held, share.Space)
	}
	for _, list := range held {
		s.strangers = quotav1.Add(s.strangers, counted(list, s.total, true))
	}
	s.target()
	s.grant()
	return s.division(held)
}

// stand finds what must be held for a Space.
func (r *plainRow) stand(held, total corev1.ResourceList) {
	r.covered = held
	if r.Quota == nil {
		return
	}
	r.hard = counted(r.Quota.Spec.Hard, total, true)
	enforced := counted(r.Quota.Status.Hard, total, true)
	unsure := quotav1.Max(held, enforced)
	maps.DeleteFunc(unsure, func(key corev1.ResourceName, _ resource.Quantity) bool {
		granted, named := r.hard[key]
		now, known := enforced[key]
		return named && known && now.Cmp(granted) == 0
	})
	r.covered = quotav1.Max(unsure, quotav1.Max(r.hard, counted(r.Quota.Status.Used, total, true)))
}

func (s *plain) free(counts func(*plainRow) bool) corev1.ResourceList {
	taken := s.strangers
	for i := range s.rows {
		if counts(&s.rows[i]) {
			taken = quotav1.Add(taken, s.rows[i].covered)
		}
	}
	return quotav1.SubtractWithNonNegativeResult(s.total, taken)
}

func (s *plain) target() {
	left := s.free(func(r *plainRow) bool { return r.Leaving })
	give := func(amount func(*plainRow) corev1.ResourceList) {
		for i := range s.rows {
			if r := &s.rows[i]; !r.Leaving {
				part := least(amount(r), left)
				r.target, left = quotav1.Add(r.target, part), quotav1.Subtract(left, part)
			}
		}
	}
	give(func(r *plainRow) corev1.ResourceList { return least(r.wanted, r.hard) })
	give(func(r *plainRow) corev1.ResourceList { return quotav1.Subtract(r.wanted, r.target) })
	part, unit := corev1.ResourceList{}, corev1.ResourceList{}
	for key, q := range left {
		spaces := int64(0)
		for i := range s.rows {
			if _, named := s.rows[i].wanted[key]; !named && !s.rows[i].Leaving {
				spaces++
			}
		}
		if spaces > 0 {
			c := column{key: key, format: q.Format}
			part[key] = c.quantity(Amount(key, q) / spaces / unitOf(key) * unitOf(key))
			unit[key] = c.quantity(unitOf(key))
		}
	}
	for _, list := range []corev1.ResourceList{part, unit} {
		give(func(r *plainRow) corev1.ResourceList {
			return quotav1.Mask(list, quotav1.Difference(quotav1.ResourceNames(list), quotav1.ResourceNames(r.wanted)))
		})
	}
}

func (s *plain) grant() {
	free := s.free(func(*plainRow) bool { return true })
	for i := range s.rows {
		if r := &s.rows[i]; !r.Leaving {
			more := least(quotav1.SubtractWithNonNegativeResult(r.target, r.covered), free)
			r.granted, free = quotav1.Add(least(r.target, r.covered), more), quotav1.Subtract(free, more)
		}
	}
}

func (s *plain) division(strangers map[string]corev1.ResourceList) Division {
	d, sum, none := Division{}, s.strangers, quotav1.Subtract(s.total, s.total)
	for space, list := range strangers {
		d.Ledger = append(d.Ledger, v1alpha1.LedgerEntry{Space: space, Held: list})
	}
	for i := range s.rows {
		r := &s.rows[i]
		holds := quotav1.Max(none, quotav1.Max(r.covered, r.granted))
		sum = quotav1.Add(sum, holds)
		d.Ledger = append(d.Ledger, v1alpha1.LedgerEntry{Space: r.Space, Held: holds})
		if !r.Leaving {
			d.Grants = append(d.Grants, Grant{Space: r.Space, Hard: quotav1.Max(none, r.granted)})
		}
	}
	slices.SortFunc(d.Ledger, func(a, b v1alpha1.LedgerEntry) int { return cmp.Compare(a.Space, b.Space) })
	if within, beyond := quotav1.LessThanOrEqual(sum, s.total); !within {
		d.Exceeded = beyond
		slices.Sort(d.Exceeded)
	}
	return d
}

// counted is what a list has of the resources of a total, in whole units.
func counted(list, total corev1.ResourceList, up bool) corev1.ResourceList {
	result := corev1.ResourceList{}
	for key, q := range list {
		if of, named := total[key]; named {
			c := column{key: key, format: of.Format}
			result[key] = c.quantity(amountOf(key, q, up))
		}
	}
	return result
}

// least is the smaller amount of each resource of a. What b lacks is none.
func least(a, b corev1.ResourceList) corev1.ResourceList {
	result := maps.Clone(a)
	for key, q := range a {
		if other := b[key]; other.Cmp(q) < 0 {
			result[key] = other
		}
	}
	return result
}

// someList has random amounts of some resources, fractions and what the total does not name among them.
func someList(r *rand.Rand) corev1.ResourceList {
	l := corev1.ResourceList{}
	for _, key := range []corev1.ResourceName{"pods", "requests.cpu", "limits.memory", "count/secrets", "gold"} {
		if r.IntN(3) > 0 {
			l[key] = *resource.NewMilliQuantity([]int64{0, 1500, 1000 * r.Int64N(12), r.Int64N(1 << 40)}[r.IntN(4)], resource.DecimalSI)
		}
	}
	return l
}

// Promise: Split grants and holds what the arithmetic of Kubernetes' quota controller comes to, whatever was asked, held, granted,
// enforced and used.
func TestSplitAgreesWithListArithmetic(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 9))
	for range 3000 {
		total := someList(r)
		delete(total, "gold")
		var ledger []v1alpha1.LedgerEntry
		var shares []Share
		for i := range r.IntN(6) {
			name := fmt.Sprintf("s%d", i)
			if r.IntN(2) == 0 {
				ledger = append(ledger, v1alpha1.LedgerEntry{Space: name, Held: someList(r)})
			}
			if r.IntN(5) == 0 {
				continue
			}
			share := Share{Space: name, Wanted: someList(r), Leaving: r.IntN(5) == 0, Gone: r.IntN(8) == 0}
			if r.IntN(4) > 0 {
				share.Quota = &corev1.ResourceQuota{Spec: corev1.ResourceQuotaSpec{Hard: someList(r)}}
				share.Quota.Status = corev1.ResourceQuotaStatus{Hard: share.Quota.Spec.Hard, Used: someList(r)}
				if r.IntN(3) == 0 {
					share.Quota.Status.Hard = someList(r)
				}
			}
			shares = append(shares, share)
		}
		got, want := Split(total, ledger, shares), plainSplit(total, ledger, shares)
		for i := range got.Grants {
			got.Grants[i].Shortages = nil
		}
		if diff := gocmp.Diff(want, got); diff != "" {
			t.Fatalf("Split(%v, %v, %+v): (-plain +split)\n%s", total, ledger, shares, diff)
		}
	}
}
