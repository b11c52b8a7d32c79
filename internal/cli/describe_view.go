package cli

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/decision/tenancy"
	"github.com/bulkhead-dev/bulkhead/guardrail"
	"github.com/bulkhead-dev/bulkhead/isolation"
)

// tenantView is what is shown of a tenant: the JSON and YAML form of `bulkhead describe`.
type tenantView struct {
	Name       string           `json:"name"`
	Ready      conditionView    `json:"ready"`
	Conditions []conditionView  `json:"conditions"`
	Owners     []v1alpha1.Owner `json:"owners"`
	// Bound are those who are no owners and are bound in its namespaces, by whatever made the binding.
	Bound     []boundView                 `json:"bound,omitempty"`
	Decisions []v1alpha1.WorkloadDecision `json:"decisions"`
	NodeGroup string                      `json:"nodeGroup,omitempty"`
	Spaces    []spaceView                 `json:"spaces"`
	Controls  []controlView               `json:"controls"`
	Waivers   []waiverView                `json:"waivers"`
	Proof     *v1alpha1.Proof             `json:"proof,omitempty"`
	// ProofAge in words, as of when it was read.
	ProofAge string `json:"proofAge,omitempty"`
	// Report of the exact proof, and its age in words.
	Report    *v1alpha1.IsolationReport `json:"report,omitempty"`
	ReportAge string                    `json:"reportAge,omitempty"`
	Remaining []string                  `json:"remaining,omitempty"`
}

// boundView is a subject with the RoleBindings that name it.
type boundView struct {
	v1alpha1.Owner `json:",inline"`
	By             []string `json:"by"`
}

// viewBound are the subjects of bindings that are no owners, in the order of their names.
func viewBound(t *v1alpha1.Tenant, bindings []rbacv1.RoleBinding) []boundView {
	var list []boundView
	for i := range bindings {
		b := &bindings[i]
		for _, s := range b.Subjects {
			who := v1alpha1.Owner{Kind: s.Kind, Namespace: s.Namespace, Name: s.Name}
			if slices.Contains(t.Spec.Owners, who) {
				continue
			}
			at := slices.IndexFunc(list, func(v boundView) bool { return v.Owner == who })
			if at < 0 {
				at, list = len(list), append(list, boundView{Owner: who})
			}
			if by := b.Namespace + "/" + b.Name; !slices.Contains(list[at].By, by) {
				list[at].By = append(list[at].By, by)
			}
		}
	}
	slices.SortFunc(list, func(a, b boundView) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	return list
}

// conditionView is a condition; one that is not set, or not since the last change, is Unknown.
type conditionView struct {
	Type    string                 `json:"type"`
	Status  metav1.ConditionStatus `json:"status"`
	Reason  string                 `json:"reason,omitempty"`
	Message string                 `json:"message,omitempty"`
}

type spaceView struct {
	Name        string                `json:"name"`
	Workload    string                `json:"workload"`
	Pattern     v1alpha1.Pattern      `json:"pattern,omitempty"`
	Namespace   string                `json:"namespace,omitempty"`
	Ready       conditionView         `json:"ready"`
	Conditions  []conditionView       `json:"conditions"`
	Quota       corev1.ResourceList   `json:"quota,omitempty"`
	ClosedFlows []v1alpha1.ClosedFlow `json:"closedFlows,omitempty"`
	Remaining   []string              `json:"remaining,omitempty"`
	// Blocked says which workloads lack pods that are refused, and why; empty for none.
	Blocked string `json:"workloadsBlocked,omitempty"`
}

// The states of a control for one tenant.
const (
	controlInForce   = "InForce"
	controlWaived    = "Waived"
	controlExposed   = "Exposed"
	controlUnknown   = "Unknown"
	controlNotNeeded = "NotNeeded"
	controlNone      = "NotEnforced"
)

type controlView struct {
	ID    string `json:"id"`
	Title string `json:"title"`
	State string `json:"state"`
	// By names the objects that enforce it.
	By     []string `json:"by,omitempty"`
	Detail string   `json:"detail,omitempty"`
}

type waiverView struct {
	Name       string      `json:"name"`
	Control    string      `json:"control"`
	Workload   string      `json:"workload"`
	Expires    metav1.Time `json:"expires"`
	Over       bool        `json:"over"`
	Approver   string      `json:"approver"`
	Reason     string      `json:"reason"`
	Namespaces []string    `json:"namespaces,omitempty"`
}

// viewTenant turns objects into what is shown of them.
func viewTenant(facts *tenantFacts, now time.Time) *tenantView {
	t := facts.tenant
	v := &tenantView{
		Name: t.Name, Owners: t.Spec.Owners, Bound: viewBound(t, facts.bindings), Decisions: t.Status.Decisions, NodeGroup: t.Status.NodeGroup,
		Proof: t.Status.Proof, Report: facts.report, Remaining: t.Status.Remaining,
		Ready:      viewCondition(t.Status.Conditions, v1alpha1.ConditionReady, t.Generation),
		Conditions: viewConditions(t.Status.Conditions, t.Generation),
		Spaces:     []spaceView{}, Waivers: []waiverView{},
	}
	if v.Proof != nil {
		v.ProofAge = now.Sub(v.Proof.Time.Time).Round(time.Second).String()
	}
	if v.Report != nil {
		v.ReportAge = now.Sub(v.Report.Time.Time).Round(time.Second).String()
	}
	for i := range facts.spaces {
		s := &facts.spaces[i]
		v.Spaces = append(v.Spaces, spaceView{
			Name: s.Name, Workload: s.Spec.Workload, Pattern: s.Status.Pattern, Namespace: s.Status.Namespace,
			Ready:      viewCondition(s.Status.Conditions, v1alpha1.ConditionReady, s.Generation),
			Conditions: viewConditions(s.Status.Conditions, s.Generation),
			Quota:      s.Status.Quota, ClosedFlows: s.Status.ClosedFlows, Remaining: s.Status.Remaining,
		})
		if c := meta.FindStatusCondition(s.Status.Conditions, v1alpha1.ConditionWorkloadsBlocked); c != nil && c.Status == metav1.ConditionTrue {
			v.Spaces[i].Blocked = c.Message
		}
	}
	for i := range facts.waivers {
		w := &facts.waivers[i]
		v.Waivers = append(v.Waivers, waiverView{
			Name: w.Name, Control: w.Spec.Control, Workload: w.Spec.Workload, Expires: w.Spec.Expires,
			Over: !now.Before(w.Spec.Expires.Time), Approver: w.Spec.Approver, Reason: w.Spec.Reason,
			Namespaces: w.Status.Namespaces,
		})
	}
	v.Controls = viewControls(v)
	return v
}

func viewConditions(conditions []metav1.Condition, generation int64) []conditionView {
	views := make([]conditionView, 0, 4)
	for _, kind := range []string{
		v1alpha1.ConditionDecided, v1alpha1.ConditionPlaced, v1alpha1.ConditionEnforced, v1alpha1.ConditionProven,
	} {
		views = append(views, viewCondition(conditions, kind, generation))
	}
	return views
}

func viewCondition(conditions []metav1.Condition, kind string, generation int64) conditionView {
	c := meta.FindStatusCondition(conditions, kind)
	switch {
	case c == nil || c.Reason == v1alpha1.ReasonPending:
		return conditionView{Type: kind, Status: metav1.ConditionUnknown, Message: "no controller has looked at it yet"}
	case c.ObservedGeneration != generation:
		return conditionView{Type: kind, Status: metav1.ConditionUnknown, Reason: c.Reason, Message: "so it was before its latest change, which no controller has looked at yet"}
	}
	return conditionView{kind, c.Status, c.Reason, c.Message}
}

// condition of one type out of a list of views.
func condition(views []conditionView, kind string) conditionView {
	i := slices.IndexFunc(views, func(c conditionView) bool { return c.Type == kind })
	if i < 0 {
		return conditionView{Type: kind, Status: metav1.ConditionUnknown}
	}
	return views[i]
}

// viewControls says of every control what enforces it for this tenant, and whether it does.
func viewControls(v *tenantView) []controlView {
	enforced := condition(v.Conditions, v1alpha1.ConditionEnforced)
	var views []controlView
	for _, c := range guardrail.Controls() {
		view := controlView{ID: c.ID, Title: c.Title, State: controlInForce}
		for _, object := range c.Objects {
			view.By = append(view.By, strings.ReplaceAll(object, "NAME", v.Name))
		}
		switch waived, exposed := v.waivedBy(c.ID), v.exposedBy(c.ID); {
		case len(exposed) > 0:
			view.State, view.Detail = controlExposed, exposed[0]
			if len(exposed) > 1 {
				view.Detail += fmt.Sprintf("; and %d more, at the proof", len(exposed)-1)
			}
		case len(view.By) == 0:
			view.State, view.Detail = controlNone, c.Needs
		case waived != "":
			view.State, view.Detail = controlWaived, waived
		case !v.needs(c.ID):
			view.State = controlNotNeeded
		case enforced.Status != metav1.ConditionTrue:
			view.State, view.Detail = controlUnknown, enforced.Reason
		}
		views = append(views, view)
	}
	return views
}

// needs is false for controls that no decision of this tenant asks for.
func (v *tenantView) needs(control string) bool {
	switch control {
	case "node-affinity":
		return slices.ContainsFunc(v.Decisions, func(d v1alpha1.WorkloadDecision) bool { return d.Pattern == tenancy.PatternSoftAffinity })
	case "runtime":
		return slices.ContainsFunc(v.Decisions, func(d v1alpha1.WorkloadDecision) bool { return d.RuntimeClass != "" })
	}
	return true
}

// waivedBy says by which waivers in force a control is suspended, and where; empty when by none.
func (v *tenantView) waivedBy(control string) string {
	var texts []string
	for _, w := range v.Waivers {
		if w.Control == control && len(w.Namespaces) > 0 {
			texts = append(texts, "in "+strings.Join(w.Namespaces, ", ")+" until "+w.Expires.UTC().Format("2006-01-02 15:04Z")+" by Waiver "+w.Name)
		}
	}
	return strings.Join(texts, "; ")
}

// exposedBy returns the findings of both proofs that are about a control.
func (v *tenantView) exposedBy(control string) []string {
	var about []string
	if v.Proof != nil && v.Proof.Verdict == v1alpha1.Exposed {
		for _, f := range v.Proof.Failures {
			if f.Control == control {
				about = append(about, fmt.Sprintf("%s: %s: %s", f.Subject, f.Verdict, f.Detail))
			}
		}
	}
	for i := range v.found() {
		f := &v.Report.Findings[i]
		code, _, _ := isolation.CodeByID(f.Code)
		if f.Verdict == v1alpha1.Exposed && f.Waiver == "" && slices.Contains(code.Controls, control) {
			about = append(about, f.Code+" "+f.What)
		}
	}
	return about
}

// found is what the exact proof found.
func (v *tenantView) found() []v1alpha1.IsolationFinding {
	if v.Report == nil {
		return nil
	}
	return v.Report.Findings
}
