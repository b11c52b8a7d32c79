package engine

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/hostile"
)

// verbs maps the verbs of RBAC to the methods of HTTP.
var verbs = map[string]string{
	"": http.MethodPost, "create": http.MethodPost, "update": http.MethodPut, "patch": http.MethodPatch, "apply": http.MethodPatch,
	"delete": http.MethodDelete, "deletecollection": http.MethodDelete,
	"get": http.MethodGet, "list": http.MethodGet, "watch": http.MethodGet,
}

// build makes the HTTP request, with dryRun where it is one.
func build(client *rest.RESTClient, r *hostile.Request, dryRun bool) (*rest.Request, error) {
	method, known := verbs[r.Verb]
	if !known {
		return nil, fmt.Errorf("there is no verb %q", r.Verb)
	}
	request := client.Verb(method).AbsPath(r.URL())
	switch r.Verb {
	case "patch":
		request.SetHeader("Content-Type", string(cmp.Or(r.Patch, types.MergePatchType)))
	case "apply":
		request.SetHeader("Content-Type", string(types.ApplyYAMLPatchType)).Param("force", "true")
	case "list":
		if r.RightOnly {
			request.Param("limit", "1")
		}
		if r.Selector != "" {
			request.Param("labelSelector", r.Selector)
		}
		if r.Fields != "" {
			request.Param("fieldSelector", r.Fields)
		}
	case "watch":
		request.Param("watch", "true").Param("timeoutSeconds", "1")
	case "deletecollection":
		// Should it ever be let through and the dry-run not be honoured: nothing bears this label.
		request.Param("labelSelector", v1alpha1.LabelAttack+"=nothing")
	}
	if dryRun {
		request.Param("dryRun", metav1.DryRunAll)
	}
	if method != http.MethodGet && method != http.MethodDelete {
		request.Param("fieldManager", v1alpha1.AttackName)
	}
	if r.Body == nil {
		return request, nil
	}
	body, err := json.Marshal(r.Body)
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w", r.Resource, err)
	}
	return request.Body(body), nil
}

// answers is nil when an object that came back is the one that was asked for, and not something that a proxy made up.
func answers(r *hostile.Request, object map[string]any) error {
	got := unstructured.Unstructured{Object: object}
	named := got.GetName() == r.Name || (r.Name == "" && got.GetGenerateName() == v1alpha1.AttackPrefix)
	if body, is := r.Body.(metav1.Object); is && r.Name == "" { // of a name of its own, or completed from another beginning
		named = got.GetGenerateName() == body.GetGenerateName() && (body.GetGenerateName() != "" || got.GetName() == body.GetName())
	}
	if got.GetNamespace() == r.Namespace && named {
		return nil
	}
	return fmt.Errorf("the answer is not what was asked for, but a %q named %q in namespace %q", got.GetKind(), got.GetName(), got.GetNamespace())
}
