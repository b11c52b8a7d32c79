package hostile

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/types"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
)

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
	// Upon is the object of the platform's that is changed or deleted, as far as what refuses it looks at it; nil where the case
	// makes the object itself, and of namespaces. A live cluster has the object and needs none.
	Upon any `json:"-"`
	// Patch is the form of a patch; empty for a merge patch.
	Patch types.PatchType
	// RightOnly asks the authorizer alone: it is aimed at what does not exist, and any answer from behind the authorizer
	// means that the right is there.
	RightOnly bool
	// Judge reads an answer that is a success; nil takes it as allowed.
	Judge func(Reply) Answer `json:"-"`
	// Forbidden has Judge read what the authorizer refused, too: the answer names the queue that took it either way.
	Forbidden bool
}

// Reply is what the API server sent.
type Reply struct {
	// Object as it was stored, or would have been; nil with what was refused.
	Object map[string]any
	// Flow is the UID of the FlowSchema that took the request; empty when the API server does not name it.
	Flow string
}

// Reads reports whether the request changes nothing by its verb alone.
func (r *Request) Reads() bool { return slices.Contains([]string{"get", "list", "watch"}, r.Verb) }

// Creates reports whether a success of the request makes a new object.
func (r *Request) Creates() bool {
	return (r.Verb == "" || r.Verb == "create") && r.Subresource == "" && r.Path == ""
}

// URL is the path of the request.
func (r *Request) URL() string {
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

// String names the request: "get pods/log".
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

// Authority is a part of the API server that refuses.
type Authority string

// The authorities whose refusals are recognised. All other errors are no refusal.
const (
	// RBAC is the authorizer, with no right found.
	RBAC Authority = "RBAC"
	// Escalation is RBAC's own check that no one grants rights that they lack.
	Escalation Authority = "RBAC escalation check"
	// Policy is a ValidatingAdmissionPolicy.
	Policy Authority = "ValidatingAdmissionPolicy"
	// PodSecurity is the Pod Security admission plugin.
	PodSecurity Authority = "Pod Security"
	// Quota is a ResourceQuota.
	Quota Authority = "ResourceQuota"
	// Limits is a LimitRange.
	Limits Authority = "LimitRange"
	// Validation is the validation of the object itself.
	Validation Authority = "validation"
	// Permitted is of an attempt that a tenant must be able to make: nothing may refuse it.
	Permitted Authority = "nothing: a tenant must be able to do it"

	// fair is API Priority and Fairness, which keeps the request within the tenant's own share.
	fair Authority = "API Priority and Fairness"
	// mutation is admission that accepted the request and made it harmless.
	mutation Authority = "mutation by admission"
)

// Refusal is who refuses, and in which words.
type Refusal struct {
	// By is the authority.
	By Authority
	// Name of the policy or quota; empty where the authority is one of its kind.
	Name string
	// Says is a part of the refusal's message; empty accepts every message.
	Says string
}

// String names who refuses.
func (r Refusal) String() string {
	if r.Name == "" {
		return string(r.By)
	}
	return string(r.By) + " " + r.Name
}

// Matches reports whether a refusal that was given is the one that is expected.
func (r Refusal) Matches(given Refusal) bool {
	return r.By == given.By && r.Name == given.Name && strings.Contains(given.Says, r.Says)
}

var (
	policyRefusal = regexp.MustCompile(`^ValidatingAdmissionPolicy '([^']+)' with binding '[^']+' denied request: (?s:(.*))$`)
	limitRefusal  = regexp.MustCompile(`^\[?(minimum|maximum) [-a-z./]+ usage per (Container|Pod|PersistentVolumeClaim) is `)
	quotaRefusal  = regexp.MustCompile(`^exceeded quota: ([^,]+), (?s:(.*))$`)
)

// Read returns who in admission refused a request, out of the API server's words behind "forbidden: "; By is empty where they are no one's that is
// known.
func (Refusal) Read(said string) Refusal {
	if m := policyRefusal.FindStringSubmatch(said); m != nil {
		return Refusal{By: Policy, Name: m[1], Says: m[2]}
	}
	if m := quotaRefusal.FindStringSubmatch(said); m != nil {
		return Refusal{By: Quota, Name: m[1], Says: m[2]}
	}
	switch {
	case limitRefusal.MatchString(said):
		return Refusal{By: Limits, Says: said}
	case strings.HasPrefix(said, "violates PodSecurity "):
		return Refusal{By: PodSecurity, Says: said}
	}
	return Refusal{}
}

// byPolicy is the refusal by one of Bulkhead's admission policies.
func byPolicy(name, says string) Refusal {
	return Refusal{By: Policy, Name: v1alpha1.PolicyPrefix + name, Says: says}
}

// Answer of the API server to a question: allowed, refused by a known authority, or neither.
type Answer struct {
	// Allowed is true when the API server would have done it.
	Allowed bool
	// Refusal with By set when a known authority refused; Says holds its whole message.
	Refusal Refusal
	// Note has details of what was allowed; mostly empty.
	Note string
	// Problem is why the answer is neither of both.
	Problem string
	// Unanswered is true when the problem is that the API server did not answer.
	Unanswered bool
}

// Unclear is an answer that is neither an acceptance nor a refusal.
func Unclear(format string, args ...any) Answer { return Answer{Problem: fmt.Sprintf(format, args...)} }

// String is the answer in words.
func (a Answer) String() string {
	switch {
	case a.Problem != "":
		return a.Problem
	case a.Allowed:
		return "allowed"
	}
	return fmt.Sprintf("refused by %s: %s", a.Refusal, a.Refusal.Says)
}

// Worst joins the answers to several questions: any that is allowed makes it allowed, else any that is not clear makes it so,
// and else it is the refusal that all share.
func Worst(names []string, answers []Answer) Answer {
	var allowed, unclear []string
	silent := false
	for i, answer := range answers {
		silent = silent || answer.Unanswered
		switch {
		case answer.Allowed:
			allowed = append(allowed, names[i])
		case answer.Problem != "":
			unclear = append(unclear, names[i]+": "+answer.Problem)
		case answer.Refusal.By != answers[0].Refusal.By || answer.Refusal.Name != answers[0].Refusal.Name:
			unclear = append(unclear, fmt.Sprintf("%s was refused by %s, %s by %s", names[0], answers[0].Refusal, names[i], answer.Refusal))
		}
	}
	switch {
	case len(allowed) > 0:
		return Answer{Allowed: true, Note: few(allowed)}
	case len(unclear) > 0:
		return Answer{Problem: few(unclear), Unanswered: silent}
	case len(answers) == 0:
		return Unclear("there was nothing to ask")
	}
	all := answers[0].Refusal
	if len(answers) > 1 {
		all.Says = fmt.Sprintf("%d requests, each refused; the first: %s", len(answers), all.Says)
	}
	return Answer{Refusal: all}
}

// few of many, in words.
func few(words []string) string {
	const most = 5
	if len(words) <= most {
		return strings.Join(words, "; ")
	}
	return fmt.Sprintf("%s; and %d more", strings.Join(words[:most], "; "), len(words)-most)
}
