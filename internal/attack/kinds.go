package attack

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// workload is a kind of object that holds a pod spec.
type workload struct{ group, kind, resource string }

// workloads are all kinds of Kubernetes that hold a pod spec, pods first.
func workloads() []workload {
	return []workload{
		{"", "Pod", "pods"},
		{"", "PodTemplate", "podtemplates"},
		{"", "ReplicationController", "replicationcontrollers"},
		{"apps", "DaemonSet", "daemonsets"},
		{"apps", "Deployment", "deployments"},
		{"apps", "ReplicaSet", "replicasets"},
		{"apps", "StatefulSet", "statefulsets"},
		{"batch", "CronJob", "cronjobs"},
		{"batch", "Job", "jobs"},
	}
}

func workloadOf(resource string) workload {
	all := workloads()
	return all[slices.IndexFunc(all, func(w workload) bool { return w.resource == resource })]
}

func (w workload) apiVersion() string {
	if w.group == "" {
		return "v1"
	}
	return w.group + "/v1"
}

// gate keeps a pod from ever being scheduled: what the attacks make for real never runs anywhere.
const gate = "bulkhead.dev/attack"

// object is the workload around a pod. Idle ones ask for no pod; the others ask for one, which the gate keeps from running.
func (w workload) object(s Scene, pod *corev1.Pod, idle bool) (map[string]any, error) {
	pod = pod.DeepCopy()
	pod.Spec.SchedulingGates = []corev1.PodSchedulingGate{{Name: gate}}
	name := strings.TrimSuffix(generateName+s.Case, "-") // there is no case in a proof, which makes nothing
	labels := map[string]string{"app": name, labelAttack: mark(s)}
	if slices.Contains([]string{"jobs", "cronjobs"}, w.resource) {
		pod.Spec.RestartPolicy = corev1.RestartPolicyNever
	}
	if w.resource == "daemonsets" {
		if err := aimDaemon(s, pod, idle); err != nil {
			return nil, err
		}
	}
	template := corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: pod.Spec}
	object, replicas := map[string]any{}, 1
	if idle {
		replicas = 0
	}
	switch w.resource {
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
	object["apiVersion"], object["kind"] = w.apiVersion(), w.kind
	object["metadata"] = metav1.ObjectMeta{GenerateName: generateName, Namespace: s.Namespace(), Labels: labels}
	return plain(object)
}

func selects(app string) map[string]any {
	return map[string]any{"matchLabels": map[string]string{"app": app}}
}

// aimDaemon has a DaemonSet ask for a pod on one node at most: on a large cluster one for each would be a flood.
func aimDaemon(s Scene, pod *corev1.Pod, idle bool) error {
	node := "nowhere"
	if !idle {
		if s.Seen == nil || s.Seen.Node == "" {
			return errors.New("no node is known that a DaemonSet could be tried on")
		}
		node = s.Seen.Node
	}
	if pod.Spec.NodeSelector == nil {
		pod.Spec.NodeSelector = map[string]string{}
	}
	pod.Spec.NodeSelector[corev1.LabelHostname] = node
	return nil
}

// plain is an object as JSON would give it back.
func plain(object any) (map[string]any, error) {
	raw, err := json.Marshal(object)
	if err != nil {
		return nil, fmt.Errorf("encode an object: %w", err)
	}
	var decoded map[string]any
	err = json.Unmarshal(raw, &decoded)
	return decoded, err
}

// podSpecIn finds the pod spec in an object of a kind of workloads.
func (w workload) podSpecIn(object map[string]any) (map[string]any, error) {
	path := []string{"spec", "template", "spec"}
	switch w.resource {
	case "pods":
		path = []string{"spec"}
	case "podtemplates":
		path = []string{"template", "spec"}
	case "cronjobs":
		path = []string{"spec", "jobTemplate", "spec", "template", "spec"}
	}
	at := object
	for _, key := range path {
		next, ok := at[key].(map[string]any)
		if !ok {
			return nil, fmt.Errorf("the %s has no %s", w.kind, key)
		}
		at = next
	}
	return at, nil
}

// decode reads an object as JSON gave it back into a type of Kubernetes'.
func decode(object map[string]any, into any) error {
	raw, err := json.Marshal(object)
	if err != nil {
		return fmt.Errorf("encode an object: %w", err)
	}
	if err := json.Unmarshal(raw, into); err != nil {
		return fmt.Errorf("read an object: %w", err)
	}
	return nil
}
