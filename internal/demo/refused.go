package demo

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/hostile"
)

// Refused tries what must be refused, each by its control and with that control's message.
func (p *Play) Refused(ctx context.Context, report func(Outcome)) ([]Outcome, error) {
	outcomes := make([]Outcome, 0, len(forbidden))
	for _, f := range forbidden {
		outcome, err := p.refused(ctx, &f)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f.what, err)
		}
		report(outcome)
		outcomes = append(outcomes, outcome)
	}
	return outcomes, nil
}

// hostileAttempt is a case of the catalogue that the developer of a tenant tries.
type hostileAttempt struct {
	// tenant and its Space that it is tried in, and a namespace of another tenant's that it is aimed at; mostly empty.
	tenant, space, foreign string
	what, id               string
}

// forbidden is what must be refused.
var forbidden = []hostileAttempt{
	// What belongs to others.
	{newsroom, "site", "", "list all namespaces, and so every tenant's name", "rbac-enumerate/list-namespaces"},
	{newsroom, "site", "", "list the nodes", "rbac-enumerate/list-nodes"},
	{newsroom, "site", "archive--search", "read the archive's secrets", "rbac-own/get-secrets"},
	{"vpn", "gateway", "vpn--gateway", "run a pod where a namespace was never made", "rbac-own/create-pods"},
	// More rights than one has.
	{newsroom, "site", "", "become cluster-admin in its own namespace", "rbac-escalate/bind-cluster-admin"},
	{newsroom, "site", "", "run a pod with an identity that it never asked for", "token/mount"},
	// What the platform set.
	{newsroom, "site", "", "delete its quota", "guardrail/quota-delete"},
	{newsroom, "site", "", "delete the default NetworkPolicy", "guardrail/delete-networkpolicies"},
	{newsroom, "site", "", "open the network to anywhere", "network-default/to-everywhere"},
	{newsroom, "site", "", "let every tenant's pods in", "network-default/from-everywhere"},
	{newsroom, "site", "", "change the Pod Security label of its namespace", "guardrail/pod-security-label"},
	// Pods that reach beyond their place.
	{newsroom, "site", "", "run a privileged pod", "pod-security/privileged"},
	{newsroom, "site", "", "mount a folder of the node", "pod-security/host-path"},
	{newsroom, "site", "", "run an image from elsewhere", "images/foreign-registry"},
	{newsroom, "site", "", "choose a node itself", "node-affinity/node-name"},
	{newsroom, "site", "", "tolerate every taint", "node-affinity/tolerate-all"},
	{newsroom, "site", "", "preempt the platform's own pods", "priority/system-critical"},
	{newsroom, "site", "", "take more than its quota", "quota/compute"},
	{"archive", "search", "", "run third-party code outside the sandbox", "runtime/shared-kernel"},
	// Services beyond what the platform offers.
	{newsroom, "site", "", "open a port on every node", "service-expose/node-port"},
	{newsroom, "site", "", "serve another customer's host name", "service-expose/ingress-foreign-host"},
}

// refused sends one attempt as the tenant's developer. What should have been refused and was not is removed again.
func (p *Play) refused(ctx context.Context, f *hostileAttempt) (Outcome, error) {
	c, known := hostile.ByID(f.id)
	person := p.Developers[f.tenant]
	if !known || person == nil {
		return Outcome{}, fmt.Errorf("there is no case %s or no tenant %s", f.id, f.tenant)
	}
	began := time.Now()
	scene, err := p.scene(ctx, f)
	if err != nil {
		return Outcome{}, err
	}
	question, err := c.Attempt.Ask(scene)
	if err != nil {
		return Outcome{}, err
	}
	request := question.DryRun
	if question.Review != nil {
		request = requestOf(question.Review)
	}
	if request == nil {
		return Outcome{}, fmt.Errorf("case %s is not one request", f.id)
	}
	answer, made := person.server.Send(ctx, &scene.Subject, request, false)
	if answer.Allowed && request.Creates() && made != nil {
		if err := person.client.Delete(ctx, &unstructured.Unstructured{Object: made}); err != nil {
			return Outcome{}, err
		}
	}
	outcome := outcomeOf(&c, person.Name, f.what, answer)
	outcome.Seconds = time.Since(began).Seconds()
	return outcome, nil
}

// scene is what the catalogue needs to know of the cluster to make the attempt.
func (p *Play) scene(ctx context.Context, f *hostileAttempt) (hostile.Scene, error) {
	var platform v1alpha1.Platform
	var tenant v1alpha1.Tenant
	var space v1alpha1.Space
	err := errors.Join(
		p.Admin.client.Get(ctx, client.ObjectKey{Name: v1alpha1.PlatformName}, &platform),
		p.Admin.client.Get(ctx, client.ObjectKey{Name: f.tenant}, &tenant),
		p.Admin.client.Get(ctx, client.ObjectKey{Namespace: v1alpha1.HomeNamespace(f.tenant), Name: f.space}, &space))
	if err != nil {
		return hostile.Scene{}, err
	}
	subject, err := hostile.OwnerSubject(v1alpha1.Owner{Kind: "User", Name: p.Developers[f.tenant].Name})
	return hostile.Scene{Subject: subject, Platform: &platform, Tenant: &tenant, Space: &space, Foreign: f.foreign, Run: "demo"}, err
}

// requestOf makes a real request of a question to the authorizer. One that is no read has an empty body and is aimed at what does not
// exist, so that nothing happens should it be let through.
func requestOf(a *authorizationv1.ResourceAttributes) *hostile.Request {
	r := &hostile.Request{Verb: a.Verb, Group: a.Group, Version: "v1", Namespace: a.Namespace, Resource: a.Resource, Subresource: a.Subresource, Name: a.Name, RightOnly: true}
	if !r.Reads() {
		r.Body = map[string]any{}
	}
	if r.Name == "" && r.Verb != "list" && r.Verb != "create" {
		r.Name = v1alpha1.AttackPrefix + "nothing"
	}
	return r
}

// outcomeOf compares the answer to an attempt with what the case demands. Only the expected authority's own words count as a refusal.
func outcomeOf(c *hostile.Case, as, what string, answer hostile.Answer) Outcome {
	o := Outcome{As: as, What: what, Control: c.Control, By: string(answer.Refusal.By), Says: answer.Refusal.Says}
	o.Holds = !answer.Allowed && answer.Problem == "" && c.Refusal.Matches(answer.Refusal)
	switch {
	case answer.Allowed:
		o.Says = "NOT REFUSED: " + c.Control + " had to refuse it"
	case !o.Holds:
		o.Says = fmt.Sprintf("%s had to refuse it with the words %q, but the answer was: %s", c.Refusal, c.Refusal.Says, answer)
	case c.Refusal.By == hostile.Policy:
		o.Says = strings.TrimPrefix(o.Says, c.Control+": ")
	case c.Refusal.By == hostile.Escalation:
		o.Says, _, _ = strings.Cut(o.Says, ":\n") // the rights that it lacks
	case c.Refusal.By == hostile.Quota:
		o.Says = "exceeded quota: " + answer.Refusal.Name + ", " + o.Says
	}
	return o
}
