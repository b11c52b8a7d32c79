package check

import (
	"context"
	"fmt"
	"slices"
	"strings"

	authorizationv1 "k8s.io/api/authorization/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/guardrail"
	"github.com/bulkhead-dev/bulkhead/internal/apply"
)

func installChecks() []Check {
	return []Check{
		{
			Code: "BHC121", Group: GroupInstall, Title: "Your rights", Required: true, run: checkRights,
			Why: "An installation that is refused halfway leaves a cluster half guarded. Every right that it needs is asked for first.",
			Fix: "Install as a user who may write these objects; `bulkhead check --rights` prints what and why. cluster-admin has all of them.",
		},
		{
			Code: "BHC122", Group: GroupInstall, Title: "Names are free", Required: true, run: checkNames,
			Why: "Bulkhead never takes over an object that another user made under a name that it uses.",
			Fix: "Delete or rename the object. If it is to become Bulkhead's, give it the label that the finding names.",
		},
	}
}

// checkRights asks the API server whether the caller may make every write of an installation.
func checkRights(ctx context.Context, s *session) ([]Finding, error) {
	objects, err := s.rendered(ctx)
	if err != nil {
		return nil, err
	}
	asked, denied := map[authorizationv1.ResourceAttributes]bool{}, []string{}
	for _, object := range objects {
		attributes, err := s.attributes(object)
		if err != nil {
			return nil, err
		}
		for _, verb := range verbsFor(attributes.Resource) {
			attributes.Verb = verb
			if asked[attributes] {
				continue
			}
			asked[attributes] = true
			review := &authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: &attributes}}
			if err := s.client.Create(ctx, review); err != nil {
				return nil, fmt.Errorf("ask what you may do: %w", err)
			}
			if !review.Status.Allowed {
				denied = append(denied, strings.TrimSpace(verb+" "+attributes.Resource+" "+attributes.Namespace))
			}
		}
	}
	if len(denied) > 0 {
		slices.Sort(denied)
		return one(Problem, "you may not: %s", strings.Join(denied, ", "))
	}
	return one(OK, "all %d that an installation needs", len(asked))
}

// verbsFor an object's resource. A user who gives rights must be allowed to give them: escalate and bind stand for
// holding all of them.
func verbsFor(resource string) []string {
	verbs := []string{"get", "create", "patch", "update"}
	switch resource {
	case "clusterroles", "roles":
		return append(verbs, "escalate")
	case "clusterrolebindings", "rolebindings":
		return append(verbs, "bind")
	}
	return verbs
}

// attributes name an object's resource to the authorizer. Objects of one resource are asked for together, by leaving
// out the name: rights to install are given by resource.
func (s *session) attributes(object guardrail.Object) (authorizationv1.ResourceAttributes, error) {
	gvk := object.GetObjectKind().GroupVersionKind()
	mapping, err := s.client.RESTMapper().RESTMapping(gvk.GroupKind(), gvk.Version)
	if err != nil {
		return authorizationv1.ResourceAttributes{}, fmt.Errorf("find the resource of %s: %w", gvk.Kind, err)
	}
	resource := mapping.Resource
	attributes := authorizationv1.ResourceAttributes{
		Group: resource.Group, Version: resource.Version, Resource: resource.Resource, Namespace: object.GetNamespace(),
	}
	return attributes, nil
}

// checkNames looks for objects under our names that are not ours.
func checkNames(ctx context.Context, s *session) ([]Finding, error) {
	objects, err := s.rendered(ctx)
	if err != nil {
		return nil, err
	}
	var taken []string
	ours := 0
	for _, object := range objects {
		live := &metav1.PartialObjectMetadata{}
		live.SetGroupVersionKind(object.GetObjectKind().GroupVersionKind())
		err := s.client.Get(ctx, client.ObjectKeyFromObject(object), live)
		switch {
		case apierrors.IsNotFound(err) || meta.IsNoMatchError(err):
		case err != nil:
			return nil, fmt.Errorf("look for %s: %w", apply.RefOf(object), err)
		case isOurs(object, live):
			ours++
		default:
			taken = append(taken, fmt.Sprintf("%s (no label %s=%s)", apply.RefOf(object),
				v1alpha1.LabelManagedBy, object.GetLabels()[v1alpha1.LabelManagedBy]))
		}
	}
	switch {
	case len(taken) > 0:
		slices.Sort(taken)
		return one(Problem, "not Bulkhead's: %s", strings.Join(taken, ", "))
	case ours > 0:
		return one(OK, "%d of %d objects are there already, and Bulkhead's", ours, len(objects))
	}
	return one(OK, "no object has one of the %d names", len(objects))
}

// isOurs is true for what carries our label, and for definitions of our API group: its name is ours.
func isOurs(want guardrail.Object, live *metav1.PartialObjectMetadata) bool {
	return live.Labels[v1alpha1.LabelManagedBy] == want.GetLabels()[v1alpha1.LabelManagedBy] ||
		live.Kind == "CustomResourceDefinition" && strings.HasSuffix(live.Name, "."+v1alpha1.GroupVersion.Group)
}

// rendered is every object of the installation.
func (s *session) rendered(ctx context.Context) ([]guardrail.Object, error) {
	phases, err := s.phases(ctx)
	if err != nil {
		return nil, err
	}
	var objects []guardrail.Object
	for _, phase := range phases {
		objects = append(objects, phase.Objects...)
	}
	return objects, nil
}
