// Package apply is the only writer of what package guardrail renders. It writes nothing that is already right, so a
// reconciler may call it as often as it likes; it repairs what others changed and reports who and what; it adopts no
// namespace that is not Bulkhead's; and it deletes only the very object that it looked at.
package apply

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
)

// Applier writes rendered objects. It is safe for concurrent use, though two callers must not write the same object
// at the same time, which a workqueue's keys see to.
type Applier struct {
	client  client.Client
	live    client.Reader
	memory  *memory
	metrics *Metrics
	// visiting is true where the API server records the caller on what it changes.
	visiting bool
}

// New makes an Applier. The client's reads may come from a cache; live must not.
func New(c client.Client, live client.Reader, clk clock.PassiveClock, m *Metrics) *Applier {
	return &Applier{client: c, live: live, memory: newMemory(clk), metrics: m}
}

// NewVisiting makes an Applier for a caller that has another identity than Bulkhead's, such as the person who installs it.
// The API server records this caller on the managed objects that it changes, which the Applier takes for no difference.
// The client must not read from a cache.
func NewVisiting(c client.Client) *Applier {
	a := New(c, c, clock.RealClock{}, NewMetrics())
	a.visiting = true
	return a
}

// compare finds the differences of the live object that this Applier must put right.
func (a *Applier) compare(want, have client.Object) difference {
	d := compare(want, have)
	if a.visiting {
		d.fields = d.unnoted()
	}
	return d
}

// Ensure makes the live object equal to the rendered one and returns what that took. The object must be complete, with
// everything that the API server would default written out, and carry its TypeMeta and Bulkhead's labels.
//
// Errors: *NotManagedError for a namespace that is not Bulkhead's; *TerminatingError while the old object goes;
// *NotAsRenderedError when the cluster rewrites what is written; else the API server's own, with object and operation.
func (a *Applier) Ensure(ctx context.Context, want client.Object) (Change, error) {
	change, err := a.ensure(ctx, want)
	kind := kindOf(want)
	if err != nil {
		a.metrics.write(kind, "Error")
		return change, err
	}
	if change.Action != Unchanged {
		a.metrics.write(kind, string(change.Action))
	}
	if change.Tampered() {
		a.metrics.repair(kind)
	}
	a.memory.remember(want, change.Action != Unchanged)
	return change, nil
}

func (a *Applier) ensure(ctx context.Context, want client.Object) (Change, error) {
	have, err := a.read(ctx, want)
	if err != nil {
		return a.change(want, Unchanged), err
	}
	if have == nil {
		return a.create(ctx, want)
	}
	if have.GetDeletionTimestamp() != nil {
		return a.change(want, Unchanged), terminating(want, have)
	}
	d := a.compare(want, have)
	if d.none() {
		return a.change(want, Unchanged), nil
	}
	if err := a.owned(want, have); err != nil {
		return a.change(want, Unchanged), err
	}
	change := a.change(want, Updated)
	change.Fields, change.By, change.Version = d.unnoted(), LastOtherWriter(have), have.GetResourceVersion()
	if len(change.Fields) == 0 {
		change.Fields = d.fields
	}
	change.Noted = change.By != "" && change.By == have.GetAnnotations()[v1alpha1.AnnotationChangedBy]
	if a.memory.same(want) || change.Noted {
		change.Action = Repaired
	}
	return change, a.repair(ctx, want, have, &d)
}

// Look returns what is wrong with the live object of a rendered one that is for others to write; empty when it is as rendered.
func (a *Applier) Look(ctx context.Context, want client.Object) (string, error) {
	have, err := a.read(ctx, want)
	switch {
	case err != nil:
		return "", err
	case have == nil:
		return "is not there", nil
	case have.GetDeletionTimestamp() != nil:
		return "is being deleted", nil
	}
	if d := a.compare(want, have); !d.none() {
		return "differs in " + strings.Join(d.fields, ", "), nil
	}
	return "", nil
}

// EnsurePartly makes the live object equal to the rendered one in every field that the rendering sets, and leaves the other
// fields as they are: it is for objects that others may default and extend. It writes nothing that is right already. A rendering that was never applied is applied even where nothing differs, so that Bulkhead owns its fields.
func (a *Applier) EnsurePartly(ctx context.Context, want client.Object) (Change, error) {
	change := a.change(want, Created)
	have, err := Get(ctx, a.live, want)
	if err != nil {
		return change, err
	}
	if have != nil {
		change.Action, change.Fields, change.Version = Updated, PartialDifferences(want, have), have.GetResourceVersion()
	}
	if have != nil && len(change.Fields) == 0 && isApplied(have) {
		change.Action = Unchanged
		return change, nil
	}
	written, err := a.apply(ctx, want)
	if err == nil && written.GetResourceVersion() == change.Version {
		change.Action = Unchanged
	}
	return change, err
}

// isApplied reports whether an earlier installation, or the controller, has applied the object.
func isApplied(have client.Object) bool {
	return slices.ContainsFunc(have.GetManagedFields(), func(entry metav1.ManagedFieldsEntry) bool {
		return entry.Manager == v1alpha1.ManagedBy && entry.Operation == metav1.ManagedFieldsOperationApply
	})
}

// read gets the live object, nil when there is none. The cache answers, unless its answer would lead to a write and
// may be wrong: this process wrote the object a moment ago, so that the cache may not have seen it yet; or the
// object was in place and is not in the cache, which is also so when only the label is gone by which the cache selects.
func (a *Applier) read(ctx context.Context, want client.Object) (client.Object, error) {
	have, err := Get(ctx, a.client, want)
	if err != nil || have != nil && a.isRight(want, have) {
		return have, err
	}
	if have == nil && a.memory.same(want) || a.memory.fresh(want) {
		return Get(ctx, a.live, want)
	}
	return have, nil
}

func (a *Applier) isRight(want, have client.Object) bool {
	d := a.compare(want, have)
	return d.none()
}

// Get reads the live object of a rendered one, nil when there is none.
func Get(ctx context.Context, from client.Reader, want client.Object) (client.Object, error) {
	have := empty(want)
	err := from.Get(ctx, client.ObjectKeyFromObject(want), have)
	if apierrors.IsNotFound(err) {
		return nil, nil //nolint:nilnil // nil is the answer "there is none"
	}
	if err != nil {
		return nil, failed("get", want, err)
	}
	return have, nil
}

func empty(of client.Object) client.Object {
	return reflect.New(reflect.TypeOf(of).Elem()).Interface().(client.Object) //nolint:forcetypeassert // same type as of
}

// create writes an object that is not there. A namespace is created and not applied, because apply would take over
// one that another user made in between.
func (a *Applier) create(ctx context.Context, want client.Object) (Change, error) {
	change := a.change(want, Created)
	if a.memory.same(want) {
		change.Action = Restored
	}
	if _, isNamespace := want.(*corev1.Namespace); !isNamespace {
		return change, a.write(ctx, want)
	}
	made := want.DeepCopyObject().(client.Object) //nolint:forcetypeassert // a copy has its original's type
	err := a.client.Create(ctx, made, client.FieldOwner(v1alpha1.ManagedBy))
	if !apierrors.IsAlreadyExists(err) {
		if err != nil {
			return change, failed("create", want, err)
		}
		return change, a.asRendered(want, made)
	}
	have, err := Get(ctx, a.live, want)
	switch {
	case err != nil:
		return change, err
	case have == nil:
		return change, failed("create", want, errors.New("it was deleted in the meantime: retried"))
	case have.GetDeletionTimestamp() != nil:
		return change, terminating(want, have)
	}
	if err := a.owned(want, have); err != nil {
		return change, err
	}
	d := a.compare(want, have)
	change.Action, change.Fields = Updated, d.fields
	if d.none() {
		change.Action = Unchanged
		return change, nil
	}
	return change, a.repair(ctx, want, have, &d)
}

// owned refuses to touch a namespace that neither carries the identity that want gives it nor was ever written by
// Bulkhead. The second counts so that stripping a namespace of its labels is repaired like any other tampering; only
// the API server records field managers, and no tenant may write namespaces.
func (a *Applier) owned(want, have client.Object) error {
	if _, isNamespace := want.(*corev1.Namespace); !isNamespace {
		return nil
	}
	for _, entry := range have.GetManagedFields() {
		if entry.Manager == v1alpha1.ManagedBy {
			return nil
		}
	}
	for _, key := range []string{v1alpha1.LabelManagedBy, v1alpha1.LabelTenant, v1alpha1.LabelSpace} {
		if value := want.GetLabels()[key]; have.GetLabels()[key] != value {
			return &NotManagedError{Object: RefOf(want), Missing: key + "=" + value}
		}
	}
	return nil
}

func (a *Applier) repair(ctx context.Context, want, have client.Object, d *difference) error {
	switch {
	case d.immutable:
		if err := a.Delete(ctx, have); err != nil {
			return err
		}
		return a.write(ctx, want)
	case d.extra:
		return a.update(ctx, want, have)
	default:
		return a.write(ctx, want)
	}
}

// write applies the object with Bulkhead as owner of every rendered field, and updates it in full when something of
// another manager's is left in it.
func (a *Applier) write(ctx context.Context, want client.Object) error {
	have, err := a.apply(ctx, want)
	if err != nil {
		return err
	}
	if have.GetDeletionTimestamp() != nil {
		return terminating(want, have)
	}
	if a.isRight(want, have) {
		return nil
	}
	return a.update(ctx, want, have)
}

// apply writes the rendered fields with Bulkhead as their owner, and returns what the API server made of the object.
func (a *Applier) apply(ctx context.Context, want client.Object) (client.Object, error) {
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(want)
	if err != nil {
		return nil, failed("render", want, err)
	}
	delete(content, "status")
	body := &unstructured.Unstructured{Object: content}
	unstructured.RemoveNestedField(content, "metadata", "creationTimestamp")
	err = a.client.Apply(ctx, client.ApplyConfigurationFromUnstructured(body), client.FieldOwner(v1alpha1.ManagedBy), client.ForceOwnership)
	if err != nil {
		return nil, failed("apply", want, err)
	}
	have := empty(want)
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(body.Object, have); err != nil {
		return nil, failed("read the answer for", want, err)
	}
	return have, nil
}

func (a *Applier) update(ctx context.Context, want, have client.Object) error {
	fixed := overwrite(want, have)
	fixed.SetManagedFields(nil) // the cache holds an abridged form, and an empty list keeps the server's
	if err := a.client.Update(ctx, fixed, client.FieldOwner(v1alpha1.ManagedBy)); err != nil {
		return failed("update", want, err)
	}
	return a.asRendered(want, fixed)
}

func (a *Applier) asRendered(want, have client.Object) error {
	if d := a.compare(want, have); !d.none() {
		return &NotAsRenderedError{Object: RefOf(want), Fields: d.fields}
	}
	return nil
}

func terminating(want, have client.Object) error {
	return &TerminatingError{Object: RefOf(want), Finalizers: have.GetFinalizers()}
}

func (a *Applier) change(obj client.Object, action Action) Change {
	return Change{Action: action, Ref: RefOf(obj), APIVersion: obj.GetObjectKind().GroupVersionKind().GroupVersion().String()}
}

// kindOf is the name of the Go type, which for every built-in object is its kind: objects from a cache carry no TypeMeta.
func kindOf(obj client.Object) string {
	name := fmt.Sprintf("%T", obj)
	return name[strings.LastIndex(name, ".")+1:]
}

// LastOtherWriter is who changed the object last, when that was not Bulkhead; empty when it was, or is not known.
func LastOtherWriter(have client.Object) string {
	if by := have.GetAnnotations()[v1alpha1.AnnotationChangedBy]; by != "" {
		return by
	}
	var manager string
	var newest int64
	for _, entry := range have.GetManagedFields() {
		if entry.Subresource != "" || entry.Time == nil || entry.Time.Unix() < newest {
			continue
		}
		if entry.Time.Unix() == newest && entry.Manager == v1alpha1.ManagedBy {
			continue // a second holds many writes: between us and another, the other made the difference
		}
		newest, manager = entry.Time.Unix(), entry.Manager
	}
	if manager == v1alpha1.ManagedBy {
		return ""
	}
	return manager
}
