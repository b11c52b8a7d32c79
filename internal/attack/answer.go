package attack

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
)

// Authority is a part of the API server that refuses.
type Authority string

// The authorities whose refusals are recognised. All other errors are no refusal.
const (
	// RBAC is the authorizer, with no right found.
	RBAC Authority = "RBAC"
	// Escalation is RBAC's own check that nobody grants what he lacks.
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
	// Fairness is API Priority and Fairness, which keeps the request within the tenant's own share.
	Fairness Authority = "API Priority and Fairness"
	// Mended is admission that accepted the request and made it harmless.
	Mended Authority = "mutation by admission"
	// Nobody refuses: the attempt is one that a tenant must be able to make.
	Nobody Authority = "nobody"
)

// Refusal says who refuses.
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
	switch {
	case r.Name == "":
		return string(r.By)
	case r.Says == "":
		return fmt.Sprintf("%s %s", r.By, r.Name)
	}
	return fmt.Sprintf("%s %s (%q)", r.By, r.Name, r.Says)
}

// by says whether a refusal that was given is the one that is expected.
func (r Refusal) matches(given Refusal) bool {
	return r.By == given.By && r.Name == given.Name && strings.Contains(given.Says, r.Says)
}

// Answer of the API server to a question: allowed, refused by a known authority, or neither.
type Answer struct {
	// Allowed is true when the API server would have done it.
	Allowed bool
	// Refusal with By set when a known authority refused; Says holds its whole message.
	Refusal Refusal
	// Note says more of what was allowed; mostly empty.
	Note string
	// Problem is why the answer is neither of both.
	Problem string
	// Unanswered says that the problem is that nobody answered at all.
	Unanswered bool
}

func problem(format string, args ...any) Answer { return Answer{Problem: fmt.Sprintf(format, args...)} }

func unanswered(format string, args ...any) Answer {
	return Answer{Problem: fmt.Sprintf(format, args...), Unanswered: true}
}

// String is the answer in words.
func (a Answer) String() string {
	switch {
	case a.Problem != "":
		return a.Problem
	case a.Allowed:
		return "allowed"
	case a.Refusal.Name != "":
		return fmt.Sprintf("refused by %s %s: %s", a.Refusal.By, a.Refusal.Name, a.Refusal.Says)
	}
	return fmt.Sprintf("refused by %s: %s", a.Refusal.By, a.Refusal.Says)
}

// reviewed reads the answer to a SubjectAccessReview.
func reviewed(status authorizationv1.SubjectAccessReviewStatus) Answer {
	switch {
	case status.Allowed:
		return Answer{Allowed: true}
	case status.EvaluationError != "":
		return problem("the authorizer could not decide: %s", status.EvaluationError)
	case status.Denied:
		return problem("another authorizer than RBAC denied: %q", status.Reason)
	case !rbacReason(status.Reason):
		return problem("refused for a reason that is not RBAC's: %q", status.Reason)
	}
	return Answer{Refusal: Refusal{By: RBAC, Says: "no right found"}}
}

// danglingRole is what RBAC adds when a binding names a role that does not exist, which gives no right. Every other
// error of RBAC's leaves open what it would have found.
var danglingRole = regexp.MustCompile(`^(cluster)?role\.rbac\.authorization\.k8s\.io "[^"]*" not found$`)

// rbacReason says whether a reason is one that RBAC gives when it found no right and missed nothing.
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
	policyRefusal = regexp.MustCompile(`^ValidatingAdmissionPolicy '([^']+)' with binding '[^']+' denied request: (?s:(.*))$`)
	failedPolicy  = regexp.MustCompile(`resulted in error: |^failed to configure |running out of cost budget|^compilation|^unrecognized `)
	limitRefusal  = regexp.MustCompile(`^\[?(minimum|maximum) [-a-z./]+ usage per (Container|Pod|PersistentVolumeClaim) is `)
	quotaRefusal  = regexp.MustCompile(`^exceeded quota: ([^,]+), (?s:(.*))$`)
	rbacRefusal   = regexp.MustCompile(`^User (".*") cannot [a-z]+ (?:resource "[^"]*" in API group "[^"]*" (?:in the namespace "[^"]*"|at the cluster scope)|path "[^"]*")(?:: (?s:(.*)))?$`)
)

// answered reads the answer to a dry-run that was made as subject.
func answered(err error, subject Subject) Answer {
	if err == nil {
		return Answer{Allowed: true}
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
		return problem("an answer that is no refusal (%s): %s", reason, message)
	}
	_, said, isForbidden := strings.Cut(message, "forbidden: ")
	if !isForbidden {
		if reason == metav1.StatusReasonInvalid {
			return Answer{Refusal: Refusal{By: Validation, Says: message}}
		}
		return problem("refused by an unknown authority: %s", message)
	}
	return forbidden(said, subject)
}

// rightOnly reads the answer to a request of which only the authorizer's word counts. It is aimed at what does not exist: who
// gets as far as to be told so, or that the body is empty, has the right.
func rightOnly(err error, subject Subject) Answer {
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		return answered(err, subject)
	}
	made := status.Status()
	foreign := made.Details != nil && slices.ContainsFunc(made.Details.Causes, func(c metav1.StatusCause) bool {
		return c.Type == metav1.CauseTypeUnexpectedServerResponse
	})
	switch made.Code {
	case http.StatusBadRequest, http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusNotAcceptable, http.StatusConflict,
		http.StatusUnsupportedMediaType, http.StatusUnprocessableEntity, http.StatusRequestEntityTooLarge:
		if foreign {
			return problem("an answer that is not the API server's: %s", made.Message)
		}
		return Answer{Allowed: true}
	}
	return answered(err, subject)
}

// worst joins the answers to several questions: any that is allowed makes it allowed, else any that is not clear makes it so,
// and else it is the refusal that all share.
func worst(names []string, answers []Answer) Answer {
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
		return problem("there was nothing to ask")
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

// forbidden finds the authority whose words these are.
func forbidden(said string, subject Subject) Answer {
	if m := policyRefusal.FindStringSubmatch(said); m != nil {
		if failedPolicy.MatchString(m[2]) {
			return problem("ValidatingAdmissionPolicy %s failed instead of judging: %s", m[1], m[2])
		}
		return Answer{Refusal: Refusal{By: Policy, Name: m[1], Says: m[2]}}
	}
	if m := quotaRefusal.FindStringSubmatch(said); m != nil {
		return Answer{Refusal: Refusal{By: Quota, Name: m[1], Says: m[2]}}
	}
	if limitRefusal.MatchString(said) {
		return Answer{Refusal: Refusal{By: Limits, Says: said}}
	}
	if strings.HasPrefix(said, "violates PodSecurity ") {
		return Answer{Refusal: Refusal{By: PodSecurity, Says: said}}
	}
	if strings.HasPrefix(said, fmt.Sprintf("user %q (groups=", subject.User)) &&
		strings.Contains(said, " is attempting to grant RBAC permissions not currently held:") {
		if strings.Contains(said, "; resolution errors: ") {
			return problem("RBAC could not see all rights: %s", said)
		}
		return Answer{Refusal: Refusal{By: Escalation, Says: said}}
	}
	m := rbacRefusal.FindStringSubmatch(said)
	switch {
	case strings.Contains(said, "impersonate") && (m == nil || m[1] != sanitizer.Replace(fmt.Sprintf("%q", subject.User))):
		return problem("the prover may not ask as the tenant: %s (it needs the rights of attack.Rights and the API server's constrained impersonation)", said)
	case m == nil:
		return problem("refused by an unknown authority: %s", said)
	case m[1] != sanitizer.Replace(fmt.Sprintf("%q", subject.User)):
		return problem("somebody else than the tenant was refused: %s", said)
	case !rbacReason(m[2]):
		return problem("refused for a reason that is not RBAC's: %s", said)
	}
	return Answer{Refusal: Refusal{By: RBAC, Says: said}}
}
