// Package observe holds what its readers have in common: the kinds that proofs read, and the world that is made of what was read
// of a cluster (cluster) or of files (manifest).
package observe

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/bulkhead-dev/bulkhead/isolation/finding"
	"github.com/bulkhead-dev/bulkhead/snapshot"
)

// World is what was read of a cluster or of files: the snapshot that a proof is about, and what else is known.
type World struct {
	Snapshot *snapshot.Snapshot
	// Expected are the objects that Bulkhead would have made for the tenants.
	Expected []finding.Expected
	// Freshness is how long a proof counts, as the Platform has it; 0 where it is not known.
	Freshness time.Duration
	// Rendered counts the objects of Expected that were added to the snapshot because the files hold what is declared
	// and nothing of what it makes: then the proof is about what Bulkhead will make of it.
	Rendered int
	// Sources say where objects were declared; nil for a cluster.
	Sources map[snapshot.Ref]Source
	// Passed counts the objects that no proof reads, by "Kind apiVersion".
	Passed map[string]int
}

// Source is a place in a file. Line and Column count from 1.
type Source struct {
	File   string `json:"file"`
	Line   int    `json:"line"`
	Column int    `json:"column"`
}

// String is file:line:column, as compilers write it and editors follow it.
func (s Source) String() string { return fmt.Sprintf("%s:%d:%d", s.File, s.Line, s.Column) }

// Ignored lists in words what was ignored, the most frequent first.
func (w *World) Ignored() []string {
	kinds := slices.SortedFunc(maps.Keys(w.Passed), func(a, b string) int {
		if w.Passed[a] != w.Passed[b] {
			return w.Passed[b] - w.Passed[a]
		}
		if a < b {
			return -1
		}
		return 1
	})
	for i, kind := range kinds {
		kinds[i] = fmt.Sprintf("%d %s", w.Passed[kind], kind)
	}
	return kinds
}
