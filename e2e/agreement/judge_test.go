package agreement_test

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/hostile"
	"github.com/bulkhead-dev/bulkhead/internal/attack/engine"
	"github.com/bulkhead-dev/bulkhead/isolation"
	"github.com/bulkhead-dev/bulkhead/isolation/finding"
	"github.com/bulkhead-dev/bulkhead/snapshot"
)

// explanation is a named reason for which the two judges say different things of the same, and both are right. None of them covers
// an attack that succeeds on what the prover calls isolated.
type explanation string

const (
	// worse: the prover names the very object through which the attack succeeds, under a worse consequence of the same fault, and
	// leaves out what follows from it.
	worse explanation = "the prover names the same fault by a worse consequence"
	// marked: the prover names the mark of the namespace that the control goes by.
	marked explanation = "the prover names the namespace's mark that the control goes by"
	// doubtful: the prover says that it cannot tell, which it never counts as isolated.
	doubtful explanation = "the prover says Unknown"
	// half: the attack asks for a right that is worth nothing without another, which is refused.
	half explanation = "the right is worth nothing without another, which its holder lacks"
	// common: the kind names no tenant, so that everyone may read it; the attack counts every right outside the tenant.
	common explanation = "objects of the kind name no tenant, so that everyone may read them"
	// unasked: what the prover finds, no request to an API server shows.
	unasked explanation = "no request to an API server shows what the prover finds"
)

// halves are the attacks that ask for one of two rights that only together are worth something, with what the other must be one of.
func halves() map[string][]finding.Attributes {
	pose := []finding.Attributes{{Verb: "impersonate", Resource: "users"}, {Verb: "impersonate", Resource: "serviceaccounts"}}
	const rbac, certificates, authn = "rbac.authorization.k8s.io", "certificates.k8s.io", "authentication.k8s.io"
	write := func(verbs []string, group string, resources ...string) []finding.Attributes {
		var list []finding.Attributes
		for _, resource := range resources {
			for _, verb := range verbs {
				list = append(list, finding.Attributes{Verb: verb, Group: group, Resource: resource})
			}
		}
		return list
	}
	bind := write([]string{"create", "update", "patch"}, rbac, "rolebindings", "clusterrolebindings")
	edit := write([]string{"create", "update", "patch"}, rbac, "roles", "clusterroles")
	const pre = "rbac-escalate/"
	return map[string][]finding.Attributes{
		pre + "impersonate-groups": pose, pre + "impersonate-uids": pose, pre + "impersonate-extras": pose,
		pre + "bind": bind, pre + "bind-roles": bind, pre + "escalate": edit, pre + "escalate-roles": edit,
		pre + "approve": {{Verb: "update", Group: certificates, Resource: "certificatesigningrequests", Subresource: "approval"}},
		pre + "sign":    {{Verb: "update", Group: certificates, Resource: "certificatesigningrequests", Subresource: "status"}},
		pre + "csr": {{Verb: "update", Group: certificates, Resource: "certificatesigningrequests", Subresource: "approval"},
			{Verb: "create", Group: certificates, Resource: "certificatesigningrequests", Subresource: "nodeclient"}},
		pre + "impersonate-user-info": {{Verb: "impersonate-on:user-info:get", Group: authn, Resource: "users"}},
	}
}

// unaskable says for each check why no request may show what it finds; a check that is not here must always have one.
func unaskable() map[string]string {
	return map[string]string{
		"pods":       "no kubelet runs pods here",
		"nodes":      "no kubelet runs pods here",
		"network":    "no network carries packets here",
		"capacity":   "requests are queued only under load",
		"shared":     "objects are judged as they are",
		"guardrails": "quotas, limits and marks are judged as they are; of a policy behind another one, the other refuses",
	}
}

// disagreement of the two judges.
type disagreement struct {
	control, from, to, why string
}

func (d disagreement) String() string {
	return fmt.Sprintf("control %s, %s against %q: %s", d.control, d.from, d.to, d.why)
}

// tally is what came of comparing.
type tally struct {
	pairs         map[string]int // by what was agreed on
	explained     map[explanation]int
	disagreements []disagreement
}

func newTally() *tally { return &tally{pairs: map[string]int{}, explained: map[explanation]int{}} }

func (t *tally) add(o *tally) {
	for k, n := range o.pairs {
		t.pairs[k] += n
	}
	for k, n := range o.explained {
		t.explained[k] += n
	}
	t.disagreements = append(t.disagreements, o.disagreements...)
}

// pair is what both judge.
type pair struct{ control, from, to string }

// findingsAbout are those that hold something against a tenant.
func findingsAbout(p *proven, tenant string, verdict finding.Verdict) []*finding.Finding {
	var list []*finding.Finding
	for i := range p.report.Findings {
		f := &p.report.Findings[i]
		if f.Verdict == verdict && f.Waiver == "" && (f.From == tenant || f.From == finding.EveryTenant || f.From == finding.ThePlatform) {
			list = append(list, f)
		}
	}
	return list
}

// names says whether a finding is about a control, and against whom the attack is aimed.
func names(f *finding.Finding, of pair) bool {
	code, _, _ := isolation.CodeByID(f.Code)
	return slices.Contains(code.Controls, of.control) && (of.to == "" || f.To == of.to || f.To == finding.EveryTenant)
}

// attacked compares what attacks came to with what the prover says of the same control and pair.
func attacked(ctx context.Context, p *proven, results []engine.Result) (*tally, error) {
	t := newTally()
	succeeded, tried := map[pair]bool{}, map[pair]bool{}
	for i := range results {
		r := &results[i]
		of := pair{r.Case.Control, r.Scene.Tenant.Name, ""}
		if r.Case.OnForeign {
			of.to = foreignTo(of.from)
		}
		tried[of] = true
		if r.Verdict == v1alpha1.Exposed {
			succeeded[of] = true
			if err := t.exposed(ctx, p, r, of); err != nil {
				return nil, err
			}
		}
	}
	for of := range tried {
		said := slices.ContainsFunc(findingsAbout(p, of.from, finding.Exposed), func(f *finding.Finding) bool { return names(f, of) })
		switch {
		case succeeded[of]:
			t.pairs["the attack succeeds, the prover says Exposed"]++
		case said:
			t.pairs["no attack that was tried succeeds, the prover says Exposed (its own requests are confirmed)"]++
		default:
			t.pairs["every attack is refused, the prover says not Exposed"]++
		}
	}
	return t, nil
}

// exposed judges one attack that succeeded.
func (t *tally) exposed(ctx context.Context, p *proven, r *engine.Result, of pair) error {
	if slices.ContainsFunc(findingsAbout(p, of.from, finding.Exposed), func(f *finding.Finding) bool { return names(f, of) }) {
		return nil
	}
	if slices.ContainsFunc(findingsAbout(p, of.from, finding.Unknown), func(f *finding.Finding) bool { return names(f, of) }) {
		t.explained[doubtful]++
		return nil
	}
	unseen := func(why string) {
		t.disagreements = append(t.disagreements, disagreement{of.control, of.from, of.to, fmt.Sprintf("the attack succeeds and the prover does not say so: %s: %s", r.Failure(), why)})
	}
	if r.Case.Refusal.By != hostile.RBAC {
		space := snapshot.Ref{Kind: "Namespace", Name: r.Scene.Namespace()}
		if slices.ContainsFunc(findingsAbout(p, of.from, finding.Exposed), func(f *finding.Finding) bool { return slices.Contains(f.Blame, space) }) {
			t.explained[marked]++
			return nil
		}
		// Whoever may change guardrails is let past all of them, and the prover says that and not what follows from it.
		subject := finding.Subject{User: r.Scene.Subject.User, Groups: r.Scene.Subject.Groups}
		mayChange, steps := p.rbac.Allowed(subject, finding.Attributes{Verb: "change", Group: v1alpha1.GroupVersion.Group, Resource: "guardrails"})
		if mayChange && slices.ContainsFunc(findingsAbout(p, of.from, finding.Exposed), func(f *finding.Finding) bool { return f.Code == "BH1012" && blames(f, steps) }) {
			t.explained[worse]++
			return nil
		}
		unseen("")
		return nil
	}
	if other, is := halves()[r.Case.ID]; is {
		has, err := mayAny(ctx, p, r, other)
		if err != nil || !has {
			t.explained[half]++
			return err
		}
	}
	grants, isCommon := grantsOf(p, r)
	if len(grants) == 0 && isCommon {
		t.explained[common]++
		return nil
	}
	if len(grants) == 0 {
		unseen("by the prover's RBAC nothing allows it")
		return nil
	}
	for what, steps := range grants {
		if !slices.ContainsFunc(findingsAbout(p, of.from, finding.Exposed), func(f *finding.Finding) bool { return blames(f, steps) }) {
			unseen(what + " is allowed by " + steps[0].Object.String() + ", which no finding blames")
			return nil
		}
	}
	t.explained[worse]++
	return nil
}

// mayAny asks the authorizer whether an attack's subject has one of several rights, anywhere.
func mayAny(ctx context.Context, p *proven, r *engine.Result, rights []finding.Attributes) (bool, error) {
	for _, a := range rights {
		for _, a.Namespace = range append([]string{""}, p.namespaces...) {
			if allowed, err := mayAsk(ctx, r.Scene.Subject.User, r.Scene.Subject.Groups, reviewOf(&a)); err != nil || allowed {
				return allowed, err
			}
		}
	}
	return false, nil
}

// blames says whether a finding names one of the objects through which a right is given.
func blames(f *finding.Finding, steps []finding.Step) bool {
	return slices.ContainsFunc(steps, func(s finding.Step) bool { return s.Object.Name != "" && slices.Contains(f.Blame, s.Object) })
}

// grantsOf are the requests of an attack that the prover's RBAC allows, with how, but for those that disclose nothing; isCommon
// reports whether there are such.
func grantsOf(p *proven, r *engine.Result) (grants map[string][]finding.Step, isCommon bool) {
	grants = map[string][]finding.Step{}
	question, err := r.Case.Attempt.Ask(r.Scene)
	if err != nil {
		return nil, false
	}
	subject := finding.Subject{User: r.Scene.Subject.User, Groups: r.Scene.Subject.Groups}
	asks := question.Every
	if asks == nil {
		asks = []hostile.Ask{question}
	}
	for i := range asks {
		a := attributesOf(&asks[i])
		allowed, steps := p.rbac.Allowed(subject, a)
		switch {
		case allowed && slices.Contains(reads, a.Verb) && slices.Contains(everyoneReads, a.Group+"/"+a.Resource):
			isCommon = true
		case allowed:
			grants[strings.TrimSpace(fmt.Sprintf("%s %s %s/%s %s %s %s", subject.User, a.Verb, a.Resource, a.Subresource, a.Namespace, a.Name, a.Path))] = steps
		}
	}
	return grants, isCommon
}

var (
	reads = []string{"get", "list", "watch"}
	// everyoneReads are the cluster-scoped kinds of the mistakes (resources) whose objects name no tenant.
	everyoneReads = []string{
		"admissionregistration.k8s.io/mutatingwebhookconfigurations", "admissionregistration.k8s.io/validatingadmissionpolicies",
		"admissionregistration.k8s.io/validatingadmissionpolicybindings", "apiregistration.k8s.io/apiservices",
		"apiextensions.k8s.io/customresourcedefinitions", "storage.k8s.io/storageclasses", "scheduling.k8s.io/priorityclasses",
		"node.k8s.io/runtimeclasses", "rbac.authorization.k8s.io/clusterroles",
	}
)

// attributesOf a question, as the authorizer sees them.
func attributesOf(a *hostile.Ask) finding.Attributes {
	if review := a.Review; review != nil {
		return finding.Attributes{Verb: review.Verb, Group: review.Group, Resource: review.Resource, Subresource: review.Subresource,
			Namespace: review.Namespace, Name: review.Name}
	}
	q := a.DryRun
	if a.Real != nil {
		q = &a.Real.Request
	}
	if q == nil {
		return finding.Attributes{}
	}
	if q.Path != "" {
		return finding.Attributes{Verb: "get", Path: q.Path}
	}
	at := finding.Attributes{Verb: q.Verb, Group: q.Group, Resource: q.Resource, Subresource: q.Subresource, Namespace: q.Namespace, Name: q.Name}
	switch at.Verb {
	case "":
		at.Verb = "create"
	case "apply":
		at.Verb = "patch"
	}
	if q.Resource == "namespaces" && q.Name != "" {
		at.Namespace = q.Name
	}
	return at
}
