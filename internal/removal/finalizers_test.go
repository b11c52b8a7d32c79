package removal_test

import (
	"slices"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bulkhead-dev/bulkhead/internal/removal"
)

// Promise: a finalizer that a controller takes off objects of one kind is foreign to every other kind, where it would stay for ever.
func TestForeign(t *testing.T) {
	const claims, jobs, other = "kubernetes.io/pvc-protection", "batch.kubernetes.io/job-tracking", "example.com/keep"
	for kind, want := range map[string][]string{
		"PersistentVolumeClaim": {jobs, other}, "Pod": {claims, other}, "ConfigMap": {claims, jobs, other},
	} {
		o := &metav1.ObjectMeta{Finalizers: []string{metav1.FinalizerOrphanDependents, claims, jobs, other}}
		if got := removal.Foreign(kind, o); !slices.Equal(got, want) {
			t.Errorf("of a %s, %q are foreign, want %q", kind, got, want)
		}
		removal.KeepOwn(kind, o)
		if len(removal.Foreign(kind, o)) != 0 || !slices.Contains(o.Finalizers, metav1.FinalizerOrphanDependents) || len(o.Finalizers) != 4-len(want) {
			t.Errorf("of a %s, %q are kept", kind, o.Finalizers)
		}
	}
}
