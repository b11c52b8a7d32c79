package guardrails

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/isolation/finding"
	"github.com/bulkhead-dev/bulkhead/isolation/rbac"
	"github.com/bulkhead-dev/bulkhead/snapshot"
)

// standing is an object of a tenant that is there.
type standing struct {
	object  snapshot.Ref
	request *finding.AdmissionRequest
	// sender is who made it: a controller of Kubernetes, or nil for somebody of the tenant.
	sender *finding.Subject
}

// madeOf are the pods of one spec, with the same labels, made by the same: one request stands for them.
type madeOf struct {
	spec         *corev1.PodSpec
	labels, kind string
}

// existing puts pods, Services, Ingresses and budgets of disruption that are there through admission once more, as if they were made now: what was made before a
// policy was there, or in a namespace that it left out, is as dangerous as what it refuses. Pod Security's refusals are check pods'.
func (g *guardrails) existing() []finding.Finding {
	if g.Admission == nil || len(g.ValidatingPolicies) == 0 {
		return nil
	}
	byNamespace, made := map[string][]standing{}, map[madeOf]*finding.AdmissionRequest{}
	add := func(ns string, s *standing) {
		if g.Owner[ns] != finding.ThePlatform && !slices.ContainsFunc(byNamespace[ns], func(o standing) bool { return o.request == s.request }) {
			byNamespace[ns] = append(byNamespace[ns], *s)
		}
	}
	for _, pod := range g.Pods {
		if g.Owner[pod.Namespace] != finding.ThePlatform && !pod.Completed() && pod.Spec != nil {
			add(pod.Namespace, standingPod(pod, made))
		}
	}
	for _, o := range g.Services {
		if s, ours := standingObject("Service", corev1.SchemeGroupVersion.WithResource("services"), o, stripped(o)), managed(o); !ours {
			add(o.Namespace, s)
		}
	}
	for _, o := range g.Ingresses {
		if s, ours := standingObject("Ingress", networkingv1.SchemeGroupVersion.WithResource("ingresses"), o, &networkingv1.Ingress{Spec: o.Spec}), managed(o); !ours {
			add(o.Namespace, s)
		}
	}
	for _, o := range g.Parameters { // budgets are read where a policy holds them against each other
		if o.GroupVersionKind() != policyv1.SchemeGroupVersion.WithKind("PodDisruptionBudget") || managed(o) {
			continue
		}
		budget := &unstructured.Unstructured{Object: map[string]any{"apiVersion": o.GetAPIVersion(), "kind": o.GetKind(), "spec": o.Object["spec"]}}
		s := standingObject("PodDisruptionBudget", policyv1.SchemeGroupVersion.WithResource("poddisruptionbudgets"), o, budget)
		s.request.Name = o.GetName() // it is not held against itself
		budget.SetName(o.GetName())
		add(o.GetNamespace(), s)
	}
	found := make([][]finding.Finding, len(g.Tenants))
	g.Parallel(len(g.Tenants), func(i int) {
		for _, ns := range g.Tenants[i].Namespaces {
			found[i] = append(found[i], g.refusedNow(ns, byNamespace[ns])...)
		}
	})
	return slices.Concat(found...)
}

func managed(o metav1.Object) bool {
	return o.GetLabels()[v1alpha1.LabelManagedBy] == v1alpha1.ManagedBy
}

// refusedNow makes one finding of all objects of a namespace that a policy refuses.
func (g *guardrails) refusedNow(ns string, list []standing) []finding.Finding {
	if len(list) == 0 {
		return nil
	}
	somebody := g.asAnybody()[0].Subject
	if identities := g.identities(ns); len(identities) > 0 {
		somebody = identities[0].Subject
	}
	type refused struct {
		by      snapshot.Ref
		message string
		objects []snapshot.Ref
	}
	var all []*refused
	for i := range list {
		sender := somebody
		if list[i].sender != nil {
			sender = *list[i].sender
		}
		for _, r := range g.Admission.Admit(list[i].request.In(ns, sender)).RefusedBy {
			if r.By.Kind != kindValidating {
				continue
			}
			at := slices.IndexFunc(all, func(known *refused) bool { return known.by == r.By })
			if at < 0 {
				at, all = len(all), append(all, &refused{by: r.By, message: r.Message})
			}
			all[at].objects = append(all[at].objects, list[i].object)
		}
	}
	var findings []finding.Finding
	for _, r := range all {
		f := finding.Finding{Code: "BH4025", Verdict: finding.Exposed, From: g.Owner[ns], To: finding.ThePlatform,
			What:    fmt.Sprintf("%s is there, and %s would refuse it now: %s", r.objects[0], r.by, r.message),
			Blame:   []snapshot.Ref{r.objects[0], r.by},
			Witness: []finding.Step{{Object: r.objects[0], Does: "is there"}, {Object: r.by, Does: "would refuse it now: " + r.message}}}
		if n := len(r.objects); n > 1 {
			f.What += fmt.Sprintf(" (and %d more objects of namespace %s)", n-1, ns)
		}
		if g.Offline { // files do not say what is there already
			f.Verdict, f.What = finding.Unknown, strings.Replace(f.What, " is there, and ", " is there or is still to be made, and ", 1)
		}
		findings = append(findings, f)
	}
	return findings
}

// standingPod is a pod as its maker sent it: without what the API server and the scheduler add.
func standingPod(pod *snapshot.Pod, made map[madeOf]*finding.AdmissionRequest) *standing {
	o := snapshot.Ref{Kind: "Pod", Namespace: pod.Namespace, Name: pod.Name}
	if w := pod.Workload(); w.Kind != "" {
		o.Kind, o.Name = w.Kind, w.Name
	}
	s := &standing{object: o}
	if controller := controllerOf(pod.Owner.Kind); controller != "" {
		sender := rbac.ServiceAccount("kube-system", controller)
		s.sender = &sender
	}
	labels := map[string]string{}
	for _, l := range pod.Labels {
		if !ofControllers(l.Key) {
			labels[l.Key] = l.Value
		}
	}
	key := madeOf{pod.Spec, fmt.Sprint(labels), pod.Owner.Kind}
	if made[key] == nil {
		p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: *pod.Spec.DeepCopy()}
		asSent(&p.Spec)
		made[key] = &finding.AdmissionRequest{Operation: "CREATE", Kind: corev1.SchemeGroupVersion.WithKind("Pod"),
			Resource: corev1.SchemeGroupVersion.WithResource("pods"), Name: probeName, Object: p}
	}
	s.request = made[key]
	return s
}

// controllerOf is the service account by which Kubernetes makes the pods of a workload; empty for pods that are their own.
func controllerOf(kind string) string {
	switch kind {
	case "Deployment", "ReplicaSet":
		return "replicaset-controller"
	case "StatefulSet":
		return "statefulset-controller"
	case "DaemonSet":
		return "daemon-set-controller"
	case "Job", "CronJob":
		return "job-controller"
	case "ReplicationController":
		return "replication-controller"
	}
	return ""
}

// ofControllers reports whether controllers set a label on pods, another one on each perhaps.
func ofControllers(key string) bool {
	return strings.HasPrefix(key, "batch.kubernetes.io/") || slices.Contains([]string{"pod-template-hash", "controller-revision-hash", "pod-template-generation",
		"controller-uid", "job-name", "statefulset.kubernetes.io/pod-name", "apps.kubernetes.io/pod-index"}, key)
}

// asSent takes from a pod what the API server and the scheduler add to it.
func asSent(s *corev1.PodSpec) {
	const token = "kube-api-access-"
	s.NodeName, s.Priority, s.PreemptionPolicy, s.EphemeralContainers = "", nil, nil, nil
	if s.RuntimeClassName != nil {
		s.Overhead = nil
	}
	s.Volumes = slices.DeleteFunc(s.Volumes, func(v corev1.Volume) bool { return strings.HasPrefix(v.Name, token) })
	for _, containers := range [][]corev1.Container{s.InitContainers, s.Containers} {
		for i := range containers {
			containers[i].VolumeMounts = slices.DeleteFunc(containers[i].VolumeMounts, func(m corev1.VolumeMount) bool { return strings.HasPrefix(m.Name, token) })
		}
	}
}

// stripped is a Service without the addresses and ports that the API server chooses.
func stripped(o *corev1.Service) *corev1.Service {
	s := &corev1.Service{Spec: *o.Spec.DeepCopy()}
	if s.Spec.ClusterIP != corev1.ClusterIPNone {
		s.Spec.ClusterIP, s.Spec.ClusterIPs = "", nil
	}
	s.Spec.HealthCheckNodePort = 0
	for i := range s.Spec.Ports {
		s.Spec.Ports[i].NodePort = 0
	}
	return s
}

// standingObject is an object that somebody of the tenant made.
func standingObject(kind string, resource schema.GroupVersionResource, was metav1.Object, sent interface {
	metav1.Object
	runtime.Object
},
) *standing {
	sent.SetName(probeName)
	sent.SetLabels(was.GetLabels())
	sent.SetAnnotations(was.GetAnnotations())
	return &standing{object: snapshot.RefOf(kind, was), request: &finding.AdmissionRequest{Operation: "CREATE", Kind: resource.GroupVersion().WithKind(kind),
		Resource: resource, Name: probeName, Object: sent}}
}
