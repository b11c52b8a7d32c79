// Package fields is the ledger of everything that a tenant can write: every field that a request of an owner can carry is
// refused, bounded, checked, written by the server, harmless for a reason, or named as open.
//
// A [Section] classifies one schema of the API server's own OpenAPI, wherever a request holds it: a pod spec is classified
// once, for pods and for all that makes pods. Rows of a section go before the section of what they lead to. What no row
// classifies is unclassified by name (see [Classify]): a field that a later Kubernetes or a feature gate brings is never
// harmless because it was not looked at. Reading the OpenAPI is for callers.
package fields

import (
	"slices"
	"strings"
)

// Class is what keeps a field from harm.
type Class string

// The classes.
const (
	// Refused by a control, whatever its value.
	Refused Class = "refused"
	// Bounded by a control to values that are allowed.
	Bounded Class = "bounded"
	// Checked by the API server itself against other fields or rights.
	Checked Class = "checked"
	// Server fields are written by the server, and dropped from requests of tenants.
	Server Class = "server"
	// Harmless for the reason that the row gives.
	Harmless Class = "harmless"
	// Open is not bounded yet: the row names what a tenant can do by it. A test holds the list, so that it only shrinks.
	Open Class = "open"
)

// Row classifies a field with everything below it.
type Row struct {
	// Path below the section's schema, by names of fields alone: lists and maps add nothing. Empty is the schema itself. With #
	// behind it, it is the number of elements of lists of objects, there or below.
	Path  string
	Class Class
	// By is the control of what is refused or bounded, and else the reason in one sentence.
	By string
	// Cases of package hostile, separated by blanks, each of which sets this field and must be refused by the control.
	Cases string
}

// CaseIDs are the ids of the row's cases.
func (r *Row) CaseIDs() []string { return strings.Fields(r.Cases) }

// ByControl reports whether the row's class needs a control and its cases.
func (r *Row) ByControl() bool { return r.Class == Refused || r.Class == Bounded }

// Section classifies a schema.
type Section struct {
	// Schema by its name in the OpenAPI, without what all of Kubernetes have before it, such as core.v1.PodSpec.
	Schema string
	Rows   []Row
}

// Schemas that are the ledger's own: the parameters of requests, which stand behind the question mark, and what names the kind of
// every object.
const (
	Query    = "query"
	TypeMeta = "TypeMeta"
)

// Ledger is all sections, those of one subject together.
func Ledger() []Section {
	return slices.Concat(metadata, workloads, pods, containers, volumes, configuration, network, scaling, rights, requests, spaces)
}

// sectionOf a schema; nil when it has none.
func sectionOf(ledger []Section, schema string) *Section {
	for i := range ledger {
		if ledger[i].Schema == schema {
			return &ledger[i]
		}
	}
	return nil
}

// row is the longest whose path is the path or above it; nil when there is none. Of a number of elements, rows of numbers go first.
func (s *Section) row(path string) *Row {
	if list, number := strings.CutSuffix(path, "#"); number {
		found := s.longest(func(r *Row) bool {
			above, number := strings.CutSuffix(r.Path, "#")
			return number && within(list, above)
		})
		if found != nil {
			return found
		}
		path = list
	}
	return s.longest(func(r *Row) bool { return !strings.HasSuffix(r.Path, "#") && within(path, r.Path) })
}

// longest row by its path, of those that are meant.
func (s *Section) longest(meant func(*Row) bool) *Row {
	var found *Row
	for i := range s.Rows {
		if r := &s.Rows[i]; meant(r) && (found == nil || len(r.Path) > len(found.Path)) {
			found = r
		}
	}
	return found
}

// below reports whether a row is about a field below the path.
func (s *Section) below(path string) bool {
	return slices.ContainsFunc(s.Rows, func(r Row) bool {
		return r.Path != path && !strings.HasSuffix(r.Path, "#") && within(r.Path, path)
	})
}

func within(path, above string) bool {
	rest, is := strings.CutPrefix(path, above)
	return is && (rest == "" || above == "" || rest[0] == '.')
}
