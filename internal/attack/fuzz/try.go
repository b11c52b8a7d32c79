package fuzz

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/hostile"
	"github.com/bulkhead-dev/bulkhead/internal/attack/engine"
	"github.com/bulkhead-dev/bulkhead/internal/attack/fuzz/invent"
)

// live is an object that an attempt made and that is there.
type live struct {
	attempt *invent.Attempt
	subject *hostile.Subject
	request hostile.Request
	object  map[string]any
}

// request of an attempt, and whether it is only a dry-run. What it made of others' objects, it would be a pity to carry out.
func (z *Session) request(a *invent.Attempt) (r hostile.Request, dryRun bool) {
	r = hostile.Request{Verb: a.Verb.Right(), Group: a.Kind.Group, Version: a.Kind.Version, Namespace: a.Namespace, Resource: a.Kind.Resource,
		Subresource: a.Kind.Subresource, Name: a.Name, RightOnly: z.barred(a)}
	there := z.live[a.Target]
	if there != nil {
		r.Name = nameOf(there.object)
	}
	switch {
	case a.Verb == invent.Delete:
		return r, true
	case a.Verb == invent.DeleteCollection:
		return r, true
	case a.Patches():
		r.Patch = map[invent.Verb]types.PatchType{invent.JSONPatch: types.JSONPatchType, invent.MergePatch: types.MergePatchType,
			invent.StrategicPatch: types.StrategicMergePatchType}[a.Verb]
		r.Body = a.Patch()
		return r, !z.mayChange(a, there, a.Object())
	}
	object := a.Object()
	r.Body = object
	if a.Verb == invent.Create && r.Subresource == "" {
		known := stamp(object, z.runner.Run)
		harmless := inert(a.Kind.String(), object) && !z.harmDone[a.Signature("")]
		return r, !known || (!harmless && !(z.runner.Destructive && (a.Place == invent.Foreign || a.Place == invent.Cluster || sweeps(&a.Kind))))
	}
	if object["metadata"] == nil {
		object["metadata"] = map[string]any{}
	}
	if metadata, ok := object["metadata"].(map[string]any); ok && r.Name != "" && metadata["name"] == nil {
		metadata["name"] = r.Name
		delete(metadata, "generateName")
		if there != nil {
			metadata["resourceVersion"] = engine.MetadataOf(there.object).GetResourceVersion()
			stampLabel(metadata, z.runner.Run)
		}
	}
	if a.Verb == invent.Apply {
		r.Verb = "apply"
	}
	return r, !z.mayChange(a, there, object)
}

// mayChange reports whether a change may be carried out: of an object of the run's own that stays one.
func (z *Session) mayChange(a *invent.Attempt, there *live, object map[string]any) bool {
	return there != nil && a.Kind.Subresource == "" && !touchesMetadata(a.Edits) && (inert(a.Kind.String(), object) || z.runner.Destructive)
}

// sweeps reports whether the sweep at the end looks for objects of a kind.
func sweeps(k *invent.Kind) bool {
	return slices.ContainsFunc(hostile.Made(), func(r hostile.Request) bool { return r.Group == k.Group && r.Resource == k.Resource })
}

func stampLabel(metadata map[string]any, run string) {
	if labels, ok := metadata["labels"].(map[string]any); ok {
		labels[v1alpha1.LabelAttack] = run
	}
}

func nameOf(object map[string]any) string { return engine.MetadataOf(object).GetName() }

// outcome is what came of an attempt.
type outcome struct {
	// by whom it was refused, in a word; or accepted.
	by, says string
	accepted bool
	// unclear is true for what is neither an acceptance nor a refusal.
	unclear bool
	// warned is true when Pod Security would refuse the pods of what was accepted.
	warned bool
	object map[string]any
}

const accepted = "accepted"

// send makes an attempt and reads the answer.
func (z *Session) send(ctx context.Context, a *invent.Attempt) (o outcome, r hostile.Request, dryRun bool) {
	r, dryRun = z.request(a)
	subject := &z.subjects[a.Subject]
	raw, header, err := z.runner.Server.Exchange(ctx, subject, &r, dryRun)
	o.warned = slices.ContainsFunc(header.Values("Warning"), func(w string) bool { return strings.Contains(w, "would violate PodSecurity") })
	if err == nil {
		_ = json.Unmarshal(raw, &o.object) // what is no object is none
	}
	answer := engine.ReadAnswer(err, *subject)
	if r.RightOnly {
		answer = engine.ReadRight(err, *subject)
	}
	switch {
	case answer.Allowed && err != nil:
		o.by, o.accepted, o.says = "not RBAC", true, err.Error()
	case answer.Allowed:
		o.by, o.accepted = accepted, true
	case answer.Refusal.By != "":
		name := answer.Refusal
		name.Says = ""
		o.by, o.says = name.String(), answer.Refusal.Says
	default:
		o.by, o.unclear = "unclear", true
		o.says = answer.Problem
		if code := codeOf(err); slices.Contains(clumsy, code) || (code == http.StatusInternalServerError && clumsyWords.MatchString(err.Error())) {
			o.by, o.unclear = fmt.Sprintf("the API itself (%d %s)", code, http.StatusText(int(code))), false
			o.says = err.Error()
		}
	}
	return o, r, dryRun
}

// clumsy are the codes of answers to requests that make no sense to the API, so that nothing came of them.
var clumsy = []int32{http.StatusBadRequest, http.StatusForbidden, http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusNotAcceptable, http.StatusConflict,
	http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType, http.StatusUnprocessableEntity}

// clumsyWords are those of answers to such requests that have the code of an internal error, for want of a better one.
var clumsyWords = regexp.MustCompile(`^failed to create typed |^failed to convert new object|^unsupported role reference kind|` +
	`does not contain declared merge key|^unable to (convert|decode)|^cannot (convert|unmarshal|restore)|^json: |^strconv\.|^invalid resource name |list element types are not identical`)

func codeOf(err error) int32 {
	var status apierrors.APIStatus
	if errors.As(err, &status) {
		return status.Status().Code
	}
	return 0
}

// try makes an attempt, judges the answer and gives it to the fuzzer.
func (z *Session) try(ctx context.Context, a *invent.Attempt) {
	if a.Target != 0 && z.live[a.Target] == nil {
		z.fuzzer.Forget(a.Target)
		return
	}
	o, r, dryRun := z.send(ctx, a)
	if ctx.Err() != nil {
		return // the answer is that of our own impatience
	}
	made := o.accepted && !dryRun && r.Creates() && o.object != nil && engine.MadeByAttack(engine.MetadataOf(o.object)) && a.Place == invent.Own
	kept := made && !o.warned
	switch {
	case made && o.warned:
		z.drop(ctx, &live{subject: &z.subjects[a.Subject], request: r, object: o.object})
	case o.accepted && !dryRun && o.warned && z.live[a.Target] != nil:
		z.drop(ctx, z.live[a.Target])
		delete(z.live, a.Target)
	case kept:
		z.keep(ctx, &live{attempt: a, subject: &z.subjects[a.Subject], request: r, object: o.object})
	case o.accepted && !dryRun && z.live[a.Target] != nil && o.object != nil:
		z.live[a.Target].object = o.object
	}
	if z.barred(a) && o.accepted {
		z.harmDone[a.Signature("")] = true
	}
	if !dryRun {
		z.tally.Real++
	}
	isNew := z.fuzzer.Learn(a, o.by, kept)
	z.tally.count(z, a, &o, dryRun, isNew)
}

// maxLive objects are there at a time: they count in the tenant's quota.
const maxLive = 30

// keep an object to try changes on, and drop the oldest.
func (z *Session) keep(ctx context.Context, l *live) {
	z.live[l.attempt.Number] = l
	z.order = append(z.order, l.attempt.Number)
	if len(z.order) <= maxLive {
		return
	}
	oldest := z.order[0]
	z.order = z.order[1:]
	if there := z.live[oldest]; there != nil {
		z.drop(ctx, there)
	}
	delete(z.live, oldest)
	z.fuzzer.Forget(oldest)
}

// drop removes an object: the oldest, or a workload whose pods Pod Security would refuse. The prover goes by what stands in a workload,
// and would report pods that never come. What goes wrong here, the sweep at the end finds and reports.
func (z *Session) drop(ctx context.Context, l *live) {
	_ = z.runner.Delete(ctx, l.subject, &l.request, engine.MetadataOf(l.object))
}

// standing are the dangers of an accepted attempt that a control had to refuse, and that are there in what was stored, or would be.
func (z *Session) standing(a *invent.Attempt, o *outcome) []invent.Danger {
	if !o.accepted || a.Place != invent.Own || a.Kind.Subresource != "" || a.Verb == invent.Delete || a.Verb == invent.DeleteCollection || z.barred(a) {
		return nil
	}
	var found []invent.Danger
	for _, id := range a.Dangers {
		d, known := z.dangers[id]
		if !known || !slices.Contains(d.Judged, a.Kind.String()) {
			continue
		}
		if !slices.ContainsFunc(d.Edits(a.Kind.String()), func(e invent.Edit) bool { return !e.Stands(o.object) }) {
			found = append(found, d)
		}
	}
	return found
}
