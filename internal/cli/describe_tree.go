package cli

import (
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/internal/check"
)

// drawTenant makes the tree of a description. Problems come before what is well, and what is well shares a line
// unless every detail is wanted.
func drawTenant(v *tenantView, verbose bool) *branch {
	root := &branch{mark: v.Ready.mark(), text: "Tenant " + v.Name + ": " + v.Ready.word()}
	drawOwners(root, v)
	drawDecisions(root, v, verbose)
	placed := condition(v.Conditions, v1alpha1.ConditionPlaced)
	placement := root.add(placed.mark(), "placement: %s", placed.text())
	if v.NodeGroup != "" {
		placement.detailf("node group %s is its own", v.NodeGroup)
	}
	drawSpaces(root, v, verbose)
	drawControls(root, v, verbose)
	drawWaivers(root, v)
	drawProof(root, v)
	if len(v.Remaining) > 0 {
		root.add(markUnknown, "being removed; left: %s", strings.Join(v.Remaining, ", "))
	}
	return root
}

func (c *conditionView) mark() mark {
	switch c.Status {
	case metav1.ConditionTrue:
		return markOK
	case metav1.ConditionFalse:
		if check.Waiting(c.Reason) {
			return markNote
		}
		return markProblem
	case metav1.ConditionUnknown:
	}
	return markUnknown
}

// text is the reason and, where something is to be said, the message.
func (c *conditionView) text() string {
	if c.Reason == "" {
		return c.Message
	}
	if c.Message == "" || c.Message == c.Reason {
		return c.Reason
	}
	return c.Reason + ": " + c.Message
}

// word is the condition in brief: the branches below say why.
func (c *conditionView) word() string {
	switch {
	case c.Status == metav1.ConditionTrue:
		return c.Type
	case c.Reason == "":
		return "not known to be " + c.Type + ": " + c.Message
	case c.Status == metav1.ConditionFalse:
		return "not " + c.Type + " (" + c.Reason + ")"
	}
	return "not known to be " + c.Type + " (" + c.Reason + ")"
}

func drawOwners(root *branch, v *tenantView) {
	names := make([]string, len(v.Owners))
	for i, o := range v.Owners {
		name := o.Name
		if o.Namespace != "" {
			name = o.Namespace + "/" + name
		}
		names[i] = strings.ToLower(o.Kind) + " " + name
	}
	root.add(markNone, "owners: %s", strings.Join(names, ", "))
}

func drawDecisions(root *branch, v *tenantView, verbose bool) {
	decided := condition(v.Conditions, v1alpha1.ConditionDecided)
	b := root.add(decided.mark(), "decision: %s", decided.text())
	for _, d := range v.Decisions {
		runtime := ""
		if d.RuntimeClass != "" {
			runtime = ", runtime " + d.RuntimeClass
		}
		workload := b.add(markNone, "%s: %s%s", d.Workload, d.Pattern, runtime)
		for _, reason := range d.Explanation.Reasons {
			workload.detailf("because %s", reason)
		}
		for _, risk := range d.Explanation.Risks {
			if verbose {
				workload.detailf("risk %s", risk)
			}
		}
		if !verbose && len(d.Explanation.Risks) > 0 {
			workload.detailf("leaves risks %s: -v says what they are", strings.Join(riskIDs(d.Explanation.Risks), ", "))
		}
		for _, relaxation := range d.Explanation.Relaxations {
			workload.detailf("cheaper %s", relaxation)
		}
	}
}

func riskIDs(risks []v1alpha1.ResidualRisk) []string {
	ids := make([]string, len(risks))
	for i := range risks {
		ids[i] = risks[i].ID
	}
	return ids
}

func drawSpaces(root *branch, v *tenantView, verbose bool) {
	if len(v.Spaces) == 0 {
		root.add(markNone, "spaces: none")
		return
	}
	var well []spaceView
	var rest []*branch
	for _, s := range v.Spaces {
		if s.Ready.Status == metav1.ConditionTrue && len(s.ClosedFlows) == 0 && !verbose {
			well = append(well, s)
			continue
		}
		rest = append(rest, drawSpace(&s, verbose))
	}
	ready, worst := 0, markOK
	for _, s := range v.Spaces {
		if s.Ready.Status == metav1.ConditionTrue {
			ready++
		} else if m := s.Ready.mark(); worst != markProblem {
			worst = m
		}
	}
	b := root.add(worst, "spaces: %d of %d ready", ready, len(v.Spaces))
	b.children = rest
	if len(well) > 0 {
		names := make([]string, len(well))
		for i, s := range well {
			names[i] = s.Name + " (" + s.Namespace + ")"
		}
		b.add(markOK, "%s", strings.Join(names, ", "))
	}
}

func drawSpace(s *spaceView, verbose bool) *branch {
	where := s.Namespace
	if where == "" {
		where = "no namespace"
	}
	b := &branch{mark: s.Ready.mark(), text: fmt.Sprintf("%s (%s), workload %s: %s", s.Name, where, s.Workload, s.Ready.text())}
	for _, c := range s.Conditions {
		// What is not looked at for the reason that the first line gives says nothing new.
		if verbose || c.Status != metav1.ConditionTrue && c.Reason != s.Ready.Reason {
			b.add(c.mark(), "%s: %s", c.Type, c.text())
		}
	}
	for _, flow := range s.ClosedFlows {
		b.add(markNote, "flow closed: %s", flow)
	}
	if len(s.Remaining) > 0 {
		b.add(markUnknown, "being removed; left: %s", strings.Join(s.Remaining, ", "))
	}
	return b
}

func drawControls(root *branch, v *tenantView, verbose bool) {
	marks := map[string]mark{
		controlInForce: markOK, controlWaived: markNote, controlExposed: markProblem,
		controlUnknown: markUnknown, controlNotNeeded: markNote, controlNone: markNote,
	}
	words := map[string]string{
		controlInForce: "in force", controlWaived: "waived", controlExposed: "EXPOSED",
		controlUnknown: "not known to be in force", controlNotNeeded: "not needed", controlNone: "not enforced",
	}
	enforced := condition(v.Conditions, v1alpha1.ConditionEnforced)
	b := root.add(enforced.mark(), "controls: %s", enforced.text())
	if slices.ContainsFunc(v.Controls, func(c controlView) bool { return c.State == controlExposed }) {
		b.mark = markProblem
	}
	for _, state := range []string{controlExposed, controlUnknown, controlWaived, controlNone, controlNotNeeded, controlInForce} {
		var ids []string
		for _, c := range v.Controls {
			if c.State != state {
				continue
			}
			grouped := state == controlInForce || state == controlNotNeeded || state == controlUnknown
			if grouped && !verbose {
				ids = append(ids, c.ID)
				continue
			}
			line := b.add(marks[state], "%s %s", c.ID, words[state])
			if c.Detail != "" {
				line.text += ": " + c.Detail
			}
			if len(c.By) > 0 && verbose {
				line.detailf("by %s", strings.Join(c.By, ", "))
			}
		}
		if len(ids) > 0 {
			b.add(marks[state], "%d %s: %s", len(ids), words[state], strings.Join(ids, ", "))
		}
	}
}

func drawWaivers(root *branch, v *tenantView) {
	if len(v.Waivers) == 0 {
		return
	}
	b := root.add(markNote, "waivers: %d", len(v.Waivers))
	for _, w := range v.Waivers {
		state := "in force nowhere"
		m := markNote
		switch {
		case w.Over && len(w.Namespaces) > 0:
			state, m = "OVER, and still in force in "+strings.Join(w.Namespaces, ", "), markProblem
		case w.Over:
			state = "over"
		case len(w.Namespaces) > 0:
			state = "in force in " + strings.Join(w.Namespaces, ", ")
		}
		line := b.add(m, "%s: %s for workload %s, %s", w.Name, w.Control, w.Workload, state)
		line.detailf("until %s, approved by %s: %s", w.Expires.UTC().Format("2006-01-02 15:04Z"), w.Approver, w.Reason)
	}
}

func drawProof(root *branch, v *tenantView) {
	proven := condition(v.Conditions, v1alpha1.ConditionProven)
	if v.Proof == nil {
		drawReport(root.add(proven.mark(), "proof: %s", proven.text()), v)
		return
	}
	asked := fmt.Sprintf("%s: %d questions asked as the tenant's own identities, the last %s ago", v.Proof.Verdict, v.Proof.Asked, v.ProofAge)
	if proven.Status == metav1.ConditionTrue {
		drawReport(root.add(markOK, "proof: %s", asked), v)
		return
	}
	text := proven.text()
	if proven.Status == metav1.ConditionFalse {
		text = proven.Reason // what was found follows
	}
	b := root.add(proven.mark(), "proof: %s", text)
	b.detailf("%s", asked)
	for _, finding := range v.Proof.Failures {
		m := markUnknown
		if v.Proof.Verdict == v1alpha1.Exposed {
			m = markProblem
		}
		b.add(m, "%s", finding)
	}
	drawReport(b, v)
}

// drawReport adds what the exact proof says, the worst that it found first.
func drawReport(b *branch, v *tenantView) {
	if v.Report == nil {
		return
	}
	b.detailf("%s: exact proof of %s over all that the cluster holds, %s old", v.Report.Verdict, plural(len(v.Report.Checks), "check"), v.ReportAge)
	const most = 5
	for i := range v.found() {
		f := &v.Report.Findings[i]
		switch {
		case i == most:
			b.add(markNote, "and %d more: `bulkhead prove %s`", int(v.Report.Exposed+v.Report.Unknown+v.Report.Waived)-most, v.Name)
			return
		case f.Waiver != "":
			b.add(markNote, "%s accepted by Waiver %s: %s", f.Code, f.Waiver, f.What)
		case f.Verdict == v1alpha1.Exposed:
			b.add(markProblem, "%s %s", f.Code, f.What).detailf("-> %s", f.Fix)
		default:
			b.add(markUnknown, "%s %s", f.Code, f.What).detailf("-> %s", f.Fix)
		}
	}
}
