package observe

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

// Deed is one write as the API server's audit log tells of it.
type Deed struct {
	// User who asked for it; As in whose name, if that was another's.
	User, As string
	Verb     string
	At       time.Time
}

// String is for an Event: who, and how that is known.
func (d *Deed) String() string {
	user := d.User
	if d.As != "" {
		user += " as " + d.As
	}
	return fmt.Sprintf("%s (%s at %s, by the audit log)", user, d.Verb, d.At.UTC().Format(time.RFC3339))
}

// by tells whether admission saw this user.
func (d *Deed) by(user string) bool {
	if d.As != "" {
		return d.As == printable(user)
	}
	return d.User == printable(user)
}

// Question asks the trail who did something to an object.
type Question struct {
	Resource        schema.GroupResource
	Namespace, Name string
	// Deleted asks for a deletion, else for a change.
	Deleted bool
	// User whose deed it must have been, where that is known otherwise; empty for anybody's.
	User string
}

// Bounds of the trail: what it remembers takes a few MiB at the most, whatever the log holds.
const (
	maxDeeds     = 8192
	maxQuestions = 1024
	maxUserBytes = 200
	// settles is how long the log is given to tell of a later change than the one that it tells of already, and patience
	// how long to tell of any.
	settles  = 500 * time.Millisecond
	patience = 5 * time.Second
	// collected is how long ago the deletion of a whole collection may be that took the object with it.
	collected = time.Minute
)

// Trail remembers who wrote what last, out of the API server's audit log. It is safe for concurrent use, and nobody
// waits for it: answers come by a call.
type Trail struct {
	clock     clock.PassiveClock
	resources map[schema.GroupResource]bool
	ours      func(user string, groups []string) bool

	lock      sync.Mutex
	deeds     map[trailKey]*lastDeeds
	order     []trailKey // oldest first
	questions []asked
}

type trailKey struct {
	resource        schema.GroupResource
	namespace, name string
}

type lastDeeds struct{ change, deletion *Deed }

type asked struct {
	Question
	at     time.Time
	answer func(deed *Deed)
}

// NewTrail makes a Trail that remembers writes to these resources, but not our own.
func NewTrail(clk clock.PassiveClock, resources []schema.GroupResource, ours func(user string, groups []string) bool) *Trail {
	t := &Trail{clock: clk, resources: map[schema.GroupResource]bool{}, ours: ours, deeds: map[trailKey]*lastDeeds{}}
	for _, resource := range resources {
		t.resources[resource] = true
	}
	return t
}

// auditEvent is what the trail reads of an event of audit.k8s.io/v1.
type auditEvent struct {
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
func (t *Trail) Note(line []byte) error {
	var e auditEvent
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
	key := trailKey{schema.GroupResource{Group: e.Object.APIGroup, Resource: e.Object.Resource}, e.Object.Namespace, e.Object.Name}
	if key.resource == (schema.GroupResource{Resource: "namespaces"}) {
		key.namespace = "" // the API server says that a namespace is in itself
	}
	if !t.resources[key.resource] || t.ours(e.User.Username, e.User.Groups) {
		return nil
	}
	deed := &Deed{User: printable(e.User.Username), Verb: e.Verb, At: e.At}
	if e.Impersonated != nil {
		deed.As = printable(e.Impersonated.Username)
	}
	t.lock.Lock()
	defer t.lock.Unlock()
	switch e.Verb {
	case "create", "update", "patch":
		t.of(key).change = deed
	case "delete":
		t.of(key).deletion = deed
	case "deletecollection":
		key.name = ""
		t.of(key).deletion = deed
	}
	return nil
}

// of is what is remembered of an object; the oldest is forgotten for it when there is too much.
func (t *Trail) of(key trailKey) *lastDeeds {
	last := t.deeds[key]
	if last == nil {
		if len(t.order) >= maxDeeds {
			delete(t.deeds, t.order[0])
			t.order = t.order[1:]
		}
		last = &lastDeeds{}
		t.deeds[key] = last
		t.order = append(t.order, key)
	}
	return last
}

// Ask calls answer when the log tells who it was, or with nil when it did not for a while, which it may not for reasons
// of its own: it leaves the request out, or is not this API server's.
func (t *Trail) Ask(q Question, answer func(deed *Deed)) {
	t.lock.Lock()
	full := len(t.questions) >= maxQuestions
	if !full {
		t.questions = append(t.questions, asked{q, t.clock.Now(), answer})
	}
	t.lock.Unlock()
	if full {
		answer(nil)
	}
}

// Answer answers the questions that can be, and those that have waited too long. Call it whenever the log was read.
func (t *Trail) Answer() {
	type reply struct {
		deed   *Deed
		answer func(*Deed)
	}
	var replies []reply
	t.lock.Lock()
	now := t.clock.Now()
	open := t.questions[:0]
	for _, q := range t.questions {
		waited := now.Sub(q.at)
		if deed := t.take(&q, waited, now); deed != nil || waited >= patience {
			replies = append(replies, reply{deed, q.answer})
			continue
		}
		open = append(open, q)
	}
	clear(t.questions[len(open):])
	t.questions = open
	t.lock.Unlock()
	for _, r := range replies {
		r.answer(r.deed)
	}
}

// take returns the deed that is asked for, once: it must not answer for another of the same kind.
func (t *Trail) take(q *asked, waited time.Duration, now time.Time) *Deed {
	key := trailKey{q.Resource, q.Namespace, q.Name}
	last := t.deeds[key]
	if !q.Deleted {
		if last == nil || last.change == nil || waited < settles || q.User != "" && !last.change.by(q.User) {
			return nil
		}
		deed := last.change
		last.change = nil
		return deed
	}
	if last != nil && last.deletion != nil {
		deed := last.deletion
		last.deletion = nil
		return deed
	}
	key.name = ""
	if all := t.deeds[key]; all != nil && all.deletion != nil && now.Sub(all.deletion.At) < collected {
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
