package kubeadmission

import (
	"maps"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/scheme"

	"github.com/bulkhead-dev/bulkhead/internal/kubedefaults"
	"github.com/bulkhead-dev/bulkhead/isolation/finding"
)

// target is what a request is about, as far as policies' resource rules look at it.
type target struct {
	group, version, resource, subresource, operation string
	namespaced                                       bool
}

func targetOf(q *finding.AdmissionRequest) target {
	return target{q.Resource.Group, q.Resource.Version, q.Resource.Resource, q.Subresource, q.Operation, q.Namespace != ""}
}

// request is a request with the namespace that it is for.
type request struct {
	*finding.AdmissionRequest
	target target
	space  *space
}

func (r *request) isNamespace() bool {
	return r.Resource.Group == "" && r.Resource.Resource == "namespaces"
}

func (r *request) namespaceOfObject() string {
	if r.isNamespace() {
		return ""
	}
	return r.Namespace
}

// shared reports whether the object names no namespace, so that answers about it hold for others as well.
func (r *request) shared() bool {
	for _, o := range []runtime.Object{r.Object, r.OldObject} {
		if m, is := o.(metav1.Object); is && m.GetNamespace() != "" {
			return false
		}
	}
	return r.Namespace != "" && !r.isNamespace() && len(r.Among) == 0
}

// content is an object in both forms: as fields, which policies read, and typed where its kind is one of Kubernetes.
// It is in no namespace, so that it can be shared.
type content struct {
	fields *unstructured.Unstructured
	typed  runtime.Object
}

// contentOf completes an object as the API server does when it decodes it; nil is no object.
func contentOf(o runtime.Object, r *request) (*content, error) {
	if o == nil {
		return nil, nil //nolint:nilnil // no object is no content
	}
	typed, err := typedOf(o, r)
	if err != nil {
		return nil, err
	}
	if typed == nil {
		u, is := o.(*unstructured.Unstructured)
		if !is {
			fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(o)
			if err != nil {
				return nil, err
			}
			u = &unstructured.Unstructured{Object: fields}
		}
		u = &unstructured.Unstructured{Object: maps.Clone(u.Object)}
		u.SetGroupVersionKind(r.Kind)
		return &content{fields: u}, nil
	}
	kubedefaults.Set(typed)
	return newContent(typed, r)
}

// newContent of a typed object.
func newContent(typed runtime.Object, r *request) (*content, error) {
	typed.GetObjectKind().SetGroupVersionKind(r.Kind)
	fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(typed)
	if err != nil {
		return nil, err
	}
	return &content{&unstructured.Unstructured{Object: fields}, typed}, nil
}

// typedOf is a copy of the object as its type; nil where the kind is none of Kubernetes.
func typedOf(o runtime.Object, r *request) (runtime.Object, error) {
	u, is := o.(*unstructured.Unstructured)
	if !is {
		if _, _, err := scheme.Scheme.ObjectKinds(o); err != nil {
			return nil, nil //nolint:nilerr,nilnil // no type of Kubernetes
		}
		return o.DeepCopyObject(), nil
	}
	typed, err := scheme.Scheme.New(r.Kind)
	if err != nil {
		return nil, nil //nolint:nilerr,nilnil // no type of Kubernetes
	}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(u.DeepCopy().Object, typed); err != nil {
		return nil, err
	}
	return typed, nil
}

// in is the object as it lies in a namespace.
func (c *content) in(namespace string) runtime.Object {
	return c.with(func(metadata map[string]any) {
		if namespace != "" {
			metadata["namespace"] = namespace
		}
	})
}

// created is the object in a namespace as the API server shows it to what validates a creation.
func (c *content) created(namespace string, at time.Time) runtime.Object {
	return c.with(func(metadata map[string]any) {
		if namespace != "" {
			metadata["namespace"] = namespace
		}
		metadata["creationTimestamp"] = at.UTC().Format(time.RFC3339)
		metadata["uid"] = "00000000-0000-4000-8000-000000000000"
	})
}

func (c *content) with(change func(metadata map[string]any)) runtime.Object {
	if c == nil {
		return nil
	}
	fields := maps.Clone(c.fields.Object)
	metadata, _ := fields["metadata"].(map[string]any)
	metadata = maps.Clone(metadata)
	if metadata == nil {
		metadata = map[string]any{}
	}
	change(metadata)
	fields["metadata"] = metadata
	return &unstructured.Unstructured{Object: fields}
}
