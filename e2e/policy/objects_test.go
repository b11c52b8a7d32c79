package policy_test

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	nodev1 "k8s.io/api/node/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/guardrail"
	"github.com/bulkhead-dev/bulkhead/hostile"
)

func unstructuredFrom(content map[string]any) *unstructured.Unstructured {
	u := &unstructured.Unstructured{Object: content}
	unstructured.RemoveNestedField(u.Object, "status")
	unstructured.RemoveNestedField(u.Object, "metadata", "creationTimestamp")
	return u
}

// makeClasses makes the cluster-wide classes that the API server itself wants to find before policies are asked.
func makeClasses(ctx context.Context) error {
	objects := []client.Object{
		&schedulingv1.PriorityClass{ObjectMeta: metav1.ObjectMeta{Name: "tenant-high"}, Value: 10, PreemptionPolicy: ptr(corev1.PreemptNever)},
		&schedulingv1.PriorityClass{ObjectMeta: metav1.ObjectMeta{Name: "tenant-pushy"}, Value: 10},
		&schedulingv1.PriorityClass{ObjectMeta: metav1.ObjectMeta{Name: "platform-high"}, Value: 1000},
		&storagev1.StorageClass{ObjectMeta: metav1.ObjectMeta{Name: "fast"}, Provisioner: "example.com/fast"},
		&nodev1.RuntimeClass{ObjectMeta: metav1.ObjectMeta{Name: "gvisor"}, Handler: "runsc", Overhead: &nodev1.Overhead{
			PodFixed: corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("64Mi")},
		}},
		&nodev1.RuntimeClass{ObjectMeta: metav1.ObjectMeta{Name: "plain"}, Handler: "runc"},
	}
	for _, o := range objects {
		if err := admin.Create(ctx, o); err != nil {
			return fmt.Errorf("make %T %s: %w", o, o.GetName(), err)
		}
	}
	return nil
}

// workloads are all kinds that hold a pod spec, each around the given one.
func workloads(namespace, name string, spec corev1.PodSpec) map[string]client.Object {
	meta := metav1.ObjectMeta{Namespace: namespace, Name: name}
	labels := map[string]string{"app": name}
	selector := &metav1.LabelSelector{MatchLabels: labels}
	template := corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: spec}
	once := *template.DeepCopy()
	once.Spec.RestartPolicy = corev1.RestartPolicyNever
	none := ptr(int32(0))
	return map[string]client.Object{
		"Pod":                   &corev1.Pod{ObjectMeta: meta, Spec: spec},
		"PodTemplate":           &corev1.PodTemplate{ObjectMeta: meta, Template: template},
		"ReplicationController": &corev1.ReplicationController{ObjectMeta: meta, Spec: corev1.ReplicationControllerSpec{Replicas: none, Selector: labels, Template: &template}},
		"DaemonSet":             &appsv1.DaemonSet{ObjectMeta: meta, Spec: appsv1.DaemonSetSpec{Selector: selector, Template: template}},
		"Deployment":            &appsv1.Deployment{ObjectMeta: meta, Spec: appsv1.DeploymentSpec{Replicas: none, Selector: selector, Template: template}},
		"ReplicaSet":            &appsv1.ReplicaSet{ObjectMeta: meta, Spec: appsv1.ReplicaSetSpec{Replicas: none, Selector: selector, Template: template}},
		"StatefulSet":           &appsv1.StatefulSet{ObjectMeta: meta, Spec: appsv1.StatefulSetSpec{Replicas: none, Selector: selector, Template: template}},
		"Job":                   &batchv1.Job{ObjectMeta: meta, Spec: batchv1.JobSpec{Suspend: ptr(true), Template: once}},
		"CronJob":               &batchv1.CronJob{ObjectMeta: meta, Spec: batchv1.CronJobSpec{Schedule: "0 0 1 1 *", Suspend: ptr(true), JobTemplate: batchv1.JobTemplateSpec{Spec: batchv1.JobSpec{Template: once}}}},
	}
}

// specOf is the pod spec inside a workload.
func specOf(o client.Object) *corev1.PodSpec {
	switch o := o.(type) {
	case *corev1.Pod:
		return &o.Spec
	case *corev1.PodTemplate:
		return &o.Template.Spec
	case *corev1.ReplicationController:
		return &o.Spec.Template.Spec
	case *appsv1.DaemonSet:
		return &o.Spec.Template.Spec
	case *appsv1.Deployment:
		return &o.Spec.Template.Spec
	case *appsv1.ReplicaSet:
		return &o.Spec.Template.Spec
	case *appsv1.StatefulSet:
		return &o.Spec.Template.Spec
	case *batchv1.Job:
		return &o.Spec.Template.Spec
	case *batchv1.CronJob:
		return &o.Spec.JobTemplate.Spec.Template.Spec
	}
	panic(fmt.Sprintf("%T holds no pod spec", o))
}

// spoiled is a harmless pod after a change.
func spoiled(namespace string, spoil func(*corev1.PodSpec)) *corev1.Pod {
	p := pod(namespace, "spoiled")
	spoil(&p.Spec)
	return p
}

func roleBinding(namespace, kind, role string, subjects ...rbacv1.Subject) *rbacv1.RoleBinding {
	if len(subjects) == 0 {
		subjects = []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: "User", Name: "jane"}}
	}
	return &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "mine"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: kind, Name: role},
		Subjects:   subjects,
	}
}

// sceneOf is the catalogue's scene in the Space "space" of a tenant that was given nothing special.
func sceneOf(tenant string) hostile.Scene {
	owner := v1alpha1.Owner{Kind: "User", Name: "owner-of-" + tenant}
	space := &v1alpha1.Space{ObjectMeta: metav1.ObjectMeta{Namespace: v1alpha1.HomeNamespace(tenant), Name: "space"}, Spec: v1alpha1.SpaceSpec{Workload: "space"}}
	space.Status.Namespace = v1alpha1.SpaceNamespace(tenant, "space")
	return hostile.Scene{Platform: platform(), Space: space, Tenant: &v1alpha1.Tenant{ObjectMeta: metav1.ObjectMeta{Name: tenant}, Spec: v1alpha1.TenantSpec{
		Owners: []v1alpha1.Owner{owner}, Workloads: []v1alpha1.Workload{{Name: "space"}}}, Status: v1alpha1.TenantStatus{
		Decisions: []v1alpha1.WorkloadDecision{{Workload: "space", Pattern: "Soft"}}}}}
}

// pod is the catalogue's harmless one.
func pod(namespace, name string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec:       podSpec(),
	}
}

// podSpec is that of the catalogue's harmless pod, without what admission completes.
func podSpec() corev1.PodSpec {
	p, err := hostile.Pod(sceneOf("any"))
	if err != nil {
		panic(err)
	}
	p.Spec.Containers[0].ImagePullPolicy, p.Spec.Containers[0].Resources = "", corev1.ResourceRequirements{}
	return p.Spec
}

// container is another one as harmless as the first.
func container(name, image string) corev1.Container {
	c := podSpec().Containers[0]
	c.Name, c.Image = name, image
	return c
}

func ptr[T any](v T) *T { return &v }

var policyInMessage = regexp.MustCompile(`(?:Validating|Mutating)AdmissionPolicy '?bulkhead-([a-z-]+)'?`)

// refusedBy is the admission policy that refused, without its prefix; empty when none did.
func refusedBy(err error) string {
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		return ""
	}
	if m := policyInMessage.FindStringSubmatch(status.Status().Message); m != nil {
		return m[1]
	}
	return ""
}

// controls maps every policy to its control, as its label says.
var controls = func() map[string]string {
	m := map[string]string{}
	for _, o := range guardrail.Policies(nil) {
		m[strings.TrimPrefix(o.GetName(), "bulkhead-")] = o.GetLabels()[v1alpha1.LabelControl]
	}
	return m
}()

func claim(namespace, name, class string) *corev1.PersistentVolumeClaim {
	c := &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
			Resources:   corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}},
		},
	}
	if class != "" {
		c.Spec.StorageClassName = &class
	}
	return c
}
