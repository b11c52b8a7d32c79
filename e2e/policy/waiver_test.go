package policy_test

import (
	"context"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
)

func until(control string, end time.Time) map[string]string {
	return map[string]string{v1alpha1.WaiverPrefix + control: end.UTC().Format(time.RFC3339)}
}

// waivable is one offence against every control that can be waived.
func waivable(ns string) map[string][]attempt {
	csi := corev1.VolumeSource{CSI: &corev1.CSIVolumeSource{Driver: "d.example.com"}}
	return map[string][]attempt{
		"images": {{policy: "images", object: spoiled(ns, func(s *corev1.PodSpec) { s.Containers[0].Image = "nginx" })}},
		"priority": {
			{policy: "priority", object: spoiled(ns, func(s *corev1.PodSpec) { s.PriorityClassName = "platform-high" })},
			{policy: "priority", object: spoiled(ns, func(s *corev1.PodSpec) { s.PriorityClassName = "tenant-pushy" })},
		},
		"scheduling": {{policy: "scheduling", object: spoiled(ns, func(s *corev1.PodSpec) { s.SchedulerName = "mine" })}},
		"runtime":    {{policy: "runtime", object: spoiled(ns, func(s *corev1.PodSpec) { s.RuntimeClassName = ptr("plain") })}},
		"token": {
			{policy: "token-pods", object: spoiled(ns, projectToken(""))},
			{policy: "token-credentials", object: &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "s", Annotations: map[string]string{corev1.ServiceAccountNameKey: "default"}}, Type: corev1.SecretTypeServiceAccountToken}},
		},
		"storage": {
			{policy: "claims", object: claim(ns, "data", "slow")},
			{policy: "volumes", object: spoiled(ns, func(s *corev1.PodSpec) { s.Volumes = []corev1.Volume{{Name: "in", VolumeSource: csi}} })},
		},
		"service-expose": {
			{policy: "services", object: service(ns, func(s *corev1.ServiceSpec) { s.Type = corev1.ServiceTypeNodePort })},
			{policy: "ingresses", object: ingress(ns, func(*networkingv1.Ingress) {})},
		},
	}
}

// A Waiver suspends its own control and no other, and it ends at its time by the API server's own clock: nobody has to
// take the annotation off.
func TestWaivers(t *testing.T) {
	for control := range waivable("") {
		t.Run(control, func(t *testing.T) {
			name := strings.ReplaceAll(control, "-", "")
			owner, ns := newSpace(t, "waived"+name, nil, until(control, time.Now().Add(time.Hour)))
			late, lateNS := newSpace(t, "late"+name, nil, until(control, time.Now().Add(-time.Second)))
			for c, attempts := range waivable(ns) {
				for _, a := range attempts {
					err := owner.Create(t.Context(), a.object, client.DryRunAll)
					if c != control {
						assertRefused(t, err, a.policy, "")
					} else if err != nil {
						t.Errorf("waived, and yet: %v", err)
					}
				}
			}
			for _, a := range waivable(lateNS)[control] {
				assertRefused(t, late.Create(t.Context(), a.object, client.DryRunAll), a.policy, "")
			}
		})
	}
}

// The moment of expiry needs nobody: the same pod is accepted before it and refused after it.
func TestWaiverEndsByItself(t *testing.T) {
	end := time.Now().Add(3 * time.Second).Truncate(time.Second)
	owner, ns := newSpace(t, "ending", nil, until("images", end))
	offence := func() error {
		return owner.Create(t.Context(), spoiled(ns, func(s *corev1.PodSpec) { s.Containers[0].Image = "nginx" }), client.DryRunAll)
	}
	if err := offence(); err != nil {
		t.Fatalf("before its end: %v", err)
	}
	var last error
	err := wait.PollUntilContextTimeout(t.Context(), 50*time.Millisecond, 20*time.Second, true, func(context.Context) (bool, error) {
		last = offence()
		return last != nil, nil
	})
	if err != nil {
		t.Fatalf("still accepted long after its end: %v", err)
	}
	assertRefused(t, last, "images", `image "nginx"`)
	if now := time.Now(); now.Before(end) {
		t.Errorf("refused at %s, before its end at %s", now, end)
	}
}

// An update has no clock: under a Waiver templates may change, since their pods are judged when they are made; all else
// must be made anew. What was made under the Waiver stays, and may change in other ways.
func TestWaiversAtUpdate(t *testing.T) {
	owner, ns := newSpace(t, "patcher", nil, map[string]string{
		v1alpha1.WaiverPrefix + "images":         time.Now().Add(time.Hour).UTC().Format(time.RFC3339),
		v1alpha1.WaiverPrefix + "service-expose": time.Now().Add(time.Hour).UTC().Format(time.RFC3339),
	})
	p := spoiled(ns, func(s *corev1.PodSpec) { s.Containers[0].Image = "nginx" })
	s := service(ns, func(*corev1.ServiceSpec) {})
	d := workloads(ns, "deploy", podSpec())["Deployment"]
	for _, o := range []client.Object{p, s, d} {
		if err := owner.Create(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	}
	if err := update(t.Context(), owner, d, func() { specOf(d).Containers[0].Image = "nginx" }); err != nil {
		t.Errorf("template: %v", err)
	}
	if err := update(t.Context(), owner, p, func() { p.Labels = map[string]string{"a": "b"} }); err != nil {
		t.Errorf("another change of the pod: %v", err)
	}
	err := update(t.Context(), owner, p, func() {
		p.Spec.Tolerations = append(p.Spec.Tolerations, corev1.Toleration{Key: "gpu", Operator: corev1.TolerationOpExists})
	})
	if err != nil {
		t.Errorf("another change of the pod's spec: %v", err)
	}
	err = update(t.Context(), owner, p, func() { p.Spec.Containers[0].Image = "busybox" })
	assertRefused(t, err, "images", `image "busybox"`)
	err = update(t.Context(), owner, s, func() { s.Spec.Type = corev1.ServiceTypeNodePort })
	assertRefused(t, err, "services", "type NodePort")
}

// Where a control is waived its completion stands back, and once the Waiver is over people must say it themselves.
func TestWaivedCompletion(t *testing.T) {
	owner, ns := newSpace(t, "freed", map[string]string{v1alpha1.LabelRuntimeClass: "gvisor"}, until("runtime", time.Now().Add(time.Hour)))
	p := pod(ns, "p")
	if err := owner.Create(t.Context(), p, client.DryRunAll); err != nil {
		t.Fatal(err)
	}
	if p.Spec.RuntimeClassName != nil {
		t.Errorf("runtimeClassName is %s, want none", *p.Spec.RuntimeClassName)
	}
	owner, ns = newSpace(t, "refrozen", map[string]string{v1alpha1.LabelRuntimeClass: "gvisor"}, until("runtime", time.Now().Add(-time.Hour)))
	assertRefused(t, owner.Create(t.Context(), pod(ns, "p"), client.DryRunAll), "runtime", `use "gvisor"`)
	if err := owner.Create(t.Context(), spoiled(ns, func(s *corev1.PodSpec) { s.RuntimeClassName = ptr("gvisor") }), client.DryRunAll); err != nil {
		t.Error(err)
	}
	owner, ns = newSpace(t, "stale", nil, until("images", time.Now().Add(-time.Hour)))
	stale := spoiled(ns, func(s *corev1.PodSpec) {
		s.Containers[0].ImagePullPolicy = corev1.PullIfNotPresent
		s.Volumes = []corev1.Volume{{Name: "data", VolumeSource: corev1.VolumeSource{Image: &corev1.ImageVolumeSource{Reference: "registry.example.com/data:1", PullPolicy: corev1.PullNever}}}}
	})
	assertRefused(t, owner.Create(t.Context(), stale, client.DryRunAll), "images", `container "harmless" must have imagePullPolicy: Always`)
	stale.Spec.Containers[0].ImagePullPolicy = corev1.PullAlways
	assertRefused(t, owner.Create(t.Context(), stale, client.DryRunAll), "images", `image volume "data" must have pullPolicy: Always`)
}

// The request for a token has a creation time too.
func TestWaivedTokenRequest(t *testing.T) {
	for tenant, end := range map[string]time.Time{"asking": time.Now().Add(time.Hour), "toolate": time.Now().Add(-time.Hour)} {
		owner, ns := newSpace(t, tenant, nil, until("token", end))
		account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "default"}}
		err := owner.SubResource("token").Create(t.Context(), account, &authenticationv1.TokenRequest{})
		if tenant == "toolate" {
			assertRefused(t, err, "token-credentials", "have no identity at the API server")
		} else if err != nil {
			t.Errorf("waived, and yet: %v", err)
		}
	}
}

// A waiver of Pod Security lowers a label, which cannot end by itself; a policy does it for it.
func TestPodSecurityWaiverEnds(t *testing.T) {
	marked := map[string]string{v1alpha1.WaiverPrefix + "pod-security": "w", "pod-security.kubernetes.io/enforce": "baseline"}
	during, inForce := newSpace(t, "lax", marked, until("pod-security", time.Now().Add(time.Hour)))
	after, over := newSpace(t, "strict", marked, until("pod-security", time.Now().Add(-time.Hour)))
	within := func(change func(*corev1.SecurityContext)) func(*corev1.PodSpec) {
		return func(s *corev1.PodSpec) { change(s.Containers[0].SecurityContext) }
	}
	for name, change := range map[string]func(*corev1.PodSpec){
		"root":           func(s *corev1.PodSpec) { s.SecurityContext.RunAsNonRoot = nil },
		"root by number": func(s *corev1.PodSpec) { s.SecurityContext.RunAsUser = ptr(int64(0)) },
		"root by itself": within(func(c *corev1.SecurityContext) { c.RunAsNonRoot = ptr(false) }),
		"no seccomp":     func(s *corev1.PodSpec) { s.SecurityContext.SeccompProfile = nil },
		"escalation":     within(func(c *corev1.SecurityContext) { c.AllowPrivilegeEscalation = nil }),
		"capabilities":   within(func(c *corev1.SecurityContext) { c.Capabilities = nil }),
		"one capability": within(func(c *corev1.SecurityContext) { c.Capabilities.Add = []corev1.Capability{"CHOWN"} }),
		"nothing at all": func(s *corev1.PodSpec) { s.SecurityContext, s.Containers[0].SecurityContext = nil, nil },
		"init container": func(s *corev1.PodSpec) {
			s.InitContainers = []corev1.Container{{Name: "init", Image: "registry.example.com/init"}}
		},
		"second container": func(s *corev1.PodSpec) {
			s.Containers = append(s.Containers, corev1.Container{Name: "side", Image: "registry.example.com/side"})
		},
	} {
		t.Run(name, func(t *testing.T) {
			if err := during.Create(t.Context(), spoiled(inForce, change), client.DryRunAll); err != nil {
				t.Errorf("while the waiver is in force: %v", err)
			}
			assertRefused(t, after.Create(t.Context(), spoiled(over, change), client.DryRunAll), "pod-security", "is not restricted, and the waiver is over")
		})
	}
	for name, change := range map[string]func(*corev1.PodSpec){
		"restricted": func(*corev1.PodSpec) {},
		"the one capability that restricted allows": within(func(c *corev1.SecurityContext) { c.Capabilities.Add = []corev1.Capability{"NET_BIND_SERVICE"} }),
		"all said in the container": func(s *corev1.PodSpec) {
			s.Containers[0].SecurityContext.RunAsNonRoot = s.SecurityContext.RunAsNonRoot
			s.Containers[0].SecurityContext.SeccompProfile = s.SecurityContext.SeccompProfile
			s.SecurityContext = nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			if err := after.Create(t.Context(), spoiled(over, change), client.DryRunAll); err != nil {
				t.Error(err)
			}
		})
	}
}

// Promise: a Waiver that is over when it is made is refused, by the API server's clock and in words that say both times;
// one with a second to go is not.
func TestExpiredWaiverIsRefused(t *testing.T) {
	waiver := func(expires time.Time) *v1alpha1.Waiver {
		return &v1alpha1.Waiver{ObjectMeta: metav1.ObjectMeta{Name: "over"}, Spec: v1alpha1.WaiverSpec{
			Control: "images", Tenant: "news", Workload: "web", Reason: "a reason that is long enough", Approver: "security", Expires: metav1.NewTime(expires),
		}}
	}
	now := time.Now()
	for name, expires := range map[string]time.Time{"long ago": now.AddDate(-1, 0, 0), "a moment ago": now, "in another zone": now.Add(-time.Hour).In(time.FixedZone("", 7200))} {
		t.Run(name, func(t *testing.T) {
			err := admin.Create(t.Context(), waiver(expires), client.DryRunAll)
			assertRefused(t, err, "waivers", `guardrail: Waiver "over" expired at `+expires.UTC().Format(time.RFC3339)+", before it was made at "+now.UTC().Format("2006-"))
			if err == nil || !strings.Contains(err.Error(), "give spec.expires a time to come") {
				t.Errorf("it does not say what to do: %v", err)
			}
		})
	}
	if err := admin.Create(t.Context(), waiver(now.Add(time.Minute)), client.DryRunAll); err != nil {
		t.Errorf("a Waiver with a minute to go: %v", err)
	}
}
