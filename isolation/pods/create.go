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
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/bulkhead-dev/bulkhead/isolation/finding"
)

// workloadKind is a kind of object from which pods come.
type workloadKind struct {
	kind       schema.GroupVersionKind
	resource   string
	controller string
	// fixed says that its template does not change any more once it is there.
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

// attempt is a pod that somebody tries to have made, in no namespace, so that one stands for all.
type attempt struct {
	what    string
	spec    *corev1.PodSpec
	objects map[string]runtime.Object // by kind
	// before is the plain pod that is changed to be this one; nil is the plainest.
	before *attempt
	// debugged is a plain pod with the same as a debugging container; nil where that cannot be the same.
	debugged *corev1.Pod
}

func newAttempt(what string, spec *corev1.PodSpec, kinds []workloadKind) *attempt {
	return newLabelledAttempt(what, spec, kinds, nil)
}

// newLabelledAttempt is an attempt whose objects bear labels besides.
func newLabelledAttempt(what string, spec *corev1.PodSpec, kinds []workloadKind, labels map[string]string) *attempt {
	a := &attempt{what: what, spec: spec, objects: map[string]runtime.Object{}}
	all := map[string]string{"app": "probe"}
	maps.Copy(all, labels)
	for _, k := range kinds {
		template := corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: all}, Spec: *spec.DeepCopy()}
		a.objects[k.kind.Kind] = k.object(template)
		if o, is := a.objects[k.kind.Kind].(metav1.Object); is && len(labels) > 0 {
			o.SetLabels(all)
		}
	}
	return a
}

// plainPod is a pod that harms nobody: restricted, small, without a token. Image is one that is in use.
func plainPod(image string) *corev1.PodSpec {
	small := corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("10m"), corev1.ResourceMemory: resource.MustParse("16Mi")}
	return &corev1.PodSpec{
		AutomountServiceAccountToken: new(false), ServiceAccountName: "default", SchedulerName: corev1.DefaultSchedulerName,
		RestartPolicy: corev1.RestartPolicyAlways, DNSPolicy: corev1.DNSClusterFirst, TerminationGracePeriodSeconds: new(int64(30)),
		SecurityContext: &corev1.PodSecurityContext{RunAsNonRoot: new(true), RunAsUser: new(int64(65534)),
			SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault}},
		Containers: []corev1.Container{{Name: "probe", Image: image, ImagePullPolicy: corev1.PullAlways,
			Resources: corev1.ResourceRequirements{Requests: small, Limits: small},
			SecurityContext: &corev1.SecurityContext{AllowPrivilegeEscalation: new(false), ReadOnlyRootFilesystem: new(true),
				Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}}}}},
	}
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

// hostilePods are canonical pods, each restricted but for one thing, the widest way out first.
func (p *Run) hostilePods(image string, kinds []workloadKind) []*attempt {
	var list []*attempt
	rules, gains := newEscapeRules(), map[*attempt]podGain{}
	labels := p.exemptingLabels()
	plain := plainPod(image)
	before := newLabelledAttempt("a plain pod", plain, kinds, labels)
	for _, h := range append(hostileChanges(), p.hostileVolumes()...) {
		spec := plainPod(image)
		h.change(spec)
		a := newAttempt(h.what, spec, kinds)
		a.debugged = debugged(plain, spec, nil)
		if ways := rules.waysOut(&metav1.ObjectMeta{}, spec); len(ways) > 0 {
			gains[a] = ways[0].gain
			a.what = fmt.Sprintf("%s (%s)", h.what, strings.NewReplacer("container probe is privileged: ", "", "container probe", "its container").Replace(ways[0].what))
		}
		list = append(list, a)
		if len(labels) == 0 {
			continue
		}
		evading := newLabelledAttempt(a.what+", and "+labelWords(labels)+", which policies pass over", spec, kinds, labels)
		evading.debugged, evading.before, gains[evading] = debugged(plain, spec, labels), before, gains[a]
		list = append(list, evading)
	}
	slices.SortStableFunc(list, func(a, b *attempt) int { return cmp.Compare(gains[b], gains[a]) })
	return list
}

type hostileChange struct {
	what   string
	change func(*corev1.PodSpec)
}

func hostileChanges() []hostileChange {
	pid := func(s *corev1.PodSpec) { s.HostPID = true }
	list := []hostileChange{
		{"a privileged container", inContainer(func(c *corev1.SecurityContext) { c.Privileged = new(true) })},
		{"a privileged init container", func(s *corev1.PodSpec) {
			c := *s.Containers[0].DeepCopy()
			c.Name, c.SecurityContext = "probe-first", &corev1.SecurityContext{Privileged: new(true)}
			s.InitContainers = []corev1.Container{c}
		}},
		{"hostPID and SYS_PTRACE", func(s *corev1.PodSpec) {
			pid(s)
			capable("SYS_PTRACE")(s)
		}},
		{"Windows hostProcess", func(s *corev1.PodSpec) {
			s.SecurityContext.WindowsOptions = &corev1.WindowsSecurityContextOptions{HostProcess: new(true)}
		}},
		{"hostPID", pid},
		{"hostNetwork", func(s *corev1.PodSpec) { s.HostNetwork = true }},
		{"hostIPC", func(s *corev1.PodSpec) { s.HostIPC = true }},
		{"hostPort", func(s *corev1.PodSpec) {
			s.Containers[0].Ports = []corev1.ContainerPort{{ContainerPort: 8080, HostPort: 8080, Protocol: corev1.ProtocolTCP}}
		}},
		{"an unsafe sysctl", func(s *corev1.PodSpec) {
			s.SecurityContext.Sysctls = []corev1.Sysctl{{Name: "kernel.msgmax", Value: "65536"}}
		}},
		{"a probe of another host", func(s *corev1.PodSpec) {
			s.Containers[0].LivenessProbe = &corev1.Probe{ProbeHandler: corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Host: "169.254.169.254", Path: "/", Port: intstr.FromInt32(80)}}}
		}},
		{"capabilities BPF and PERFMON", capable("BPF", "PERFMON")},
	}
	for _, name := range []corev1.Capability{"ALL", "SYS_ADMIN", "SYS_MODULE", "SYS_RAWIO", "DAC_READ_SEARCH", "SYS_TIME", "NET_RAW", "NET_ADMIN"} {
		list = append(list, hostileChange{"capability " + string(name), capable(name)})
	}
	for _, path := range []string{"/", "/etc/kubernetes", "/var/lib/kubelet", "/run/containerd/containerd.sock", "/var/log", "/proc", "/tmp", "/probe"} {
		for _, readOnly := range []bool{false, true} {
			source := corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: path}}
			list = append(list, hostileChange{map[bool]string{false: "hostPath ", true: "read-only hostPath "}[readOnly] + path, mounting(source, readOnly)})
		}
	}
	return list
}

// hostileVolumes are those that need something of the node: a kubelet before 1.36, which still has gitRepo, and a
// flexVolume driver, of which it is known that it is there only where something uses it.
func (p *Run) hostileVolumes() []hostileChange {
	var list []hostileChange
	for _, n := range p.Nodes {
		var major, minor int
		if _, err := fmt.Sscanf(n.Status.NodeInfo.KubeletVersion, "v%d.%d", &major, &minor); err == nil && major == 1 && minor < 36 {
			list = append(list, hostileChange{"a gitRepo volume", mounting(corev1.VolumeSource{GitRepo: &corev1.GitRepoVolumeSource{Repository: "https://example.com/r.git"}}, true)})
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
		list = append(list, hostileChange{"a flexVolume", mounting(corev1.VolumeSource{FlexVolume: &corev1.FlexVolumeSource{Driver: name}}, true)})
	}
	return list
}

// inContainer changes the container's security context. What the API server would refuse beside it goes.
func inContainer(change func(*corev1.SecurityContext)) func(*corev1.PodSpec) {
	return func(s *corev1.PodSpec) {
		s.Containers[0].SecurityContext.AllowPrivilegeEscalation = nil
		change(s.Containers[0].SecurityContext)
	}
}

func capable(names ...corev1.Capability) func(*corev1.PodSpec) {
	return inContainer(func(c *corev1.SecurityContext) { c.Capabilities.Add = names })
}

func mounting(source corev1.VolumeSource, readOnly bool) func(*corev1.PodSpec) {
	return func(s *corev1.PodSpec) {
		s.Volumes = []corev1.Volume{{Name: "probe", VolumeSource: source}}
		s.Containers[0].VolumeMounts = []corev1.VolumeMount{{Name: "probe", MountPath: "/probe", ReadOnly: readOnly}}
	}
}
