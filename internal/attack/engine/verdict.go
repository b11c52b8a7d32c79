package engine

import (
	"fmt"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/hostile"
)

// Result is what came of one case in one scene.
type Result struct {
	Case    hostile.Case
	Scene   hostile.Scene
	Verdict v1alpha1.Verdict
	// Detail reports what was seen; empty for Isolated.
	Detail string
	// Refused is who refused the attempt, in its own words; empty in a proof.
	Refused hostile.Refusal
}

// Failure is the result in the form of the API.
func (r Result) Failure() v1alpha1.ProofFailure {
	subject := r.Scene.Subject.String()
	if namespace := r.Scene.Namespace(); namespace != "" {
		subject += " in " + namespace
	}
	return v1alpha1.ProofFailure{Control: r.Case.Control, Subject: subject, Verdict: r.Verdict, Detail: r.Detail}
}

// Judge compares the answers to the harmless twin and to the attempt with what the attack expects. A success of the
// attempt is an exposure whatever else was seen; isolation takes both the harmless twin's success and the expected refusal.
func Judge(a *hostile.Case, positive, attempt hostile.Answer) (v1alpha1.Verdict, string) {
	if a.Refusal.By == hostile.Permitted {
		return judgeAbility(a, attempt)
	}
	switch {
	case attempt.Allowed:
		title := a.Title
		if attempt.Note != "" {
			title += " (" + attempt.Note + ")"
		}
		return v1alpha1.Exposed, fmt.Sprintf("%s; %s should have refused (attack %s)", title, a.Refusal, a.ID)
	case attempt.Problem != "":
		return v1alpha1.Unknown, fmt.Sprintf("attack %s has no clear answer: %s", a.ID, attempt.Problem)
	case !a.Refusal.Matches(attempt.Refusal) && (a.Or.By == "" || !a.Or.Matches(attempt.Refusal)):
		return v1alpha1.Unknown, fmt.Sprintf("attack %s was %s; expected was a refusal by %s%s, of which nothing is known", a.ID, attempt, a.Refusal, inWords(a.Refusal))
	case !positive.Allowed && positive.Refusal.By != hostile.Quota:
		return v1alpha1.Unknown, fmt.Sprintf("the harmless twin of attack %s failed (%s): %s", a.ID, a.Twin.Title, positive)
	}
	// A harmless twin that only the tenant's own quota stops, the last of all admission, has passed every control
	// before it: a tenant that has used up its quota is as well isolated as before.
	return v1alpha1.Isolated, ""
}

// inWords are the words that a refusal must have, where it must have some.
func inWords(r hostile.Refusal) string {
	if r.Says == "" {
		return ""
	}
	return fmt.Sprintf(" with the words %q", r.Says)
}

// judgeAbility is for what a tenant must be able to do by itself: there, the refusal is what must not be.
func judgeAbility(a *hostile.Case, attempt hostile.Answer) (v1alpha1.Verdict, string) {
	switch {
	case attempt.Problem != "" || (!attempt.Allowed && attempt.Refusal.By == ""):
		return v1alpha1.Unknown, fmt.Sprintf("attack %s has no clear answer: %s", a.ID, attempt.Problem)
	case attempt.Allowed:
		return v1alpha1.Isolated, ""
	}
	return v1alpha1.Exposed, fmt.Sprintf("%s: it was %s (attack %s)", a.Title, attempt, a.ID)
}

// Severity orders verdicts; one that is none of the three is as bad as Unknown.
func Severity(v v1alpha1.Verdict) int {
	switch v {
	case v1alpha1.Isolated:
		return 0
	case v1alpha1.Exposed:
		return 2
	case v1alpha1.Unknown:
	}
	return 1
}

// Worse of two verdicts; none counts as nothing.
func Worse(a, b v1alpha1.Verdict) v1alpha1.Verdict {
	if a == "" || Severity(b) > Severity(a) {
		return b
	}
	return a
}
