package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/transport"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/hostile"
)

// headerFlow is the header in which the API server names the FlowSchema that took a request.
const headerFlow = "X-Kubernetes-Pf-Flowschema-Uid"

// AnswerWithin bounds one request: an API server that takes longer to judge a small object counts as silent.
const AnswerWithin = 10 * time.Second

// backWithin is how long a run waits for an API server that stopped to answer: to replace one of several takes less.
const backWithin = 30 * time.Second

// Server asks the API server, as itself or as a tenant's identity, over one shared transport: a thousand tenants open no
// connection of their own.
type Server struct {
	Rest *rest.RESTClient
	// Own makes requests with the config's own identity, which then must be the subject's, instead of by impersonation.
	Own bool
	// BackWithin bounds the wait for an API server that stopped to answer.
	BackWithin time.Duration
}

// NewServer acts as tenants by dry-run only, unless it is to carry out what they ask.
func NewServer(config *rest.Config, carryOut bool) (*Server, error) {
	config = rest.CopyConfig(config)
	config.ContentConfig = rest.ContentConfig{
		ContentType:          "application/json",
		GroupVersion:         &schema.GroupVersion{},
		NegotiatedSerializer: scheme.Codecs.WithoutConversion(),
	}
	config.APIPath = "/"
	config.WarningHandler = rest.NoWarnings{} // refused attempts come with the warnings of Pod Security
	config.WarningHandlerWithContext = nil
	config.Wrap(func(next http.RoundTripper) http.RoundTripper { return actor{next, carryOut} })
	rc, err := rest.UnversionedRESTClientFor(config)
	if err != nil {
		return nil, fmt.Errorf("make the client that acts as tenants: %w", err)
	}
	return &Server{Rest: rc, BackWithin: backWithin}, nil
}

// Platform reads the one Platform.
func (s *Server) Platform(ctx context.Context) (*v1alpha1.Platform, error) {
	ctx, cancel := context.WithTimeout(ctx, AnswerWithin)
	defer cancel()
	raw, err := RawOf(s.Rest.Get().AbsPath("/apis", v1alpha1.GroupVersion.Group, v1alpha1.GroupVersion.Version, "platforms", v1alpha1.PlatformName).Do(ctx))
	if err != nil {
		return nil, fmt.Errorf("read the Platform, which says what a compliant pod looks like: %w", err)
	}
	var platform v1alpha1.Platform
	if err := json.Unmarshal(raw, &platform); err != nil {
		return nil, fmt.Errorf("decode the Platform: %w", err)
	}
	return &platform, nil
}

// Ask puts a question that changes nothing as subject and reads the answer.
func (s *Server) Ask(ctx context.Context, subject *hostile.Subject, question hostile.Ask) hostile.Answer {
	switch {
	case question.Real != nil || question.Every != nil:
		return hostile.Unclear("the attack does more than to ask, which a proof must not")
	case question.Review != nil && question.DryRun == nil:
		return s.review(ctx, subject, question.Review)
	case question.DryRun != nil && question.Review == nil:
		answer, _ := s.Send(ctx, subject, question.DryRun, true)
		return answer
	}
	return hostile.Unclear("the attack asks nothing, or two things at once")
}

func (s *Server) review(ctx context.Context, subject *hostile.Subject, attributes *authorizationv1.ResourceAttributes) hostile.Answer {
	ctx, cancel := context.WithTimeout(ctx, AnswerWithin)
	defer cancel()
	review := authorizationv1.SubjectAccessReview{
		TypeMeta: metav1.TypeMeta{APIVersion: "authorization.k8s.io/v1", Kind: "SubjectAccessReview"},
		Spec:     authorizationv1.SubjectAccessReviewSpec{User: subject.User, Groups: subject.Groups, ResourceAttributes: attributes},
	}
	body, err := json.Marshal(review)
	if err != nil {
		return hostile.Unclear("encode the review: %v", err)
	}
	raw, err := RawOf(s.Rest.Post().AbsPath("/apis/authorization.k8s.io/v1/subjectaccessreviews").Body(body).Do(ctx))
	var status apierrors.APIStatus
	switch {
	case errors.As(err, &status):
		return hostile.Unclear("the review was not answered: %v", err)
	case err != nil:
		return unanswered("the review was not answered: %v", err)
	}
	var answer authorizationv1.SubjectAccessReview
	if err := json.Unmarshal(raw, &answer); err != nil {
		return hostile.Unclear("decode the review: %v", err)
	}
	if answer.Kind != "SubjectAccessReview" {
		return hostile.Unclear("the answer to the review is a %q", answer.Kind)
	}
	return reviewed(answer.Status)
}

// Send makes one request as subject and reads the answer.
func (s *Server) Send(ctx context.Context, subject *hostile.Subject, r *hostile.Request, dryRun bool) (hostile.Answer, map[string]any) {
	raw, header, err := s.Exchange(ctx, subject, r, dryRun)
	if r.RightOnly {
		return ReadRight(err, *subject), nil
	}
	reply := hostile.Reply{Flow: header.Get(headerFlow)}
	switch {
	case apierrors.IsForbidden(err) && r.Forbidden:
		return r.Judge(reply), nil
	case err != nil:
		return ReadAnswer(err, *subject), nil
	}
	if r.Verb != "watch" && r.Path == "" {
		if err := json.Unmarshal(raw, &reply.Object); err != nil {
			return hostile.Unclear("decode the answer to %s: %v", r, err), nil
		}
	}
	if !r.Reads() && r.Verb != "delete" && r.Subresource == "" && r.Judge == nil {
		if err := answers(r, reply.Object); err != nil {
			return hostile.Unclear("%v", err), nil
		}
	}
	if r.Judge != nil {
		return r.Judge(reply), reply.Object
	}
	return hostile.Answer{Allowed: true}, reply.Object
}

// Exchange makes one request as subject; the error is in the API server's own words.
func (s *Server) Exchange(ctx context.Context, subject *hostile.Subject, r *hostile.Request, dryRun bool) ([]byte, http.Header, error) {
	ctx, cancel := context.WithTimeout(ctx, AnswerWithin)
	defer cancel()
	acting := &actingAs{subject: subject}
	sent := context.WithValue(ctx, actAs{}, acting)
	if s.Own {
		sent = ctx
	}
	// Quotas are counted in one object, which parallel writes fight over; one that loses was not judged and is sent again.
	const most = 5
	for again := 0; ; again++ {
		request, err := build(s.Rest, r, dryRun)
		if err != nil {
			return nil, nil, err
		}
		raw, err := RawOf(request.Do(sent))
		if !apierrors.IsConflict(err) || again == most || r.RightOnly {
			return raw, acting.header, err
		}
	}
}

// silence waits for an API server that did not answer, and says why that is so when it does not come back. No one waits
// when ctx ends.
func (s *Server) silence(ctx context.Context) error {
	var last error
	_ = wait.PollUntilContextTimeout(ctx, time.Second, s.BackWithin, true, func(context.Context) (bool, error) {
		last = s.answers(ctx) // a question that the end of our patience cuts off would have that as its error
		return last == nil, nil
	})
	if last != nil && ctx.Err() == nil {
		return fmt.Errorf("the API server did not answer for %s: %w", s.BackWithin, last)
	}
	return nil
}

// answers is nil when the API server says anything at all.
func (s *Server) answers(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, AnswerWithin)
	defer cancel()
	err := s.Rest.Get().AbsPath("/version").Do(ctx).Error()
	var status apierrors.APIStatus
	if errors.As(err, &status) {
		return nil
	}
	return err
}

// DeleteOwn removes, as the runner itself, one object that an attack made.
func (s *Server) DeleteOwn(ctx context.Context, path, uid string) error {
	ctx, cancel := context.WithTimeout(ctx, AnswerWithin)
	defer cancel()
	body, err := json.Marshal(&metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: new(types.UID(uid))}})
	if err != nil {
		return fmt.Errorf("encode the removal of %s: %w", path, err)
	}
	err = s.Rest.Delete().AbsPath(path).Body(body).Do(ctx).Error()
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// RawOf is the body of a success, or the error in the API server's own words, which Raw alone would lose.
func RawOf(result rest.Result) ([]byte, error) {
	if err := result.Error(); err != nil {
		return nil, err
	}
	return result.Raw()
}

// actAs is the key under which a request's context holds an *actingAs.
type actAs struct{}

// actingAs is as whom a request is made, and takes the header of its answer.
type actingAs struct {
	subject *hostile.Subject
	header  http.Header
}

// actor adds the impersonation headers of the context's Subject. Unless carryOut is set, it lets nothing through as a tenant
// but dry-runs of verbs that honour dryRun in the query: a deletion may carry options in its body that outweigh it.
type actor struct {
	next     http.RoundTripper
	carryOut bool
}

func (a actor) RoundTrip(request *http.Request) (*http.Response, error) {
	acting, ok := request.Context().Value(actAs{}).(*actingAs)
	if !ok {
		return a.next.RoundTrip(request)
	}
	if !a.carryOut && (request.Method != http.MethodPost && request.Method != http.MethodPatch || request.URL.Query().Get("dryRun") != metav1.DryRunAll) {
		return nil, errors.New("the prover acts as a tenant by dry-run only")
	}
	request = request.Clone(request.Context()) // a RoundTripper must not change what it is given
	request.Header.Set(transport.ImpersonateUserHeader, acting.subject.User)
	for _, group := range acting.subject.Impersonated() {
		request.Header.Add(transport.ImpersonateGroupHeader, group)
	}
	response, err := a.next.RoundTrip(request)
	if err == nil {
		acting.header = response.Header
	}
	return response, err
}
