package check

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	quotav1 "k8s.io/apiserver/pkg/quota/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/internal/apply"
)

func tenantChecks() []Check {
	return []Check{
		{
			Code: "BHC301", Group: GroupTenants, Title: "Tenants", run: checkTenants,
			Why: "Ready means decided, placed, enforced and proven. A workload that waits for a dedicated cluster is a note: while it waits, it shares nothing with others.",
			Fix: "See `bulkhead describe TENANT`.",
		},
		{
			Code: "BHC302", Group: GroupTenants, Title: "Spaces", run: checkSpaces,
			Why: "Every Space has its namespace with every guardrail in it, or reports what it waits for.",
			Fix: "See `bulkhead describe TENANT`.",
		},
		{
			Code: "BHC303", Group: GroupTenants, Title: "Proofs", run: checkProofs,
			Why: "A proof is what the API server answered to the tenant's own identities; the exact proof in the tenant's IsolationReport judges all that is possible. A proof older than the Platform's proofFreshness is no evidence for the present, so it counts as Unknown.",
			Fix: "If every proof is stale, the controller does not run (BHC205). An Exposed finding names the control; see `bulkhead explain CONTROL`.",
		},
		{
			Code: "BHC304", Group: GroupTenants, Title: "Quota ledgers", run: checkLedgers,
			Controls: []string{"quota"},
			Why:      "What a tenant's Spaces hold together never exceeds what the tenant was given, unless its quota was lowered below what is in use.",
			Fix:      "See status.ledger of the Tenant. Raise its quota, or lower its use.",
		},
	}
}

// waiting are reasons for which something is not Ready although nothing is wrong with this cluster.
var waiting = map[string]bool{
	v1alpha1.ReasonNeedsDedicatedCluster: true,
	v1alpha1.ReasonNeedsOtherEnvironment: true,
}

// Waiting is true for reasons of conditions for which something is not Ready although nothing is wrong with this
// cluster: it waits for another.
func Waiting(reason string) bool { return waiting[reason] }

func checkTenants(ctx context.Context, s *session) ([]Finding, error) {
	tenants := &v1alpha1.TenantList{}
	if err := s.client.List(ctx, tenants); err != nil {
		return nil, fmt.Errorf("list Tenants: %w", err)
	}
	var judged group
	for i := range tenants.Items {
		t := &tenants.Items[i]
		judged.add("Tenant "+t.Name, t.Name, &t.ObjectMeta, t.Status.Conditions)
	}
	return judged.findings(), nil
}

func checkSpaces(ctx context.Context, s *session) ([]Finding, error) {
	spaces := &v1alpha1.SpaceList{}
	if err := s.client.List(ctx, spaces); err != nil {
		return nil, fmt.Errorf("list Spaces: %w", err)
	}
	var judged group
	for i := range spaces.Items {
		space := &spaces.Items[i]
		judged.add(apply.RefOf(space).String(), client.ObjectKeyFromObject(space).String(), &space.ObjectMeta, space.Status.Conditions)
	}
	return judged.findings(), nil
}

// group is many things of one kind, of which those that are well share a line, and those that wait for the same.
type group struct {
	all, ready int
	waiting    map[string][]string // by reason
	rest       []Finding
}

// add judges the condition Ready of one object.
func (g *group) add(subject, name string, object *metav1.ObjectMeta, conditions []metav1.Condition) {
	g.all++
	placed := meta.FindStatusCondition(conditions, v1alpha1.ConditionPlaced)
	f, ready := readiness(object, conditions)
	switch {
	case ready:
		g.ready++
	case f.State == Problem && placed != nil && placed.Status != metav1.ConditionTrue && waiting[placed.Reason]:
		if g.waiting == nil {
			g.waiting = map[string][]string{}
		}
		g.waiting[placed.Reason] = append(g.waiting[placed.Reason], name)
	default:
		f.Subject = subject
		g.rest = append(g.rest, f)
	}
}

func (g *group) findings() []Finding {
	if g.all == 0 {
		return []Finding{found(Note, "there are none")}
	}
	var findings []Finding
	if g.ready > 0 {
		findings = append(findings, found(OK, "%d of %d Ready", g.ready, g.all))
	}
	const shown = 10
	for _, reason := range slices.Sorted(maps.Keys(g.waiting)) {
		names := g.waiting[reason]
		more := ""
		if len(names) > shown {
			more = fmt.Sprintf(" and %d more", len(names)-shown)
		}
		findings = append(findings, found(Note, "%d wait (%s): %s%s", len(names), reason, strings.Join(names[:min(shown, len(names))], ", "), more))
	}
	return append(findings, g.rest...)
}

// readiness judges the condition Ready; fine means that there is nothing to report.
func readiness(object *metav1.ObjectMeta, conditions []metav1.Condition) (f Finding, fine bool) {
	if object.DeletionTimestamp != nil {
		return found(Note, "being removed since %s", object.DeletionTimestamp.UTC().Format("2006-01-02 15:04:05Z")), false
	}
	ready := meta.FindStatusCondition(conditions, v1alpha1.ConditionReady)
	switch {
	case ready == nil || ready.Reason == v1alpha1.ReasonPending:
		return found(Unknown, "no controller has reconciled it yet"), false
	case ready.ObservedGeneration != object.Generation:
		return found(Unknown, "no controller has reconciled its latest change"), false
	case ready.Status == metav1.ConditionTrue:
		return f, true
	}
	if ready.Status == metav1.ConditionUnknown {
		return found(Unknown, "%s: %s", ready.Reason, ready.Message), false
	}
	return found(Problem, "%s: %s", ready.Reason, ready.Message), false
}

// withCount puts one line for those that are fine before the lines for the others.
func withCount(findings []Finding, all int, praise string) []Finding {
	fine := all - len(findings)
	if all == 0 {
		return []Finding{found(Note, "there are none")}
	}
	if fine == 0 {
		return findings
	}
	return append([]Finding{found(OK, "%d of %d %s", fine, all, praise)}, findings...)
}

func checkProofs(ctx context.Context, s *session) ([]Finding, error) {
	tenants := &v1alpha1.TenantList{}
	if err := s.client.List(ctx, tenants); err != nil {
		return nil, fmt.Errorf("list Tenants: %w", err)
	}
	var findings []Finding
	judged := 0
	for i := range tenants.Items {
		t := &tenants.Items[i]
		if t.Status.Proof == nil && strings.HasSuffix(t.Status.Spaces, "/0") {
			continue // it has no Space: there is nothing to prove
		}
		judged++
		if f := s.proof(t); f.State != OK {
			f.Subject = "Tenant " + t.Name
			findings = append(findings, f)
		}
	}
	return withCount(findings, judged, "fresh and Isolated"), nil
}

func failures(proof *v1alpha1.Proof) string {
	texts := make([]string, len(proof.Failures))
	for i := range proof.Failures {
		texts[i] = proof.Failures[i].String()
	}
	return strings.Join(texts, "; ")
}

func (s *session) proof(t *v1alpha1.Tenant) Finding {
	condition := meta.FindStatusCondition(t.Status.Conditions, v1alpha1.ConditionProven)
	proof := t.Status.Proof
	if proof == nil {
		if condition != nil {
			return found(Unknown, "no proof yet: %s: %s", condition.Reason, condition.Message)
		}
		return found(Unknown, "no proof yet")
	}
	age := s.now.Sub(proof.Time.Time)
	switch {
	case proof.Verdict == v1alpha1.Exposed:
		return found(Problem, "Exposed: %s", failures(proof))
	case age > s.freshness+s.Skew:
		return found(Unknown, "stale: the last proof is %s old, and may be %s", round(age), s.freshness)
	case proof.Verdict != v1alpha1.Isolated:
		return found(Unknown, "%s: %s", proof.Verdict, failures(proof))
	case condition != nil && condition.Status == metav1.ConditionFalse: // by the exact proof
		return found(Problem, "%s: %s", condition.Reason, condition.Message)
	case condition != nil && condition.Status != metav1.ConditionTrue:
		return found(Unknown, "%s: %s", condition.Reason, condition.Message)
	}
	return found(OK, "")
}

func checkLedgers(ctx context.Context, s *session) ([]Finding, error) {
	tenants := &v1alpha1.TenantList{}
	if err := s.client.List(ctx, tenants); err != nil {
		return nil, fmt.Errorf("list Tenants: %w", err)
	}
	var findings []Finding
	for i := range tenants.Items {
		t := &tenants.Items[i]
		if over := overdrawn(t); len(over) > 0 {
			f := found(Problem, "its Spaces hold more than its quota: %s", strings.Join(over, ", "))
			f.Subject = "Tenant " + t.Name
			findings = append(findings, f)
		}
	}
	return withCount(findings, len(tenants.Items), "within their quota"), nil
}

// overdrawn lists resources of which the ledger's entries add up to more than the tenant's quota.
func overdrawn(t *v1alpha1.Tenant) []string {
	held := corev1.ResourceList{}
	for _, entry := range t.Status.Ledger {
		held = quotav1.Add(held, entry.Held)
	}
	_, beyond := quotav1.LessThanOrEqual(held, t.Spec.Quota)
	var over []string
	for _, name := range slices.Sorted(slices.Values(beyond)) {
		sum, limit := held[name], t.Spec.Quota[name]
		over = append(over, fmt.Sprintf("%s %s of %s", name, sum.String(), limit.String()))
	}
	return over
}
