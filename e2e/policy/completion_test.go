package policy_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/guardrail"
)

// A manifest that says nothing of Bulkhead comes out as every control demands, overhead of the sandbox included.
func TestPodsAreCompleted(t *testing.T) {
	owner, ns := newSpace(t, "builder", map[string]string{
		v1alpha1.LabelPattern: "SoftAffinity", v1alpha1.LabelRuntimeClass: "gvisor",
	}, nil)
	own := corev1.Toleration{Key: v1alpha1.TaintNodeTenant, Operator: corev1.TolerationOpEqual, Value: "builder", Effect: corev1.TaintEffectNoSchedule}
	for name, change := range map[string]func(*corev1.PodSpec){
		"bare": func(*corev1.PodSpec) {},
		"with everything of its own": func(s *corev1.PodSpec) {
			s.NodeSelector = map[string]string{"disk": "ssd"}
			s.Tolerations = []corev1.Toleration{{Key: "gpu", Operator: corev1.TolerationOpExists}}
			s.RuntimeClassName = ptr("gvisor")
			s.InitContainers = []corev1.Container{container("init", "registry.example.com/init")}
			s.InitContainers[0].ImagePullPolicy = corev1.PullNever
			s.Volumes = []corev1.Volume{{Name: "data", VolumeSource: corev1.VolumeSource{Image: &corev1.ImageVolumeSource{Reference: "registry.example.com/data:1"}}}}
		},
		"already right": func(s *corev1.PodSpec) {
			s.NodeSelector = map[string]string{v1alpha1.LabelNodeTenant: "builder"}
			s.Tolerations = []corev1.Toleration{own}
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := spoiled(ns, change)
			if err := owner.Create(t.Context(), p, client.DryRunAll); err != nil {
				t.Fatal(err)
			}
			if got := p.Spec.NodeSelector[v1alpha1.LabelNodeTenant]; got != "builder" {
				t.Errorf("node selector names the nodes of %q, want builder", got)
			}
			count := 0
			for _, toleration := range p.Spec.Tolerations {
				if toleration == own {
					count++
				}
			}
			if count != 1 {
				t.Errorf("the toleration of the own nodes is there %d times, want once: %v", count, p.Spec.Tolerations)
			}
			if p.Spec.RuntimeClassName == nil || *p.Spec.RuntimeClassName != "gvisor" {
				t.Errorf("runtimeClassName is %v, want gvisor", p.Spec.RuntimeClassName)
			}
			if got := p.Spec.Overhead[corev1.ResourceMemory]; got.Cmp(resource.MustParse("64Mi")) != 0 {
				t.Errorf("overhead is %v, want the RuntimeClass's 64Mi", p.Spec.Overhead)
			}
			for _, c := range append(p.Spec.InitContainers, p.Spec.Containers...) {
				if c.ImagePullPolicy != corev1.PullAlways {
					t.Errorf("container %s pulls %s, want Always", c.Name, c.ImagePullPolicy)
				}
			}
			for _, v := range p.Spec.Volumes {
				if v.Image != nil && v.Image.PullPolicy != corev1.PullAlways {
					t.Errorf("volume %s pulls %s, want Always", v.Name, v.Image.PullPolicy)
				}
			}
		})
	}
	t.Run("another runtime", func(t *testing.T) {
		for kind, w := range workloads(ns, "plain", spoiled(ns, func(s *corev1.PodSpec) { s.RuntimeClassName = ptr("plain") }).Spec) {
			t.Run(kind, func(t *testing.T) {
				assertRefused(t, owner.Create(t.Context(), w, client.DryRunAll), "runtime", `"plain" is not the sandbox that this workload needs; use "gvisor"`)
			})
		}
	})
	t.Run("nodes of another tenant", func(t *testing.T) {
		for kind, w := range workloads(ns, "foreign", spoiled(ns, func(s *corev1.PodSpec) { s.NodeSelector = map[string]string{v1alpha1.LabelNodeTenant: "other"} }).Spec) {
			t.Run(kind, func(t *testing.T) {
				assertRefused(t, owner.Create(t.Context(), w, client.DryRunAll), "node-affinity", `names the nodes of "other"`)
			})
		}
	})
}

// Nothing is added where nothing is demanded.
func TestSoftPodsStayAsTheyAre(t *testing.T) {
	owner, ns := newSpace(t, "minimal", nil, nil)
	p := pod(ns, "p")
	p.Spec.Containers[0].ImagePullPolicy = corev1.PullAlways
	if err := owner.Create(t.Context(), p, client.DryRunAll); err != nil {
		t.Fatal(err)
	}
	if p.Spec.NodeSelector != nil || p.Spec.RuntimeClassName != nil {
		t.Errorf("node selector %v, runtime class %v; want neither", p.Spec.NodeSelector, p.Spec.RuntimeClassName)
	}
	for _, toleration := range p.Spec.Tolerations {
		if toleration.Key == v1alpha1.TaintNodeTenant {
			t.Errorf("toleration %v on a pod of a Soft Space", toleration)
		}
	}
}

// node as the kubelet would register it, without a kubelet.
func node(t *testing.T, name string, labels map[string]string, taints ...corev1.Taint) {
	t.Helper()
	n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}, Spec: corev1.NodeSpec{Taints: taints}}
	if err := admin.Create(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := admin.Delete(context.Background(), n); err != nil {
			t.Error(err)
		}
	})
}

// Kubernetes' own controllers make the pods of every kind of workload under all policies, and each pod is completed.
func TestControllersWorkInSpaces(t *testing.T) {
	owner, ns := newSpace(t, "worker", map[string]string{v1alpha1.LabelPattern: "SoftAffinity"}, nil)
	taint := func(tenant string) corev1.Taint {
		return corev1.Taint{Key: v1alpha1.TaintNodeTenant, Value: tenant, Effect: corev1.TaintEffectNoSchedule}
	}
	node(t, "shared-1", nil)
	node(t, "own-1", map[string]string{v1alpha1.LabelNodeTenant: "worker"}, taint("worker"))
	node(t, "own-2", map[string]string{v1alpha1.LabelNodeTenant: "worker"}, taint("worker"))
	node(t, "foreign-1", map[string]string{v1alpha1.LabelNodeTenant: "other"}, taint("other"))

	all := workloads(ns, "run", podSpec())
	delete(all, "Pod")
	delete(all, "PodTemplate")
	want := map[string]int{}
	if err := owner.Create(t.Context(), service(ns, func(s *corev1.ServiceSpec) { s.Selector["app"] = "run-deploy" })); err != nil {
		t.Fatal(err)
	}
	for kind, w := range all {
		name := "run-" + map[string]string{"ReplicationController": "rc", "DaemonSet": "ds", "Deployment": "deploy", "ReplicaSet": "rs", "StatefulSet": "sts", "Job": "job", "CronJob": "cron"}[kind]
		w.SetName(name)
		relabel(w, name)
		switch o := w.(type) {
		case *corev1.ReplicationController:
			o.Spec.Replicas = ptr(int32(1))
		case *appsv1.Deployment:
			o.Spec.Replicas = ptr(int32(1))
		case *appsv1.ReplicaSet:
			o.Spec.Replicas = ptr(int32(1))
		case *appsv1.StatefulSet:
			o.Spec.Replicas = ptr(int32(1))
		case *batchv1.Job:
			o.Spec.Suspend = nil
		case *batchv1.CronJob:
			o.Spec.Suspend = nil
			o.Spec.Schedule = "* * * * *"
		}
		if err := owner.Create(t.Context(), w); err != nil {
			t.Fatalf("%s: %v", kind, err)
		}
		if kind != "CronJob" { // it would take up to a minute: its Job is made like the other
			want[name] = 1
		}
	}
	want["run-ds"] = 2 // on both of the tenant's nodes, on no other
	var got map[string]int
	err := wait.PollUntilContextTimeout(t.Context(), 100*time.Millisecond, 60*time.Second, true, func(ctx context.Context) (bool, error) {
		pods := &corev1.PodList{}
		if err := admin.List(ctx, pods, client.InNamespace(ns)); err != nil {
			return false, err
		}
		got = map[string]int{}
		for _, p := range pods.Items {
			if app := p.Labels["app"]; app != "run-cron" {
				got[app]++
			}
			if p.Spec.NodeSelector[v1alpha1.LabelNodeTenant] != "worker" || p.Spec.Containers[0].ImagePullPolicy != corev1.PullAlways {
				return false, fmt.Errorf("pod %s was not completed: %v", p.Name, p.Spec)
			}
		}
		return cmp.Equal(want, got), nil
	})
	if err != nil {
		events := &corev1.EventList{}
		if err := admin.List(t.Context(), events, client.InNamespace(ns)); err != nil {
			t.Error(err)
		}
		for _, e := range events.Items {
			t.Logf("%s %s: %s", e.InvolvedObject.Kind, e.InvolvedObject.Name, e.Message)
		}
		t.Fatalf("%v; pods by workload (-want +got):\n%s", err, cmp.Diff(want, got))
	}
	err = wait.PollUntilContextTimeout(t.Context(), 50*time.Millisecond, 20*time.Second, true, func(ctx context.Context) (bool, error) {
		slices := &discoveryv1.EndpointSliceList{}
		err := admin.List(ctx, slices, client.InNamespace(ns), client.MatchingLabels{discoveryv1.LabelServiceName: "web"})
		return len(slices.Items) > 0, err
	})
	if err != nil {
		t.Errorf("the Service gets no EndpointSlice: %v", err)
	}
}

func relabel(o client.Object, app string) {
	labels := map[string]string{"app": app}
	switch o := o.(type) {
	case *corev1.ReplicationController:
		o.Spec.Selector, o.Spec.Template.Labels = labels, labels
	case *appsv1.DaemonSet:
		o.Spec.Selector.MatchLabels, o.Spec.Template.Labels = labels, labels
	case *appsv1.Deployment:
		o.Spec.Selector.MatchLabels, o.Spec.Template.Labels = labels, labels
	case *appsv1.ReplicaSet:
		o.Spec.Selector.MatchLabels, o.Spec.Template.Labels = labels, labels
	case *appsv1.StatefulSet:
		o.Spec.Selector.MatchLabels, o.Spec.Template.Labels = labels, labels
	case *batchv1.Job:
		o.Spec.Template.Labels = labels
	case *batchv1.CronJob:
		o.Spec.JobTemplate.Spec.Template.Labels = labels
	}
}

// The largest pods that people write stay within the API server's cost budget for a policy, refused and accepted, by
// the longest lists that a Platform can hold.
func TestLargePodsStayWithinBudget(t *testing.T) {
	owner, ns := newSpace(t, "giant", map[string]string{v1alpha1.LabelPattern: "SoftAffinity", v1alpha1.LabelRuntimeClass: "gvisor"}, nil)
	giant := func(image string) corev1.PodSpec {
		s := podSpec()
		s.Containers = nil
		for i := range 32 { // as much as a pod may have
			c := container(fmt.Sprintf("c-%d", i), image)
			s.Containers = append(s.Containers, c)
			c.Name = "init-" + c.Name
			s.InitContainers = append(s.InitContainers, c)
			if i < 28 { // the API server and Bulkhead add three
				s.Tolerations = append(s.Tolerations, corev1.Toleration{Key: "gpu", Value: fmt.Sprint(i)})
			}
			s.Volumes = append(s.Volumes, corev1.Volume{Name: fmt.Sprintf("v-%d", i), VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}})
		}
		return s
	}
	good := "zz-registry.example.com/" + long(200) + "/image"
	for kind, w := range workloads(ns, "giant", giant(good)) {
		if err := owner.Create(t.Context(), w); err != nil {
			t.Errorf("%s: %v", kind, err)
			continue
		}
		if kind == "Job" || kind == "Pod" {
			continue
		}
		if err := update(t.Context(), owner, w, func() { specOf(w).Containers[31].Image = good + ":2" }, client.DryRunAll); err != nil {
			t.Errorf("%s, updated: %v", kind, err)
		}
		err := update(t.Context(), owner, w, func() { *specOf(w) = mergeDefaults(specOf(w), giant("nginx")) }, client.DryRunAll)
		assertRefused(t, err, "images", "comes from no allowed registry")
	}
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "giant"}}
	if err := update(t.Context(), owner, p, func() { p.Spec.Containers[31].Image = good + ":2" }, client.DryRunAll); err != nil {
		t.Errorf("pod, updated: %v", err)
	}
}

// mergeDefaults keeps the restart policy, which differs between kinds.
func mergeDefaults(old *corev1.PodSpec, s corev1.PodSpec) corev1.PodSpec {
	s.RestartPolicy = old.RestartPolicy
	return s
}

func long(n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = 'x'
	}
	return string(b)
}

// The refusal does not trust the completion: with that one taken away, what it would have set must be written by hand.
func TestPlacementIsDemandedToo(t *testing.T) {
	owner, ns := newSpace(t, "unplaced", map[string]string{v1alpha1.LabelPattern: "SoftAffinity"}, nil)
	binding := &admissionv1.MutatingAdmissionPolicyBinding{ObjectMeta: metav1.ObjectMeta{Name: "bulkhead-node-affinity"}}
	if err := bulkhead.Delete(t.Context(), binding); err != nil {
		t.Fatal(err)
	}
	completed := func(ctx context.Context) (bool, error) {
		p := pod(ns, "p")
		err := owner.Create(ctx, p, client.DryRunAll)
		return err == nil && p.Spec.NodeSelector[v1alpha1.LabelNodeTenant] == "unplaced", nil
	}
	t.Cleanup(func() {
		for _, o := range guardrail.Policies(platform()) {
			if o.GetName() == binding.Name {
				if err := apply(context.Background(), bulkhead, o); err != nil {
					t.Error(err)
				}
			}
		}
		if err := wait.PollUntilContextTimeout(context.Background(), 50*time.Millisecond, 30*time.Second, true, completed); err != nil {
			t.Errorf("pods are not completed again: %v", err)
		}
	})
	err := wait.PollUntilContextTimeout(t.Context(), 50*time.Millisecond, 30*time.Second, true, func(ctx context.Context) (bool, error) {
		done, err := completed(ctx)
		return !done, err
	})
	if err != nil {
		t.Fatal(err)
	}
	all := workloads(ns, "bare", podSpec())
	for _, kind := range []string{"Pod", "DaemonSet"} {
		err := owner.Create(t.Context(), all[kind], client.DryRunAll)
		assertRefused(t, err, "node-affinity", `must have nodeSelector node-restriction.kubernetes.io/bulkhead-tenant: unplaced`)
	}
	placed := spoiled(ns, func(s *corev1.PodSpec) { s.NodeSelector = map[string]string{v1alpha1.LabelNodeTenant: "unplaced"} })
	if err := owner.Create(t.Context(), placed, client.DryRunAll); err != nil {
		t.Errorf("placed by hand: %v", err)
	}
}
