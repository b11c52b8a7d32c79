package attack

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"path"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/transport"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
)

// answerWithin bounds one request: an API server that takes longer to judge a small object has not answered.
const answerWithin = 10 * time.Second

// apiServer asks the API server, as itself or as a tenant's identity, over one shared transport: a thousand tenants open no
// connection of their own.
type apiServer struct{ rest *rest.RESTClient }

func newAPIServer(config *rest.Config) (*apiServer, error) {
	config = rest.CopyConfig(config)
	config.ContentConfig = rest.ContentConfig{
		ContentType:          "application/json",
		GroupVersion:         &schema.GroupVersion{},
		NegotiatedSerializer: scheme.Codecs.WithoutConversion(),
	}
	config.APIPath = "/"
	config.WarningHandler = rest.NoWarnings{} // refused attempts come with the warnings of Pod Security
	config.WarningHandlerWithContext = nil
	config.Wrap(func(next http.RoundTripper) http.RoundTripper { return actor{next} })
	rc, err := rest.UnversionedRESTClientFor(config)
	if err != nil {
		return nil, fmt.Errorf("make the prover's client: %w", err)
	}
	return &apiServer{rc}, nil
}

// platform reads the one Platform.
func (s *apiServer) platform(ctx context.Context) (*v1alpha1.Platform, error) {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	raw, err := rawOf(s.rest.Get().AbsPath("/apis", v1alpha1.GroupVersion.Group, v1alpha1.GroupVersion.Version, "platforms", v1alpha1.PlatformName).Do(ctx))
	if err != nil {
		return nil, fmt.Errorf("read the Platform, which says what a compliant pod looks like: %w", err)
	}
	var platform v1alpha1.Platform
	if err := json.Unmarshal(raw, &platform); err != nil {
		return nil, fmt.Errorf("decode the Platform: %w", err)
	}
	return &platform, nil
}

// ask puts a question as subject and reads the answer.
func (s *apiServer) ask(ctx context.Context, subject *Subject, question Ask) Answer {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	switch {
	case question.Review != nil && question.DryRun == nil:
		return s.review(ctx, subject, question.Review)
	case question.DryRun != nil && question.Review == nil:
		return answered(s.dryRun(ctx, subject, question.DryRun), *subject)
	}
	return problem("the attack asks nothing, or two things at once")
}

func (s *apiServer) review(ctx context.Context, subject *Subject, attributes *authorizationv1.ResourceAttributes) Answer {
	review := authorizationv1.SubjectAccessReview{
		TypeMeta: metav1.TypeMeta{APIVersion: "authorization.k8s.io/v1", Kind: "SubjectAccessReview"},
		Spec:     authorizationv1.SubjectAccessReviewSpec{User: subject.User, Groups: subject.Groups, ResourceAttributes: attributes},
	}
	body, err := json.Marshal(review)
	if err != nil {
		return problem("encode the review: %v", err)
	}
	raw, err := rawOf(s.rest.Post().AbsPath("/apis/authorization.k8s.io/v1/subjectaccessreviews").Body(body).Do(ctx))
	if err != nil {
		return problem("the review was not answered: %v", err)
	}
	var answer authorizationv1.SubjectAccessReview
	if err := json.Unmarshal(raw, &answer); err != nil {
		return problem("decode the review: %v", err)
	}
	if answer.Kind != "SubjectAccessReview" {
		return problem("the answer to the review is a %q", answer.Kind)
	}
	return reviewed(answer.Status)
}

// dryRun returns no error only when the API server handed back the object as it would have stored it.
func (s *apiServer) dryRun(ctx context.Context, subject *Subject, d *DryRun) error {
	root := path.Join("/apis", d.Group, d.Version)
	if d.Group == "" {
		root = path.Join("/api", d.Version)
	}
	ctx = context.WithValue(ctx, actAs{}, subject)
	request := s.rest.Patch(types.MergePatchType).AbsPath(root, "namespaces", d.Namespace, d.Resource, d.Name).Body(d.MergePatch)
	if d.MergePatch == nil {
		body, err := json.Marshal(d.Create)
		if err != nil {
			return fmt.Errorf("encode %s: %w", d.Resource, err)
		}
		request = s.rest.Post().AbsPath(root, "namespaces", d.Namespace, d.Resource).Body(body)
	}
	raw, err := rawOf(request.Param("dryRun", metav1.DryRunAll).Do(ctx))
	if err != nil {
		return err
	}
	var accepted metav1.PartialObjectMetadata
	if err := json.Unmarshal(raw, &accepted); err != nil {
		return fmt.Errorf("decode the accepted %s: %w", d.Resource, err)
	}
	if accepted.Namespace != d.Namespace || (accepted.Name != d.Name && accepted.GenerateName != generateName) {
		return fmt.Errorf("the answer is not what was asked for, but a %q named %q in namespace %q", accepted.Kind, accepted.Name, accepted.Namespace)
	}
	return nil
}

// rawOf is the body of a success, or the error in the API server's own words, which Raw alone would lose.
func rawOf(result rest.Result) ([]byte, error) {
	if err := result.Error(); err != nil {
		return nil, err
	}
	return result.Raw()
}

// actAs is the key under which a request's context holds the Subject to act as.
type actAs struct{}

// actor adds the impersonation headers of the context's Subject. It lets nothing through as a tenant but dry-runs of
// verbs that honour dryRun in the query: a deletion may carry options in its body that outweigh it.
type actor struct{ next http.RoundTripper }

func (a actor) RoundTrip(request *http.Request) (*http.Response, error) {
	subject, acting := request.Context().Value(actAs{}).(*Subject)
	if !acting {
		return a.next.RoundTrip(request)
	}
	if request.Method != http.MethodPost && request.Method != http.MethodPatch || request.URL.Query().Get("dryRun") != metav1.DryRunAll {
		return nil, errors.New("the prover acts as a tenant by dry-run only")
	}
	request = request.Clone(request.Context()) // a RoundTripper must not change what it is given
	request.Header.Set(transport.ImpersonateUserHeader, subject.User)
	for _, group := range subject.impersonated() {
		request.Header.Add(transport.ImpersonateGroupHeader, group)
	}
	return a.next.RoundTrip(request)
}
