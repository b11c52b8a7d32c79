package cli

import (
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/internal/check"
	"github.com/bulkhead-dev/bulkhead/internal/cli/output"
	"github.com/bulkhead-dev/bulkhead/snapshot"
)

// drawTenant makes the tree of a description. Problems come before what is well, and what is well shares a line
// unless every detail is wanted.
func drawTenant(v *tenantView, verbose bool) *output.Branch {
	root := &output.Branch{Mark: v.Ready.mark(), Text: "Tenant " + v.Name + ": " + v.Ready.word()}
	drawOwners(root, v)
	drawDecisions(root, v, verbose)
	placed := condition(v.Conditions, v1alpha1.ConditionPlaced)
	placement := root.Add(placed.mark(), "placement: %s", placed.text())
	if v.NodeGroup != "" {
		placement.Detailf("node group %s is its own", v.NodeGroup)
	}
	drawSpaces(root, v, verbose)
	drawControls(root, v, verbose)
	drawWaivers(root, v)
	drawProof(root, v)
	if len(v.Remaining) > 0 {
		root.Add(output.Unknown, "being removed; left: %s", strings.Join(v.Remaining, ", "))
	}
	return root
}

func (c *conditionView) mark() output.Mark {
	switch c.Status {
	case metav1.ConditionTrue:
		return output.OK
	case metav1.ConditionFalse:
		if check.Waiting(c.Reason) {
			return output.Note
		}
		return output.Problem
	case metav1.ConditionUnknown:
	}
	return output.Unknown
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

func drawOwners(root *output.Branch, v *tenantView) {
	names := make([]string, len(v.Owners))
	for i, o := range v.Owners {
		names[i] = snapshot.Ref{Kind: strings.ToLower(o.Kind), Namespace: o.Namespace, Name: o.Name}.String()
	}
	root.Add(output.None, "owners: %s", strings.Join(names, ", "))
	if len(v.Bound) == 0 {
		return
	}
	bound := root.Add(output.None, "also bound in its namespaces:")
	for _, b := range v.Bound {
		bound.Add(output.None, "%s by %s", snapshot.Ref{Kind: strings.ToLower(b.Kind), Namespace: b.Namespace, Name: b.Name}, strings.Join(b.By, ", "))
	}
}

func drawDecisions(root *output.Branch, v *tenantView, verbose bool) {
	decided := condition(v.Conditions, v1alpha1.ConditionDecided)
	b := root.Add(decided.mark(), "decision: %s", decided.text())
	for _, d := range v.Decisions {
		runtime := ""
		if d.RuntimeClass != "" {
			runtime = ", runtime " + d.RuntimeClass
		}
		workload := b.Add(output.None, "%s: %s%s", d.Workload, d.Pattern, runtime)
		for _, reason := range d.Explanation.Reasons {
			workload.Detailf("because %s", reason)
		}
		for _, risk := range d.Explanation.Risks {
			if verbose {
				workload.Detailf("risk %s", risk)
			}
		}
		if !verbose && len(d.Explanation.Risks) > 0 {
			workload.Detailf("leaves risks %s: -v says what they are", strings.Join(riskIDs(d.Explanation.Risks), ", "))
		}
		for _, relaxation := range d.Explanation.Relaxations {
			workload.Detailf("cheaper %s", relaxation)
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

func drawSpaces(root *output.Branch, v *tenantView, verbose bool) {
	if len(v.Spaces) == 0 {
		root.Add(output.None, "spaces: none")
		return
	}
	var well []spaceView
	var rest []*output.Branch
	for _, s := range v.Spaces {
		if s.Ready.Status == metav1.ConditionTrue && len(s.ClosedFlows) == 0 && s.Blocked == "" && !verbose {
			well = append(well, s)
			continue
		}
		rest = append(rest, drawSpace(&s, verbose))
	}
	ready, worst := 0, output.OK
	for _, s := range v.Spaces {
		if s.Ready.Status == metav1.ConditionTrue {
			ready++
		} else if m := s.Ready.mark(); worst != output.Problem {
			worst = m
		}
		if s.Blocked != "" {
			worst = output.Problem
		}
	}
	b := root.Add(worst, "spaces: %d of %d ready", ready, len(v.Spaces))
	b.Children = rest
	if len(well) > 0 {
		names := make([]string, len(well))
		for i, s := range well {
			names[i] = s.Name + " (" + s.Namespace + ")"
		}
		b.Add(output.OK, "%s", strings.Join(names, ", "))
	}
}

func drawSpace(s *spaceView, verbose bool) *output.Branch {
	where := s.Namespace
	if where == "" {
		where = "no namespace"
	}
	b := &output.Branch{Mark: s.Ready.mark(), Text: fmt.Sprintf("%s (%s), workload %s: %s", s.Name, where, s.Workload, s.Ready.text())}
	for _, c := range s.Conditions {
		// What is not looked at for the reason that the first line gives says nothing new.
		if verbose || c.Status != metav1.ConditionTrue && c.Reason != s.Ready.Reason {
			b.Add(c.mark(), "%s: %s", c.Type, c.text())
		}
	}
	if s.Blocked != "" {
		b.Add(output.Problem, "workloads blocked: %s", s.Blocked)
	}
	for _, flow := range s.ClosedFlows {
		b.Add(output.Note, "flow closed: %s", flow)
	}
	if len(s.Remaining) > 0 {
		b.Add(output.Unknown, "being removed; left: %s", strings.Join(s.Remaining, ", "))
	}
	return b
}

func drawControls(root *output.Branch, v *tenantView, verbose bool) {
	marks := map[string]output.Mark{
		controlInForce: output.OK, controlWaived: output.Note, controlExposed: output.Problem,
		controlUnknown: output.Unknown, controlNotNeeded: output.Note, controlNone: output.Note,
	}
	words := map[string]string{
		controlInForce: "in force", controlWaived: "waived", controlExposed: "EXPOSED",
		controlUnknown: "not known to be in force", controlNotNeeded: "not needed", controlNone: "not enforced",
	}
	enforced := condition(v.Conditions, v1alpha1.ConditionEnforced)
	b := root.Add(enforced.mark(), "controls: %s", enforced.text())
	if slices.ContainsFunc(v.Controls, func(c controlView) bool { return c.State == controlExposed }) {
		b.Mark = output.Problem
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
			line := b.Add(marks[state], "%s %s", c.ID, words[state])
			if c.Detail != "" {
				line.Text += ": " + c.Detail
			}
			if len(c.By) > 0 && verbose {
				line.Detailf("by %s", strings.Join(c.By, ", "))
			}
		}
		if len(ids) > 0 {
			b.Add(marks[state], "%d %s: %s", len(ids), words[state], strings.Join(ids, ", "))
		}
	}
}

func drawWaivers(root *output.Branch, v *tenantView) {
	if len(v.Waivers) == 0 {
		return
	}
	b := root.Add(output.Note, "waivers: %d", len(v.Waivers))
	for _, w := range v.Waivers {
		state := "in force nowhere"
		m := output.Note
		switch {
		case w.Over && len(w.Namespaces) > 0:
			state, m = "OVER, and still in force in "+strings.Join(w.Namespaces, ", "), output.Problem
		case w.Over:
			state = "over"
		case len(w.Namespaces) > 0:
			state = "in force in " + strings.Join(w.Namespaces, ", ")
		}
		line := b.Add(m, "%s: %s for workload %s, %s", w.Name, w.Control, w.Workload, state)
		line.Detailf("until %s, approved by %s: %s", w.Expires.UTC().Format("2006-01-02 15:04Z"), w.Approver, w.Reason)
	}
}

func drawProof(root *output.Branch, v *tenantView) {
	proven := condition(v.Conditions, v1alpha1.ConditionProven)
	if v.Proof == nil {
		drawReport(root.Add(proven.mark(), "proof: %s", proven.text()), v)
		return
	}
	asked := fmt.Sprintf("%s: %d questions asked as the tenant's own identities, the last %s ago", v.Proof.Verdict, v.Proof.Asked, v.ProofAge)
	if proven.Status == metav1.ConditionTrue {
		drawReport(root.Add(output.OK, "proof: %s", asked), v)
		return
	}
	text := proven.text()
	if proven.Status == metav1.ConditionFalse {
		text = proven.Reason // what was found follows
	}
	b := root.Add(proven.mark(), "proof: %s", text)
	b.Detailf("%s", asked)
	for _, finding := range v.Proof.Failures {
		m := output.Unknown
		if v.Proof.Verdict == v1alpha1.Exposed {
			m = output.Problem
		}
		b.Add(m, "%s", finding)
	}
	drawReport(b, v)
}

// drawReport adds what the exact proof says, the worst that it found first.
func drawReport(b *output.Branch, v *tenantView) {
	if v.Report == nil {
		return
	}
	b.Detailf("%s: exact proof of %s over all that the cluster holds, %s old", v.Report.Verdict, output.Plural(len(v.Report.Checks), "check"), v.ReportAge)
	const most = 5
	for i := range v.found() {
		f := &v.Report.Findings[i]
		switch {
		case i == most:
			b.Add(output.Note, "and %d more: `bulkhead prove %s`", int(v.Report.Exposed+v.Report.Unknown+v.Report.Waived)-most, v.Name)
			return
		case f.Waiver != "":
			b.Add(output.Note, "%s accepted by Waiver %s: %s", f.Code, f.Waiver, f.What)
		case f.Verdict == v1alpha1.Exposed:
			b.Add(output.Problem, "%s %s", f.Code, f.What).Detailf("-> %s", f.Fix)
		default:
			b.Add(output.Unknown, "%s %s", f.Code, f.What).Detailf("-> %s", f.Fix)
		}
	}
}
