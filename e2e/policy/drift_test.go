package policy_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/guardrail"
)

// What the API server holds equals what was rendered: no default is left to it, so that whatever differs is a change.
func TestRenderedPoliciesAreComplete(t *testing.T) {
	for _, o := range guardrail.Policies(platform()) {
		content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(o)
		if err != nil {
			t.Fatal(err)
		}
		want := unstructuredFrom(content)
		got := &unstructured.Unstructured{}
		got.SetGroupVersionKind(want.GroupVersionKind())
		if err := admin.Get(t.Context(), client.ObjectKeyFromObject(want), got); err != nil {
			t.Fatal(err)
		}
		name := want.GetKind() + " " + want.GetName()
		if diff := cmp.Diff(want.Object["spec"], got.Object["spec"]); diff != "" {
			t.Errorf("%s differs on the server (-rendered +live):\n%s", name, diff)
		}
		if diff := cmp.Diff(want.GetLabels(), got.GetLabels()); diff != "" {
			t.Errorf("labels of %s differ on the server (-rendered +live):\n%s", name, diff)
		}
		if diff := cmp.Diff(want.GetAnnotations(), got.GetAnnotations()); diff != "" {
			t.Errorf("annotations of %s differ on the server (-rendered +live):\n%s", name, diff)
		}
	}
}

// With no Platform, and with hostile text on every list, the policies are still ones that the API server takes.
func TestEveryPlatformRenders(t *testing.T) {
	hostile := []string{`"]) || true || (["`, `' + authorizer + '`, "new\nline", `back\slash`, "ünïcode", "nul\x00", "\xff", ""}
	for name, p := range map[string]*v1alpha1.Platform{
		"none":  nil,
		"empty": {},
		"hostile": {Spec: v1alpha1.PlatformSpec{
			Registries: hostile, StorageClasses: hostile, PriorityClasses: hostile, SchedulerNames: hostile, SandboxRuntimes: hostile,
		}},
	} {
		t.Run(name, func(t *testing.T) {
			for _, o := range guardrail.Policies(p) {
				content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(o)
				if err != nil {
					t.Fatal(err)
				}
				u := unstructuredFrom(content)
				err = bulkhead.Apply(t.Context(), client.ApplyConfigurationFromUnstructured(u), client.FieldOwner(v1alpha1.ManagedBy), client.ForceOwnership, client.DryRunAll)
				if err != nil {
					t.Errorf("%s %s: %v", o.GetObjectKind().GroupVersionKind().Kind, o.GetName(), err)
				}
			}
		})
	}
}

// The API server's own type check finds nothing to warn of in any expression.
func TestPoliciesTypeCheck(t *testing.T) {
	for _, o := range guardrail.Policies(platform()) {
		rendered, ok := o.(*admissionv1.ValidatingAdmissionPolicy)
		if !ok {
			continue // the API server checks no others
		}
		t.Run(rendered.Name, func(t *testing.T) {
			live := &admissionv1.ValidatingAdmissionPolicy{}
			err := wait.PollUntilContextTimeout(t.Context(), 100*time.Millisecond, 60*time.Second, true, func(ctx context.Context) (bool, error) {
				err := admin.Get(ctx, client.ObjectKeyFromObject(rendered), live)
				return live.Status.TypeChecking != nil && live.Status.ObservedGeneration == live.Generation, err
			})
			if err != nil {
				t.Fatalf("never checked: %v", err)
			}
			for _, w := range live.Status.TypeChecking.ExpressionWarnings {
				t.Errorf("%s: %s", w.FieldRef, w.Warning)
			}
		})
	}
}
