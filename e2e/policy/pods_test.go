package policy_test

import (
	"context"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/hostile"
)

// offence is a change to a harmless pod spec; a policy must refuse it, in pods and in the templates of pods. An empty policy must
// accept it.
type offence struct {
	name    string
	spoil   func(*corev1.PodSpec)
	policy  string
	message string // a part of it
}

// assertRefused demands that it was this policy that refused, for this reason, in words that begin with the control.
func assertRefused(t *testing.T, err error, policy, message string) {
	t.Helper()
	if err == nil {
		t.Fatalf("accepted; want it refused by policy %s with %q", policy, message)
	}
	if got := refusedBy(err); got != policy {
		t.Fatalf("refused by policy %q, want %q: %v", got, policy, err)
	}
	if !apierrors.IsForbidden(err) {
		t.Errorf("refused with reason %s, want Forbidden", apierrors.ReasonForError(err))
	}
	if !strings.Contains(err.Error(), "denied request: "+controls[policy]+": ") {
		t.Errorf("the message does not begin with control %q: %v", controls[policy], err)
	}
	if !strings.Contains(err.Error(), message) {
		t.Errorf("the message lacks %q: %v", message, err)
	}
}

// offences are the catalogue's points of a pod spec that apply in the scene, and those that need a class of this cluster.
func offences(t *testing.T, scene hostile.Scene) []offence {
	t.Helper()
	list := []offence{
		{name: "registry, with those that are allowed", policy: "images", spoil: func(s *corev1.PodSpec) { s.Containers[0].Image = "nginx" },
			message: `images: image "nginx" of container "harmless" comes from no allowed registry; use one of docker.io/friends/, mirror.example.com/library/, registry.example.com/, `},
		{name: "another account of Docker Hub", policy: "images", spoil: func(s *corev1.PodSpec) { s.Containers[0].Image = "friends-too/web" }, message: `image "friends-too/web"`},
		{name: "a registry with a port that is named like the account", policy: "images",
			spoil: func(s *corev1.PodSpec) { s.Containers[0].Image = "friends:5000/web" }, message: `image "friends:5000/web"`},
		{name: "priority class, with those that are allowed", policy: "priority", spoil: func(s *corev1.PodSpec) { s.PriorityClassName = "platform-high" },
			message: `priorityClassName "platform-high" is not allowed; leave it out, or use one of tenant-high, tenant-pushy`},
		{name: "scheduler, with those that are allowed", policy: "scheduling", spoil: func(s *corev1.PodSpec) { s.SchedulerName = "mine" },
			message: `schedulerName "mine" is not allowed; use one of default-scheduler`},
		{name: "runtime that is no sandbox", policy: "runtime", spoil: func(s *corev1.PodSpec) { s.RuntimeClassName = ptr("plain") },
			message: `runtimeClassName "plain" is not allowed; leave it out, or use one of gvisor`},
	}
	tolerate := func(toleration corev1.Toleration) func(*corev1.PodSpec) {
		return func(s *corev1.PodSpec) { s.Tolerations = []corev1.Toleration{toleration} }
	}
	for name, toleration := range map[string]corev1.Toleration{
		"another value":  {Key: "pool", Value: "gold", Effect: corev1.TaintEffectNoSchedule},
		"every value":    {Key: "pool", Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoSchedule},
		"every effect":   {Key: "pool", Value: "spot"},
		"another effect": {Key: "pool", Value: "spot", Effect: corev1.TaintEffectNoExecute},
		"a key like it":  {Key: "gpus", Operator: corev1.TolerationOpExists},
	} {
		list = append(list, offence{name: "toleration of a taint that the platform names, of " + name, policy: "node-affinity", spoil: tolerate(toleration),
			message: "leave it out, or use one of gpu, pool=spot:NoSchedule"})
	}
	for _, c := range hostile.PodCases() {
		if c.Refusal.By != hostile.Policy || !c.Applies(scene) {
			continue
		}
		list = append(list, offence{name: c.Control + "/" + c.ID, policy: strings.TrimPrefix(c.Refusal.Name, v1alpha1.PolicyPrefix), message: c.Refusal.Says,
			spoil: func(s *corev1.PodSpec) {
				pod := &corev1.Pod{Spec: *s}
				if err := c.Change(scene, pod); err != nil {
					t.Error(err)
				}
				*s = pod.Spec
			}})
	}
	if len(list) < 30 {
		t.Errorf("the catalogue has only %d points for this scene", len(list))
	}
	return list
}

// harmless changes are as near to the offences as one may go.
func harmless(tenant string) []offence {
	label := v1alpha1.LabelNodeTenant
	return []offence{
		{name: "nothing", spoil: func(*corev1.PodSpec) {}},
		{name: "image of the other registry", spoil: func(s *corev1.PodSpec) {
			s.Containers[0].Image = "mirror.example.com/library/nginx@sha256:" + strings.Repeat("a", 64)
		}},
		{name: "image of an allowed account of Docker Hub", spoil: func(s *corev1.PodSpec) { s.Containers[0].Image = "friends/web:1" }},
		{name: "image volume of an allowed registry", spoil: func(s *corev1.PodSpec) {
			s.Volumes = []corev1.Volume{{Name: "data", VolumeSource: corev1.VolumeSource{Image: &corev1.ImageVolumeSource{Reference: "registry.example.com/data"}}}}
		}},
		{name: "pull policy is repaired", spoil: func(s *corev1.PodSpec) { s.Containers[0].ImagePullPolicy = corev1.PullIfNotPresent }},
		{name: "allowed priority class", spoil: func(s *corev1.PodSpec) { s.PriorityClassName = "tenant-high" }},
		{name: "allowed scheduler", spoil: func(s *corev1.PodSpec) { s.SchedulerName = "default-scheduler" }},
		{name: "sandbox of one's own will", spoil: func(s *corev1.PodSpec) { s.RuntimeClassName = ptr("gvisor") }},
		{name: "automount left out", spoil: func(s *corev1.PodSpec) { s.AutomountServiceAccountToken = nil }},
		{name: "projected configuration", spoil: func(s *corev1.PodSpec) {
			s.Volumes = []corev1.Volume{{Name: "conf", VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{
				{DownwardAPI: &corev1.DownwardAPIProjection{Items: []corev1.DownwardAPIVolumeFile{{Path: "name", FieldRef: &corev1.ObjectFieldSelector{FieldPath: "metadata.name"}}}}},
			}}}}}
		}},
		{name: "projection of nothing", spoil: func(s *corev1.PodSpec) {
			s.Volumes = []corev1.Volume{{Name: "nil", VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{}}}}
		}},
		{name: "ephemeral volume", spoil: func(s *corev1.PodSpec) {
			s.Volumes = []corev1.Volume{{Name: "scratch", VolumeSource: corev1.VolumeSource{Ephemeral: &corev1.EphemeralVolumeSource{VolumeClaimTemplate: &corev1.PersistentVolumeClaimTemplate{Spec: claim("", "", "fast").Spec}}}}}
		}},
		{name: "toleration of a taint of the cluster, for a while", spoil: func(s *corev1.PodSpec) {
			s.Tolerations = []corev1.Toleration{{Key: "node.kubernetes.io/not-ready", Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoExecute, TolerationSeconds: ptr(int64(30))}}
		}},
		{name: "toleration of taints that the platform names", spoil: func(s *corev1.PodSpec) {
			s.Tolerations = []corev1.Toleration{{Key: "gpu", Operator: corev1.TolerationOpExists}, {Key: "pool", Value: "spot", Effect: corev1.TaintEffectNoSchedule}}
		}},
		{name: "toleration of one's own nodes", spoil: func(s *corev1.PodSpec) {
			s.Tolerations = []corev1.Toleration{{Key: v1alpha1.TaintNodeTenant, Operator: corev1.TolerationOpEqual, Value: tenant, Effect: corev1.TaintEffectNoSchedule}}
		}},
		{name: "selector of one's own nodes", spoil: func(s *corev1.PodSpec) { s.NodeSelector = map[string]string{label: tenant, "disk": "ssd"} }},
		{name: "affinity to one's own nodes", spoil: nodeTerm(true, label, corev1.NodeSelectorOpIn, tenant)},
		{name: "affinity by other labels", spoil: nodeTerm(true, "kubernetes.io/arch", corev1.NodeSelectorOpIn, "arm64", "amd64")},
		{name: "pod affinity against one's own pods", spoil: podTerm(true, true, corev1.PodAffinityTerm{})},
		{name: "pod affinity to one's other Space", spoil: podTerm(false, true, corev1.PodAffinityTerm{Namespaces: []string{tenant + "--other"}})},
	}
}

func projectToken(audience string) func(*corev1.PodSpec) {
	return func(s *corev1.PodSpec) {
		s.Volumes = []corev1.Volume{{Name: "id", VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{
			{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{Path: "token", Audience: audience}},
		}}}}}
	}
}

func nodeTerm(required bool, key string, op corev1.NodeSelectorOperator, values ...string) func(*corev1.PodSpec) {
	term := corev1.NodeSelectorTerm{MatchExpressions: []corev1.NodeSelectorRequirement{{Key: key, Operator: op, Values: values}}}
	return func(s *corev1.PodSpec) {
		n := &corev1.NodeAffinity{}
		if required {
			n.RequiredDuringSchedulingIgnoredDuringExecution = &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{term}}
		} else {
			n.PreferredDuringSchedulingIgnoredDuringExecution = []corev1.PreferredSchedulingTerm{{Weight: 1, Preference: term}}
		}
		s.Affinity = &corev1.Affinity{NodeAffinity: n}
	}
}

func podTerm(anti, required bool, term corev1.PodAffinityTerm) func(*corev1.PodSpec) {
	term.TopologyKey = "kubernetes.io/hostname"
	term.LabelSelector = &metav1.LabelSelector{MatchLabels: map[string]string{"app": "x"}}
	var hard []corev1.PodAffinityTerm
	var soft []corev1.WeightedPodAffinityTerm
	if required {
		hard = []corev1.PodAffinityTerm{term}
	} else {
		soft = []corev1.WeightedPodAffinityTerm{{Weight: 1, PodAffinityTerm: term}}
	}
	return func(s *corev1.PodSpec) {
		if anti {
			s.Affinity = &corev1.Affinity{PodAntiAffinity: &corev1.PodAntiAffinity{RequiredDuringSchedulingIgnoredDuringExecution: hard, PreferredDuringSchedulingIgnoredDuringExecution: soft}}
		} else {
			s.Affinity = &corev1.Affinity{PodAffinity: &corev1.PodAffinity{RequiredDuringSchedulingIgnoredDuringExecution: hard, PreferredDuringSchedulingIgnoredDuringExecution: soft}}
		}
	}
}

// Every offence is refused by its own policy in a pod and in every kind that makes pods; its harmless twin is not.
func TestPodSpecsAtCreation(t *testing.T) {
	owner, ns := newSpace(t, "creator", nil, nil)
	for _, o := range harmless("creator") {
		t.Run("accepted/"+o.name, func(t *testing.T) {
			spec := podSpec()
			o.spoil(&spec)
			for kind, w := range workloads(ns, "harmless", spec) {
				if err := owner.Create(t.Context(), w, client.DryRunAll); err != nil {
					t.Errorf("%s: %v", kind, err)
				}
			}
		})
	}
	for _, o := range offences(t, sceneOf("creator")) {
		t.Run("refused/"+o.name, func(t *testing.T) {
			spec := podSpec()
			o.spoil(&spec)
			for kind, w := range workloads(ns, "offence", spec) {
				t.Run(kind, func(t *testing.T) {
					assertRefused(t, owner.Create(t.Context(), w, client.DryRunAll), o.policy, o.message)
				})
			}
		})
	}
}

// What is refused at creation is refused as an update of what was harmless.
func TestPodSpecsAtUpdate(t *testing.T) {
	owner, ns := newSpace(t, "updater", nil, nil)
	existing := workloads(ns, "existing", podSpec())
	delete(existing, "Pod") // has a test of its own: little of it can change
	delete(existing, "Job") // nothing of its template can change
	for kind, w := range existing {
		if err := owner.Create(t.Context(), w); err != nil {
			t.Fatalf("%s: %v", kind, err)
		}
	}
	for _, o := range append(offences(t, sceneOf("updater")), harmless("updater")...) {
		t.Run(o.name, func(t *testing.T) {
			for kind, w := range existing {
				t.Run(kind, func(t *testing.T) {
					err := update(t.Context(), owner, w, func() { o.spoil(specOf(w)) }, client.DryRunAll)
					if o.policy != "" {
						assertRefused(t, err, o.policy, o.message)
					} else if err != nil {
						t.Error(err)
					}
				})
			}
		})
	}
}

// update writes a change onto the object's newest state, again while others write to it.
func update(ctx context.Context, c client.Client, o client.Object, change func(), options ...client.UpdateOption) error {
	for {
		if err := admin.Get(ctx, client.ObjectKeyFromObject(o), o); err != nil {
			return err
		}
		change()
		if err := c.Update(ctx, o, options...); !apierrors.IsConflict(err) {
			return err
		}
	}
}

// A class on the Platform's list is refused in a pod when it preempts, and accepted when it does not; the two classes
// differ in this one point. A template does not show what its class is, so its pods are judged.
func TestPreemptingPriorityClass(t *testing.T) {
	owner, ns := newSpace(t, "preemptor", nil, nil)
	for kind, w := range workloads(ns, "polite", specOfClass("tenant-high")) {
		if err := owner.Create(t.Context(), w, client.DryRunAll); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
	}
	for kind, w := range workloads(ns, "pushy", specOfClass("tenant-pushy")) {
		err := owner.Create(t.Context(), w, client.DryRunAll)
		if kind == "Pod" {
			assertRefused(t, err, "priority", `priorityClassName "tenant-pushy" preempts pods of other tenants; leave it out, or name a class with preemptionPolicy: Never`)
		} else if err != nil {
			t.Errorf("%s: %v", kind, err)
		}
	}
}

func specOfClass(name string) corev1.PodSpec {
	spec := podSpec()
	spec.PriorityClassName = name
	return spec
}

// The few things that can change in a pod are judged when they change, and debugging containers when they are added.
func TestPodsAtUpdate(t *testing.T) {
	owner, ns := newSpace(t, "podder", nil, nil)
	p := pod(ns, "existing")
	if err := owner.Create(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	debug := func(name, image string) error {
		return subUpdate(t.Context(), owner, p, "ephemeralcontainers", func() {
			c := container(name, image)
			p.Spec.EphemeralContainers = append(p.Spec.EphemeralContainers, corev1.EphemeralContainer{EphemeralContainerCommon: corev1.EphemeralContainerCommon{
				Name: c.Name, Image: c.Image, SecurityContext: c.SecurityContext,
			}})
		})
	}
	set := func(change func(*corev1.PodSpec)) error {
		return update(t.Context(), owner, p, func() { change(&p.Spec) })
	}
	t.Run("image", func(t *testing.T) {
		assertRefused(t, set(func(s *corev1.PodSpec) { s.Containers[0].Image = "nginx" }), "images", `image "nginx"`)
		if err := set(func(s *corev1.PodSpec) { s.Containers[0].Image = "registry.example.com/team/web:2" }); err != nil {
			t.Error(err)
		}
	})
	t.Run("toleration", func(t *testing.T) {
		add := func(key string) error {
			return set(func(s *corev1.PodSpec) {
				s.Tolerations = append(s.Tolerations, corev1.Toleration{Key: key, Operator: corev1.TolerationOpExists})
			})
		}
		assertRefused(t, add(""), "node-affinity", "reaches nodes that are not for this tenant")
		if err := add("gpu"); err != nil {
			t.Error(err)
		}
	})
	t.Run("ephemeral container", func(t *testing.T) {
		assertRefused(t, debug("bad", "busybox"), "images", `image "busybox" of container "bad"`)
		if err := debug("good", "registry.example.com/busybox"); err != nil {
			t.Fatal(err)
		}
		if got := p.Spec.EphemeralContainers[0].ImagePullPolicy; got != corev1.PullAlways {
			t.Errorf("pull policy of the debugging container is %s, want Always", got)
		}
		// A second one does not touch the first.
		if err := debug("better", "registry.example.com/busybox:2"); err != nil {
			t.Error(err)
		}
	})
}

func subUpdate(ctx context.Context, c client.Client, o client.Object, subresource string, change func()) error {
	for {
		if err := admin.Get(ctx, client.ObjectKeyFromObject(o), o); err != nil {
			return err
		}
		change()
		if err := c.SubResource(subresource).Update(ctx, o); !apierrors.IsConflict(err) {
			return err
		}
	}
}
