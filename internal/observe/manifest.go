package observe

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/bulkhead-dev/bulkhead/snapshot"
)

// ManifestOptions say what manifests do not say themselves.
type ManifestOptions struct {
	// Now is the time of the snapshot.
	Now time.Time
	// Tenants says who the tenants are.
	Tenants TenantSource
}

// World is what was read of a cluster or of files: the snapshot that a proof is about, and what is known beside it.
type World struct {
	Snapshot *snapshot.Snapshot
	// Expected are the objects that Bulkhead would have made for the tenants.
	Expected []Expected
	// Freshness is how long a proof counts, as the Platform has it; 0 where nobody says.
	Freshness time.Duration
	// Rendered counts the objects of Expected that were added to the snapshot because the files hold what Bulkhead is told
	// and nothing of what it makes: then the proof is about what Bulkhead will make of it.
	Rendered int
	// Sources say where objects were declared; nil for a cluster.
	Sources map[Ref]Source
	// Passed counts the objects that no proof reads, by "Kind apiVersion".
	Passed map[string]int
}

// Ref names an object.
type Ref struct {
	Kind, Namespace, Name string
}

// String is the object as "Kind namespace/name".
func (r Ref) String() string {
	if r.Namespace == "" {
		return r.Kind + " " + r.Name
	}
	return r.Kind + " " + r.Namespace + "/" + r.Name
}

// Manifests reads what files declare, as if they were all that a cluster holds. Paths are as for ReadFiles. The files may
// be anybody's: many documents, Lists, what Helm or Kustomize prints, what kubectl gets, in YAML or JSON.
//
//   - Workloads stand for their pods, unless pods of theirs are there themselves.
//   - Kinds that no proof reads are counted and passed over, as are documents that are no objects, such as values.
//   - An object that is read and has a field that nobody here knows, or that cannot be decoded, makes its kind Missing,
//     except for fields in which no way between tenants can hide: metadata, status, and what a workload has beside its
//     pods' template.
//   - What the API server would default is defaulted.
//
// The error is a *FaultsError where a file is malformed or declares an object twice in different ways.
func Manifests(paths []string, stdin io.Reader, o ManifestOptions, rendered ...Rendered) (*World, error) {
	inputs, err := readInputs(paths, stdin, rendered)
	if err != nil {
		return nil, err
	}
	var documents []document
	for i := range inputs {
		documents = append(documents, split(&inputs[i])...)
	}
	reader := manifestReader{kinds: kindTable(), own: newDefinitions()}
	results := inParallel(documents, reader.read)
	c := newContents()
	var faults []Fault
	for i := range results {
		faults = append(faults, results[i].faults...)
		faults = append(faults, c.add(&results[i])...)
	}
	parameters, more := reader.parameters(documents, results, c.parameterKinds())
	faults = append(faults, more...)
	c.Parameters = parameters
	if len(faults) > 0 {
		return nil, newFaultsError(inputs, faults)
	}
	c.Revision, c.Time, c.Offline = revisionOf(inputs), o.Now, true
	c.assumeBuiltIn()
	return c.world(o.Tenants)
}

// item is one object that was read.
type item struct {
	kind   string
	object any
	// rest is what the file says of a workload besides its metadata and template, which are all that proofs read of it.
	rest any
	put  func(c *contents, object any)
	at   Source
}

// manifestResult is what one document declares.
type manifestResult struct {
	items   []item
	own     result
	kinds   []schema.GroupVersionKind // of every object, in the order of the document
	passed  []string
	missing []snapshot.Missing
	faults  []Fault
}

// add takes over what a document declares, and returns what contradicts another one.
func (c *contents) add(r *manifestResult) []Fault {
	var faults []Fault
	for i := range r.items {
		it := &r.items[i]
		ref := refOf(it.kind, it.object)
		if before, twice := c.read[ref]; twice {
			if !equality.Semantic.DeepEqual(before.object, it.object) || !equality.Semantic.DeepEqual(before.rest, it.rest) {
				faults = append(faults, Fault{it.at, ref.String(), "already declared, and differently, at " + before.at.String() +
					": a cluster holds one; give one of them"})
			}
			continue
		}
		c.read[ref] = readItem{it.at, it.object, it.rest}
		it.put(c, it.object)
	}
	faults = append(faults, c.addOwn(&r.own)...)
	for _, passed := range r.passed {
		c.passed[passed]++
	}
	c.Missing = append(c.Missing, r.missing...)
	return faults
}

// addOwn takes over objects of Bulkhead's.
func (c *contents) addOwn(r *result) []Fault {
	var faults []Fault
	note := func(ref Ref, at Source) bool {
		if before, twice := c.read[ref]; twice {
			faults = append(faults, Fault{at, ref.String(), "already declared at " + before.at.String()})
			return false
		}
		c.read[ref] = readItem{at: at}
		return true
	}
	for _, d := range r.platforms {
		if note(Ref{Kind: "Platform", Name: d.Object.Name}, d.Source) {
			c.platform = d.Object
		}
	}
	for _, d := range r.tenants {
		if note(Ref{Kind: "Tenant", Name: d.Object.Name}, d.Source) {
			c.tenants = append(c.tenants, d.Object)
		}
	}
	for _, d := range r.spaces {
		if note(Ref{"Space", d.Object.Namespace, d.Object.Name}, d.Source) {
			c.spaces = append(c.spaces, d.Object)
		}
	}
	for _, d := range r.waivers {
		if note(Ref{Kind: "Waiver", Name: d.Object.Name}, d.Source) {
			c.waivers = append(c.waivers, d.Object)
		}
	}
	return append(faults, r.faults...)
}

// PassedOver says in words what was passed over, the most frequent first.
func (w *World) PassedOver() []string {
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
