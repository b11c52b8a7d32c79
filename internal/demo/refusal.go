package demo

import (
	"errors"
	"regexp"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// By is who refuses.
type By string

// The authorities of the API server whose words are recognised.
const (
	ByRBAC        By = "RBAC"
	ByPolicy      By = "admission policy"
	ByPodSecurity By = "Pod Security"
	ByQuota       By = "ResourceQuota"
	ByLimits      By = "LimitRange"
	// ByNobody is for errors that are no refusal by a control.
	ByNobody By = ""
)

// refusal is what an error of the API server says about who refused, and why.
type refusal struct {
	by   By
	says string
}

var (
	// policyWords end with what the policy itself says, which starts with the control's id.
	policyWords = regexp.MustCompile(`(?s) is forbidden: ValidatingAdmissionPolicy '[^']+' with binding '[^']+' denied request: (.*)$`)
	podSecurity = regexp.MustCompile(`(?s) is forbidden: (violates PodSecurity .*)$`)
	quotaWords  = regexp.MustCompile(`(?s) is forbidden: (exceeded quota: .*)$`)
	limitWords  = regexp.MustCompile(`(?s) is forbidden: ((?:\[)?(?:maximum|minimum) .* usage per .*)$`)
	escalation  = regexp.MustCompile(`(?s) is forbidden: (user "[^"]+" \(groups=[^)]*\) is attempting to grant RBAC permissions not currently held)`)
	noRight     = regexp.MustCompile(`(?s) is forbidden: (User "[^"]+" cannot .*)$`)
	impersonate = regexp.MustCompile(`(?s)( is forbidden: User "[^"]+" cannot impersonate.*)$`)
)

// refusalIn finds out who refused. Errors that are no refusal by one of these authorities have nobody's name.
func refusalIn(err error) refusal {
	var status apierrors.APIStatus
	if !errors.As(err, &status) || !apierrors.IsForbidden(err) {
		return refusal{ByNobody, err.Error()}
	}
	message := status.Status().Message
	for _, known := range []struct {
		words *regexp.Regexp
		by    By
	}{
		{policyWords, ByPolicy},
		{podSecurity, ByPodSecurity},
		{quotaWords, ByQuota},
		{limitWords, ByLimits},
		{escalation, ByRBAC},
		{impersonate, ByRBAC},
		{noRight, ByRBAC},
	} {
		if match := known.words.FindStringSubmatch(message); match != nil {
			return refusal{known.by, strings.TrimSpace(strings.TrimPrefix(match[1], " is forbidden: "))}
		}
	}
	return refusal{ByNobody, message}
}
