// Package install puts Bulkhead itself onto a cluster and takes it off again: definitions, namespace, rights,
// cluster-wide guardrails, and the Deployment that runs the controller. It checks the cluster first (preflight) and
// never touches what a tenant runs.
package install

import (
	"context"
	"fmt"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/guardrail"
	"github.com/bulkhead-dev/bulkhead/internal/apply"
	"github.com/bulkhead-dev/bulkhead/snapshot"
)

// Options report what to install.
type Options struct {
	// Image of the controller. Empty means that no Deployment is written: the controller runs elsewhere, such as
	// `bulkhead run --kubeconfig` or as a child process of `bulkhead up`.
	Image string
}

// Action is what a write did to an object.
type Action string

// The actions. Unchanged means that the object was right already, and that its resourceVersion stayed.
const (
	Created   Action = "created"
	Changed   Action = "changed"
	Unchanged Action = "unchanged"
	Removed   Action = "removed"
	Orphaned  Action = "orphaned"
	Kept      Action = "kept"
	Waiting   Action = "waiting"
)

// Event is one step, as it happens.
type Event struct {
	// Phase is one of the phases of Render, or of Uninstall.
	Phase string `json:"phase"`
	// Action taken.
	Action Action `json:"action"`
	// Object as "Kind name" or "Kind namespace/name".
	Object string `json:"object"`
	// Detail in words, where there is something to say.
	Detail string `json:"detail,omitempty"`
}

// Progress receives every Event, in order. It may be nil.
type Progress func(Event)

func (p Progress) report(phase string, action Action, object, detail string) {
	if p != nil {
		p(Event{phase, action, object, detail})
	}
}

// Apply writes what Render renders, in its order, by server-side apply as field manager bulkhead. It can be repeated,
// and interrupted at any point and repeated: every step is an idempotent write. The first refusal ends it with an
// error that names the object.
//
// The cluster-wide guardrails are rendered for the Platform that the cluster has, so that a second install never
// loosens what the controller wrote. Where there is none yet, they are rendered for none, which allows nothing: a
// Space that is made in the first second is already guarded.
func Apply(ctx context.Context, config *rest.Config, options Options, progress Progress) error {
	c, err := NewClient(config)
	if err != nil {
		return err
	}
	platform, err := FindPlatform(ctx, c)
	if err != nil {
		return err
	}
	phases, err := Render(options, platform)
	if err != nil {
		return err
	}
	for i := range phases {
		if err := applyPhase(ctx, c, &phases[i], progress); err != nil {
			return err
		}
	}
	return nil
}

// ApplyDefinitions writes the first phase alone. What learns of kinds in rounds, as Kubernetes' quota controller does,
// knows Bulkhead's from the start when they are there before it is.
func ApplyDefinitions(ctx context.Context, config *rest.Config, progress Progress) error {
	c, err := NewClient(config)
	if err != nil {
		return err
	}
	definitions, err := renderDefinitions()
	if err != nil {
		return err
	}
	return applyPhase(ctx, c, &Phase{PhaseDefinitions, definitions}, progress)
}

func applyPhase(ctx context.Context, c client.Client, phase *Phase, progress Progress) error {
	applier := apply.NewVisiting(c)
	ensure := applier.EnsurePartly
	if phase.Name == PhaseGuardrails {
		ensure = applier.Ensure // complete: what others added to them is removed
	}
	for _, object := range phase.Objects {
		change, err := ensure(ctx, object)
		if err != nil {
			return err
		}
		action := map[apply.Action]Action{apply.Created: Created, apply.Updated: Changed, apply.Repaired: Changed, apply.Unchanged: Unchanged}[change.Action]
		progress.report(phase.Name, action, change.Ref.String(), "")
	}
	if phase.Name == PhaseGuardrails {
		return removeObsolete(ctx, applier, phase, progress)
	}
	if phase.Name != PhaseDefinitions {
		return nil
	}
	return waitEstablished(ctx, c, phase.Objects, progress)
}

// removeObsolete deletes the admission policies that an earlier version rendered: the controller has no right to.
func removeObsolete(ctx context.Context, applier *apply.Applier, phase *Phase, progress Progress) error {
	keep := make([]client.Object, len(phase.Objects))
	for i, object := range phase.Objects {
		keep[i] = object
	}
	kinds := slices.DeleteFunc(apply.Kinds(), func(k apply.Kind) bool { return !apply.IsPolicy(k.Object) })
	removed, err := applier.Prune(ctx, &apply.Scope{Kinds: kinds, Without: []string{v1alpha1.LabelTenant}}, keep)
	for i := range removed {
		progress.report(phase.Name, Removed, removed[i].Ref.String(), "not of this version")
	}
	return err
}

// FindPlatform returns the cluster's Platform, or nil where there is none, or no definition of it yet.
func FindPlatform(ctx context.Context, c client.Client) (*v1alpha1.Platform, error) {
	platform := &v1alpha1.Platform{}
	err := c.Get(ctx, client.ObjectKey{Name: v1alpha1.PlatformName}, platform)
	if apierrors.IsNotFound(err) || meta.IsNoMatchError(err) {
		return nil, nil //nolint:nilnil // no Platform is an answer, not a failure
	}
	if err != nil {
		return nil, fmt.Errorf("read Platform %s: %w", v1alpha1.PlatformName, err)
	}
	return platform, nil
}

// waitEstablished returns when the API server serves every definition: nothing of their kinds can be read or written
// before.
func waitEstablished(ctx context.Context, c client.Client, definitions []guardrail.Object, progress Progress) error {
	for _, object := range definitions {
		pending, reported := "", false
		err := wait.PollUntilContextTimeout(ctx, 100*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
			crd := &apiextensionsv1.CustomResourceDefinition{}
			if err := c.Get(ctx, client.ObjectKeyFromObject(object), crd); err != nil {
				return false, err
			}
			pending = NotEstablished(crd)
			if pending != "" && !reported {
				progress.report(PhaseDefinitions, Waiting, apply.RefOf(object).String(), "until the API server serves it")
				reported = true
			}
			return pending == "", nil
		})
		if err != nil {
			return fmt.Errorf("wait until %s is served (%s): %w", apply.RefOf(object), pending, err)
		}
	}
	return nil
}

// NotEstablished is what keeps a definition from being served; empty when nothing does.
func NotEstablished(crd *apiextensionsv1.CustomResourceDefinition) string {
	for _, condition := range crd.Status.Conditions {
		switch {
		case condition.Type == apiextensionsv1.Terminating && condition.Status == apiextensionsv1.ConditionTrue:
			return "being deleted: " + condition.Message
		case condition.Type == apiextensionsv1.NamesAccepted && condition.Status == apiextensionsv1.ConditionFalse:
			return "its names are taken: " + condition.Message
		case condition.Type == apiextensionsv1.Established && condition.Status == apiextensionsv1.ConditionTrue:
			return ""
		}
	}
	return "not established yet"
}

// NewClient has the types of Kubernetes, of definitions and of Bulkhead, and no cache.
func NewClient(config *rest.Config) (client.Client, error) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		clientgoscheme.AddToScheme, apiextensionsv1.AddToScheme, v1alpha1.AddToScheme,
	} {
		if err := add(scheme); err != nil {
			return nil, fmt.Errorf("register API types: %w", err)
		}
	}
	c, err := client.New(config, client.Options{Scheme: scheme})
	if err != nil {
		return nil, fmt.Errorf("make a client for %s: %w", config.Host, err)
	}
	return c, nil
}

// WaitReady returns when the controller's Deployment runs what was installed, in every replica. It ends with ctx, and
// the error has what was still missing.
func WaitReady(ctx context.Context, config *rest.Config, progress Progress) error {
	c, err := NewClient(config)
	if err != nil {
		return err
	}
	name := snapshot.Ref{Kind: "Deployment", Namespace: v1alpha1.SystemNamespace, Name: DeploymentName}.String()
	waits, reported := "", ""
	err = wait.PollUntilContextCancel(ctx, 500*time.Millisecond, true, func(ctx context.Context) (bool, error) {
		deployment := &appsv1.Deployment{}
		if err := c.Get(ctx, client.ObjectKey{Namespace: v1alpha1.SystemNamespace, Name: DeploymentName}, deployment); err != nil {
			return false, err
		}
		waits = Unready(deployment)
		if waits != "" && waits != reported {
			progress.report(PhaseController, Waiting, name, waits)
			reported = waits
		}
		return waits == "", nil
	})
	if err != nil {
		return fmt.Errorf("wait for %s (%s): %w: see `kubectl -n %s describe deployment,pods`", name, waits, err, v1alpha1.SystemNamespace)
	}
	return nil
}

// Unready is what a Deployment still waits for; empty when every replica runs its latest template and is ready.
func Unready(d *appsv1.Deployment) string {
	count := int32(1)
	if d.Spec.Replicas != nil {
		count = *d.Spec.Replicas
	}
	status := &d.Status
	switch {
	case status.ObservedGeneration < d.Generation:
		return "its latest change is not reconciled yet"
	case status.UpdatedReplicas < count:
		return fmt.Sprintf("%d of %d pods are of the new version", status.UpdatedReplicas, count)
	case status.Replicas > count:
		return fmt.Sprintf("%d pods of the old version are ending", status.Replicas-count)
	case status.ReadyReplicas < count:
		return fmt.Sprintf("%d of %d pods are ready", status.ReadyReplicas, count)
	}
	return ""
}
