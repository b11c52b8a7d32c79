package attack

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"path"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
)

// fieldManager is how the API server notes who wrote what the attacks make.
const fieldManager = "bulkhead-attack"

// Request is one request to the API server.
type Request struct {
	// Verb as RBAC names it, or apply for a server-side apply; empty for create.
	Verb string
	// Group and Version of the API; Group is empty for the core.
	Group, Version string
	// Namespace is empty for the whole cluster. Resource is a plural. Name is empty for collections and creations.
	Namespace, Resource, Name, Subresource string
	// Selector and Fields narrow a list down, by labels and by fields.
	Selector, Fields string
	// Path is set instead of all these for what is no resource, such as /metrics.
	Path string
	// Body is the object, or of a patch the patch; nil for none.
	Body any
	// Patch is the form of a patch; empty for a merge patch.
	Patch types.PatchType
	// RightOnly asks the authorizer alone: it is aimed at what does not exist, and any answer from behind the authorizer
	// means that the right is there.
	RightOnly bool
	// Judge looks at an answer that is a success; nil takes it as allowed.
	Judge func(Reply) Answer `json:"-"`
	// Forbidden has Judge look at what the authorizer refused, too: the answer tells which queue took it either way.
	Forbidden bool
}

// Reply is what the API server sent.
type Reply struct {
	// Object as it was stored, or would have been; nil with what was refused.
	Object map[string]any
	// Header of the answer.
	Header http.Header
}

// verbs maps the verbs of RBAC to the methods of HTTP.
var verbs = map[string]string{
	"": http.MethodPost, "create": http.MethodPost, "update": http.MethodPut, "patch": http.MethodPatch, "apply": http.MethodPatch,
	"delete": http.MethodDelete, "deletecollection": http.MethodDelete,
	"get": http.MethodGet, "list": http.MethodGet, "watch": http.MethodGet,
}

// reads says whether the request changes nothing by its verb alone.
func (r *Request) reads() bool { return verbs[r.Verb] == http.MethodGet }

// creates says whether a success of the request makes a new object.
func (r *Request) creates() bool {
	return (r.Verb == "" || r.Verb == "create") && r.Subresource == "" && r.Path == ""
}

func (r *Request) url() string {
	if r.Path != "" {
		return r.Path
	}
	root := path.Join("/apis", r.Group, r.Version)
	if r.Group == "" {
		root = path.Join("/api", r.Version)
	}
	if r.Namespace != "" {
		root = path.Join(root, "namespaces", r.Namespace)
	}
	return path.Join(root, r.Resource, r.Name, r.Subresource)
}

// build makes the HTTP request, with dryRun where it is one.
func (r *Request) build(client *rest.RESTClient, dryRun bool) (*rest.Request, error) {
	method, known := verbs[r.Verb]
	if !known {
		return nil, fmt.Errorf("there is no verb %q", r.Verb)
	}
	request := client.Verb(method).AbsPath(r.url())
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
		request.Param("labelSelector", labelAttack+"=nothing")
	}
	if dryRun {
		request.Param("dryRun", metav1.DryRunAll)
	}
	if method != http.MethodGet && method != http.MethodDelete {
		request.Param("fieldManager", fieldManager)
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

// answers says whether an object that came back is the one that was asked for, and not something that a proxy made up.
func (r *Request) answers(object map[string]any) error {
	var got struct {
		Kind     string
		Metadata metav1.ObjectMeta
	}
	raw, err := json.Marshal(object)
	if err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	if err := json.Unmarshal(raw, &got); err != nil {
		return fmt.Errorf("read the answer's metadata: %w", err)
	}
	named := got.Metadata.Name == r.Name || (r.Name == "" && got.Metadata.GenerateName == generateName)
	if got.Metadata.Namespace == r.Namespace && named {
		return nil
	}
	return fmt.Errorf("the answer is not what was asked for, but a %q named %q in namespace %q", got.Kind, got.Metadata.Name, got.Metadata.Namespace)
}

// String names the request as people would: "get pods/log in namespace x".
func (r *Request) String() string {
	if r.Path != "" {
		return "get " + r.Path
	}
	verb := r.Verb
	if verb == "" {
		verb = "create"
	}
	text := verb + " " + r.Resource
	if r.Subresource != "" {
		text += "/" + r.Subresource
	}
	if r.Group != "" {
		text += "." + r.Group
	}
	return text
}
