package rbac

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/bulkhead-dev/bulkhead/isolation/finding"
	"github.com/bulkhead-dev/bulkhead/snapshot"
)

// manyTenants is how many tenants may have the same finding for the same reason before it is one finding about every
// tenant: from there on a list hides more than it shows.
const manyTenants = 16

// gainsOf returns the gains of one that was followed that none other says better.
func (r *Reach) gainsOf(c *closure) []*gain {
	list := undominated(c.gains)
	r.findOtherWays(c.tenant, c.begin, list)
	return list
}

// followed is a tenant, or everyone, with all that comes of where it begins.
func (r *Reach) followed(tenant string, begin []principal) *closure {
	c := r.newClosure(tenant, begin, nil)
	c.run()
	return c
}

// findOtherWays takes each blamed object away and looks whether what was far is reached all the same: then cutting there
// alone does not help.
func (r *Reach) findOtherWays(tenant string, begin []principal, gains []*gain) {
	again := map[snapshot.Ref]*closure{}
	for _, g := range gains {
		if g.node.from == nil {
			continue
		}
		cut := g.first().binding.object
		if again[cut] == nil {
			again[cut] = r.newClosure(tenant, begin, &cut)
			again[cut].run()
		}
		for _, other := range undominated(again[cut].gains) {
			if other.code == g.code && other.to == g.to && other.maybe == "" && g.also == nil {
				also := other.first().binding.object
				g.also = &also
			}
		}
	}
}

// undominated leaves out what follows from another gain over the same, by the same fault. Only what stays can make others
// go, so that of every fault something stays. Sorted.
func undominated(gains map[gainKey]*gain) []*gain {
	all := make([]*gain, 0, len(gains))
	for _, g := range gains {
		all = append(all, g)
	}
	strongest := []string{codeCluster, codeRaise, codeRunAs, codePose, codeCertify, codeExtend, codeGuardrail, codeNodes, codeSecrets, codeStorage, codeWrite, codeRead}
	rank := func(g *gain) int {
		if i := slices.Index(strongest, g.code); i >= 0 {
			return i
		}
		return len(strongest)
	}
	slices.SortFunc(all, func(a, b *gain) int {
		return cmp.Or(compareBool(a.maybe != "", b.maybe != ""), compareBool(a.code != codeCluster, b.code != codeCluster),
			compareBool(a.node.from != nil, b.node.from != nil), cmp.Compare(rank(a), rank(b)), compareBool(a.to != finding.EveryTenant, b.to != finding.EveryTenant),
			cmp.Compare(a.code, b.code), cmp.Compare(a.to, b.to), cmp.Compare(a.blame.String(), b.blame.String()))
	})
	kept := map[snapshot.Ref][]*gain{}
	list := all[:0]
	for _, g := range all {
		if !slices.ContainsFunc(kept[g.blame], func(other *gain) bool { return other.dominates(g) }) {
			kept[g.blame] = append(kept[g.blame], g)
			list = append(list, g)
		}
	}
	return list
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	default:
		return 1
	}
}

// dominates reports whether who has g has other all the more, so that telling both would be noise. A doubt dominates only
// other doubts.
func (g *gain) dominates(other *gain) bool {
	if g.maybe != "" && other.maybe == "" {
		return false
	}
	if g.code == codeCluster {
		return other.code != codeCluster || g.to == finding.EveryTenant && other.to != finding.EveryTenant
	}
	if g.to != other.to && g.to != finding.EveryTenant {
		return false
	}
	if other.node.from != nil && g.node.from == nil && (other.maybe != "" || slices.Contains([]string{codeRunAs, codePose, codeRaise}, g.code)) {
		return other.code != codeCluster // what follows against the same tenant
	}
	stronger := map[string][]string{
		codeRunAs:     {codeSecrets, codeWrite, codeRead, codeDisrupt, codeTraffic, codeConnect, codeGuardrail, codeNodes},
		codeRaise:     {codeRunAs, codeSecrets, codeWrite, codeRead, codeDisrupt, codeTraffic, codeConnect, codeGuardrail, codeNodes},
		codeSecrets:   {codeRead},
		codeWrite:     {codeRead, codeDisrupt},
		codeGuardrail: {codeWrite, codeSharedKind, codeTraffic, codeNodes, codeDisrupt},
		codeCertify:   {codeSharedKind},
		codePose:      {codeSharedKind},
		codeExtend:    {codeSharedKind},
		codeNodes:     {codeSharedKind, codeEnumerate},
		codeStorage:   {codeSharedKind},
		codeRead:      {codeEnumerate},
	}
	if g.own != other.own {
		return false
	}
	if g.code == codeGuardrail && other.code == codeNodes && !g.own {
		return false // elsewhere, nodes are the worse
	}
	return slices.Contains(stronger[g.code], other.code)
}

// subjectWords are who does it and what for, as a sentence.
func (g *gain) sentence() string {
	begin := g.node
	for begin.from != nil {
		begin = begin.from
	}
	where := "everywhere"
	if g.scope != "" {
		where = "in namespace " + g.scope
	} else if g.held != nil && g.held.scope == clusterScoped {
		where = "in the cluster"
	}
	yields := g.yields
	if yields == "" {
		yields = g.held.yields
		if g.held.rule != nil {
			what := g.held.resource
			if what == "" {
				what = finding.Few(append(slices.Clone(g.held.rule.Resources), g.held.rule.NonResourceURLs...))
			}
			verb := g.held.verb
			if verb == "*" || verb == "" {
				verb = "do everything with"
			}
			yields = fmt.Sprintf("may %s %s %s, and so %s", verb, what, where, yields)
		}
	}
	if g.node.from != nil {
		return fmt.Sprintf("%s %s, as %s%s", begin.name, yields, wayWords(g.node), doubt(g.maybe))
	}
	return begin.name + " " + yields + doubt(g.maybe)
}

// steps are the way to a node.
func (n *node) steps() []finding.Step {
	if n.from == nil {
		return nil
	}
	return append(append(n.from.steps(), n.by.steps(n.how.rule)...), finding.Step{Does: n.turn})
}

// wayWords are the identities on the way, the last one first.
func wayWords(n *node) string {
	words := []string{}
	for ; n.from != nil; n = n.from {
		words = append(words, "it "+n.turn)
	}
	slices.Reverse(words)
	return strings.Join(words, " and ")
}

// witness is the way, step by step.
func (g *gain) witness() []finding.Step {
	steps := g.node.steps()
	if g.held.rule != nil && g.grant.binding.object.Name != "" && (g.node.from == nil || g.node.by.binding != g.grant.binding) {
		steps = append(steps, g.grant.steps(g.held.rule)...)
	}
	if g.pair != nil && *g.pair.grant != g.grant {
		steps = append(steps, g.pair.grant.steps(g.pair.held.rule)...)
	}
	yields := g.yields
	if yields == "" {
		yields = g.held.yields
	}
	return append(steps, finding.Step{Does: yields})
}

// blamed are the objects that let it happen: the one to change first.
func (g *gain) blamed() []snapshot.Ref {
	objects := []snapshot.Ref{g.blame}
	add := func(list ...snapshot.Ref) {
		for _, o := range list {
			if o.Name != "" && !slices.Contains(objects, o) {
				objects = append(objects, o)
			}
		}
	}
	first := g.first()
	add(first.binding.object, first.role.object, g.grant.binding.object, g.grant.role.object)
	if g.pair != nil {
		add(g.pair.grant.binding.object, g.pair.grant.role.object)
	}
	return objects
}

// fix is the least change that ends it.
func (g *gain) fix() string {
	first := g.first()
	text := "take " + describeSubjects(first.binding.subjects) + " out of " + first.binding.object.String()
	if len(first.binding.subjects) <= 1 {
		text = "delete " + first.binding.object.String()
	}
	if g.blame == first.role.object && g.blame.Name != "" {
		rule := g.held
		if g.node.from != nil {
			for n := g.node; n.from != nil; n = n.from {
				rule = n.how
			}
		}
		text = "take the right to " + cmp.Or(rule.verb, "do everything with") + " " + cmp.Or(rule.resource, "what it names") + " out of " + g.blame.String()
	}
	if g.blame.Kind == "Group" {
		text = "take group system:masters away from the tenant"
	}
	if g.also != nil {
		text += "; that alone does not end it, as " + g.also.String() + " leads there too"
	}
	return text
}

// finding is the gain as a finding.
func (g *gain) finding() finding.Finding {
	f := finding.Finding{Code: g.code, Verdict: finding.Exposed, From: g.from, To: g.to, Given: g.given, What: g.sentence(), Witness: g.witness(), Blame: g.blamed(), Fix: g.fix(), Requests: g.requests()}
	if g.maybe != "" {
		f.Verdict = finding.Unknown
	}
	return f
}

// bundle makes one finding of those that many tenants have for the same reason, and of those that one tenant has against
// many. all is the number of tenants.
func bundle(gains []*gain, all int) []finding.Finding {
	type key struct {
		gainKey
		from  string
		maybe bool
	}
	to, from := map[key]int{}, map[key]int{}
	group := func(g *gain, byFrom bool) key {
		k := key{gainKey: g.gainKey, from: g.from, maybe: g.maybe != ""}
		if byFrom {
			k.from = ""
		} else {
			k.to = ""
		}
		return k
	}
	for _, g := range gains {
		to[group(g, false)]++
		from[group(g, true)]++
	}
	done := map[key]bool{}
	var findings []finding.Finding
	for _, g := range gains {
		f := g.finding()
		if n := from[group(g, true)]; g.from != finding.EveryTenant && n > 1 && (n > manyTenants || n == all) {
			if done[group(g, true)] {
				continue
			}
			done[group(g, true)] = true
			f.From, f.What = finding.EveryTenant, fmt.Sprintf("%d tenants; for one, %s: %s", n, g.from, f.What)
		} else if n := to[group(g, false)]; n > manyTenants {
			if done[group(g, false)] {
				continue
			}
			done[group(g, false)] = true
			f.To, f.Given, f.What = finding.EveryTenant, false, fmt.Sprintf("%s (and against %d more tenants)", f.What, n-1)
		}
		findings = append(findings, f)
	}
	return findings
}
