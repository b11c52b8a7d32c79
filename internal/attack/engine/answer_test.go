package engine

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	authorizationv1 "k8s.io/api/authorization/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/hostile"
)

var jane = user("jane")

// user is the identity of an owner.
func user(name string) hostile.Subject {
	subject, err := hostile.OwnerSubject(v1alpha1.Owner{Kind: "User", Name: name})
	if err != nil {
		panic(err)
	}
	return subject
}

func forbiddenError(message string) error {
	return &apierrors.StatusError{ErrStatus: metav1.Status{
		Status: metav1.StatusFailure, Code: http.StatusForbidden, Reason: metav1.StatusReasonForbidden, Message: message,
	}}
}

// A refusal counts only in its authority's own words; whatever else comes back is a problem, and never a refusal.
func TestOnlyKnownRefusalsAreRefusals(t *testing.T) {
	invalid := apierrors.NewInvalid(schema.GroupKind{Kind: "Pod"}, "x", nil)
	policyInvalid := &apierrors.StatusError{ErrStatus: metav1.Status{Code: 422, Reason: metav1.StatusReasonInvalid,
		Message: `pods "x" is forbidden: ValidatingAdmissionPolicy 'bulkhead-images' with binding 'bulkhead-images' denied request: images: no`}}
	const rbac = `pods is forbidden: User "jane" cannot create resource "pods" in API group "" in the namespace "a--b"`
	tests := map[string]struct {
		err  error
		want hostile.Refusal // zero: a problem
	}{
		"RBAC":                      {forbiddenError(rbac), hostile.Refusal{By: hostile.RBAC}},
		"RBAC, patch":               {forbiddenError(`networkpolicies.networking.k8s.io "p" is forbidden: User "jane" cannot patch resource "networkpolicies" in API group "networking.k8s.io" in the namespace "a--b"`), hostile.Refusal{By: hostile.RBAC}},
		"RBAC, dangling role":       {forbiddenError(rbac + `: RBAC: role.rbac.authorization.k8s.io "gone" not found`), hostile.Refusal{By: hostile.RBAC}},
		"RBAC, two dangling":        {forbiddenError(rbac + `: RBAC: [role.rbac.authorization.k8s.io "a" not found, clusterrole.rbac.authorization.k8s.io "b" not found]`), hostile.Refusal{By: hostile.RBAC}},
		"RBAC, cannot read":         {forbiddenError(rbac + `: RBAC: etcdserver: request timed out`), hostile.Refusal{}},
		"RBAC, half unread":         {forbiddenError(rbac + `: RBAC: [role.rbac.authorization.k8s.io "a" not found, timeout]`), hostile.Refusal{}},
		"another authorizer":        {forbiddenError(rbac + `: denied by webhook`), hostile.Refusal{}},
		"another user":              {forbiddenError(strings.ReplaceAll(rbac, "jane", "janet")), hostile.Refusal{}},
		"the prover itself":         {forbiddenError(`pods is forbidden: User "system:serviceaccount:bulkhead-system:bulkhead" cannot create resource "pods" in API group "" in the namespace "a--b"`), hostile.Refusal{}},
		"no impersonation":          {forbiddenError(`users "jane" is forbidden: User "bulkhead" cannot impersonate:user-info resource "users" in API group "authentication.k8s.io" at the cluster scope`), hostile.Refusal{}},
		"no impersonation-on":       {forbiddenError(`pods is forbidden: User "bulkhead" cannot impersonate-on:user-info:create resource "pods" in API group "" in the namespace "a--b"`), hostile.Refusal{}},
		"policy":                    {policyInvalid, hostile.Refusal{By: hostile.Policy, Name: "bulkhead-images", Says: "images: no"}},
		"policy in error":           {forbiddenError(`pods "x" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: expression 'x' resulted in error: no such key`), hostile.Refusal{}},
		"policy out of budget":      {forbiddenError(`pods "x" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: validation failed due to running out of cost budget, no further validation rules will be run`), hostile.Refusal{}},
		"policy wrongly configured": {forbiddenError(`pods "x" is forbidden: ValidatingAdmissionPolicy 'p' denied request: failed to configure policy: y`), hostile.Refusal{}},
		"binding misconfigured":     {forbiddenError(`pods "x" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: failed to configure binding: no params found`), hostile.Refusal{}},
		"Pod Security":              {forbiddenError(`pods "x" is forbidden: violates PodSecurity "restricted:v1.36": privileged`), hostile.Refusal{By: hostile.PodSecurity}},
		"quota":                     {forbiddenError(`pods "x" is forbidden: exceeded quota: bulkhead, requested: limits.cpu=2, used: limits.cpu=0, limited: limits.cpu=1`), hostile.Refusal{By: hostile.Quota, Name: "bulkhead"}},
		"quota not ready":           {forbiddenError(`pods "x" is forbidden: status unknown for quota: bulkhead, resources: limits.cpu`), hostile.Refusal{}},
		"quota needs requests":      {forbiddenError(`pods "x" is forbidden: failed quota: bulkhead: must specify limits.cpu for: c`), hostile.Refusal{}},
		"LimitRange":                {forbiddenError(`pods "x" is forbidden: maximum cpu usage per Container is 1, but limit is 2`), hostile.Refusal{By: hostile.Limits}},
		"escalation":                {forbiddenError("rolebindings.rbac.authorization.k8s.io \"x\" is forbidden: user \"jane\" (groups=[\"system:authenticated\"]) is attempting to grant RBAC permissions not currently held:\n{}"), hostile.Refusal{By: hostile.Escalation}},
		"escalation of another":     {forbiddenError("rolebindings.rbac.authorization.k8s.io \"x\" is forbidden: user \"joe\" (groups=[]) is attempting to grant RBAC permissions not currently held:\n{}"), hostile.Refusal{}},
		"escalation half seen":      {forbiddenError("rolebindings.rbac.authorization.k8s.io \"x\" is forbidden: user \"jane\" (groups=[]) is attempting to grant RBAC permissions not currently held:\n{}; resolution errors: [timeout]"), hostile.Refusal{}},
		"no service account":        {forbiddenError(`pods "x" is forbidden: error looking up service account a--b/default: serviceaccount "default" not found`), hostile.Refusal{}},
		"namespace going":           {forbiddenError(`pods "x" is forbidden: unable to create new content in namespace a--b because it is being terminated`), hostile.Refusal{}},
		"webhook":                   {forbiddenError(`admission webhook "w" denied the request: no`), hostile.Refusal{}},
		"forbidden, no more":        {forbiddenError("Forbidden"), hostile.Refusal{}},
		"validation":                {invalid, hostile.Refusal{By: hostile.Validation}},
		"not found":                 {apierrors.NewNotFound(schema.GroupResource{Resource: "pods"}, "x"), hostile.Refusal{}},
		"already exists":            {apierrors.NewAlreadyExists(schema.GroupResource{Resource: "pods"}, "x"), hostile.Refusal{}},
		"unauthorized":              {apierrors.NewUnauthorized("no"), hostile.Refusal{}},
		"too many requests":         {apierrors.NewTooManyRequests("slow", 1), hostile.Refusal{}},
		"internal":                  {apierrors.NewInternalError(errors.New("boom")), hostile.Refusal{}},
		"server time-out":           {apierrors.NewTimeoutError("t", 1), hostile.Refusal{}},
		"deadline":                  {fmt.Errorf("get: %w", context.DeadlineExceeded), hostile.Refusal{}},
		"cancelled":                 {context.Canceled, hostile.Refusal{}},
		"connection refused":        {errors.New("dial tcp: connection refused"), hostile.Refusal{}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := ReadAnswer(test.err, jane)
			if got.Allowed {
				t.Fatalf("an error counts as allowed: %+v", got)
			}
			if test.want == (hostile.Refusal{}) {
				if got.Problem == "" || got.Refusal.By != "" {
					t.Fatalf("got %+v, want a problem", got)
				}
				return
			}
			if got.Problem != "" || !test.want.Matches(got.Refusal) {
				t.Fatalf("got %+v, want a refusal by %s", got, test.want)
			}
		})
	}
}

func TestNoErrorIsAllowed(t *testing.T) {
	if got := ReadAnswer(nil, jane); !got.Allowed {
		t.Fatalf("got %+v", got)
	}
}

// A user's name is quoted in messages as the API server quotes it.
func TestSubjectsWithStrangeNamesAreRecognised(t *testing.T) {
	strange, err := hostile.OwnerSubject(v1alpha1.Owner{Kind: "User", Name: `a"<b>&\c`})
	if err != nil {
		t.Fatal(err)
	}
	got := ReadAnswer(forbiddenError(`pods is forbidden: User "a\"&lt;b&gt;&amp;\\c" cannot create resource "pods" in API group "" in the namespace "x"`), strange)
	if got.Refusal.By != hostile.RBAC {
		t.Fatalf("got %+v", got)
	}
}

func TestReviewsThatDoNotDecideAreNoRefusal(t *testing.T) {
	tests := map[string]struct {
		status authorizationv1.SubjectAccessReviewStatus
		want   string
	}{
		"allowed":              {authorizationv1.SubjectAccessReviewStatus{Allowed: true, Reason: "RBAC: allowed by x"}, "allowed"},
		"allowed with errors":  {authorizationv1.SubjectAccessReviewStatus{Allowed: true, EvaluationError: "y"}, "allowed"},
		"refused":              {authorizationv1.SubjectAccessReviewStatus{}, "refused by RBAC: no right found"},
		"refused, dangling":    {authorizationv1.SubjectAccessReviewStatus{Reason: `RBAC: clusterrole.rbac.authorization.k8s.io "x" not found`}, "refused by RBAC: no right found"},
		"evaluation error":     {authorizationv1.SubjectAccessReviewStatus{EvaluationError: "etcd is down"}, "the authorizer could not decide: etcd is down"},
		"another denied":       {authorizationv1.SubjectAccessReviewStatus{Denied: true, Reason: "webhook"}, `another authorizer than RBAC denied: "webhook"`},
		"another's no opinion": {authorizationv1.SubjectAccessReviewStatus{Reason: "webhook says no"}, `refused for a reason that is not RBAC's: "webhook says no"`},
		"RBAC in error":        {authorizationv1.SubjectAccessReviewStatus{Reason: "RBAC: timeout"}, `refused for a reason that is not RBAC's: "RBAC: timeout"`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := reviewed(test.status).String(); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}
