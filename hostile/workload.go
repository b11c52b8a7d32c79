package hostile

import (
	corev1 "k8s.io/api/core/v1"

	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/snapshot"
)

// Workload is a kind of object that holds a pod spec.
type Workload struct{ Group, Kind, Resource string }

// Workloads are all kinds of Kubernetes that hold a pod spec, pods first.
func Workloads() []Workload {
	kinds := snapshot.Workloads()
	all := make([]Workload, len(kinds))
	for i, k := range kinds {
		all[i] = Workload{k.Group, k.Name, k.Resource}
	}
	return all
}

func workloadOf(resource string) Workload {
	all := Workloads()
	return all[slices.IndexFunc(all, func(w Workload) bool { return w.Resource == resource })]
}

// String names the kind as RBAC does, with its group.
func (w Workload) String() string {
	if w.Group == "" {
		return w.Resource
	}
	return w.Resource + "." + w.Group
}

func (w Workload) apiVersion() string {
	if w.Group == "" {
		return "v1"
	}
	return w.Group + "/v1"
}

// object is the workload around a pod. Idle ones ask for no pod; the others ask for one, which a scheduling gate keeps from
// running: what cases make for real never runs anywhere.
func (w Workload) object(s Scene, pod *corev1.Pod, idle bool) (map[string]any, error) {
	pod = pod.DeepCopy()
	pod.Spec.SchedulingGates = []corev1.PodSchedulingGate{{Name: v1alpha1.LabelAttack}}
	name := strings.TrimSuffix(v1alpha1.AttackPrefix+s.Making, "-") // there is no case in a proof, which makes nothing
	labels := map[string]string{"app": name, v1alpha1.LabelAttack: mark(s)}
	if slices.Contains([]string{"jobs", "cronjobs"}, w.Resource) {
		pod.Spec.RestartPolicy = corev1.RestartPolicyNever
	}
	if w.Resource == "daemonsets" {
		if err := aimDaemon(s, pod, idle); err != nil {
			return nil, err
		}
	}
	template := corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: pod.Spec}
	object, replicas := map[string]any{}, 1
	if idle {
		replicas = 0
	}
	switch w.Resource {
	case "pods":
		object["spec"] = pod.Spec
	case "podtemplates":
		object["template"] = template
	case "replicationcontrollers":
		object["spec"] = map[string]any{"replicas": replicas, "selector": map[string]string{"app": name}, "template": template}
	case "deployments", "replicasets", "statefulsets":
		object["spec"] = map[string]any{"replicas": replicas, "selector": selects(name), "template": template}
	case "daemonsets":
		object["spec"] = map[string]any{"selector": selects(name), "template": template}
	case "jobs":
		object["spec"] = map[string]any{"suspend": idle, "backoffLimit": 0, "template": template}
	case "cronjobs":
		object["spec"] = map[string]any{"schedule": "0 0 1 1 *", "suspend": true,
			"jobTemplate": map[string]any{"spec": map[string]any{"template": template}}}
	}
	object["apiVersion"], object["kind"] = w.apiVersion(), w.Kind
	object["metadata"] = metav1.ObjectMeta{GenerateName: v1alpha1.AttackPrefix, Namespace: s.Namespace(), Labels: labels}
	return plain(object)
}

func selects(app string) map[string]any {
	return map[string]any{"matchLabels": map[string]string{"app": app}}
}

// aimDaemon has a DaemonSet ask for a pod on one node at most: on a large cluster one for each would be a flood.
func aimDaemon(s Scene, pod *corev1.Pod, idle bool) error {
	node := "nowhere"
	if !idle {
		if s.Facts == nil || s.Facts.Node == "" {
			return errors.New("no node is known that a DaemonSet could be tried on")
		}
		node = s.Facts.Node
	}
	if pod.Spec.NodeSelector == nil {
		pod.Spec.NodeSelector = map[string]string{}
	}
	pod.Spec.NodeSelector[corev1.LabelHostname] = node
	return nil
}

// Around is the workload around the harmless pod with a change. Idle ones ask for no pod.
func (w Workload) Around(s Scene, change func(Scene, *corev1.Pod) error, idle bool) (map[string]any, error) {
	pod, err := Pod(s)
	if err != nil {
		return nil, err
	}
	if err := change(s, pod); err != nil {
		return nil, err
	}
	return w.object(s, pod, idle)
}

// PodSpecIn finds the pod spec in an object of the kind.
func (w Workload) PodSpecIn(object map[string]any) (map[string]any, error) {
	kind, _ := snapshot.KindOf(w.Group, w.Resource)
	at := object
	for _, key := range kind.PodSpec {
		next, ok := at[key].(map[string]any)
		if !ok {
			return nil, fmt.Errorf("the %s has no %s", w.Kind, key)
		}
		at = next
	}
	return at, nil
}

// createWorkload makes an idle workload around a pod.
func createWorkload(title string, w Workload, change podChange) Step {
	return Step{Title: title, Ask: func(s Scene) (Ask, error) {
		object, err := w.Around(s, change, true)
		if err != nil {
			return Ask{}, err
		}
		return Ask{DryRun: &Request{Group: w.Group, Version: "v1", Namespace: s.Namespace(), Resource: w.Resource, Body: object}}, nil
	}}
}

// changeWorkload changes a workload that the case made, harmless, before.
func changeWorkload(title string, w Workload, way string, change podChange) Step {
	return Step{Title: title, On: w.Resource, Ask: func(s Scene) (Ask, error) {
		object, err := w.Around(s, change, true)
		if err != nil {
			return Ask{}, err
		}
		wanted, err := w.PodSpecIn(object)
		if err != nil {
			return Ask{}, err
		}
		whole, err := plain(s.Target)
		if err != nil {
			return Ask{}, err
		}
		there, err := w.PodSpecIn(whole)
		if err != nil {
			return Ask{}, err
		}
		for _, fixed := range []string{"nodeSelector", "schedulingGates"} { // as they were, unless the change is about them
			if there[fixed] != nil && wanted[fixed] == nil {
				wanted[fixed] = there[fixed]
			}
		}
		maps.Copy(there, wanted)
		request := &Request{Verb: way, Group: w.Group, Version: "v1", Namespace: s.Namespace(), Resource: w.Resource, Name: targetName(s), Body: whole}
		if metadata, ok := whole["metadata"].(map[string]any); ok {
			delete(metadata, "resourceVersion") // its controller may have written to it
			if way == "apply" {
				delete(metadata, "managedFields")
			}
		}
		return Ask{DryRun: request}, nil
	}}
}

// runWorkload makes a workload for real and answers with what becomes of its pod.
func runWorkload(title string, w Workload, change podChange, byScale bool) Step {
	return Step{Title: title, Ask: func(s Scene) (Ask, error) {
		object, err := w.Around(s, change, byScale)
		if err != nil {
			return Ask{}, err
		}
		made := &Real{Pods: true, Request: Request{Group: w.Group, Version: "v1", Namespace: s.Namespace(), Resource: w.Resource, Body: object}}
		if byScale {
			made.Then = &Request{Verb: "patch", Group: w.Group, Version: "v1", Namespace: s.Namespace(), Resource: w.Resource, Subresource: "scale",
				Body: map[string]any{"spec": map[string]any{"replicas": 1}}}
		}
		return Ask{Real: made}, nil
	}}
}
