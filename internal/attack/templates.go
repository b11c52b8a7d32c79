package attack

import (
	"errors"
	"fmt"
	"maps"

	corev1 "k8s.io/api/core/v1"
)

// templateAttacks try every case of a pod spec in every kind of workload, when it is created and when it is changed.
func templateAttacks() []Attack {
	var attacks []Attack
	changed := map[string]bool{}
	for _, c := range templateCases() {
		for _, w := range workloads() {
			attacks = append(attacks, c.creation(w))
		}
		// What a policy says of a change does not differ from field to field: one of each policy is changed in every way.
		if !changed[c.policy] {
			changed[c.policy] = true
			attacks = append(attacks, c.changes()...)
		}
	}
	return attacks
}

func (c *templateCase) attack(suffix, title string, positive, attempt Step) Attack {
	applies := c.applies
	if applies == nil {
		applies = inForce(c.control)
	}
	return Attack{ID: c.control + "/" + c.id + suffix, Control: c.control, Title: title, By: Owners, EachSpace: true, Applies: applies,
		PositiveControl: positive, Attempt: attempt, Refusal: byPolicy(c.policy)}
}

func (c *templateCase) creation(w workload) Attack {
	if w.resource == "pods" {
		return c.attack("", c.title, compliantPod, createPod("create a pod that "+c.title, c.change))
	}
	title := "makes a " + w.kind + " whose pod " + c.title
	return c.attack("-in-"+w.resource, title, createWorkload("create a compliant "+w.kind, w, unchanged), createWorkload(title, w, c.change))
}

// createWorkload makes an idle workload around a pod.
func createWorkload(title string, w workload, change podChange) Step {
	return Step{Title: title, Ask: func(s Scene) (Ask, error) {
		object, err := w.around(s, change, true)
		if err != nil {
			return Ask{}, err
		}
		return Ask{DryRun: &Request{Group: w.group, Version: "v1", Namespace: s.Namespace(), Resource: w.resource, Body: object}}, nil
	}}
}

// around is the workload around the harmless pod with a change.
func (w workload) around(s Scene, change podChange, idle bool) (map[string]any, error) {
	pod, err := harmlessPod(s)
	if err != nil {
		return nil, err
	}
	if err := change(s, pod); err != nil {
		return nil, err
	}
	return w.object(s, pod, idle)
}

// ways to change what is there.
var ways = []string{"update", "patch", "apply"}

// changes are the case brought into a harmless workload that is there already. Pods and Jobs are left out: of a pod, the API
// lets only images and tolerations change (podChanges), and of a Job's template nothing.
func (c *templateCase) changes() []Attack {
	var attacks []Attack
	for _, w := range workloads() {
		if w.resource == "pods" || w.resource == "jobs" {
			continue
		}
		for _, way := range ways {
			title := fmt.Sprintf("by %s, turns a %s into one whose pod %s", way, w.kind, c.title)
			attacks = append(attacks, c.attack("-by-"+way+"-of-"+w.resource, title,
				changeWorkload(fmt.Sprintf("change the image of a %s by %s", w.kind, way), w, way, otherImage), changeWorkload(title, w, way, c.change)))
		}
	}
	return attacks
}

// otherImage is a change that is as harmless as what it changes.
func otherImage(_ Scene, pod *corev1.Pod) error {
	pod.Spec.Containers[0].Image += "-too"
	return nil
}

// changeWorkload changes a workload of the attack's own, that was harmless when it was made.
func changeWorkload(title string, w workload, way string, change podChange) Step {
	return Step{Title: title, On: w.resource, Ask: func(s Scene) (Ask, error) {
		object, err := w.around(s, change, true)
		if err != nil {
			return Ask{}, err
		}
		wanted, err := w.podSpecIn(object)
		if err != nil {
			return Ask{}, err
		}
		whole, err := plain(s.Target)
		if err != nil {
			return Ask{}, err
		}
		there, err := w.podSpecIn(whole)
		if err != nil {
			return Ask{}, err
		}
		for _, fixed := range []string{"nodeSelector", "schedulingGates"} { // as they were, unless the change is about them
			if there[fixed] != nil && wanted[fixed] == nil {
				wanted[fixed] = there[fixed]
			}
		}
		maps.Copy(there, wanted)
		request := &Request{Verb: way, Group: w.group, Version: "v1", Namespace: s.Namespace(), Resource: w.resource, Name: targetName(s), Body: whole}
		if metadata, ok := whole["metadata"].(map[string]any); ok {
			delete(metadata, "resourceVersion") // whatever its controller wrote meanwhile
			if way == "apply" {
				delete(metadata, "managedFields")
			}
		}
		return Ask{DryRun: request}, nil
	}}
}

// podChanges are what the API lets change of a pod that is there.
func podChanges() []Attack {
	harmless := patchPod("change the image of a pod", otherImage)
	change := func(id, control, title string, to podChange) Attack {
		return Attack{ID: control + "/" + id + "-by-patch-of-pods", Control: control, Title: title, By: Owners, EachSpace: true, Applies: inForce(control),
			PositiveControl: harmless, Attempt: patchPod(title, to), Refusal: byPolicy(control)}
	}
	attacks := []Attack{
		change("foreign-registry", "images", "turns a running pod's image into one from a registry that is not allowed", foreignImage),
		change("tolerate-all", "node-affinity", "has a pod tolerate every taint afterwards", tolerateAll),
	}
	return append(attacks,
		ephemeralAttack("foreign-registry", "images", "adds an ephemeral container from a registry that is not allowed",
			func(c *corev1.Container) { c.Image = invalidImage }, byPolicy("images")))
}

// patchPod changes a pod of the attack's own.
func patchPod(title string, change podChange) Step {
	return Step{Title: title, On: "pods", Ask: func(s Scene) (Ask, error) {
		pod, err := harmlessPod(s)
		if err != nil {
			return Ask{}, err
		}
		there, err := podOf(s)
		if err != nil {
			return Ask{}, err
		}
		pod.Spec.Tolerations = there.Spec.Tolerations
		if err := change(s, pod); err != nil {
			return Ask{}, err
		}
		there.Spec.Containers[0].Image, there.Spec.Tolerations = pod.Spec.Containers[0].Image, pod.Spec.Tolerations
		return Ask{DryRun: &Request{Verb: "patch", Version: "v1", Namespace: s.Namespace(), Resource: "pods", Name: targetName(s),
			Body: map[string]any{"spec": map[string]any{"containers": there.Spec.Containers, "tolerations": there.Spec.Tolerations}}}}, nil
	}}
}

// targetName is the name of the object that the step acts on.
func targetName(s Scene) string {
	metadata, _ := s.Target["metadata"].(map[string]any)
	name, _ := metadata["name"].(string)
	return name
}

// podOf is the scene's target as a pod.
func podOf(s Scene) (*corev1.Pod, error) {
	var pod corev1.Pod
	if err := decode(s.Target, &pod); err != nil {
		return nil, err
	}
	if len(pod.Spec.Containers) == 0 {
		return nil, errors.New("the pod of the attack's own has no container")
	}
	return &pod, nil
}

// throughController is the attack that only the real path can show: Pod Security judges pods and not templates, so that a
// workload is let in and its pods are not. The API server must refuse its controller too.
func throughController() []Attack {
	var attacks []Attack
	for _, w := range workloads() {
		// A CronJob's Jobs are made at its time; their pods are made by the controller of Jobs, which is tried here.
		if w.resource == "pods" || w.resource == "podtemplates" || w.resource == "cronjobs" {
			continue
		}
		title := "has the controller of a " + w.kind + " make a privileged pod"
		attacks = append(attacks, Attack{ID: ControlPodSecurity + "/privileged-through-" + w.resource, Control: ControlPodSecurity, Title: title,
			By: Owners, EachSpace: true, PositiveControl: runWorkload("have a "+w.kind+" make a compliant pod", w, unchanged, false),
			Attempt: runWorkload(title, w, privileged, false), Refusal: Refusal{By: PodSecurity}})
	}
	deployment := workloadOf("deployments")
	return append(attacks, Attack{ID: "quota/by-scale", Control: "quota", Title: "scales a Deployment up beyond the Space's quota",
		By: Owners, EachSpace: true, PositiveControl: runWorkload("scale a Deployment up within the quota", deployment, unchanged, true),
		Attempt: runWorkload("scale a Deployment up beyond the quota", deployment, beyondQuota, true), Refusal: quotaRefuses})
}

// runWorkload makes a workload for real and answers with what becomes of its pod.
func runWorkload(title string, w workload, change podChange, byScale bool) Step {
	return Step{Title: title, Ask: func(s Scene) (Ask, error) {
		object, err := w.around(s, change, byScale)
		if err != nil {
			return Ask{}, err
		}
		made := &Real{Pods: true, Request: Request{Group: w.group, Version: "v1", Namespace: s.Namespace(), Resource: w.resource, Body: object}}
		if byScale {
			made.Then = &Request{Verb: "patch", Group: w.group, Version: "v1", Namespace: s.Namespace(), Resource: w.resource, Subresource: "scale",
				Body: map[string]any{"spec": map[string]any{"replicas": 1}}}
		}
		return Ask{Real: made}, nil
	}}
}
