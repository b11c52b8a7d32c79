package network

import (
	"fmt"
	"slices"
	"strings"

	"github.com/bulkhead-dev/bulkhead/isolation/finding"
	"github.com/bulkhead-dev/bulkhead/snapshot"
)

// manyAlike is the number of findings from which on findings that concern every tenant alike become one.
const manyAlike = 4

// exceeding adds a finding for every cause of connections between tenants: by destination, what lets them in; then, what
// lets them out and was not named yet.
func (n *networkFindings) exceeding() {
	var missing []finding.Finding // where nothing isolates a namespace at all
	for _, direction := range []int{ingress, egress} {
		sets := n.pairs.exceeding(direction)
		found := make([][]finding.Finding, len(sets))
		n.reach.parallel(len(sets), func(tenant int) {
			if sets[tenant].count() > 0 {
				found[tenant] = n.causesOfTenant(tenant, direction, sets[tenant])
			}
		})
		for _, findings := range found {
			for i := range findings {
				f := &findings[i]
				if direction == egress && n.named[f.Blame[0]] {
					continue
				}
				for _, o := range f.Blame {
					n.named[o] = true
				}
				if slices.ContainsFunc(f.Blame[:min(2, len(f.Blame))], func(o snapshot.Ref) bool { return o.Kind == "Namespace" }) {
					missing = append(missing, *f)
				} else {
					n.list = append(n.list, *f)
				}
			}
		}
	}
	n.list = append(n.list, n.asOne(missing)...)
}

// asOne makes one finding of many that say the same of every tenant, so that a cluster without any policy is one line.
func (n *networkFindings) asOne(findings []finding.Finding) []finding.Finding {
	concerned := map[string]bool{}
	for i := range findings {
		concerned[findings[i].From], concerned[findings[i].To] = true, true
	}
	everyone := !slices.ContainsFunc(n.Tenants, func(t snapshot.Tenant) bool { return !concerned[t.Name] })
	if len(findings) < manyAlike || len(n.Tenants) < manyAlike || !everyone {
		return findings
	}
	one := findings[0]
	one.From, one.To, one.Blame = finding.EveryTenant, finding.EveryTenant, nil
	for i := range findings {
		for _, o := range findings[i].Blame {
			if o.Kind == "Namespace" && !slices.Contains(one.Blame, o) && len(one.Blame) < maxBlame {
				one.Blame = append(one.Blame, o)
			}
		}
	}
	one.What = fmt.Sprintf("it is the same for every tenant (%d times in all), such as: %s", len(findings), one.What)
	return []finding.Finding{one}
}

// maxBlame is how many objects one finding blames.
const maxBlame = 50

// causesOfTenant finds what lets a tenant's pods connect with those of others, each cause once.
func (n *networkFindings) causesOfTenant(tenant, direction int, others bitset) []finding.Finding {
	var findings []finding.Finding
	seen := map[openingKey]bool{}
	for _, id := range n.reach.tenants[tenant].spaces {
		for _, o := range n.reach.openings(n.reach.spaces[id], direction) {
			if seen[o.key()] {
				continue
			}
			partner, ports := n.pairs.partner(&o, others)
			if ports.Empty() {
				continue
			}
			seen[o.key()] = true
			from, to := o.end, partner
			if direction == ingress {
				from, to = partner, o.end
			}
			w := n.reach.witnessOf(from, to, n.pairs.flows[[2]int{from.space.tenant, to.space.tenant}], ports, false)
			findings = append(findings, n.exceedingFinding(&o, w, others))
		}
	}
	if len(findings) > 0 {
		return findings
	}
	// Nothing but a shared node connects them.
	done := false
	others.each(func(other int) {
		from, to := tenant, other
		if direction == ingress {
			from, to = other, tenant
		}
		if pair := n.pairs.pair(from, to); !done && pair.Witness != nil {
			done = true
			o := opening{end: end{space: n.reach.spaces[n.reach.tenants[tenant].spaces[0]]}, direction: direction}
			findings = append(findings, n.exceedingFinding(&o, pair.Witness, others))
		}
	})
	return findings
}

// exceedingFinding reports an opening with a connection that it lets through, and of how many tenants are concerned.
func (n *networkFindings) exceedingFinding(o *opening, w *Witness, others bitset) finding.Finding {
	tenant := o.space.tenant
	party, words := n.some(others, tenant)
	f := finding.Finding{Code: "BH3001", Verdict: finding.Exposed}
	// The side at hand comes first: it is the one to close.
	near, far := w.Egress, w.Ingress
	if o.direction == ingress {
		near, far = far, near
		f.From, f.To = party, n.tenantName(tenant)
		if party == "" {
			f.From = n.ownerOf(w.From)
		}
		f.What = fmt.Sprintf("%s connects to %s: %s", w.From, w.To, w.Ports)
		if party != f.From || party == finding.EveryTenant {
			f.What += fmt.Sprintf("; in all, %s can connect to tenant %s", words, f.To)
		}
	} else {
		f.From, f.To = n.tenantName(tenant), party
		if party == "" {
			f.To = n.ownerOf(w.To)
		}
		f.What = fmt.Sprintf("%s connects to %s: %s", w.From, w.To, w.Ports)
		if party != f.To || party == finding.EveryTenant {
			f.What += fmt.Sprintf("; in all, tenant %s can connect to %s", f.From, words)
		}
	}
	f.Blame, f.Witness = n.blame(append(slices.Clone(near), far...)...), steps(append(slices.Clone(w.Egress), w.Ingress...)...)
	f.Fix = n.fixOf(near)
	return f
}

// ownerOf returns the tenant of a workload written as namespace/name[Kind].
func (n *networkFindings) ownerOf(workload string) string {
	namespace, _, _ := strings.Cut(workload, "/")
	return n.Owner[namespace]
}

// fixOf reports what closes the first cause.
func (n *networkFindings) fixOf(causes []Cause) string {
	if len(causes) == 0 {
		return ""
	}
	switch c := causes[0]; c.Kind {
	case "Namespace":
		return fmt.Sprintf("deny by default in namespace %s: a NetworkPolicy with an empty podSelector, policyTypes Ingress and Egress, and no rules", c.Name)
	case "Pod":
		return fmt.Sprintf("take hostNetwork from pod %s/%s", c.Namespace, c.Name)
	case "NetworkPolicy":
		return fmt.Sprintf("name the peers that are meant in rule %d of %s", c.Rule, snapshot.Ref{Kind: c.Kind, Namespace: c.Namespace, Name: c.Name})
	default:
		return fmt.Sprintf("let rule %d of %s %s deny or pass what is between tenants", c.Rule, c.Kind, c.Name)
	}
}

// undecided adds what cannot be decided: doubts about everyone and about a namespace, and connections that depend on what
// is not known, once for each tenant that they lead to. Kinds that were not read are named by the report itself.
func (n *networkFindings) undecided() {
	if t := n.reach.tiers; t != nil {
		for _, doubt := range t.doubts {
			n.list = append(n.list, finding.Finding{Code: "BH3002", Verdict: finding.Unknown, From: finding.EveryTenant, To: finding.EveryTenant, What: doubt})
		}
	}
	for tenant := range n.reach.tenants {
		name := n.tenantName(tenant)
		for _, doubt := range n.pairs.byTenant[tenant] {
			n.list = append(n.list, finding.Finding{Code: "BH3002", Verdict: finding.Unknown, From: name, To: name, What: doubt})
		}
	}
	sources := make([]int, len(n.reach.tenants))
	first := make([]int, len(n.reach.tenants))
	for from := range n.reach.tenants {
		n.reach.maybe.rows[from].each(func(to int) {
			if n.reach.sure.has(from, to) || n.pairs.judged[[2]int{from, to}] == DeclaredOnly {
				return
			}
			if sources[to]++; sources[to] == 1 {
				first[to] = from
			}
		})
	}
	var found []finding.Finding
	for to, count := range sources {
		if count == 0 {
			continue
		}
		pair := n.pairs.pair(first[to], to)
		if pair.Possible.Empty() {
			continue
		}
		f := finding.Finding{Code: "BH3002", Verdict: finding.Unknown, From: pair.From, To: pair.To,
			What: fmt.Sprintf("%s; of %d tenants it is not known whether they connect to tenant %s", pair.Doubts[len(pair.Doubts)-1], count, pair.To)}
		if w := pair.Witness; w != nil {
			f.Witness, f.Blame = steps(append(slices.Clone(w.Egress), w.Ingress...)...), n.blame(append(slices.Clone(w.Ingress), w.Egress...)...)
		}
		found = append(found, f)
	}
	n.list = append(n.list, n.asOne(found)...)
}
