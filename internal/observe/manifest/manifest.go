package manifest

import (
	"fmt"
	"io"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/bulkhead-dev/bulkhead/internal/observe"
	"github.com/bulkhead-dev/bulkhead/snapshot"
)

// Options say what manifests do not say themselves.
type Options struct {
	// Now is the time of the snapshot.
	Now time.Time
	// Tenants names who the tenants are.
	Tenants observe.TenantSource
	// Strict returns an error where anything is malformed, instead of leaving it out and every proof Unknown.
	Strict bool
}

// Read reads what files declare, as if they were all that a cluster holds. Paths are as for ReadDeclarations. The files may
// have any origin: many documents, Lists, what Helm or Kustomize prints, what kubectl gets, in YAML or JSON.
//
//   - Workloads stand for their pods, unless pods of theirs are there themselves.
//   - Kinds that no proof reads are counted and ignored, as are documents that are no objects, such as values. Those that may
//     decide the network make NetworkPolicy Missing.
//   - An object that the API server would refuse counts as absent, and makes its kind Missing.
//   - An object that is read and has an unknown field, or that cannot be decoded, makes its kind Missing,
//     except for fields in which no way between tenants can hide: metadata, status, and what a workload has next to its
//     pods' template.
//   - What the API server would default is defaulted.
//
// What is malformed, or declares an object again and differently, is left out, and everything is Missing, by the name of its file.
// The error is a *FaultsError where nothing is left, or where that is asked for.
func Read(paths []string, stdin io.Reader, o Options, rendered ...Rendered) (*observe.World, error) {
	inputs, err := readInputs(paths, stdin, rendered)
	if err != nil {
		return nil, err
	}
	var documents []document
	for i := range inputs {
		documents = append(documents, split(&inputs[i])...)
	}
	reader := objectReader{kinds: observe.Kinds(), own: newDefinitions(), policies: definitionsOf(administratorsPolicies)}
	results := inParallel(documents, reader.read)
	c := newContents()
	var faults []Fault
	for i := range results {
		faults = append(faults, results[i].faults...)
		faults = append(faults, c.add(&results[i])...)
	}
	parameters, more := reader.parameters(documents, results, c.ParameterKinds())
	faults = append(faults, more...)
	c.Parameters = parameters
	c.missDeciding()
	if len(faults) > 0 && (o.Strict || len(c.read) == 0) {
		return nil, newFaultsError(inputs, faults)
	}
	c.Missing = append(c.Missing, missingOf(faults)...)
	c.Revision, c.Time, c.Offline = revisionOf(inputs), o.Now, true
	c.assumeBuiltIn()
	return c.World(o.Tenants)
}

// missingOf says once for each file that something in it is malformed: it may have held any object.
func missingOf(faults []Fault) []snapshot.Missing {
	var missing []snapshot.Missing
	more := map[string]int{}
	for i := range faults {
		more[faults[i].Source.File]++
	}
	for i := range faults {
		others, unsaid := more[faults[i].Source.File]
		if !unsaid {
			continue
		}
		delete(more, faults[i].Source.File)
		why := faults[i].String()
		if others > 1 {
			why += fmt.Sprintf(", and %d faults more in this file", others-1)
		}
		missing = append(missing, snapshot.Missing{Kind: "*", Why: why})
	}
	return missing
}

// contents are what files declare, with what is needed to find what is declared twice.
type contents struct {
	observe.Contents

	read map[snapshot.Ref]*item
	// deciding are the kinds that may decide the network and that no proof reads, in the order of the files.
	deciding []deciding
}

// deciding is a kind that may decide the network, with its first object and how many there are.
type deciding struct {
	kind    string
	first   observe.Source
	objects int
}

func (c *contents) addDeciding(d deciding) {
	i := slices.IndexFunc(c.deciding, func(known deciding) bool { return known.kind == d.kind })
	if i < 0 {
		c.deciding = append(c.deciding, d)
		return
	}
	c.deciding[i].objects += d.objects
}

// missDeciding notes, once for each kind, that the network is not decided by what was read alone.
func (c *contents) missDeciding() {
	for _, d := range c.deciding {
		c.Missing = append(c.Missing, observe.MissingDeciding(d.first.String(), d.kind, d.objects))
	}
}

func newContents() *contents {
	return &contents{Contents: observe.Contents{Declared: map[snapshot.Ref]observe.Source{}, Passed: map[string]int{}}, read: map[snapshot.Ref]*item{}}
}

// item is one object that was read.
type item struct {
	kind   string
	object metav1.Object
	// rest is what the file has of a workload other than its metadata and template, which are all that proofs read of it.
	rest any
	put  func(c *observe.Contents, object any)
	at   observe.Source
}

// objects is what one document declares.
type objects struct {
	items  []item
	own    result
	kinds  []schema.GroupVersionKind // of every object, in the order of the document
	passed []string
	// deciding are objects that may decide the network and that no proof reads.
	deciding []deciding
	missing  []snapshot.Missing
	faults   []Fault
}

// add takes over what a document declares, and returns what contradicts another one.
func (c *contents) add(r *objects) []Fault {
	var faults []Fault
	for i := range r.items {
		it := &r.items[i]
		ref := snapshot.RefOf(it.kind, it.object)
		if before, twice := c.read[ref]; twice {
			if !equality.Semantic.DeepEqual(before.object, it.object) || !equality.Semantic.DeepEqual(before.rest, it.rest) {
				faults = append(faults, Fault{it.at, ref.String(), "already declared, and differently, at " + before.at.String() +
					": a cluster holds one; give one of them"})
			}
			continue
		}
		c.read[ref], c.Declared[ref] = it, it.at
		it.put(&c.Contents, it.object)
	}
	faults = append(faults, c.addOwn(&r.own)...)
	for _, passed := range r.passed {
		c.Passed[passed]++
	}
	for _, d := range r.deciding {
		c.addDeciding(d)
	}
	c.Missing = append(c.Missing, r.missing...)
	return faults
}

// addOwn takes over objects of Bulkhead's.
func (c *contents) addOwn(r *result) []Fault {
	faults := addEach(c, "Platform", r.platforms)
	faults = append(faults, addEach(c, "Tenant", r.tenants)...)
	faults = append(faults, addEach(c, "Space", r.spaces)...)
	faults = append(faults, addEach(c, "Waiver", r.waivers)...)
	return append(faults, r.faults...)
}

func addEach[T any, P interface {
	*T
	metav1.Object
}](c *contents, kind string, list []Declared[T]) []Fault {
	var faults []Fault
	for _, d := range list {
		ref := snapshot.RefOf(kind, P(d.Object))
		if before, twice := c.read[ref]; twice {
			faults = append(faults, Fault{d.Source, ref.String(), "already declared at " + before.at.String()})
			continue
		}
		c.read[ref], c.Declared[ref] = &item{at: d.Source}, d.Source
		c.AddOwn(d.Object)
	}
	return faults
}

// everyClusterHas are the namespaces that the API server makes by itself.
func everyClusterHas() []string {
	return []string{metav1.NamespaceDefault, metav1.NamespaceSystem, metav1.NamespacePublic, corev1.NamespaceNodeLease}
}

// assumeBuiltIn adds what every cluster has and no file needs to say: its first namespaces, and in every namespace the
// ServiceAccount default.
func (c *contents) assumeBuiltIn() {
	for _, name := range everyClusterHas() {
		if !slices.ContainsFunc(c.Namespaces, func(ns *snapshot.Namespace) bool { return ns.Name == name }) {
			c.Namespaces = append(c.Namespaces, &snapshot.Namespace{Name: name})
		}
	}
	for _, ns := range c.Namespaces {
		if _, declared := c.read[snapshot.Ref{Kind: "ServiceAccount", Namespace: ns.Name, Name: "default"}]; !declared {
			account := &corev1.ServiceAccount{}
			account.Namespace, account.Name = ns.Name, "default"
			c.ServiceAccounts = append(c.ServiceAccounts, account)
		}
	}
}
