package cli

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/decision"
	"github.com/bulkhead-dev/bulkhead/decision/tenancy"
	"github.com/bulkhead-dev/bulkhead/guardrail"
	"github.com/bulkhead-dev/bulkhead/hostile"
	"github.com/bulkhead-dev/bulkhead/internal/attack/catalogue"
	"github.com/bulkhead-dev/bulkhead/internal/check"
	"github.com/bulkhead-dev/bulkhead/internal/cli/output"
	"github.com/bulkhead-dev/bulkhead/internal/spelling"
	"github.com/bulkhead-dev/bulkhead/isolation"
	"github.com/bulkhead-dev/bulkhead/isolation/finding"
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
	tenancyTable := tenancy.Table()
	for i := range tenancyTable.Rules {
		all = append(all, ruleTopic(&tenancyTable, &tenancyTable.Rules[i]))
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

func ruleTopic(table *decision.Table[tenancy.Outcome], r *decision.Rule[tenancy.Outcome]) topic {
	t := topic{Code: r.ID, Kind: topicRule, Title: table.Words(r)}
	pattern := "at least " + string(r.AtLeast.Pattern)
	if r.AtLeast.Sandboxed {
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
		t.add("Controls", strings.Join(c.Controls, ", ")+": not known to hold without it")
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
	var chosen *format
	cmd := &cobra.Command{
		Use:   "explain [CODE]",
		Short: "Explain a control, rule, reason, check, finding or attack, and what to do about it",
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
				return listTopics(streams, chosen.value)
			}
			return explainTopic(streams, args[0], chosen.value)
		},
	}
	chosen = addFormatFlag(cmd, formatTable, formatJSON, formatMarkdown)
	return cmd
}

func listTopics(streams IOStreams, chosen string) error {
	all := topics()
	rows := make([][]string, len(all))
	for i, t := range all {
		rows[i] = []string{t.Code, t.Kind, t.Title}
	}
	switch headers := []string{"CODE", "KIND", "WHAT"}; chosen {
	case formatJSON:
		return output.WriteJSON(streams.Out, all)
	case formatMarkdown:
		return output.WriteMarkdownTable(streams.Out, []string{"code", "kind", "what"}, rows)
	default:
		return output.WriteTable(streams.Out, headers, rows)
	}
}

func explainTopic(streams IOStreams, code, chosen string) error {
	all := topics()
	if strings.Contains(code, "/") { // attacks are too many to stand among the others: `bulkhead attack --list` lists them
		for _, a := range hostile.All() {
			all = append(all, attackTopic(&a))
		}
	}
	i := slices.IndexFunc(all, func(t topic) bool { return strings.EqualFold(t.Code, code) })
	if i < 0 {
		return fmt.Errorf("there is no code %q: %s; `bulkhead explain` lists all", code, nearCodes(code, all))
	}
	t := &all[i]
	var b strings.Builder
	switch chosen {
	case formatJSON:
		return output.WriteJSON(streams.Out, t)
	case formatMarkdown:
		fmt.Fprintf(&b, "## %s: %s\n", t.Code, t.Title)
		for _, part := range t.Parts {
			fmt.Fprintf(&b, "\n**%s.** %s\n", part.Heading, part.Text)
		}
	default:
		p := output.NewPaint(streams.Out)
		fmt.Fprintf(&b, "%s  %s\n", p.Bold(t.Code), output.Wrapped(t.Title, len(t.Code)+2))
		for _, part := range t.Parts {
			fmt.Fprintf(&b, "\n%s\n  %s\n", p.Faint(part.Heading), output.Wrapped(part.Text, 2))
		}
	}
	_, err := fmt.Fprint(streams.Out, b.String())
	return err
}

// nearCodes suggests up to three codes that the user may have meant.
func nearCodes(code string, all []topic) string {
	type near struct {
		code     string
		distance int
	}
	var found []near
	low := strings.ToLower(code)
	for _, t := range all {
		other := strings.ToLower(t.Code)
		d := spelling.Distance(low, other)
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

// reasonTopics explain the reasons of conditions. A test holds them against the constants of package v1alpha1.
func reasonTopics() []topic {
	reasons := []struct{ code, title, todo string }{
		{v1alpha1.ReasonPending, "No controller has reconciled the object yet.", "Nothing, unless it lasts: then check that the controller runs: `bulkhead check`, codes BHC204 and BHC205."},
		{v1alpha1.ReasonDecided, "Every workload has a decision on its present facts.", ""},
		{v1alpha1.ReasonInvalid, "The spec lacks a fact or contradicts itself.", "The condition's message names the field: set it, or remove the contradiction."},
		{v1alpha1.ReasonTenantMissing, "The Space's home namespace belongs to no Tenant.", "Create the Space in tenant-NAME of a Tenant that is declared; or declare the Tenant."},
		{v1alpha1.ReasonWorkloadUnknown, "The Space or Waiver names a workload that its tenant does not declare.", "Declare the workload in the Tenant's spec.workloads, or name one that is there."},
		{v1alpha1.ReasonPlatformMissing, "There is no Platform, so nothing is allowed.", "Declare the Platform: see docs/api.md#platform."},
		{v1alpha1.ReasonPlaced, "It is placed on this cluster.", ""},
		{v1alpha1.ReasonNeedsDedicatedCluster, "Decided Hard: the workload waits for a cluster of its own and is never placed on a shared one.", "Give it a cluster; or look at the decision's relaxations (`bulkhead describe TENANT`) for the facts that would allow a shared one."},
		{v1alpha1.ReasonNeedsOtherEnvironment, "Production and NonProduction never share a cluster, and this cluster serves the other one.", "Declare the tenant on a cluster of that environment, or correct the workload's environment."},
		{v1alpha1.ReasonNodeGroupMissing, "SoftAffinity needs a node group of the tenant's own, and none is free.", "Add a group of nodes to the Platform's spec.nodeGroups, or free one that another tenant has."},
		{v1alpha1.ReasonNamespaceTaken, "The Space's namespace exists and is not Bulkhead's; it is never adopted.", "Delete the Space and choose another name, or remove the namespace if it is not needed."},
		{v1alpha1.ReasonPatternChanged, "The decision became one that this namespace cannot serve. What runs there stays, with its guardrails.", "Move the workload to a cluster of its own and delete the Space; or undo the change of facts."},
		{v1alpha1.ReasonEnforced, "Every object of every control is in place as rendered.", ""},
		{v1alpha1.ReasonEnforcing, "Objects are being written, or wait for Kubernetes to act on them.", "Nothing, unless it lasts: then see the condition's message and `bulkhead check`."},
		{v1alpha1.ReasonApplyFailed, "The API server refused an object.", "The message has the API server's reason. Most often an admission webhook or policy of another project refuses it: exempt Bulkhead's service account there."},
		{v1alpha1.ReasonQuotaExhausted, "The tenant's quota has nothing left of a resource that the Space requests.", "Lower the quota of the tenant's other Spaces, or ask the platform team for more. The Tenant's status.ledger shows what each Space holds."},
		{v1alpha1.ReasonProven, "Asked as the tenant, the API server refused what it must and allowed what it should.", ""},
		{v1alpha1.ReasonExposed, "At least one answer was wrong: something is exposed.", "The message names the control and what is exposed: see `bulkhead explain CONTROL`."},
		{v1alpha1.ReasonProofPending, "Not asked since the last change.", "Nothing, unless it lasts: then see `bulkhead check`."},
		{v1alpha1.ReasonProofStale, "The last proof is older than the Platform's proofFreshness, so it is no evidence for the present.", "Check that the controller runs: `bulkhead check`, codes BHC204 and BHC205."},
		{v1alpha1.ReasonProofFailed, "A question could not be asked or answered. Unknown is never safe.", "The message names the question and the reason; make sure that the controller has its rights (`bulkhead check`, code BHC203)."},
		{v1alpha1.ReasonPodsRefused, "The API server refuses pods of a workload that it took: only the controller that makes them sees it.", "The condition's message names the workload, the control and what to change."},
		{v1alpha1.ReasonReady, "Decided, placed, enforced and proven.", ""},
		{v1alpha1.ReasonDeleting, "Being removed; status.remaining lists what is left.", "Nothing, unless it lasts: then what remains has a finalizer that another controller must remove."},
		{v1alpha1.ReasonProtected, "Deletion was requested, and spec.protected refuses it.", "Set spec.protected to false on the Tenant if the deletion is meant."},
		{v1alpha1.ReasonDefinitionRemoved, "The object is deleted only with its definition or its home namespace, so nothing else is removed.", "Install Bulkhead and declare the object again: Bulkhead takes its namespace back, with what runs in it."},
		{v1alpha1.ReasonFinalizersStripped, "Finalizers that no controller took off held an off-boarding for longer than the Platform's offboardingDeadline, and were taken off. The record names them.", "Look whether what they stood for is cleaned up outside the cluster."},
		{v1alpha1.ReasonActive, "The Waiver is in force: the control is suspended where its status says.", "Delete it as soon as it is not needed."},
		{v1alpha1.ReasonExpired, "The Waiver's time is over, and the control is in force again.", "Delete it. If the exception is still needed, the security team writes another."},
	}
	topics := make([]topic, len(reasons))
	for i, r := range reasons {
		topics[i] = topic{Code: r.code, Kind: topicReason, Title: r.title}
		topics[i].add("To do", r.todo)
	}
	return topics
}

// findingTopic explains a code of the prover.
func findingTopic(check *finding.Check, code *finding.Code) topic {
	t := topic{Code: code.ID, Kind: topicFinding, Title: code.Title}
	t.add("Severity", string(code.Severity)+", unless the finding says otherwise")
	t.add("Why", code.Why)
	t.add("To do", code.Fix)
	t.add("Check", check.ID+": "+check.Title)
	t.add("Controls", strings.Join(code.Controls, ", "))
	t.add("Catalogues", strings.Join(code.Mappings, ", "))
	return t
}

// findingsPage is docs/findings.md.
func findingsPage() string {
	var b strings.Builder
	b.WriteString("# Findings\n\n<!-- Generated from isolation by `make generate`. Do not edit. -->\n\n" +
		"What `bulkhead prove` may find, by check. Codes are stable. A finding is exposed, with a witness, or unknown, with what is\n" +
		"missing. A check without findings is isolated, within what it lists as considered. K numbers are those of the OWASP\n" +
		"Kubernetes Top 10 (2025), MTB codes those of the Multi-Tenancy Benchmarks.\n")
	for _, check := range isolation.Checks() {
		fmt.Fprintf(&b, "\n## %s: %s\n\n", check.ID, check.Title)
		if len(check.Needs) > 0 {
			fmt.Fprintf(&b, "Reads every %s. Where one of these kinds cannot be listed, the check is unknown.\n", strings.Join(check.Needs, ", "))
		}
		for _, code := range check.Codes {
			fmt.Fprintf(&b, "\n### %s\n\n**%s.** %s\n\n**To do.** %s\n\n%s", code.ID, code.Title, code.Why, code.Fix, code.Severity)
			for _, more := range []string{strings.Join(code.Controls, ", "), strings.Join(code.Mappings, ", ")} {
				if more != "" {
					b.WriteString("; " + more)
				}
			}
			b.WriteString(".\n")
		}
	}
	return b.String()
}

// attackTopic explains one attack of the registry.
func attackTopic(a *hostile.Case) topic {
	t := topic{Code: a.ID, Kind: topicAttack, Title: "The tenant " + a.Title}
	if a.By == hostile.Controller {
		t.Title = "The controller " + a.Title
	}
	if a.Refusal.By == hostile.Permitted {
		t.Title = "A tenant must be able to do it itself; if not, " + a.Title
	}
	t.add("As", identitiesOf(a.By))
	t.add("Attempt", a.Attempt.Title)
	t.add("Next to", a.Twin.Title+", which must succeed")
	t.add("Must be refused by", refusers(a))
	t.add("Suites", strings.Join(suitesOf(a.ID), ", "))
	t.add("To do", "If it is exposed, its control does not hold: see `bulkhead explain "+a.Control+"`. If it is unknown, the report has the answer that came instead.")
	return t
}

func identitiesOf(by hostile.Identities) string {
	switch {
	case by == hostile.Controller:
		return "the controller itself, as a thief of its credentials"
	case by.Has(hostile.Owners) && by.Has(hostile.ServiceAccounts):
		return "owners, and the default service account of each Space"
	case by.Has(hostile.Owners):
		return "owners"
	}
	return "the default service account of each Space"
}

func refusers(a *hostile.Case) string {
	text := a.Refusal.String()
	if a.Or.By != "" {
		text += ", or " + a.Or.String()
	}
	if a.Behind.By != "" {
		text += "; where that does not hold, " + a.Behind.String()
	}
	return text
}

// suitesOf names the items that an attack stands under, other than its control.
func suitesOf(id string) []string {
	var names []string
	for _, suite := range catalogue.Suites()[1:] {
		for _, item := range suite.Items {
			if item.Has(id) {
				names = append(names, suite.Name+" "+item.ID)
			}
		}
	}
	return names
}
