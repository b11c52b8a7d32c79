package apply

import (
	"fmt"
	"strings"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bulkhead-dev/bulkhead/snapshot"
)

// Action is what was done about one object.
type Action string

// The actions.
const (
	// Unchanged: the live object is as rendered; nothing was written.
	Unchanged Action = "Unchanged"
	// Created: the object was not there before.
	Created Action = "Created"
	// Updated: the rendering changed, and the object with it.
	Updated Action = "Updated"
	// Repaired: another user changed the object, and it is as rendered again.
	Repaired Action = "Repaired"
	// Restored: another user deleted the object, and it is back.
	Restored Action = "Restored"
	// Deleted: the object is no longer wanted.
	Deleted Action = "Deleted"
)

// Change is what was done to one object, and why.
type Change struct {
	Action Action
	// Ref names the object.
	snapshot.Ref

	APIVersion string
	// Version is the resourceVersion that was found and not left as it was; empty when there was no object.
	Version string
	// Fields that differed from the rendering, as paths, for Updated and Repaired.
	Fields []string
	// By is who made the difference, as far as the object shows it: the user's name that the API server recorded, or else
	// the last field manager that is not Bulkhead. It is empty for Restored: of a deletion only the API server's audit
	// log has the user.
	By string
	// Noted is true when By is a user's name, and not a field manager's.
	Noted bool
}

// Tampered reports whether the change undid what another user did.
func (c *Change) Tampered() bool { return c.Action == Repaired || c.Action == Restored }

// String is for an Event: who did what, and what Bulkhead did about it.
func (c *Change) String() string {
	switch c.Action {
	case Repaired:
		by := c.By
		if by == "" {
			by = "an unknown user"
		}
		return fmt.Sprintf("%s changed %s of %s: repaired", by, strings.Join(c.Fields, ", "), c.Ref)
	case Restored:
		by := c.By
		if by == "" {
			by = "an unknown user"
		}
		return fmt.Sprintf("%s was deleted by %s: restored", c.Ref, by)
	case Updated:
		return fmt.Sprintf("%s updated: %s", c.Ref, strings.Join(c.Fields, ", "))
	default:
		return c.Ref.String() + " " + strings.ToLower(string(c.Action))
	}
}

// NotManagedError reports that an object of the wanted name exists and is not Bulkhead's. It is never taken over.
type NotManagedError struct {
	Object snapshot.Ref
	// Missing is the label that would show it to be Bulkhead's, as key=value.
	Missing string
}

// Error is what exists, why it is not adopted and what to do.
func (e *NotManagedError) Error() string {
	return fmt.Sprintf("%s exists without the label %s, so it is not Bulkhead's and is not adopted: "+
		"remove or rename it, or choose another name", e.Object, e.Missing)
}

// TerminatingError reports that an object is being deleted, so nothing can be written until it is gone.
type TerminatingError struct {
	Object snapshot.Ref
	// Finalizers that hold it.
	Finalizers []string
}

// Error is what is being waited for.
func (e *TerminatingError) Error() string {
	text := fmt.Sprintf("%s is being deleted", e.Object)
	if len(e.Finalizers) > 0 {
		text += ", held by " + strings.Join(e.Finalizers, ", ")
	}
	return text + ": it is written again when it is gone"
}

// NotAsRenderedError reports that the API server accepted an object and answered with a different one: something on the
// cluster (an admission webhook or policy) rewrites it, so the control that it stands for is not in force as rendered.
type NotAsRenderedError struct {
	Object snapshot.Ref
	Fields []string
}

// Error names the fields and the likely cause.
func (e *NotAsRenderedError) Error() string {
	return fmt.Sprintf("%s differs from what was written in %s: an admission webhook or policy of this cluster rewrites it; "+
		"exempt objects labelled app.kubernetes.io/managed-by=bulkhead from it", e.Object, strings.Join(e.Fields, ", "))
}

func failed(operation string, obj client.Object, err error) error {
	return fmt.Errorf("%s %s: %w", operation, RefOf(obj), err)
}
