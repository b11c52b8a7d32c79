package engine

import (
	"slices"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/hostile"
)

// World is what a proof is about.
type World struct {
	Platform *v1alpha1.Platform
	Tenant   *v1alpha1.Tenant
	Spaces   []v1alpha1.Space
	Foreign  []string
}

// Task is one attack in one scene.
type Task struct {
	Attack hostile.Case
	Scene  hostile.Scene
}

// Selection of those as whom and of where to ask.
type Selection struct {
	// owners asked about their rights as such, about those in a Space, and by dry-run in a Space.
	Owners, OwnersInSpace, OwnersDryRun []hostile.Subject
	Spaces                              []v1alpha1.Space
	// foreign namespaces, of which each attempt is on all.
	Foreign []string
}

// Tasks of one attack in all scenes of the selection in which it applies.
func (s *Selection) Tasks(w *World, a hostile.Case) []Task {
	var tasks []Task
	for _, foreign := range s.Foreign {
		for _, scene := range s.scenes(hostile.Scene{Platform: w.Platform, Tenant: w.Tenant, Foreign: foreign}, &a) {
			if a.Applies == nil || a.Applies(scene) {
				tasks = append(tasks, Task{Attack: a, Scene: scene})
			}
		}
		if !a.OnForeign {
			break
		}
	}
	return tasks
}

func (s *Selection) scenes(scene hostile.Scene, a *hostile.Case) []hostile.Scene {
	var scenes []hostile.Scene
	if a.By.Has(hostile.Owners) && !a.EachSpace {
		scenes = as(scene, s.Owners)
	}
	owners := s.OwnersInSpace
	if a.Refusal.By != hostile.RBAC {
		owners = s.OwnersDryRun
	}
	for i := range s.Spaces {
		within := scene
		within.Space = &s.Spaces[i]
		if a.By.Has(hostile.ServiceAccounts) {
			scenes = append(scenes, as(within, []hostile.Subject{hostile.ServiceAccountSubject(within.Namespace(), "default")})...)
		}
		if a.By.Has(hostile.Owners) && a.EachSpace {
			scenes = append(scenes, as(within, owners)...)
		}
		if a.By.Has(hostile.Controller) && i == 0 { // the answer is the same next to every Space
			scenes = append(scenes, as(within, []hostile.Subject{hostile.ServiceAccountSubject(v1alpha1.SystemNamespace, v1alpha1.ManagedBy)})...)
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

// OwnerSubjects are the identities of a tenant's owners.
func OwnerSubjects(tenant *v1alpha1.Tenant) ([]hostile.Subject, error) {
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

// Placed are the Spaces that have a namespace.
func Placed(spaces []v1alpha1.Space) []v1alpha1.Space {
	return slices.DeleteFunc(slices.Clone(spaces), func(s v1alpha1.Space) bool { return s.Status.Namespace == "" })
}
