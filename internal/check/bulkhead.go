package check

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/guardrail"
	"github.com/bulkhead-dev/bulkhead/internal/apply"
	"github.com/bulkhead-dev/bulkhead/internal/install"
)

func bulkheadChecks() []Check {
	return []Check{
		{
			Code: "BHC201", Group: GroupBulkhead, Title: "Definitions", run: checkDefinitions,
			Why: "Tenants, Spaces, Waivers and the Platform are custom resources. A definition that is missing, older than this program or being deleted loses fields or objects.",
			Fix: "Run `bulkhead install`, which writes the definitions of this version and deletes none.",
		},
		{
			Code: "BHC202", Group: GroupBulkhead, Title: "Guardrails", run: checkGuardrails,
			Controls: controlsBy("ValidatingAdmissionPolicy"),
			Why:      "The cluster-wide admission policies, roles and fairness levels are what refuses, with or without a controller. Each must be in place and equal to what this version renders for the Platform.",
			Fix:      "A running controller repairs them within seconds; without one, run `bulkhead install`.",
		},
		{
			Code: "BHC203", Group: GroupBulkhead, Title: "Bulkhead's own objects", run: checkOwn,
			Why: "The namespace, identity and rights of the controller, and what keeps it available.",
			Fix: "Run `bulkhead install` again with the same --image.",
		},
		{
			Code: "BHC204", Group: GroupBulkhead, Title: "Controller's pods", run: checkDeployment,
			Why: "Enforcement does not need the controller; new Spaces, repair, expiry of waivers and fresh proof do.",
			Fix: "See `kubectl -n bulkhead-system describe deployment,pods`.",
		},
		{
			Code: "BHC205", Group: GroupBulkhead, Title: "Controller's lease", run: checkLease,
			Why: "The leading controller renews a lease every few seconds. An old one means that no controller reconciles: what is enforced stays, but nothing new is enforced, and proofs go stale.",
			Fix: "See `kubectl -n bulkhead-system logs deployment/bulkhead`, or start `bulkhead run`.",
		},
		{
			Code: "BHC206", Group: GroupBulkhead, Title: "Platform", run: checkPlatform,
			Why: "Without a Platform nothing is allowed, and no Space gets a namespace.",
			Fix: "Declare one: see docs/api.md#platform and examples/.",
		},
		{
			Code: "BHC207", Group: GroupBulkhead, Title: "Seats and processors", run: checkSeats,
			Controls: []string{"api-fairness"},
			Why: "Fairness divides the API server's seats among tenants, and not its processors. Where it has many more seats than its processors have work for, as by default, one tenant's flood " +
				"slows every tenant before seats run out.",
			Fix: "Start the API server with --max-requests-inflight and --max-mutating-requests-inflight that together are five times its processors. Tenants get a third of these seats, and one of them a tenth: " +
				"with many more seats a flood takes all processors, with three times everything waits for seats. " +
				"Or measure how one tenant fares while another floods, and run check with --accept BHC207.",
		},
		{
			Code: "BHC208", Group: GroupBulkhead, Title: "Compressed answers", run: checkCompression,
			Controls: []string{"api-fairness"},
			Why: "An API server compresses lists of more than 128 KiB for every client that asks for it, as Go's do by default. That takes processor time, " +
				"and a tenant that asks for long lists without end makes it compress without end.",
			Fix: "Where clients are near, start the API server with --feature-gates=APIResponseCompression=false; where they are far and lists are long, leave it on: bandwidth is worth more there.",
		},
	}
}

// checkDefinitions wants each definition established and as this version has it.
func checkDefinitions(ctx context.Context, s *session) ([]Finding, error) {
	objects, err := s.phase(ctx, install.PhaseDefinitions)
	if err != nil {
		return nil, err
	}
	findings, err := s.compareAll(ctx, objects, apply.PartialDifferences)
	if err != nil {
		return nil, err
	}
	for _, object := range objects {
		crd := &apiextensionsv1.CustomResourceDefinition{}
		err := s.client.Get(ctx, client.ObjectKeyFromObject(object), crd)
		if apierrors.IsNotFound(err) {
			continue // compareAll has said so
		}
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", apply.RefOf(object), err)
		}
		if pending := install.NotEstablished(crd); pending != "" {
			findings = append(findings, about(object, "%s", pending))
		}
	}
	return orAllEqual(findings, len(objects), "served, as this version has them"), nil
}

func checkGuardrails(ctx context.Context, s *session) ([]Finding, error) {
	objects, err := s.phase(ctx, install.PhaseGuardrails)
	if err != nil {
		return nil, err
	}
	findings, err := s.compareAll(ctx, objects, apply.Differences)
	return orAllEqual(findings, len(objects), "in place and equal to what this version renders"), err
}

func checkOwn(ctx context.Context, s *session) ([]Finding, error) {
	phases := []string{install.PhaseSystem}
	deployment, err := s.deployment(ctx)
	if err != nil {
		return nil, err
	}
	if deployment != nil {
		phases = append(phases, install.PhaseController)
		if containers := deployment.Spec.Template.Spec.Containers; len(containers) > 0 {
			s.Options.Image = containers[0].Image // whichever was installed is right
		}
	}
	var objects []guardrail.Object
	for _, phase := range phases {
		more, err := s.phase(ctx, phase)
		if err != nil {
			return nil, err
		}
		objects = append(objects, more...)
	}
	findings, err := s.compareAll(ctx, objects, apply.PartialDifferences)
	return orAllEqual(findings, len(objects), "in place and as this version renders them"), err
}

func checkDeployment(ctx context.Context, s *session) ([]Finding, error) {
	deployment, err := s.deployment(ctx)
	if err != nil {
		return nil, err
	}
	if deployment == nil {
		return one(Note, "no Deployment here: the controller runs elsewhere, or not at all (see its lease)")
	}
	if waits := install.Unready(deployment); waits != "" {
		return one(Problem, "%s", waits)
	}
	findings := []Finding{found(OK, "%d of %d ready", deployment.Status.ReadyReplicas, deployment.Status.Replicas)}
	if !followsAudit(deployment) {
		findings = append(findings, found(Note, "no audit log is followed (run --audit-log): Events cannot name the user of a deletion or of a change to an admission policy"))
	}
	return findings, nil
}

// followsAudit reports whether the controller was given the API server's audit log.
func followsAudit(deployment *appsv1.Deployment) bool {
	for i := range deployment.Spec.Template.Spec.Containers {
		if slices.ContainsFunc(deployment.Spec.Template.Spec.Containers[i].Args, func(arg string) bool { return strings.HasPrefix(arg, "--audit-log") }) {
			return true
		}
	}
	return false
}

// deployment is the controller's, nil where there is none.
func (s *session) deployment(ctx context.Context) (*appsv1.Deployment, error) {
	deployment := &appsv1.Deployment{}
	err := s.client.Get(ctx, client.ObjectKey{Namespace: v1alpha1.SystemNamespace, Name: install.DeploymentName}, deployment)
	if apierrors.IsNotFound(err) {
		return nil, nil //nolint:nilnil // nil is the answer "there is none"
	}
	if err != nil {
		return nil, fmt.Errorf("read the controller's Deployment: %w", err)
	}
	return deployment, nil
}

// checkLease wants the lease held, and renewed within its duration.
func checkLease(ctx context.Context, s *session) ([]Finding, error) {
	lease := &coordinationv1.Lease{}
	err := s.client.Get(ctx, client.ObjectKey{Namespace: v1alpha1.SystemNamespace, Name: install.LeaseName}, lease)
	if apierrors.IsNotFound(err) {
		return one(Problem, "there is none: no controller has ever run with leader election")
	}
	if err != nil {
		return nil, fmt.Errorf("read the controller's lease: %w", err)
	}
	spec := lease.Spec
	if spec.HolderIdentity == nil || *spec.HolderIdentity == "" {
		return one(Problem, "no process holds it: the controller has ended")
	}
	if spec.RenewTime == nil || spec.LeaseDurationSeconds == nil {
		return one(Unknown, "held by %s, without the time of its renewal", *spec.HolderIdentity)
	}
	age := s.now.Sub(spec.RenewTime.Time)
	if limit := time.Duration(*spec.LeaseDurationSeconds)*time.Second + s.Skew; age > limit {
		return one(Problem, "held by %s, which renewed it %s ago", *spec.HolderIdentity, round(age))
	}
	return one(OK, "held by %s, renewed %s ago", *spec.HolderIdentity, round(max(age, 0)))
}

func checkPlatform(ctx context.Context, s *session) ([]Finding, error) {
	platform, err := install.FindPlatform(ctx, s.client)
	if err != nil {
		return nil, err
	}
	if platform == nil {
		return one(Problem, "none is declared")
	}
	ready := meta.FindStatusCondition(platform.Status.Conditions, v1alpha1.ConditionReady)
	switch {
	case ready == nil || ready.ObservedGeneration != platform.Generation:
		return one(Unknown, "no controller has reconciled its latest change")
	case ready.Status != "True":
		return one(Problem, "%s: %s", ready.Reason, ready.Message)
	}
	return one(OK, "serves %s, ready", platform.Spec.Environment)
}

// phases renders the installation.
func (s *session) phases(ctx context.Context) ([]install.Phase, error) {
	platform, err := install.FindPlatform(ctx, s.client)
	if err != nil {
		return nil, err
	}
	return install.Render(s.Options, platform)
}

// phase renders one phase of the installation.
func (s *session) phase(ctx context.Context, name string) ([]guardrail.Object, error) {
	phases, err := s.phases(ctx)
	if err != nil {
		return nil, err
	}
	for _, phase := range phases {
		if phase.Name == name {
			return phase.Objects, nil
		}
	}
	return nil, errors.New("this installation has no phase " + name)
}

// maxDifferences of one object are named.
const maxDifferences = 3

// compareAll returns a finding for every object that is missing or differs from its rendering.
func (s *session) compareAll(ctx context.Context, objects []guardrail.Object, differences func(want, have client.Object) []string) ([]Finding, error) {
	var findings []Finding
	for _, object := range objects {
		live, err := apply.Get(ctx, s.client, object)
		switch {
		case meta.IsNoMatchError(err) || err == nil && live == nil:
			findings = append(findings, about(object, "missing"))
		case err != nil:
			return nil, err
		case live.GetDeletionTimestamp() != nil:
			findings = append(findings, about(object, "being deleted"))
		default:
			differ := differences(object, live)
			if len(differ) > maxDifferences {
				differ = append(differ[:maxDifferences], "...")
			}
			if len(differ) > 0 {
				findings = append(findings, about(object, "differs at %s", strings.Join(differ, ", ")))
			}
		}
	}
	return findings, nil
}

// about is a problem with one object.
func about(object guardrail.Object, detail string, args ...any) Finding {
	f := found(Problem, detail, args...)
	f.Subject = apply.RefOf(object).String()
	return f
}

// orAllEqual is one line for what is as it should be, where there is nothing to say about single objects.
func orAllEqual(findings []Finding, count int, praise string) []Finding {
	if len(findings) > 0 {
		return findings
	}
	return []Finding{found(OK, "%d objects %s", count, praise)}
}

func round(d time.Duration) time.Duration {
	if d < time.Minute {
		return d.Round(time.Second)
	}
	return d.Round(time.Minute)
}
