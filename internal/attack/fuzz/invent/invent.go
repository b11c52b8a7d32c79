package invent

import (
	"maps"
	"slices"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
)

// Nothing is the name of no object.
const Nothing = v1alpha1.AttackPrefix + "nothing"

// maxEdits of one attempt: more only hide one another.
const maxEdits = 8

// openings are the attempts that need no luck: each harmless object, which must be accepted; then, in the seed's order, each danger in
// each kind, each kind in each place, and each verb on each object that is not the tenant's to change.
func (f *Fuzzer) openings() []*Attempt {
	harmless := make([]*Attempt, 0, len(f.names))
	for _, name := range f.names {
		harmless = append(harmless, f.example(name))
	}
	rest := slices.Concat(f.dangersAlone(), f.everywhere(), f.uponManaged())
	f.random.Shuffle(len(rest), func(i, j int) { rest[i], rest[j] = rest[j], rest[i] })
	return append(harmless, rest...)
}

func (f *Fuzzer) dangersAlone() (all []*Attempt) {
	for i := range f.world.Dangers {
		d := &f.world.Dangers[i]
		for _, name := range d.In {
			if slices.Contains(f.names, name) {
				a := f.example(name)
				f.add(a, d)
				all = append(all, a)
			}
		}
	}
	return all
}

func (f *Fuzzer) everywhere() (all []*Attempt) {
	for i := range f.world.Kinds {
		k := &f.world.Kinds[i]
		for _, place := range placesOf(k) {
			if verbs := verbsOf(k); len(verbs) > 0 && (place != Own || f.world.Examples[k.String()] == nil) {
				all = append(all, f.elsewhere(k, verbs[0], place))
			}
		}
	}
	return all
}

func (f *Fuzzer) uponManaged() (all []*Attempt) {
	for i := range f.world.Existing {
		e := &f.world.Existing[i]
		if k := f.kinds[e.Kind]; k != nil && e.Place == Managed {
			for _, v := range verbsOf(k) {
				if v != Create && v != DeleteCollection {
					all = append(all, f.upon(k, v, e))
				}
			}
		}
	}
	return all
}

func placesOf(k *Kind) []Place {
	if k.Namespaced {
		return []Place{Own, Home, Foreign}
	}
	return []Place{Cluster}
}

// invent a random attempt.
func (f *Fuzzer) invent() *Attempt {
	switch n := f.random.IntN(100); {
	case n < 35 && len(f.corpus) > 0:
		return f.vary(pick(f.random, f.corpus))
	case n < 55 && len(f.own) > 0:
		return f.change(pick(f.random, f.own))
	case n < 75 && len(f.names) > 0:
		a := f.example(pick(f.random, f.names))
		f.worsen(a, 1+f.random.IntN(3))
		return a
	case n < 85 && len(f.world.Existing) > 0:
		e := pick(f.random, f.world.Existing)
		if k := f.kinds[e.Kind]; k != nil && len(verbsOf(k)) > 0 {
			return f.upon(k, pick(f.random, verbsOf(k)), &e)
		}
	}
	k := &f.world.Kinds[f.random.IntN(len(f.world.Kinds))]
	verbs := verbsOf(k)
	if len(verbs) == 0 {
		verbs = []Verb{Create}
	}
	return f.elsewhere(k, pick(f.random, verbs), pick(f.random, placesOf(k)))
}

// example makes a harmless object in a Space, as an owner.
func (f *Fuzzer) example(name string) *Attempt {
	base, _ := clone(f.world.Examples[name]).(map[string]any)
	a := &Attempt{Kind: *f.kinds[name], Verb: Create, Place: Own, Namespace: f.namespace(Own), Base: base}
	if f.world.Owners > 0 {
		a.Subject = f.random.IntN(f.world.Owners)
	}
	return a
}

// elsewhere tries a verb on a kind in a place, on what is there or on nothing.
func (f *Fuzzer) elsewhere(k *Kind, v Verb, place Place) *Attempt {
	a := &Attempt{Subject: f.subject(), Kind: *k, Verb: v, Place: place, Namespace: f.namespace(place), Base: f.object(k)}
	if v != Create && v != DeleteCollection || k.Subresource != "" {
		a.Name = Nothing
		// Nothing that is there is deleted, not even in a dry-run.
		if there := f.there(k, place); len(there) > 0 && v != Delete && !connects(k) {
			e := pick(f.random, there)
			a.Name, a.Namespace = e.Name, e.Namespace
		}
	}
	if a.Patches() || v == Apply {
		a.Edits = []Edit{f.oddity()}
	}
	return a
}

// connects reports whether a subresource is a way through to somewhere: a request for it has an effect whatever its parameters say.
func connects(k *Kind) bool {
	return slices.Contains([]string{"proxy", "exec", "attach", "portforward"}, k.Subresource)
}

// there are the existing objects of a kind, or of a subresource's kind, in a place.
func (f *Fuzzer) there(k *Kind, place Place) []Existing {
	return slices.DeleteFunc(slices.Clone(f.world.Existing), func(e Existing) bool { return e.Place != place || e.Kind != k.parent() })
}

// upon tries a verb on an object that is there.
func (f *Fuzzer) upon(k *Kind, v Verb, e *Existing) *Attempt {
	a := &Attempt{Subject: f.subject(), Kind: *k, Verb: v, Place: e.Place, Namespace: e.Namespace, Name: e.Name, Base: f.object(k)}
	switch {
	case v == Create || v == DeleteCollection:
		a.Name = ""
		if e.Place == Managed { // a collection is not of one object
			a.Place = Own
		}
	case v == Delete && e.Place != Managed:
		a.Name = Nothing
	case a.Patches() || v == Apply:
		a.Edits = []Edit{f.oddity()}
	}
	return a
}

// object of a kind: the harmless one where there is one, or one that is made up.
func (f *Fuzzer) object(k *Kind) map[string]any {
	for _, known := range []map[string]map[string]any{f.world.Examples, f.world.Elsewhere} {
		if example, has := known[k.String()]; has {
			object, _ := clone(example).(map[string]any)
			return object
		}
	}
	return (&maker{f.random, f.world.Schemas}).skeleton(k)
}

// subject is mostly an owner.
func (f *Fuzzer) subject() int {
	if f.world.Owners > 0 && !chance(f.random, 4) {
		return f.random.IntN(f.world.Owners)
	}
	return f.random.IntN(max(1, f.world.Subjects))
}

// vary an attempt that had an outcome of its own: a further edit, another verb, another place or another identity.
func (f *Fuzzer) vary(of *Attempt) *Attempt {
	a := *of
	a.Base, _ = clone(of.Base).(map[string]any)
	a.Edits, a.Dangers = slices.Clone(of.Edits), slices.Clone(of.Dangers)
	gone := a.Target != 0 && !slices.ContainsFunc(f.own, func(o *Attempt) bool { return o.Number == a.Target })
	if len(a.Edits) >= maxEdits {
		a.Edits, a.Dangers = nil, nil
	}
	switch n := f.random.IntN(8); {
	case gone:
		return f.example(pickOr(f, a.Kind.String()))
	case n == 0:
		a.Subject = f.subject()
	case n == 1 && a.Target == 0 && a.Place != Managed:
		return f.elsewhere(&a.Kind, a.Verb, pick(f.random, placesOf(&a.Kind)))
	case n == 2 && a.Name != "":
		if verbs := slices.DeleteFunc(verbsOf(&a.Kind), func(v Verb) bool { return v == Create || v == DeleteCollection || v == Delete }); len(verbs) > 0 {
			a.Verb = pick(f.random, verbs)
		}
	default:
		f.worsen(&a, 1+f.random.IntN(2))
	}
	return &a
}

// pickOr is a kind with a harmless object: the wanted one, if it has one.
func pickOr(f *Fuzzer, wanted string) string {
	if slices.Contains(f.names, wanted) || len(f.names) == 0 {
		return wanted
	}
	return pick(f.random, f.names)
}

// change an object of the fuzzer's own, by any of the verbs that do, or by one of its subresources.
func (f *Fuzzer) change(of *Attempt) *Attempt {
	if subs := f.subresources(of); len(subs) > 0 && chance(f.random, 4) {
		k := pick(f.random, subs)
		a := f.through(of, k, pick(f.random, verbsOf(k)))
		if chance(f.random, 2) {
			f.worsen(a, 1+f.random.IntN(3))
		}
		return a
	}
	verbs := slices.DeleteFunc(verbsOf(&of.Kind), func(v Verb) bool { return v == Create || v == DeleteCollection })
	if len(verbs) == 0 {
		return f.example(pickOr(f, of.Kind.String()))
	}
	a := f.through(of, &of.Kind, pick(f.random, verbs))
	f.worsen(a, 1+f.random.IntN(3))
	return a
}

// through a kind or a subresource of it, something is done to an object of the fuzzer's own: what is harmless, as far as that is known.
func (f *Fuzzer) through(of *Attempt, k *Kind, v Verb) *Attempt {
	a := &Attempt{Subject: of.Subject, Kind: *k, Verb: v, Place: Own, Namespace: of.Namespace, Target: of.Number, Base: of.Object()}
	if k.Type != of.Kind.Type {
		a.Base = f.object(k)
	}
	for _, e := range f.world.Changes[k.Subresource] {
		a.Edits = append(a.Edits, Edit{Path: slices.Clone(e.Path), Value: clone(e.Value)})
	}
	return a
}

// subresources of an attempt's kind by which something changes, sorted.
func (f *Fuzzer) subresources(of *Attempt) []*Kind {
	var subs []*Kind
	for _, name := range slices.Sorted(maps.Keys(f.kinds)) {
		if k := f.kinds[name]; k.Subresource != "" && k.parent() == of.Kind.String() && len(verbsOf(k)) > 0 {
			subs = append(subs, k)
		}
	}
	return subs
}

// followUps change the first harmless object of a kind through every subresource, and in every way.
func (f *Fuzzer) followUps(of *Attempt) []*Attempt {
	var all []*Attempt
	for _, k := range append(f.subresources(of), &of.Kind) {
		for _, v := range verbsOf(k) {
			if (v != Create || k.Subresource != "") && v != Delete && v != DeleteCollection {
				all = append(all, f.through(of, k, v))
			}
		}
	}
	return all
}

// worsen adds edits: dangers that fit the kind, or mutations.
func (f *Fuzzer) worsen(a *Attempt, edits int) {
	name := a.Kind.String()
	var fit []*Danger
	for i := range f.world.Dangers {
		if slices.Contains(f.world.Dangers[i].In, name) {
			fit = append(fit, &f.world.Dangers[i])
		}
	}
	for range edits {
		if len(fit) > 0 && chance(f.random, 2) {
			f.add(a, pick(f.random, fit))
			continue
		}
		a.Edits = append(a.Edits, f.mutation(&a.Kind, a.Object()))
	}
}

// add a danger to an attempt.
func (f *Fuzzer) add(a *Attempt, d *Danger) {
	a.Edits = append(a.Edits, d.Edits(a.Kind.String())...)
	if !slices.Contains(a.Dangers, d.ID) {
		a.Dangers = append(a.Dangers, d.ID)
	}
}
