package observe

import (
	"errors"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/bulkhead-dev/bulkhead/internal/kubedefaults"
	"github.com/bulkhead-dev/bulkhead/snapshot"
)

// Workload is an object that makes pods, or makes what makes them.
type Workload struct {
	metav1.ObjectMeta

	Kind     string
	Template corev1.PodTemplateSpec
}

func (w *Workload) ref() snapshot.Ref { return snapshot.RefOf(w.Kind, w) }

// addWorkloadKinds adds what is, or stands for, pods. Of a workload, only its template is read.
func addWorkloadKinds(add func(group, name string, k Kind)) {
	add("", "Pod", Kind{Versions: []string{"v1"}, Namespaced: true, Missing: "Pod", Decode: decodePod, Put: func(c *Contents, object any) {
		if pod, is := object.(*corev1.Pod); is {
			c.pods = append(c.pods, pod)
		}
	}})
	for _, w := range []struct {
		group, name string
		path        []string
	}{
		{"apps", "Deployment", []string{"spec", "template"}},
		{"apps", "StatefulSet", []string{"spec", "template"}},
		{"apps", "DaemonSet", []string{"spec", "template"}},
		{"apps", "ReplicaSet", []string{"spec", "template"}},
		{"", "ReplicationController", []string{"spec", "template"}},
		{"batch", "Job", []string{"spec", "template"}},
		{"batch", "CronJob", []string{"spec", "jobTemplate", "spec", "template"}},
	} {
		add(w.group, w.name, Kind{Versions: []string{"v1"}, Namespaced: true, Missing: "Pod",
			Decode: func(value map[string]any) (metav1.Object, error) { return decodeWorkload(w.name, value, w.path) },
			Put: func(c *Contents, object any) {
				if made, is := object.(*Workload); is {
					c.workloads = append(c.workloads, made)
				}
			}})
	}
}

func decodePod(value map[string]any) (metav1.Object, error) {
	if status, is := value["status"].(map[string]any); is { // large, and hardly any of it is read
		value["status"] = map[string]any{"phase": status["phase"], "podIP": status["podIP"], "podIPs": status["podIPs"]}
	}
	pod := &corev1.Pod{}
	err := strict(value, pod)
	complete(pod)
	return pod, err
}

var errNoTemplate = errors.New("it has no template for its pods")

// decodeWorkload moves the template out of value.
func decodeWorkload(kind string, value map[string]any, path []string) (metav1.Object, error) {
	w := &Workload{Kind: kind}
	if err := strictPart(value["metadata"], &w.ObjectMeta); err != nil && !isUnknownFields(err) {
		return nil, fmt.Errorf("metadata: %w", err)
	}
	template, found, err := unstructured.NestedFieldNoCopy(value, path...)
	if err != nil || !found || template == nil {
		return nil, errNoTemplate
	}
	err = strictPart(template, &w.Template)
	var unknown *UnknownFieldsError
	if errors.As(err, &unknown) {
		for i, field := range unknown.Paths {
			unknown.Paths[i] = strings.Join(path, ".") + "." + field
		}
	} else if err != nil {
		return nil, err
	}
	unstructured.RemoveNestedField(value, path...)
	w.complete()
	return w, err
}

func workloadOf(kind string, meta *metav1.ObjectMeta, template *corev1.PodTemplateSpec) (metav1.Object, error) {
	if template == nil {
		return nil, errNoTemplate
	}
	w := &Workload{*meta, kind, *template}
	w.complete()
	return w, nil
}

// complete makes the template what the workload's controller creates.
func (w *Workload) complete() {
	pod := corev1.Pod{Spec: w.Template.Spec}
	complete(&pod)
	w.Template.Spec = pod.Spec
}

func isUnknownFields(err error) bool {
	var unknown *UnknownFieldsError
	return errors.As(err, &unknown)
}

var errNotAMap = errors.New("not a map")

func strictPart(value, typed any) error {
	fields, isMap := value.(map[string]any)
	if value != nil && !isMap {
		return errNotAMap
	}
	return strict(fields, typed)
}

// standIns adds a pod for each workload none of whose pods is there: in files it stands for pods to come, on a cluster it is
// idle, since Pod Security may well refuse them. A workload that another one made (a ReplicaSet of a
// Deployment, a Job of a CronJob) is left to that one if it is there too.
func (c *Contents) standIns() {
	has := c.withPods()
	names := make(map[string]bool, len(c.pods))
	for _, pod := range c.pods {
		c.Pods = append(c.Pods, podOf(pod))
		names[pod.Namespace+"/"+pod.Name] = true
	}
	present := make(map[snapshot.Ref]bool, len(c.workloads))
	for _, w := range c.workloads {
		present[w.ref()] = true
	}
	for _, w := range c.workloads {
		owner := controllerOf(w, w.Namespace)
		if has[w.ref()] || present[owner] {
			continue
		}
		top := snapshot.Owner{Kind: w.Kind, Name: w.Name}
		if owner != (snapshot.Ref{}) {
			top = snapshot.Owner{Kind: owner.Kind, Name: owner.Name}
		}
		pod := snapshot.PodOfTemplate(w.Namespace, top, &w.Template)
		pod.Name = w.Name
		if names[w.Namespace+"/"+pod.Name] { // a Deployment and a Job may have the same name; pods may not
			pod.Name += "." + strings.ToLower(w.Kind)
		}
		pod.Idle = !c.Offline
		names[w.Namespace+"/"+pod.Name] = true
		c.Pods = append(c.Pods, pod)
	}
}

// withPods are the workloads whose pods are there, and those that made such workloads.
func (c *Contents) withPods() map[snapshot.Ref]bool {
	has := map[snapshot.Ref]bool{}
	for _, pod := range c.pods {
		if owner := controllerOf(pod, pod.Namespace); owner != (snapshot.Ref{}) {
			has[owner] = true
		}
	}
	for range 2 { // Pod, ReplicaSet, Deployment: no chain is longer
		for _, w := range c.workloads {
			if owner := controllerOf(w, w.Namespace); owner != (snapshot.Ref{}) && has[w.ref()] {
				has[owner] = true
			}
		}
	}
	return has
}

func controllerOf(object metav1.Object, namespace string) snapshot.Ref {
	if owner := metav1.GetControllerOfNoCopy(object); owner != nil {
		return snapshot.Ref{Kind: owner.Kind, Namespace: namespace, Name: owner.Name}
	}
	return snapshot.Ref{}
}

// podOf is a pod with the workload that people know it by: the Deployment and not its ReplicaSet, whose name is the
// Deployment's and a hash that the pod bears as a label.
func podOf(pod *corev1.Pod) *snapshot.Pod {
	p := snapshot.PodOf(pod)
	hash := pod.Labels["pod-template-hash"]
	if name, cut := strings.CutSuffix(p.Owner.Name, "-"+hash); cut && hash != "" && p.Owner.Kind == "ReplicaSet" {
		p.Owner = snapshot.Owner{Kind: "Deployment", Name: name}
	}
	return p
}

// complete sets what the API server and its ServiceAccount admission set in a pod.
func complete(pod *corev1.Pod) {
	kubedefaults.Set(pod)
	if pod.Spec.ServiceAccountName == "" {
		pod.Spec.ServiceAccountName, pod.Spec.DeprecatedServiceAccount = "default", "default"
	}
}
