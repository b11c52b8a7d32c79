// Package manifest reads folders of YAML and JSON: Bulkhead's own declarations, strictly, and everything that proofs read.
package manifest

import (
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/internal/observe"
	"github.com/bulkhead-dev/bulkhead/parallel"
)

// Limits on what is read from files: generous for what people write, and a bound on what a hostile file costs.
const (
	// maxFileBytes is the size of one file. 10,000 Tenants are about 10 MiB.
	maxFileBytes = 64 << 20
	// maxDocumentBytes is the size of one document: etcd's default for a request, beyond which no API server keeps an
	// object either. Only the items of a List together may be larger.
	maxDocumentBytes = 1536 << 10
	// maxFaults is how many faults are reported; the others are counted.
	maxFaults = 20
)

// Declared is an object together with where it was declared.
type Declared[T any] struct {
	Object *T
	Source observe.Source
}

// Declarations is what files declare, each kind in the order of the files and of the documents in them. Every object has
// passed the checks that the API server would make, and has its defaults.
type Declarations struct {
	Platforms []Declared[v1alpha1.Platform]
	Tenants   []Declared[v1alpha1.Tenant]
	Spaces    []Declared[v1alpha1.Space]
	Waivers   []Declared[v1alpha1.Waiver]
	// Others counts the objects that are not of Bulkhead's API group and were ignored, by "Kind apiVersion".
	Others map[string]int
}

// Fault is something wrong in a file.
type Fault struct {
	Source observe.Source
	// Object is the kind and name of the object concerned; empty when it is not known.
	Object string
	// Message names what is wrong: the field, the reason and what is allowed, in the API server's own words where it
	// would refuse the same.
	Message string
}

// String is one line: where, which object, what.
func (f *Fault) String() string {
	if f.Object == "" {
		return f.Source.String() + ": " + f.Message
	}
	return f.Source.String() + ": " + f.Object + ": " + f.Message
}

// FaultsError is returned when anything at all in the files is wrong: then nothing of them is used.
type FaultsError struct {
	// Faults in the order of the files and of the places in them; the first few.
	Faults []Fault
	// More counts those that are left out.
	More int
}

// Error has a line for each fault.
func (e *FaultsError) Error() string {
	lines := make([]string, 0, len(e.Faults)+1)
	for i := range e.Faults {
		lines = append(lines, e.Faults[i].String())
	}
	if e.More > 0 {
		lines = append(lines, fmt.Sprintf("... and %d more", e.More))
	}
	return strings.Join(lines, "\n")
}

// ReadDeclarations reads the objects that files declare. A path is a file, a folder (all *.yaml, *.yml and *.json files in it
// and below, but nothing whose name starts with a dot), or "-" for stdin. Decoding is strict: unknown fields,
// duplicate keys and objects that are declared twice are faults, as is all that the API server would refuse. The error
// is a *FaultsError unless a file could not be read.
func ReadDeclarations(paths []string, stdin io.Reader, rendered ...Rendered) (Declarations, error) {
	inputs, err := readInputs(paths, stdin, rendered)
	if err != nil {
		return Declarations{}, err
	}
	var documents []document
	for i := range inputs {
		documents = append(documents, split(&inputs[i])...)
	}
	results := inParallel(documents, newDefinitions().decode)
	var files Declarations
	var faults []Fault
	for i := range results {
		faults = append(faults, results[i].faults...)
		files.add(&results[i])
	}
	faults = append(faults, emptyFiles(inputs, documents, results)...)
	faults = append(faults, files.duplicates()...)
	if len(faults) > 0 {
		return Declarations{}, newFaultsError(inputs, faults)
	}
	return files, nil
}

// newFaultsError sorts faults by place and keeps the first.
func newFaultsError(inputs []input, faults []Fault) *FaultsError {
	order := make(map[string]int, len(inputs))
	for i := range inputs {
		order[inputs[i].name] = i
	}
	slices.SortStableFunc(faults, func(a, b Fault) int {
		if c := order[a.Source.File] - order[b.Source.File]; c != 0 {
			return c
		}
		if c := a.Source.Line - b.Source.Line; c != 0 {
			return c
		}
		return a.Source.Column - b.Source.Column
	})
	faults = slices.Compact(faults)
	first := faults[:min(len(faults), maxFaults)]
	return &FaultsError{Faults: first, More: len(faults) - len(first)}
}

// inParallel does the same to many things on all processors. The results are in the things' order.
func inParallel[T, R any](things []T, do func(*T) R) []R {
	results := make([]R, len(things))
	const batch = 16 // things per hand-over: a file or a document takes some tens of microseconds
	parallel.Each(runtime.GOMAXPROCS(0), len(things), batch, func(i int) { results[i] = do(&things[i]) })
	return results
}

// result is what one document declares.
type result struct {
	platforms []Declared[v1alpha1.Platform]
	tenants   []Declared[v1alpha1.Tenant]
	spaces    []Declared[v1alpha1.Space]
	waivers   []Declared[v1alpha1.Waiver]
	others    []string
	faults    []Fault
}

func (r *result) empty() bool {
	return len(r.platforms)+len(r.tenants)+len(r.spaces)+len(r.waivers)+len(r.others)+len(r.faults) == 0
}

func (f *Declarations) add(r *result) {
	f.Platforms = append(f.Platforms, r.platforms...)
	f.Tenants = append(f.Tenants, r.tenants...)
	f.Spaces = append(f.Spaces, r.spaces...)
	f.Waivers = append(f.Waivers, r.waivers...)
	for _, other := range r.others {
		if f.Others == nil {
			f.Others = map[string]int{}
		}
		f.Others[other]++
	}
}

// emptyFiles are files that declare nothing: an empty file that was meant to say something is a fault, not silence.
func emptyFiles(inputs []input, documents []document, results []result) []Fault {
	declares := make(map[string]bool, len(inputs))
	for i := range documents {
		if !results[i].empty() {
			declares[documents[i].file] = true
		}
	}
	var faults []Fault
	for i := range inputs {
		if !declares[inputs[i].name] {
			faults = append(faults, Fault{Source: observe.Source{File: inputs[i].name, Line: 1, Column: 1}, Message: "the file declares nothing"})
		}
	}
	return faults
}

// duplicates are objects that are declared more than once.
func (f *Declarations) duplicates() []Fault {
	c := newContents()
	return c.addOwn(&result{platforms: f.Platforms, tenants: f.Tenants, spaces: f.Spaces, waivers: f.Waivers})
}
