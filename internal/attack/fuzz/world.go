package fuzz

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/guardrail"
	"github.com/bulkhead-dev/bulkhead/hostile"
	"github.com/bulkhead-dev/bulkhead/internal/attack/engine"
	"github.com/bulkhead-dev/bulkhead/internal/attack/fuzz/invent"
)

// fuzzWorld is what the fuzzer is given of the cluster. An error is why there is nothing to fuzz with.
func (z *Session) fuzzWorld(ctx context.Context, before *Inventory) (invent.World, error) {
	scene := z.scene()
	w := invent.World{Owners: z.owners, Subjects: len(z.subjects), Schemas: schemas(ctx, z.runner.Server)}
	for i := range z.seen.Resources {
		s := &z.seen.Resources[i]
		w.Kinds = append(w.Kinds, invent.Kind{Group: s.Group, Version: s.Version, Resource: s.Resource, Subresource: s.Subresource,
			APIVersion: s.APIVersion, Type: s.Kind, Namespaced: s.Namespaced, Verbs: s.Verbs})
	}
	foreign := slices.Clone(z.target.Foreign)
	for _, system := range []string{metav1.NamespaceSystem, metav1.NamespaceDefault, v1alpha1.SystemNamespace} {
		if !slices.Contains(foreign, system) && before.has("", "namespaces", "", system) {
			foreign = append(foreign, system)
		}
	}
	w.Namespaces = map[invent.Place][]string{invent.Own: z.within, invent.Home: {v1alpha1.HomeNamespace(z.target.Tenant.Name)}, invent.Foreign: foreign}
	var err error
	if w.Examples, err = hostile.Harmless(scene); err != nil {
		return w, err
	}
	for i := range w.Kinds {
		if object, known := w.Examples[w.Kinds[i].String()]; known {
			object["apiVersion"], object["kind"] = w.Kinds[i].APIVersion, w.Kinds[i].Type
		}
	}
	w.Elsewhere = map[string]map[string]any{"spaces." + v1alpha1.GroupVersion.Group: {"apiVersion": v1alpha1.GroupVersion.String(), "kind": "Space",
		"metadata": map[string]any{"generateName": v1alpha1.AttackPrefix}, "spec": map[string]any{"workload": z.spaces[0].Spec.Workload}}}
	w.Changes = map[string][]invent.Edit{
		"scale": {{Path: []any{"spec", "replicas"}, Value: 0}},
		"resize": {{Path: []any{"spec", "containers", 0, "resources", "requests", "cpu"}, Value: "9m"},
			{Path: []any{"spec", "containers", 0, "resources", "limits", "cpu"}, Value: "9m"}},
		"ephemeralcontainers": {{Path: []any{"spec", "ephemeralContainers"}, Value: debuggers(w.Examples["pods"])}},
	}
	aggregated, err := aggregated(ctx, z.runner.Server)
	if err != nil {
		return w, err
	}
	w.Existing = z.existing(before, foreign, aggregated)
	for i := range z.target.Spaces {
		w.Existing = append(w.Existing, invent.Existing{Place: invent.Home, Kind: "spaces." + v1alpha1.GroupVersion.Group,
			Namespace: z.target.Spaces[i].Namespace, Name: z.target.Spaces[i].Name})
	}
	z.dangers = dangersIn(scene, z.scenes())
	for _, d := range z.dangers {
		w.Dangers = append(w.Dangers, d)
	}
	return w, nil
}

// scene in which the harmless objects are made.
func (z *Session) scene() hostile.Scene { return z.scenes()[0] }

func (z *Session) scenes() []hostile.Scene {
	var scenes []hostile.Scene
	for i := range z.spaces {
		scenes = append(scenes, hostile.Scene{Subject: z.subjects[0], Platform: z.target.Platform, Tenant: z.target.Tenant, Space: &z.spaces[i],
			Foreign: z.target.Foreign[0], Run: z.runner.Run, Facts: z.seen})
	}
	return scenes
}

// debuggers is a harmless ephemeral container, after the example of a pod's.
func debuggers(pod map[string]any) []any {
	spec, _ := pod["spec"].(map[string]any)
	containers, _ := spec["containers"].([]any)
	if len(containers) == 0 {
		return nil
	}
	first, _ := containers[0].(map[string]any)
	return []any{map[string]any{"name": "debugger", "image": first["image"], "imagePullPolicy": first["imagePullPolicy"], "securityContext": first["securityContext"]}}
}

// dangersIn leaves out of the dictionary what a Waiver allows in one of the scenes, and what the decision does not ask for.
func dangersIn(scene hostile.Scene, scenes []hostile.Scene) map[string]invent.Danger {
	facts := invent.Facts{ForeignNamespace: scene.Foreign, ForeignTenant: v1alpha1.AttackName}
	if len(scene.Platform.Spec.Registries) > 0 {
		facts.Registry = strings.TrimRight(scene.Platform.Spec.Registries[0], "/")
	}
	// The controls that depend on the decision are in force where the catalogue's case of the same kind applies.
	like := map[string]string{"runtime/other": "runtime/shared-kernel", "token/mount": "token/mount", "token/projected": "token/projected", "defaults/huge": "defaults/huge"}
	known := map[string]invent.Danger{}
	for _, d := range invent.Dangers(facts) {
		applies := hostile.InForce(d.Control)
		if c, found := hostile.ByID(like[d.ID]); found {
			applies = c.Applies
		}
		if !slices.ContainsFunc(scenes, func(s hostile.Scene) bool { return !applies(s) }) {
			known[d.ID] = d
		}
	}
	return known
}

// existing objects to aim at: all that Bulkhead keeps in the tenant's namespaces, and a few of each kind elsewhere. Of the kinds that
// another server answers for, none: whether it takes a dry-run for one is not known.
func (z *Session) existing(before *Inventory, foreign []string, aggregated map[string]bool) []invent.Existing {
	const each = 3
	var list []invent.Existing
	count := map[string]int{}
	for _, key := range before.sorted() {
		if aggregated[key.group] {
			continue
		}
		e := invent.Existing{Kind: (&invent.Kind{Group: key.group, Resource: key.resource}).String(), Namespace: key.namespace, Name: key.name}
		switch {
		case z.own[key.namespace]:
			e.Place = invent.Managed
		case key.namespace == "" && key.resource == "namespaces" && z.own[key.name]:
			e.Place = invent.Cluster
		case key.namespace == "":
			e.Place = invent.Cluster
			count[e.Kind]++
		case slices.Contains(foreign, key.namespace):
			e.Place = invent.Foreign
			count[e.Kind]++
		default:
			continue
		}
		if count[e.Kind] <= each {
			list = append(list, e)
		}
	}
	return list
}

// schemas that the API server publishes. They only guide: what cannot be read guides nothing.
func schemas(ctx context.Context, s *engine.Server) *invent.Schemas {
	var index struct {
		Paths map[string]struct{ ServerRelativeURL string } `json:"paths"`
	}
	schemas := &invent.Schemas{}
	if s.Read(ctx, "/openapi/v3", &index) != nil {
		return schemas
	}
	for _, path := range slices.Sorted(maps.Keys(index.Paths)) {
		if !strings.HasPrefix(path, "api") {
			continue
		}
		bounded, cancel := context.WithTimeout(ctx, engine.AnswerWithin)
		if raw, err := engine.RawOf(s.Rest.Get().AbsPath("/openapi/v3/" + path).Do(bounded)); err == nil {
			_ = schemas.Add(raw) // as above
		}
		cancel()
	}
	return schemas
}

// aggregated are the groups that another server than the API server answers for.
func aggregated(ctx context.Context, s *engine.Server) (map[string]bool, error) {
	var list struct {
		Items []struct {
			Spec struct {
				Group   string
				Service *struct{ Name string }
			}
		}
	}
	if err := s.Read(ctx, "/apis/apiregistration.k8s.io/v1/apiservices", &list); err != nil {
		return nil, fmt.Errorf("list the APIServices, to know who takes a dry-run for one: %w", err)
	}
	groups := map[string]bool{}
	for _, item := range list.Items {
		if item.Spec.Service != nil {
			groups[item.Spec.Group] = true
		}
	}
	return groups, nil
}

// ownerRules are what an owner may do in a Space.
func ownerRules(p *v1alpha1.Platform) []rbacv1.PolicyRule {
	for _, object := range guardrail.Cluster(p) {
		if role, is := object.(*rbacv1.ClusterRole); is && role.Name == v1alpha1.RoleOwner {
			return role.Rules
		}
	}
	return nil
}

// barred reports whether RBAC must refuse an attempt. All that an owner may do, it may do in its Spaces, and in its home with Spaces.
func (z *Session) barred(a *invent.Attempt) bool {
	k := &a.Kind
	resource := k.Resource
	if k.Subresource != "" {
		resource += "/" + k.Subresource
	}
	switch a.Place {
	case invent.Cluster:
		return !hostile.ForEveryone(&hostile.Served{Group: k.Group, Resource: k.Resource}, a.Verb.Right())
	case invent.Home:
		return k.Group != v1alpha1.GroupVersion.Group || resource != "spaces"
	case invent.Own, invent.Managed:
		return !slices.ContainsFunc(z.rules, func(r rbacv1.PolicyRule) bool {
			return slices.Contains(r.APIGroups, k.Group) && slices.Contains(r.Resources, resource) && slices.Contains(r.Verbs, a.Verb.Right())
		})
	case invent.Foreign:
	}
	return true
}
