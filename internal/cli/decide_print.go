package cli

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/decision"
	"github.com/bulkhead-dev/bulkhead/decision/tenancy"
	"github.com/bulkhead-dev/bulkhead/internal/cli/output"
)

// headline is the answer in one line.
func (a *decideAnswer) headline() string {
	var parts []string
	for _, p := range []tenancy.Pattern{tenancy.PatternSoft, tenancy.PatternSoftAffinity, tenancy.PatternHard} {
		if n := a.Summary.Patterns[p]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, p))
		}
	}
	return fmt.Sprintf("%s, %s: %s", output.Plural(a.Summary.Tenants, "tenant"), output.Plural(a.Summary.Workloads, "workload"), strings.Join(parts, ", "))
}

var decideHeaders = []string{"TENANT", "WORKLOAD", "PATTERN", "RULES", "BECAUSE"}

// rows has a row for each workload.
func (a *decideAnswer) rows() [][]string {
	rows := make([][]string, 0, a.Summary.Workloads)
	for i := range a.Tenants {
		t := &a.Tenants[i]
		for j := range t.Workloads {
			w := &t.Workloads[j]
			rows = append(rows, []string{t.Tenant, w.Workload, w.pattern(), w.rules(), because(&w.Reasons[0])}) // the first reason sets the pattern
		}
	}
	return rows
}

// pattern with what refines it.
func (w *workloadAnswer) pattern() string {
	switch {
	case w.Ephemeral:
		return string(w.Pattern) + ", one run"
	case w.RuntimeClass != "":
		return string(w.Pattern) + ", " + w.RuntimeClass
	}
	return string(w.Pattern)
}

func (w *workloadAnswer) rules() string {
	ids := make([]string, len(w.Reasons))
	for i := range w.Reasons {
		ids[i] = w.Reasons[i].Rule
	}
	return strings.Join(ids, ",")
}

// because is a reason with its facts, as they are declared.
func because(r *v1alpha1.DecisionReason) string {
	facts := make([]string, len(r.Facts))
	for i, f := range r.Facts {
		_, name, _ := strings.Cut(f.Name, ".")
		facts[i] = name + " " + f.Value
	}
	if len(facts) == 0 {
		return r.Because
	}
	return strings.Join(facts, " and ") + ": " + r.Because
}

// group is a text that holds for several workloads.
type group struct {
	order     string
	text      string
	workloads []string
}

// groups collects workloads under the same text; the groups are sorted by order.
type groups struct {
	byText map[string]*group
	all    []*group
}

func (g *groups) add(order, text, workload string) {
	found := g.of(order, text)
	found.workloads = append(found.workloads, workload)
}

// of is the group of a text, made when it is first asked for.
func (g *groups) of(order, text string) *group {
	if g.byText == nil {
		g.byText = map[string]*group{}
	}
	found := g.byText[text]
	if found == nil {
		found = &group{order: order, text: text}
		g.byText[text] = found
		g.all = append(g.all, found)
	}
	return found
}

func (g *groups) sorted() []*group {
	slices.SortStableFunc(g.all, func(a, b *group) int { return cmp.Compare(a.order, b.order) })
	return g.all
}

// names lists the first workloads; thousands of names say no more than their number. All are in -o json.
func (g *group) names() string {
	const most = 8
	if len(g.workloads) <= most {
		return strings.Join(g.workloads, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(g.workloads[:most-1], ", "), len(g.workloads)-most+1)
}

// explanations are the risks and the relaxations, each once with the workloads that it concerns.
func (a *decideAnswer) explanations() (risks, relaxations []*group) {
	var r, f groups
	severity := map[string]string{string(decision.SeverityHigh): "0", string(decision.SeverityMedium): "1", string(decision.SeverityLow): "2"}
	groupsOf := func(w *workloadAnswer) (of []*group) {
		for _, risk := range w.Risks {
			of = append(of, r.of(severity[risk.Severity]+risk.ID, fmt.Sprintf("%s %s: %s; covered by %s", risk.ID, risk.Severity, risk.Text, risk.Control)))
		}
		for i := range w.Relaxations {
			of = append(of, f.of(relaxationOrder(&w.Relaxations[i]), relaxationText(w.Pattern, &w.Relaxations[i])))
		}
		return of
	}
	known := map[string][]*group{} // workloads with the same facts have the same explanation
	for i := range a.Tenants {
		t := &a.Tenants[i]
		for j := range t.Workloads {
			w := &t.Workloads[j]
			of, has := known[w.InputHash]
			if !has {
				of = groupsOf(w)
				known[w.InputHash] = of
			}
			for _, g := range of {
				g.workloads = append(g.workloads, t.Tenant+"/"+w.Workload)
			}
		}
	}
	return r.sorted(), f.sorted()
}

// relaxationOrder puts the cheaper pattern and the smaller change first.
func relaxationOrder(r *v1alpha1.Relaxation) string {
	cheap := 0
	for _, dearer := range []tenancy.Pattern{tenancy.PatternSoftAffinity, tenancy.PatternHard} {
		if dearer.Stricter(r.Pattern) {
			cheap--
		}
	}
	return fmt.Sprintf("%d%d", cheap+2, len(r.Changes))
}

func relaxationText(from tenancy.Pattern, r *v1alpha1.Relaxation) string {
	changes := make([]string, len(r.Changes))
	for i, c := range r.Changes {
		changes[i] = fmt.Sprintf("%s were %s instead of %s", c.Fact, c.To, c.From)
	}
	return fmt.Sprintf("%s instead of %s if %s", r.Pattern, from, strings.Join(changes, " and "))
}

// table writes the answer for a terminal.
func (a *decideAnswer) table(out io.Writer) error {
	w := bufio.NewWriter(out)
	p := output.NewPaint(out)
	printf := func(format string, args ...any) { _, _ = fmt.Fprintf(w, format, args...) } // Flush returns any error
	printf("%s\n\n", p.Bold(a.headline()))
	if err := output.WriteTable(w, decideHeaders, a.rows()); err != nil {
		return err
	}
	risks, relaxations := a.explanations()
	for _, section := range []struct {
		title  string
		groups []*group
	}{{"What remains at risk", risks}, {"What would be cheaper", relaxations}} {
		if len(section.groups) == 0 {
			continue
		}
		printf("\n%s\n", p.Bold(section.title))
		for _, g := range section.groups {
			printf("- %s\n", output.Wrapped(g.text, 2))
			for _, line := range strings.Split(output.Wrapped(g.names(), 2), "\n") {
				printf("  %s\n", p.Faint(strings.TrimSpace(line)))
			}
		}
	}
	if len(a.Notes) > 0 {
		printf("\n")
	}
	for _, note := range a.Notes {
		printf("%s %s\n", p.Mark(output.Note), output.Wrapped(note, 2))
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("write decisions: %w", err)
	}
	return nil
}

// markdown writes the answer for a page or a pull request.
func (a *decideAnswer) markdown(out io.Writer) error {
	w := bufio.NewWriter(out)
	printf := func(format string, args ...any) { _, _ = fmt.Fprintf(w, format, args...) } // Flush returns any error
	printf("**%s**\n\n", a.headline())
	headers := []string{"Tenant", "Workload", "Pattern", "Rules", "Because"}
	if err := output.WriteMarkdownTable(w, headers, a.rows()); err != nil {
		return err
	}
	risks, relaxations := a.explanations()
	for _, section := range []struct {
		title  string
		groups []*group
	}{{"What remains at risk", risks}, {"What would be cheaper", relaxations}} {
		if len(section.groups) == 0 {
			continue
		}
		printf("\n### %s\n\n", section.title)
		for _, g := range section.groups {
			printf("- %s: %s\n", g.text, g.names())
		}
	}
	if len(a.Notes) > 0 {
		printf("\n### Notes\n\n")
	}
	for _, note := range a.Notes {
		printf("- %s\n", note)
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("write decisions: %w", err)
	}
	return nil
}
