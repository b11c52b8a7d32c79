package finding

import (
	"cmp"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/bulkhead-dev/bulkhead/snapshot"
)

// Admission returns what the API server's admission would answer to a request, by the objects of a snapshot: Pod
// Security, admission policies, quotas, limits. It evaluates what the snapshot holds, not what was intended.
type Admission interface {
	Admit(request *AdmissionRequest) AdmissionAnswer
}

// AdmissionRequest is a write that has passed authorization.
type AdmissionRequest struct {
	Subject Subject
	// Operation is CREATE, UPDATE, DELETE or CONNECT.
	Operation string
	Kind      schema.GroupVersionKind
	Resource  schema.GroupVersionResource
	// Subresource such as status; empty for the object itself.
	Subresource     string
	Namespace, Name string
	// Object as it would be stored, typed or unstructured; nil for DELETE. OldObject for UPDATE and DELETE.
	Object, OldObject runtime.Object
	// Enough are those whose refusal is answer enough: when one of them refuses, it may be that no other is asked. Empty asks all.
	Enough []snapshot.Ref
	// At is when the request is made; zero is the time of the snapshot. Policies see it as the creation time.
	At time.Time
}

// In is the request in a namespace, from a subject.
func (q *AdmissionRequest) In(namespace string, subject Subject) *AdmissionRequest {
	placed := *q
	placed.Namespace, placed.Subject = namespace, subject
	if q.Kind.Kind == "Namespace" {
		placed.Namespace, placed.Name = "", namespace
	}
	return &placed
}

// Attributes that an authorizer is asked about before admission.
func (q *AdmissionRequest) Attributes() Attributes {
	a := Attributes{Group: q.Resource.Group, Resource: q.Resource.Resource, Subresource: q.Subresource, Namespace: q.Namespace, Name: q.Name}
	switch q.Operation {
	case "CREATE", "CONNECT":
		a.Verb = "create"
		if q.Subresource == "" {
			a.Name = ""
		}
	case "DELETE":
		a.Verb = "delete"
	default:
		a.Verb = "update"
	}
	return a
}

// AdmissionAnswer is the answer. Neither Admitted nor refused is Unknown, with the reason.
type AdmissionAnswer struct {
	// Admitted is true where nothing refuses it.
	Admitted bool
	// RefusedBy are the objects that refuse it, each with its words.
	RefusedBy []Refusal
	// Considered are the policies that matched the request, whatever they answered.
	Considered []snapshot.Ref
	// Unknown lists what could not be evaluated. A refusal next to it still counts.
	Unknown []string
	// Object as it would be stored after mutation; nil where nothing changed it.
	Object runtime.Object
}

// Refusal is by one authority.
type Refusal struct {
	// By whom: an admission policy, a Namespace with Pod Security labels, a ResourceQuota, a LimitRange.
	By snapshot.Ref
	// Control that it belongs to, where Bulkhead's label names one.
	Control string
	Message string
	// OfSubject is true where it depends on the subject: the same request of another may pass.
	OfSubject bool
}

// Subject is an identity as the API server sees it.
type Subject struct {
	// User name, such as ana or system:serviceaccount:shop--web:default.
	User string
	// Groups, with those that the API server adds itself.
	Groups []string
}

// Name of the subject in reports. Who is known by a group alone is a member of it.
func (s *Subject) Name() string {
	if s.User == "somebody" && len(s.Groups) > 0 {
		return "a member of group " + s.Groups[0]
	}
	return cmp.Or(s.User, strings.Join(s.Groups, ", "))
}

// Attributes of a request, as an authorizer sees them.
type Attributes struct {
	Verb string
	// Group, Resource and Subresource of the API; Resource is empty for a request that is not for a resource.
	Group, Resource, Subresource string
	Namespace                    string
	// Name of the object. It is empty for a create that is not of a subresource, and for list, watch and
	// deletecollection unless their field selector is metadata.name=NAME: that is how a rule with resourceNames allows
	// them.
	Name string
	// Path of a request that is not for a resource, such as /metrics.
	Path string
}

// Request is one that the API server lets through.
type Request struct {
	Subject Subject
	// Attributes that the authorizer is asked about.
	Attributes Attributes
	// Write is what admission is asked about next; nil where the finding is about the right alone.
	Write *AdmissionRequest
}
