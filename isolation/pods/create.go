package pods

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/hostile"
	"github.com/bulkhead-dev/bulkhead/isolation/finding"
)

// workloadKind is a kind of object from which pods come.
type workloadKind struct {
	kind       schema.GroupVersionKind
	resource   string
	controller string
	// fixed is true where its template does not change any more once it is there.
	fixed  bool
	object func(corev1.PodTemplateSpec) runtime.Object
}

func workloadKinds() []workloadKind {
	meta := func(kind, version string) metav1.TypeMeta { return metav1.TypeMeta{Kind: kind, APIVersion: version} }
	named, selector := metav1.ObjectMeta{Name: "probe"}, &metav1.LabelSelector{MatchLabels: map[string]string{"app": "probe"}}
	once := func(t corev1.PodTemplateSpec) batchv1.JobSpec {
		t.Spec.RestartPolicy = corev1.RestartPolicyNever
		return batchv1.JobSpec{Template: t}
	}
	apps, batch, core := appsv1.SchemeGroupVersion, batchv1.SchemeGroupVersion, corev1.SchemeGroupVersion
	return []workloadKind{
		{core.WithKind("Pod"), "pods", "", true, func(t corev1.PodTemplateSpec) runtime.Object {
			pod := &corev1.Pod{TypeMeta: meta("Pod", "v1"), ObjectMeta: t.ObjectMeta, Spec: t.Spec}
			pod.Name = "probe"
			return pod
		}},
		{apps.WithKind("Deployment"), "deployments", "replicaset-controller", false, func(t corev1.PodTemplateSpec) runtime.Object {
			return &appsv1.Deployment{TypeMeta: meta("Deployment", "apps/v1"), ObjectMeta: named, Spec: appsv1.DeploymentSpec{Replicas: new(int32(1)), Selector: selector, Template: t}}
		}},
		{apps.WithKind("ReplicaSet"), "replicasets", "replicaset-controller", false, func(t corev1.PodTemplateSpec) runtime.Object {
			return &appsv1.ReplicaSet{TypeMeta: meta("ReplicaSet", "apps/v1"), ObjectMeta: named, Spec: appsv1.ReplicaSetSpec{Replicas: new(int32(1)), Selector: selector, Template: t}}
		}},
		{apps.WithKind("StatefulSet"), "statefulsets", "statefulset-controller", false, func(t corev1.PodTemplateSpec) runtime.Object {
			return &appsv1.StatefulSet{TypeMeta: meta("StatefulSet", "apps/v1"), ObjectMeta: named, Spec: appsv1.StatefulSetSpec{Replicas: new(int32(1)), Selector: selector, Template: t}}
		}},
		{apps.WithKind("DaemonSet"), "daemonsets", "daemon-set-controller", false, func(t corev1.PodTemplateSpec) runtime.Object {
			return &appsv1.DaemonSet{TypeMeta: meta("DaemonSet", "apps/v1"), ObjectMeta: named, Spec: appsv1.DaemonSetSpec{Selector: selector, Template: t}}
		}},
		{batch.WithKind("Job"), "jobs", "job-controller", true, func(t corev1.PodTemplateSpec) runtime.Object {
			return &batchv1.Job{TypeMeta: meta("Job", "batch/v1"), ObjectMeta: named, Spec: once(t)}
		}},
		{batch.WithKind("CronJob"), "cronjobs", "job-controller", false, func(t corev1.PodTemplateSpec) runtime.Object {
			return &batchv1.CronJob{TypeMeta: meta("CronJob", "batch/v1"), ObjectMeta: named,
				Spec: batchv1.CronJobSpec{Schedule: "0 0 * * *", JobTemplate: batchv1.JobTemplateSpec{Spec: once(t)}}}
		}},
		{core.WithKind("ReplicationController"), "replicationcontrollers", "replication-controller", false, func(t corev1.PodTemplateSpec) runtime.Object {
			return &corev1.ReplicationController{TypeMeta: meta("ReplicationController", "v1"), ObjectMeta: named,
				Spec: corev1.ReplicationControllerSpec{Replicas: new(int32(1)), Selector: selector.MatchLabels, Template: &t}}
		}},
	}
}

// attempt is a pod that a subject tries to have made, in no namespace, so that one stands for all.
type attempt struct {
	what    string // in words that follow "a pod that"
	spec    *corev1.PodSpec
	objects map[string]runtime.Object // by kind
	// before is the plain pod that is changed to be this one; nil is the plainest.
	before *attempt
	// bare is the same without the marks that this one bears; nil where it bears none.
	bare *attempt
	// debugged is a plain pod with the same as a debugging container; nil where that cannot be the same.
	debugged *corev1.Pod
}

func newAttempt(what string, spec *corev1.PodSpec, kinds []workloadKind) *attempt {
	return newMarkedAttempt(what, spec, kinds, nil)
}

// newMarkedAttempt is an attempt whose objects and pods bear these marks too.
func newMarkedAttempt(what string, spec *corev1.PodSpec, kinds []workloadKind, marks []finding.Mark) *attempt {
	a := &attempt{what: what, spec: spec, objects: map[string]runtime.Object{}}
	for _, k := range kinds {
		template := corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "probe"}}, Spec: *spec.DeepCopy()}
		finding.Marked(&template.ObjectMeta, marks)
		a.objects[k.kind.Kind] = k.object(template)
		if o, is := a.objects[k.kind.Kind].(metav1.Object); is {
			finding.Marked(o, marks)
		}
	}
	return a
}

// plainPod is the harmless pod of the catalogue, of an image that is in use, and with what other platforms' policies commonly demand of it.
func plainPod(image string) *corev1.PodSpec {
	pod, err := hostile.Pod(sceneOf(image))
	if err != nil {
		panic("the scene has all that a harmless pod needs: " + err.Error())
	}
	pod.Spec.SecurityContext.RunAsUser = new(int64(65534))
	pod.Spec.Containers[0].SecurityContext.ReadOnlyRootFilesystem = new(true)
	return &pod.Spec
}

// sceneOf the catalogue, in a namespace that stands for all.
func sceneOf(image string) hostile.Scene {
	space := &v1alpha1.Space{}
	space.Status.Namespace = "probe"
	return hostile.Scene{Platform: &v1alpha1.Platform{}, Tenant: &v1alpha1.Tenant{}, Space: space, Image: image}
}

// imageInUse is an image that a tenant's pod has already.
func (p *Run) imageInUse() string {
	for _, pod := range p.Pods {
		if p.Owner[pod.Namespace] != finding.ThePlatform && pod.Spec != nil && len(pod.Spec.Containers) > 0 && pod.Spec.Containers[0].Image != "" {
			return pod.Spec.Containers[0].Image
		}
	}
	return "registry.k8s.io/pause:3.10"
}

// tried is what became of an attempt.
type tried struct {
	// verdict is Exposed if the pod is made, Isolated if it is refused, and Unknown with why otherwise.
	verdict finding.Verdict
	why     string
	// spec of the pod as it is stored, and the way by which it comes to be.
	spec *corev1.PodSpec
	way  *making
	// first is what comes before, where admission lets it through only then.
	first []finding.Step
	// firm is true where it is refused whatever it bears: by Pod Security, or by a policy that goes by no mark.
	firm bool
}

// makers ask admission about pods.
type makers struct {
	*Run
	plain *attempt
	// debugged is the plain pod with a harmless container for debugging.
	debugged *corev1.Pod
	kinds    []workloadKind
}

func podOfUnstructured(o runtime.Object) *corev1.Pod {
	u, is := o.(runtime.Unstructured)
	if !is || o.GetObjectKind().GroupVersionKind().Kind != "Pod" {
		return nil
	}
	pod := &corev1.Pod{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(u.UnstructuredContent(), pod); err != nil {
		return nil
	}
	return pod
}

// hostilePods are pods each plain but for one thing, the widest way out first. What merely hardens a pod is no way out.
func (p *Run) hostilePods(image string, kinds []workloadKind) []*attempt {
	var list []*attempt
	rules, gains := newEscapeRules(), map[*attempt]podGain{}
	plain := plainPod(image)
	evasions := p.newEvasions(plain, kinds)
	for _, h := range append(hostileChanges(image), p.hostileVolumes()...) {
		spec := plainPod(image)
		h.change(spec)
		ways := rules.waysOut(&metav1.ObjectMeta{}, spec)
		if len(ways) == 0 || ways[0].gain <= gainsSurface {
			continue
		}
		name := "container " + spec.Containers[0].Name
		a := newAttempt(fmt.Sprintf("%s (%s)", h.what, strings.NewReplacer(name+" is privileged: ", "", name, "its container").Replace(ways[0].what)), spec, kinds)
		a.debugged, gains[a] = debugged(plain, spec, nil), ways[0].gain
		list = append(list, a)
		for _, evading := range evasions.of(a, plain) {
			gains[evading] = gains[a]
			list = append(list, evading)
		}
	}
	slices.SortStableFunc(list, func(a, b *attempt) int { return cmp.Compare(gains[b], gains[a]) })
	return list
}

// hostileChange is a point of a pod spec; what is in words that follow "a pod that".
type hostileChange struct {
	what   string
	change func(*corev1.PodSpec)
}

// hostileChanges are the catalogue's points that Pod Security refuses, and those two that give more together than each alone. A path of
// the host is mounted, and once more to be read only, which a policy may allow.
func hostileChanges(image string) []hostileChange {
	scene, points := sceneOf(image), map[string]hostileChange{}
	var list []hostileChange
	for _, c := range hostile.PodCases() {
		if c.Refusal.By != hostile.PodSecurity {
			continue
		}
		h := hostileChange{c.Title, func(s *corev1.PodSpec) {
			pod := &corev1.Pod{Spec: *s}
			if err := c.Change(scene, pod); err != nil {
				panic("a point that Pod Security refuses takes nothing of a scene: " + err.Error())
			}
			*s = pod.Spec
			unhardened(s)
		}}
		points[c.ID] = h
		spec := plainPod(image)
		if h.change(spec); len(spec.Volumes) == 0 || spec.Volumes[0].HostPath == nil {
			list = append(list, h)
			continue
		}
		source := spec.Volumes[0].VolumeSource
		list = append(list, hostileChange{h.what, mounting(source, false)}, hostileChange{h.what + ", to be read only", mounting(source, true)})
	}
	for _, two := range [][2]string{{"host-pid", "capability-sys-ptrace"}, {"capability-bpf", "capability-perfmon"}} {
		first, second := points[two[0]], points[two[1]]
		list = append(list, hostileChange{first.what + " and " + second.what, func(s *corev1.PodSpec) { first.change(s); second.change(s) }})
	}
	return list
}

// unhardened leaves open whether privileges may grow in containers that are no longer plain: what they were given counts for little
// otherwise.
func unhardened(s *corev1.PodSpec) {
	for _, containers := range [][]corev1.Container{s.InitContainers, s.Containers} {
		for i := range containers {
			if c := containers[i].SecurityContext; c.Capabilities != nil && len(c.Capabilities.Add) > 0 {
				c.AllowPrivilegeEscalation = nil
			}
		}
	}
}

// hostileVolumes are those that need something of the node: a kubelet before 1.36, which still has gitRepo, and a
// flexVolume driver, of which it is known that it is there only where something uses it.
func (p *Run) hostileVolumes() []hostileChange {
	var list []hostileChange
	for _, n := range p.Nodes {
		var major, minor int
		if _, err := fmt.Sscanf(n.Status.NodeInfo.KubeletVersion, "v%d.%d", &major, &minor); err == nil && major == 1 && minor < 36 {
			list = append(list, hostileChange{"has a gitRepo volume", mounting(corev1.VolumeSource{GitRepo: &corev1.GitRepoVolumeSource{Repository: "https://example.com/r.git"}}, true)})
			break
		}
	}
	drivers := map[string]bool{}
	for _, pod := range p.Pods {
		for i := 0; pod.Spec != nil && i < len(pod.Spec.Volumes); i++ {
			if v := pod.Spec.Volumes[i].FlexVolume; v != nil {
				drivers[v.Driver] = true
			}
		}
	}
	for _, v := range p.PersistentVolumes {
		if v.Spec.FlexVolume != nil {
			drivers[v.Spec.FlexVolume.Driver] = true
		}
	}
	for _, name := range slices.Sorted(maps.Keys(drivers)) {
		list = append(list, hostileChange{"has a flexVolume", mounting(corev1.VolumeSource{FlexVolume: &corev1.FlexVolumeSource{Driver: name}}, true)})
	}
	return list
}

func mounting(source corev1.VolumeSource, readOnly bool) func(*corev1.PodSpec) {
	return func(s *corev1.PodSpec) {
		s.Volumes = []corev1.Volume{{Name: "probe", VolumeSource: source}}
		s.Containers[0].VolumeMounts = []corev1.VolumeMount{{Name: "probe", MountPath: "/probe", ReadOnly: readOnly}}
	}
}
