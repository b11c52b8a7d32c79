package policy_test

import (
	"context"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
)

// bare is a pod whose author wrote of security what is given, and nothing else.
func bare(ns string, change func(*corev1.PodSpec)) *corev1.Pod {
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "bare"}, Spec: corev1.PodSpec{
		InitContainers: []corev1.Container{{Name: "init", Image: "registry.example.com/init"}},
		Containers:     []corev1.Container{{Name: "web", Image: "registry.example.com/web"}, {Name: "side", Image: "registry.example.com/side"}},
	}}
	if change != nil {
		change(&p.Spec)
	}
	return p
}

// contexts are those of every container of a pod.
func contexts(p *corev1.Pod) []*corev1.SecurityContext {
	var all []*corev1.SecurityContext
	for _, c := range slices.Concat(p.Spec.InitContainers, p.Spec.Containers) {
		all = append(all, c.SecurityContext)
	}
	return all
}

// Promise: a pod that leaves out what the level restricted demands is let in with that set, and keeps what it says.
func TestLeftOutIsSet(t *testing.T) {
	owner, ns := newSpace(t, "silent", nil, nil)
	whole := &corev1.SecurityContext{AllowPrivilegeEscalation: ptr(false), Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}}}
	shared := &corev1.PodSecurityContext{RunAsNonRoot: ptr(true), SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault}}
	binds := whole.DeepCopy()
	binds.Capabilities.Add = []corev1.Capability{"NET_BIND_SERVICE"}
	own := whole.DeepCopy()
	own.RunAsNonRoot, own.RunAsUser, own.SeccompProfile, own.ReadOnlyRootFilesystem = ptr(true), ptr(int64(70)), shared.SeccompProfile, ptr(true)
	grouped := shared.DeepCopy()
	grouped.FSGroup = ptr(int64(1001))
	only := func(c *corev1.SecurityContext) func(*corev1.PodSpec) {
		return func(s *corev1.PodSpec) {
			s.InitContainers, s.Containers = nil, s.Containers[:1]
			s.Containers[0].SecurityContext = c
		}
	}
	for name, test := range map[string]struct {
		change func(*corev1.PodSpec)
		shared *corev1.PodSecurityContext
		each   *corev1.SecurityContext
	}{
		"nothing said": {nil, shared, whole},
		"a group":      {func(s *corev1.PodSpec) { s.SecurityContext = &corev1.PodSecurityContext{FSGroup: ptr(int64(1001))} }, grouped, whole},
		"empty":        {only(&corev1.SecurityContext{Capabilities: &corev1.Capabilities{}}), shared, whole},
		"one capability that restricted allows": {only(&corev1.SecurityContext{Capabilities: &corev1.Capabilities{
			Add: []corev1.Capability{"NET_BIND_SERVICE"}}}), shared, binds},
		"all said in the container": {only(own.DeepCopy()), &corev1.PodSecurityContext{}, own},
		"a Windows pod": {func(s *corev1.PodSpec) { s.OS = &corev1.PodOS{Name: corev1.Windows} },
			&corev1.PodSecurityContext{RunAsNonRoot: ptr(true)}, nil},
		"a user namespace of its own": {func(s *corev1.PodSpec) { s.HostUsers = ptr(false) }, shared, whole},
	} {
		t.Run(name, func(t *testing.T) {
			p := bare(ns, test.change)
			if err := owner.Create(t.Context(), p, client.DryRunAll); err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(p.Spec.SecurityContext, test.shared) {
				t.Errorf("the pod has %v, want %v", p.Spec.SecurityContext, test.shared)
			}
			for _, c := range contexts(p) {
				if !reflect.DeepEqual(c, test.each) {
					t.Errorf("a container has %v, want %v", c, test.each)
				}
			}
			if a := p.Spec.AutomountServiceAccountToken; a == nil || *a {
				t.Errorf("automountServiceAccountToken is %v, want false", a)
			}
		})
	}
	for kind, w := range workloads(ns, "bare", bare(ns, nil).Spec) {
		if kind == "Pod" {
			continue
		}
		if err := owner.Create(t.Context(), w, client.DryRunAll); err != nil {
			t.Errorf("%s: %v", kind, err)
		} else if s := specOf(w); s.Containers[0].SecurityContext != nil || s.AutomountServiceAccountToken != nil {
			t.Errorf("the template of a %s was changed: %v", kind, s)
		}
	}
}

// Promise: what a pod says against the level is refused, also where it leaves out all else.
func TestSaidAgainstTheLevelIsRefused(t *testing.T) {
	owner, ns := newSpace(t, "outspoken", nil, nil)
	for says, c := range map[string]*corev1.SecurityContext{
		"privileged":                        {Privileged: ptr(true)},
		"allowPrivilegeEscalation != false": {AllowPrivilegeEscalation: ptr(true)},
		"unrestricted capabilities":         {Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"NET_RAW"}}},
		"\"CHOWN\"":                         {Capabilities: &corev1.Capabilities{Add: []corev1.Capability{"CHOWN"}}},
		"\"CAP_SYS_ADMIN\"":                 {Capabilities: &corev1.Capabilities{Add: []corev1.Capability{"CAP_SYS_ADMIN"}}},
		"runAsNonRoot != true":              {RunAsNonRoot: ptr(false)},
		"runAsUser=0":                       {RunAsUser: ptr(int64(0))},
		"seccompProfile":                    {SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeUnconfined}},
	} {
		t.Run(says, func(t *testing.T) {
			for where, change := range map[string]func(*corev1.PodSpec){
				"container": func(s *corev1.PodSpec) { s.Containers[1].SecurityContext = c },
				"init":      func(s *corev1.PodSpec) { s.InitContainers[0].SecurityContext = c },
			} {
				err := owner.Create(t.Context(), bare(ns, change), client.DryRunAll)
				if !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "violates PodSecurity") || !strings.Contains(err.Error(), says) {
					t.Errorf("%s: %v", where, err)
				}
			}
		})
	}
	for says, c := range map[string]*corev1.PodSecurityContext{
		"runAsNonRoot != true": {RunAsNonRoot: ptr(false)}, "runAsUser=0": {RunAsUser: ptr(int64(0))},
		"seccompProfile": {SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeUnconfined}},
	} {
		err := owner.Create(t.Context(), bare(ns, func(s *corev1.PodSpec) { s.SecurityContext = c }), client.DryRunAll)
		if !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), says) {
			t.Errorf("the whole pod, %s: %v", says, err)
		}
	}
}

// Promise: debugging containers that say nothing are completed, also in a pod whose own fields say nothing and can change no more; and
// those that are there stay as they are.
func TestDebuggersAreCompleted(t *testing.T) {
	owner, ns := newSpace(t, "debugger", nil, nil)
	p := bare(ns, func(s *corev1.PodSpec) {
		s.InitContainers, s.Containers = nil, s.Containers[:1]
		s.Containers[0].SecurityContext = &corev1.SecurityContext{RunAsNonRoot: ptr(true), SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault}}
	})
	if err := owner.Create(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	debug := func(name string, c *corev1.SecurityContext) error {
		return subUpdate(t.Context(), owner, p, "ephemeralcontainers", func() {
			p.Spec.EphemeralContainers = append(p.Spec.EphemeralContainers, corev1.EphemeralContainer{EphemeralContainerCommon: corev1.EphemeralContainerCommon{
				Name: name, Image: "registry.example.com/busybox", SecurityContext: c}})
		})
	}
	for _, name := range []string{"one", "two"} {
		if err := debug(name, nil); err != nil {
			t.Fatal(err)
		}
	}
	for _, e := range p.Spec.EphemeralContainers {
		c := e.SecurityContext
		if c == nil || c.RunAsNonRoot == nil || c.SeccompProfile == nil || c.AllowPrivilegeEscalation == nil || c.Capabilities == nil {
			t.Errorf("%s has %v", e.Name, c)
		}
	}
	if err := debug("bad", &corev1.SecurityContext{Privileged: ptr(true)}); !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "violates PodSecurity") {
		t.Errorf("a privileged debugger: %v", err)
	}
}

// Promise: a pod that does not say whether it gets a token gets none, whatever its service account says; one that asks is refused, and
// where the workload has an identity, nothing is changed.
func TestTokensAreLeftOut(t *testing.T) {
	for tenant, labels := range map[string]map[string]string{"withheld": nil, "identified": {v1alpha1.LabelToken: v1alpha1.TokenAllowed}} {
		owner, ns := newSpace(t, tenant, labels, nil)
		account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "chart"}, AutomountServiceAccountToken: ptr(true)}
		if err := owner.Create(t.Context(), account); err != nil {
			t.Fatal(err)
		}
		p := bare(ns, func(s *corev1.PodSpec) {
			s.ServiceAccountName = "chart"
			s.Volumes = []corev1.Volume{{Name: "tmp", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}}
			s.Containers[1].VolumeMounts = []corev1.VolumeMount{{Name: "tmp", MountPath: "/tmp"}}
		})
		if err := owner.Create(t.Context(), p, client.DryRunAll); err != nil {
			t.Fatalf("%s: %v", tenant, err)
		}
		token, mounts := 1, 4
		if labels == nil {
			token, mounts = 0, 1
		}
		got := 0
		for _, c := range slices.Concat(p.Spec.InitContainers, p.Spec.Containers) {
			got += len(c.VolumeMounts)
		}
		if len(p.Spec.Volumes) != 1+token || got != mounts || (p.Spec.AutomountServiceAccountToken == nil) != (token == 1) {
			t.Errorf("%s: %d volumes, %d mounts, automount %v", tenant, len(p.Spec.Volumes), got, p.Spec.AutomountServiceAccountToken)
		}
		err := owner.Create(t.Context(), bare(ns, func(s *corev1.PodSpec) { s.AutomountServiceAccountToken = ptr(true) }), client.DryRunAll)
		if labels == nil {
			assertRefused(t, err, "token-pods", "set automountServiceAccountToken: false")
		} else if err != nil {
			t.Errorf("%s: %v", tenant, err)
		}
	}
}

// Promise: server-side apply of a pod that says nothing changes nothing the second time, and meets no conflict.
func TestAppliedPodStays(t *testing.T) {
	owner, ns := newSpace(t, "applier", nil, nil)
	apply := func() *unstructured.Unstructured {
		u := unstructuredFrom(map[string]any{"apiVersion": "v1", "kind": "Pod", "metadata": map[string]any{"namespace": ns, "name": "applied"},
			"spec": map[string]any{"containers": []any{map[string]any{"name": "web", "image": "registry.example.com/web"}}}})
		if err := owner.Apply(t.Context(), client.ApplyConfigurationFromUnstructured(u), client.FieldOwner("gitops")); err != nil {
			t.Fatal(err)
		}
		return u
	}
	first, second := apply(), apply()
	if first.GetResourceVersion() != second.GetResourceVersion() {
		t.Errorf("applied again, the pod changes from %v to %v", first.Object["spec"], second.Object["spec"])
	}
	if set, found, _ := unstructured.NestedBool(second.Object, "spec", "securityContext", "runAsNonRoot"); !found || !set {
		t.Errorf("the pod was not completed: %v", second.Object["spec"])
	}
}

// Promise: where a Waiver lowers the level to baseline, nothing is set that this level does not demand.
func TestBaselineIsNotCompleted(t *testing.T) {
	owner, ns := newSpace(t, "lowered", map[string]string{v1alpha1.WaiverPrefix + "pod-security": "w", "pod-security.kubernetes.io/enforce": "baseline"},
		map[string]string{v1alpha1.WaiverPrefix + "pod-security": "2999-01-01T00:00:00Z"})
	p := bare(ns, nil)
	if err := owner.Create(t.Context(), p, client.DryRunAll); err != nil {
		t.Fatal(err)
	}
	if p.Spec.SecurityContext.RunAsNonRoot != nil || p.Spec.Containers[0].SecurityContext != nil {
		t.Errorf("the pod has %v, its container %v; want neither changed", p.Spec.SecurityContext, p.Spec.Containers[0].SecurityContext)
	}
}

// Promise: a container that names a request alone gets a limit that is no smaller; a limit of its own below the request stays refused.
func TestDefaultLimitsAreLargeEnough(t *testing.T) {
	owner, ns := newSpace(t, "requester", nil, nil)
	amounts := func(cpu, memory string) corev1.ResourceList {
		return corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(cpu), corev1.ResourceMemory: resource.MustParse(memory)}
	}
	limits := &corev1.LimitRange{ObjectMeta: managed(ns, v1alpha1.LimitsName), Spec: corev1.LimitRangeSpec{Limits: []corev1.LimitRangeItem{{
		Type: corev1.LimitTypeContainer, Default: amounts("500m", "256Mi"), DefaultRequest: amounts("50m", "64Mi"), Max: amounts("4", "4Gi")}}}}
	if err := bulkhead.Create(t.Context(), limits); err != nil {
		t.Fatal(err)
	}
	created := func(requests, own corev1.ResourceList) (*corev1.Pod, error) {
		p := bare(ns, func(s *corev1.PodSpec) {
			s.InitContainers[0].Resources.Requests = amounts("1", "16Mi")
			s.Containers[0].Resources = corev1.ResourceRequirements{Requests: requests, Limits: own}
		})
		return p, owner.Create(t.Context(), p, client.DryRunAll)
	}
	var p *corev1.Pod
	err := wait.PollUntilContextTimeout(t.Context(), 50*time.Millisecond, 30*time.Second, true, func(context.Context) (bool, error) {
		var err error
		p, err = created(amounts("100m", "1Gi"), nil) // LimitRanger learns of the LimitRange by a watch
		return err == nil && len(p.Spec.Containers[1].Resources.Limits) > 0, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		is   corev1.ResourceList
		want corev1.ResourceList
	}{{p.Spec.Containers[0].Resources.Limits, amounts("500m", "1Gi")}, {p.Spec.Containers[1].Resources.Limits, amounts("500m", "256Mi")},
		{p.Spec.InitContainers[0].Resources.Limits, amounts("1", "256Mi")}} {
		if !equality.Semantic.DeepEqual(c.is, c.want) {
			t.Errorf("limits are %v, want %v", c.is, c.want)
		}
	}
	if _, err := created(amounts("100m", "1Gi"), amounts("200m", "512Mi")); !apierrors.IsInvalid(err) {
		t.Errorf("a limit of its own below the request: %v", err)
	}
	if _, err := created(amounts("100m", "8Gi"), nil); !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "maximum memory usage") {
		t.Errorf("a request above the maximum: %v", err)
	}
}
