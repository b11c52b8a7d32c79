package catalogue

import (
	"slices"
	"strings"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/guardrail"
	"github.com/bulkhead-dev/bulkhead/hostile"
)

// Suite is a selection of the registry, under headings of its own.
type Suite struct {
	// Name that --suite takes.
	Name string
	// About it, in a sentence.
	About string
	// Items in the order of the report.
	Items []Item
}

// Item is one line of a report, and the attacks that it stands for.
type Item struct {
	// ID is stable, and unique in its suite.
	ID string
	// Title in a few words.
	Title string
	// Story is what happened or is meant, in a paragraph; mostly empty.
	Story string
	// Attacks of the registry, by id, or by a pattern in which * stands for anything.
	Attacks []string
	// Unguarded is the verdict in a namespace without any guardrail, with Kubernetes' ClusterRole admin; empty for Exposed.
	Unguarded v1alpha1.Verdict
}

// Suites are all that can be asked for; the first is the default.
func Suites() []Suite {
	return []Suite{controlSuite(), benchmarkSuite(), incidentSuite()}
}

// SuiteByName finds a suite; false when there is none of this name.
func SuiteByName(name string) (Suite, bool) {
	all := Suites()
	i := slices.IndexFunc(all, func(s Suite) bool { return s.Name == name })
	if i < 0 {
		return Suite{}, false
	}
	return all[i], true
}

// controlSuite has every attack of the registry, by the control that must refuse it.
func controlSuite() Suite {
	s := Suite{Name: "controls", About: "Every attack there is, by the control that must refuse it."}
	for _, c := range guardrail.Controls() {
		s.Items = append(s.Items, Item{ID: c.ID, Title: c.Title, Attacks: []string{c.ID + "/*"}})
	}
	return s
}

// Has reports whether the item stands for an attack.
func (i *Item) Has(id string) bool {
	return slices.ContainsFunc(i.Attacks, func(pattern string) bool { return Like(pattern, id) })
}

// Attacks of the suite, each once, in the registry's order.
func (s *Suite) Attacks() []hostile.Case {
	return slices.DeleteFunc(hostile.All(), func(a hostile.Case) bool {
		return !slices.ContainsFunc(s.Items, func(i Item) bool { return i.Has(a.ID) })
	})
}

// Like matches a pattern in which * stands for anything.
func Like(pattern, id string) bool {
	parts := strings.Split(pattern, "*")
	rest, ok := strings.CutPrefix(id, parts[0])
	if !ok || len(parts) == 1 {
		return ok && rest == ""
	}
	last := len(parts) - 1
	for _, part := range parts[1:last] {
		at := strings.Index(rest, part)
		if at < 0 {
			return false
		}
		rest = rest[at+len(part):]
	}
	return strings.HasSuffix(rest, parts[last])
}
