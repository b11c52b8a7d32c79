package guardrails

import (
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/isolation/finding"
)

// Probe is a canonical hostile request: what an attacker with a tenant's rights would send, and next to it a harmless
// twin that differs in nothing but what makes it hostile. Where both are refused, nothing is proven.
type Probe struct {
	// ID is stable and unique.
	ID string
	// Control that should refuse it, and the code of the finding when nothing does.
	Control, Code string
	Severity      finding.Severity
	// Does says what the attacker does: "run a privileged container".
	Does string
	// Everywhere says that every platform with tenants needs it refused; the others count where the control is in use.
	Everywhere bool
	// Unfenced says that no tenant has the right to send it: it is asked about with the right alone, in the name of
	// somebody who was given it by mistake.
	Unfenced bool
	// Carriers are the names of Bulkhead's policies that refuse it.
	Carriers []string
	// Request and Twin lie in no namespace and come from nobody yet.
	Request, Twin *finding.AdmissionRequest
}

// Setting is what probes take from a cluster so that their twins are harmless there.
type Setting struct {
	// Image from a registry that is allowed, StorageClass and Host that are allowed; empty where none is known.
	Image, StorageClass, Host string
	// OtherRuntime is a RuntimeClass that is there and is not the one that is demanded; empty where there is none.
	OtherRuntime string
}

// Probes lists every probe for a setting. Use one list for many namespaces: answers about equal pointers are shared.
func Probes(s Setting) []Probe {
	var list []Probe
	list = append(list, hostProbes(&s)...)
	list = append(list, placeProbes(&s)...)
	list = append(list, identityProbes(&s)...)
	list = append(list, storageProbes(&s)...)
	list = append(list, networkProbes()...)
	list = append(list, exposeProbes(&s)...)
	return append(list, guardrailProbes()...)
}

// creation of an object of a kind.
func creation(group, version, kind, resource string, o runtime.Object) *finding.AdmissionRequest {
	return &finding.AdmissionRequest{
		Operation: "CREATE", Name: probeName, Object: o,
		Kind:     schema.GroupVersionKind{Group: group, Version: version, Kind: kind},
		Resource: schema.GroupVersionResource{Group: group, Version: version, Resource: resource},
	}
}

// probeName is the name of every object of a probe.
const probeName = v1alpha1.NamePrefix + "probe"
