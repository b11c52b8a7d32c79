package fuzz

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/hostile"
	"github.com/bulkhead-dev/bulkhead/internal/attack/catalogue"
	"github.com/bulkhead-dev/bulkhead/internal/attack/engine"
	"github.com/bulkhead-dev/bulkhead/internal/attack/fuzz/invent"
)

// The items of the suite; behind them comes one for each control of the dictionary.
var fuzzItems = []catalogue.Item{
	{ID: "own", Title: "Harmless objects are accepted in the tenant's own Spaces (harmless twin)"},
	{ID: "outside", Title: "Nothing is accepted beyond what an owner's role allows"},
	{ID: "managed", Title: "Nothing is accepted on what Bulkhead keeps in the tenant's namespaces"},
	{ID: "unchanged", Title: "Everything outside the tenant's own is as it was"},
	{ID: "proof", Title: "The proof of the platform is no worse than before"},
}

// Items are the lines of a fuzzed report.
func Items() []catalogue.Item {
	items := slices.Clone(fuzzItems)
	for _, control := range dictionary() {
		items = append(items, catalogue.Item{ID: "danger/" + control, Title: "What the dictionary has against " + control + " is refused in every object"})
	}
	return items
}

// dictionary are the controls that the dictionary has something against, sorted.
func dictionary() []string {
	var controls []string
	for _, d := range invent.Dangers(invent.Facts{}) {
		controls = append(controls, d.Control)
	}
	slices.Sort(controls)
	return slices.Compact(controls)
}

// Refusers are whose refusals show that a control of the dictionary holds: those of the catalogue's cases that an object
// can meet.
func Refusers(control string) []string {
	var names []string
	for _, c := range hostile.All() {
		judges := slices.Contains([]hostile.Authority{hostile.Policy, hostile.PodSecurity, hostile.Limits, hostile.Escalation}, c.Refusal.By)
		if c.Control == control && judges && !slices.Contains(names, c.Refusal.String()) {
			names = append(names, c.Refusal.String())
		}
	}
	return names
}

// maxUnclear bounds what a report shows of unclear answers.
const maxUnclear = 64

// tally counts what comes of a run.
type tally struct {
	catalogue.Fuzzed

	refusals map[string]int
	kinds    map[string]bool
	// accepted kinds in the tenant's own Spaces, and of the others the last answer.
	accepted map[string]bool
	answers  map[string]string
	// reached are the dangers that their control refused; unclear and noted are what was noted already.
	reached, unclear, noted map[string]bool
	items                   map[string]*catalogue.ItemReport
	refusedIn               map[string]map[string]int

	brokenOff, unproven error
	left                []error
}

func newTally(tenant string, seed uint64) *tally {
	return &tally{Fuzzed: catalogue.Fuzzed{Tenant: tenant, Seed: seed}, refusals: map[string]int{}, kinds: map[string]bool{}, accepted: map[string]bool{}, answers: map[string]string{},
		reached: map[string]bool{}, unclear: map[string]bool{}, items: map[string]*catalogue.ItemReport{}, refusedIn: map[string]map[string]int{}, noted: map[string]bool{}}
}

// count an attempt with its outcome.
func (t *tally) count(z *Session, a *invent.Attempt, o *outcome, dryRun, isNew bool) {
	t.Attempts++
	kind := a.Kind.String()
	t.kinds[kind] = true
	if !o.accepted {
		t.refusals[o.by]++
	}
	if o.unclear && !t.unclear[kind+o.says] && len(t.Unclear) < maxUnclear {
		t.unclear[kind+o.says] = true
		t.Unclear = append(t.Unclear, fmt.Sprintf("attempt %d, %s %s: %s; sent: %s", a.Number, a.Verb, kind, o.says, sent(a)))
	}
	barred := z.barred(a)
	switch {
	case barred:
		t.judge(z, "outside", a, o, dryRun, isNew, string(hostile.RBAC))
	case a.Place == invent.Managed:
		t.judge(z, "managed", a, o, dryRun, isNew, "")
	case o.accepted:
		t.Accepted++
		t.accepted[kind] = true
		t.note(z, "own", a, o, dryRun, isNew, v1alpha1.Isolated, "")
	default:
		t.answers[kind] = o.by + ": " + o.says
	}
	if !barred && a.Place == invent.Own {
		t.countDangers(z, a, o, dryRun, isNew)
	}
}

// judge an attempt that must be refused: by the one who is expected, or by any authority where none is.
func (t *tally) judge(z *Session, item string, a *invent.Attempt, o *outcome, dryRun, isNew bool, by string) {
	switch {
	case o.accepted:
		t.note(z, item, a, o, dryRun, isNew, v1alpha1.Exposed, "it was let through: "+cmp.Or(o.says, accepted))
	case o.unclear:
		t.note(z, item, a, o, dryRun, isNew, v1alpha1.Unknown, o.says)
	case by != "" && o.by != by:
		t.note(z, item, a, o, dryRun, isNew, v1alpha1.Unknown, fmt.Sprintf("refused by %s and not by %s: %s", o.by, by, o.says))
	default:
		t.note(z, item, a, o, dryRun, isNew, v1alpha1.Isolated, "")
	}
}

func (t *tally) countDangers(z *Session, a *invent.Attempt, o *outcome, dryRun, isNew bool) {
	for _, d := range z.standing(a, o) {
		t.note(z, "danger/"+d.Control, a, o, dryRun, isNew, v1alpha1.Exposed, "accepted: "+d.Title)
	}
	if len(a.Dangers) != 1 {
		return
	}
	// A danger alone, where it is judged, reached its control when that refused it; or when the API has no such field, and left it out.
	d, known := z.dangers[a.Dangers[0]]
	if !known || !slices.Contains(d.Judged, a.Kind.String()) || len(a.Edits) != len(d.Edits(a.Kind.String())) {
		return
	}
	if slices.Contains(Refusers(d.Control), o.by) || (o.accepted && a.Verb == invent.Create && len(z.standing(a, o)) == 0) {
		t.reached[d.ID] = true
		t.note(z, "danger/"+d.Control, a, o, dryRun, isNew, v1alpha1.Isolated, "")
	}
}

// note records an attempt in its item: the first of its kind, or each one that is not as it must be.
func (t *tally) note(z *Session, id string, a *invent.Attempt, o *outcome, dryRun, isNew bool, verdict v1alpha1.Verdict, detail string) {
	item := t.items[id]
	if item == nil {
		item = &catalogue.ItemReport{ID: id}
		t.items[id], t.refusedIn[id] = item, map[string]int{}
	}
	if !o.accepted {
		t.refusedIn[id][o.by]++
	}
	item.Tried++
	item.Verdict = engine.Worse(item.Verdict, verdict)
	key := strings.Join([]string{id, a.Kind.String(), string(a.Place), o.by, string(verdict)}, "\x00")
	if t.noted[key] || (!isNew && verdict == v1alpha1.Isolated) {
		return
	}
	t.noted[key] = true
	attempt := catalogue.Attempt{Attack: fmt.Sprintf("fuzz/%d", a.Number), Control: controlOf(id), Tenant: t.Tenant, As: z.subjects[a.Subject].String(), Namespace: a.Namespace,
		Verdict: verdict, Title: fmt.Sprintf("%s %s", a.Verb, a.Kind.String())}
	if len(a.Dangers) > 0 {
		attempt.Title += " with " + strings.Join(a.Dangers, ", ")
	}
	if o.accepted {
		attempt.RefusedBy, attempt.Says = "none", "accepted"
	} else {
		attempt.RefusedBy, attempt.Says = o.by, o.says
	}
	if verdict != v1alpha1.Isolated {
		how := "for real"
		if dryRun {
			how = "as a dry-run"
		}
		attempt.RefusedBy, attempt.Says = "", ""
		attempt.Detail = fmt.Sprintf("%s %s %s, %s: %s; sent: %s", attempt.Title, a.Name, a.Place, how, detail, sent(a))
	}
	item.Attempts = append(item.Attempts, attempt)
}

func controlOf(item string) string {
	switch item {
	case "outside":
		return "rbac-own"
	case "managed":
		return "guardrail"
	}
	return strings.TrimPrefix(item, "danger/")
}

// sent is the start of what an attempt sent.
func sent(a *invent.Attempt) string {
	const most = 600
	var body any = a.Object()
	if a.Patches() {
		body = a.Patch()
	}
	raw, err := json.Marshal(body)
	if err != nil {
		return err.Error()
	}
	if len(raw) > most {
		return string(raw[:most]) + "..."
	}
	return string(raw)
}
