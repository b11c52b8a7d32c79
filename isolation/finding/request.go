package finding

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/bulkhead-dev/bulkhead/snapshot"
)

// Admission returns what the API server's admission would answer to a request, by the objects of a snapshot: Pod
// Security, admission policies, quotas, limits. It evaluates what the snapshot holds, not what was intended.
type Admission interface {
	Admit(request *AdmissionRequest) AdmissionAnswer
	// Exempting are the marks by which a validating policy, or a binding of it, may pass over an object that would be refused. Whether
	// one does, Admit says.
	Exempting(policy snapshot.Ref) []Mark
}

// Relabelling is an admission that says what it would be if namespaces had other labels.
type Relabelling interface {
	Admission
	// NamespaceMarks are changes of a namespace's labels by which something that refuses or mutates may pass its objects over. An empty
	// value stands for a label that is taken away.
	NamespaceMarks() []Mark
	// Relabelled is the same admission, where the namespaces that are named have these labels.
	Relabelled(labels map[string]map[string]string) Admission
}

// Storing is an admission that says how an object would be stored, whatever may refuse it.
type Storing interface {
	// Stored is an answer without refusals by policies; Unknown names the webhooks that may change the object.
	Stored(request *AdmissionRequest) AdmissionAnswer
}

// Mark is a label or annotation that the author of an object writes at will.
type Mark struct{ Key, Value string }

// LeftOut are the labels that keep an object from a selector. Labels that it demands, an object lacks that says nothing.
func LeftOut(s *metav1.LabelSelector) []Mark {
	if s == nil {
		return nil
	}
	var marks []Mark
	for _, r := range s.MatchExpressions {
		switch {
		case r.Operator == metav1.LabelSelectorOpNotIn && len(r.Values) > 0:
			marks = append(marks, Mark{Key: r.Key, Value: r.Values[0]})
		case r.Operator == metav1.LabelSelectorOpDoesNotExist:
			marks = append(marks, Mark{Key: r.Key, Value: "true"})
		}
	}
	return marks
}

// Marked sets marks: as annotations, and those that can be labels as labels too.
func Marked(o metav1.Object, marks []Mark) {
	labels, annotations := maps.Clone(o.GetLabels()), maps.Clone(o.GetAnnotations())
	for _, m := range marks {
		if len(validation.IsQualifiedName(m.Key)) > 0 {
			continue
		}
		if annotations == nil {
			annotations = map[string]string{}
		}
		annotations[m.Key] = m.Value
		if len(validation.IsValidLabelValue(m.Value)) > 0 {
			continue
		}
		if labels == nil {
			labels = map[string]string{}
		}
		labels[m.Key] = m.Value
	}
	o.SetLabels(labels)
	o.SetAnnotations(annotations)
}

// Markings are the lists of marks to try against policies: the first value of every key together, and then one mark after the other.
func Markings(marks []Mark) [][]Mark {
	var together []Mark
	var lists [][]Mark
	for _, m := range marks {
		if !slices.ContainsFunc(together, func(t Mark) bool { return t.Key == m.Key }) {
			together = append(together, m)
		}
		lists = append(lists, []Mark{m})
	}
	if len(together) > 1 {
		lists = append([][]Mark{together}, lists...)
	}
	return lists
}

// MarkWords names marks: "label or annotation a=b, c=d".
func MarkWords(marks []Mark) string {
	words := make([]string, len(marks))
	for i, m := range marks {
		words[i] = m.Key + "=" + m.Value
	}
	return "label or annotation " + Few(words)
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
	// Among are objects that are in the request's namespace next to those of the snapshot, for policies that judge objects by others.
	Among []*unstructured.Unstructured
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
	// First are the steps that must come before, so that nothing refuses it; none where it is let through as things are.
	First []Step
}

// Refusal is by one authority.
type Refusal struct {
	// By whom: an admission policy, a Namespace with Pod Security labels, a ResourceQuota, a LimitRange.
	By snapshot.Ref
	// Control that it belongs to, where Bulkhead's label names one.
	Control string
	Message string
	// Holds reports whether another subject's same request is refused alike; nil where everybody's is.
	Holds func(Subject) bool
}

// For reports whether a subject's same request is refused alike.
func (r *Refusal) For(s *Subject) bool { return r.Holds == nil || r.Holds(*s) }

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
