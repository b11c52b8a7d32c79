// Package quota divides a tenant's quota among its Spaces: the ledger's arithmetic. It is pure: Split returns what the ledger
// must hold and what each Space's ResourceQuota must be, and its caller reads and writes them.
package quota

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
)

// Share is what is known of one Space when its tenant's quota is split.
type Share struct {
	// Space by name.
	Space string
	// Wanted is the Space's spec.quota.
	Wanted corev1.ResourceList
	// Quota is the Space's ResourceQuota as the API server has it now; nil when it does not exist.
	Quota *corev1.ResourceQuota
	// Leaving is true for a Space that is being removed: it is given nothing more, and what it has it holds.
	Leaving bool
	// Gone is true when the Space's namespace does not exist and is not going to: what the ledger held for it is free.
	Gone bool
}

// Division is the answer of Split.
type Division struct {
	// Ledger is what Tenant.status.ledger must hold before any grant is written, sorted by Space.
	Ledger []v1alpha1.LedgerEntry
	// Grants, one for each share that is neither Leaving nor Gone, in the order of the shares.
	Grants []Grant
	// Exceeded names the resources of which more is held than the tenant has, as after a cut of its quota. Until it
	// is freed, no Space gets any more of it.
	Exceeded []corev1.ResourceName
}

// Grant is what one Space gets.
type Grant struct {
	// Space by name.
	Space string
	// Hard is what the ResourceQuota's spec.hard must be now.
	Hard corev1.ResourceList
	// Shortages, sorted by resource: what the Space's spec.quota asks for, or its even part, and cannot have now.
	Shortages []Shortage
}

// Shortage is an amount that a Space should have and lacks.
type Shortage struct {
	Resource corev1.ResourceName
	// Wanted by the Space, or its even part; Granted now.
	Wanted, Granted resource.Quantity
	// Why, and what would help.
	Why string
}

// Split divides a tenant's quota over its Spaces.
//
// # Who gets what
//
// A Space gets what its spec.quota names, as far as it goes: what a Space has of it already it keeps, the rest goes
// out in the order of the shares, which should be oldest first. What is left is divided evenly over the Spaces that
// do not name the resource. A Space that must keep an amount whatever siblings come therefore names it.
//
// # What is safe
//
// Whatever happens in between, for every resource, the sum over the Spaces of max(granted, used) never exceeds the
// tenant's quota. The API server admits an object when used stays within status.hard, and the quota controller copies
// spec.hard there some time after it is written. So what a Space can come to use is bounded only by what the ledger
// holds for it:
//
//  1. Growing: the ledger holds the larger amount first, then the ResourceQuota is written.
//  2. Shrinking: the ResourceQuota is written first; the ledger holds the larger amount until status.hard is seen to
//     equal spec.hard. From then on used can only fall above it, and the ledger holds max(hard, used).
//  3. The sum of the ledger never grows beyond the quota.
//
// # What the caller must do
//
// In one pass, and with one pass for a tenant at a time: read the Tenant, then the ResourceQuotas, all from the API
// server itself and not from a cache; call Split; write the ledger, if it differs, with the resourceVersion that was
// read, and end the pass if that fails; only then write the ResourceQuotas that differ. A pass may end anywhere, and
// the next one starts afresh. It is safe to call Split on cached values to see whether anything would be written at all. A write
// whose answer was lost may still arrive: after one, wait for longer than the request's deadline before the next pass.
//
// Entries of the ledger that no share speaks of are held as they are: an entry is given up only for a Space
// that is said to be Gone.
func Split(total corev1.ResourceList, ledger []v1alpha1.LedgerEntry, shares []Share) Division {
	d := Division{}
	held := make(map[string]corev1.ResourceList, len(ledger))
	for _, e := range ledger {
		held[e.Space] = e.Held
	}
	next := make(map[string]corev1.ResourceList, len(shares))
	for i := range shares {
		s := &shares[i]
		if !s.Gone {
			next[s.Space] = make(corev1.ResourceList, len(total))
		}
		if !s.Gone && !s.Leaving {
			d.Grants = append(d.Grants, Grant{Space: s.Space, Hard: make(corev1.ResourceList, len(total))})
		}
	}
	for _, key := range slices.Sorted(maps.Keys(total)) {
		c := newColumn(key, total[key], held, shares)
		c.target()
		c.grant()
		c.write(&d, next)
	}
	known := make(map[string]bool, len(shares))
	for i := range shares {
		known[shares[i].Space] = true
		d.noteUnnamed(&shares[i], total)
	}
	for space, entry := range held {
		if !known[space] {
			next[space] = entry
		}
	}
	for _, space := range slices.Sorted(maps.Keys(next)) {
		d.Ledger = append(d.Ledger, v1alpha1.LedgerEntry{Space: space, Held: next[space]})
	}
	return d
}

// noteUnnamed adds a shortage for what a Space asks for and the tenant's quota does not name.
func (d *Division) noteUnnamed(s *Share, total corev1.ResourceList) {
	for i := range d.Grants {
		g := &d.Grants[i]
		if g.Space != s.Space {
			continue
		}
		for key, wanted := range s.Wanted {
			if _, named := total[key]; !named {
				g.Shortages = append(g.Shortages, Shortage{
					Resource: key, Wanted: wanted, Granted: *resource.NewQuantity(0, wanted.Format),
					Why: fmt.Sprintf("the tenant's quota does not name %s; ask the platform team to add it to the "+
						"Tenant's spec.quota, or take it out of the Space's", key),
				})
			}
		}
		slices.SortFunc(g.Shortages, func(a, b Shortage) int { return cmp.Compare(a.Resource, b.Resource) })
	}
}

// column is one resource of the split, with one row for every Space that may hold some of it. Its amounts are integers: a
// live proof of 10,000 tenants splits as many quotas, and lists (k8s.io/apiserver/pkg/quota/v1) take eight times as long.
type column struct {
	key    corev1.ResourceName
	format resource.Format
	total  int64
	// strangers is what the ledger holds for Spaces that are not among the shares.
	strangers int64
	rows      []row
}

// row is what one Space has of a resource.
type row struct {
	space   string
	leaving bool
	// explicit reports whether the Space names the resource; wanted is how much of it.
	explicit bool
	wanted   int64
	// hard is spec.hard now, and covered what the ledger must hold for what is already granted or used.
	hard, covered int64
	// target is what the Space should have in the end, granted what it gets now.
	target, granted int64
}

func newColumn(key corev1.ResourceName, total resource.Quantity, held map[string]corev1.ResourceList,
	shares []Share,
) *column {
	c := &column{key: key, format: total.Format, total: amountOf(key, total, false)}
	known := make(map[string]bool, len(shares))
	for i := range shares {
		s := &shares[i]
		known[s.Space] = true
		if s.Gone {
			continue
		}
		r := row{space: s.Space, leaving: s.Leaving}
		if q, named := s.Wanted[key]; named {
			r.explicit, r.wanted = true, amountOf(key, q, false)
		}
		r.hard, r.covered = standing(key, s.Quota, held[s.Space])
		c.rows = append(c.rows, r)
	}
	for space, entry := range held {
		if q, named := entry[key]; named && !known[space] {
			c.strangers = add(c.strangers, amountOf(key, q, true))
		}
	}
	return c
}

// standing is what a Space is granted, and what must be held for it: max(hard, used) when the API server is known to
// enforce what is granted, and else whatever it may still enforce, which the ledger bounds.
func standing(key corev1.ResourceName, quota *corev1.ResourceQuota, ledger corev1.ResourceList) (hard, covered int64) {
	amount := func(list corev1.ResourceList) (int64, bool) {
		q, named := list[key]
		return amountOf(key, q, true), named
	}
	held, _ := amount(ledger)
	if quota == nil {
		return 0, held
	}
	hard, granted := amount(quota.Spec.Hard)
	enforced, known := amount(quota.Status.Hard)
	used, _ := amount(quota.Status.Used)
	if granted && known && enforced == hard {
		return hard, max(hard, used)
	}
	return hard, max(held, hard, enforced, used)
}

// target divides what Spaces that leave, and strangers, do not hold.
func (c *column) target() {
	taken := c.strangers
	for i := range c.rows {
		if c.rows[i].leaving {
			taken = add(taken, c.rows[i].covered)
		}
	}
	left := max(c.total-taken, 0)
	give := func(r *row, amount int64) {
		amount = min(amount, left)
		r.target += amount
		left -= amount
	}
	var even []*row
	for i := range c.rows {
		if r := &c.rows[i]; r.explicit && !r.leaving {
			give(r, min(r.wanted, r.hard))
		} else if !r.leaving {
			even = append(even, r)
		}
	}
	for i := range c.rows {
		if r := &c.rows[i]; r.explicit && !r.leaving {
			give(r, r.wanted-r.target)
		}
	}
	if len(even) == 0 {
		return
	}
	unit := unitOf(c.key)
	part := left / int64(len(even)) / unit * unit
	for _, r := range even {
		give(r, part)
	}
	for _, r := range even {
		give(r, unit) // what did not divide evenly
	}
}

// grant shrinks every Space that has more than its target, and lets the others grow by what no Space holds.
func (c *column) grant() {
	taken := c.strangers
	for i := range c.rows {
		taken = add(taken, c.rows[i].covered)
	}
	free := max(c.total-taken, 0)
	for i := range c.rows {
		r := &c.rows[i]
		switch {
		case r.leaving:
		case r.target <= r.covered:
			r.granted = r.target
		default:
			more := min(r.target-r.covered, free)
			r.granted = r.covered + more
			free -= more
		}
	}
}

// write puts the column into the division and the next ledger.
func (c *column) write(d *Division, next map[string]corev1.ResourceList) {
	sum, grants := c.strangers, d.Grants
	for i := range c.rows {
		r := &c.rows[i]
		holds := max(r.covered, r.granted)
		sum = add(sum, holds)
		next[r.space][c.key] = c.quantity(holds)
		if r.leaving {
			continue
		}
		g := &grants[0]
		grants = grants[1:]
		g.Hard[c.key] = c.quantity(r.granted)
		if why := c.shortage(r); why != "" {
			g.Shortages = append(g.Shortages, Shortage{
				Resource: c.key, Wanted: c.quantity(max(r.target, r.wanted)), Granted: c.quantity(r.granted), Why: why,
			})
		}
	}
	if sum > c.total {
		d.Exceeded = append(d.Exceeded, c.key)
	}
}

// shortage returns why a Space has less than it should; empty when it has enough.
func (c *column) shortage(r *row) string {
	switch {
	case r.granted < r.target:
		return "other Spaces of the tenant still hold it; it follows as they free it"
	case r.explicit && r.target < r.wanted:
		total := c.quantity(c.total)
		return fmt.Sprintf("the tenant's quota of %s is %s, and its Spaces' spec.quota ask for more; lower one of "+
			"them, or ask the platform team to raise the Tenant's spec.quota", c.key, total.String())
	case !r.explicit && r.target == 0 && c.total > 0:
		return "nothing is left for Spaces that do not name it; name it in the Space's spec.quota, lower a sibling's, " +
			"or ask the platform team to raise the Tenant's spec.quota"
	}
	return ""
}
