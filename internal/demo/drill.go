package demo

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
)

// Controller is Bulkhead's own process.
type Controller interface {
	// Kill ends it without a chance to do anything more.
	Kill() error
	// Start it again; it returns when the controller works.
	Start(ctx context.Context) error
}

// Drill is what came of killing the controller.
type Drill struct {
	// Allowed and Refused are the attempts made while no controller ran.
	Allowed []Outcome `json:"allowed"`
	Refused []Outcome `json:"refused"`
	// Rest are the other promises: what runs stays untouched, a new Space waits and is served later.
	Rest []Outcome `json:"rest"`
}

// Failed are the outcomes that are not as they must be.
func (d *Drill) Failed() []Outcome { return Failed(slices.Concat(d.Allowed, d.Refused, d.Rest)) }

// meanwhile is the Space that is asked for while no controller runs.
func meanwhile() *v1alpha1.Space {
	return &v1alpha1.Space{
		ObjectMeta: named(v1alpha1.HomeNamespace(newsroom), "meanwhile"),
		Spec:       v1alpha1.SpaceSpec{Workload: "website"},
	}
}

// Drill kills the controller, tries everything that does not need it, and starts it again. The controller runs again
// when it returns, whatever happened, unless the error says otherwise.
func (p *Play) Drill(ctx context.Context, controller Controller, report func(Outcome)) (drill *Drill, err error) {
	before, err := p.podsOfExample(ctx)
	if err != nil {
		return nil, err
	}
	if err := p.Developers[newsroom].forget(ctx, meanwhile()); err != nil {
		return nil, err
	}
	if err := controller.Kill(); err != nil {
		return nil, err
	}
	drill = &Drill{}
	if err := p.withoutController(ctx, drill, before, report); err != nil {
		return nil, errors.Join(err, controller.Start(ctx))
	}
	began := time.Now()
	if err := controller.Start(ctx); err != nil {
		return nil, fmt.Errorf("start the controller again: %w", err)
	}
	served := check(ctx, p.Developers[newsroom].Name, "the Space that waited is served", func(ctx context.Context) (string, error) {
		if err := p.Developers[newsroom].waitSpaceReady(ctx, meanwhile()); err != nil {
			return "", err
		}
		return fmt.Sprintf("ready %.1f s after the controller's start", time.Since(began).Seconds()), nil
	})
	untouched := check(ctx, p.Developers[newsroom].Name, "the restart touched no pod", func(ctx context.Context) (string, error) { return p.compare(ctx, before) })
	for _, outcome := range []Outcome{served, untouched} {
		report(outcome)
		drill.Rest = append(drill.Rest, outcome)
	}
	return drill, p.Developers[newsroom].client.Delete(ctx, meanwhile())
}

func (p *Play) withoutController(ctx context.Context, drill *Drill, before map[string]string, report func(Outcome)) error {
	var err error
	if drill.Allowed, err = p.try(ctx, daily(), report); err != nil {
		return err
	}
	p.tidy(ctx)
	asked := check(ctx, p.Developers[newsroom].Name, "ask for a Space", func(ctx context.Context) (string, error) {
		return "the API server takes it", p.Developers[newsroom].client.Create(ctx, meanwhile())
	})
	report(asked)
	// The attempts at what is refused take long enough for the Space to be reconciled, if a controller ran.
	if drill.Refused, err = p.Refused(ctx, report); err != nil {
		return err
	}
	waits := check(ctx, p.Developers[newsroom].Name, "the Space waits, and shows it", p.stillWaits)
	report(waits)
	untouched := check(ctx, p.Developers[newsroom].Name, "every pod goes on", func(ctx context.Context) (string, error) { return p.compare(ctx, before) })
	report(untouched)
	drill.Rest = append(drill.Rest, asked, waits, untouched)
	return nil
}

// stillWaits reports whether the Space has no namespace and shows what it waits for.
func (p *Play) stillWaits(ctx context.Context) (string, error) {
	space := meanwhile()
	if err := p.Developers[newsroom].client.Get(ctx, client.ObjectKeyFromObject(space), space); err != nil {
		return "", err
	}
	ready := meta.FindStatusCondition(space.Status.Conditions, v1alpha1.ConditionReady)
	if ready == nil || ready.Status != metav1.ConditionUnknown || ready.Reason != v1alpha1.ReasonPending {
		return "", fmt.Errorf("it does not show that it waits: its conditions are %+v", space.Status.Conditions)
	}
	var namespace corev1.Namespace
	err := p.Admin.client.Get(ctx, client.ObjectKey{Name: v1alpha1.SpaceNamespace(newsroom, space.Name)}, &namespace)
	switch {
	case err == nil:
		return "", errors.New("its namespace was made although no controller runs")
	case !apierrors.IsNotFound(err):
		return "", err
	}
	return fmt.Sprintf("no namespace, and Ready is %s: %s", ready.Status, ready.Message), nil
}

// podsOfExample are the pods that the example's workloads made, by name, each with what would show that it was touched.
func (p *Play) podsOfExample(ctx context.Context) (map[string]string, error) {
	pods := map[string]string{}
	for _, workloads := range p.Example.Workloads {
		var list corev1.PodList
		if err := p.Admin.client.List(ctx, &list, client.InNamespace(workloads.Namespace)); err != nil {
			return nil, fmt.Errorf("list pods: %w", err)
		}
		for i := range list.Items {
			pod := &list.Items[i]
			if pod.Labels["app"] == "hello" {
				continue // of an attempt
			}
			restarts := int32(0)
			for _, status := range pod.Status.ContainerStatuses {
				restarts += status.RestartCount
			}
			pods[pod.Namespace+"/"+pod.Name] = fmt.Sprintf("%s on %s, %d restarts, phase %s, deleted %v",
				pod.UID, pod.Spec.NodeName, restarts, pod.Status.Phase, pod.DeletionTimestamp != nil)
		}
	}
	return pods, nil
}

// compare the pods with what they were.
func (p *Play) compare(ctx context.Context, before map[string]string) (string, error) {
	now, err := p.podsOfExample(ctx)
	if err != nil {
		return "", err
	}
	var changed []string
	for _, name := range slices.Sorted(maps.Keys(before)) {
		if now[name] != before[name] {
			changed = append(changed, fmt.Sprintf("%s was %s and is %q", name, before[name], now[name]))
		}
	}
	if len(changed) > 0 {
		return "", errors.New(strings.Join(changed, "; "))
	}
	return fmt.Sprintf("%d pods, all the same and none restarted", len(before)), nil
}

// forget removes a Space that an interrupted run left, and waits until it is gone.
func (p *Person) forget(ctx context.Context, space *v1alpha1.Space) error {
	err := poll(ctx, func(ctx context.Context) (bool, error) {
		err := p.client.Delete(ctx, space)
		return apierrors.IsNotFound(err), client.IgnoreNotFound(err)
	})
	if err != nil {
		return fmt.Errorf("remove the Space %s of an earlier run: %w", space.Name, err)
	}
	return nil
}
