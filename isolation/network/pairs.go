package network

import (
	"fmt"
	"iter"
	"slices"

	"github.com/bulkhead-dev/bulkhead/snapshot"
)

// PairVerdict is the verdict on what an ordered pair of tenants can reach.
type PairVerdict string

// The verdicts. Only NoConnection and DeclaredOnly are good news, and neither is given where anything is in doubt.
const (
	// NoConnection: no pod of the one can connect to a pod of the other.
	NoConnection PairVerdict = "NoConnection"
	// DeclaredOnly: only declared flows.
	DeclaredOnly PairVerdict = "DeclaredOnly"
	// Exceeding: connections beyond the declared flows.
	Exceeding PairVerdict = "Exceeding"
	// PairUnknown: it cannot be decided.
	PairUnknown PairVerdict = "Unknown"
)

// TenantPairs is the verdict on every ordered pair of tenants. It reads the NetworkReach that it came from, and is void
// after that one's next Update.
type TenantPairs struct {
	r     *Reach
	flows map[[2]int][]flow
	// judged holds the pairs with flows that have a connection, whose verdict needs a closer look.
	judged map[[2]int]PairVerdict
	// everyone reports why every pair is in doubt; byTenant, why those of a tenant are; doubtful has those tenants.
	everyone []string
	byTenant map[int][]string
	doubtful bitset
	index    map[string]int
}

// TenantPairs compares what tenants reach with the flows that were declared. It fails if a flow is not valid.
func (r *Reach) TenantPairs(flows []snapshot.Flow) (*TenantPairs, error) {
	sorted, err := r.flowsOf(flows)
	if err != nil {
		return nil, err
	}
	p := &TenantPairs{r: r, flows: sorted, judged: map[[2]int]PairVerdict{}, byTenant: map[int][]string{},
		doubtful: newBitset(len(r.tenants)), index: make(map[string]int, len(r.tenants))}
	for i, t := range r.tenants {
		p.index[t.name] = i
	}
	p.collectDoubts()
	for pair := range sorted {
		if r.maybe.has(pair[0], pair[1]) {
			p.judged[pair] = p.pair(pair[0], pair[1]).Verdict
		}
	}
	return p, nil
}

// needed are the kinds without which no pair can be decided.
func needed(kind string) bool {
	switch kind {
	case "Namespace", "Pod", "NetworkPolicy", "AdminNetworkPolicy", "BaselineAdminNetworkPolicy", "ClusterNetworkPolicy", "*":
		return true
	}
	return false
}

func (p *TenantPairs) collectDoubts() {
	p.everyone = p.r.doubts()
	for _, s := range p.r.spaces {
		if s.tenant < 0 {
			continue
		}
		if doubts := p.r.doubtsIn(s); len(doubts) > 0 {
			p.byTenant[s.tenant] = append(p.byTenant[s.tenant], doubts...)
			p.doubtful.set(s.tenant)
		}
	}
}

// Doubts reports what leaves a snapshot's connections in doubt: what was not read, policies that are refused and so count as
// absent, and namespaces of which only the name is known.
func (r *Reach) Doubts() []string {
	doubts := r.doubts()
	for _, s := range r.spaces {
		doubts = append(doubts, r.doubtsIn(s)...)
	}
	return doubts
}

// doubts are those about everything.
func (r *Reach) doubts() []string {
	var list []string
	for _, missing := range r.snapshot.Missing {
		if needed(missing.Kind) || missing.Kind == "Node" && r.tiers != nil && r.tiers.nodes {
			list = append(list, fmt.Sprintf("%s: %s", missing.Kind, missing.Why))
		}
	}
	if r.tiers != nil {
		list = append(list, r.tiers.doubts...)
	}
	return list
}

// doubtsIn are those about a namespace.
func (r *Reach) doubtsIn(s *space) []string {
	if s.source.Implied && r.byLabels() {
		return append(slices.Clone(s.invalid), fmt.Sprintf("Namespace %s: was not listed, so its labels are not known, and policies select by labels", s.source.Name))
	}
	return s.invalid
}

// selectsByLabels reports whether some policy selects namespaces by more than their name.
func (r *Reach) selectsByLabels() bool {
	found := r.tiers != nil && r.tiers.labels
	for _, s := range r.spaces {
		s.eachAllowance(func(a *allowance) { found = found || a.peer.namespaces.byLabels() })
	}
	return found
}

// Doubts reports what leaves every pair in doubt. It is empty in a complete snapshot.
func (p *TenantPairs) Doubts() []string { return slices.Clone(p.everyone) }

// verdict on a pair, without its details.
func (p *TenantPairs) verdict(from, to int) PairVerdict {
	if v, has := p.judged[[2]int{from, to}]; has {
		return v
	}
	switch {
	case p.r.sure.has(from, to):
		return Exceeding
	case p.r.maybe.has(from, to) || len(p.everyone) > 0 || p.doubtful.has(from) || p.doubtful.has(to):
		return PairUnknown
	}
	return NoConnection
}

// Count returns how many ordered pairs got each verdict.
func (p *TenantPairs) Count() map[PairVerdict]int {
	counts := map[PairVerdict]int{}
	n := len(p.r.tenants)
	for from := range n {
		open, exceeding := 0, p.r.sure.rows[from].count()
		if len(p.everyone) > 0 || p.doubtful.has(from) {
			open = n - 1
		} else {
			for w, word := range p.r.maybe.rows[from] {
				open += onesOf(word | p.doubtful[w])
			}
		}
		counts[Exceeding] += exceeding
		counts[PairUnknown] += open - exceeding
		counts[NoConnection] += n - 1 - open
	}
	for pair, v := range p.judged {
		if p.r.sure.has(pair[0], pair[1]) {
			counts[Exceeding]--
		} else {
			counts[PairUnknown]--
		}
		counts[v]++
	}
	return counts
}

// Pair returns the verdict on an ordered pair with its details. It fails if one of them is no tenant of the snapshot.
func (p *TenantPairs) Pair(from, to string) (Pair, error) {
	i, hasFrom := p.index[from]
	j, hasTo := p.index[to]
	switch {
	case !hasFrom:
		return Pair{}, fmt.Errorf("tenant %q is not in the snapshot %s", from, p.r.snapshot.Revision)
	case !hasTo:
		return Pair{}, fmt.Errorf("tenant %q is not in the snapshot %s", to, p.r.snapshot.Revision)
	case i == j:
		return Pair{}, fmt.Errorf("tenant %q with itself is no pair", from)
	}
	return p.pair(i, j), nil
}

// With returns every pair that got one of the verdicts, with its details, by the names of its tenants.
func (p *TenantPairs) With(verdicts ...PairVerdict) iter.Seq[Pair] {
	return func(yield func(Pair) bool) {
		candidates := newBitset(len(p.r.tenants))
		for from := range p.r.tenants {
			p.candidates(from, verdicts, candidates)
			more := true
			candidates.each(func(to int) {
				if more && to != from && slices.Contains(verdicts, p.verdict(from, to)) {
					more = yield(p.pair(from, to))
				}
			})
			if !more {
				return
			}
		}
	}
}

// candidates marks the destinations among which those with the verdicts are, so that what is not asked for costs next
// to nothing.
func (p *TenantPairs) candidates(from int, verdicts []PairVerdict, set bitset) {
	copy(set, p.r.maybe.rows[from])
	every := slices.Contains(verdicts, NoConnection)
	if slices.Contains(verdicts, PairUnknown) {
		every = every || len(p.everyone) > 0 || p.doubtful.has(from)
		for w := range set {
			set[w] |= p.doubtful[w]
		}
	}
	for to := range p.r.tenants {
		if !every {
			break
		}
		set.set(to)
	}
}
