package charts_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
)

// shape is an application as its chart ships.
type shape struct {
	name string
	// callsAPI: its workload is declared with an identity at the API server.
	callsAPI bool
	// refused are the objects that a Space refuses as they ship, with a part of the refusal; values are the chart's that the refusals
	// lead to, and instead what they make of each of these objects: nil where the chart leaves it out then.
	refused map[string]string
	values  string
	instead map[string]func(map[string]any)
}

func shapes() []shape {
	gone := func(ids ...string) map[string]func(map[string]any) {
		without := map[string]func(map[string]any){}
		for _, id := range ids {
			without[id] = nil
		}
		return without
	}
	const lacks = "attempting to grant RBAC permissions not currently held"
	grafana := gone("ClusterRole/grafana-clusterrole", "ClusterRoleBinding/grafana-clusterrolebinding")
	grafana["Deployment/grafana"] = func(o map[string]any) {
		_ = unstructured.SetNestedField(o, false, "spec", "template", "spec", "automountServiceAccountToken")
	}
	// Owners write no events, and so give no one that right.
	argo := map[string]func(map[string]any){"Role/argo-role": func(o map[string]any) {
		rules, _, _ := unstructured.NestedSlice(o, "rules")
		o["rules"] = slices.DeleteFunc(rules, func(rule any) bool { return strings.Contains(fmt.Sprint(rule), "resources:[events]") })
	}}
	return []shape{
		{name: "web-cache"}, {name: "wordpress"}, {name: "postgresql"}, {name: "redis"}, {name: "rabbitmq"}, {name: "keycloak"}, {name: "n8n"}, {name: "shop"},
		{name: "grafana", values: "rbac.namespaced=true, automountServiceAccountToken=false", refused: map[string]string{
			"ClusterRole/grafana-clusterrole": `cannot patch resource "clusterroles"`, "ClusterRoleBinding/grafana-clusterrolebinding": `cannot patch resource "clusterrolebindings"`,
			"Deployment/grafana": "set automountServiceAccountToken: false"}, instead: grafana},
		{name: "loki", callsAPI: true, values: "rbac.namespaced=true", refused: map[string]string{
			"ClusterRole/loki-clusterrole": `cannot patch resource "clusterroles"`, "ClusterRoleBinding/loki-clusterrolebinding": `cannot patch resource "clusterrolebindings"`},
			instead: gone("ClusterRole/loki-clusterrole", "ClusterRoleBinding/loki-clusterrolebinding")},
		{name: "jenkins", callsAPI: true},
		{name: "argo-workflows", callsAPI: true, values: "a Role without events (controller.workflowEvents.enabled=false)", refused: map[string]string{
			"Role/argo-role": lacks + ":\n{APIGroups:[\"\"], Resources:[\"events\"], Verbs:[\"create\" \"patch\"]}", "RoleBinding/argo-binding": "not found"}, instead: argo},
	}
}

// Promise: twelve popular applications run in a Space in the shape in which their charts ship, or are refused in the objects that are
// named here and run after the values that lead round it.
func TestShapes(t *testing.T) {
	all := shapes()
	makeSpaces(t, all)
	unchanged := 0
	for _, s := range all {
		if len(s.refused) == 0 {
			unchanged++
		}
		t.Run(s.name, func(t *testing.T) { s.try(t) })
	}
	const fewest = 9
	if unchanged < fewest || len(all) != 12 {
		t.Errorf("%d of %d run unchanged; %d of 12 must", unchanged, len(all), fewest)
	}
}

func (s *shape) try(t *testing.T) {
	objects := read(t, filepath.Join("testdata", s.name+".yaml"))
	refused := map[string]string{}
	for _, o := range objects {
		if err := s.apply(t, o); err != nil {
			refused[id(o)] = err.Error()
		}
	}
	for o, says := range refused {
		if s.refused[o] == "" || !strings.Contains(says, s.refused[o]) {
			t.Errorf("%s is refused: %s", o, says)
		}
	}
	for o, says := range s.refused {
		if refused[o] == "" {
			t.Errorf("%s is not refused with %q", o, says)
		}
	}
	for _, o := range objects { // as a chart with other values, or the same once more
		change, changes := s.instead[id(o)]
		if changes && change == nil {
			continue
		}
		if changes {
			change(o.Object)
		}
		if err := s.apply(t, o); err != nil {
			t.Errorf("with %s, applied again, %s is refused: %v", s.values, id(o), err)
		}
	}
	if !t.Failed() {
		s.awaitPods(t, objects)
	}
}

// apply has the owner apply an object, as Helm and GitOps tools do.
func (s *shape) apply(t *testing.T, o *unstructured.Unstructured) error {
	t.Helper()
	applied := o.DeepCopy()
	if !strings.HasPrefix(o.GetKind(), "Cluster") {
		applied.SetNamespace(v1alpha1.SpaceNamespace(tenantName, s.name))
	}
	return owner.Apply(t.Context(), client.ApplyConfigurationFromUnstructured(applied), client.FieldOwner("helm"))
}

// awaitPods waits until the controllers of all workloads have made their pods.
func (s *shape) awaitPods(t *testing.T, objects []*unstructured.Unstructured) {
	t.Helper()
	ns := v1alpha1.SpaceNamespace(tenantName, s.name)
	want := map[string]int64{}
	for _, o := range objects {
		replicas, found, _ := unstructured.NestedInt64(o.Object, "spec", "replicas")
		ordered := o.GetKind() == "StatefulSet" && !strings.Contains(fmt.Sprint(o.Object["spec"]), "podManagementPolicy:Parallel")
		if !found || ordered { // the next pod would come when the first is ready, which no kubelet reports here
			replicas = 1
		}
		switch o.GetKind() {
		case "Deployment", "StatefulSet", "DaemonSet":
			want[o.GetName()] = replicas
		case "CronJob":
			want[s.runNow(t, ns, o.GetName())] = 1
		}
	}
	var got map[string]int64
	err := wait.PollUntilContextTimeout(t.Context(), 100*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
		pods := &corev1.PodList{}
		err := admin.List(ctx, pods, client.InNamespace(ns))
		got = map[string]int64{}
		done := err == nil
		for name, replicas := range want {
			for _, p := range pods.Items {
				if strings.HasPrefix(p.Name, name+"-") {
					got[name]++
				}
			}
			done = done && got[name] >= replicas
		}
		return done, err
	})
	if err == nil {
		return
	}
	t.Errorf("pods %v, want %v: %v", got, want, err)
	events := &corev1.EventList{}
	if err := admin.List(t.Context(), events, client.InNamespace(ns)); err != nil {
		t.Error(err)
	}
	for _, e := range events.Items {
		if e.Type == corev1.EventTypeWarning {
			t.Logf("%s %s: %s", e.InvolvedObject.Kind, e.InvolvedObject.Name, e.Message)
		}
	}
}

// runNow makes a Job of a CronJob, as `kubectl create job --from` does.
func (s *shape) runNow(t *testing.T, ns, name string) string {
	t.Helper()
	cron := &batchv1.CronJob{}
	if err := owner.Get(t.Context(), client.ObjectKey{Namespace: ns, Name: name}, cron); err != nil {
		t.Fatal(err)
	}
	job := &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name + "-now"}, Spec: cron.Spec.JobTemplate.Spec}
	if err := owner.Create(t.Context(), job); err != nil {
		t.Fatal(err)
	}
	return job.Name
}

func id(o *unstructured.Unstructured) string { return o.GetKind() + "/" + o.GetName() }

// read the objects of a file.
func read(t *testing.T, path string) []*unstructured.Unstructured {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var objects []*unstructured.Unstructured
	decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(raw), len(raw))
	for {
		o := &unstructured.Unstructured{}
		if err := decoder.Decode(&o.Object); errors.Is(err, io.EOF) {
			return objects
		} else if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		objects = append(objects, o)
	}
}
