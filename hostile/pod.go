package hostile

import (
	"errors"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
)

// podChange is the single point in which a pod differs from the harmless one.
type podChange = func(Scene, *corev1.Pod) error

func unchanged(Scene, *corev1.Pod) error { return nil }

func specChange(change func(*corev1.PodSpec)) podChange {
	return func(_ Scene, pod *corev1.Pod) error { change(&pod.Spec); return nil }
}

// otherImage is a change that is as harmless as what it changes.
func otherImage(_ Scene, pod *corev1.Pod) error {
	pod.Spec.Containers[0].Image += "-too"
	return nil
}

// compliantPod is the harmless twin of every case by a pod: what a tenant's developer makes all day.
var compliantPod = createPod("create a compliant pod", unchanged)

func createPod(title string, change podChange) Step {
	return Step{Title: title, Ask: func(s Scene) (Ask, error) {
		pod, err := Pod(s)
		if err != nil {
			return Ask{}, err
		}
		if err := change(s, pod); err != nil {
			return Ask{}, err
		}
		return Ask{DryRun: &Request{Version: "v1", Namespace: s.Namespace(), Resource: "pods", Body: pod}}, nil
	}}
}

// byPod is a case by a pod that differs from the compliant one in a single point.
func byPod(id, control, title string, change podChange, refusal Refusal) Case {
	return ownObject(id, control, title, compliantPod, createPod("create a pod that "+title, change), refusal)
}

// completedPod is a pod that admission accepts and completes. safe is why it is harmless then; empty when it is not.
func completedPod(title string, change podChange, safe func(*corev1.Pod) string) Step {
	return judgedPod(createPod(title, change), safe)
}

// judgedPod is a step whose answer is what admission made of the pod.
func judgedPod(step Step, safe func(*corev1.Pod) string) Step {
	return Step{Title: step.Title, On: step.On, Ask: func(s Scene) (Ask, error) {
		ask, err := step.Ask(s)
		if err != nil {
			return Ask{}, err
		}
		ask.DryRun.Judge = func(r Reply) Answer {
			var pod corev1.Pod
			if err := decode(r.Object, &pod); err != nil {
				return Unclear("%v", err)
			}
			if says := safe(&pod); says != "" {
				return Answer{Refusal: Refusal{By: mutation, Says: says}}
			}
			return Answer{Allowed: true}
		}
		return ask, nil
	}}
}

// patchPod changes a pod that the case made.
func patchPod(title string, change podChange) Step {
	return Step{Title: title, On: "pods", Ask: func(s Scene) (Ask, error) {
		pod, err := Pod(s)
		if err != nil {
			return Ask{}, err
		}
		var live corev1.Pod
		if err := decode(s.Target, &live); err != nil {
			return Ask{}, err
		}
		if len(live.Spec.Containers) == 0 {
			return Ask{}, errors.New("the pod that was made for it has no container")
		}
		pod.Spec.Tolerations = live.Spec.Tolerations
		if err := change(s, pod); err != nil {
			return Ask{}, err
		}
		live.Spec.Containers[0].Image, live.Spec.Tolerations = pod.Spec.Containers[0].Image, pod.Spec.Tolerations
		return Ask{DryRun: &Request{Verb: "patch", Version: "v1", Namespace: s.Namespace(), Resource: "pods", Name: targetName(s),
			Body: map[string]any{"spec": map[string]any{"containers": live.Spec.Containers, "tolerations": live.Spec.Tolerations}}}}, nil
	}}
}

// changedPod is a case by a change of what the API lets change in a pod that exists.
func changedPod(id, control, title string, change podChange, refusal Refusal) Case {
	return ownObject(id+"-by-patch-of-pods", control, title, patchPod("change the image of a pod", otherImage), patchPod(title, change), refusal)
}

// PodCase is a point of a pod spec that admission judges: Bulkhead's own policies in pods and in all that makes pods, Pod Security in
// pods alone.
type PodCase struct {
	// ID, Control and Title are those of the case by a pod; the other cases have the kind behind it.
	ID, Control, Title string
	// Change brings it into the harmless pod.
	Change func(Scene, *corev1.Pod) error
	// Refusal is by the policy or by Pod Security, in its words.
	Refusal Refusal
	// Applies reports whether the control is in force in a scene; nil of one that Bulkhead's policies judge means wherever it is not waived,
	// and of Pod Security's everywhere.
	Applies func(Scene) bool

	// behind is who refuses it where the refusal's authority does not; mostly empty.
	behind Refusal
	// variant is true of what differs from another in what it names only: one kind is enough to try it on a live cluster.
	variant bool
}

// PodCases are all points of a pod spec that admission refuses: Pod Security or Bulkhead's policies.
func PodCases() []PodCase { return slices.Concat(hostPods(), policyPods()) }

// policyPods are those that Bulkhead's policies refuse.
func policyPods() []PodCase {
	all := slices.Concat(imagePods(), priorityPods(), schedulingPods(), nodePods(), volumePods(), tokenPods(), boundedPods(), profilePods())
	for i := range all {
		if all[i].Applies == nil {
			all[i].Applies = InForce(all[i].Control)
		}
	}
	return all
}

// templateCases try every point of a pod spec in every kind of workload, when it is created and when it is changed.
func templateCases() []Case {
	var cases []Case
	changed := map[string]bool{}
	for _, c := range policyPods() {
		cases = append(cases, c.of("", c.Title, compliantPod, createPod("create a pod that "+c.Title, c.Change)))
		if c.variant {
			continue
		}
		for _, w := range Workloads()[1:] {
			title := "makes a " + w.Kind + " whose pod " + c.Title
			cases = append(cases, c.of("-in-"+w.Resource, title, createWorkload("create a compliant "+w.Kind, w, unchanged), createWorkload(title, w, c.Change)))
		}
		// What a policy answers to a change does not differ from field to field: one of each policy is changed in every way.
		if !changed[c.Refusal.Name] {
			changed[c.Refusal.Name] = true
			cases = append(cases, c.changes()...)
		}
	}
	return cases
}

func (c *PodCase) of(suffix, title string, twin, attempt Step) Case {
	return Case{ID: c.Control + "/" + c.ID + suffix, Control: c.Control, Title: title, By: Owners, EachSpace: true, Applies: c.Applies,
		Twin: twin, Attempt: attempt, Refusal: c.Refusal}
}

// changes bring the point into a harmless workload that exists already. Pods and Jobs are left out: of a pod, the API
// lets only images and tolerations change (changedPod), and of a Job's template nothing.
func (c *PodCase) changes() []Case {
	var cases []Case
	for _, w := range Workloads() {
		if w.Resource == "pods" || w.Resource == "jobs" {
			continue
		}
		for _, way := range []string{"update", "patch", "apply"} {
			title := fmt.Sprintf("turns a %s by %s into one whose pod %s", w.Kind, way, c.Title)
			cases = append(cases, c.of("-by-"+way+"-of-"+w.Resource, title,
				changeWorkload(fmt.Sprintf("change the image of a %s by %s", w.Kind, way), w, way, otherImage), changeWorkload(title, w, way, c.Change)))
		}
	}
	return cases
}
