package cli

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/bulkhead-dev/bulkhead/decision"
	"github.com/bulkhead-dev/bulkhead/guardrail"
	"github.com/bulkhead-dev/bulkhead/internal/attack"
	"github.com/bulkhead-dev/bulkhead/internal/check"
	"github.com/bulkhead-dev/bulkhead/isolation"
)

// topic is one thing that has a code and an explanation.
type topic struct {
	Code string `json:"code"`
	// Kind is what the code is of: control, rule, reason, check, finding or attack.
	Kind  string `json:"kind"`
	Title string `json:"title"`
	// Parts are the explanation, each under its heading, in order.
	Parts []topicPart `json:"parts"`
}

type topicPart struct {
	Heading string `json:"heading"`
	Text    string `json:"text"`
}

// The kinds of topics, in the order in which they are listed.
const (
	topicControl = "control"
	topicRule    = "rule"
	topicReason  = "reason"
	topicCheck   = "check"
	topicFinding = "finding"
	topicAttack  = "attack"
)

// topics lists everything that can be explained, each from the registry that the program itself goes by.
func topics() []topic {
	var all []topic
	for _, c := range guardrail.Controls() {
		all = append(all, controlTopic(&c))
	}
	for _, r := range decision.Rules() {
		all = append(all, ruleTopic(&r))
	}
	all = append(all, reasonTopics()...)
	for _, c := range check.Checks() {
		all = append(all, checkTopic(&c))
	}
	for _, c := range isolation.Checks() {
		for _, code := range c.Codes {
			all = append(all, findingTopic(&c, &code))
		}
	}
	return all
}

func controlTopic(c *guardrail.Control) topic {
	t := topic{Code: c.ID, Kind: topicControl, Title: c.Title}
	t.add("Against", c.Threat)
	t.add("How", c.How)
	t.add("Objects", strings.Join(c.Objects, ", "))
	t.add("Needs", c.Needs)
	t.add("To do", c.Fix)
	if c.Waivable {
		t.add("Waiver", "A Waiver may suspend it for one workload, until it expires.")
	} else {
		t.add("Waiver", "It cannot be waived: it protects others.")
	}
	t.add("Catalogues", strings.Join(c.Mappings, ", "))
	return t
}

func ruleTopic(r *decision.Rule) topic {
	t := topic{Code: r.ID, Kind: topicRule, Title: r.Text}
	pattern := "at least " + string(r.Pattern)
	if r.Sandbox {
		pattern += ", in a sandboxed runtime unless the pattern is Hard"
	}
	t.add("Demands", pattern)
	t.add("Because", r.Because)
	t.add("To do", "Nothing, if the facts are right. `bulkhead decide -f` and `bulkhead describe TENANT` show which facts fired it, "+
		"and the smallest changes that would give a cheaper pattern.")
	return t
}

func checkTopic(c *check.Check) topic {
	t := topic{Code: c.Code, Kind: topicCheck, Title: c.Title}
	t.add("Why", c.Why)
	t.add("To do", c.Fix)
	if len(c.Controls) > 0 {
		t.add("Controls", strings.Join(c.Controls, ", ")+": without it, not known to hold")
	}
	if c.Required {
		t.add("Required", "Bulkhead is not installed without it.")
	}
	t.add("Page", c.Doc())
	return t
}

func (t *topic) add(heading, text string) {
	if text != "" {
		t.Parts = append(t.Parts, topicPart{heading, text})
	}
}

func newExplainCommand(streams IOStreams) *cobra.Command {
	var output *format
	cmd := &cobra.Command{
		Use:   "explain [CODE]",
		Short: "Say what a control, rule, reason, check, finding or attack means, and what to do",
		Long: "Explains a code that Bulkhead shows: a control (network-default), a rule of the decision (T7), the reason of a\n" +
			"condition (NeedsDedicatedCluster), a check (BHC105) or an attack (images/foreign-registry). Without a code it lists\n" +
			"all but the attacks, which `bulkhead attack --list` does. Needs no cluster.",
		Example: "  bulkhead explain\n" +
			"  bulkhead explain pod-security\n" +
			"  bulkhead explain T7 -o markdown",
		Args: cobra.MaximumNArgs(1),
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			if len(args) > 0 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			var codes []string
			for _, t := range topics() {
				codes = append(codes, t.Code+"\t"+t.Title)
			}
			return codes, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return listTopics(streams, output.value)
			}
			return explainTopic(streams, args[0], output.value)
		},
	}
	output = addFormatFlag(cmd, formatTable, formatJSON, formatMarkdown)
	return cmd
}

func listTopics(streams IOStreams, output string) error {
	all := topics()
	rows := make([][]string, len(all))
	for i, t := range all {
		rows[i] = []string{t.Code, t.Kind, t.Title}
	}
	switch headers := []string{"CODE", "KIND", "WHAT"}; output {
	case formatJSON:
		return writeJSON(streams.Out, all)
	case formatMarkdown:
		return writeMarkdownTable(streams.Out, []string{"code", "kind", "what"}, rows)
	default:
		return writeTable(streams.Out, headers, rows)
	}
}

func explainTopic(streams IOStreams, code, output string) error {
	all := topics()
	if strings.Contains(code, "/") { // attacks are too many to stand among the others: `bulkhead attack --list` lists them
		for _, a := range attack.All() {
			all = append(all, attackTopic(&a))
		}
	}
	i := slices.IndexFunc(all, func(t topic) bool { return strings.EqualFold(t.Code, code) })
	if i < 0 {
		return fmt.Errorf("there is no code %q: %s; `bulkhead explain` lists all", code, nearCodes(code, all))
	}
	t := &all[i]
	var b strings.Builder
	switch output {
	case formatJSON:
		return writeJSON(streams.Out, t)
	case formatMarkdown:
		fmt.Fprintf(&b, "## %s: %s\n", t.Code, t.Title)
		for _, part := range t.Parts {
			fmt.Fprintf(&b, "\n**%s.** %s\n", part.Heading, part.Text)
		}
	default:
		p := newPaint(streams.Out)
		fmt.Fprintf(&b, "%s  %s\n", p.bold(t.Code), wrapped(t.Title, len(t.Code)+2))
		for _, part := range t.Parts {
			fmt.Fprintf(&b, "\n%s\n  %s\n", p.faint(part.Heading), wrapped(part.Text, 2))
		}
	}
	_, err := fmt.Fprint(streams.Out, b.String())
	return err
}

// nearCodes suggests up to three codes that somebody may have meant.
func nearCodes(code string, all []topic) string {
	type near struct {
		code     string
		distance int
	}
	var found []near
	low := strings.ToLower(code)
	for _, t := range all {
		other := strings.ToLower(t.Code)
		d := editDistance(low, other)
		if low != "" && (strings.Contains(other, low) || strings.Contains(low, other) && len(other) > 2) {
			d = min(d, 1)
		}
		if d <= max(2, len(low)/3) {
			found = append(found, near{t.Code, d})
		}
	}
	if len(found) == 0 {
		return "nothing is named like it"
	}
	slices.SortStableFunc(found, func(a, b near) int { return cmp.Compare(a.distance, b.distance) })
	const most = 3
	names := make([]string, 0, most)
	for _, n := range found[:min(most, len(found))] {
		names = append(names, n.code)
	}
	return "did you mean " + strings.Join(names, ", ") + "?"
}

// editDistance is the least number of letters to insert, delete or replace to make b out of a.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replaced := diagonal
			if a[i] != b[j] {
				replaced++
			}
			diagonal = row[j+1]
			row[j+1] = min(replaced, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
