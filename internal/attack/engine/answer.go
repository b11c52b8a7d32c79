package engine

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"

	authorizationv1 "k8s.io/api/authorization/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bulkhead-dev/bulkhead/hostile"
)

func unanswered(format string, args ...any) hostile.Answer {
	return hostile.Answer{Problem: fmt.Sprintf(format, args...), Unanswered: true}
}

// reviewed reads the answer to a SubjectAccessReview.
func reviewed(status authorizationv1.SubjectAccessReviewStatus) hostile.Answer {
	switch {
	case status.Allowed:
		return hostile.Answer{Allowed: true}
	case status.EvaluationError != "":
		return hostile.Unclear("the authorizer could not decide: %s", status.EvaluationError)
	case status.Denied:
		return hostile.Unclear("another authorizer than RBAC denied: %q", status.Reason)
	case !rbacReason(status.Reason):
		return hostile.Unclear("refused for a reason that is not RBAC's: %q", status.Reason)
	}
	return hostile.Answer{Refusal: hostile.Refusal{By: hostile.RBAC, Says: "no right found"}}
}

// danglingRole is what RBAC adds when a binding names a role that does not exist, which gives no right. Every other
// error of RBAC's leaves open what it would have found.
var danglingRole = regexp.MustCompile(`^(cluster)?role\.rbac\.authorization\.k8s\.io "[^"]*" not found$`)

// rbacReason reports whether a reason is one that RBAC gives when it found no right and missed nothing.
func rbacReason(reason string) bool {
	if reason == "" {
		return true
	}
	list, isRBAC := strings.CutPrefix(reason, "RBAC: ")
	if !isRBAC {
		return false
	}
	list = strings.TrimSuffix(strings.TrimPrefix(list, "["), "]")
	for _, one := range strings.Split(list, ", ") {
		if !danglingRole.MatchString(one) {
			return false
		}
	}
	return true
}

// sanitizer does to names what the API server does to them in its messages.
var sanitizer = strings.NewReplacer(`&`, "&amp;", `<`, "&lt;", `>`, "&gt;")

var (
	failedPolicy = regexp.MustCompile(`resulted in error: |^failed to configure |running out of cost budget|^compilation|^unrecognized `)
	rbacRefusal  = regexp.MustCompile(`^User (".*") cannot [a-z]+ (?:resource "[^"]*" in API group "[^"]*" (?:in the namespace "[^"]*"|at the cluster scope)|path "[^"]*")(?:: (?s:(.*)))?$`)
)

// ReadAnswer reads the answer to a dry-run that was made as subject.
func ReadAnswer(err error, subject hostile.Subject) hostile.Answer {
	if err == nil {
		return hostile.Answer{Allowed: true}
	}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return unanswered("no answer in time: %v", err)
	}
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		return unanswered("no answer: %v", err)
	}
	reason, message := status.Status().Reason, status.Status().Message
	if reason != metav1.StatusReasonForbidden && reason != metav1.StatusReasonInvalid {
		return hostile.Unclear("an answer that is no refusal (%s): %s", reason, message)
	}
	_, said, isForbidden := strings.Cut(message, "forbidden: ")
	if !isForbidden {
		if reason == metav1.StatusReasonInvalid {
			return hostile.Answer{Refusal: hostile.Refusal{By: hostile.Validation, Says: message}}
		}
		return hostile.Unclear("refused by an unknown authority: %s", message)
	}
	return forbidden(said, subject)
}

// ReadRight reads the answer to a request of which only the authorizer's word counts. It is aimed at what does not exist: who
// gets an answer about that, or about the empty body, has the right.
func ReadRight(err error, subject hostile.Subject) hostile.Answer {
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		return ReadAnswer(err, subject)
	}
	made := status.Status()
	foreign := made.Details != nil && slices.ContainsFunc(made.Details.Causes, func(c metav1.StatusCause) bool {
		return c.Type == metav1.CauseTypeUnexpectedServerResponse
	})
	switch made.Code {
	case http.StatusBadRequest, http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusNotAcceptable, http.StatusConflict,
		http.StatusUnsupportedMediaType, http.StatusUnprocessableEntity, http.StatusRequestEntityTooLarge:
		if foreign {
			return hostile.Unclear("an answer that is not the API server's: %s", made.Message)
		}
		return hostile.Answer{Allowed: true}
	}
	return ReadAnswer(err, subject)
}

// forbidden finds the authority whose words these are.
func forbidden(said string, subject hostile.Subject) hostile.Answer {
	if by := (hostile.Refusal{}).Read(said); by.By != "" {
		if by.By == hostile.Policy && failedPolicy.MatchString(by.Says) {
			return hostile.Unclear("ValidatingAdmissionPolicy %s failed instead of judging: %s", by.Name, by.Says)
		}
		return hostile.Answer{Refusal: by}
	}
	if strings.HasPrefix(said, fmt.Sprintf("user %q (groups=", subject.User)) &&
		strings.Contains(said, " is attempting to grant RBAC permissions not currently held:") {
		if strings.Contains(said, "; resolution errors: ") {
			return hostile.Unclear("RBAC could not see all rights: %s", said)
		}
		return hostile.Answer{Refusal: hostile.Refusal{By: hostile.Escalation, Says: said}}
	}
	m := rbacRefusal.FindStringSubmatch(said)
	switch {
	case strings.Contains(said, "impersonate") && (m == nil || m[1] != sanitizer.Replace(fmt.Sprintf("%q", subject.User))):
		return hostile.Unclear("the prover may not ask as the tenant: %s (it needs the rights of attack.Rights and the API server's constrained impersonation)", said)
	case m == nil:
		return hostile.Unclear("refused by an unknown authority: %s", said)
	case m[1] != sanitizer.Replace(fmt.Sprintf("%q", subject.User)):
		return hostile.Unclear("another user than the tenant was refused: %s", said)
	case !rbacReason(m[2]):
		return hostile.Unclear("refused for a reason that is not RBAC's: %s", said)
	}
	return hostile.Answer{Refusal: hostile.Refusal{By: hostile.RBAC, Says: said}}
}
