package attack

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/util/wait"
)

const (
	// podsWithin is how long a controller may take to make a pod, or to say why it cannot.
	podsWithin = time.Minute
	podsEvery  = 200 * time.Millisecond
)

// String names what is asked, for a list of several.
func (a *Ask) String() string {
	switch {
	case a.DryRun != nil:
		return a.DryRun.String()
	case a.Real != nil:
		return a.Real.Request.String()
	case a.Review != nil:
		return a.Review.Verb + " " + a.Review.Resource
	}
	return fmt.Sprintf("%d questions", len(a.Every))
}

// real carries a request out. It refuses to when it is neither a read nor the making of what bears the mark.
func (t *Trial) real(ctx context.Context, scene *Scene, r *Real) Answer {
	if !r.Request.reads() && !r.Request.creates() {
		return problem("the attack would change what is not its own: %s", &r.Request)
	}
	answer, object := t.runner.server.send(ctx, &scene.Subject, &r.Request, false)
	if !answer.Allowed || object == nil || r.Request.reads() {
		return answer
	}
	defer t.remove(ctx, &scene.Subject, &r.Request, object)
	made := *scene
	made.Target = object
	if r.Then != nil {
		then := *r.Then
		then.Name = targetName(made)
		if answer, _ = t.runner.server.send(ctx, &scene.Subject, &then, false); !answer.Allowed {
			return answer
		}
	}
	if r.Pods {
		answer = t.pods(ctx, &made)
	}
	return answer
}

// pods waits for the first pod of a workload, or for its controller's word on why there is none.
func (t *Trial) pods(ctx context.Context, made *Scene) Answer {
	answer := problem("within %s, neither a pod came nor a word on why there is none: are the controllers of workloads running?", podsWithin)
	err := wait.PollUntilContextTimeout(ctx, podsEvery, podsWithin, true, func(ctx context.Context) (bool, error) {
		var pods corev1.PodList
		if problem := t.read(ctx, made, "pods", &pods); problem != "" && ctx.Err() == nil {
			answer = Answer{Problem: problem}
			return true, nil
		}
		app := generateName + made.Case
		for i := range pods.Items {
			if pods.Items[i].Labels["app"] == app {
				answer = Answer{Allowed: true}
				return true, nil
			}
		}
		var events corev1.EventList
		if problem := t.read(ctx, made, "events", &events); problem != "" && ctx.Err() == nil {
			answer = Answer{Problem: problem}
			return true, nil
		}
		for i := range events.Items {
			if e := &events.Items[i]; e.Reason == "FailedCreate" && belongs(e.InvolvedObject.Name, targetName(*made)) {
				answer = failedCreate(e.Message, made.Subject)
				return true, nil
			}
		}
		return false, nil
	})
	if err != nil && ctx.Err() != nil {
		return problem("broken off before a pod came, or a word on why there is none: %v", context.Cause(ctx))
	}
	return answer
}

// belongs says whether an object is the workload itself or one that its controller made for it.
func belongs(name, workload string) bool {
	return name == workload || strings.HasPrefix(name, workload+"-")
}

// failedCreate reads the API server's refusal out of the event in which a controller reports it.
func failedCreate(message string, subject Subject) Answer {
	_, said, found := strings.Cut(message, " is forbidden: ")
	if !found {
		return problem("the controller reports what is no refusal: %s", message)
	}
	return forbidden(said, subject)
}

// read lists, as the subject, what is in the Space: the mark and the names tell what is the attack's own.
func (t *Trial) read(ctx context.Context, made *Scene, resource string, into any) (why string) {
	request := &Request{Verb: "list", Version: "v1", Namespace: made.Namespace(), Resource: resource}
	if resource == "pods" {
		request.Selector = labelAttack + "=" + t.runner.Run
	} else {
		request.Fields = "reason=FailedCreate"
	}
	answer, object := t.runner.server.send(ctx, &made.Subject, request, false)
	if !answer.Allowed {
		return fmt.Sprintf("see what becomes of the pods: list %s: %s", resource, answer)
	}
	if err := decode(object, into); err != nil {
		return err.Error()
	}
	return ""
}

// harmlessTarget is the request that makes an object of a kind, such as a tenant's developer makes every day.
func harmlessTarget(scene Scene, resource string) (*Request, error) {
	kinds := workloads()
	if i := slices.IndexFunc(kinds, func(w workload) bool { return w.resource == resource }); i >= 0 {
		object, err := kinds[i].around(scene, unchanged, true)
		return &Request{Group: kinds[i].group, Version: "v1", Namespace: scene.Namespace(), Resource: resource, Body: object}, err
	}
	steps := map[string]Step{
		"services":        harmlessService,
		"networkpolicies": createNetworkPolicy("", withinSpace),
		"roles":           createRole("", mayReadPods),
	}
	step, known := steps[resource]
	if !known {
		return nil, fmt.Errorf("there is no harmless object of %s", resource)
	}
	ask, err := step.Ask(scene)
	return ask.DryRun, err
}

// swept are the resources that attacks make objects of, or would if the API server failed to honour a dry-run.
func swept() []Request {
	var all []Request
	for _, w := range slices.Backward(workloads()) { // pods go last: their owners would make them anew
		all = append(all, Request{Group: w.group, Resource: w.resource})
	}
	for _, plural := range []string{"services", "configmaps", "secrets", "persistentvolumeclaims", "serviceaccounts"} {
		all = append(all, Request{Resource: plural})
	}
	return append(all,
		Request{Group: networkingv1.GroupName, Resource: "networkpolicies"}, Request{Group: networkingv1.GroupName, Resource: "ingresses"},
		Request{Group: rbacv1.GroupName, Resource: "rolebindings"}, Request{Group: rbacv1.GroupName, Resource: "roles"},
		Request{Group: "coordination.k8s.io", Resource: "leases"}, Request{Group: "policy", Resource: "poddisruptionbudgets"},
		Request{Group: "autoscaling", Resource: "horizontalpodautoscalers"})
}
