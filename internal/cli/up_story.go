package cli

import (
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/charmbracelet/lipgloss"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/internal/cli/output"
	"github.com/bulkhead-dev/bulkhead/internal/demo"
	"github.com/bulkhead-dev/bulkhead/internal/localcluster"
)

func (o *upOptions) print(t *outcomes) error {
	if o.format.value == formatJSON {
		return output.WriteJSON(o.Out, t)
	}
	var b strings.Builder
	p := output.NewPaint(o.Out)
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

func (t *outcomes) printStory(b *strings.Builder, p output.Paint) {
	t.printDeclared(b, p)
	t.printDecided(b, p)
	t.printEnforced(b, p)
	heading(b, p, "What a tenant's developer does, alone and at once", "each line is a request with the developer's own client certificate")
	printAllowed(b, p, t.Allowed)
	heading(b, p, "What is refused, by which control and in its words", "")
	printRefused(b, p, t.Refused)
	if t.Drill != nil {
		heading(b, p, "Without the controller: killed with SIGKILL", "admission, rights and quota are the API server's own")
		printAllowed(b, p, append(t.Drill.Allowed, summary(t.Drill.Refused)))
		b.WriteString("\n")
		printAllowed(b, p, t.Drill.Rest)
	}
}

// summary of refusals that were printed once already, in one line; those that do not hold stand at the end.
func summary(refused []demo.Outcome) demo.Outcome {
	sum := demo.Outcome{What: "try what must be refused", Holds: true}
	for _, o := range refused {
		sum.Holds = sum.Holds && o.Holds
		sum.Seconds += o.Seconds
	}
	failed := len(demo.Failed(refused))
	sum.Says = fmt.Sprintf("%d of %d refused, each by the same control as before", len(refused)-failed, len(refused))
	return sum
}

func heading(b *strings.Builder, p output.Paint, title, note string) {
	b.WriteString("\n" + p.Bold(title) + "\n")
	if note != "" {
		b.WriteString(p.Faint(note) + "\n")
	}
	b.WriteString("\n")
}

func (t *outcomes) printDeclared(b *strings.Builder, p output.Paint) {
	heading(b, p, "Declared by the platform team, in business terms", "")
	var rows [][]string
	for _, tenant := range t.Tenants {
		boundary := tenant.Boundary
		if tenant.Declared != "" {
			boundary += ", " + tenant.Declared
		}
		for i, workload := range tenant.Workloads {
			row := []string{"", "", workload.Name, string(workload.Code), string(workload.Environment), traits(&tenant, &workload)}
			if i == 0 {
				row[0], row[1] = tenant.Name, boundary
			}
			rows = append(rows, row)
		}
	}
	_ = output.WriteTable(b, []string{"TENANT", "BOUNDARY", "WORKLOAD", "CODE", "ENVIRONMENT", "TRAITS"}, rows) // a Builder takes everything
}

// traits of a workload, and of its tenant as a whole, that differ from what holds without a word.
func traits(t *demo.TenantState, w *v1alpha1.Workload) string {
	var words []string
	if t.DedicatedHosts {
		words = append(words, "dedicatedHosts")
	}
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

func (t *outcomes) printDecided(b *strings.Builder, p output.Paint) {
	heading(b, p, "Decided, by rule and because", "")
	var rows [][]string
	for _, tenant := range t.Tenants {
		for i := range tenant.Decisions {
			d := &tenant.Decisions[i]
			pattern := string(d.Pattern)
			if d.RuntimeClass != "" {
				pattern += " in " + d.RuntimeClass
			}
			for j := range d.Explanation.Reasons {
				reason := &d.Explanation.Reasons[j]
				row := []string{"", "", reason.Rule, because(reason)}
				if j == 0 {
					row[0], row[1] = tenant.Name+"/"+d.Workload, pattern
				}
				rows = append(rows, row)
			}
		}
	}
	_ = output.WriteTable(b, []string{"WORKLOAD", "PATTERN", "RULE", "BECAUSE"}, rows) // a Builder takes everything
}

func (t *outcomes) printEnforced(b *strings.Builder, p output.Paint) {
	e := &t.Enforcement
	heading(b, p, "Enforced by the API server itself", fmt.Sprintf(
		"%d validating and %d mutating admission policies, %d quotas, %d network policies, %d flow schemas; %d webhooks",
		e.ValidatingPolicies, e.MutatingPolicies, e.Quotas, e.NetworkPolicies, e.FlowSchemas, e.Webhooks))
	var ready [][]string
	for _, s := range t.Spaces {
		if s.Ready {
			ready = append(ready, []string{p.Mark(output.OK), s.Namespace, s.Pattern, strconv.Itoa(s.Pods), strings.Join(s.Nodes, ", ")})
		}
	}
	_ = output.WriteTable(b, []string{" ", "NAMESPACE", "PATTERN", "PODS", "NODES"}, ready) // a Builder takes everything
	t.printWaiting(b, p)
	t.printWaivers(b, p)
}

// printWaiting groups the Spaces by what they wait for.
func (t *outcomes) printWaiting(b *strings.Builder, p output.Paint) {
	names, messages := map[string][]string{}, map[string]string{}
	for _, s := range t.Spaces {
		if !s.Ready {
			names[s.Reason] = append(names[s.Reason], s.Tenant+"/"+s.Name)
			messages[s.Reason] = s.Message
		}
	}
	if len(names) == 0 {
		return
	}
	b.WriteString("\nWaiting, and never put where they do not belong:\n\n")
	var rows [][]string
	for _, reason := range slices.Sorted(maps.Keys(names)) {
		message := messages[reason]
		if len(names[reason]) > 1 {
			message = demo.WaitsFor[reason]
		}
		rows = append(rows, []string{p.Mark(output.Note), reason, strings.Join(names[reason], ", ") + ": " + message})
	}
	printAligned(b, rows)
}

func (t *outcomes) printWaivers(b *strings.Builder, p output.Paint) {
	if len(t.Waivers) == 0 {
		return
	}
	b.WriteString("\nExceptions:\n\n")
	var rows [][]string
	for _, w := range t.Waivers {
		what := fmt.Sprintf("%s for %s/%s until %s, by %s: %s", w.Control, w.Tenant, w.Workload, w.Expires.UTC().Format(time.DateOnly), w.Approver, w.Reason)
		state := "in force"
		if !w.Active {
			state = "expired"
		}
		rows = append(rows, []string{p.Mark(output.Note), state, what})
	}
	printAligned(b, rows)
}

// printAllowed prints what must work: one line each, with the time that it took.
func printAllowed(b *strings.Builder, p output.Paint, outcomes []demo.Outcome) {
	rows := make([][]string, 0, len(outcomes))
	for i := range outcomes {
		o := &outcomes[i]
		rows = append(rows, []string{verdict(p, o), o.What, fmt.Sprintf("%.1f s", o.Seconds), o.Says})
	}
	printAligned(b, rows)
}

// printRefused prints what must be refused: a line with the control, and below it what the control said.
func printRefused(b *strings.Builder, p output.Paint, outcomes []demo.Outcome) {
	width := 0
	for i := range outcomes {
		width = max(width, lipgloss.Width(outcomes[i].What))
	}
	for i := range outcomes {
		o := &outcomes[i]
		fmt.Fprintf(b, "%s  %-*s  %s\n", verdict(p, o), width, o.What, p.Bold(o.Control))
		b.WriteString("     " + output.Wrapped(o.Says, 5) + "\n")
	}
}

func verdict(p output.Paint, o *demo.Outcome) string {
	if o.Holds {
		return p.Mark(output.OK)
	}
	return p.Mark(output.Problem)
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
		b.WriteString(output.Wrapped(row[last], indent) + "\n")
	}
}

func (t *outcomes) printAnswer(b *strings.Builder, p output.Paint) {
	if t.empty {
		fmt.Fprintf(b, "%s\n", p.Bold(fmt.Sprintf("Bulkhead is up, without the example platform (%.0f s).", t.seconds)))
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
		fmt.Fprintf(b, "\n%s\n", p.Bold(answer+fmt.Sprintf("all %d tries went as they must (%.0f s).", t.tried(), t.seconds)))
	} else {
		fmt.Fprintf(b, "\n%s\n", p.Bad(answer+fmt.Sprintf("%d OF %d TRIES DID NOT GO AS THEY MUST:", len(failed), t.tried())))
		printRefused(b, p, failed)
	}
	for _, kept := range t.Kept {
		b.WriteString(p.Faint("kept as you changed it: "+kept) + "\n")
	}
}

func (t *outcomes) printNext(b *strings.Builder, p output.Paint) {
	b.WriteString("\n" + p.Bold("Kubeconfigs") + "\n")
	rows := [][]string{{"  administrator", t.AdminKubeconfig}}
	for _, tenant := range slices.Sorted(maps.Keys(t.Kubeconfigs)) {
		rows = append(rows, []string{"  " + tenant, t.Kubeconfigs[tenant]})
	}
	printAligned(b, rows)
	kubectl := kubectlCommand()
	b.WriteString("\n" + p.Bold("Try") + "\n")
	fmt.Fprintf(b, "  %s --kubeconfig %s get tenants,spaces -A\n", kubectl, t.AdminKubeconfig)
	if developer, ok := t.Kubeconfigs["newsroom"]; ok {
		fmt.Fprintf(b, "  %s --kubeconfig %s get spaces\n", kubectl, developer)
		fmt.Fprintf(b, "  %s --kubeconfig %s -n newsroom--site delete networkpolicy bulkhead-default\n", kubectl, developer)
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

// outcomes are the results of one `up`.
type outcomes struct {
	Tenants     []demo.TenantState `json:"tenants"`
	Spaces      []demo.SpaceState  `json:"spaces"`
	Waivers     []demo.WaiverState `json:"waivers,omitempty"`
	Enforcement demo.Enforcement   `json:"enforcement"`
	Allowed     []demo.Outcome     `json:"allowed"`
	Refused     []demo.Outcome     `json:"refused"`
	Drill       *demo.Drill        `json:"drill,omitempty"`
	// Kept is what the user had changed and the example did not overwrite.
	Kept []string `json:"kept,omitempty"`
	// AdminKubeconfig and Kubeconfigs, by tenant, are paths.
	AdminKubeconfig string            `json:"adminKubeconfig"`
	Kubeconfigs     map[string]string `json:"kubeconfigs"`

	empty   bool
	seconds float64
}

func (t *outcomes) failed() []demo.Outcome {
	failed := append(demo.Failed(t.Allowed), demo.Failed(t.Refused)...)
	if t.Drill != nil {
		failed = append(failed, t.Drill.Failed()...)
	}
	return failed
}

func (t *outcomes) failures() int { return len(t.failed()) }

func (t *outcomes) tried() int {
	n := len(t.Allowed) + len(t.Refused)
	if t.Drill != nil {
		n += len(t.Drill.Allowed) + len(t.Drill.Refused) + len(t.Drill.Rest)
	}
	return n
}

// play plays the example and collects its outcomes.
func (o *upOptions) play(ctx context.Context, cluster *localcluster.Cluster, program *localcluster.Program,
	example *demo.Example, steps *steps,
) (*outcomes, error) {
	t := &outcomes{empty: o.empty, Kubeconfigs: map[string]string{}}
	play, err := people(cluster, o.dir, example)
	if err != nil {
		return nil, err
	}
	t.AdminKubeconfig = play.Admin.Kubeconfig
	for tenant, developer := range play.Developers {
		t.Kubeconfigs[tenant] = developer.Kubeconfig
	}
	if o.empty {
		return t, nil
	}
	if err := o.converge(ctx, play, t, steps); err != nil {
		return nil, err
	}
	if err := o.try(ctx, play, t, steps); err != nil {
		return nil, err
	}
	if o.drill {
		err := steps.do("kill the controller, and try everything without it", func() error {
			t.Drill, err = play.Drill(ctx, controller{cluster, program}, o.outcomes(steps))
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return t, nil
}

// converge declares the example and waits until it is enforced and runs.
func (o *upOptions) converge(ctx context.Context, play *demo.Play, t *outcomes, steps *steps) error {
	progress := func(settled, all int) { steps.note(fmt.Sprintf("%d of %d Spaces", settled, all)) }
	err := steps.do(fmt.Sprintf("declare %d tenants; their owners ask for %d Spaces", len(play.Example.Tenants), len(play.Example.Spaces)), func() error {
		var err error
		t.Kept, err = play.Declare(ctx)
		return err
	})
	if err != nil {
		return err
	}
	err = steps.do("decide, enforce and prove", func() error {
		var err error
		t.Spaces, err = play.Settle(ctx, progress)
		return err
	})
	if err != nil {
		return err
	}
	err = steps.do("deploy the tenants' applications as their owners", func() error {
		kept, err := play.Deploy(ctx, t.Spaces)
		if err != nil {
			return err
		}
		t.Kept = append(t.Kept, kept...)
		return play.Run(ctx, t.Spaces)
	})
	if err != nil {
		return err
	}
	if t.Tenants, err = play.Tenants(ctx); err != nil {
		return err
	}
	if t.Waivers, err = play.Waivers(ctx); err != nil {
		return err
	}
	t.Enforcement, err = play.Enforcement(ctx)
	return err
}

// try what must work and what must not.
func (o *upOptions) try(ctx context.Context, play *demo.Play, t *outcomes, steps *steps) error {
	err := steps.do("work as a tenant's developer", func() error {
		var err error
		t.Allowed, err = play.Allowed(ctx, o.outcomes(steps))
		return err
	})
	if err != nil {
		return err
	}
	return steps.do("try what must be refused", func() error {
		var err error
		t.Refused, err = play.Refused(ctx, o.outcomes(steps))
		return err
	})
}

func (o *upOptions) outcomes(steps *steps) func(demo.Outcome) {
	return func(outcome demo.Outcome) { steps.note(outcome.What) }
}

// controller lets the story kill and start Bulkhead's process.
type controller struct {
	cluster *localcluster.Cluster
	program *localcluster.Program
}

// Kill ends the controller by SIGKILL; it is not restarted by itself.
func (c controller) Kill() error { return c.cluster.Kill(c.program.Name) }

// Start runs it again and waits until it is ready.
func (c controller) Start(ctx context.Context) error { return c.cluster.Run(ctx, c.program) }
