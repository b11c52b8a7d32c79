package attack

import (
	"fmt"
	"hash/fnv"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/hostile"
)

// world is what a proof is about.
type world struct {
	platform *v1alpha1.Platform
	tenant   *v1alpha1.Tenant
	spaces   []v1alpha1.Space
	foreign  []string
}

// task is one attack in one scene.
type task struct {
	attack hostile.Case
	scene  hostile.Scene
}

// spacesPerProof is how many Spaces that are proven already are asked again in one proof.
const spacesPerProof = 2

// plan chooses what this proof asks.
//
// A proof must be cheap, or a thousand tenants would drown the API server in questions. So every proof asks every question
// in one of its forms: rights as one owner of each kind and as the default service account of each Space chosen, against one
// neighbour; what is decided in a Space as one owner in each Space chosen. Every Space that no proof covers as it is now is
// chosen, and two of the others. The choice differs from proof to proof: n proofs leave one of k forms, owners or Spaces unasked with probability (1-1/k)^n. A tenant's
// first proof asks the most telling forms.
//
// Never does a change of choice turn a bad answer into a good one: a control that the previous proof found wanting is asked
// again in all its forms, as all owners (dry-runs: as one owner of each kind), in all Spaces, against all neighbours. The same
// goes for everything when complete is set.
func plan(w *world, now time.Time, complete bool) ([]task, error) {
	choose := chooser(w.tenant, now)
	owners, err := ownerSubjects(w.tenant)
	if err != nil {
		return nil, err
	}
	suspects := suspected(w.tenant)
	kinds := oneOfEach(owners, choose)
	single := one("owner", kinds, choose)
	all := selection{owners: owners, ownersInSpace: owners, ownersDryRun: kinds, spaces: w.spaces, foreign: w.foreign}
	few := selection{owners: kinds, ownersInSpace: single, ownersDryRun: single,
		spaces: someSpaces(w, choose), foreign: one("neighbour", w.foreign, choose)}
	var tasks []task
	for i, q := range Questions() {
		if complete || suspects[wholeProof] || slices.ContainsFunc(q.Forms, func(a hostile.Case) bool { return suspects[a.Control] }) {
			for _, form := range q.Forms {
				tasks = append(tasks, all.tasks(w, form)...)
			}
			continue
		}
		tasks = append(tasks, few.routine(w, q, i, choose)...)
	}
	return tasks, nil
}

// selection of those as whom and of where to ask.
type selection struct {
	// owners asked about their rights as such, about those in a Space, and by dry-run in a Space.
	owners, ownersInSpace, ownersDryRun []hostile.Subject
	spaces                              []v1alpha1.Space
	// foreign namespaces, of which each attempt is on all.
	foreign []string
}

// routine asks a question in one form for each scene: of those that apply there, the chosen one.
func (s *selection) routine(w *world, q Question, index int, choose func(salt string, n int) int) []task {
	var tasks []task
	for _, by := range []hostile.Identities{hostile.Owners, hostile.ServiceAccounts} {
		byScene := map[string][]task{}
		var order []string
		for _, form := range q.Forms {
			if !form.By.Has(by) {
				continue
			}
			form.By = by
			for _, t := range s.tasks(w, form) {
				key := t.scene.Subject.String() + " " + t.scene.Namespace()
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

// tasks of one attack in all scenes of the selection in which it applies.
func (s *selection) tasks(w *world, a hostile.Case) []task {
	var tasks []task
	for _, foreign := range s.foreign {
		for _, scene := range s.scenes(hostile.Scene{Platform: w.platform, Tenant: w.tenant, Foreign: foreign}, &a) {
			if a.Applies == nil || a.Applies(scene) {
				tasks = append(tasks, task{attack: a, scene: scene})
			}
		}
		if !a.OnForeign {
			break
		}
	}
	return tasks
}

func (s *selection) scenes(scene hostile.Scene, a *hostile.Case) []hostile.Scene {
	var scenes []hostile.Scene
	if a.By.Has(hostile.Owners) && !a.EachSpace {
		scenes = as(scene, s.owners)
	}
	owners := s.ownersInSpace
	if a.Refusal.By != hostile.RBAC {
		owners = s.ownersDryRun
	}
	for i := range s.spaces {
		within := scene
		within.Space = &s.spaces[i]
		if a.By.Has(hostile.ServiceAccounts) {
			scenes = append(scenes, as(within, []hostile.Subject{hostile.ServiceAccountSubject(within.Namespace(), "default")})...)
		}
		if a.By.Has(hostile.Owners) && a.EachSpace {
			scenes = append(scenes, as(within, owners)...)
		}
	}
	return scenes
}

func as(scene hostile.Scene, subjects []hostile.Subject) []hostile.Scene {
	scenes := make([]hostile.Scene, len(subjects))
	for i, subject := range subjects {
		scenes[i] = scene
		scenes[i].Subject = subject
	}
	return scenes
}

func ownerSubjects(tenant *v1alpha1.Tenant) ([]hostile.Subject, error) {
	subjects := make([]hostile.Subject, 0, len(tenant.Spec.Owners))
	for _, owner := range tenant.Spec.Owners {
		subject, err := hostile.OwnerSubject(owner)
		if err != nil {
			return nil, err
		}
		subjects = append(subjects, subject)
	}
	return subjects, nil
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
func someSpaces(w *world, choose func(string, int) int) []v1alpha1.Space {
	var chosen, proven []v1alpha1.Space
	var before []string
	if proof := w.tenant.Status.Proof; proof != nil && slices.Contains(proof.Covers, w.generations()) {
		before = proof.Covers
	}
	for _, space := range w.spaces {
		if slices.Contains(before, covered(&space)) {
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

// covered is how a proof notes a Space: by its name and what is enforced in it.
func covered(space *v1alpha1.Space) string { return space.Name + "/" + space.Status.Revision }

// generations is how a proof notes the Tenant and the Platform.
func (w *world) generations() string {
	return fmt.Sprintf("tenant/%d/%d", w.tenant.Generation, w.platform.Generation)
}

// covers is what a proof notes that it is about. Spaces that this proof passed over were asked by an earlier one, and nothing
// of theirs has changed since: someSpaces chooses every other.
func (w *world) covers() []string {
	list := []string{w.generations()}
	for i := range w.spaces {
		list = append(list, covered(&w.spaces[i]))
	}
	return list
}

// wholeProof stands in a finding's place for the control where all of them are concerned: nothing could be asked, or there were
// more findings than fit.
const wholeProof = "proof"

// suspected are the controls of the previous proof's findings.
func suspected(tenant *v1alpha1.Tenant) map[string]bool {
	controls := map[string]bool{}
	if tenant.Status.Proof != nil {
		for _, finding := range tenant.Status.Proof.Findings {
			control, _, _ := strings.Cut(finding, ":")
			controls[control] = true
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
