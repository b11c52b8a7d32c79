package engine

import (
	"context"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/hostile"
)

const (
	// podsWithin is how long a controller may take to make a pod, or to say why it cannot.
	podsWithin = time.Minute
	podsEvery  = 200 * time.Millisecond
	// seenWithin is how long the API server may take to see, by its own watch, what it has stored.
	seenWithin = 5 * time.Second
)

// real carries a request out. It refuses to when it is neither a read nor the making of what bears the mark.
func (t *Trial) real(ctx context.Context, scene *hostile.Scene, r *hostile.Real) hostile.Answer {
	if !r.Request.Reads() && !r.Request.Creates() {
		return hostile.Unclear("the attack would change what is not its own: %s", &r.Request)
	}
	if r.Watched {
		_ = wait.PollUntilContextTimeout(ctx, podsEvery, seenWithin, true, func(ctx context.Context) (bool, error) {
			answer, _ := t.Runner.Server.Send(ctx, &scene.Subject, &r.Request, true)
			return !answer.Allowed, nil
		}) // where it stays allowed, so is the request below
	}
	answer, object := t.Runner.Server.Send(ctx, &scene.Subject, &r.Request, false)
	if !answer.Allowed || object == nil || r.Request.Reads() {
		return answer
	}
	defer t.remove(ctx, &scene.Subject, &r.Request, object)
	made := *scene
	made.Target = object
	if r.Then != nil {
		then := *r.Then
		then.Name = MetadataOf(object).GetName()
		if answer, _ = t.Runner.Server.Send(ctx, &scene.Subject, &then, false); !answer.Allowed {
			return answer
		}
	}
	if r.Pods {
		answer = t.pods(ctx, &made)
	}
	return answer
}

// pods waits for the first pod of a workload, or for its controller's word on why there is none.
func (t *Trial) pods(ctx context.Context, made *hostile.Scene) hostile.Answer {
	answer := hostile.Unclear("within %s, neither a pod came nor a word on why there is none: are the controllers of workloads running?", podsWithin)
	err := wait.PollUntilContextTimeout(ctx, podsEvery, podsWithin, true, func(ctx context.Context) (bool, error) {
		var pods corev1.PodList
		if problem := t.read(ctx, made, "pods", &pods); problem != "" && ctx.Err() == nil {
			answer = hostile.Answer{Problem: problem}
			return true, nil
		}
		app := v1alpha1.AttackPrefix + made.Making
		for i := range pods.Items {
			if pods.Items[i].Labels["app"] == app {
				answer = hostile.Answer{Allowed: true}
				return true, nil
			}
		}
		var events corev1.EventList
		if problem := t.read(ctx, made, "events", &events); problem != "" && ctx.Err() == nil {
			answer = hostile.Answer{Problem: problem}
			return true, nil
		}
		for i := range events.Items {
			if e := &events.Items[i]; e.Reason == "FailedCreate" && belongs(e.InvolvedObject.Name, MetadataOf(made.Target).GetName()) {
				answer = failedCreate(e.Message, made.Subject)
				return true, nil
			}
		}
		return false, nil
	})
	if err != nil && ctx.Err() != nil {
		return hostile.Unclear("broken off before a pod came, or a word on why there is none: %v", context.Cause(ctx))
	}
	return answer
}

// belongs reports whether an object is the workload itself or one that its controller made for it.
func belongs(name, workload string) bool {
	return name == workload || strings.HasPrefix(name, workload+"-")
}

// failedCreate reads the API server's refusal out of the event in which a controller reports it.
func failedCreate(message string, subject hostile.Subject) hostile.Answer {
	_, said, found := strings.Cut(message, " is forbidden: ")
	if !found {
		return hostile.Unclear("the controller reports what is no refusal: %s", message)
	}
	return forbidden(said, subject)
}

// read lists, as the subject, what is in the Space: the mark and the names show what is the run's own.
func (t *Trial) read(ctx context.Context, made *hostile.Scene, resource string, into any) (why string) {
	request := &hostile.Request{Verb: "list", Version: "v1", Namespace: made.Namespace(), Resource: resource}
	if resource == "pods" {
		request.Selector = v1alpha1.LabelAttack + "=" + t.Runner.Run
	} else {
		request.Fields = "reason=FailedCreate"
	}
	answer, object := t.Runner.Server.Send(ctx, &made.Subject, request, false)
	if !answer.Allowed {
		return fmt.Sprintf("see what becomes of the pods: list %s: %s", resource, answer)
	}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object, into); err != nil {
		return fmt.Sprintf("see what becomes of the pods: read %s: %v", resource, err)
	}
	return ""
}
