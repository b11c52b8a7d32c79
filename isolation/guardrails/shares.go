package guardrails

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/bulkhead-dev/bulkhead/isolation/finding"
	"github.com/bulkhead-dev/bulkhead/isolation/rbac"
	"github.com/bulkhead-dev/bulkhead/snapshot"
)

// shares looks at quotas and limit ranges.
func (g *guardrails) shares() []finding.Finding {
	quotas, limits := map[string][]*corev1.ResourceQuota{}, map[string][]*corev1.LimitRange{}
	for _, q := range g.ResourceQuotas {
		quotas[q.Namespace] = append(quotas[q.Namespace], q)
	}
	for _, l := range g.LimitRanges {
		limits[l.Namespace] = append(limits[l.Namespace], l)
	}
	var findings []finding.Finding
	for i := range g.Tenants {
		t := &g.Tenants[i]
		for _, ns := range t.Namespaces {
			findings = append(findings, g.share(t, ns, quotas[ns])...)
			findings = append(findings, g.limited(t, ns, quotas[ns], limits[ns])...)
		}
		findings = append(findings, g.sum(t, quotas)...)
	}
	return findings
}

// share looks at the quotas of one namespace. Where it depends on a doubt whether anybody creates what they do not bound, so does the
// finding.
func (g *guardrails) share(t *snapshot.Tenant, ns string, quotas []*corev1.ResourceQuota) []finding.Finding {
	creatable, doubtful, doubt := g.creatable(ns)
	findings := g.unbounded(t, ns, quotas, creatable)
	if len(findings) > 0 || len(doubtful) == 0 {
		return findings
	}
	findings = g.unbounded(t, ns, quotas, slices.Concat(creatable, doubtful))
	for i := range findings {
		findings[i].Verdict = finding.Unknown
		findings[i].What += "; not known: " + doubt
	}
	return findings
}

func (g *guardrails) unbounded(t *snapshot.Tenant, ns string, quotas []*corev1.ResourceQuota, creatable [][]string) []finding.Finding {
	if len(creatable) == 0 {
		return nil
	}
	blamed := snapshot.Ref{Kind: "ResourceQuota", Namespace: ns, Name: "bulkhead"}
	for e := range g.expected {
		if e.Kind == "ResourceQuota" && e.Namespace == ns {
			blamed = e
		}
	}
	hard := corev1.ResourceList{}
	for _, q := range quotas {
		if len(q.Spec.Scopes) == 0 && q.Spec.ScopeSelector == nil {
			blamed = snapshot.Ref{Kind: "ResourceQuota", Namespace: q.Namespace, Name: q.Name}
			for key, value := range effective(q) {
				if known, has := hard[key]; !has || value.Cmp(known) < 0 {
					hard[key] = value
				}
			}
		}
	}
	exposed := func(words string) []finding.Finding {
		return []finding.Finding{{Code: "BH4013", Verdict: finding.Exposed, From: t.Name, To: finding.EveryTenant,
			What: fmt.Sprintf("in namespace %s, %s", ns, words), Witness: []finding.Step{{Object: blamed, Does: words}}, Blame: []snapshot.Ref{blamed}}}
	}
	beyond := exposing(t, ns, creatable, hard, blamed)
	if len(hard) == 0 {
		return append(beyond, exposed("no ResourceQuota bounds anything")...)
	}
	var unbounded []string
	for _, need := range g.needed(t, creatable) {
		if !slices.ContainsFunc(need, func(key string) bool { _, has := hard[corev1.ResourceName(key)]; return has }) {
			unbounded = append(unbounded, need[0])
		}
	}
	if len(unbounded) > 0 {
		unbounded = distinct(unbounded)
		words := "no ResourceQuota bounds " + finding.Few(unbounded)
		if n := len(unbounded); n > 6 {
			words += fmt.Sprintf(" (%d kinds)", n)
		}
		return append(beyond, exposed(words)...)
	}
	return beyond
}

// exposing looks whether a namespace may take more node ports and load balancers than its whole tenant has.
func exposing(t *snapshot.Tenant, ns string, creatable [][]string, hard corev1.ResourceList, blamed snapshot.Ref) []finding.Finding {
	if !slices.ContainsFunc(creatable, func(row []string) bool { return row[0] == "count/services" }) {
		return nil
	}
	var beyond []string
	for _, key := range []corev1.ResourceName{corev1.ResourceServicesLoadBalancers, corev1.ResourceServicesNodePorts} {
		has, declared := t.Quota[key]
		bound, bounded := hard[key]
		if declared && (!bounded || bound.Cmp(has) > 0) {
			beyond = append(beyond, fmt.Sprintf("more of %s than the %s that the tenant has", key, has.String()))
		}
	}
	if len(beyond) == 0 {
		return nil
	}
	words := "may be taken: " + strings.Join(beyond, ", ")
	return []finding.Finding{{Code: "BH4022", Verdict: finding.Exposed, From: t.Name, To: finding.EveryTenant, What: "in namespace " + ns + ", " + words,
		Witness: []finding.Step{{Object: blamed, Does: "lets it: " + words}}, Blame: []snapshot.Ref{blamed}}}
}

// effective is what binds: what the quota's controller has taken over, where it has looked at all.
func effective(q *corev1.ResourceQuota) corev1.ResourceList {
	if len(q.Status.Hard) == 0 {
		return q.Spec.Hard
	}
	return q.Status.Hard
}

// creatable are the quota keys, any of a row, of what the tenant may create in a namespace; doubtful of what it may create if what the
// doubt says is so.
func (g *guardrails) creatable(ns string) (rows, doubtful [][]string, doubt string) {
	identities := g.identities(ns)
	for _, kind := range snapshot.Kinds() {
		if !kind.OwnersCreate {
			continue
		}
		how, may := mayCreate(identities, kind, ns)
		if !may {
			continue
		}
		list := &rows
		if how.Doubt != "" {
			list, doubt = &doubtful, how.Doubt
		}
		keys := kind.QuotaKeys()
		row := make([]string, len(keys))
		for i, key := range keys {
			row[i] = string(key)
		}
		*list = append(*list, row)
		if kind.Group == "" && kind.Resource == "pods" {
			*list = append(*list, []string{"requests.cpu", "cpu", "limits.cpu"}, []string{"requests.memory", "memory", "limits.memory"})
		}
	}
	return rows, doubtful, doubt
}

// mayCreate reports whether one of these may create objects of a kind, without a doubt if one may so.
func mayCreate(identities []rbac.Identity, kind snapshot.Kind, ns string) (how rbac.Permit, may bool) {
	for i := range identities {
		if permit, allowed := identities[i].May(finding.Attributes{Verb: "create", Group: kind.Group, Resource: kind.Resource, Namespace: ns}); allowed {
			if how, may = permit, true; how.Doubt == "" {
				break
			}
		}
	}
	return how, may
}

// needed adds what the tenant's own quota names.
func (g *guardrails) needed(t *snapshot.Tenant, rows [][]string) [][]string {
	makesPods := slices.ContainsFunc(rows, func(row []string) bool { return row[0] == "count/pods" })
	if !makesPods {
		return rows
	}
	for key := range t.Quota {
		rows = append(rows, []string{string(key)})
	}
	return rows
}

// sum looks whether the quotas of a tenant's namespaces add up to no more than it has.
func (g *guardrails) sum(t *snapshot.Tenant, quotas map[string][]*corev1.ResourceQuota) []finding.Finding {
	var beyond []string
	var blamed []snapshot.Ref
	for _, key := range sortedResources(t.Quota) {
		total := resource.Quantity{}
		var holders []snapshot.Ref
		for _, ns := range t.Namespaces {
			var least *resource.Quantity
			for _, q := range quotas[ns] {
				if value, has := effective(q)[key]; has && len(q.Spec.Scopes) == 0 && (least == nil || value.Cmp(*least) < 0) {
					least = &value
					holders = append(holders, snapshot.Ref{Kind: "ResourceQuota", Namespace: q.Namespace, Name: q.Name})
				}
			}
			if least != nil {
				total.Add(*least)
			}
		}
		if has := t.Quota[key]; total.Cmp(has) > 0 {
			beyond = append(beyond, fmt.Sprintf("%s is %s of %s", key, total.String(), has.String()))
			blamed = append(blamed, holders...)
		}
	}
	if len(beyond) == 0 {
		return nil
	}
	slices.SortFunc(blamed, func(a, b snapshot.Ref) int { return strings.Compare(a.String(), b.String()) })
	words := "the quotas of its namespaces add up to more than the tenant has: " + strings.Join(beyond, ", ")
	return []finding.Finding{{Code: "BH4014", Verdict: finding.Exposed, From: t.Name, To: finding.EveryTenant, What: "tenant " + t.Name + ": " + words,
		Witness: []finding.Step{{Does: words}}, Blame: slices.Compact(blamed)}}
}

func sortedResources(list corev1.ResourceList) []corev1.ResourceName {
	keys := make([]corev1.ResourceName, 0, len(list))
	for key := range list {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

// limited looks at the limit ranges of one namespace in which the tenant may create pods.
func (g *guardrails) limited(t *snapshot.Tenant, ns string, quotas []*corev1.ResourceQuota, limits []*corev1.LimitRange) []finding.Finding {
	creatable, doubtful, doubt := g.creatable(ns)
	pods := func(row []string) bool { return row[0] == "count/pods" }
	verdict := finding.Exposed
	if !slices.ContainsFunc(creatable, pods) {
		if !slices.ContainsFunc(doubtful, pods) {
			return nil
		}
		verdict = finding.Unknown
	}
	blamed := snapshot.Ref{Kind: "LimitRange", Namespace: ns, Name: "bulkhead"}
	defaults, least := corev1.ResourceList{}, corev1.ResourceList{}
	var faults []string
	for _, l := range limits {
		blamed = snapshot.Ref{Kind: "LimitRange", Namespace: l.Namespace, Name: l.Name}
		for i := range l.Spec.Limits {
			item := &l.Spec.Limits[i]
			if item.Type == corev1.LimitTypeContainer {
				for key, value := range item.Default {
					defaults[key] = value
				}
				for key, value := range item.Min {
					least[key] = value
				}
			}
			faults = append(faults, tooLarge(t, item)...)
		}
	}
	for _, key := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory} {
		_, has := defaults[key]
		inQuota := slices.ContainsFunc(quotas, func(q *corev1.ResourceQuota) bool { _, counted := effective(q)["limits."+key]; return counted })
		if !has && !inQuota {
			faults = append(faults, fmt.Sprintf("a container that names no limit of %s has none", key))
		}
		if minimum := least[key]; minimum.IsZero() {
			faults = append(faults, fmt.Sprintf("a container may name a limit of %s of 0, which is none", key))
		}
	}
	if len(faults) == 0 {
		return nil
	}
	what := fmt.Sprintf("in namespace %s, %s", ns, strings.Join(faults, "; "))
	if verdict == finding.Unknown {
		what += "; not known: " + doubt
	}
	return []finding.Finding{{Code: "BH4015", Verdict: verdict, From: t.Name, To: finding.EveryTenant,
		What: what, Witness: []finding.Step{{Object: blamed, Does: strings.Join(faults, "; ")}}, Blame: []snapshot.Ref{blamed}}}
}

// tooLarge returns which maxima are beyond what the whole tenant has, and which are missing where it has a bound.
func tooLarge(t *snapshot.Tenant, item *corev1.LimitRangeItem) []string {
	var faults []string
	for _, key := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory} {
		total, bounded := t.Quota["limits."+key]
		if !bounded {
			total, bounded = t.Quota["requests."+key]
		}
		if !bounded || item.Type != corev1.LimitTypeContainer {
			continue
		}
		most, has := item.Max[key]
		if !has || most.Cmp(total) > 0 {
			faults = append(faults, fmt.Sprintf("one container may have more %s than the whole tenant, which has %s", key, total.String()))
		}
	}
	return faults
}
