package engine

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/client-go/rest"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/hostile"
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
	// Progress is called before each attack with how many came before it and how many there are; nil for nothing.
	Progress func(done, all int, what string)

	Server *Server
	made   int
}

// NewRunner makes a Runner. The identity of config needs [RunnerRights].
func NewRunner(config *rest.Config, run string) (*Runner, error) {
	s, err := NewServer(config, true)
	if err != nil {
		return nil, err
	}
	return &Runner{Run: run, Server: s}, nil
}

// Target is a tenant to attack with.
type Target struct {
	Platform *v1alpha1.Platform
	Tenant   *v1alpha1.Tenant
	// Spaces of the tenant; those without a namespace are skipped.
	Spaces []v1alpha1.Space
	// Foreign namespaces, in which the tenant must have no rights.
	Foreign []string
}

// Try tries attacks on a target and cleans up, also when ctx ends: what was not tried then is Unknown. The results stand in the
// order of the attacks. The error is not nil when something that the run made may be left behind, or nothing could be tried.
func (r *Runner) Try(ctx context.Context, target *Target, attacks []hostile.Case) ([]Result, error) {
	t, err := r.Begin(ctx, target)
	if err != nil {
		return nil, err
	}
	results := t.Try(ctx, attacks, nil)
	return results, t.End(ctx)
}

// Begin looks at the cluster and at the target, and removes what earlier runs left there. End what is begun.
func (r *Runner) Begin(ctx context.Context, target *Target) (*Trial, error) {
	owners, err := OwnerSubjects(target.Tenant)
	if err != nil {
		return nil, err
	}
	t := &Trial{Runner: r, target: target, owners: owners, targets: map[string]map[string]any{}}
	if err := t.Look(ctx); err != nil {
		return nil, err
	}
	t.sweepers = t.SweepersOf(owners, target)
	t.leftovers = r.Sweep(ctx, t.sweepers)
	return t, nil
}

// Look looks at the objects of the cluster again, and has every harmless twin asked again from here on: for one who goes on with a
// trial after the cluster has changed. What the API server serves is taken to be the same.
func (t *Trial) Look(ctx context.Context) error {
	seen, err := t.Runner.Server.Look(ctx, t.target.Tenant, t.seen)
	if err != nil {
		return err
	}
	t.seen, t.twins, t.gone = seen, map[string]hostile.Answer{}, nil
	return nil
}

// Try tries attacks in all scenes in which they apply and that are wanted; nil wants all.
func (t *Trial) Try(ctx context.Context, attacks []hostile.Case, wanted func(*hostile.Case, *hostile.Scene) bool) []Result {
	tasks := t.Runner.tasks(t.target, t.owners, attacks)
	if wanted != nil {
		tasks = slices.DeleteFunc(tasks, func(k Task) bool { return !wanted(&k.Attack, &k.Scene) })
	}
	return t.all(ctx, tasks)
}

// End removes what the trial made. The end of ctx is no reason to leave anything behind.
func (t *Trial) End(ctx context.Context) error {
	clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), CleanWithin)
	defer cancel()
	if t.gone != nil {
		if err := t.Runner.Server.answers(clean); err != nil {
			return fmt.Errorf("clean up after run %s: %w: what it made, by its label %s, is still there; the next run removes it", t.Runner.Run, err, v1alpha1.LabelAttack)
		}
	}
	if err := t.Runner.Sweep(clean, t.sweepers); err != nil {
		return fmt.Errorf("clean up after run %s: %w", t.Runner.Run, err)
	}
	if t.leftovers != nil && ctx.Err() == nil {
		return fmt.Errorf("clean up after earlier runs: %w", t.leftovers)
	}
	return nil
}

// CleanWithin bounds how long a run that was broken off cleans up.
const CleanWithin = time.Minute

// tasks are the attacks in all scenes in which they apply, as all identities that are asked for.
func (r *Runner) tasks(target *Target, owners []hostile.Subject, attacks []hostile.Case) []Task {
	w := &World{Platform: target.Platform, Tenant: target.Tenant, Spaces: Placed(target.Spaces), Foreign: target.Foreign}
	s := Selection{Owners: owners, OwnersInSpace: owners, OwnersDryRun: owners, Spaces: w.Spaces, Foreign: w.Foreign}
	var tasks []Task
	for i := range attacks {
		for _, t := range s.Tasks(w, attacks[i]) {
			if r.As == "" || t.Scene.Subject.Kind == r.As {
				tasks = append(tasks, t)
			}
		}
	}
	return tasks
}

// Trial is one tenant's part of a run.
type Trial struct {
	Runner *Runner
	target *Target
	owners []hostile.Subject
	seen   *hostile.Facts
	// sweepers clean up; leftovers is what they could not remove of earlier runs.
	sweepers  []sweeper
	leftovers error
	// twins are the answers to harmless twins, and targets the objects that steps act on, each by subject and place.
	twins   map[string]hostile.Answer
	targets map[string]map[string]any
	// gone is why the API server answers no more.
	gone error
}

func (t *Trial) all(ctx context.Context, tasks []Task) []Result {
	results := make([]Result, 0, len(tasks))
	for i := range tasks {
		if t.Runner.Progress != nil {
			t.Runner.Progress(i, len(tasks), tasks[i].Attack.Control)
		}
		tasks[i].Scene.Run, tasks[i].Scene.Facts = t.Runner.Run, t.seen
		results = append(results, t.one(ctx, &tasks[i]))
	}
	return results
}

func (t *Trial) one(ctx context.Context, k *Task) Result {
	result := Result{Case: k.Attack, Scene: k.Scene}
	if why := cmp.Or(t.gone, context.Cause(ctx)); why != nil {
		result.Verdict, result.Detail = v1alpha1.Unknown, fmt.Sprintf("not tried: %v", why)
		return result
	}
	key := strings.Join([]string{k.Scene.Subject.String(), k.Scene.Namespace(), k.Attack.Twin.Title}, "\x00")
	twin, known := t.twins[key]
	if !known {
		if twin = t.step(ctx, k.Scene, &k.Attack.Twin); !twin.Unanswered {
			t.twins[key] = twin
		}
	}
	attempt := t.step(ctx, k.Scene, &k.Attack.Attempt)
	if twin.Unanswered || attempt.Unanswered {
		t.gone = t.Runner.Server.silence(ctx)
	}
	result.Verdict, result.Detail = Judge(&k.Attack, twin, attempt)
	result.Refused = attempt.Refusal
	return result
}

func (t *Trial) step(ctx context.Context, scene hostile.Scene, step *hostile.Step) hostile.Answer {
	t.Runner.made++
	scene.Making = fmt.Sprintf("%s-%d", t.Runner.Run, t.Runner.made)
	if step.Near != "" {
		there, err := t.there(ctx, &scene, step.Near)
		if err != nil {
			return hostile.Unclear("cannot %s: see what %s are there: %v", step.Title, step.Near, err)
		}
		scene.Near = there
	}
	if step.On != "" {
		target, made := t.targetOf(ctx, scene, step.On)
		if !made.Allowed {
			return hostile.Answer{Problem: fmt.Sprintf("cannot %s: make one of %s to try it on: %s", step.Title, step.On, made), Unanswered: made.Unanswered}
		}
		scene.Target = target
	}
	question, err := step.Ask(scene)
	if err != nil {
		return hostile.Unclear("cannot %s: %v", step.Title, err)
	}
	return t.answer(ctx, &scene, &question)
}

// answer carries a question out in whatever form it has.
func (t *Trial) answer(ctx context.Context, scene *hostile.Scene, question *hostile.Ask) hostile.Answer {
	switch {
	case question.Every != nil:
		names, answers := make([]string, 0, len(question.Every)), make([]hostile.Answer, 0, len(question.Every))
		for i := range question.Every {
			names = append(names, question.Every[i].String())
			answers = append(answers, t.answer(ctx, scene, &question.Every[i]))
		}
		return hostile.Worst(names, answers)
	case question.Real != nil:
		return t.real(ctx, scene, question.Real)
	}
	answer := t.Runner.Server.Ask(ctx, &scene.Subject, *question)
	if !t.Runner.Destructive || question.DryRun == nil || answer.Problem != "" || question.DryRun.Judge != nil {
		return answer
	}
	carriedOut, _ := t.Runner.Server.Send(ctx, &scene.Subject, question.DryRun, false)
	if carriedOut.Allowed != answer.Allowed || carriedOut.Refusal.By != answer.Refusal.By {
		return hostile.Unclear("the dry-run was %s, and the same for real %s", answer, carriedOut)
	}
	return carriedOut
}

// targetOf is the harmless object of a kind that the identity makes for steps to act on, once in each place, or the answer
// of who did not allow that.
func (t *Trial) targetOf(ctx context.Context, scene hostile.Scene, resource string) (map[string]any, hostile.Answer) {
	key := strings.Join([]string{scene.Subject.String(), scene.Namespace(), resource}, "\x00")
	if there, known := t.targets[key]; known {
		return there, hostile.Answer{Allowed: true}
	}
	request, err := hostile.Target(scene, resource)
	if err != nil {
		return nil, hostile.Unclear("%v", err)
	}
	answer, object := t.Runner.Server.Send(ctx, &scene.Subject, request, false)
	if answer.Allowed {
		t.targets[key] = object
	}
	return object, answer
}

// there are the objects of a kind in the scene's namespace, as the runner itself sees them.
func (t *Trial) there(ctx context.Context, scene *hostile.Scene, resource string) ([]map[string]any, error) {
	harmless, err := hostile.Target(*scene, resource)
	if err != nil {
		return nil, err
	}
	list := hostile.Request{Group: harmless.Group, Version: harmless.Version, Namespace: harmless.Namespace, Resource: harmless.Resource}
	var found struct {
		Items []map[string]any `json:"items"`
	}
	if err := t.Runner.Server.Read(ctx, list.URL(), &found); err != nil {
		return nil, fmt.Errorf("list %s: %w", list.URL(), err)
	}
	return found.Items, nil
}
