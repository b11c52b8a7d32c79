// Package status writes what a reconciler found: conditions in the status, once at the end of a pass, and an Event when a
// condition changes.
package status

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/internal/apply"
	"github.com/bulkhead-dev/bulkhead/internal/observe/auditlog"
)

// Wait is why a reconciler's chain of steps stopped without a fault: something does not exist yet, or a person must
// decide. It becomes a condition. It is an error so that it travels up the chain; it is not retried with a backoff.
type Wait struct { //nolint:errname // it is no fault
	// Condition that is not True, with its Reason and Message.
	Condition, Reason, Message string
	// Unknown instead of False as the condition's status.
	Unknown bool
	// After is the longest time until the next pass; zero when a watch requeues.
	After time.Duration
}

// Error is the message.
func (w *Wait) Error() string { return w.Message }

// Waiting makes a Wait.
func Waiting(condition, reason, format string, args ...any) *Wait {
	return &Wait{Condition: condition, Reason: reason, Message: fmt.Sprintf(format, args...)}
}

// RequeueAfter sets the longest time until the next pass.
func (w *Wait) RequeueAfter(after time.Duration) *Wait {
	w.After = after
	return w
}

// Checklist is the conditions of one object in the order in which they depend on one another. Ready follows from them.
type Checklist struct {
	// Order of the conditions, without Ready.
	Order []string
	// Positive is the reason of each condition when it is True.
	Positive map[string]string
	// Failed is the reason of the condition that was being worked on when an unexpected error came.
	Failed string
}

// Outcome is how a chain of steps ended.
type Outcome struct {
	// Reached is the condition that was being worked on when Err came; those before it are True, unless a blocker is on them.
	Reached string
	// Err is nil when every step was done, a *Wait, or a fault.
	Err error
	// Blockers keep a condition from being True, but did not end the chain.
	Blockers []*Wait
	// Messages for the conditions that are True.
	Messages map[string]string
}

// Conditions turns an outcome into conditions. Those after the one at which the chain stopped are Unknown, because they
// were not checked. Ready is as the first that is not True.
func (c *Checklist) Conditions(outcome *Outcome, generation int64, now time.Time) []metav1.Condition {
	reached := outcome.Reached
	var wait *Wait
	if errors.As(outcome.Err, &wait) {
		reached = wait.Condition
	}
	list := make([]metav1.Condition, 0, len(c.Order)+1)
	ready := metav1.Condition{Type: v1alpha1.ConditionReady, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonReady}
	stopped := ""
	for _, name := range c.Order {
		condition := metav1.Condition{Type: name, Status: metav1.ConditionTrue, Reason: c.Positive[name], Message: outcome.Messages[name]}
		blocker := blockerOf(outcome.Blockers, name)
		switch {
		case stopped != "":
			condition.Status, condition.Reason = metav1.ConditionUnknown, stopped
			condition.Message = "not checked while " + reached + " is not True"
		case outcome.Err != nil && name == reached:
			condition.Status, condition.Reason, condition.Message = c.stopped(outcome.Err, wait)
			stopped = condition.Reason
		case blocker != nil:
			condition.Status, condition.Reason, condition.Message = c.stopped(blocker, blocker)
		}
		if ready.Status == metav1.ConditionTrue && condition.Status != metav1.ConditionTrue {
			ready.Status, ready.Reason, ready.Message = condition.Status, condition.Reason, condition.Message
		}
		list = append(list, condition)
	}
	if blocker := blockerOf(outcome.Blockers, v1alpha1.ConditionReady); blocker != nil {
		ready.Status, ready.Reason, ready.Message = c.stopped(blocker, blocker)
	}
	list = append(list, ready)
	for i := range list {
		list[i].ObservedGeneration = generation
		list[i].LastTransitionTime = metav1.NewTime(now)
		list[i].Message = shorten(list[i].Message)
	}
	return list
}

func blockerOf(blockers []*Wait, condition string) *Wait {
	for _, blocker := range blockers {
		if blocker.Condition == condition {
			return blocker
		}
	}
	return nil
}

func (c *Checklist) stopped(err error, wait *Wait) (metav1.ConditionStatus, string, string) {
	if wait == nil {
		return metav1.ConditionFalse, c.Failed, err.Error()
	}
	if wait.Unknown {
		return metav1.ConditionUnknown, wait.Reason, wait.Message
	}
	return metav1.ConditionFalse, wait.Reason, wait.Message
}

// shorten keeps a message within what the API server takes (metav1.Condition: 32768 bytes), and within what a person reads.
func shorten(message string) string {
	const longest = 2000
	if len(message) <= longest {
		return message
	}
	return message[:longest] + " ..."
}

// isPassing reports whether a wait is too short to be worth a write of the status: the first seconds in which the parts of
// an object are being written, counted from when this process first saw it wait.
func (r *Writer) isPassing(err error, uid types.UID, conditions []metav1.Condition) bool {
	ready := meta.FindStatusCondition(conditions, v1alpha1.ConditionReady)
	var wait *Wait
	saidBefore := ready != nil && ready.Reason != v1alpha1.ReasonPending && ready.Reason != v1alpha1.ReasonEnforcing
	if !errors.As(err, &wait) || wait.Reason != v1alpha1.ReasonEnforcing || saidBefore {
		r.waits.Delete(uid)
		return false
	}
	since, _ := r.waits.LoadOrStore(uid, r.Clock.Now())
	first, ok := since.(time.Time)
	return ok && r.Clock.Since(first) < grace
}

// Merge sets the new conditions on the old list, keeping the time of the last transition where the status stays. A
// condition that was never checked, which the definition's default gives an old time, is dropped.
func Merge(conditions *[]metav1.Condition, updates []metav1.Condition) {
	*conditions = slices.DeleteFunc(slices.Clone(*conditions), func(c metav1.Condition) bool { return c.Reason == v1alpha1.ReasonPending })
	for i := range updates {
		meta.SetStatusCondition(conditions, updates[i])
	}
}

// IsTrue reports whether the condition is True and was checked on this generation.
func IsTrue(conditions []metav1.Condition, condition string, generation int64) bool {
	c := meta.FindStatusCondition(conditions, condition)
	return c != nil && c.Status == metav1.ConditionTrue && c.ObservedGeneration == generation
}

// Writer writes statuses and Events.
type Writer struct {
	Client client.Client
	Events events.EventRecorder
	Clock  clock.PassiveClock
	// AuditLog knows who did what, from the API server's audit log; nil when there is none.
	AuditLog AuditLog

	// waits holds since when objects have been waiting, by UID.
	waits sync.Map
}

// Write writes the status of after, if it differs from before's, and then an Event for every condition whose change matters
// to people. The API server refuses it when another client wrote the object since it was read: the status may be outdated then,
// and the reconciler runs again.
func (r *Writer) Write(ctx context.Context, tenant string, before, after client.Object, old, now []metav1.Condition) error {
	if equality.Semantic.DeepEqual(before, after) {
		return nil
	}
	patch := client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})
	if err := r.Client.Status().Patch(ctx, after, patch, client.FieldOwner(v1alpha1.ManagedBy)); err != nil {
		return fmt.Errorf("write the status of %s: %w", apply.RefOf(before), err)
	}
	for i := range now {
		r.transition(tenant, after, meta.FindStatusCondition(old, now[i].Type), &now[i])
	}
	return nil
}

// transition writes an Event when a condition's status or reason changed for longer than a moment.
func (r *Writer) transition(tenant string, obj client.Object, old, now *metav1.Condition) {
	if old != nil && old.Status == now.Status && old.Reason == now.Reason {
		return
	}
	switch {
	case now.Type == v1alpha1.ConditionReady && now.Status == metav1.ConditionTrue:
		r.Eventf(tenant, obj, corev1.EventTypeNormal, now.Reason, "Report", "Ready: every condition is True")
	case now.Status == metav1.ConditionTrue && now.Reason == v1alpha1.ReasonActive:
		r.Eventf(tenant, obj, corev1.EventTypeNormal, now.Reason, "Report", "%s", now.Message)
	case now.Status == metav1.ConditionTrue || passing(now.Reason) || now.Type == v1alpha1.ConditionReady:
	case now.Status == metav1.ConditionUnknown && old == nil: // not checked yet
	case now.Status == metav1.ConditionUnknown && now.Reason != v1alpha1.ReasonProofFailed && now.Reason != v1alpha1.ReasonProofStale:
	default:
		r.Eventf(tenant, obj, corev1.EventTypeWarning, now.Reason, "Report", "%s=%s: %s", now.Type, now.Status, now.Message)
	}
}

// passing reports whether a reason comes and goes with every change, so that it is worth no Event.
func passing(reason string) bool {
	switch reason {
	case v1alpha1.ReasonEnforcing, v1alpha1.ReasonProofPending:
		return true
	default:
		return false
	}
}

// AuditLog answers, some time later, who wrote something; with nil when it is not known.
type AuditLog interface {
	Ask(question auditlog.Question, answer func(write *auditlog.Write))
}

// RecordRepairs writes an Event for every change that undid tampering: who, and what. The repaired object is the Event's
// related one, with the version that was found: Events that agree in everything but their note are counted as one, and the
// tampering of two users must not be. With an audit log the Event waits for the user's name from there. The repair and the
// reconciler do not wait, so the Event is about a copy of the object, which the reconciler goes on to change.
func (r *Writer) RecordRepairs(tenant string, obj client.Object, changes []apply.Change) {
	var about runtime.Object
	for i := range changes {
		if !changes[i].Tampered() {
			continue
		}
		if about == nil {
			about = obj.DeepCopyObject()
		}
		c := changes[i]
		write := func(by string) {
			c.By = by
			related := &corev1.ObjectReference{
				APIVersion: c.APIVersion, Kind: c.Kind, Namespace: c.Namespace, Name: c.Name, ResourceVersion: c.Version,
			}
			r.Events.Eventf(about, related, corev1.EventTypeWarning, string(c.Action), "Repair", "%s", note(tenant, c.String()))
		}
		if r.AuditLog == nil {
			write(suspect(&c, "no audit log"))
			continue
		}
		r.AuditLog.Ask(question(&c), func(written *auditlog.Write) {
			if written == nil {
				write(suspect(&c, "not in the audit log"))
				return
			}
			write(written.String())
		})
	}
}

func question(c *apply.Change) auditlog.Question {
	kind := schema.FromAPIVersionAndKind(c.APIVersion, c.Kind)
	resource, _ := meta.UnsafeGuessKindToResource(kind) // no kind of Bulkhead's has an irregular plural
	q := auditlog.Question{Resource: resource.GroupResource(), Namespace: c.Namespace, Name: c.Name, Deleted: c.Action == apply.Restored}
	if c.Noted {
		q.User = c.By
	}
	return q
}

// suspect is who it was as far as the object shows it, and why no more is known.
func suspect(c *apply.Change, why string) string {
	switch {
	case c.Noted:
		return c.By
	case c.By == "":
		return "an unknown user (" + why + ")"
	default:
		return fmt.Sprintf("an unknown user with %s (%s)", c.By, why)
	}
}

// Eventf writes an Event that names the tenant.
func (r *Writer) Eventf(tenant string, obj client.Object, eventType, reason, action, format string, args ...any) {
	r.Events.Eventf(obj, nil, eventType, reason, action, "%s", note(tenant, fmt.Sprintf(format, args...)))
}

// note names the tenant, and is no longer than the 1 kB that the API server takes.
func note(tenant, text string) string {
	const longest = 1000
	if tenant != "" {
		text = "tenant " + tenant + ": " + text
	}
	if len(text) > longest {
		text = text[:longest] + " ..."
	}
	return text
}
