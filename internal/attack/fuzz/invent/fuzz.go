// Package invent invents requests that a tenant might send, and learns from the answers which of them to vary.
//
// It is pure: the same seed, the same world and the same answers give the same sequence of attempts. It knows no client, no
// clock and no names that an API server gives: an attempt on an object that an earlier attempt made names that attempt.
package invent

import (
	"math/rand/v2"
	"slices"
	"strings"
)

// Kind is one resource or subresource that an API server serves.
type Kind struct {
	Group, Version, Resource, Subresource string
	// APIVersion and Type are of the object that a request carries: of a subresource, another than its parent's.
	APIVersion, Type string
	Namespaced       bool
	Verbs            []string
}

// String names the kind as RBAC does, with its group: pods/eviction, deployments.apps.
func (k *Kind) String() string {
	name := k.Resource
	if k.Subresource != "" {
		name += "/" + k.Subresource
	}
	if k.Group != "" {
		name += "." + k.Group
	}
	return name
}

// parent is the name of the kind that a subresource belongs to.
func (k *Kind) parent() string {
	of := *k
	of.Subresource = ""
	return of.String()
}

// Place is where an attempt is made.
type Place string

// The places.
const (
	// Own are the namespaces of the tenant's Spaces.
	Own Place = "own"
	// Managed are the objects in the tenant's namespaces that are not the tenant's to change.
	Managed Place = "managed"
	// Home is the tenant's home namespace.
	Home Place = "home"
	// Foreign are namespaces of others.
	Foreign Place = "foreign"
	// Cluster is no namespace at all.
	Cluster Place = "cluster"
)

// Existing is an object that was there before and is not the fuzzer's.
type Existing struct {
	Place           Place
	Kind            string
	Namespace, Name string
}

// World is what the fuzzer knows.
type World struct {
	Kinds   []Kind
	Schemas *Schemas
	// Namespaces of the places that have some.
	Namespaces map[Place][]string
	// Owners and Subjects are how many identities there are: first the owners, then others with fewer rights.
	Owners, Subjects int
	// Examples are harmless objects that owners may make in their Spaces, by kind; Changes are harmless edits of one by a subresource.
	Examples map[string]map[string]any
	Changes  map[string][]Edit
	// Elsewhere are well-formed objects of kinds that belong in other places than Spaces.
	Elsewhere map[string]map[string]any
	// Existing objects, a few of each kind.
	Existing []Existing
	// Dangers to put into objects.
	Dangers []Danger
}

// Attempt is one request.
type Attempt struct {
	Number int `json:"number"`
	// Subject counts the world's identities from 0.
	Subject   int    `json:"subject"`
	Kind      Kind   `json:"kind"`
	Verb      Verb   `json:"verb"`
	Place     Place  `json:"place"`
	Namespace string `json:"namespace,omitempty"`
	// Name of the object that it is aimed at. Target is set instead for one that the attempt of this number made.
	Name   string `json:"name,omitempty"`
	Target int    `json:"target,omitempty"`
	// Base is what Edits change.
	Base  map[string]any `json:"base,omitempty"`
	Edits []Edit         `json:"edits,omitempty"`
	// Dangers are those of the dictionary that are among the edits, by id.
	Dangers []string `json:"dangers,omitempty"`
}

// Signature guides the fuzzer: a new one is worth varying.
func (a *Attempt) Signature(outcome string) string {
	return strings.Join([]string{a.Kind.String(), string(a.Verb), string(a.Place), outcome}, " ")
}

// Fuzzer makes one attempt after the other.
type Fuzzer struct {
	world   World
	random  *rand.Rand
	names   []string // of examples, sorted
	kinds   map[string]*Kind
	opening []*Attempt
	made    int
	corpus  []*Attempt
	seen    map[string]bool
	// own are the attempts whose objects are there, and followed the kinds of which one was changed in every way.
	own      []*Attempt
	followed map[string]bool
}

// New makes a fuzzer of a seed.
func New(seed uint64, world World) *Fuzzer {
	f := &Fuzzer{world: world, random: rand.New(rand.NewPCG(seed, 0)), kinds: map[string]*Kind{}, seen: map[string]bool{}, followed: map[string]bool{}} //nolint:gosec // it must be repeatable
	for i := range f.world.Kinds {
		f.kinds[f.world.Kinds[i].String()] = &f.world.Kinds[i]
	}
	for name := range world.Examples {
		if k := f.kinds[name]; k != nil && k.Subresource == "" {
			f.names = append(f.names, name)
		}
	}
	slices.Sort(f.names)
	f.opening = f.openings()
	return f
}

// Next attempt: first each kind and each danger once, and then what chance and the corpus give.
func (f *Fuzzer) Next() *Attempt {
	var a *Attempt
	if len(f.opening) > 0 {
		a, f.opening = f.opening[0], f.opening[1:]
	} else {
		a = f.invent()
	}
	f.made++
	a.Number = f.made
	return a
}

// Learn takes the outcome of an attempt: who refused it, or that none did. Kept is whether it made an object which is there
// now. It answers whether the outcome is new for this kind, verb and place.
func (f *Fuzzer) Learn(a *Attempt, outcome string, kept bool) bool {
	if kept {
		f.own = append(f.own, a)
		if len(a.Edits) == 0 && !f.followed[a.Kind.String()] {
			f.followed[a.Kind.String()] = true
			f.opening = append(f.followUps(a), f.opening...)
		}
	}
	signature := a.Signature(outcome)
	if f.seen[signature] {
		return false
	}
	f.seen[signature] = true
	f.corpus = append(f.corpus, a)
	return true
}

// Forget that the object of an attempt is there.
func (f *Fuzzer) Forget(number int) {
	f.own = slices.DeleteFunc(f.own, func(a *Attempt) bool { return a.Number == number })
}

// Corpus is how many attempts are worth varying.
func (f *Fuzzer) Corpus() int { return len(f.corpus) }

// Opening is how many attempts are left of those that are made of every kind and every danger.
func (f *Fuzzer) Opening() int { return len(f.opening) }
