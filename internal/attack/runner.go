package attack

import (
	"context"
	"fmt"
	"strings"
	"time"

	"k8s.io/client-go/rest"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
)

// Runner tries a suite of attacks on one tenant after the other. Its own identity reads what it must know and impersonates;
// everything that it makes, the tenant's identity makes, in the tenant's own namespaces, and it bears the mark of the run.
type Runner struct {
	// Run is the mark of all that this run makes: unique, and fit for the value of a label.
	Run string
	// As limits the identities to owners of this kind (User, Group) or to service accounts (ServiceAccount); empty for all.
	As string
	// Destructive carries out for real what is otherwise tried by dry-run.
	Destructive bool
	// Tell is called before each attack with how many came before it and how many there are; nil for nothing.
	Tell func(done, all int, what string)

	server *apiServer
	made   int
}

// NewRunner makes a Runner. The identity of config needs [RunnerRights].
func NewRunner(config *rest.Config, run string) (*Runner, error) {
	s, err := newAPIServer(config, true)
	if err != nil {
		return nil, err
	}
	return &Runner{Run: run, server: s}, nil
}

// Target is a tenant to attack with.
type Target struct {
	Platform *v1alpha1.Platform
	Tenant   *v1alpha1.Tenant
	// Spaces of the tenant; those without a namespace are passed over.
	Spaces []v1alpha1.Space
	// Foreign namespaces, in which the tenant must have no rights.
	Foreign []string
}

// Try tries attacks on a target and cleans up, also when ctx ends: what was not tried then is Unknown. The results stand in the
// order of the attacks. The error is not nil when something that the run made may be left behind, or nothing could be tried.
func (r *Runner) Try(ctx context.Context, target *Target, attacks []Attack) ([]Result, error) {
	owners, err := ownerSubjects(target.Tenant)
	if err != nil {
		return nil, err
	}
	seen, err := r.server.look(ctx, target.Tenant)
	if err != nil {
		return nil, err
	}
	t := &trial{runner: r, seen: seen, twins: map[string]Answer{}, targets: map[string]map[string]any{}}
	sweepers := t.sweepers(owners, target)
	leftovers := r.sweep(ctx, sweepers)
	results := t.all(ctx, target, r.tasks(target, owners, attacks))
	// The end of ctx is no reason to leave anything behind.
	clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanWithin)
	defer cancel()
	if err := r.sweep(clean, sweepers); err != nil {
		return results, fmt.Errorf("clean up after run %s: %w", r.Run, err)
	}
	if leftovers != nil && ctx.Err() == nil {
		return results, fmt.Errorf("clean up after earlier runs: %w", leftovers)
	}
	return results, nil
}

// cleanWithin bounds how long a run that was broken off cleans up.
const cleanWithin = time.Minute

// tasks are the attacks in all scenes in which they apply, as all identities that are asked for.
func (r *Runner) tasks(target *Target, owners []Subject, attacks []Attack) []task {
	w := &world{platform: target.Platform, tenant: target.Tenant, spaces: placed(target.Spaces), foreign: target.Foreign}
	s := selection{owners: owners, ownersInSpace: owners, ownersDryRun: owners, spaces: w.spaces, foreign: w.foreign}
	var tasks []task
	for i := range attacks {
		for _, t := range s.tasks(w, attacks[i]) {
			if r.As == "" || t.scene.Subject.Kind == r.As {
				tasks = append(tasks, t)
			}
		}
	}
	return tasks
}

// trial is one tenant's part of a run.
type trial struct {
	runner *Runner
	seen   *Sights
	// twins are the answers to positive controls, and targets the objects that steps act on, each by subject and place.
	twins   map[string]Answer
	targets map[string]map[string]any
}

func (t *trial) all(ctx context.Context, _ *Target, tasks []task) []Result {
	results := make([]Result, 0, len(tasks))
	for i := range tasks {
		if t.runner.Tell != nil {
			t.runner.Tell(i, len(tasks), tasks[i].attack.Control)
		}
		results = append(results, t.one(ctx, &tasks[i]))
	}
	return results
}

func (t *trial) one(ctx context.Context, k *task) Result {
	result := Result{Attack: k.attack, Scene: k.scene}
	if ctx.Err() != nil {
		result.Verdict, result.Detail = v1alpha1.Unknown, fmt.Sprintf("attack %s was not tried: %v", k.attack.ID, context.Cause(ctx))
		return result
	}
	key := strings.Join([]string{k.scene.Subject.String(), k.scene.Namespace(), k.attack.PositiveControl.Title}, "\x00")
	twin, known := t.twins[key]
	if !known {
		twin = t.step(ctx, k.scene, &k.attack.PositiveControl)
		t.twins[key] = twin
	}
	attempt := t.step(ctx, k.scene, &k.attack.Attempt)
	result.Verdict, result.Detail = judge(&k.attack, twin, attempt)
	result.Refused = attempt.Refusal
	return result
}

func (t *trial) step(ctx context.Context, scene Scene, step *Step) Answer {
	t.runner.made++
	scene.Run, scene.Seen, scene.Case = t.runner.Run, t.seen, fmt.Sprintf("%s-%d", t.runner.Run, t.runner.made)
	if step.On != "" {
		target, err := t.target(ctx, scene, step.On)
		if err != nil {
			return problem("cannot %s: %v", step.Title, err)
		}
		scene.Target = target
	}
	question, err := step.Ask(scene)
	if err != nil {
		return problem("cannot %s: %v", step.Title, err)
	}
	return t.answer(ctx, &scene, &question)
}

// answer carries a question out in whatever form it has.
func (t *trial) answer(ctx context.Context, scene *Scene, question *Ask) Answer {
	switch {
	case question.Every != nil:
		names, answers := make([]string, 0, len(question.Every)), make([]Answer, 0, len(question.Every))
		for i := range question.Every {
			names = append(names, question.Every[i].String())
			answers = append(answers, t.answer(ctx, scene, &question.Every[i]))
		}
		return worst(names, answers)
	case question.Real != nil:
		return t.real(ctx, scene, question.Real)
	}
	answer := t.runner.server.ask(ctx, &scene.Subject, *question)
	if !t.runner.Destructive || question.DryRun == nil || answer.Problem != "" || question.DryRun.Judge != nil {
		return answer
	}
	carriedOut, _ := t.runner.server.send(ctx, &scene.Subject, question.DryRun, false)
	if carriedOut.Allowed != answer.Allowed || carriedOut.Refusal.By != answer.Refusal.By {
		return problem("the dry-run was %s, and the same for real %s", answer, carriedOut)
	}
	return carriedOut
}

// target is the harmless object of a kind that the identity makes for steps to act on, once in each place.
func (t *trial) target(ctx context.Context, scene Scene, resource string) (map[string]any, error) {
	key := strings.Join([]string{scene.Subject.String(), scene.Namespace(), resource}, "\x00")
	if there, known := t.targets[key]; known {
		return there, nil
	}
	request, err := harmlessTarget(scene, resource)
	if err != nil {
		return nil, err
	}
	answer, object := t.runner.server.send(ctx, &scene.Subject, request, false)
	if !answer.Allowed {
		return nil, fmt.Errorf("make one of %s to try it on: %s", resource, answer)
	}
	t.targets[key] = object
	return object, nil
}
