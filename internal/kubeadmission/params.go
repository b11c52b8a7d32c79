package kubeadmission

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/managedfields"
	authz "k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/client-go/applyconfigurations"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/scheme"
	listers "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"

	"github.com/bulkhead-dev/bulkhead/isolation/finding"
)

// errUnknownRights reports that policies ask about rights, and no authorizer was given.
var errUnknownRights = errors.New("rights are not known")

// authorizer answers one evaluation of policies out of the snapshot's rights.
type authorizer struct {
	rights Rights
	// asked reports whether anything was asked.
	asked atomic.Bool
}

// Authorize is what the API server's RBAC authorizer would say.
func (a *authorizer) Authorize(_ context.Context, q authz.Attributes) (authz.Decision, string, error) {
	a.asked.Store(true)
	if a.rights == nil {
		return authz.DecisionNoOpinion, "", errUnknownRights
	}
	subject := finding.Subject{User: q.GetUser().GetName(), Groups: q.GetUser().GetGroups()}
	attributes := finding.Attributes{Verb: q.GetVerb(), Namespace: q.GetNamespace(), Name: q.GetName(), Path: q.GetPath()}
	if q.IsResourceRequest() {
		attributes.Group, attributes.Resource, attributes.Subresource = q.GetAPIGroup(), q.GetResource(), q.GetSubresource()
		attributes.Path = ""
	}
	if allowed, _ := a.rights.Allowed(subject, attributes); allowed {
		return authz.DecisionAllow, "", nil
	}
	return authz.DecisionNoOpinion, "", nil
}

// namespaceLister gives policies the namespaces of the snapshot.
type namespaceLister struct{ spaces map[string]*space }

var _ listers.NamespaceLister = namespaceLister{}

func (l namespaceLister) List(selector labels.Selector) ([]*corev1.Namespace, error) {
	var list []*corev1.Namespace
	for _, s := range l.spaces {
		if selector.Matches(labels.Set(s.object.Labels)) {
			list = append(list, s.object)
		}
	}
	return list, nil
}

// Get never says NotFound: then the API server would ask elsewhere.
func (l namespaceLister) Get(name string) (*corev1.Namespace, error) {
	if s, found := l.spaces[name]; found {
		return s.object, nil
	}
	return nil, apierrors.NewInternalError(errors.New("namespace " + name + " was not listed"))
}

// parameters of a kind, as an informer that has listed them. Whether a kind of which there is none is in namespaces
// makes no difference: none is found either way.
func (e *Evaluator) parameters(kind *admissionv1.ParamKind) (informers.GenericInformer, meta.RESTScope) {
	if kind == nil {
		return nil, nil
	}
	return parametersOf(kind, e.paramsOf(kind))
}

func (e *Evaluator) paramsOf(kind *admissionv1.ParamKind) []runtime.Object {
	return e.params[kind.APIVersion+"/"+kind.Kind]
}

func parametersOf(kind *admissionv1.ParamKind, list []runtime.Object) (informers.GenericInformer, meta.RESTScope) {
	scope := meta.RESTScopeRoot
	if kind.APIVersion == "v1" && kind.Kind == "ConfigMap" || slices.ContainsFunc(list, func(o runtime.Object) bool {
		return metaOf(o).GetNamespace() != ""
	}) {
		scope = meta.RESTScopeNamespace
	}
	return paramInformer{list}, scope
}

// among are the objects of a kind that a request has next to those of the snapshot, in its namespace.
func among(r *request, kind *admissionv1.ParamKind) []runtime.Object {
	var list []runtime.Object
	for _, o := range r.Among {
		if o.GetAPIVersion() == kind.APIVersion && o.GetKind() == kind.Kind {
			o = o.DeepCopy()
			o.SetNamespace(r.Namespace)
			list = append(list, o)
		}
	}
	return list
}

func metaOf(o runtime.Object) metav1.Object {
	m, err := meta.Accessor(o)
	if err != nil {
		return &metav1.ObjectMeta{}
	}
	return m
}

type paramInformer struct{ list []runtime.Object }

func (p paramInformer) Informer() cache.SharedIndexInformer { return synced{} }
func (p paramInformer) Lister() cache.GenericLister         { return paramLister(p) }

// synced is an informer of which only this is asked.
type synced struct{ cache.SharedIndexInformer }

func (synced) HasSynced() bool { return true }

type paramLister struct{ list []runtime.Object }

func (p paramLister) List(selector labels.Selector) ([]runtime.Object, error) {
	return slices.DeleteFunc(slices.Clone(p.list), func(o runtime.Object) bool { return !selector.Matches(labels.Set(metaOf(o).GetLabels())) }), nil
}

func (p paramLister) Get(name string) (runtime.Object, error) {
	for _, o := range p.list {
		if metaOf(o).GetName() == name {
			return o, nil
		}
	}
	return nil, apierrors.NewNotFound(schema.GroupResource{}, name)
}

func (p paramLister) ByNamespace(namespace string) cache.GenericNamespaceLister {
	return paramLister{slices.DeleteFunc(slices.Clone(p.list), func(o runtime.Object) bool { return metaOf(o).GetNamespace() != namespace })}
}

// builtInConverter knows how apply configurations merge into the kinds of Kubernetes; of other kinds it deduces.
type builtInConverter struct{}

func (builtInConverter) Run(context.Context) {}

func (builtInConverter) GetTypeConverter(kind schema.GroupVersionKind) managedfields.TypeConverter {
	if scheme.Scheme.Recognizes(kind) {
		return applyconfigurations.NewTypeConverter(scheme.Scheme)
	}
	return managedfields.NewDeducedTypeConverter()
}
