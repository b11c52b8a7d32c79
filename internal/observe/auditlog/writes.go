// Package auditlog reads from the API server's audit log who wrote an object last.
package auditlog

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/utils/clock"
)

// Write is one write as the API server's audit log records it.
type Write struct {
	// User who asked for it; As in whose name, if that was another's.
	User, As string
	Verb     string
	At       time.Time
}

// String is for an Event: who, and how that is known.
func (w *Write) String() string {
	user := w.User
	if w.As != "" {
		user += " as " + w.As
	}
	return fmt.Sprintf("%s (%s at %s, by the audit log)", user, w.Verb, w.At.UTC().Format(time.RFC3339))
}

// by reports whether admission saw this user.
func (w *Write) by(user string) bool {
	if w.As != "" {
		return w.As == printable(user)
	}
	return w.User == printable(user)
}

// Question asks who did something to an object.
type Question struct {
	Resource        schema.GroupResource
	Namespace, Name string
	// Deleted asks for a deletion, else for a change.
	Deleted bool
	// User whose write it must have been, where that is known otherwise; empty for any user's.
	User string
}

// Bounds of what is remembered: a few MiB at the most, whatever the log holds.
const (
	maxWrites    = 8192
	maxQuestions = 1024
	maxUserBytes = 200
	// settles is how long the log may take to record a later change than the one that it has already, and patience
	// how long to record any.
	settles  = 500 * time.Millisecond
	patience = 5 * time.Second
	// collected is how long ago the deletion of a whole collection may be that took the object with it.
	collected = time.Minute
)

// Writes remembers who wrote what last, out of the API server's audit log. It is safe for concurrent use, and nothing
// waits for it: answers come by a call.
type Writes struct {
	clock     clock.PassiveClock
	resources map[schema.GroupResource]bool
	ours      func(user string, groups []string) bool

	lock      sync.Mutex
	last      map[object]*lastWrites
	order     []object // oldest first
	questions []asked
}

type object struct {
	resource        schema.GroupResource
	namespace, name string
}

type lastWrites struct{ change, deletion *Write }

type asked struct {
	Question
	at     time.Time
	answer func(write *Write)
}

// NewWrites returns a Writes that remembers writes to these resources, but not our own.
func NewWrites(clk clock.PassiveClock, resources []schema.GroupResource, ours func(user string, groups []string) bool) *Writes {
	w := &Writes{clock: clk, resources: map[schema.GroupResource]bool{}, ours: ours, last: map[object]*lastWrites{}}
	for _, resource := range resources {
		w.resources[resource] = true
	}
	return w
}

// event is what is read of an event of audit.k8s.io/v1.
type event struct {
	Kind  string `json:"kind"`
	Stage string `json:"stage"`
	Verb  string `json:"verb"`
	User  struct {
		Username string   `json:"username"`
		Groups   []string `json:"groups"`
	} `json:"user"`
	Impersonated *struct {
		Username string `json:"username"`
	} `json:"impersonatedUser"`
	Object *struct {
		Resource    string `json:"resource"`
		Subresource string `json:"subresource"`
		Namespace   string `json:"namespace"`
		Name        string `json:"name"`
		APIGroup    string `json:"apiGroup"`
	} `json:"objectRef"`
	Response *struct {
		Code int `json:"code"`
	} `json:"responseStatus"`
	At time.Time `json:"stageTimestamp"`
}

// Note reads one line of the log. An error means that the line is no audit event.
func (w *Writes) Note(line []byte) error {
	var e event
	if err := json.Unmarshal(line, &e); err != nil {
		return fmt.Errorf("not an audit event: %w", err)
	}
	if e.Kind != "Event" || e.Verb == "" {
		return fmt.Errorf("not an audit event: kind %q, verb %q", e.Kind, e.Verb)
	}
	const failed = 400
	if e.Stage != "ResponseComplete" || e.Object == nil || e.Object.Subresource != "" || e.Response == nil || e.Response.Code >= failed {
		return nil
	}
	key := object{schema.GroupResource{Group: e.Object.APIGroup, Resource: e.Object.Resource}, e.Object.Namespace, e.Object.Name}
	if key.resource == (schema.GroupResource{Resource: "namespaces"}) {
		key.namespace = "" // for the API server a namespace is in itself
	}
	if !w.resources[key.resource] || w.ours(e.User.Username, e.User.Groups) {
		return nil
	}
	write := &Write{User: printable(e.User.Username), Verb: e.Verb, At: e.At}
	if e.Impersonated != nil {
		write.As = printable(e.Impersonated.Username)
	}
	w.lock.Lock()
	defer w.lock.Unlock()
	switch e.Verb {
	case "create", "update", "patch":
		w.of(key).change = write
	case "delete":
		w.of(key).deletion = write
	case "deletecollection":
		key.name = ""
		w.of(key).deletion = write
	}
	return nil
}

// of is what is remembered of an object; the oldest is forgotten for it when there is too much.
func (w *Writes) of(key object) *lastWrites {
	last := w.last[key]
	if last == nil {
		if len(w.order) >= maxWrites {
			delete(w.last, w.order[0])
			w.order = w.order[1:]
		}
		last = &lastWrites{}
		w.last[key] = last
		w.order = append(w.order, key)
	}
	return last
}

// Ask calls answer when the log has the user, or with nil when it did not for a while, which may have reasons
// of its own: it leaves the request out, or is not this API server's.
func (w *Writes) Ask(q Question, answer func(write *Write)) {
	w.lock.Lock()
	full := len(w.questions) >= maxQuestions
	if !full {
		w.questions = append(w.questions, asked{q, w.clock.Now(), answer})
	}
	w.lock.Unlock()
	if full {
		answer(nil)
	}
}

// Answer answers the questions that can be, and those that have waited too long. Call it whenever the log was read.
func (w *Writes) Answer() {
	type reply struct {
		write  *Write
		answer func(*Write)
	}
	var replies []reply
	w.lock.Lock()
	now := w.clock.Now()
	open := w.questions[:0]
	for _, q := range w.questions {
		waited := now.Sub(q.at)
		if write := w.take(&q, waited, now); write != nil || waited >= patience {
			replies = append(replies, reply{write, q.answer})
			continue
		}
		open = append(open, q)
	}
	clear(w.questions[len(open):])
	w.questions = open
	w.lock.Unlock()
	for _, r := range replies {
		r.answer(r.write)
	}
}

// take returns the write that is asked for, once: it must not answer for another of the same kind.
func (w *Writes) take(q *asked, waited time.Duration, now time.Time) *Write {
	key := object{q.Resource, q.Namespace, q.Name}
	last := w.last[key]
	if !q.Deleted {
		if last == nil || last.change == nil || waited < settles || q.User != "" && !last.change.by(q.User) {
			return nil
		}
		write := last.change
		last.change = nil
		return write
	}
	if last != nil && last.deletion != nil {
		write := last.deletion
		last.deletion = nil
		return write
	}
	key.name = ""
	if all := w.last[key]; all != nil && all.deletion != nil && now.Sub(all.deletion.At) < collected {
		return all.deletion
	}
	return nil
}

// printable is a name as it can stand in an Event: of bounded length, and quoted if it has anything but letters that show.
func printable(name string) string {
	if len(name) > maxUserBytes {
		name = strings.ToValidUTF8(name[:maxUserBytes], "") + "..."
	}
	if quoted := strconv.Quote(name); quoted != `"`+name+`"` || name == "" {
		return quoted
	}
	return name
}
