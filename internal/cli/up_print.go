package cli

import (
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/charmbracelet/lipgloss"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/internal/story"
)

func (o *upOptions) print(t *told) error {
	if o.format.value == formatJSON {
		return writeJSON(o.Out, t)
	}
	var b strings.Builder
	p := newPaint(o.Out)
	if !t.empty {
		t.printStory(&b, p)
	}
	t.printAnswer(&b, p)
	if !o.once {
		t.printNext(&b, p)
	}
	if _, err := io.WriteString(o.Out, b.String()); err != nil {
		return fmt.Errorf("write the story: %w", err)
	}
	return nil
}

func (t *told) printStory(b *strings.Builder, p paint) {
	t.printDeclared(b, p)
	t.printDecided(b, p)
	t.printEnforced(b, p)
	heading(b, p, "What a tenant's developer does, alone and at once", "each line is a request with the developer's own client certificate")
	printOutcomes(b, p, t.Allowed)
	heading(b, p, "What is refused, by which control and in its words", "")
	printOutcomes(b, p, t.Refused)
	if t.Drill != nil {
		heading(b, p, "Without the controller: killed with SIGKILL", "admission, rights and quota are the API server's own")
		printOutcomes(b, p, t.Drill.Allowed)
		b.WriteString("\n")
		printOutcomes(b, p, t.Drill.Refused)
		b.WriteString("\n")
		printOutcomes(b, p, t.Drill.Rest)
	}
}

func heading(b *strings.Builder, p paint, title, note string) {
	b.WriteString("\n" + p.bold(title) + "\n")
	if note != "" {
		b.WriteString(p.faint(note) + "\n")
	}
	b.WriteString("\n")
}

func (t *told) printDeclared(b *strings.Builder, p paint) {
	heading(b, p, "Declared by the platform team, in business terms", "")
	var rows [][]string
	for _, tenant := range t.Tenants {
		boundary := tenant.Boundary
		if tenant.Declared != "" {
			boundary += ", " + tenant.Declared
		}
		for i, workload := range tenant.Workloads {
			row := []string{"", "", workload.Name, string(workload.Code), string(workload.Environment), traits(&workload)}
			if i == 0 {
				row[0], row[1] = tenant.Name, boundary
			}
			rows = append(rows, row)
		}
	}
	_ = writeTable(b, []string{"TENANT", "BOUNDARY", "WORKLOAD", "CODE", "ENVIRONMENT", "TRAITS"}, rows) // a Builder takes everything
}

// traits of a workload that differ from what holds without a word.
func traits(w *v1alpha1.Workload) string {
	var words []string
	add := func(name, value, usual string) {
		if value != usual && value != "" {
			words = append(words, name+" "+value)
		}
	}
	add("hostAccess", string(w.HostAccess), "None")
	add("apiAccess", string(w.APIAccess), "None")
	add("performance", string(w.Performance), "Shared")
	add("upgrades", string(w.Upgrades), "Platform")
	add("lifetime", string(w.Lifetime), "Permanent")
	if w.ClusterScoped {
		words = append(words, "clusterScoped")
	}
	return strings.Join(words, ", ")
}

func (t *told) printDecided(b *strings.Builder, p paint) {
	heading(b, p, "Decided, by rule and because", "")
	var rows [][]string
	for _, tenant := range t.Tenants {
		for i := range tenant.Decisions {
			d := &tenant.Decisions[i]
			pattern := d.Pattern
			if d.RuntimeClass != "" {
				pattern += " in " + d.RuntimeClass
			}
			for j, reason := range d.Reasons {
				rule, because := ruleOf(reason)
				row := []string{"", "", rule, because}
				if j == 0 {
					row[0], row[1] = tenant.Name+"/"+d.Workload, pattern
				}
				rows = append(rows, row)
			}
		}
	}
	_ = writeTable(b, []string{"WORKLOAD", "PATTERN", "RULE", "BECAUSE"}, rows) // a Builder takes everything
}

// ruleOf splits a recorded reason, "rule: facts: because".
func ruleOf(reason string) (rule, because string) {
	rule, rest, _ := strings.Cut(reason, ": ")
	if _, after, hasFacts := strings.Cut(rest, ": "); hasFacts {
		rest = after
	}
	return rule, rest
}

func (t *told) printEnforced(b *strings.Builder, p paint) {
	e := &t.Enforcement
	heading(b, p, "Enforced by the API server itself", fmt.Sprintf(
		"%d validating and %d mutating admission policies, %d quotas, %d network policies, %d flow schemas; %d webhooks",
		e.ValidatingPolicies, e.MutatingPolicies, e.Quotas, e.NetworkPolicies, e.FlowSchemas, e.Webhooks))
	var ready, waiting [][]string
	for _, s := range t.Spaces {
		if s.Ready {
			ready = append(ready, []string{p.mark(markOK), s.Namespace, s.Pattern, fmt.Sprint(s.Pods), strings.Join(s.Nodes, ", ")})
			continue
		}
		waiting = append(waiting, []string{p.mark(markNote), s.Tenant + "/" + s.Name, s.Reason, s.Message})
	}
	_ = writeTable(b, []string{" ", "NAMESPACE", "PATTERN", "PODS", "NODES"}, ready) // a Builder takes everything
	if len(waiting) == 0 {
		return
	}
	b.WriteString("\n" + p.faint("Waiting, and never put where they do not belong:") + "\n\n")
	printAligned(b, waiting)
}

func printOutcomes(b *strings.Builder, p paint, outcomes []story.Outcome) {
	rows := make([][]string, 0, len(outcomes))
	for i := range outcomes {
		o := &outcomes[i]
		mark := p.mark(markOK)
		if !o.Holds {
			mark = p.mark(markProblem)
		}
		by := fmt.Sprintf("%.1f s", o.Seconds)
		if o.Control != "" {
			by = o.Control
		}
		says := o.Says
		if !o.Holds {
			says = p.bad(says)
		}
		rows = append(rows, []string{mark, o.What, by, says})
	}
	printAligned(b, rows)
}

// printAligned prints rows in columns; the last column is wrapped.
func printAligned(b *strings.Builder, rows [][]string) {
	if len(rows) == 0 {
		return
	}
	last := len(rows[0]) - 1
	widths := make([]int, last)
	for _, row := range rows {
		for i := range widths {
			widths[i] = max(widths[i], lipgloss.Width(row[i]))
		}
	}
	indent := 0
	for _, width := range widths {
		indent += width + 2
	}
	for _, row := range rows {
		for i, width := range widths {
			b.WriteString(row[i] + strings.Repeat(" ", width-lipgloss.Width(row[i])+2))
		}
		b.WriteString(wrapped(row[last], min(indent, textWidth-wrapAtLeast)) + "\n")
	}
}

// wrapAtLeast is the least width of a wrapped column.
const wrapAtLeast = 50

func (t *told) printAnswer(b *strings.Builder, p paint) {
	if t.empty {
		fmt.Fprintf(b, "%s\n", p.bold(fmt.Sprintf("Bulkhead is up, without the example platform (%.0f s).", t.seconds)))
		return
	}
	ready := 0
	for _, s := range t.Spaces {
		if s.Ready {
			ready++
		}
	}
	failed := t.failed()
	answer := fmt.Sprintf("Bulkhead is up: %d tenants; %d Spaces enforced and proven, %d waiting for a place of their own; ",
		len(t.Tenants), ready, len(t.Spaces)-ready)
	if len(failed) == 0 {
		fmt.Fprintf(b, "\n%s\n", p.bold(answer+fmt.Sprintf("%d of %d tries went as they must (%.0f s).", t.tried(), t.tried(), t.seconds)))
	} else {
		fmt.Fprintf(b, "\n%s\n", p.bad(answer+fmt.Sprintf("%d OF %d TRIES DID NOT GO AS THEY MUST:", len(failed), t.tried())))
		printOutcomes(b, p, failed)
	}
	for _, kept := range t.Kept {
		b.WriteString(p.faint("kept as you changed it: "+kept) + "\n")
	}
}

func (t *told) printNext(b *strings.Builder, p paint) {
	b.WriteString("\n" + p.bold("Kubeconfigs") + "\n")
	rows := [][]string{{"  administrator", t.Kubeconfigs[""]}}
	for _, tenant := range slices.Sorted(maps.Keys(t.Kubeconfigs)) {
		if tenant != "" {
			rows = append(rows, []string{"  " + tenant, t.Kubeconfigs[tenant]})
		}
	}
	printAligned(b, rows)
	kubectl := kubectlCommand()
	b.WriteString("\n" + p.bold("Try") + "\n")
	fmt.Fprintf(b, "  %s --kubeconfig %s get tenants,spaces -A\n", kubectl, t.Kubeconfigs[""])
	if developer, ok := t.Kubeconfigs["newsroom"]; ok {
		fmt.Fprintf(b, "  %s --kubeconfig %s get spaces\n", kubectl, developer)
		fmt.Fprintf(b, "  %s --kubeconfig %s -n newsroom--site run miner --image docker.io/library/miner\n", kubectl, developer)
	}
}

// kubectlCommand is how to call kubectl here: the one on the path, or the one inside bin/kube.
func kubectlCommand() string {
	if _, err := exec.LookPath("kubectl"); err == nil {
		return "kubectl"
	}
	if program, err := os.Executable(); err == nil {
		return relative(filepath.Join(filepath.Dir(program), "kube")) + " kubectl"
	}
	return "bin/kube kubectl"
}
