package guardrails

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/json"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/hostile"
	"github.com/bulkhead-dev/bulkhead/isolation/finding"
	"github.com/bulkhead-dev/bulkhead/snapshot"
)

// probe is a case of the catalogue of hostile requests, asked of the admission of a snapshot, next to its harmless twin. Where both are
// refused, nothing is proven.
type probe struct {
	*hostile.Case
	grade

	// unfenced is true where no tenant has the right to send it: it is asked about as a user who was given the right by mistake.
	unfenced bool
	// lapsed is true of what a Waiver allowed, asked after it is over.
	lapsed bool
	// completed is true of what a mutating policy makes harmless: it is asked only after a Waiver, for which that policy stands back, is over.
	completed bool
	// carrier is Bulkhead's policy that refuses it; empty for Pod Security.
	carrier string
	// place is where it is sent.
	place place
	// target is true where the tenant made the object that it changes.
	target bool
	// request lies in no namespace and has no sender yet.
	request *finding.AdmissionRequest
	// bound is true where it names the tenant, and is made for each namespace anew; index is which of those that the attempt makes it is.
	bound bool
	index int
}

// place is where a request is sent.
type place int

const (
	inNamespace place = iota
	inHome
	inCluster
)

// asksAdmission reports whether admission alone refuses a case; if not, why. A proof asks everything else otherwise: rights of RBAC,
// shares of quotas and limits, and what admission makes of harmless objects of the mutating policies themselves.
func asksAdmission(c *hostile.Case) (bool, string) {
	switch {
	case c.By == hostile.Controller:
		return false, "the controller sends it, and no tenant: it is asked once"
	case c.Refusal.By == hostile.Policy || c.Refusal.By == hostile.PodSecurity:
		return true, ""
	case c.Behind.By == hostile.Policy: // RBAC, or what completes pods, stands before it
		return true, ""
	}
	return false, fmt.Sprintf("%s refuses it, and no admission", c.Refusal)
}

// Why a proof cannot ask what a step asks.
var (
	errLive    = errors.New("it is carried out for real: controllers answer it, of which a snapshot has none")
	errNothing = errors.New("it is aimed at what does not exist: the authorizer alone answers it")
)

// probesFor a setting, made once, so that equal requests are the same pointers.
func (g *guardrails) probesFor(s setting) []probe {
	g.lock.Lock()
	defer g.lock.Unlock()
	if g.probes[s] == nil {
		g.probes[s] = g.probesOf(&s)
	}
	return g.probes[s]
}

// wanted reports whether a case is asked here: its control is in use, or every platform with tenants needs it refused.
func (g *guardrails) wanted(c *hostile.Case) bool {
	asks, _ := asksAdmission(c)
	return asks && (g.inUse[c.Control] || gradeOf(c).everywhere)
}

// probesOf a setting are those of every case that is wanted and applies there.
func (g *guardrails) probesOf(s *setting) []probe {
	scenes := []hostile.Scene{g.scene(s, anySpot)}
	if s.storageClass == "" { // it may be that none is known, or that none is allowed
		none := *scenes[0].Platform
		none.Spec.StorageClasses = nil
		scenes = append(scenes, scenes[0])
		scenes[1].Platform = &none
	}
	list := []probe{}
	for i := range g.cases {
		c := &g.cases[i]
		at := slices.IndexFunc(scenes, func(s hostile.Scene) bool { return c.Applies == nil || c.Applies(s) })
		if at >= 0 && g.wanted(c) {
			list = append(list, g.probesOfCase(c, &scenes[at])...)
		}
	}
	return list
}

// probesOfCase are one for each request that the attempt makes; none where the scene lacks what it takes.
func (g *guardrails) probesOfCase(c *hostile.Case, scene *hostile.Scene) []probe {
	attempts, err := g.asked(scene, &c.Attempt)
	if err != nil {
		return nil
	}
	p := probe{Case: c, grade: gradeOf(c), unfenced: c.Refusal.By == hostile.RBAC, target: c.Attempt.On != ""}
	p.carrier = c.Refusal.Name
	if p.unfenced {
		p.carrier = c.Behind.Name
	}
	p.completed = !p.unfenced && c.Refusal.By != hostile.PodSecurity && c.Refusal.By != hostile.Policy
	list := make([]probe, len(attempts))
	for i := range attempts {
		list[i] = p
		list[i].request, list[i].bound, list[i].index, list[i].place = attempts[i].AdmissionRequest, attempts[i].bound, i, attempts[i].place
	}
	return list
}

// lapsedOf is a probe of what a Waiver of Pod Security let in, asked when it is over; false where the policy for that refuses no such thing.
func lapsedOf(p *probe) (probe, bool) {
	if !p.completed && p.Refusal.By != hostile.PodSecurity || p.Behind.By != hostile.Policy {
		return probe{}, false
	}
	after := *p
	after.lapsed, after.carrier, after.severity = true, p.Behind.Name, finding.Medium
	return after, true
}

// made is a request to admission with where it is sent.
type made struct {
	*finding.AdmissionRequest

	place place
	bound bool
}

// asked are the requests to admission that a step makes.
func (g *guardrails) asked(scene *hostile.Scene, step *hostile.Step) ([]made, error) {
	here := *scene
	if step.On != "" {
		target, err := hostile.Target(here, step.On)
		if err != nil {
			return nil, err
		}
		if here.Target, err = fieldsOf(target.Body); err != nil {
			return nil, err
		}
		name(here.Target, probeName)
	}
	ask, err := step.Ask(here)
	if err != nil {
		return nil, err
	}
	asks := ask.Every
	if asks == nil {
		asks = []hostile.Ask{ask}
	}
	list := make([]made, len(asks))
	for i := range asks {
		r := asks[i].DryRun
		watched := asks[i].Real != nil && asks[i].Real.Watched
		if watched { // what decides is in the snapshot
			r = &asks[i].Real.Request
		}
		if r == nil {
			return nil, errLive
		}
		if list[i].AdmissionRequest, list[i].bound, err = g.request(r, &here); err != nil {
			return nil, err
		}
		if watched {
			there := (&unstructured.Unstructured{Object: here.Target}).DeepCopy()
			there.SetName(probeName + "-there")
			list[i].Among = []*unstructured.Unstructured{there}
		}
		switch {
		case r.Namespace == v1alpha1.HomeNamespace(here.Tenant.Name):
			list[i].place = inHome
		case r.Namespace == "" && r.Resource != "namespaces":
			list[i].place = inCluster
		}
	}
	return list, nil
}

// request is one of the catalogue as admission gets it, and whether it names the tenant.
func (g *guardrails) request(r *hostile.Request, scene *hostile.Scene) (*finding.AdmissionRequest, bool, error) {
	kind, _ := snapshot.KindOf(r.Group, r.Resource)
	q := &finding.AdmissionRequest{Operation: "CREATE", Subresource: r.Subresource, Name: r.Name, Kind: schema.GroupVersionKind{Group: r.Group, Version: r.Version, Kind: kind.Name},
		Resource: schema.GroupVersionResource{Group: r.Group, Version: r.Version, Resource: r.Resource}}
	if q.Name == "" {
		q.Name = probeName
	}
	after, err := fieldsOf(r.Body)
	if err != nil {
		return nil, false, err
	}
	if r.Creates() || r.Verb == "" { // tokens and evictions, too
		name(after, q.Name)
		if body, is := r.Body.(runtime.Object); is {
			q.Kind = body.GetObjectKind().GroupVersionKind()
		}
		return g.complete(q, nil, after, scene)
	}
	before, err := g.changed(r, scene)
	if err != nil {
		return nil, false, err
	}
	q.Operation = "UPDATE"
	switch r.Verb {
	case "delete":
		q.Operation, after = "DELETE", nil
	case "patch":
		after = merged(before, after)
	}
	return g.complete(q, before, after, scene)
}

// changed is the object that a request changes or deletes.
func (g *guardrails) changed(r *hostile.Request, scene *hostile.Scene) (map[string]any, error) {
	switch {
	case r.Upon != nil:
		return fieldsOf(r.Upon)
	case r.Resource == "namespaces":
		return namespaceObject(r.Name, g.labels[r.Name]), nil
	case scene.Target != nil:
		return scene.Target, nil
	}
	return nil, errNothing
}

// complete gives a request its objects: the same request for all equal ones, but for those of one namespace, whose objects name it, so that
// nothing is remembered of them for others.
func (g *guardrails) complete(q *finding.AdmissionRequest, before, after map[string]any, scene *hostile.Scene) (*finding.AdmissionRequest, bool, error) {
	key, bound := "", true
	if scene.Tenant.Name == anySpot.tenant {
		text, err := json.Marshal([]any{q.Operation, q.Resource, q.Subresource, q.Kind, q.Name, before, after})
		if err != nil {
			return nil, false, fmt.Errorf("encode a request: %w", err)
		}
		key, bound = string(text), strings.Contains(string(text), anySpot.tenant)
		if known, found := g.requests.Load(key); found {
			return known.(*finding.AdmissionRequest), bound, nil //nolint:forcetypeassert // nothing else is stored there
		}
	}
	if key == "" && q.Kind.Kind != "Namespace" {
		inNamespaceOf(scene, before)
		inNamespaceOf(scene, after)
	}
	var err error
	if q.Object, err = objectOf(q, after); err == nil {
		q.OldObject, err = objectOf(q, before)
	}
	if err != nil || key == "" {
		return q, bound, err
	}
	known, _ := g.requests.LoadOrStore(key, q)
	return known.(*finding.AdmissionRequest), bound, nil //nolint:forcetypeassert // nothing else is stored there
}

// objectOf is an object of a request; nil for none. Pods are typed: admission reads them most.
func objectOf(q *finding.AdmissionRequest, fields map[string]any) (runtime.Object, error) {
	if fields == nil {
		return nil, nil //nolint:nilnil // no fields are no object
	}
	if q.Kind.Group == "" && q.Kind.Kind == "Pod" {
		pod := &corev1.Pod{}
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(fields, pod); err != nil {
			return nil, fmt.Errorf("read a pod: %w", err)
		}
		return pod, nil
	}
	u := &unstructured.Unstructured{Object: fields}
	u.SetGroupVersionKind(q.Kind)
	return u, nil
}

// fieldsOf an object of the catalogue, in no namespace, so that it can stand for one in each; nil for none.
func fieldsOf(object any) (map[string]any, error) {
	if object == nil {
		return nil, nil //nolint:nilnil // no object has no fields
	}
	raw, err := json.Marshal(object)
	if err != nil {
		return nil, fmt.Errorf("encode an object: %w", err)
	}
	var fields map[string]any
	if err := json.Unmarshal(raw, &fields); err != nil {
		return nil, fmt.Errorf("read an object: %w", err)
	}
	if metadata, is := fields["metadata"].(map[string]any); is {
		delete(metadata, "namespace")
		delete(metadata, "creationTimestamp")
	}
	return fields, nil
}

func inNamespaceOf(scene *hostile.Scene, fields map[string]any) {
	if metadata, is := fields["metadata"].(map[string]any); is {
		metadata["namespace"] = scene.Namespace()
	}
}

// name gives an object a name instead of one that the API server would complete.
func name(fields map[string]any, name string) {
	if fields == nil {
		return
	}
	metadata, is := fields["metadata"].(map[string]any)
	if !is {
		metadata = map[string]any{}
		fields["metadata"] = metadata
	}
	delete(metadata, "generateName")
	metadata["name"] = name
}

// merged is what a JSON merge patch makes of an object (RFC 7396), which stays as it is.
func merged(object, patch map[string]any) map[string]any {
	whole := maps.Clone(object)
	if whole == nil {
		whole = map[string]any{}
	}
	for key, value := range patch {
		inner, isMap := value.(map[string]any)
		switch {
		case value == nil:
			delete(whole, key)
		case isMap:
			under, _ := whole[key].(map[string]any)
			whole[key] = merged(under, inner)
		default:
			whole[key] = value
		}
	}
	return whole
}
