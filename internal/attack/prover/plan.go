package prover

import (
	"hash/fnv"
	"slices"
	"strconv"
	"time"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/hostile"
	"github.com/bulkhead-dev/bulkhead/internal/attack/engine"
)

// spacesPerProof is how many Spaces that are proven already are asked again in one proof.
const spacesPerProof = 2

// plan chooses what this proof asks.
//
// A proof must be cheap, or a thousand tenants would drown the API server in questions. So every proof asks every question
// in one of its forms: rights as one owner of each kind and as the default service account of each Space chosen, against one
// foreign namespace; what is decided in a Space as one owner in each Space chosen. Every Space that no proof covers as it is now is
// chosen, and two of the others. The choice differs from proof to proof: n proofs leave one of k forms, owners or Spaces unasked with probability (1-1/k)^n. A tenant's
// first proof asks the most telling forms.
//
// Never does a change of choice turn a bad answer into a good one: a control that the previous proof found wanting is asked
// again in all its forms, as all owners (dry-runs: as one owner of each kind), in all Spaces, against all foreign namespaces. The same
// goes for everything when complete is set.
func plan(w *engine.World, now time.Time, complete bool) ([]engine.Task, error) {
	choose := chooser(w.Tenant, now)
	owners, err := engine.OwnerSubjects(w.Tenant)
	if err != nil {
		return nil, err
	}
	suspects := suspected(w.Tenant)
	kinds := oneOfEach(owners, choose)
	single := one("owner", kinds, choose)
	all := engine.Selection{Owners: owners, OwnersInSpace: owners, OwnersDryRun: kinds, Spaces: w.Spaces, Foreign: w.Foreign}
	few := engine.Selection{Owners: kinds, OwnersInSpace: single, OwnersDryRun: single,
		Spaces: someSpaces(w, choose), Foreign: one("foreign", w.Foreign, choose)}
	var tasks []engine.Task
	for i, q := range Questions() {
		if complete || suspects[wholeProof] || slices.ContainsFunc(q.Forms, func(a hostile.Case) bool { return suspects[a.Control] }) {
			for _, form := range q.Forms {
				tasks = append(tasks, all.Tasks(w, form)...)
			}
			continue
		}
		tasks = append(tasks, routine(&few, w, q, i, choose)...)
	}
	return tasks, nil
}

// routine asks a question in one form for each scene: of those that apply there, the chosen one.
func routine(s *engine.Selection, w *engine.World, q Question, index int, choose func(salt string, n int) int) []engine.Task {
	var tasks []engine.Task
	for _, by := range []hostile.Identities{hostile.Owners, hostile.ServiceAccounts} {
		byScene := map[string][]engine.Task{}
		var order []string
		for _, form := range q.Forms {
			if !form.By.Has(by) {
				continue
			}
			form.By = by
			for _, t := range s.Tasks(w, form) {
				key := t.Scene.Subject.String() + " " + t.Scene.Namespace()
				if byScene[key] == nil {
					order = append(order, key)
				}
				byScene[key] = append(byScene[key], t)
			}
		}
		for _, key := range order {
			tasks = append(tasks, byScene[key][choose("form "+strconv.Itoa(index), len(byScene[key]))])
		}
	}
	return tasks
}

// oneOfEach chooses one subject of each kind.
func oneOfEach(subjects []hostile.Subject, choose func(string, int) int) []hostile.Subject {
	var chosen []hostile.Subject
	for _, kind := range []string{"User", "Group", "ServiceAccount"} {
		of := slices.DeleteFunc(slices.Clone(subjects), func(s hostile.Subject) bool { return s.Kind != kind })
		chosen = append(chosen, one(kind, of, choose)...)
	}
	return chosen
}

// one of a list, or none of an empty one.
func one[T any](salt string, list []T, choose func(string, int) int) []T {
	if len(list) == 0 {
		return nil
	}
	i := choose(salt, len(list))
	return list[i : i+1]
}

// someSpaces are all Spaces that the previous proof does not cover as they are now, and spacesPerProof of the others. A change
// of the Tenant or the Platform changes what is enforced in all of them.
func someSpaces(w *engine.World, choose func(string, int) int) []v1alpha1.Space {
	var chosen, proven []v1alpha1.Space
	proof := w.Tenant.Status.Proof
	before := proof != nil && proof.Scope.CoversTenant(w.Tenant, w.Platform)
	for _, space := range w.Spaces {
		if before && proof.Scope.CoversSpace(&space) {
			proven = append(proven, space)
		} else {
			chosen = append(chosen, space)
		}
	}
	if len(proven) == 0 {
		return chosen
	}
	start := choose("space", len(proven))
	for i := range min(spacesPerProof, len(proven)) {
		chosen = append(chosen, proven[(start+i)%len(proven)])
	}
	return chosen
}

// scope is what a proof is about. Spaces that this proof skipped were asked by an earlier one, and nothing of theirs has
// changed since: someSpaces chooses every other.
func scope(w *engine.World) v1alpha1.ProofScope {
	return v1alpha1.ScopeOf(w.Tenant, w.Platform, w.Spaces)
}

// suspected are the controls of the previous proof's failures.
func suspected(tenant *v1alpha1.Tenant) map[string]bool {
	controls := map[string]bool{}
	if tenant.Status.Proof != nil {
		for _, f := range tenant.Status.Proof.Failures {
			controls[f.Control] = true
		}
	}
	return controls
}

// chooser chooses one of n. The first proof of a tenant chooses the first; later ones spread their choice by a hash over the
// tenant and the time, so that the interval between proofs cannot fall into step with the length of a list.
func chooser(tenant *v1alpha1.Tenant, now time.Time) func(salt string, n int) int {
	if tenant.Status.Proof == nil {
		return func(string, int) int { return 0 }
	}
	return func(salt string, n int) int {
		h := fnv.New64a()
		_, _ = h.Write([]byte(salt + "/" + string(tenant.UID) + "/" + tenant.Name + "/" + strconv.FormatInt(now.UnixNano(), 10))) // never fails
		return int(h.Sum64() >> 33 % uint64(n))
	}
}
