// Package guardrail renders what must exist on a cluster for a Platform, a Tenant and a Space. It is pure: it reads
// values and returns values, and every object it returns is complete, with all that the API server would default
// written out, so that a live object is right exactly when it equals the rendered one (labels and annotations that
// others added aside).
package guardrail

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/decision/tenancy"
)

// Object is a rendered object with its TypeMeta set. It is the same set of methods as controller-runtime's
// client.Object, which this package does not import.
type Object interface {
	metav1.Object
	runtime.Object
}

// SpaceInput is everything that the objects of one Space depend on.
type SpaceInput struct {
	Platform *v1alpha1.Platform
	Tenant   *v1alpha1.Tenant
	Space    *v1alpha1.Space
	// Decision for the Space's workload; Soft or SoftAffinity.
	Decision tenancy.Outcome
	// Quota granted by the tenant's ledger: a Grant's Hard. Its keys are those of TenantQuota.
	Quota corev1.ResourceList
	// Peers are the Spaces, of this tenant and of others, that this Space's flows name or that name it, to see what
	// both sides declare. Spaces that are concerned in neither way do no harm.
	Peers []*v1alpha1.Space
	// Waivers in force for the Space's workload.
	Waivers []ActiveWaiver
}

// ActiveWaiver is a Waiver that is in force.
type ActiveWaiver struct {
	// Control that is suspended, by its id.
	Control string
	// Name of the Waiver.
	Name string
	// Expires is when it ends.
	Expires metav1.Time
}

// ClosedFlow is a flow that a Space declares and that is not opened, or only in part, with the reason in words.
type ClosedFlow struct {
	// Field is its path in the Space, such as spec.to[1].
	Field string
	// Why it stays closed, and what would open it.
	Why string
}
