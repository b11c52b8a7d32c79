package removal

import (
	"context"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/guardrail"
)

// Foreign are the finalizers of an object of a kind that neither Kubernetes' own controllers nor Bulkhead take off it: what is to take
// them off may be gone.
func Foreign(kind string, o metav1.Object) []string {
	return slices.DeleteFunc(slices.Clone(o.GetFinalizers()), func(f string) bool { return guardrail.OwnFinalizer(kind, f) })
}

// KeepOwn takes the foreign finalizers off.
func KeepOwn(kind string, o metav1.Object) {
	o.SetFinalizers(slices.DeleteFunc(slices.Clone(o.GetFinalizers()), func(f string) bool { return !guardrail.OwnFinalizer(kind, f) }))
}

func nameOf(o *metav1.PartialObjectMetadata) string { return o.Kind + " " + o.Namespace + "/" + o.Name }

// inWords is an object that is left, with what holds it.
func inWords(o *metav1.PartialObjectMetadata) string {
	switch {
	case len(o.Finalizers) > 0:
		return nameOf(o) + ": held by finalizer " + strings.Join(o.Finalizers, ", ")
	case o.DeletionTimestamp != nil:
		return nameOf(o) + ": has until " + o.DeletionTimestamp.UTC().Format("2006-01-02T15:04:05Z") + " to end"
	}
	return nameOf(o)
}

// conditionsOf is what is still in a namespace, or holds it, by its own conditions.
func conditionsOf(namespace *corev1.Namespace) []string {
	var left []string
	for _, c := range namespace.Status.Conditions {
		switch c.Type {
		case corev1.NamespaceContentRemaining, corev1.NamespaceFinalizersRemaining,
			corev1.NamespaceDeletionContentFailure, corev1.NamespaceDeletionDiscoveryFailure, corev1.NamespaceDeletionGVParsingFailure:
			if c.Status == corev1.ConditionTrue {
				left = append(left, namespace.Name+": "+c.Message)
			}
		}
	}
	slices.Sort(left)
	return left
}

// Names and keys of the records of off-boardings, ConfigMaps in Bulkhead's own namespace.
const (
	// RecordOffboarding is the value of the label v1alpha1.LabelRecord: kubectl -n bulkhead-system get configmap -l bulkhead.dev/record
	RecordOffboarding = "offboarding"
	// RecordStripped has the finalizers that were taken off, one object a line.
	RecordStripped = "stripped"
)

// RecordName is offboarded-NAME- and the start of the object's UID: one of the same name may come again. A Space's name is that of its
// namespace.
func RecordName(name string, o metav1.Object) string {
	const enough = 8
	uid := string(o.GetUID())
	return "offboarded-" + name + "-" + uid[:min(enough, len(uid))]
}

// Record adds what was stripped to a record, which it makes where there is none.
func (r *Remover) Record(ctx context.Context, name string, stripped []string) error {
	if len(stripped) == 0 {
		return nil
	}
	record := &corev1.ConfigMap{}
	err := r.Live.Get(ctx, client.ObjectKey{Namespace: v1alpha1.SystemNamespace, Name: name}, record)
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("get the off-boarding record %s: %w", name, err)
	}
	if record.Data == nil {
		record.Data = map[string]string{}
	}
	lines := strings.Split(record.Data[RecordStripped], "\n")
	for _, line := range stripped {
		if !slices.Contains(lines, line) {
			lines = append(lines, line)
		}
	}
	record.Data[RecordStripped] = strings.TrimPrefix(strings.Join(lines, "\n"), "\n")
	if apierrors.IsNotFound(err) {
		record.ObjectMeta = metav1.ObjectMeta{Namespace: v1alpha1.SystemNamespace, Name: name,
			Labels: map[string]string{v1alpha1.LabelManagedBy: v1alpha1.ManagedBy, v1alpha1.LabelRecord: RecordOffboarding}}
		err = r.Client.Create(ctx, record, client.FieldOwner(v1alpha1.ManagedBy))
	} else {
		err = r.Client.Update(ctx, record, client.FieldOwner(v1alpha1.ManagedBy))
	}
	if err != nil {
		return fmt.Errorf("write the off-boarding record %s: %w", name, err)
	}
	return nil
}
